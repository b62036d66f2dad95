"""Draw flowers that do not exist, in an archive like Oxford-102's, for runs without photographs.

There are 102 kinds, 17 forms (daisy, lily, tulip, ...) of six each. Kinds differ in the number of
their petals, the petals' shape and pattern, the centre, the leaves, how many flowers stand
together, and the colour; but most colours serve several kinds, so colour alone says little.

The same seed gives the same bytes on the same machine, whatever the number of workers. A kind does
not depend on the seed, and a picture not on how many are drawn beside it.
"""

from __future__ import annotations

import gzip
import io
import math
import multiprocessing
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter
from scipy.io import savemat

from repro.system.files import atomic_path

KINDS = 102  # as many as Oxford-102 has classes

Points = NDArray[np.complex128]  # x + iy, y downwards
Reals = NDArray[np.float64]
Petal = tuple[Points, Reals]  # polygons (n, m) to be filled one over the other; colours (n, 3)
MIN_IMAGES = 4  # images a label: two to test on, one for each other set
_OFFICIAL_SHARE = 10  # images a label in each of the official train and validation sets
_MAT_HEADER = b"MATLAB 5.0 MAT-file, flowers drawn by a program, not photographs"
_FINER = 2  # a picture is drawn at so many times its size and reduced: smooth edges
_COARSER = 4  # what is out of focus is drawn at this fraction of the size, blurred and enlarged
_GOLDEN_ANGLE = 2.39996  # by which one floret stands on from the one before
_UP = -math.pi / 2
_CIRCLE = np.exp(1j * np.linspace(0, 2 * math.pi, 25))

