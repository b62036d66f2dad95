"""The 102 kinds of generated flowers: what each looks like, before any picture is drawn.

There are 17 forms (daisy, lily, tulip, ...) of six kinds each. The six come in three pairs of one
colour; within a pair the number of petals, their outline, the pattern, the centre or the leaf
differ. A colour serves many forms, so colour alone says little about the kind.
"""

from __future__ import annotations

from dataclasses import dataclass

from repro.errors import UserError

KINDS = 102
"""As many kinds as Oxford-102 has classes."""

RGB = tuple[float, float, float]

COLOURS: dict[str, RGB] = {
    "white": (0.95, 0.94, 0.92),
    "cream": (0.96, 0.91, 0.70),
    "yellow": (0.98, 0.80, 0.08),
    "orange": (0.95, 0.47, 0.07),
    "red": (0.82, 0.09, 0.09),
    "maroon": (0.36, 0.04, 0.10),
    "pink": (0.95, 0.56, 0.70),
    "magenta": (0.80, 0.13, 0.53),
    "lilac": (0.75, 0.60, 0.90),
    "violet": (0.44, 0.20, 0.68),
    "blue": (0.27, 0.36, 0.86),
    "green": (0.62, 0.74, 0.25),
    "brown": (0.27, 0.15, 0.07),
}
"""Display RGB, 0 to 1."""


@dataclass(frozen=True)
class Outline:
    """The outline of a petal or leaf. Lengths are in petal lengths, measured from the base.

    ``width`` is half the width at the widest place, ``peak`` where that is (0 base, 1 tip).
    ``blunt`` shapes the ends: 1 pointed, 0.5 elliptical, 0.3 square. ``notch`` is the depth of
    the cleft in the tip, ``fringe`` that of ``teeth`` small ones, ``wave`` how far the sides waver.
    """

    width: float
    peak: float
    blunt: float
    notch: float = 0.0
    fringe: float = 0.0
    teeth: int = 0
    wave: float = 0.0


PETALS: dict[str, Outline] = {
    "round": Outline(0.44, 0.62, 0.46),
    "broad": Outline(0.62, 0.66, 0.42, wave=0.03),
    "oval": Outline(0.29, 0.55, 0.55),
    "pointed": Outline(0.25, 0.45, 0.85),
    "lance": Outline(0.16, 0.42, 0.90),
    "strap": Outline(0.115, 0.60, 0.34, fringe=0.03, teeth=3),
    "needle": Outline(0.045, 0.60, 0.60),
    "spoon": Outline(0.15, 0.80, 0.75),
    "heart": Outline(0.48, 0.68, 0.50, notch=0.22),
    "notched": Outline(0.30, 0.74, 0.60, notch=0.14),
    "fringed": Outline(0.46, 0.78, 0.55, fringe=0.16, teeth=6),
    "parrot": Outline(0.30, 0.60, 0.45, fringe=0.14, teeth=5, wave=0.08),
    "ruffled": Outline(0.60, 0.70, 0.40, fringe=0.04, teeth=3, wave=0.10),
}

LEAVES: dict[str, Outline] = {
    "grass": Outline(0.05, 0.40, 0.60),
    "lance": Outline(0.15, 0.40, 0.90),
    "oval": Outline(0.28, 0.48, 0.70),
    "heart": Outline(0.44, 0.30, 0.60),
    "lobed": Outline(0.34, 0.50, 0.60, wave=0.38, teeth=4),
    "toothed": Outline(0.26, 0.45, 0.75, wave=0.12, teeth=12),
}


@dataclass(frozen=True)
class Kind:
    """The traits of one kind of flower.

    ``habit`` says how the head is built; ``petals`` counts petals (rays, lobes or florets) of
    one whorl; ``second`` is the colour of the ``pattern``, ``heart`` that of the ``centre``.
    """

    label: int
    form: str
    habit: str
    petals: int
    petal: Outline
    whorls: int
    colour: RGB
    second: RGB
    pattern: str
    centre: str
    heart: RGB
    leaf: str
    name: str


