"""What a batch is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from repro.mnist.recipe import full_batches


@given(n=st.integers(1, 200), batch_size=st.integers(1, 250))
def test_batches_are_full_and_only_a_last_part_is_left_out(n, batch_size):
    places = np.arange(n)
    batches = [places[batch] for batch in full_batches(n, batch_size)]
    size = min(n, batch_size)
    assert all(len(batch) == size for batch in batches)
    seen = np.concatenate(batches)
    assert np.array_equal(seen, places[: len(seen)])
    assert n - len(seen) < size
