"""Where the numbers of a run appear: what its figures draw, its pages, cards and records say.

Each function holds what it finds there against tables that the oracle has proved, through the
methods of Held.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageOps

SETS = ("train", "validation", "test")
COLOURS = {"train": "#0072b2", "validation": "#e69f00", "test": "#009e73"}
GREY, BLUE, ORANGE = "#777777", "#0072b2", "#d55e00"


def runs_of(config: dict, model: str) -> list[str]:
    """Return the names of a model's runs, the headline first."""
    if model in config["mnist"]["nets"]:
        return [f"seed-{seed}" for seed in config["mnist"]["nets"][model]["seeds"]]
    knobs = {**config["flowers"], **config["flowers"]["nets"][model]}
    splits = [f"split-{seed}" for seed in knobs["split_seeds"]]
    return [f"seed-{seed}" for seed in knobs["seeds"]] + splits


def splits_of(runs: list[str]) -> dict[str, str]:
    """Return the split that each run is on."""
    return {run: run.replace("split", "seed") if "split" in run else "main" for run in runs}


def net_of(config: dict, model: str) -> dict:
    return {**config["mnist"]["nets"], **config["flowers"]["nets"]}[model]


def shown(value: float, metric: str, digits: int | None = None) -> str:
    """Return an accuracy in percent, anything else as it is; nothing for what is missing."""
    if pd.isna(value):
        return ""
    percent = metric.endswith("accuracy")
    digits = (2 if percent else 4) if digits is None else digits
    return f"{100 * value if percent else value:.{digits}f}"


def reported(row: Any) -> str:
    """Return the report's own digits."""
    if pd.isna(row.reported) or pd.isna(row.reported_precision):
        return "" if pd.isna(row.reported) else "in words"
    step = row.reported_precision * (100 if row.metric.endswith("accuracy") else 1)
    return shown(row.reported, row.metric, max(0, round(-np.log10(step))))


def interval(row: Any, low: str = "wilson_low", high: str = "wilson_high") -> str:
    ends = [shown(getattr(row, end), row.metric) for end in (low, high)]
    return "\u2013".join(ends) if ends[0] else ""


def spread(row: Any) -> str:
    return f"{shown(row.mean, row.metric)} ± {shown(row.sd, row.metric)}"


def reproduced(row: Any) -> float:
    """Return the mean over runs; of a figure to the digit the headline."""
    return row.headline if row.verdict == "to the digit" else row.mean


def signed(value: float, metric: str) -> str:
    text = shown(value, metric)
    sign = "+" if text and float(text) > 0 else ""
    return text if text and float(text) < 0 else sign + text.lstrip("-")


def difference(row: Any) -> str:
    half = shown(row.half_width, row.metric)
    return signed(row.difference, row.metric) + (f" ± {half}" if half else "")


def said_of(row: Any) -> str:
    """Return a verdict on a figure, with what else decides it."""
    if pd.notna(row.protocol):
        return f"{row.verdict}: {row.protocol}"
    if row.verdict != "cannot tell":
        return row.verdict
    if pd.isna(row.half_width):
        return f"{row.verdict}: one run"
    needed = row.runs_needed
    return row.verdict + (
        ", nor would more runs" if pd.isna(needed) else f"; {needed:.0f} runs would"
    )


def said_of_claim(row: Any) -> str:
    other = "" if pd.isna(row.protocol) else f" by another protocol: {row.protocol}"
    return f"{row.verdict}{other}"


def cells_of(row: Any) -> list[str]:
    """Return what every table says of a figure."""
    ours = shown(reproduced(row), row.metric)
    return [row.split, reported(row), ours, difference(row), interval(row), said_of(row)]


# --- figures --------------------------------------------------------------------------------------


