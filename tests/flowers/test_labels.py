"""Labels and the official split out of MATLAB files."""

import os

import numpy as np
import pytest
import scipy.io

from repro.errors import UserError
from repro.flowers.labels import read_labels, read_official_split


@pytest.mark.fault("labels and splits", "labels that are no MATLAB file", "named")
@pytest.mark.parametrize("raw", [b"", b"<html>not found</html>", os.urandom(300)])
def test_labels_that_are_no_matlab_file(tmp_path, raw):
    file = tmp_path / "imagelabels.mat"
    file.write_bytes(raw)
    with pytest.raises(UserError, match=r"imagelabels\.mat"):
        read_labels(file)


def test_matlab_files_of_the_official_shape(tmp_path):
    scipy.io.savemat(tmp_path / "l.mat", {"labels": np.array([[3, 1, 2]], np.uint8)})
    assert read_labels(tmp_path / "l.mat").tolist() == [3, 1, 2]
    with pytest.raises(UserError, match="trnid"):
        read_official_split(tmp_path / "l.mat")
    sets = {"trnid": [[4]], "valid": [[3, 1]], "tstid": [[2, 5, 6]]}
    scipy.io.savemat(tmp_path / "s.mat", {name: np.array(ids) for name, ids in sets.items()})
    found = {name: ids.tolist() for name, ids in read_official_split(tmp_path / "s.mat").items()}
    assert found == {"train": [4], "validation": [3, 1], "test": [2, 5, 6]}


def test_numbers_alone_are_labels(tmp_path):
    scipy.io.savemat(tmp_path / "l.mat", {"labels": np.array(["rose", "tulip"], object)})
    with pytest.raises(UserError, match="with numbers in 'labels'"):
        read_labels(tmp_path / "l.mat")
