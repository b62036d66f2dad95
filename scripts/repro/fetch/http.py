"""Downloads over HTTP that are resumed after a cut and never wait long for what is not there."""

from __future__ import annotations

import logging
import netrc
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import get_environ_proxies, select_proxy

from repro.errors import UserError
from repro.fetch.registry import check_url, without_passwords
from repro.system.disk import check_space, size_of, write_blocks
from repro.system.progress import Bar

_BLOCK = 1 << 16  # small: what a cut connection loses is less than this
_CONNECT_TIMEOUT = 10.0  # seconds; a server that answers at all answers within this
_LONGEST_WAIT = 60.0  # seconds between two attempts, also where the server asks for more
_PROGRESS = 1 << 20  # bytes; an attempt that brought so many was worth it
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
# Name files that Python's networking reads or writes; and, of a pair, the one it takes.
_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSLKEYLOGFILE", "PIP_CERT", "PIP_CONFIG_FILE")

log = logging.getLogger("repro")


class _PassingError(Exception):
    """A failure that may be over in a moment: the same request is worth another try."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait  # seconds the server asked for


class _HttpsAdapter(HTTPAdapter):
    """Refuses plain http at every hop of a redirect, not only at the first."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        check_url(request.url or "")
        return super().send(request, *args, **kwargs)


class _Session(requests.Session):
    """Takes proxies and certificates from the environment, and no password but the host's own.

    Left to itself, Requests sends the ``default`` entry of ``~/.netrc`` to whoever is asked, also
    after a redirect.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auth = _sign
        for scheme in ("https://", "http://"):
            self.mount(scheme, _HttpsAdapter())

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Sign in anew after a redirect: what was for one host is not for the next."""
        prepared_request.headers.pop("Authorization", None)
        _sign(prepared_request)


def _sign(request: Any) -> Any:
    """Sign in where the user's netrc has an entry for this very host."""
    host = urlsplit(request.url).hostname or ""
    if (found := own_netrc().get(host)) is not None:
        HTTPBasicAuth(found[0], found[2])(request)
    return request


def own_netrc() -> dict[str, tuple[str, str, str]]:
    """Return the entries of the user's netrc file by host: login, account, password.

    ``default``, which is for every host there is, is left out. A file that is missing or cannot be
    read has none.
    """
    try:
        found = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError, UnicodeError) as error:
        if not isinstance(error, FileNotFoundError):
            # Not its own words: they can quote what is a password.
            log.info("your netrc file cannot be read (%s); not used", type(error).__name__)
        return {}
    return {
        host: (login or "", account or "", password or "")
        for host, (login, account, password) in found.items()
        if host != "default"
    }


def proxy_in_words(url: str) -> str:
    """Return the proxy that ``url`` goes through and the variable that names it; "" for none."""
    try:
        proxy = select_proxy(url, get_environ_proxies(url))
    except (ValueError, OSError):  # of no URL, or NO_PROXY holds what is no address
        return ""
    if not proxy:
        return ""
    schemes = (urlsplit(url).scheme, "all")
    names = [name for scheme in schemes for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())]
    named = next((name for name in names if os.environ.get(name)), "the system's settings")
    return f"the proxy {without_passwords(proxy)} (set by {named})"


def variables_in_words(text: str) -> str:
    """Return which variables of the environment name a file that ``text`` complains of."""
    named = [name for name in _FILES if os.environ.get(name) and os.environ[name] in text]
    names = f"; {' and '.join(named)} in your environment names that file: correct or unset it"
    return names if named else ""


