"""The flower images laid out in a folder a set and label, as image tools expect them."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pandas as pd

from repro.system.disk import writing
from repro.system.files import link_or_copy

log = logging.getLogger("repro")


def lay_out(
    images: pd.DataFrame,
    split: pd.DataFrame,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
) -> pd.DataFrame:
    """Build ``{split}/{label}/image_NNNNN.jpg`` (or another ending) under ``target``.

    Images are hard links to those under ``source``, the folder that ``images["file"]`` is relative
    to; where the file system refuses links, copies.

    Returns:
        The manifest: columns id, label, split, file (relative to ``target``), sha256.
    """
    source, target = Path(source), Path(target)
    manifest = split.merge(images[["id", "file", "sha256"]], on="id", validate="one_to_one")
    originals = manifest["file"]
    names = [
        f"image_{number:05d}{Path(file).suffix.lower()}"
        for number, file in zip(manifest["id"], originals, strict=True)
    ]
    manifest["file"] = manifest["split"] + "/" + manifest["label"].astype(str) + "/" + names
    copied = 0
    with writing(target):
        if target.exists():
            shutil.rmtree(target)
        for folder in sorted({str(Path(file).parent) for file in manifest["file"]}):
            (target / folder).mkdir(parents=True)
        for original, file in zip(originals, manifest["file"], strict=True):
            copied += link_or_copy(source / original, target / file)
    if copied:
        log.warning("%d images copied: the file system refuses hard links", copied)
    return manifest[["id", "label", "split", "file", "sha256"]]
