"""One picture of one kind of flower, as a photograph might show it.

Behind a sharp flower with its stem and leaves there is a background out of focus (foliage, sky,
soil, dusk or a wall, with leaves and further flowers); a camera adds exposure, blur and grain.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from repro.drawing.heads import GREEN, UPRIGHT, head
from repro.drawing.kinds import LEAVES, Kind
from repro.drawing.petals import (
    UP,
    Floats,
    Generator,
    Scene,
    Stamp,
    cover,
    edge,
    far,
    grid,
    overlap,
    rgb,
    smooth,
    soft,
    turned,
)

Shape = tuple[int, int]
_BACK = 3  # the background is painted at a third of the size and enlarged: out of focus
_LARGEST = 512  # side of the largest picture, pixels


def paint(kind: Kind, size: tuple[int, int], rng: Generator) -> NDArray[np.uint8]:
    """Paint one picture of ``kind``.

    Args:
        kind: what to paint.
        size: width and height in pixels, each at most 512.
        rng: decides pose, light, background and all else that varies within a kind.

    Returns:
        RGB, uint8, shape (height, width, 3).
    """
    shape = (size[1], size[0])
    scene = _scene(rng)
    canvas = _background(shape, kind, scene)
    side = min(shape)
    middle = np.array(shape) / 2
    if kind.habit != "spike" and rng.random() < 0.25:
        away = rng.uniform(0, 2 * math.pi)
        shift = side * 0.24 * np.array([math.sin(away), math.cos(away)])
        for sign, scale in ((-1, 0.24), (1, 0.27)):
            at = middle + sign * shift + rng.normal(0, side * 0.03, 2)
            _plant(canvas, kind, scene, at=at, radius=side * scale * rng.uniform(0.85, 1.2))
    else:
        at = middle + rng.normal(0, side * 0.08, 2)
        _plant(canvas, kind, scene, at=at, radius=side * rng.uniform(0.2, 0.45))
    return _developed(canvas, rng)


def _scene(rng: Generator) -> Scene:
    return Scene(
        sun=rng.uniform(-math.pi, 0),
        contrast=rng.uniform(0.08, 0.24),
        tint=rgb(*np.exp(rng.normal(0, 0.18, 3))),
        rng=rng,
    )


# --- background ----------------------------------------------------------------------------------


def _background(shape: Shape, kind: Kind, scene: Scene) -> Floats:
    """Return what is out of focus behind the flower, shape (3, *shape)."""
    rng = scene.rng
    small = (shape[0] // _BACK + 1, shape[1] // _BACK + 1)
    side = min(small)
    backdrop = _BACKDROPS[rng.integers(len(_BACKDROPS))]
    canvas = backdrop(small, rng)
    if backdrop is not _wall and rng.random() < 0.8:
        for _ in range(rng.integers(2, 9)):
            base = rng.uniform(0.2, 1.1) * small[0], rng.uniform(0, 1) * small[1]
            length = side * rng.uniform(0.35, 0.8)
            _leaf(canvas, kind, scene, base=base, angle=rng.normal(UP, 0.9), length=length)
    if rng.random() < 0.4:
        _add_bokeh(canvas, rng)
    if rng.random() < 0.45:
        for _ in range(rng.integers(1, 4)):
            row, column = rng.uniform(0, small[0]), rng.uniform(0, small[1])
            _stem(canvas, (row, column), 1.5, scene)
            _put(canvas, head(kind, side * rng.uniform(0.14, 0.26), scene), row, column)
    return np.stack([_resized(channel, shape, Image.Resampling.BILINEAR) for channel in canvas])


def _resized(values: Floats, shape: Shape, how: Image.Resampling) -> Floats:
    """Return a (h, w) array enlarged to ``shape``."""
    return np.asarray(Image.fromarray(values).resize((shape[1], shape[0]), how))


def _noise(shape: Shape, cells: int, rng: Generator) -> Floats:
    """Return smooth noise of about unit size with ``cells`` lumps along each side."""
    small = rng.normal(0, 1, (cells + 2, cells + 2)).astype(np.float32)
    return _resized(small, shape, Image.Resampling.BICUBIC)


def _mixed(low: Floats, high: Floats, share: Floats) -> Floats:
    return low + np.clip(share, 0, 1) * (high - low)


def _foliage(shape: Shape, rng: Generator) -> Floats:
    deep = rgb(0.05, 0.12, 0.03) * rng.uniform(0.6, 1.6)
    pale = rgb(0.36, 0.55, 0.16) * rgb(*rng.uniform(0.7, 1.2, 3))
    lumps = _noise(shape, 3, rng) + 0.7 * _noise(shape, 8, rng) + 0.4 * _noise(shape, 20, rng)
    return _mixed(deep, pale, 0.45 + 0.3 * lumps)


def _sky(shape: Shape, rng: Generator) -> Floats:
    high = rgb(0.25, 0.48, 0.85) * rng.uniform(0.75, 1.1)
    fall = np.linspace(0, 0.8, shape[0], dtype=np.float32)[:, None]
    clouds = _noise(shape, 3, rng) + 0.5 * _noise(shape, 7, rng)
    cloudy = 0.3 if rng.random() < 0.6 else 0.0
    return _mixed(high, rgb(0.72, 0.84, 0.95), fall + cloudy * clouds)


def _soil(shape: Shape, rng: Generator) -> Floats:
    light = rgb(0.55, 0.44, 0.33) * rng.uniform(0.7, 1.15)
    lumps = _noise(shape, 4, rng) + _noise(shape, 18, rng) + 0.8 * _noise(shape, 45, rng)
    return _mixed(rgb(0.14, 0.10, 0.07), light, 0.4 + 0.25 * lumps)


def _dusk(shape: Shape, rng: Generator) -> Floats:
    glow = rgb(0.16, 0.19, 0.15) * rgb(*rng.uniform(0.5, 1.3, 3))
    return _mixed(rgb(0.01, 0.015, 0.01), glow, 0.4 + 0.4 * _noise(shape, 3, rng))


def _wall(shape: Shape, rng: Generator) -> Floats:
    tone = rng.uniform(0.35, 0.8) * rgb(*rng.uniform(0.85, 1.1, 3))
    return _mixed(tone * 0.75, tone, 0.5 + 0.3 * _noise(shape, 3, rng))


_BACKDROPS = (_foliage, _foliage, _foliage, _sky, _soil, _dusk, _wall)


def _add_bokeh(canvas: Floats, rng: Generator) -> None:
    """Add points of light that are out of focus."""
    _, height, width = canvas.shape
    glow = rgb(1.0, 0.95, 0.7) * rng.uniform(0.1, 0.3)
    for _ in range(rng.integers(4, 14)):
        radius = rng.uniform(3, 11)
        x, y = grid(radius)
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        here, there = overlap((height, width), (y.size, x.size), row, column)
        canvas[..., *here] += glow * cover(1 - far(x, y)[there], 2 / radius)


# --- the plant -----------------------------------------------------------------------------------


def _plant(
    canvas: Floats, kind: Kind, scene: Scene, *, at: NDArray[np.float64], radius: float
) -> None:
    """Paint one flower with its stem and leaves; ``at`` is its row and column."""
    rng = scene.rng
    row, column = float(at[0]), float(at[1])
    if kind.habit in UPRIGHT or rng.random() < 0.5:
        _stem(canvas, (row + 0.3 * radius, column), radius * 0.04 + 1, scene)
    for _ in range(rng.integers(0, 4)):
        base = (row + radius * rng.uniform(0.1, 0.7), column + radius * rng.normal(0, 0.2))
        length = radius * rng.uniform(1.2, 1.9)
        _leaf(canvas, kind, scene, base=base, angle=rng.normal(-UP, 1.0), length=length)
    _put(canvas, head(kind, radius, scene), row, column)
    if rng.random() < 0.2:  # a leaf in front, from below or from a side
        angle = rng.uniform(0, math.pi)
        base = (row + 1.5 * radius * math.sin(angle), column + 1.5 * radius * math.cos(angle))
        length = radius * rng.uniform(0.8, 1.2)
        _leaf(canvas, kind, scene, base=base, angle=angle + math.pi, length=length)


def _put(canvas: Floats, stamp: Stamp, row: float, column: float) -> None:
    """Lay a stamp on an opaque canvas, its middle at ``row``, ``column``."""
    here, there = overlap(canvas.shape[1:], stamp.alpha.shape, row, column)
    part = canvas[..., *here]
    part += stamp.alpha[there] * (stamp.rgb[..., *there] - part)


def _leaf(
    canvas: Floats,
    kind: Kind,
    scene: Scene,
    *,
    base: tuple[float, float],
    angle: float,
    length: float,
) -> None:
    """Paint one leaf from ``base`` (row, column) towards ``angle``, ``length`` in pixels."""
    rng, outline = scene.rng, LEAVES[kind.leaf]
    right, down = math.cos(angle) * 0.5, math.sin(angle) * 0.5
    room = 2 * outline.width + 0.3
    x, y = grid(length, abs(down) + room * abs(right), abs(right) + room * abs(down))
    along, side = turned(x + np.float32(right), y + np.float32(down), angle)
    side += np.float32(rng.normal(0, 0.12)) * along * along
    distance, across = edge(along, side, outline, rng.uniform(0, 6))
    veins = smooth(np.cos((along - 0.35 * np.abs(across)) * 48), 0.75, 1.0) * (outline.width > 0.1)
    light = 0.9 + scene.contrast * across * math.sin(angle - scene.sun) - 0.1 * veins
    light += 0.25 * smooth(-np.abs(across), -0.1, -0.02) - 0.12 * (across > 0)
    green = scene.dye(GREEN) * rng.uniform(0.6, 1.35)
    row, column = base[0] + down * length, base[1] + right * length
    here, there = overlap(canvas.shape[1:], distance.shape, row, column)
    distance, light = distance[there], light[there]
    part = canvas[..., *here]
    part *= 1 - 0.3 * soft(distance)
    part += cover(distance, 1 / length) * (green * light - part)


def _stem(canvas: Floats, top: tuple[float, float], thick: float, scene: Scene) -> None:
    """Paint a bent stem from ``top`` (row, column) down to the edge of the canvas."""
    part = canvas[:, max(0, int(top[0])) :]
    y = np.arange(part.shape[1], dtype=np.float32)[:, None]
    lean, bend = scene.rng.normal(0, 0.18), scene.rng.normal(0, 0.0008)
    x = np.arange(part.shape[2], dtype=np.float32) - np.float32(top[1]) - lean * y - bend * y * y
    light = 0.85 + 0.5 * scene.contrast * x / thick * math.cos(scene.sun)
    part += cover(1 - np.abs(x) / thick, 1 / thick) * (scene.dye(GREEN) * light - part)


# --- the camera ----------------------------------------------------------------------------------


def _developed(canvas: Floats, rng: Generator) -> NDArray[np.uint8]:
    """Return the picture as a camera gives it: exposure, white balance, light, grain, blur."""
    _, height, width = canvas.shape
    gain = rgb(*(rng.uniform(0.55, 1.25) * np.exp(rng.normal(0, 0.04, 3))))
    down, right = rng.normal(0, 0.12, 2)
    slope = down * np.linspace(-1, 1, height)[:, None] + right * np.linspace(-1, 1, width)
    canvas *= gain * np.float32(1 + slope)
    top, left = rng.integers(0, 64, 2)
    canvas += _grain()[:, top : top + height, left : left + width] * rng.uniform(0.002, 0.02)
    planes = (np.clip(canvas, 0, 1) * 255).astype(np.uint8)
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
    if rng.random() < 0.5:
        return pixels
    blur = ImageFilter.BoxBlur(rng.uniform(0.2, 0.9))
    return np.asarray(Image.fromarray(pixels).filter(blur))


@lru_cache(maxsize=1)
def _grain() -> Floats:
    """Return noise from which every picture takes a part: drawing it anew costs 5 ms."""
    side = _LARGEST + 64
    return np.random.default_rng(0).normal(0, 1, (3, side, side)).astype(np.float32)
