"""The benchmark of many images: what it draws, and what its page says."""

import io
import os
import re
import tarfile

import pandas as pd
from PIL import Image

from bench.load import COLUMNS, LEFT, draw, page, unpacked
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
            (count, "extract_images", "wall_s", wall(count)),
            (count, "extract_images", "peak_rss_mib", peak(count)),
            (count, "data", "names", 2 * count),
            (count, "data", "inodes", count),
        ]
        rows += [(count, name, "bytes", 10.0 * count) for name in LEFT]
        rows += [(count, "unpacked", f"tenth {k}", k / 2) for k in range(1, 11)]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_page_shows_every_count():
    text = page(table_of([1000, 20_000], lambda n: n / 100, lambda n: 150), "- A machine.")
    assert "Planned at 1,000, 20,000 images: 14, 14 jobs" in text
    assert "| ms an image, 1,000 to 20,000 |" in " ".join(text.split())
    assert "| extract_images | 10.0 | 200.0 | 10.00 |" in " ".join(text.split())
    assert "20,000 images took 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0 s to unpack" in text


def test_tenths_are_taken_by_the_times_of_files(tmp_path):
    for number in range(1, 42):
        file = tmp_path / f"image_{number:05d}.jpg"
        file.touch()
        os.utime(file, (0, number**2))
    found = [seconds for *_, seconds in unpacked(tmp_path)]
    assert found == [(4 * k + 5) ** 2 - (4 * k + 1) ** 2 for k in range(10)]


def test_the_page_on_scaling_quotes_what_was_measured():
    """After new measurements: put theirs into docs/SCALING.md."""
    quoted, *measured = (
        set(re.findall(r"(?<=\|) +([\d.]+) (?=\|)", (ROOT / f"docs/{name}.md").read_text()))
        for name in ("SCALING", "LOAD", "BENCH_FLOWERS")
    )
    assert quoted
    assert quoted <= set.union(*measured)
