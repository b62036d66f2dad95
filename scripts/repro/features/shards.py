"""Shards of a feature extraction joined into the bytes that one job would have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro.differences import in_words
from repro.errors import UserError, unreadable
from repro.features.store import (
    FeatureFiles,
    blocks_of,
    changed,
    is_count,
    read_manifest,
    save_array,
    write_matrix,
)
from repro.system.files import atomic_path, hash_of, write_json

# What a manifest says of its own rows; all else it says of what they were made of.
_OF_ROWS = ("shard", "rows", "damaged", "features_sha256", "ids_sha256")


def join(parts: Sequence[FeatureFiles], joined: FeatureFiles) -> dict[str, Any]:
    """Write the features of all shards as one store, the bytes that one job would have written.

    Args:
        parts: the shards, all of one extraction, in any order.
        joined: the files to write; each is whole or absent.

    Returns:
        The manifest of the joined store.

    Raises:
        UserError: a shard is missing, damaged, of another extraction, or there twice.
    """
    read = [_read_part(part) for part in parts]
    bound = {key: value for key, value in read[0].items() if key not in _OF_ROWS}
    for part, manifest in zip(parts, read, strict=True):
        _check_same(part, manifest, parts[0], bound)
    ordered = sorted(zip(read, parts, strict=True), key=lambda pair: pair[0]["shard"]["number"])
    _check_whole(ordered, int(bound["images"]))
    rows = sum(manifest["rows"] for manifest, _ in ordered)
    with atomic_path(joined.features) as aside:
        _join_rows([part for _, part in ordered], aside, (rows, int(bound["width"])))
    ids = np.concatenate([np.load(part.ids, allow_pickle=False) for _, part in ordered])
    save_array(joined.ids, ids)
    manifest = {
        **bound,
        "rows": rows,
        "damaged": {k: why for found, _ in ordered for k, why in found["damaged"].items()},
        "features_sha256": hash_of(joined.features),
        "ids_sha256": hash_of(joined.ids),
    }
    write_json(joined.manifest, manifest)
    return manifest


def _read_part(part: FeatureFiles) -> dict[str, Any]:
    """Read a shard's manifest, and hold its files against it."""
    anew = f"delete the folder {part.manifest.parent} and run again"
    manifest = read_manifest(part.manifest, anew)
    shard = manifest.get("shard")
    keys = ("first", "end", "number", "of")
    if not isinstance(shard, dict) or not all(is_count(shard.get(key)) for key in keys):
        raise UserError(
            f"{part.manifest}: not a whole shard of features: its entry shard is damaged; {anew}"
        )
    first, end, number, of = (shard[key] for key in keys)
    rows, damaged = manifest["rows"], len(manifest["damaged"])
    try:
        pairs = {
            part.features: (hash_of(part.features), manifest["features_sha256"]),
            part.ids: (hash_of(part.ids), manifest["ids_sha256"]),
        }
    except OSError as error:
        raise unreadable(part.manifest.parent, "a whole shard of features", anew, error) from error
    for file, (found, wanted) in pairs.items():
        if found != wanted:
            raise UserError(changed(file, anew))
    if rows + damaged != end - first:
        raise UserError(
            f"{part.manifest}: shard {number} of {of} has {rows} images and {damaged} damaged "
            f"ones, expected {end - first}; {anew}"
        )
    return manifest


def _check_same(
    part: FeatureFiles, manifest: Mapping[str, Any], first: FeatureFiles, bound: Mapping[str, Any]
) -> None:
    own = {key: value for key, value in manifest.items() if key not in _OF_ROWS}
    if own != dict(bound):
        raise UserError(
            f"{part.manifest}: made otherwise than {first.manifest} "
            f"({in_words(bound, own, 'here')}). Delete the folder of the one that is out of "
            "date and run again; all need the same settings, versions, code and kind of device"
        )


def _check_whole(ordered: Sequence[tuple[Mapping[str, Any], FeatureFiles]], images: int) -> None:
    """Check that the shards hold each image once, and are those of one count."""
    reached = 0
    for manifest, part in ordered:
        shard = manifest["shard"]
        if shard["of"] != len(ordered):
            raise UserError(
                f"{part.manifest}: shard {shard['number']} of {shard['of']}, but {len(ordered)} "
                f"shards are to be joined; delete the folder {part.manifest.parent} and run again"
            )
        if shard["first"] != reached:
            what = "overlaps the shard before it" if shard["first"] < reached else "leaves a gap"
            raise UserError(
                f"{part.manifest}: shard {shard['number']} of {shard['of']} {what}: it begins at "
                f"image {shard['first']}, expected {reached}; delete the folders of all shards and "
                "run again"
            )
        reached = shard["end"]
    if reached != images:
        raise UserError(
            f"{ordered[-1][1].manifest}: the shards end at image {reached}, expected {images}; "
            "the last one is missing: delete the folders of all shards and run again"
        )


def _join_rows(parts: Sequence[FeatureFiles], file: Path, shape: tuple[int, int]) -> None:
    write_matrix(file, shape, (block for part in parts for _, block in blocks_of(part.features)))
