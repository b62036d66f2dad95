"""Figures: what is drawn is what is in the tables; the same tables give the same bytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from repro.comparison import compare as comparison
from repro.comparison import reported
from repro.comparison.compare import Model
from repro.evaluation.names import METRIC_COLUMNS
from repro.figures import errors
from repro.figures import style as figures
from repro.figures.comparison import comparison as draw_comparison
from repro.figures.curves import curves
from repro.figures.errors import (
    OnlyOne,
    confused_pairs,
    confusion_matrix,
    gallery,
    only_one,
    reliability,
)
from repro.figures.weights import first_layer, pictures
from repro.history import read_history
from repro.mnist.numpy_trainer import NumpyTrainer
from repro.mnist.recipe import MlpRecipe
from repro.mnist.torch_trainer import TorchTrainer
from scripts_support import run_rule
from small_mnist import small_splits
from support import TELLING

pytestmark = pytest.mark.usefixtures("style")

SETS = ("train", "validation", "test")


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


def uneven(offset=0.0, epochs=5) -> pd.DataFrame:
    """Return a history in which each set has values of its own, and none ends at its best."""
    best = epochs - 1
    rows = [
        (epoch, split, 1 + i + abs(best - epoch) / 7, 0.9 - i / 4 - abs(best - epoch) / 50)
        for i, split in enumerate(SETS)
        for epoch in range(1, epochs + 1)
    ]
    table = pd.DataFrame(rows, columns=["epoch", "split", "loss", "accuracy"])
    return table.assign(loss=table["loss"] + offset, accuracy=table["accuracy"] + offset)


def drawn(axes) -> list[tuple[str, list[float]]]:
    """Return colour and heights of every line, the one at the back first."""
    return [(line.get_color(), list(line.get_ydata())) for line in axes.lines]


def rows_and_metrics(root) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = {f"seed-{i}": "main" for i in range(3)}
    made = [
        ("net", run, i, "test", "accuracy", 0.9454 + i / 1000, 10_000) for i, run in enumerate(runs)
    ]
    made += [("net", "seed-0", 0, "validation", "auc_ovr_softmax", 0.9951, 5_000)]
    made += [("own", "seed-0", 0, "test", "accuracy", 0.5, 10_000)]
    metrics = pd.DataFrame(made, columns=METRIC_COLUMNS)
    net = Model("net", "Net", "numpy", "numpy_1hidden", "inferred", runs, True, "")
    own = Model("own", "Own", "torch", None, "own", {"seed-0": "main"}, False, "generated data")
    report = reported.load(root / "resources/reported.yaml")
    return comparison.compare(metrics, [net, own], report, {}), metrics


def of_telling(*values: float, **changes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row in which all is known, and its runs, among others' figures."""
    same = {"model": "net", "metric": "accuracy", "split": "test"}
    runs = [{**same, "value": value} for value in values]
    others = ({"split": "train"}, {"model": "other"}, {"metric": "top5_accuracy"})
    runs += [{**same, **other, "value": 0.5} for other in others]
    return pd.DataFrame([TELLING | changes]), pd.DataFrame(runs)


class TestCurves:
    @pytest.mark.parametrize(
        ("quantity", "label", "scale", "ends"),
        [
            (
                "accuracy",
                "Accuracy (%)",
                100,
                {"train": "88.00 %", "validation": "63.00 %", "test": "38.00 %"},
            ),
            (
                "error",
                "Error (%)",
                100,
                {"train": "12.00 %", "validation": "37.00 %", "test": "62.00 %"},
            ),
            ("loss", "Loss (nats)", 1, {"train": "1.143", "validation": "2.143", "test": "3.143"}),
        ],
    )
    def test_each_set_has_its_colour_its_curve_and_its_value_at_the_end(
        self, quantity, label, scale, ends
    ):
        report, own, further = uneven(0.03), uneven(), uneven(0.01)
        more = {"reported": report, "loss_label": "Loss (nats)"}
        figure = curves([own, further], quantity, SETS, "Net", **more)
        assert figure.axes[0].get_ylabel() == label
        assert {tuple(line.get_xdata()) for line in figure.axes[0].lines} == {(1, 2, 3, 4, 5)}
        wanted = [
            (figures.COLOURS[split], pytest.approx(scale * rows[quantity]))
            for history in (report, further, own)
            for split, rows in history.eval("error = 1 - accuracy").groupby("split", sort=False)
        ]
        assert drawn(figure.axes[0]) == wanted
        handles = figure.axes[0].get_legend().legend_handles
        assert [(line.get_color(), line.get_label()) for line in handles[:3]] == [
            (figures.COLOURS[split], f"{split}, at the end {end}") for split, end in ends.items()
        ]

    def test_the_enlarged_part_has_the_same_colours(self):
        report, own, further = uneven(0.03, 15), uneven(0, 15), uneven(0.01, 15)
        figure = curves([own, further], "accuracy", SETS, "Net", reported=report)
        assert drawn(figure.axes[0].child_axes[0]) == [
            (figures.COLOURS[split], pytest.approx(100 * rows["accuracy"][rows["epoch"] > 7]))
            for history in (report, further, own)
            for split, rows in history.groupby("split", sort=False)
        ]

    def test_the_value_at_the_end_is_that_of_the_last_epoch(self):
        backwards = uneven().iloc[::-1]
        legend = curves([backwards], "accuracy", SETS, "Net").axes[0].get_legend()
        assert legend.legend_handles[0].get_label() == "train, at the end 88.00 %"

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
        curve = read_history(root / "resources/reported/convnext_large_history.csv")
        figure = curves([history()], "loss", SETS, "Net", reported=curve)
        assert "as reported" in text_of(figure)
        named = curves([history()], "loss", SETS, "Net", reported=curve, reported_label="theirs")
        assert "theirs" in text_of(named)
        assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [9, 0, 0, 9, 9, 9]


