"""Splits of the flowers: each image in one set, each label in each, or refused by name."""

import math
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.flowers.split import check_counts, split_images
from repro.splits import SPLITS
from support import drawn_twice


def table_of(labels, per_label):
    ids = np.arange(1, labels * per_label + 1)
    return pd.DataFrame({"id": ids, "label": np.repeat(np.arange(1, labels + 1), per_label)})


@given(
    st.integers(2, 12),
    st.integers(8, 40),
    st.integers(0, 2**31),
    st.booleans(),
    st.sampled_from([(0.25, 0.25), (0.2, 0.15), (0.15, 0.3)]),
)
@settings(deadline=None, max_examples=50)
def test_drawn_splits_cover_each_image_once(labels, per_label, seed, stratified, shares):
    # So many that a random draw passes over no label.
    per_label *= 1 if stratified else 10
    images = table_of(labels, per_label)
    # In no order, so that neither an id nor a label is told by its place.
    images = images.assign(id=3 * images["id"]).sample(frac=1, random_state=0, ignore_index=True)
    kind = "stratified" if stratified else "random"
    validation, test = shares
    split = split_images(images, kind=kind, validation=validation, test=test, seed=seed)
    assert split[["id", "label"]].equals(images.sort_values("id", ignore_index=True))
    expected = {"validation": math.ceil(validation * len(images))}
    expected["test"] = math.ceil(test * len(images))
    drawn = drawn_twice(
        images["label"].to_numpy(),
        **expected,
        seed=seed,
        stratified=stratified,
    )
    for name, places in zip(SPLITS, drawn, strict=True):
        assert set(split.loc[split["split"] == name, "id"]) == set(images["id"].iloc[places])
    sizes = split["split"].value_counts()
    assert sizes.drop("train").to_dict() == expected
    if stratified:
        share = split[split["split"] == "test"].groupby("label").size()
        assert (share - per_label * test).abs().max() < 1


def test_official_size_of_the_reports_split():
    images = pd.DataFrame({"id": np.arange(1, 8190), "label": np.arange(8189) % 102 + 1})
    sizes = split_images(images, kind="random", validation=0.25, test=0.25, seed=1)
    counts = sizes["split"].value_counts().to_dict()
    assert counts == {"train": 4093, "test": 2048, "validation": 2048}


def labelled(*counts):
    """Return a table of so many images of label 1, 2 and so on."""
    labels = np.repeat(np.arange(1, len(counts) + 1), counts)
    return pd.DataFrame({"id": np.arange(1, len(labels) + 1), "label": labels})


@pytest.mark.fault(
    "labels and splits",
    "a label of too few images for three sets",
    "refused by name before anything is computed, with how many it needs",
)
@pytest.mark.parametrize(
    ("kind", "shares", "least"),
    [
        ("stratified", (0.25, 0.25), 4),
        ("stratified", (0.1, 0.3), 10),
        ("stratified", (0.45, 0.45), 10),
        ("random", (0.25, 0.25), 3),
        ("official", (0.25, 0.25), 3),
    ],
)
def test_a_label_of_too_few_images_is_refused_by_name(kind, shares, least):
    check_counts(labelled(40, least), kind, *shares)
    few = labelled(40, 2, 40, least - 1, 1, 1, 1, 1)
    with pytest.raises(UserError, match=f"needs {least} images of a label") as caught:
        check_counts(few, kind, *shares)
    assert (
        f"label 2 has 2, label 4 has {least - 1}, label 5 has 1, label 6 has 1, label 7 has 1, "
        "and 1 more. Add images of these labels, or leave them out"
    ) in str(caught.value)
    as_many_as_are_named = labelled(40, 2, 40, 1, 1, 1, 1)
    with pytest.raises(UserError, match=r"label 7 has 1\. Add images"):
        check_counts(as_many_as_are_named, kind, *shares)
    with pytest.raises(UserError, match="label 2 has 2"):
        split_images(few, kind=kind, validation=shares[0], test=shares[1], seed=1)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=20),
    st.sampled_from([(0.25, 0.25), (0.2, 0.2), (0.1, 0.1), (0.15, 0.3)]),
    st.integers(0, 2**31),
)
def test_a_stratified_split_of_so_many_images_has_every_label_in_every_set(more, shares, seed):
    least = int(np.ceil(1 / min(shares)))
    images = labelled(*(least + extra for extra in more))
    split = split_images(images, kind="stratified", validation=shares[0], test=shares[1], seed=seed)
    assert (pd.crosstab(split["label"], split["split"]) > 0).all(axis=None)


