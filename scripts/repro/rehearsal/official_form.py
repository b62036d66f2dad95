"""A network's weights in the form of the registries' official files, for what stands in for them.

The official files are older than the code that reads them: some were trained before BatchNorm
counted its batches, some name their tensors as torchvision did then.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repro.system.files import atomic_path

# Trained before PyTorch 0.4.1, so without `num_batches_tracked` and without `_metadata`.
_UNCOUNTED = re.compile(r"torchvision:(resnet|densenet|vgg\d+_bn|inception_v3)")
# How torchvision renames the tensors of its older files, read backwards: by network, then by name.
_OLDER_NAMES = (
    (r"torchvision:densenet", r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2"),
    (r"torchvision:vit_", r"(\.mlp\.)0\.", r"\1linear_1."),
    (r"torchvision:vit_", r"(\.mlp\.)3\.", r"\1linear_2."),
)


def official_state(architecture: str, network: nn.Module) -> OrderedDict[str, Tensor]:
    """Return the weights of the whole ``network`` as the official file of its name holds them.

    ``architecture`` is "torchvision:NAME" or "timm:NAME". The tensors are the network's own. The
    attribute ``_metadata`` (the layers' versions) is the one that goes with the names; it is
    missing where the official file has none.
    """
    now = network.state_dict()
    state = OrderedDict((_older(architecture, name), tensor) for name, tensor in now.items())
    if _UNCOUNTED.match(architecture):
        for name in [name for name in state if name.endswith(".num_batches_tracked")]:
            del state[name]
        return state
    return _with_metadata(
        state,
        {
            # Versions above 1 of a layer whose names are older would say that they are today's.
            name: {"version": 1} if state.keys() & {f"{name}.linear_1.weight"} else dict(versions)
            for name, versions in now._metadata.items()  # type: ignore[attr-defined]
        },
    )


def _older(architecture: str, name: str) -> str:
    for network, pattern, older in _OLDER_NAMES:
        if re.match(network, architecture):
            name = re.sub(pattern, older, name)
    return name


def _with_metadata(state: OrderedDict[str, Tensor], metadata: Any) -> OrderedDict[str, Tensor]:
    if metadata is not None:
        state._metadata = metadata  # type: ignore[attr-defined]
    return state


def write(
    state: OrderedDict[str, Tensor], path: Path, *, legacy: bool = False, half: bool = False
) -> None:
    """Write ``state`` as ``torch.save`` does, whole or not at all.

    Args:
        state: tensors by name; an attribute ``_metadata`` is written too.
        path: the file.
        legacy: in the serialisation from before PyTorch 1.6, which is no zip archive.
        half: with all floating-point tensors as float16.
    """
    if half:
        cast = ((name, t.half() if t.is_floating_point() else t) for name, t in state.items())
        state = _with_metadata(OrderedDict(cast), getattr(state, "_metadata", None))
    with atomic_path(path) as part:
        torch.save(state, part, _use_new_zipfile_serialization=not legacy)