# Outlines of petals and leaves: from the base, at the share t of the half angle (here in radians),
# r = (1 - |t|^blunt)^taper. Blunt 1 is a pointed tip, 4 a square one; taper 0.3 is widest near the
# tip, 1 in the middle. Then the depth of a notch in the tip, depth and number of a fringe's teeth.
_OUTLINES = """
round  0.72 3.0 0.45 0.00 0.00 0   oval   0.55 2.0 0.80 0.00 0.00 0
point  0.62 1.0 0.75 0.00 0.00 0   lance  0.42 1.0 0.80 0.00 0.00 0
strap  0.15 4.0 0.35 0.00 0.00 0   needle 0.05 4.0 0.35 0.00 0.00 0
spoon  0.24 2.0 0.30 0.00 0.00 0   heart  0.62 3.0 0.40 0.25 0.00 0
fringe 0.66 4.0 0.30 0.00 0.07 4   ruffle 1.00 4.0 0.35 0.00 0.04 3
joined 0.66 2.0 0.08 0.00 0.00 0   frill  0.36 2.0 0.10 0.00 0.00 0
cup    0.80 2.0 0.90 0.00 0.00 0   grass  0.10 1.0 0.80 0.00 0.00 0
oak    0.80 1.5 0.90 0.00 0.16 3   ivy    1.20 1.1 0.70 0.00 0.00 0
elm    0.75 1.3 1.10 0.00 0.00 0   nettle 0.65 1.2 1.00 0.00 0.05 7
"""
_SHAPES = {name: row for name, *row in np.array(_OUTLINES.split()).reshape(-1, 7).tolist()}
# Of a centre: shape, number and length of what stands around it, radius of its disc.
_CENTRES = {
    "none": ("needle", 0, 0.0, 0.0),
    "eye": ("needle", 0, 0.0, 0.1),
    "disc": ("needle", 0, 0.0, 0.28),
    "cone": ("needle", 0, 0.0, 0.42),
    "anther": ("needle", 6, 0.55, 0.06),
    "stamen": ("needle", 22, 0.36, 0.06),
    "boss": ("needle", 40, 0.36, 0.16),
    "frill": ("frill", 9, 0.45, 0.15),
}
# Of a head seen from a side: how far down its petals start, their length, angle, bend inwards.
_FANS = {
    "side": (0.8, 1.65, 1.0, 0.2),
    "down": (0.8, 1.65, 1.0, -0.5),
    "brush": (0.3, 1.2, 2.2, -0.1),
}
# Foliage, sky and soil: the darkest and the lightest colour.
_BACKDROPS = (("#0d1f08", "#5c8c29"), ("#407ad9", "#c0dcf4"), ("#241a12", "#8c7054"))
# Two rows a form, each three kinds: a cell of one word holds for all three, a/b/c for one each; "."
# is the cell above. Kind 1 is the first of form 1, kind 2 that of form 2, ..., kind 18 the first of
# form 1's second row, kind 35 the second of its first row. Colours have their names in CSS; "heart"
# is that of the centre, "second" that of the pattern.
_TRAITS = "form view stand petals shape rows centre leaf colour heart pattern second"
_TABLE = """
daisy     above one   34/26/30 strap  1 disc   oak    white/gold/hotpink orange plain white
daisy     above one   16/13/16 spoon  1 disc   grass  . sienna tip/eye/tip hotpink/maroon/white
lily      above one   6        point  1 anther lance  darkorange/white/hotpink sienna veins maroon
lily      above three 5/6/5    lance  1 anther grass  . orange stripe gold/deeppink/white
tulip     side  one   4        cup    2 none   lance  crimson/gold/purple gold margin white
tulip     side  one   6        point  2 none   grass  . gold flame/plain/flame white/white/plum
lupin     above spike 5        round  1 eye    lance  purple/hotpink/royalblue gold eye white
lupin     above spike 3/4/6    lance  1 none   nettle . gold plain/plain/tip white
rose      above one   5/6/5    round  5 none   elm    crimson/hotpink/gold gold plain white
rose      above one   5        ruffle 2 stamen nettle . gold eye/margin/eye maroon/white/tomato
bell      down  three 5        oval   1 none   lance  royalblue/white/plum gold plain white
bell      down  one   5        point  2 none   ivy    . gold margin/tip/stripe purple/olive/white
poppy     above one   4        ruffle 1 boss   oak    crimson/darkorange/plum sienna eye maroon
poppy     above one   6        ruffle 2 boss   nettle . gold margin/eye/tip white/sienna/purple
allium    above umbel 6        lance  1 eye    grass  purple/hotpink/white olive plain white
allium    above umbel 4/4/5    heart  1 eye    elm    . gold eye/margin/eye white/white/hotpink
bindweed  above one   5        joined 1 eye    ivy    royalblue/hotpink/purple gold stripe white
bindweed  above three 5        joined 1 eye    lance  . white eye/veins/margin gold/deeppink/white
echinacea low   one   13       spoon  1 cone   lance  hotpink/gold/darkorange sienna plain white
echinacea low   one   21       strap  1 cone   nettle . tomato/olive/maroon eye/eye/tip maroon
pansy     face  one   5        ruffle 1 eye    nettle purple/gold/white gold eye maroon
pansy     face  three 5        round  1 eye    elm    . orange veins/tip/margin gold/purple/purple
dahlia    above one   16       lance  6 none   nettle deeppink/darkorange/white gold plain white
dahlia    above one   10       oval   4 disc   oak    . sienna tip/eye/eye white/gold/deeppink
daffodil  above one   6        oval   1 frill  grass  gold/white/cornsilk darkorange plain white
daffodil  above three 6        point  1 frill  lance  . orange/gold/crimson plain white
thistle   brush one   34       needle 3 bulb   oak    deeppink/royalblue/gold olive tip white
thistle   brush three 22       strap  2 bulb   nettle . olive/purple/sienna plain/tip/tip white
pink      above one   5        fringe 1 eye    grass  hotpink/plum/crimson white eye maroon
pink      above three 5/4/5    heart  1 stamen elm    . gold margin/plain/eye white
arum      side  one   1        ivy    1 rod    ivy    crimson/white/olive gold plain white
arum      side  one   1        oval   1 rod    lance  . orange stripe/tip/veins maroon
primrose  above one   5        round  1 stamen elm    gold/white/royalblue gold eye tomato
primrose  above three 8/8/6    oval   1 boss   oak    . orange plain white
"""


class Kind(SimpleNamespace):
    """The traits of one kind of flower, as the table has them, and its ``name``."""


