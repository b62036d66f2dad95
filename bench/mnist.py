"""Time an epoch of the one-hidden-layer net against what one would use instead; print Markdown.

Run by `make bench-mnist`. In one process and on one thread, every contender trains the report's
recipe on real MNIST: 784-50-10, sigmoid, batches of 100, plain SGD, 550 updates an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import nn

from bench import harness
from repro.mnist.images import CLASSES, MnistSplits, load_splits
from repro.mnist.net import Mlp
from repro.mnist.numpy_trainer import BLOCK, NumpyTrainer, scaled_inputs
from repro.mnist.products import aligned_empty, multiply
from repro.mnist.recipe import MlpRecipe, full_batches
from repro.provenance import record
from repro.splits import SPLITS

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


class Contender(NamedTuple):
    """One way to train the net: what an epoch is made of."""

    train_epoch: Callable[[], object]
    evaluate: Callable[[], object] = lambda: None  # where only training is compared


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
    """The textbook net of this project, batch by batch: every array made anew."""

    def __init__(self, data: Data) -> None:
        """Scale the data and draw the weights."""
        self.sets = {name: (data.scaled(name, "float64"), data.labels(name)) for name in EVALUATED}
        sizes = (data.scaled("train", "float64").shape[1], HIDDEN, CLASSES)
        self.net = Mlp.drawn(sizes, STD, np.random.RandomState(SEED))
        self.random = np.random.RandomState(SEED)
        self.outputs = self.net.predict

    def batches(self, name: str) -> Iterator[tuple[Array, Array]]:
        """Yield images and one-hot targets in an order drawn anew."""
        x, labels = self.sets[name]
        order = np.arange(len(x))
        self.random.shuffle(order)
        for places in full_batches(len(x), RECIPE.batch_size):
            batch = order[places]
            yield x[batch], np.eye(CLASSES)[labels[batch]]

    def train_epoch(self) -> None:
        """Make the updates of an epoch."""
        for x, y in self.batches("train"):
            self.net.step(x, y, RECIPE.learning_rate)

    def evaluate(self) -> None:
        """Take loss and accuracy on both splits, batch by batch."""
        for name in EVALUATED:
            self.measured = [self.net.evaluate(x, y) for x, y in self.batches(name)]


def scikit_learn(data: Data) -> Contender:
    """Take scikit-learn's MLPClassifier in float32: logistic units, plain SGD, its own log-loss.

    An epoch is one call of ``partial_fit``.
    """
    x, labels = data.scaled("train", "float32"), data.labels("train")
    net = MLPClassifier(
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
    return Contender(lambda: net.partial_fit(x, labels, classes=np.arange(CLASSES)))


def pytorch(data: Data) -> Contender:
    """Take PyTorch on the CPU in float32: tensors in memory, batches by index, no DataLoader."""
    x = torch.from_numpy(data.scaled("train", "float32"))
    y = nn.functional.one_hot(torch.from_numpy(data.labels("train")), CLASSES).to(torch.float32)
    first, second = nn.Linear(x.shape[1], HIDDEN), nn.Linear(HIDDEN, CLASSES)
    net = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid())
    mean_squared = nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=RECIPE.learning_rate)
    generator = torch.Generator().manual_seed(SEED)

    def train_epoch() -> None:
        order = torch.randperm(len(x), generator=generator)
        for places in full_batches(len(x), RECIPE.batch_size):
            batch = order[places]
            loss = mean_squared(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return Contender(train_epoch)


def matrix_products(data: Data, dtype: str, *, slabs: bool) -> Contender:
    """Take the floor: an epoch's matrix products alone, of the shapes our net multiplies.

    Without ``slabs`` each product is one call of ``np.matmul``; with them it is done as our net
    does it. Operands are filled with numbers of the size that a real net has.
    """
    random = np.random.RandomState(SEED)

    def filled(rows: int, columns: int) -> Array:
        array = aligned_empty((rows, columns), dtype)
        array[...] = random.normal(0.0, STD, array.shape)
        return array

    sets = [data.scaled(name, dtype) for name in EVALUATED]
    batch, inputs = RECIPE.batch_size, sets[0].shape[1]
    w1, w2 = filled(HIDDEN, inputs), filled(CLASSES, HIDDEN)
    gradient1, gradient2 = filled(HIDDEN, inputs), filled(CLASSES, HIDDEN)
    x, hidden = filled(batch, inputs), filled(batch, HIDDEN)
    out, delta1 = filled(batch, CLASSES), filled(batch, HIDDEN)
    steps = len(list(full_batches(len(sets[0]), batch)))
    block_hidden, block_out = filled(BLOCK, HIDDEN), filled(BLOCK, CLASSES)
    by_rows = partial(multiply, multiple=8) if slabs else np.matmul
    by_columns = partial(multiply, multiple=64) if slabs else np.matmul

    def train_epoch() -> None:
        for _ in range(steps):
            by_rows(x, w1.T, out=hidden)
            by_rows(hidden, w2.T, out=out)
            by_columns(hidden.T, out, out=gradient2.T)
            np.matmul(out, w2, out=delta1)
            by_columns(x.T, delta1, out=gradient1.T)

    def evaluate() -> None:
        for images in sets:
            for start in range(0, len(images), BLOCK):
                rows = images[start : start + BLOCK]
                by_rows(rows, w1.T, out=block_hidden[: len(rows)])
                by_rows(block_hidden[: len(rows)], w2.T, out=block_out[: len(rows)])

    return Contender(train_epoch, evaluate)


# --- timing --------------------------------------------------------------------------------------


OURS64, OURS32 = "this project, float64", "this project, float32"
DIRECT = "direct NumPy, float64"
SKLEARN, TORCH = "scikit-learn, float32", "PyTorch, float32"
FLOOR64, FLOOR32 = "matrix products alone, float64", "matrix products alone, float32"
SLABS64, SLABS32 = "the same in our slabs, float64", "the same in our slabs, float32"


def epoch(contender: Contender) -> dict[str, float]:
    """Run an epoch; return the seconds of its parts and of the whole."""
    start = time.perf_counter()
    contender.train_epoch()
    trained = time.perf_counter()
    contender.evaluate()
    end = time.perf_counter()
    return dict(zip(PARTS, (trained - start, end - trained, end - start), strict=True))


def ratios(times: pd.DataFrame) -> list[dict[str, str]]:
    """Return what is compared; the rival in float32 is the faster of scikit-learn and PyTorch."""
    rival = str(harness.medians(times, "training")[[SKLEARN, TORCH]].idxmin())
    rows = []
    for slower, faster, part, bound, limit in (
        (DIRECT, OURS64, "epoch", "at least", 1.3),
        (DIRECT, OURS32, "epoch", "at least", 2.2),
        (rival, OURS32, "training", "at least", 1.5),
        (OURS64, FLOOR64, "epoch", "at most", 1.4),
        (OURS32, FLOOR32, "epoch", "at most", 1.4),
        (OURS64, SLABS64, "epoch", "", 0.0),
        (OURS32, SLABS32, "epoch", "", 0.0),
    ):
        value = harness.ratio(times, slower, faster, part)
        reached = value >= limit if bound == "at least" else value <= limit
        row = {"": f"{slower} / {faster}, {part}", "ratio": f"{value:.2f}"}
        if bound:
            row |= {"target": f"{bound} {limit}", "verdict": harness.met(reached)}
        rows.append(row)
    return rows


# --- the page ------------------------------------------------------------------------------------


def times_table(times: pd.DataFrame) -> str:
    """Return the median and the range of each contender's times; nothing where it has no part."""
    own = times.groupby("contender", sort=False)
    medians = (1000 * own[list(PARTS)].median()).map("{:.0f}".format).replace("0", "")
    least, most = ((1000 * own["epoch"].agg(each)).map("{:.0f}".format) for each in ("min", "max"))
    shown = medians.add_suffix(", ms").assign(**{"epoch, min–max": least + "–" + most})
    return harness.table(shown.reset_index(names=""))


