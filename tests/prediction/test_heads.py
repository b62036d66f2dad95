"""A head is asked with the backbone it was trained on, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photos import make_photos
from repro.errors import UserError
from repro.features import extraction, store
from repro.features.backbones import build
from repro.flowers.images import hash_of_images
from repro.heads import training
from repro.prediction import heads

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


@pytest.mark.parametrize("some", [[69], [5, 64, 3], list(range(69, -1, -1))])
def test_answers_are_the_trainings_own_to_the_bit(trained, some):
    file, images, scores, backbone = trained
    chosen = [images[row] for row in some]
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
