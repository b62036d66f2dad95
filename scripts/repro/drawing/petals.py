"""Petals, their colour and light, drawn from formulas on a grid of pixels.

A point of a petal is known by ``along`` (0 at its base, 1 at its tip) and ``across`` (-1 to 1 from
side to side); outline, pattern and shading are functions of these two. A whorl of any number of
petals takes two passes over the grid, because each pixel is folded into the petals it can lie on.

Arrays are float32; colours are display RGB from 0 to 1 and stand first: (3, h, w). Angles are
radians and y points down, so an angle of -pi/2 is up. Numbers without a source are chosen by eye.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.drawing.kinds import RGB, Kind, Outline

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
Generator = np.random.Generator

UP = -math.pi / 2
_ALL: Box = (slice(None), slice(None))
_STEPS = 1024  # entries of an outline's table
_SHADOW = 12  # a petal's shadow ends a twelfth of its length beyond its edge


@dataclass(frozen=True)
class Scene:
    """What the flowers of one picture share: light, the tint of this plant, and chance.

    ``sun`` is the direction of the light, ``contrast`` how much it shades, ``tint`` an exponent
    near 1 for each of red, green and blue: white stays white.
    """

    sun: float
    contrast: float
    tint: Floats
    rng: Generator

    def dye(self, colour: RGB) -> Floats:
        """Return the colour as this plant has it, shape (3, 1, 1)."""
        return np.asarray(rgb(*colour) ** self.tint)


@dataclass(frozen=True)
class Plane:
    """Polar coordinates of the pixels of a box around a flower's centre, in its radii.

    ``radius`` and ``angle`` have the box's shape, ``pixel`` is the size of a pixel in radii.
    """

    radius: Floats
    angle: Floats
    pixel: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the box, in pixels."""
        return self.radius.shape[0], self.radius.shape[1]

    def zoom(self, scale: float, where: Mask | None = None) -> tuple[Plane, Box]:
        """Return the middle of the plane with ``scale`` as the new unit, and where it lies.

        With ``where``, only the part that is true there.
        """
        inside = self.radius < 1.08 * scale
        box = extent(inside if where is None else inside & where)
        radius = self.radius[box] * np.float32(1 / scale)
        return Plane(radius, self.angle[box], self.pixel / scale), box


@dataclass(frozen=True)
class Layer:
    """Petals on a plane: petal coordinates, light, and how much of each pixel they cover.

    ``halo`` is ``cover`` with a soft rim: the shadow that falls on what lies below.
    """

    along: Floats
    across: Floats
    light: Floats
    cover: Floats
    halo: Floats


