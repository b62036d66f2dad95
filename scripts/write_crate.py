"""Describe the results as a Workflow Run RO-Crate, with the workflow's own files in it."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from repro.plan import LOGS, Plan
from repro.provenance import crate
from repro.provenance.job_files import files_of_jobs
from repro.system import logs
from repro.system.files import write_json

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def copy_workflow(snakefile: str, rules: list[str], folder: Path) -> None:
    """Copy the Snakefile and the rules it includes; a crate's workflow lies inside the crate."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(snakefile, folder / "Snakefile")
    for file in rules:
        shutil.copyfile(file, folder / "rules" / Path(file).name)


def copy_logs(patterns: dict[str, str], plan: Plan, folder: Path) -> list[Path]:
    """Copy the logs of a run's jobs, without where on this machine they lie; return the copies."""
    runs = {model.name: [run.name for run in model.runs] for model in plan.models}
    places = {str(Path.cwd()): ".", os.environ.get("HOME") or "~": "~"}
    places.pop("/", None)  # the home of who has none begins every path
    copies = []
    for _, file, _ in files_of_jobs(patterns, runs, plan.splits, plan.model_of_rule):
        copy = folder / file.relative_to(plan.config["logs_dir"])
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8", errors="replace")
        for place, word in places.items():
            text = text.replace(place, word)
        copy.write_text(text, encoding="utf-8")
        copies.append(copy)
    return copies


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    source, params = snakemake.input, snakemake.params
    root = Path(snakemake.output.crate).parent
    copy_workflow(source.snakefile, source.rules, Path(snakemake.output.workflow))
    plan = Plan(yaml.safe_load(Path(source.config).read_text(encoding="utf-8")))
    kept = copy_logs(params.logs, plan, root / LOGS)
    identity = json.loads(Path(source.provenance).read_text(encoding="utf-8"))["identity"]
    packages = {name: version for name, version in identity["packages"].items() if version}
    made = [file for file in map(Path, source) if file.is_relative_to(root)]
    workflow = crate.Workflow(
        version=identity["code"]["commit"] or identity["code"]["sha256"],
        snakemake=packages.get("snakemake", ""),
        packages=packages,
        configuration=identity["configuration_sha256"],
        models=[model.name for model in plan.models],
        report=params.report,
    )
    files = [*crate.with_siblings(made), *kept]
    sources = [crate.Source.of(entry) for entry in params.sources.values()]
    write_json(snakemake.output.crate, crate.build(root, files, workflow, sources))
    logger.info("%d files, %d from elsewhere", len(files), len(sources))


if __name__ == "__main__":
    main()