def curves(
    held: Any, config: dict, model: str, quantity: str, behind: tuple[pd.DataFrame, str] | None
) -> None:
    """Each history's line a set: the report's behind, further runs, the headline; the legend."""
    path, flowers = f"{model}/{quantity}", model in config["flowers"]["nets"]
    sets = SETS if flowers else SETS[:2]
    runs = runs_of(config, model)
    histories = [held.table(f"results/runs/{model}/{run}/history.csv") for run in runs]
    last, percent = int(histories[0]["epoch"].max()), quantity == "accuracy"
    panels = held.drawn(path)["panels"]
    starts = [1, last // 2 + 1] if percent and last >= 15 else [1]
    held.same(path, "panels", len(panels), len(starts))
    order = [*([] if behind is None else [behind[0]]), *histories[:0:-1], histories[0]]
    for panel, start in zip(panels, starts, strict=False):
        expected = []
        for history in order:
            for name in sets:
                rows = history[(history["split"] == name) & (history["epoch"] >= start)]
                rows = rows.dropna(subset=[quantity])
                values = rows[quantity] * (100 if percent else 1)
                expected.append((COLOURS[name], [*rows["epoch"]], [*values]))
        found = [(line["colour"], line["x"], line["y"]) for line in panel["lines"]]
        held.close(f"{path}: lines", found, expected)
        widths = [line["width"] for line in panel["lines"]]
        bold = widths[-len(sets) :]
        further = widths[-len(sets) * len(runs) : -len(sets)]
        held.same(path, "the headline is the boldest", all(w < min(bold) for w in further), True)
    legend = []
    for name in sets:
        end = histories[0].loc[histories[0]["split"] == name, quantity].iloc[-1]
        said = f"{100 * end:.2f} %" if percent else f"{end:.3f}"
        legend.append([COLOURS[name], f"{name}, at the end {said}"])
    if further := len(runs) - 1:
        legend.append([GREY, f"{further} further run{'s' if further > 1 else ''}"])
    if behind is not None:
        legend.append([GREY, behind[1]])
    held.same(path, "legend", panels[0]["legend"], legend)
    held.same(path, "title", panels[0]["title"], net_of(config, model)["title"])


def confusion(held: Any, config: dict, model: str) -> None:
    """A text a cell that is not empty, the true class by row."""
    counts = held.table(f"results/runs/{model}/{runs_of(config, model)[0]}/confusion.csv")
    labels = sorted({*counts["true"], *counts["taken_for"]})
    panel = held.drawn(f"{model}/confusion")["panels"][0]
    cells = {
        (labels.index(r.taken_for), labels.index(r.true)): str(r.count) for r in tuples(counts)
    }
    found = {(int(x), int(y)): text for x, y, text in panel["texts"]}
    held.same(f"{model}/confusion", "cells", found, cells)
    named = {r.true: getattr(r, "true_name", r.true) for r in tuples(counts)}
    named |= {r.taken_for: getattr(r, "taken_for_name", r.taken_for) for r in tuples(counts)}
    for axis in ("x_ticks", "y_ticks"):
        held.same(f"{model}/confusion", axis, panel[axis], [str(named[each]) for each in labels])
    held.same(f"{model}/confusion", "axes", panel["labels"], ["Taken for", "True class"])


def tuples(table: pd.DataFrame) -> list[Any]:
    """Return rows by name of column; ``count`` and ``index`` are names of a tuple's own methods."""
    return [type("Row", (), row) for row in table.to_dict("records")]


def gallery(held: Any, config: dict, model: str, images: Any) -> None:
    """The twelve most confident mistakes, each with its classes and confidence, and its image."""
    mistakes = held.table(f"results/runs/{model}/{runs_of(config, model)[0]}/mistakes.csv").head(12)
    panels = [panel for panel in held.drawn(f"{model}/gallery")["panels"] if panel["images"]]
    captions, pictures = [], []
    for row in tuples(mistakes):
        true = getattr(row, "true_name", row.true)
        taken = getattr(row, "taken_for_name", row.taken_for)
        captions.append(f"{true} taken for {taken} ({100 * row.confidence:.0f} %)")
        array = images(row.id)
        content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        pictures.append([[*array.shape], content, "uint8"])
    said = [" ".join(panel["title"].split()) for panel in panels]
    held.same(f"{model}/gallery", "captions", said, captions)
    held.same(f"{model}/gallery", "images", [panel["images"][0] for panel in panels], pictures)


def weights(held: Any, config: dict, model: str) -> None:
    """The first layer of the headline run's net, a picture a unit."""
    folder = f"results/runs/{model}/{runs_of(config, model)[0]}/model."
    (state,) = (made for path, made in held.content.items() if path.startswith(folder))
    expected = []
    for unit in (state["weights_0"] if "weights_0" in state else state["0.weight"])[:50]:
        content = hashlib.sha256(np.ascontiguousarray(unit).tobytes()).hexdigest()
        expected.append([[28, 28], content, str(unit.dtype)])
    panels = held.drawn(f"{model}/weights")["panels"]
    found = [panel["images"][0] for panel in panels if panel["images"]]
    held.same(f"{model}/weights", "pictures", found, expected)


def reliability(held: Any, config: dict, model: str) -> None:
    """Bins of ten images and more as a line, the others apart; how many images are in each."""
    folder = f"results/runs/{model}/{runs_of(config, model)[0]}"
    bins, metrics = held.table(f"{folder}/reliability.csv"), held.table(f"{folder}/metrics.csv")
    top, bottom = held.drawn(f"{model}/reliability")["panels"]
    few = bins["count"] < 10
    expected = [(GREY, [0.0, 1.0], [0.0, 1.0])]
    for colour, some in ((BLUE, bins[~few]), (GREY, bins[few])):
        if colour == BLUE or few.any():
            expected.append((colour, [*some["confidence"]], [*some["accuracy"]]))
    found = [(line["colour"], line["x"], line["y"]) for line in top["lines"]]
    held.close(f"{model}/reliability: lines", found, expected)
    bars = [(x + width / 2, y + height) for x, y, width, height in bottom["bars"]]
    made = [*zip(bins["confidence"], bins["count"].astype(float), strict=True)]
    held.close(f"{model}/reliability: bars", bars, made)
    ece = metrics[(metrics["split"] == "test") & (metrics["metric"] == "ece")]["value"].item()
    title = f"Expected calibration error {100 * ece:.1f} %"
    held.same(f"{model}/reliability", "legend", top["legend_title"], title)


REACH = 2.5  # margins; what lies further out is drawn at the edge


def comparison(held: Any) -> None:
    """Each figure in margins from the reported one: what chance explains, the runs, their mean."""
    metrics = held.table("results/metrics.csv")
    rows = [r for r in tuples(held.table("results/comparison.csv")) if pd.notna(r.difference)]
    panel = held.drawn("comparison")["panels"][0]
    held.same("comparison", "band", [[x, width] for x, _, width, _ in panel["bars"]], [[-1.0, 2.0]])
    lines, texts, y, of_model = [("None", [0.0, 0.0], None)], [], -1.4, None
    for row in rows:
        if row.model != of_model:
            y, of_model = y + 1.4, row.model
            texts.append([0.0, y, row.title])
        y += 1
        same = (metrics[key] == getattr(row, key) for key in ("model", "split", "metric"))
        values = metrics[np.logical_and.reduce([*same])]["value"]
        middle, half = row.difference / row.margin, row.half_width / row.margin
        if pd.notna(half):
            ends = np.clip([middle - half, middle + half], -REACH, REACH)
            lines.append(("None", [*ends], y))
        lines.append(("o", [*((values - row.reported) / row.margin).clip(-REACH, REACH)], y))
        marker = "D" if abs(middle) <= REACH else "<" if middle < 0 else ">"
        hollow = "" if pd.isna(row.protocol) else ", hollow"
        lines.append((marker + hollow, [float(np.clip(middle, -REACH, REACH))], y))
        exact = shown(row.reported, row.metric) if reported(row) == "in words" else reported(row)
        texts.append([1.0, y, f"{exact} → {shown(reproduced(row), row.metric)}  {said_of(row)}"])
    found = [
        (
            line["marker"] + (", hollow" if line["fill"] == "#ffffff" else ""),
            line["x"],
            line["y"][0] if place else None,
        )
        for place, line in enumerate(panel["lines"])
    ]
    held.close("comparison: lines", found, lines)
    held.close("comparison: texts", panel["texts"], texts)
    held.same(
        "comparison", "sets", [t.split()[0] for t in panel["y_ticks"]], [r.split for r in rows]
    )


def runtime(held: Any) -> None:
    """The seconds of each rule's jobs, and the most memory one of them took."""
    table = held.table("results/runtime.csv")
    held.same("results/runtime.csv", "pieces before a kill", {*table["earlier_s"]}, {0.0})
    rules = table.groupby("rule").agg(
        jobs=("job", "size"), s=("wall_s", "sum"), m=("peak_rss_mib", "max")
    )
    rules = rules.reset_index().sort_values(["s", "rule"], ascending=[False, True])
    for panel, column in zip(held.drawn("runtime")["panels"], ("s", "m"), strict=True):
        widths = [width for _, _, width, _ in panel["bars"]]
        held.close(f"runtime: {column}", widths, [*rules[column].fillna(0)])


# --- pages ----------------------------------------------------------------------------------------


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not re.fullmatch("[-: ]+", "".join(row))]


