"""How a run was made: its code, data and packages, and what it cost.

What two runs of the same configuration must share (identity) is kept apart from what may differ
between them (circumstances). Neither holds a path outside the project or the name of a machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from threadpoolctl import threadpool_info

from repro.errors import UserError, unreadable
from repro.plan import MAIN, Plan
from repro.splits import SPLITS
from repro.system.code_inputs import code_of_project
from repro.system.files import hash_of
from repro.system.tables import read_csv

# Where a run works, not what it computes; may be private.
_FOLDERS = ("data_dir", "prepared_dir", "results_dir", "logs_dir", "benchmarks_dir")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==")
# In what git says: what it quotes, and paths; either may be private.
_PRIVATE = re.compile(r"'[^']*'|(?<!\w)/\S+")
_MAX_NAMED = 20
# A manifest's reasons why images are damaged hold paths, so only the images are taken.
_NETWORK_KEYS = (
    "architecture",
    "weights_sha256",
    "weights_loaded",
    "parameters",
    "width",
    "protocol",
    "preprocess",
    "device",
)
_MANIFEST_KEYS = (*_NETWORK_KEYS, "images", "images_sha256", "batch_size", "features_sha256")


def hash_of_value(value: Any) -> str:
    """Return the sha256 of a value as JSON with sorted keys and no blanks."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def what_is_computed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without its folders, other places and number of shards.

    What is left decides the results; what is left out may be private.
    """
    kept = {key: value for key, value in config.items() if key not in (*_FOLDERS, "predict")}
    kept["downloads"] = {
        name: {key: value for key, value in entry.items() if key != "sources"}
        for name, entry in config["downloads"].items()
    }
    places = ("shards", "folders", "table", "names")
    kept["flowers"] = {key: each for key, each in config["flowers"].items() if key not in places}
    return kept


def seeds(plan: Plan) -> dict[str, Any]:
    """Return every seed of the models that run, by where it stands in the configuration.

    A flower net's seeds stand under its own name, be they its own or those of all.
    """
    mnist, flowers = plan.config["mnist"], plan.config["flowers"]
    found: dict[str, Any] = {}
    if plan.of("mnist"):
        found["mnist.split.seed"] = mnist["split"]["seed"]
    if plan.of("flowers"):
        if plan.generated:
            found["flowers.generated.seed"] = flowers["generated"]["seed"]
        if not plan.official_split:
            found["flowers.split.seed"] = flowers["split"]["seed"]
    for model in plan.models:
        place = f"{model.part}.nets.{model.name}"
        found[f"{place}.seeds"] = [run.seed for run in model.runs if run.split == MAIN]
        if model.part == "flowers":
            others = [run.number for run in model.runs if run.split != MAIN]
            found[f"{place}.split_seeds"] = others
    return found


def code(root: Path) -> dict[str, Any]:
    """Return which code the project in ``root`` is: git's commit, and the hashes of its files.

    Keys: ``sha256`` of all files that results are made by, which are Snakefile, rules, scripts,
    environments and resources; ``files``, the sha256 of each; ``commit`` and ``dirty`` (whether
    tracked files differ from it, or some of the code is not tracked), both None where git does not
    tell; ``changed``, the first 20 of those files; ``note``, git's reason not to tell, or an empty
    text.
    """
    files = hashes_of_code(root)
    found: dict[str, Any] = {"commit": None, "dirty": None, "changed": [], "note": ""}
    try:
        tracked = set(tracked_files(root))
        commit = _git(root, "log", "-1", "--no-show-signature", "--format=%H").strip()
        differ = _git(root, "diff", "--name-only", "--relative", "-M", "-z", "HEAD")
        names = sorted({*differ.split("\0")[:-1], *(files.keys() - tracked)})
        found |= {"commit": commit, "dirty": bool(names), "changed": names[:_MAX_NAMED]}
    except GitError as error:
        first = str(error).partition("\n")[0].removeprefix("fatal: ")
        found["note"] = _PRIVATE.sub("\u2026", first)
    return {**found, "sha256": hash_of_value(files), "files": files}


def hashes_of_code(root: Path) -> dict[str, str]:
    """Return the sha256 of each file that results are made by, by its path in the project."""
    return {file.relative_to(root).as_posix(): hash_of(file) for file in code_of_project(root)}


class GitError(Exception):
    """Git does not tell which code this is; the message is its reason, which may hold paths."""


def tracked_files(root: Path) -> list[str]:
    """Return the files that git tracks in the project in ``root``, by their path in it.

    Raises:
        GitError: git is missing, refuses, or does not know the project.
    """
    names = _git(root, "ls-files", "-z").split("\0")[:-1]
    if "Snakefile" not in names:
        raise GitError("not a git checkout: git does not track the Snakefile")
    return names


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints of the checkout in ``root``, whichever the environment names."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607
            capture_output=True,
            env={**kept, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed") from error
    if done.returncode != 0:
        raise GitError(os.fsdecode(done.stderr).strip())
    return os.fsdecode(done.stdout)


def split_hashes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the number of images and a hash of their ids for each set of a split.

    The hash is the sha256 of the ids in the file's order, in decimal, each followed by a line feed:
    order counts, as training follows it.

    Raises:
        UserError: the file is not a split.
    """
    try:
        rows = read_csv(path)
        ids = {name: rows.loc[rows["split"] == name, "id"].astype("int64") for name in SPLITS}
    except (OSError, KeyError, ValueError) as error:
        raise unreadable(path, "a split", "delete it and run again", error) from error
    return {
        name: {
            "images": len(own),
            "ids_sha256": hashlib.sha256("".join(f"{i}\n" for i in own).encode()).hexdigest(),
        }
        for name, own in ids.items()
    }


