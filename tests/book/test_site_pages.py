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

pytestmark = pytest.mark.site
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@in_browser
@pytest.mark.parametrize("path", PAGES)
def test_page_does_nothing_that_it_must_not(browser: Browser, address: str, path: str) -> None:
    contrast = not path.startswith("book/api/")  # many pages of one kind: 'make site-report' looks at their colours
    assert look(browser, address, path, contrast=contrast).problems() == []
