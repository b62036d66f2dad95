"""The results of a run as a Workflow Run RO-Crate.

RO-Crate 1.1 with the profiles Process Run Crate 0.5, Workflow Run Crate 0.5 and Workflow RO-Crate
1.0 (https://www.researchobject.org/workflow-run-crate/). The crate's root is the results folder.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rocrate.model import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.model.softwareapplication import SoftwareApplication
from rocrate.rocrate import ROCrate

from repro.plan import LOGS
from repro.system.files import hash_of

METADATA = "ro-crate-metadata.json"
_VERSION = "1.1"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_LICENCE = "https://spdx.org/licenses/MIT"
_ENCODINGS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".smk": "text/plain",
    ".svg": "image/svg+xml",
    ".tgz": "application/gzip",
    ".yaml": "application/yaml",
}
# What the files of a run are, by name without suffix.
_MEANINGS = {
    "report": "The page: tables and figures with captions; opens without a network",
    "REPORT": "The page as plain Markdown",
    "metrics": "Metrics, tidy: model, run, seed, split, metric, value, n",
    "comparison": "Reported figures beside reproduced ones, with a verdict each",
    "claims": "The report's claims in words, with a verdict each",
    "config": "The configuration the run was made with",
    "provenance": "How the run was made: code, data, packages, seeds; machine and times",
    "model_card": "Model card: data, recipe, figures, limits",
    "history": "Loss and accuracy per epoch",
    "predictions": "Scores of every image: id, label, split, one score a class",
    "model": "The trained model",
    "per_class": "Precision, recall and F1 of each class",
    "confusion": "How often each class was taken for each other",
    "mistakes": "Wrongly classified test images, the most confident first",
    "reliability": "Confidence against accuracy",
    "accuracy": "Accuracy per epoch",
    "loss": "Loss per epoch",
    "gallery": "The most confident mistakes",
    "seeds": "Spread over seeds and splits",
}


@dataclass(frozen=True)
class Source:
    """A file that the run took from elsewhere.

    Attributes:
        name: in the registry.
        description: one line; may be empty.
        licence: its own; may be empty.
        url: where it can be had as it is, or None.
        origin: where that can be had which it is unpacked from, or None.
        size: bytes, where known.
        sha256: where known.
    """

    name: str
    description: str = ""
    licence: str = ""
    url: str | None = None
    origin: str | None = None
    size: int | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Source:
        """Take the fields of a registry's entry, without places on this machine."""
        public = [source for source in entry["sources"] if source["kind"] != "path"]
        first = public[0] if public else None
        address = _address(first) if first else None
        packed = first is not None and first["unpack"] is not None
        return cls(
            entry["name"],
            entry["description"],
            entry["licence"],
            url=None if packed else address,
            origin=address if packed else None,
            size=entry["proof"]["size"],
            sha256=entry["proof"]["sha256"],
        )

    @property
    def id(self) -> str:
        """Return an absolute URI: its address, else its hash (RFC 6920), else its name."""
        if self.url:
            return self.url
        if self.sha256:
            digest = base64.urlsafe_b64encode(bytes.fromhex(self.sha256)).decode().rstrip("=")
            return f"ni:///sha-256;{digest}"
        return f"urn:file:{quote(self.name)}"


def _address(source: Mapping[str, Any]) -> str:
    """Return a URL; for a file in a package a package URL (purl-spec on GitHub)."""
    if source["kind"] == "package":
        name, _, version = source["location"].partition("==")
        return f"pkg:pypi/{name}@{version}#{source['member']}"
    return str(source["location"])


@dataclass(frozen=True)
class Workflow:
    """The workflow that ran.

    Attributes:
        version: of the code: a commit, or a hash where there is none.
        snakemake: version of Snakemake.
        packages: version of each package it ran with.
        configuration: hash of the configuration; names the run.
        models: the models that were trained.
        report: title of the report they are held against.
    """

    version: str
    snakemake: str
    configuration: str
    models: Sequence[str]
    report: str
    packages: Mapping[str, str] = field(default_factory=dict)


