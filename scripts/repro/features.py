"""Feature vectors of photographs: one frozen network, one pass over the images, one file.

A feature does not depend on the split or on the seed of a head, so ten splits cost one pass. The
pass is written in blocks: killed, it goes on where it stopped, and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from repro.backbones import Backbone, Preprocess
from repro.errors import UserError
from repro.feature_store import Block, FeatureFiles, WorkingStore
from repro.files import atomic_path
from repro.flower_images import ImageRef, hash_of_images

logger = logging.getLogger("repro")

ON_DAMAGED = ("stop", "skip")
_PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")
_BATCHES_AHEAD = 2


class DamagedImageError(UserError):
    """A photograph that cannot be read, or is not the file its hash was taken of."""


@dataclass(frozen=True)
class Batch:
    """Consecutive images, decoded.

    Attributes:
        rows: positions in the list of images, damaged ones left out.
        pixels: uint8, shape (len(rows), crop, crop, 3).
        damaged: what is wrong with each damaged image, by position.
        end: position after the batch's last image.
    """

    rows: list[int]
    pixels: Tensor
    damaged: dict[int, DamagedImageError]
    end: int


def read_pixels(image: ImageRef, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Decode, scale and crop one photograph: uint8, shape (crop, crop, 3).

    These are the pixels of torchvision's ``Resize`` and ``CenterCrop`` on a PIL image.

    Raises:
        DamagedImageError: the file is missing, cut off, no image, or not the one that was hashed.
    """
    try:
        content = image.file.read_bytes()
        if image.sha256 and hashlib.sha256(content).hexdigest() != image.sha256:
            raise DamagedImageError(
                f"{image.file}: image {image.id} is not the file that was prepared (its sha256 has "
                "changed); restore it or prepare the images again"
            )
        with Image.open(io.BytesIO(content)) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedImageError(
            f"{image.file}: image {image.id} cannot be read ({error}); restore the file, or set "
            "on_damaged: skip to leave such images out"
        ) from error
    mode = InterpolationMode(preprocess.interpolation)
    picture = transforms.resize(picture, [preprocess.resize], interpolation=mode)
    picture = transforms.center_crop(picture, [preprocess.crop, preprocess.crop])
    return np.asarray(picture, dtype=np.uint8)


def decoded_batches(
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    batch_size: int,
    workers: int,
    *,
    first: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """Yield the images from position ``first`` on in batches, decoded ahead in ``workers`` threads.

    Pillow works outside Python's global lock, so decoding goes on while the network computes. Never
    more than a few batches are in memory. With ``pin`` they lie in page-locked memory, from where a
    graphics card fetches them by itself.
    """
    starts = iter(range(first, len(images), batch_size))
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="decode") as pool:
        ahead: deque[tuple[int, Tensor, list[Future[None]]]] = deque()

        def begin() -> None:
            start = next(starts, None)
            if start is None:
                return
            chosen = images[start : start + batch_size]
            side = preprocess.crop
            pixels = torch.empty((len(chosen), side, side, 3), dtype=torch.uint8, pin_memory=pin)
            slots = pixels.numpy()
            ahead.append(
                (
                    start,
                    pixels,
                    [
                        pool.submit(_read_into, slots[i], c, preprocess)
                        for i, c in enumerate(chosen)
                    ],
                )
            )

        try:
            for _ in range(_BATCHES_AHEAD):
                begin()
            while ahead:
                start, pixels, tasks = ahead.popleft()
                begin()
                yield _collected(start, pixels, tasks)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read_into(slot: NDArray[np.uint8], image: ImageRef, preprocess: Preprocess) -> None:
    slot[...] = read_pixels(image, preprocess)


def _collected(start: int, pixels: Tensor, tasks: Sequence[Future[None]]) -> Batch:
    damaged = {}
    for i, task in enumerate(tasks):
        error = task.exception()
        if isinstance(error, DamagedImageError):
            damaged[start + i] = error
        elif error is not None:
            raise error
    good = [i for i in range(len(tasks)) if start + i not in damaged]
    return Batch(
        rows=[start + i for i in good],
        pixels=pixels if not damaged else pixels[good],
        damaged=damaged,
        end=start + len(tasks),
    )


