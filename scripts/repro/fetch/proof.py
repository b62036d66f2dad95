"""The proof of a file: what is known of its bytes, held against what lies there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import UserError, unreadable
from repro.system.files import hash_of

_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


@dataclass(frozen=True)
class Proof:
    """What is known of a file's bytes: its size in bytes and its hashes, lower-case hex."""

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    sha256_prefix: str | None = None

    def mismatch(self, path: str | os.PathLike[str]) -> str | None:
        """Say in what the file at ``path`` differs from this proof; None where it does not.

        Raises:
            OSError: where the file cannot be read.
        """
        found_size = Path(path).stat().st_size
        if self.size is not None and found_size != self.size:
            return f"{found_size:,} bytes, expected {self.size:,}{_looks_like_page(path)}"
        for key, expected in self._hashes().items():
            found = hash_of(path, key.removesuffix("_prefix"))
            if not found.startswith(expected):
                return f"{key} of {found}, expected {expected}{_looks_like_page(path)}"
        return None

    def _hashes(self) -> dict[str, str]:
        stated = {key: getattr(self, key) for key in ("sha256", "md5", "sha256_prefix")}
        return {key: value for key, value in stated.items() if value}

    def __str__(self) -> str:
        size = [] if self.size is None else [f"{self.size:,} bytes"]
        begins = {"sha256_prefix": "sha256 beginning"}
        hashes = [f"{begins.get(key, key)} {value}" for key, value in self._hashes().items()]
        return ", ".join(size + hashes)


def _looks_like_page(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as stream:
        return " (it is a web page)" if _PAGE.match(stream.read(200)) else ""


def prove(proofs: Mapping[str, Mapping[str, Any]], files: Iterable[str] = ()) -> None:
    """Prove files that may have been put in place by hand.

    Args:
        proofs: for each path the fields of its :class:`Proof`.
        files: where a job finds its files. A copy out of a bucket has a path that ends in the one
            its proof goes by.

    Raises:
        UserError: naming the first file that is missing or not what it should be.
    """
    found = list(files)
    for name, fields in proofs.items():
        path = next((file for file in found if f"/{file}".endswith(f"/{name}")), name)
        try:
            problem = Proof(**fields).mismatch(path)
        except OSError as error:
            way_out = "run again to fetch it, or put the right file there"
            raise unreadable(path, "the right file", way_out, error) from error
        if problem:
            raise UserError(
                f"{path}: not the right file: {problem}; delete it and run again to fetch it"
            )
