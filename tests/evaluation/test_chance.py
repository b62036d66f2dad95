"""Nets that are no better than always giving the same answer."""

import pandas as pd
import pytest

from repro.evaluation.chance import never_learned


def table(recall, n, **names):
    return pd.DataFrame({"label": [4, 7, 9], "recall": recall, "n": n, **names})


@pytest.mark.parametrize("recall", [[0, 1, 0], [0.2, 0.35, 0.4], [0, 0, 0]])
def test_is_told(recall):
    said = never_learned(table(recall, [20, 60, 20]))
    assert "always answering 7 (60.00 %)" in said
    assert "never learned" in said


def test_the_answer_has_the_class_s_name():
    said = never_learned(table([0, 1, 0], [20, 60, 20], name=["rose", "iris", "lotus"]))
    assert "60.00 % of the test images are right, no more than by always answering iris" in said


@pytest.mark.parametrize(
    ("recall", "n"), [([0.9, 0.9, 0.9], [20, 60, 20]), ([0.25, 0.7, 0.8], [2000, 6000, 2000])]
)
def test_a_net_that_has_learned_is_not(recall, n):
    assert never_learned(table(recall, n)) == ""
