"""The table of faults: written from what ran, and in step with the marks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import fault_table
from fault_table import Fault, Row
from support import ROOT

TESTS = """
    import pytest

    @pytest.mark.fault("disk", "a full disk", "it is named")
    @pytest.mark.parametrize("size", [1, 2])
    def test_a_full_disk(tmp_path, size):
        with pytest.raises(ValueError, match="full"):
            raise ValueError(f"{tmp_path}/f_x: full, size {size}\\n  in two lines {'x' * 250}")

    @pytest.mark.fault("disk", "one of two kinds", "words")
    @pytest.mark.fault("disk", "the other of two | kinds", "words")
    def test_two(happened):
        happened("at 12:13:14 process 77 found 1,234,567 bytes", fault="one of two kinds")
        happened("the other")

    @pytest.mark.fault("network", "a broken promise", "it holds")
    def test_broken():
        assert False, "it does not hold"

    @pytest.mark.fault("network", "nothing to try it on", "it holds")
    def test_skipped():
        pytest.skip("no network card")

    def test_unmarked():
        pass
"""
PAGE = """

## Disk

| fault | promised | outcome | seen |
| --- | --- | --- | --- |
| a full disk | it is named | as promised | “f\\_x: full, size 1 in two lines XXX …” |
| one of two kinds | words | as promised | at TIME process N found N bytes |
| the other of two \\| kinds | words | as promised | the other |

## Network

| fault | promised | outcome | seen |
| --- | --- | --- | --- |
| a broken promise | it holds | **NOT as promised** | AssertionError: it does not hold |
| nothing to try it on | it holds | not run: no network card |  |
"""
MESSAGES = """\
disk: a full disk
    “f_x: full, size 1
      in two lines XXX”

disk: one of two kinds
    at TIME process N found N bytes

disk: the other of two | kinds
    the other

network: a broken promise
    AssertionError: it does not hold

network: nothing to try it on

"""


def test_the_page_is_what_happened(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = fault(kind, fault, promise): x\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["fault_table"]\n')
    (tmp_path / "test_some.py").write_text(textwrap.dedent(TESTS))
    page, messages = tmp_path / "page.md", tmp_path / "messages.txt"
    options = ["--reliability", page, "--messages", messages]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = page.read_text()
    assert found.startswith(fault_table.HEAD)
    assert "5 faults: 3 as promised, 1 NOT as promised, 1 not run." in found
    assert re.sub("x{100,}", "XXX", found[found.index("## Disk") :]) == PAGE.strip() + "\n"
    assert re.sub("x{100,}", "XXX", messages.read_text()) == MESSAGES
    marks = fault_table.marks_in(tmp_path)
    assert len(marks) == 5
    assert fault_table.rows_of(found) == fault_table.written(marks)


def test_a_fault_that_fails_once_is_not_as_promised():
    row = Row(failed=["why"], passed=3, seen=["well"])
    assert row.cells(Fault("k", "f", "p"))[2:] == ["**NOT as promised**", "why"]


def test_the_page_has_a_row_for_every_marked_test():
    found = fault_table.rows_of((ROOT / "docs/RELIABILITY.md").read_text())
    assert found == fault_table.written(fault_table.marks_in(ROOT / "tests")), (
        "the marks have changed: run make reliability"
    )
