"""Time the flower networks' passes against the notebook's way, and what was tried; print Markdown.

Run by `make bench-flowers`. Every contender is a process of its own with the same images and the
same number of threads. In a round each of them runs once, in turn, while the others sleep, so that
a machine busy with something else slows all alike; ratios are taken within a round, and their
median is reported. Weights are random: they make no difference to the time.
"""

from __future__ import annotations

import argparse
import importlib
import math
import multiprocessing
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor
from tqdm import tqdm

from repro.features import backbones
from repro.features.backbones import Preprocess
from repro.features.extraction import CPU_BATCH, computed, extract
from repro.features.forward import Forward
from repro.features.fusion import TOLERANCE, Activation, FusedLinear, fused, relative_error
from repro.features.pixels import normalised, read_batch
from repro.flowers.images import ImageRef
from repro.flowers.synthetic import draw_flowers
from repro.report.markdown import markdown
from repro.system import devices
from repro.system.files import atomic_path, write_text
from repro.system.threads import in_order

NOTEBOOK_BATCH = 64
MATRIX_SIDE, MATRIX_PRODUCTS = 2048, 4
EPOCHS = 9  # of the report: so often the notebook sends every image through the network
IMAGES = 8189  # in Oxford-102
# Times the notebook's way, per image and for the whole protocol.
TARGETS = {"torchvision:resnet152": (2.0, 16.0), "torchvision:convnext_large": (1.7, 14.0)}
CEILING_TARGET = 0.9
TRIED_SHARE = 4  # attempts are run on that part of the images
# Images a round: two batches of the notebook's, one in training and one in evaluation mode.
NETS = {
    "torchvision:resnet152": 128,
    "torchvision:convnext_large": 128,
    "timm:tf_efficientnet_lite0": 256,
}


@dataclass(frozen=True)
class Task:
    """What a contender is given: the network, the images, the threads."""

    architecture: str
    images: list[ImageRef]
    threads: int

    def network(self) -> nn.Module:
        """Return the network without its classifier, in evaluation mode."""
        return backbones.build(self.architecture, None).module

    def pixels(self) -> Tensor:
        """Return all images, decoded: uint8, shape (n, crop, crop, 3)."""
        return read_batch(self.images, Preprocess(), 0, len(self.images)).pixels

    def inputs(self) -> Tensor:
        """Return all images as the network's input: float32, channels last in memory."""
        mean, std = (
            torch.tensor(v).view(1, 3, 1, 1) for v in (Preprocess().mean, Preprocess().std)
        )
        return normalised(self.pixels(), mean, std)


