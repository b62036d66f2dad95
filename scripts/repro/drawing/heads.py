"""Flower heads: one function for each way in which flowers are built.

Each takes a kind, a radius in pixels and the scene, and returns a stamp whose middle is the
flower's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from repro.drawing.kinds import COLOURS, RGB, Kind, Outline
from repro.drawing.petals import (
    UP,
    Floats,
    Layer,
    Plane,
    Scene,
    Stamp,
    blade,
    cover,
    far,
    grid,
    pigment,
    plane,
    pose,
    rgb,
    smooth,
    tilted,
    turned,
    whorl,
    wrapped,
)

GREEN: RGB = (0.24, 0.42, 0.13)
_GOLDEN_ANGLE = 2.39996  # by which one floret stands on from the one before
_SPADIX = Outline(0.09, 0.5, 0.22)

# --- the middle of a flower ----------------------------------------------------------------------


def _knob(
    x: Floats, y: Floats, pixel: float, colour: Floats, scene: Scene
) -> tuple[Floats, Floats]:
    """Return colour and cover of a dome of florets set in 13 and 21 spirals, its rim at 1."""
    out, angle = far(x, y), np.arctan2(y, x)
    spiral = 9 * np.log(out + 0.15)
    grains = np.cos(13 * angle + spiral) * np.cos(21 * angle - 1.3 * spiral)
    sunny = x * math.cos(scene.sun) + y * math.sin(scene.sun)
    light = 0.95 + 0.22 * grains - 0.45 * out * out + 0.3 * sunny
    return np.clip(colour * light, 0, 1), cover(1 - out, pixel)


def _disc(stamp: Stamp, around: Plane, scene: Scene, *, size: float, colour: Floats) -> None:
    inner, box = around.zoom(size)
    x, y = inner.radius * np.cos(inner.angle), inner.radius * np.sin(inner.angle)
    painted, covered = _knob(x, y, inner.pixel, colour, scene)
    stamp.paint(painted, covered, np.clip(2.4 - 2 * inner.radius, 0, 1), box)


def _stamens(
    stamp: Stamp, around: Plane, scene: Scene, *, count: int, size: float, colour: Floats
) -> None:
    """Draw ``count`` filaments of at most ``size`` radii, each with an anther."""
    inner, box = around.zoom(size * 1.25)
    sector = 2 * math.pi / count
    turn = inner.angle / np.float32(sector) + np.float32(scene.rng.uniform(0, 1))
    nearest = np.rint(turn)
    which = wrapped(nearest, count)
    sway = np.float32(scene.rng.normal(0, 0.12, count))
    length = np.float32(scene.rng.uniform(0.5, 0.85, count)).take(which)
    side = inner.radius * np.sin((turn - nearest - sway.take(which)) * np.float32(sector))
    thick, swell = (0.045, 1.0) if count < 10 else (0.03, 0.6)
    thread = cover(np.minimum(thick / 2 - np.abs(side), length - inner.radius), inner.pixel)
    stamp.paint(0.5 * colour + rgb(0.45, 0.45, 0.3), 0.85 * thread, None, box)
    blob = 1 - far((inner.radius - length) / (0.07 * swell), side / (0.13 * swell))
    anther = cover(blob * 0.08, inner.pixel)
    stamp.paint(colour * (0.8 + 0.2 * blob), anther, 0.5 * smooth(blob, -0.6, 0.2), box)


def _corona(
    stamp: Stamp, around: Plane, scene: Scene, *, size: float, deep: float, colour: Floats
) -> None:
    """Draw a daffodil's trumpet (``deep`` near 1) or saucer (near 0), seen from the front."""
    inner, box = around.zoom(size)
    frill = 0.05 * np.sin(inner.angle * 11 + scene.rng.uniform(0, 6))
    out = inner.radius * (1.08 + frill + 0.03 * np.sin(inner.angle * 19))
    wall = np.cos(inner.angle - np.float32(scene.sun + math.pi))
    light = 0.62 + 0.42 * out * np.sqrt(out) + 0.05 * np.sin(inner.angle * 24)
    light += 0.16 * deep * wall * out
    light *= 1 - 0.6 * deep * smooth(-out, -0.6, -0.1)
    painted = colour * light + 0.12 * smooth(out, 0.82, 0.98)
    stamp.paint(painted, cover(1 - out, inner.pixel), np.clip(3.2 - 2.6 * inner.radius, 0, 1), box)


