"""No file of NumPy's is unpickled: what stands in one is data, never code that runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro.errors import UserError
from repro.features.shards import join
from repro.features.store import FeatureFiles, read_features
from repro.figures.weights import first_layer
from repro.mnist.checkpoint import load_checkpoint
from repro.mnist.images import load_splits
from repro.mnist.net import Mlp
from repro.prediction import digits
from repro.predictions import Predictions
from repro.system.files import hash_of

# Every array that is read out of an archive.
NAMES = (
    *("activation", "output", "loss", "weights_0", "biases_0", "header"),
    *("ids", "labels", "splits", "scores", "kind", "classes"),
)


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.flag,)


def labels_of_mnist(bombs: Path) -> None:
    np.save(bombs.with_name("images.npy"), np.zeros((1, 784), np.uint8))
    bombs.with_name("split.csv").write_text("id,label,split\n0,0,train\n")
    load_splits(bombs.with_name("images.npy"), bombs, bombs.with_name("split.csv"))


def store(bombs: Path) -> FeatureFiles:
    """Return features of a single image whose ids are the bombs, with a manifest that fits."""
    files = FeatureFiles(bombs.with_name("features.npy"), bombs, bombs.with_name("manifest.json"))
    np.save(files.features, np.zeros((1, 2), np.float32))
    shard = {"number": 1, "of": 1, "first": 0, "end": 1}
    about = {"rows": 1, "damaged": {}, "width": 2, "images": 1, "images_sha256": "", "shard": shard}
    hashes = {"features_sha256": hash_of(files.features), "ids_sha256": hash_of(bombs)}
    files.manifest.write_text(json.dumps(about | hashes))
    return files


def ids_of_features(bombs: Path) -> None:
    files = store(bombs)
    read_features(files.features, files.ids, files.manifest, "")


def ids_of_a_shard(bombs: Path) -> None:
    joined = bombs.with_name("joined")
    join([store(bombs)], FeatureFiles(*(joined / name for name in ("features", "ids", "manifest"))))


@pytest.mark.parametrize(
    ("ending", "read"),
    [
        ("npz", Mlp.load),
        ("npz", Predictions.load),
        ("npz", lambda bombs: load_checkpoint(bombs, {})),
        ("npz", first_layer),
        ("npz", lambda bombs: digits.scores(bombs, np.zeros((1, 784), np.uint8))),
        ("npy", labels_of_mnist),
        ("npy", ids_of_features),
        ("npy", ids_of_a_shard),
    ],
)
def test_what_is_pickled_in_a_file_of_arrays_does_not_run(tmp_path, ending, read):
    flag, bombs = tmp_path / "gone off", tmp_path / f"bombs.{ending}"
    array = np.array([Bomb(flag)], object)
    if ending == "npz":
        np.savez(bombs, **dict.fromkeys(NAMES, array))
    else:
        np.save(bombs, array)
    with pytest.raises((UserError, ValueError), match="allow_pickle=False"):
        read(bombs)
    assert not flag.exists()