class Photographs(Dataset[Tensor]):
    """The images as torchvision's ImageFolder gives them, with the report's transform."""

    def __init__(self, images: Sequence[ImageRef]) -> None:
        """Take the images."""
        self.images = images
        settings = Preprocess()
        self.transform = Compose(
            [
                Resize(settings.resize),
                CenterCrop(settings.crop),
                ToTensor(),
                Normalize(settings.mean, settings.std),
            ]
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image: float32, shape (3, crop, crop)."""
        image: Tensor = self.transform(pil_loader(self.images[index].file))
        return image


# --- the contenders: each returns what a round runs, and the error of its features ----------------

Run = Callable[[], object]
Contender = Callable[[Task], tuple[Run, float]]


def notebook(task: Task, workers: int = 0) -> tuple[Run, float]:
    """Call the network as the notebook does: float32, contiguous, DataLoader.

    Half of the images are those it trains on: there the frozen network is in training mode.
    """
    network = task.network().requires_grad_(False)
    half = len(task.images) // 2
    loaders = {
        mode: DataLoader(Photographs(images), NOTEBOOK_BATCH, num_workers=workers)
        for mode, images in ((True, task.images[:half]), (False, task.images[half:]))
    }

    def run() -> None:
        for mode, loader in loaders.items():
            network.train(mode)
            with torch.set_grad_enabled(mode):
                for batch in loader:
                    network(batch)

    return run, 0.0


def notebook_with_workers(task: Task) -> tuple[Run, float]:
    """Let the DataLoader decode in processes."""
    return notebook(task, workers=task.threads)


def ours(task: Task) -> tuple[Run, float]:
    """Run what extracts the features, from the files on."""
    devices.keep_freed_memory()
    forward = Forward(task.network(), Preprocess(), torch.device("cpu"))
    starts = range(0, len(task.images), CPU_BATCH)

    def run() -> None:
        for _ in computed(forward, task.images, Preprocess(), starts, task.threads):
            pass

    return run, _error(task, forward.module)


def ours_in_memory(task: Task) -> tuple[Run, float]:
    """Run the same on images that are decoded already: the ceiling."""
    devices.keep_freed_memory()
    forward = Forward(task.network(), Preprocess(), torch.device("cpu"))
    parts = task.pixels().split(CPU_BATCH)

    def run() -> None:
        for _ in in_order(forward, parts, task.threads):
            pass

    return run, _error(task, forward.module)


def decoding(task: Task) -> tuple[Run, float]:
    """Decode only."""
    starts = range(0, len(task.images), CPU_BATCH)

    def run() -> None:
        for _ in in_order(
            lambda start: read_batch(task.images, Preprocess(), start, CPU_BATCH),
            starts,
            task.threads,
        ):
            pass

    return run, 0.0


def matrix_products(task: Task) -> tuple[Run, float]:
    """Multiply matrices, each thread its own: the arithmetic this machine is good for."""
    product = FusedLinear(nn.Linear(MATRIX_SIDE, MATRIX_SIDE, bias=False), Activation())
    matrices = [torch.rand(MATRIX_SIDE, MATRIX_SIDE)] * (MATRIX_PRODUCTS * task.threads)

    def run() -> None:
        for _ in in_order(product, matrices, task.threads):
            pass

    return run, 0.0


def eager(task: Task) -> tuple[Run, float]:
    """Run the network as it is, contiguous, on images in memory."""
    return _whole_batches(task, task.network(), task.inputs().contiguous())


def channels_last(task: Task) -> tuple[Run, float]:
    """Lay tensors out with channels last."""
    return _whole_batches(task, _last(task.network()), task.inputs())


def channels_last_kept(task: Task) -> tuple[Run, float]:
    """Also keep freed memory."""
    devices.keep_freed_memory()
    return channels_last(task)


def folded(task: Task) -> tuple[Run, float]:
    """Also fold BatchNorm into the convolutions."""
    from torch.fx.experimental.optimization import fuse  # noqa: PLC0415

    devices.keep_freed_memory()
    return _whole_batches(task, _last(fuse(task.network())), task.inputs())


def layers_fused(task: Task) -> tuple[Run, float]:
    """Also do sums and activations inside oneDNN's kernels; all threads on one batch."""
    devices.keep_freed_memory()
    inputs = task.inputs()
    network = fused(_last(task.network()), inputs[:2], fewer_products=False)
    return _whole_batches(task, network, inputs)


def fewer_products(task: Task) -> tuple[Run, float]:
    """Also do wide 3 by 3 convolutions Winograd's way."""
    devices.keep_freed_memory()
    inputs = task.inputs()
    return _whole_batches(task, fused(_last(task.network()), inputs[:2]), inputs)


def torchscript(task: Task) -> tuple[Run, float]:
    """Trace, freeze and optimise with TorchScript (oneDNN)."""
    devices.keep_freed_memory()
    inputs, network = task.inputs(), _last(task.network())
    with torch.no_grad():
        traced = torch.jit.trace(network, inputs[:CPU_BATCH], check_trace=False)
        frozen = torch.jit.optimize_for_inference(traced)
    return _whole_batches(task, frozen, inputs)


def compiled(task: Task) -> tuple[Run, float]:
    """Compile with torch.compile and inductor's freezing; needs a C++ compiler."""
    if not shutil.which("g++"):
        raise ImportError("no C++ compiler")
    from torch._inductor import config  # noqa: PLC0415

    devices.keep_freed_memory()
    config.freezing = True
    return _whole_batches(task, torch.compile(_last(task.network())), task.inputs())


def bfloat16(task: Task) -> tuple[Run, float]:
    """Compute in bfloat16."""
    devices.keep_freed_memory()
    network = _last(task.network()).to(torch.bfloat16)
    return _whole_batches(task, lambda x: network(x.to(torch.bfloat16)).float(), task.inputs())


def openvino(task: Task) -> tuple[Run, float]:
    """Convert to OpenVINO, float32."""
    ov = importlib.import_module("openvino")
    inputs = task.inputs().contiguous()
    model = ov.convert_model(task.network(), example_input=inputs[:2])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": task.threads}
    network = ov.compile_model(model, "CPU", settings)
    return _whole_batches(task, lambda x: torch.from_numpy(network(x.numpy())[0]), inputs)


def onnx_runtime(task: Task) -> tuple[Run, float]:
    """Export to ONNX and run by ONNX Runtime."""
    runtime = importlib.import_module("onnxruntime")
    inputs = task.inputs().contiguous()
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/network.onnx"
        torch.onnx.export(
            task.network(),
            (inputs[:2],),
            file,
            dynamo=False,
            input_names=["images"],
            dynamic_axes={"images": {0: "n"}},
        )
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = task.threads
        session = runtime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    return _whole_batches(
        task, lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0]), inputs
    )


