"""Images laid out by set and label."""

import os

import pandas as pd
import pytest

from repro.flowers.folders import lay_out


@pytest.mark.parametrize("links", [True, False])
def test_folders_use_the_disk_once(tmp_path, monkeypatch, links):
    if not links:

        def refuse(source, target):
            raise OSError("Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    names = [f"images/image_{number:05d}.jpg" for number in (1, 2, 3, 4)]
    files = [tmp_path / name for name in names]
    files[0].parent.mkdir()
    for file in files:
        file.write_text(f"content of {file.name}")
    images = pd.DataFrame({"id": [1, 2, 3, 4], "file": names, "sha256": list("abcd")})
    split = pd.DataFrame(
        {"id": [1, 2, 3, 4], "label": [1, 1, 10, 10], "split": ["train", "test", "train", "test"]}
    )
    manifest = lay_out(images[::-1], split, tmp_path, tmp_path / "folders")
    assert manifest["file"].tolist()[2] == "train/10/image_00003.jpg"
    assert manifest["sha256"].tolist() == list("abcd")
    assert manifest[["id", "label", "split"]].equals(split)
    for file, name in zip(files, manifest["file"], strict=True):
        laid = tmp_path / "folders" / name
        assert laid.read_bytes() == file.read_bytes()
        assert (laid.stat().st_ino == file.stat().st_ino) is links
    lay_out(images, split, tmp_path, tmp_path / "folders")  # again over itself
