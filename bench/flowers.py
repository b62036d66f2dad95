"""Time the flower networks' passes against the notebook's way, engine by engine; print Markdown.

Run by `make bench-flowers`. Every network and engine is a process of its own with the same images
and the same number of threads; while one of them runs, the others sleep. Weights are random: they
make no difference to the time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import multiprocessing
import sys
import tarfile
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.datasets.folder import pil_loader
from torchvision.ops import Permute
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from bench import harness
from repro.compute import devices
from repro.compute.threads import map_in_threads
from repro.features import backbones
from repro.features.backbones import Preprocess
from repro.features.extraction import CPU_BATCH, computed, extract
from repro.features.forward import Forward
from repro.features.fusion import TOLERANCE, Activation, FusedLinear, relative_error
from repro.features.pixels import read_batch
from repro.flowers.images import ImageRef
from repro.flowers.synthetic import draw_flowers

NOTEBOOK_BATCH = 64
MATRIX_SIDE, MATRIX_PRODUCTS = 2048, 4
EPOCHS = 9  # of the report: so often the notebook sends every image through the network
# Times the notebook's way, per image and for the whole protocol.
TARGETS = {"torchvision:resnet152": (2.0, 16.0), "torchvision:convnext_large": (1.7, 14.0)}
CEILING_TARGET = 0.9
# Images a round, of which the notebook's way takes half in training, half in evaluation mode: so
# many that each engine works for seconds.
NETS = {
    "torchvision:resnet152": 64,
    "torchvision:convnext_large": 32,
    "timm:tf_efficientnet_lite0": 256,
}
CPU = torch.device("cpu")

NOTEBOOK, OURS, FORWARD = "notebook's way", "this project", "forward only"
DECODING, MATRICES = "decoding only", "matrix products"
PLAIN, FUSED, OPENVINO = "channels last", "fused", "OpenVINO"
USED = FUSED  # by this project
ONE_STREAM, STREAMS = "one stream", "a stream a thread"


@dataclass(frozen=True)
class Task:
    """What a contender is given: the network, the images, the threads."""

    architecture: str
    images: list[ImageRef]
    threads: int

    def network(self) -> nn.Module:
        """Return the network without its classifier, in evaluation mode."""
        return backbones.build(self.architecture, None).module

    def pixels(self, count: int) -> Tensor:
        """Return so many images, decoded: uint8, shape (n, crop, crop, 3)."""
        return read_batch(self.images, Preprocess(), 0, count).pixels


# --- the contenders ------------------------------------------------------------------------------


class Ready(NamedTuple):
    """What a process runs when it is its turn, by name, and its features of two images if any."""

    turns: Mapping[str, Callable[[], object]]
    features: Tensor | None = None


def done(results: Iterable[object]) -> None:
    """Work everything out and keep nothing."""
    deque(results, maxlen=0)


def notebook(task: Task) -> Ready:
    """Call the network as the notebook does: float32, contiguous, DataLoader.

    Half of the images are those it trains on: there the frozen network is in training mode.
    """
    network, report = task.network().requires_grad_(False), Preprocess()
    steps = Resize(report.resize), CenterCrop(report.crop), ToTensor()
    transform = Compose([*steps, Normalize(report.mean, report.std)])
    half = len(task.images) // 2

    def read(images: Sequence[ImageRef]) -> Tensor:
        return torch.stack([transform(pil_loader(image.file)) for image in images])

    features = network(read(task.images[:2]))

    def run() -> None:
        for training, part in ((True, task.images[:half]), (False, task.images[half:])):
            network.train(training)
            with torch.set_grad_enabled(training):
                for batch in DataLoader(part, NOTEBOOK_BATCH, collate_fn=read):  # type: ignore[arg-type]
                    network(batch)

    return Ready({NOTEBOOK: run}, features)


def ceilings(task: Task) -> Ready:
    """Decode only; multiply matrices, each thread its own: what the machine can do."""
    starts = range(0, len(task.images), CPU_BATCH)
    product = FusedLinear(nn.Linear(MATRIX_SIDE, MATRIX_SIDE, bias=False), Activation())
    matrices = [torch.rand(MATRIX_SIDE, MATRIX_SIDE)] * (MATRIX_PRODUCTS * task.threads)
    read = partial(read_batch, task.images, Preprocess(), batch_size=CPU_BATCH)
    return Ready(
        {
            DECODING: lambda: done(map_in_threads(read, starts, task.threads)),
            MATRICES: lambda: done(map_in_threads(product, matrices, task.threads)),
        }
    )


class OpenVino(nn.Module):
    """A network by OpenVINO on the CPU, float32; callable from as many threads as streams."""

    def __init__(self, network: nn.Module, threads: int, streams: int) -> None:
        """Convert ``network``."""
        super().__init__()
        openvino: Any = importlib.import_module("openvino")
        shape = [-1, Preprocess().crop, Preprocess().crop, 3]
        from_last = nn.Sequential(Permute([0, 3, 1, 2]), network)
        example = torch.zeros(2, *shape[1:])
        model = openvino.convert_model(from_last, input=shape, example_input=example)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
        }
        self.compiled = openvino.compile_model(model, "CPU", settings)
        self.own = threading.local()

    def forward(self, x: Tensor) -> Tensor:
        """Map x (n, 3, h, w), channels last in memory, to (n, width)."""
        if not hasattr(self.own, "request"):  # it serves one call at a time
            self.own.request = self.compiled.create_infer_request()
        inputs = x.permute(0, 2, 3, 1).numpy()
        return torch.from_numpy(self.own.request.infer([inputs], share_inputs=True)[0])


def passes(name: str, task: Task) -> tuple[Forward, Forward]:
    """Return the engine's pass for one stream, and the one for a stream a thread."""
    network = task.network()
    if name == OPENVINO:
        one, many = (
            Forward(OpenVino(network, task.threads, streams), Preprocess(), CPU, fuse=False)
            for streams in (1, task.threads)
        )
        return one, many
    forward = Forward(network, Preprocess(), CPU, fuse=name == FUSED)
    return forward, forward