CONTENDERS: dict[str, Contender] = {
    "notebook's way": notebook,
    "this project": ours,
    "forward only": ours_in_memory,
    "decoding only": decoding,
    "matrix products": matrix_products,
}
# Those the figure shows.
PASSES = ("this project", "forward only", "notebook's way")
TRIED: dict[str, Contender] = {
    "channels last": channels_last,
    "channels last, freed memory kept": channels_last_kept,
    "the same, BatchNorm folded": folded,
    "the same, sums and activations fused": layers_fused,
    "the same, 3 by 3 convolutions by fewer products": fewer_products,
    "the same, a batch of its own per thread (used)": ours_in_memory,
    "TorchScript, frozen and optimised": torchscript,
    "torch.compile, frozen": compiled,
    "OpenVINO, float32": openvino,
    "ONNX Runtime, float32": onnx_runtime,
    "bfloat16": bfloat16,
}
INPUT_TRIED: dict[str, Contender] = {"decoding in worker processes": notebook_with_workers}
ALL = {**CONTENDERS, **TRIED, **INPUT_TRIED, "eager": eager}


def _last(network: nn.Module) -> nn.Module:
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _whole_batches(
    task: Task, network: Callable[[Tensor], Tensor], inputs: Tensor
) -> tuple[Run, float]:
    parts = inputs.split(NOTEBOOK_BATCH)

    def run() -> None:
        with torch.no_grad():
            for part in parts:
                network(part)

    return run, _error(task, network)


def _error(task: Task, network: Callable[[Tensor], Tensor]) -> float:
    """Compare two images' features with those of the untouched network."""
    small = replace(task, images=task.images[:2])
    with torch.no_grad():
        return relative_error(network(small.inputs()), task.network()(small.inputs().contiguous()))


# --- processes that wait for their turn ----------------------------------------------------------


def _serve(name: str, task: Task, pipe: Any) -> None:
    torch.set_num_threads(task.threads)
    try:
        run, error = ALL[name](task)
        run()
    except Exception as problem:
        pipe.send(f"{type(problem).__name__}: {problem}".splitlines()[0])
        return
    pipe.send(error)
    while pipe.recv():
        started = time.perf_counter()
        run()
        pipe.send(time.perf_counter() - started)


@contextmanager
def _started(name: str, task: Task) -> Iterator[tuple[Any, float | str]]:
    """Start a contender; yield its pipe and its error, or why it cannot run."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(name, task, there))
    process.start()
    there.close()
    try:
        yield here, here.recv()
    except EOFError:
        yield here, "ended before it was ready"
    finally:
        if process.is_alive():
            here.send(False)
        process.join()


def _turn(pipe: Any) -> float:
    pipe.send(True)
    return float(pipe.recv())


@dataclass(frozen=True)
class Times:
    """Seconds of each round, by contender, and the error of each, or why it did not run."""

    seconds: dict[str, list[float]]
    notes: dict[str, float | str]

    def rate(self, name: str, images: int) -> float:
        """Return images per second, the median over rounds."""
        return images / median(self.seconds[name])

    def ratio(self, slower: str, faster: str) -> float:
        """Return how many times faster one is than the other, the median over rounds."""
        pairs = zip(self.seconds[slower], self.seconds[faster], strict=True)
        return median(a / b for a, b in pairs)


def race(names: Sequence[str], task: Task, rounds: int) -> Times:
    """Run contenders in turn, round after round."""
    seconds: dict[str, list[float]] = {}
    notes: dict[str, float | str] = {}
    with _all_started(names, task, notes) as pipes:
        for _ in range(rounds):
            for name, pipe in pipes.items():
                seconds.setdefault(name, []).append(_turn(pipe))
    return Times(seconds, notes)


@contextmanager
def _all_started(
    names: Sequence[str], task: Task, notes: dict[str, float | str]
) -> Iterator[dict[str, Any]]:
    """Start contenders; yield those that run, and leave in ``notes`` what each says of itself."""
    pipes = {}
    with ExitStack() as stack:
        for name in names:
            pipe, notes[name] = stack.enter_context(_started(name, task))
            if not isinstance(notes[name], str):  # a text says why it cannot run here
                pipes[name] = pipe
        yield pipes


# --- memory --------------------------------------------------------------------------------------


def _peak(count: int, images: list[ImageRef], threads: int, pipe: Any) -> None:
    devices.keep_freed_memory()
    devices.set_threads(threads)
    many = [replace(images[i % len(images)], id=i) for i in range(count)]
    backbone = backbones.build("timm:tf_efficientnet_lite0", None)
    with tempfile.TemporaryDirectory() as work:
        cpu = torch.device("cpu")
        extract(many, backbone, Preprocess(), Path(work), device=cpu, workers=threads)
    # Not ru_maxrss: a new process inherits it from the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    pipe.send(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)


def in_process(target: Callable[..., None], *arguments: Any) -> float:
    """Run ``target`` in a process of its own; return what it reports."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*arguments, there))
    process.start()
    there.close()
    reported = float(here.recv())
    process.join()
    return reported


