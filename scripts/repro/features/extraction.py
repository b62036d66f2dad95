"""Feature vectors of photographs: one frozen network, one pass over the images, one file.

A feature does not depend on the split or on the seed of a head, so ten splits cost one pass. The
pass is written in blocks: killed, it goes on where it stopped, and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from repro.errors import UserError
from repro.features.backbones import Backbone, Preprocess
from repro.features.fusion import fused
from repro.features.pixels import Batch, normalised, read_batch
from repro.features.store import Block, FeatureFiles, Shard, WorkingStore
from repro.flowers.images import ImageRef, ImageTable, hash_of_images
from repro.system.code_inputs import code_of
from repro.system.files import atomic_path, hash_of
from repro.system.threads import in_order

logger = logging.getLogger("repro")

ON_DAMAGED = ("stop", "skip")
# More images at once gain nothing on a CPU and cost memory.
CPU_BATCH = 16
_PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")
_THIS_FILE = Path(__file__).resolve()


class Forward:
    """A network's forward pass on decoded images, in evaluation mode.

    On a CPU: channels last, layers fused where possible; safe to call from several threads. On a
    graphics card: float16 where it is safe (autocast), channels last, copies that run beside the
    computation. Out of memory halves the batch, with a warning, and goes on; but not where
    BatchNorm takes its statistics from the batch, whose size then decides the result.
    """

    def __init__(
        self,
        module: nn.Module,
        preprocess: Preprocess,
        device: torch.device,
        fuse: bool = True,
    ) -> None:
        """Put ``module`` on ``device``; its tensors are moved, their values stay."""
        self.device = device
        self.mean = torch.tensor(preprocess.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(preprocess.std, device=device).view(1, 3, 1, 1)
        self.module: nn.Module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.most: int | None = None
        if fuse and device.type == "cpu":
            self.module = fused(self.module, self._example(preprocess.crop))

    def _example(self, side: int) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (2, side, side, 3), generator=noise, dtype=torch.uint8)
        return normalised(pixels, self.mean, self.std)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels (n, h, w, 3) to features (n, width), float32, on the device."""
        while True:
            try:
                parts = [
                    self._forward(part) for part in torch.split(pixels, self.most or len(pixels))
                ]
                return torch.cat(parts) if len(parts) > 1 else parts[0]
            except RuntimeError as error:
                size = min(self.most or len(pixels), len(pixels))
                if not _out_of_memory(error):
                    raise
                if any(layer.training for layer in batch_norms(self.module)):
                    raise UserError(
                        f"{self.device}: out of memory with {size} images at once, and with fewer "
                        "BatchNorm would have other statistics; close what else uses it, run this "
                        "model on another device, or set a smaller flowers.batch_size (adapted) or "
                        "flowers.head.batch_size (notebook)"
                    ) from error
                if size <= 1:
                    raise UserError(
                        f"{self.device}: out of memory with a single image; close what else uses "
                        "it, or run this model on another device"
                    ) from error
                self.most = size // 2
            # Outside the handler: inside it the traceback would keep the tensors alive.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            logger.warning(
                "%s: out of memory with %d images at once; going on with %d",
                self.device,
                size,
                self.most,
            )

    def _forward(self, pixels: Tensor) -> Tensor:
        x = normalised(pixels.to(self.device, non_blocking=True), self.mean, self.std)
        with ExitStack() as stack:
            if self.device.type == "cuda":
                stack.enter_context(torch.autocast("cuda", dtype=torch.float16))
            features: Tensor = self.module(x)
        return features.float()


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


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
    """Return the hash of this module and every local one it imports."""
    files = code_of(_THIS_FILE, (_THIS_FILE.parents[2],))
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
            _check(batch, on_damaged)
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


def _check(batch: Batch, on_damaged: str) -> None:
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

    return in_order(work, starts, workers)


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
    for batch in in_order(work, starts, workers):
        current = (batch, forward(batch.pixels))
        if last:
            yield last
        last = current
    if last:
        yield last


