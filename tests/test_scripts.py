"""What the rules' scripts put together: which rows, sets, seeds and files go with which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from safetensors.torch import load_file, save_file

import oracle
from held import Held
from photos import make_photos, pack
from repro.errors import UserError
from repro.features.backbones import Preprocess, build, create
from repro.features.batch_norm import adapt
from repro.features.extraction import extract
from repro.features.store import FeatureFiles
from repro.flowers.images import read_images
from repro.heads.notebook import DecodedImages, NotebookRecipe, read_folders, train
from repro.heads.training import HeadRecipe, HeadRun, train_heads
from repro.history import read_history
from repro.mnist.images import ImageSet, load_splits
from repro.predictions import Predictions
from repro.splits import SPLITS
from scripts_support import run_rule
from small_mnist import OUTPUTS, run_script, write_small
from support import bytes_of, drawn_twice, idx

NET = "timm:test_resnet"
REPORT = Preprocess()
CPU = torch.device("cpu")
STORE = {"features": "features.npy", "ids": "ids.npy", "manifest": "manifest.json"}
RUN = {
    "histories": "history.csv",
    "predictions": "predictions.npz",
    "models": "model.safetensors",
}


# --- MNIST ---------------------------------------------------------------------------------------


def mnist_parts(folder: Path) -> dict[str, Path]:
    """Write the four IDX files, of 90 and 30 images, with labels in no order."""
    draw = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 90), ("test", 30)):
        files[f"{part}_images"] = folder / f"{part}-images"
        files[f"{part}_images"].write_bytes(idx(draw.integers(0, 256, (n, 28, 28), np.uint8)))
        files[f"{part}_labels"] = folder / f"{part}-labels"
        labels = draw.permutation(np.arange(n) % 10).astype(np.uint8)
        files[f"{part}_labels"].write_bytes(idx(labels))
    return files


def test_mnist_s_training_part_comes_first_and_the_split_is_the_report_s(tmp_path):
    parts = mnist_parts(tmp_path)
    made = {"images": "images.npy", "labels": "labels.npy", "split": "split.csv"}
    run_rule(
        "prepare_mnist",
        tmp_path,
        input=parts,
        output={key: tmp_path / name for key, name in made.items()},
        params={"proofs": {}, "split": {"test": 20, "validation": 30, "seed": 5}},
    )
    raw = {name: file.read_bytes() for name, file in parts.items()}
    assert np.load(tmp_path / "images.npy").shape == (120, 784)
    assert np.load(tmp_path / "images.npy").tobytes() == (
        raw["train_images"][16:] + raw["test_images"][16:]
    )
    labels = np.load(tmp_path / "labels.npy")
    assert labels.tobytes() == raw["train_labels"][8:] + raw["test_labels"][8:]

    drawn = drawn_twice(labels, test=20, validation=30, seed=5)
    split = pd.read_csv(tmp_path / "split.csv")
    assert split["id"].tolist() == np.concatenate(drawn).tolist()
    assert split["split"].tolist() == ["train"] * 70 + ["validation"] * 30 + ["test"] * 20
    assert split["label"].tolist() == labels[split["id"]].tolist()
    loaded = load_splits(*(tmp_path / name for name in made.values()))
    for name, rows in zip(SPLITS, drawn, strict=True):
        part: ImageSet = getattr(loaded, name)
        assert part.ids.tolist() == rows.tolist()
        assert part.labels.tolist() == labels[rows].tolist()
        assert part.pixels.tolist() == np.load(tmp_path / "images.npy")[rows].tolist()


RECIPE = {"hidden": [9], "learning_rate": 0.5, "batch_size": 5, "epochs": 3, "initial_std": 0.1}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_checkpoint_stays_until_the_last_output_is_written(tmp_path, framework, name):
    write_small(tmp_path / "whole", RECIPE)
    run_script(framework, tmp_path / "whole")
    assert not (tmp_path / "whole/checkpoint.npz").exists()

    # What cannot be replaced by a file stops the script as a kill would.
    write_small(tmp_path / "stopped", RECIPE)
    (tmp_path / "stopped" / OUTPUTS[name] / "in the way").mkdir(parents=True)
    with pytest.raises(UserError, match="stopped"):
        run_script(framework, tmp_path / "stopped")

    write_small(tmp_path / "again", RECIPE)
    (tmp_path / "stopped/checkpoint.npz").rename(tmp_path / "again/checkpoint.npz")
    run_script(framework, tmp_path / "again")
    log = (tmp_path / "again/log.txt").read_text()
    assert "going on after epoch 3" in log
    assert "epoch 3 of 3" not in log
    for file in OUTPUTS.values():
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


# --- flowers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flowers(tmp_path_factory) -> Path:
    """A folder with twenty photographs, one of them damaged, in no order; two splits; weights."""
    folder = tmp_path_factory.mktemp("flowers")
    make_photos(folder, 20)
    (folder / "image_00006.jpg").write_bytes(b"broken")
    # Ids with gaps, so that an id is no place, in an order that is not theirs; the damaged image
    # is the sixth, and the only one of its class.
    table = pd.read_csv(folder / "images.csv")
    table["id"] = 3 * table["id"] + 1
    table.loc[table["label"] == 2, "label"] = 10
    table.loc[table["id"] == 19, "label"] = 11
    table.sample(frac=1, random_state=2).to_csv(folder / "images.csv", index=False)
    for number in (0, 1):
        rows = table.sample(frac=1, random_state=number)
        rows["split"] = ["train"] * 11 + ["validation"] * 5 + ["test"] * 4
        rows[["id", "label", "split"]].to_csv(folder / f"split-{number}.csv", index=False)
    save_file(create(NET, seed=7).state_dict(), folder / "weights.safetensors")
    return folder


def packed(folder: Path) -> dict[str, bytes]:
    """Pack 36 photographs in no order, one of them damaged, with labels and sets; return them."""
    images = make_photos(folder / "photos", 36)
    draw = np.random.default_rng(1)
    files = [images[place].file for place in draw.permutation(36)]
    images[6].file.write_bytes(b"broken")
    pack(folder / "102flowers.tgz", [(f"jpg/{file.name}", file.read_bytes()) for file in files])
    labels = np.array([(3, 20, 100)[image.label - 1] for image in images])
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    sets = np.split(1 + np.lexsort((draw.random(36), labels)).reshape(3, 12), [5, 8], axis=1)
    names = ("trnid", "valid", "tstid")
    scipy.io.savemat(folder / "setid.mat", dict(zip(names, map(np.ravel, sets), strict=True)))
    return {file.name: file.read_bytes() for file in files}


def test_flowers_are_listed_split_and_laid_out_as_the_oracle_does_it(tmp_path):
    contents = packed(tmp_path)
    names = ("102flowers.tgz", "imagelabels.mat", "setid.mat")
    archive, labels, setid = (tmp_path / name for name in names)
    listed = tmp_path / "images.csv"
    knobs = {"validation": 0.3, "test": 0.3, "seed": 7}
    run_rule(
        "extract_images",
        tmp_path,
        input={"archive": archive, "labels": labels},
        output={"images": listed, "damaged": tmp_path / "damaged.json"}
        | {"folder": tmp_path / "images"},
        params={"proofs": {}, "on_damaged": "skip"},
        config={"flowers": {"split": {"kind": "stratified", **knobs}}},
    )
    held = Held(tmp_path)
    images, _, damaged = oracle.read_flowers(archive, labels)
    held.write("images.csv", images)
    held.write("damaged.json", damaged)
    assert damaged == [7]
    for kind in ("stratified", "random", "official"):
        official = {"setid": setid} if kind == "official" else {}
        run_rule(
            "split_images",
            tmp_path,
            input={"images": listed} | official,
            output={"split": tmp_path / f"{kind}.csv"},
            params={"proofs": {}, "split": {"kind": kind, **knobs}},
        )
        held.write(f"{kind}.csv", oracle.flower_split(images, setid, kind=kind, **knobs))
    assert not held.differences, held.differences

    run_rule(
        "layout_images",
        tmp_path,
        input={"images": listed, "split": tmp_path / "random.csv"},
        output={"folders": tmp_path / "folders", "manifest": tmp_path / "manifest.csv"},
    )
    laid = {
        file.relative_to(tmp_path / "folders"): file for file in tmp_path.rglob("folders/*/*/*")
    }
    split = pd.read_csv(tmp_path / "random.csv")
    assert {str(name): file.read_bytes() for name, file in laid.items()} == {
        f"{row.split}/{row.label}/image_{row.id:05d}.jpg": contents[f"image_{row.id:05d}.jpg"]
        for row in split.itertuples()
    }
    manifest = pd.read_csv(tmp_path / "manifest.csv")
    assert manifest[["id", "label", "split"]].equals(split)
    assert manifest["sha256"].tolist() == images["sha256"].tolist()


def ids_of(split: Path, name: str) -> list[int]:
    table = pd.read_csv(split)
    return table.loc[table["split"] == name, "id"].tolist()


SETTINGS = {
    "architecture": NET,
    "proofs": {},
    "preprocess": "report",
    "batch_size": 4,
    "on_damaged": "skip",
}


def run_features(
    flowers: Path,
    folder: Path,
    protocol: str,
    name: str = "",
    on_damaged: str = "skip",
    **statistics: Path,
) -> FeatureFiles:
    """Run the script of a net's features; with ``name`` that of one shard."""
    folder.mkdir()
    made = FeatureFiles(*(folder / file for file in STORE.values()))
    inputs = {"images": flowers / "images.csv", "weights": flowers / "weights.safetensors"}
    run_rule(
        "extract_features",
        folder,
        input=inputs | {"split": flowers / "split-0.csv"} | statistics,
        output={key: folder / file for key, file in STORE.items()},
        params=SETTINGS
        | {"protocol": protocol, "on_damaged": on_damaged, "work": str(folder / "work")},
        wildcards={"scatteritem": name} if name else {},
    )
    assert not (folder / "work").exists()
    return made