class Forward:
    """A network's forward pass on decoded images, as fast as the device allows.

    On a graphics card: float16 where it is safe (autocast), channels last, copies that run beside
    the computation. Out of memory halves the batch, with a warning, and goes on.
    """

    def __init__(self, module: nn.Module, preprocess: Preprocess, device: torch.device) -> None:
        """Put ``module`` on ``device``; it is changed in place."""
        self.module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = device
        self.mean = torch.tensor(preprocess.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(preprocess.std, device=device).view(1, 3, 1, 1)
        self.most: int | None = None

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
        with torch.autocast(
            self.device.type, dtype=torch.float16, enabled=self.device.type == "cuda"
        ):
            features: Tensor = self.module(x)
        return features.float()


def normalised(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Map uint8 (n, h, w, 3) to float32 (n, 3, h, w), channels last in memory.

    The steps are those of torchvision's ``ToTensor`` and ``Normalize``, so the numbers are too.
    """
    return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)


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
        "architecture": backbone.architecture,
        "weights_sha256": backbone.weights_sha256 or "none: random weights",
        "parameters": backbone.parameters,
        "width": backbone.width,
        "protocol": dict(protocol),
        "preprocess": preprocess.as_dict(),
        "images": len(images),
        "images_sha256": hash_of_images(images),
        "batch_size": batch_size,
        "device": device.type,
        "versions": {package: version(package) for package in _PACKAGES},
    }


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
        batch_size: images per forward pass.
        workers: threads that decode.
        on_damaged: "stop" raises at a damaged image, "skip" leaves it out and counts it.
        protocol: what was done to the network before, for the manifest.
        checkpoint_seconds: how much work a kill may cost.
        on_images: called with the number of images done since the last call.

    Returns:
        The files, in ``work``: ``features.npy`` float32 (n, width); ``ids.npy`` int64 (n,), in the
        order of ``images``; ``manifest.json``.

    Raises:
        UserError: a damaged image, an unfinished extraction of something else, or features that are
            not finite.
    """
    if on_damaged not in ON_DAMAGED:
        raise UserError(f"on_damaged is {on_damaged!r}; expected {' or '.join(ON_DAMAGED)}")
    bound = binding(
        images,
        backbone,
        preprocess,
        device=device,
        batch_size=batch_size,
        protocol=protocol or {"name": "frozen"},
    )
    store = WorkingStore(work, images, bound)
    on_images(store.rows_done)
    if store.rows_done < len(images):
        forward = Forward(backbone.module, preprocess, device)
        decoded = decoded_batches(
            images,
            preprocess,
            batch_size,
            workers,
            first=store.rows_done,
            pin=device.type == "cuda",
        )
        _fill(
            store,
            forward,
            decoded,
            on_damaged=on_damaged,
            checkpoint_seconds=checkpoint_seconds,
            on_images=on_images,
        )
    if store.damaged:
        logger.warning("%d damaged images are left out", len(store.damaged))
    return store.finish()


def _fill(
    store: WorkingStore,
    forward: Forward,
    decoded: Iterable[Batch],
    *,
    on_damaged: str,
    checkpoint_seconds: float,
    on_images: Callable[[int], object],
) -> None:
    blocks: list[Block] = []
    written = time.monotonic()
    for batch, features in _computed(forward, checked(decoded, on_damaged)):
        damaged = {row: str(error) for row, error in batch.damaged.items()}
        blocks.append(Block(batch.rows, features.cpu().numpy(), damaged, batch.end))
        on_images(len(batch.rows) + len(damaged))
        if time.monotonic() - written >= checkpoint_seconds:
            store.write(blocks)
            blocks, written = [], time.monotonic()
    if blocks:
        store.write(blocks)


def checked(decoded: Iterable[Batch], on_damaged: str) -> Iterator[Batch]:
    """Pass batches on; at a damaged image raise its error ("stop") or warn ("skip")."""
    for batch in decoded:
        for error in batch.damaged.values():
            if on_damaged == "stop":
                raise error
            logger.warning("left out: %s", error)
        yield batch


def _computed(forward: Forward, decoded: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
    """Compute one batch ahead: a graphics card works on it while the last one is written."""
    last: tuple[Batch, Tensor] | None = None
    for batch in decoded:
        current = (batch, forward(batch.pixels))
        if last:
            yield last
        last = current
    if last:
        yield last


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
    forward = Forward(module, preprocess, device)
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
) -> dict[str, Any]:
    """Re-estimate a backbone's BatchNorm statistics on ``images``, in place.

    The images are mixed by ``seed`` (photographs of one flower stand together in the data set) and
    a last batch that is not full is left out. The statistics are kept in the file ``kept``, so that
    a killed extraction goes on with the same ones.

    Returns:
        What was done, for the manifest.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    whole = len(images) // batch_size * batch_size or len(images)
    chosen = [images[i] for i in order[:whole]]
    done = {
        "name": "adapted",
        "adapted_on": len(chosen),
        "adapted_on_sha256": hash_of_images(chosen),
        "adapted_in_batches_of": min(batch_size, whole),
    }
    layers = batch_norms(backbone.module)
    done["batch_norm_layers"] = len(layers)
    if not layers:
        logger.info("%s has no BatchNorm: adapted is the same as frozen", backbone.architecture)
        return done
    bound = binding(
        chosen, backbone, preprocess, device=device, batch_size=batch_size, protocol=done
    )
    key = json.dumps(bound)
    if not _read_statistics(kept, key, backbone.module):
        decoded = decoded_batches(
            chosen, preprocess, batch_size, workers, pin=device.type == "cuda"
        )
        adapt_batch_norm(
            backbone.module, (b.pixels for b in checked(decoded, on_damaged)), preprocess, device
        )
        _write_statistics(kept, key, backbone.module)
    return done


def _statistics(module: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.{part}": getattr(layer, part)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        for part in ("running_mean", "running_var")
    }


def _write_statistics(kept: Path, key: str, module: nn.Module) -> None:
    tensors = {name: t.detach().cpu().contiguous() for name, t in _statistics(module).items()}
    with atomic_path(kept) as aside:
        save_file(tensors, aside, metadata={"key": key})


def _read_statistics(kept: Path, key: str, module: nn.Module) -> bool:
    if not kept.is_file():
        return False
    with safe_open(kept, framework="pt") as file:
        if (file.metadata() or {}).get("key") != key:
            return False
        for name, tensor in _statistics(module).items():
            tensor.copy_(file.get_tensor(name))
    return True