def engine(name: str, task: Task) -> Ready:
    """Run the network by an engine, on images in memory; by that of this project from files too."""
    devices.keep_freed_memory()
    one, many = passes(name, task)
    parts = torch.split(task.pixels(len(task.images)), CPU_BATCH)
    starts = range(0, len(task.images), CPU_BATCH)
    turns: dict[str, Callable[[], object]] = {
        turn(name, ONE_STREAM): lambda: done(map(one, parts)),
        turn(name, STREAMS): lambda: done(map_in_threads(many, parts, task.threads)),
    }
    if name == USED:
        turns[OURS] = lambda: done(computed(many, task.images, Preprocess(), starts, task.threads))
    return Ready(turns, many(parts[0][:2]))


def turn(name: str, way: str) -> str:
    """Return an engine's turn by its name in the table of times."""
    return FORWARD if (name, way) == (USED, STREAMS) else f"{name}, {way}"


def engines() -> list[str]:
    """Return the engines that can run here."""
    found = importlib.util.find_spec("openvino") is not None
    return [PLAIN, FUSED, *([OPENVINO] if found else [])]


# --- processes that wait for their turn ----------------------------------------------------------

_turns: dict[str, Callable[[], object]] = {}  # of the process that this is


def _prepare(make: Callable[[Task], Ready], task: Task) -> tuple[list[str], Any]:
    ready = make(task)
    for run in ready.turns.values():
        run()
    _turns.update(ready.turns)
    return list(ready.turns), None if ready.features is None else ready.features.numpy()


def _run(name: str) -> dict[str, float]:
    started = time.perf_counter()
    _turns[name]()
    return {"seconds": time.perf_counter() - started}


def own_process(threads: int) -> ProcessPoolExecutor:
    """Return a process, not a copy of this one, whose operators use so many threads."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, devices.set_threads, (threads,))


def race(task: Task, rounds: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """Let everybody take turns; return the times, and the error of each engine's features."""
    makers = {NOTEBOOK: notebook, "ceilings": ceilings}
    makers |= {name: partial(engine, name) for name in engines()}
    contenders: dict[str, Callable[[], dict[str, float]]] = {}
    features = {}
    with ExitStack() as stack:
        for name, make in makers.items():
            process = stack.enter_context(own_process(task.threads))
            names, found = process.submit(_prepare, make, task).result()
            features[name] = found
            contenders |= {own: partial(_taken, process, own) for own in names}
        times = harness.race(contenders, rounds)
    plain = torch.from_numpy(features[NOTEBOOK])
    errors = {name: relative_error(torch.from_numpy(features[name]), plain) for name in engines()}
    return times, errors


