"""The sliders of the page of claims: which claims have one, what it says, and that it gives no verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from check_browser import BROWSER, PHONE, axe, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = json.loads((ROOT / "book" / "_generated" / "claims.json").read_text())
MOVABLE = [c for c in CLAIMS if c["threshold"] and None in c["threshold"] and c["estimate"] is not None]

in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@in_browser
@pytest.mark.parametrize(
    ("number", "limit", "upwards", "side"),
    [
        ((0.5, 0.4, 0.6), 0.3, True, "holds"),
        ((0.5, 0.4, 0.6), 0.45, True, "open"),
        ((0.5, 0.4, 0.6), 0.4, True, "open"),
        ((0.5, 0.4, 0.6), 0.7, True, "fails"),
        ((0.5, 0.4, 0.6), 0.7, False, "holds"),
        ((0.5, 0.4, 0.6), 0.3, False, "fails"),
        ((0.5, None, None), 0.5, True, "holds"),
        ((0.5, None, None), 0.5, False, "holds"),
        ((0.5, None, None), 0.51, True, "fails"),
    ],
)
def test_the_side_is_that_of_the_whole_interval(
    browser: Browser, number: tuple[float | None, ...], limit: float, upwards: bool, side: str
) -> None:
    page = browser.new_page()
    page.add_script_tag(path=ROOT / "book" / "_explorer" / "explorer.js")
    page.add_script_tag(content="const CLAIMS = [];")
    page.add_script_tag(path=ROOT / "book" / "_explorer" / "whatif.js")
    claim = dict(zip(("estimate", "low", "high"), number))
    assert page.evaluate("([claim, limit, upwards]) => sideOf(claim, limit, upwards)", [claim, limit, upwards]) == side
    page.close()


@in_browser
@pytest.mark.site
def test_every_claim_with_one_threshold_has_a_slider_and_no_other(browser: Browser, address: str) -> None:
    with visit(browser, address, "book/claims.html") as seen:
        assert seen.errors == []
        labels = seen.page.locator(".what-if label").all_text_contents()
        assert sorted(labels) == sorted(f"Claim {one['id']} ({one['profile']}): threshold" for one in MOVABLE)
        for row in seen.page.locator(".claims tr:has(.what-if)").all():
            assert row.locator("td a").first.inner_text() in str(row.locator(".what-if label").text_content())


@in_browser
@pytest.mark.site
def test_a_threshold_is_moved_by_keyboard_on_a_phone_in_the_dark(browser: Browser, address: str) -> None:
    claim = next(one for one in MOVABLE if one["id"] == "A2")
    with visit(browser, address, "book/claims.html", width=PHONE, dark=True) as seen:
        fold = seen.page.locator(".claims tr:has(#A2) .what-if")
        fold.locator("summary").focus()
        seen.page.keyboard.press("Enter")
        slider, said = fold.get_by_role("slider"), fold.get_by_role("status")
        assert "What if, not a verdict" in said.inner_text()
        assert "the rule’s own." in said.inner_text()
        assert "on the claim’s side" in said.inner_text()
        slider.focus()
        seen.page.keyboard.press("Home")  # as far below the number as the threshold is above it
        reach = 1.25 * max(abs(claim[end] - claim["threshold"][1]) for end in ("low", "high", "estimate"))
        least = claim["threshold"][1] - reach
        assert f"threshold “below {least:.4g}”".replace("-", "−") in said.inner_text()
        assert "on the other side" in said.inner_text()
        assert str(slider.get_attribute("aria-valuetext")).endswith("on the other side")
        verdict = seen.page.locator(".claims tr:has(#A2) td:nth-child(2) .verdict")
        assert claim["verdict"] in verdict.inner_text()  # what was judged stays
        assert axe(seen.page) == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE
