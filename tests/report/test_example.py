"""`make example`: the demo's page in small, from a run's results."""

import base64
import io
import re

import pytest
from PIL import Image

import example
from repro.errors import UserError
from support import ROOT

PAGE = '<html><body><main class="repro"><h1>{}</h1><p>{}</p></main></body></html>'


@pytest.fixture
def results(tmp_path):
    """What a run of one net leaves, as far as the page needs it."""
    (tmp_path / "comparison.html").write_text(PAGE.format("Does it?", "a table"))
    (tmp_path / "claims.html").write_text(PAGE.format("Claims", "claims, judged"))
    (tmp_path / "comparison.csv").write_text("model,title\nnet,A <net>\nnet,A <net>\n")
    (tmp_path / "figures/net").mkdir(parents=True)
    Image.new("RGB", (2500, 500), "red").save(tmp_path / "figures/net/accuracy.png")
    return tmp_path


def test_the_page_has_the_tables_once_and_each_picture_inside(results):
    page = example.page(results)
    assert page.index("a table") < page.index("claims, judged") < page.index("A &lt;net&gt;: ")
    assert page.count("<h1>") == page.count("</main>") == 1
    (data,) = re.findall(r"base64,([^\"]+)", page)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == (example.WIDTH, example.WIDTH // 5)
    assert picture.convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_page_of_another_version_is_refused(results):
    (results / "claims.html").write_text("<p>other</p>")
    with pytest.raises(UserError, match="another version"):
        example.page(results)


def test_what_is_committed_is_small_and_stands_on_its_own():
    page = (ROOT / "docs/example/report.html").read_text(encoding="utf-8")
    assert len(page.encode()) <= example.MAX_BYTES
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
