"""The jobs a run would have, as Snakemake plans them; nothing runs and nothing is fetched."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

from support import ROOT


@dataclass(frozen=True)
class Job:
    """A job of the plan. Files of the project are named relative to it.

    Attributes:
        input, output: files by name; one file is a text, several are a list. Those without a name
            stand under "*".
        resources: those that the rule states.
        local: whether it takes no place in a cluster's queue.
        temporary: output files that go once all who need them are done.
        shown: of each output file that the report shows: its category, caption and labels.
    """

    rule: str
    wildcards: dict[str, str]
    input: dict[str, Any]
    output: dict[str, Any]
    params: dict[str, Any]
    resources: dict[str, Any]
    threads: int
    script: str
    shell: str
    environment: str
    log: list[str]
    benchmark: str
    local: bool
    temporary: list[str]
    shown: dict[str, tuple[str, str, dict[str, str]]]


@dataclass(frozen=True)
class Plan:
    """Every job of a run, and the rules that could make a file."""

    jobs: list[Job]
    rules: Any

    def of(self, rule: str) -> list[Job]:
        """Return the jobs of a rule."""
        return [job for job in self.jobs if job.rule == rule]

    def makers(self, file: str) -> list[str]:
        """Return the names of the rules that could make a file."""
        return [rule.name for rule in self.rules if rule.is_producer(file)]

    def resource(self, rule: str, name: str, attempt: int) -> int:
        """Return what a rule's job is granted in an attempt, the first being 1."""
        (found,) = (each for each in self.rules if each.name == rule)
        granted = found.resources[name]
        return int(
            granted.evaluate(None, attempt=attempt).value
            if granted.is_evaluable()
            else granted.value
        )


def plan(
    folder: Path,
    config: str,
    snakefile: Path = ROOT / "Snakefile",
    *,
    targets: Collection[str] = (),
) -> Plan:
    """Plan a run in a folder with a configuration on top of the shipped one.

    What Snakemake has no public way to ask for is asked here, and nowhere else.
    """
    folder.mkdir(exist_ok=True)
    file = folder / "config.yaml"
    file.write_text(config)
    settings = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with SnakemakeApi(settings) as api, contextlib.redirect_stdout(io.StringIO()):
        flow = api.workflow(
            resource_settings=ResourceSettings(cores=4),
            config_settings=ConfigSettings(configfiles=[file]),
            snakefile=snakefile,
            workdir=folder,
        )
        flow.dag(DAGSettings(targets=set(targets), forceall=True)).printrulegraph()
        workflow = flow._workflow
        project = os.path.relpath(ROOT, folder) + "/"
        return Plan([_job(workflow, job, project) for job in workflow.dag.jobs], workflow.rules)


def _job(workflow: Any, job: Any, project: str) -> Job:
    rule = job.rule
    params = _plain(dict(job.params.items()), project)
    return Job(
        rule=rule.name,
        wildcards=dict(job.wildcards_dict),
        input=_plain(_named(job.input), project),
        output=_plain(_named(job.output), project),
        params=params,
        resources={name: job.resources[name] for name in rule.resources if name[0] != "_"},
        threads=job.threads,
        script=Path((rule.script or "").format(params=job.params)).stem,
        shell=rule.shellcmd or "",
        environment=Path(rule.conda_env or "").stem,
        log=[str(file) for file in job.log],
        benchmark=str(job.benchmark or ""),
        local=rule.name in workflow._localrules,
        temporary=[str(file) for file in job.output if file.flags.get("temp")],
        shown={str(file): _shown(file, job) for file in job.output if file.flags.get("report")},
    )


def _shown(file: Any, job: Any) -> tuple[str, str, dict[str, str]]:
    about = file.flags["report"]
    labels = about.labels(job.wildcards) if callable(about.labels) else about.labels
    return about.category, Path(str(about.caption)).stem, dict(labels)


def _named(files: Any) -> dict[str, Any]:
    named = dict(files.items())
    count = sum(1 if isinstance(found, str) else len(found) for found in named.values())
    first = list(files)[: len(files) - count]
    return {**({"*": first} if first else {}), **named}


def _plain(value: Any, project: str) -> Any:
    """Return a value as plain text, numbers, lists and maps."""
    if isinstance(value, Mapping):
        return {key: _plain(one, project) for key, one in value.items()}
    if isinstance(value, str):
        return "." if f"{value}/" == project else str(value).removeprefix(project)
    if isinstance(value, list | tuple):
        return [_plain(one, project) for one in value]
    return value
