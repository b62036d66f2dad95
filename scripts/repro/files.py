"""Files that are whole or absent, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 20


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes the name ``path`` only once written whole.

    The written file is flushed to disk before it is renamed. If the block raises, ``path`` is as
    it was before and nothing is left beside it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.chmod(0o666 & ~_umask())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder to fill, ``.NAME.partial``; it takes the name ``path`` once it is whole.

    A folder at ``path`` is replaced. If the block raises or the process is killed, ``path`` is as
    it was before; the next call removes what was left. One writer at a time (see
    :func:`repro.writer_lock.hold`).
    """
    target = Path(path)
    aside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    aside.replace(target)


def link(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Make ``path`` a symbolic link to ``source``, in one step also where a file is there.

    Of two relative paths the link is relative too: folders may move together.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.link")
    aside.unlink(missing_ok=True)
    relative = not Path(source).is_absolute()
    aside.symlink_to(os.path.relpath(source, target.parent) if relative else source)
    aside.replace(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


def hash_of(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the hex digest of the file's bytes, read block by block."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
