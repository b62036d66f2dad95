"""What the benchmarks share: turns, ratios, and pages."""

import pandas as pd

from bench import harness


def test_contenders_take_turns_round_after_round():
    order = []

    def run(name):
        order.append(name)
        return {"seconds": len(order)}

    times = harness.race({"a": lambda: run("a"), "b": lambda: run("b")}, 2)
    assert order == ["a", "b", "a", "b"]
    assert times.values.tolist() == [[1, "a", 1], [1, "b", 2], [2, "a", 3], [2, "b", 4]]


def test_ratios_are_taken_within_a_round():
    rows = [
        (number, name, value)
        for name, values in (("slow", (2.0, 40.0, 6.0)), ("fast", (1.0, 10.0, 3.0)))
        for number, value in enumerate(values)
    ]
    times = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    assert harness.ratio(times, "slow", "fast") == 2
    assert harness.medians(times).to_dict() == {"slow": 6, "fast": 3}


def test_numbers_are_flush_right_and_keep_their_digits():
    text = harness.table([{"who": "a", "how much": "1.50"}, {"who": "bcd"}])
    assert [line.split("|")[1:-1] for line in text.splitlines()[2:]] == [
        [" a     ", "       1.50 "],
        [" bcd   ", "            "],
    ]


def test_a_page_is_printed_and_written(tmp_path, capsys):
    options = harness.parser("About.").parse_args(
        ["--output", str(tmp_path / "a.md"), "--csv", str(tmp_path / "a.csv")]
    )
    measured = pd.DataFrame({"part": ["bytes"], "value": [36758521.0]})
    harness.publish(harness.page("# A", "", "text"), measured, options)
    assert (tmp_path / "a.md").read_text() == capsys.readouterr().out == "# A\n\ntext\n"
    assert (tmp_path / "a.csv").read_text() == "part,value\nbytes,36758521\n"
