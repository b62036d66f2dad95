"""Pretrained networks with their classifier taken off: image in, feature vector out."""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torchvision import models

from repro.errors import UserError, own_words
from repro.features.loaded import Loaded
from repro.features.weights import load, read_state
from repro.system.files import hash_of

logger = logging.getLogger("repro")

Entry = TypeVar("Entry")

REGISTRIES = ("torchvision", "timm")
INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos")
# Networks with further classifiers, which are there for training alone, and what they are called.
_AUXILIARY = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}


@dataclass(frozen=True)
class Preprocess:
    """How a photograph becomes the network's input; the defaults are the report's.

    Attributes:
        resize: length in pixels the image's shorter side is scaled to.
        crop: side in pixels of the square then cut from the centre.
        mean: per-channel mean (red, green, blue; pixel values in 0..1) that is subtracted.
        std: per-channel standard deviation that is divided by.
        interpolation: one of INTERPOLATIONS, always with antialiasing.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.resize:
            raise UserError(
                f"preprocess: crop is {self.crop} and resize {self.resize}; "
                "expected 0 < crop <= resize"
            )
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(
                f"preprocess.interpolation is {self.interpolation!r}; expected one of "
                f"{', '.join(INTERPOLATIONS)}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for a manifest."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier.

    Attributes:
        architecture: "torchvision:NAME" or "timm:NAME".
        module: maps images (n, 3, h, w) to features (n, width), float32; in evaluation mode.
        width: number of features.
        parameters: number of parameters of the whole network, its own classifier included.
        weights_sha256: hash of the weights file, or Loaded.RANDOM.
        weights_loaded: how the file's tensors came to the layers.
        preprocess: the transform that was asked for.
    """

    architecture: str
    module: nn.Module
    width: int
    parameters: int
    weights_sha256: str
    weights_loaded: Loaded
    preprocess: Preprocess

    def as_dict(self) -> dict[str, Any]:
        """Return what network this is, for a manifest."""
        return {
            "architecture": self.architecture,
            "weights_sha256": self.weights_sha256,
            "weights_loaded": self.weights_loaded,
            "parameters": self.parameters,
            "width": self.width,
        }


def build(
    architecture: str, weights: Path | None, seed: int = 0, preprocess: str = "report"
) -> Backbone:
    """Build a network, load its weights and take its classifier off.

    Args:
        architecture: "torchvision:NAME" or "timm:NAME", NAME from that registry.
        weights: a state dict (.pth, .pt or .safetensors) of the network, with its classifier or
            without; None for random weights.
        seed: seed of the random weights; the same seed gives the same weights.
        preprocess: "report" for the report's transform, "own" for that of the weights.

    Raises:
        UserError: the name is unknown; the file is not this network's weights; their own transform
            is not known, or cannot be done here; the network takes no images of that size.
    """
    check_name(architecture)
    state = read_state(weights) if weights else None
    sha256 = hash_of(weights) if weights else Loaded.RANDOM
    transform = (
        own_preprocess(architecture, weights, sha256) if preprocess == "own" else Preprocess()
    )
    if weights is None or state is None:
        network, loaded = create(architecture, seed), Loaded.RANDOM
        parameters = _count(network)
        module = without_classifier(architecture, network)
    else:
        settings = _made_with_weights(architecture, weights, sha256)
        module, parameters, loaded = _loaded(architecture, settings, state, weights)
    module = module.eval().requires_grad_(False)
    return Backbone(
        architecture=architecture,
        module=module,
        width=feature_width(module, transform.crop),
        parameters=parameters,
        weights_sha256=sha256,
        weights_loaded=loaded,
        preprocess=transform,
    )


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def create(
    architecture: str, seed: int = 0, settings: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return the whole network with random weights drawn from ``seed``, in evaluation mode.

    PyTorch's layers draw from the global generator; it is put back as it was found. ``settings``
    are handed to torchvision's builder.
    """
    registry, name = split_name(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module
        if registry == "timm":
            import timm  # noqa: PLC0415  only where it is used: importing it takes a second

            network = timm.create_model(name, pretrained=False)
        else:
            # GoogLeNet and Inception warn about their slow default initialisation unless told.
            extra = {"init_weights": True} if name in _AUXILIARY else {}
            network = models.get_model(name, weights=None, **extra, **(settings or {}))
    return network.eval()


def check_name(architecture: str) -> None:
    """Raise UserError, with the nearest names, where its registry knows no such network."""
    registry, name = split_name(architecture)
    if registry == "torchvision":
        known = models.list_models(module=models)
        tagged: list[str] = []
    else:
        import timm  # noqa: PLC0415

        known, tagged = timm.list_models(), timm.list_pretrained()
    if name not in known and name not in tagged:
        near = difflib.get_close_matches(name, [*known, *tagged], n=3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UserError(
            f"architecture {architecture}: {registry} knows no network of that name{hint}; "
            "correct it in the configuration"
        )


def split_name(architecture: str) -> tuple[str, str]:
    """Split "registry:name"; raise UserError where it is not of that form."""
    registry, _, name = architecture.partition(":")
    if registry not in REGISTRIES or not name:
        raise UserError(
            f"architecture is {architecture!r}; expected torchvision:NAME or timm:NAME, "
            "for example torchvision:resnet152"
        )
    return registry, name


def without_classifier(architecture: str, network: nn.Module) -> nn.Module:
    """Replace the layer that gives the class scores by the identity, in place.

    In torchvision's networks that is the last Linear: what stands before it in the classifier
    (ConvNeXt's LayerNorm and Flatten) stays, as in the report's "last layer replaced".
    """
    registry, name = split_name(architecture)
    if registry == "timm":
        network.reset_classifier(num_classes=0)  # type: ignore[operator]
        return network
    linear = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise UserError(
            f"architecture torchvision:{name} ends in no Linear layer, so its last layer cannot "
            "be replaced; choose another network, or the same one from timm"
        )
    network.set_submodule(linear[-1], nn.Identity())
    if name in _AUXILIARY:
        network.aux_logits = False  # type: ignore[assignment]
        for classifier in _AUXILIARY[name]:
            setattr(network, classifier, None)
    return network


def feature_width(module: nn.Module, side: int) -> int:
    """Return the number of features of images of ``side`` x ``side`` pixels.

    Raises:
        UserError: the network does not take such images, or does not give a row of numbers.
    """
    try:
        features = dry_run(module, side)
    except Exception as error:  # networks refuse an input in ways of their own
        raise UserError(
            f"{type(module).__name__} takes no images of {side} x {side} pixels. In the "
            "configuration, set `preprocess` of this net to own (as its weights were trained) or "
            "to report (as the report scales them), or choose a network for that size "
            f"({own_words(error)})"
        ) from error
    if not isinstance(features, Tensor) or features.ndim != 2:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UserError(
            f"the network gives features of shape {shape} for one image; expected "
            "one row of numbers, so it cannot serve as a backbone; choose another network"
        )
    return int(features.shape[1])


def dry_run(module: nn.Module, side: int) -> Any:
    """Return what ``module`` gives for one image, in shapes without values where that can be done.

    Neither buffers nor the global generator change, not even in training mode.
    """
    tensors = dict((*module.named_parameters(), *module.named_buffers()))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
            image = torch.empty(1, 3, side, side, device="meta")
            return torch.func.functional_call(module, shapes, image)
        except Exception as error:  # the image is refused, or the network looks at values
            logger.debug("no shapes without values: %s", own_words(error))
        copies = {name: tensor.clone() for name, tensor in tensors.items()}
        image = torch.zeros(1, 3, side, side, device=next(iter(tensors.values())).device)
        return torch.func.functional_call(module, copies, image)


def own_preprocess(architecture: str, weights: Path | None = None, sha256: str = "") -> Preprocess:
    """Return the transform that goes with a weights file; without one, with the registry's first.

    Raises:
        UserError: the registry does not know the file, or its transform cannot be done here.
    """
    registry, name = split_name(architecture)
    if registry == "timm":
        return _timm_preprocess(architecture, weights, sha256)
    found = _torchvision_entry(name, weights, sha256)
    if found is None:
        urls = [entry.url for entry in models.get_model_weights(name)]
        raise UserError(_no_transform(architecture, weights, urls))
    transform = found.transforms()
    return Preprocess(
        resize=int(transform.resize_size[0]),
        crop=int(transform.crop_size[0]),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=str(transform.interpolation.value),
    )


def _torchvision_entry(name: str, weights: Path | None, sha256: str) -> models.WeightsEnum | None:
    entries = {entry: [entry.url] for entry in models.get_model_weights(name)}
    return _entry_of(entries, weights, sha256)


def _timm_preprocess(architecture: str, weights: Path | None, sha256: str) -> Preprocess:
    from timm.data import resolve_data_config  # type: ignore[attr-defined]  # noqa: PLC0415
    from timm.models import get_arch_pretrained_cfgs  # noqa: PLC0415

    name = split_name(architecture)[1]
    known = get_arch_pretrained_cfgs(name)
    # An architecture named with the tag of its weights says itself which they are.
    entries = {
        tagged: [f"{tagged}.safetensors", str(cfg.url or "")] for tagged, cfg in known.items()
    }
    tagged = name if name in known and "." in name else _entry_of(entries, weights, sha256)
    if tagged is None:
        files = [file for files in entries.values() for file in files if file]
        raise UserError(
            f"{_no_transform(architecture, weights, files)}, or name them in `architecture`: "
            f"timm:{', timm:'.join(entries)}"
        )
    config = resolve_data_config({}, pretrained_cfg=known[tagged].to_dict())  # type: ignore[no-untyped-call]
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["crop_mode"] != "center":
        raise UserError(
            f"preprocess: own, but the images of {tagged} have {channels} channels and "
            f"{height} x {width} pixels, by crop_mode {config['crop_mode']!r}; a square cut from "
            "the centre of a colour image is all that can be done here. Set `preprocess: report`"
        )
    return Preprocess(
        # timm's own evaluation transform scales the shorter side to crop / crop_pct.
        resize=math.floor(height / config["crop_pct"]),
        crop=height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=str(config["interpolation"]),
    )


def _entry_of(
    entries: Mapping[Entry, list[str]], weights: Path | None, sha256: str
) -> Entry | None:
    """Return the entry of a registry that a weights file is of, by its hash or else by its name.

    Args:
        entries: the names (also as URLs) that each entry's file has; a name may end in ``-`` and
            the first digits of the file's sha256.
        weights: the file; None for the first entry.
        sha256: the file's hash.
    """
    if weights is None:
        return next(iter(entries), None)
    stems = [
        (entry, PurePosixPath(name).stem) for entry, names in entries.items() for name in names
    ]
    for entry, stem in stems:
        digits = stem.rpartition("-")[2]
        if re.fullmatch(r"[0-9a-f]{8,64}", digits) and sha256.startswith(digits):
            return entry
    return next((entry for entry, stem in stems if stem == weights.stem), None)


def _no_transform(architecture: str, weights: Path | None, known: list[str]) -> str:
    names = ", ".join(PurePosixPath(file).name for file in known)
    return (
        f"preprocess: own, but {architecture} has no known weights like {weights or 'none'}, "
        f"neither by name nor by hash (known: {names or 'none'}), so their transform is not known "
        "either; set `preprocess: report`, or give the file its official name"
    )


def _made_with_weights(architecture: str, weights: Path, sha256: str) -> dict[str, Any]:
    """Return the settings that torchvision's builders make only together with weights."""
    registry, name = split_name(architecture)
    if registry == "torchvision" and name in _AUXILIARY:
        return {"transform_input": True}
    if registry == "torchvision" and name.startswith("vit_"):
        entry = _torchvision_entry(name, weights, sha256)
        return {"image_size": entry.meta["min_size"][0]} if entry else {}
    return {}


def _loaded(
    architecture: str, settings: Mapping[str, Any], state: Mapping[str, Tensor], weights: Path
) -> tuple[nn.Module, int, Loaded]:
    """Return the network without classifier, its number of parameters, how it was loaded."""
    try:
        # On the meta device no time goes into random weights that are then overwritten.
        with torch.device("meta"):
            network = create(architecture, settings=settings)
    except RuntimeError:  # RegNet, for one, looks at the values it computes
        network = create(architecture, settings=settings)
    parameters, whole = _count(network), network.state_dict()
    module = without_classifier(architecture, network)
    loaded = load(module, whole, state, weights, architecture)
    if any(t.is_meta for t in (*module.parameters(), *module.buffers())):
        # Some buffer is not in the state dict but computed at construction: construct for real.
        module = without_classifier(architecture, create(architecture, settings=settings))
        load(module, whole, state, weights, architecture)
    return module, parameters, loaded


def batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return a network's BatchNorm layers."""
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def statistics(module: nn.Module) -> dict[str, Tensor]:
    """Return what its BatchNorm layers have taken from images: running means and variances."""
    return {
        f"{name}.{part}": getattr(layer, part)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        for part in ("running_mean", "running_var")
    }
