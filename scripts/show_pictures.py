"""Draw flowers into folders, train on them and ask the net; README's two pictures are of that.

Run by `make docs-pictures`. The drawn flowers are no photographs: their figures say nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from repro.flowers.synthetic import kind, paint
from repro.system.files import atomic_path

ROOT = Path(__file__).resolve().parents[1]
KINDS, OF_EACH, ASKED = range(1, 103), 8, 5
SIZE = (280, 240)
RUN = "results/drawn/runs/efficientnet_lite0/seed-1"
SHOWN = {
    "pictures_gallery.png": "results/drawn/figures/efficientnet_lite0/gallery.png",
    "pictures_answers.png": f"{RUN}/answers.png",
}
WIDTH, COLOURS = 900, 128


def draw(folder: Path) -> tuple[Path, Path]:
    """Draw pictures by kind, and a few of other kinds apart; return both folders."""
    rng = np.random.default_rng(1)
    mine, new = folder / "my flowers", folder / "new"
    new.mkdir()
    for label in KINDS:
        name = kind(label).name
        (mine / name).mkdir(parents=True, exist_ok=True)
        for number in range(OF_EACH):
            picture = Image.fromarray(paint(kind(label), SIZE, rng))
            picture.save(mine / name / f"{label}-{number:02d}.jpg", quality=90)
        if label % (len(KINDS) // ASKED) == 0:
            Image.fromarray(paint(kind(label), SIZE, rng)).save(new / f"{name}.png")
    return mine, new


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mine, new = draw(Path(folder))
        scripts = Path(__file__).parent
        for command in (
            [scripts / "pictures.py", mine, "--name", "drawn"],
            [scripts / "ask.py", RUN, new],
        ):
            subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)
    for name, made in SHOWN.items():
        with Image.open(ROOT / made) as image:
            small = image.convert("RGB")
            small.thumbnail((WIDTH, 4 * WIDTH))
            with atomic_path(ROOT / "docs" / name) as aside:
                small.quantize(COLOURS).save(aside, "PNG", optimize=True)


if __name__ == "__main__":
    main()
