"""Pretrained networks with their classifier taken off: image in, feature vector out."""

from __future__ import annotations

import difflib
import logging
import math
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from repro.errors import UserError
from repro.files import hash_of

logger = logging.getLogger("repro")

REGISTRIES = ("torchvision", "timm")
INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos")


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
        weights_sha256: hash of the weights file; None where the weights are random.
        own_preprocess: what the weights were trained for; None where the registry does not say.
    """

    architecture: str
    module: nn.Module
    width: int
    parameters: int
    weights_sha256: str | None
    own_preprocess: Preprocess | None

    def preprocess(self, settings: Mapping[str, Any] | str | None) -> Preprocess:
        """Return the transform that a configuration asks for.

        ``settings`` is "own" (the weights' own transform), a mapping of :class:`Preprocess`
        fields, or "report" or None for the report's transform.
        """
        if settings in (None, "report"):
            return Preprocess()
        if settings == "own":
            if self.own_preprocess is None:
                raise UserError(
                    f"preprocess: own, but the registry names no transform for "
                    f"{self.architecture}; write out resize, crop, mean and std instead"
                )
            return self.own_preprocess
        if not isinstance(settings, Mapping):
            raise UserError(f"preprocess is {settings!r}; expected report, own or a mapping")
        return _preprocess_from(settings)


def _preprocess_from(settings: Mapping[str, Any]) -> Preprocess:
    values: dict[str, Any] = {}
    for name, value in settings.items():
        values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return Preprocess(**values)
    except TypeError as error:
        raise UserError(
            f"preprocess: {error}; known settings are {', '.join(Preprocess().as_dict())}"
        ) from error


def build(architecture: str, weights: Path | None, seed: int = 0) -> Backbone:
    """Build a network, load its weights and take its classifier off.

    Args:
        architecture: "torchvision:NAME" or "timm:NAME", NAME from that registry.
        weights: a state dict (.pth, .pt or .safetensors) of the whole network; None for random
            weights.
        seed: seed of the random weights; the same seed gives the same weights.

    Raises:
        UserError: the name is unknown, or the file is not this network's weights.
    """
    whole = create(architecture, seed) if weights is None else _loaded(architecture, weights)
    parameters = sum(parameter.numel() for parameter in whole.parameters())
    module = without_classifier(architecture, whole).eval().requires_grad_(False)
    own = own_preprocess(architecture, whole)
    return Backbone(
        architecture=architecture,
        module=module,
        width=feature_width(module, (own or Preprocess()).crop),
        parameters=parameters,
        weights_sha256=None if weights is None else hash_of(weights),
        own_preprocess=own,
    )


def create(architecture: str, seed: int = 0) -> nn.Module:
    """Return the whole network with random weights drawn from ``seed``, in evaluation mode.

    PyTorch's layers draw from the global generator; it is put back as it was found.
    """
    registry, name = split_name(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _create_torchvision(name) if registry == "torchvision" else _create_timm(name)


def split_name(architecture: str) -> tuple[str, str]:
    """Split "registry:name"; raise UserError where it is not of that form."""
    registry, _, name = architecture.partition(":")
    if registry not in REGISTRIES or not name:
        raise UserError(
            f"architecture is {architecture!r}; expected torchvision:NAME or timm:NAME, "
            "for example torchvision:resnet152"
        )
    return registry, name


def _create_torchvision(name: str) -> nn.Module:
    known = models.list_models(module=models)
    if name not in known:
        raise UserError(_unknown("torchvision", name, known))
    # GoogLeNet and Inception warn about their slow default initialisation unless told.
    extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, **extra)
    return network.eval()


def _create_timm(name: str) -> nn.Module:
    import timm  # noqa: PLC0415  only where it is used: importing it takes a second

    if not timm.is_model(name):
        raise UserError(_unknown("timm", name, timm.list_models()))
    network: nn.Module = timm.create_model(name, pretrained=False)
    return network.eval()


def _unknown(registry: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; near it: {', '.join(near)}" if near else ""
    return f"architecture {registry}:{name}: {registry} knows no network of that name{hint}"


def without_classifier(architecture: str, network: nn.Module) -> nn.Module:
    """Replace the layer that gives the class scores by the identity.

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
    return network


def feature_width(module: nn.Module, side: int) -> int:
    """Return the number of features, found by a forward pass that computes shapes only."""
    shapes = {
        name: tensor.to("meta")
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    with torch.no_grad():
        features = torch.func.functional_call(
            module, shapes, torch.empty(1, 3, side, side, device="meta")
        )
    if features.ndim != 2:
        raise UserError(
            f"the network gives features of shape {tuple(features.shape)} for one image; expected "
            "one row of numbers, so it cannot serve as a backbone"
        )
    return int(features.shape[1])


def own_preprocess(architecture: str, network: nn.Module) -> Preprocess | None:
    """Return the transform that goes with the registry's default weights, None if it has none."""
    registry, name = split_name(architecture)
    if registry == "timm":
        return _timm_preprocess(network)
    choices = list(models.get_model_weights(name))
    if not choices:
        return None
    transform = choices[0].transforms()
    return Preprocess(
        resize=int(transform.resize_size[0]),
        crop=int(transform.crop_size[0]),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=str(transform.interpolation.value),
    )


def _timm_preprocess(network: nn.Module) -> Preprocess:
    from timm.data import resolve_data_config  # type: ignore[attr-defined]  # noqa: PLC0415

    config = resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]
    crop = int(config["input_size"][-1])
    return Preprocess(
        # timm's own evaluation transform scales the shorter side to crop / crop_pct.
        resize=math.floor(crop / config["crop_pct"]),
        crop=crop,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=str(config["interpolation"]),
    )


def _loaded(architecture: str, weights: Path) -> nn.Module:
    state = read_state(weights)
    # On the meta device no time goes into random weights that are then overwritten.
    with torch.device("meta"):
        network = create(architecture)
    _load(network, state, weights, architecture)
    if any(t.is_meta for t in (*network.parameters(), *network.buffers())):
        # Some buffer is not in the state dict but computed at construction: construct for real.
        network = create(architecture)
        _load(network, state, weights, architecture)
    return network


def read_state(weights: Path) -> dict[str, Tensor]:
    """Read a state dict without running any code it may carry.

    Raises:
        UserError: the file is missing, damaged, no state dict, or a pickle with code in it.
    """
    if not weights.is_file():
        raise UserError(f"{weights}: no such weights file; fetch it, or set `weights: none`")
    state = _safetensors(weights) if weights.suffix == ".safetensors" else _torch_file(weights)
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise UserError(
            f"{weights}: holds a {type(state).__name__}, expected a state dict (tensors by name); "
            "save the network's state_dict() and use that file"
        )
    return dict(state)


def _torch_file(weights: Path) -> Any:
    try:
        return torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{weights}: not a plain state dict, or one that would run code when it is read, which "
            f"is refused ({str(error).splitlines()[0]}); fetch the file again, or save only the "
            "network's state_dict()"
        ) from error
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise UserError(_damaged(weights, error)) from error


def _safetensors(weights: Path) -> dict[str, Tensor]:
    try:
        return load_file(weights)
    except Exception as error:  # mostly SafetensorError, but not only
        raise UserError(_damaged(weights, error)) from error


def _damaged(weights: Path, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return f"{weights}: cannot be read as weights ({reason}); delete it and fetch it again"


def _load(
    network: nn.Module, state: Mapping[str, Tensor], weights: Path, architecture: str
) -> None:
    wanted = network.state_dict()
    if not set(wanted) & set(state):
        state = _by_order(state, wanted, weights, architecture)
    problems = [f"{name} is missing" for name in wanted if name not in state]
    problems += [f"{name} is not part of the network" for name in state if name not in wanted]
    problems += [
        f"{name} has shape {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        raise UserError(_mismatch(weights, architecture, problems))
    network.load_state_dict(state, assign=True)


def _by_order(
    state: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    weights: Path,
    architecture: str,
) -> Mapping[str, Tensor]:
    """Give the tensors of another implementation the names of this one, in their order.

    Two implementations of one network often differ in nothing but names. Only taken where not one
    name agrees and all shapes do, in order.
    """
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    expected = [tuple(tensor.shape) for tensor in wanted.values()]
    if shapes != expected:
        return state
    logger.warning(
        "%s: its %d tensors have other names than those of %s but the same shapes in the same "
        "order; they are loaded in that order",
        weights.name,
        len(state),
        architecture,
    )
    return dict(zip(wanted, state.values(), strict=True))


def _mismatch(weights: Path, architecture: str, problems: list[str]) -> str:
    shown = "; ".join(problems[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return (
        f"{weights}: these are not the weights of {architecture}: {shown}{more}. "
        "Check `architecture` and `weights` of this model in the configuration"
    )
