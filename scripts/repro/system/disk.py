"""Files under way: written beside their target, and renamed to it when they are whole."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from repro.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT}
# What else is to be done than to get write permission.
_WAYS_OUT = {
    errno.EEXIST: "move away the file that stands where a folder belongs, or",
    errno.ENOTDIR: "move away the file that stands where a folder belongs, or",
    errno.EISDIR: "move away the folder that stands where a file belongs, or",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f), or, where it is the disk's own,",
}


class CannotWriteError(UserError):
    """This machine cannot take the file (disk full, no permission): no other source helps."""


@contextmanager
def writing(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn an OSError of the block into a CannotWriteError, unless it names a file elsewhere.

    Args:
        path: what the block writes, beside it or below it.
        needed: bytes still to be written, for the message of a full disk.
    """
    try:
        yield
    except OSError as error:
        if _is_full(error):
            raise _full(path, needed) from error
        if not _concerns(error, path):
            raise
        _refuse_dead_link(path)
        way_out = _WAYS_OUT.get(error.errno or 0, "give yourself write permission or")
        raise CannotWriteError(
            f"{path}: cannot write here ({error.strerror or error}); "
            f"{way_out} choose another folder"
        ) from error


def _is_full(error: OSError) -> bool:
    # NumPy has no error number: it says "1000 requested and 0 written".
    return error.errno in _FULL or (error.errno is None and " written" in str(error))


def _concerns(error: OSError, path: Path) -> bool:
    """Tell whether a system's error is about ``path`` or names no file at all."""
    if not isinstance(error.filename, str | os.PathLike):
        return error.errno is not None
    named, target = (Path(os.path.abspath(one)) for one in (error.filename, path))  # noqa: PTH100
    return (
        named.parent == target.parent
        or named.is_relative_to(target)
        or target.is_relative_to(named)
    )


def _refuse_dead_link(path: Path) -> None:
    """Raise CannotWriteError where ``path``, or a folder above it, is a link to what is gone."""
    for one in (path, *path.parents):
        if os.path.islink(one) and not os.path.exists(one):  # noqa: PTH110, PTH114
            raise CannotWriteError(
                f"{one}: is a link to {one.readlink()}, which is not there; bring that back (is "
                "its disk connected?), or remove the link"
            )


def _full(path: Path, needed: int | None) -> CannotWriteError:
    more = f"about {needed:,} more bytes are needed" if needed else "more space is needed"
    return CannotWriteError(
        f"{path}: the disk is full (or a quota is used up): {more}, "
        f"{_free(path):,} are free; make space and run the same command again"
    )


def _free(path: Path) -> int:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return shutil.disk_usage(folder).free


def check_space(path: Path, needed: int) -> None:
    """Raise CannotWriteError where the disk of ``path`` has not ``needed`` bytes free."""
    if needed > _free(path):
        raise _full(path, needed)


def check_writable(folder: Path) -> None:
    """Raise CannotWriteError where ``folder``, or what is there of its path, cannot be written."""
    check_folder(folder)
    there = _nearest(folder)
    if os.access(there, os.W_OK):
        return
    why = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
    with writing(folder):
        raise OSError(why, os.strerror(why))


def check_folder(folder: Path) -> None:
    """Raise CannotWriteError where ``folder``, or what is there of its path, is no folder."""
    _refuse_dead_link(folder)
    if not _nearest(folder).is_dir():
        with writing(folder):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _nearest(folder: Path) -> Path:
    """Return ``folder``, or the first above it that is there."""
    # What may not be looked into counts as not there.
    return next(one for one in (folder, *folder.absolute().parents) if os.path.exists(one))  # noqa: PTH110


def size_of(path: Path) -> int:
    """Return the size of ``path`` in bytes, 0 where there is no such file."""
    return path.stat().st_size if path.exists() else 0


def write_blocks(
    path: Path, blocks: Iterable[bytes], *, offset: int = 0, limit: int | None = None
) -> None:
    """Write ``blocks`` to ``path`` from byte ``offset`` on, and flush them to the disk.

    What was written stays if ``blocks`` raises, so that it can be gone on from.

    Args:
        path: the file under way.
        blocks: its bytes; errors they raise pass through.
        offset: how much of the file is kept; the rest of it is overwritten.
        limit: the size the file is expected to have.

    Raises:
        UserError: where there are more bytes than ``limit``.
        CannotWriteError: where the file cannot be written.
    """
    with writing(path):
        stream = path.open("r+b" if offset else "wb", buffering=0)
    with stream:
        written = offset
        stream.seek(offset)
        for block in blocks:
            if limit is not None and written + len(block) > limit:
                raise UserError(f"more than the expected {limit:,} bytes")
            with writing(path, needed=limit - written if limit is not None else None):
                _write_all(stream, block)
            written += len(block)
        with writing(path):
            stream.truncate()
            os.fsync(stream.fileno())


def _write_all(stream: io.FileIO, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[stream.write(rest) :]


def put_in_place(part: Path, target: Path) -> None:
    """Give the whole, proved file ``part`` its name ``target``, surviving a power cut."""
    with writing(target):
        part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can flush a folder
            os.fsync(folder)
    finally:
        os.close(folder)