@pytest.mark.parametrize("protocol", ["frozen", "adapted"])
def test_features_are_of_these_weights_adapted_to_the_training_images(flowers, tmp_path, protocol):
    found = run_features(flowers, tmp_path / "found", protocol)
    images = read_images(flowers / "images.csv")
    backbone = build(NET, flowers / "weights.safetensors")
    options = {"device": CPU, "batch_size": 4, "workers": 1, "on_damaged": "skip"}
    done = {"name": "frozen"}
    if protocol == "adapted":
        train_ids = ids_of(flowers / "split-0.csv", "train")
        chosen = [image for image in images if image.id in train_ids]
        done = adapt(backbone, chosen, REPORT, tmp_path / "kept", **options)
    expected = extract(images, backbone, REPORT, tmp_path / "work", protocol=done, **options)
    assert bytes_of(found) == bytes_of(expected)
    assert np.load(found.ids).tolist() == [image.id for image in images if image.id != 19]
    assert list(json.loads(found.manifest.read_text())["damaged"]) == ["19"]
    with pytest.raises(UserError, match="image_00006"):
        run_features(flowers, tmp_path / "stopped", protocol, on_damaged="stop")


def test_shards_with_statistics_made_for_them_are_the_whole(flowers, tmp_path):
    whole = run_features(flowers, tmp_path / "whole", "adapted")
    kept = tmp_path / "adapted.safetensors"
    inputs = {"images": flowers / "images.csv", "weights": flowers / "weights.safetensors"}
    run_rule(
        "adapt_backbone",
        tmp_path,
        input=inputs | {"split": flowers / "split-0.csv"},
        output={"statistics": kept},
        params=SETTINGS,
    )
    names = [f"{number}-of-3" for number in (1, 2, 3)]
    shards = [
        run_features(flowers, tmp_path / name, "adapted", name, statistics=kept) for name in names
    ]
    sizes = [len(np.load(shard.ids)) for shard in shards]
    assert sum(sizes) == 19
    assert 0 < min(sizes) < max(sizes) < 19
    joined = tmp_path / "joined"
    joined.mkdir()
    run_rule(
        "join_features",
        tmp_path,
        input={
            "features": [shard.features for shard in shards],
            "ids": [shard.ids for shard in shards],
            "manifests": [shard.manifest for shard in shards],
        },
        output={key: joined / file for key, file in STORE.items()},
    )
    assert [(joined / file).read_bytes() for file in STORE.values()] == bytes_of(whole)
    # No shard makes statistics of its own.
    with pytest.raises(UserError, match="absent: missing, or made with another network"):
        run_features(
            flowers, tmp_path / "anew", "adapted", names[0], statistics=tmp_path / "absent"
        )