class Stamp:
    """A painted thing with transparency: ``rgb`` of shape (3, h, w), ``alpha`` (h, w)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """Start with nothing painted."""
        self.rgb: Floats = np.zeros((3, *shape), np.float32)
        self.alpha: Floats = np.zeros(shape, np.float32)

    def paint(
        self, colour: Floats, cover: Floats, halo: Floats | None = None, box: Box = _ALL
    ) -> None:
        """Lay ``colour`` over what is there, which ``halo`` darkens first."""
        under, alpha = self.rgb[..., *box], self.alpha[box]
        if halo is not None:
            under *= 1 - 0.38 * halo
        under += cover * (colour - under)
        np.maximum(alpha, cover, out=alpha)

    def put(self, other: Stamp, row: float, column: float, tone: float = 1.0) -> None:
        """Lay another stamp, its light times ``tone``, with its middle at ``row``, ``column``."""
        here, there = overlap(self.alpha.shape, other.alpha.shape, row, column)
        self.paint(other.rgb[..., *there] * np.float32(tone), other.alpha[there], None, here)


# --- coordinates ---------------------------------------------------------------------------------


def far(x: Floats, y: Floats) -> Floats:
    """Return the distance from the origin."""
    return np.asarray(np.sqrt(x * x + y * y))  # np.hypot is ten times slower


def grid(radius: float, height: float = 1.05, width: float = 1.05) -> tuple[Floats, Floats]:
    """Return x, shape (1, w), and y, shape (h, 1), of a box's pixels, in units of ``radius``.

    ``height`` and ``width`` are half the sides of the box, in the same unit.
    """
    rows, columns = math.ceil(radius * height), math.ceil(radius * width)
    x = np.arange(-columns, columns + 1, dtype=np.float32)[None, :]
    y = np.arange(-rows, rows + 1, dtype=np.float32)[:, None]
    return x * np.float32(1 / radius), y * np.float32(1 / radius)


def turned(x: Floats, y: Floats, angle: float) -> tuple[Floats, Floats]:
    """Return the coordinates on axes turned by ``angle``."""
    c, s = math.cos(angle), math.sin(angle)
    return c * x + s * y, c * y - s * x


def plane(x: Floats, y: Floats, radius: float) -> Plane:
    """Return the polar coordinates of x and y."""
    return Plane(far(x, y), np.arctan2(y, x), 1 / radius)


def tilted(radius: float, lean: float, axis: float, cup: float) -> Plane:
    """Return the plane of a flower that leans by ``lean`` about ``axis``.

    Petals that rise (``cup`` > 0) or droop (< 0) are shifted on the picture by their height.
    """
    x, y = grid(radius)
    right, down = turned(x, y, axis)
    down = (down + cup * math.sin(lean) * (x * x + y * y)) / math.cos(lean)
    return plane(right, down, radius)


def pose(radius: float, rng: Generator, lean: float) -> Plane:
    """Return the plane of a flower that leans to some side, at most by ``lean``."""
    turn = lean * math.sqrt(rng.random())
    return tilted(radius, turn, rng.normal(0, 0.5), rng.uniform(-0.1, 0.35))


def extent(inside: Mask) -> Box:
    """Return the smallest box that holds all true pixels, of which there is at least one."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def overlap(
    canvas: tuple[int, ...], stamp: tuple[int, ...], row: float, column: float
) -> tuple[Box, Box]:
    """Return the part of a canvas under a stamp centred at row, column, and that of the stamp."""
    here, there = [], []
    for size, own, middle in zip(canvas, stamp, (row, column), strict=True):
        first = round(middle - own / 2)
        stop = max(min(first + own, size), 0)
        start = min(max(first, 0), stop)
        here.append(slice(start, stop))
        there.append(slice(start - first, stop - first))
    return (here[0], here[1]), (there[0], there[1])


# --- shapes --------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _profile(outline: Outline) -> tuple[Floats, Floats]:
    """Return tables of the half width w and of (w dw/du)² over u = ``along``.

    The width is that of an arc like an ellipse's, (4q(1-q))^blunt with q = u^p, p such that it
    peaks at ``outline.peak``. The first and last entry stand for points beyond the ends.
    """
    along = np.linspace(0, 1, _STEPS)
    q = along ** (math.log(0.5) / math.log(outline.peak))
    width = outline.width * np.clip(4 * q * (1 - q), 0, 1) ** outline.blunt
    steep = (0.5 * np.gradient(width * width, along)) ** 2
    return (
        np.pad(width, 1, constant_values=-0.3).astype(np.float32),
        np.pad(steep, 1, mode="edge").astype(np.float32),
    )