class TestComparison:
    def test_every_figure_that_may_be_compared_has_a_row(self, root):
        figure = draw_comparison(*rows_and_metrics(root))
        seen = text_of(figure)
        assert "94.54 \u2192 94.64  agrees" in seen
        assert "0.996 \u2192 0.9951  cannot tell: one run" in seen
        assert "Own" not in seen
        assert len(figure.axes[0].get_yticks()) == 2

    def test_band_mean_chance_and_runs_stand_where_their_numbers_are(self):
        figure = draw_comparison(*of_telling(0.92, 0.9, 0.93))
        (axes,) = figure.axes
        legend = {look.get_label(): look for look in figure.legends[0].legend_handles}

        def found(name: str) -> list[float]:
            look = legend[name]
            (line,) = (
                line
                for line in axes.lines
                if (line.get_linestyle(), line.get_marker(), line.get_color())
                == (look.get_linestyle(), look.get_marker(), look.get_color())
            )
            return list(line.get_xdata())

        (band,) = axes.patches
        assert (band.get_x(), band.get_width()) == (-1, 2)
        assert found("reported") == [0, 0]
        assert found("mean of the runs") == pytest.approx([1.25])
        assert found("what chance explains") == pytest.approx([0.4375, 2.0625])
        assert found("a run") == pytest.approx([0.625, -0.625, 1.25])
        assert "91.00 \u2192 93.00  differs: higher" in text_of(figure)

    @pytest.mark.parametrize(
        ("verdict", "colour"),
        [
            ("differs: higher", figures.REPORTED),
            ("agrees", figures.GREY),
            ("differs, too little to matter", figures.GREY),
        ],
    )
    def test_what_differs_has_the_report_s_colour(self, verdict, colour):
        (axes,) = draw_comparison(*of_telling(0.93, verdict=verdict)).axes
        (said,) = (text for text in axes.texts if text.get_text().endswith(verdict))
        assert said.get_color() == colour

    @pytest.mark.parametrize(("difference", "marker"), [(0.2, ">"), (-0.2, "<")])
    def test_what_lies_beyond_the_edge_is_an_arrow_at_it(self, difference, marker):
        figure = draw_comparison(*of_telling(0.91 + difference, difference=difference))
        _, chance, run, mean = figure.axes[0].lines
        edge = 2.5 if difference > 0 else -2.5
        assert mean.get_marker() == marker
        assert list(mean.get_xdata()) == list(run.get_xdata()) == [edge]
        assert edge in chance.get_xdata()

    def test_another_protocol_is_hollow_and_named(self):
        other = {"verdict": "by another protocol", "protocol": "frozen"}
        own, frozen = (draw_comparison(*of_telling(0.93, **each)) for each in ({}, other))
        assert "another protocol" not in text_of(own)
        assert "by another protocol: frozen" in text_of(frozen)
        looks = [figure.axes[0].lines[-1].get_markerfacecolor() for figure in (own, frozen)]
        assert looks == [figures.REPRODUCED, "white"]

    def test_nothing_to_compare_is_said(self, root):
        rows, metrics = rows_and_metrics(root)
        figure = draw_comparison(rows.assign(difference=np.nan), metrics)
        assert "No figure of the report can be compared" in text_of(figure)


