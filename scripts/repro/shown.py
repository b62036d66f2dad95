"""Which figures there are of a net, and the words above and beside them."""

from __future__ import annotations

from repro.comparison.reported import Report
from repro.plan import Model

# The report shows loss curves of the flower nets only.
CURVES = {"mnist": ("accuracy",), "flowers": ("accuracy", "loss")}
_CLOSER_LOOKS = ("confusion", "gallery", "reliability")
# The first layer of a flower net is a backbone's.
FIGURES = {
    "mnist": (*CURVES["mnist"], *_CLOSER_LOOKS, "weights"),
    "flowers": (*CURVES["flowers"], *_CLOSER_LOOKS),
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
    "bench_flowers": "Speed of the flower nets' passes",
}
# The sets a model's history is drawn of: the report shows no test curve for MNIST.
SETS = {"mnist": ("train", "validation"), "flowers": ("train", "validation", "test")}
# What the loss axis says.
LOSS_LABELS = {
    "mse": "Loss (mean squared error)",
    "cross_entropy": "Loss (cross-entropy, nats)",
    "nll": "Loss (negative log-likelihood, nats)",
}


def reported_label(model: Model, report: Report) -> str:
    """Return what the legend calls the report's curve: its protocol, where the net's is another."""
    protocols = {figure.protocol for figure in report.figures_of(model.net["reported"])}
    others = protocols - {model.protocol}
    return " ".join(["as reported", *(f"(protocol {other})" for other in sorted(others))])


def curve_note(model: Model, report: Report) -> str:
    """Return what the report's curve of a model is; empty where it has none."""
    reported = report.models.get(model.net["reported"])
    return reported.curve_note if reported else ""
