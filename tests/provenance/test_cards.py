"""A model card says what was trained on what, and how far its figures go."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import yaml

from repro.comparison.compare import COLUMNS, Model
from repro.evaluation.names import METRIC_COLUMNS
from repro.provenance import cards
from repro.provenance.cards import Backbone, Data
from support import TELLING

NUMPY = Model(
    "numpy_1hidden",
    "NumPy, one hidden layer",
    "numpy",
    "numpy_1hidden",
    "replayed",
    {"seed-123": "main"},
    comparable=True,
    why_not="",
    part="mnist",
)
RESNET = replace(
    NUMPY,
    name="resnet152",
    title="ResNet-152",
    framework="torch",
    reported="resnet152",
    recipe="stated",
    runs={"seed-1": "main", "split-2": "seed-2"},
    part="flowers",
)
MNIST = Data("MNIST", {"train": 55000, "validation": 5000, "test": 10000}, "by digit", 10, ["CC"])
FLOWERS = Data("Oxford-102 flowers", {"train": 4093, "test": 2048}, "stratified, seed 1", 102)
BACKBONE = Backbone(
    "torchvision:resnet152",
    "ImageNet-1K weights",
    "BSD-3-Clause",
    "frozen",
    {
        "weights_loaded": "by name",
        "parameters": 58_143_808,
        "width": 2048,
        "preprocess": {"resize": 256, "crop": 224, "mean": [0.485], "std": [0.229]},
    },
)


def comparison(*rows: dict) -> pd.DataFrame:
    defaults = {"n_runs": 1, "verdict": "to the digit", "metric": "accuracy", "split": "test"}
    other = {"model": "other", "reported": 0.2222, "headline": 0.1111, "mean": 0.1111}
    return pd.DataFrame([defaults | row for row in (other, *rows)], columns=COLUMNS)


def metrics(model: Model, *runs: str, ece: float = 0.25) -> pd.DataFrame:
    """Return those of runs, the first of which is the headline, and of another net."""
    rows = [(model.name, run, 1, "test", "ece", ece + i, 100) for i, run in enumerate(runs)]
    rows.insert(0, ("other", runs[0], 1, "test", "ece", 0.75, 100))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def numpy_row(**changes) -> dict:
    return {
        "model": "numpy_1hidden",
        "reported": 0.9454,
        "reported_precision": 0.0001,
        "headline": 0.9454,
        "difference": 0.0,
        "wilson_low": 0.9408,
        "wilson_high": 0.9497,
        **changes,
    }


@pytest.fixture(scope="module")
def config(root) -> dict:
    return yaml.safe_load((root / "config.yaml").read_text())


def card_of_numpy(config, **further) -> str:
    return cards.card(
        NUMPY,
        config["mnist"]["nets"]["numpy_1hidden"] | further,
        MNIST,
        comparison=comparison(numpy_row()),
        metrics=metrics(NUMPY, "seed-123"),
        files=["seed-123/model.npz"],
    )


@pytest.fixture
def numpy_card(config) -> str:
    return card_of_numpy(config)


def flower_card(
    config, model: Model = RESNET, backbone: Backbone = BACKBONE, data: Data = FLOWERS, **row
) -> str:
    defaults = {"model": "resnet152", "mean": 0.91, "n_runs": 11, "verdict": "agrees"}
    return cards.card(
        model,
        config["flowers"]["head"],
        data,
        backbone,
        comparison=comparison(defaults | row),
        metrics=metrics(model, "seed-1", "split-2"),
        files=["seed-1/model.safetensors", "split-2/model.safetensors"],
    )


def test_momentum_and_weight_decay_are_named(config):
    card = card_of_numpy(config, momentum=0.9, weight_decay=0.0001)
    assert "learning rate 0.1, momentum 0.9, weight decay 0.0001, batches of 100" in card


def test_data_recipe_figures_and_limits_of_an_mnist_net(numpy_card):
    assert numpy_card.startswith("# NumPy, one hidden layer\n")
    assert "`seed-123/model.npz`, the only run" in numpy_card
    assert "train 55,000, validation 5,000, test 10,000 images" in numpy_card
    assert "Licence: CC." in numpy_card
    # 784 · 50 + 50 + 50 · 10 + 10 parameters.
    assert "784-50-10, sigmoid between, sigmoid at the end; 39,760 parameters" in numpy_card
    assert "SGD, learning rate 0.1, batches of 100" in numpy_card
    assert "momentum" not in numpy_card
    row = "| test accuracy % |    94.54 |      94.54 |       0.00 | 94.08–94.97 | to the digit |"
    assert row in numpy_card
    assert numpy_card.count("test accuracy %") == 1, "another net's figure is none of its own"
    assert "calibration error on the test set: 0.250" in numpy_card
    assert "It was run once" in numpy_card
    assert "28 × 28" in numpy_card


def test_a_flower_net_names_its_backbone_and_what_was_trained(config):
    card = flower_card(config)
    # 2048 · 256 + 256 + 256 · 102 + 102 parameters.
    assert "550,758 parameters, the only ones trained" in card
    assert "torchvision:resnet152, ImageNet-1K weights; 58,143,808 parameters" in card
    assert "frozen: in evaluation mode" in card
    assert "Adam, learning rate 0.001, batches of 64" in card
    assert "one of 2 runs" in card
    assert "a licence of their own: BSD-3-Clause" in card
    assert "It was run once" not in card
    assert "calibration error on the test set: 0.250" in card


def test_each_figure_shows_its_own_number(config):
    card = flower_card(config, **{key: TELLING[key] for key in COLUMNS if key != "model"})
    row = "|    91.00 |      93.00 | +2.00 ± 1.30 | 87.00–95.00 | differs: higher |"
    assert f"| test accuracy % {row}" in card
    assert "Test accuracy % over 3 runs: 93.00 ± 0.50 (90.00–96.00)." in card


def test_images_left_out_are_counted(config):
    assert "left out" not in flower_card(config)
    late = replace(BACKBONE, manifest={**BACKBONE.manifest, "damaged": {"7": "bad", "9": "bad"}})
    assert "Images left out as damaged: 0 before the split, 2 after it." in flower_card(
        config, backbone=late
    )
    card = flower_card(config, data=replace(FLOWERS, damaged=1), backbone=late)
    assert "Images left out as damaged: 1 before the split, 2 after it." in card


def test_figures_given_in_words_say_so(config):
    card = flower_card(config, reported=0.9463, reported_precision=None)
    assert "| in words |" in card


@pytest.mark.parametrize(
    ("why_not", "words"),
    [
        ("generated data", "drawn by a script"),
        ("random weights", "weights are random"),
        ("other data", "other images than the report's"),
        ("changed: head.epochs 9 → 40", "not the report's model (changed: head.epochs 9 → 40)"),
        ("other data; changed: random weights", "(other data; changed: random weights)"),
    ],
)
def test_what_cannot_be_compared_is_the_first_limit(config, why_not, words):
    model = replace(RESNET, comparable=False, why_not=why_not)
    card = flower_card(config, model)
    assert words in card.partition("## Limits\n\n")[2].splitlines()[0]
    assert "it stands in for a model of the report" in card


def test_another_protocol_is_a_limit(config):
    assert "another protocol" not in flower_card(config)
    card = flower_card(
        config,
        replace(RESNET, protocol="frozen"),
        verdict="by another protocol",
        protocol="frozen",
    )
    assert "| by another protocol: frozen |" in card
    assert "another protocol than frozen" in card


def test_an_inferred_recipe_is_a_limit(config):
    card = cards.card(
        replace(NUMPY, recipe="inferred"),
        config["mnist"]["nets"]["numpy_2hidden"],
        MNIST,
        comparison=comparison(numpy_row()),
        metrics=metrics(NUMPY, "seed-1"),
        files=["seed-1/model.npz"],
    )
    assert "Inferred: the report does not state it in full" in card
    assert "the recipe may be the reason" in card


def test_no_interval_no_word_about_intervals(config):
    assert "intervals" not in flower_card(config)
    assert "intervals" in flower_card(config, wilson_low=0.9, wilson_high=0.92)


def test_a_net_trained_as_the_notebook_did_says_so(config):
    card = flower_card(config, backbone=replace(BACKBONE, protocol="notebook"))
    assert "in training mode" in card


def test_weights_that_were_loaded_by_order_are_named_so(config):
    assert "by order" not in flower_card(config)
    manifest = {**BACKBONE.manifest, "weights_loaded": "by order"}
    card = flower_card(config, backbone=replace(BACKBONE, manifest=manifest))
    assert "ImageNet-1K weights, loaded by order, not by name; 58,143,808 parameters" in card