RUNS = [
    {"run": "seed-1", "seed": 1, "split": 0},
    {"run": "seed-2", "seed": 2, "split": 0},
    {"run": "split-5", "seed": 1, "split": 1},
]


def outputs_of(folder: Path) -> dict[str, list[Path]]:
    return {key: [folder / f"{run['run']}-{name}" for run in RUNS] for key, name in RUN.items()}


def assert_written(made: dict[str, list[Path]], i: int, history, predictions, state) -> None:
    """Hold what a script wrote of its run ``i`` against what was to come out."""
    rows = read_history(made["histories"][i])[["epoch", "split", "loss", "accuracy"]]
    assert [tuple(row) for row in rows.itertuples(index=False)] == [tuple(r) for r in history]
    found = Predictions.load(made["predictions"][i])
    assert found.kind == "log_softmax"
    for name in ("ids", "labels", "splits", "scores", "classes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(predictions, name))
    written = load_file(made["models"][i])
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in state.items())


@pytest.mark.fault(
    "labels and splits",
    "a label that no image has (1, 3, 10 and 11)",
    "works: as many outputs as labels, each known by its label",
)
@pytest.mark.parametrize("stores", [1, 2])
def test_each_head_is_trained_on_its_split_s_features_with_its_seed(
    flowers, tmp_path, stores, happened
):
    images = read_images(flowers / "images.csv")
    # Features of two splits differ; here because the images are taken at another size.
    files = [
        extract(
            images,
            build(NET, None),
            Preprocess(40 + 8 * number, 32),
            tmp_path / f"work{number}",
            device=CPU,
            workers=1,
            on_damaged="skip",
        )
        for number in range(stores)
    ]
    splits = [flowers / "split-0.csv", flowers / "split-1.csv"]
    recipe = {"hidden": 16, "learning_rate": 0.01, "batch_size": 4, "epochs": 2}
    made = outputs_of(tmp_path)
    run_rule(
        "train_head",
        tmp_path,
        input={
            "features": [store.features for store in files],
            "ids": [store.ids for store in files],
            "manifests": [store.manifest for store in files],
            "images": flowers / "images.csv",
            "splits": splits,
        },
        output=made,
        params={"runs": RUNS, "recipe": recipe},
        threads=2,
    )

    classes = [1, 3, 10, 11]
    class_of = {image.id: classes.index(image.label) for image in images}
    for i, run in enumerate(RUNS):
        store = files[min(run["split"], stores - 1)]
        ids = np.load(store.ids)
        row_of = {number: row for row, number in enumerate(ids.tolist())}
        sets = [
            np.array([row_of[n] for n in ids_of(splits[run["split"]], name) if n in row_of])
            for name in SPLITS
        ]
        labels = np.array([class_of[number] for number in ids.tolist()])
        result = train_heads(
            np.load(store.features),
            labels,
            [HeadRun(run["seed"], *sets)],
            HeadRecipe(**recipe),
            CPU,
            classes=4,
        )[0]
        rows = np.concatenate(sets)
        assert len(rows) == 19
        predictions = Predictions(
            ids[rows],
            labels[rows],
            np.repeat(SPLITS, [len(part) for part in sets]),
            result.scores[rows],
            "log_softmax",
            np.array(classes),
        )
        assert_written(made, i, result.history, predictions, result.state)
    happened("an output for each label, also for 11, whose one image is damaged")