def kind(label: int) -> Kind:
    """Return the kind with this label, 1 to 102; it is the same in every archive."""
    table = np.array(_TABLE.split()).reshape(-1, 2, len(_TRAITS.split()))
    variety, place = divmod(label - 1, len(table))
    cells = np.where(table[place] == ".", table[place, 0], table[place])[variety % 2]
    options = [cell.split("/") for cell in cells.tolist()]
    words = [some[variety // 2] if len(some) > 1 else some[0] for some in options]
    traits = {n: int(w) if w.isdigit() else w for n, w in zip(_TRAITS.split(), words, strict=True)}
    return Kind(**traits, name=f"{traits['colour']} {traits['form']} {label}")


def draw_flowers(
    archive: Path,
    labels: Path,
    setid: Path,
    *,
    kinds: int = KINDS,
    images_per_kind: int,
    seed: int,
    sides: tuple[int, int] = (320, 400),
    workers: int = 1,
) -> None:
    """Draw ``kinds * images_per_kind`` images and write them as Oxford-102 is published.

    Args:
        archive: gets the images as ``.tgz``, those of a kind in a row, the kinds in no order.
        labels: gets ``labels``, uint8 of shape (1, n), values 1..kinds, in the images' order.
        setid: gets the sets of :func:`official_split`.
        kinds: how many of the 102 kinds, from the first.
        images_per_kind: at least :data:`MIN_IMAGES`.
        seed: decides all that varies within a kind.
        sides: length of the short side and the most that the long side has, in pixels.
        workers: processes that draw.
    """
    rng = np.random.default_rng(seed)
    order = np.repeat(rng.permutation(np.arange(1, kinds + 1)), images_per_kind)
    orders = [(int(label), place % images_per_kind) for place, label in enumerate(order)]
    with in_processes(workers) as run:
        write_archive(archive, run(partial(_picture, seed=seed, sides=sides), orders))
    write_mat(labels, {"labels": order.astype(np.uint8)[None]})
    write_mat(setid, official_split(order, rng))


def _picture(which: tuple[int, int], *, seed: int, sides: tuple[int, int]) -> bytes:
    """Return the JPEG file of one picture; ``which`` is its label and its number in the kind."""
    rng = np.random.default_rng([seed, *which])
    size = sides[0], int(rng.integers(sides[0], sides[1] + 1))
    pixels = paint(kind(which[0]), size if rng.random() < 0.5 else size[::-1], rng)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(85, 91)))
    return file.getvalue()


@contextmanager
def in_processes(workers: int) -> Iterator[Any]:
    """Yield a ``map`` that keeps the order and uses this many processes."""
    if workers == 1:
        yield map
        return
    # Not forked: the caller may run threads, and a forked lock stays locked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield partial(pool.map, chunksize=8)


