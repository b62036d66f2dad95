"""A head is asked with the backbone it was trained on, or not at all."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from photos import make_photos
from repro.errors import UserError
from repro.features import extraction, store
from repro.features.backbones import build
from repro.flowers.images import hash_of_images
from repro.heads import training
from repro.prediction import heads
from scripts_support import run_rule
from support import ROOT

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A head on a tiny backbone: its file, the photographs, their scores, the backbone."""
    folder = tmp_path_factory.mktemp("head")
    images = make_photos(folder / "photos", 70)
    backbone = build("timm:test_resnet", None)
    made = extraction.extract(
        images, backbone, backbone.preprocess, folder / "work", device=CPU, batch_size=8
    )
    found = store.read_features(made.features, made.ids, made.manifest, hash_of_images(images))
    labels = images.labels - 1
    rows = np.arange(70)
    run = training.HeadRun(3, rows[:40], rows[40:55], rows[55:])
    recipe = training.HeadRecipe(hidden=5, epochs=2)
    (result,) = training.train_heads(found.features, labels, [run], recipe, CPU)
    said = training.about(found.manifest, [1, 2, 3], ["rose", "Gänseblümchen", "薔薇"])
    file = folder / "model.safetensors"
    training.write_state(file, result.state, said)
    return file, images, result.scores, backbone


def test_a_net_carries_what_it_needs(trained):
    file, _, _, backbone = trained
    head = heads.load(file)
    heads.check(head, backbone, file)
    assert head.names == ["rose", "Gänseblümchen", "薔薇"]
    assert head.about["classes"] == [1, 2, 3]
    assert {"torch", "timm", "pillow"} <= head.about["versions"].keys()
    again = file.with_name("again.safetensors")
    training.write_state(again, dict(head.state), head.about)
    assert again.read_bytes() == file.read_bytes()


def in_batches_of(size: int):
    def computed(forward, images, preprocess, starts, workers):
        assert starts.step == size
        return extraction.computed(forward, images, preprocess, starts, workers)

    return computed


@pytest.mark.parametrize("some", [[69], [5, 64, 3], list(range(69, -1, -1))])
def test_answers_are_the_trainings_own_to_the_bit(trained, some, monkeypatch):
    file, images, scores, backbone = trained
    chosen = [images[row] for row in some]
    # As many at once as in the training, whose last bits may depend on it.
    monkeypatch.setattr(heads, "computed", in_batches_of(8))
    rows, found, damaged = heads.scores(heads.load(file), backbone, chosen, CPU, workers=2)
    assert rows == list(range(len(some)))
    assert not damaged
    assert np.array_equal(found, scores[some])


def test_a_damaged_picture_is_passed_over(trained, tmp_path):
    file, images, scores, backbone = trained
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(images[0].file.read_bytes()[:100])
    asked = [images[1], type(images[0])(0, cut, ""), images[2]]
    rows, found, damaged = heads.scores(heads.load(file), backbone, asked, CPU, workers=1)
    assert rows == [0, 2]
    assert np.array_equal(found, scores[1:3])
    assert "cut.jpg" in damaged[1]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("architecture", "timm:test_vit", "architecture"),
        ("weights_sha256", "0" * 64, r"weights \(sha256\)"),
        ("preprocess", {"resize": 232}, "preprocessing"),
    ],
)
def test_another_backbone_is_refused(trained, key, value, word):
    file, *_, backbone = trained
    head = heads.load(file)
    other = heads.Head(head.state, {**head.about, key: value})
    with pytest.raises(UserError, match=f"was trained with the {word} .*, and here it is"):
        heads.check(other, backbone, file)


def test_nets_that_cannot_be_asked(trained, tmp_path):
    head = heads.load(trained[0])
    file = tmp_path / "model.safetensors"
    training.write_state(file, dict(head.state), {})
    with pytest.raises(UserError, match="does not say what it was made with; train a net"):
        heads.load(file)
    training.write_state(file, dict(head.state), {**head.about, "protocol": {"name": "adapted"}})
    with pytest.raises(UserError, match="is of the protocol adapted, whose backbone is not kept"):
        heads.load(file)


PARAMS = {
    **{"part": "flowers", "title": "Net", "architecture": "timm:test_resnet"},
    **{"preprocess": "report", "proofs": {}},
}


def ask(trained, folder, **params) -> pd.DataFrame:
    """Ask the rule about three of the photographs and, before them all, one that is cut off."""
    file, images, *_ = trained
    asked = folder / "asked"
    asked.mkdir()
    (asked / "0.jpg").write_bytes(images[0].file.read_bytes()[:100])
    for name, row in {"a": 65, "b": 2, "c": 40}.items():
        shutil.copy(images[row].file, asked / f"{name}.jpg")
    run_rule(
        "predict",
        folder,
        input={"model": file, "style": ROOT / "resources/style.mplstyle"},
        output={"answers": folder / "answers.csv", "sheet": folder / "answers.png"},
        params={**PARAMS, "images": str(asked), **params},
    )
    return pd.read_csv(folder / "answers.csv")


def test_the_rule_s_answers_are_those_of_the_pictures_that_could_be_read(trained, tmp_path):
    found = ask(trained, tmp_path)
    shares = np.exp(trained[2][[65, 2, 40]].astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    names = np.array(["rose", "Gänseblümchen", "薔薇"])
    assert found["file"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    order = np.argsort(-shares, axis=1)
    for place, word in enumerate(("", "second", "third")):
        assert found[word or "class"].tolist() == names[order[:, place]].tolist()
        probabilities = found[f"{word}_probability".lstrip("_")].to_numpy()
        expected = np.take_along_axis(shares, order[:, [place]], axis=1)
        np.testing.assert_allclose(probabilities, expected.ravel(), rtol=1e-12)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"preprocess": "own"}, "was trained with the preprocessing"),
        ({"architecture": "timm:test_vit"}, "was trained with the architecture"),
        ({"proofs": {"gone.pth": {"sha256": "0" * 64}}}, "gone.pth: there is no such file"),
    ],
)
def test_the_rule_asks_no_net_with_another_backbone(trained, tmp_path, params, words):
    with pytest.raises(UserError, match=words):
        ask(trained, tmp_path, **params)
