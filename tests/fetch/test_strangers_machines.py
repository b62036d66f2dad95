"""Fetching on machines that are not ours: what their environment, their netrc and their proxies do.

Each fetch is a process of its own, because that is what the environment is for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.fetch.registry import check_url
from repro.fetch.sources import _netrc_without_default
from support import ROOT

BODY = b"what is wanted" * 100
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRET = "opensesame"  # noqa: S105
FETCH = f"""
import json, sys
from pathlib import Path
from repro.fetch.sources import fetch, load_registry
from repro.system import logs
logs.set_up(None)
sources = json.loads(sys.argv[1])
registry = load_registry([], {{"a/f": {{"size": {len(BODY)}, "sha256": "{SHA256}",
    "sources": sources}}}})
fetch(registry["a/f"], Path("data/a/f"), cache="cache", attempts=1, timeout=5, first_wait=0)
"""


class Keeper(BaseHTTPRequestHandler):
    """Keeps what it is sent: path, host and credentials."""

    server: KeepingServer

    def do_GET(self) -> None:
        credentials = {
            self.headers.get(name) for name in ("Authorization", "Proxy-Authorization", "Cookie")
        }
        self.server.sent.append((self.path, credentials - {None}))
        self.send_response(*self.server.status_of(self.path))
        for name, value in self.server.headers_of(self.path).items():
            self.send_header(name, value)
        self.end_headers()
        if self.path == "/f":
            self.wfile.write(BODY)

    def do_CONNECT(self) -> None:
        self.server.sent.append((self.path, {self.headers.get("Proxy-Authorization")}))
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


class KeepingServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeper)
        self.sent: list[tuple[str, set[str | None]]] = []

    def status_of(self, path: str) -> tuple[int]:
        return (302,) if path == "/elsewhere" else (200,) if path == "/f" else (404,)

    def headers_of(self, path: str) -> dict[str, str]:
        place = {"Location": f"http://localhost:{self.server_port}/f"}
        return (
            place if path == "/elsewhere" else {"Content-Length": str(len(BODY) * (path == "/f"))}
        )


@pytest.fixture
def server() -> Iterator[KeepingServer]:
    with KeepingServer() as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def fetch(folder: Path, *sources: dict[str, str], ok: bool = True, **environment: str) -> str:
    """Fetch in a process with nothing of our environment but this; return all it said."""
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT / "scripts")}
    run = subprocess.run(
        [sys.executable, "-c", FETCH, json.dumps(sources)],
        cwd=folder,
        env={**plain, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in run.stderr
    assert (run.returncode == 0) == ok, run.stderr
    assert (folder / "data/a/f").is_file() == ok
    return run.stderr


def with_netrc(folder: Path, text: str) -> None:
    file = folder / ".netrc"
    file.write_text(text)
    file.chmod(0o600)


# ---------------------------------------------------------------- passwords


@pytest.mark.fault(
    "strange machines",
    "a netrc file with an entry for every host (`default`), also over a redirect",
    "no password is sent",
)
def test_no_host_is_sent_a_password_that_is_for_none(tmp_path, server, happened):
    with_netrc(tmp_path, f"default login me password {SECRET}\n")
    for path in ("f", "elsewhere"):
        fetch(tmp_path, {"url": f"http://127.0.0.1:{server.server_port}/{path}"})
        (tmp_path / "data/a/f").unlink()
    assert [path for path, _ in server.sent] == ["/f", "/elsewhere", "/f"]
    assert not any(credentials for _, credentials in server.sent)
    happened("the server was sent no credentials; the bytes are right")


@pytest.mark.fault(
    "strange machines",
    "a netrc file with an entry for the host, which redirects to another",
    "its password is sent to that host and no other",
)
def test_a_host_s_own_password_goes_to_it_alone(tmp_path, server, happened):
    with_netrc(tmp_path, f"machine 127.0.0.1 login me password {SECRET}\n")
    fetch(tmp_path, {"url": f"http://127.0.0.1:{server.server_port}/elsewhere"})
    own = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert server.sent == [("/elsewhere", {own}), ("/f", set())]
    happened("the first host was sent its password, the second none")


def test_pip_is_given_a_netrc_without_a_password_for_every_host(tmp_path, monkeypatch):
    with_netrc(tmp_path, f"machine a.example login me password own\ndefault password {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    with _netrc_without_default() as environment:
        text = Path(environment["NETRC"]).read_text()
    assert "machine a.example" in text
    assert SECRET not in text


def test_a_netrc_file_that_is_none_is_not_quoted(tmp_path, server):
    with_netrc(tmp_path, f"machine 127.0.0.1 login me passwort {SECRET}\n")
    said = fetch(tmp_path, {"url": f"http://127.0.0.1:{server.server_port}/f"})
    assert "netrc file cannot be read" in said
    assert SECRET not in said


@pytest.mark.heavy
@pytest.mark.fault(
    "strange machines",
    "a netrc file with such an entry, where a file comes from the Python package index",
    "no password is sent there either",
)
def test_nor_is_the_package_index(tmp_path, server, happened):
    index = {"PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}/simple/"}
    index["PIP_CONFIG_FILE"] = os.devnull
    package = {"package": "tiny-data==1.0", "member": "f"}
    with_netrc(tmp_path, f"default login me password {SECRET}\n")
    fetch(tmp_path, package, ok=False, **index)
    assert server.sent == [("/simple/tiny-data/", set())]
    with_netrc(tmp_path, f'machine 127.0.0.1 login "m\\"e" password {SECRET}\n')
    fetch(tmp_path, package, ok=False, **index)
    own = "Basic " + base64.b64encode(f'm"e:{SECRET}'.encode()).decode()
    assert server.sent[1:] == [("/simple/tiny-data/", {own})]
    happened("the index was sent no credentials")


@pytest.mark.fault(
    "strange machines", "a password in a URL", "refused, without quoting it, with where to put it"
)
def test_a_password_in_a_url_is_refused(tmp_path, happened):
    said = fetch(tmp_path, {"url": f"https://me:{SECRET}@example.org/f"}, ok=False)
    assert "machine example.org login USER password PASSWORD" in said
    assert SECRET not in said
    happened(said.partition("ERROR ")[2])
    for wrong in (f"http://me:{SECRET}@example.org/f", f"ftp://me:{SECRET}@[1/f"):
        with pytest.raises(UserError) as refused:
            check_url(wrong)
        assert SECRET not in str(refused.value)


# ---------------------------------------------------------------- proxies and certificates

UNREACHED = {"url": "https://example.org/f"}


@pytest.mark.heavy
@pytest.mark.fault(
    "strange machines",
    "a proxy that is not there, whose variable holds a password",
    "the variable and the proxy are named, not the password; the next source is tried",
)
def test_a_proxy_that_is_not_there_is_named(tmp_path, server, happened):
    right = {"url": f"http://127.0.0.1:{server.server_port}/f"}
    package = {"package": "tiny-data==1.0", "member": "f"}
    proxy = {"HTTPS_PROXY": f"http://me:{SECRET}@127.0.0.1:9", "PIP_CONFIG_FILE": os.devnull}
    said = fetch(tmp_path, UNREACHED, package, right, **proxy)
    lines = [line for line in said.splitlines() if line.endswith("; trying the next source")]
    assert len(lines) == 2
    assert all("the proxy http://127.0.0.1:9 (set by HTTPS_PROXY)" in line for line in lines)
    assert SECRET not in said
    happened(lines[0].partition("WARNING ")[2])


def test_a_proxy_that_is_there_is_asked_and_has_its_password(tmp_path, server):
    proxy = f"http://me:{SECRET}@127.0.0.1:{server.server_port}"
    said = fetch(tmp_path, UNREACHED, ok=False, all_proxy=proxy)
    own = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert server.sent == [("example.org:443", {own})]
    assert f"the proxy http://127.0.0.1:{server.server_port} (set by all_proxy)" in said
    assert SECRET not in said


@pytest.mark.fault(
    "strange machines",
    "a proxy without a scheme, or whose password holds a slash or a hash sign",
    "named without any part of the password; the next source is tried",
)
@pytest.mark.parametrize(
    "proxy",
    [
        f"me:{SECRET}@127.0.0.1:9",
        f"http://me:{SECRET}/x@127.0.0.1:9",
        f"http://me:{SECRET}#x@127.0.0.1:9",
        f"http://me:1/{SECRET}@127.0.0.1:9",
    ],
)
def test_no_part_of_a_proxy_s_password_is_told(tmp_path, proxy, happened):
    (tmp_path / "here").write_bytes(BODY)
    said = fetch(tmp_path, UNREACHED, {"path": "here"}, HTTPS_PROXY=proxy)
    (line,) = (line for line in said.splitlines() if "WARNING" in line)
    assert "127.0.0.1:9 (set by HTTPS_PROXY)" in line
    assert SECRET not in said
    happened(line.partition("WARNING ")[2])


@pytest.mark.fault(
    "strange machines",
    "a setting of pip's in the environment that pip cannot read",
    "what pip says of it is told; the next source is tried",
)
def test_a_setting_of_pip_s_that_is_wrong_is_told(tmp_path, happened):
    (tmp_path / "here").write_bytes(BODY)
    package = {"package": "tiny-data==1.0", "member": "f"}
    said = fetch(tmp_path, package, {"path": "here"}, PIP_TIMEOUT="soon")
    (line,) = (line for line in said.splitlines() if "WARNING" in line)
    assert "option timeout" in line
    happened(line.partition("WARNING ")[2])


# ---------------------------------------------------------------- what stands in the way


@pytest.mark.fault(
    "strange machines",
    "a folder or a pipe where a download goes, or where it is on its way",
    "named before anything is read or written",
)
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", ["f", "f.part", "f.new.part", "f.gzip.part"])
def test_what_is_no_file_is_named(tmp_path, name, make, happened):
    (tmp_path / "here").write_bytes(BODY)
    place = tmp_path / "data/a" / name
    place.parent.mkdir(parents=True)
    make(place)
    said = fetch(tmp_path, {"path": "here"}, ok=False)
    assert f"data/a/{name}: is a " in said
    happened(said.partition("ERROR ")[2])


@pytest.mark.fault(
    "strange machines",
    "a folder of downloads that is another user's and closed to this one",
    "told in words, with the way out",
)
def test_a_closed_folder_is_told(tmp_path, happened):
    closed = tmp_path / "data/a"
    closed.mkdir(parents=True)
    closed.chmod(0)
    # Root may read everything: it becomes another user once this Python is at work.
    other = "import os; os.getuid() or os.seteuid(54321)\n"
    begin, call, rest = FETCH.partition("fetch(registry")
    run = subprocess.run(
        [sys.executable, "-c", begin + other + call + rest, "[]"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    closed.chmod(0o700)
    assert "Traceback" not in run.stderr
    assert "data/a/f: cannot be read; let its owner make it" in run.stderr
    happened(run.stderr.partition("ERROR ")[2])


@pytest.fixture
def encrypted(tmp_path) -> Iterator[tuple[str, Path]]:
    """An https server with a certificate that nobody has signed: its URL, and its certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=here"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("needs openssl")
    with KeepingServer() as served:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        served.socket = context.wrap_socket(served.socket, server_side=True)
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{served.server_port}/f", certificate
        served.shutdown()
        thread.join()