def in_words(error: BaseException) -> str:
    """Return what any library raised: its cause, and the variable that it comes from."""
    if isinstance(error, UserError):
        return str(error)
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return kind + _root(error)


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    label: str = "",
    progress: bool = True,
    attempts: int = 3,
    timeout: float = 30.0,
    first_wait: float = 1.0,
) -> None:
    """Bring ``url`` to ``part``, going on from the bytes that ``part`` already holds.

    Whole means what the server says is whole; whether the bytes are the right ones is for the
    caller to prove. A cut, a stall, 429 and 5xx are retried with exponentially growing waits; a
    name that does not resolve, a server that cannot be reached and 4xx are not. If this raises,
    ``part`` keeps what came, for the next call.

    Args:
        url: https; plain http to this machine only.
        part: the file under way.
        size: bytes expected, if known; a server that offers another number is refused.
        label: name on the progress bar.
        progress: show a bar on standard error if that is a terminal.
        attempts: failures in a row, without progress between them, after which to give up. A
            connection that is cut again and again but brings something each time is gone on with.
        timeout: seconds without a byte after which the server counts as stalled.
        first_wait: seconds before the second attempt; doubled at each one after it.

    Raises:
        UserError: saying why this URL does not serve.
        CannotWriteError: where the disk is full or the folder cannot be written.
    """
    check_url(url)
    with _Session() as session, _bar(label, progress) as bar:
        transfer = _Transfer(session, url, part, size, timeout, bar)
        while True:
            try:
                return transfer.attempt()
            except _PassingError as error:
                if transfer.fruitless >= attempts:
                    gave_up = f"{error}; gave up after {attempts} attempts in a row"
                    raise UserError(gave_up) from error
                grown = first_wait * 2.0 ** max(0, transfer.fruitless - 1)
                wait = min(_LONGEST_WAIT, max(error.wait, grown))
                log.warning("%s: %s; again in %.0f s", url, error, wait)
                time.sleep(wait)


def _bar(label: str, progress: bool) -> Bar:
    disable = None if progress else True  # None: shown on a terminal only
    return Bar(total=None, desc=label, unit="B", unit_scale=True, disable=disable)


