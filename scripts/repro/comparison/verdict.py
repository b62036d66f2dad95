"""What can be said of a figure or a claim of the report, and why nothing can be said of a figure.

Each is a text as tables have it; a page shows it by its kind, and says what it means.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Said(StrEnum):
    """A text with its kind, which is a class of page.css, and its meaning; either may be empty."""

    kind: str
    meaning: str

    def __new__(cls, text: str, kind: str = "", meaning: str = "") -> Self:
        said = str.__new__(cls, text)
        said._value_ = text
        said.kind, said.meaning = kind, meaning
        return said


class Verdict(_Said):
    """On a figure, from the best to the least; :func:`repro.comparison.compare.judge` decides."""

    TO_THE_DIGIT = (
        "to the digit",
        "exact",
        "the way the figure was made is known whole and leaves nothing to chance, and every digit "
        "that the report prints comes out.",
    )
    AGREES = (
        "agrees",
        "within",
        "the difference is no larger than chance makes it from one run to the next, and chance "
        "makes less than would matter.",
    )
    CANNOT_TELL = (
        "cannot tell",
        "unsure",
        "the difference is no larger than chance makes it, but chance could hide one that matters; "
        "or how far runs differ is not known: one run was made, or all of them on one split where "
        "the report's is another.",
    )
    TOO_LITTLE = (
        "differs, too little to matter",
        "small",
        "chance does not explain the difference, but it is smaller than what would matter.",
    )
    HIGHER = (
        "differs: higher",
        "differs",
        "chance does not explain the difference, and it is large enough to matter; the figure here "
        "is the higher one.",
    )
    LOWER = (
        "differs: lower",
        "differs",
        "chance does not explain the difference, and it is large enough to matter; the figure here "
        "is the lower one.",
    )
    BY_PROTOCOL = (
        "by another protocol",
        "open",
        "the figure stands beside the report's with its difference, but is of another experiment.",
    )
    NOT_COMPARABLE = (
        "not comparable here",
        "open",
        "the figure comes from other data, or from another net, recipe or split than the report's; "
        "below it stands what differs.",
    )
    NOT_RUN = "not run", "open", "this run did not train the model."


class ClaimVerdict(_Said):
    """On a claim in words, from the best to the least."""

    HOLDS = "holds", "exact"
    IN_PART = "holds in part", "part"
    FAILS = "does not hold", "fails"
    CANNOT = "cannot be judged", "open"


class WhyNot(_Said):
    """Why a model's figures say nothing about the report's, apart from what was changed in it."""

    REHEARSAL = (
        "rehearsal",
        "",
        "A rehearsal: photographs are drawn by a script, and weights of backbones are random. "
        "The figures show that the run goes through; they are held against nothing.",
    )
    GENERATED = (
        "generated data",
        "",
        "Its images are drawn by a script. The figures show that the way from image to figure "
        "works; they say nothing about photographs, nor about the report.",
    )
    OTHER_DATA = (
        "other data",
        "",
        "It was trained on other images than the report's, so its figures cannot be held against "
        "the report's.",
    )
    RANDOM = (
        "random weights",
        "",
        "The backbone's weights are random, not pretrained; its figures cannot be held against the "
        "report's.",
    )
    NOT_THERE = "not in the report"