def not_run(table: pd.DataFrame) -> pd.Series:
    """Return which rows are of a model that was not run; tables have one line for all of them."""
    return (table["verdict"] == "not run").groupby(table["model"]).transform("all")


def markdown(held: Any) -> None:
    """comparison.md and claims.md, which stand in REPORT.md as they are; the sentences above."""
    table = held.table("results/comparison.csv")
    rows = tuples(table[~not_run(table)])
    of_runs = [
        [
            *(row.split, str(row.n_runs), shown(row.headline, row.metric)),
            *(spread(row), interval(row, "min", "max")),
        ]
        for row in rows
        if row.n_runs > 1
    ]
    text = held.text("results/comparison.md")
    above, _, below = text.partition("\n\n")
    found = [
        [row[0].split()[0], *row[1:]] for row in markdown_rows(text) if row[0].startswith(SETS)
    ]
    of_figures = [cells_of(row) for row in rows]
    held.same("results/comparison.md", "rows", [r for r in found if len(r) == 6], of_figures)
    held.same("results/comparison.md", "spread", [r for r in found if len(r) == 5], of_runs)
    claims = tuples(held.table("results/claims.csv"))
    judged = held.text("results/claims.md")
    found = [row[:2] for row in markdown_rows(judged)[1:]]
    verdicts = [[str(row.claim), said_of_claim(row)] for row in claims]
    held.same("results/claims.md", "verdicts", found, verdicts)
    for row in claims:
        for said in (row.text, row.test, row.evidence, row.needs):
            held.same(
                "results/claims.md", f"claim {row.claim}", pd.isna(said) or said in judged, True
            )
    over = held.table("results/overview.json")
    said = [f"“{title}”" for order in over["orders"] for title in order["models"]]
    said += [part for pair in over["agreement"].items() for part in (pair[0], pair[1][1:])]
    for each in said:
        held.same("results/comparison.md", f"says {each}", each in above, True)
    page = held.text("results/REPORT.md")
    for part in (above, below, judged):
        held.same("results/REPORT.md", "holds it", part.strip() in page, True)
    page = html.unescape(held.text("results/comparison.html"))
    for part in (*(line[2:] for line in above.splitlines()), *over["made_on"]):
        held.same("results/comparison.html", f"says {part!r}", part in page, True)


class Cells(HTMLParser):
    """The text of each cell of each row of a page's tables, small print behind a bar."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside: str = ""

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = tag
        elif tag == "small":
            self.rows[-1][-1] = self.rows[-1][-1].strip() + "|"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("td", "th"):
            self.rows[-1][-1] += data


def pages(held: Any) -> None:
    """The tables of the HTML pages."""
    table, expected = held.table("results/comparison.csv"), []
    for row in tuples(table[~not_run(table)]):
        figure = cells_of(row)
        if pd.notna(row.margin):
            figure[3] += f"|matters\u00a0from\u00a0{shown(row.margin, row.metric)}"
        borrowed = f"spread of {row.spread_of}" if "reference" in str(row.spread_of) else ""
        runs = f"1 run|{borrowed}"
        if row.n_runs > 1:
            runs = f"{spread(row)}|{row.n_runs} runs{f', {borrowed}' if borrowed else ''}"
        expected.append([row.title, *figure[:3], figure[3].replace("-", "\u2212"), figure[5]])
        expected[-1] += [figure[4], runs.removesuffix("|")]
    for title, group in table[not_run(table)].groupby("title"):
        expected.append([title, str(len(group)), "", "", "", "not run", "", ""])
    found = []
    for title, figure, *numbers, verdict, wilson, runs in cells(
        held.text("results/comparison.html")
    ):
        said = verdict.split("|")[0].strip()[1:]  # without its sign
        row = [title.split("|")[0], figure.split()[0], *numbers, said, wilson, runs]
        found.append([cell.strip() for cell in row])
    held.same("results/comparison.html", "rows", sorted(found), sorted(expected))
    claims = tuples(held.table("results/claims.csv"))
    found = [
        [row[0].strip(), row[2].split("|")[0].strip()[1:]]
        for row in cells(held.text("results/claims.html"))
    ]
    held.same("results/claims.html", "verdicts", found, [[str(r.claim), r.verdict] for r in claims])
    record = json.loads(held.text("results/provenance.json"))
    page = held.text("results/provenance.html")
    for value in leaves(record):
        held.same("results/provenance.html", f"holds {value}", str(value) in page, True)


def left_out(held: Any, config: dict) -> None:
    """Every page says how many images do not open, and which."""
    numbers = held.table(f"data/{config['flowers']['data']}/damaged.json")
    said = f"the data as damaged: {len(numbers)} images ({', '.join(map(str, numbers))})."
    for page in ("comparison.html", "provenance.html", "REPORT.md"):
        held.same(f"results/{page}", said, said in held.text(f"results/{page}"), True)


def cells(page: str) -> list[list[str]]:
    parser = Cells()
    parser.feed(page)
    return [row for row in parser.rows if row][1:]


def leaves(value: Any) -> Iterator[Any]:
    """Yield the numbers and texts of a record."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif value not in (None, "") and not isinstance(value, bool) and str(value).isalnum():
        yield value


# --- cards and records ----------------------------------------------------------------------------


def split_counts(held: Any, path: str) -> dict[str, int]:
    return held.table(path)["split"].value_counts().to_dict()


def card(held: Any, config: dict, model: str) -> None:
    """A card's numbers, each with the words around it."""
    path, net, runs = (
        f"results/runs/{model}/model_card.md",
        net_of(config, model),
        runs_of(config, model),
    )
    text, flowers = held.text(path), model in config["flowers"]["nets"]
    data = config["flowers"]["data"]
    split = f"data/{data}/splits/main.csv" if flowers else "data/mnist/split.csv"
    recipe = config["flowers"]["head"] if flowers else net
    classes = held.table(split)["label"].nunique()
    own = [row for row in tuples(held.table("results/comparison.csv")) if row.model == model]
    counts = split_counts(held, split)
    seed = config["flowers" if flowers else "mnist"]["split"]["seed"]
    widths = [784, *net["hidden"], 10] if not flowers else [24, recipe["hidden"], classes]
    parameters = sum((below + 1) * units for below, units in pairwise(widths))
    expected = [
        f"into {classes} classes",
        f"one of {len(runs)} runs" if len(runs) > 1 else "the only run",
        f"Headline: `{runs[0]}/model.",
        ", ".join(f"{name} {counts[name]:,}" for name in SETS) + " images",
        f"seed {seed}.",
        f"learning rate {recipe['learning_rate']}, batches of {recipe['batch_size']}",
        f"epochs: {recipe['epochs']};",
    ]
    expected += (
        [f"layers: {'-'.join(map(str, widths))}, "]
        if not flowers
        else [
            f"hidden layer of {recipe['hidden']}, ",
            f"log-softmax over {classes}",
            f"one of {classes} classes",
        ]
    )
    if flowers:
        damaged = len(held.table(f"data/{data}/damaged.json"))
        expected.append(f"left out as damaged: {damaged} before the split, 0 after it.")
    if not flowers or net["protocol"] != "notebook":
        expected.append(f"{parameters:,} parameters")
    ece = held.table("results/metrics.csv").query("model == @model and run == @runs[0]")
    ece = ece[(ece["split"] == "test") & (ece["metric"] == "ece")]["value"].item()
    expected.append(f"Expected calibration error on the test set: {ece:.3f}.")
    for row in own:
        if row.n_runs > 1 and (row.split, row.metric) == ("test", "accuracy"):
            ends = interval(row, "min", "max")
            expected.append(f"Test accuracy % over {row.n_runs} runs: {spread(row)} ({ends}).")
    for said in expected:
        held.same(path, f"says {said!r}", said in text, True)
    rows = [cells_of(row) for row in own]
    found = [[row[0].split()[0], *row[1:]] for row in markdown_rows(text)[1:]]
    held.same(path, "figures", found, rows)