def features(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a manifest of features says of network, images, and the features themselves.

    Raises:
        UserError: the file is not such a manifest.
    """
    manifest = read_manifest(path, (*_MANIFEST_KEYS, "damaged"))
    return {
        **{key: manifest[key] for key in _MANIFEST_KEYS},
        "damaged": sorted(map(int, manifest["damaged"])),
        "forward_passes": forward_passes(manifest),
    }


def read_manifest(
    path: str | os.PathLike[str], keys: Iterable[str] = _NETWORK_KEYS
) -> dict[str, Any]:
    """Read what is known of a backbone, and of its features where the ``keys`` say so.

    Raises:
        UserError: the file has not all of the keys.
    """
    try:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        if absent := sorted(set(keys) - set(manifest)):
            raise ValueError(f"{absent[0]} is missing")
    except (OSError, ValueError, TypeError) as error:
        kind = "a manifest of a backbone"
        raise unreadable(path, kind, "delete it and run again", error) from error
    return dict(manifest)


def forward_passes(manifest: Mapping[str, Any]) -> int:
    """Return how often an image went through the backbone, from the manifest of its features.

    Each image that is not damaged once; those that batch statistics were adapted on once more.
    """
    once = int(manifest["images"]) - len(manifest["damaged"])
    return once + int(manifest["protocol"].get("adapted_on", 0))


def notebook_passes(images: Mapping[str, int], epochs: int) -> int:
    """Return how often an image goes through the whole net in one run of the notebook's protocol.

    Every image of every set once an epoch, and the training images once more at the end, for the
    predictions of the finished model.

    Args:
        images: number of images by set.
        epochs: of the head.
    """
    return epochs * sum(images.values()) + images["train"]


def packages_of(environments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the packages that conda environment files pin under ``pip``, sorted.

    Raises:
        UserError: a file is not such an environment.
    """
    names: set[str] = set()
    for path in environments:
        try:
            dependencies = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["dependencies"]
            pins = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
        except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
            raise UserError(
                f"{path}: not an environment with pip packages; restore it from git"
            ) from error
        names |= {match[1] for pin in pins if (match := _PIN.match(pin))}
    return sorted(names)


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Return the installed version of each package; None for one that is not installed here."""
    return {name: _version(name) for name in packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def python_version() -> str:
    """Return the version of this Python, e.g. "3.12.4"."""
    return platform.python_version()


def hashes_of(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], folder: Path
) -> dict[str, str]:
    """Return the sha256 of each file by its path relative to ``folder``, sorted.

    ``paths`` is one path or several.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    hashes = {Path(path).relative_to(folder).as_posix(): hash_of(path) for path in paths}
    return dict(sorted(hashes.items()))


def machine() -> dict[str, Any]:
    """Describe processor, graphics cards, system and linear algebra, without names or paths.

    Libraries are those loaded in this process; threads are what each would use in it. The
    variables are those of the environment that limit them.
    """
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "gpus": graphics_cards(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": [
            {key: pool.get(key) for key in ("internal_api", "version", "architecture")}
            | {"threads": pool["num_threads"]}
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
        "thread_variables": {
            name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ
        },
    }


def processor() -> str:
    """Return the processor's model as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def usable_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def graphics_cards() -> list[str]:
    """Return the model of each NVIDIA card; an empty list where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []
