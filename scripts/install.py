"""Fill ``.venv`` from ``requirements.lock``. Run by `make` with the Python of the empty ``.venv``.

By uv, because it is faster and clones on one disk share its files; by pip where uv cannot do it.
Either takes only files whose hashes the lock holds.
"""

from __future__ import annotations

import ast
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterable
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
LOCK = Path("requirements.lock")
UV = Path(sys.executable).with_name("uv")
# What pip is configured with, and uv's variable for the same. Where that is set, it stands.
WORDS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
OLDER_WORDS = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
# A package of the lock with its hashes, over several lines.
ENTRY = re.compile(r"^(\S+?)==(\S+).*\n(?: +.*\n)*", re.M)
PYTORCH = ("torch", "torchvision")
FOR_CUDA = r"(nvidia|cuda)-.*|triton"


def main(index: str) -> None:
    """Install what the lock pins; with an ``index``, PyTorch from there and nothing for CUDA."""
    # A package can stand there twice, for this Python and for that.
    lock = list(ENTRY.finditer(LOCK.read_text(encoding="utf-8")))
    uv = [entry for entry in lock if entry[1] == "uv"]
    pytorch = [f"{entry[1]}=={entry[2]}" for entry in lock if entry[1] in PYTORCH]
    left_out = re.compile("|".join(["uv", *PYTORCH, FOR_CUDA]) if index else "uv")
    lock = [entry for entry in lock if not left_out.fullmatch(entry[1])]
    with tempfile.TemporaryDirectory() as folder:
        steps = [proved(lock, Path(folder) / "requirements.txt")]
        if index:
            source = ["--no-index", "--find-links"] if Path(index).is_dir() else ["--index-url"]
            steps.append(["--no-deps", *source, index, *pytorch])
        if not by_uv(proved(uv, Path(folder) / "uv.txt"), steps):
            for step in steps:
                subprocess.run([*PIP, "install", "--quiet", *step], check=True)


def proved(entries: Iterable[re.Match[str]], file: Path) -> list[str]:
    """Return the options that install these entries of the lock, each by its hashes."""
    file.write_text("".join(entry[0] for entry in entries), encoding="utf-8")
    return ["--no-deps", "--require-hashes", "-r", str(file)]


def by_uv(uv: list[str], steps: list[list[str]]) -> bool:
    """Install by uv, which pip brings; return whether that could be done."""
    if subprocess.run([*PIP, "install", "--quiet", *uv], check=False).returncode:
        print(
            "uv cannot be had here, so pip installs: that takes longer and shows nothing.",
            flush=True,
        )
        return False
    environment, options = as_pip_is_configured()
    for step in steps:
        command = [str(UV), "pip", "install", "--python", sys.executable, *options, *step]
        status = run_on_terminal(command, environment)
        if status in (-signal.SIGINT, 128 + signal.SIGINT):
            raise KeyboardInterrupt
        if status:
            print(
                "uv could not install this, so pip tries: that takes longer and shows nothing.",
                flush=True,
            )
            return False
    return True


def as_pip_is_configured() -> tuple[dict[str, str], list[str]]:
    """Return environment and options that make uv ask where pip would ask."""
    listed = subprocess.run([*PIP, "config", "list"], check=True, capture_output=True, text=True)
    sections: dict[str, dict[str, str]] = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = str(ast.literal_eval(value))
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        settings |= sections.get(section, {})
    environment = dict(os.environ)
    for name, word in WORDS.items():
        if name in settings and OLDER_WORDS.get(word) not in environment:
            between = "," if word == "UV_FIND_LINKS" else " "
            environment.setdefault(word, between.join(settings[name].split()))
    # As pip does: ask every index, as the hashes say which file it may be; trust the system's
    # certificates; compile, or every start where PYTHONDONTWRITEBYTECODE is set would.
    options = ["--index-strategy", "unsafe-best-match", "--system-certs", "--compile-bytecode"]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-index")
    return environment, options


def run_on_terminal(command: list[str], environment: dict[str, str]) -> int:
    """Run uv with its progress, but without the list of packages that it ends in."""
    if not sys.stderr.isatty():
        return subprocess.run([*command, "--quiet"], env=environment, check=False).returncode
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, termios.tcgetwinsize(sys.stderr))
    with subprocess.Popen(command, env=environment, stdout=its, stderr=its) as process:
        os.close(its)
        ended = False
        while chunk := _read(ours):
            for line in chunk.splitlines(keepends=True):
                if not ended:
                    os.write(sys.stderr.fileno(), line)
                ended = ended or b"Installed " in line
    os.close(ours)
    return process.returncode


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # Linux says so where the other end is closed
        return b""


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # what was wrong, pip has said
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
