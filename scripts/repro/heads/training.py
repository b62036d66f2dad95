"""The report's new last layers, trained on cached features.

Head: Linear(width, 256) - ReLU - Linear(256, k) - LogSoftmax; loss: negative log-likelihood;
optimiser: Adam. On a CPU each run has a thread to itself, on a graphics card one follows another;
either way it does not depend on its neighbours.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.adam import adam

from repro.compute.threads import map_in_threads
from repro.errors import UserError, unreadable
from repro.history import HistoryRow
from repro.system.files import atomic_path

_SCORED_AT_ONCE = 4096  # rows; bounds the memory
_ABOUT = "net"  # the entry of the file's metadata


@dataclass(frozen=True)
class HeadRecipe:
    """How a head is trained; the defaults are the report's."""

    hidden: int = 256
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 9


@dataclass(frozen=True)
class HeadRun:
    """One training: a seed and the rows of the feature matrix each set is made of."""

    seed: int
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]

    @property
    def sets(self) -> dict[str, NDArray[np.int64]]:
        """The three sets by name, in the order histories list them."""
        return {
            "train": self.train_rows,
            "validation": self.validation_rows,
            "test": self.test_rows,
        }


@dataclass(frozen=True)
class HeadResult:
    """What one training leaves behind.

    Attributes:
        history: one row per epoch and split.
        scores: log-probabilities of every row of the feature matrix, float32, shape (n, k).
        state: the head's tensors under the names of :func:`head_module`'s state dict.
    """

    history: list[HistoryRow]
    scores: NDArray[np.float32]
    state: dict[str, Tensor]


def head_module(width: int, hidden: int, classes: int) -> nn.Sequential:
    """Return one head as an ordinary module, its weights drawn by PyTorch."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes), nn.LogSoftmax(dim=1)
    )


def initial_state(
    width: int, hidden: int, classes: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw a head's weights as ``nn.Linear`` draws its own by default, from ``generator``.

    That is uniform in ±1/sqrt(inputs) for weight and bias, the weight first.
    """
    state = {}
    for name, outputs, inputs in (("0", hidden, width), ("2", classes, hidden)):
        bound = 1 / math.sqrt(inputs)
        for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            tensor = torch.empty(shape)
            state[f"{name}.{part}"] = tensor.uniform_(-bound, bound, generator=generator)
    return state


def head_of(state: Mapping[str, Tensor]) -> nn.Sequential:
    """Return the head that a state dict is of."""
    hidden, width = state["0.weight"].shape
    # Built without weights, so that nothing is drawn from PyTorch's own generator.
    with torch.device("meta"):
        head = head_module(width, hidden, len(state["2.bias"]))
    head.load_state_dict(state, assign=True)
    return head


@torch.no_grad()
def scores_of(head: nn.Sequential, x: Tensor) -> Tensor:
    """Return a head's log-probabilities (n, k), float32, for features (n, width).

    They are taken in float64 and then rounded: in float32 the last bits of a picture's scores
    depend on how many others there are and on its place among them.
    """
    exact = copy.deepcopy(head).double()
    return torch.cat([exact(block.double()).float() for block in torch.split(x, _SCORED_AT_ONCE)])


def train_heads(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    runs: Sequence[HeadRun],
    recipe: HeadRecipe,
    device: torch.device,
    *,
    classes: int | None = None,
    threads: int = 1,
    on_epoch: Callable[[], object] = lambda: None,
) -> list[HeadResult]:
    """Train one head per run.

    Each run draws its weights and its shuffles from a generator of its own, made from its seed, so
    it comes out the same to the bit alone and in company.

    Args:
        features: shape (n, width), float32.
        labels: class indices, shape (n,).
        runs: what to train.
        recipe: how.
        device: where.
        classes: number of classes k; by default the largest label plus one.
        threads: on a CPU, how many runs are trained at the same time.
        on_epoch: called after each epoch of a run.

    Returns:
        One result per run, in the order of ``runs``.

    Raises:
        UserError: a loss became NaN or infinite.
    """
    k = int(labels.max()) + 1 if classes is None else classes
    x = torch.from_numpy(np.array(features, dtype=np.float32)).to(device)
    y = torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)

    def train(run: HeadRun) -> HeadResult:
        training = _Training(run, x, y, recipe, k)
        for epoch in range(1, recipe.epochs + 1):
            training.epoch(epoch)
            on_epoch()
        return training.result()

    return list(map_in_threads(train, runs, threads if device.type == "cpu" else 1))


