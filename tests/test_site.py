"""The built site, as files and in a real browser: complete, rendered, and asking nobody else for anything."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.test_build import load_build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.site
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


PAGES = sorted(load_build().pages())


@pytest.fixture(scope="module")
def html() -> Path:
    """The site, built where something changed since the last build."""
    done = subprocess.run([sys.executable, "book/build.py", "book"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "_build" / "html"


@pytest.fixture(scope="module")
def address(html: Path) -> Iterator[str]:
    """The site served on a free local port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page and what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def visit(browser: Browser, address: str, path: str, *, width: int = 1280) -> Visit:
    """Open a page; collect console errors, failed requests, and requests to anywhere else (none gets out)."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    seen = Visit(page)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("response", lambda answer: seen.errors.append(f"{answer.status} {answer.url}") if not answer.ok else None)
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:", "blob:")) else seen.outside.append(request.url)
        ),
    )
    page.route(lambda url: not url.startswith(address), lambda route: route.abort())
    page.goto(address + path, wait_until="networkidle")
    return seen


def test_every_page_of_the_contents_is_there_and_no_other(html: Path) -> None:
    made = {str(p.relative_to(html).with_suffix("")) for d in ("book", "notebooks") for p in (html / d).rglob("*.html")}
    assert made == set(PAGES)
    assert {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= made


def test_no_page_loads_anything_from_another_host(html: Path) -> None:
    loading = re.compile(
        r"<(script|link|img|iframe|source|video|object)\b[^>]*?\b(?:src|href|data)=[\"'](https?:)?//[^\"']+"
    )
    found = [f"{p.relative_to(html)}: {m[0]}" for p in html.rglob("*.html") for m in loading.finditer(p.read_text())]
    assert found == []
    imports = re.compile(r"@import\s+(url\()?[\"']?(https?:)?//|url\([\"']?(https?:)?//")
    assert [str(p) for p in html.rglob("*.css") if imports.search(p.read_text())] == []
    assert not [p for p in html.rglob("*.html") if re.search(r"cdn\.|unpkg\.com|googleapis|gstatic", p.read_text())]


def test_chapters_offer_launch_buttons_that_lead_to_their_notebook(html: Path) -> None:
    for page in (page for page in PAGES if page.startswith("notebooks/")):
        text = (html / f"{page}.html").read_text()
        assert re.search(rf"https://mybinder\.org/v2/gh/[^\"]+{page}\.ipynb", text), page
        assert re.search(rf"https://colab\.research\.google\.com/github/[^\"]+{page}\.ipynb", text), page


def test_injected_parameters_are_not_shown(html: Path) -> None:
    for page in (page for page in PAGES if page.startswith("notebooks/")):
        assert "# Parameters" not in (html / f"{page}.html").read_text()


def test_every_public_module_is_in_the_api_page() -> None:
    named = set(re.findall(r"automodule:: (\S+)", (ROOT / "book" / "api.md").read_text()))
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "drs").rglob("*.py")]
    modules = {".".join(part for part in path.parts if part != "__init__") for path in files}
    private = {name for name in modules if any(part.startswith("_") for part in name.split("."))}
    assert modules - private - named == {"drs", "drs.cli"}


@in_browser
@pytest.mark.parametrize("path", PAGES)
def test_page_opens_without_an_error_and_without_another_host(browser: Browser, address: str, path: str) -> None:
    seen = visit(browser, address, f"{path}.html")
    try:
        assert seen.errors == []
        assert seen.outside == []
        assert seen.page.locator("h1").count() >= 1
        widths = seen.page.eval_on_selector_all(
            "article img", "all => all.map(i => [i.src, i.complete && i.naturalWidth])"
        )
        assert [source for source, width in widths if not width] == []
        formulas, rendered = seen.page.locator(".math").count(), seen.page.locator("mjx-container").count()
        assert rendered >= formulas
        assert seen.page.locator("mjx-merror, [data-mjx-error]").count() == 0
    finally:
        seen.page.close()


@in_browser
@pytest.mark.parametrize("path", PAGES)
def test_page_does_not_scroll_sideways_on_a_phone(browser: Browser, address: str, path: str) -> None:
    seen = visit(browser, address, f"{path}.html", width=390)
    try:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        seen.page.close()


@in_browser
def test_a_chapter_renders_formulas_and_figures(browser: Browser, address: str) -> None:
    seen = visit(browser, address, "notebooks/03_drs_loss.html")
    try:
        assert seen.page.locator("mjx-container").count() >= 1
        assert seen.page.locator("article .cell_output img").count() >= 1
        fonts = seen.page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
        assert any("MJX" in family for family in fonts)
    finally:
        seen.page.close()


@in_browser
def test_the_root_leads_to_the_front_page(browser: Browser, address: str) -> None:
    seen = visit(browser, address, "index.html")
    try:
        seen.page.wait_for_url("**/book/intro.html")
        assert seen.outside == []
        assert seen.page.locator("article table").count() >= 1
    finally:
        seen.page.close()


@in_browser
@pytest.mark.parametrize(("word", "page"), [("reproduced", "how_to_read"), ("false_class_entropy", "api")])
def test_search_finds(browser: Browser, address: str, word: str, page: str) -> None:
    seen = visit(browser, address, f"search.html?q={word}")
    try:
        seen.page.wait_for_selector("#search-results li a", timeout=10_000)
        links = seen.page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
        assert any(page in link for link in links)
        assert seen.outside == []
    finally:
        seen.page.close()
