"""The built site, as files and in a real browser: complete, rendered, usable, and asking nobody else for anything.

What a page may not do is said once, in book/site_files.py and book/site_browser.py, which 'make site-report' uses too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import site_files
from build import pages
from site_browser import BROWSER, PHONE, launched, look, served, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "_build" / "screenshots"
PAGES = sorted(pages())
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]

pytestmark = pytest.mark.site
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@pytest.fixture(scope="module")
def html() -> Path:
    """The site, built where something changed since the last build."""
    done = subprocess.run([sys.executable, "book/build.py", "book"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "_build" / "html"


@pytest.fixture(scope="module")
def address(html: Path) -> Iterator[str]:
    """The site served on a free local port."""
    with served(html) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def test_every_page_of_the_contents_is_there_and_no_other(html: Path) -> None:
    assert site_files.chapters(html) == PAGES
    assert {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(PAGES)


def test_no_page_loads_anything_from_another_host(html: Path) -> None:
    assert site_files.loads_from_elsewhere(html) == []


def test_every_link_within_the_site_leads_somewhere(html: Path) -> None:
    assert site_files.broken_links(html) == []


def test_every_figure_says_what_it_shows_and_its_numbers_fold_below(html: Path) -> None:
    assert site_files.undescribed(html) == []
    for name in CHAPTERS:
        page = site_files.page_at(html / f"{name}.html")
        pictures = [f for f in page.figures if "white_box" not in name]  # photographs have no numbers
        assert page.folds >= len(pictures), name


def test_chapters_offer_launch_buttons_that_lead_to_their_notebook(html: Path) -> None:
    for page in CHAPTERS:
        text = (html / f"{page}.html").read_text()
        assert re.search(rf"https://mybinder\.org/v2/gh/[^\"]+{page}\.ipynb", text), page
        assert re.search(rf"https://colab\.research\.google\.com/github/[^\"]+{page}\.ipynb", text), page


def test_injected_parameters_are_not_shown(html: Path) -> None:
    for page in CHAPTERS:
        assert "# Parameters" not in (html / f"{page}.html").read_text()


def test_tables_of_chapters_are_tables(html: Path) -> None:
    assert [page for page in CHAPTERS if re.search(r"\|\s*[-—]{1,3}\s*\|", (html / f"{page}.html").read_text())] == []


def test_claims_lead_to_the_chapters_that_judge_them(html: Path) -> None:
    front = (html / "book" / "intro.html").read_text()
    rows = re.findall(r'href="\.\./(notebooks/\w+)\.html">(?:<[^>]*>)?([ABC]\d+[ab]?)<', front)
    assert len(rows) >= 23
    for page, claim in rows:
        assert re.search(rf"<strong>{claim}\. ", (html / f"{page}.html").read_text()), claim


def test_every_public_module_is_in_the_api_pages() -> None:
    texts = [path.read_text() for path in (ROOT / "book" / "api").glob("*.md")]
    named = set(re.findall(r"automodule:: (\S+)", "".join(texts)))
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "drs").rglob("*.py")]
    modules = {".".join(part for part in path.parts if part != "__init__") for path in files}
    private = {name for name in modules if any(part.startswith("_") for part in name.split("."))}
    assert modules - private - named == {"drs", "drs.cli"}


@in_browser
@pytest.mark.parametrize("path", PAGES)
def test_page_does_nothing_that_it_must_not(browser: Browser, address: str, path: str) -> None:
    contrast = not path.startswith("book/api/")  # many pages of one kind: 'make site-report' looks at their colours
    assert look(browser, address, path, contrast=contrast).problems() == []


@in_browser
def test_a_chapter_renders_formulas_and_figures(browser: Browser, address: str) -> None:
    with visit(browser, address, "notebooks/03_drs_loss.html") as seen:
        assert seen.page.locator("mjx-container").count() >= 1
        assert seen.page.locator("article .cell_output img").count() >= 1
        fonts = seen.page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
        assert any("MJX" in family for family in fonts)


def shown(page: Tab) -> list[str]:
    """File names of the figures that a page shows now."""
    images = page.locator("article .picture img").all()
    return [str(image.get_attribute("src")).rpartition("/")[2] for image in images if image.is_visible()]


@in_browser
def test_each_figure_shows_the_twin_of_its_theme_and_loads_no_other(browser: Browser, address: str) -> None:
    for dark in (False, True):
        with visit(browser, address, "notebooks/03_drs_loss.html", dark=dark) as seen:
            names = shown(seen.page)
            assert len(names) >= 2
            assert {name.endswith("-dark.svg") for name in names} == {dark}
            loaded = seen.page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
            assert {url.endswith("-dark.svg") for url in loaded if "_images" in url} <= {dark}


@in_browser
def test_numbers_unfold_by_keyboard_and_scroll_in_their_own_box(browser: Browser, address: str) -> None:
    with visit(browser, address, "notebooks/03_drs_loss.html", width=PHONE) as seen:
        fold = seen.page.locator("details.figure-numbers").first
        table = fold.locator("table").first
        assert not table.is_visible()
        fold.locator("summary").focus()
        outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        seen.page.keyboard.press("Enter")
        table.wait_for(state="visible")
        assert table.locator("tbody tr").count() >= 5
        seen.page.wait_for_function(
            "document.querySelector('.figure-numbers .pst-scrollable-table-container').tabIndex === 0"
        )
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE


@in_browser
def test_a_reader_without_a_mouse_can_walk_and_always_sees_where_she_is(browser: Browser, address: str) -> None:
    with visit(browser, address, "notebooks/03_drs_loss.html") as seen:
        places = set()
        for _ in range(60):
            seen.page.keyboard.press("Tab")
            where, seen_there = seen.page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.outerHTML.slice(0, 150), s.outlineStyle !== 'none' || s.boxShadow !== 'none']; })()"
            )
            assert seen_there or where.startswith("<body"), where  # past the end the walk begins again
            places.add(where)
        assert len(places) >= 30


@in_browser
def test_the_root_leads_to_the_front_page(browser: Browser, address: str) -> None:
    with visit(browser, address, "index.html") as seen:
        seen.page.wait_for_url("**/book/intro.html")
        assert seen.outside == []
        assert seen.page.locator("article table").count() >= 1


@in_browser
@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("reproduced", "how_to_read"),
        ("false_class_entropy", "api/losses"),
        ("non-ME", "08_detection"),
        ("K-density", "08_detection"),
        ("gradient masking", "05_stronger_attacks"),
    ],
)
def test_search_finds(browser: Browser, address: str, words: str, page: str) -> None:
    with visit(browser, address, f"search.html?q={words}") as seen:
        seen.page.wait_for_selector(f"#search-results li a[href*='{page}']", timeout=20_000)
        assert seen.outside == []


@in_browser
@pytest.mark.parametrize("path", ["book/intro", "notebooks/03_drs_loss", "notebooks/08_detection"])
def test_screenshots_for_people_to_look_at(browser: Browser, address: str, path: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("phone", PHONE, False)):
        with visit(browser, address, f"{path}.html", width=width, dark=dark) as seen:
            seen.page.wait_for_load_state("networkidle")
            seen.page.screenshot(path=SHOTS / f"{Path(path).name}-{name}.png", full_page=True)
            assert (SHOTS / f"{Path(path).name}-{name}.png").stat().st_size > 20_000
