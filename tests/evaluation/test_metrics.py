"""Metrics: hand-worked examples, scikit-learn as the referee, labels told right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss, roc_auc_score

from repro.evaluation import metrics, names
from repro.predictions import Predictions


def of(labels, scores, kind="linear", classes=None) -> Predictions:
    """Return predictions of one split with ids 1, 2, ..."""
    scores = np.asarray(scores, float)
    n, k = scores.shape
    return Predictions(
        np.arange(1, n + 1),
        np.asarray(labels),
        np.repeat("test", n),
        scores,
        kind,
        np.arange(k) if classes is None else np.asarray(classes),
    )


@st.composite
def predictions(draw):
    """Scores with many ties, of three to six classes that all occur."""
    k = draw(st.integers(3, 6))
    n = draw(st.integers(k, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, k, n)
    labels[:k] = np.arange(k)
    return of(labels, rng.integers(0, draw(st.sampled_from([2, 5, 100])), (n, k)) / 10)


class TestAccuracy:
    scores = ((3, 2, 1, 0, -1, -2), (0, 1, 2, 3, 4, 5), (0, 9, 0, 0, 0, 0))

    def test_by_hand(self):
        assert metrics.accuracy(of([0, 4, 1], self.scores)) == pytest.approx(2 / 3)

    def test_top_5_leaves_out_the_lowest_of_six(self):
        assert metrics.top_k_accuracy(of([5, 0, 1], self.scores), 5) == pytest.approx(1 / 3)

    def test_top_5_of_fewer_classes_is_certain(self):
        assert metrics.top_k_accuracy(of([1], [[1, 0, 0]]), 5) == 1


class TestLoss:
    def test_mse_by_hand(self):
        some = of([0, 1], [[1, 0], [0.5, 0.5]], "sigmoid")
        assert metrics.loss(some, "mse") == pytest.approx((0 + 0 + 0.25 + 0.25) / 4)

    def test_cross_entropy_and_nll_agree_with_scikit_learn(self):
        rng = np.random.default_rng(0)
        logits, labels = rng.normal(size=(30, 4)), np.arange(30) % 4
        expected = log_loss(labels, softmax(logits, axis=1))
        assert metrics.loss(of(labels, logits), "cross_entropy") == pytest.approx(expected)
        logs = of(labels, log_softmax(logits, axis=1), "log_softmax")
        assert metrics.loss(logs, "nll") == pytest.approx(expected)

    def test_a_hopeless_image_is_not_clipped(self):
        some = of([1], [[0.0, -100.0]], "log_softmax")
        assert metrics.loss(some, "nll") == 100

    def test_unknown(self):
        with pytest.raises(ValueError, match="mse"):
            metrics.loss(of([0], [[1, 0]]), "hinge")


class TestAuc:
    @given(predictions())
    @settings(deadline=None, max_examples=50)
    def test_ovr_and_ovo_are_scikit_learns(self, some):
        found = metrics.macro_auc(some)
        soft = softmax(some.scores, axis=1)
        for way in ("ovr", "ovo"):
            expected = roc_auc_score(some.labels, soft, multi_class=way, average="macro")
            assert found[f"auc_{way}_softmax"] == pytest.approx(expected, abs=1e-12)

    def test_the_variants_differ(self):
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 5, 200)
        scores = rng.random((200, 5))
        scores[np.arange(200), labels] += 0.3
        found = metrics.macro_auc(of(labels, scores / 2, "sigmoid"))
        assert list(found) == [
            "auc_ovr_raw",
            "auc_ovr_sum",
            "auc_ovr_softmax",
            "auc_ovo_softmax",
        ]
        assert len(set(found.values())) == 4

    def test_perfect_and_reversed(self):
        assert set(metrics.macro_auc(of([0, 1, 2], np.eye(3))).values()) == {1.0}
        assert metrics.macro_auc(of([0, 1, 2], -np.eye(3)))["auc_ovo_softmax"] == 0

    def test_classes_that_do_not_occur_are_left_out(self):
        labels = np.array([0, 1, 3, 0, 1, 3, 0])
        scores = np.random.default_rng(0).random((7, 4))
        narrow = metrics.macro_auc(of(np.searchsorted([0, 1, 3], labels), scores[:, [0, 1, 3]]))
        assert metrics.macro_auc(of(labels, scores))["auc_ovr_raw"] == narrow["auc_ovr_raw"]

    @pytest.mark.parametrize(("first", "mean"), [(0.4, 0.75), (0.1, 0.625)])
    def test_two_classes(self, first, mean):
        """Scores of the one need not be the other's turned round."""
        some = of([0, 0, 1, 1], [[0.9, 0.1], [first, 0.6], [0.5, 0.5], [0.2, 0.8]], "sigmoid")
        assert metrics.macro_auc(some)["auc_ovr_raw"] == pytest.approx(mean)

    def test_one_class_has_none(self):
        assert metrics.macro_auc(of([1, 1], [[0, 1], [1, 0]])) == {}


