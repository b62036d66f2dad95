"""Figures: what is drawn is what is in the tables; the same tables give the same bytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from repro import comparison, figures, reported
from repro.comparison import METRIC_COLUMNS, Model
from repro.comparison_figures import comparison as draw_comparison
from repro.comparison_figures import spread
from repro.curve_figures import curves
from repro.error_figures import confused_pairs, confusion_matrix, gallery, reliability

SETS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def style(root):
    with figures.styled(root / "resources/style.mplstyle"):
        yield


def text_of(figure: Figure) -> str:
    """Return all text that a reader of the figure sees."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return "\n".join(found.get_text() for found in figure.findobj(Text))


def history(offset=0.0, epochs=9) -> pd.DataFrame:
    rows = [
        (epoch, split, 2 / epoch, 0.5 + epoch / 25 + offset)
        for epoch in range(1, epochs + 1)
        for split in SETS
    ]
    return pd.DataFrame(rows, columns=["epoch", "split", "loss", "accuracy"])


def rows_and_metrics(root, runs=3) -> tuple[pd.DataFrame, pd.DataFrame]:
    made = [
        ("net", f"seed-{i}", i, "test", "accuracy", 0.9454 + i / 1000, 10_000) for i in range(runs)
    ]
    made += [("net", "seed-0", 0, "validation", "auc_ovr_softmax", 0.9951, 5_000)]
    made += [("own", "seed-0", 0, "test", "accuracy", 0.5, 10_000)]
    metrics = pd.DataFrame(made, columns=METRIC_COLUMNS)
    net = Model("net", "Net", "numpy", "numpy_1hidden", "replayed", "seed-0", True, "")
    own = Model("own", "Own", "torch", None, "own", "seed-0", False, "generated data")
    report = reported.load(root / "resources/reported.yaml")
    return comparison.compare(metrics, [net, own], report), metrics


class TestCurves:
    def test_accuracy_in_percent_and_epochs(self):
        figure = curves([history()], "accuracy", SETS, "Net")
        axes = figure.axes[0]
        assert axes.get_ylabel() == "Accuracy (%)"
        assert axes.lines[0].get_ydata()[-1] == pytest.approx(86)
        assert axes.lines[0].get_xdata().tolist() == list(range(1, 10))
        assert "train, at the end 86.00 %" in text_of(figure)

    def test_loss_has_the_label_it_is_given(self):
        figure = curves([history()], "loss", SETS, "Net", loss_label="Loss (nats)")
        assert figure.axes[0].get_ylabel() == "Loss (nats)"

    def test_the_headline_is_drawn_last_and_bold(self):
        lines = (
            curves([history(), history(0.01), history(0.02)], "accuracy", ["test"], "Net")
            .axes[0]
            .lines
        )
        assert [line.get_linewidth() for line in lines] == [0.7, 0.7, 1.8]
        assert lines[-1].get_ydata()[-1] == pytest.approx(86)

    def test_the_latter_half_of_a_long_training_is_enlarged(self):
        long = history(epochs=21)
        figure = curves([long, long], "accuracy", ["train"], "Net", reported=long)
        (later,) = figure.axes[0].child_axes
        assert [line.get_xdata().tolist() for line in later.lines] == [list(range(11, 22))] * 3
        assert "epochs 11 to 21, enlarged" in text_of(figure)
        assert not curves([history()], "accuracy", SETS, "Net").axes[0].child_axes
        assert not curves([long], "loss", ["train"], "Net").axes[0].child_axes

    def test_the_report_has_no_test_loss_of_convnext(self, root):
        curve = reported.read_history(root / "resources/reported/convnext_large_history.csv")
        figure = curves([history()], "loss", SETS, "Net", reported=curve)
        assert "as reported" in text_of(figure)
        named = curves([history()], "loss", SETS, "Net", reported=curve, reported_label="theirs")
        assert "theirs" in text_of(named)
        assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [9, 0, 0, 9, 9, 9]


class TestComparison:
    def test_differences_from_the_report(self, root):
        rows, _ = rows_and_metrics(root)
        figure = draw_comparison(rows)
        seen = text_of(figure)
        assert "Net" in seen
        assert "94.54 \u2192 94.54" in seen
        assert "0.996 \u2192 0.9951" in seen
        accuracy, auc = figure.axes
        assert any(line.get_xdata() == pytest.approx([0]) for line in accuracy.lines)
        assert any(line.get_xdata() == pytest.approx([-0.09]) for line in auc.lines)

    def test_what_cannot_be_compared_is_not_drawn(self, root):
        assert "Own" not in text_of(draw_comparison(rows_and_metrics(root)[0]))

    def test_another_protocol_is_hollow_named_and_has_no_interval(self, root):
        rows, _ = rows_and_metrics(root)
        own, other = (draw_comparison(rows.assign(protocol=x)) for x in ("", "frozen"))
        assert "another protocol" not in text_of(own)
        assert "by another protocol: frozen" in text_of(other)
        lines = own.axes[0].lines, other.axes[0].lines
        assert [len(drawn) for drawn in lines] == [4, 2]
        assert lines[1][-1].get_markerfacecolor() == "white"
        assert lines[1][-1].get_xdata() == lines[0][-1].get_xdata()

    def test_nothing_to_compare_is_said(self, root):
        rows, _ = rows_and_metrics(root)
        figure = draw_comparison(rows.assign(difference_pp=np.nan))
        assert "No figure of the report can be compared" in text_of(figure)