def write_archive(path: Path, files: Iterable[bytes], numbers: Sequence[int] | None = None) -> None:
    """Write JPEG files as ``jpg/image_00001.jpg`` and so on, gzipped: no time, no owner.

    Where ``numbers`` gives each file's number, an entry for the folder comes first; the official
    archive has that, and its images in no order.
    """
    with (
        atomic_path(path) as aside,
        aside.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        if numbers is not None:
            folder = tarfile.TarInfo("jpg")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for number, content in zip(numbers or count(1), files, strict=False):
            entry = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def official_split(labels: NDArray[Any], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return ``trnid``, ``valid`` and ``tstid``, shape (1, m): image numbers from 1, by label.

    Up to ten images a label, but at most a quarter, train; as many validate; the rest test.
    """
    parts: dict[str, list[NDArray[Any]]] = {"trnid": [], "valid": [], "tstid": []}
    for label in np.unique(labels):
        ids = rng.permutation(np.flatnonzero(labels == label) + 1)
        share = min(_OFFICIAL_SHARE, len(ids) // MIN_IMAGES)
        for part, own in zip(parts.values(), np.split(ids, [share, 2 * share]), strict=True):
            part.append(own)
    wide = np.promote_types(np.uint16, np.min_scalar_type(len(labels)))  # the official file: uint16
    return {name: np.concatenate(ids).astype(wide)[None] for name, ids in parts.items()}


def write_mat(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a MATLAB file without the time of writing that SciPy puts into its header."""
    file = io.BytesIO()
    savemat(file, arrays, do_compression=True)
    content = _MAT_HEADER.ljust(116) + file.getvalue()[116:]  # 116 bytes of text, then fields
    with atomic_path(path) as aside:
        aside.write_bytes(content)


def paint(kind: Kind, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint one picture of ``kind``: a sharp flower before leaves and flowers out of focus.

    Args:
        kind: what to paint.
        size: width and height in pixels.
        rng: decides pose, light, background and all else that varies within a kind.

    Returns:
        RGB, uint8, shape (height, width, 3).
    """
    gain = rng.uniform(0.55, 1.25) * np.exp(rng.normal(0, 0.04, 3))  # exposure, white balance
    behind = _backdrop((size[0] // _COARSER, size[1] // _COARSER), gain, rng)
    tint = gain * np.exp(rng.normal(0, 0.14, 3))
    canvas = _Canvas(behind, rng.uniform(-math.pi, 0), rng.uniform(0.08, 0.24), tint, rng)
    side = min(behind.size)
    for _ in range(rng.integers(0, 4)):
        _plant(canvas, kind, complex(*rng.uniform(0, behind.size)), side * rng.uniform(0.14, 0.26))
    blurred = behind.filter(ImageFilter.GaussianBlur(1.3)).resize(size, Image.Resampling.BILINEAR)
    fine = blurred.resize((size[0] * _FINER, size[1] * _FINER), Image.Resampling.NEAREST)
    side = min(fine.size)
    at = complex(*fine.size) / 2 + 0.08 * side * complex(*rng.normal(0, 1, 2))
    _plant(replace(canvas, image=fine), kind, at, side * rng.uniform(0.22, 0.45))
    image = fine.reduce(_FINER)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.2, 0.9)))
    grain = 128 + rng.uniform(0.5, 5) * rng.standard_normal(size[::-1], np.float32)
    grey = Image.fromarray(grain.astype(np.uint8)).convert("RGB")
    return np.asarray(ImageChops.add(image, grey, offset=-128))


def _backdrop(size: tuple[int, int], gain: Reals, rng: np.random.Generator) -> Image.Image:
    """Return lumps of two colours, under a light that falls off to one side."""
    low, high = _BACKDROPS[rng.choice(3, p=(0.6, 0.2, 0.2))]
    share = np.full(size[::-1], 0.45, np.float32)
    for cells in (3, 8, 20):  # lumps along a side
        noise = Image.fromarray(rng.standard_normal((cells + 2, cells + 2), np.float32))
        share += 0.25 * np.asarray(noise.resize(size, Image.Resampling.BICUBIC))
    ends = np.array([_rgb(low), _rgb(high)]) * gain * rng.uniform(0.7, 1.3, (2, 3))
    pixels = ends[0] + np.clip(share, 0, 1)[..., None] * (ends[1] - ends[0])
    pixels *= 1 + rng.normal(0, 0.15) * np.linspace(-1, 1, size[0])[:, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _plant(canvas: _Canvas, kind: Kind, at: complex, radius: float) -> None:
    """Draw a flower of this ``radius`` in pixels, with its stem and leaves."""
    rng = canvas.rng
    foot = at + radius * complex(rng.normal(0, 0.1), 0.9)
    end = complex(foot.real + rng.normal(0, 0.3) * radius, canvas.image.height)
    canvas.stem([at, foot, end], 0.07 * radius)
    for _ in range(rng.integers(1, 5)):
        base = at + radius * complex(rng.normal(0, 0.1), rng.uniform(0.3, 1.0))
        canvas.leaf(kind.leaf, base, radius * rng.uniform(1.1, 1.8), rng.normal(-_UP, 1.1))
    places, sizes = _heads(kind.stand, rng)
    bands = 5 if radius * sizes[0] > 50 else 1
    petal = _petal(kind.shape, kind.colour, kind.pattern, kind.second, bands)
    draw = _side if kind.view in _FANS else _above
    lean = rng.uniform(0.35, 0.6) if kind.view == "low" else rng.uniform(0.72, 1)
    roll = rng.normal(0, 0.2)
    for place in places if kind.stand != "one" else ():
        canvas.stem([foot, at + radius * place], 0.03 * radius)
    for place, size in zip(places, sizes, strict=True):
        draw(canvas, kind, _Pose(at + radius * place, radius * size, lean, roll), petal)


def _heads(stand: str, rng: np.random.Generator) -> tuple[Points, Reals]:
    """Return where the heads stand, in radii of the whole, and their sizes, the hindmost first."""
    number = {"one": 1, "three": 3, "umbel": 42, "spike": 44}[stand]
    size = {1: 1.0, 3: 0.44}.get(number, 0.19)
    steps = (np.arange(number) + 0.5) / number
    around = _UP + np.arange(number) * _GOLDEN_ANGLE + rng.normal(0, 0.2, number)
    if stand != "spike":
        reach = min(0.85, 1.3 * (1 - size)) * np.sqrt(steps)
        return (reach * np.exp(1j * around))[::-1], np.full(number, size)
    broad = np.minimum(1, 1.5 * steps)
    places = (0.04 + 0.24 * broad) * np.sin(around) + 1j * (1.9 * steps**0.8 - 0.95)
    return places, 0.09 + 0.14 * broad


def _above(canvas: _Canvas, kind: Kind, pose: _Pose, petal: Petal) -> None:
    """Draw a head seen from above: rows of petals, then what stands around the centre, the disc."""
    rng = canvas.rng
    for inwards in np.arange(kind.rows) / kind.rows:
        angles = np.linspace(0, 2 * math.pi, kind.petals, endpoint=False) + rng.uniform(0, 6)
        if kind.view == "face":  # a pansy's petals, the hindmost first
            angles = np.radians([-62, -118, -8, 188, 90])
        row = pose._replace(size=pose.size * (1 - 0.84 * inwards))
        canvas.petals(petal, row, angles, 1 - 0.25 * inwards)
    shape, number, length, disc = _CENTRES[kind.centre]
    if number:
        around = np.linspace(0, 2 * math.pi, number, endpoint=False) + rng.normal(0, 0.08, number)
        stamen = _petal(shape, kind.heart, "plain", kind.heart, 3)
        canvas.petals(stamen, pose._replace(size=length * pose.size), around)
    if kind.view == "low":
        pose = pose._replace(at=pose.at - 0.2j * pose.size, lean=0.8)
    canvas.disc(pose, disc, kind.heart)


def _side(canvas: _Canvas, kind: Kind, pose: _Pose, petal: Petal) -> None:
    """Draw a head seen from a side: a fan of petals, row by row, the middle ones in front."""
    base, length, spread, curl = _FANS[kind.view]
    spread *= canvas.rng.uniform(0.8, 1.15)
    roll = pose.roll + (_UP if kind.view != "down" else -_UP)
    foot = _Pose(pose.at - base * pose.size * np.exp(1j * roll), pose.size, 1.0, roll)
    for row in range(kind.rows):
        angles = np.arange(kind.petals - row) - (kind.petals - row - 1) / 2
        angles = angles[np.argsort(-np.abs(angles))] * spread / len(angles)
        fan = foot._replace(size=pose.size * length * (1 - 0.1 * row))
        canvas.petals(petal, fan, angles, 0.75 + 0.3 * (row + 1) / kind.rows, curl)
    if kind.centre == "rod":
        canvas.petals(_petal("strap", kind.heart, "plain", kind.heart, 5), foot, np.zeros(1))
    elif kind.centre == "bulb":
        canvas.disc(foot, 0.4, kind.heart)


class _Pose(NamedTuple):
    """Where something lies: ``at`` and ``size`` in pixels, seen aslant, then turned by ``roll``."""

    at: complex
    size: float
    lean: float
    roll: float

    def __call__(self, points: Points) -> Points:
        aslant = points.real + 1j * self.lean * points.imag
        return np.asarray(self.at + self.size * np.exp(1j * self.roll) * aslant)


@dataclass(frozen=True)
class _Canvas:
    """An image that is drawn on, and the light on it: ``sun`` is the angle it comes from."""

    image: Image.Image
    sun: float
    contrast: float
    tint: Reals
    rng: np.random.Generator

    def fill(self, points: Points, colours: Reals) -> None:
        """Fill polygons one over the other: points of shape (n, m), colours (n, 3), 0 to 255."""
        pen = ImageDraw.Draw(self.image)
        inks = np.clip(colours * self.tint, 0, 255).astype(int).tolist()
        for flat, ink in zip(np.ascontiguousarray(points).view(float).tolist(), inks, strict=True):
            pen.polygon(flat, fill=tuple(ink))

    def stem(self, points: Sequence[complex], thick: float) -> None:
        """Draw a stem along points, ``thick`` in pixels."""
        ink = tuple((_rgb("darkolivegreen") * self.tint).astype(int).tolist())
        flat = np.array(points).view(float).tolist()
        ImageDraw.Draw(self.image).line(flat, ink, max(1, round(thick)), "curve")

    def leaf(self, shape: str, at: complex, length: float, angle: float) -> None:
        """Draw a leaf from ``at`` on, ``length`` in pixels."""
        petal = _petal(shape, "darkolivegreen", "veins", "olivedrab", 3)
        self.petals(petal, _Pose(at, length, 1, angle), np.zeros(1), self.rng.uniform(0.6, 1.35))

    def petals(
        self, petal: Petal, pose: _Pose, angles: Reals, tone: float = 1.0, curl: float = 0.0
    ) -> None:
        """Draw a petal for each of ``angles``; ``curl`` bends them towards the angle 0."""
        points, colours = petal
        longer, light, bend = self.rng.normal(0, 0.04, (3, len(angles), 1, 1))
        turned = angles[:, None, None]
        light += 1 + self.contrast * np.cos(turned + pose.roll - self.sun)
        bent = points * (1 + 1j * (bend - curl * turned) * np.abs(points))
        placed = pose((1 + longer) * np.exp(1j * turned) * bent)
        self.fill(placed.reshape(-1, points.shape[1]), (tone * light * colours).reshape(-1, 3))

    def disc(self, pose: _Pose, size: float, colour: str) -> None:
        """Draw a dome of florets in spirals, ``size`` in the pose's unit."""
        numbers = np.arange(int(min(110, 8 + 1.2 * size * pose.size)))
        places = np.sqrt((numbers + 0.5) / len(numbers)) * np.exp(1j * _GOLDEN_ANGLE * numbers)
        light = 1 - 0.25 * np.abs(places) + 0.12 * (-1.0) ** numbers
        light += 0.3 * (places * np.exp(1j * (pose.roll - self.sun))).real
        dots = places[:, None] + 1.1 / math.sqrt(len(numbers)) * _CIRCLE[::3]
        self.fill(pose(size * _CIRCLE[None]), 0.55 * _rgb(colour)[None])
        self.fill(pose(size * dots), light[:, None] * _rgb(colour))


def _rgb(colour: str) -> Reals:
    return np.array(ImageColor.getrgb(colour), float)


@cache
def _petal(shape: str, colour: str, pattern: str, second: str, bands: int) -> Petal:
    """Return a petal from 0 to 1; more ``bands`` make the shading from tip to base smoother."""
    width, blunt, taper, notch, fringe, teeth = map(float, _SHAPES[shape])
    t = np.linspace(-1, 1, len(_CIRCLE))
    radius = (1 - np.abs(t) ** blunt) ** taper * (1 + fringe * np.cos(2 * math.pi * teeth * t))
    radius *= 1 - notch * np.exp(-((t / 0.3) ** 2))
    main, other = _rgb(colour), _rgb(second)
    # Of each polygon: its shares of the length and of the angle, where it lies in the angle.
    layers = [(1.0, 1.0, 0.0, 0.6 * main)]
    length, breadth = {"tip": (0.72, 0.97), "margin": (0.94, 0.95)}.get(pattern, (1.0, 1.0))
    if length < 1:
        layers = [(1.0, 1.0, 0.0, 0.6 * other), (0.98, 0.93, 0.0, other)]
    for deep in np.arange(bands) / bands:
        shares = length * (0.98 - 0.75 * deep), breadth * (0.93 - 0.1 * deep)
        layers.append((*shares, 0.0, main * (1 - 0.3 * deep)))
    marks = {
        "eye": {0.0: (0.46, 0.93)},
        "stripe": {0.0: (0.9, 0.28)},
        "veins": dict.fromkeys((-0.6, -0.3, 0.0, 0.3, 0.6), (0.9, 0.05)),
        "flame": {0.0: (0.9, 0.35), -0.45: (0.9, 0.2), 0.45: (0.9, 0.2)},
    }
    for turn, (share, narrow) in marks.get(pattern, {}).items():
        layers.append((share * float(np.interp(turn, t, radius)), narrow, turn, other))
    lengths, breadths, turns = np.array([shape for *shape, _ in layers]).T[..., None]
    outlines = lengths * radius * np.exp(1j * width * (breadths * t + turns))
    return outlines, np.array([ink for *_, ink in layers])
