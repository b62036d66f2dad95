"""Paint one picture of one kind of flower, as a photograph might show it.

Everything is drawn from formulas on a grid of pixels. A petal is known by two coordinates,
``along`` (0 at its base, 1 at its tip) and ``across`` (-1 to 1 from side to side); its outline,
pattern and shading are functions of these. A whorl of any number of petals is drawn in one to
three passes over the grid, because each pixel is folded into the petal whose sector it lies in.

Arrays are float32, colours display RGB from 0 to 1, angles radians, image y points down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from repro.flower_kinds import COLOURS, LEAVES, RGB, Kind, Outline

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
Generator = np.random.Generator

_ALL: Box = (slice(None), slice(None))

_UP = -math.pi / 2
_STEPS = 1024  # resolution of the outline tables
_BACK = 3  # the background is painted at a third of the size, so it comes out of focus
_GREEN: RGB = (0.24, 0.42, 0.13)


@dataclass(frozen=True)
class Plane:
    """Polar coordinates of the pixels of a box, in flower radii around the flower's centre.

    ``radius`` and ``angle`` have the box's shape, ``pixel`` is the size of a pixel in radii.
    """

    radius: Floats
    angle: Floats
    pixel: float

    def zoom(self, scale: float, where: Mask | None = None) -> tuple[Plane, Box]:
        """Return the middle of the plane with ``scale`` as the new unit, and where it lies.

        With ``where``, only the part that is true there.
        """
        inside = self.radius < 1.08 * scale
        box = _extent(inside if where is None else inside & where)
        return (
            Plane(self.radius[box] * np.float32(1 / scale), self.angle[box], self.pixel / scale),
            box,
        )


@dataclass(frozen=True)
class Layer:
    """Petals on a plane: petal coordinates, light, and how much of a pixel they cover.

    ``halo`` is ``cover`` with a soft rim, the shadow that falls on what lies below.
    """

    along: Floats
    across: Floats
    light: Floats
    cover: Floats
    halo: Floats


class Stamp:
    """A painted thing with transparency, ready to be put on a canvas.

    ``rgb`` has shape (3, h, w), ``alpha`` (h, w).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        """Start with nothing painted."""
        self.rgb = np.zeros((3, *shape), np.float32)
        self.alpha = np.zeros(shape, np.float32)

    def paint(
        self,
        rgb: Floats,
        cover: Floats,
        halo: Floats | None = None,
        box: Box = _ALL,
    ) -> None:
        """Lay ``rgb`` over what is there, darkened by ``halo``."""
        under, alpha = self.rgb[..., *box], self.alpha[box]
        if halo is not None:
            under *= 1 - 0.38 * halo
        under += cover * (rgb - under)
        np.maximum(alpha, cover, out=alpha)

    def put(self, other: Stamp, row: float, column: float) -> None:
        """Lay another stamp over this one, its middle at ``row``, ``column``."""
        here, there = _overlap(self.alpha.shape, other.alpha.shape, row, column)
        self.paint(other.rgb[..., *there], other.alpha[there], None, here)


@dataclass(frozen=True)
class Scene:
    """What a picture's flowers have in common: the light and the tint of this plant."""

    sun: float
    contrast: float
    tint: Floats

    def dye(self, colour: RGB) -> Floats:
        """Return the colour as this plant has it, shape (3, 1, 1)."""
        return np.clip(_rgb(*colour) * self.tint, 0, 1)


def _rgb(red: float, green: float, blue: float) -> Floats:
    """Return a colour that broadcasts over (3, h, w)."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)


# --- coordinates -------------------------------------------------------------------------------


def _overlap(
    canvas: tuple[int, ...], stamp: tuple[int, ...], row: float, column: float
) -> tuple[Box, Box]:
    """Return the part of a canvas that a stamp centred at row, column covers, and vice versa."""
    here, there = [], []
    for size, own, middle in zip(canvas, stamp, (row, column), strict=False):
        first = round(middle - own / 2)
        start, stop = max(first, 0), max(min(first + own, size), 0)
        here.append(slice(min(start, stop), stop))
        there.append(slice(min(start, stop) - first, stop - first))
    return (here[0], here[1]), (there[0], there[1])


def _extent(inside: Mask) -> Box:
    """Return the smallest box that holds all true pixels."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _box(radius: float, height: float = 1.05, width: float = 1.05) -> tuple[Floats, Floats]:
    """Return x and y of a box's pixels in radii; ``height`` and ``width`` are half sides."""
    rows, columns = math.ceil(radius * height), math.ceil(radius * width)
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    return np.float32(x / radius), np.float32(y / radius)


def _far(x: Floats, y: Floats) -> Floats:
    return np.sqrt(x * x + y * y)  # np.hypot guards against overflow and is ten times slower


def _plane(x: Floats, y: Floats, radius: float) -> Plane:
    return Plane(_far(x, y), np.arctan2(y, x), 1 / radius)


def _tilted(radius: float, lean: float, axis: float, cup: float) -> Plane:
    """Return the plane of a flower that leans by ``lean`` towards ``axis``.

    Petals that rise (``cup`` > 0) or droop (< 0) shift towards or away from the viewer's up.
    """
    x, y = _box(radius)
    right = math.cos(axis) * x + math.sin(axis) * y
    down = math.cos(axis) * y - math.sin(axis) * x
    down = (down + cup * math.sin(lean) * (x * x + y * y)) / math.cos(lean)
    return _plane(right, down, radius)


def _pose(radius: float, rng: Generator, lean: float = 0.75) -> Plane:
    """Return a plane seen from a random side, at most ``lean`` from straight above."""
    return _tilted(
        radius,
        lean * math.sqrt(rng.random()),
        rng.normal(0, 0.5),
        rng.uniform(-0.1, 0.35),
    )


