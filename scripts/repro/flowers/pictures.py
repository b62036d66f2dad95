"""Pictures of one's own: in a folder a class, in three sets already, or named by a table.

Nothing is renamed or copied. What is found is a list of files with a class each, and perhaps a set;
:func:`fingerprint` tells whether anything in them has changed; :mod:`repro.flowers.gather` opens
them. This is read whenever a run is planned, so it opens none and needs nothing but Python.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import UserError, unreadable
from repro.flowers.csv_files import read_table
from repro.splits import SPLITS, least
from repro.system.files import hash_of

# Of the formats that Pillow reads, those that pictures are kept in.
SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"),
        *(".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".sgi", ".tga", ".tif"),
        *(".tiff", ".webp"),
    )
)
SETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid"), "validation"),
    "test": "test",
}
HIDDEN, LOOSE, NO_SUFFIX = "hidden", "outside a class's folder", "without an ending"
NO_FILE = "a pipe or a link to what is gone"
ON_SMALL = ("stop", "skip", "train")
SEEN_COLUMNS = ("file", "size", "time", "sha256")

_NAMED = 5  # in a message


@dataclass(frozen=True)
class Picture:
    """A file that is taken for a picture.

    Attributes:
        name: its path below the folder, with /, as people are told it.
        file: where it is.
        kind: the name of its class.
        set: "train", "validation" or "test" where its place or the table says so; else "".
    """

    name: str
    file: Path
    kind: str
    set: str = ""


@dataclass(frozen=True)
class Found:
    """What lies in a folder: pictures by class and name, and how much was passed over, by ending.

    Attributes:
        pictures: by class, then by name.
        passed_over: number of files that are not taken, by ending or by what they are.
    """

    pictures: list[Picture]
    passed_over: Mapping[str, int]

    @property
    def kinds(self) -> list[str]:
        """The classes' names; a class's label is its place here, from 1."""
        return list(dict.fromkeys(picture.kind for picture in self.pictures))


def find(folders: str | None, table: str | None) -> Found:
    """Return the pictures of a folder, or those that a table names.

    Args:
        folders: a folder with a folder a class, or with such folders in train/, validation/ (or
            val/, valid/) and test/; with a table, what its files are relative to.
        table: a CSV of file, class and, if wanted, split; None for the folders' own names.

    Raises:
        UserError: the folder or table is not that.
    """
    found = _in_table(_at(table), folders) if table else _in_folders(_at(str(folders)))
    if len(found.kinds) < 2:
        raise UserError(
            f"{table or folders}: holds pictures of {len(found.kinds)} "
            f"class{'' if len(found.kinds) == 1 else 'es'}; at least 2 are needed. Put the "
            f"pictures of each class into a folder of its name: CLASS/any picture. "
            f"{passed_over(found.passed_over)}".rstrip()
        )
    return found


def passed_over(counts: Mapping[str, int]) -> str:
    """Say how many files were passed over, or nothing."""
    total = sum(counts.values())
    each = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
    files = "file was" if total == 1 else "files were"
    return f"{total:,} {files} passed over: {each}." if total else ""


def _at(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111  not through links


def _in_folders(root: Path) -> Found:
    if not root.is_dir():
        raise UserError(
            f"{root}: there is no such folder; name that of your pictures under flowers.folders"
        )
    counts: Counter[str] = Counter()
    names = sorted(_walk(root, counts))
    tops = {name.partition("/")[0] for name in names if "/" in name}
    sets = {top: SETS.get(top.casefold(), "") for top in tops}
    split = bool(tops) and all(sets.values()) and all(name.count("/") > 1 for name in names)
    if split and (absent := set(SPLITS) - set(sets.values())):
        raise UserError(
            f"{root}: is laid out in sets, but has no {' and no '.join(sorted(absent))}/; make it, "
            "or put the pictures of all sets together by class, and they are drawn"
        )
    pictures = []
    for name in names:
        *above, _ = name.split("/")
        if not above:
            counts[LOOSE] += 1
            continue
        kind, own = (above[1], sets[above[0]]) if split else (above[0], "")
        pictures.append(Picture(name, root / name, unicodedata.normalize("NFC", kind), own))
    return _by_class(pictures, counts)


def _walk(root: Path, counts: Counter[str]) -> Iterator[str]:
    """Yield the files below ``root`` that look like pictures; count the others."""
    been: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in been:  # a link back to where the walk has been
            folders.clear()
            continue
        been.add(real)
        counts[HIDDEN] += sum(name.startswith(".") for name in folders)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                counts[HIDDEN] += 1
            elif suffix in SUFFIXES and not os.path.isfile(os.path.join(folder, name)):  # noqa: PTH113, PTH118
                counts[NO_FILE] += 1  # who reads a pipe waits
            elif suffix in SUFFIXES:
                yield (Path(folder) / name).relative_to(root).as_posix()
            else:
                counts[suffix or NO_SUFFIX] += 1


def _by_class(pictures: Iterable[Picture], counts: Counter[str]) -> Found:
    pictures = list(pictures)
    for picture in pictures:
        if not (picture.name + picture.kind).isprintable():
            raise UserError(
                f"{picture.name!r}: this name cannot be written down; rename the file or its folder"
            )
    whole = all(re.fullmatch("[0-9]{1,9}", picture.kind) for picture in pictures)

    def key(picture: Picture) -> tuple[int, str, str]:
        return int(picture.kind) if whole else 0, picture.kind, picture.name

    return Found(sorted(pictures, key=key), {what: n for what, n in counts.items() if n})


def _in_table(table: Path, folders: str | None) -> Found:
    root = _at(folders) if folders else table.parent
    columns, rows = read_table(table)
    if missing := [column for column in ("file", "class") if column not in columns]:
        raise UserError(
            f"{table}: has no column {' and no column '.join(missing)}; expected file, class and, "
            f"if wanted, split; found {', '.join(columns) or 'nothing'}"
        )
    pictures: dict[str, Picture] = {}
    for line, row in rows:
        name, kind, split = row["file"], row["class"], row.get("split", "")
        where = f"{table}, line {line}"
        if not name or not kind:
            raise UserError(f"{where}: no {'class' if name else 'file'}; each line needs both")
        if name in pictures:
            raise UserError(f"{where}: {name} stands in it twice; keep one")
        if "split" in columns and split.casefold() not in SETS:
            raise UserError(f"{where}: split is {split!r}; expected train, validation or test")
        if not (root / name).is_file():
            raise UserError(f"{where}: there is no file {root / name}; files are below {root}")
        kind = unicodedata.normalize("NFC", kind)
        pictures[name] = Picture(name, root / name, kind, SETS.get(split.casefold(), ""))
    return _by_class(pictures.values(), Counter())


# --- classes too small for three sets -------------------------------------------------------------


def small_classes(kinds: Iterable[tuple[str, str]], needed: int) -> dict[str, int]:
    """Return the classes that are too small for three sets, and how many pictures each has.

    Args:
        kinds: class and set of each picture; the set is "" where it is yet to be drawn.
        needed: pictures of a class, where sets are drawn.
    """
    counts: dict[str, Counter[str]] = {}
    for kind, own in kinds:
        counts.setdefault(kind, Counter())[own] += 1
    return {
        kind: sets.total()
        for kind, sets in counts.items()
        if (sets[""] < needed if "" in sets else len(sets) < len(SPLITS))
    }


def check(found: Found, split: Mapping[str, Any], on_small: str, splits: int = 1) -> None:
    """Check before anything runs what the names of files tell.

    Args:
        found: the pictures.
        split: how sets are drawn: kind, validation and test of ``flowers.split``.
        on_small: what becomes of a class too small for three sets, one of ON_SMALL.
        splits: how many splits are asked for.

    Raises:
        UserError: a class is too small, or many splits are asked of pictures that are in sets.
    """
    given = any(picture.set for picture in found.pictures)
    if splits > 1 and given:
        raise UserError(
            f"{splits} splits are asked for, but the pictures are in sets already; set "
            "flowers.split_seeds: [] (and that of each net)"
        )
    if on_small == "stop":
        needed = least(*(split[key] for key in ("kind", "validation", "test")))
        kinds = ((picture.kind, picture.set) for picture in found.pictures)
        check_small(small_classes(kinds, needed), needed, given)


def check_small(small: Mapping[str, int], needed: int, given: bool) -> None:
    """Raise UserError where a class is too small for three sets, with the ways out."""
    if not small:
        return
    named = ", ".join(f"{name} ({count})" for name, count in [*small.items()][:_NAMED])
    more = f" and {len(small) - _NAMED} more" if len(small) > _NAMED else ""
    why = "one in each set" if given else f"at least {needed}, so that each set gets one"
    raise UserError(
        f"too few pictures of {named}{more}; a class needs {why}. Add pictures of it, or set "
        "flowers.on_small: skip to leave such classes out, or train to train on them all the same, "
        "without a figure of how well they are told (with make pictures: SMALL=skip, SMALL=train)"
    )


# --- remembered ---------------------------------------------------------------------------------


def asked_about(images: str) -> tuple[Path, list[str], str]:
    """Return the pictures that a trained net is asked about.

    Args:
        images: a folder, or a picture.

    Returns:
        A folder, the pictures' paths in it, and in words what was passed over.

    Raises:
        UserError: there is no picture.
    """
    root, counts = _at(images), Counter[str]()
    if root.is_file():
        return root.parent, [root.name], ""
    names = sorted(_walk(root, counts))
    if not names:
        said = f"{root}: no picture lies there; name a picture, or a folder of some. "
        raise UserError((said + passed_over(counts)).rstrip())
    return root, names, passed_over(counts)


def fingerprint_of_asked(images: str) -> str:
    """Return a hash of names and contents of the pictures that a net is asked about."""
    root, names, _ = asked_about(images)
    return fingerprint([Picture(name, root / name, "") for name in names], os.devnull)


def fingerprint(pictures: Sequence[Picture], seen: str | os.PathLike[str]) -> str:
    """Return a hash of all pictures' names, classes, sets and contents; nothing is written.

    A file of the size and time it had when it was last opened is not read again.

    Args:
        pictures: what there is now.
        seen: what :func:`repro.flowers.gather.describe` saw the last time, if the file is there.

    Raises:
        UserError: a picture cannot be read.
    """
    known: dict[tuple[str, int, int], str] = {}
    if Path(seen).is_file():
        with Path(seen).open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                known[row["file"], int(row["size"]), int(row["time"])] = row["sha256"]

    def content(picture: Picture) -> str:
        try:
            state = picture.file.stat()
            key = (picture.name, state.st_size, state.st_mtime_ns)
            return known.get(key) or hash_of(picture.file)
        except OSError as error:
            way_out = "put it back, or make it readable for you, or take it away"
            raise unreadable(picture.file, "a picture", way_out, error) from error

    digest = hashlib.sha256()
    with ThreadPoolExecutor(4) as pool:
        for picture, sha256 in zip(pictures, pool.map(content, pictures), strict=True):
            line = "\0".join((picture.name, str(picture.file), picture.kind, picture.set, sha256))
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()
