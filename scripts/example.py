"""Write docs/example/report.html, the demo's page in small, README's pictures, and jobs' times."""

import argparse
import base64
import html
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from PIL import Image

from repro.errors import UserError

MAX_BYTES = 1_000_000
WIDTH, COLOURS = 1000, 64  # of a picture
FIGURES = ("accuracy", "confusion", "gallery")
# README's pictures, beside the folder of the page.
SHOWN = {
    "comparison.png": "comparison.png",
    "curve.png": "numpy_1hidden/accuracy.png",
    "confusion.png": "numpy_1hidden/confusion.png",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCREEN = (1240, 800)  # pixels of the page's first screen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/demo"))
    parser.add_argument("--output", type=Path, default=Path("docs/example/report.html"))
    parser.add_argument("--seconds", type=Path, default=Path("resources/seconds.csv"))
    options = parser.parse_args()
    if not (options.results / "report.html").exists():
        raise UserError(f"{options.results} has no finished run: run `make demo` first")
    text = page(options.results)
    if len(text.encode()) > MAX_BYTES:
        raise UserError(f"the page has {len(text.encode()):,} bytes, over {MAX_BYTES:,}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    folder = options.output.parent.parent
    for name, figure in SHOWN.items():
        (folder / name).write_bytes(reduced(options.results / "figures" / figure))
    first_screen(options.results / "comparison.html", folder / "page.png")
    rule_graph(folder / "rules.svg")
    times = pd.read_csv(options.results / "runtime.csv").groupby("rule")["wall_s"].mean().round(1)
    # Where some files were there already, their rules did not run: what is known of them stays.
    known = pd.read_csv(options.seconds, index_col="rule")["seconds"]
    times.rename("seconds").combine_first(known).to_csv(options.seconds)
    print(f"{options.output}: {len(text.encode()):,} bytes")


def page(results: Path) -> str:
    """Return the page of the figures with that of the claims and the pictures after it."""
    whole = (results / "comparison.html").read_text(encoding="utf-8")
    body, rest = whole.rsplit("</main>", 1)
    parts = [
        body,
        "<h2>What the report says in words</h2>",
        content((results / "claims.html").read_text(encoding="utf-8")),
        *pictures(results),
        "<p>This is a part of the page that <code>make demo</code> leaves;"
        " <code>make example</code> took it from there.</p>",
        "</main>",
        rest,
    ]
    # It stands on its own: what the run's page links to is not beside it.
    return re.sub(r'<a href="[^"]*">(.*?)</a>', r"\1", "\n".join(parts))


def content(text: str) -> str:
    """Return what a page says under its title."""
    found = re.search(r"<main[^>]*>\s*<h1>.*?</h1>(.*)</main>", text, re.S)
    if found is None:
        raise UserError("a page of the run has no <main> with a title: is it of another version?")
    return found[1]


def pictures(results: Path) -> Iterator[str]:
    """Yield the figures of all models, then those of each."""
    yield "<h2>Pictures</h2>"
    yield picture(results / "figures/comparison.png", "comparison")
    models = pd.read_csv(results / "comparison.csv").drop_duplicates("model")
    for model, title in zip(models["model"], models["title"], strict=True):
        for name in FIGURES:
            yield picture(results / f"figures/{model}/{name}.png", f"{title}: {name}")


def picture(file: Path, words: str) -> str:
    """Return a PNG file as a part of the page; nothing where there is none."""
    if not file.exists():
        return ""
    data = base64.b64encode(reduced(file)).decode()
    words = html.escape(words)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{words}" style="max-width:100%">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def reduced(file: Path, colours: int = COLOURS) -> bytes:
    """Return a PNG file in small: fewer pixels and colours."""
    small = io.BytesIO()
    drawn = Image.open(file).convert("RGB")
    drawn.thumbnail((WIDTH, 2 * WIDTH))
    drawn.quantize(colours).save(small, "PNG", optimize=True)
    return small.getvalue()


def first_screen(page: Path, picture: Path) -> None:
    """Take a picture of a page's first screen, where there is a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"{picture} stays as it is: there is no Chromium or Chrome here")
        return
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "page.png"
        size = ",".join(map(str, SCREEN))
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--window-size={size}", f"--screenshot={taken}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        picture.write_bytes(reduced(taken, 256))


def rule_graph(picture: Path) -> None:
    """Draw which rule of the full run goes before which, where there is Graphviz."""
    thin, draw = shutil.which("tred"), shutil.which("dot")
    if thin is None or draw is None:
        print(f"{picture} stays as it is: there is no Graphviz here")
        return
    asked = ["snakemake", "--cores", "1", "--forceall", "--rulegraph"]
    graph = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    graph = re.sub(r', color = "[^"]*", style="rounded"', "", graph)  # a colour says nothing
    graph = re.sub(r'.*(\[label = "all"\]|-> 0$).*\n?', "", graph, flags=re.MULTILINE)
    # An arrow that others lead around is left out.
    fewer = subprocess.run([thin], input=graph, check=True, capture_output=True, text=True).stdout
    style = ["-Grankdir=LR", "-Granksep=0.3", "-Gnodesep=0.1", "-Epenwidth=1", "-Npenwidth=1"]
    subprocess.run([draw, "-Tsvg", *style, "-o", picture], input=fewer, check=True, text=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from None
