"""The report's notebook, step by step, with all that it did by accident.

The backbone's parameters are frozen, but every epoch begins with ``model.train()``: BatchNorm
normalises by the batch and lets its running statistics drift, and stochastic depth drops blocks.
Every image goes through the whole network in every epoch. Images are read through torchvision's
ImageFolder, which numbers labels in the order of their names: "1", "10", "100", "101", ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchvision.datasets import ImageFolder

from repro.compute.threads import map_in_threads
from repro.errors import UserError, own_words
from repro.features.backbones import Preprocess, dry_run, feature_width, statistics
from repro.features.extraction import CPU_BATCH
from repro.features.forward import Forward
from repro.features.pixels import Batch, read_batch
from repro.flowers.images import ImageRef
from repro.heads.training import (
    HeadRecipe,
    check_loss,
    head_module,
    initial_state,
)
from repro.history import HistoryRow, log_history
from repro.predictions import Predictions
from repro.splits import SPLITS
from repro.system.disk import writing
from repro.system.files import new_matrix

_DECODE_BATCH = 64


@dataclass(frozen=True)
class NotebookRecipe(HeadRecipe):
    """How the notebook trains: the head's recipe, and images per pass where it evaluates."""

    evaluation_batch_size: int = 256


@dataclass(frozen=True)
class FolderTree:
    """Images laid out as SPLIT/LABEL/image_NUMBER.jpg, as ImageFolder sees them.

    Attributes:
        images: the images, split after split.
        splits: the set each image is in, shape (n,).
        targets: ImageFolder's class index of each image, int64, shape (n,).
        labels: the label each of ImageFolder's indices stands for, int64, shape (k,).
    """

    images: list[ImageRef]
    splits: NDArray[np.str_]
    targets: NDArray[np.int64]
    labels: NDArray[np.int64]

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the positions of a split's images."""
        return np.flatnonzero(self.splits == split).astype(np.int64)


class _Folder(ImageFolder):  # type: ignore[misc]
    """ImageFolder with a given list of classes: a small set may lack some."""

    def __init__(self, root: Path, classes: list[str]) -> None:
        self._given = classes
        super().__init__(root, allow_empty=True)

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        return self._given, {name: index for index, name in enumerate(self._given)}


def read_folders(root: Path) -> FolderTree:
    """Read the folder tree below ``root``.

    Raises:
        UserError: a set is missing or empty, or a folder or file is not named as expected.
    """
    # Sorted as text, as ImageFolder does it.
    classes = sorted({p.name for split in SPLITS for p in (root / split).glob("*") if p.is_dir()})
    if strange := [name for name in classes if not name.isdigit()]:
        raise UserError(
            f"{root}: its folder {strange[0]!r} is no label, which is a number; remove it"
        )
    samples = {split: _samples(root / split, classes) for split in SPLITS}
    images = [
        ImageRef(_number(file), Path(file), "", int(classes[target]))
        for split in SPLITS
        for file, target in samples[split]
    ]
    return FolderTree(
        images,
        np.repeat(SPLITS, [len(samples[split]) for split in SPLITS]),
        np.array([target for split in SPLITS for _, target in samples[split]], np.int64),
        np.array([int(name) for name in classes], np.int64),
    )


