"""Which figures there are of a net, and the words above and beside them."""

from __future__ import annotations

from repro.comparison.reported import Report
from repro.evaluation.names import ERROR
from repro.plan import Model

# The report shows loss curves of the flower nets only.
_CURVES = {"mnist": ("accuracy",), "flowers": ("accuracy", "loss")}
_CLOSER_LOOKS = ("confusion", "gallery", "reliability")
# The first layer of a flower net is a backbone's.
FIGURES = {
    "mnist": (*_CURVES["mnist"], *_CLOSER_LOOKS, "weights"),
    "flowers": (*_CURVES["flowers"], *_CLOSER_LOOKS),
}
FIGURE_NAMES = {
    "accuracy": "accuracy per epoch",
    "loss": "loss per epoch",
    "confusion": "confusion of classes",
    "gallery": "most confident mistakes",
    "reliability": "reliability of probabilities",
    "weights": "weights of the first layer",
    "against": "images only one of two nets gets right",
}
CATEGORIES = {
    **dict.fromkeys(("accuracy", "loss"), "Curves"),
    **dict.fromkeys((*_CLOSER_LOOKS, "against"), "Errors"),
    "weights": "Weights",
}
# Benchmarks of this project, by the name of their table.
BENCHMARK_TITLES = {
    "bench_mnist": "Speed of the from-scratch net",
    "bench_flowers": "Speed of the backbones' passes",
}
# The sets a model's history is drawn of: the report shows no test curve for MNIST.
SETS = {"mnist": ("train", "validation"), "flowers": ("train", "validation", "test")}
# What the loss axis says.
LOSS_LABELS = {
    "mse": "Loss (mean squared error)",
    "cross_entropy": "Loss (cross-entropy, nats)",
    "nll": "Loss (negative log-likelihood, nats)",
}


def quantities(model: Model, report: Report) -> dict[str, str]:
    """Return the quantity of each curve of a model, by the figure's name."""
    return {figure: _quantity(model, figure, report) for figure in _CURVES[model.part]}


def figure_name(model: Model, figure: str, report: Report) -> str:
    """Return what a figure of a model is called."""
    error = _quantity(model, figure, report) == "error"
    return "error per epoch" if error else FIGURE_NAMES[figure]


def _quantity(model: Model, figure: str, report: Report) -> str:
    """Return what a curve shows: error in place of accuracy, where the report gives that alone."""
    figures = report.figures_of(model.net["reported"]) or report.figures
    errors = figures and {each.metric for each in figures} == {ERROR}
    return "error" if errors and figure == "accuracy" else figure


def reported_label(model: Model, report: Report) -> str:
    """Return what the legend calls the report's curve: its protocol, where the net's is another."""
    protocols = {figure.protocol for figure in report.figures_of(model.net["reported"])}
    others = protocols - {model.protocol}
    return " ".join(["as reported", *(f"(protocol {other})" for other in sorted(others))])


def curve_note(model: Model, report: Report) -> str:
    """Return what the report's curve of a model is; empty where it has none."""
    reported = report.models.get(model.net["reported"])
    return reported.curve_note if reported else ""
