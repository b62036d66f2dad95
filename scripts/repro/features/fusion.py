"""The same network with fewer trips to memory, for evaluation on a CPU.

Between two convolutions PyTorch's eager mode reads and writes every number three times more:
BatchNorm, the residual sum and the activation. Here BatchNorm is folded into the convolution's
weights, and sum and activation are done by oneDNN's kernel while it has the numbers in its hands.
Needs no compiler and no package beyond PyTorch. What it finds no pattern for stays as it is.
"""

from __future__ import annotations

import copy
import logging
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

logger = logging.getLogger("repro")

TOLERANCE = 1e-4
_ADDITIONS = (operator.add, operator.iadd, torch.add)


@dataclass(frozen=True)
class Activation:
    """An activation in oneDNN's terms: its name, its numbers, and which variant of it."""

    name: str = "none"
    numbers: list[float] = field(default_factory=list)
    variant: str = ""


class FusedConv2d(nn.Module):
    """Convolution, then a sum with another tensor (if one is given), then an activation."""

    def __init__(
        self, conv: nn.Conv2d, activation: Activation, shape: Sequence[int] | None
    ) -> None:
        """Take over ``conv``, which has whatever BatchNorm followed it folded in.

        The weight is put into the order that oneDNN prefers for inputs of ``shape``.
        """
        super().__init__()
        self.bias = conv.bias
        self.geometry: list[Any] = [
            [int(p) for p in conv.padding],
            list(conv.stride),
            list(conv.dilation),
            conv.groups,
        ]
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, shape
        )
        self.same = _pads_itself(conv)
        self.kernel = conv.kernel_size
        self.activation = activation
        self.in_place = False

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Map x (n, c, h, w), and other of the output's shape, to the output."""
        if self.same:
            x = _padded(x, self.kernel, self.geometry[1], self.geometry[2])
        act = self.activation
        if other is None:
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self.geometry, act.name, act.numbers, act.variant
            )
            return result
        unary = (None if act.name == "none" else act.name, act.numbers, act.variant)
        if self.in_place:
            result = torch.ops.mkldnn._convolution_pointwise_.binary(
                other, x, self.weight, self.bias, *self.geometry, "add", 1.0, *unary
            )
        else:
            result = torch.ops.mkldnn._convolution_pointwise.binary(
                x, other, self.weight, self.bias, *self.geometry, "add", 1.0, *unary
            )
        return result


