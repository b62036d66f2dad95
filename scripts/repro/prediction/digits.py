"""Any grey picture of a digit in the form of MNIST, and what a net trained on MNIST says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open

from repro.errors import unreadable
from repro.flowers.decode import UnfitError, rgb, why_damaged
from repro.mnist.images import PIXELS, scale_pixels
from repro.mnist.numpy_trainer import FastMlp
from repro.mnist.recipe import MlpRecipe
from repro.mnist.torch_trainer import initial_net, scores_of
from repro.mnist.training import SCALED_AT_ONCE

Forward = Callable[[NDArray[np.uint8]], NDArray[Any]]

SIDE = 28
_BOX = 20  # the side of the square that MNIST's digits fill
_INK = 0.2  # of the darkest, from which on a pixel belongs to the digit
_PAPER = 127  # a border above it is paper, and what is darker is ink


def read_digit(file: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return a picture as MNIST's are: uint8, shape (28, 28), the digit light on black.

    One of 28 by 28 pixels is taken as it is, but for its polarity. Of any other, what stands out
    from the border is the digit: scaled to 20 by 20 pixels and centred by its mass, as MNIST's are.

    Raises:
        Exception: Pillow's readers raise errors of many kinds on damaged bytes.
        ValueError: nothing stands out from the border.
    """
    with Image.open(file) as opened:
        grey = np.asarray(rgb(opened).convert("L"))
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > _PAPER:
        grey, border = 255 - grey, 255 - border
    if grey.shape == (SIDE, SIDE):
        return np.array(grey)
    ink = np.clip(grey.astype(np.float64) - np.median(border), 0, None)
    if not ink.max():
        raise UnfitError("nothing stands out from its border")
    ink *= 255 / ink.max()
    rows, columns = (np.flatnonzero((ink > _INK * 255).any(axis=axis)) for axis in (1, 0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    image = Image.fromarray(np.rint(digit).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    )
    return _centred(np.asarray(image))


def read_all(files: Sequence[Path]) -> tuple[dict[int, NDArray[np.uint8]], dict[int, str]]:
    """Read every picture; return those that can be read, and what is wrong with the others."""
    found: dict[int, NDArray[np.uint8]] = {}
    damaged: dict[int, str] = {}
    for row, file in enumerate(files):
        try:
            found[row] = read_digit(file)
        except Exception as error:  # Pillow's readers raise errors of many kinds on damaged bytes
            damaged[row] = why_damaged(error)
    return found, damaged


def _centred(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a digit so that its centre of mass is in the middle, as far as it stays inside."""
    height, width = digit.shape
    mass = digit.astype(np.float64)
    y = (mass.sum(axis=1) * np.arange(height)).sum() / mass.sum()
    x = (mass.sum(axis=0) * np.arange(width)).sum() / mass.sum()
    top = int(np.clip(round(SIDE / 2 - 0.5 - y), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - 0.5 - x), 0, SIDE - width))
    whole = np.zeros((SIDE, SIDE), np.uint8)
    whole[top : top + height, left : left + width] = digit
    return whole


def scores(model: Path, digits: NDArray[np.uint8]) -> tuple[NDArray[Any], str]:
    """Return a net's outputs for digits (n, 784), shape (n, 10), and what they are.

    The bits are those of the training's own predictions: as many images go through at once.

    Raises:
        UserError: the file is no net that was trained here.
    """
    try:
        forward, kind = _of_numpy(model) if model.suffix == ".npz" else _of_torch(model)
    except Exception as error:  # a damaged file raises errors of many kinds
        raise unreadable(
            model, "a trained net", "delete it and run again to train it", error
        ) from error
    found = []
    for start in range(0, len(digits), SCALED_AT_ONCE):
        some = digits[start : start + SCALED_AT_ONCE]
        block = np.zeros((SCALED_AT_ONCE, PIXELS), np.uint8)
        block[: len(some)] = some
        found.append(forward(block)[: len(some)])
    return np.concatenate(found or [forward(np.zeros((1, PIXELS), np.uint8))[:0]]), kind


def _of_numpy(model: Path) -> tuple[Forward, str]:
    net = FastMlp.load(model)
    return lambda pixels: net.predict(scale_pixels(pixels, net.dtype)), net.kinds["output"]


def _of_torch(model: Path) -> tuple[Forward, str]:
    with safe_open(model, framework="pt") as file:
        kinds = json.loads(file.metadata()["net"])
        state = {name: file.get_tensor(name) for name in sorted(file.keys())}
    weights = [state[name] for name in sorted(state, key=_layer) if name.endswith("weight")]
    dtype = str(weights[0].dtype).removeprefix("torch.")
    hidden = [len(weight) for weight in weights[:-1]]
    recipe = MlpRecipe(hidden=hidden, learning_rate=0, batch_size=1, epochs=1, dtype=dtype, **kinds)
    net = initial_net(recipe, PIXELS, torch.Generator())
    net.load_state_dict(state)
    return lambda pixels: scores_of(net, pixels, dtype), kinds["output"]


def _layer(name: str) -> int:
    return int(name.partition(".")[0])