def _taken(process: ProcessPoolExecutor, name: str) -> dict[str, float]:
    return process.submit(_run, name).result()


def peak(count: int, images: Sequence[ImageRef], threads: int) -> float:
    """Return the MiB that an extraction of so many images takes at its peak."""
    devices.keep_freed_memory()
    many = repeated(images, count)
    backbone = backbones.build("timm:tf_efficientnet_lite0", None)
    with tempfile.TemporaryDirectory() as work:
        extract(many, backbone, Preprocess(), Path(work), device=CPU, workers=threads)
    # Not ru_maxrss: a new process inherits it from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def repeated(images: Sequence[ImageRef], count: int) -> list[ImageRef]:
    """Return so many images, each with an id of its own."""
    return [replace(images[number % len(images)], id=number) for number in range(count)]


# --- the page ------------------------------------------------------------------------------------


def flops(architecture: str) -> float:
    """Return the floating-point operations of one image's pass: a multiply-add counts as two."""
    with torch.device("meta"):
        network = backbones.create(architecture)
        image = torch.empty(1, 3, Preprocess().crop, Preprocess().crop)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return float(counter.get_total_flops())


def main_part(task: Task, times: pd.DataFrame) -> tuple[dict[str, str], str]:
    """Put the notebook's way, ours and the ceilings into a table's row and a sentence."""
    name, rates = task.architecture, len(task.images) / harness.medians(times)
    products = MATRIX_PRODUCTS * task.threads * 2 * MATRIX_SIDE**3
    arithmetic = products / harness.medians(times)[MATRICES] / flops(name)
    ratio = harness.ratio(times, NOTEBOOK, OURS)
    share = harness.ratio(times, FORWARD, OURS)
    row = {
        "network": name,
        **{one: f"{rates[one]:.2f}" for one in (NOTEBOOK, OURS, FORWARD)},
        MATRICES: f"{arithmetic:.2f}",
        DECODING: f"{rates[DECODING]:.0f}",
        "ratio": f"{ratio:.2f}",
        "of forward only": f"{100 * share:.0f} %",
        "whole protocol": f"{EPOCHS * ratio:.1f}",
    }
    if name not in TARGETS:
        return row, ""
    per_image, whole = TARGETS[name]
    return row, (
        f"- {name}: {ratio:.2f} times per image, {per_image} wanted "
        f"({harness.met(ratio >= per_image)}); {100 * share:.0f} % of forward only, "
        f"{100 * CEILING_TARGET:.0f} % wanted ({harness.met(share >= CEILING_TARGET)}); "
        f"{EPOCHS * ratio:.1f} times for the whole protocol, {whole:.0f} wanted "
        f"({harness.met(EPOCHS * ratio >= whole)}). As many products as the network has, at the "
        f"rate of large matrices, would be {arithmetic / rates[NOTEBOOK]:.2f} times the notebook's "
        "way per image."
    )


def best(times: pd.DataFrame, names: Sequence[str]) -> str:
    """Return the fastest turn of some engines."""
    turns = [turn(name, way) for name in names for way in (ONE_STREAM, STREAMS)]
    return str(harness.medians(times)[turns].idxmin())


def engine_rows(
    task: Task, times: pd.DataFrame, errors: Mapping[str, float]
) -> list[dict[str, str]]:
    """Return a table's row for each engine."""
    rates = len(task.images) / harness.medians(times)
    return [
        {
            "network": task.architecture,
            "engine": name,
            **{way: f"{rates[turn(name, way)]:.2f}" for way in (ONE_STREAM, STREAMS)},
            "ratio": f"{harness.ratio(times, NOTEBOOK, best(times, [name])):.2f}",
            "error": f"{error:.0e}",
            "within tolerance": "yes" if error <= TOLERANCE else "no",
        }
        for name, error in errors.items()
    ]


def beside(times: Sequence[pd.DataFrame], name: str, others: Sequence[str]) -> str:
    """Say how fast an engine is beside the best of others, each at its better way."""
    gains = [harness.ratio(own, best(own, others), best(own, [name])) for own in times]
    return (
        f"- {name} beside the best of {'; '.join(others)}: "
        f"{', '.join(f'{gain:.2f}' for gain in gains)} times as fast, "
        f"geometric mean {geometric_mean(gains):.2f}."
    )


