"""The reference runs: those that ship, what they say of a run, and what makes them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import t

from repro.comparison import reference
from repro.comparison.reference import COLUMNS, METRICS, SEEDS, Reference, agreement
from repro.errors import UserError
from repro.mnist import reference_runs
from repro.mnist.images import load_splits
from repro.plan import Model, Plan
from repro.splits import SPLITS
from scripts_support import run_rule
from small_mnist import OUTPUTS, SEED, run_script, write_small
from support import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
SHIPPED = ROOT / "resources/reference"
KEY = ["seed", "split", "metric"]

# --- those that ship -----------------------------------------------------------------------------


def test_those_that_ship_are_of_the_recipes_of_the_configuration():
    nets = [net for net in Plan(CONFIG).described("mnist") if net.net["reported"]]
    shipped = reference.load(SHIPPED.glob("*"))
    assert set(shipped) == {net.net["reported"] for net in nets}, "make reference"
    for net in nets:
        found = shipped[net.net["reported"]]
        now = reference_runs.made_by(net, CONFIG["mnist"]["split"], found.made_by["data"])
        assert found.made_by == now, f"{net.name} is another net or split now: make reference"


def test_those_that_ship_hold_every_figure_of_twenty_seeds():
    sizes = {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert len(SEEDS) == 20
    for name, found in reference.load(SHIPPED.glob("*")).items():
        there = set(found.runs[KEY].itertuples(index=False, name=None))
        wanted = {(seed, split, each) for seed in SEEDS for split in SPLITS for each in METRICS}
        assert there == wanted, f"{name}: make reference"
        assert (found.runs["n"] == found.runs["split"].map(sizes)).all()
        # Different seeds, different nets.
        assert found.runs.query("split == 'train' and metric == 'accuracy'")["value"].nunique() > 9


# --- what they say -------------------------------------------------------------------------------

VALUES = np.array([0.94, 0.95, 0.955, 0.945])
ACCURACY = ("test", "accuracy")
AUC = ("validation", "auc_ovr_softmax")


def rows(seed: int, accuracy: float, auc: float) -> list[tuple[Any, ...]]:
    return [(seed, *ACCURACY, accuracy, 10_000), (seed, *AUC, auc, 5_000)]


def table(*runs: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame([row for run in runs for row in run], columns=COLUMNS)


def four_seeds() -> Reference:
    runs = (rows(seed, value, value + 0.04) for seed, value in enumerate(VALUES))
    return Reference(table(*runs), "", {})


def test_a_spread_is_that_of_the_seeds_and_a_value_that_of_one():
    found = four_seeds()
    spread = found.spread(*ACCURACY)
    assert spread == reference.Spread(pytest.approx(np.std(VALUES, ddof=1)), 3)
    assert found.value(2, *AUC) == VALUES[2] + 0.04
    assert found.value(7, *ACCURACY) is None
    assert found.spread("train", "accuracy") is None
    assert Reference(table(rows(1, 0.9, 0.9)), "", {}).spread(*ACCURACY) is None


AGREES = "This machine agrees with the reference runs."


@pytest.mark.parametrize(
    ("accuracy", "auc", "said"),
    [
        (0.0, 0.0, AGREES),
        (0.00005, 0.0005, AGREES),  # half of what is printed
        (-0.0002, 0.0, "differs from the reference runs by -0.02 points in test accuracy."),
        (0.0001, -0.0011, "by +0.01 points in test accuracy and -0.0011 in validation AUC."),
    ],
)
def test_a_deterministic_net_agrees_to_the_digit_of_the_same_seed(accuracy, auc, said):
    run = table(rows(1, VALUES[1] + accuracy, VALUES[1] + 0.04 + auc))
    assert agreement(four_seeds(), run, deterministic=True).endswith(said)


def test_another_net_agrees_inside_the_interval_for_one_more_seed():
    # Two figures at 95 % together (Bonferroni).
    half = t.ppf(1 - 0.05 / 2 / 2, 3) * np.std(VALUES, ddof=1) * np.sqrt(1 + 1 / 4)
    mean = VALUES.mean()
    inside, outside = mean - 0.99 * half, mean - 1.01 * half
    for seed in (1, 99):
        run = table(rows(seed, inside, mean + 0.04))
        assert agreement(four_seeds(), run, deterministic=False) == AGREES
        run = table(rows(seed, outside, mean + 0.04))
        text = agreement(four_seeds(), run, deterministic=False)
        assert text.endswith(f"by {100 * (outside - mean):+.2f} points in test accuracy.")
    # A seed that the reference has not is held against the interval for either kind of net.
    assert agreement(four_seeds(), table(rows(99, inside, mean + 0.04)), deterministic=True) == (
        AGREES
    )


def test_a_seed_agrees_with_itself_also_where_it_lies_apart_from_the_others():
    values = [0.9] * 19 + [0.8]
    runs = Reference(table(*(rows(seed, value, 0.99) for seed, value in enumerate(values))), "", {})
    assert agreement(runs, table(rows(19, 0.8, 0.99)), deterministic=False) == AGREES
    assert "-9.50 points" in agreement(runs, table(rows(20, 0.8, 0.99)), deterministic=False)


def test_an_error_is_what_the_accuracy_leaves():
    known = four_seeds()
    accuracies, errors = (known.spread("test", metric) for metric in ("accuracy", "error"))
    assert errors.sd == pytest.approx(accuracies.sd)
    assert known.value(1, "test", "error") == pytest.approx(1 - VALUES[1])
    run = pd.DataFrame([(1, "test", "error", 1 - VALUES[1] + 0.0002, 10)], columns=COLUMNS)
    text = agreement(known, run, deterministic=True)
    assert text.endswith("by +0.02 points in test error.")


def test_where_there_is_nothing_in_common_it_says_so():
    run = pd.DataFrame([(1, "test", "macro_f1", 0.9, 10)], columns=COLUMNS)
    assert "no figure to hold this run against" in agreement(four_seeds(), run, deterministic=True)


# --- what makes them -----------------------------------------------------------------------------

RECIPES: dict[str, dict[str, Any]] = {
    "numpy": {"hidden": [9], "initial_std": 0.1, "dtype": "float64"},
    "torch": {"hidden": [9, 8], "activation": "relu", "dtype": "float32"},
}


def small_net(folder: Path, framework: str, **changes: Any) -> Model:
    """Write a small MNIST; return a net for it as the configuration would describe it."""
    recipe = {**RECIPES[framework], "learning_rate": 0.5, "batch_size": 5, "epochs": 2, **changes}
    write_small(folder, recipe, train=300, validation=60, test=60)
    net = {
        **{"title": "Net", "framework": framework, "output": "sigmoid", "loss": "mse"},
        **{"seeds": [SEED], "reported": "small", "recipe": "own", **recipe},
    }
    config = copy.deepcopy(CONFIG) | {"models": ["net"]}
    config["mnist"]["nets"] = {"net": net}
    return Plan(config).nets["net"]


def make(folder: Path, net: Model, seeds: list[int], **about: Any) -> list[int]:
    """Make the reference runs in ``folder`` from the data there; return which seeds trained."""
    data = load_splits(*(folder / name for name in ("images.npy", "labels.npy", "split.csv")))
    made_by = reference_runs.made_by(net, {}, {})
    everything = {"made_by": made_by, "machine": reference_runs.machine(), **about}
    target = folder / "reference"
    return list(reference_runs.train_missing(target, net, data, everything, seeds, workers=2))


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_a_seeds_figures_are_bit_for_bit_those_of_its_rules(tmp_path, framework):
    folder = tmp_path / "small"
    net = small_net(folder, framework)
    assert make(folder, net, [1, SEED, 2]) == [1, SEED, 2]

    run_script(framework, folder)
    tables = ("metrics", "per_class", "confusion", "mistakes", "reliability")
    run_rule(
        "evaluate",
        folder,
        input={"predictions": folder / OUTPUTS["predictions"]},
        output={name: folder / f"{name}.csv" for name in tables},
        params={"model": "net", "run": f"seed-{SEED}", "seed": SEED, "loss": "mse"},
    )
    metrics = pd.read_csv(folder / "metrics.csv")
    expected = metrics.loc[metrics["metric"].isin(METRICS), COLUMNS].reset_index(drop=True)
    assert len(expected) == len(SPLITS) * len(METRICS)

    runs = reference.load((folder / "reference").glob("*"))["small"].runs
    own = runs[runs["seed"] == SEED].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, expected, check_exact=True)
    assert agreement(Reference(runs, "", {}), metrics, deterministic=True) == AGREES


def test_it_goes_on_where_it_was_interrupted_and_begins_anew_where_that_is_of_no_use(tmp_path):
    net = small_net(tmp_path / "whole", "numpy")
    small_net(tmp_path / "parts", "numpy")
    make(tmp_path / "whole", net, [3, 1, 2])
    assert make(tmp_path / "parts", net, [3]) == [3]
    assert make(tmp_path / "parts", net, [3, 1, 2]) == [1, 2]
    assert make(tmp_path / "parts", net, [3, 1, 2]) == []
    written = (tmp_path / "parts/reference/small.csv").read_bytes()
    assert written == (tmp_path / "whole/reference/small.csv").read_bytes()

    assert make(tmp_path / "parts", net, [3], machine={}) == [3]
    longer = small_net(tmp_path / "longer", "numpy", epochs=3)
    assert make(tmp_path / "whole", longer, [3]) == [3]
    assert (tmp_path / "whole/reference/small.csv").read_bytes() != written


def test_files_that_are_not_of_the_form_are_refused(tmp_path):
    net = small_net(tmp_path / "small", "numpy", epochs=1)
    make(tmp_path / "small", net, [3, 1])
    folder = tmp_path / "small/reference"
    assert reference.load([]) == {}
    machine = reference.load(folder.glob("*"))["small"].machine
    assert json.loads((folder / "small.json").read_text())["date"] in machine
    text = (folder / "small.csv").read_text()
    for spoiled, match in (
        (text.replace("metric", "name", 1), "columns"),
        (text + text.splitlines()[1] + "\n", "twice"),
        (text + "3,test,accuracy\n", ""),
        (text.replace("accuracy,0", "accuracy,7", 1), "outside"),
        ("", ""),
    ):
        (folder / "small.csv").write_text(spoiled)
        with pytest.raises(UserError, match=rf"small\.csv: .*make reference.*{match}"):
            reference.load(folder.glob("*"))
    (folder / "small.csv").write_text(text)
    (folder / "small.json").unlink()
    with pytest.raises(UserError, match=r"small\.json.*make reference"):
        reference.load(folder.glob("*"))
