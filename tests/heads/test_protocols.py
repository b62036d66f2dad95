"""The protocols on the report's real networks: random weights, a few images."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from photos import make_photos
from repro.features.backbones import Preprocess, batch_norms, build, feature_width
from repro.features.batch_norm import adapt
from repro.features.extraction import extract
from repro.heads.notebook import DecodedImages, FolderTree, NotebookRecipe, train
from repro.heads.training import HeadRecipe, HeadRun, head_module, initial_state, train_heads

CPU = torch.device("cpu")
SMALL = Preprocess(resize=72, crop=64)
CLASSES = 3


@pytest.fixture(
    scope="module",
    params=[
        "timm:tf_efficientnet_lite0",
        pytest.param("torchvision:resnet152", marks=pytest.mark.heavy),
        pytest.param("torchvision:convnext_large", marks=pytest.mark.heavy),
    ],
)
def backbone(request):
    return build(request.param, None)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), 6, kinds=CLASSES)


@pytest.fixture(scope="module")
def inputs(images):
    """The images as the notebook reads them."""
    transform = Compose(
        [Resize(SMALL.resize), CenterCrop(SMALL.crop), ToTensor(), Normalize(SMALL.mean, SMALL.std)]
    )
    return torch.stack([transform(pil_loader(image.file)) for image in images])


@pytest.fixture(scope="module")
def plain(backbone):
    """The same network as torchvision or timm made it, not touched by anything of ours."""
    return copy.deepcopy(backbone.module).to(memory_format=torch.contiguous_format)


@pytest.fixture(scope="module")
def cached(backbone, plain, images, tmp_path_factory):
    files = extract(images, backbone, SMALL, tmp_path_factory.mktemp("work"), device=CPU)
    return np.load(files.features)


def buffers_of(module):
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def test_logits_by_cached_features_are_those_of_the_full_model(backbone, plain, inputs, cached):
    torch.manual_seed(0)
    head = head_module(backbone.width, 256, 102)[:3]
    full = nn.Sequential(plain, head).eval()
    with torch.inference_mode():
        expected = full(inputs)
        found = head(torch.from_numpy(cached))
    # A logit may happen to be nearly zero: there the size of the others is the measure.
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * scale)


# As many images as a batch holds make each epoch of the history one step.
@pytest.mark.parametrize("amount", [{"images": 2, "epochs": 5}, {"images": 6, "epochs": 2}])
def test_a_head_on_cached_features_is_one_trained_through_the_frozen_backbone(
    plain, images, inputs, cached, amount
):
    recipe = HeadRecipe(batch_size=2, epochs=amount["epochs"])
    labels = np.array([image.label - 1 for image in images])
    run = HeadRun(5, *(np.arange(amount["images"]),) * 3)
    result = train_heads(cached, labels, [run], recipe, CPU, classes=CLASSES)[0]
    losses, head = _through_the_backbone(plain, (inputs, labels), run, recipe)
    found = [row.loss for row in result.history if row.split == "train"]
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    for name, tensor in head.state_dict().items():
        torch.testing.assert_close(result.state[name], tensor, rtol=1e-3, atol=1e-4)


def _through_the_backbone(plain, data, run, recipe):
    inputs, labels = data
    width = feature_width(plain, SMALL.crop)
    generator = torch.Generator().manual_seed(run.seed)
    head = head_module(width, recipe.hidden, CLASSES)
    head.load_state_dict(initial_state(width, recipe.hidden, CLASSES, generator))
    model = nn.Sequential(plain.eval().requires_grad_(False), head)
    optimizer = torch.optim.Adam(head.parameters(), lr=recipe.learning_rate)
    target, count, losses = torch.from_numpy(labels), len(run.train_rows), []
    for _ in range(recipe.epochs):
        total = 0.0
        for batch in torch.randperm(count, generator=generator).split(recipe.batch_size):
            loss = nn.functional.nll_loss(model(inputs[batch]), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / count)
    return losses, head


def test_frozen_leaves_every_buffer_as_it_was(backbone, plain, cached):
    before, after = buffers_of(plain), buffers_of(backbone.module)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_adapted_changes_the_statistics_if_there_are_any(backbone, images, tmp_path, caplog):
    before = buffers_of(backbone.module)
    with caplog.at_level("INFO"):
        done = adapt(
            backbone, images, SMALL, tmp_path / "kept", device=CPU, batch_size=3, workers=1
        )
    after = buffers_of(backbone.module)
    for name, buffer in backbone.module.named_buffers():
        buffer.copy_(before[name])
    layers = len(batch_norms(backbone.module))
    statistics = [n for n in after if n.endswith(("running_mean", "running_var"))]
    assert done["batch_norm_layers"] == layers
    assert len(statistics) == 2 * layers
    assert not any(torch.equal(before[name], after[name]) for name in statistics)
    assert ("the same as frozen" in caplog.text) == (layers == 0)


def test_notebook_changes_the_statistics_if_there_are_any(backbone, images, tmp_path):
    tree = FolderTree(
        images,
        np.array(["train"] * 4 + ["validation", "test"]),
        np.array([image.label - 1 for image in images]),
        np.arange(1, CLASSES + 1),
    )
    pixels = DecodedImages(images, SMALL, tmp_path / "pixels.npy", 1)
    recipe = NotebookRecipe(batch_size=2, epochs=1)
    result = train(backbone.module, tree, pixels, SMALL, recipe, seed=1, device=CPU)
    drifted = {n: t for n, t in result.state.items() if n.startswith("backbone.")}
    assert len(drifted) == 2 * len(batch_norms(backbone.module))
    before = buffers_of(backbone.module)
    for name, tensor in drifted.items():
        assert not torch.equal(tensor, before[name.removeprefix("backbone.")])


def test_stochastic_depth_is_on_while_a_convnext_trains_the_notebooks_way(inputs):
    module = build("torchvision:convnext_tiny", None).module
    with torch.no_grad():
        still = module(inputs)
        assert torch.equal(module(inputs), still)
        module.train()
        torch.manual_seed(0)
        assert not torch.allclose(module(inputs), still)