def _eye(stamp: Stamp, around: Plane, colour: Floats) -> None:
    inner, box = around.zoom(0.2)
    stamp.paint(colour, cover((0.75 - inner.radius) * 0.5, inner.pixel), None, box)
    stamp.paint(colour * 0.45, cover((0.28 - inner.radius) * 0.5, inner.pixel), None, box)


def _centre(stamp: Stamp, around: Plane, kind: Kind, scene: Scene) -> None:
    colour = scene.dye(kind.heart)
    if kind.centre == "disc":
        _disc(stamp, around, scene, size=0.3 if kind.whorls == 1 else 0.2, colour=colour)
    elif kind.centre == "anthers":
        _stamens(stamp, around, scene, count=6, size=0.55, colour=colour)
    elif kind.centre == "stamens":
        _stamens(stamp, around, scene, count=22, size=0.36, colour=colour)
    elif kind.centre == "boss":
        _stamens(stamp, around, scene, count=40, size=0.34, colour=colour)
        _disc(stamp, around, scene, size=0.13, colour=scene.dye(COLOURS["green"]))
    elif kind.centre == "trumpet":
        _corona(stamp, around, scene, size=0.42, deep=1.0, colour=colour)
    elif kind.centre == "saucer":
        _corona(stamp, around, scene, size=0.27, deep=0.3, colour=colour)
        _stamens(stamp, around, scene, count=6, size=0.14, colour=scene.dye(COLOURS["yellow"]))
    elif kind.centre == "eye":
        _eye(stamp, around, colour)


# --- whole heads ---------------------------------------------------------------------------------


