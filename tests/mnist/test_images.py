import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from repro.errors import UserError
from repro.mnist.images import join_parts, load_splits, read_idx, scale_pixels
from repro.mnist.split import split_ids
from support import idx


@given(st.lists(st.integers(0, 5), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_idx_comes_back_as_written(tmp_path_factory, shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = tmp_path_factory.mktemp("idx") / "f"
    file.write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(file), array)


@pytest.mark.fault("MNIST files", "wrong first bytes", "refused")
@given(st.binary(max_size=60))
def test_idx_refuses_bytes_that_are_none(tmp_path_factory, raw):
    file = tmp_path_factory.mktemp("idx") / "f"
    file.write_bytes(b"\0\1" + raw)
    with pytest.raises(UserError, match="not begin as an IDX file"):
        read_idx(file)


@pytest.mark.fault("MNIST files", "a file cut off", "named")
@pytest.mark.parametrize("cut", [3, 10, -1])
def test_idx_cut_off_is_named(tmp_path, cut):
    file = tmp_path / "images"
    file.write_bytes(idx(np.ones((2, 3), np.uint8))[:cut])
    with pytest.raises(UserError, match="images"):
        read_idx(file)


@pytest.mark.fault("MNIST files", "a header that promises more than the memory holds", "refused")
def test_idx_promising_more_than_memory_is_refused(tmp_path):
    file = tmp_path / "images"
    file.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(UserError, match="by its header"):
        read_idx(file)


@pytest.mark.fault("MNIST files", "more images than labels", "refused")
def test_images_and_labels_must_agree():
    with pytest.raises(UserError, match="3 images but 2 labels"):
        join_parts(
            np.zeros((2, 28, 28), np.uint8),
            np.zeros(1, np.uint8),
            np.zeros((1, 28, 28), np.uint8),
            np.zeros(1, np.uint8),
        )


def test_a_split_of_other_labels_is_refused(tmp_path):
    files = [tmp_path / name for name in ("images.npy", "labels.npy", "split.csv")]
    np.save(files[0], np.zeros((2, 784), np.uint8))
    np.save(files[1], np.array([3, 4], np.uint8))
    files[2].write_text("id,label,split\n0,3,train\n1,5,test\n")
    with pytest.raises(UserError, match="has other labels than"):
        load_splits(*files)


def test_the_official_split_draws_validation_alone():
    labels = np.random.default_rng(4).permutation(np.repeat(np.arange(10), 70))
    split = split_ids(labels, test=200, validation=50, seed=6, kind="official", official_test=200)
    ids = {name: rows["id"].to_numpy() for name, rows in split.groupby("split")}
    np.testing.assert_array_equal(ids["test"], np.arange(500, 700))
    train, validation = train_test_split(
        np.arange(500), test_size=50, random_state=6, stratify=labels[:500]
    )
    np.testing.assert_array_equal(ids["train"], train)
    np.testing.assert_array_equal(ids["validation"], validation)
    np.testing.assert_array_equal(split["label"], labels[split["id"]])
    with pytest.raises(UserError, match=r"mnist\.split\.test: 100 is not .*; must be 200"):
        split_ids(labels, test=100, validation=50, seed=6, kind="official", official_test=200)


def test_scaling_is_the_reports_to_the_last_bit():
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(scale_pixels(pixels), ((pixels / 255.0) - 0.5) * 2)
    assert scale_pixels(pixels, np.float32).dtype == np.float32
    assert scale_pixels(pixels)[[0, 255]].tolist() == [-1.0, 1.0]
