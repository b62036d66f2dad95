"""A checkpoint is whole, of this configuration, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from repro.errors import UserError
from repro.mnist.checkpoint import load_checkpoint, save_checkpoint

CONFIGURATION = {"hidden": (50,), "learning_rate": 0.1, "seed": 123, "std": None}
STATE = {
    "weights_0": np.random.RandomState(1).normal(size=(5, 7)),
    "key": np.arange(624, dtype=np.uint32),
    "gauss": np.array(0.5),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, CONFIGURATION, STATE)
    return path


def test_without_a_file_there_is_no_state(tmp_path):
    assert load_checkpoint(tmp_path / "none.npz", CONFIGURATION) is None


@given(
    state=st.dictionaries(
        st.sampled_from(["a", "b", "0.weight"]),
        npst.arrays(
            st.sampled_from([np.float64, np.float32, np.uint8, np.int64]),
            npst.array_shapes(min_dims=0, max_dims=3, min_side=0),
        ),
    )
)
@settings(max_examples=30, deadline=None)
def test_a_state_comes_back_bit_for_bit(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "checkpoint.npz"
    save_checkpoint(path, CONFIGURATION, state)
    again = load_checkpoint(path, CONFIGURATION)
    assert again is not None
    assert again.keys() == state.keys()
    for name, array in state.items():
        assert again[name].dtype == array.dtype
        assert again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()


def test_the_last_state_counts(saved):
    save_checkpoint(saved, CONFIGURATION, {"epoch": np.array(2)})
    assert load_checkpoint(saved, CONFIGURATION) == {"epoch": 2}
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.fault("checkpoints", "a checkpoint cut off at any place", "refused, with the way out")
@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_off_anywhere_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "checkpoint.npz"
    save_checkpoint(path, CONFIGURATION, STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        UserError, match=r"checkpoint\.npz: damaged, or not a whole checkpoint; delete it"
    ):
        load_checkpoint(path, CONFIGURATION)


@pytest.mark.fault(
    "checkpoints",
    "a bit of a checkpoint flipped, of every other byte",
    "refused, or the bit carried nothing",
)
def test_no_flipped_bit_changes_a_state(tmp_path, happened):
    path, state = tmp_path / "checkpoint.npz", {"a": np.arange(3.0)}
    save_checkpoint(path, {"seed": 1}, state)
    whole = path.read_bytes()
    refused = 0
    # A bit of every other byte, not always the same one.
    for place in range(0, len(whole), 2):
        content = bytearray(whole)
        content[place] ^= 1 << place // 2 % 8
        path.write_bytes(content)
        try:
            found = load_checkpoint(path, {"seed": 1})
        except UserError:
            refused += 1
            continue
        # A bit that carries nothing, like one of the time of a zip entry.
        assert found is not None
        assert found.keys() == state.keys()
        assert all(np.array_equal(found[name], state[name]) for name in state)
    assert refused > len(whole) / 4
    happened("no flipped bit changed a state")


@pytest.mark.fault("checkpoints", "something else in the checkpoint's place", "refused")
@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04N.", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_checkpoint_is_refused(saved, content):
    saved.write_bytes(content)
    with pytest.raises(UserError, match="not a whole checkpoint"):
        load_checkpoint(saved, CONFIGURATION)


def test_a_single_array_is_refused(saved):
    with saved.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(UserError, match="not a whole checkpoint"):
        load_checkpoint(saved, CONFIGURATION)


@pytest.mark.fault(
    "checkpoints", "a checkpoint of another configuration", "refused with what differs"
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.2}, "learning_rate: 0.1 there, 0.2 now"),
        ({"hidden": (50, 50)}, r"hidden: \[50\] there, \[50, 50\] now"),
        ({"std": 0.1}, "std: none there, 0.1 now"),
        ({"momentum": 0.9}, "momentum: none there, 0.9 now"),
        ({"seed": 1, "std": 0.1}, "seed: 123 there, 1 now; std: none there, 0.1 now"),
    ],
)
def test_another_configuration_is_refused_and_told_apart(saved, change, message):
    with pytest.raises(UserError, match=rf"checkpoint of another configuration \({message}\)"):
        load_checkpoint(saved, {**CONFIGURATION, **change})


def test_a_configuration_that_has_lost_a_key_is_another(saved):
    with pytest.raises(UserError, match="seed: 123 there, none now"):
        load_checkpoint(saved, {k: v for k, v in CONFIGURATION.items() if k != "seed"})


@pytest.mark.fault("checkpoints", "saving a checkpoint fails", "the old one stays whole")
def test_a_failed_save_leaves_the_old_checkpoint(saved, happened):
    with pytest.raises(ValueError, match="Object arrays"):
        save_checkpoint(saved, CONFIGURATION, {"a": np.array([None])})
    assert load_checkpoint(saved, CONFIGURATION) is not None
    assert list(saved.parent.iterdir()) == [saved]
    happened("the old one is read as before, and no other file is left")
