import io
import os
import tarfile

import pandas as pd
import pytest
from PIL import Image

from bench_load import COLUMNS, LEFT, draw, growths, line, page, parse, unpacked, values
from repro.flowers.labels import read_labels
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
        rows += [(count, "unpacked", f"tenth {k}", k / 2) for k in range(1, 11)]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_a_line_goes_through_what_was_measured():
    table = table_of([100, 200, 400], lambda n: 5 + n / 50, lambda n: 160 - n / 1000)
    assert line(table, "extract_flowers", "wall_s") == pytest.approx((0.02, 5))
    assert line(table, "extract_flowers", "wall_s").at(1000) == pytest.approx(25)


def test_noise_makes_no_line_that_begins_or_falls_below_zero():
    table = table_of([100, 300], lambda n: n / 50 - 1, lambda n: 160 - n / 100)
    assert line(table, "extract_flowers", "peak_rss_mib") == (0, 158)
    # Least squares through the origin: (1 * 100 + 5 * 300) / (100² + 300²).
    assert line(table, "extract_flowers", "wall_s") == pytest.approx((0.016, 0))


def test_growth_between_counts_shows_what_is_no_line():
    assert growths({10: 1.0, 20: 2.0, 40: 8.0}, 1, 2) == ["0.10", "0.30"]


def test_the_page_shows_every_count():
    text = page(table_of([1000, 20_000], lambda n: n / 100, lambda n: 150), "- A machine.")
    assert "Planned at 1,000, 20,000 images: 14, 14 jobs" in text
    assert "| extract_flowers |  10.0 |  200.0 |" in text
    assert "ms an image, 1,000 to 20,000" in text
    assert "20,000 images took 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0 s to unpack" in text


def test_tenths_are_taken_by_the_times_of_files(tmp_path):
    for number in range(1, 42):
        file = tmp_path / f"image_{number:05d}.jpg"
        file.touch()
        os.utime(file, (0, number**2))
    found = [seconds for *_, seconds in unpacked(tmp_path)]
    assert found == [(4 * k + 5) ** 2 - (4 * k + 1) ** 2 for k in range(10)]


def test_the_document_is_what_its_table_says():
    table = pd.read_csv(ROOT / "docs/bench_load.csv")
    text = (ROOT / "docs/LOAD.md").read_text(encoding="utf-8")
    assert text.partition("## Jobs")[2] == page(table, "").partition("## Jobs")[2]
    jobs = values(table, "plan", "jobs")
    assert max(jobs) >= 100_000
    assert len(set(jobs.values())) == 1


def test_counts_can_be_chosen():
    assert parse(["--counts", "10", "20"]).counts == [10, 20]
