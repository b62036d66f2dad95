"""A word for manifests, cards and pages."""

from enum import StrEnum


class Loaded(StrEnum):
    """How a backbone's weights came to its layers."""

    BY_NAME = "by name"
    BY_ORDER = "by order"
    RANDOM = "none: random weights"
