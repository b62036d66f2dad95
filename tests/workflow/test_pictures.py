"""README's way from a folder of pictures to an answer, as it is written there."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import yaml
from PIL import Image

from repro.flowers.synthetic import kind, paint
from support import ROOT, other_words

ENDINGS = ("jpg", "PNG", "webp", "tif", "gif")
NAMES = ("Gänse blümchen", "Löwenzahn & Co", "rose")
TINY = "Zwerg"
# In place of the real one, where there are no real photographs.
SMALL_NET = {"architecture": "timm:test_resnet", "weights": "none"}


def drawn(count: int) -> dict[str, list[Image.Image]]:
    rng = np.random.default_rng(3)
    return {
        name: [Image.fromarray(paint(kind(7 * number), (96, 80), rng)) for _ in range(count)]
        for number, name in enumerate((*NAMES, TINY), start=1)
    }


def photographs(folder: Path, count: int) -> dict[str, list[Image.Image]]:
    """Return real photographs of some flowers, under their names but for the first."""
    labels = scipy.io.loadmat(folder / "imagelabels.mat")["labels"].ravel()
    chosen = np.unique(labels)[[0, 20, 40, 60]]
    with (ROOT / "resources/flower_names.csv").open() as stream:
        names = {int(row["label"]): row["name"] for row in csv.DictReader(stream)}
    called = {chosen[0]: NAMES[0], chosen[-1]: TINY}
    found: dict[str, list[Image.Image]] = {}
    with tarfile.open(folder / "102flowers.tgz") as tar:
        for member in tar:
            label = labels[int(Path(member.name).stem[-5:]) - 1] if member.isreg() else 0
            if label in chosen:
                image = Image.open(io.BytesIO(tar.extractfile(member).read()))
                found.setdefault(called.get(label, names[label]), []).append(image.convert("RGB"))
    return {name: images[:count] for name, images in found.items()}


def lay_out(home: Path, pictures: dict[str, list[Image.Image]]) -> None:
    """Save pictures in a folder a class, in many formats; one is cut off, one class is tiny."""
    mine, new = home / "my flowers", home / "new"
    new.mkdir(parents=True)
    for name, images in pictures.items():
        (mine / name).mkdir(parents=True)
        for number, image in enumerate(images[: 2 if name == TINY else None]):
            image.save(mine / name / f"Bild {number}.{ENDINGS[number % len(ENDINGS)]}")
        images[-1].save(new / f"another {name}.png")
    whole = mine / NAMES[0] / "Bild 0.jpg"
    whole.with_name("cut.jpg").write_bytes(whole.read_bytes()[:300])
    (mine / "Thumbs.db").write_bytes(b"x")
    (new / "cut.png").write_bytes(b"\x89PNG")


@pytest.fixture
def walk(project, tmp_path):
    """Runs a command of README in the project, as a user whose home has the pictures."""
    for file in ("Makefile", "README.md", "requirements.lock"):
        shutil.copy(ROOT / file, project.folder / file)
    home, real = tmp_path / "home", os.environ.get("FLOWERS102_PART")
    lay_out(home, photographs(Path(real), 12) if real else drawn(12))
    if not real:
        file = project.folder / "config/pictures.yaml"
        config = yaml.safe_load(file.read_text())
        config["flowers"]["nets"] = {"efficientnet_lite0": SMALL_NET}
        file.write_text(yaml.safe_dump(config))
    text = (ROOT / "README.md").read_text()

    def run(verb: str, more: str = "", ok: bool = True) -> str:
        (line,) = re.findall(rf"^(make {verb} [A-Z]+=.*?) *(?:#.*)?$", text, re.M)
        # What .venv would bring is on the path already.
        command = line.replace("make ", "make -o .venv/.ready ", 1)
        done = subprocess.run(
            ["bash", "-c", f"{command} {more}"],
            cwd=project.folder,
            env={**os.environ, **project.environment, "HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr[-6000:]
        return done.stdout + done.stderr

    run.home = home
    return run


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file below a folder but Snakemake's own."""
    found = (file for file in folder.rglob("*") if ".snakemake" not in file.parts)
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in found}


