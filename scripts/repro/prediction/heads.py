"""What a head says of pictures: its backbone's features of them, and its own scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.errors import UserError
from repro.features.backbones import Backbone
from repro.features.extraction import computed
from repro.features.forward import Forward
from repro.flowers.images import ImageRef
from repro.heads.training import head_of, read_state, scores_of

logger = logging.getLogger("repro")

_FROZEN = "frozen"
# What a net's file says it was trained with, which must be so again; and in words.
_MUST_BE = {
    "architecture": "architecture",
    "weights_sha256": "weights (sha256)",
    "preprocess": "preprocessing",
}


@dataclass(frozen=True)
class Head:
    """A trained head, and what its file says of it: :func:`repro.heads.training.about`."""

    state: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        """The classes' names, or their labels where they have none."""
        return list(map(str, self.about["names"] or self.about["classes"]))


def load(model: Path) -> Head:
    """Read a trained head.

    Raises:
        UserError: the file is damaged, was written before nets said what they need, or its
            backbone is not as its weights' file has it (protocols adapted and notebook).
    """
    state, said = read_state(model)
    protocol = said["protocol"]["name"] if said else ""
    if protocol != _FROZEN:
        why = (
            f"is of the protocol {protocol}, whose backbone is not kept"
            if protocol
            else "does not say what it was made with"
        )
        raise UserError(f"{model}: {why}; train a net of the protocol frozen to predict with it")
    return Head(state, said)


def check(head: Head, backbone: Backbone, model: Path) -> None:
    """Check that a backbone is the one the head was trained on.

    Raises:
        UserError: it has another architecture, other weights or another transform.
    """
    found = {**backbone.as_dict(), "preprocess": backbone.preprocess.as_dict()}
    for key, word in _MUST_BE.items():
        if found[key] != head.about[key]:
            raise UserError(
                f"{model}: was trained with the {word} {head.about[key]}, and here it is "
                f"{found[key]}; ask it with the configuration it was trained with"
            )
    now = {package: version(package) for package in head.about["versions"]}
    if other := [name for name, known in head.about["versions"].items() if now[name] != known]:
        logger.warning(
            "trained with other versions of %s: last digits may differ", ", ".join(other)
        )


def scores(
    head: Head, backbone: Backbone, images: Sequence[ImageRef], device: torch.device, workers: int
) -> tuple[list[int], NDArray[np.float32], dict[int, str]]:
    """Return which images could be read, their scores (n, k), and what is wrong with the others.

    The bits are those of the training's own predictions, on a device of the same kind.
    """
    forward = Forward(backbone.module, backbone.preprocess, device)
    size = int(head.about["batch_size"])
    starts = range(0, len(images), size)
    rows: list[int] = []
    features: list[Tensor] = []
    damaged: dict[int, str] = {}
    for batch, found in computed(forward, images, backbone.preprocess, starts, workers):
        rows += batch.rows
        features.append(found)
        damaged |= {row: str(error) for row, error in batch.damaged.items()}
    x = torch.cat(features).to(device) if features else torch.empty(0, backbone.width)
    return rows, scores_of(head_of(head.state).to(device), x).cpu().numpy(), damaged