class TestErrors:
    @pytest.mark.parametrize(
        "names", [{2: "2", 7: "7", 10: "10"}, {2: "rose", 7: "lotus", 10: "canna"}]
    )
    def test_confusion_of_all_classes(self, names):
        counts = pd.DataFrame(
            {
                "true": [2, 2, 2, 7, 7, 10],
                "taken_for": [2, 7, 10, 7, 10, 10],
                "count": [8, 3, 1, 9, 5, 4],
            }
        )
        if names[2] != "2":
            for side in ("true", "taken_for"):
                counts[f"{side}_name"] = counts[side].map(names)
        axes = confusion_matrix(counts, "Net").axes[0]
        across, down = (
            [text.get_text() for text in labels]
            for labels in (axes.get_xticklabels(), axes.get_yticklabels())
        )
        assert (axes.get_xlabel(), across) == ("Taken for", [*names.values()])
        assert (axes.get_ylabel(), down) == ("True class", [*names.values()])
        found = {text.get_position(): text.get_text() for text in axes.texts}
        wanted = {(0, 0): "8", (1, 0): "3", (2, 0): "1", (1, 1): "9", (2, 1): "5", (2, 2): "4"}
        assert found == wanted
        # In colour the errors alone: a row is a true class.
        assert axes.images[0].get_array().filled(0).tolist() == [[0, 3, 1], [0, 0, 5], [0, 0, 0]]

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

    def test_each_pair_has_its_count_and_the_number_of_its_class(self):
        table = pd.DataFrame(
            {"true": [1, 1, 3], "taken_for": [1, 2, 1], "count": [50, 3, 5], "n": [60, 60, 20]}
        )
        axes = confused_pairs(table, "Net").axes[0]
        assert [text.get_text() for text in axes.get_yticklabels()] == ["3 \u2192 1", "1 \u2192 2"]
        assert [bar.get_width() for bar in axes.patches] == [5, 3]
        assert [(text.get_position(), text.get_text()) for text in axes.texts] == [
            ((5, 0), " of 20"),
            ((3, 1), " of 60"),
        ]

    def test_no_confusion(self):
        table = pd.DataFrame({"true": [1], "taken_for": [1], "count": [5], "n": [5]})
        assert not confused_pairs(table, "Net").axes[0].patches

    @pytest.mark.parametrize("shape", [(28, 28), (64, 64, 3)])
    def test_gallery_names_both(self, shape):
        names = {"true_name": "rose", "taken_for_name": "lotus"}
        mistakes = [
            {"true": 1, "taken_for": 2, "confidence": 0.987, **names},
            {"true": 3, "taken_for": 4, "confidence": 0.5},
        ]
        images = [np.full(shape, grey, np.uint8) for grey in (10, 20)]
        first, second = gallery(images, mistakes, "Net").axes[:2]
        assert first.get_title().split() == ["rose", "taken", "for", "lotus", "(99", "%)"]
        assert second.get_title().split() == ["3", "taken", "for", "4", "(50", "%)"]
        assert [axes.images[0].get_array().max() for axes in (first, second)] == [10, 20]

    def test_an_empty_gallery(self):
        assert "Net" in text_of(gallery([], [], "Net"))

    def test_reliability(self):
        bins = pd.DataFrame({"confidence": [0.5, 0.9], "accuracy": [0.4, 0.95], "count": [10, 90]})
        figure = reliability(bins, 0.055, "Net")
        assert "Expected calibration error 5.5 %" in text_of(figure)
        top, bottom = figure.axes
        assert top.get_ylabel() == "Accuracy"
        assert "fewer than" not in text_of(figure)
        assert top.lines[1].get_xydata().tolist() == [[0.5, 0.4], [0.9, 0.95]]
        gaps = [gap.tolist() for gap in top.collections[0].get_segments()]
        assert gaps == [[[0.5, 0.5], [0.5, 0.4]], [[0.9, 0.9], [0.9, 0.95]]]
        bars = [(bar.get_center()[0], bar.get_height()) for bar in bottom.patches]
        assert bars == [pytest.approx((0.5, 10)), pytest.approx((0.9, 90))]

    def test_bins_of_a_few_images_are_not_joined_with_the_others(self):
        bins = pd.DataFrame(
            {"confidence": [0.2, 0.5, 0.9], "accuracy": [1.0, 0.4, 0.95], "count": [1, 10, 90]}
        )
        figure = reliability(bins, 0.055, "Net")
        joined, alone = figure.axes[0].lines[1:]
        assert joined.get_xdata().tolist() == [0.5, 0.9]
        assert alone.get_xydata().tolist() == [[0.2, 1.0]]
        assert "fewer than 10 images" in text_of(figure)