@pytest.mark.fault(
    "strange machines",
    "a certificate that nobody has signed",
    "refused, with the variable that names one's own; named there, it is trusted",
)
def test_a_certificate_of_one_s_own_is_trusted_where_the_environment_names_it(
    tmp_path, encrypted, happened
):
    url, certificate = encrypted
    said = fetch(tmp_path, {"url": url}, ok=False)
    assert "no trusted connection" in said
    assert "name the file of its certificate in REQUESTS_CA_BUNDLE" in said
    happened(said.partition("WARNING ")[2].splitlines()[0])
    trusted = {"REQUESTS_CA_BUNDLE": str(certificate)}
    fetch(tmp_path, {"url": url}, **trusted)
    (tmp_path / "data/a/f").unlink()
    said = fetch(tmp_path, {"url": url}, ok=False, SSLKEYLOGFILE="/nowhere/keys", **trusted)
    assert "SSLKEYLOGFILE in your environment" in said


@pytest.mark.fault(
    "strange machines",
    "a variable of the environment that names no file, or no proxy",
    "it is named; the next source is tried",
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("CURL_CA_BUNDLE", "/nowhere/ca.pem"),
        ("HTTPS_PROXY", "http://[::1"),
        ("https_proxy", "foo://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://127.0.0.1:99999"),
        ("HTTPS_PROXY", "http://" + "a" * 70 + ":9"),
    ],
)
def test_a_variable_that_is_wrong_is_named(tmp_path, name, value, happened):
    (tmp_path / "here").write_bytes(BODY)
    said = fetch(tmp_path, UNREACHED, {"path": "here"}, **{name: value})
    (line,) = (line for line in said.splitlines() if "WARNING" in line)
    assert name in line
    happened(line.partition("WARNING ")[2])


@pytest.mark.fault(
    "strange machines",
    "a source at which a library raises anything",
    "it is that source's failure; the next one is tried",
)
def test_whatever_a_library_raises_the_next_source_is_tried(tmp_path, happened):
    (tmp_path / "here").write_bytes(BODY)
    wrong = [
        *({"url": f"https://{host}/f"} for host in ("a" * 70 + ".org", ".example.org", "a b.org")),
        {"url": "https://example.org:99999/f"},
        *({"path": path} for path in ("~nobody-of-this-name/f", "x" * 300)),
    ]
    said = fetch(tmp_path, *wrong, {"path": "here"})
    lines = [line.partition("WARNING ")[2] for line in said.splitlines() if "WARNING" in line]
    assert len(lines) == len(wrong)
    happened(lines[0])


def test_without_pip_it_says_so(tmp_path: Path) -> None:
    """As in an environment that was made without it."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    code = f"""
        import sys
        sys.executable = {str(bare / "bin/python")!r}
        sys.argv = ["", {json.dumps(json.dumps([{"package": "tiny-data==1.0", "member": "f"}]))}]
    """
    lines = [line.strip() for line in code.splitlines()]
    run: Any = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, FETCH])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "bin/python -m ensurepip" in run.stderr
