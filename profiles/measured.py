#!/usr/bin/env python3
"""Print what each rule's jobs took, by the benchmark files of a run, beside what the rule asks for.

python profiles/measured.py benchmarks/demo config/demo.yaml
"""

import csv
import sys
from pathlib import Path
from typing import NamedTuple

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

SNAKEFILE = Path(__file__).resolve().parents[1] / "Snakefile"


class Use(NamedTuple):
    """The most that any of a rule's jobs took."""

    jobs: int
    memory_mb: float
    seconds: float


class Ask(NamedTuple):
    """What a rule asks for at the first attempt, and whether it runs where Snakemake runs."""

    memory_mb: int
    minutes: int
    threads: int
    gpus: int
    local: bool


def used(benchmarks: Path) -> dict[str, Use]:
    """Return what the jobs of each rule took; files lie as RULE.tsv or RULE/....tsv."""
    found: dict[str, list[tuple[float, float]]] = {}
    for file in sorted(benchmarks.rglob("*.tsv")):
        rule = file.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        with file.open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                # A job shorter than the first look at it has no memory noted.
                memory = 0.0 if row["max_rss"] == "NA" else float(row["max_rss"])
                found.setdefault(rule, []).append((memory, float(row["s"])))
    return {
        rule: Use(len(jobs), max(memory for memory, _ in jobs), max(time for _, time in jobs))
        for rule, jobs in found.items()
    }


def asked(configurations: list[Path], attempt: int = 1) -> dict[str, Ask]:
    """Return what every rule with work to do asks for, by the rule's name."""
    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        plan = api.workflow(
            resource_settings=ResourceSettings(),
            config_settings=ConfigSettings(configfiles=configurations),
            snakefile=SNAKEFILE,
        )
        plan.dag()
        workflow = plan._workflow

        def ask(rule, name: str) -> int:
            resource = rule.resources.get(name)
            return (resource.evaluate(None, attempt=attempt).value or 0) if resource else 0

        return {
            rule.name: Ask(
                *(ask(rule, name) for name in ("mem_mb", "runtime", "_cores", "gpu")),
                rule.name in workflow._localrules,
            )
            for rule in workflow.rules
            if rule.has_products()
        }


def main() -> None:
    """Print the table as Markdown."""
    if len(sys.argv) < 2:
        raise SystemExit("usage: python profiles/measured.py BENCHMARKS [CONFIGURATION ...]")
    wanted = asked([Path(file) for file in sys.argv[2:]])
    print("| rule | jobs | took MB | asks MB | took s | asks min | threads | GPUs | runs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for rule, use in sorted(used(Path(sys.argv[1])).items()):
        ask = wanted.get(rule)
        if ask is None:
            continue  # of another configuration, or an older version of the workflow
        print(
            f"| {rule} | {use.jobs} | {use.memory_mb:.0f} | {ask.memory_mb} | {use.seconds:.0f} | "
            f"{ask.minutes} | {ask.threads} | {ask.gpus} | "
            f"{'with Snakemake' if ask.local else 'as a job'} |"
        )


if __name__ == "__main__":
    main()
