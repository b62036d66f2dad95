"""3 by 3 convolutions with fewer multiplications, for evaluation on a CPU.

Winograd's F(4, 3), as Lavin and Gray describe it ("Fast Algorithms for Convolutional Neural
Networks", 2016): a filter of three takes six numbers in a row to four results by six products,
where the plain way takes twelve. In both directions, a tile of 6 by 6 numbers gives 4 by 4 results
by 36 products instead of 144. Each of the 36 is a matrix product over all channels and tiles,
with weights of its own: 36 numbers in memory for the filter's 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional

RESULTS, TAPS = 4, 3
PRODUCTS = RESULTS + TAPS - 1
# With fewer channels the sums cost more than the products saved.
MIN_CHANNELS = 96
# With more tiles at once the sums leave the processor's cache.
MAX_TILES = 400

_OF_FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
# The product that is in each of the results, once: there the bias is added.
_IN_ALL = 1


def suits(conv: nn.Conv2d) -> bool:
    """Whether a convolution, padded with zeros, is of this kind and large enough to gain by it."""
    return (
        type(conv) is nn.Conv2d
        and conv.kernel_size == (TAPS, TAPS)
        and conv.stride == conv.dilation == conv.padding == (1, 1)
        and conv.groups == 1
        and min(conv.in_channels, conv.out_channels) >= MIN_CHANNELS
    )


class WinogradConv2d(nn.Module):
    """A 3 by 3 convolution that keeps the size of its input; then, if wanted, a sum and a ReLU."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        """Take over ``conv``, for which :func:`suits` holds."""
        super().__init__()
        of_filter = torch.tensor(_OF_FILTER, dtype=torch.float64)
        weight = conv.weight.detach().double()
        weights = torch.einsum("ai,bj,ocij->baoc", of_filter, of_filter, weight).float()
        self.weights = [
            [torch.ops.mkldnn._reorder_linear_weight(w.contiguous(), None) for w in row]
            for row in weights
        ]
        self.outputs = conv.out_channels
        self.bias = conv.bias
        self.relu = relu

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Map x (n, c, h, w), and other of the output's shape, to the output, channels last."""
        tiles = math.ceil(x.shape[2] / RESULTS) * math.ceil(x.shape[3] / RESULTS)
        images = max(1, MAX_TILES // tiles)
        parts = torch.split(x, images)
        others = repeat(None) if other is None else torch.split(other, images)
        results = [self._convolved(*pair) for pair in zip(parts, others, strict=False)]
        return torch.cat(results) if len(results) > 1 else results[0]

    def _convolved(self, x: Tensor, other: Tensor | None) -> Tensor:
        n, c, h, w = x.shape
        rows, columns = math.ceil(h / RESULTS), math.ceil(w / RESULTS)
        whole = (rows * RESULTS, columns * RESULTS)
        padding = (0, 0, 1, 1 + whole[1] - w, 1, 1 + whole[0] - h)
        x = functional.pad(x.permute(0, 2, 3, 1), padding)

        upright = x.new_empty(PRODUCTS, n, rows, x.shape[2], c)
        _sum_inputs([x[:, i::RESULTS][:, :rows] for i in range(PRODUCTS)], upright)
        tiles = x.new_empty(PRODUCTS, PRODUCTS, n, rows, columns, c)
        _sum_inputs(
            [upright[:, :, :, i::RESULTS][:, :, :, :columns] for i in range(PRODUCTS)], tiles
        )

        sums = x.new_empty(PRODUCTS, RESULTS, n, rows, columns, self.outputs)
        for i in range(PRODUCTS):
            _sum_products([self._product(tiles[i, j], i, j) for j in range(PRODUCTS)], sums[i])
        results = x.new_empty(n, rows, RESULTS, columns, RESULTS, self.outputs)
        _sum_products(sums.permute(0, 2, 3, 1, 4, 5), results.permute(4, 0, 1, 2, 3, 5))

        result = results.view(n, *whole, self.outputs)[:, :h, :w]
        if other is not None:
            result = result + other.permute(0, 2, 3, 1)
        result = functional.relu(result) if self.relu else result.contiguous()
        return result.permute(0, 3, 1, 2)

    def _product(self, tile: Tensor, i: int, j: int) -> Tensor:
        bias = self.bias if i == j == _IN_ALL else None
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            tile, self.weights[i][j], bias, "none", [], ""
        )
        return product


def _sum_inputs(d: Sequence[Tensor] | Tensor, out: Tensor) -> None:
    """Write the six sums of six inputs that are to be multiplied.

    4 d0 - 5 d2 + d4, -4 d1 - 4 d2 + d3 + d4, 4 d1 - 4 d2 - d3 + d4, -2 d1 - d2 + 2 d3 + d4,
    2 d1 - d2 - 2 d3 + d4, 4 d1 - 5 d3 + d5.
    """
    # Differences that several sums share stand where a sum comes to stand later.
    torch.sub(d[4], d[2], out=out[3])  # d4 - d2
    torch.sub(d[3], d[1], out=out[5])  # d3 - d1
    torch.sub(d[0], d[2], out=out[0])  # d0 - d2
    torch.add(out[3], out[0], alpha=4, out=out[0])
    torch.sub(out[3], out[5], alpha=2, out=out[4])
    out[3].add_(out[5], alpha=2)
    torch.sub(d[5], d[3], out=out[1])  # d5 - d3
    torch.sub(out[1], out[5], alpha=4, out=out[5])
    torch.sub(d[4], d[2], alpha=4, out=out[1])  # d4 - 4 d2
    torch.sub(d[3], d[1], alpha=4, out=out[2])  # d3 - 4 d1
    out[1].add_(out[2])
    torch.sub(out[1], out[2], alpha=2, out=out[2])


def _sum_products(m: Sequence[Tensor] | Tensor, out: Tensor) -> None:
    """Write the four results that six products add up to; the products are overwritten.

    m0 + m1 + m2 + m3 + m4, m1 - m2 + 2 (m3 - m4), m1 + m2 + 4 (m3 + m4),
    m1 - m2 + 8 (m3 - m4) + m5.
    """
    m0, m1, m2, m3, m4, m5 = m
    m1.add_(m2)  # m1 + m2
    m3.add_(m4)  # m3 + m4
    torch.add(m0, m1, out=out[0]).add_(m3)
    torch.add(m1, m3, alpha=4, out=out[2])
    m1.sub_(m2, alpha=2)  # m1 - m2
    m3.sub_(m4, alpha=2)  # m3 - m4
    torch.add(m1, m3, alpha=2, out=out[1])
    torch.add(m1, m3, alpha=8, out=out[3]).add_(m5)
