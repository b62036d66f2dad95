"""Describe the results as a Workflow Run RO-Crate, with the workflow's own files in it."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from repro.provenance import crate
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


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    source, params = snakemake.input, snakemake.params
    root = Path(snakemake.output.crate).parent
    copy_workflow(source.snakefile, source.rules, Path(snakemake.output.workflow))
    identity = json.loads(Path(source.provenance).read_text(encoding="utf-8"))["identity"]
    packages = {name: version for name, version in identity["packages"].items() if version}
    made = [file for file in map(Path, source) if file.is_relative_to(root)]
    workflow = crate.Workflow(
        version=identity["code"]["commit"] or identity["code"]["sha256"],
        snakemake=packages.get("snakemake", ""),
        packages=packages,
        configuration=identity["configuration_sha256"],
        models=list(params.models),
        report=params.report,
    )
    files = crate.with_siblings(made)
    sources = [crate.Source.of(entry) for entry in params.sources.values()]
    write_json(snakemake.output.crate, crate.build(root, files, workflow, sources))
    logger.info("%d files, %d from elsewhere", len(files), len(sources))


if __name__ == "__main__":
    main()
