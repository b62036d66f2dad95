"""Run the workflow as a user would, kill it on the way if asked, and measure what it costs."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from repro.compute import devices
from repro.compute.threads import map_in_threads
from repro.errors import UserError
from repro.features.backbones import Preprocess, build
from repro.features.forward import Forward
from repro.features.pixels import read_batch
from repro.flowers.images import ImageRef
from repro.provenance.run_times import by_rule, jobs
from repro.system.writer_lock import lock_of

logger = logging.getLogger("repro")

JOB, RUN = "the job", "Snakemake and all its jobs"

_LOOK = 0.2  # seconds between two looks at what the run is doing
_TELL = 60.0  # seconds between two lines on how far the features are
_PART_DONE = 0.25  # share of the images after which a features job is killed
_STARTED = re.compile(r"Job (\d+): (.*)")
_FINISHED = re.compile(r"Finished jobid: (\d+) \(Rule: (\w+)\)")


@dataclass
class Life:
    """One life of a job: a killed one has another.

    Attributes:
        message: what Snakemake calls the job.
        started: seconds since the epoch, as for ``ended``.
        rule: known once a life of this message has finished.
    """

    message: str
    started: float
    ended: float | None = None
    rule: str = ""
    finished: bool = False


@dataclass
class Kill:
    """One SIGKILL, and what it cost. Times in seconds since the epoch.

    Attributes:
        what: JOB or RUN.
        net: whose features were being made.
        at: when.
        rows: images whose features were on disk.
        lost: seconds since these were written, all that was worked out in them.
        restarted: when the command was given again.
        went_on: when the job had found what was done, and went on.
        new_rows: when more features were on disk.
    """

    what: str
    net: str
    at: float
    rows: int
    lost: float
    restarted: float | None = None
    went_on: float | None = None
    new_rows: float | None = None


@dataclass(frozen=True)
class FeaturesJob:
    """Where a features job works.

    Attributes:
        work: folder of its unfinished work.
        made: its first output, which has the lock of its process beside it.
        log: its log file.
    """

    work: Path
    made: Path
    log: Path

    def rows(self) -> int:
        """Return the number of images done, as far as it is on disk."""
        try:
            return int(json.loads((self.work / "progress.json").read_text())["rows"])
        except FileNotFoundError:
            return 0

    def unwritten(self) -> float:
        """Return the seconds since features were last written."""
        return time.time() - (self.work / "progress.json").stat().st_mtime

    def process(self) -> int:
        """Return the process that is at work."""
        return int(json.loads(lock_of(self.made).read_text())["process"])

    def has_gone_on(self, since: float) -> bool:
        """Return whether the job has said so since then."""
        try:
            fresh = self.log.stat().st_mtime >= since
            return fresh and "going on at image" in self.log.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False


@dataclass
class Rehearsal:
    """One run of the workflow, in as many starts as its kills ask for.

    Attributes:
        command: Snakemake with all its arguments; also called with ``--unlock``.
        folder: where it runs.
        features: the features jobs by net.
        images: number of images.
        kills: what to kill: the first net that is caught part done gets the first, the next net
            the next.
        pause: seconds that a job has worked since it last wrote features when it is killed; it
            writes after ten or more.
    """

    command: Sequence[str]
    folder: Path
    features: Mapping[str, FeaturesJob] = field(default_factory=dict)
    images: int = 0
    kills: Sequence[str] = ()
    pause: float = 5.0
    lives: list[Life] = field(default_factory=list)
    killed: list[Kill] = field(default_factory=list)
    started: float = 0.0
    ended: float = 0.0

    def run(self) -> None:
        """Run until Snakemake has finished.

        Raises:
            UserError: it failed for another reason than a kill.
        """
        self.started = time.time()
        while (status := self._start()) != 0:
            kill = self.killed[-1] if self.killed else None
            if kill is None or kill.restarted is not None:
                raise UserError(
                    f"rehearsal: Snakemake ended with status {status}; what failed stands above. "
                    "Mend it and run the same command again"
                )
            # The lock of a run that died; without one this does nothing.
            unlock = [*self.command, "--unlock"]
            subprocess.run(unlock, cwd=self.folder, env=environment(), check=True)
            kill.restarted = time.time()
        self.ended = time.time()
        rules = {life.message: life.rule for life in self.lives if life.finished}
        for life in self.lives:
            life.rule = rules.get(life.message, "")

    def _start(self) -> int:
        """Give the command once; return its status."""
        process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read, args=[process])
        reader.start()
        told = time.time()
        try:
            while process.poll() is None:
                time.sleep(_LOOK)
                self._look(process)
                if time.time() - told > _TELL:
                    told = time.time()
                    self._tell()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            reader.join()
        for life in self.lives:
            life.ended = life.ended or time.time()
        return process.returncode

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Pass on what Snakemake prints, and note which jobs start and finish."""
        running: dict[str, Life] = {}
        assert process.stdout is not None  # noqa: S101  for mypy
        for line in process.stdout:
            print(line, end="", flush=True)
            if match := _STARTED.match(line):
                running[match[1]] = Life(match[2].strip(), time.time())
                self.lives.append(running[match[1]])
            elif (match := _FINISHED.match(line)) and match[1] in running:
                life = running.pop(match[1])
                life.ended, life.rule, life.finished = time.time(), match[2], True

    def _look(self, process: subprocess.Popen[str]) -> None:
        for kill in self.killed:
            job = self.features[kill.net]
            if kill.restarted and kill.went_on is None and job.has_gone_on(kill.restarted):
                kill.went_on = time.time()
            more = job.rows() > kill.rows or job.made.exists()
            if kill.went_on and kill.new_rows is None and more:
                kill.new_rows = time.time()
        if len(self.killed) == len(self.kills):
            return
        for net, job in self.features.items():
            rows = job.rows()
            if net in {kill.net for kill in self.killed} or job.made.exists():
                continue
            part_done = _PART_DONE * self.images <= rows < self.images
            if part_done and job.unwritten() >= self.pause:
                self._kill(process, net, rows)
                return

    def _kill(self, process: subprocess.Popen[str], net: str, rows: int) -> None:
        job, what = self.features[net], self.kills[len(self.killed)]
        if what == RUN:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(job.process(), signal.SIGKILL)
        self.killed.append(Kill(what, net, time.time(), rows, job.unwritten()))
        logger.info("%s: killed with SIGKILL at image %d of %d: %s", net, rows, self.images, what)

    def _tell(self) -> None:
        for net, job in self.features.items():
            if 0 < job.rows() < self.images:
                logger.info("%s: features of %d of %d images", net, job.rows(), self.images)

    def record(self) -> dict[str, Any]:
        """Return what was measured, as plain values."""
        return {
            "wall_s": self.ended - self.started,
            "lives": [asdict(life) for life in self.lives],
            "kills": [asdict(kill) for kill in self.killed],
        }


