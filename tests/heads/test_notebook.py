import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from photos import make_photos
from repro.errors import UserError
from repro.features.backbones import Preprocess, build
from repro.features.pixels import DamagedImageError
from repro.heads import notebook
from repro.heads.notebook import (
    DecodedImages,
    NotebookRecipe,
    check_last_batch,
    read_folders,
    train,
)
from repro.heads.training import head_module, initial_state

SMALL = Preprocess(resize=40, crop=32)
CPU = torch.device("cpu")
NET = "timm:test_resnet"
# Batches of a few images with one value each left would make BatchNorm a matter of rounding.
RECIPE = NotebookRecipe(hidden=16, batch_size=7, evaluation_batch_size=16, epochs=2)
# Their order as text is [1, 10, 2, 20, 3]: not one that sorting twice would put right.
LABELS = (1, 2, 3, 10, 20)


def lay_out(folder, count=36):
    """Lay photographs out as {split}/{label}/image_NNNNN.jpg: half of them for training."""
    for image in make_photos(folder / "photos", count, kinds=len(LABELS)):
        split = ("train", "validation", "train", "test")[image.id % 4]
        target = folder / "folders" / split / str(LABELS[image.label - 1])
        target.mkdir(parents=True, exist_ok=True)
        image.file.rename(target / image.file.name)
    return folder / "folders"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp("flowers"))


@pytest.fixture(scope="module")
def tree(root):
    return read_folders(root)


@pytest.fixture(scope="module")
def pixels(tree, tmp_path_factory):
    file = tmp_path_factory.mktemp("work") / "pixels.npy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook, "_DECODE_BATCH", 8)  # of several, the last not full
        return DecodedImages(tree.images, SMALL, file, 2)


@pytest.fixture
def backbone():
    return build(NET, None)


@pytest.fixture(scope="module")
def result(tree, pixels):
    """What a training by this project leaves."""
    return train(build(NET, None).module, tree, pixels, SMALL, RECIPE, seed=3, device=CPU)


# --- the folder tree ---------------------------------------------------------------------------


def test_classes_are_numbered_as_imagefolder_numbers_them(root, tree):
    np.testing.assert_array_equal(tree.labels, [1, 10, 2, 20, 3])
    for split in ("train", "validation", "test"):
        samples = ImageFolder(root / split).samples
        rows = tree.rows(split)
        assert [str(tree.images[row].file) for row in rows] == [file for file, _ in samples]
        np.testing.assert_array_equal(tree.targets[rows], [target for _, target in samples])


def test_ids_and_labels_come_from_the_names(tree):
    for image, target in zip(tree.images, tree.targets, strict=True):
        assert image.file.name == f"image_{image.id:05d}.jpg"
        assert image.file.parent.name == str(image.label) == str(tree.labels[target])


def test_a_set_that_lacks_a_label_keeps_the_numbering_of_the_others(tmp_path):
    root = lay_out(tmp_path)
    (first,) = (root / "test" / "1",)
    first.rename(tmp_path / "elsewhere")
    tree = read_folders(root)
    for row in tree.rows("test"):
        assert tree.labels[tree.targets[row]] == tree.images[row].label


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "test").rename(root / "tests"), r"test: holds no images"),
        (lambda root: (root / "train/rose").mkdir(), r"folder 'rose' is no label"),
        (
            lambda root: next((root / "train/1").iterdir()).rename(root / "train/1/photo.jpg"),
            r"photo\.jpg: files here are named image_NUMBER\.jpg",
        ),
    ],
)
def test_a_tree_not_laid_out_as_expected_is_refused(tmp_path, spoil, message):
    root = lay_out(tmp_path)
    spoil(root)
    with pytest.raises(UserError, match=message):
        read_folders(root)


def test_pixels_are_kept_as_bytes(pixels):
    assert pixels[np.array([0, 9])].dtype == torch.uint8


def test_a_damaged_image_stops_it(tmp_path):
    tree = read_folders(lay_out(tmp_path))
    tree.images[3].file.write_bytes(b"broken")
    with pytest.raises(DamagedImageError, match=re.escape(tree.images[3].file.name)):
        DecodedImages(tree.images, SMALL, tmp_path / "pixels.npy", 2)


# --- training ----------------------------------------------------------------------------------