class TestSpread:
    def test_every_run_about_the_mean(self, root):
        rows, metrics = rows_and_metrics(root)
        figure = spread(metrics, rows)
        drawn = [sorted(line.get_xdata()) for line in figure.axes[0].lines]
        assert pytest.approx([-0.1, 0, 0.1], abs=1e-9) in drawn
        assert "94.64 \u00b1 0.10, n = 3" in text_of(figure)

    def test_the_report_is_no_run_of_another_protocol(self, root):
        rows, metrics = rows_and_metrics(root)
        other = spread(metrics, rows.assign(protocol="frozen"))
        assert "by another protocol: frozen" in text_of(other)
        assert len(other.axes[0].lines) == len(spread(metrics, rows).axes[0].lines) - 1

    def test_single_runs_are_said(self, root):
        rows, metrics = rows_and_metrics(root, runs=1)
        assert "ran once" in text_of(spread(metrics, rows))


class TestErrors:
    def test_confusion_of_all_classes(self):
        counts = pd.DataFrame(
            {"true": [0, 0, 1, 10], "taken_for": [0, 1, 1, 10], "count": [8, 2, 9, 7]}
        )
        seen = text_of(confusion_matrix(counts, "Net")).split("\n")
        assert {"8", "2", "9", "7", "10"} <= set(seen)

    @pytest.mark.parametrize(("counts", "shown"), [((3, 2, 1), 2), ((1, 1, 1), 3)])
    def test_pairs_that_happened_once_are_chance(self, counts, shown):
        table = pd.DataFrame(
            {
                "true": [1, 2, 3, 1],
                "taken_for": [2, 3, 1, 1],
                "count": [*counts, 50],
                "n": 60,
                "true_name": ["rose", "lotus", "canna", "rose"],
                "taken_for_name": ["lotus", "canna", "rose", "rose"],
            }
        )
        figure = confused_pairs(table, "Net")
        assert len(figure.axes[0].patches) == shown
        assert "rose \u2192 lotus" in text_of(figure)

    def test_no_confusion(self):
        table = pd.DataFrame({"true": [1], "taken_for": [1], "count": [5], "n": [5]})
        assert not confused_pairs(table, "Net").axes[0].patches

    @pytest.mark.parametrize("shape", [(28, 28), (64, 64, 3)])
    def test_gallery_names_both(self, shape):
        mistake = {
            "true": 1,
            "taken_for": 2,
            "confidence": 0.987,
            "true_name": "rose",
            "taken_for_name": "lotus",
        }
        figure = gallery([np.zeros(shape, np.uint8)] * 7, [mistake] * 7, "Net")
        assert (
            text_of(figure).replace("lotus\n", "lotus ").count("rose\ntaken for lotus (99\u00a0%)")
            == 7
        )

    def test_an_empty_gallery(self):
        assert "Net" in text_of(gallery([], [], "Net"))

    def test_reliability(self):
        bins = pd.DataFrame({"confidence": [0.5, 0.9], "accuracy": [0.4, 0.95], "count": [10, 90]})
        figure = reliability(bins, 0.055, "Net")
        assert "Expected calibration error 5.5 %" in text_of(figure)
        assert figure.axes[0].get_ylabel() == "Accuracy"
        assert "fewer than" not in text_of(figure)

    def test_bins_of_a_few_images_are_not_joined_with_the_others(self):
        bins = pd.DataFrame(
            {"confidence": [0.2, 0.5, 0.9], "accuracy": [1.0, 0.4, 0.95], "count": [1, 10, 90]}
        )
        figure = reliability(bins, 0.055, "Net")
        joined, alone = figure.axes[0].lines[1:]
        assert joined.get_xdata().tolist() == [0.5, 0.9]
        assert alone.get_xdata().tolist() == [0.2]
        assert "fewer than 10 images" in text_of(figure)


class TestSave:
    def test_the_same_table_gives_the_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            figure = curves([history()], "accuracy", SETS, "Net")
            figures.save(figure, tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
        for kind in ("png", "svg"):
            assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
        assert (tmp_path / "a.svg").read_text().startswith("<?xml")

    def test_wide_enough_to_be_sharp(self, tmp_path):
        from PIL import Image

        figure = curves([history()], "accuracy", SETS, "Net")
        figures.save(figure, tmp_path / "a.png", tmp_path / "a.svg")
        with Image.open(tmp_path / "a.png") as image:
            assert image.width == 1400  # twice the 700 pixels it is shown at


def test_colours_are_told_apart_without_colour():
    """Sets differ in lightness too (relative luminance, WCAG 2)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    found = sorted(map(luminance, figures.COLOURS.values()))
    assert min(np.diff(found)) > 0.08
