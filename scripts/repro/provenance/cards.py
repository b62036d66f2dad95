"""A short card for each trained model: data, recipe, figures, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd

from repro.comparison.compare import Model
from repro.comparison.verdict import WhyNot
from repro.evaluation.names import COUNTED
from repro.features.loaded import Loaded
from repro.report import markdown

MNIST_PIXELS = 784
MNIST_CLASSES = 10

_KNOWN = {
    "stated": "The report or what belongs to it states it.",
    "replayed": "Found by replaying the report; the report does not state it in full.",
    "inferred": "Inferred: the report does not state it in full, and others may fit as well.",
    "own": "Not the report's.",
}
_ABOUT_MNIST = (
    "It was trained and tested on centred grey digits of 28 × 28 pixels only; how it does on other "
    "handwriting is not known."
)
_ABOUT_IMAGES = (
    "It names one of {classes} classes for any picture, whatever that shows; it has no answer for "
    "none of them."
)
_CHANGED = (
    "It is not the report's model ({why_not}), so its figures cannot be held against the report's."
)
_ANOTHER_PROTOCOL = (
    "The report's figures were made by another protocol than {protocol}; these stand beside them "
    "and say nothing for or against them."
)
_PROTOCOLS = {
    "frozen": "frozen: in evaluation mode, its features computed once",
    "adapted": "adapted: BatchNorm statistics estimated anew on the training images, then frozen",
    "notebook": "notebook: not trained, but in training mode; every image through the whole net in "
    "every epoch",
}
_LOSSES = {"mse": "mean squared error", "cross_entropy": "cross-entropy"}
_FRAMEWORKS = {"numpy": "NumPy", "torch": "PyTorch"}


@dataclass(frozen=True)
class Data:
    """What a model was trained and tested on.

    Attributes:
        name: of the data set, for a sentence: "MNIST".
        images: number of images in each set, by "train", "validation" and "test".
        split: how the sets were drawn, e.g. "stratified, seed 1".
        classes: number of labels.
        licences: as the registry states them, each once; empty for drawn images.
        damaged: number of images that do not open and are in no set.
        own: whether they are the user's own, of which no report says a word.
        names: of one's own classes.
        only_trained_on: classes too small for three sets, and their number of images.
    """

    name: str
    images: Mapping[str, int]
    split: str
    classes: int
    licences: Sequence[str] = ()
    damaged: int = 0
    own: bool = False
    names: Sequence[str] = ()
    only_trained_on: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Backbone:
    """The network below a head.

    Attributes:
        architecture: as in the configuration, e.g. "torchvision:resnet152".
        weights: what its weights are, e.g. the registry's description; empty for random ones.
        licence: the weights' own.
        protocol: "frozen", "adapted" or "notebook".
        manifest: what is known of it: how it was loaded, its size, its input.
    """

    architecture: str
    weights: str
    licence: str
    protocol: str
    manifest: Mapping[str, Any]


def card(
    model: Model,
    recipe: Mapping[str, Any],
    data: Data,
    backbone: Backbone | None = None,
    *,
    comparison: pd.DataFrame,
    metrics: pd.DataFrame,
    files: Sequence[str],
) -> str:
    """Return the card as Markdown.

    Args:
        model: as for the comparison.
        recipe: a net's description for MNIST, the head's recipe for flowers.
        data: what it was trained on.
        backbone: of a flower net.
        comparison: rows of comparison.csv, all models.
        metrics: rows of metrics.csv, all models.
        files: the trained models, the headline first, relative to the card.
    """
    figures = comparison[comparison["model"] == model.name]
    own = metrics[metrics["model"] == model.name]
    parts = [
        f"# {model.title}",
        _introduction(model, data, files, backbone),
        "## Data",
        _data(data, backbone),
        "## Recipe",
        "" if data.own else _KNOWN[model.recipe],
        _items(_mlp(recipe) if backbone is None else _head(recipe, data, backbone)),
        "## Figures",
        _figures(figures, data),
        _about_figures(figures, own, model),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(model, data, own, figures, backbone)),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _introduction(model: Model, data: Data, files: Sequence[str], backbone: Backbone | None) -> str:
    what = (
        "A fully connected net" if backbone is None else "A head on a backbone that is not trained"
    )
    runs = f"one of {len(files)} runs" if len(files) > 1 else "the only run"
    headline = f"Headline: `{files[0]}`, {runs}."
    if data.own and not model.reported:
        return f"{what}; gives pictures one of {data.classes} names.\n{headline}"
    counterpart = "the report has no such model"
    if model.reported:
        has = "the report has this model"
        counterpart = has if model.comparable else "it stands in for a model of the report"
    return (
        f"{what}; sorts images of {data.name} into {data.classes} classes; {counterpart}. It was "
        f"trained to check the report's figures, not to be used.\n{headline}"
    )


def _data(data: Data, backbone: Backbone | None) -> str:
    sets = ", ".join(f"{name} {count:,}" for name, count in data.images.items())
    licences = f" Licence: {'; '.join(data.licences)}." if data.licences else ""
    name = data.name[0].upper() + data.name[1:]
    text = f"{name}: {sets} images; split {data.split}.{_left_out(data, backbone)}{licences}"
    if data.only_trained_on:
        few = ", ".join(f"{kind} ({count})" for kind, count in data.only_trained_on.items())
        text += f"\n\nIn training only, so no figure tells how well they are known: {few}."
    return f"{text}\n\nClasses: {', '.join(data.names)}." if data.names else text


def _figures(figures: pd.DataFrame, data: Data) -> str:
    cells = [markdown.figure_cells(row) for row in figures.to_dict("records")]
    if not data.own or any(cell.reported for cell in cells):
        return markdown.figure_table(cells)
    lines = [[cell.figure, cell.reproduced, cell.interval] for cell in cells]
    return markdown.markdown(["figure", "value", "95 % interval"], lines, numbers=(1, 2))


def _left_out(data: Data, backbone: Backbone | None) -> str:
    manifest = backbone.manifest if backbone else None
    late = len(manifest.get("damaged", ())) if manifest else 0
    if not data.damaged and not late:
        return ""
    return f" Images left out as damaged: {data.damaged:,} before the split, {late:,} after it."


def _mlp(recipe: Mapping[str, Any]) -> dict[str, str]:
    widths = [MNIST_PIXELS, *recipe["hidden"], MNIST_CLASSES]
    between = f"{recipe['activation']} between, " if recipe["hidden"] else ""
    return {
        "framework": _FRAMEWORKS[recipe["framework"]],
        "layers": f"{'-'.join(map(str, widths))}, {between}"
        f"{recipe['output']} at the end; {_parameters(widths):,} parameters",
        "loss": _LOSSES[recipe["loss"]],
        "optimiser": f"SGD, learning rate {recipe['learning_rate']}, {_further(recipe)}batches of "
        f"{recipe['batch_size']}",
        "epochs": f"{recipe['epochs']}; the last one is reported",
        "precision": recipe["dtype"],
        "input": "((pixel / 255) − 0.5) · 2",
    }


def _further(recipe: Mapping[str, Any]) -> str:
    """Return what there is beside plain gradient descent."""
    kept = [key for key in ("momentum", "weight_decay") if recipe.get(key)]
    return "".join(f"{key.replace('_', ' ')} {recipe[key]}, " for key in kept)


def _head(recipe: Mapping[str, Any], data: Data, backbone: Backbone) -> dict[str, str]:
    known = backbone.manifest
    widths = [known["width"], recipe["hidden"], data.classes]
    look = known["preprocess"]
    by_order = (
        ", loaded by order, not by name" if known["weights_loaded"] == Loaded.BY_ORDER else ""
    )
    return {
        "backbone": f"{backbone.architecture}, {backbone.weights or 'random weights'}{by_order}; "
        f"{known['parameters']:,} parameters",
        "protocol": _PROTOCOLS[backbone.protocol],
        "head": f"hidden layer of {recipe['hidden']}, relu, log-softmax over {data.classes}; "
        f"{_parameters(widths):,} parameters, the only ones trained",
        "loss": "negative log-likelihood",
        "optimiser": f"Adam, learning rate {recipe['learning_rate']}, batches of "
        f"{recipe['batch_size']}",
        "epochs": f"{recipe['epochs']}; the last one is reported",
        "input": f"shorter side to {look['resize']} pixels, centre crop of {look['crop']}, "
        f"mean {look['mean']}, deviation {look['std']}",
    }


def _parameters(widths: Sequence[int]) -> int:
    return sum((below + 1) * above for below, above in pairwise(widths))


def _items(entries: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in entries.items())


def _about_figures(figures: pd.DataFrame, own: pd.DataFrame, model: Model) -> str:
    lines = []
    if (figures["metric"] == "auc_ovr_softmax").any():
        lines.append("AUC: macro, one-vs-rest on softmax of the outputs.")
    many = figures[(figures["n_runs"] > 1) & (figures["split"] == "test")]
    for row in many[many["metric"].isin(COUNTED)].to_dict("records"):
        spread = markdown.mean_and_sd(row)
        span = markdown.between(row["min"], row["max"], row["metric"])
        lines.append(f"Test {row['metric']} % over {row['n_runs']} runs: {spread} ({span}).")
    error = _metric(own, model.headline, "ece")
    if error is not None:
        lines.append(f"Expected calibration error on the test set: {error:.3f}.")
    return "\n".join(lines)


def _metric(own: pd.DataFrame, run: str, metric: str) -> float | None:
    rows = own[(own["run"] == run) & (own["split"] == "test") & (own["metric"] == metric)]
    return None if rows.empty else float(rows["value"].iloc[0])


def _limits(
    model: Model,
    data: Data,
    own: pd.DataFrame,
    figures: pd.DataFrame,
    backbone: Backbone | None,
) -> list[str]:
    why_not = model.why_not.partition(":")[0]
    limits = [reason.meaning for reason in WhyNot if reason == why_not and reason.meaning]
    if data.own and not model.reported:
        limits = []
    if model.reported and model.why_not and not limits:
        limits.append(_CHANGED.format(why_not=model.why_not))
    if not figures["protocol"].map(markdown.missing).all():
        limits.append(_ANOTHER_PROTOCOL.format(protocol=model.protocol))
    if model.recipe == "inferred":
        limits.append("Where its figures differ from the report's, the recipe may be the reason.")
    if figures["wilson_low"].notna().any():
        limits.append(
            "The intervals (Wilson's) are about the draw of the held-out images alone, not about "
            "seed, split or other data."
        )
    if own["run"].nunique() == 1:
        limits.append("It was run once; how far its figures move from run to run it does not show.")
    if backbone is None:
        limits.append(_ABOUT_MNIST)
    else:
        limits.append(_ABOUT_IMAGES.format(classes=data.classes))
        if backbone.licence:
            limits.append(
                f"The backbone's weights have a licence of their own: {backbone.licence}."
            )
    return limits