def edge(along: Floats, side: Floats, outline: Outline, phase: float) -> tuple[Floats, Floats]:
    """Return the distance to the outline, positive inside, and ``across``.

    ``side`` is the distance from the petal's axis; all lengths are in petal lengths. The distance
    is f/|grad f| of f = w² - side², right near the outline also where that is steep, or what is
    left to the nearer end of the petal.
    """
    if outline.notch:
        along = along * (1 + outline.notch * np.exp(-((side / (0.4 * outline.width)) ** 2)))
    if outline.fringe:
        teeth = np.abs(np.sin(side * (outline.teeth * math.pi / 2 / outline.width) + phase))
        along = along * (1 + outline.fringe * teeth)
    width, steep = _profile(outline)
    place = np.clip(along * _STEPS + 1, 0, _STEPS + 1).astype(np.intp)
    half = width.take(place)
    if outline.wave:
        turns = 2 * math.pi * (outline.teeth or 1.5)
        half = half * (1 + outline.wave * np.sin(along * turns + phase))
    across = np.clip(side / np.maximum(half, 0.02), -1, 1)
    square = side * side
    slope = np.sqrt(steep.take(place) + square + np.float32(1e-4))
    sideways = (half * np.abs(half) - square) / (2 * slope)
    return np.minimum(sideways, 0.5 - np.abs(along - 0.5)), across


def cover(distance: Floats, pixel: float) -> Floats:
    """Return how much of each pixel lies inside, given its distance to the edge."""
    return np.asarray(np.clip(distance * np.float32(1 / pixel) + np.float32(0.5), 0, 1))


def soft(distance: Floats) -> Floats:
    """Return the shadow of a petal: full inside, none some way off."""
    return np.asarray(np.clip(distance * np.float32(_SHADOW) + 1, 0, 1))


def smooth(value: Floats, low: float, high: float) -> Floats:
    """Return the smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def wrapped(number: Floats, count: int) -> NDArray[np.intp]:
    """Return whole numbers modulo ``count``, as an index."""
    # NumPy's own remainder of floats and of integers is ten times slower.
    turns = np.floor(number * np.float32(1 / count) + np.float32(1e-4))
    return np.asarray((number - count * turns).astype(np.intp))


def whorl(around: Plane, outline: Outline, petals: int, scene: Scene, mess: float = 1.0) -> Layer:
    """Draw petals all around, each over the next; ``mess`` scales how unlike they are."""
    rng = scene.rng
    sector = np.float32(2 * math.pi / petals)
    phase = rng.uniform(0, 2 * math.pi)
    stretch = np.float32(1 / np.clip(1.02 + mess * rng.normal(0, 0.05, petals), 0.98, 1.3))
    sway = np.float32(mess * rng.normal(0, 0.09, petals) * sector)
    curl = np.float32(mess * rng.normal(0, 0.12, petals) * outline.width)
    tone = np.float32(1 + mess * rng.normal(0, 0.05, petals))
    facing = np.arange(petals) * sector + phase - scene.sun
    lengthwise = np.float32(scene.contrast * np.cos(facing))
    sideways = np.float32(scene.contrast * np.sin(facing))
    turn = (around.angle - np.float32(phase)) / sector
    before = np.floor(turn)
    turn -= before

    along, across, covered, halo = np.zeros((4, *around.shape), np.float32)
    light = np.ones(around.shape, np.float32)
    # A pixel lies between the axes of two petals; no petal is so wide that it reaches past these.
    for step in (1, 0):
        which = wrapped(before + step, petals)
        angle = (turn - step) * sector - sway.take(which)
        reach = around.radius * stretch.take(which)
        u, v = reach * np.cos(angle), reach * np.sin(angle)
        v += curl.take(which) * u * u
        distance, side = edge(u, v, outline, phase)
        own, shadow = cover(distance, around.pixel), soft(distance)
        top = (own > 0.5).astype(np.float32)
        glow = 1 + lengthwise.take(which) * (u - 0.4) + sideways.take(which) * side
        light *= 1 - 0.3 * shadow
        light += top * (tone.take(which) * glow - light)
        along += top * (u - along)
        across += top * (side - across)
        np.maximum(covered, own, out=covered)
        np.maximum(halo, shadow, out=halo)
    return Layer(along, across, light, covered, halo)


def blade(
    around: Plane,
    outline: Outline,
    scene: Scene,
    *,
    angle: float,
    length: float,
    bend: float = 0.0,
) -> tuple[Layer, Box]:
    """Draw a single petal from the plane's centre towards ``angle``, and say where it lies."""
    reach = around.radius * np.float32(1 / length)
    u = reach * np.cos(around.angle - np.float32(angle))
    v = reach * np.sin(around.angle - np.float32(angle))
    v += np.float32(bend) * u * u
    box = extent((u > -0.05) & (u < 1.05) & (np.abs(v) < outline.width + 0.1))
    u, v = u[box], v[box]
    distance, across = edge(u, v, outline, scene.rng.uniform(0, 2 * math.pi))
    facing = angle - scene.sun
    light = 1 + scene.contrast * (math.cos(facing) * (u - 0.4) + math.sin(facing) * across)
    light *= 1 + scene.rng.normal(0, 0.03)
    own = cover(distance, around.pixel / length)
    return Layer(np.clip(u, 0, 1), across, light, own, soft(distance)), box