def accuracy_table(data: Data, outputs: Mapping[str, Mapping[str, Array]]) -> str:
    """Return the accuracies, in %, that the nets ended with."""
    rows = {
        name: {
            split: f"{100 * np.mean(found.argmax(axis=1) == data.labels(split)):.2f}"
            for split, found in own.items()
        }
        for name, own in outputs.items()
    }
    return harness.table([{"": name, **row} for name, row in rows.items()])


def float32_sentence(outputs: Mapping[str, Mapping[str, Array]]) -> str:
    """Say how far the two precisions ended apart."""
    exact, short = outputs[OURS64]["test"], outputs[OURS32]["test"]
    changed = int(np.sum(exact.argmax(axis=1) != short.argmax(axis=1)))
    return (
        f"On the {len(exact):,} test images the outputs of float32 and float64 differ by at most "
        f"{np.abs(exact - short).max():.1e}, and {changed} of the predicted digits "
        f"{'differs' if changed == 1 else 'differ'}."
    )


def blas() -> str:
    """Return the libraries of linear algebra that are loaded, as an entry of a list."""
    pools = record.machine()["blas"]
    names = {f"{pool['internal_api']} {pool['version']} ({pool['architecture']})" for pool in pools}
    return f"- BLAS loaded: {', '.join(sorted(names))}."


