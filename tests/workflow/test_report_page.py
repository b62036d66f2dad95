"""The whole page of a finished run, as a reader's browser shows it."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from browser import opened

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results"


@pytest.fixture(scope="module")
def seen(results):
    with opened(results / "report.html", height=600) as seen:
        seen.page.wait_for_selector("#rulegraph canvas, #rulegraph svg")
        yield seen


def home(seen) -> None:
    seen.page.evaluate("app.setView({navbarMode: 'menu', content: 'rulegraph'})")


def test_the_front_page_has_verdict_and_table(seen, results):
    home(seen)
    front = seen.page.locator("#app .document")
    assert front.locator("p.verdict").count() >= 3
    assert "such data are drawn by a script" in front.inner_text()
    rows = pd.read_csv(results / "comparison.csv")
    table = front.get_by_role("table")
    not_run = rows["verdict"] == "not run"  # one line a model
    lines = (~not_run).sum() + rows.loc[not_run, "model"].nunique()
    assert table.locator("tbody tr").count() == lines
    assert "system-message" not in front.inner_html()
    order = table.locator("tbody tr").all_inner_texts()
    heading = table.get_by_role("columnheader", name="Verdict")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert table.locator("tbody tr").last.inner_text().count("not run") == 1
    for _ in range(2):
        heading.get_by_role("button").click()
    assert table.locator("tbody tr").all_inner_texts() == order


def test_links_of_the_front_page_lead_to_the_categories(seen):
    for category in seen.page.evaluate("Object.keys(categories)"):
        home(seen)
        seen.page.locator("#app .document ul").get_by_text(category, exact=True).click()
        seen.page.wait_for_function("name => app.state.category === name", arg=category)


def test_nothing_is_cut_off_at_the_left_or_top(seen):
    home(seen)
    content = seen.page.locator("#app .grow.h-screen")
    content.evaluate("element => element.scrollTo(0, 0)")
    box = seen.page.locator("#app .document h1").bounding_box()
    menu = seen.page.locator("nav.h-screen").bounding_box()
    assert box["x"] >= menu["x"] + menu["width"]
    assert box["y"] >= 0


def test_every_figure_and_table_opens(seen, results):
    shown = set()
    for category in seen.page.evaluate("Object.keys(categories)"):
        home(seen)
        seen.page.locator("nav.h-screen").get_by_text(category, exact=True).click()
        lines = seen.page.locator("nav tbody tr")
        for i in range(lines.count()):
            eye = lines.nth(i).locator("a").first
            if eye.get_attribute("download"):
                continue
            eye.click()
            path = seen.page.evaluate("app.state.resultPath")
            if path.endswith(".html"):
                inside = seen.page.frame_locator("iframe")
                inside.locator("main.repro tbody tr").first.wait_for()
            else:
                image = seen.page.locator("#app .grow > div > img")
                image.wait_for(state="visible")
                assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
                assert image.bounding_box()["y"] >= 0, f"{path} is cut off at the top"
            shown.add(path)
    on_disk = {*results.rglob("figures/**/*.png"), *results.glob("*.html")}
    names = {str(file.relative_to(results.parent)) for file in on_disk}
    assert shown == names - {"results/report.html"}


def test_every_figure_has_a_caption_by_model(seen):
    entries = seen.page.evaluate("results")
    for path, entry in entries.items():
        text = re.sub("<[^>]+>", " ", entry["caption"])
        assert len(text.split()) > 10, path
        leaked = re.search(r"system-message|::|\.\. |\{|javascript", text + entry["caption"])
        assert not leaked, (path, text)
        assert entry["labels"], path
    titles = {entry["labels"].get("model") for entry in entries.values()} - {None}
    assert "NumPy, one hidden layer" in titles
    assert "A tiny backbone on drawn images" in titles


def test_statistics_and_licences_open(seen):
    home(seen)
    seen.page.locator("nav.h-screen").get_by_text("Statistics", exact=True).click()
    seen.page.wait_for_selector("#timeline canvas, #timeline svg")
    home(seen)
    seen.page.locator("nav.h-screen").get_by_text("About", exact=True).click()


def test_no_error_and_no_request(seen):
    """Last: of all that the tests above have opened."""
    assert (seen.errors, seen.requests) == ([], [])


def test_markdown_links_lead_to_files(results):
    text = (results / "REPORT.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == len(list((results / "figures").rglob("*.png")))
    assert all((results / link).is_file() for link in links)


def test_run_time_of_every_job(results):
    table = pd.read_csv(results / "runtime.csv")
    assert {"train_numpy_1hidden", "evaluate", "plot_mnist", "fetch"} <= set(table["rule"])
    assert (table["wall_s"] > 0).all()