# One word a form if its six kinds agree, else six words. Kind 1 is the first of form 1, kind 2 the
# first of form 2, ..., kind 18 the second of form 1.
_FORMS: dict[str, dict[str, str]] = {
    "daisy": {
        "habit": "rosette",
        "petals": "34 16 21 13 24 16",
        "petal": "strap strap strap spoon strap notched",
        "colour": "white white yellow yellow pink pink",
        "second": "white yellow yellow maroon pink white",
        "pattern": "plain eye plain eye plain tip",
        "centre": "disc",
        "heart": "yellow brown orange brown yellow green",
        "leaf": "lobed grass lance toothed lobed grass",
    },
    "lily": {
        "habit": "rosette",
        "petals": "6 6 6 6 6 5",
        "petal": "pointed lance pointed oval pointed pointed",
        "colour": "orange orange white white pink pink",
        "second": "maroon yellow yellow magenta maroon white",
        "pattern": "spots eye stripe plain spots margin",
        "centre": "anthers",
        "heart": "brown maroon orange brown brown yellow",
        "leaf": "lance grass lance oval lance oval",
    },
    "tulip": {
        "habit": "cup",
        "petals": "6 6 6 6 6 6",
        "petal": "oval pointed oval parrot oval pointed",
        "colour": "red red yellow yellow violet violet",
        "second": "yellow white red yellow white violet",
        "pattern": "margin flame flame plain margin plain",
        "centre": "none",
        "heart": "yellow",
        "leaf": "lance",
    },
    "spike": {
        "habit": "spike",
        "petals": "5 2 5 2 6 4",
        "petal": "round broad oval broad lance round",
        "colour": "violet violet pink pink blue blue",
        "second": "white yellow white magenta white white",
        "pattern": "eye eye plain eye stripe plain",
        "centre": "eye none eye none eye eye",
        "heart": "white yellow magenta maroon yellow yellow",
        "leaf": "lance toothed lance lobed grass oval",
    },
    "rose": {
        "habit": "rosette",
        "petals": "5 5 6 8 5 6",
        "petal": "broad ruffled broad round broad ruffled",
        "whorls": "5 3 5 4 5 3",
        "colour": "red red pink pink yellow yellow",
        "second": "maroon red white magenta red orange",
        "pattern": "eye plain margin eye margin eye",
        "centre": "none stamens none none none stamens",
        "heart": "yellow",
        "leaf": "toothed oval toothed oval toothed oval",
    },
    "bell": {
        "habit": "bells",
        "petals": "5 5 4 6 5 6",
        "petal": "pointed round pointed pointed round pointed",
        "whorls": "3 1 4 1 5 2",
        "colour": "blue blue white white lilac lilac",
        "second": "violet white green violet violet white",
        "pattern": "stripe plain tip spots tip margin",
        "centre": "none",
        "heart": "yellow",
        "leaf": "lance heart grass oval grass toothed",
    },
    "poppy": {
        "habit": "rosette",
        "petals": "4 6 4 5 4 6",
        "petal": "ruffled ruffled broad ruffled broad ruffled",
        "colour": "red red orange orange lilac lilac",
        "second": "brown white yellow brown violet white",
        "pattern": "eye plain eye plain eye margin",
        "centre": "boss boss stamens boss boss stamens",
        "heart": "brown brown yellow maroon violet yellow",
        "leaf": "lobed",
    },
    "umbel": {
        "habit": "umbel",
        "petals": "6 4 5 4 5 6",
        "petal": "lance round oval broad notched pointed",
        "whorls": "5 3 4 3 3 2",
        "colour": "violet violet pink pink white white",
        "second": "violet white magenta white yellow green",
        "pattern": "plain eye eye plain eye stripe",
        "centre": "eye",
        "heart": "green blue maroon green yellow green",
        "leaf": "grass oval heart toothed lobed grass",
    },
    "bindweed": {
        "habit": "funnel",
        "petals": "5 5 5 6 5 5",
        "petal": "round pointed round fringed round ruffled",
        "colour": "blue blue pink pink violet violet",
        "second": "white yellow white magenta magenta white",
        "pattern": "stripe eye stripe veins stripe margin",
        "centre": "throat",
        "heart": "yellow white white maroon white maroon",
        "leaf": "heart",
    },
    "coneflower": {
        "habit": "cone",
        "petals": "13 21 13 21 13 18",
        "petal": "notched strap strap spoon notched strap",
        "colour": "pink pink yellow yellow orange orange",
        "second": "magenta pink maroon yellow red yellow",
        "pattern": "plain plain eye plain eye tip",
        "centre": "none",
        "heart": "orange brown brown green brown maroon",
        "leaf": "lance toothed lobed toothed oval lance",
    },
    "pansy": {
        "habit": "face",
        "petals": "5",
        "petal": "broad",
        "colour": "violet violet yellow yellow white white",
        "second": "maroon yellow maroon violet violet magenta",
        "pattern": "eye margin veins tip eye veins",
        "centre": "eye",
        "heart": "yellow yellow orange orange yellow yellow",
        "leaf": "toothed",
    },
    "dahlia": {
        "habit": "rosette",
        "petals": "16 12 21 16 13 8",
        "petal": "lance oval strap spoon pointed oval",
        "whorls": "5 6 4 5 6 5",
        "colour": "magenta magenta orange orange white white",
        "second": "magenta white yellow red yellow magenta",
        "pattern": "plain tip eye plain eye plain",
        "centre": "none none disc none none none",
        "heart": "magenta magenta brown orange yellow yellow",
        "leaf": "toothed toothed lobed oval oval heart",
    },
    "daffodil": {
        "habit": "rosette",
        "petals": "6",
        "petal": "oval pointed oval pointed round oval",
        "colour": "yellow yellow white white cream cream",
        "second": "yellow",
        "pattern": "plain",
        "centre": "trumpet saucer trumpet saucer trumpet saucer",
        "heart": "orange orange yellow orange pink red",
        "leaf": "grass",
    },
    "thistle": {
        "habit": "brush",
        "petals": "60 40 70 36 56 40",
        "petal": "needle strap needle needle strap needle",
        "colour": "magenta magenta blue blue yellow yellow",
        "second": "white magenta violet white orange red",
        "pattern": "tip plain plain tip plain tip",
        "centre": "none",
        "heart": "green green violet green brown green",
        "leaf": "lobed toothed lobed grass lance lobed",
    },
    "pink": {
        "habit": "rosette",
        "petals": "5 5 5 4 5 8",
        "petal": "fringed heart heart notched fringed notched",
        "whorls": "1 1 1 1 3 1",
        "colour": "pink pink lilac lilac red red",
        "second": "maroon white yellow white white yellow",
        "pattern": "eye eye eye margin margin eye",
        "centre": "eye eye eye stamens none eye",
        "heart": "white yellow yellow yellow red yellow",
        "leaf": "grass oval oval lance grass lobed",
    },
    "arum": {
        "habit": "spathe",
        "petals": "1",
        "petal": "heart broad heart broad heart oval",
        "colour": "red red white white green green",
        "second": "white maroon green pink white maroon",
        "pattern": "plain veins tip eye veins stripe",
        "centre": "spadix",
        "heart": "yellow cream yellow orange magenta brown",
        "leaf": "heart lance oval heart heart lance",
    },
    "cinquefoil": {
        "habit": "rosette",
        "petals": "5 5 8 5 6 10",
        "petal": "round heart oval round oval lance",
        "colour": "yellow yellow white white blue blue",
        "second": "orange yellow white pink white blue",
        "pattern": "eye plain plain veins eye plain",
        "centre": "stamens stamens boss stamens boss boss",
        "heart": "yellow orange yellow magenta green yellow",
        "leaf": "toothed lobed heart lobed lance lobed",
    },
}

FORMS = tuple(_FORMS)
"""The names of the 17 forms."""


def kind(label: int) -> Kind:
    """Return the kind with this label, 1 to 102; it is the same in every archive.

    Raises:
        UserError: the label is not in 1..102.
    """
    if not 1 <= label <= KINDS:
        raise UserError(f"kind {label}: expected a label from 1 to {KINDS}")
    variety, place = divmod(label - 1, len(FORMS))
    form = FORMS[place]

    def trait(name: str, default: str = "1") -> str:
        words = _FORMS[form].get(name, default).split()
        return words[variety] if len(words) > 1 else words[0]

    colour, pattern = trait("colour"), trait("pattern")
    return Kind(
        label=label,
        form=form,
        habit=trait("habit"),
        petals=int(trait("petals")),
        petal=PETALS[trait("petal")],
        whorls=int(trait("whorls")),
        colour=COLOURS[colour],
        second=COLOURS[trait("second")],
        pattern=pattern,
        centre=trait("centre"),
        heart=COLOURS[trait("heart")],
        leaf=trait("leaf"),
        name=f"{colour} {form} {label}",
    )
