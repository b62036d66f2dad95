"""Files that lie in folders of this machine already: found by name, before they are proved."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from repro.fetch.registry import Entry, Source

_PREFIX = 8  # digits of a hash that a name has, as torchvision's files

log = logging.getLogger("repro")


def found_in(entry: Entry, folders: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """Return what in some folders may be the file of ``entry``, by its name alone.

    That is a file of the entry's name, or below the folder of its whole path, or with the first
    eight digits of its sha256 in its name; and what its sources would send, under the name they
    give it: a packed file, the wheel of a package. A folder that cannot be read is told and left
    out.
    """
    return [source for folder in folders for source in _found_in(entry, Path(folder).expanduser())]


def _found_in(entry: Entry, folder: Path) -> Iterator[Source]:
    try:
        files = sorted(each for each in folder.iterdir() if each.is_file())
    except OSError as error:
        log.warning("look_in: %s: cannot be read (%s); left out", folder, error.strerror)
        return
    below = folder / entry.name
    if below not in files and below.is_file():
        yield Source("path", str(below))
    prefix = (entry.proof.sha256 or entry.proof.sha256_prefix or "")[:_PREFIX]
    for file in files:
        if file.name == PurePosixPath(entry.name).name or (prefix and prefix in file.name.lower()):
            yield Source("path", str(file))
    for source in entry.sources:
        for file in files:
            if (source.unpack or source.member) and _is_sent_as(source, file.name):
                yield Source("path", str(file), source.member, source.unpack, source.proof)


def _is_sent_as(source: Source, name: str) -> bool:
    """Whether what a source sends has this name."""
    if source.kind == "package":
        project, _, version = source.location.partition("==")
        wheel = f"{re.sub(r'[-_.]+', '_', project)}-{version}-"
        return name.lower().startswith(wheel.lower()) and name.endswith(".whl")
    path = urlsplit(source.location).path if source.kind == "url" else source.location
    return name == PurePosixPath(unquote(path)).name
