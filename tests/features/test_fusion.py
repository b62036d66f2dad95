import pytest
import torch
from torch import nn
from torchvision import models

from repro.features import backbones, fusion
from repro.features.fusion import FusedConv2d, FusedLinear, fused, relative_error

SIDE = 64


def _example(n=2, side=SIDE):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n, 3, side, side, generator=generator)
    return images.contiguous(memory_format=torch.channels_last)


def _drifted(network):
    """Give BatchNorm statistics and weights that are not those of a fresh network."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in (
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 2),
                (layer.weight.data, 0.5, 1.5),
                (layer.bias.data, -0.5, 0.5),
            ):
                tensor.uniform_(low, high, generator=generator)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "architecture",
    [
        "torchvision:resnet18",
        "torchvision:resnet50",
        "torchvision:mobilenet_v2",
        "torchvision:convnext_tiny",
        "torchvision:densenet121",
        "timm:tf_efficientnet_lite0",
        "timm:tf_efficientnet_b0",
        "timm:convnext_atto",
    ],
)
@torch.inference_mode()
def test_a_fused_network_computes_the_same(architecture):
    plain, images = _drifted(backbones.create(architecture)), _example(3)
    result = fused(plain, images[:2])
    assert any(isinstance(layer, FusedConv2d) for layer in result.modules())
    assert relative_error(result(images), plain(images)) < 1e-5


@torch.inference_mode()
def test_batch_norm_sum_and_activation_all_disappear_from_a_resnet():
    result = fused(_drifted(models.resnet18()), _example())
    kinds = {type(layer) for layer in result.modules()}
    assert not kinds & {nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.Linear}
    assert not [node for node in result.graph.nodes if "add" in str(node.target)]


@torch.inference_mode()
def test_gelu_goes_into_the_linear_layer_before_it():
    result = fused(_drifted(models.convnext_tiny()), _example())
    assert not any(isinstance(layer, nn.GELU) for layer in result.modules())
    assert (
        sum(isinstance(m, FusedLinear) and m.activation.name == "gelu" for m in result.modules())
        == 3 + 3 + 9 + 3
    )


@torch.inference_mode()
def test_the_network_itself_is_not_changed():
    plain, images = _drifted(models.resnet18()), _example()
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    expected = plain(images)
    fused(plain, images)(images)
    assert torch.equal(plain(images), expected)
    assert all(torch.equal(before[name], t) for name, t in plain.state_dict().items())


class _Shared(nn.Module):
    """A sum whose other term is read again later: it must not be overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(c, 4, 1) for c in (3, 4, 4))

    def forward(self, x):
        kept = self.first(x)
        total = self.second(kept) + kept
        return (self.third(total) + kept).flatten(1)


class _Branches(nn.Module):
    """A convolution with two readers: what follows it cannot be pulled into it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return (torch.relu(self.norm(y)) + y.mean()).flatten(1)


class _Broadcast(nn.Module):
    """A sum of two shapes is not oneDNN's sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        return (self.conv(x) + self.pool(x)).flatten(1)


@pytest.mark.parametrize("make", [_Shared, _Branches, _Broadcast])
@torch.inference_mode()
def test_awkward_shapes_of_graph_stay_right(make):
    plain, images = _drifted(make()), _example()
    result = fused(plain, images)
    assert result is not plain
    torch.testing.assert_close(result(images), plain(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(result(images), plain(images), rtol=1e-4, atol=1e-5)


class _Untraceable(nn.Module):
    def forward(self, x):
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


@torch.inference_mode()
def test_a_network_that_cannot_be_traced_is_used_as_it_is(caplog):
    plain = _Untraceable().eval()
    with caplog.at_level("INFO"):
        assert fused(plain, _example()) is plain
    assert "layers are not fused" in caplog.text


@torch.inference_mode()
def test_a_wrong_rewrite_is_noticed_and_not_used(monkeypatch, caplog):
    plain = _drifted(models.resnet18())
    monkeypatch.setattr(fusion, "_rewritten", lambda module, *_: lambda x: module(x) * 1.001)
    assert fused(plain, _example()) is plain
    assert "would differ by 1.0e-03" in caplog.text


@torch.inference_mode()
def test_not_a_number_is_not_taken_for_equal(monkeypatch):
    plain = _drifted(models.resnet18())
    monkeypatch.setattr(fusion, "_rewritten", lambda module, *_: lambda x: module(x) * torch.nan)
    assert fused(plain, _example()) is plain


def test_the_error_is_that_of_the_worst_row():
    expected = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    assert relative_error(expected, expected) == 0
    found = expected + torch.tensor([[0.0, 0.5], [0.0, 0.5]])
    assert relative_error(found, expected) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"),
    [(7, 3, 2, 1), (8, 5, 2, 1), (9, 3, 1, 2), (5, 1, 2, 1)],
)
def test_tensorflows_padding_is_timms(size, kernel, stride, dilation):
    from timm.layers import pad_same

    x = torch.randn(1, 2, size, size + 1)
    ours = fusion._padded(x, [kernel] * 2, [stride] * 2, [dilation] * 2)
    assert torch.equal(ours, pad_same(x, [kernel] * 2, [stride] * 2, [dilation] * 2))
