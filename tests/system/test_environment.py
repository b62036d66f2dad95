"""What is set in the environment for other programs does not reach the jobs."""

import os

import pytest

from repro.system.environment import settle


@pytest.mark.parametrize("other", [None, "other", "here:other", "other:here"])
def test_what_the_environment_names_comes_after_the_project(other, tmp_path, monkeypatch):
    here = tmp_path / "here"
    monkeypatch.setenv("PYTHONPATH", other.replace("here", str(here)) if other else "")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    settle(here)
    settle(here)
    assert os.environ["PYTHONPATH"] == (f"{here}:other" if other else str(here))
    assert os.environ["PYTHONUTF8"] == "1"
    assert "PYTHONWARNINGS" not in os.environ