@dataclass
class _Transfer:
    """One download over as many attempts as it takes."""

    session: requests.Session
    url: str
    part: Path
    size: int | None
    timeout: float
    bar: Bar
    fruitless: int = 0  # failed attempts since the last one that brought something
    answered: bool = False

    def attempt(self) -> None:
        """Ask for what is missing and write it; raise _PassingError where a retry may help."""
        before = size_of(self.part)
        if self.size is not None and before >= self.size:
            if before == self.size:
                return
            self._drop()
            before = 0
        try:
            self._go_on(before)
        except _PassingError:
            brought = size_of(self.part) - before
            self.fruitless = 0 if brought >= _PROGRESS else self.fruitless + 1
            raise

    def _go_on(self, offset: int) -> None:
        # The file's own bytes are wanted, not a compression for the way.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with (
            self._explained(),
            self.session.get(
                self.url, headers=headers, stream=True, timeout=(_CONNECT_TIMEOUT, self.timeout)
            ) as response,
        ):
            self.answered = True
            start = self._start_of(response, offset)
            if start is None:
                return
            total = self._total_of(response, start)
            if total is not None:
                check_space(self.part, total - size_of(self.part))
            self.bar.reset(total)
            self.bar.update(start)
            write_blocks(self.part, self._blocks(response), offset=start, limit=total)
        if total is not None and size_of(self.part) < total:
            raise _PassingError(
                f"the connection ended at {size_of(self.part):,} of {total:,} bytes"
            )

    def _start_of(self, response: requests.Response, offset: int) -> int | None:
        """Return the byte the answer begins at; None where the part is already whole."""
        status = response.status_code
        content_range = response.headers.get("Content-Range", "")
        if status == HTTPStatus.OK:
            if offset:
                log.info("%s: the server does not resume; from the start", self.url)
            return 0
        if status == HTTPStatus.PARTIAL_CONTENT:
            match = _RANGE.fullmatch(content_range)
            if offset and match and int(match[1]) == offset:
                log.info("%s: going on from byte %s", self.url, f"{offset:,}")
                return offset
            self._drop()
            raise _PassingError(f"the server sent another range than asked for ({content_range!r})")
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            return None  # nothing is left to bring; the caller's proof tells whether it is stale
        reason = f"HTTP {status} {response.reason or ''}".strip()
        if status in _TRY_AGAIN:
            raise _PassingError(reason, wait=_seconds(response.headers.get("Retry-After")))
        raise UserError(reason)

    def _total_of(self, response: requests.Response, start: int) -> int | None:
        """Return the size of the whole file; refuse another one than was expected."""
        length = response.headers.get("Content-Length", "")
        if not length.isdigit():
            return self.size
        total = start + int(length)
        if self.size is not None and total != self.size:
            kind = response.headers.get("Content-Type", "unknown type")
            page = ": a web page in place of the file" if "html" in kind else ""
            raise UserError(
                f"the server offers {total:,} bytes ({kind}{page}), expected {self.size:,}"
            )
        return total

    def _blocks(self, response: requests.Response) -> Iterator[bytes]:
        # Not iter_content: it would unpack a .gz that a server labels as encoded.
        for block in response.raw.stream(_BLOCK, decode_content=False):
            yield block
            self.bar.update(len(block))

    def _drop(self) -> None:
        self.part.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Sort network errors into passing and lasting ones, in words."""
        try:
            yield
        except (urllib3.exceptions.ReadTimeoutError, requests.exceptions.ReadTimeout) as error:
            raise _PassingError(f"nothing came for {self.timeout:g} s") from error
        except requests.exceptions.ConnectTimeout as error:
            raise self._unreachable(f"no answer within {_CONNECT_TIMEOUT:.0f} s") from error
        except requests.exceptions.ProxyError as error:
            raise UserError(self._proxy_failed(error)) from error
        except requests.exceptions.SSLError as error:
            raise UserError(f"no trusted connection ({_root(error)}){_certificates()}") from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise _PassingError(f"the connection was cut ({_root(error)})") from error
        except requests.exceptions.ConnectionError as error:
            reason = getattr(error.args[0] if error.args else None, "reason", None)
            if isinstance(reason, urllib3.exceptions.NameResolutionError):
                raise self._unreachable("the server's name does not resolve") from error
            if isinstance(reason, urllib3.exceptions.NewConnectionError):
                raise self._unreachable(f"no connection ({_root(error)})") from error
            raise _PassingError(f"the connection was cut ({_root(error)})") from error
        except (
            requests.exceptions.RequestException,
            urllib3.exceptions.LocationValueError,
        ) as error:
            if proxy := proxy_in_words(self.url):
                why = f"{in_words(error)}); correct or unset that"
                raise UserError(f"the request through {proxy} failed ({why}") from error
            raise UserError(
                f"the request failed; is the address right? ({in_words(error)})"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise _PassingError(f"the connection was cut ({_root(error)})") from error

    def _proxy_failed(self, error: BaseException) -> str:
        proxy = proxy_in_words(self.url) or "the proxy"
        return (
            f"{proxy} does not bring it ({_root(error)}); correct or unset that, or name in "
            "NO_PROXY the hosts that are reached without it"
        )

    def _unreachable(self, reason: str) -> Exception:
        # Without a network every source fails like this: say so at once. A server that answered
        # a moment ago is worth waiting for.
        if self.answered:
            return _PassingError(reason)
        return UserError(f"{reason}; is there a network?")


def _certificates() -> str:
    """Return which certificates are trusted, or how to name one's own."""
    for name in _FILES[:2]:
        if value := os.environ.get(name):
            return f"; the certificates trusted are those of {name} in your environment, {value}"
    return (
        "; where a proxy or firewall opens connections, name the file of its certificate in "
        "REQUESTS_CA_BUNDLE"
    )


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _root(error: BaseException) -> str:
    """Return the innermost cause in words: the outer ones only repeat it with object names."""
    seen = error
    while cause := seen.__cause__ or seen.__context__:
        seen = cause
    if isinstance(seen, urllib3.exceptions.IncompleteRead):
        return f"{seen.expected:,} bytes were still to come"
    text = without_passwords(str(seen)) or type(seen).__name__
    text = re.sub(r"\[Errno -?\d+\] ", "", text)
    return text + variables_in_words(text)
