"""Results, crate, configuration and code in one zip that another machine can check.

In the zip: ``results/`` is the crate, ``code/`` the project's files, ``README.txt`` says how to
check, ``manifest-sha256.txt`` holds the hash of everything else in the form of ``sha256sum``.
The same files give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import yaml

from repro.errors import UserError, unreadable
from repro.provenance import record as provenance
from repro.provenance.recomputing import recompute
from repro.system.code_inputs import code_of_project
from repro.system.files import atomic_path, hash_of

METADATA = "ro-crate-metadata.json"
RECORD = "provenance.json"
MANIFEST = "manifest-sha256.txt"
README = "README.txt"
_TITLE = "Results, and the code that made them."
_OTHER_TITLE = "Results, and code that was changed after it had made them."
_TEXT = """\
{title}

results/              a Workflow Run RO-Crate; start with report.html or comparison.md
results/config.yaml   the configuration of the run
results/provenance.json   code, data, packages, seeds, machine, times
results/workflow/     the rules that ran, and the log of each job
code/                 the project; its README.md says how to run it
manifest-sha256.txt   the hash of every file: `sha256sum -c manifest-sha256.txt`

To check the hashes and compute the metrics anew from the predictions, and the comparison and the
claims from them, in an environment with the packages of code/requirements.lock:

    python code/scripts/verify_archive.py ARCHIVE.zip
