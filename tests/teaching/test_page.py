"""scripts/from_scratch.py, on a small MNIST of images as large as the real ones."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

import from_scratch
from repro.teaching.exercises import EXERCISES
from small_mnist import small_splits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    data = small_splits(train=120, validation=50, test=60, pixels=784)
    test = replace(data.test, labels=np.roll(data.test.labels, 1))  # so that there are mistakes
    return folder, from_scratch.page(replace(data, test=test), folder, epochs=2)


@pytest.mark.heavy
def test_the_page_has_every_part_and_its_pictures(made):
    folder, page = made
    assert page.count("<summary>Answer</summary>") == len(EXERCISES) == 8
    for picture in re.findall(r"\(from_scratch/(\S+)\)", page):
        assert (folder / picture).stat().st_size > 1000
    assert "d_loss__d_z = d_loss__d_a * d_a__d_z" in page
    assert "Return the activations" not in page


@pytest.mark.heavy
def test_every_overlay_says_what_was_measured(made):
    _, page = made
    overlays = re.findall(r"```yaml\n(.*?)```", page, re.S)
    for text, exercise in zip(overlays, EXERCISES, strict=True):
        (changes,) = yaml.safe_load(text)["mnist"]["nets"].values()
        assert changes.pop("epochs") == 2
        assert changes == exercise.overlay
