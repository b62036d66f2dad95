"""Products in slabs are the products, and aligned arrays are aligned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.mnist import products
from repro.mnist.products import aligned_empty, multiply


@pytest.mark.parametrize("shape", [(3, 5), (7,), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_aligned_arrays_start_at_a_cache_line(shape, dtype):
    array = aligned_empty(shape, dtype)
    assert array.ctypes.data % 64 == 0
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.writeable
    assert array.flags.c_contiguous


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12)),
    limit=st.sampled_from([0, 1, 100, 1000]),
    multiple=st.sampled_from([1, 3, 8]),
    transposed=st.booleans(),
)
@settings(deadline=None)
def test_a_product_in_slabs_is_the_product(shape, limit, multiple, transposed):
    m, k, n = shape
    random = np.random.RandomState(m)
    a, b = random.normal(size=(m, k)), random.normal(size=(k, n))
    out = np.full((n, m) if transposed else (m, n), np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_small_product", lambda: limit)
        multiply(a, b, out.T if transposed else out, multiple=multiple)
    np.testing.assert_allclose(out.T if transposed else out, a @ b, rtol=1e-12, atol=1e-13)
