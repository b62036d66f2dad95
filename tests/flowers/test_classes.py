"""Labels that are not 1..k: each head output stands for the label it was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from photos import make_photos
from repro.evaluation.tables import Run, class_table
from repro.features.backbones import Preprocess, build
from repro.features.extraction import extract
from repro.flowers.images import read_images
from repro.flowers.split import split_images
from repro.predictions import Predictions
from scripts_support import run_rule

MADE = {
    "histories": "history.csv",
    "predictions": "predictions.npz",
    "models": "model.safetensors",
}


@pytest.mark.fault(
    "labels and splits",
    "a label that no image has (1, 2 and 4)",
    "works: as many outputs as labels, each known by its label",
)
def test_a_label_without_images_leaves_no_gap(tmp_path, happened):
    make_photos(tmp_path, 36)
    table = pd.read_csv(tmp_path / "images.csv").replace({"label": {3: 4}})
    table.to_csv(tmp_path / "images.csv", index=False)
    images = read_images(tmp_path / "images.csv")
    split_images(table, kind="stratified", validation=0.25, test=0.25, seed=1).to_csv(
        tmp_path / "split.csv", index=False
    )
    net = build("timm:test_resnet", None)
    options = {"device": torch.device("cpu"), "workers": 1}
    files = extract(images, net, Preprocess(40, 32), tmp_path / "work", **options)
    run_rule(
        "train_head",
        tmp_path,
        input={
            "features": [files.features],
            "ids": [files.ids],
            "manifests": [files.manifest],
            "images": tmp_path / "images.csv",
            "splits": [tmp_path / "split.csv"],
        },
        output={key: [tmp_path / name] for key, name in MADE.items()},
        params={
            "runs": [{"run": "seed-1", "seed": 1, "split": 0}],
            "recipe": {"hidden": 16, "learning_rate": 0.01, "batch_size": 8, "epochs": 60},
        },
    )

    predictions = Predictions.load(tmp_path / "predictions.npz")
    assert predictions.classes.tolist() == [1, 2, 4]
    assert predictions.scores.shape == (36, 3)
    label_of = {image.id: image.label for image in images}
    true = [label_of[number] for number in predictions.ids.tolist()]
    np.testing.assert_array_equal(predictions.classes[predictions.labels], true)
    # The photographs of a label share a colour, so a head that mixed labels up could not learn.
    found = predictions.classes[predictions.scores.argmax(axis=1)]
    assert (found == true)[predictions.splits == "train"].mean() > 0.9
    per_class = class_table(predictions, Run("tiny", "seed-1", 1))
    assert per_class["label"].tolist() == [1, 2, 4]
    happened("three outputs for the labels 1, 2 and 4; the figures of each class name its label")