@pytest.mark.heavy
@pytest.mark.fault(
    "archives and images",
    "own pictures in folders: one cut off, one class of two, through README's commands",
    "the class is named before anything runs; the picture is left out, and the page names it",
)
def test_from_a_folder_to_an_answer(project, walk, happened):  # noqa: PLR0915
    said = walk("pictures", ok=False)
    assert f"too few pictures of {TINY} (2); a class needs at least 4" in said
    assert "Traceback" not in said
    assert not (project.folder / "data/mine").exists()

    said = walk("pictures", "SMALL=train")
    results = project.folder / "results/mine"
    summary = (results / "pictures.txt").read_text()
    assert summary in said
    assert "Page: results/mine/report.html" in said
    mine = walk.home / "my flowers"
    classes = sorted(folder.name for folder in mine.iterdir() if folder.is_dir())
    assert other_words(results, classes) == {}
    cut = f"{NAMES[0]}/cut.jpg"
    told = (
        f"In training only, too few pictures for three sets, so no figure tells how well they are "
        f"known: {TINY} (2).",
        f"Left out of the data as damaged: 1 image ({cut}).",
        "Files passed over, being no pictures or in no class: 1 .db.",
    )
    for words in ("38 pictures of 4 classes", *told):
        assert words in summary
        assert words in (results / "REPORT.md").read_text()
    happened(" ".join(told))

    run = results / "runs/efficientnet_lite0/seed-1"
    predicted = pd.read_csv(run / "predictions.csv")
    assert set(predicted["true_name"]) == set(classes)
    assert {(mine / file).is_file() for file in predicted["file"]} == {True}
    assert set(predicted.loc[predicted["true_name"] == TINY, "split"]) == {"train"}
    per_class = pd.read_csv(run / "per_class.csv").set_index("name")
    assert per_class.loc[TINY, "n"] == 0
    assert np.isnan(per_class.loc[TINY, "recall"])
    page = (results / "report.html").read_text()
    assert "Your pictures, and the names they get" in page
    assert "Does the report hold" not in page
    card = (run.parent / "model_card.md").read_text()
    assert f"Classes: {', '.join(sorted(classes))}." in card
    assert "the report" not in card

    before = state(project.folder)
    folders = {"flowers": {"folders": str(mine), "on_small": "train"}}
    assert project_plans(project, folders) == {}
    picture = mine / predicted.loc[predicted["split"] == "test", "file"].iloc[0]
    content = picture.read_bytes()
    os.utime(picture, (1, 1))
    assert project_plans(project, folders) == {}
    Image.new("RGB", (50, 50), (1, 2, 3)).save(picture)
    planned = project_plans(project, folders)
    assert {"gather_pictures", "split_images", "features_efficientnet_lite0"} <= planned.keys()
    assert "fetch" not in planned
    picture.write_bytes(content)
    assert project_plans(project, folders) == {}
    assert state(project.folder) == before

    # The test's own pictures, asked about again: the same to the last bit.
    again = predicted[predicted["split"] == "test"].head(5)
    for file in again["file"]:
        shutil.copy(mine / file, walk.home / "new" / file.replace("/", "-"))
    said = walk("predict")
    assert "passed over" in said
    assert "new/cut.png" in said
    answers = pd.read_csv(run / "answers.csv").set_index("file")
    assert len(answers) == len(list((walk.home / "new").iterdir())) - 1
    for row in again.itertuples():
        answer = answers.loc[row.file.replace("/", "-")]
        assert answer["class"] == row.predicted_name
        assert answer["probability"] == row.probability
        assert f"{row.file.replace('/', '-')}: {row.predicted_name}" in said
    with Image.open(run / "answers.png") as sheet:
        assert sheet.width > 1000


def project_plans(project, changes: dict) -> dict[str, int]:
    """Return the jobs that a run with no other configuration would have."""
    file = project.folder / "mine.yaml"
    file.write_text(yaml.safe_dump(changes))
    command = [sys.executable, "-m", "snakemake", "--configfile", str(file), "--cores", "2", "-n"]
    done = subprocess.run(
        command,
        cwd=project.folder,
        env={**os.environ, **project.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    file.unlink()
    text = done.stdout + done.stderr
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", text, re.M | re.S)
    assert table or "Nothing to be done" in text
    return dict(line.split() for line in table[1].splitlines()) if table else {}