# --- colour --------------------------------------------------------------------------------------


def rgb(red: float, green: float, blue: float) -> Floats:
    """Return a colour that broadcasts over (3, h, w)."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)


def _spots(layer: Layer, rng: Generator) -> Floats:
    """Return spots on the inner two thirds of the petals, one in a cell of 13 rows by 7."""
    down, over = layer.along * 13, (layer.across + 1) * 3.5
    row, column = np.floor(down), np.floor(over)
    cell = np.clip(row * 8 + column, 0, 127).astype(np.intp)
    shift = rng.uniform(0.3, 0.7, (2, 128)).astype(np.float32)
    size = rng.uniform(0.0, 0.42, 128).astype(np.float32)
    off = far(down - row - shift[0].take(cell), over - column - shift[1].take(cell))
    return smooth(size.take(cell) - off, -0.1, 0.1) * (layer.along < 0.72)


def _flame(layer: Layer, rng: Generator) -> Floats:
    ragged = 0.16 * np.sin(layer.across * 23 + rng.uniform(0, 6)) + 0.1 * np.sin(layer.across * 51)
    return smooth(1.05 - 0.8 * np.abs(layer.across) - layer.along + ragged, 0.0, 0.3)


def _veins(layer: Layer, rng: Generator) -> Floats:
    lines = np.cos(layer.across * 15 * (1 - 0.3 * layer.along))
    return smooth(lines, 0.5, 0.95) * (1 - 0.7 * layer.along)


_PATTERNS: dict[str, Callable[[Layer, Generator], Floats]] = {
    "plain": lambda p, _: np.zeros_like(p.along),
    "eye": lambda p, _: smooth(-p.along - 0.06 * np.sin(p.across * 9), -0.46, -0.34),
    "tip": lambda p, _: smooth(p.along, 0.62, 0.85),
    "margin": lambda p, _: smooth(np.maximum(np.abs(p.across), p.along**2), 0.68, 0.84),
    "stripe": lambda p, _: smooth(0.34 - 0.2 * p.along - np.abs(p.across), -0.05, 0.1),
    "veins": _veins,
    "spots": _spots,
    "flame": _flame,
}


def pigment(layer: Layer, kind: Kind, scene: Scene) -> Floats:
    """Return the colour of every pixel of a kind's petals, shape (3, h, w)."""
    colour = scene.dye(kind.colour)
    steps = np.linspace(0, 1, 256, dtype=np.float32)
    ramp = colour * (0.78 + 0.22 * np.minimum(steps * 2.5, 1)) + 0.06 * steps * (1 - colour)
    place = np.clip(layer.along * 255, 0, 255).astype(np.intp)
    painted = np.stack([channel.take(place) for channel in ramp[:, 0]])
    if kind.pattern != "plain":
        mark = 0.9 * _PATTERNS[kind.pattern](layer, scene.rng)
        painted += mark * (scene.dye(kind.second) - painted)
    fine = 1 - 0.05 * np.cos(layer.across * 21) * (1 - layer.along)
    painted *= layer.light * fine
    return painted