"""
# The oldest date that a zip can hold.
_DATE = (1980, 1, 1, 0, 0, 0)
_COMPRESSED = {".gz", ".npz", ".png", ".tgz", ".zip"}
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
# What reading a member raises where its bytes are not what they were.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
# What reading a file raises that is not what it should be.
_UNREADABLE = (UserError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError)


def results_files(results: Path) -> dict[str, Path]:
    """Return the files of a crate by their name in the archive, each as the crate describes it.

    Raises:
        UserError: there is no crate, or a file is not the one that it describes.
    """
    crate = results / METADATA
    found = {f"results/{METADATA}": crate}
    for name, sha256 in _described(_read_crate(crate)):
        file = results / name
        if not file.is_file():
            raise UserError(f"{file}: missing, but {crate} lists it; run the workflow again")
        if hash_of(file) != sha256:
            raise UserError(
                f"{file}: was changed after {crate} was written; run the workflow again"
            )
        found[f"results/{name}"] = file
    return found


def _read_crate(crate: Path) -> Any:
    try:
        return json.loads(crate.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        way_out = "run the workflow, or name another folder of results"
        raise unreadable(crate, "the description of a run", way_out, error) from error


def _described(crate: Any) -> Iterator[tuple[str, str]]:
    """Yield path and sha256 of each file that lies inside a crate."""
    for entity in crate["@graph"]:
        kinds = entity["@type"]
        if "File" in ([kinds] if isinstance(kinds, str) else kinds) and ":" not in entity["@id"]:
            yield unquote(entity["@id"]), entity["sha256"]


def code_files(project: Path) -> dict[str, Path]:
    """Return a project's files by their name in the archive, as they are now.

    They are those that git tracks, and those that results are made by, tracked or not.

    Raises:
        UserError: git does not know the project, or refuses.
    """
    try:
        tracked = [project / name for name in provenance.tracked_files(project)]
    except provenance.GitError as error:
        raise UserError(
            f"{project}: which files to archive is not known: {error}\n"
            "Archive from a git checkout that git can read"
        ) from error
    files = {file for file in tracked if file.is_file() and not file.is_symlink()}
    files.update(code_of_project(project))
    return {f"code/{file.relative_to(project).as_posix()}": file for file in files}


def changed_code(results: Path, project: Path) -> list[str]:
    """Return which of a project's files that results are made by were changed since the run.

    Those that are new or gone are among them.

    Raises:
        UserError: provenance.json does not tell.
    """
    record = results / RECORD
    try:
        then = _identity(record)["code"]["files"]
    except _UNREADABLE as error:
        kind = "the record of which code has run"
        raise unreadable(record, kind, "run the workflow again", error) from error
    now = provenance.hashes_of_code(project)
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _identity(record: Path) -> dict[str, Any]:
    """Return the first half of provenance.json, once its hash of the code is that of its files."""
    identity: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))["identity"]
    if provenance.hash_of_value(identity["code"]["files"]) != identity["code"]["sha256"]:
        raise ValueError("code.sha256 is not that of code.files")
    return identity


def write(target: Path, files: Mapping[str, Path], changed: Sequence[str] = ()) -> int:
    """Write ``files``, by their names in the archive, into a zip, with readme and manifest.

    Args:
        target: the zip.
        files: what to pack.
        changed: files of the code that are not as they were when it ran; the readme names them.

    Returns:
        The number of files in it.
    """
    readme = _TEXT.format(title=_OTHER_TITLE if changed else _TITLE).encode()
    if changed:
        readme += b"\nChanged, new or gone since the run:\n\n"
        readme += "".join(f"    code/{name}\n" for name in changed).encode()
    hashes = {README: hashlib.sha256(readme).hexdigest()}
    with atomic_path(target) as aside, zipfile.ZipFile(aside, "w") as packed:
        for name in sorted(files):
            content = files[name].read_bytes()
            hashes[name] = hashlib.sha256(content).hexdigest()
            executable = os.access(files[name], os.X_OK)
            _put(packed, name, content, executable=executable)
        _put(packed, README, readme)
        lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items())]
        _put(packed, MANIFEST, "".join(lines).encode())
    return len(hashes) + 1


def _put(packed: zipfile.ZipFile, name: str, content: bytes, *, executable: bool = False) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3  # Unix, whatever this is, so that the bytes are the same
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    stored = PurePosixPath(name).suffix in _COMPRESSED
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    packed.writestr(info, content)


@dataclass
class Checked:
    """What a check of an archive found.

    Attributes:
        files: number of files whose hash was compared.
        runs: names of the runs whose metrics were computed anew, "MODEL RUN".
        rows: number of rows that were computed anew, by the table's name.
        notes: what is not wrong but should be known.
        problems: one sentence each, beginning with the file's name in the archive.
    """

    files: int = 0
    runs: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify(
    path: Path, project: Path, on_run: Callable[[str], object] = lambda name: None
) -> Checked:
    """Check an archive: names and hashes; then, where those are right, what it says.

    The packed code must be the code that provenance.json names. The metrics are computed anew from
    the predictions, the comparison and the claims from the metrics, the histories, the predictions
    and the packed report; each must be what is packed.

    Args:
        path: the zip.
        project: the project whose code checks.
        on_run: called with the name of each run before its metrics are computed.

    Raises:
        UserError: the file is no archive of this kind.
    """
    checked = Checked()
    try:
        with zipfile.ZipFile(path) as packed:
            _check_names(packed, checked)
            _check_hashes(packed, path, checked)
            if not checked.problems:
                with tempfile.TemporaryDirectory() as place:
                    packed.extractall(place)
                    _check_contents(Path(place), project, checked, on_run)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        way_out = "copy it here again, or write one with `make archive`"
        raise unreadable(path, "a readable zip archive", way_out, error) from error
    return checked


def _check_names(packed: zipfile.ZipFile, checked: Checked) -> None:
    """Find names that would land outside the folder one unpacks to, and names given twice."""
    seen: set[str] = set()
    for info in packed.infolist():
        name = info.filename
        if not _is_inside(name) or (info.external_attr >> 16) & 0o170000 not in (0, 0o100000):
            checked.problems.append(f"{name}: leads out of the archive; do not unpack it")
        if name in seen:
            checked.problems.append(f"{name}: is in the archive twice")
        seen.add(name)


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    odd = "\\" in name or ":" in name or "\0" in name
    return not odd and all(part not in ("", ".", "..") for part in parts)


def _check_hashes(packed: zipfile.ZipFile, path: Path, checked: Checked) -> None:
    """Compare each file with the manifest."""
    if MANIFEST not in packed.namelist():
        raise UserError(
            f"{path}: has no {MANIFEST}; it was not written by `make archive`; name one that was"
        )
    stated = {}
    for line in packed.read(MANIFEST).decode("utf-8", "replace").splitlines():
        if match := _LINE.fullmatch(line):
            stated[match[2]] = match[1]
        else:
            checked.problems.append(f"{MANIFEST}: cannot be read at {line[:80]!r}")
    names = set(packed.namelist()) - {MANIFEST}
    for name in sorted(names | stated.keys()):
        if name not in names:
            checked.problems.append(f"{name}: is in {MANIFEST} but not in the archive")
        elif name not in stated:
            checked.problems.append(f"{name}: is not in {MANIFEST}")
        else:
            try:
                with packed.open(name) as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
            except _DAMAGED as error:
                checked.problems.append(f"{name}: damaged ({error})")
                continue
            if found != stated[name]:
                checked.problems.append(
                    f"{name}: has sha256 {found}, {MANIFEST} says {stated[name]}"
                )
    checked.files = len(names)


def _check_contents(
    place: Path, project: Path, checked: Checked, on_run: Callable[[str], object]
) -> None:
    """Check code and tables of an archive that is unpacked in ``place``."""
    results, code = place / "results", place / "code"
    try:
        _check_code(results, code, checked)
        if provenance.hashes_of_code(code) != provenance.hashes_of_code(project):
            checked.notes.append(
                "checked by other code than is packed; unpack it, and "
                "code/scripts/verify_archive.py checks it by its own"
            )
        identity = _identity(results / RECORD)
        found = recompute(results, identity, code, on_run)
    except _UNREADABLE as error:
        said = str(error).replace(f"{place}{os.sep}", "")
        checked.problems.append(f"results: cannot be computed anew ({said})")
    else:
        checked.runs, checked.rows = found.runs, found.rows
        checked.problems += [f"results/{problem}" for problem in found.problems]


def _check_code(results: Path, code: Path, checked: Checked) -> None:
    changed = changed_code(results, code)
    title = (code.parent / README).read_text(encoding="utf-8").partition("\n")[0]
    said = f"not what has run, by results/{RECORD}: {', '.join(changed)}"
    if changed and title == _OTHER_TITLE:
        checked.notes.append(f"code: {said}; {README} says so")
    elif changed:
        checked.problems.append(f"code: {said}")
