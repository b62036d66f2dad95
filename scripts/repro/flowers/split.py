"""Which flower image is in which set: drawn as the report did, or as the data set's authors did."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from repro.errors import UserError, own_words
from repro.splits import SPLITS, least

_NAMED = 5  # labels in a message


def check_counts(images: pd.DataFrame, kind: str, validation: float, test: float) -> None:
    """Refuse labels of too few images for three sets.

    Args:
        images: column label.
        kind: as for :func:`split_images`, like ``validation`` and ``test``.
        validation: share of all images for validation.
        test: share of all images for test.

    Raises:
        UserError: naming such labels, how many images each has and how many it needs.
    """
    needed = least(kind, validation, test)
    counts = images["label"].value_counts().sort_index()
    few = counts[counts < needed]
    if few.empty:
        return
    named = ", ".join(f"label {label} has {count}" for label, count in few.head(_NAMED).items())
    raise UserError(
        f"flowers.split: {kind} at these shares needs {needed} images of a label for one in each "
        f"set; {named}{_and_more(len(few))}. Add images of these labels, or leave them out"
    )


def split_images(
    images: pd.DataFrame,
    *,
    kind: str,
    validation: float,
    test: float,
    seed: int,
    official: dict[str, NDArray[np.int64]] | None = None,
) -> pd.DataFrame:
    """Assign every image to train, validation or test.

    Args:
        images: columns id, label and, where the sets of some images are given, split: they are not
            drawn.
        kind: "stratified" keeps each label's share in every set; "random" does not look at labels
            (what the report's notebook did in effect); "official" is the data set's own split.
        validation: share of all images for validation (not used by "official").
        test: share of all images for test (not used by "official").
        seed: of the two draws (not used by "official").
        official: the ids of :func:`repro.flowers.labels.read_official_split`.

    Returns:
        Columns id, label, split; by id.

    Raises:
        UserError: a label has too few images for the shares asked for, or none in some set; or
            ``setid.mat`` does not cover the images.
    """
    where = images.get("split", pd.Series("", images.index)).fillna("").astype(object)
    rest = images[where == ""].reset_index(drop=True)
    if len(rest):
        check_counts(rest, kind, validation, test)
        if kind == "official":
            drawn = _official(rest, official or {})
        else:
            drawn = _drawn(rest, kind == "stratified", validation, test, seed)
        where[where == ""] = drawn.to_numpy()
        _check_sets(rest.assign(split=drawn), kind)
    table = pd.DataFrame({"id": images["id"], "label": images["label"], "split": where})
    return table.sort_values("id", ignore_index=True)


def _check_sets(table: pd.DataFrame, kind: str) -> None:
    """Refuse a split in which a set holds no image of a label: no figure of it would be one."""
    counts = pd.crosstab(table["label"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    empty = counts.stack()
    empty = empty[empty == 0]
    if empty.empty:
        return
    named = ", ".join(
        f"label {label} has none of its {counts.loc[label].sum()} images in {split}"
        for label, split in empty.index[:_NAMED]
    )
    raise UserError(
        f"flowers.split: {kind}: {named}{_and_more(len(empty))}. Add images of these labels, or "
        "set flowers.split.kind: stratified"
    )


def _and_more(count: int) -> str:
    return f", and {count - _NAMED} more" if count > _NAMED else ""


def _official(images: pd.DataFrame, official: dict[str, NDArray[np.int64]]) -> pd.Series:
    split_of = {number: split for split, ids in official.items() for number in ids}
    where = images["id"].map(split_of)
    if where.isna().any():
        raise UserError(
            f"setid.mat: {int(where.isna().sum())} of {len(images)} images stand in no set, the "
            f"first is image {images.loc[where.isna(), 'id'].iloc[0]}, so it is of another set of "
            "images. Delete it and run again to fetch it, or set flowers.split.kind: stratified in "
            "the configuration, which needs none"
        )
    return where


def _drawn(
    images: pd.DataFrame, stratified: bool, validation: float, test: float, seed: int
) -> pd.Series:
    rows = np.arange(len(images))
    labels = images["label"].to_numpy()
    # As the report: 75/25 first, then the larger part again, so the test set comes from the first
    # draw and validation from the second.
    try:
        rest, test_rows = train_test_split(
            rows, test_size=test, random_state=seed, stratify=labels if stratified else None
        )
        _, validation_rows = train_test_split(
            rest,
            test_size=math.ceil(validation * len(rows)),
            random_state=seed,
            stratify=labels[rest] if stratified else None,
        )
    except ValueError as error:
        raise UserError(
            f"flowers.split: {len(images)} images are too few for these shares; add images, or set "
            f"others ({own_words(error)})"
        ) from error
    where = pd.Series("train", index=images.index, dtype=object)
    where.iloc[validation_rows] = "validation"
    where.iloc[test_rows] = "test"
    return where