def snakemake(cores: int, configurations: Sequence[Path]) -> list[str]:
    """Return the command that runs Snakemake as README says, with this Python."""
    return [
        *(sys.executable, "-m", "snakemake", "--cores", str(cores), "--resources", "gpu=1"),
        *("--configfile", *map(str, configurations)),
    ]


def environment() -> dict[str, str]:
    """Return this process's environment, with the programs beside this Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def forward_rate(
    architecture: str, weights: Path, archive: Path, *, threads: int, images: int, batches: int
) -> float:
    """Return images a second of the forward pass alone, on one decoded batch again and again.

    In a process of its own, which leaves no memory behind.

    Args:
        architecture: "torchvision:NAME" or "timm:NAME".
        weights: the file.
        archive: whose first images are the batch.
        threads: that compute, as in a features job.
        images: of the batch.
        batches: that each of them computes.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        sizes = {"threads": threads, "images": images, "batches": batches}
        return pool.submit(_forward_rate, architecture, weights, archive, **sizes).result()


def _forward_rate(
    architecture: str, weights: Path, archive: Path, *, threads: int, images: int, batches: int
) -> float:
    devices.keep_freed_memory()
    devices.set_threads(threads)
    device = devices.choose(1)
    forward = Forward(build(architecture, weights).module, Preprocess(), device)
    with tempfile.TemporaryDirectory() as folder:
        files = _first(images, archive, Path(folder))
        refs = [ImageRef(number, file, "") for number, file in enumerate(files)]
        pixels = read_batch(refs, Preprocess(), 0, images).pixels
    parts = [pixels] * (threads * batches)
    started = time.perf_counter()
    for _ in map_in_threads(forward, parts, threads if device.type == "cpu" else 1):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize()
    return len(parts) * images / (time.perf_counter() - started)


