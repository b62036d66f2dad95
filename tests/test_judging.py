"""From predictions and histories to verdicts by the rules' scripts, every number by the oracle.

What runs have left is made up here, so that each number differs from every other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

import oracle
from held import Held
from oracle_verdicts import nets_that_run
from repro.predictions import Predictions
from scripts_support import run_rule
from support import ROOT

TINY = ROOT / "tests/workflow/tiny_report"
EVALUATED = ("metrics", "per_class", "confusion", "mistakes", "reliability")
SIZES = {"train": 60, "validation": 40, "test": 50}
DIGITS, FLOWERS = np.arange(6), np.array([3, 20, 100, 101])
WEIGHTS = "0123abcd" * 8


def configuration() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tiny run's configuration and report, with splits enough to judge their spread."""
    shipped, config, report = (
        yaml.safe_load(file.read_text())
        for file in (ROOT / "config.yaml", TINY / "config.yaml", TINY / "reported.yaml")
    )
    config = {part: {**shipped[part], **config[part]} for part in ("mnist", "flowers")} | {
        "models": config["models"],
        "downloads": {"weights/petals.pth": {"sha256": WEIGHTS}},
    }
    for net in config["mnist"]["nets"].values():
        net["seeds"] = net["seeds"][:2] if net["title"] == "One hidden layer" else [9]
    config["flowers"] |= {"seeds": [8], "split_seeds": list(range(20, 30))}
    for name in ("petals_adapted", "petals_notebook"):
        config["flowers"]["nets"][name]["split_seeds"] = []
    for part in report["parts"].values():
        part["data"] = {}
    for model in report["models"].values():
        model.pop("curve", None)
        model["net"] |= {"weights": WEIGHTS} if model["part"] == "flowers" else {}
    return config, report


def runs(config: dict[str, Any], draw: np.random.Generator):
    """Yield model, run, epochs, table of images, scores and no network, as the oracle does."""
    for model in config["models"]:
        mnist = model in config["mnist"]["nets"]
        knobs = {**config["flowers"], **config["mnist"]["nets"].get(model, {})}
        knobs |= config["flowers"]["nets"].get(model, {})
        names = [f"seed-{seed}" for seed in knobs["seeds"]]
        names += [] if mnist else [f"split-{seed}" for seed in knobs["split_seeds"]]
        epochs = knobs.get("epochs", config["flowers"]["head"]["epochs"])
        classes = DIGITS if mnist else FLOWERS
        for run in names:
            # The test images of two nets are the same, in another order.
            ids = np.split(np.arange(1, 451, 3), np.cumsum([*SIZES.values()])[:2])
            ids = np.concatenate([draw.permutation(part) for part in ids])
            labels = ids // 3 % len(classes)
            sets = np.repeat([*SIZES], [*SIZES.values()])
            table = pd.DataFrame({"id": ids, "label": classes[labels], "split": sets})
            scores = draw.random((len(ids), len(classes))) / 2
            scores[np.arange(len(ids)), labels] += draw.random(len(ids)) * draw.uniform(0.4, 0.8)
            if not mnist:
                scores = np.log(scores / scores.sum(axis=1, keepdims=True))
            shown = [*SIZES] if not mnist else [*SIZES][:2]
            history = [
                (epoch, name, 2 / epoch + draw.random() / 9, (8 + epoch + draw.integers(4)) / size)
                for epoch in range(1, epochs + 1)
                for name, size in SIZES.items()
                if name in shown
            ]
            yield model, run, history, table, scores, {}


def leave(folder: Path, epochs: list, table: pd.DataFrame, scores: np.ndarray, kind: str) -> None:
    """Write what a training leaves."""
    folder.mkdir(parents=True)
    columns = ["epoch", "split", "loss", "accuracy"]
    pd.DataFrame(epochs, columns=columns).to_csv(folder / "history.csv", index=False)
    classes, labels = np.unique(table["label"], return_inverse=True)
    ids, sets = table["id"].to_numpy(), table["split"].to_numpy()
    Predictions(ids, labels, sets, scores, kind, classes).save(folder / "predictions.npz")


def told(model: str, net: dict[str, Any], part: str, headline: str) -> dict[str, Any]:
    """Return what the rules tell of a model."""
    kept = {key: net[key] for key in ("title", "reported", "recipe", "why_not")}
    more = {key: net.get(key, "") for key in ("longer_of", "framework", "protocol")}
    about = {"name": model, "part": part, "headline": headline, "comparable": not net["why_not"]}
    return kept | more | about


def test_what_follows_from_predictions_is_what_the_oracle_finds(tmp_path):
    config, report = configuration()
    made = list(runs(config, np.random.default_rng(3)))
    names = dict(zip(FLOWERS.tolist(), ("rose", "lotus", "canna", "iris"), strict=True))
    pd.Series(names, name="name").rename_axis("label").to_csv(tmp_path / "names.csv")
    (tmp_path / "reported.yaml").write_text(yaml.safe_dump(report, sort_keys=False))
    folders = [tmp_path / f"results/runs/{model}/{run}" for model, run, *_ in made]

    for folder, (model, run, epochs, table, scores, _) in zip(folders, made, strict=True):
        mnist = model in config["mnist"]["nets"]
        leave(folder, epochs, table, scores, "sigmoid" if mnist else "log_softmax")
        more = {"names": tmp_path / "names.csv", "history": folder / "history.csv"}
        run_rule(
            "evaluate",
            tmp_path,
            input={"predictions": folder / "predictions.npz"} | ({} if mnist else more),
            output={name: folder / f"{name}.csv" for name in EVALUATED},
            params={"model": model, "run": run, "seed": int(run.partition("-")[2])}
            | {"loss": "mse" if mnist else "nll"},
        )
    nets = nets_that_run(config, report)
    part = {model: "mnist" if model in config["mnist"]["nets"] else "flowers" for model in nets}
    first = {model: run for model, run, *_ in made[::-1]}
    models = [told(model, net, part[model], first[model]) for model, net in nets.items()]
    results = {name: tmp_path / f"results/{name}.csv" for name in ("metrics", "comparison")}
    run_rule(
        "compare",
        tmp_path,
        input={"metrics": [folder / "metrics.csv" for folder in folders]}
        | {"reported": tmp_path / "reported.yaml"},
        output=results | {"table": tmp_path / "comparison.md"},
        params={"models": models},
    )
    run_rule(
        "judge_claims",
        tmp_path,
        input={
            "metrics": results["metrics"],
            "histories": [folder / "history.csv" for folder in folders],
            "predictions": [folder / "predictions.npz" for folder in folders],
            "reported": tmp_path / "reported.yaml",
        },
        output={"claims": tmp_path / "results/claims.csv", "table": tmp_path / "claims.md"},
        params={"models": models, "runs": [[model, run] for model, run, *_ in made]},
    )

    held = Held(tmp_path)

    def write(path: str, found: Any) -> Any:
        return found if path.endswith("/model") else held.write(path, found)

    oracle.evaluate(iter(made), config, names, report, write)
    assert not held.differences, "\n".join(held.differences[:40])
    claims = pd.read_csv(tmp_path / "results/claims.csv").set_index("claim")["verdict"]
    assert claims[8] in ("holds", "does not hold"), "there are splits enough to judge it"
    assert len(set(claims)) == 4
