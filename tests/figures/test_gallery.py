"""Images by their ids."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from repro.errors import UserError
from repro.figures.gallery import digits, photographs


def test_digits_are_rows(tmp_path):
    pixels = np.arange(3 * 784).reshape(3, 784).astype(np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    found = digits([2, 0], tmp_path / "images.npy")
    assert [image.shape for image in found] == [(28, 28)] * 2
    assert np.array_equal(found[0].ravel(), pixels[2])


class TestPhotographs:
    @pytest.fixture
    def images(self, tmp_path):
        (tmp_path / "images").mkdir()
        # Black with a red square in the middle: a central crop is all red.
        picture = Image.new("RGB", (900, 300))
        picture.paste((255, 0, 0), (300, 0, 600, 300))
        picture.save(tmp_path / "images/image_00010.jpg", quality=95)
        (tmp_path / "images/image_00011.jpg").write_bytes(b"no image")
        (tmp_path / "images.csv").write_text(
            "id,file,label\n10,images/image_00010.jpg,1\n11,images/image_00011.jpg,1\n"
        )
        return tmp_path / "images.csv"

    def test_central_square(self, images):
        [found] = photographs([10], images)
        assert found.shape == (256, 256, 3)
        assert found[:, 8:-8].mean(axis=(0, 1)) == pytest.approx([254, 0, 0], abs=3)

    def test_unknown(self, images):
        with pytest.raises(UserError, match="no image 12"):
            photographs([12], images)

    def test_damaged(self, images):
        with pytest.raises(
            UserError, match=r"image_00011\.jpg: damaged, or not a whole picture; put it back"
        ):
            photographs([11], images)
