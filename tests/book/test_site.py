"""The built site, as files and in a real browser: complete, rendered, usable, and asking nobody else for anything.

What a page may not do is said once, in book/tools/check_files.py and check_browser.py,
which 'make site-report' uses too.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import check_files
import numpy as np
import pytest
from build import pages
from check_browser import BROWSER, COLOURS, PHONE, axe, visit

from drs.detection import auc
from drs.pages.figures.rce import arms
from drs.study.claims import CLAIMS
from drs.study.results import Results

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(pages())
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]

FOUNDATIONS = [f"notebooks/{name}" for name in ("01_softmax", "02_attacks", "03_honest", "04_scores")]

pytestmark = pytest.mark.site
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


def test_every_page_of_the_contents_is_there_and_no_other(html: Path) -> None:
    assert check_files.chapters(html) == PAGES
    assert {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(PAGES)


def test_no_page_loads_anything_from_another_host(html: Path) -> None:
    assert check_files.loads_from_elsewhere(html) == []


def test_every_link_within_the_site_leads_somewhere(html: Path) -> None:
    assert check_files.broken_links(html) == []


def test_every_figure_says_what_it_shows_and_its_numbers_fold_below(html: Path) -> None:
    assert check_files.undescribed(html) == []
    for name in CHAPTERS:
        page = check_files.page_at(html / f"{name}.html")
        pictures = [f for f in page.figures if "white_box" not in name]  # photographs have no numbers
        assert page.folds >= len(pictures), name


def test_chapters_offer_launch_buttons_that_lead_to_their_notebook(html: Path) -> None:
    for page in CHAPTERS:
        text = (html / f"{page}.html").read_text()
        assert re.search(rf"https://mybinder\.org/v2/gh/[^\"]+{page}\.ipynb", text), page
        assert re.search(rf"https://colab\.research\.google\.com/github/[^\"]+{page}\.ipynb", text), page


def test_injected_parameters_and_the_launch_cell_are_not_shown(html: Path) -> None:
    for page in CHAPTERS:
        text = (html / f"{page}.html").read_text()
        assert "# Parameters" not in text
        assert "find_spec" not in text


def test_every_page_says_its_licences_and_every_chapter_where_its_numbers_come_from(html: Path) -> None:
    for page in PAGES:
        text = (html / f"{page}.html").read_text()
        assert "CC BY 4.0</a>. Code: MIT licence" in text, page
    for page in CHAPTERS:
        text = (html / f"{page}.html").read_text()
        if page in FOUNDATIONS:  # they compute what they show
            assert "no record is used" in text, page
            continue
        for part in ("Profile <code", "; device ", "; seeds ", "; code ", "torch ", "of one worker", "Parameters of"):
            assert part in text or (part, page) == ("; seeds ", "notebooks/08_cost"), (page, part)


def test_the_numbers_of_a_figure_are_files_of_the_site(html: Path) -> None:
    for name in ("book/intro", "book/claims", "notebooks/07_drs_loss"):
        links = [link for link in check_files.page_at(html / f"{name}.html").links if link.endswith(".csv")]
        assert links, name
        for link in links:
            header, first = (html / name).parent.joinpath(link).resolve().read_text().splitlines()[:2]
            assert header
            assert first


def test_only_pages_with_a_formula_load_mathjax(html: Path) -> None:
    for name in PAGES:
        text = (html / f"{name}.html").read_text()
        assert ("mathjax/startup.js" in text) == ('class="math' in text), name
    assert "mathjax/startup.js" not in (html / "book" / "intro.html").read_text()
    assert "mathjax/startup.js" in (html / "notebooks" / "07_drs_loss.html").read_text()


def test_provenance_leads_to_commits_and_records(html: Path) -> None:
    text = (html / "notebooks" / "07_drs_loss.html").read_text()
    assert re.search(r'href="https://[^"]+/commit/[0-9a-f]{7,}"', text)
    assert re.search(r'href="https://[^"]+/tree/main/data/results/quick/losses">\d+ runs</a>', text)


def test_every_icon_that_a_page_shows_is_drawn(html: Path) -> None:
    drawn = set(re.findall(r"^\.fa-([a-z-]+) ", (html / "_static" / "icons.css").read_text(), re.MULTILINE))
    shown = set()
    for path in html.rglob("*.html"):
        for classes in re.findall(r'<i class="([^"]*\bfa-[^"]*)"', path.read_text()):
            shown |= set(re.findall(r"\bfa-([a-z-]+)", classes)) - {"solid", "brands", "regular", "lg"}
    assert len(shown) >= 10
    assert shown <= drawn


def test_tables_of_chapters_are_tables(html: Path) -> None:
    assert [page for page in CHAPTERS if re.search(r"\|\s*[-—]{1,3}\s*\|", (html / f"{page}.html").read_text())] == []


def test_claims_lead_to_the_chapters_that_judge_them(html: Path) -> None:
    page = (html / "book" / "claims.html").read_text()
    rows = re.findall(r'href="\.\./(notebooks/\w+)\.html#(\w+)">', page)
    assert {claim for _, claim in rows} == set(CLAIMS)
    for chapter, claim in rows:
        assert f'id="{claim}"' in page
        text = (html / f"{chapter}.html").read_text()
        assert f'id="{claim}"' in text, claim
        assert f'href="../book/claims.html#{claim}"' in text, claim


def test_the_claims_are_on_the_site_as_data_with_addresses_that_lead_somewhere(html: Path) -> None:
    entries = json.loads((html / "claims.json").read_text())
    assert {entry["id"] for entry in entries} == set(CLAIMS)
    for entry in entries:
        for address in (entry["page"], entry["chapter"]):
            file, _, anchor = address.partition("#")
            assert anchor in check_files.page_at(html / file).anchors, address


def test_every_figure_has_a_number_and_a_caption_and_letters_that_can_be_read(html: Path) -> None:
    assert check_files.without_caption(html) == []
    assert check_files.hard_to_read(html) == []


def test_every_public_module_is_in_the_api_pages() -> None:
    texts = [path.read_text() for path in (ROOT / "book" / "api").glob("*.md")]
    named = set(re.findall(r"automodule:: (\S+)", "".join(texts)))
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "drs").rglob("*.py")]
    modules = {".".join(part for part in path.parts if part != "__init__") for path in files}
    private = {name for name in modules if any(part.startswith("_") for part in name.split("."))}
    assert modules - private - named == {"drs", "drs.cli"}


def test_every_public_function_and_class_has_its_entry_in_the_api_pages(html: Path) -> None:
    pages = "".join(path.read_text() for path in (html / "book" / "api").glob("*.html"))
    entries = set(re.findall(r'id="(drs\.[^"]*)"', pages))
    lacking = []
    for path in sorted((ROOT / "drs").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__" or any(part.startswith("_") for part in parts) or parts[1] == "cli":
            continue
        module = importlib.import_module(".".join(parts))
        for name in module.__all__:
            if inspect.isroutine(getattr(module, name)) or inspect.isclass(getattr(module, name)):
                homes = {".".join([*parts[:depth], name]) for depth in (len(parts), len(parts) - 1)}
                lacking += [".".join([*parts, name])] if not homes & entries else []
    assert lacking == []


@in_browser
def test_a_chapter_renders_formulas_and_figures(browser: Browser, address: str) -> None:
    with visit(browser, address, "notebooks/07_drs_loss.html") as seen:
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
        with visit(browser, address, "notebooks/07_drs_loss.html", dark=dark) as seen:
            names = shown(seen.page)
            assert len(names) >= 2
            assert {name.endswith("-dark.svg") for name in names} == {dark}
            loaded = seen.page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
            assert {url.endswith("-dark.svg") for url in loaded if "_images" in url} <= {dark}


@in_browser
def test_numbers_unfold_by_keyboard_and_scroll_in_their_own_box(browser: Browser, address: str) -> None:
    with visit(browser, address, "notebooks/07_drs_loss.html", width=PHONE) as seen:
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
    with visit(browser, address, "notebooks/07_drs_loss.html") as seen:
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
def test_weight_and_epsilon_move_the_picture_by_keyboard(browser: Browser, address: str) -> None:
    frame = Results().frame("losses", "quick")
    with visit(browser, address, "notebooks/07_drs_loss.html", width=PHONE, dark=True) as seen:
        assert seen.errors == []
        explorer = seen.page.locator(".explorer")
        text, panel = explorer.locator(".explorer-text"), explorer.locator("svg").first
        before, drawing = text.inner_text(), panel.inner_html()
        assert "epsilon 0.05, weight 0.64: accuracy of DRS" in before
        seen.page.get_by_label("Budget epsilon").focus()
        seen.page.keyboard.press("ArrowLeft")
        assert "epsilon 0.03, weight 0.64" in text.inner_text()
        assert panel.inner_html() != drawing
        seen.page.get_by_label("Weight b").focus()
        seen.page.keyboard.press("Home")
        seen.page.get_by_label("Attack").select_option("FGSM")
        mean = frame.loc[frame["variant"] == "ce", "fgsm@0.03"].mean()
        assert text.inner_text().startswith(f"FGSM, epsilon 0.03, weight 0: accuracy of CE {mean:.3f} [")
        explorer.locator("[data-weight='0'][data-epsilon='1']").click()  # a cell of the map is a choice too
        assert "weight 0:" in text.inner_text()
        assert seen.page.get_by_label("Budget epsilon").input_value() == "1"
        seen.page.get_by_label("Weight b").focus()
        seen.page.keyboard.press("End")
        assert "weight 64: no accuracy of DRS: every training diverged" in text.inner_text()
        assert seen.page.get_by_label("Weight b").get_attribute("aria-valuetext") == "64"
        assert not seen.page.locator(".picture:has(+ .explorer)").is_visible()


@in_browser
def test_the_threshold_moves_along_the_roc_curve(browser: Browser, address: str) -> None:
    records = Results().records("detection", "quick", arrays=True)[:3]
    with visit(browser, address, "notebooks/12_detection.html") as seen:
        text = seen.page.locator(".explorer-text")
        for loss, name, attack, metric, label in (
            ("rce", "RCE", "bim@0.1", "k_density", "log K-density"),
            ("ce", "CE", "ilcm@0.1", "non_me", "non-ME"),
        ):
            record = next(r for r in records if r.run.spec["network"]["loss"] == loss)
            normal, attacked = arms(record, attack, metric)
            seen.page.get_by_label("Training loss").select_option(name)
            seen.page.locator(".explorer select").nth(1).select_option(attack)
            seen.page.get_by_label("Metric").select_option(label)
            least = np.sort(normal)[int(0.05 * len(normal))]
            kept = 100 * (normal >= least).mean(), 100 * (attacked >= least).mean()
            assert text.inner_text().endswith(
                f"keeps {kept[0]:.1f}% of {len(normal)} normal images and {kept[1]:.1f}% of {len(attacked)} "
                f"attacked ones. AUC {auc(normal, attacked):.3f}."
            )
        slider = seen.page.get_by_role("slider", name="Threshold")
        slider.focus()
        dot = seen.page.locator(".explorer svg").nth(1).locator("circle")
        places = {dot.get_attribute("cy")}
        for key, said in (("Home", f"of {len(normal)} normal images"), ("End", f"of {len(attacked)} attacked ones")):
            seen.page.keyboard.press(key)
            assert said in text.inner_text()
            places.add(dot.get_attribute("cy"))
        assert len(places) == 3


@in_browser
def test_without_scripts_pictures_stand_where_the_moving_figures_are(browser: Browser, address: str) -> None:
    with visit(browser, address, "notebooks/07_drs_loss.html", scripts=False) as seen:
        assert not seen.page.locator(".explorer").is_visible()
        picture = seen.page.locator(".picture:has(+ .explorer) img.figure-light")
        assert "weights of the DRS penalty" in str(picture.get_attribute("alt"))
        assert picture.is_visible()


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_solutions_fold_and_unfold_by_keyboard(browser: Browser, address: str, dark: bool) -> None:
    with visit(browser, address, "notebooks/05_anatomy.html", dark=dark) as seen:
        solution = seen.page.locator(".solution").first
        content = solution.locator("p:not(.admonition-title)").first
        assert not content.is_visible()
        solution.locator("button.toggle-button").focus()
        seen.page.keyboard.press("Enter")
        content.wait_for(state="visible")
        assert axe(seen.page, only=COLOURS) == []
        seen.page.keyboard.press("Enter")
        content.wait_for(state="hidden")


@in_browser
def test_contrast_is_looked_at_when_text_has_faded_in(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<style>p {opacity: 0; transition: opacity 2s} p.on {opacity: 1}</style><p>text</p>")
    page.evaluate("document.querySelector('p').getBoundingClientRect()")  # the first style counts before it changes
    page.evaluate("document.querySelector('p').className = 'on'")
    page.wait_for_timeout(100)
    assert axe(page, only=COLOURS) == []
    page.close()


@in_browser
def test_the_root_leads_to_the_front_page(browser: Browser, address: str) -> None:
    with visit(browser, address, "index.html") as seen:
        seen.page.wait_for_url("**/book/intro.html")
        assert seen.outside == []
        assert seen.page.locator("article .tally a").count() >= 2


@in_browser
@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("reproduced", "how_to_read"),
        ("false_class_entropy", "api/losses"),
        ("non-ME", "12_detection"),
        ("K-density", "12_detection"),
        ("gradient masking", "13_stronger_attacks"),
    ],
)
def test_search_finds(browser: Browser, address: str, words: str, page: str) -> None:
    with visit(browser, address, f"search.html?q={words}") as seen:
        seen.page.wait_for_selector(f"#search-results li a[href*='{page}']", timeout=20_000)
        assert seen.outside == []


DEFINED = re.findall(r'"([^"]+)": "(notebooks/[^"]+)"', (ROOT / "book/tools/_ext/scorer.js").read_text())


def test_ten_terms_have_a_chapter_that_defines_them() -> None:
    assert len(DEFINED) == 10
    for term, page in DEFINED:
        assert term in (ROOT / f"{page}.ipynb").read_text().lower(), (term, page)


@in_browser
@pytest.mark.parametrize(("term", "page"), DEFINED)
def test_search_finds_the_chapter_that_defines_a_term_first(
    browser: Browser, address: str, term: str, page: str
) -> None:
    with visit(browser, address, f"search.html?q={term}") as seen:
        first = seen.page.locator("#search-results li a").first
        first.wait_for(timeout=20_000)
        assert page in str(first.get_attribute("href"))