def provenance(held: Any, config: dict, raw: dict[str, Path]) -> None:
    """What the record says of runs, seeds, data, splits, features, passes and results."""
    path, data = "results/provenance.json", config["flowers"]["data"]
    found = json.loads(held.text(path))["identity"]
    flowers = config["flowers"]
    of_flowers = [model for model in config["models"] if model in flowers["nets"]]
    images = held.table(f"data/{data}/images.csv")
    splits = [
        "main",
        *{f"seed-{s}" for m in of_flowers for s in net_knobs(config, m)["split_seeds"]},
    ]
    tables = {
        f"{data}/splits/{name}.csv": held.table(f"data/{data}/splits/{name}.csv") for name in splits
    }
    tables["mnist/split.csv"] = held.table("data/mnist/split.csv")
    expected = {
        file: {
            name: {
                "images": int((table["split"] == name).sum()),
                "ids_sha256": digest(
                    "".join(f"{i}\n" for i in table["id"][table["split"] == name])
                ),
            }
            for name in SETS
        }
        for file, table in tables.items()
    }
    held.same(path, "splits", found["splits"], expected)
    runs = {model: runs_of(config, model) for model in config["models"]}
    held.same(path, "runs", found["runs"], runs)
    of_seeds = {
        f"mnist.nets.{m}.seeds": net_of(config, m)["seeds"] for m in runs if m not in of_flowers
    }
    of_seeds |= {"mnist.split.seed": config["mnist"]["split"]["seed"]}
    of_seeds |= {"flowers.split.seed": flowers["split"]["seed"]}
    for model in of_flowers:
        for kind_of_seed in ("seeds", "split_seeds"):
            key = f"flowers.nets.{model}.{kind_of_seed}"
            of_seeds[key] = net_knobs(config, model)[kind_of_seed]
    held.same(path, "seeds", found["seeds"], of_seeds)
    needed = [name for name in raw if not name.endswith("setid.mat")]
    hashes = {name: {"sha256": digest(raw[name].read_bytes())} for name in needed}
    held.same(path, "downloads", found["downloads"], hashes)
    file = f"{data}/images.csv"
    held.same(path, "images", found["images"], {file: held.digest(f"data/{file}")})
    held.same(path, "damaged", found["damaged"], held.table(f"data/{data}/damaged.json"))
    passes: dict[str, int] = dict.fromkeys(of_flowers, 0)
    for model in of_flowers:
        for run in runs[model] if net_of(config, model)["protocol"] == "notebook" else ():
            name = run.replace("split", "seed") if run.startswith("split") else "main"
            counts = expected[f"{data}/splits/{name}.csv"]
            every = sum(each["images"] for each in counts.values())
            passes[model] += flowers["head"]["epochs"] * every + counts["train"]["images"]
    lines = "".join(f"{i} {h}\n" for i, h in zip(images["id"], images["sha256"], strict=True))
    for store, about in found["features"].items():
        model, cover = store.split("/")
        net, adapted = net_of(config, model), 0
        if net["protocol"] == "adapted":
            train = expected[f"{data}/splits/{cover}.csv"]["train"]["images"]
            adapted = train // flowers["batch_size"] * flowers["batch_size"]
            held.same(path, f"{store} adapted on", about["protocol"]["adapted_on"], adapted)
        facts = {
            "architecture": net["architecture"],
            "weights_sha256": digest(raw[net["weights"]].read_bytes()),
            "width": 24,
            "images": len(images),
            "images_sha256": digest(lines),
            "features_sha256": held.digest(f"data/{data}/features/{store}/features.npy"),
            "damaged": [],
            "forward_passes": len(images) + adapted,
        }
        held.same(path, store, {key: about[key] for key in facts}, facts)
        held.same(path, f"{store} protocol", about["protocol"]["name"], net["protocol"])
        held.same(path, f"{store} weights", about["weights_loaded"], "by name")
        manifest = json.loads(held.text(f"data/{data}/features/{store}/manifest.json"))
        held.same(path, f"{store} rows", manifest["rows"], len(images))
        passes[model] += facts["forward_passes"]
    held.same(path, "passes", found["forward_passes"], passes)
    for file, hashed in found["results"].items():
        held.same(path, file, hashed, held.digest(f"results/{file}"))
    computed = found["configuration"]
    for key in ("models", "mnist"):
        held.same(path, f"configuration: {key}", computed[key], config[key])


