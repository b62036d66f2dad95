"""The report's new last layers, trained on cached features: many runs at once.

Head: Linear(width, 256) - ReLU - Linear(256, k) - LogSoftmax; loss: negative log-likelihood;
optimiser: Adam. On a graphics card the weights of R runs lie in one tensor with a leading axis R,
so that one batched matrix product serves all of them; Adam works on each number by itself, so a
run's result does not depend on its neighbours, up to rounding. On a CPU each run has a thread to
itself, and does not depend on its neighbours at all.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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

logger = logging.getLogger("repro")


# The tensors of a head, under the names they have in :func:`head_module`'s state dict.
STATE_NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")
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


def scores_of(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Return a head's log-probabilities (n, k), float32, for features (n, width).

    They are taken in float64 and then rounded: in float32 the last bits of a picture's scores
    depend on how many others there are and on its place among them.
    """
    w1, b1, w2, b2 = (tensor.double() for tensor in (w1, b1, w2, b2))
    blocks = []
    for block in torch.split(x, _SCORED_AT_ONCE):
        hidden = torch.addmm(b1, block.double(), w1.T).relu_()
        scores = functional.log_softmax(torch.addmm(b2, hidden, w2.T), dim=1)
        blocks.append(scores.float())
    return torch.cat(blocks)


def train_heads(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    runs: Sequence[HeadRun],
    recipe: HeadRecipe,
    device: torch.device,
    *,
    classes: int | None = None,
    threads: int = 1,
    batched: bool | None = None,
    on_epoch: Callable[[int], object] = lambda runs: None,
) -> list[HeadResult]:
    """Train one head per run.

    Each run draws its weights and its shuffles from a generator of its own, made from its seed, so
    it comes out the same alone and in company: to the bit if not batched, else up to rounding.

    Args:
        features: shape (n, width), float32.
        labels: class indices, shape (n,).
        runs: what to train.
        recipe: how.
        device: where.
        classes: number of classes k; by default the largest label plus one.
        threads: on a CPU, how many runs, or batches of them, are trained at the same time.
        batched: whether runs with equally many training images share their matrix products; by
            default on a graphics card only, as it gains nothing on a CPU.
        on_epoch: called after each epoch of a group with the number of its runs.

    Returns:
        One result per run, in the order of ``runs``.

    Raises:
        UserError: a loss became NaN or infinite.
    """
    k = int(labels.max()) + 1 if classes is None else classes
    x = torch.from_numpy(np.array(features, dtype=np.float32)).to(device)
    y = torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)

    def train(members: list[int]) -> list[HeadResult]:
        group = _Group([runs[i] for i in members], x, y, recipe, k)
        for epoch in range(1, recipe.epochs + 1):
            group.train_epoch(epoch)
            on_epoch(len(members))
        return group.results()

    if batched is None:
        batched = device.type != "cpu"
    groups = _alike(runs) if batched else [[i] for i in range(len(runs))]
    trained = map_in_threads(train, groups, threads) if device.type == "cpu" else map(train, groups)
    results: dict[int, HeadResult] = {}
    for members, group_results in zip(groups, trained, strict=True):
        results.update(zip(members, group_results, strict=True))
    return [results[i] for i in range(len(runs))]