# --- petals ------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _profile(outline: Outline) -> tuple[Floats, Floats]:
    """Return tables of half width and of 1/sqrt(1 + slope²) over ``along``.

    The width is that of an ellipse-like arc (4q(1-q))^blunt with q = along^p, p such that it
    peaks at ``outline.peak``. Both ends of the table stand for points off the petal.
    """
    along = np.linspace(0, 1, _STEPS)
    q = along ** (math.log(0.5) / math.log(outline.peak))
    width = outline.width * np.clip(4 * q * (1 - q), 0, 1) ** outline.blunt
    flat = 1 / np.sqrt(1 + np.gradient(width, along) ** 2)
    return (
        np.pad(width, 1, constant_values=-0.1).astype(np.float32),
        np.pad(flat, 1, constant_values=1.0).astype(np.float32),
    )


def _edge(along: Floats, side: Floats, outline: Outline, phase: float) -> tuple[Floats, Floats]:
    """Return the distance to the outline, in petal lengths, positive inside, and ``across``."""
    if outline.notch:
        along = along * (1 + outline.notch * np.exp(-((side / (0.4 * outline.width)) ** 2)))
    if outline.fringe:
        teeth = np.abs(np.sin(side * (outline.teeth * math.pi / 2 / outline.width) + phase))
        along = along * (1 + outline.fringe * teeth)
    width, flat = _profile(outline)
    place = np.clip(along * _STEPS + 1, 0, _STEPS + 1).astype(np.intp)
    half = width.take(place)
    if outline.wave:
        turns = 2 * math.pi * (outline.teeth or 1.5)
        half = half * (1 + outline.wave * np.sin(along * turns + phase))
    across = np.clip(side / np.maximum(half, 0.02), -1, 1)
    return (half - np.abs(side)) * flat.take(place), across


def _cover(distance: Floats, pixel: float) -> Floats:
    """Return how much of each pixel lies inside, for distances to an edge."""
    return np.clip(distance * (1 / pixel) + np.float32(0.5), 0, 1)


def _wrapped(number: Floats, count: int) -> NDArray[np.intp]:
    """Return whole ``number`` modulo ``count`` as an index."""
    return (number - count * np.floor(number * np.float32(1 / count) + 1e-4)).astype(np.intp)


def _whorl(
    plane: Plane, outline: Outline, petals: int, scene: Scene, rng: Generator, mess: float = 1.0
) -> Layer:
    """Draw petals all around, each over its next; ``mess`` scales how unlike they are."""
    sector = np.float32(2 * math.pi / petals)
    phase = rng.uniform(0, 2 * math.pi)
    length = np.float32(1 / np.clip(1.02 + mess * rng.normal(0, 0.05, petals), 0.98, 1.3))
    sway = np.float32(mess * rng.normal(0, 0.09, petals) * sector)
    curl = np.float32(mess * rng.normal(0, 0.12, petals) * outline.width)
    tone = np.float32(1 + mess * rng.normal(0, 0.05, petals))
    facing = np.arange(petals) * sector + phase - scene.sun
    towards = np.float32(scene.contrast * np.cos(facing))
    sideways = np.float32(scene.contrast * np.sin(facing))
    turn = (plane.angle - np.float32(phase)) / sector
    before = np.floor(turn)
    turn -= before

    shape = plane.radius.shape
    along, across = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    light, cover = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    halo = np.zeros(shape, np.float32)
    # A pixel lies between two petals' middles; no petal is so wide as to reach past these.
    for step in (1, 0):
        which = _wrapped(before + step, petals)
        angle = (turn - step) * sector - sway.take(which)
        reach = plane.radius * length.take(which)
        u, v = reach * np.cos(angle), reach * np.sin(angle)
        v += curl.take(which) * u * u
        distance, side = _edge(u, v, outline, phase)
        own = _cover(distance, plane.pixel)
        top = (own > 0.5).astype(np.float32)
        soft = np.clip(distance * 12 + 1, 0, 1)
        light *= 1 - 0.3 * soft
        along += top * (u - along)
        across += top * (side - across)
        glow = 1 + towards.take(which) * (u - 0.4) + sideways.take(which) * side
        light += top * (tone.take(which) * glow - light)
        np.maximum(cover, own, out=cover)
        np.maximum(halo, soft, out=halo)
    return Layer(along, across, light, cover, halo)


def _blade(
    plane: Plane,
    outline: Outline,
    angle: float,
    length: float,
    scene: Scene,
    rng: Generator,
    bend: float = 0.0,
) -> tuple[Layer, Box]:
    """Draw a single petal from the plane's centre towards ``angle``, and say where it lies."""
    reach = plane.radius * np.float32(1 / length)
    u = reach * np.cos(plane.angle - np.float32(angle))
    v = reach * np.sin(plane.angle - np.float32(angle))
    v += np.float32(bend) * u * u
    box = _extent((u > -0.05) & (u < 1.05) & (np.abs(v) < outline.width + 0.1))
    u, v = u[box], v[box]
    distance, across = _edge(u, v, outline, rng.uniform(0, 2 * math.pi))
    facing = angle - scene.sun
    light = (1 + rng.normal(0, 0.03)) * (
        1
        + scene.contrast * math.cos(facing) * (u - 0.4)
        + scene.contrast * math.sin(facing) * across
    )
    cover, halo = _cover(distance, plane.pixel / length), np.clip(distance * 12 + 1, 0, 1)
    return Layer(np.clip(u, 0, 1), across, light, cover, halo), box


# --- colour ------------------------------------------------------------------------------------


