"""What a rehearsal cost, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from repro.report.markdown import markdown

Record = Mapping[str, Any]


def page(record: Record) -> str:
    """Return the page of what ``scripts/rehearse.py`` has measured."""
    run = record["run"]
    parts = [
        "# The rehearsal",
        "Printed by `make rehearse`: the default run (`config.yaml`), rule for rule, with "
        "stand-ins for what it fetches. Drawn flowers in the official layout, as many a label as "
        "there are; random weights in the form of the official files; each from a `path` with its "
        "hash. MNIST is real. `config/rehearsal.yaml` changes sources and folders, and marks "
        "every figure as a rehearsal's: none is held against the report.",
        _about(record),
        "## The whole run",
        _whole(record),
        "## Each rule",
        "Seconds are sums over a rule's jobs, from Snakemake's benchmark files. Those hold a job's "
        "last life only: lives that were killed, and rules without such a file, are timed by when "
        "Snakemake said that they began and ended. Memory is the highest of the rule's jobs, as "
        "Snakemake saw it: every half second at first, later every 30 seconds. Disk is what the "
        "rule leaves; hard links are counted once, a fetched file where its link leads.",
        _rules(run),
        "## Images a second",
        "Of a features job: images over all of its seconds, from its first start on, with all that "
        "is not the network (Python, the proof and the reading of the weights, decoding, writing, "
        "and what kills cost). Forward only: the same network in the same number of threads on one "
        "decoded batch again and again, just before the run and just after it.",
        _passes(record),
    ]
    if run["kills"]:
        parts += ["## What the kills cost", _kills(run)]
    if record.get("notebook"):
        parts += ["## The notebook's protocol", _notebook(record)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _about(record: Record) -> str:
    machine, run = record["machine"], record["run"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"- Processor: {machine['processor']}, {machine['cores']} cores, {run['cores']} used; "
        f"{machine['memory_gib']:.0f} GiB of memory; cards: {machine['cards']}.\n"
        f"- {machine['system']}, Python {machine['python']}, {versions}.\n"
        f"- Load before the run {run['load'][0]:.1f}, after it {run['load'][1]:.1f}.\n"
        f"- {run['images']:,} images of {run['labels']} labels, {run['counts'][0]} to "
        f"{run['counts'][1]} each; {run['bytes'] / run['images'] / 1000:.1f} kB an image; made, "
        f"or found there, in {record['made_s']:.0f} s."
    )


def _whole(record: Record) -> str:
    run = record["run"]
    forward = sum(run["images"] / _forward(net) for net in run["nets"].values())
    least = "at least " if _measured_at_rest(run) else ""
    jobs = sum(row["jobs"] for row in run["rules"])
    disk = sum(row["bytes"] for row in run["rules"])
    return (
        f"{jobs} jobs in {minutes(run['wall_s'])}, kills and restarts included. "
        f"Forward passes are {least}{100 * forward / run['wall_s']:.0f} % of that: "
        f"{minutes(forward)} at the rates measured forward only. "
        f"The rules leave {size(disk)} behind; the stand-ins take {size(record['made_bytes'])} "
        "more."
    )


def _rules(run: Record) -> str:
    rows = [
        [
            row["rule"],
            str(row["jobs"]),
            f"{row['wall_s']:.1f}",
            f"{row['killed_s']:.1f}" if row["killed_s"] else "",
            "" if row["peak_rss_mib"] is None else f"{row['peak_rss_mib']:.0f}",
            f"{row['bytes'] / 1e6:.1f}",
        ]
        for row in run["rules"]
    ]
    header = ["rule", "jobs", "seconds", "of them killed", "peak memory, MiB", "disk, MB"]
    return markdown(header, rows, numbers=range(1, 6))


def _forward(net: Record) -> float:
    return float(net.get("at_rest", (net["before"] + net["after"]) / 2))


def _measured_at_rest(run: Record) -> bool:
    return all("at_rest" in net for net in run["nets"].values())


def _passes(record: Record) -> str:
    run = record["run"]
    seconds = {row["rule"]: row["wall_s"] for row in run["rules"]}
    rows = []
    for name, net in run["nets"].items():
        took = seconds[f"features_{name}"]
        rate = run["images"] / took
        rows.append(
            [
                name,
                f"{run['images']:,}",
                f"{took:.0f}",
                f"{rate:.2f}",
                f"{net['before']:.2f}",
                f"{net['after']:.2f}",
                *([f"{net['at_rest']:.2f}"] if "at_rest" in net else []),
                f"{100 * rate / _forward(net):.0f} %",
            ]
        )
    header = ["net", "images", "seconds", "images a second"]
    header += ["forward only, before", "after"]
    header += ["at rest"] if _measured_at_rest(run) else []
    header += ["of forward only"]
    table = markdown(header, rows, numbers=range(1, len(header)))
    if not _measured_at_rest(run):
        return table
    return (
        f"{table}\nOther work had a share of the cores before, during and after the run. At rest: "
        "measured once more without it. The shares are of that, so the least they can be."
    )


def _kills(run: Record) -> str:
    rows = []
    for kill in run["kills"]:
        rate = _forward(run["nets"][kill["net"]])
        rows.append(
            [
                kill["what"],
                kill["net"],
                f"{kill['rows']:,} of {run['images']:,}",
                f"{kill['lost']:.1f}",
                f"{kill['lost'] * rate:.0f}",
                _between(kill, "at", "restarted"),
                _between(kill, "restarted", "went_on"),
                _between(kill, "restarted", "new_rows"),
            ]
        )
    header = ["SIGKILL to", "while making features of", "images on disk", "seconds of work lost"]
    header += ["about so many images", "s to the restart", "s to going on", "s to more on disk"]
    told = (
        "Lost is what was worked out since features were last written. A job writes after every 10 "
        "seconds or more of work, and is killed half way between. To the restart: until Snakemake "
        "has ended and `--unlock` has run. To going on: from the same command given again until "
        "the job has found its place; the plan, Python's start, the proof of the weights and their "
        "reading are in it. More on disk comes at the next writing."
    )
    return f"{markdown(header, rows, numbers=range(3, 8))}\n{told}"


def _between(kill: Record, start: str, end: str) -> str:
    return "not seen" if kill[end] is None else f"{kill[end] - kill[start]:.1f}"


def _notebook(record: Record) -> str:
    part = record["notebook"]
    rows = []
    for name, net in part["nets"].items():
        each = net["epoch_s"] / part["images"]
        whole = each * part["whole_passes"]
        rows.append(
            [
                name,
                f"{net['job_s']:.0f}",
                f"{net['peak_rss_mib']:.0f}",
                f"{net['epoch_s']:.1f}",
                f"{1 / each:.2f}",
                hours(whole),
            ]
        )
    header = ["model", "seconds", "peak memory, MiB", "seconds an epoch", "images a second"]
    header += [f"the whole: {part['whole_epochs']} epochs, {part['whole_images']:,} images"]
    told = (
        f"{part['images']:,} images in the notebook's shares, {part['epochs']} epochs, the "
        "backbone in training mode while the head trains. An epoch's seconds are those between "
        "its line in the log and the next. The whole is worked out from them, not run: "
        f"{part['whole_passes']:,} images through the network, each in every epoch, and the "
        "training images once more for the last scores."
    )
    return f"{told}\n\n{markdown(header, rows, numbers=range(1, 6))}"


def minutes(seconds: float) -> str:
    """Return seconds, or minutes where they are many."""
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"


def hours(seconds: float) -> str:
    """Return hours."""
    return f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Return bytes as MB, or GB where they are many."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def unfinished(record: Record) -> Sequence[str]:
    """Return which kills that were asked for did not find a features job part done."""
    asked, found = record["run"]["asked"], [kill["what"] for kill in record["run"]["kills"]]
    return list(asked[len(found) :])
