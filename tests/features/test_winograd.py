import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from repro.features import winograd
from repro.features.fusion import relative_error
from repro.features.winograd import MIN_CHANNELS, WinogradConv2d, suits

SIDES = [(1, 1), (2, 9), (4, 4), (7, 7), (14, 14), (17, 6)]
_numbers = st.integers(-100, 100)


def _conv(inputs=MIN_CHANNELS, outputs=MIN_CHANNELS, bias=True):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias).requires_grad_(False)


def _images(n, channels, sides):
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(n, channels, *sides, generator=draw)
    return images.contiguous(memory_format=torch.channels_last)


def _expected(conv, x, other=None, relu=False):
    exact = conv.double()(x.double())
    conv.float()
    exact = exact if other is None else exact + other.double()
    return exact.relu() if relu else exact


def _error(found, expected):
    return relative_error(found.flatten(1).double(), expected.flatten(1))


@given(st.lists(_numbers, min_size=6, max_size=6), st.lists(_numbers, min_size=3, max_size=3))
def test_six_products_are_a_filter_of_three_at_four_places(inputs, taps):
    # Taps that 24 divides keep every number whole, so that the equality is exact.
    d, g = torch.tensor(inputs).double(), 24 * torch.tensor(taps).double()
    sums, results = torch.empty(6).double(), torch.empty(4).double()
    winograd._sum_inputs([*d], [*sums])
    of_filter = (torch.tensor(winograd._OF_FILTER).double() * 24).round() @ g / 24
    winograd._sum_products([*(sums * of_filter)], [*results])
    assert results.tolist() == np.correlate(d.numpy(), g.numpy(), "valid").tolist()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("sides", SIDES)
@torch.inference_mode()
def test_it_is_the_convolution_at_every_size(sides, relu):
    conv = _conv(outputs=MIN_CHANNELS + 5)
    x = _images(3, conv.in_channels, sides)
    found = WinogradConv2d(conv, relu)(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert _error(found, _expected(conv, x, relu=relu)) < 1e-5


@torch.inference_mode()
def test_a_sum_comes_before_the_activation():
    conv = _conv(bias=False)
    x, other = _images(2, conv.in_channels, (7, 6)), _images(2, conv.in_channels, (7, 6)) - 1
    kept = x.clone(), other.clone()
    found = WinogradConv2d(conv, relu=True)(x, other)
    assert _error(found, _expected(conv, x, other, relu=True)) < 1e-5
    assert torch.equal(x, kept[0])
    assert torch.equal(other, kept[1])


@torch.inference_mode()
def test_many_images_are_taken_in_parts(monkeypatch):
    conv = _conv()
    x, other = (_images(5, conv.in_channels, (9, 5)) + shift for shift in (0, 1))
    layer = WinogradConv2d(conv, relu=True)
    whole = layer(x, other)
    monkeypatch.setattr(winograd, "MAX_TILES", 13)  # two images of 3 by 2 tiles
    sizes = []
    convolved = layer._convolved
    monkeypatch.setattr(layer, "_convolved", lambda *a: sizes.append(len(a[0])) or convolved(*a))
    assert _error(layer(x, other), whole.double()) < 1e-6
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    "other",
    [
        {"stride": 2},
        {"padding": 0},
        {"dilation": 2, "padding": 2},
        {"groups": 2},
        {"kernel_size": 5, "padding": 2},
        {"in_channels": MIN_CHANNELS - 2},
        {"out_channels": MIN_CHANNELS - 2},
    ],
)
def test_only_what_it_can_do_and_gains_by_suits(other):
    plain = {
        "in_channels": MIN_CHANNELS,
        "out_channels": MIN_CHANNELS,
        "kernel_size": 3,
        "padding": 1,
    }
    assert suits(nn.Conv2d(**plain))
    assert not suits(nn.Conv2d(**{**plain, **other}))
