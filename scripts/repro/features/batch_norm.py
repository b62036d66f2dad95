"""BatchNorm's statistics estimated anew on images of one's own: the protocol `adapted`.

Known as AdaBN (Li et al. 2016, arXiv:1603.04779), and where it follows a training as precise BN.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from repro.compute.threads import map_in_threads
from repro.errors import UserError, own_words
from repro.features.backbones import Backbone, Preprocess, batch_norms, dry_run, statistics
from repro.features.extraction import binding, check
from repro.features.forward import Forward
from repro.features.pixels import read_batch
from repro.flowers.images import ImageRef, ImageTable, hash_of_images
from repro.system.files import atomic_path

logger = logging.getLogger("repro")


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
                f"{kept}: missing, or made with another network, other images, settings, versions "
                "or code, or on another kind of device; delete it and run again"
            )
        if layers:
            if min(batch_size, whole) == 1:
                _check_single_images(backbone.module, preprocess)
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


def _check_single_images(module: nn.Module, preprocess: Preprocess) -> None:
    """Raise UserError where BatchNorm can take no statistics of single images: after the pooling.

    The statistics are others after this.
    """
    layers = batch_norms(module)
    try:
        for layer in layers:
            layer.train()
        dry_run(module, preprocess.crop)
    except ValueError as error:
        raise UserError(
            "the protocol adapted takes means and deviations over several images, and here a batch "
            "is a single one, which this network's BatchNorm refuses. Set flowers.batch_size to 2 "
            "or more in the configuration, give more training images, or run this net by another "
            f"protocol ({own_words(error)})"
        ) from error
    finally:
        for layer in layers:
            layer.eval()


def _pixels(
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    batch_size: int,
    workers: int,
    on_damaged: str,
) -> Iterator[Tensor]:
    starts = range(0, len(images), batch_size)
    for batch in map_in_threads(
        lambda start: read_batch(images, preprocess, start, batch_size), starts, workers
    ):
        check(batch, on_damaged)
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


def _hash_of_statistics(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in statistics(module).values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write_statistics(kept: Path, key: str, module: nn.Module) -> None:
    tensors = {name: t.detach().cpu().contiguous() for name, t in statistics(module).items()}
    with atomic_path(kept) as aside:
        aside.write_bytes(save(tensors, {"key": key}))


def _read_statistics(kept: Path, key: str, module: nn.Module) -> bool:
    if not kept.is_file():
        return False
    try:
        with safe_open(kept, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return False
            for name, tensor in statistics(module).items():
                tensor.copy_(file.get_tensor(name))
    except SafetensorError as error:
        logger.warning("%s: cannot be read as statistics (%s)", kept, error)
        return False
    return True
