"""What a reader opens first: three sentences, tables that sort, the same as Markdown."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from browser import opened
from repro.comparison import claims, compare
from repro.comparison.compare import Model
from repro.comparison.verdict import ClaimVerdict, Verdict
from repro.evaluation.names import METRIC_COLUMNS
from repro.report import pages, summary
from scripts_support import run_rule
from support import TELLING

RUNS = {"seed-1": "main", "seed-2": "main"}
NET = Model("net", "Net", "numpy", "numpy_1hidden", "replayed", RUNS, True, "")
DRAWN = Model("own", "Own <net>", "torch", None, "own", RUNS, False, "generated data")

RESNET = Model(
    *("resnet152", "ResNet-152", "torch", "resnet152", "stated", RUNS, True, ""),
    protocol="frozen",
)
LONG = "changed: hidden [50] → [100]; epochs 50 → 2; batch_size 100 → 10; split.seed 123 → 7"
ABOVE = {
    "report": "The report: \u201cA title\u201d, by its authors (1998).",
    "another_protocol": "Said of nets in training mode.",
    "orders": [
        {"models": ["Better", "Worse"], "metric": "accuracy", "held": 3, "of": 4},
        {"models": ["This", "That"], "metric": "accuracy", "held": 6, "of": 6},
    ],
    "agreement": {
        "Net": "This machine agrees with the reference runs.",
        "Other": "This machine agrees with the reference runs.",
    },
    "made_on": ["The reference runs were made on a day."],
}
METRICS = pd.DataFrame(
    [("net", "seed-1", 1, "test", "accuracy", 0.9454, 10_000)], columns=METRIC_COLUMNS
)

RECORD = {
    "identity": {
        "code": {
            "commit": "0123456789abcdef",
            "dirty": True,
            "changed": ["a.py", "b.py"],
            "note": "",
            "sha256": "a" * 64,
        },
        "configuration_sha256": "b" * 64,
        "damaged": [],
        "splits": {"main.csv": {"train": {"images": 18}}},
        "python": "3.11.7",
        "features": {"net/all": {"weights_loaded": "by name", "damaged": []}},
        "notebooks": {},
    },
    "circumstances": {
        "recorded": "2026-01-01T00:00:00+00:00",
        "machine": {
            "processor": "A <fast> one",
            "cores": 1,
            "gpus": [],
            "system": "Linux",
            "blas": [{"api": "openblas", "version": "1"}],
        },
    },
}


@pytest.fixture(scope="module")
def look(root):
    return pages.templates((root / "resources/page").glob("*"))


@pytest.fixture(scope="module")
def rows(report) -> pd.DataFrame:
    metrics = pd.DataFrame(
        [
            ("net", "seed-1", 1, "train", "accuracy", 0.95, 55_000),
            ("net", "seed-1", 1, "validation", "accuracy", 0.9476, 5_000),
            ("net", "seed-2", 2, "validation", "accuracy", 0.9474, 5_000),
            ("net", "seed-1", 1, "test", "accuracy", 0.9454, 10_000),
            ("own", "seed-1", 1, "test", "accuracy", 0.5, 100),
        ],
        columns=METRIC_COLUMNS,
    )
    return compare.compare(metrics, [NET, DRAWN], report, {})


@pytest.fixture(scope="module")
def frozen_rows(report) -> pd.DataFrame:
    """ResNet-152 by the default protocol, two figures out of three, and nothing else."""
    metrics = pd.DataFrame(
        [
            ("resnet152", "seed-1", 1, "validation", "accuracy", 1852 / 2048, 2048),
            ("resnet152", "seed-1", 1, "test", "accuracy", 0.89, 200),
        ],
        columns=METRIC_COLUMNS,
    )
    return compare.compare(metrics, [RESNET], report, {})


@pytest.fixture(scope="module")
def judged(report) -> pd.DataFrame:
    found = claims.judge(report, [])
    found.loc[found["claim"].isin([1, 2, 3]), "verdict"] = ClaimVerdict.HOLDS
    found.loc[found["claim"] == 9, "verdict"] = ClaimVerdict.FAILS
    return found


class TestSentences:
    def test_counts_by_verdict(self, rows, judged):
        figures, chance, order, all_of, machine, second, third = summary.sentences(
            rows, judged, ABOVE
        )
        assert figures == (
            "Of the report's 18 figures 3 can be compared with what was run here: 1 comes out to "
            "the digit, 1 agrees and 1 cannot be told."
        )
        assert chance == (
            "1 of them is held against what chance makes of one run to the next, at 95 %: if the "
            "whole report holds, 0.1 of them differ all the same; here none differ."
        )
        assert order == (
            "The report's order by test accuracy, \u201cBetter\u201d above \u201cWorse\u201d, is "
            "found in 3 of 4 combinations of their runs."
        )
        assert "is found in all 6 combinations" in all_of
        assert (
            machine
            == "\u201cNet\u201d and \u201cOther\u201d: this machine agrees with the reference runs."
        )
        assert second == (
            "Of its 9 claims in words 3 hold (1\u20133), 1 does not hold (9) "
            "and 5 cannot be judged here (4\u20138)."
        )
        assert "the validation auc ovr softmax of Net" in third
        assert "NumPy, two hidden layers and PyTorch, two hidden layers" in third
        assert "Own <net> (generated data)" in third
        assert "such data are drawn by a script" in third

    def test_another_protocol_counts_as_neither_held_nor_missed(self, frozen_rows, judged):
        """Of figures, and of claims."""
        apart = judged.copy()
        apart.loc[apart["claim"].isin([2, 9]), "protocol"] = "frozen"
        first, *_, second, third = summary.sentences(frozen_rows, apart, ABOVE)
        assert first.startswith("None of the report's 18 figures can be compared")
        assert second == (
            "Of its 9 claims in words 2 hold (1, 3) and 5 cannot be judged here (4\u20138); by "
            "another protocol (frozen) 1 holds (2) and 1 does not hold (9)."
        )
        assert "the test accuracy of ResNet-152 (by another protocol: frozen)" in third

    def test_a_reason_of_many_parts_is_shortened(self, report, judged):
        rows = compare.compare(METRICS, [replace(NET, comparable=False, why_not=LONG)], report, {})
        assert (
            "Net (changed: hidden [50] → [100] and 3 more)"
            in summary.sentences(rows, judged, ABOVE)[-1]
        )

    def test_of_what_chance_decides_each_miss_is_counted(self, judged):
        verdicts = [
            *("agrees", "differs, too little to matter", "differs: higher", "differs: lower"),
            *("to the digit", "cannot tell"),
        ]
        rows = pd.DataFrame([{**TELLING, "verdict": verdict} for verdict in verdicts])
        rows.loc[rows["verdict"] == "to the digit", "half_width"] = None
        assert summary.sentences(rows, judged, ABOVE)[1] == (
            "5 of them are held against what chance makes of one run to the next, at 95 %: if the "
            "whole report holds, 0.2 of them differ all the same; here 3 differ."
        )

    def test_nothing_was_run(self, report, judged):
        rows = compare.compare(pd.DataFrame(columns=METRIC_COLUMNS), [], report, {})
        assert summary.sentences(rows, judged, ABOVE)[0].startswith(
            "None of the report's 18 figures can be compared"
        )

    def test_everything_was_run(self, rows, judged):
        whole = rows[rows["verdict"] == Verdict.TO_THE_DIGIT]
        assert summary.sentences(whole, judged, ABOVE)[-1] == "Nothing of the report was left out."

    def test_a_run_without_drawn_flowers_does_not_speak_of_them(self, rows, judged):
        assert "drawn" not in summary.sentences(rows[rows["model"] != "own"], judged, ABOVE)[-1]


class TestTables:
    def test_a_title_is_not_taken_for_html(self, rows, judged, look):
        text = pages.comparison_page(rows.assign(title='"<script>x</script>'), judged, ABOVE, look)
        assert "<script" not in text
        run = (rows["verdict"] != "not run").sum()
        assert text.count("&#34;&lt;script&gt;x&lt;/script&gt;") > 2 * run

    def test_numbers_are_flush_right_and_sort_by_value(self, rows, judged, look):
        text = pages.comparison_page(rows, judged, ABOVE, look)
        assert '<td class="number" data-sort="94.54">94.54</td>' in text

    def test_each_column_shows_its_own_number(self, judged, look):
        text = pages.comparison_page(pd.DataFrame([TELLING]), judged, ABOVE, look)
        (line,) = (line for line in text.splitlines() if "<td" in line)
        shown = [re.sub("<[^>]+>", " ", cell).strip() for cell in line.split("</td>")]
        keys = re.findall(r'data-sort="([^"]*)"', line)[2:]
        assert shown[1:-1] == [
            *(
                "91.00",
                "93.00",
                "+2.00 \u00b1 1.30 matters\u00a0from\u00a01.60",
                "\u2260 differs: higher",
            ),
            *("87.00\u201395.00", "93.00 \u00b1 0.50 3 runs, spread of 20 reference runs"),
        ]
        assert [float(key) for key in keys[1:]] == pytest.approx([91, 93, 2, 4, 87, 0.5])

    def test_a_note_stands_below_under_its_number(self, judged, look):
        rows = pd.DataFrame([{**TELLING, "note": note} for note in ("first", "second", "")])
        text = pages.comparison_page(rows, judged, ABOVE, look)
        marks = re.findall(r"test accuracy %(?: \[(\d)\])?<", text)
        assert marks == ["1", "2", ""]
        below = re.findall(r"<p>\[(\d)\] (.*?)</p>", text)
        assert below == [("1", "First."), ("2", "Second.")]

    def test_digits_that_come_out_are_a_remark_of_a_figure_that_chance_decides(self, judged, look):
        for verdict, times in (("agrees", 1), ("to the digit", 0)):
            row = {**TELLING, "verdict": verdict, "to_the_digit": True}
            text = pages.comparison_page(pd.DataFrame([row]), judged, ABOVE, look)
            assert text.count("<small>its printed digits come out</small>") == times

    def test_a_verdict_says_what_it_means(self, rows, judged, look):
        text = pages.comparison_page(rows, judged, ABOVE, look)
        for verdict in set(rows["verdict"]) - {Verdict.BY_PROTOCOL}:
            assert text.count(Verdict(verdict).meaning[1:].replace("'", "&#39;")) > 1, verdict
        assert ABOVE["made_on"][0] in text

    def test_what_was_not_run_has_no_numbers(self, rows, judged, look):
        text = pages.comparison_page(rows, judged, ABOVE, look)
        line = next(line for line in text.splitlines() if "ResNet-152" in line and "<tr" in line)
        assert "not run" in line
        assert "nan" not in line.lower()

    def test_another_protocol_is_named_and_explained(self, frozen_rows, judged, look):
        apart = judged.assign(protocol="frozen")
        for text in (
            pages.comparison_page(frozen_rows, judged, ABOVE, look),
            pages.markdown(frozen_rows, apart, ABOVE, {"Shown": {"a": "a.png"}}, RECORD),
        ):
            words = " ".join(text.split())
            assert "by another protocol: frozen" in words
            assert ABOVE["another_protocol"] in words
            assert ABOVE["report"] in words
            assert "-1.97" in words.replace("\u2212", "-")
        text = pages.claims_page(apart, look)
        assert "<small>by another protocol: frozen</small>" in text
        assert 'class="kind exact"' not in text
        assert ABOVE["another_protocol"] not in pages.comparison_page(
            frozen_rows[:4], judged, ABOVE, look
        )

    def test_what_was_changed_stands_below_the_verdict(self, report, judged, look):
        rows = compare.compare(METRICS, [replace(NET, comparable=False, why_not=LONG)], report, {})
        assert f"not comparable here</span><small>{LONG}</small>" in pages.comparison_page(
            rows, judged, ABOVE, look
        )

    def test_the_same_from_csv(self, rows, judged, look, tmp_path):
        for name, table in (("rows", rows), ("judged", judged)):
            table.to_csv(tmp_path / name, index=False)
        again, judged_again = (pd.read_csv(tmp_path / name) for name in ("rows", "judged"))
        assert pages.comparison_page(again, judged_again, ABOVE, look) == pages.comparison_page(
            rows, judged, ABOVE, look
        )
        assert pages.claims_page(judged_again, look) == pages.claims_page(judged, look)

    def test_pages_ask_for_nothing(self, rows, judged, look):
        for text in (
            pages.comparison_page(rows, judged, ABOVE, look),
            pages.claims_page(judged, look),
            pages.provenance_page(RECORD, look),
        ):
            assert not re.search(r"https?://|src=|(?<!<a )href=|url\(|@import", text)


class TestProvenance:
    def test_sentences(self):
        first, second, third, _ = summary.origin(RECORD)
        assert first == (
            "Code: commit 0123456789ab, with changes that are not committed; sha256 aaaaaaaaaaaa."
        )
        assert "sha256 bbbbbbbbbbbb" in second
        assert third.startswith("Machine: A <fast> one, 1 core, no GPU; Linux, Python 3.11.7;")

    def test_weights_that_were_loaded_by_order_are_named(self):
        manifests = {"net": {"weights_loaded": "by order", "damaged": []}}
        for key in ("features", "notebooks"):
            record = {**RECORD, "identity": {**RECORD["identity"], key: manifests}}
            assert "Weights: those of net are loaded by order, not by name" in " ".join(
                summary.origin(record)
            )

    def test_code_without_git(self):
        code = {**RECORD["identity"]["code"], "commit": None, "note": "not a git checkout"}
        record = {**RECORD, "identity": {**RECORD["identity"], "code": code}}
        assert summary.origin(record)[0].startswith("Code: not a git checkout; sha256")

    def test_images_left_out_are_counted_and_named(self, rows, judged, look):
        assert summary.left_out(RECORD) == []
        found = {
            "damaged": [7, *range(100, 1134)],
            "features": {"net/all": {"weights_loaded": "by name", "damaged": [9]}},
        }
        record = {**RECORD, "identity": {**RECORD["identity"], **found}}
        of_data, of_net = summary.left_out(record)
        assert of_data.startswith("Left out of the data as damaged: 1,035 images (7, 100, 101, ")
        assert of_data.endswith(", 118, \u2026).")
        assert of_net == "Left out of the features of net/all as damaged: 1 image (9)."
        assert {of_data, of_net} < set(summary.origin(record))
        verdict = pages.comparison_page(rows, judged, ABOVE, look, [of_data, of_net]).partition(
            "<table"
        )[0]
        assert of_data in verdict
        assert of_net in verdict

    def test_every_value_has_its_line(self, look):
        text = pages.provenance_page(RECORD, look)
        for name, value in (
            ("python", "3.11.7"),
            ("dirty", "yes"),
            ("changed", "a.py, b.py"),
            ("main.csv \u203a train \u203a images", "18"),
            ("processor", "A &lt;fast&gt; one"),
            ("gpus", "none"),
            ("blas", "api openblas version 1"),
        ):
            assert re.search(rf"<tr.*>{re.escape(name)}</th>.*>{re.escape(value)}</td>", text), name
        assert "<summary>Splits (1 line)</summary>" in text
        assert "<summary>Machine (5 lines)</summary>" in text


class TestMarkdown:
    def test_holds_all(self, rows, judged):
        figures = {"Shown": {"a chart": "figures/a.png"}, "Net": {"a curve": "figures/net/b.png"}}
        text = pages.markdown(rows, judged, ABOVE, figures, RECORD)
        for sentence in summary.sentences(rows, judged, ABOVE):
            assert f"- {sentence}\n" in text
        assert "![a chart](figures/a.png)" in text
        assert "- Net: [a curve](figures/net/b.png)" in text
        assert "| test accuracy %" in text
        assert "## Claims in words" in text
        assert "## Provenance\n\n- Code: commit 0123456789ab" in text
        assert text.endswith("\n")
        assert "\n\n\n" not in text


class TestAgainst:
    ROWS = pd.DataFrame(
        [
            {
                **{"model": "wide", "title": "Wide <net>", "against": "plain", "n": 10_000},
                **{"against_title": "Plain", "accuracy": 0.9512, "against_accuracy": 0.9433},
                **{"difference_pp": 0.79, "low_pp": 0.41, "high_pp": 1.17, "only_model": 231},
                **{"only_against": 152, "p": 0.0000632},
            }
        ]
    )
    SAID = ("95.12", "94.33", "+0.79", "+0.41 to +1.17", "231", "152", "6.3e-05")

    def test_each_column_shows_its_own_number(self, look):
        text = pages.against_page(self.ROWS, look)
        found = re.findall(r"<t[hd][^>]*data-sort[^>]*>(.*?)\n?\s*</t[hd]>", text)
        assert found == ["Wide &lt;net&gt;", "Plain", *self.SAID]
        assert 'data-sort="0.79"' in text


def written(folder, tables: dict[str, pd.DataFrame], **records) -> dict:
    """Write tables and records; return their files by name."""
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    files = {name: folder / f"{name}.csv" for name in tables}
    return files | {name: folder / f"{name}.json" for name in records}


LEARNED = pd.DataFrame(
    {"label": [1, 2], "precision": [0.8, 1], "recall": [1, 0.75], "f1": [0.9, 0.9], "n": [8, 8]}
)


class TestByTheRules:
    def test_each_page_is_written_of_its_own_tables(self, rows, judged, root, tmp_path):
        learned = {"own": LEARNED, "net": LEARNED.assign(recall=0.5)}
        files = written(
            tmp_path,
            {"comparison": rows, "claims": judged, "against": TestAgainst.ROWS}
            | {name: table.assign(model=name) for name, table in learned.items()},
            overview=ABOVE,
            provenance=RECORD,
        )
        results = tmp_path / "results"
        out = {name: results / f"{name}.html" for name in ("comparison", "claims", "provenance")}
        run_rule(
            "write_page",
            tmp_path,
            input={name: files[name] for name in ("comparison", "claims", "overview", "provenance")}
            | {"against": [files["against"]], "per_class": [files["own"], files["net"]]}
            | {"look": sorted((root / "resources/page").iterdir())},
            output={**out, "against": results / "against.html", "markdown": results / "REPORT.md"},
            params={
                "figures": [
                    ["Comparison", "A chart", str(results / "figures/a.png")],
                    ["Net", "A curve", str(results / "figures/net/b.png")],
                ]
            },
        )
        report = (results / "REPORT.md").read_text()
        page = (results / "comparison.html").read_text()
        for text in (report, page):
            assert "Net never learned: 50.00 % of the test images" in text
            assert text.count("never learned") == 1
        (line,) = (line for line in report.splitlines() if line.startswith("| Wide <net> "))
        found = [cell.strip() for cell in line.strip("|").split("|")]
        assert found == ["Wide <net>", "Plain", *TestAgainst.SAID]
        assert "![A chart](figures/a.png)" in report
        assert "- Net: [A curve](figures/net/b.png)" in report
        headings = {name: file.read_text().partition("<h1>")[2] for name, file in out.items()}
        assert headings["comparison"].startswith(pages.TITLE)
        assert headings["claims"].startswith("What the report says in words")
        assert headings["provenance"].startswith("How this run was made")
        assert "Wide &lt;net&gt;" in (results / "against.html").read_text()
        # Where a model's files are, to which the page leads.
        for name in ("net", "own"):
            for link, file in (
                ("card", f"runs/{name}/model_card.md"),
                ("curve", f"figures/{name}/accuracy.png"),
                ("confusion", f"figures/{name}/confusion.png"),
                ("log", f"workflow/logs/train_{name}/seed-1.log"),
            ):
                assert f'<a href="{file}">{link}</a>' in page

    def test_each_net_s_classes_stand_under_its_own_title(self, root, tmp_path):
        nets = {"Bud": 0.25, "Leaf": 0.75}
        files = {}
        for title, recall in nets.items():
            right = int(8 * recall)
            given = [1] * right + [2] * (8 - right)
            every = pd.DataFrame(
                {"split": ["test"] * 8 + ["train"], "true": [1] * 8 + [2], "predicted": [*given, 2]}
            )
            files[title] = written(
                tmp_path,
                {
                    f"{title}-predictions": every,
                    f"{title}-per_class": LEARNED.assign(recall=recall),
                    f"{title}-confusion": pd.DataFrame(
                        {"true": 1, "taken_for": [1, 2], "count": [right, 8 - right], "n": 8}
                    ),
                },
            )
        left_out = {"passed_over": {".db": 3}, "skipped": {}, "only_trained_on": {}}
        records = written(tmp_path, {}, provenance=RECORD, left_out=left_out)
        results = tmp_path / "results"
        output = {name: results / f"{name}.html" for name in ("page", "provenance")}
        tables = ("predictions", "per_class", "confusion")
        run_rule(
            "write_pictures",
            tmp_path,
            input={table: [files[net][f"{net}-{table}"] for net in nets] for table in tables}
            | records
            | {"look": sorted((root / "resources/page").iterdir())},
            output=output
            | {"summary": results / "pictures.txt", "markdown": results / "REPORT.md"},
            params={
                "titles": [*nets],
                "figures": [["Leaf", "A curve", str(results / "figures/leaf/b.png")]],
            },
        )
        said = (results / "pictures.txt").read_text()
        assert "Bud gives 2 of 8 test pictures the right name: 25.0 %" in said
        assert "Leaf gives 6 of 8 test pictures the right name: 75.0 %" in said
        assert "passed over" in said
        bud, leaf = re.split("^## ", (results / "REPORT.md").read_text(), flags=re.M)[1:3]
        for text, share, taken in ((bud, 25, 6), (leaf, 75, 2)):
            (line,) = (line for line in text.splitlines() if re.match(r"\| 1 ", line))
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells == ["1", "0", "0", "8", str(share), "80", f"2 ({taken})"]
        assert "[A curve](figures/leaf/b.png)" in leaf
        assert "Bud" in output["page"].read_text().partition("<table")[0]
        assert "How this run was made" in output["provenance"].read_text()


def column(seen, number: int) -> list[str]:
    cells = seen.page.locator(f"tbody tr > :nth-child({number})")
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


@pytest.mark.heavy
class TestInABrowser:
    def test_a_click_sorts(self, rows, judged, look, tmp_path):
        file = tmp_path / "comparison.html"
        file.write_text(pages.comparison_page(rows, judged, ABOVE, look), encoding="utf-8")
        with opened(file) as seen:
            first = column(seen, 3)
            assert first[:3] == ["95.61", "94.78", "94.54"]
            heading = seen.page.get_by_role("columnheader", name="Reported")
            heading.get_by_role("button").click()
            assert heading.get_attribute("aria-sort") == "ascending"
            upwards = column(seen, 3)
            values = [float(text) for text in upwards if re.match(r"[\d.]+$", text)]
            assert len(values) == 4
            assert values == sorted(values)
            assert upwards[-1] == ""
            heading.get_by_role("button").press("Enter")
            assert heading.get_attribute("aria-sort") == "descending"
            assert column(seen, 3)[0] == "95.61"
            assert column(seen, 3)[-1] == ""
            heading.get_by_role("button").press("Space")
            assert column(seen, 3) == first
            assert (seen.errors, seen.requests) == ([], [])

    def test_verdicts_sort_from_best_to_least(self, rows, judged, look, tmp_path):
        file = tmp_path / "claims.html"
        file.write_text(pages.claims_page(judged, look), encoding="utf-8")
        with opened(file) as seen:
            seen.page.get_by_role("button", name="Verdict").click()
            found = [text[1:].strip() for text in column(seen, 3)]
            assert found == ["holds"] * 3 + ["does not hold"] + ["cannot be judged"] * 5
            assert (seen.errors, seen.requests) == ([], [])

    def test_the_watch_sees_what_it_should(self, tmp_path):
        """The two lists above can fill: an error and a request are noticed."""
        file = tmp_path / "bad.html"
        file.write_text("<script src='http://127.0.0.1:9/x.js'></script><script>oops()</script>")
        with opened(file) as seen:
            assert seen.requests == ["http://127.0.0.1:9/x.js"]
            assert any("oops" in error for error in seen.errors)
