"""How the pages read on a phone and on paper: formulas whole, tables that fade where they go on, nothing cut off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from check_browser import BROWSER, PHONE, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
PAPER = 700
"""CSS pixels between the margins of a sheet of A4."""
WIDE_FORMULAS = """() => [...document.querySelectorAll("article mjx-container[display]")]
  .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.parentElement.id)"""
WIDER_THAN_PAPER = """() => [...document.querySelectorAll("article table, article pre, article img")]
  .filter(one => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth)
  .map(one => one.outerHTML.slice(0, 100))"""

in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@in_browser
@pytest.mark.parametrize(
    ("tex", "level", "lines"),
    [
        (r"L = a + b, \qquad a = \frac{1 - c}{C}", 0, ["L = a + b,", r"a = \frac{1 - c}{C}"]),
        (r"L = f(a = b) = -c", 0, ["L = f(a = b) = -c"]),
        (r"L = f(a = b) = -c", 1, ["L = f(a = b)", r"\quad = -c"]),
        (r"\left(a + b\right) \le c + d", 2, [r"\left(a + b\right) \le c", r"\quad + d"]),
        (r"\sum_{i=1}^N -m \; | x + y |", 2, [r"\sum_{i=1}^N -m \; | x", r"\quad + y |"]),
        (r"\begin{cases} a + b \end{cases}", 2, [r"\begin{cases} a + b \end{cases}"]),
        (r"d \quad\text{once}\quad e \ge f", 0, ["d", r"\text{once}\quad e \ge f"]),
    ],
)
def test_a_formula_breaks_between_its_parts_and_never_within_one(
    browser: Browser, tex: str, level: int, lines: list[str]
) -> None:
    page = browser.new_page()
    page.add_script_tag(path=ROOT / "book" / "_static" / "book.js")
    assert page.evaluate("([tex, level]) => linesOf(tex, level)", [tex, level]) == lines
    page.close()


@in_browser
@pytest.mark.site
@pytest.mark.parametrize(
    "path",
    ["book/notation", "book/api/losses", "notebooks/05_anatomy", "notebooks/07_drs_loss", "notebooks/19_sequences"],
)
def test_formulas_are_whole_on_a_phone(browser: Browser, address: str, path: str) -> None:
    with visit(browser, address, f"{path}.html", width=PHONE) as seen:
        assert seen.page.locator("article mjx-container[display]").count() >= 1
        assert seen.page.evaluate(WIDE_FORMULAS) == []
        assert seen.page.locator("mjx-merror, [data-mjx-error]").count() == 0


@in_browser
@pytest.mark.site
def test_a_wide_table_fades_where_it_goes_on_and_keeps_its_first_column(browser: Browser, address: str) -> None:
    with visit(browser, address, "book/report.html", width=PHONE) as seen:
        box = seen.page.locator(".pst-scrollable-table-container.goes-on").first
        box.wait_for()
        corner = box.locator("tr").nth(1).locator("> *").first
        before = corner.evaluate("one => one.getBoundingClientRect().left")
        box.evaluate("one => { one.scrollLeft = one.scrollWidth; one.dataset.seen = 1; }")
        ended = seen.page.locator("[data-seen]:not(.goes-on)")
        ended.wait_for()
        assert corner.evaluate("one => one.getBoundingClientRect().left") == before


@in_browser
@pytest.mark.site
def test_an_assignment_can_be_opened_on_a_phone_without_scrolling(browser: Browser, address: str) -> None:
    with visit(browser, address, "book/course.html", width=PHONE) as seen:
        for name in ("Colab", "Binder"):
            box = seen.page.locator("article td").get_by_role("link", name=name).first.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE - 40  # in full ink, left of where a table fades


@in_browser
@pytest.mark.site
@pytest.mark.parametrize("path", ["notebooks/07_drs_loss", "notebooks/16_black_box", "book/report", "book/instructors"])
def test_a_printed_page_has_no_bars_nothing_that_moves_and_nothing_wider_than_paper(
    browser: Browser, address: str, path: str
) -> None:
    with visit(browser, address, f"{path}.html", width=PAPER) as seen:
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate(WIDER_THAN_PAPER) == []
        for what in ("details.hide", ".explorer", ".copybtn"):
            assert not any(one.is_visible() for one in seen.page.locator(f"article {what}").all()), what


@in_browser
@pytest.mark.site
@pytest.mark.parametrize(("width", "shape"), [(PHONE, "narrow"), (1280, "wide")])
def test_a_figure_of_several_panels_is_as_wide_as_the_page(
    browser: Browser, address: str, width: int, shape: str
) -> None:
    with visit(browser, address, "notebooks/05_anatomy.html", width=width) as seen:
        boxes = [one for one in seen.page.locator(".picture:has(.figure-narrow)").all() if one.is_visible()]
        assert boxes
        for box in boxes:
            [shown] = [one for one in box.locator("img").all() if one.is_visible()]
            assert shape in str(shown.get_attribute("class"))
            assert box.evaluate("one => one.scrollWidth <= one.clientWidth")


@in_browser
@pytest.mark.site
def test_commands_wrap_and_captions_have_the_weight_of_text(browser: Browser, address: str) -> None:
    with visit(browser, address, "book/instructors.html") as seen:
        out = "[...document.querySelectorAll('.highlight-bash pre')].filter(p => p.scrollWidth > p.clientWidth).length"
        assert seen.page.evaluate(out) == 0
    with visit(browser, address, "book/intro.html") as seen:
        weights = "[...document.querySelectorAll('figcaption *')].map(one => getComputedStyle(one).fontWeight)"
        assert set(seen.page.evaluate(weights)) == {"400"}


@in_browser
@pytest.mark.site
def test_a_claim_on_a_phone_is_a_card_as_wide_as_the_page(browser: Browser, address: str) -> None:
    with visit(browser, address, "book/claims.html", width=PHONE) as seen:
        card = seen.page.locator(".claims tbody tr").first
        statement = card.locator("td").first.bounding_box()
        whole = card.bounding_box()
        assert statement is not None
        assert whole is not None
        assert statement["width"] > 0.85 * whole["width"]