def folders_of(flowers: Path, target: Path, splits: Sequence[Path]) -> list[Path]:
    """Lay the photographs that open out for each split."""
    table = pd.read_csv(flowers / "images.csv").set_index("id")
    made = []
    for number, split in enumerate(splits):
        made.append(target / f"folders{number}")
        for row in pd.read_csv(split).itertuples():
            folder = made[-1] / row.split / str(row.label)
            folder.mkdir(parents=True, exist_ok=True)
            if row.id != 19:
                name = f"image_{row.id:05d}.jpg"
                (folder / name).symlink_to(flowers / table.loc[row.id, "file"])
    return made


def test_each_run_of_the_notebook_has_its_split_and_its_seed(flowers, tmp_path):
    folders = folders_of(flowers, tmp_path, [flowers / "split-0.csv", flowers / "split-1.csv"])
    recipe = {"hidden": 16, "batch_size": 4, "epochs": 1}
    made = outputs_of(tmp_path)
    run_rule(
        "train_notebook",
        tmp_path,
        input={"folders": folders, "weights": flowers / "weights.safetensors"},
        output={**made, "manifest": tmp_path / "manifest.json"},
        params={**SETTINGS, "runs": RUNS, "recipe": recipe, "work": str(tmp_path / "work")},
    )
    backbone = build(NET, flowers / "weights.safetensors")
    for i, run in enumerate(RUNS):
        tree = read_folders(folders[run["split"]])
        pixels = DecodedImages(tree.images, REPORT, tmp_path / "pixels.npy", 1)
        result = train(
            backbone.module,
            tree,
            pixels,
            REPORT,
            NotebookRecipe(**recipe),
            seed=run["seed"],
            device=CPU,
        )
        assert_written(made, i, result.history, result.predictions, result.state)


@pytest.mark.parametrize(
    "script",
    [
        *("prepare_mnist", "extract_images", "split_images"),
        *("extract_features", "adapt_backbone", "train_notebook"),
    ],
)
def test_what_was_put_in_place_by_hand_is_proved_before_it_is_read(tmp_path, script):
    file = tmp_path / "by-hand"
    file.write_bytes(b"another file")
    names = ("features", "statistics", "images", "folder")
    with pytest.raises(UserError, match="by-hand: not the right file"):
        run_rule(
            script,
            tmp_path,
            input={"file": file},
            output={name: tmp_path / name for name in names} | {"histories": [tmp_path / "h"]},
            params={"proofs": {str(file): {"sha256": "0" * 64}}, "work": str(tmp_path / "work")},
        )