def adapt(
    backbone: Backbone,
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    kept: Path,
    *,
    device: torch.device,
    batch_size: int,
    workers: int,
    on_damaged: str = "stop",
    seed: int = 0,
    must_be_kept: bool = False,
) -> dict[str, Any]:
    """Re-estimate a backbone's BatchNorm statistics on ``images``, in place.

    The images are mixed by ``seed`` (photographs of one flower stand together in the data set) and
    a last batch that is not full is left out. The statistics are kept in the file ``kept``, so that
    a killed extraction goes on with the same ones. With ``must_be_kept`` they are only read from
    there: shards of one extraction share what one job has estimated.

    Returns:
        What was done, for the manifest.

    Raises:
        UserError: a damaged image; or ``must_be_kept``, and the file is missing or of another
            network, other images, settings, versions or code.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    whole = len(images) // batch_size * batch_size or len(images)
    chosen = ImageTable.of(images)[order[:whole].numpy()]
    layers = batch_norms(backbone.module)
    done = {
        "name": "adapted",
        "batch_norm_layers": len(layers),
        "adapted_on": len(chosen),
        "adapted_on_sha256": hash_of_images(chosen),
        "adapted_in_batches_of": min(batch_size, whole),
    }
    if not layers:
        logger.info("%s has no BatchNorm: adapted is the same as frozen", backbone.architecture)
        done = {"name": "adapted", "batch_norm_layers": 0}
    bound = binding(
        chosen, backbone, preprocess, device=device, batch_size=batch_size, protocol=done
    )
    key = json.dumps(bound)
    if not _read_statistics(kept, key, backbone.module):
        if must_be_kept:
            raise UserError(
                f"{kept}: missing, or statistics of another network, other images, settings, "
                "versions, code or another kind of device; delete it and run again"
            )
        if layers:
            adapt_batch_norm(
                backbone.module,
                _pixels(chosen, preprocess, batch_size, workers, on_damaged),
                preprocess,
                device,
            )
        _write_statistics(kept, key, backbone.module)
    if layers:
        done["statistics_sha256"] = _hash_of_statistics(backbone.module)
    return done


def _pixels(
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    batch_size: int,
    workers: int,
    on_damaged: str,
) -> Iterator[Tensor]:
    starts = range(0, len(images), batch_size)
    for batch in in_order(
        lambda start: read_batch(images, preprocess, start, batch_size), starts, workers
    ):
        _check(batch, on_damaged)
        yield batch.pixels


def adapt_batch_norm(
    module: nn.Module,
    pixels: Iterable[Tensor],
    preprocess: Preprocess,
    device: torch.device,
) -> None:
    """Re-estimate the running statistics of every BatchNorm layer, in place.

    Each statistic becomes the mean over all batches of the batch's own, every batch counting the
    same, so batches should be equally large and mixed. All other layers stay in evaluation mode.

    Args:
        module: the network.
        pixels: batches, uint8, shape (n, h, w, 3).
        preprocess: the transform, of which mean and std are used.
        device: where to compute.
    """
    layers = batch_norms(module)
    momenta = [layer.momentum for layer in layers]
    forward = Forward(module, preprocess, device, fuse=False)
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # PyTorch's word for a plain mean over all batches
            layer.train()
        for batch in pixels:
            forward(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return a network's BatchNorm layers."""
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def _statistics(module: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.{part}": getattr(layer, part)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        for part in ("running_mean", "running_var")
    }


def _hash_of_statistics(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in _statistics(module).values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write_statistics(kept: Path, key: str, module: nn.Module) -> None:
    tensors = {name: t.detach().cpu().contiguous() for name, t in _statistics(module).items()}
    with atomic_path(kept) as aside:
        aside.write_bytes(save(tensors, {"key": key}))


def _read_statistics(kept: Path, key: str, module: nn.Module) -> bool:
    if not kept.is_file():
        return False
    try:
        with safe_open(kept, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return False
            for name, tensor in _statistics(module).items():
                tensor.copy_(file.get_tensor(name))
    except SafetensorError as error:
        logger.warning("%s: cannot be read as statistics (%s)", kept, error)
        return False
    return True
