"""A small MNIST for tests, and a process that trains on it and can be killed.

    python small_mnist.py numpy|torch FOLDER

runs the rule's script as Snakemake would: inputs and outputs in FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts_support import run_rule
from support import ROOT

SEED = 5  # not the one the report has
OUTPUTS = {"history": "history.csv", "predictions": "predictions.npz", "model": "model"}


def small_splits(train: int = 60, validation: int = 23, test: int = 12, pixels: int = 16) -> Any:
    """Images whose grey values follow their digit, so that there is something to learn."""
    from repro.mnist.images import ImageSet, MnistSplits

    draw = np.random.RandomState(5)
    means = draw.randint(0, 256, (10, pixels))
    parts, start = [], 0
    for n in (train, validation, test):
        labels = draw.randint(0, 10, n)
        images = np.clip(means[labels] + draw.randint(-40, 41, (n, pixels)), 0, 255)
        ids = np.arange(start, start + n)
        parts.append(ImageSet(ids, images.astype(np.uint8), labels.astype(np.int64)))
        start += n
    return MnistSplits(*parts)


def write_small(folder: Path, recipe: dict[str, Any], **sizes: int) -> None:
    """Write what the rule reads: images.npy, labels.npy, split.csv; and its parameters."""
    splits = small_splits(**sizes)
    parts = {name: getattr(splits, name) for name in ("train", "validation", "test")}
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.concatenate([part.pixels for part in parts.values()]))
    labels = np.concatenate([part.labels for part in parts.values()])
    np.save(folder / "labels.npy", labels.astype(np.uint8))
    names = np.concatenate([np.full(len(part.ids), name) for name, part in parts.items()])
    table = pd.DataFrame({"id": np.arange(len(labels)), "label": labels, "split": names})
    table.to_csv(folder / "split.csv", index=False)
    (folder / "recipe.json").write_text(json.dumps(recipe))


def run_script(framework: str, folder: Path) -> None:
    """Run the rule's script in this process, and leave logging as it was."""
    run_rule(
        f"train_{framework}",
        folder,
        input={name: folder / f"{name}.npy" for name in ("images", "labels")}
        | {"split": folder / "split.csv"},
        output={key: folder / name for key, name in OUTPUTS.items()},
        params={
            "recipe": json.loads((folder / "recipe.json").read_text()),
            "seed": SEED,
            "checkpoint": str(folder / "checkpoint.npz"),
        },
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "scripts"))
    run_script(sys.argv[1], Path(sys.argv[2]))
