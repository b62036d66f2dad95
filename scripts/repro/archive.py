"""Results, crate, configuration and code in one zip that another machine can check.

In the zip: ``results/`` is the crate, ``code/`` the project's files, ``README.txt`` says how to
check, ``manifest-sha256.txt`` holds the hash of everything else in the form of ``sha256sum``.
The same files give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pandas as pd
import yaml

from repro.errors import UserError
from repro.evaluation import Run, metrics_table
from repro.files import atomic_path, hash_of
from repro.predictions import Predictions

METADATA = "ro-crate-metadata.json"
MANIFEST = "manifest-sha256.txt"
README = "README.txt"
_TEXT = """\
Results, and the code that made them.

results/              a Workflow Run RO-Crate; start with report.html or comparison.md
results/config.yaml   the configuration of the run
results/provenance.json   code, data, packages, seeds, machine, times
code/                 the project; its README.md says how to run it
manifest-sha256.txt   the hash of every file: `sha256sum -c manifest-sha256.txt`

To check the hashes and compute the metrics anew from the predictions, in an environment with the
packages of code/requirements.lock:

    python code/scripts/verify_archive.py ARCHIVE.zip
"""
# The oldest date that a zip can hold.
_DATE = (1980, 1, 1, 0, 0, 0)
_COMPRESSED = {".gz", ".npz", ".png", ".tgz", ".zip"}
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
# Below what one image more or less makes of 70,000; above what two machines' rounding makes.
_TOLERANCE = 1e-6
_BLOCK = 1 << 20
# What reading a member raises where its bytes are not what they were.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)


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
    except FileNotFoundError as error:
        raise UserError(
            f"{crate}: missing; run the workflow first, or name another folder of results"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{crate}: cannot be read ({error}); run the workflow again") from error


def _described(crate: Any) -> Iterator[tuple[str, str]]:
    """Yield path and sha256 of each file that lies inside a crate."""
    for entity in crate["@graph"]:
        kinds = entity["@type"]
        if "File" in ([kinds] if isinstance(kinds, str) else kinds) and ":" not in entity["@id"]:
            yield unquote(entity["@id"]), entity["sha256"]


def code_files(project: Path) -> dict[str, Path]:
    """Return the files git tracks in a project by their name in the archive, as they are now.

    Raises:
        UserError: the project is no git checkout.
    """
    listed = None
    if shutil.which("git"):
        listed = subprocess.run(
            ["git", "-C", str(project), "ls-files", "-z"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    if listed is None or listed.returncode != 0 or not listed.stdout:
        raise UserError(
            f"{project}: git lists no files here, so the code to archive is not known; "
            "archive from a git checkout"
        )
    names = listed.stdout.split("\0")[:-1]
    files = {f"code/{name}": project / name for name in names}
    return {name: file for name, file in files.items() if file.is_file() and not file.is_symlink()}


def write(target: Path, files: Mapping[str, Path]) -> int:
    """Write ``files``, by their names in the archive, into a zip, with readme and manifest.

    Returns:
        The number of files in it.
    """
    hashes = {}
    with atomic_path(target) as aside, zipfile.ZipFile(aside, "w") as packed:
        for name in sorted(files):
            content = files[name].read_bytes()
            hashes[name] = hashlib.sha256(content).hexdigest()
            executable = os.access(files[name], os.X_OK)
            _put(packed, name, content, executable=executable)
        _put(packed, README, _TEXT.encode())
        hashes[README] = hashlib.sha256(_TEXT.encode()).hexdigest()
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
        metrics: number of metrics that were compared.
        problems: one sentence each, beginning with the file's name in the archive.
    """

    files: int = 0
    runs: list[str] = field(default_factory=list)
    metrics: int = 0
    problems: list[str] = field(default_factory=list)


def verify(path: Path, on_run: Callable[[str], object] = lambda name: None) -> Checked:
    """Check an archive: names, hashes, the crate, and the metrics from the predictions.

    Nothing is unpacked into a place that the archive names.

    Args:
        path: the zip.
        on_run: called with the name of each run before its metrics are computed.

    Raises:
        UserError: the file is no archive of this kind.
    """
    checked = Checked()
    try:
        with zipfile.ZipFile(path) as packed:
            _check_names(packed, checked)
            hashes = _check_hashes(packed, path, checked)
            _check_crate(packed, hashes, checked)
            _check_metrics(packed, checked, on_run)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `make archive` writes one") from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: not a readable zip archive ({error})") from error
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


