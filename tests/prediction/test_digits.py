"""Any picture of a digit as a net trained on MNIST sees it, and what such a net says of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from repro.errors import UserError
from repro.mnist.numpy_trainer import NumpyTrainer
from repro.mnist.recipe import MlpRecipe
from repro.mnist.torch_trainer import TorchTrainer
from repro.mnist.training import SCALED_AT_ONCE
from repro.prediction import digits
from scripts_support import run_rule
from small_mnist import small_splits
from support import ROOT

RECIPE = {"hidden": [50, 50], "learning_rate": 0.1, "batch_size": 20, "epochs": 1}


def stroke(file, size, box, ink, paper):
    image = Image.new("L", size, paper)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    image.save(file)
    return digits.read_digit(file)


@pytest.mark.parametrize(("ink", "paper"), [(20, 230), (255, 0), (180, 90)])
def test_a_digit_fills_twenty_pixels_in_the_middle(tmp_path, ink, paper):
    seen = stroke(tmp_path / "a.png", (300, 200), (30, 20, 79, 119), ink, paper)
    assert seen.shape == (28, 28)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (4, 23, 9, 18)
    assert seen.max() == 255


def test_it_is_centred_by_its_mass(tmp_path):
    image = Image.new("L", (100, 100), 0)
    draw = ImageDraw.Draw(image)
    draw.rectangle((25, 10, 74, 29), fill=255)  # heavy above, light below
    draw.rectangle((40, 30, 59, 89), fill=255)
    image.save(tmp_path / "a.png")
    seen = digits.read_digit(tmp_path / "a.png").astype(float)
    y = (seen.sum(axis=1) * np.arange(28)).sum() / seen.sum()
    assert abs(y - 13.5) <= 0.5
    assert np.flatnonzero(seen.any(axis=1))[0] > 4


def test_mnists_own_form_is_left_as_it_is(tmp_path):
    own = np.zeros((28, 28), np.uint8)
    own[3:9, 5:7] = 77
    for name, pixels in {"own": own, "on paper": 255 - own}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        assert (digits.read_digit(tmp_path / f"{name}.png") == own).all()


def test_what_cannot_be_read_is_told_apart(tmp_path):
    Image.new("L", (40, 40), 200).save(tmp_path / "blank.png")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    Image.new("L", (28, 28), 0).save(tmp_path / "good.png")
    found, damaged = digits.read_all([tmp_path / f"{n}.png" for n in ("blank", "cut", "good")])
    assert list(found) == [2]
    assert damaged[0] == "nothing stands out from its border"
    assert damaged[1] == "damaged, or not a whole picture"


@pytest.mark.parametrize(
    ("kind", "more", "file"),
    [
        (NumpyTrainer, {"initial_std": 0.1}, "model.npz"),
        # Of more layers than have one digit.
        (
            TorchTrainer,
            {"dtype": "float32", "hidden": [20, 19, 18, 17, 16, 15]},
            "model.safetensors",
        ),
    ],
)
def test_scores_are_the_trainings_own_to_the_bit(tmp_path, kind, more, file):
    data = small_splits(pixels=784)
    trainer = kind(data, MlpRecipe(**RECIPE | more), 5)
    trainer.train_epoch()
    trainer.save(tmp_path / file)
    pixels = np.resize(data.train.pixels, (SCALED_AT_ONCE, data.train.pixels.shape[1]))
    wanted = trainer.scores(pixels)
    some = np.array([4000, 3, 17, 4999, 256])
    scores, output = digits.scores(tmp_path / file, pixels[some])
    assert output == "sigmoid"
    assert scores.dtype == wanted.dtype
    assert np.array_equal(scores, wanted[some])


def test_the_rule_s_answers_are_those_of_the_pictures_that_could_be_read(tmp_path):
    data = small_splits(pixels=784)
    trainer = NumpyTrainer(data, MlpRecipe(**RECIPE, initial_std=0.1), 5)
    trainer.save(tmp_path / "model.npz")
    asked = tmp_path / "asked"
    asked.mkdir()
    (asked / "0.png").write_bytes(b"\x89PNG")
    for name, pixels in zip("ab", data.train.pixels, strict=False):
        seen = pixels.reshape(28, 28).copy()
        seen[[0, -1]] = seen[:, [0, -1]] = 0  # a border of black: the digit is light already
        Image.fromarray(seen).save(asked / f"{name}.png")
    run_rule(
        "predict",
        tmp_path,
        input={"model": tmp_path / "model.npz", "style": ROOT / "resources/style.mplstyle"},
        output={"answers": tmp_path / "answers.csv", "sheet": tmp_path / "answers.png"},
        params={"part": "mnist", "title": "Net", "images": str(asked)},
    )
    found = pd.read_csv(tmp_path / "answers.csv")
    read = np.array([digits.read_digit(asked / f"{name}.png").ravel() for name in "ab"])
    scores = digits.scores(tmp_path / "model.npz", read)[0]
    assert found["file"].tolist() == ["a.png", "b.png"]
    assert found["class"].tolist() == scores.argmax(axis=1).tolist()
    np.testing.assert_allclose(found["probability"], scores.max(axis=1) / scores.sum(axis=1))


def test_a_file_that_is_no_net(tmp_path):
    for name in ("model.npz", "model.safetensors"):
        (tmp_path / name).write_bytes(b"no net")
        with pytest.raises(UserError, match="not a trained net"):
            digits.scores(tmp_path / name, np.zeros((1, 784), np.uint8))