def _smooth(value: Floats, low: float, high: float) -> Floats:
    """Return the smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def _spots(layer: Layer, rng: Generator) -> Floats:
    """Return round spots on the inner two thirds of the petals."""
    down, over = layer.along * 13, (layer.across + 1) * 3.5
    row, column = np.floor(down), np.floor(over)
    cell = np.clip(row * 8 + column, 0, 127).astype(np.intp)
    shift = rng.uniform(0.3, 0.7, (2, 128)).astype(np.float32)
    size = rng.uniform(0.0, 0.42, 128).astype(np.float32)
    far = _far(down - row - shift[0].take(cell), over - column - shift[1].take(cell))
    return _smooth(size.take(cell) - far, -0.1, 0.1) * (layer.along < 0.72)


def _flame(layer: Layer, rng: Generator) -> Floats:
    ragged = 0.16 * np.sin(layer.across * 23 + rng.uniform(0, 6)) + 0.1 * np.sin(layer.across * 51)
    return _smooth(1.05 - 0.8 * np.abs(layer.across) - layer.along + ragged, 0.0, 0.3)


_PATTERNS: dict[str, Callable[[Layer, Generator], Floats]] = {
    "eye": lambda p, g: _smooth(-p.along - 0.06 * np.sin(p.across * 9), -0.46, -0.34),
    "tip": lambda p, g: _smooth(p.along, 0.62, 0.85),
    "margin": lambda p, g: _smooth(np.maximum(np.abs(p.across), p.along**2), 0.68, 0.84),
    "stripe": lambda p, g: _smooth(0.34 - 0.2 * p.along - np.abs(p.across), -0.05, 0.1),
    "veins": lambda p, g: (
        _smooth(np.cos(p.across * 15 * (1 - 0.3 * p.along)), 0.5, 0.95) * (1 - 0.7 * p.along)
    ),
    "spots": _spots,
    "flame": _flame,
}


def _pigment(
    layer: Layer, kind: Kind, scene: Scene, rng: Generator, *, pattern: str | None = None
) -> Floats:
    """Return the colour of every pixel of a layer, shape (3, h, w)."""
    colour = scene.dye(kind.colour)
    steps = np.linspace(0, 1, 256, dtype=np.float32)
    ramp = colour * (0.78 + 0.22 * np.minimum(steps * 2.5, 1)) + 0.06 * steps * (1 - colour)
    place = np.clip(layer.along * 255, 0, 255).astype(np.intp)
    rgb = np.stack([channel.take(place) for channel in ramp[:, 0]])
    pattern = kind.pattern if pattern is None else pattern
    if pattern in _PATTERNS:
        mark = np.float32(0.9) * _PATTERNS[pattern](layer, rng)
        rgb += mark * (scene.dye(kind.second) - rgb)
    fine = 1 - 0.05 * np.cos(layer.across * 21) * (1 - layer.along)
    rgb *= layer.light * fine
    return rgb


# --- the middle of a flower --------------------------------------------------------------------


def _knob(
    x: Floats, y: Floats, pixel: float, colour: Floats, scene: Scene
) -> tuple[Floats, Floats]:
    """Return colour and cover of a dome of florets set in spirals, its rim at radius 1."""
    far, angle = _far(x, y), np.arctan2(y, x)
    spiral = 9 * np.log(far + 0.15)
    grains = np.cos(13 * angle + spiral) * np.cos(21 * angle - 1.3 * spiral)
    light = (
        0.95
        + 0.22 * grains
        - 0.45 * far**2
        + 0.3 * (x * math.cos(scene.sun) + y * math.sin(scene.sun))
    )
    rgb = np.clip(colour * light, 0, 1)
    return rgb, _cover(1 - far, pixel)


def _disc(stamp: Stamp, plane: Plane, size: float, colour: Floats, scene: Scene) -> None:
    inner, box = plane.zoom(size)
    x, y = inner.radius * np.cos(inner.angle), inner.radius * np.sin(inner.angle)
    rgb, cover = _knob(x, y, inner.pixel, colour, scene)
    stamp.paint(rgb, cover, np.clip(2.4 - 2 * inner.radius, 0, 1), box)


def _stamens(
    stamp: Stamp, plane: Plane, count: int, size: float, colour: Floats, rng: Generator
) -> None:
    """Draw ``count`` filaments of about ``size`` radii, each with an anther."""
    inner, box = plane.zoom(size * 1.25)
    sector = 2 * math.pi / count
    turn = inner.angle / np.float32(sector) + np.float32(rng.uniform(0, 1))
    nearest = np.rint(turn)
    which = _wrapped(nearest, count)
    angle = (turn - nearest - rng.normal(0, 0.12, count).astype(np.float32)[which]) * sector
    length = rng.uniform(0.5, 0.85, count).astype(np.float32)[which]
    side = inner.radius * np.sin(angle)
    thick = 0.045 if count < 10 else 0.03
    thread = _cover(np.minimum(thick / 2 - np.abs(side), length - inner.radius), inner.pixel)
    pale = np.float32(0.5) * colour + _rgb(0.45, 0.45, 0.3)
    stamp.paint(pale, 0.85 * thread, None, box)
    swell = 1 if count < 10 else 0.6
    blob = 1 - _far((inner.radius - length) / (0.07 * swell), side / (0.13 * swell))
    cover = _cover(blob * 0.08, inner.pixel)
    stamp.paint(colour * (0.8 + 0.2 * blob), cover, 0.5 * _smooth(blob, -0.6, 0.2), box)


def _corona(
    stamp: Stamp,
    plane: Plane,
    size: float,
    deep: float,
    colour: Floats,
    scene: Scene,
    rng: Generator,
) -> None:
    """Draw a daffodil's trumpet (``deep`` near 1) or saucer (near 0), seen from the front."""
    inner, box = plane.zoom(size)
    frill = 0.05 * np.sin(inner.angle * 11 + rng.uniform(0, 6)) + 0.03 * np.sin(inner.angle * 19)
    far = inner.radius * (1.08 + frill)
    wall = np.cos(inner.angle - np.float32(scene.sun + math.pi))
    light = 0.62 + 0.42 * far**1.5 + 0.16 * deep * wall * far + 0.05 * np.sin(inner.angle * 24)
    light *= 1 - 0.6 * deep * _smooth(-far, -0.6, -0.1)
    rim = _smooth(far, 0.82, 0.98)
    rgb = colour * light + 0.12 * rim
    stamp.paint(rgb, _cover(1 - far, inner.pixel), np.clip(3.2 - 2.6 * inner.radius, 0, 1), box)