def _first(count: int, archive: Path, folder: Path) -> list[Path]:
    """Unpack the first images of an archive."""
    files: list[Path] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                continue
            files.append(folder / Path(member.name).name)
            files[-1].write_bytes(content.read())
            if len(files) == count:
                break
    return files


# --- what the rules cost --------------------------------------------------------------------------


def costs(
    benchmarks: Path, lives: Sequence[Mapping[str, Any]], disk: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return what each rule cost, the longest first.

    Seconds are those of Snakemake's benchmark files; of lives that were cut short, and of the
    rules that have none, by the clock of who read Snakemake's messages.

    Args:
        benchmarks: their folder, where files lie as RULE.tsv or RULE/....tsv.
        lives: as :meth:`Rehearsal.record` returns them.
        disk: bytes by rule.

    Returns:
        rule, jobs, wall_s, killed_s (of it, in lives that were killed), peak_rss_mib (None where
        not measured) and bytes.
    """
    patterns = {
        entry.stem: str(entry) if entry.is_file() else f"{entry}/{{job}}.tsv"
        for entry in benchmarks.iterdir()
    }
    measured = by_rule(jobs(patterns)).set_index("rule").to_dict("index")
    rules: dict[str, dict[str, Any]] = {}
    for life in lives:
        row = rules.setdefault(
            life["rule"] or life["message"],
            {"jobs": 0, "wall_s": 0.0, "killed_s": 0.0},
        )
        seconds = life["ended"] - life["started"]
        row["jobs"] += life["finished"]
        row["wall_s" if life["finished"] else "killed_s"] += seconds
    for rule, row in rules.items():
        own = measured.get(rule, {})
        row["wall_s"] = own.get("wall_s", row["wall_s"]) + row["killed_s"]
        peak = own.get("peak_rss_mib", math.nan)
        row["peak_rss_mib"] = None if math.isnan(peak) else peak
        row["bytes"] = disk.get(rule, 0)
    found = [{"rule": rule, **row} for rule, row in rules.items() if rule != "all"]
    return sorted(found, key=lambda row: -row["wall_s"])


def disk_by_rule(command: Sequence[str], folder: Path) -> dict[str, int]:
    """Return the bytes of each rule's outputs; of a file with several names, at its first."""
    done = subprocess.run(
        [*command, "--summary"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sizes: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") > 4]
    # Hard links of the images lie in folders whose names come later.
    for file, _, rule, *_ in sorted(rows[1:], key=lambda row: ("folders" in row[0], row[0])):
        sizes[rule] = sizes.get(rule, 0) + _size(folder / file, seen)
    return sizes


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    total = 0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file():
            status = file.stat()
            key = (status.st_dev, status.st_ino)
            total += 0 if key in seen else status.st_size
            seen.add(key)
    return total


def seconds_an_epoch(log: Path) -> float:
    """Return the mean time from one epoch's line in a training's log to the next's."""
    found = re.findall(
        r"^(\d\d):(\d\d):(\d\d) INFO \S+: \S+ epoch \d+:", log.read_text(encoding="utf-8"), re.M
    )
    times = [int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in found]
    return (times[-1] - times[0]) % 86400 / (len(times) - 1)
