"""How what a source sends becomes the file that was asked for."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from repro.errors import UserError, own_words
from repro.fetch import mnist_pickle

_BLOCK = 1 << 20

# Takes the transferred file and the name of the wanted one; yields the wanted one's bytes.
Unpacker = Callable[[BinaryIO, str], Iterator[bytes]]


def gunzip(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the unpacked bytes block by block, so that a reader can stop at a bomb.

    Raises:
        UserError: where ``stream`` is no gzip file or is cut short; ``name`` is for the message.
    """
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked:
            while block := unpacked.read(_BLOCK):
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"damaged, cut off, or not packed with gzip, so {name} cannot be unpacked from it "
            f"({own_words(error)})"
        ) from error


UNPACKERS: dict[str, Unpacker] = {
    "gzip": gunzip,
    "mnist-pickle": mnist_pickle.idx_file,
}

# These build objects from the bytes: only after the hash of the bytes is proved.
NEEDS_PROOF = frozenset({"mnist-pickle"})
