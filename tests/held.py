"""A run's files held against what the oracle finds, number by number.

Where the arithmetic is the same, numbers are the same; else they may differ by what is named in
SAME, FLOAT32 and FUSED. A history's accuracies are given nothing: they differ only where an image's
two best scores tie. From a run's predictions on, numbers are computed from the file's own scores.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

# How far apart two numbers may be, as a share of the largest in the same column or array.
SAME = 1e-9  # the same arithmetic in another order, in float64
FLOAT32 = 1e-3  # a training in float32, whose kernels add up in another order
FUSED = 1e-4  # features by layers that are fused


class Held:
    """Reads the files of a run and keeps a list of what differs from what the oracle found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[str] = set()
        self.content: dict[str, Any] = {}
        self.differences: list[str] = []

    def read(self, path: str) -> Any:
        self.seen.add(path)
        file = self.folder / path
        if path.endswith(".csv"):
            return pd.read_csv(file, keep_default_na=True)
        if path.endswith(".safetensors"):
            return {name: tensor.numpy() for name, tensor in load_file(file).items()}
        if path.endswith(".json"):
            return json.loads(file.read_text())
        if path.endswith(".npz"):
            with np.load(file) as arrays:
                return dict(arrays)
        return np.load(file)

    def table(self, path: str) -> pd.DataFrame:
        """Return a table that was held before, or is read for what it says of times."""
        return self.content[path] if path in self.content else self.read(path)

    def text(self, path: str) -> str:
        self.seen.add(path)
        return (self.folder / path).read_text()

    def digest(self, path: str) -> str:
        return hashlib.sha256((self.folder / path).read_bytes()).hexdigest()

    def drawn(self, path: str) -> dict:
        """Return what a figure draws; its two files are held by that."""
        self.seen |= {f"results/figures/{path}.{suffix}" for suffix in ("png", "svg")}
        return json.loads((self.folder / f"drawn/{path}.json").read_text())

    def write(self, path: str, made: Any) -> Any:
        """Hold a file against what the oracle made of it; return the file's own content."""
        if path.endswith("/model"):
            path += ".npz" if "/numpy_" in path else ".safetensors"
        if path.endswith(".md"):
            self.sentences(path, made)
            return made
        found = self.read(path)
        self.content[path] = found
        if path == "results/claims.csv":
            found = with_numbers(found)
        tolerance = tolerance_of(path)
        if isinstance(made, pd.DataFrame):
            self.tables(path, found, made, tolerance)
        elif isinstance(made, dict):
            self.same(path, "names", sorted(found), sorted(made))
            for name in sorted({*found} & {*made}):
                self.arrays(f"{path}: {name}", found[name], made[name], tolerance)
        else:
            self.arrays(path, found, made, tolerance)
        return torch.tensor(found) if isinstance(made, torch.Tensor) else found

    def tables(self, path: str, found: pd.DataFrame, made: pd.DataFrame, tolerance: float) -> None:
        self.same(path, "columns", sorted(found), sorted(made))
        self.same(path, "number of rows", len(found), len(made))
        for column in [column for column in made if column in found and len(found) == len(made)]:
            if column == "numbers":
                for row in range(len(made)):
                    what = f"{path}: claim {found['claim'].iloc[row]}, evidence"
                    self.printed(what, found[column].iloc[row], made[column].iloc[row])
                continue
            exact = column == "accuracy" and path.endswith("history.csv")
            self.arrays(f"{path}: {column}", found[column], made[column], 0 if exact else tolerance)

    def arrays(self, what: str, found: Any, made: Any, tolerance: float) -> None:
        """Compare numbers within a share of the largest of them, all else for being the same."""
        found, made = np.asarray(found), np.asarray(made)
        if found.shape != made.shape:
            self.same(what, "shape", found.shape, made.shape)
            return
        if made.dtype.kind == "f" or found.dtype.kind == "f":
            found, made = found.astype(float), made.astype(float)
            scale = np.nanmax(np.abs(made), initial=1e-300)
            same = np.isclose(
                found, made, rtol=0, atol=max(tolerance, 1e-12) * scale, equal_nan=True
            )
        else:
            found, made = (pd.Series(each.ravel()).fillna("").to_numpy() for each in (found, made))
            same = np.asarray(found == made)
        wrong = np.argwhere(~same)
        if len(wrong):
            place = tuple(wrong[0])
            where = f"row {place[0]}" if len(place) == 1 else f"place {[*map(int, place)]}"
            rest = f" (and {len(wrong) - 1} more of {same.size})" if len(wrong) > 1 else ""
            self.differ(what, where, found[place], f"{made[place]}{rest}")

    def close(self, what: str, found: Any, made: Any) -> None:
        """Compare lists of numbers and texts, numbers to twelve digits."""
        if not alike(found, made):
            place = next(
                (i for i, (a, b) in enumerate(zip(found, made, strict=False)) if not alike(a, b)),
                min(len(found), len(made)),
            )
            self.differ(what, f"entry {place}", found[place : place + 1], made[place : place + 1])

    def printed(self, what: str, found: str, made: Sequence[float]) -> None:
        """Hold the numbers of a text against what they are, rounded to the digits they have."""
        numbers = NUMBER.findall(found)
        self.same(what, "count of numbers", len(numbers), len(made))
        for place, (text, number) in enumerate(zip(numbers, made, strict=False)):
            digits = len(text.partition(".")[2])
            near = 0.5000001 * 10.0**-digits if "e" not in text else abs(number) / 10
            if not abs(float(text) - number) <= near:
                self.differ(what, f"number {place + 1} of {found!r}", text, number)

    def sentences(self, path: str, made: Sequence[Sequence[float]]) -> None:
        """Hold the numbers of the sentences that a page begins with."""
        said = self.text(path).partition("\n\n")[0].splitlines()
        for place, numbers in enumerate(made):
            self.printed(f"{path}: sentence {place + 1}", said[place], numbers)

    def same(self, what: str, where: str, found: Any, made: Any) -> None:
        if found != made:
            self.differ(what, where, found, made)

    def differ(self, what: str, where: str, found: Any, made: Any) -> None:
        self.differences.append(f"{what}, {where}: found {found}, expected {made}")


def alike(found: Any, made: Any) -> bool:
    if isinstance(made, list | tuple):
        return len(found) == len(made) and all(map(alike, found, made))
    if isinstance(made, float):
        return bool(np.isclose(found, made, rtol=1e-9, atol=1e-12))
    return bool(found == made)


NUMBER = re.compile(r"(?<![\w-])[-+]?\d+(?:\.\d+)?(?:e-?\d+)?")


def with_numbers(claims: pd.DataFrame) -> pd.DataFrame:
    """Put the texts that carry a verdict, whatever their words, in place of all but the verdict."""
    texts = claims["evidence"].fillna("") + claims["needs"].fillna("")
    return claims[["claim", "verdict", "protocol"]].assign(numbers=texts)


def tolerance_of(path: str) -> float:
    if path.endswith("features.npy"):
        return FUSED
    trained = path.endswith(("history.csv", "predictions.npz", "model.safetensors"))
    return FLOAT32 if trained and "/numpy_" not in path else SAME