def networks(held: Any, config: dict, raw: dict[str, Path]) -> None:
    """What the record says of the models, and of the backbones that keep no features."""
    path = "results/provenance.json"
    found = json.loads(held.text(path))["identity"]
    flowers = config["flowers"]["nets"]
    by_notebook = [
        m for m in config["models"] if m in flowers and flowers[m]["protocol"] == "notebook"
    ]
    held.same(path, "notebooks", sorted(found["notebooks"]), sorted(by_notebook))
    for model in by_notebook:
        about = json.loads(held.text(f"data/{config['flowers']['data']}/notebook/{model}.json"))
        held.same(path, model, found["notebooks"][model], about)
        net = net_of(config, model)
        facts = {
            "architecture": net["architecture"],
            "weights_sha256": digest(raw[net["weights"]].read_bytes()),
            "weights_loaded": "by name",
            "width": 24,
            "protocol": {"name": "notebook"},
        }
        held.same(path, f"{model} facts", {key: about[key] for key in facts}, facts)
    comparison = held.table("results/comparison.csv").astype(object).fillna("")
    held.same(path, "models", [*found["models"]], config["models"])
    for model, entry in found["models"].items():
        row = comparison[comparison["model"] == model].iloc[0]
        net = net_of(config, model)
        facts = {key: row[key] for key in ("title", "recipe", "why_not")}
        facts |= {"comparable": not row["why_not"], "runs": splits_of(runs_of(config, model))}
        facts |= {"protocol": net.get("protocol", ""), "reported": net["reported"]}
        facts["longer_of"] = net.get("longer_of")
        held.same(path, f"model {model}", {key: entry[key] for key in facts}, facts)


