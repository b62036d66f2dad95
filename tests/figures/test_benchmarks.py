"""Benchmarks as ratios within a round: the reference is one, medians decide."""

from __future__ import annotations

import pandas as pd
import pytest

from repro.errors import UserError
from repro.figures import style as figures
from repro.figures.benchmarks import MNIST_REFERENCE, flowers, mnist

pytestmark = pytest.mark.usefixtures("style")


@pytest.fixture
def times() -> pd.DataFrame:
    rows = []
    for number, noise in enumerate((1.0, 1.5, 0.9), 1):
        rows += [
            (number, MNIST_REFERENCE, 0.2 * noise, 0.1, 0.2 * noise + 0.1),
            (number, "direct NumPy, float64", 0.5 * noise, 0.4, 0.5 * noise + 0.4),
            (number, "scikit-learn, float32", 0.6 * noise, 0.0, 0.6 * noise),
        ]
    return pd.DataFrame(rows, columns=["round", "contender", "training", "evaluation", "epoch"])


@pytest.fixture
def passes() -> pd.DataFrame:
    rows = [
        (network, name, number, seconds * number)
        for network in ("resnet152", "convnext_large")
        for name, seconds in (("notebook's way", 4.0), ("this project", 2.0))
        for number in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=["network", "contender", "round", "seconds"])


def names(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_medians_of_ratios(times):
    training, epoch = mnist(times).axes
    assert [bar.get_width() for bar in training.patches] == pytest.approx([1, 2.5, 3])
    assert [bar.get_width() for bar in epoch.patches] == pytest.approx([1, 3])
    assert [text.get_text() for text in epoch.texts] == ["1.00\u00d7", "3.00\u00d7"]
    assert MNIST_REFERENCE in epoch.get_xlabel()


def test_who_does_not_evaluate_is_not_among_the_epochs(times):
    assert names(mnist(times).axes[1]) == [MNIST_REFERENCE, "direct NumPy, float64"]


def test_a_panel_for_each_network(passes, tmp_path):
    figure = flowers(passes)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["resnet152", "convnext_large"]
    for axes in figure.axes:
        assert names(axes) == ["notebook's way", "this project"]
        assert [bar.get_width() for bar in axes.patches] == pytest.approx([2, 1])
    figures.save(figure, tmp_path / "a.png")


def test_the_shipped_benchmark_can_be_drawn(root):
    file = root / "docs/bench_mnist.csv"
    if not file.exists():
        pytest.skip("docs/bench_mnist.csv is made by `make bench-mnist`")
    assert MNIST_REFERENCE in names(mnist(pd.read_csv(file)).axes[0])


def test_a_missing_reference_is_refused(times, passes):
    with pytest.raises(UserError, match="is not among"):
        mnist(times[times["contender"] != MNIST_REFERENCE])
    with pytest.raises(UserError, match="is not among"):
        flowers(passes[passes["contender"] != "this project"])


def test_other_columns_are_refused(times, passes):
    with pytest.raises(UserError, match=r"bench_mnist.csv: column 'training' is missing"):
        mnist(times.drop(columns="training"))
    with pytest.raises(UserError, match=r"bench_flowers.csv: column 'seconds' is missing"):
        flowers(passes.drop(columns="seconds"))