class TestCalibration:
    def test_by_hand(self):
        # Thirty images at confidence 0.8, 21 of them right: 0.1 off.
        # Ten at 0.6, all right: 0.4 off.
        scores = [[0.8, 0.2]] * 30 + [[0.6, 0.4]] * 10
        labels = [0] * 21 + [1] * 9 + [0] * 10
        curve = metrics.reliability(of(labels, scores, "sigmoid"))
        assert curve.ece == pytest.approx((30 * 0.1 + 10 * 0.4) / 40)
        assert curve.counts.tolist() == [10, 30]
        assert curve.accuracy == pytest.approx([1.0, 0.7])
        assert curve.confidence == pytest.approx([0.6, 0.8])

    def test_bins_are_the_fifteen_of_guo(self):
        # An edge of fifteen bins, 2/3, stands between the two; none of ten does.
        some = of([0, 1], [[0.65, 0.35], [0.68, 0.32]], "sigmoid")
        assert metrics.all_metrics(some, "mse")["ece"] == pytest.approx((0.35 + 0.68) / 2)

    @given(predictions(), st.integers(1, 20))
    @settings(deadline=None, max_examples=50)
    def test_every_image_is_in_one_bin(self, some, bins):
        curve = metrics.reliability(some, bins)
        assert curve.counts.sum() == len(some.labels)
        assert len(curve.counts) == len(curve.accuracy) == len(curve.confidence)
        assert (curve.counts * curve.accuracy).sum() == pytest.approx(
            metrics.accuracy(some) * len(some.labels)
        )
        assert 0 <= curve.ece <= 1

    def test_a_confidence_on_an_edge(self):
        scores = [[0.5, 0.5]] * 4 + [[0.7, 0.3]]
        curve = metrics.reliability(of([0, 0, 1, 1, 0], scores, "sigmoid"), bins=2)
        assert curve.counts.tolist() == [4, 1]
        assert curve.ece == pytest.approx(0.3 / 5)

    def test_a_confidence_that_rounding_takes_over_one_is_in_the_last_bin(self):
        curve = metrics.reliability(of([0], [[1e-7, -20.0]], "log_softmax"))
        assert (curve.counts.tolist(), curve.ece) == ([1], pytest.approx(0, abs=1e-6))

    @pytest.mark.parametrize("kind", ["sigmoid", "linear", "log_softmax"])
    def test_probabilities_sum_to_one(self, kind):
        scores = np.random.default_rng(0).random((20, 5))
        assert metrics.probabilities(of([0] * 20, scores, kind)).sum(axis=1) == pytest.approx(1)

    def test_a_silent_sigmoid_row_is_undecided(self):
        some = of([0], [[0.0, 0.0, 0.0, 0.0]], "sigmoid")
        assert metrics.probabilities(some).tolist() == [[0.25] * 4]


class TestLabels:
    """ImageFolder orders classes as strings: index 1 is label 10."""

    classes = (1, 10, 100, 2)
    labels = (0, 1, 1, 1, 2, 3)
    taken = (0, 1, 3, 3, 0, 3)

    @pytest.fixture
    def some(self):
        return of(self.labels, np.eye(4)[list(self.taken)] * 5, classes=self.classes)

    def test_a_class_that_never_occurs_has_its_row(self):
        rows = metrics.per_class(of([0, 2], [[1, 0, 0], [0, 0, 1]], classes=(5, 6, 7)))
        assert [(row.label, row.n, row.f1) for row in rows] == [(5, 1, 1), (6, 0, 0), (7, 1, 1)]

    def test_per_class_is_by_label(self, some):
        found = [
            (entry.label, entry.n, entry.precision, entry.recall, entry.f1)
            for entry in metrics.per_class(some)
        ]
        third = pytest.approx(1 / 3)
        assert found == [
            (1, 1, 0.5, 1, pytest.approx(2 / 3)),
            (2, 1, third, 1, 0.5),
            (10, 3, 1, third, 0.5),
            (100, 1, 0, 0, 0),
        ]

    def test_confusion_is_by_label(self, some):
        labels, counts = metrics.confusion(some)
        assert labels.tolist() == [1, 2, 10, 100]
        assert counts.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 2, 1, 0], [1, 0, 0, 0]]

    def test_mistakes_are_by_label(self, some):
        found = [
            (one.id, one.true, one.taken_for) for one in metrics.confident_mistakes(some, most=9)
        ]
        assert found == [(3, 10, 2), (4, 10, 2), (5, 100, 1)]


def test_mistakes_by_confidence():
    scores = [[2, 0], [9, 0], [5, 0], [0, 1]]
    found = metrics.confident_mistakes(of([1, 1, 1, 1], scores), most=2)
    assert [one.id for one in found] == [2, 3]
    assert found[0].confidence > found[1].confidence > 0.99


def test_macro_figures_by_hand():
    # Class 2 is never predicted, classes 3 to 5 do not occur.
    labels, taken = [0, 0, 0, 1, 2], [0, 0, 1, 1, 0]
    scores = 10 * np.eye(6)[taken] - np.arange(6)
    scores[4] = [5, 4, 0, 1, 2, 3]  # the true class has the lowest score of six
    scores[2] = [2, 6, 5, 4, 3, 1]  # the fifth
    found = metrics.all_metrics(of(labels, scores), "cross_entropy")
    assert found["macro_precision"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found["macro_recall"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["error"] == pytest.approx(2 / 5)
    assert found["top5_accuracy"] == pytest.approx(4 / 5)


@pytest.mark.parametrize("kind", ["sigmoid", "linear", "log_softmax"])
def test_what_may_be_reported_is_made(kind):
    """Of sigmoids every name; of the flower nets' log-softmax those of the flowers."""
    made = set(metrics.all_metrics(of([0, 1, 2], np.eye(3), kind), "mse"))
    known = names.reportable("mnist" if kind == "sigmoid" else "flowers", "test")
    assert made == set(known)