def page(data: Data, times: pd.DataFrame, nets: Mapping[str, Ours | Direct], about: str) -> str:
    """Return the result as Markdown."""
    rounds = times["round"].max()
    outputs = {
        name: {
            split: net.outputs(data.scaled(split, "float32" if name == OURS32 else "float64"))
            for split in SPLITS
        }
        for name, net in nets.items()
    }
    return harness.page(
        "# Speed of the from-scratch net",
        f"Printed by `make bench-mnist`. Net 784-{HIDDEN}-{CLASSES} on MNIST, "
        f"{len(data.labels('train')):,} training images, batches of {RECIPE.batch_size}, plain "
        f"gradient descent, the same updates for all. Medians of {rounds} rounds; in a round each "
        "contender runs one epoch, in turn, in one process; ratios are taken within a round. "
        "“Evaluation” is the report's protocol: loss and accuracy on train and validation "
        "images after each epoch. scikit-learn and PyTorch are timed in training only. "
        "“Matrix products alone” are the products of our net's shapes, each one call of "
        "`np.matmul`: the floor. Our net cuts them into slabs where the machine's BLAS is faster "
        "so (`repro.mnist.products.multiply`); that is listed beside it.",
        about,
        "## Times",
        times_table(times),
        "## Ratios",
        harness.table(ratios(times)),
        f"## Accuracies after {rounds} epochs, in %",
        accuracy_table(data, outputs),
        float32_sentence(outputs),
    )


def main() -> None:
    """Read the command line, time, write."""
    parser = harness.parser(__doc__, threads=1)
    parser.add_argument("--data", type=Path, default=Path("data/mnist"), help="prepared MNIST")
    parser.add_argument("--rounds", type=int, default=RECIPE.epochs, help="epochs of each")
    options = parser.parse_args()

    about = harness.machine(options.threads, "numpy", "scikit-learn", "torch") + f"\n{blas()}"
    files = (options.data / name for name in ("images.npy", "labels.npy", "split.csv"))
    data = Data(load_splits(*files))
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        nets: dict[str, Ours | Direct] = {
            OURS64: Ours(data, "float64"),
            OURS32: Ours(data, "float32"),
            DIRECT: Direct(data),
        }
        contenders = {
            **{name: Contender(net.train_epoch, net.evaluate) for name, net in nets.items()},
            SKLEARN: scikit_learn(data),
            TORCH: pytorch(data),
            FLOOR64: matrix_products(data, "float64", slabs=False),
            SLABS64: matrix_products(data, "float64", slabs=True),
            FLOOR32: matrix_products(data, "float32", slabs=False),
            SLABS32: matrix_products(data, "float32", slabs=True),
        }
        turns = {name: partial(epoch, contender) for name, contender in contenders.items()}
        times = harness.race(turns, options.rounds)
        text = page(data, times, nets, about)
    harness.publish(text, times, options)


if __name__ == "__main__":
    main()