def _alike(runs: Sequence[HeadRun]) -> list[list[int]]:
    """Group runs by their number of training images: within a group all batches are alike."""
    groups: dict[int, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(len(run.train_rows), []).append(i)
    return list(groups.values())


class _Group:
    """Heads trained side by side. Their tensors carry a leading axis R, one entry per run.

    The gradient is written out rather than left to autograd: of the ways to multiply for a
    weight's gradient, the one that yields it as (outputs, inputs) is the fastest, and autograd
    takes another. Adam is PyTorch's function, not its class: the class loads torch.compile first,
    which takes longer than a small head's whole training.
    """

    def __init__(
        self, runs: Sequence[HeadRun], x: Tensor, y: Tensor, recipe: HeadRecipe, classes: int
    ) -> None:
        self.runs, self.x, self.y, self.recipe = runs, x, y, recipe
        self.generators = [torch.Generator().manual_seed(run.seed) for run in runs]
        states = [
            initial_state(x.shape[1], recipe.hidden, classes, generator)
            for generator in self.generators
        ]
        self.w1, self.b1, self.w2, self.b2 = (
            torch.stack([state[name] for state in states]).to(x.device) for name in STATE_NAMES
        )
        self.parameters = [self.w1, self.b1, self.w2, self.b2]
        self.gradients, self.means, self.squares = (
            [torch.zeros_like(parameter) for parameter in self.parameters] for _ in range(3)
        )
        self.steps = [torch.zeros((), device=x.device) for _ in self.parameters]
        self.rows = [
            {name: torch.from_numpy(rows).to(x.device) for name, rows in run.sets.items()}
            for run in runs
        ]
        self.histories: list[list[HistoryRow]] = [[] for _ in runs]
        self.scores: dict[int, Tensor] = {}

    def train_epoch(self, epoch: int) -> None:
        """Take every run through its training images once, and add to the histories."""
        order = torch.stack(
            [
                _shuffled(rows["train"], generator)
                for rows, generator in zip(self.rows, self.generators, strict=True)
            ]
        )
        n = order.shape[1]
        loss_sum = torch.zeros(len(self.runs), dtype=torch.float64, device=self.x.device)
        hits = torch.zeros(len(self.runs), dtype=torch.int64, device=self.x.device)
        for batch in torch.split(order, self.recipe.batch_size, dim=1):
            losses, right = self._step(self._features(batch), self.y[batch])
            loss_sum += losses.double() * batch.shape[1]
            hits += right
        for r, history in enumerate(self.histories):
            history.append(HistoryRow(epoch, "train", float(loss_sum[r]) / n, int(hits[r]) / n))
            history.extend(self._evaluate(r, epoch))
            check_loss(history[-3:], self.recipe, self.runs[r].seed)

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Update on x (R, n, width), y (R, n); return each run's mean loss and number of hits."""
        hidden = torch.baddbmm(self.b1.unsqueeze(1), x, self.w1.mT).relu_()
        scores = functional.log_softmax(
            torch.baddbmm(self.b2.unsqueeze(1), hidden, self.w2.mT), dim=2
        )
        target = y.unsqueeze(2)
        losses = -scores.gather(2, target).squeeze(2).mean(dim=1)
        # The loss is averaged over each run's own batch and summed over runs: every run gets the
        # gradient it would get alone.
        at_scores = scores.exp()
        at_scores.scatter_add_(2, target, at_scores.new_full(target.shape, -1.0))
        at_scores /= y.shape[1]
        at_hidden = torch.bmm(at_scores, self.w2).mul_(hidden > 0)
        for (weight, bias), at_outputs, inputs in (
            (self.gradients[:2], at_hidden, x),
            (self.gradients[2:], at_scores, hidden),
        ):
            torch.bmm(at_outputs.mT, inputs, out=weight)
            torch.sum(at_outputs, dim=1, out=bias)
        self._adam()
        return losses, (scores.argmax(dim=2) == y).sum(dim=1)

    def _adam(self) -> None:
        """Take a step down the gradients; all but the learning rate is ``torch.optim.Adam``'s."""
        adam(
            self.parameters,
            self.gradients,
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

    def _features(self, rows: Tensor) -> Tensor:
        """Return the features of rows of any shape; an index would copy number by number."""
        return self.x.index_select(0, rows.reshape(-1)).view(*rows.shape, self.x.shape[1])

    def _scores_of(self, r: int, x: Tensor) -> Tensor:
        hidden = torch.addmm(self.b1[r], x, self.w1[r].T).relu_()
        return functional.log_softmax(torch.addmm(self.b2[r], hidden, self.w2[r].T), dim=1)

    def _evaluate(self, r: int, epoch: int) -> Iterator[HistoryRow]:
        last = epoch == self.recipe.epochs
        if last:
            own = (parameter[r] for parameter in self.parameters)
            self.scores[r] = scores_of(self.x, *own)
        for split in ("validation", "test"):
            rows = self.rows[r][split]
            # Every row's scores are wanted at the end anyway.
            scores = self.scores[r][rows] if last else self._scores_of(r, self._features(rows))
            yield HistoryRow(epoch, split, *_loss_and_accuracy(scores, self.y[rows]))

    def results(self) -> list[HeadResult]:
        """Return what each run has come to by its last epoch."""
        return [
            HeadResult(
                history=history,
                scores=self.scores[r].cpu().numpy(),
                state={
                    name: parameter[r].cpu().clone()
                    for name, parameter in zip(STATE_NAMES, self.parameters, strict=True)
                },
            )
            for r, history in enumerate(self.histories)
        ]


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


def _shuffled(rows: Tensor, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator).to(rows.device)]


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
