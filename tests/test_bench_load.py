import io
import tarfile

import pandas as pd
import pytest
from PIL import Image

from bench_load import COLUMNS, LEFT, draw, growths, line, page, parse, values
from repro.flowers import read_labels
from support import ROOT


def test_drawn_images_are_small_distinct_and_labelled(tmp_path):
    archive, labels = tmp_path / "a.tgz", tmp_path / "l.mat"
    draw(archive, labels, 205)
    with tarfile.open(archive) as tar:
        contents = [tar.extractfile(member).read() for member in tar]
        assert tar.getnames()[204] == "jpg/image_00205.jpg"
    assert len(set(contents)) == 205
    assert {Image.open(io.BytesIO(content)).size for content in contents} == {(32, 32)}
    assert read_labels(labels).tolist() == [*range(1, 103), *range(1, 103), 1]


def table_of(counts, wall, peak):
    rows = []
    for count in counts:
        rows += [
            (count, "machine", "load", 1.0),
            (count, "plan", "wall_s", 2.0),
            (count, "plan", "jobs", 14),
            (count, "run", "wall_s", 90.0 + wall(count)),
            (count, "extract_flowers", "wall_s", wall(count)),
            (count, "extract_flowers", "peak_rss_mib", peak(count)),
            (count, "data", "names", 2 * count),
            (count, "data", "inodes", count),
        ]
        rows += [(count, name, "bytes", 10.0 * count) for name in LEFT]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_a_line_goes_through_what_was_measured():
    table = table_of([100, 200, 400], lambda n: 5 + n / 50, lambda n: 160 - n / 1000)
    assert line(table, "extract_flowers", "wall_s") == pytest.approx((0.02, 5))
    assert line(table, "extract_flowers", "wall_s").at(1000) == pytest.approx(25)
    # Memory that falls is the noise of the measurement.
    assert line(table, "extract_flowers", "peak_rss_mib").each == 0


def test_growth_between_counts_shows_what_is_no_line():
    assert growths({10: 1.0, 20: 2.0, 40: 8.0}, 1, 2) == ["0.10", "0.30"]


def test_the_page_shows_every_count():
    text = page(table_of([1000, 20_000], lambda n: n / 100, lambda n: 150), "- A machine.")
    assert "Planned at 1,000, 20,000 images: 14, 14 jobs" in text
    assert "| extract_flowers |  10.0 |  200.0 |" in text
    assert "ms an image, 1,000 to 20,000" in text


def test_the_document_is_what_its_table_says():
    table = pd.read_csv(ROOT / "docs/bench_load.csv")
    text = (ROOT / "docs/LOAD.md").read_text(encoding="utf-8")
    assert text.partition("## Jobs")[2] == page(table, "").partition("## Jobs")[2]
    jobs = values(table, "plan", "jobs")
    assert max(jobs) >= 100_000
    assert len(set(jobs.values())) == 1


def test_counts_can_be_chosen():
    assert parse(["--counts", "10", "20"]).counts == [10, 20]