class _Training:
    def __init__(
        self, run: HeadRun, x: Tensor, y: Tensor, recipe: HeadRecipe, classes: int
    ) -> None:
        self.run, self.x, self.y, self.recipe = run, x, y, recipe
        self.generator = torch.Generator().manual_seed(run.seed)
        first = initial_state(x.shape[1], recipe.hidden, classes, self.generator)
        self.head = head_of(first).to(x.device)
        self.parameters: list[Tensor] = list(self.head.parameters())
        self.means, self.squares = (
            [torch.zeros_like(parameter) for parameter in self.parameters] for _ in range(2)
        )
        self.steps = [torch.zeros((), device=x.device) for _ in self.parameters]
        self.rows = {name: torch.from_numpy(rows).to(x.device) for name, rows in run.sets.items()}
        self.history: list[HistoryRow] = []
        self.scores: Tensor  # of every image, after the last epoch

    def epoch(self, epoch: int) -> None:
        """Go through the training images once, evaluate, and add to the history."""
        order = torch.randperm(len(self.rows["train"]), generator=self.generator)
        order = self.rows["train"][order.to(self.x.device)]
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.x.device)
        hits = torch.zeros((), dtype=torch.int64, device=self.x.device)
        for batch in torch.split(order, self.recipe.batch_size):
            # An index in brackets would copy number by number.
            scores, target = self.head(self.x.index_select(0, batch)), self.y[batch]
            loss = functional.nll_loss(scores, target)
            self._step(torch.autograd.grad(loss, self.parameters))
            loss_sum += loss.detach().double() * len(batch)
            hits += (scores.detach().argmax(dim=1) == target).sum()
        n = len(order)
        self.history.append(HistoryRow(epoch, "train", float(loss_sum) / n, int(hits) / n))
        last = epoch == self.recipe.epochs
        if last:
            self.scores = scores_of(self.head, self.x)
        for split in ("validation", "test"):
            rows = self.rows[split]
            scores = self.scores[rows] if last else self._scores(rows)
            self.history.append(HistoryRow(epoch, split, *_loss_and_accuracy(scores, self.y[rows])))
        check_loss(self.history[-3:], self.recipe, self.run.seed)

    @torch.no_grad()
    def _step(self, gradients: Sequence[Tensor]) -> None:
        """Take a step of Adam.

        By PyTorch's function, not its class: the class loads torch.compile first, which takes
        longer than a small head's whole training.
        """
        adam(
            self.parameters,
            list(gradients),
            self.means,
            self.squares,
            max_exp_avg_sqs=[],
            state_steps=self.steps,
            # One kernel that reads and writes each number once.
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.recipe.learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    @torch.no_grad()
    def _scores(self, rows: Tensor) -> Tensor:
        scores: Tensor = self.head(self.x.index_select(0, rows))
        return scores

    def result(self) -> HeadResult:
        """Return what the head has come to after the last epoch."""
        state = {name: tensor.cpu().clone() for name, tensor in self.head.state_dict().items()}
        return HeadResult(self.history, self.scores.cpu().numpy(), state)


def check_loss(rows: Sequence[HistoryRow], recipe: HeadRecipe, seed: int) -> None:
    """Check that no loss of an epoch has left the numbers; that of an empty set is NaN by nature.

    Raises:
        UserError: one has.
    """
    for row in rows:
        if not math.isfinite(row.loss) and not math.isnan(row.accuracy):
            raise UserError(
                f"the {row.split} loss became {row.loss} in epoch {row.epoch} of the head of seed "
                f"{seed}: training diverged; lower flowers.head.learning_rate in the "
                f"configuration (now {recipe.learning_rate})"
            )


def _loss_and_accuracy(scores: Tensor, target: Tensor) -> tuple[float, float]:
    if len(target) == 0:
        return math.nan, math.nan
    loss = float(functional.nll_loss(scores, target))
    return loss, float((scores.argmax(dim=1) == target).double().mean())


def about(
    manifest: Mapping[str, Any], classes: Sequence[int], names: Sequence[str] | None
) -> dict[str, Any]:
    """Return what a net's file says beside its weights: all that a prediction needs.

    Args:
        manifest: of the features, or of the notebook's network.
        classes: the label of each output.
        names: of the classes, if they have any.
    """
    keys = ("architecture", "weights_sha256", "weights_loaded", "preprocess", "protocol", "device")
    return {
        **{key: manifest[key] for key in keys},
        "batch_size": manifest.get("batch_size"),
        "versions": manifest.get("versions", {}),
        "classes": list(classes),
        "names": names,
    }


def write_state(path: Path, state: dict[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a model's tensors as safetensors, and as its metadata what is said of them."""
    # One entry, because safetensors writes several in an order that changes from run to run.
    metadata = {_ABOUT: json.dumps(about, sort_keys=True, ensure_ascii=False)}
    with atomic_path(path) as aside:
        # Not by safetensors itself, whose error on a full disk is none of the system's.
        aside.write_bytes(save(state, metadata))


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_state` wrote: tensors by name, and what the file says of them.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, dict(said)  # noqa: SIM118
    except Exception as error:  # damaged bytes raise errors of many kinds
        raise unreadable(
            path, "a trained net", "delete it and run again to train it", error
        ) from error