def _check_hashes(packed: zipfile.ZipFile, path: Path, checked: Checked) -> dict[str, str]:
    """Compare each file with the manifest; return the hashes that were found."""
    if MANIFEST not in packed.namelist():
        raise UserError(f"{path}: has no {MANIFEST}; it was not written by `make archive`")
    stated = {}
    for line in packed.read(MANIFEST).decode("utf-8", "replace").splitlines():
        if match := _LINE.fullmatch(line):
            stated[match[2]] = match[1]
        else:
            checked.problems.append(f"{MANIFEST}: cannot be read at {line[:80]!r}")
    found = {}
    for name in sorted(set(packed.namelist()) - {MANIFEST}):
        try:
            found[name] = _hash_of_member(packed, name)
        except _DAMAGED as error:
            checked.problems.append(f"{name}: damaged ({error})")
            continue
        if name not in stated:
            checked.problems.append(f"{name}: is not in {MANIFEST}")
        elif found[name] != stated[name]:
            checked.problems.append(
                f"{name}: has sha256 {found[name]}, {MANIFEST} says {stated[name]}"
            )
    checked.problems += [
        f"{name}: is in {MANIFEST} but not in the archive"
        for name in sorted(set(stated) - set(packed.namelist()))
    ]
    checked.files = len(found)
    return found


def _hash_of_member(packed: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with packed.open(name) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check_crate(packed: zipfile.ZipFile, hashes: Mapping[str, str], checked: Checked) -> None:
    member = f"results/{METADATA}"
    try:
        described = list(_described(json.loads(packed.read(member))))
    except (KeyError, ValueError, TypeError, *_DAMAGED) as error:
        checked.problems.append(f"{member}: not the metadata of a crate ({error})")
        return
    for name, sha256 in described:
        if hashes.get(f"results/{name}") != sha256:
            checked.problems.append(f"results/{name}: is not the file that {member} describes")


def _check_metrics(
    packed: zipfile.ZipFile, checked: Checked, on_run: Callable[[str], object]
) -> None:
    """Compute every run's metrics from its predictions and compare them with metrics.csv."""
    try:
        stated = pd.read_csv(io.BytesIO(packed.read("results/metrics.csv")))
        config = yaml.safe_load(packed.read("results/config.yaml"))
        runs = list(stated.groupby(["model", "run", "seed"], sort=False))
        nets = config["mnist"]["nets"]
    except (KeyError, ValueError, TypeError, yaml.YAMLError, *_DAMAGED) as error:
        checked.problems.append(
            f"results/metrics.csv or results/config.yaml: cannot be read ({error})"
        )
        return
    expected = set()
    for (model, name, seed), rows in runs:
        folder = f"results/runs/{model}/{name}"
        expected.add(f"{folder}/predictions.npz")
        on_run(f"{model} {name}")
        loss = nets[model]["loss"] if model in nets else "nll"
        try:
            found = _computed(
                packed, folder, Run(model, name, seed), loss, with_history=model not in nets
            )
        except (UserError, ValueError, KeyError, *_DAMAGED) as error:
            checked.problems.append(f"{folder}/predictions.npz: gives no metrics ({error})")
            continue
        _compare(rows, found, folder, checked)
        checked.runs.append(f"{model} {name}")
    for member in packed.namelist():
        if member.endswith("/predictions.npz") and member not in expected:
            checked.problems.append(f"{member}: has no metrics in results/metrics.csv")


def _computed(
    packed: zipfile.ZipFile, folder: str, run: Run, loss: str, *, with_history: bool
) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as place:
        files = {}
        for name in ("predictions.npz", *(["history.csv"] if with_history else [])):
            files[name] = Path(place) / name
            files[name].write_bytes(packed.read(f"{folder}/{name}"))
        predictions = Predictions.load(files["predictions.npz"])
        return metrics_table(predictions, run, loss, files.get("history.csv"))


def _compare(stated: pd.DataFrame, found: pd.DataFrame, folder: str, checked: Checked) -> None:
    key = ["split", "metric"]
    both = stated.merge(found, on=key, how="outer", suffixes=("_stated", "_found"))
    for row in both.to_dict("records"):
        checked.metrics += 1
        if not (
            row["n_stated"] == row["n_found"] and _close(row["value_stated"], row["value_found"])
        ):
            checked.problems.append(
                f"{folder}/predictions.npz: gives {row['split']} {row['metric']} "
                f"{row['value_found']} of {row['n_found']} images; results/metrics.csv says "
                f"{row['value_stated']} of {row['n_stated']}"
            )


def _close(a: float, b: float) -> bool:
    if math.isnan(a) and math.isnan(b):
        return True
    return math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
