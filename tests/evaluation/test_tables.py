"""The tables of one run: tidy, named right, made without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from repro.errors import UserError
from repro.evaluation import tables
from repro.predictions import Predictions

RUN = tables.Run("net", "seed-7", 7)


@pytest.fixture
def names(root):
    return root / "resources/flower_names.csv"


@pytest.fixture
def predictions() -> Predictions:
    """Flowers with labels 1, 10, 100, 2 in the order of folders, two test images mistaken."""
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1, 1])
    taken = np.array([0, 1, 2, 3, 0, 3, 2, 3, 3, 1])
    splits = np.array(["train"] * 4 + ["test"] * 6)
    scores = np.log(np.where(np.eye(4)[taken] == 1, 0.7, 0.1))
    return Predictions(
        np.arange(11, 21), labels, splits, scores, "log_softmax", np.array([1, 10, 100, 2])
    )


class TestMetrics:
    def test_running_average_is_that_of_the_last_epoch(self, predictions, tmp_path):
        history = tmp_path / "history.csv"
        history.write_text(
            "epoch,split,loss,accuracy\n1,train,2,0.5\n3,test,1,0.9\n3,train,1,0.75\n2,train,1,0.8\n"
        )
        table = tables.metrics_table(predictions, RUN, "nll", history)
        running = table[table["metric"] == "running_accuracy"]
        assert running[["split", "value"]].to_numpy().tolist() == [["train", 0.75]]

    def test_a_history_without_train(self, predictions, tmp_path):
        (tmp_path / "history.csv").write_text("epoch,split,loss,accuracy\n1,test,1,0.9\n")
        with pytest.raises(UserError, match="no row of the train set"):
            tables.metrics_table(predictions, RUN, "nll", tmp_path / "history.csv")


class TestNames:
    def test_no_mistakes(self, predictions, names):
        perfect = Predictions(
            predictions.ids,
            predictions.labels,
            predictions.splits,
            np.log(np.where(np.eye(4)[predictions.labels] == 1, 0.7, 0.1)),
            "log_softmax",
            predictions.classes,
        )
        table = tables.mistake_table(perfect, RUN, names)
        assert table.empty
        assert "true_name" in table.columns

    def test_a_nameless_label(self, predictions, tmp_path):
        (tmp_path / "names.csv").write_text("label,name\n1,one\n")
        with pytest.raises(UserError, match="no name for label 2"):
            tables.class_table(predictions, RUN, tmp_path / "names.csv")

    def test_another_table(self, predictions, tmp_path):
        (tmp_path / "names.csv").write_text("a,b\n1,one\n")
        with pytest.raises(UserError, match=r"the columns label .* and name"):
            tables.class_table(predictions, RUN, tmp_path / "names.csv")


def test_evaluating_needs_no_torch(root):
    """Importing torch takes seconds, and every run is evaluated in a process of its own."""
    modules = "repro.evaluation.tables, repro.report.markdown, repro.comparison.claims"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=root / "scripts", check=True)
