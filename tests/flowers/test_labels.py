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


class TestCsv:
    def test_as_a_spreadsheet_writes_it(self, tmp_path):
        file = tmp_path / "labels.csv"
        file.write_text("image;label\r\na.jpg;3\r\nb.jpg;1\r\n", encoding="utf-8-sig")
        assert read_labels(file).tolist() == [3, 1]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("image,class\na.jpg,1\n", "no column 'label', only image, class"),
            (
                "label\nrose\n",
                "line 2: 'rose' is no label, which is a whole number .* flowers.names",
            ),
            ("label\n1\n0\n", "'label' is 0 at place 2"),
            ("label\n", "'label' is empty"),
        ],
    )
    def test_what_is_wrong_in_it(self, tmp_path, text, words):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(UserError, match=words):
            read_labels(tmp_path / "labels.csv")