def engines_part(
    networks: Sequence[str], every: Sequence[pd.DataFrame], rows: Sequence[dict[str, str]]
) -> list[str]:
    """Return the paragraphs on the engines; one that cannot run here is said to be left out."""
    if OPENVINO in engines():
        last = beside(every, OPENVINO, [FUSED])
    else:
        last = "- OpenVINO is not installed here and was left out; `pip install openvino` adds it."
    return [
        "## What was tried",
        f"Images per second, forward only, on images in memory, in batches of {CPU_BATCH}: in one "
        "stream, where all threads work on a batch, or a stream a thread. Ratio: the better of the "
        "two to the notebook's way. Error: largest relative difference of an image's features from "
        f"those of the notebook's way; {TOLERANCE:.0e} is the tolerance. This project uses "
        f"“{USED}”, {STREAMS}.",
        harness.table(rows, words=2),
        f"Each at its better way, for {', '.join(networks)}:",
        f"{beside(every, FUSED, [PLAIN])}\n{last}",
    ]


def page(options: argparse.Namespace, images: Sequence[ImageRef]) -> tuple[str, pd.DataFrame]:
    """Run everything; return the page, and the rounds that the figure shows."""
    threads, rounds = options.threads, options.rounds
    about = harness.machine(threads, "torch", "openvino")
    rows, verdicts, tried, every = [], [], [], []
    for name in options.nets:
        task = Task(name, repeated(images, options.count or NETS.get(name, 32)), threads)
        times, errors = race(task, rounds)
        row, verdict = main_part(task, times)
        own = engine_rows(task, times, errors)
        print(harness.table([row]), harness.table(own, words=2), sep="\n", file=sys.stderr)
        rows.append(row)
        verdicts += [verdict] if verdict else []
        tried += own
        every.append(times.assign(network=name.partition(":")[2]))
    peaks = []
    for count in options.memory_counts:
        with own_process(threads) as process:
            mib = process.submit(peak, count, images, threads).result()
        peaks.append(f"{mib:.0f} MiB at {count} images")
    text = harness.page(
        "# Speed of the flower networks",
        f"Printed by `make bench-flowers`. Images per second, from JPEG files on, medians of "
        f"{rounds} rounds. The notebook's way: torchvision's network as it comes, float32, "
        f"contiguous, a DataLoader with batches of {NOTEBOOK_BATCH}; half of the images in "
        "training mode, as in its epochs. Forward only: this project's pass on images decoded "
        "before. Matrix products: what the machine's rate of large ones, taken in the same rounds, "
        "would allow. Ratio: this project to the notebook's way. Whole protocol: "
        f"times the ratio of passes, {EPOCHS} epochs to 1.",
        about,
        "## Passes",
        harness.table(rows),
        "\n".join(verdicts),
        *engines_part(options.nets, every, tried),
        "## Memory",
        f"Peak of an extraction with EfficientNet-Lite0: {', '.join(peaks) or 'not measured'}.",
    )
    measured = pd.concat(every)
    return text, measured[measured["contender"].isin((NOTEBOOK, OURS, FORWARD))]


def photographs(folder: Path | None, work: Path) -> list[ImageRef]:
    """Return the images of ``folder``, or of an archive drawn in ``work``."""
    if folder is None:
        paths = [work / name for name in ("flowers.tgz", "labels.mat", "setid.mat")]
        draw_flowers(*paths, kinds=8, images_per_kind=4, seed=1, sides=(500, 512))
        with tarfile.open(paths[0]) as archive:
            archive.extractall(work, filter="data")
        folder = work
    files = sorted(folder.rglob("*.jpg"))
    if not files:
        sys.exit(f"{folder}: no .jpg below it")
    return [ImageRef(number, file, "") for number, file in enumerate(files)]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = harness.parser(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; drawn ones without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, help="images a round, the same for every network")
    parser.add_argument("--nets", nargs="+", default=list(NETS))
    parser.add_argument("--memory-counts", nargs="*", type=int, default=[500, 2000])
    return parser.parse_args(arguments)


def main() -> None:
    """Read the command line, time, write."""
    options = parse()
    with tempfile.TemporaryDirectory() as work:
        text, measured = page(options, photographs(options.images, Path(work)))
    harness.publish(text, measured, options)


if __name__ == "__main__":
    main()