def _samples(folder: Path, classes: list[str]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = _Folder(folder, classes).samples if folder.is_dir() else []
    if not found:
        raise UserError(f"{folder}: holds no images; delete {folder.parent} and run again")
    return found


def _number(file: str) -> int:
    match = re.fullmatch(r"image_(\d+)", Path(file).stem)
    if not match:
        raise UserError(f"{file}: files here are named image_NUMBER.jpg; remove it")
    return int(match[1])


def check_last_batch(
    backbone: nn.Module, tree: FolderTree, preprocess: Preprocess, recipe: NotebookRecipe
) -> None:
    """Raise UserError where an epoch would end in a single image that BatchNorm cannot take.

    In training mode a BatchNorm after the pooling has one value a channel then, and no deviation.
    """
    images = len(tree.rows("train"))
    if (images % recipe.batch_size or recipe.batch_size) > 1:
        return
    try:
        dry_run(backbone.train(), preprocess.crop)
    except ValueError as error:
        raise UserError(
            f"{images} training images in batches of {recipe.batch_size} leave a last batch of "
            "one, and this network's BatchNorm takes means and deviations over several. Set "
            "another flowers.head.batch_size in the configuration, or run this net by another "
            f"protocol ({own_words(error)})"
        ) from error
    finally:
        backbone.eval()


class DecodedImages:
    """Images decoded once and kept on disk as pixels, for the many passes to come."""

    def __init__(
        self, images: Sequence[ImageRef], preprocess: Preprocess, file: Path, workers: int
    ) -> None:
        """Decode ``images`` into ``file``: uint8, shape (n, crop, crop, 3).

        Raises:
            DamagedImageError: an image cannot be read.
        """
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        pixels = new_matrix(file, (len(images), preprocess.crop, preprocess.crop, 3), np.uint8)

        def decode(start: int) -> Batch:
            return read_batch(images, preprocess, start, _DECODE_BATCH)

        for batch in map_in_threads(decode, range(0, len(images), _DECODE_BATCH), workers):
            for error in batch.damaged.values():
                raise error
            pixels[batch.rows] = batch.pixels.numpy()
        pixels.flush()
        self._pixels = pixels

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the pixels of ``rows``: uint8, shape (len(rows), crop, crop, 3)."""
        return torch.from_numpy(self._pixels[rows])


@dataclass(frozen=True)
class NotebookResult:
    """What one training leaves behind.

    Attributes:
        history: one row per epoch and split.
        predictions: scores of all images in evaluation mode after the last epoch; classes in
            numeric order.
        state: the head ("head.*", outputs in ImageFolder's order) and the backbone's BatchNorm
            buffers as they drifted ("backbone.*").
    """

    history: list[HistoryRow]
    predictions: Predictions
    state: dict[str, Tensor]


def train(
    backbone: nn.Module,
    tree: FolderTree,
    pixels: DecodedImages,
    preprocess: Preprocess,
    recipe: NotebookRecipe,
    *,
    seed: int,
    device: torch.device,
    workers: int = 1,
    name: str = "notebook",
    on_images: Callable[[int], object] = lambda count: None,
) -> NotebookResult:
    """Train one head as the notebook did, drawing all that is random from ``seed``.

    The backbone is left as it was found, and so is PyTorch's global generator, from which
    stochastic depth draws.

    Args:
        backbone: the network without classifier.
        tree: the images and their sets.
        pixels: the same images, decoded, in the same order.
        preprocess: the transform, of which mean and std are used.
        recipe: how to train.
        seed: of the head's weights, the shuffles and stochastic depth.
        device: where.
        workers: on a CPU, threads that evaluate.
        name: what the log calls this run.
        on_images: called with the number of images that went through the network.
    """
    before = {key: buffer.clone() for key, buffer in backbone.named_buffers()}
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        training = _Training(
            backbone=backbone,
            tree=tree,
            pixels=pixels,
            preprocess=preprocess,
            recipe=recipe,
            seed=seed,
            device=device,
            workers=workers,
            on_images=on_images,
        )
        try:
            for epoch in range(1, recipe.epochs + 1):
                rows = training.epoch(epoch)
                check_loss(rows, recipe, seed)
                log_history(name, rows)
            return training.result()
        finally:
            backbone.eval()
            for key, buffer in backbone.named_buffers():
                buffer.copy_(before[key])


class _Training:
    def __init__(
        self,
        *,
        backbone: nn.Module,
        tree: FolderTree,
        pixels: DecodedImages,
        preprocess: Preprocess,
        recipe: NotebookRecipe,
        seed: int,
        device: torch.device,
        workers: int,
        on_images: Callable[[int], object],
    ) -> None:
        self.backbone, self.tree, self.pixels = backbone, tree, pixels
        self.preprocess, self.recipe, self.device = preprocess, recipe, device
        self.workers, self.on_images = workers, on_images
        self.generator = torch.Generator().manual_seed(seed)
        self.forward = Forward(backbone, preprocess, device, fuse=False)
        self.evaluating: Forward | None = None  # with the statistics as they are after an epoch
        self.targets = torch.from_numpy(tree.targets).to(device)
        width, classes = feature_width(backbone, preprocess.crop), len(tree.labels)
        self.head = head_module(width, recipe.hidden, classes)
        self.head.load_state_dict(initial_state(width, recipe.hidden, classes, self.generator))
        self.head.to(device)
        self.optimizer = torch.optim.Adam(self.head.parameters(), lr=recipe.learning_rate)
        self.history: list[HistoryRow] = []
        self.scores: dict[str, Tensor] = {}

    def epoch(self, epoch: int) -> list[HistoryRow]:
        """Train once on every training image, then evaluate on the other sets."""
        rows = [HistoryRow(epoch, "train", *self._train())]
        for split in ("validation", "test"):
            scores = self.scores[split] = self._scores(self.tree.rows(split))
            target = self.targets[self.tree.rows(split)]
            loss = float(functional.nll_loss(scores, target))
            hits = scores.argmax(dim=1) == target
            rows.append(HistoryRow(epoch, split, loss, float(hits.double().mean())))
        self.history += rows
        return rows

    def _train(self) -> tuple[float, float]:
        rows = self.tree.rows("train")
        order = rows[torch.randperm(len(rows), generator=self.generator).numpy()]
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        hits = torch.zeros((), dtype=torch.int64, device=self.device)
        # The notebook's accident: all of the network, not the head alone.
        self.evaluating = None
        self.backbone.train()
        for batch, pixels in self._loaded(_parts(order, self.recipe.batch_size)):
            target = self.targets[batch]
            # A clone is an ordinary tensor, which the head's backward pass may keep.
            scores = self.head(self.forward(pixels).clone())
            loss = functional.nll_loss(scores, target)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            # Not fetched from a card before the epoch's end, so that nothing waits for it.
            loss_sum += loss.detach() * len(batch)
            hits += (scores.detach().argmax(dim=1) == target).sum()
            self.on_images(len(batch))
        self.backbone.eval()
        return float(loss_sum) / len(rows), int(hits) / len(rows)

    def _loaded(
        self, parts: Iterator[NDArray[np.int64]]
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        if self.device.type == "cuda":
            return map_in_threads(lambda part: (part, self.pixels[part].pin_memory()), parts, 1)
        return ((part, self.pixels[part]) for part in parts)

    @torch.no_grad()
    def _scores(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.cat([self.head(features.clone()) for features in self._features(rows)])

    def _features(self, rows: NDArray[np.int64]) -> Iterator[Tensor]:
        forward, size, workers = self.forward, self.recipe.evaluation_batch_size, 1
        if self.device.type == "cpu":
            # Fused anew each epoch: the statistics that are folded into the weights have drifted.
            self.evaluating = self.evaluating or Forward(
                self.backbone, self.preprocess, self.device
            )
            forward, size, workers = self.evaluating, CPU_BATCH, self.workers
        for features in map_in_threads(
            lambda b: forward(self.pixels[b]), _parts(rows, size), workers
        ):
            self.on_images(len(features))
            yield features

    def result(self) -> NotebookResult:
        """Score the training images too, and gather everything."""
        self.scores["train"] = self._scores(self.tree.rows("train"))
        # From ImageFolder's order of classes to numeric order: column c of the scores is column
        # order[c] as trained, and class t as trained is class index[t].
        order = np.argsort(self.tree.labels)
        index = np.argsort(order)
        scores = np.concatenate([self.scores[split].cpu().numpy() for split in SPLITS])
        rows = np.concatenate([self.tree.rows(split) for split in SPLITS])
        ids = np.array([image.id for image in self.tree.images], np.int64)
        head = {f"head.{key}": tensor for key, tensor in self.head.state_dict().items()}
        drifted = {f"backbone.{key}": each for key, each in statistics(self.backbone).items()}
        return NotebookResult(
            self.history,
            Predictions(
                ids[rows],
                index[self.tree.targets[rows]],
                self.tree.splits[rows],
                scores[:, order],
                "log_softmax",
                self.tree.labels[order],
            ),
            {key: tensor.detach().cpu().clone() for key, tensor in (head | drifted).items()},
        )


def _parts(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
