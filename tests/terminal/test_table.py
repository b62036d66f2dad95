"""A Markdown page on terminals of several widths."""

from repro.terminal.table import fitted

PAGE = """| figure | reported | reproduced | difference | Wilson | verdict |
| --- | ---: | ---: | ---: | ---: | --- |
| **A net with a very long title, longer than the others** | | | | | *recipe replayed* |
| test accuracy % | 95.78 | 95.81 | +0.03 | 95.40–96.19 | within the interval |

- A note, of which there can be many, each of more words than a line of a terminal has room for.
"""


def test_a_wide_terminal_has_all_columns_and_titles_take_no_room():
    head, title, row = fitted(PAGE, 100).splitlines()[:3]
    assert title == "A net with a very long title, longer than the others — recipe replayed"
    assert row == (
        "  test accuracy %     95.78       95.81       +0.03  95.40–96.19  within the interval"
    )
    assert head.index("reported") + len("reported") == row.index("95.78") + len("95.78")


def test_a_narrow_one_keeps_figure_reproduced_and_verdict():
    for width in (70, 50, 30):
        lines = fitted(PAGE, width).splitlines()
        assert max(map(len, lines)) <= width
        assert "95.81" in "".join(lines) or width == 30
    assert "Wilson" not in fitted(PAGE, 70).splitlines()[0]
    assert "reported" not in fitted(PAGE, 50).splitlines()[0]
