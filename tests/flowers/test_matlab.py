"""Numbers out of MATLAB files: as SciPy reads them, and no crash on damaged ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from repro.errors import UserError
from repro.flowers import matlab
from repro.flowers.matlab import read_numbers

NUMBERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def mat(compressed=True, **variables) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


@settings(max_examples=80, deadline=None)
@given(
    array=st.sampled_from(NUMBERS).flatmap(
        lambda dtype: npst.arrays(
            dtype, st.integers(1, 40), elements={"allow_nan": False} if dtype[0] == "f" else None
        )
    ),
    column=st.booleans(),
    compressed=st.booleans(),
)
def test_numbers_are_those_scipy_reads(tmp_path_factory, array, column, compressed):
    file = tmp_path_factory.mktemp("mat") / "f.mat"
    shaped = array.reshape((-1, 1) if column else (1, -1))
    others = {"text": "words", "cells": np.array(["a", 1], object), "parts": {"x": 1, "y": "z"}}
    file.write_bytes(mat(compressed, **others, labels=shaped, more=[1.5]))
    found = read_numbers(file, "labels")
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(found, scipy.io.loadmat(file)["labels"].ravel())
    assert read_numbers(file, "more").tolist() == [1.5]


def test_the_other_byte_order_is_read(tmp_path):
    def element(kind, content):
        head = kind.to_bytes(4, "big") + len(content).to_bytes(4, "big")
        return head + content + bytes(-len(content) % 8)

    flags, sizes = bytes([0, 0, 0, 9]) + bytes(4), bytes([0, 0, 0, 1, 0, 0, 0, 8])
    parts = element(6, flags) + element(5, sizes) + element(1, b"labels")
    body = element(14, parts + element(2, bytes(range(1, 9))))
    (tmp_path / "f.mat").write_bytes(b" " * 124 + b"\x01\x00MI" + body)
    assert read_numbers(tmp_path / "f.mat", "labels").tolist() == list(range(1, 9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its header is none"),
        (mat(labels=[[1]])[:150], "cut off"),
        (mat(labels="words"), "'labels' is not a list of numbers"),
        (mat(labels=[[1 + 2j]]), "'labels' is not a list of numbers"),
        (mat(labels=[[1, 2], [3, 4]]), r"'labels' has 4 numbers for the shape \[2, 2\]"),
        (mat(other=[[1]]), "holds no variable 'labels'"),
        (b" " * 124 + b"\x00\x02IM", "its version is 7.3, expected 5 to 7: save it with -v7"),
    ],
)
def test_what_is_no_list_of_numbers_is_named(tmp_path, content, message):
    (tmp_path / "f.mat").write_bytes(content)
    with pytest.raises(UserError, match=rf"f\.mat: .*{message}"):
        read_numbers(tmp_path / "f.mat", "labels")


@pytest.mark.fault(
    "labels and splits", "a MATLAB file of few bytes that unpacks to many", "stopped on the way"
)
def test_a_bomb_is_refused(tmp_path, monkeypatch):
    (tmp_path / "f.mat").write_bytes(mat(labels=np.zeros((1, 200_000))))
    assert len(read_numbers(tmp_path / "f.mat", "labels")) == 200_000
    monkeypatch.setattr(matlab, "MOST_BYTES", 1_000_000)
    with pytest.raises(UserError, match=r"f\.mat: .*larger than 1,000,000 bytes"):
        read_numbers(tmp_path / "f.mat", "labels")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"f\.mat: not a readable MATLAB file"):
        read_numbers(tmp_path / "f.mat", "labels")