class TestAgainst:
    def test_its_curves_are_dashed_behind_the_net_s_own(self):
        figure = curves(
            [history(), history(0.02)],
            "accuracy",
            ["train", "test"],
            "Net",
            reported=history(0.05),
            against=history(-0.1, epochs=5),
            against_label="Another net",
        )
        lines = figure.axes[0].lines
        assert [line.is_dashed() for line in lines] == [True] * 4 + [False] * 4
        assert [line.get_marker() for line in lines] == ["o"] * 2 + ["None"] * 6
        assert lines[0].get_ydata()[0] == pytest.approx(59)
        assert lines[2].get_ydata().tolist() == pytest.approx([44, 48, 52, 56, 60])
        *_, reported, other = figure.axes[0].get_legend().legend_handles
        assert (reported.get_label(), reported.get_marker()) == ("as reported", "o")
        assert (other.get_label(), other.get_marker()) == ("Another net", "None")

    def test_a_long_title_is_broken_into_lines(self):
        figure = only_one([OnlyOne("Net, " + "hidden [1000], " * 9, 0, [], [])])
        lines = figure.subfigs[0].get_suptitle().splitlines()
        assert len(lines) == 3
        assert max(map(len, lines)) <= 76

    def test_images_stand_under_the_net_that_is_right(self):
        tile = np.zeros((28, 28), np.uint8)
        mistake = {"true": 4, "taken_for": 9, "confidence": 0.81}
        figure = only_one(
            [OnlyOne("Wide", 31, [tile] * 7, [mistake] * 7), OnlyOne("Plain", 0, [], [])]
        )
        first, second = figure.subfigs
        assert first.get_suptitle() == "31 images right by Wide alone"
        assert second.get_suptitle() == "0 images right by Plain alone"
        assert len([axes for axes in first.axes if axes.images]) == 7
        assert first.axes[0].get_title() == "4\ntaken for 9 (81\u00a0%)"

    def test_the_rule_shows_those_of_the_model_under_the_net_that_is_right(
        self, root, tmp_path, monkeypatch
    ):
        # Each image has the grey of its number.
        np.save(tmp_path / "images.npy", np.tile(np.arange(60, dtype=np.uint8)[:, None], 784))
        rows = [("wide", "wide", 40 - n) for n in range(15)]
        rows += [("wide", "plain", 50), ("other", "wide", 55), ("other", "plain", 56)]
        table = pd.DataFrame(rows, columns=["model", "right", "id"])
        table.assign(true=1, taken_for=2, confidence=0.5).to_csv(tmp_path / "found.csv")
        seen: list[OnlyOne] = []
        monkeypatch.setattr(errors, "only_one", lambda groups: seen.extend(groups) or Figure())
        run_rule(
            "plot_against",
            tmp_path,
            input={"found": tmp_path / "found.csv", "images": tmp_path / "images.npy"}
            | {"style": root / "resources/style.mplstyle"},
            output={"against": tmp_path / "against.png"},
            params={"model": "wide", "titles": {"wide": "Wide", "plain": "Plain"}},
        )
        assert [(group.title, group.count) for group in seen] == [("Wide", 15), ("Plain", 1)]
        for group, ids in zip(seen, (range(40, 28, -1), [50]), strict=True):
            assert [int(image.max()) for image in group.images] == [*ids]
            assert [mistake["id"] for mistake in group.mistakes] == [*ids]


class TestFirstLayer:
    @pytest.mark.parametrize("kind", ["npz", "safetensors"])
    def test_it_is_read_from_what_training_leaves(self, tmp_path, kind):
        trainer = NumpyTrainer if kind == "npz" else TorchTrainer
        recipe = MlpRecipe(hidden=[3], learning_rate=1, batch_size=1, epochs=1, initial_std=0.1)
        trained = trainer(small_splits(), recipe, 1)
        trained.save(tmp_path / f"model.{kind}")
        found = first_layer(tmp_path / f"model.{kind}")
        assert found.tobytes() == next(iter(trained.state().values())).tobytes()

    def test_a_picture_a_unit_on_one_scale_with_white_for_nothing(self):
        weights = np.linspace(-1, 3, 60 * 784).reshape(60, 784)
        figure = pictures(weights, "Net")
        shown = [axes.images[0] for axes in figure.axes if axes.images]
        assert len(shown) == 50
        assert figure.get_suptitle() == "Net, the first 50 of 60 units"
        np.testing.assert_array_equal(shown[7].get_array(), weights[7].reshape(28, 28))
        limit = np.abs(weights[:50]).max()
        assert {image.get_clim() for image in shown} == {(-limit, limit)}

    def test_those_of_a_linear_net_are_the_digits(self):
        figure = pictures(np.ones((10, 784)), "Net", of_digits=True)
        assert [axes.get_title() for axes in figure.axes] == list("0123456789")
        assert figure.get_suptitle() == "Net"


