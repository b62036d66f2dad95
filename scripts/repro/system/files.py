"""Files that are whole or absent, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from repro.errors import UserError, unreadable
from repro.system.disk import writing

logger = logging.getLogger("repro")

# It can only be read by setting it; here no other thread is at work yet.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes the name ``path`` only once written whole.

    The written file is flushed to disk before it is renamed. If the block raises, ``path`` is as
    it was before and nothing is left beside it.

    Raises:
        CannotWriteError: the disk is full, or the folder cannot be written.
    """
    target = Path(path)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
    aside = Path(name)
    try:
        with writing(target):
            yield aside
            with aside.open("rb") as written:
                os.fsync(written.fileno())
            with suppress(PermissionError):  # not every file system keeps permissions
                aside.chmod(0o666 & ~_UMASK)
            aside.replace(target)
    finally:
        # Last, so that the message of a full disk tells what is free while it is full.
        aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder to fill, ``.NAME.partial``; it takes the name ``path`` once it is whole.

    A folder at ``path`` is replaced. If the block raises or the process is killed, ``path`` is as
    it was before; the next call removes what was left. One writer at a time (see
    :func:`repro.system.writer_lock.lock_output`).

    Raises:
        CannotWriteError: the disk is full, or the folder cannot be written.
    """
    target = Path(path)
    aside = target.with_name(f".{target.name}.partial")
    with writing(target):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    with writing(target):
        shutil.rmtree(target, ignore_errors=True)
        aside.replace(target)


def link(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Make ``path`` a symbolic link to ``source``, in one step also where a file is there.

    Of two relative paths the link is relative too: folders may move together. Where the file system
    has no symbolic links it is a hard link, or else a copy, with a warning.

    Raises:
        CannotWriteError: the disk is full, or the folder cannot be written.
    """
    target = Path(path)
    relative = not Path(source).is_absolute()
    aside = target.with_name(f".{target.name}.link")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        # The system goes from the link's real folder, not from the name it is called by.
        real = (os.path.realpath(source), os.path.realpath(target.parent))
        try:
            aside.symlink_to(os.path.relpath(*real) if relative else source)
        except OSError:  # FAT, exFAT, many network file systems: each says it in its own way
            copied = link_or_copy(real[0], aside)
            how = "copied, which takes its space twice" if copied else "linked as one file"
            logger.warning("%s: no symbolic links on this file system; %s", path, how)
        aside.replace(target)


def link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> bool:
    """Make ``target`` the same file as ``source`` or a copy; return whether it had to be copied."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
        return True
    return False


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with atomic_path(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_npz(path: str | os.PathLike[str], **arrays: NDArray[Any]) -> None:
    """Write ``arrays`` as a compressed ``.npz``; the same arrays give the same bytes."""
    with atomic_path(path) as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def new_matrix(
    path: str | os.PathLike[str], shape: tuple[int, ...], dtype: DTypeLike
) -> np.memmap[Any, np.dtype[Any]]:
    """Make the ``.npy`` file ``path`` of zeros and return it mapped into memory, to be filled.

    All its space is taken at once: a map that finds the disk full later ends the process by a
    signal, without a word.

    Raises:
        CannotWriteError: the disk is full, or the folder cannot be written.
    """
    file = Path(path)
    with writing(file):
        matrix = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
        try:
            _take_space(file)
        except OSError:
            file.unlink()
            raise
    return matrix


def _take_space(file: Path) -> None:
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with file.open("r+b") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
        except OSError as error:
            # Some file systems cannot; then the map is as safe as it was.
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise


def read_json(path: str | os.PathLike[str], way_out: str) -> dict[str, Any]:
    """Read a JSON object; ``way_out`` ends the message where the file is none.

    Raises:
        UserError: the file is missing or holds no JSON object.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, "JSON", way_out, error) from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged, or not the file that belongs here; {way_out}")
    return found


def hash_of(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the hex digest of the file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