def _eye(stamp: Stamp, plane: Plane, colour: Floats) -> None:
    inner, box = plane.zoom(0.2)
    ring = _cover((0.75 - inner.radius) * 0.5, inner.pixel)
    stamp.paint(colour, ring, None, box)
    stamp.paint(colour * 0.45, _cover((0.28 - inner.radius) * 0.5, inner.pixel), None, box)


def _centre(stamp: Stamp, plane: Plane, kind: Kind, scene: Scene, rng: Generator) -> None:
    colour = scene.dye(kind.heart)
    if kind.centre == "disc":
        _disc(stamp, plane, 0.3 if kind.whorls == 1 else 0.2, colour, scene)
    elif kind.centre == "stamens":
        few = kind.form == "lily"
        _stamens(stamp, plane, 6 if few else 22, 0.55 if few else 0.36, colour, rng)
    elif kind.centre == "boss":
        _stamens(stamp, plane, 40, 0.34, colour, rng)
        _disc(stamp, plane, 0.13, scene.dye(COLOURS["green"]), scene)
    elif kind.centre == "trumpet":
        _corona(stamp, plane, 0.42, 1.0, colour, scene, rng)
    elif kind.centre == "saucer":
        _corona(stamp, plane, 0.27, 0.3, colour, scene, rng)
        _stamens(stamp, plane, 6, 0.14, scene.dye(COLOURS["yellow"]), rng)
    elif kind.centre == "eye":
        _eye(stamp, plane, colour)


# --- heads: one function a habit ---------------------------------------------------------------


