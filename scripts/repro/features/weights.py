"""Files of weights: read without running code, and loaded as the network's own registry would."""

from __future__ import annotations

import logging
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from repro.errors import UserError, own_words, unreadable
from repro.features.loaded import Loaded

logger = logging.getLogger("repro")

_COUNTER = "num_batches_tracked"
# What PyTorch's wrappers for several devices and for compilation put before names.
_PREFIX = re.compile(r"^(?:module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.")


def read_state(weights: Path) -> Mapping[str, Tensor]:
    """Read a state dict, with its layers' versions, without running any code it may carry.

    Raises:
        UserError: the file is missing, damaged, no state dict, or a pickle with code in it.
    """
    if not weights.is_file():
        raise UserError(
            f"{weights}: there is no such file of weights; run again to fetch it, or "
            "set `weights: none` in the configuration to go without"
        )
    state = _safetensors(weights) if weights.suffix == ".safetensors" else _torch_file(weights)
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(t, Tensor) for name, t in state.items()
    ):
        raise UserError(
            f"{weights}: not a file of a network's weights: it holds something other than arrays "
            "of numbers by name. Take another file of them, or have PyTorch save only the "
            "network's state_dict()"
        )
    return state


def _torch_file(weights: Path) -> Any:
    try:
        return torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{weights}: refused: it holds more than a network's numbers, and reading it could run "
            "code that came with it. Delete it and run again to fetch it, take another file of "
            "these weights, or have only the network's state_dict() saved"
        ) from error
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise _damaged(weights, error) from error


def _safetensors(weights: Path) -> dict[str, Tensor]:
    try:
        return load_file(weights)
    except Exception as error:  # mostly SafetensorError, but not only
        raise _damaged(weights, error) from error


def _damaged(weights: Path, error: Exception) -> UserError:
    way_out = "delete it and run again to fetch it"
    return unreadable(weights, "a file of a network's weights", way_out, error)


def load(
    module: nn.Module,
    whole: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    weights: Path,
    architecture: str,
) -> Loaded:
    """Fill ``module`` with a file's tensors, as the registry's own loader would.

    Args:
        module: the network without its classifier.
        whole: the tensors of the network with its classifier.
        state: the file's.
        weights: the file, for messages.
        architecture: for messages.

    Raises:
        UserError: they are not this network's.
    """
    kept = module.state_dict()
    loaded = Loaded.BY_NAME
    try:
        tensors = _renamed(module, {_PREFIX.sub("", name): t for name, t in state.items()})
        if not kept.keys() & tensors.keys():
            tensors, loaded = _by_order(tensors, whole, kept, weights), Loaded.BY_ORDER
        # Below what was cut off nothing is compared, whatever the file has there.
        cut = tuple(f"{name.rpartition('.')[0]}." for name in whole.keys() - kept.keys())
        given = OrderedDict(
            (n, t) for n, t in tensors.items() if n in kept or not n.startswith(cut)
        )
        given._metadata = _metadata(state, module)  # type: ignore[attr-defined]
        module.load_state_dict(given, assign=True)
    except Exception as error:  # the versions in a file may be anything, too
        raise UserError(_mismatch(weights, architecture, error)) from error
    found = {str(t.dtype) for t in given.values() if t.is_floating_point()} - {"torch.float32"}
    if found:
        logger.info("%s: %s is cast to float32", weights.name, ", ".join(sorted(found)))
        module.float()
    return loaded


def _metadata(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Any]:
    """Return the versions of the layers a file was written from, by the layers' names.

    A file without is read as one of today's by the network itself (MNASNet asks), and as an old one
    by its layers (BatchNorm had no counter then).
    """
    versions = getattr(state, "_metadata", {})
    bare = {_PREFIX.sub("", f"{name}.").removesuffix("."): dict(v) for name, v in versions.items()}
    return {"": {"version": module._version}, **bare}


def _renamed(module: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors of an older file today's names, by the registry's own function for that."""
    home = sys.modules[type(module).__module__]
    if module.state_dict().keys() <= tensors.keys():
        return tensors
    if hasattr(home, "_load_state_dict"):  # torchvision's DenseNet
        found: dict[str, Tensor] = {}
        home._load_state_dict(
            model=SimpleNamespace(load_state_dict=found.update),
            weights=SimpleNamespace(get_state_dict=lambda **_: tensors),
            progress=False,
        )
        return found
    if hasattr(home, "checkpoint_filter_fn"):  # timm's
        return dict(home.checkpoint_filter_fn(tensors, module))
    return tensors


def _by_order(
    tensors: Mapping[str, Tensor],
    whole: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    weights: Path,
) -> dict[str, Tensor]:
    """Give the tensors of another implementation the names of this one, in their order.

    Two implementations of one network often differ in nothing but the names of their layers. Only
    taken where not one name agrees, but all shapes and the last parts of all names do, in order:
    a BatchNorm's weight and bias have one shape. Unchanged where numbers or shapes differ.

    Raises:
        ValueError: shapes agree, but the last parts of two names do not.
    """
    counted = any(name.endswith(_COUNTER) for name in tensors)
    for names in (whole, kept):  # the file may lack the classifier
        wanted = [name for name in names if counted or not name.endswith(_COUNTER)]
        pairs = list(zip(wanted, tensors, strict=False))
        if len(wanted) == len(tensors) and all(
            tensors[old].shape == whole[new].shape for new, old in pairs if new in kept
        ):
            break
    else:
        return dict(tensors)
    for new, old in pairs:
        if new.rpartition(".")[2] != old.rpartition(".")[2]:
            raise ValueError(f"no name agrees, and in order {old} stands where {new} belongs")
    logger.warning(
        "%s: its %d tensors have other names than the network's but the same shapes and kinds in "
        "the same order; they are loaded in that order",
        weights.name,
        len(tensors),
    )
    return {new: tensors[old] for new, old in pairs}


def _mismatch(weights: Path, architecture: str, error: Exception) -> str:
    problems = _problems(str(error)) or [own_words(error)]
    shown = "; ".join(problems[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return (
        f"{weights}: these are not the weights of {architecture}: {shown}{more}. "
        "In the configuration, name under `architecture` the network that this file is of, or "
        "under `weights` another file"
    )


def _problems(report: str) -> list[str]:
    """Return what a strict ``load_state_dict`` reports, one entry a tensor."""
    found = []
    for line in report.split("\n\t")[1:]:
        shapes = re.match(r"size mismatch for (.+?): .*?Size\(\[(.*?)\]\).*Size\(\[(.*?)\]\)", line)
        if line.startswith(("Missing", "Unexpected")):
            what = "is missing" if line.startswith("Missing") else "is not part of the network"
            found += [f"{name} {what}" for name in re.findall(r'"(.+?)"', line)]
        elif shapes:
            found.append(f"{shapes[1]} has shape [{shapes[2]}] instead of [{shapes[3]}]")
        else:
            found.append(line)
    return found
