"""Time an epoch of the one-hidden-layer net against what one would use instead; print Markdown.

Run by `make bench-mnist`. In one process and on one thread, every contender trains the report's
recipe on real MNIST: 784-50-10, sigmoid, batches of 100, plain SGD, 550 updates an epoch. An epoch
of each is timed in turn, round after round, so that a machine busy with something else slows all
alike. Ratios are of medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

from repro.mnist.images import CLASSES, MnistSplits, load_splits
from repro.mnist.net import BLOCK, aligned_empty, multiply
from repro.mnist.training import MlpRecipe, NumpyTrainer, full_batches, scaled_inputs
from repro.splits import SPLITS
from repro.system.files import atomic_path, write_text

HIDDEN = 50
STD = 0.1  # of the normal distribution that weights are drawn from
RECIPE = MlpRecipe(hidden=(HIDDEN,), learning_rate=0.1, batch_size=100, epochs=50, initial_std=STD)
SEED = 123
EVALUATED = ("train", "validation")
PARTS = ("training", "evaluation", "epoch")

Array = NDArray[Any]


class Data:
    """MNIST, and its scaled images, made once for all who share them."""

    def __init__(self, splits: MnistSplits) -> None:
        """Take the splits; nothing is scaled yet."""
        self.splits = splits
        self._scaled: dict[tuple[str, str], Array] = {}

    def scaled(self, split: str, dtype: str) -> Array:
        """Return the split's images scaled to −1..1, shape (n, 784)."""
        if (split, dtype) not in self._scaled:
            self._scaled[split, dtype] = scaled_inputs(getattr(self.splits, split).pixels, dtype)
        return self._scaled[split, dtype]

    def labels(self, split: str) -> Array:
        """Return the split's labels, shape (n,)."""
        return np.asarray(getattr(self.splits, split).labels)


class Contender(Protocol):
    """One way to train the net, an epoch at a time."""

    def train_epoch(self) -> None:
        """Make the updates of an epoch."""

    def evaluate(self) -> None:
        """Make the evaluations that end an epoch; nothing where only training is compared."""


# --- the contenders ------------------------------------------------------------------------------


class Ours:
    """The net of this project."""

    def __init__(self, data: Data, dtype: str) -> None:
        """Start training with the recipe in this precision."""
        self.trainer = NumpyTrainer(data.splits, replace(RECIPE, dtype=dtype), SEED)
        self.train_epoch = self.trainer.train_epoch

    def evaluate(self) -> None:
        """Evaluate on both splits."""
        for split in EVALUATED:
            self.trainer.evaluate(split)

    def outputs(self, x: Array) -> Array:
        """Return the net's outputs."""
        return self.trainer.net.predict(x)


class Direct:
    """The same algorithm in the most direct NumPy style: every array made anew, batch by batch."""

    def __init__(self, data: Data) -> None:
        """Scale the data and draw the weights."""
        self.sets = {name: (data.scaled(name, "float64"), data.labels(name)) for name in EVALUATED}
        random = np.random.RandomState(SEED)
        inputs = data.scaled("train", "float64").shape[1]
        self.w1 = random.normal(0.0, STD, (HIDDEN, inputs))
        self.b1 = np.zeros(HIDDEN)
        self.w2 = random.normal(0.0, STD, (CLASSES, HIDDEN))
        self.b2 = np.zeros(CLASSES)
        self.random = np.random.RandomState(SEED)

    def batches(self, name: str) -> Iterator[tuple[Array, Array]]:
        """Yield images and labels in an order drawn anew."""
        x, labels = self.sets[name]
        order = np.arange(len(x))
        self.random.shuffle(order)
        for start in range(0, len(x) - RECIPE.batch_size + 1, RECIPE.batch_size):
            batch = order[start : start + RECIPE.batch_size]
            yield x[batch], labels[batch]

    def forward(self, x: Array) -> tuple[Array, Array]:
        """Return the activations of both layers."""
        hidden = 1 / (1 + np.exp(-(x @ self.w1.T + self.b1)))
        return hidden, 1 / (1 + np.exp(-(hidden @ self.w2.T + self.b2)))

    def train_epoch(self) -> None:
        """Make the updates of an epoch."""
        for x, labels in self.batches("train"):
            hidden, out = self.forward(x)
            error = out - np.eye(CLASSES)[labels]
            delta2 = 2 * error / len(x) * out * (1 - out)
            delta1 = delta2 @ self.w2 * hidden * (1 - hidden)
            gradient2 = delta2.T @ hidden
            gradient1 = delta1.T @ x
            self.w2 -= RECIPE.learning_rate * gradient2
            self.b2 -= RECIPE.learning_rate * delta2.sum(axis=0)
            self.w1 -= RECIPE.learning_rate * gradient1
            self.b1 -= RECIPE.learning_rate * delta1.sum(axis=0)

    def evaluate(self) -> None:
        """Take loss and accuracy on both splits, batch by batch."""
        for name in EVALUATED:
            correct, seen, losses = 0, 0, []
            for x, labels in self.batches(name):
                _, out = self.forward(x)
                losses.append(np.mean((np.eye(CLASSES)[labels] - out) ** 2))
                correct += np.sum(out.argmax(axis=1) == labels)
                seen += len(x)
            self.measured = correct / seen, np.mean(losses)

    def outputs(self, x: Array) -> Array:
        """Return the net's outputs."""
        return self.forward(x)[1]