# --- the page ------------------------------------------------------------------------------------


def flops(architecture: str) -> float:
    """Return the floating-point operations of one image's pass: a multiply-add counts as two."""
    with torch.device("meta"):
        network = backbones.create(architecture)
        image = torch.empty(1, 3, Preprocess().crop, Preprocess().crop)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return float(counter.get_total_flops())


def main_part(task: Task, times: Times) -> tuple[list[str], str]:
    """Put the notebook's way, ours and the ceilings into a table's row and a sentence."""
    count, name = len(task.images), task.architecture
    products = MATRIX_PRODUCTS * task.threads * 2 * MATRIX_SIDE**3
    arithmetic = times.rate("matrix products", products) / flops(name)
    ratio = times.ratio("notebook's way", "this project")
    share = times.ratio("this project", "forward only") ** -1
    row = [
        name,
        *(f"{times.rate(one, count):.2f}" for one in list(CONTENDERS)[:3]),
        f"{arithmetic:.2f}",
        f"{times.rate('decoding only', count):.0f}",
        f"{ratio:.2f}",
        f"{100 * share:.0f} %",
        f"{EPOCHS * ratio:.1f}",
    ]
    verdict = ""
    if name in TARGETS:
        per_image, whole = TARGETS[name]
        most = arithmetic / times.rate("notebook's way", count)
        verdict = (
            f"- {name}: {ratio:.2f} times per image, {per_image} wanted "
            f"({_met(ratio >= per_image)}); {100 * share:.0f} % of forward only, "
            f"{100 * CEILING_TARGET:.0f} % wanted ({_met(share >= CEILING_TARGET)}); "
            f"{EPOCHS * ratio:.1f} times for the whole protocol, {whole:.0f} wanted "
            f"({_met(EPOCHS * ratio >= whole)}). As many products as the network has, at the rate "
            f"of large matrices, would be {most:.2f} times the notebook's way per image."
        )
    return row, verdict


def _met(reached: bool) -> str:
    return "met" if reached else "not met"


def tried_part(task: Task, rounds: int, names: Sequence[str]) -> list[list[str]]:
    """Race each attempt against the plain network; return a table's rows."""
    rows = []
    for base, group in (("eager", TRIED), ("notebook's way", INPUT_TRIED)):
        own = [name for name in names if name in group]
        if not own:
            continue
        with _started(base, task) as (plain, _):
            for name in own:
                rows.append([task.architecture, name, *_attempt(name, task, plain, rounds)])
                tqdm.write(" | ".join(rows[-1]), file=sys.stderr)
    return rows


def _attempt(name: str, task: Task, plain: Any, rounds: int) -> tuple[str, str, str]:
    """Return the ratio to the plain network, the error, and whether it is within tolerance."""
    with _started(name, task) as (pipe, note):
        if isinstance(note, str):
            return "", "", f"did not run: {note}"
        ratio = median(_turn(plain) / _turn(pipe) for _ in range(rounds))
    return f"{ratio:.2f}", f"{note:.0e}", "yes" if note <= TOLERANCE else "no"


def machine(threads: int) -> str:
    """Describe processor, load and versions."""
    name = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    return (
        f"- Processor: {name}, {os.cpu_count()} cores seen, {threads} threads used; load before "
        f"the run {os.getloadavg()[0]:.1f}.\n"
        f"- {platform.system()} on {platform.machine()}, Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}."
    )


MAIN_HEADER = [
    "network",
    "notebook's way",
    "this project",
    "forward only",
    "matrix products",
    "decoding only",
    "ratio",
    "of forward only",
    "whole protocol",
]
TRIED_HEADER = ["network", "tried", "ratio", "error", "within tolerance"]


def _median_of(rounds: int) -> str:
    return f"medians of {rounds} rounds" if rounds > 1 else "one round"