def _rosette(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Whorls of petals seen from above: daisies, lilies, roses, dahlias, daffodils."""
    lean = 0.7 if kind.whorls > 1 else 1.0
    return _rosette_on(pose(radius, scene.rng, lean), kind, scene)


def _rosette_on(around: Plane, kind: Kind, scene: Scene) -> Stamp:
    stamp = Stamp(around.shape)
    plenty = 1 + scene.rng.normal(0, 0.07)
    for number in range(kind.whorls):
        inner, box = around.zoom(1 - 0.84 * number / kind.whorls)
        petals = kind.petals - number if kind.petals < 10 else round(kind.petals * plenty)
        layer = whorl(inner, kind.petal, max(petals, 2), scene)
        painted = pigment(layer, kind, scene)
        painted *= np.float32(1 - 0.2 * number / kind.whorls)
        stamp.paint(painted, layer.cover, layer.halo if number else None, box)
    _centre(stamp, around, kind, scene)
    return stamp


def _funnel(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """One corolla grown together: bindweed, morning glory, petunia."""
    around = pose(radius, scene.rng, 0.8)
    stamp = Stamp(around.shape)
    depth = 0.03 + 0.1 * (kind.petal.blunt > 0.6) + kind.petal.wave * 0.3
    lobe = np.cos(around.angle * kind.petals + scene.rng.uniform(0, 6))
    frill = 0.5 * kind.petal.fringe * np.sin(around.angle * 31) + 0.015 * np.sin(around.angle * 13)
    out = around.radius * (1 + depth - depth * lobe + frill)
    across = np.arccos(np.clip(lobe, -1, 1)) * np.float32(1 / math.pi)
    wall = np.cos(around.angle - np.float32(scene.sun + math.pi))
    light = 0.9 + 0.1 * out + scene.contrast * wall * smooth(-out, -0.95, -0.1)
    light += 0.05 * np.cos(across * 9) * out - 0.08 * smooth(across, 0.8, 1.0)
    layer = Layer(np.clip(out, 0, 1), across, light, cover(1 - out, around.pixel), out)
    painted = pigment(layer, kind, scene)
    painted += smooth(-out, -0.34, -0.1) * (scene.dye(kind.heart) - painted)
    painted *= 1 - 0.5 * smooth(-out, -0.12, -0.03)
    stamp.paint(painted, layer.cover)
    return stamp


def _face(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Five unequal petals, the lower three marked: pansies and violas."""
    x, y = turned(*grid(radius), scene.rng.normal(0, 0.2))
    around = plane(x / scene.rng.uniform(0.75, 1.0), y, radius)
    stamp = Stamp(around.shape)
    upper = replace(kind, colour=kind.second if kind.pattern == "eye" else kind.colour)
    upper = replace(upper, pattern="plain")
    wide = replace(kind.petal, width=0.5 + scene.rng.normal(0, 0.02))
    lip = replace(kind.petal, width=0.66, notch=0.08)
    for degrees, length, outline, part in (
        (-62, 0.95, wide, upper),
        (-118, 0.95, wide, upper),
        (-8, 0.86, wide, kind),
        (188, 0.86, wide, kind),
        (90, 0.9, lip, kind),
    ):
        angle = math.radians(degrees + scene.rng.normal(0, 4))
        layer, box = blade(around, outline, scene, angle=angle, length=length)
        stamp.paint(pigment(layer, part, scene), layer.cover, layer.halo, box)
    _eye(stamp, around, scene.dye(kind.heart))
    return stamp


def _cup(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Petals that stand in a cup, seen from the side: tulips."""
    x, y = turned(*grid(radius), scene.rng.normal(0, 0.15))
    around = plane(x, y - np.float32(0.82), radius)
    stamp = Stamp(around.shape)
    outline = replace(kind.petal, width=kind.petal.width * 1.12)
    opening = scene.rng.uniform(0.7, 1.35)
    for degrees, size, tone in (  # from the hindmost to the foremost
        (-12, 1.6, 0.72),
        (12, 1.62, 0.72),
        (0, 1.55, 0.8),
        (-21, 1.66, 0.95),
        (21, 1.66, 0.95),
        (3, 1.5, 1.05),
    ):
        angle = UP + math.radians(degrees * opening + scene.rng.normal(0, 2))
        length = size * (1 + scene.rng.normal(0, 0.02))
        bend = -0.004 * degrees
        layer, box = blade(around, outline, scene, angle=angle, length=length, bend=bend)
        painted = np.float32(tone) * pigment(layer, kind, scene)
        stamp.paint(painted, layer.cover, layer.halo, box)
    return stamp


def _bells(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Nodding bells, as many as the kind has whorls, under an arching stem."""
    x, y = grid(radius)
    stamp = Stamp((y.size, x.size))
    side = 1.0 if scene.rng.random() < 0.5 else -1.0

    def arch(place: Floats) -> Floats:
        falling = np.maximum(0, -side * place)
        return np.asarray(0.9 * falling * falling + 0.25 * place * place - np.float32(0.82))

    slope = 1.8 * np.minimum(0, side * x)
    thick = 0.025 - np.abs(y - arch(x)) / np.sqrt(1 + slope * slope)
    stamp.paint(1.1 * scene.dye(GREEN), cover(thick, 1 / radius) * (np.abs(x) < 0.93))
    size = radius * (0.85 if kind.whorls == 1 else 1.35 / (kind.whorls + 0.6) ** 0.72)
    reach = 0.62 if kind.whorls > 1 else 0.0
    for place in np.linspace(-reach, reach, kind.whorls, dtype=np.float32):
        one = _bell(kind, size * scene.rng.uniform(0.88, 1.05), scene)
        hang = radius * (1.07 + float(arch(place))) + size * 0.72
        stamp.put(one, hang, radius * (1.05 + float(place)))
    return stamp


def _bell(kind: Kind, radius: float, scene: Scene) -> Stamp:
    x, y = turned(*grid(radius, 0.95, 0.95), scene.rng.normal(0, 0.2))
    along = (y + np.float32(0.72)) * np.float32(1 / 1.45)
    inside = np.clip(along, 0, 1)
    flare, cut = (0.25, 0.2) if kind.petal.blunt > 0.6 else (0.1, 0.1)
    half = 0.4 * np.sqrt(np.clip(inside * 2.4, 0, 1)) + flare * inside**3 + 0.1 * inside
    across = np.clip(x / np.maximum(half, 0.02), -1, 1)
    around = np.arcsin(across) * np.float32(kind.petals / math.pi) + 0.5
    fold = 2 * (around - np.floor(around)) - 1
    rim = 1 - cut * (1 - np.abs(np.sin(around * np.float32(math.pi / 2))))
    distance = np.minimum(np.minimum((half - np.abs(x)) * 0.8, (rim - along) * 1.4), along)
    light = 1.06 - 0.38 * across * across + scene.contrast * across * math.cos(scene.sun)
    light -= 0.1 * smooth(np.abs(fold), 0.8, 1.0)
    layer = Layer(inside, fold, light, cover(distance, 1 / radius), distance)
    stamp = Stamp((x.shape[0], x.shape[1]))
    mouth = 1 - far(x / (half.max() * np.float32(0.93)), (along - 0.93) / 0.1)
    stamp.paint(0.4 * scene.dye(kind.colour), cover(mouth * 0.1, 1 / radius))
    stamp.paint(pigment(layer, kind, scene), layer.cover)
    cap = 1 - far(x / 0.22, (y + 0.74) / 0.16)
    stamp.paint(1.1 * scene.dye(GREEN), cover(cap * 0.2, 1 / radius))
    return stamp


def _florets(kind: Kind, radius: float, scene: Scene) -> list[Stamp]:
    """Return three small flowers to be put down many times."""
    single = replace(kind, whorls=1)
    return [_rosette_on(pose(max(radius, 3.0), scene.rng, 0.9), single, scene) for _ in range(3)]


def _spike(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Florets crowded up a stem, open below, in bud above: lupins, hyacinths, foxgloves."""
    height, width = 1.1, 0.55
    x, y = grid(radius, height, width)
    stamp = Stamp((y.size, x.size))
    bend = scene.rng.normal(0, 0.06)
    stem = cover(0.03 - np.abs(x - bend * y * y), 1 / radius) * (y > -0.95)
    stamp.paint(scene.dye(GREEN), stem)
    count, size = (34, 0.3) if kind.petals == 2 else (58, 0.21)
    sizes = [_florets(kind, radius * size * part, scene) for part in (0.4, 0.65, 0.85, 1)]
    for number in range(count):
        down = number / count
        row = -0.95 + 1.85 * down**0.8
        around = number * _GOLDEN_ANGLE + scene.rng.normal(0, 0.3)
        column = bend * row * row + (0.05 + 0.26 * min(1.0, 1.5 * down)) * math.sin(around)
        one = sizes[min(3, int(down * 5))][scene.rng.integers(3)]
        tone = 0.8 + 0.25 * math.cos(around) ** 2
        stamp.put(one, radius * (height + row), radius * (width + column), tone)
    return stamp


def _umbel(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """A dome of many small florets, more with more whorls: alliums, hydrangeas, yarrow."""
    x, y = grid(radius)
    around = plane(x, y, radius)
    stamp = Stamp(around.shape)
    rays = np.cos(around.angle * 17 + scene.rng.uniform(0, 6))
    stalks = cover((rays - 0.93) * around.radius * 0.3, around.pixel) * (around.radius < 0.85)
    stamp.paint(scene.dye(GREEN), stalks)
    count = 16 * kind.whorls
    size = radius * 1.25 / math.sqrt(count)
    sizes = [_florets(kind, size * part, scene) for part in (0.8, 0.95, 1.08)]
    flat = scene.rng.uniform(0.75, 1.0)
    for number in range(count, 0, -1):  # from the rim inwards: the middle stands highest
        out = math.sqrt((number - 0.5) / count)
        angle = number * _GOLDEN_ANGLE + scene.rng.normal(0, 0.1)
        column, row = 0.82 * out * math.cos(angle), 0.82 * out * math.sin(angle) * flat
        one = sizes[0 if out > 0.85 else 1 if out > 0.5 else 2][scene.rng.integers(3)]
        sunny = column * math.cos(scene.sun) + row * math.sin(scene.sun)
        tone = 1 - 0.3 * out**2 + 0.25 * sunny + scene.rng.normal(0, 0.04)
        stamp.put(one, radius * (1.05 + row), radius * (1.05 + column), tone)
    return stamp


def _brush(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """A brush of thin florets on a scaly bulb: thistles and knapweeds."""
    x, y = turned(*grid(radius, 1.05, 1.4), scene.rng.normal(0, 0.25))
    y = y - np.float32(0.38)
    around = plane(x, y, radius)
    stamp = Stamp(around.shape)
    spread = scene.rng.uniform(0.9, 1.25)
    off = np.arccos(np.cos(around.angle - np.float32(UP)))
    for length, tone in ((1.3, 0.75), (1.2, 0.95), (0.95, 1.1)):
        fan, box = around.zoom(length, off < spread)
        layer = whorl(fan, kind.petal, kind.petals, scene, 1.8)
        ends = smooth(-off[box], -spread, 0.15 - spread)
        painted = np.float32(tone) * pigment(layer, kind, scene)
        stamp.paint(painted, layer.cover * ends, layer.halo * ends * 0.5, box)
    bulb = 1 - far(x / 0.4, (y - 0.12) / 0.36)
    scales = np.abs(np.cos(11 * x + 13 * y) * np.cos(11 * x - 13 * y)) - 0.5
    light = 0.85 + 0.3 * scales + 0.5 * x * math.cos(scene.sun) - 0.6 * x * x
    painted = 0.8 * scene.dye(kind.heart) * light
    stamp.paint(painted, cover(bulb * 0.35, 1 / radius), smooth(bulb, -0.3, 0.1))
    return stamp


def _cone(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Drooping rays under a high cone: coneflowers."""
    radius *= 0.95
    lean, roll = scene.rng.uniform(0.65, 1.1), scene.rng.normal(0, 0.2)
    around = tilted(radius, lean, roll, -scene.rng.uniform(0.25, 0.55))
    stamp = Stamp(around.shape)
    layer = whorl(around, kind.petal, kind.petals, scene)
    stamp.paint(pigment(layer, kind, scene), layer.cover)
    size, high = 0.34, 0.27 * math.sin(lean)
    x, y = turned(*grid(radius), roll)
    x, y = x / size, (y + high * 0.55) / (size * math.cos(lean) + high)
    painted, covered = _knob(x, y, around.pixel / size, scene.dye(kind.heart), scene)
    stamp.paint(painted, covered, smooth(-far(x, y), -1.35, -0.95))
    return stamp


def _spathe(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """One bract behind a spadix: arums, anthuriums."""
    x, y = turned(*grid(radius), scene.rng.normal(0, 0.35))
    around = plane(x / scene.rng.uniform(0.65, 1.0), y - np.float32(0.75), radius)
    stamp = Stamp(around.shape)
    bend = scene.rng.normal(0, 0.12)
    layer, box = blade(around, kind.petal, scene, angle=UP, length=1.7, bend=bend)
    gloss = smooth(np.cos(layer.across * 3 - 1 + layer.along * 2), 0.85, 1.0)
    stamp.paint(pigment(layer, kind, scene) + 0.25 * gloss, layer.cover, None, box)
    angle = UP + scene.rng.normal(0, 0.06)
    rod, box = blade(around, _SPADIX, scene, angle=angle, length=0.95, bend=bend)
    bumps = 0.9 + 0.16 * np.cos(rod.along * 70) * np.cos(rod.across * 7) - 0.3 * rod.across**2
    shown = rod.along > 0.12
    painted = scene.dye(kind.heart) * (rod.light * bumps)
    stamp.paint(painted, rod.cover * shown, rod.halo * shown, box)
    return stamp


_HABITS: dict[str, Callable[[Kind, float, Scene], Stamp]] = {
    "rosette": _rosette,
    "funnel": _funnel,
    "face": _face,
    "cup": _cup,
    "bells": _bells,
    "spike": _spike,
    "umbel": _umbel,
    "brush": _brush,
    "cone": _cone,
    "spathe": _spathe,
}

UPRIGHT = frozenset({"cup", "bells", "spike", "brush", "cone", "spathe"})
"""The habits that are seen from the side, on their stem."""


def head(kind: Kind, radius: float, scene: Scene) -> Stamp:
    """Draw one flower head of this kind; ``radius`` is in pixels."""
    return _HABITS[kind.habit](kind, radius, scene)
