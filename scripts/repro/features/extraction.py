"""Feature vectors of photographs: one frozen network, one pass over the images, one file.

A feature does not depend on the split or on the seed of a head, so ten splits cost one pass. The
pass is written in blocks: killed, it goes on where it stopped, and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repro.compute.threads import map_in_threads
from repro.errors import UserError
from repro.features.backbones import Backbone, Preprocess
from repro.features.forward import Forward
from repro.features.pixels import Batch, read_batch
from repro.features.store import Block, FeatureFiles, Shard, WorkingStore
from repro.flowers.images import ImageRef, ImageTable, hash_of_images
from repro.system.code_inputs import code_of
from repro.system.files import hash_of

logger = logging.getLogger("repro")

ON_DAMAGED = ("stop", "skip")
# More images at once gain nothing on a CPU and cost memory.
CPU_BATCH = 16
_PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")
# It imports this module and all that an extraction is made by.
_OUTERMOST = Path(__file__).resolve().with_name("batch_norm.py")


def binding(
    images: Sequence[ImageRef],
    backbone: Backbone,
    preprocess: Preprocess,
    *,
    device: torch.device,
    batch_size: int,
    protocol: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything that the features depend on, for the manifest."""
    return {
        **backbone.as_dict(),
        "protocol": dict(protocol),
        "preprocess": preprocess.as_dict(),
        "images": len(images),
        "images_sha256": hash_of_images(images),
        "batch_size": batch_size,
        "device": device.type,
        "versions": {package: version(package) for package in _PACKAGES},
        "code_sha256": _hash_of_code(),
    }


def _hash_of_code() -> str:
    """Return the hash of every local module that features are made by."""
    files = code_of(_OUTERMOST, (_OUTERMOST.parents[2],))
    return hashlib.sha256("".join(hash_of(file) for file in files).encode()).hexdigest()


def extract(
    images: Sequence[ImageRef],
    backbone: Backbone,
    preprocess: Preprocess,
    work: Path,
    *,
    device: torch.device,
    batch_size: int = 64,
    workers: int = 2,
    on_damaged: str = "stop",
    protocol: Mapping[str, Any] | None = None,
    shard: Shard | None = None,
    checkpoint_seconds: float = 10.0,
    on_images: Callable[[int], object] = lambda count: None,
) -> FeatureFiles:
    """Compute the features of ``images`` in the folder ``work``, or finish what is begun there.

    Args:
        images: what to read; their ids are unique.
        backbone: the network.
        preprocess: the transform.
        work: folder of the unfinished extraction; needs len(images) * width * 4 bytes.
        device: where to compute.
        batch_size: images per forward pass, at most; a CPU takes CPU_BATCH at most.
        workers: threads; on a CPU each decodes and computes, else they decode.
        on_damaged: "stop" raises at a damaged image, "skip" leaves it out and counts it.
        protocol: what was done to the network before, for the manifest.
        shard: the part of ``images`` to take; None for all. The manifest is bound to all of them.
        checkpoint_seconds: how much work a kill may cost.
        on_images: called with the number of images done since the last call.

    Returns:
        The files, in ``work``: ``features.npy`` float32 (n, width); ``ids.npy`` int64 (n,), in the
        order of ``images``; ``manifest.json``. On a CPU their bytes do not depend on ``workers``.

    Raises:
        UserError: a damaged image, an unfinished extraction of something else, or features that are
            not finite.
    """
    if on_damaged not in ON_DAMAGED:
        raise UserError(f"on_damaged is {on_damaged!r}; expected {' or '.join(ON_DAMAGED)}")
    images = ImageTable.of(images)
    if device.type == "cpu":
        batch_size = min(batch_size, CPU_BATCH)
    bound = binding(
        images,
        backbone,
        preprocess,
        device=device,
        batch_size=batch_size,
        protocol=protocol or {"name": "frozen"},
    )
    if shard:
        first, end = shard.span(len(images), batch_size)
        bound["shard"] = {"number": shard.number, "of": shard.of, "first": first, "end": end}
        images = images[first:end]
    store = WorkingStore(work, images, bound)
    on_images(store.rows_done)
    if store.rows_done < len(images):
        forward = Forward(backbone.module, preprocess, device)
        starts = range(store.rows_done, len(images), batch_size)
        written = time.monotonic()
        blocks: list[Block] = []
        for batch, features in computed(forward, images, preprocess, starts, workers):
            check(batch, on_damaged)
            blocks.append(_block(batch, features))
            on_images(len(batch.rows) + len(batch.damaged))
            if time.monotonic() - written >= checkpoint_seconds:
                store.write(blocks)
                blocks, written = [], time.monotonic()
        if blocks:
            store.write(blocks)
    if store.damaged:
        logger.warning("%d damaged images are left out", len(store.damaged))
    return store.finish()


def _block(batch: Batch, features: Tensor) -> Block:
    damaged = {row: str(error) for row, error in batch.damaged.items()}
    return Block(batch.rows, features.cpu().numpy(), damaged, batch.end)


def check(batch: Batch, on_damaged: str) -> None:
    """Raise a batch's first damaged image, or with "skip" say which are left out."""
    for error in batch.damaged.values():
        if on_damaged == "stop":
            raise error
        logger.warning("left out: %s", error)


def computed(
    forward: Forward,
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    starts: range,
    workers: int,
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield batches and their features, in order.

    Args:
        forward: the network.
        images: what to read.
        preprocess: the transform.
        starts: the position each batch begins at; its step is the batch's size.
        workers: threads; on a CPU each decodes and computes, else they decode.
    """
    way = _computed_on_cpu if forward.device.type == "cpu" else _computed_on_card
    return way(forward, images, preprocess, starts, workers)


def _computed_on_cpu(
    forward: Forward,
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    starts: range,
    workers: int,
) -> Iterator[tuple[Batch, Tensor]]:
    """Let each thread take a batch of its own through everything."""

    def work(start: int) -> tuple[Batch, Tensor]:
        batch = read_batch(images, preprocess, start, starts.step)
        return batch, forward(batch.pixels)

    return map_in_threads(work, starts, workers)


def _computed_on_card(
    forward: Forward,
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    starts: range,
    workers: int,
) -> Iterator[tuple[Batch, Tensor]]:
    """Decode in threads; the card works on one batch while the one before it is written."""

    def work(start: int) -> Batch:
        return read_batch(images, preprocess, start, starts.step, pin=forward.device.type == "cuda")

    last: tuple[Batch, Tensor] | None = None
    for batch in map_in_threads(work, starts, workers):
        current = (batch, forward(batch.pixels))
        if last:
            yield last
        last = current
    if last:
        yield last
