"""Flowers of the user's own through the rules, right and wrong."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import numpy as np
import pandas as pd
import pytest
import scipy.io
from PIL import Image

COLOURS = {1: (220, 30, 30), 2: (30, 200, 40), 4: (40, 40, 210)}


def own_images(project, labels, count=None, cut=None, long=None):
    """Pack images of a colour a label; return the change of configuration that takes them.

    The file of the image ``cut`` ends early; the image ``long`` is one pixel by 60,000.
    """
    noise = np.random.default_rng(0)
    source = project.folder / "own"
    source.mkdir(exist_ok=True)
    with tarfile.open(source / "images.tgz", "w:gz") as tar:
        for number, label in enumerate([*labels][: count or len(labels)], start=1):
            colour = np.array(COLOURS.get(label, (9, 9, 9)))
            size = (60_000, 1, 3) if number == long else (40, 40, 3)
            pixels = (colour + noise.integers(-20, 20, size)).clip(0, 255)
            stream = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG")
            content = stream.getvalue()[: 100 if number == cut else None]
            member = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    scipy.io.savemat(source / "labels.mat", {"labels": np.array([labels])})
    names = {"102flowers.tgz": "images.tgz", "imagelabels.mat": "labels.mat"}
    return {
        "models": ["tiny"],
        "flowers": {"data": "mine", "split_seeds": [], "head": {"epochs": 40}},
        "downloads": {
            f"mine/{name}": {
                "sha256": hashlib.sha256((source / file).read_bytes()).hexdigest(),
                "sources": [{"path": f"own/{file}"}],
            }
            for name, file in names.items()
        },
    }


@pytest.mark.heavy
@pytest.mark.fault(
    "labels and splits",
    "own images with the labels 1, 2 and 4, through the rules",
    "works: folders, figures and predictions go by these labels",
)
def test_own_images_with_a_gap_in_their_labels(project, happened):
    changes = own_images(project, [1, 2, 4] * 12)
    manifest = "data/mine/manifests/main.csv"
    run = "results/runs/tiny/seed-1"
    project.snakemake("--", manifest, f"{run}/metrics.csv", changes=changes)
    folders = project.folder / "data/mine/folders/main/train"
    assert sorted(folder.name for folder in folders.iterdir()) == ["1", "2", "4"]
    per_class = pd.read_csv(project.folder / run / "per_class.csv")
    assert per_class["label"].tolist() == [1, 2, 4]
    metrics = pd.read_csv(project.folder / run / "metrics.csv")
    accuracy = metrics[(metrics["metric"] == "accuracy") & (metrics["split"] == "test")]
    assert accuracy["value"].item() > 0.8
    happened("folders 1, 2 and 4; the per-class figures name 1, 2 and 4; they are told apart")


@pytest.mark.heavy
@pytest.mark.fault(
    "labels and splits",
    "own images with a label 0, with a label too few or too many, through the rules",
    "the job fails in words; nothing half-written stays",
)
@pytest.mark.parametrize(
    ("labels", "count", "words"),
    [
        ([1, 2, 0] * 4, None, "'labels' is 0 at place 3, expected whole numbers from 1"),
        ([1, 2, 4] * 4, 11, "11 images but 12 labels: no image for label"),
    ],
)
def test_own_images_with_wrong_labels(project, labels, count, words, happened):
    changes = own_images(project, labels, count)
    said = project.snakemake("--", "data/mine/images.csv", changes=changes, ok=False)
    assert words in said
    assert "Traceback" not in said
    log = (project.folder / "logs/extract_images.log").read_text()
    assert words in log
    assert not (project.folder / "data/mine/images.csv").exists()
    assert not (project.folder / "data/mine/images").exists()
    happened(log.partition("ERROR ")[2])


@pytest.mark.heavy
@pytest.mark.fault(
    "features",
    "a byte of the finished features is changed, through the rules",
    "noticed before a head trains on it; the job fails in words",
)
def test_a_changed_byte_of_the_features_trains_no_head(project, happened):
    changes = own_images(project, [1, 2, 4] * 6)
    run = "results/runs/tiny/seed-1/predictions.npz"
    store = project.folder / "data/mine/features/tiny/all"
    project.snakemake("--", "data/mine/features/tiny/all/features.npy", changes=changes)
    content = bytearray((store / "features.npy").read_bytes())
    content[-1] ^= 1
    (store / "features.npy").write_bytes(content)
    said = project.snakemake("--", run, changes=changes, ok=False)
    assert "features.npy: was changed or damaged since it was made" in said
    assert "delete the folder data/mine/features/tiny/all and run again" in said
    assert "Traceback" not in said
    assert not (project.folder / run).exists()
    happened((project.folder / "logs/train_tiny.log").read_text().partition("ERROR ")[2])
    # The way out that the message names.
    for file in store.iterdir():
        file.unlink()
    project.snakemake("--", run, changes=changes)
    assert (project.folder / run).exists()


@pytest.mark.heavy
@pytest.mark.fault(
    "labels and splits",
    "own images with a label of two pictures, through the rules",
    "refused by its number before a backbone runs",
)
def test_own_images_with_too_few_of_a_label(project, happened):
    changes = own_images(project, [1] * 8 + [2] * 8 + [4] * 2)
    said = project.snakemake("--", "results/metrics.csv", changes=changes, ok=False)
    words = (
        "stratified at these shares needs 4 images of a label for one in each set; label 4 has 2"
    )
    assert words in said
    assert "Traceback" not in said
    assert not (project.folder / "data/mine/features").exists()
    happened((project.folder / "logs/extract_images.log").read_text().partition("ERROR ")[2])


@pytest.mark.heavy
@pytest.mark.fault(
    "labels and splits",
    "a wrong setid.mat put in place by hand, through the rules",
    "refused by name before a split is taken from it",
)
def test_a_wrong_setid_is_refused(project, happened):
    changes = own_images(project, [1, 2, 4] * 4)
    sets = {"trnid": range(1, 7), "valid": range(7, 10), "tstid": range(10, 13)}
    file = project.folder / "own/setid.mat"
    scipy.io.savemat(file, {name: np.array([ids]) for name, ids in sets.items()})
    changes["flowers"]["split"] = {"kind": "official"}
    changes["downloads"]["mine/setid.mat"] = {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "sources": [{"path": "own/setid.mat"}],
    }
    split = project.folder / "data/mine/splits/main.csv"
    target = str(split.relative_to(project.folder))
    project.snakemake("--", target, changes=changes)
    assert pd.read_csv(split)["split"].value_counts()["train"] == 6

    # Put there by hand, it is another file of the same form.
    place = project.folder / "data/fetched/mine/setid.mat"
    place.unlink()
    scipy.io.savemat(place, {name: np.array([ids])[:, ::-1] for name, ids in sets.items()})
    said = project.snakemake("--forcerun", "split_images", "--", target, changes=changes, ok=False)
    assert "data/fetched/mine/setid.mat: not the right file: sha256 of" in said
    assert "Traceback" not in said
    assert not split.exists()
    happened((project.folder / "logs/split_images/main.log").read_text().partition("ERROR ")[2])


@pytest.mark.heavy
@pytest.mark.fault(
    "archives and images",
    "own images, one cut off and one too long for its width, left out, through the rules",
    "page, card and provenance say how many and which",
)
def test_images_left_out_are_told(project, happened):
    changes = own_images(project, [1, 2, 4] * 12, cut=3, long=7)
    changes["flowers"] |= {"on_damaged": "skip"}
    targets = ("results/pictures.html", "results/REPORT.md", "results/provenance.json")
    project.snakemake("--", *targets, changes=changes)
    page, text, record = ((project.folder / target).read_text() for target in targets)
    identity = json.loads(record)["identity"]
    assert identity["damaged"] == [3]
    assert identity["features"]["tiny/all"]["damaged"] == [7]
    assert identity["forward_passes"] == {"tiny": 34}
    said = (
        "Left out of the data as damaged: 1 image (3).",
        "Left out of the features of tiny/all as damaged: 1 image (7).",
    )
    for sentence in said:
        assert sentence in page
        assert sentence in text
    card = (project.folder / "results/runs/tiny/model_card.md").read_text()
    assert "Images left out as damaged: 1 before the split, 1 after it." in card
    happened(" ".join(said))