def csv_rows(network: str, times: Times) -> list[dict[str, Any]]:
    """Return the rounds of those that pass over the images, one row each, for the figure."""
    return [
        {"network": network, "contender": name, "round": number, "seconds": seconds}
        for name in PASSES
        for number, seconds in enumerate(times.seconds[name], 1)
    ]


def page(options: argparse.Namespace, images: list[ImageRef]) -> tuple[str, list[dict[str, Any]]]:
    """Run everything; return the page, and the seconds of each round."""
    threads, rounds = options.threads, options.rounds
    about = machine(threads)
    rows, verdicts, tried, seconds = [], [], [], []
    for name in tqdm(options.nets, desc="networks"):
        count = options.count or NETS.get(name, 32)
        many = [replace(images[i % len(images)], id=i) for i in range(count)]
        task = Task(name, many, threads)
        times = race(list(CONTENDERS), task, rounds)
        row, verdict = main_part(task, times)
        seconds += csv_rows(name.partition(":")[2], times)
        tqdm.write(" | ".join(row), file=sys.stderr)
        rows.append(row)
        verdicts += [verdict] if verdict else []
        few = replace(task, images=many[: math.ceil(count / TRIED_SHARE)])
        tried += tried_part(few, options.tried_rounds, options.tried)
    parts = [
        "# Speed of the flower networks",
        "Printed by `make bench-flowers`. Images per second, from JPEG files on, "
        f"{_median_of(rounds)}. The notebook's way: torchvision's network as it comes, float32, "
        f"contiguous, a DataLoader with batches of {NOTEBOOK_BATCH}; half of the images in "
        "training mode, as in its epochs. Forward only: this project's pass on images decoded "
        "before. Matrix products: what the machine's rate of large ones, taken in the same rounds, "
        "would allow. Ratio: this project to the notebook's way. Whole protocol: "
        f"times the ratio of passes, {EPOCHS} epochs to 1.",
        about,
        "## Passes",
        markdown(MAIN_HEADER, rows, numbers=range(1, len(MAIN_HEADER))),
        "\n".join(verdicts),
    ]
    if tried:
        parts += [
            "## What was tried",
            f"Forward only, on images in memory, {_median_of(options.tried_rounds)}; ratio "
            "to the plain network, contiguous (for decoding in worker processes: to the notebook's "
            "way). Error: largest relative difference of an image's features from the plain "
            f"network's; {TOLERANCE:.0e} is the tolerance.",
            markdown(TRIED_HEADER, tried, numbers=(2, 3)),
        ]
    if options.memory_counts and Path("/proc/self/status").exists():
        peaks = [in_process(_peak, n, images, threads) for n in options.memory_counts]
        listed = ", ".join(
            f"{peak:.0f} MiB at {n} images"
            for n, peak in zip(options.memory_counts, peaks, strict=True)
        )
        parts += ["## Memory", f"Peak of an extraction with EfficientNet-Lite0: {listed}."]
    return "\n\n".join(part.strip() for part in parts if part) + "\n", seconds


def photographs(folder: Path | None, work: Path) -> list[ImageRef]:
    """Return the images of ``folder``, or of a drawn archive."""
    if folder is None:
        paths = [work / name for name in ("flowers.tgz", "labels.mat", "setid.mat")]
        draw_flowers(*paths, kinds=8, images_per_kind=4, seed=1, sides=(500, 512))
        with tarfile.open(paths[0]) as archive:
            archive.extractall(work, filter="data")
        folder = work
    files = sorted(folder.rglob("*.jpg"))
    if not files:
        sys.exit(f"{folder}: no .jpg below it")
    return [ImageRef(i, file, "") for i, file in enumerate(files)]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="write the page there too")
    parser.add_argument("--csv", type=Path, help="write the seconds of each round there")
    parser.add_argument("--images", type=Path, help="folder of JPEGs; drawn ones without it")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tried-rounds", type=int, default=3)
    parser.add_argument("--count", type=int, help="images a round, the same for every network")
    parser.add_argument("--nets", nargs="*", default=list(NETS))
    parser.add_argument("--tried", nargs="*", default=[*TRIED, *INPUT_TRIED], choices=[*ALL, []])
    parser.add_argument("--memory-counts", nargs="*", type=int, default=[500, 2000])
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as work:
        text, seconds = page(options, photographs(options.images, Path(work)))
    print(text, end="")
    if options.output:
        write_text(options.output, text)
    if options.csv:
        with atomic_path(options.csv) as aside:
            pd.DataFrame(seconds).to_csv(aside, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