def code(held: Any) -> None:
    """The hash of each file that results are made by, and the one hash of all."""
    path = "results/provenance.json"
    found = json.loads(held.text(path))["identity"]["code"]
    files = [held.folder / "Snakefile"]
    for folder in ("rules", "scripts", "envs", "resources"):
        files += [file for file in (held.folder / folder).rglob("*") if file.is_file()]
    names = [file.relative_to(held.folder).as_posix() for file in files]
    hashes = {name: held.digest(name) for name in sorted(names) if "__pycache__" not in name}
    held.same(path, "code", found["files"], hashes)
    text = json.dumps(hashes, sort_keys=True, separators=(",", ":"))
    held.same(path, "sha256 of all code", found["sha256"], digest(text))


def net_knobs(config: dict, model: str) -> dict:
    return {**config["flowers"], **config["flowers"]["nets"][model]}


def digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def crate(held: Any) -> None:
    """Every file of the crate with its own hash and size; the workflow in it as it ran."""
    entities = json.loads(held.text("results/ro-crate-metadata.json"))["@graph"]
    files = {
        e["@id"]: e for e in entities if "File" in np.atleast_1d(e["@type"]) and ":" not in e["@id"]
    }
    for name, entity in files.items():
        held.same(
            "results/ro-crate-metadata.json", name, entity["sha256"], held.digest(f"results/{name}")
        )
        size = (held.folder / "results" / name).stat().st_size
        held.same(
            "results/ro-crate-metadata.json", f"{name}: size", entity["contentSize"], str(size)
        )
    path = "results/ro-crate-metadata.json"
    logs = {name.removeprefix("workflow/logs/") for name in files if name.endswith(".log")}
    held.seen |= {f"results/workflow/logs/{name}" for name in logs}
    left = (
        file.relative_to(held.folder / "logs") for file in (held.folder / "logs").rglob("*.log")
    )
    # The crate's own, and what the data set's own split takes, which is drawn in a second run.
    late = {"write_crate.log", "fetch/oxford102/setid.mat.log"}
    held.same(path, "logs", logs, {file.as_posix() for file in left} - late)
    for name in set(held.table("results/comparison.csv")["log"].dropna()):
        held.same(path, name, files[name]["name"], f"Log of {name[14:-4]}")
    for name in [
        "Snakefile",
        *(f"rules/{file.name}" for file in (held.folder / "rules").glob("*")),
    ]:
        path = f"results/workflow/{name}"
        held.seen.add(path)
        held.same(path, "as it ran", held.digest(path), held.digest(name))


def digit_of(images: np.ndarray) -> Any:
    return lambda number: images[number].reshape(28, 28)


def photograph_of(pictures: dict[int, Image.Image]) -> Any:
    return lambda number: np.asarray(
        ImageOps.fit(pictures[number], (256, 256), Image.Resampling.BICUBIC)
    )


def configuration(held: Any, config: dict) -> None:
    held.same(
        "results/config.yaml", "all", yaml.safe_load(held.text("results/config.yaml")), config
    )


def raw_files(held: Any, config: dict, raw: dict[str, Path]) -> None:
    """Downloads byte for byte; every picture where images.csv and each manifest say it is."""
    for name, file in raw.items():
        path = f"data/downloads/{name}"
        held.seen.add(path)
        held.same(path, "content", held.digest(path), digest(file.read_bytes()))
    data = config["flowers"]["data"]
    layouts = (held.folder / f"data/{data}/manifests").glob("*.csv")
    tables = {
        f"data/{data}/folders/{file.stem}": f"data/{data}/manifests/{file.name}" for file in layouts
    }
    for folder, table in {**tables, f"data/{data}": f"data/{data}/images.csv"}.items():
        found = {}
        for file in (held.folder / folder).rglob("*.jpg"):
            path = file.relative_to(held.folder).as_posix()
            held.seen.add(path)
            if not path.startswith(f"data/{data}/folders/") or folder != f"data/{data}":
                found[file.relative_to(held.folder / folder).as_posix()] = held.digest(path)
        images = held.table(table)
        made = dict(zip(images["file"], images["sha256"], strict=True))
        damaged = {name for name in found if folder == f"data/{data}"} - made.keys()
        held.same(folder, "pictures", {k: v for k, v in found.items() if k not in damaged}, made)
