"""Lists of numbers out of MATLAB files (version 5 to 7), and nothing else.

SciPy reads all that such a file can hold, but ends the process by a signal on some damaged ones
(seen with SciPy 1.17). Here every length is checked before it is believed.

The format is MathWorks' "MAT-File Format", chapter 1: a header of 128 bytes, then elements, each
with its type and length; a variable is an element of elements, mostly compressed.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError

MOST_BYTES = 64 << 20  # of a file, and of a variable unpacked: eight million numbers

_HEADER = 128
_VERSIONS = {0x0100: "5 to 7", 0x0200: "7.3"}
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CLASSES_OF_NUMBERS = range(6, 16)  # double, single, and integers of 8 to 64 bits
_IS_COMPLEX = 0x0800

Element = tuple[int, memoryview]


def read_numbers(path: str | os.PathLike[str], variable: str) -> NDArray[Any]:
    """Read a variable that is a list of real numbers.

    Returns:
        The numbers, shape (n,), of the type they are stored in.

    Raises:
        UserError: the file is no MATLAB file of the version 5 to 7, damaged, lacks the variable,
            or holds something else under its name.
    """
    try:
        found = _find(_content(Path(path)), variable)
    except (OSError, ValueError, zlib.error, struct.error) as error:
        raise UserError(f"{path}: not a readable MATLAB file ({error}); fetch it again") from error
    if found is None:
        raise UserError(f"{path}: holds no variable {variable!r}; is it the right file?")
    return found


def _content(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
    return path.read_bytes()


def _find(raw: bytes, variable: str) -> NDArray[Any] | None:
    orders = {b"IM": "<", b"MI": ">"}
    order = orders.get(raw[126:_HEADER])
    if order is None:
        raise ValueError("its header is none")
    (version,) = struct.unpack_from(f"{order}H", raw, 124)
    if version != 0x0100:
        raise ValueError(
            f"its version is {_VERSIONS.get(version, hex(version))}, expected 5 to 7: "
            "save it with -v7"
        )
    for kind, body in _elements(memoryview(raw)[_HEADER:], order):
        parts = _elements(_unpacked(body), order) if kind == _COMPRESSED else [(kind, body)]
        for inner, content in parts:
            if inner == _MATRIX:
                found = _matrix(content, order, variable)
                if found is not None:
                    return found
    return None


def _elements(raw: memoryview, order: str) -> Iterator[Element]:
    """Yield the type and the bytes of each element."""
    position = 0
    while position < len(raw):
        (kind,) = struct.unpack_from(f"{order}I", raw, position)
        size, begin = kind >> 16, position + 4
        if size:  # a small element: type and length share four bytes
            kind &= 0xFFFF
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
            position += 8
        else:
            (size,) = struct.unpack_from(f"{order}I", raw, position + 4)
            begin += 4
            position = begin + size + (0 if kind == _COMPRESSED else -size % 8)
        if begin + size > len(raw):
            raise ValueError("it is cut off")
        yield kind, raw[begin : begin + size]


def _unpacked(packed: memoryview) -> memoryview:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(packed, MOST_BYTES)
    if not unpacker.eof:
        raise ValueError(f"a variable is cut off, or larger than {MOST_BYTES:,} bytes")
    return memoryview(unpacked)


def _matrix(content: memoryview, order: str, variable: str) -> NDArray[Any] | None:
    """Return the numbers of a variable, None where it has another name."""
    parts = _elements(content, order)
    try:
        (_, flags), (_, sizes), (_, name) = next(parts), next(parts), next(parts)
        if bytes(name) != variable.encode():
            return None
        kind, numbers = next(parts)
    except StopIteration:
        raise ValueError("a variable lacks a part") from None
    (flag,) = struct.unpack_from(f"{order}I", flags)
    if flag & 0xFF not in _CLASSES_OF_NUMBERS or flag & _IS_COMPLEX or kind not in _DTYPES:
        raise ValueError(f"{variable!r} is not a list of numbers")
    shape = np.frombuffer(sizes, f"{order}i4").tolist()
    found = np.frombuffer(numbers, f"{order}{_DTYPES[kind]}")
    if len(found) != max(shape, default=0) or len(found) != math.prod(shape):
        raise ValueError(f"{variable!r} has {len(found)} numbers for the shape {shape}")
    return found
