"""What makes the from-scratch net's matrix products fast: aligned arrays, and slabs."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_info

Array = NDArray[Any]

_CACHE_LINE = 64  # bytes


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an array of arbitrary content that starts at a cache line, as vector units like it.

    NumPy aligns to 16 bytes; a vector of 64 then lies across two cache lines each time.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_copy(array: Array) -> Array:
    """Return a copy that starts at a cache line."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def multiply(a: Array, b: Array, out: Array, *, multiple: int) -> None:
    """Write the product of ``a`` and ``b`` to ``out``, in slabs of rows where that is faster.

    A BLAS copies both operands into an order of its own before it multiplies. OpenBLAS leaves that
    out for small products where it has kernels for them, and the products of a batch lie not far
    above small: `make bench-mnist` prints what slabs save.

    Args:
        a: shape (m, k).
        b: shape (k, n).
        out: shape (m, n).
        multiple: rows of a slab are a multiple of this, or else ``a`` is not cut: narrower slabs
            were seen to be slower. 8 for ``a`` in row order, 64 for its transpose.
    """
    rows = _small_product() // b.size // multiple * multiple
    if not 0 < rows < len(a):
        np.matmul(a, b, out=out)
        return
    for start in range(0, len(a), rows):
        slab = slice(start, start + rows)
        np.matmul(a[slab], b, out=out[slab])


@cache
def _small_product() -> int:
    """Return up to which m·n·k this machine's BLAS multiplies without copying; 0 for never.

    The limit is OpenBLAS's own (its file ``dgemm_small_kernel_permit_skylakex.c``). For processors
    without AVX-512 it has no such kernels, and slabs would be slower than one product.
    """
    kernels = {pool["architecture"] for pool in threadpool_info() if "architecture" in pool}
    return 10**6 if kernels & {"SkylakeX", "Cooperlake", "SapphireRapids"} else 0