@pytest.mark.fault(
    "labels and splits",
    "a draw that looks at no labels leaves a set without images of one",
    "refused by name, with the way out",
)
def test_a_random_split_without_images_of_a_label_is_refused(happened):
    images = labelled(40, 3)
    refused = 0
    for seed in range(20):
        try:
            split = split_images(images, kind="random", validation=0.25, test=0.25, seed=seed)
        except UserError as error:
            assert "random: label 2 has none of its 3 images in" in str(error)
            assert "set flowers.split.kind: stratified" in str(error)
            refused += 1
        else:
            assert set(split.loc[split["label"] == 2, "split"]) == set(SPLITS)
    assert 0 < refused < 20
    happened(f"{refused} of 20 draws refused by name; in the others every set has one")


@pytest.mark.fault(
    "labels and splits", "an official split with a set without images of a label", "refused by name"
)
def test_an_official_split_without_images_of_a_label_is_refused():
    sets = {"train": np.array([1, 2, 4]), "validation": np.array([3]), "test": np.array([5, 6])}
    with pytest.raises(UserError, match="official: label 1 has none of its 3 images in test") as e:
        split_images(labelled(3, 3), kind="official", validation=0, test=0, seed=0, official=sets)
    assert "label 2 has none of its 3 images in validation" in str(e.value)


@pytest.mark.fault("labels and splits", "an official split that leaves an image out", "named")
def test_official_split_must_cover_the_images():
    images = table_of(1, 6).iloc[::-1].reset_index(drop=True)
    sets = {"train": np.array([1, 2]), "validation": np.array([3]), "test": np.array([4, 5, 6])}
    split = split_images(images, kind="official", validation=0, test=0, seed=0, official=sets)
    assert split["id"].tolist() == [1, 2, 3, 4, 5, 6]
    assert split["split"].tolist() == ["train"] * 2 + ["validation"] + ["test"] * 3
    with pytest.raises(UserError, match="image 6"):
        split_images(
            images,
            kind="official",
            validation=0,
            test=0,
            seed=0,
            official={**sets, "test": np.array([4, 5])},
        )


class TestGivenSets:
    """Sets that are given, as by folders train/, validation/ and test/."""

    KNOBS = types.MappingProxyType(
        {"kind": "stratified", "validation": 0.25, "test": 0.25, "seed": 1}
    )

    def test_all_of_them(self):
        sets = ["test", "train", "validation"] * 2
        images = pd.DataFrame({"id": range(1, 7), "label": [1] * 3 + [2] * 3, "split": sets})
        assert split_images(images, **self.KNOBS)["split"].tolist() == sets

    def test_a_small_class_is_trained_on_and_the_others_are_drawn_without_it(self):
        labels = [1] * 8 + [3] * 2 + [2] * 8
        images = pd.DataFrame({"id": range(1, 19), "label": labels})
        images["split"] = np.where(images["label"] == 3, "train", None)
        table = split_images(images, **self.KNOBS)
        assert table.loc[table["label"] == 3, "split"].tolist() == ["train", "train"]
        others = images[images["label"] != 3].drop(columns="split")
        drawn = split_images(others, **self.KNOBS)
        assert table[table["label"] != 3].to_numpy().tolist() == drawn.to_numpy().tolist()