class TestSave:
    def test_the_same_table_gives_the_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            figure = curves([history()], "accuracy", SETS, "Net")
            figures.save(figure, tmp_path / f"{name}.png")
        for kind in ("png", "svg"):
            assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
        assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_the_rule_draws_the_comparison_of_its_tables(root, tmp_path):
    files = {name: tmp_path / f"{name}.csv" for name in ("comparison", "metrics")}
    for file, table in zip(files.values(), rows_and_metrics(root), strict=True):
        table.to_csv(file, index=False)
    run_rule(
        "plot_comparison",
        tmp_path,
        input={**files, "style": root / "resources/style.mplstyle"},
        output={"comparison": tmp_path / "found.png"},
    )
    figures.save(draw_comparison(*map(pd.read_csv, files.values())), tmp_path / "wanted.png")
    found, wanted = ((tmp_path / f"{name}.svg").read_bytes() for name in ("found", "wanted"))
    assert found == wanted


@pytest.mark.parametrize("quantities", [["accuracy"], ["accuracy", "loss"]])
def test_each_figure_of_a_model_stands_in_its_own_file(root, tmp_path, quantities, monkeypatch):
    ids = [17, *range(12, 0, -1)]  # one more than are shown, the surest first
    sets = {"split": ["train", "validation", "test"], "metric": "ece"}
    tables = {
        "histories": history(),
        "against": history(0.01),
        "reported": history(0.02),
        "metrics": pd.DataFrame({**sets, "value": [0.077, 0.066, 0.055]}),
        "confusion": pd.DataFrame({"true": [1, 2], "taken_for": [2, 2], "count": 3, "n": 3}),
        "mistakes": pd.DataFrame({"id": ids, "true": 1, "taken_for": 2, "confidence": 0.75}),
        "reliability": pd.DataFrame({"confidence": [0.5], "accuracy": [0.4], "count": [10]}),
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    # Each image has the grey of its number.
    np.save(tmp_path / "images.npy", np.tile(np.arange(20, dtype=np.uint8)[:, None], 784))
    shown: list = []
    monkeypatch.setattr(errors, "gallery", lambda *of: shown.extend(of[:2]) or gallery(*of))
    behind: list[dict] = []
    monkeypatch.setattr(
        "repro.figures.curves.curves",
        lambda *of, **more: behind.append(more) or curves(*of, **more),
    )
    np.savez(tmp_path / "model.npz", weights_0=np.ones((10, 784)))
    said = {
        "accuracy": "train, at the end 86.00 %",
        "loss": "Loss (nats)",
        "confusion": "Taken for",
        "gallery": "taken for 2",
        "reliability": "Expected calibration error 5.5 %",
        "weights": "Net",
    }
    wanted = [name for name in said if name != "loss" or "loss" in quantities]
    run_rule(
        "plot_model",
        tmp_path,
        input={name: tmp_path / f"{name}.csv" for name in tables if name != "histories"}
        | {"histories": [tmp_path / "histories.csv"]}
        | {"images": tmp_path / "images.npy", "model": tmp_path / "model.npz"}
        | {"style": root / "resources/style.mplstyle"},
        output={name: tmp_path / f"{name}.png" for name in wanted},
        params={
            "quantities": {name: name for name in quantities},
            "splits": SETS,
            "title": "Net",
            "reported_label": "as reported",
            "loss_label": "Loss (nats)",
            "against_label": "Another net",
            "linear": True,
        },
    )
    images, mistakes = shown
    assert [int(image.max()) for image in images] == ids[:12]
    assert [mistake["id"] for mistake in mistakes] == ids[:12]
    for more in behind:
        assert more["against"]["accuracy"].tolist() == pytest.approx(history(0.01)["accuracy"])
        assert more["reported"]["accuracy"].tolist() == pytest.approx(history(0.02)["accuracy"])
    curve = (tmp_path / "accuracy.svg").read_text()
    assert "Another net" in curve
    assert "as reported" in curve
    for name in wanted:
        assert said[name] in (tmp_path / f"{name}.svg").read_text().replace("\u00a0", " ")
    assert {file.stem for file in tmp_path.glob("*.png")} == set(wanted)