def by_hand(root, backbone, recipe, seed):
    """The notebook, written down: ImageFolder, model.train(), the whole network every time."""
    transform = Compose(
        [Resize(SMALL.resize), CenterCrop(SMALL.crop), ToTensor(), Normalize(SMALL.mean, SMALL.std)]
    )
    sets = {s: ImageFolder(root / s, transform) for s in ("train", "validation", "test")}
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = head_module(backbone.width, recipe.hidden, len(LABELS))
    head.load_state_dict(initial_state(backbone.width, recipe.hidden, len(LABELS), generator))
    model = nn.Sequential(backbone.module, head)
    optimizer = torch.optim.Adam(head.parameters(), lr=recipe.learning_rate)
    history = []
    for _ in range(recipe.epochs):
        model.train()
        losses, hits = 0.0, 0
        order = torch.randperm(len(sets["train"]), generator=generator)
        for batch in order.split(recipe.batch_size):
            samples = [sets["train"][i] for i in batch]
            inputs = torch.stack([image for image, _ in samples])
            target = torch.tensor([label for _, label in samples])
            scores = model(inputs)
            loss = nn.functional.nll_loss(scores, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item() * len(batch)
            hits += int((scores.argmax(1) == target).sum())
        history.append((losses / len(order), hits / len(order)))
        model.eval()
        scores = {}
        for split, samples in sets.items():
            inputs = torch.stack([image for image, _ in samples])
            target = torch.tensor([label for _, label in samples])
            with torch.no_grad():
                own = scores[split] = model(inputs)
            if split != "train":
                loss = nn.functional.nll_loss(own, target).item()
                history.append((loss, float((own.argmax(1) == target).double().mean())))
    return history, head, scores


def test_it_is_the_notebook(root, result, backbone):
    before = {name: tensor.clone() for name, tensor in backbone.module.named_buffers()}
    history, head, scores = by_hand(root, backbone, RECIPE, seed=3)
    np.testing.assert_allclose([row[2:] for row in result.history], history, rtol=1e-3)
    wanted = [(epoch, name) for epoch in (1, 2) for name in ("train", "validation", "test")]
    assert [row[:2] for row in result.history] == wanted
    for name, tensor in head.state_dict().items():
        # Adam divides by the size of the gradient, so that rounding shows where it is nearly 0.
        torch.testing.assert_close(result.state[f"head.{name}"], tensor, rtol=1e-2, atol=1e-3)
    drifted = dict(backbone.module.named_buffers())
    for name in (n for n in drifted if n.endswith(("running_mean", "running_var"))):
        assert not torch.equal(drifted[name], before[name])
        torch.testing.assert_close(
            result.state[f"backbone.{name}"], drifted[name], rtol=1e-3, atol=1e-4
        )
    # Columns of the predictions are in numeric order, ImageFolder's in that of text.
    np.testing.assert_array_equal(result.predictions.classes, LABELS)
    for split, own in scores.items():
        found = result.predictions.of(split).scores
        np.testing.assert_allclose(found, own[:, [0, 2, 4, 1, 3]], rtol=1e-2, atol=1e-3)


def test_predictions_cover_every_image_under_its_own_label(tree, result):
    found = result.predictions
    labels = {image.id: image.label for image in tree.images}
    assert sorted(found.ids) == sorted(labels)
    for image, index in zip(found.ids, found.labels, strict=True):
        assert found.classes[index] == labels[image]
    last = {row.split: row.accuracy for row in result.history[-3:]}
    for split in ("validation", "test"):
        part = found.of(split)
        assert (part.scores.argmax(axis=1) == part.labels).mean() == pytest.approx(last[split])


def test_it_leaves_backbone_and_generator_as_they_were(tree, pixels, backbone):
    before = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    state = torch.get_rng_state()
    train(backbone.module, tree, pixels, SMALL, RECIPE, seed=1, device=CPU)
    assert all(torch.equal(before[n], t) for n, t in backbone.module.state_dict().items())
    assert not any(layer.training for layer in backbone.module.modules())
    assert not any(p.requires_grad for p in backbone.module.parameters())
    assert torch.equal(torch.get_rng_state(), state)


class _Dropping(nn.Module):
    """A network that notes its mode, and in training mode draws as stochastic depth does."""

    def __init__(self) -> None:
        super().__init__()
        self.modes, self.drawn = [], []

    def forward(self, x):
        self.modes.append((self.training, len(x)))
        if self.training:
            self.drawn.append(torch.rand(()))
        return x.mean(dim=(2, 3))


def test_training_mode_is_on_while_the_head_trains_and_off_while_it_is_evaluated(tree, pixels):
    network = _Dropping()
    recipe = replace(RECIPE, batch_size=8, epochs=1)
    monitored = []
    train(
        network.eval(), tree, pixels, SMALL, recipe, seed=1, device=CPU, on_images=monitored.append
    )
    assert [mode for mode in network.modes if mode[0]] == [(True, 8), (True, 8), (True, 2)]
    assert sum(monitored) == 36 + 18
    torch.manual_seed(1)
    head_module(3, recipe.hidden, len(tree.labels))  # a new head draws first
    assert network.drawn == [torch.rand(()) for _ in range(3)]


def test_evaluation_does_not_depend_on_the_number_of_threads(tree, pixels, backbone, result):
    three = train(backbone.module, tree, pixels, SMALL, RECIPE, seed=3, device=CPU, workers=3)
    assert np.array_equal(result.predictions.scores, three.predictions.scores)
    assert result.history == three.history


# --- a last batch of one image -----------------------------------------------------------------


@pytest.mark.fault(
    "configuration",
    "notebook: a last batch of one image, of which BatchNorm can take no statistics",
    "refused before the first epoch",
)
@pytest.mark.parametrize("batch_size", [17, 1])
def test_a_last_batch_of_one_image_is_refused_before_the_first(tree, batch_size):
    backbone = build("torchvision:resnet18", None)
    # Images of 32 pixels leave a ResNet's last stage one value a channel.
    assert len(tree.rows("train")) == 18
    recipe = replace(RECIPE, batch_size=batch_size)
    before = {name: buffer.clone() for name, buffer in backbone.module.named_buffers()}
    with pytest.raises(UserError, match=r"18 training images .* Set another flowers\.head\.batch"):
        check_last_batch(backbone.module, tree, SMALL, recipe)
    assert not backbone.module.training
    assert all(torch.equal(before[name], b) for name, b in backbone.module.named_buffers())


def test_a_last_batch_that_can_be_taken_is_none_to_refuse(tree):
    backbone = build("torchvision:resnet18", None)
    check_last_batch(backbone.module, tree, SMALL, replace(RECIPE, batch_size=16))
    check_last_batch(backbone.module, tree, Preprocess(72, 64), replace(RECIPE, batch_size=17))
    check_last_batch(
        build("torchvision:convnext_tiny", None).module, tree, SMALL, replace(RECIPE, batch_size=17)
    )