def _rosette(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """Whorls of petals seen from above: daisies, lilies, roses, dahlias, daffodils."""
    lean = 0.7 if kind.whorls > 1 else 1.0
    return _rosette_on(_pose(radius, rng, lean), kind, scene, rng)


def _rosette_on(plane: Plane, kind: Kind, scene: Scene, rng: Generator) -> Stamp:
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    plenty = 1 + rng.normal(0, 0.07)
    for number in range(kind.whorls):
        inner, box = plane.zoom(1 - 0.84 * number / kind.whorls)
        petals = kind.petals - number if kind.petals < 10 else round(kind.petals * plenty)
        layer = _whorl(inner, kind.petal, petals, scene, rng)
        rgb = _pigment(layer, kind, scene, rng)
        if kind.whorls > 1:
            rgb *= np.float32(1 - 0.2 * number / kind.whorls)
        stamp.paint(rgb, layer.cover, layer.halo if number else None, box)
    _centre(stamp, plane, kind, scene, rng)
    return stamp


def _funnel(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """One corolla grown together: bindweed, morning glory, petunia."""
    plane = _pose(radius, rng, 0.7)
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    phase = rng.uniform(0, 6)
    depth = 0.03 + 0.1 * (kind.petal.blunt > 0.6) + kind.petal.wave * 0.3
    lobe = np.cos(plane.angle * kind.petals + phase)
    frill = kind.petal.fringe * 0.5 * np.sin(plane.angle * 31) + 0.015 * np.sin(plane.angle * 13)
    far = plane.radius * (1 + depth - depth * lobe + frill)
    across = np.arccos(np.clip(lobe, -1, 1)) * np.float32(1 / math.pi)
    wall = np.cos(plane.angle - np.float32(scene.sun + math.pi))
    light = 0.9 + 0.1 * far + scene.contrast * wall * _smooth(-far, -0.95, -0.1)
    light += 0.05 * np.cos(across * 9) * far - 0.08 * _smooth(across, 0.8, 1.0)
    layer = Layer(np.clip(far, 0, 1), across, light, _cover(1 - far, plane.pixel), far)
    rgb = _pigment(layer, kind, scene, rng)
    throat = _smooth(-far, -0.34, -0.1)
    rgb += throat * (scene.dye(kind.heart) - rgb)
    rgb *= 1 - 0.5 * _smooth(-far, -0.12, -0.03)
    stamp.paint(rgb, layer.cover)
    return stamp


def _face(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """Five unequal petals with a face: pansies and violas."""
    x, y = _box(radius)
    roll, squeeze = rng.normal(0, 0.2), rng.uniform(0.75, 1.0)
    c, s = np.float32(math.cos(roll)), np.float32(math.sin(roll))
    plane = _plane((c * x + s * y) / squeeze, c * y - s * x, radius)
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    broad = replace(kind.petal, width=0.5 + rng.normal(0, 0.02))
    for degrees, length, marked in (
        (-62, 0.95, False),
        (-118, 0.95, False),
        (-8, 0.86, True),
        (188, 0.86, True),
        (90, 0.9, True),
    ):
        angle = math.radians(degrees + rng.normal(0, 4))
        outline = replace(broad, width=0.66, notch=0.08) if degrees == 90 else broad
        layer, box = _blade(plane, outline, angle, length, scene, rng)
        upper = kind if marked or kind.pattern != "eye" else replace(kind, colour=kind.second)
        rgb = _pigment(layer, upper, scene, rng, pattern=None if marked else "plain")
        stamp.paint(rgb, layer.cover, layer.halo, box)
    _eye(stamp, plane, scene.dye(kind.heart))
    return stamp


def _cup(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """Petals standing in a cup, seen from the side: tulips."""
    x, y = _box(radius)
    roll, open_ = rng.normal(0, 0.15), rng.uniform(0.7, 1.35)
    c, s = np.float32(math.cos(roll)), np.float32(math.sin(roll))
    plane = _plane(c * x + s * y, c * y - s * x - np.float32(0.82), radius)
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    outline = replace(kind.petal, width=kind.petal.width * 1.12)
    for degrees, length, tone in (
        (-12, 1.6, 0.72),
        (12, 1.62, 0.72),
        (0, 1.55, 0.8),
        (-21, 1.66, 0.95),
        (21, 1.66, 0.95),
        (3, 1.5, 1.05),
    ):
        angle = _UP + math.radians(degrees * open_ + rng.normal(0, 2))
        length *= 1 + rng.normal(0, 0.02)
        layer, box = _blade(plane, outline, angle, length, scene, rng, -degrees * 0.004)
        rgb = np.float32(tone) * _pigment(layer, kind, scene, rng)
        stamp.paint(rgb, layer.cover, layer.halo, box)
    return stamp


def _bell(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """Nodding bells under an arching stem: bellflowers, lily of the valley."""
    x, y = _box(radius)
    stamp = Stamp((x.size and y.shape[0], x.shape[1]))
    side = 1.0 if rng.random() < 0.5 else -1.0
    path = np.float32(-0.82) + 0.9 * np.maximum(0, -side * x - 0.0) ** 2 + 0.25 * (x * side) ** 2
    on = np.abs(y - path) / np.sqrt(1 + (1.8 * np.minimum(0, side * x)) ** 2)
    stem = _cover(0.025 - on, 1 / radius) * (np.abs(x) < 0.93)
    stamp.paint(scene.dye(_GREEN) * 1.1, stem)
    bells = kind.whorls
    size = radius * (0.85 if bells == 1 else 1.35 / (bells + 0.6) ** 0.72)
    for place in np.linspace(-0.62, 0.62, bells) if bells > 1 else (0.0,):
        hang = -0.8 + 0.9 * max(0.0, -side * place) ** 2 + 0.25 * place**2
        one = _one_bell(kind, size * rng.uniform(0.88, 1.05), scene, rng)
        stamp.put(one, radius * (1.05 + hang) + size * 0.72, radius * (1.05 + place))
    return stamp


def _one_bell(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    x, y = _box(radius, 0.95, 0.95)
    roll = rng.normal(0, 0.2)
    x, y = x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)
    along = (y + np.float32(0.72)) * np.float32(1 / 1.45)
    inside = np.clip(along, 0, 1)
    flare = 0.25 if kind.petal.blunt > 0.6 else 0.1
    half = 0.5 * np.sqrt(np.clip(inside * 2.4, 0, 1)) * 0.8 + flare * inside**3 + 0.1 * inside
    across = np.clip(x / np.maximum(half, 0.02), -1, 1)
    around = np.arcsin(across)
    lobe = np.abs(np.cos(around * kind.petals / 2))
    cut = (0.2 if kind.petal.blunt > 0.6 else 0.1) * (1 - lobe)
    distance = np.minimum(np.minimum((half - np.abs(x)) * 0.8, (1 - cut - along) * 1.4), along)
    fold = around * np.float32(kind.petals / math.pi) + 0.5
    fold = 2 * (fold - np.floor(fold)) - 1
    light = 1.06 - 0.38 * across**2 + scene.contrast * across * math.cos(scene.sun)
    light -= 0.1 * _smooth(np.abs(fold), 0.8, 1.0)
    layer = Layer(inside, fold, light, _cover(distance, 1 / radius), distance)
    stamp = Stamp((x.shape[0], x.shape[1]))
    mouth = 1 - _far(x / (half.max() * 0.93), (along - 0.93) / 0.1)
    stamp.paint(0.4 * scene.dye(kind.colour), _cover(mouth * 0.1, 1 / radius))
    stamp.paint(_pigment(layer, kind, scene, rng), layer.cover)
    cap = 1 - _far(x / 0.22, (y + 0.74) / 0.16)
    stamp.paint(scene.dye(_GREEN) * 1.1, _cover(cap * 0.2, 1 / radius))
    return stamp


def _florets(
    kind: Kind, radius: float, scene: Scene, rng: Generator, variants: int, lean: float
) -> list[Stamp]:
    one = replace(kind, whorls=1)
    return [
        _rosette_on(_pose(max(radius, 3.0), rng, lean), one, scene, rng) for _ in range(variants)
    ]


def _spike(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """Florets crowded up a stem, open below, in bud above: lupins, hyacinths, foxgloves."""
    x, y = _box(radius, 1.1, 0.55)
    stamp = Stamp((y.shape[0], x.shape[1]))
    bend = rng.normal(0, 0.06)
    stamp.paint(
        scene.dye(_GREEN), _cover(0.03 - np.abs(x - bend * y * y), 1 / radius) * (y > -0.95)
    )
    big = 0.3 if kind.petals == 2 else 0.21
    sizes = [
        _florets(kind, radius * big * scale, scene, rng, 3, 0.9) for scale in (0.4, 0.65, 0.85, 1)
    ]
    count = 34 if kind.petals == 2 else 58
    for number in range(count):
        down = number / count
        row = -0.95 + 1.85 * down**0.8
        width = 0.05 + 0.26 * min(1.0, 1.5 * down)
        around = number * 2.4 + rng.normal(0, 0.3)
        group = sizes[min(3, int(down * 5))]
        tone = np.float32(0.8 + 0.25 * math.cos(around) ** 2)
        one = group[rng.integers(3)]
        column = bend * row * row + width * math.sin(around)
        shaded = Stamp((1, 1))
        shaded.rgb, shaded.alpha = one.rgb * tone, one.alpha
        stamp.put(shaded, radius * (1.1 + row), radius * (0.55 + column))
    return stamp


def _umbel(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """A dome of many small florets: alliums, hydrangeas, agapanthus."""
    x, y = _box(radius)
    plane = _plane(x, y, radius)
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    rays = np.cos(plane.angle * 17 + rng.uniform(0, 6))
    stalks = _cover((rays - 0.93) * plane.radius * 0.3, plane.pixel) * (plane.radius < 0.85)
    stamp.paint(scene.dye(_GREEN), stalks)
    count = 16 * kind.whorls
    size = radius * 1.25 / math.sqrt(count)
    groups = [_florets(kind, size * scale, scene, rng, 3, 0.9) for scale in (0.8, 0.95, 1.08)]
    flat = rng.uniform(0.75, 1.0)
    for number in range(count, 0, -1):
        far = math.sqrt((number - 0.5) / count)
        around = number * 2.39996 + rng.normal(0, 0.1)
        column, row = 0.82 * far * math.cos(around), 0.82 * far * math.sin(around) * flat
        group = groups[0 if far > 0.85 else 1 if far > 0.5 else 2]
        sunny = column * math.cos(scene.sun) + row * math.sin(scene.sun)
        shaded = Stamp((1, 1))
        one = group[rng.integers(3)]
        tone = np.float32(1 - 0.3 * far**2 + 0.25 * sunny + rng.normal(0, 0.04))
        shaded.rgb, shaded.alpha = one.rgb * tone, one.alpha
        stamp.put(shaded, radius * (1.05 + row), radius * (1.05 + column))
    return stamp


def _brush(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """A brush of thin florets on a scaly bulb: thistles and knapweeds."""
    x, y = _box(radius)
    roll, spread = rng.normal(0, 0.25), rng.uniform(0.9, 1.25)
    c, s = np.float32(math.cos(roll)), np.float32(math.sin(roll))
    x, y = c * x + s * y, c * y - s * x - np.float32(0.38)
    plane = _plane(x, y, radius)
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    off = np.arccos(np.cos(plane.angle - np.float32(_UP)))
    for length, tone in ((1.3, 0.75), (1.2, 0.95), (0.95, 1.1)):
        fan, box = plane.zoom(length, off < spread)
        layer = _whorl(fan, kind.petal, kind.petals, scene, rng, 1.8)
        rgb = np.float32(tone) * _pigment(layer, kind, scene, rng)
        ends = _smooth(-off[box], -spread, 0.15 - spread)
        stamp.paint(rgb, layer.cover * ends, layer.halo * ends * 0.5, box)
    bulb = 1 - _far(x / 0.4, (y - 0.12) / 0.36)
    scales = np.abs(np.cos(11 * x + 13 * y) * np.cos(11 * x - 13 * y)) - 0.5
    light = 0.85 + 0.3 * scales + 0.5 * x * math.cos(scene.sun) - 0.6 * x * x
    rgb = scene.dye(kind.heart) * 0.8 * light
    stamp.paint(rgb, _cover(bulb * 0.35, 1 / radius), _smooth(bulb, -0.3, 0.1))
    return stamp


def _cone(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """Drooping rays under a high cone: coneflowers."""
    lean, roll = rng.uniform(0.65, 1.1), rng.normal(0, 0.2)
    plane = _tilted(radius * 0.95, lean, roll, -rng.uniform(0.25, 0.55))
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    layer = _whorl(plane, kind.petal, kind.petals, scene, rng)
    stamp.paint(_pigment(layer, kind, scene, rng), layer.cover)
    high = 0.27 * math.sin(lean)
    x, y = _box(radius * 0.95)
    c, s = np.float32(math.cos(roll)), np.float32(math.sin(roll))
    x, y = (c * x + s * y) / 0.34, (c * y - s * x + high * 0.55) / (0.34 * math.cos(lean) + high)
    rgb, cover = _knob(x, y, plane.pixel / 0.34, scene.dye(kind.heart), scene)
    stamp.paint(rgb, cover, _smooth(-_far(x, y), -1.35, -0.95))
    return stamp


def _spathe(kind: Kind, radius: float, scene: Scene, rng: Generator) -> Stamp:
    """One bract around a spadix: arums, anthuriums."""
    x, y = _box(radius)
    roll, squeeze = rng.normal(0, 0.35), rng.uniform(0.65, 1.0)
    c, s = np.float32(math.cos(roll)), np.float32(math.sin(roll))
    plane = _plane((c * x + s * y) / squeeze, c * y - s * x - np.float32(0.75), radius)
    stamp = Stamp((plane.radius.shape[0], plane.radius.shape[1]))
    bend = rng.normal(0, 0.12)
    layer, box = _blade(plane, kind.petal, _UP, 1.7, scene, rng, bend)
    rgb = _pigment(layer, kind, scene, rng)
    rgb += 0.25 * _smooth(np.cos(layer.across * 3 - 1 + layer.along * 2), 0.85, 1.0)
    stamp.paint(rgb, layer.cover, None, box)
    turn = _UP + rng.normal(0, 0.06)
    rod, box = _blade(plane, Outline(0.09, 0.5, 0.22), turn, 0.95, scene, rng, bend)
    bumps = 0.9 + 0.16 * np.cos(rod.along * 70) * np.cos(rod.across * 7) - 0.3 * rod.across**2
    rgb = scene.dye(kind.heart) * (rod.light * bumps)
    shown = rod.along > 0.12
    stamp.paint(rgb, rod.cover * shown, rod.halo * shown, box)
    return stamp


_HABITS: dict[str, Callable[[Kind, float, Scene, Generator], Stamp]] = {
    "rosette": _rosette,
    "funnel": _funnel,
    "face": _face,
    "cup": _cup,
    "bell": _bell,
    "spike": _spike,
    "umbel": _umbel,
    "brush": _brush,
    "cone": _cone,
    "spathe": _spathe,
}


# --- the rest of the picture -------------------------------------------------------------------


def _resized(values: Floats, shape: tuple[int, int], how: Image.Resampling) -> Floats:
    """Return a (h, w) array enlarged to ``shape``."""
    return np.asarray(Image.fromarray(values).resize((shape[1], shape[0]), how))


def _noise(shape: tuple[int, int], cells: int, rng: Generator) -> Floats:
    """Return smooth noise of about unit size with ``cells`` lumps along each side."""
    small = rng.normal(0, 1, (cells + 2, cells + 2)).astype(np.float32)
    return _resized(small, shape, Image.Resampling.BICUBIC)


def _mixed(low: Floats, high: Floats, share: Floats) -> Floats:
    return low + np.clip(share, 0, 1) * (high - low)


def _foliage(shape: tuple[int, int], rng: Generator) -> Floats:
    deep = _rgb(0.05, 0.12, 0.03) * rng.uniform(0.6, 1.6)
    pale = _rgb(0.36, 0.55, 0.16) * _rgb(*rng.uniform(0.7, 1.2, 3))
    lumps = _noise(shape, 3, rng) + 0.7 * _noise(shape, 8, rng) + 0.4 * _noise(shape, 20, rng)
    return _mixed(deep, pale, 0.45 + 0.3 * lumps)


def _sky(shape: tuple[int, int], rng: Generator) -> Floats:
    high = _rgb(0.25, 0.48, 0.85) * rng.uniform(0.75, 1.1)
    low = _rgb(0.72, 0.84, 0.95)
    fall = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None] + np.zeros(shape, np.float32)
    clouds = _noise(shape, 3, rng) + 0.5 * _noise(shape, 7, rng)
    return _mixed(high, low, fall * 0.8 + 0.3 * clouds * (rng.random() < 0.6))


def _soil(shape: tuple[int, int], rng: Generator) -> Floats:
    dark = _rgb(0.14, 0.10, 0.07)
    light = _rgb(0.55, 0.44, 0.33) * rng.uniform(0.7, 1.15)
    lumps = _noise(shape, 4, rng) + _noise(shape, 18, rng) + 0.8 * _noise(shape, 45, rng)
    return _mixed(dark, light, 0.4 + 0.25 * lumps)


def _dusk(shape: tuple[int, int], rng: Generator) -> Floats:
    glow = _rgb(0.16, 0.19, 0.15) * _rgb(*rng.uniform(0.5, 1.3, 3))
    return _mixed(_rgb(0.01, 0.015, 0.01), glow, 0.4 + 0.4 * _noise(shape, 3, rng))


def _wall(shape: tuple[int, int], rng: Generator) -> Floats:
    tone = rng.uniform(0.35, 0.8) * _rgb(*rng.uniform(0.85, 1.1, 3))
    return _mixed(tone * 0.75, tone, 0.5 + 0.3 * _noise(shape, 3, rng))


_BACKDROPS = (_foliage, _foliage, _foliage, _sky, _soil, _dusk, _wall)


def _bokeh(canvas: Floats, rng: Generator) -> None:
    """Add out-of-focus points of light."""
    _, height, width = canvas.shape
    glow = _rgb(1.0, 0.95, 0.7) * rng.uniform(0.1, 0.3)
    for _ in range(rng.integers(4, 14)):
        radius = rng.uniform(3, 11)
        x, y = _box(radius)
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        here, there = _overlap(canvas.shape[1:], (y.shape[0], x.shape[1]), row, column)
        canvas[..., *here] += glow * _cover(1 - _far(x, y)[there], 2 / radius)


def _put(canvas: Floats, stamp: Stamp, row: float, column: float) -> None:
    """Lay a stamp on an opaque canvas, its middle at ``row``, ``column``."""
    here, there = _overlap(canvas.shape[1:], stamp.alpha.shape, row, column)
    part = canvas[..., *here]
    part += stamp.alpha[there] * (stamp.rgb[..., *there] - part)


def _leaf(
    canvas: Floats,
    outline: Outline,
    base: tuple[float, float],
    angle: float,
    length: float,
    scene: Scene,
    rng: Generator,
) -> None:
    """Paint one leaf from ``base`` (row, column) towards ``angle``, ``length`` in pixels."""
    dx, dy = math.cos(angle) * 0.5, math.sin(angle) * 0.5
    room = outline.width + 0.15
    x, y = _box(length, abs(dy) + 2 * room * abs(dx), abs(dx) + 2 * room * abs(dy))
    x, y = x + np.float32(dx), y + np.float32(dy)
    along = x * math.cos(angle) + y * math.sin(angle)
    side = y * math.cos(angle) - x * math.sin(angle)
    side = side + np.float32(rng.normal(0, 0.12)) * along * along
    distance, across = _edge(along, side, outline, rng.uniform(0, 6))
    cover = _cover(distance, 1 / length)
    veins = _smooth(np.cos((along - 0.35 * np.abs(across)) * 48), 0.75, 1.0) * (outline.width > 0.1)
    light = 0.9 + scene.contrast * across * math.sin(angle - scene.sun) - 0.1 * veins
    light += 0.25 * _smooth(-np.abs(across), -0.1, -0.02) - 0.12 * (across > 0)
    green = scene.dye(_GREEN) * rng.uniform(0.6, 1.35)
    row, column = base[0] + dy * length, base[1] + dx * length
    here, there = _overlap(canvas.shape[1:], cover.shape, row, column)
    part = canvas[..., *here]
    part *= 1 - 0.3 * np.clip(distance[there] * 10 + 1, 0, 1)
    part += cover[there] * (green * light[there] - part)


def _stem(
    canvas: Floats, base: tuple[float, float], thick: float, scene: Scene, rng: Generator
) -> None:
    """Paint a bent stem from ``base`` (row, column) to the lower edge of the canvas."""
    top = max(0, int(base[0]))
    part = canvas[:, top:]
    if not part.size:
        return
    y = np.arange(part.shape[1], dtype=np.float32)[:, None]
    lean, bend = rng.normal(0, 0.18), rng.normal(0, 0.0008)
    x = np.arange(part.shape[2], dtype=np.float32) - np.float32(base[1]) - lean * y - bend * y * y
    cover = _cover(1 - np.abs(x) / thick, 1 / thick)
    light = 0.85 + 0.5 * scene.contrast * x / thick * math.cos(scene.sun)
    part += cover * (scene.dye(_GREEN) * light - part)


_UPRIGHT = {"cup", "spike", "brush", "cone", "spathe", "bell"}


def _scene(rng: Generator) -> Scene:
    tint = _rgb(*np.exp(rng.normal(0, 0.11, 3)))
    return Scene(sun=rng.uniform(-math.pi, 0), contrast=rng.uniform(0.08, 0.24), tint=tint)


def _background(shape: tuple[int, int], kind: Kind, scene: Scene, rng: Generator) -> Floats:
    """Return what is out of focus behind the flower, shape (3, *shape)."""
    small = (shape[0] // _BACK + 1, shape[1] // _BACK + 1)
    backdrop = _BACKDROPS[rng.integers(len(_BACKDROPS))]
    canvas = backdrop(small, rng)
    side = min(small)
    if backdrop is not _wall and rng.random() < 0.8:
        for _ in range(rng.integers(2, 9)):
            base = rng.uniform(0.2, 1.1) * small[0], rng.uniform(0, 1) * small[1]
            length = side * rng.uniform(0.35, 0.8)
            _leaf(canvas, LEAVES[kind.leaf], base, rng.normal(_UP, 0.9), length, scene, rng)
    if rng.random() < 0.4:
        _bokeh(canvas, rng)
    if rng.random() < 0.45:
        for _ in range(rng.integers(1, 4)):
            radius = side * rng.uniform(0.14, 0.26)
            row, column = rng.uniform(0, small[0]), rng.uniform(0, small[1])
            _stem(canvas, (row, column), 1.5, scene, rng)
            _put(canvas, _HABITS[kind.habit](kind, radius, scene, rng), row, column)
    return np.stack([_resized(channel, shape, Image.Resampling.BILINEAR) for channel in canvas])


def _plant(
    canvas: Floats, kind: Kind, at: tuple[float, float], radius: float, scene: Scene, rng: Generator
) -> None:
    """Paint one flower with its stem and leaves; ``at`` is (row, column)."""
    row, column = at
    upright = kind.habit in _UPRIGHT
    foot = (row + 0.3 * radius, column)
    if upright or rng.random() < 0.5:
        _stem(canvas, foot, radius * 0.04 + 1, scene, rng)
    for _ in range(rng.integers(0, 4)):
        angle = rng.normal(math.pi / 2, 1.0)
        base = (row + radius * rng.uniform(0.1, 0.7), column + radius * rng.normal(0, 0.2))
        _leaf(canvas, LEAVES[kind.leaf], base, angle, radius * rng.uniform(1.2, 1.9), scene, rng)
    _put(canvas, _HABITS[kind.habit](kind, radius, scene, rng), row, column)


def _developed(canvas: Floats, rng: Generator) -> NDArray[np.uint8]:
    """Return the picture as a camera gives it: exposure, white balance, light, blur, grain."""
    _, height, width = canvas.shape
    gain = rng.uniform(0.55, 1.25) * np.exp(rng.normal(0, 0.04, 3))
    down, right = rng.normal(0, 0.12, 2)
    slope = down * np.linspace(-1, 1, height)[:, None] + right * np.linspace(-1, 1, width)
    canvas *= _rgb(*gain) * np.float32(1 + slope)
    top, left = rng.integers(0, 64, 2)
    canvas += _grain()[:, top : top + height, left : left + width] * rng.uniform(0.002, 0.02)
    pixels = (np.clip(canvas, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if rng.random() < 0.5:
        return pixels
    soft = ImageFilter.BoxBlur(rng.uniform(0.2, 0.9))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).filter(soft))


@lru_cache(maxsize=1)
def _grain() -> Floats:
    return np.random.default_rng(0).normal(0, 1, (3, 600, 600)).astype(np.float32)


def paint(kind: Kind, size: tuple[int, int], rng: Generator) -> NDArray[np.uint8]:
    """Paint one picture of ``kind``.

    Args:
        kind: what to paint.
        size: (width, height) in pixels.
        rng: decides pose, light, background and everything else that varies within a kind.

    Returns:
        RGB, uint8, shape (height, width, 3).
    """
    shape = (size[1], size[0])
    scene = _scene(rng)
    canvas = _background(shape, kind, scene, rng)
    side = min(shape)
    middle = np.array([shape[0] * 0.5, shape[1] * 0.5])
    if kind.habit not in {"spike"} and rng.random() < 0.25:
        away = rng.uniform(0, 2 * math.pi)
        shift = side * 0.24 * np.array([math.sin(away), math.cos(away)])
        for sign, scale in ((-1, 0.24), (1, 0.27)):
            row, column = middle + sign * shift + rng.normal(0, side * 0.03, 2)
            _plant(canvas, kind, (row, column), side * scale * rng.uniform(0.85, 1.2), scene, rng)
    else:
        row, column = middle + rng.normal(0, side * 0.08, 2)
        _plant(canvas, kind, (row, column), side * rng.uniform(0.2, 0.45), scene, rng)
    if rng.random() < 0.2:
        base = (shape[0] * 1.05, rng.uniform(0, shape[1]))
        reach = side * rng.uniform(0.5, 0.9)
        _leaf(canvas, LEAVES[kind.leaf], base, rng.normal(_UP, 0.4), reach, scene, rng)
    return _developed(canvas, rng)