def with_siblings(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return files and what lies beside them under the same name with another suffix, sorted.

    So a figure's PNG brings its SVG, and a CSV its Markdown.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        beside = path.parent.glob(f"{path.stem}.*")
        found |= {file for file in beside if file.is_file() and not file.name.startswith(".")}
    return sorted(found)


def build(
    root: Path,
    files: Iterable[Path],
    workflow: Workflow,
    sources: Iterable[Source],
    ended: datetime | None = None,
) -> dict[str, Any]:
    """Return the crate's metadata as JSON-LD.

    Args:
        root: folder of the results; holds ``workflow/Snakefile`` and what it includes.
        files: every other file the crate shall list, under ``root``.
        workflow: what ran.
        sources: what the run took from elsewhere.
        ended: when the run was done; now, where None.
    """
    ended = ended or datetime.now(UTC)
    crate = ROCrate(version=_VERSION)
    _describe_root(crate, workflow, ended)
    main = _add_workflow(crate, root, workflow)
    taken = [_add_source(crate, source) for source in sources]
    listed = {file: _add_file(crate, root, file) for file in sorted(set(files))}
    configuration = [entity for file, entity in listed.items() if file == root / "config.yaml"]
    made = [entity for file, entity in listed.items() if file != root / "config.yaml"]
    action = crate.add_action(
        main,
        f"#run-{workflow.configuration[:12]}",
        object=[*configuration, *taken],
        result=made,
        properties={
            "name": "The run",
            "description": f"Trained and judged {', '.join(workflow.models)}",
            "endTime": ended.isoformat(timespec="seconds"),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    crate.root_dataset["mentions"] = action
    _add_parameters(crate, main, configuration + taken, "input")
    _add_parameters(crate, main, [e for e in made if "/" not in e.id], "output")
    metadata: dict[str, Any] = crate.metadata.generate()
    return metadata


def _describe_root(crate: Any, workflow: Workflow, ended: datetime) -> None:
    licence = crate.add(
        ContextEntity(
            crate,
            _LICENCE,
            {"@type": "CreativeWork", "name": "MIT License", "url": _LICENCE},
        )
    )
    profiles = [
        crate.add(
            ContextEntity(crate, uri, {"@type": "CreativeWork", "name": name, "version": version})
        )
        for uri, (name, version) in _PROFILES.items()
    ]
    root = crate.root_dataset
    root["name"] = f"Reproduced: {workflow.report}"
    root["description"] = (
        f"Results of {len(workflow.models)} models, {', '.join(workflow.models)}: predictions, "
        "metrics, figures, and each reported figure beside the reproduced one."
    )
    root["datePublished"] = ended.isoformat(timespec="seconds")
    root["license"] = licence
    root["conformsTo"] = profiles


def _add_workflow(crate: Any, root: Path, workflow: Workflow) -> Any:
    folder = root / "workflow"
    language = crate.add_workflow(
        folder / "Snakefile",
        "workflow/Snakefile",
        main=True,
        lang="snakemake",
        lang_version=workflow.snakemake,
        properties={**_facts(folder / "Snakefile"), "encodingFormat": "text/plain"},
        cls=ComputationalWorkflow,
    )
    language["name"] = "The workflow"
    language["description"] = "Fetches, prepares, trains, evaluates, compares and reports"
    language["version"] = workflow.version
    language["softwareRequirements"] = [
        crate.add(
            SoftwareApplication(
                crate, f"pkg:pypi/{name}@{version}", {"name": name, "softwareVersion": version}
            )
        )
        for name, version in sorted(workflow.packages.items())
    ]
    for file in sorted(folder.rglob("*.smk")):
        _add_file(crate, root, file, f"Rules of the workflow: {file.stem}")
    return language


def _add_source(crate: Any, source: Source) -> Any:
    properties = {
        "name": source.name,
        "description": source.description,
        "license": source.licence,
        "encodingFormat": _encoding(source.name),
        "contentSize": str(source.size) if source.size is not None else "",
        "sha256": source.sha256 or "",
        "isBasedOn": {"@id": source.origin} if source.origin else "",
    }
    known = {key: value for key, value in properties.items() if value}
    return crate.add_file(source.id, properties=known)


def _add_file(crate: Any, root: Path, file: Path, name: str = "") -> Any:
    path = file.relative_to(root).as_posix()
    properties = {**_facts(file), "name": name or _meaning(PurePosixPath(path))}
    return crate.add_file(file, path, properties=properties)


def _facts(file: Path) -> dict[str, str]:
    return {
        "encodingFormat": _encoding(file.name),
        "contentSize": str(file.stat().st_size),
        "sha256": hash_of(file),
    }


def _encoding(name: str) -> str:
    return _ENCODINGS.get(PurePosixPath(name).suffix, "application/octet-stream")


def _meaning(path: PurePosixPath) -> str:
    """Return what a result is, with the model and run its folder names."""
    what = _MEANINGS.get(path.stem, path.stem)
    if path.suffix == ".log":
        return f"Log of {path.relative_to(LOGS).with_suffix('')}"
    if path.parts[0] == "figures":
        what = f"Figure: {what[0].lower()}{what[1:]}"
    about = ", ".join(path.parts[1:-1])
    return f"{what} ({about})" if about else what


def _add_parameters(crate: Any, workflow: Any, entities: Sequence[Any], direction: str) -> None:
    """Give the workflow a formal parameter for each entity that went in or came out."""
    for entity in entities:
        name = quote(str(entity["name"] if ":" in entity.id else entity.id))
        parameter = crate.add_formal_parameter(entity["name"], "File", f"#{direction}-{name}")
        parameter["workExample"] = entity
        entity["exampleOfWork"] = parameter
        workflow.append_to(direction, parameter)