class ScikitLearn:
    """scikit-learn's MLPClassifier in float32: logistic units, plain SGD, its own log-loss.

    An epoch is one call of ``partial_fit``.
    """

    def __init__(self, data: Data) -> None:
        """Scale the data and describe the net."""
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

        self.x, self.labels = data.scaled("train", "float32"), data.labels("train")
        self.net = MLPClassifier(
            RECIPE.hidden,
            activation="logistic",
            solver="sgd",
            alpha=0.0,
            batch_size=RECIPE.batch_size,
            learning_rate_init=RECIPE.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            random_state=SEED,
        )

    def train_epoch(self) -> None:
        """Make the updates of an epoch."""
        self.net.partial_fit(self.x, self.labels, classes=np.arange(CLASSES))

    def evaluate(self) -> None:
        """Do nothing."""


class PyTorch:
    """PyTorch on the CPU in float32: tensors in memory, batches by index, no DataLoader."""

    def __init__(self, data: Data) -> None:
        """Scale the data and make the net."""
        import torch  # noqa: PLC0415
        from torch import nn  # noqa: PLC0415

        self.torch = torch
        torch.set_num_threads(1)
        self.x = torch.from_numpy(data.scaled("train", "float32"))
        labels = torch.from_numpy(data.labels("train"))
        self.y = nn.functional.one_hot(labels, CLASSES).to(torch.float32)
        self.net = nn.Sequential(
            nn.Linear(self.x.shape[1], HIDDEN),
            nn.Sigmoid(),
            nn.Linear(HIDDEN, CLASSES),
            nn.Sigmoid(),
        )
        self.loss = nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=RECIPE.learning_rate)
        self.generator = torch.Generator().manual_seed(SEED)

    def train_epoch(self) -> None:
        """Make the updates of an epoch."""
        order = self.torch.randperm(len(self.x), generator=self.generator)
        for places in full_batches(len(self.x), RECIPE.batch_size):
            batch = order[places]
            loss = self.loss(self.net(self.x[batch]), self.y[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def evaluate(self) -> None:
        """Do nothing."""


class MatrixProducts:
    """The floor: an epoch's matrix products alone, of the shapes our net multiplies."""

    def __init__(self, data: Data, dtype: str, *, slabs: bool) -> None:
        """Fill operands with numbers of the size that a real net has.

        Without ``slabs`` each product is one call of ``np.matmul``; with them it is done as our
        net does it.
        """
        random = np.random.RandomState(SEED)

        def filled(rows: int, columns: int) -> Array:
            array = aligned_empty((rows, columns), dtype)
            array[...] = random.normal(0.0, STD, array.shape)
            return array

        self.sets = [data.scaled(name, dtype) for name in EVALUATED]
        batch, inputs = RECIPE.batch_size, self.sets[0].shape[1]
        self.w1, self.w2 = filled(HIDDEN, inputs), filled(CLASSES, HIDDEN)
        self.gradient1, self.gradient2 = filled(HIDDEN, inputs), filled(CLASSES, HIDDEN)
        self.x, self.hidden = filled(batch, inputs), filled(batch, HIDDEN)
        self.out, self.delta1 = filled(batch, CLASSES), filled(batch, HIDDEN)
        self.steps = len(list(full_batches(len(self.sets[0]), batch)))
        self.block_hidden, self.block_out = filled(BLOCK, HIDDEN), filled(BLOCK, CLASSES)

        self.by_rows = partial(multiply, multiple=8) if slabs else np.matmul
        self.by_columns = partial(multiply, multiple=64) if slabs else np.matmul

    def train_epoch(self) -> None:
        """Multiply what the updates of an epoch multiply."""
        for _ in range(self.steps):
            self.by_rows(self.x, self.w1.T, out=self.hidden)
            self.by_rows(self.hidden, self.w2.T, out=self.out)
            self.by_columns(self.hidden.T, self.out, out=self.gradient2.T)
            np.matmul(self.out, self.w2, out=self.delta1)
            self.by_columns(self.x.T, self.delta1, out=self.gradient1.T)

    def evaluate(self) -> None:
        """Multiply what the evaluations multiply."""
        for x in self.sets:
            for start in range(0, len(x), BLOCK):
                rows = x[start : start + BLOCK]
                hidden, out = self.block_hidden[: len(rows)], self.block_out[: len(rows)]
                self.by_rows(rows, self.w1.T, out=hidden)
                self.by_rows(hidden, self.w2.T, out=out)


# --- timing --------------------------------------------------------------------------------------


def time_rounds(contenders: dict[str, Contender], rounds: int) -> pd.DataFrame:
    """Run one epoch of each contender in turn, round after round.

    Returns:
        Columns round, contender, and seconds of each of ``PARTS``.
    """
    rows = []
    for number in tqdm(range(1, rounds + 1), unit="round", disable=None):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender.train_epoch()
            trained = time.perf_counter()
            contender.evaluate()
            end = time.perf_counter()
            rows.append((number, name, trained - start, end - trained, end - start))
    return pd.DataFrame(rows, columns=["round", "contender", *PARTS])


OURS64, OURS32 = "this project, float64", "this project, float32"
DIRECT = "direct NumPy, float64"
SKLEARN, TORCH = "scikit-learn, float32", "PyTorch, float32"
FLOOR64, FLOOR32 = "matrix products alone, float64", "matrix products alone, float32"
SLABS64, SLABS32 = "the same in our slabs, float64", "the same in our slabs, float32"


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians, and what it has to reach if anything."""

    text: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """Return the target in words."""
        if self.at_least is not None:
            return f"at least {self.at_least}"
        return "–" if self.at_most is None else f"at most {self.at_most}"

    @property
    def verdict(self) -> str:
        """Return whether the target is met."""
        if self.at_least is None and self.at_most is None:
            return "–"
        low, high = self.at_least or 0.0, self.at_most or np.inf
        return "yes" if low <= self.value <= high else "no"


def ratios(medians: pd.DataFrame) -> list[Ratio]:
    """Return what is compared; the rival in float32 is the faster of scikit-learn and PyTorch."""
    epoch, training = medians["epoch"], medians["training"]
    rival = min((SKLEARN, TORCH), key=lambda name: float(training[name]))
    return [
        Ratio(
            "direct NumPy / this project, float64, epoch",
            epoch[DIRECT] / epoch[OURS64],
            at_least=1.3,
        ),
        Ratio(
            "direct NumPy / this project, float32, epoch",
            epoch[DIRECT] / epoch[OURS32],
            at_least=2.2,
        ),
        Ratio(
            f"{rival} / this project, float32, training",
            training[rival] / training[OURS32],
            at_least=1.5,
        ),
        Ratio(
            "this project / its matrix products, float64, epoch",
            epoch[OURS64] / epoch[FLOOR64],
            at_most=1.4,
        ),
        Ratio(
            "this project / its matrix products, float32, epoch",
            epoch[OURS32] / epoch[FLOOR32],
            at_most=1.4,
        ),
        Ratio("the same beside products in slabs, float64", epoch[OURS64] / epoch[SLABS64]),
        Ratio("the same beside products in slabs, float32", epoch[OURS32] / epoch[SLABS32]),
    ]


# --- the document --------------------------------------------------------------------------------


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def milliseconds(seconds: float) -> str:
    """Return the time in whole milliseconds, or a dash for none."""
    return f"{1000 * seconds:.0f}" if seconds > 1e-4 else "–"


def times_table(times: pd.DataFrame) -> str:
    """Return the median and the range of each contender's times."""
    rows = []
    for name, own in times.groupby("contender", sort=False):
        medians = own[list(PARTS)].median()
        span = f"{milliseconds(own['epoch'].min())}–{milliseconds(own['epoch'].max())}"
        rows.append([str(name), *(milliseconds(medians[part]) for part in PARTS), span])
    return table(["", *(f"{part}, ms" for part in PARTS), "epoch, min–max"], rows)


def ratios_table(medians: pd.DataFrame) -> str:
    """Return each ratio and whether it reaches its target."""
    rows = [[r.text, f"{r.value:.2f}", r.target, r.verdict] for r in ratios(medians)]
    return table(["", "ratio", "target", "met"], rows)


def accuracy_table(data: Data, outputs: dict[str, dict[str, Array]]) -> str:
    """Return the accuracies, in %, that the nets ended with."""
    rows = [
        [
            name,
            *(
                f"{100 * np.mean(scores.argmax(axis=1) == data.labels(split)):.2f}"
                for split, scores in own.items()
            ),
        ]
        for name, own in outputs.items()
    ]
    return table(["", *SPLITS], rows)


def float32_sentence(outputs: dict[str, dict[str, Array]]) -> str:
    """Say how far the two precisions ended apart."""
    exact, short = outputs[OURS64]["test"], outputs[OURS32]["test"]
    changed = int(np.sum(exact.argmax(axis=1) != short.argmax(axis=1)))
    return (
        f"On the {len(exact):,} test images the outputs of float32 and float64 differ by at most "
        f"{np.abs(exact - short).max():.1e}, and {changed} of the predicted digits "
        f"{'differs' if changed == 1 else 'differ'}."
    )


def machine() -> str:
    """Describe processor, load and versions."""
    import sklearn  # noqa: PLC0415
    import torch  # noqa: PLC0415

    blas = {
        f"{pool['internal_api']} {pool['version']} ({pool.get('architecture', 'unknown')})"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return "\n".join(
        [
            f"- Processor: {processor()}, {os.cpu_count()} cores seen, one thread used; "
            f"load before the run {os.getloadavg()[0]:.1f}.",
            f"- {platform.system()} on {platform.machine()}, Python {platform.python_version()}, "
            f"NumPy {np.__version__}, scikit-learn {sklearn.__version__}, "
            f"PyTorch {torch.__version__}; BLAS loaded: {', '.join(sorted(blas))}.",
        ]
    )


def processor() -> str:
    """Return the processor's name as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def introduction(images: int, rounds: int) -> str:
    """Say what was measured."""
    return " ".join(
        f"""
        Printed by `make bench-mnist`. Net 784-{HIDDEN}-{CLASSES} on MNIST, {images:,} training
        images, batches of {RECIPE.batch_size}, plain gradient descent, the same updates for all.
        Medians of {rounds} rounds; in a round each contender runs one epoch, in turn, in one
        process and on one thread. "Evaluation" is the report's protocol: loss and accuracy on
        train and validation images after each epoch. scikit-learn and PyTorch are timed in
        training only. "Matrix products alone" are the products of our net's shapes, each one call
        of `np.matmul`: the floor. Our net cuts them into slabs where the machine's BLAS is faster
        so (`repro.mnist.net.multiply`); that is listed beside it.
        """.split()
    )


def document(
    data: Data, times: pd.DataFrame, nets: dict[str, Ours | Direct], described: str
) -> str:
    """Return the whole result as Markdown."""
    medians = times.groupby("contender")[list(PARTS)].median()
    rounds = int(times["round"].max())
    outputs = {
        name: {
            split: net.outputs(data.scaled(split, "float32" if name == OURS32 else "float64"))
            for split in SPLITS
        }
        for name, net in nets.items()
    }
    return f"""# Speed of the from-scratch net

{introduction(len(data.labels("train")), rounds)}

{described}

## Times

{times_table(times)}

## Ratios

{ratios_table(medians)}

## Accuracies after {rounds} epochs, in %

{accuracy_table(data, outputs)}

{float32_sentence(outputs)}
"""


def main() -> None:
    """Read the command line, time, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/mnist"), help="prepared MNIST")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs, help="rounds to time")
    parser.add_argument("--output", type=Path, help="Markdown file, beside printing it")
    parser.add_argument("--csv", type=Path, help="file for the time of every round")
    arguments = parser.parse_args()

    described = machine()
    folder = arguments.data
    data = Data(load_splits(*(folder / n for n in ("images.npy", "labels.npy", "split.csv"))))
    with threadpool_limits(1):
        nets: dict[str, Ours | Direct] = {
            OURS64: Ours(data, "float64"),
            OURS32: Ours(data, "float32"),
            DIRECT: Direct(data),
        }
        contenders: dict[str, Contender] = {
            **nets,
            SKLEARN: ScikitLearn(data),
            TORCH: PyTorch(data),
            FLOOR64: MatrixProducts(data, "float64", slabs=False),
            SLABS64: MatrixProducts(data, "float64", slabs=True),
            FLOOR32: MatrixProducts(data, "float32", slabs=False),
            SLABS32: MatrixProducts(data, "float32", slabs=True),
        }
        times = time_rounds(contenders, arguments.epochs)
        text = document(data, times, nets, described)
    if arguments.csv:
        with atomic_path(arguments.csv) as aside:
            times.to_csv(aside, index=False, float_format="%.5f")
    if arguments.output:
        write_text(arguments.output, text)
    print(text)


if __name__ == "__main__":
    main()
