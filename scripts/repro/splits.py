"""The three sets of every data set, in the order in which files list them."""

import math

SPLITS = ("train", "validation", "test")


def least(kind: str, validation: float, test: float) -> int:
    """Return how many images a class needs so that each set can get one of it.

    Args:
        kind: "stratified", where the shares are those of every class, or another.
        validation: its share of all images.
        test: the same.
    """
    if kind != "stratified":
        return len(SPLITS)
    # Rounded, because what is left of 1 may be a hair less than it should be.
    shares = math.ceil(round(1 / min(validation, test, 1 - validation - test), 6))
    return max(len(SPLITS), shares)
