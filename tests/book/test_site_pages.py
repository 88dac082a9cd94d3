"""One look at every page of the built site, in a real browser: nothing is broken, heavy, blank, unreadable or outside.

What a page may not do is said once, in book/tools/check_browser.py, which 'make site-report' uses too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from build import pages
from check_browser import BROWSER, look

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = sorted(pages())
COLOURED = {
    *("book/intro", "book/claims", "book/playground", "book/how_to_read", "book/course", "book/api/losses"),
    *("notebooks/01_softmax", "notebooks/05_anatomy", "notebooks/07_drs_loss", "notebooks/12_detection"),
}
"""One page of each kind, whose colours axe-core judges, which takes it seconds; 'make site-report' judges all."""

pytestmark = pytest.mark.site
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@in_browser
@pytest.mark.parametrize("path", PAGES)
def test_page_does_nothing_that_it_must_not(browser: Browser, address: str, path: str) -> None:
    assert look(browser, address, path, contrast=path in COLOURED).problems() == []


def test_pages_whose_colours_are_judged_exist() -> None:
    assert set(PAGES) >= COLOURED