def _padded(x: Tensor, kernel: Sequence[int], stride: list[int], dilation: list[int]) -> Tensor:
    """Pad as TensorFlow does: so that the output has 1 / stride of the input's size, rounded up."""
    amounts: list[int] = []
    for size, k, s, d in zip(
        x.shape[:1:-1], kernel[::-1], stride[::-1], dilation[::-1], strict=True
    ):
        total = max((math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
        amounts += [total // 2, total - total // 2]
    return functional.pad(x, amounts)


class FusedLinear(nn.Module):
    """A Linear layer and the activation after it, its weight in oneDNN's own order."""

    def __init__(self, linear: nn.Linear, activation: Activation) -> None:
        """Take over ``linear``."""
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = linear.bias
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        act = self.activation
        result: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, act.name, act.numbers, act.variant
        )
        return result


def fused(module: nn.Module, example: Tensor) -> nn.Module:
    """Return a network that computes what ``module`` computes in evaluation mode, faster.

    The result is tried against ``module`` on ``example``. Where it cannot be made, or differs by
    more than TOLERANCE (relative, per image), ``module`` itself is returned.

    Args:
        module: a network in evaluation mode, on the CPU, float32; it is not changed.
        example: a few images, shape (n, 3, h, w), in the memory format that will be used.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return module
    try:
        result = _rewritten(module, example)
        error = relative_error(result(example), module(example))
    except Exception as reason:  # whatever goes wrong, the plain network is at hand
        logger.info("layers are not fused, this network does not allow it: %s", _short(reason))
        return module
    if not error <= TOLERANCE:
        logger.warning(
            "layers are not fused: the result would differ by %.1e (limit %.0e)", error, TOLERANCE
        )
        return module
    return result


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the largest ‖found - expected‖ / ‖expected‖ over the rows of two (n, width)."""
    gap = torch.linalg.vector_norm(found - expected, dim=1)
    return float((gap / torch.linalg.vector_norm(expected, dim=1)).max())


def _short(reason: Exception) -> str:
    return (str(reason) or type(reason).__name__).splitlines()[0][:200]


class _Tracer(fx.Tracer):
    """Takes every layer it could fuse, or could not see through, as one node."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kinds = (nn.Conv2d, nn.Linear, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)
        return isinstance(m, kinds) or super().is_leaf_module(m, module_qualified_name)


def _rewritten(module: nn.Module, example: Tensor) -> nn.Module:
    graph = _Tracer().trace(module)
    traced = fx.GraphModule(module, graph)
    with torch.no_grad():
        ShapeProp(traced).propagate(example)
        for number, node in enumerate(list(graph.nodes)):
            layer = _layer(traced, node)
            if type(layer) is nn.Linear:
                _fuse_linear(traced, node, layer, f"fused_{number}")
            elif isinstance(layer, nn.Conv2d) and _plain(layer):
                _fuse_conv(traced, node, layer, f"fused_{number}")
    _allow_in_place(traced)
    graph.eliminate_dead_code()
    graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _layer(traced: fx.GraphModule, node: fx.Node | None) -> nn.Module | None:
    if node is None or node.op != "call_module":
        return None
    return traced.get_submodule(str(node.target))


def _plain(conv: nn.Conv2d) -> bool:
    """Whether the layer is a convolution and no more; subclasses may do something to weights."""
    return conv.padding_mode == "zeros" and (
        (type(conv) is nn.Conv2d and not isinstance(conv.padding, str)) or _pads_itself(conv)
    )


def _pads_itself(conv: nn.Conv2d) -> bool:
    """Whether it is timm's convolution with TensorFlow's "same" padding."""
    return type(conv).__name__ == "Conv2dSame"


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _fuse_linear(traced: fx.GraphModule, node: fx.Node, linear: nn.Linear, name: str) -> None:
    last, activation = node, Activation()
    after = _activation(traced, _only_user(node))
    if after:
        last, activation = after
    _replace(traced, last, name, FusedLinear(linear, activation), (node.args[0],))


def _fuse_conv(traced: fx.GraphModule, node: fx.Node, conv: nn.Conv2d, name: str) -> None:
    conv, last, activation = _with_batch_norm(traced, node, conv)
    other = None
    if activation.name == "none":
        if after := _activation(traced, _only_user(last)):
            last, activation = after
        elif (found := _addition(last)) is not None:
            last, other = found
            if (after := _activation(traced, _only_user(last))) and after[1].name == "relu":
                last, activation = after
    layer = FusedConv2d(conv, activation, _shape(node.args[0]))
    inputs = (node.args[0],) if other is None else (node.args[0], other)
    _replace(traced, last, name, layer, inputs)


def _with_batch_norm(
    traced: fx.GraphModule, node: fx.Node, conv: nn.Conv2d
) -> tuple[nn.Conv2d, fx.Node, Activation]:
    after = _only_user(node)
    norm = _layer(traced, after)
    if after is None or not isinstance(norm, nn.BatchNorm2d):
        return copy.copy(conv), node, Activation()
    if type(norm) is not nn.BatchNorm2d:
        # timm's BatchNorm with the activation inside.
        inside = _known_activation(getattr(norm, "act", None))
        if inside is None or not isinstance(getattr(norm, "drop", None), nn.Identity):
            return copy.copy(conv), node, Activation()
        return fuse_conv_bn_eval(conv, norm), after, inside
    return fuse_conv_bn_eval(conv, norm), after, Activation()


def _activation(traced: fx.GraphModule, node: fx.Node | None) -> tuple[fx.Node, Activation] | None:
    if node is None:
        return None
    if node.op == "call_function" and node.target in (functional.relu, torch.relu):
        return node, Activation("relu")
    found = _known_activation(_layer(traced, node))
    return (node, found) if found and found.name != "none" else None


def _known_activation(layer: nn.Module | None) -> Activation | None:
    """Return a layer in oneDNN's terms: none for an identity, None where it has no such kernel."""
    if isinstance(layer, nn.Hardtanh):  # ReLU6 is one
        return Activation("hardtanh", [float(layer.min_val), float(layer.max_val)])
    if isinstance(layer, nn.GELU):
        return Activation("gelu", [], layer.approximate)
    known: dict[type[nn.Module], str] = {
        nn.Identity: "none",
        nn.ReLU: "relu",
        nn.SiLU: "swish",
        nn.Hardswish: "hardswish",
        nn.Sigmoid: "sigmoid",
        nn.Tanh: "tanh",
    }
    name = known.get(type(layer)) if layer is not None else None
    return None if name is None else Activation(name)


def _addition(node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """Return the sum that is the node's only user, and the other term, of the same shape."""
    total = _only_user(node)
    if total is None or total.op != "call_function" or total.target not in _ADDITIONS:
        return None
    terms = [term for term in total.args if term is not node]
    if total.kwargs or len(terms) != 1 or not isinstance(terms[0], fx.Node):
        return None
    return (total, terms[0]) if _shape(node) == _shape(terms[0]) else None


def _shape(node: Any) -> Sequence[int] | None:
    """Return the shape of what a node yielded for the example; None if that is no tensor."""
    return getattr(node.meta.get("tensor_meta"), "shape", None)


def _replace(
    traced: fx.GraphModule, last: fx.Node, name: str, layer: nn.Module, inputs: tuple[Any, ...]
) -> None:
    """Put ``layer`` in the place of ``last`` and of what led to it."""
    traced.add_submodule(name, layer)
    with traced.graph.inserting_before(last):
        node = traced.graph.call_module(name, inputs)
    node.meta = dict(last.meta)
    last.replace_all_uses_with(node)
    traced.graph.eliminate_dead_code()


def _allow_in_place(traced: fx.GraphModule) -> None:
    """Let a sum overwrite its other term: a convolution's output that nobody reads later."""
    position = {node: i for i, node in enumerate(traced.graph.nodes)}
    for node in traced.graph.nodes:
        layer = _layer(traced, node)
        if isinstance(layer, FusedConv2d) and len(node.args) == 2:
            other = node.args[1]
            fresh = isinstance(_layer(traced, other), FusedConv2d)
            last = max(position[user] for user in other.users)
            layer.in_place = fresh and last == position[node]
