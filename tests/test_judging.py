"""From predictions and histories to verdicts by the rules' scripts, every number by the oracle.

What runs have left is made up here, so that each number differs from every other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

import oracle
from held import Held
from oracle_verdicts import read_references
from repro.comparison import reported
from repro.comparison.changes import model_table
from repro.fetch.registry import load_registry
from repro.plan import Plan
from repro.predictions import Predictions
from scripts_support import run_rule
from support import ROOT

TINY = ROOT / "tests/workflow/tiny_report"
EVALUATED = ("metrics", "per_class", "confusion", "mistakes", "reliability", "predictions")
OUTPUTS = {"predictions": "predicted"}  # the input has the name already
SIZES = {"train": 60, "validation": 40, "test": 50}
DIGITS, FLOWERS = np.arange(6), np.array([3, 20, 100, 101])
NAMES = dict(zip(FLOWERS.tolist(), ("rose", "lotus", "canna", "iris"), strict=True))
DOWNLOADS = {
    name: {"sha256": f"{number:08}" * 8, "sources": [{"path": "nowhere"}]}
    for number, name in enumerate(
        ("mnist/images", "oxford102/102flowers.tgz", "weights/petals.pth", "weights/other.pth")
    )
}


def prepare(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tiny run's configuration and report, with splits enough to judge their spread."""
    shipped, config, report = (
        yaml.safe_load(file.read_text())
        for file in (ROOT / "config.yaml", TINY / "config.yaml", TINY / "reported.yaml")
    )
    config |= {part: {**shipped[part], **config[part]} for part in ("mnist", "flowers")}
    config |= {"rehearsal": False, "downloads": DOWNLOADS}
    nets = config["mnist"]["nets"]
    # Not called as in the report.
    nets["ours"] = nets.pop("numpy_1hidden")
    config["models"] = ["ours" if name == "numpy_1hidden" else name for name in config["models"]]
    for net in nets.values():
        net["seeds"] = [123, 7, 9]
    config["flowers"] |= {"seeds": [8], "split_seeds": list(range(20, 30))}
    adapted, notebook = (
        config["flowers"]["nets"][name] for name in ("petals_adapted", "petals_notebook")
    )
    adapted |= {"split_seeds": [], "weights": "weights/other.pth"}
    notebook |= {"seeds": [2, 8], "split_seeds": []}

    hashes = {name: entry["sha256"] for name, entry in DOWNLOADS.items()}
    report["parts"]["mnist"]["data"] = {"images": hashes["mnist/images"]}
    report["parts"]["flowers"]["data"] = {"102flowers.tgz": hashes["oxford102/102flowers.tgz"][:8]}
    # So that every verdict occurs.
    report["claims"][0]["parameters"] = {"points": 12}
    first, eighth, ninth = (report["figures"][place] for place in (0, 7, 8))
    first["printed"], eighth["printed"], ninth["margin"] = "65", "99", 0.3
    for model in report["models"].values():
        model.pop("curve", None)
        if model["part"] == "flowers":
            model["net"]["weights"] = hashes["weights/petals.pth"]
    (folder / "reported.yaml").write_text(yaml.safe_dump(report, sort_keys=False))
    images = {number: f"images/image_{number:05d}.jpg" for number in range(1, 451)}
    pd.Series(images, name="file").rename_axis("id").to_csv(folder / "images.csv")
    pd.Series(NAMES, name="name").rename_axis("label").to_csv(folder / "names.csv")
    return config, report


def runs(plan: Plan) -> Iterator[tuple]:
    """Yield model, run, epochs, table of images, scores and no network, as the oracle does."""
    draw = np.random.default_rng(3)
    for model in plan.models:
        mnist = model.part == "mnist"
        classes = DIGITS if mnist else FLOWERS
        epochs = model.net["epochs"] if mnist else plan.config["flowers"]["head"]["epochs"]
        for run in model.runs:
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
            history = [
                (epoch, name, 2 / epoch + draw.random() / 9, (8 + epoch + draw.integers(4)) / size)
                for epoch in range(1, epochs + 1)
                for name, size in [*SIZES.items()][: 2 if mnist else 3]
            ]
            yield model.name, run.name, history, table, scores, {}


def leave(folder: Path, epochs: list, table: pd.DataFrame, scores: np.ndarray, kind: str) -> None:
    """Write what a training leaves."""
    folder.mkdir(parents=True)
    columns = ["epoch", "split", "loss", "accuracy"]
    pd.DataFrame(epochs, columns=columns).to_csv(folder / "history.csv", index=False)
    classes, labels = np.unique(table["label"], return_inverse=True)
    ids, sets = table["id"].to_numpy(), table["split"].to_numpy()
    Predictions(ids, labels, sets, scores, kind, classes).save(folder / "predictions.npz")


def test_what_follows_from_predictions_is_what_the_oracle_finds(tmp_path):
    config, report = prepare(tmp_path)
    plan = Plan(config)
    made = list(runs(plan))
    folders = [tmp_path / f"results/runs/{model}/{run}" for model, run, *_ in made]

    for folder, (name, run, epochs, table, scores, _) in zip(folders, made, strict=True):
        model = plan.nets[name]
        mnist = model.part == "mnist"
        leave(folder, epochs, table, scores, "sigmoid" if mnist else "log_softmax")
        more = {each: tmp_path / f"{each}.csv" for each in ("names", "images")}
        more["history"] = folder / "history.csv"
        run_rule(
            "evaluate",
            tmp_path,
            input={"predictions": folder / "predictions.npz"} | ({} if mnist else more),
            output={OUTPUTS.get(each, each): folder / f"{each}.csv" for each in EVALUATED},
            params={"model": name, "run": run, "seed": model.run(run).number, "loss": model.loss},
        )
    results = {name: tmp_path / f"results/{name}.csv" for name in ("metrics", "comparison")}
    shipped = {
        "reported": tmp_path / "reported.yaml",
        "reference": sorted((TINY / "reference").iterdir()),
    }
    registry = load_registry([], DOWNLOADS)
    models = model_table(plan, registry, reported.load(tmp_path / "reported.yaml"))
    run_rule(
        "compare",
        tmp_path,
        input={"metrics": [folder / "metrics.csv" for folder in folders]} | shipped,
        output=results
        | {
            "overview": tmp_path / "results/overview.json",
            "table": tmp_path / "results/comparison.md",
        },
        params={"models": models},
    )
    run_rule(
        "judge_claims",
        tmp_path,
        input={
            "metrics": results["metrics"],
            "histories": [folder / "history.csv" for folder in folders],
            "predictions": [folder / "predictions.npz" for folder in folders],
            **shipped,
        },
        output={"claims": tmp_path / "results/claims.csv", "table": tmp_path / "claims.md"},
        params={"models": models},
    )

    held = Held(tmp_path)

    def write(path: str, found: Any) -> Any:
        return found if path.endswith("/model") else held.write(path, found)

    references = read_references(TINY / "reference")
    oracle.evaluate(iter(made), config, NAMES, report, references, write=write)
    assert not held.differences, "\n".join(held.differences[:40])
    claims = pd.read_csv(tmp_path / "results/claims.csv").set_index("claim")["verdict"]
    assert claims[8] != "cannot be judged", "there are splits enough to judge it"
    assert len(set(claims)) == 4
    assert len(set(pd.read_csv(results["comparison"])["verdict"])) == 9
