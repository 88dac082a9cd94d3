"""One look at a page of the built site in a real browser: what it loads, how heavy and fast it is, who can use it."""

from __future__ import annotations

import functools
import gzip
import http.server
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

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
DESKTOP, PHONE = 1280, 390
HEAVIEST = 1_500_000
"""Bytes that a page may cost its reader, everything that it loads included, from a server that compresses text."""
SLOWEST = 2.0
"""Seconds from localhost until a page has loaded and its formulas are set."""
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe-core that light and dark pages can fail differently."""
TEXT = {".html", ".css", ".js", ".svg", ".json", ".ipynb"}

READY = """addEventListener("load", () =>
  (window.MathJax?.startup?.promise ?? Promise.resolve()).then(() => { window.readyAfter = performance.now(); }))"""
WEIGHT = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .map(entry => [entry.transferSize, entry.decodedBodySize])"""
PICTURES = """async () => {
  const shown = [...document.querySelectorAll("article img")].filter(image => image.getClientRects().length);
  for (const image of shown) image.loading = "eager";
  await Promise.all(shown.map(image => image.decode().catch(() => null)));
  return shown.filter(image => !image.naturalWidth).map(image => image.src);
}"""
BRIGHT = """() => [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect(), colour = getComputedStyle(element).backgroundColor;
  const [red, green, blue, alpha = 1] = colour.match(/[\\d.]+/g).map(Number);
  return box.width * box.height > 2000 && alpha > 0.5 && box.bottom > 0 && (red + green + blue) / 3 > 150
    && element.checkVisibility();
}).map(element => element.outerHTML.slice(0, 100))"""
SCREEN = 844
"""CSS pixels: the height of a phone's first screen."""
VERDICT = """() => [...document.querySelectorAll("article .verdict, article .cell_output blockquote")]
  .filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect().top + scrollY)[0] ?? null"""
WIDE = "document.documentElement.scrollWidth"


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site on a free local port, its text compressed as static hosts do it; gives the address."""

    @functools.cache
    def packed(path: Path) -> bytes:
        return gzip.compress(path.read_bytes(), 6, mtime=0)

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = Path(self.translate_path(self.path))
            if path.suffix not in TEXT or not path.is_file():
                super().do_GET()
                return
            content = packed(path)
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(str(path)))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def launched() -> Iterator[Browser]:
    """The system's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page and what went wrong on it."""

    page: Tab
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


@contextmanager
def visit(
    browser: Browser, address: str, path: str, *, width: int = DESKTOP, dark: bool = False, scripts: bool = True
) -> Iterator[Visit]:
    """Open a page in a context of its own; collect its errors, and requests to anywhere else (none gets out)."""
    scheme: Any = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = context.new_page()
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
    page.add_init_script(READY)
    try:
        page.goto(address + path, wait_until="load")
        if scripts:
            page.wait_for_function("window.readyAfter")
        yield seen
    finally:
        context.close()


SETTLED = """() => Promise.allSettled(
  document.getAnimations().filter(a => a.effect.getComputedTiming().endTime !== Infinity).map(a => a.finished))"""
"""Waits for what is still fading in or moving: half transparent text has too little contrast."""


def axe(page: Tab, *, only: Sequence[str] = (), without: Sequence[str] = ()) -> list[str]:
    """Violations that axe-core finds on a page, as ``rule: element``; by all rules, ``only`` some, or all but some."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if only:
        options["runOnly"] = {"type": "rule", "values": list(only)}
    options["rules"] = {rule: {"enabled": False} for rule in without}
    page.evaluate(SETTLED)
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


@dataclass
class Seen:
    """What one look at a page finds. ``weight`` is in bytes sent, ``unpacked`` in bytes of the files."""

    path: str
    requests: int
    weight: int
    unpacked: int
    seconds: float
    errors: list[str]
    outside: list[str]
    blank: list[str]
    unset: int
    axe_light: list[str]
    axe_dark: list[str]
    bright: list[str]
    phone: int
    verdict: float | None = None
    """Where the first verdict, or the card that opens a chapter, begins on a phone, in CSS pixels; None without one."""

    def problems(self) -> list[str]:
        """Everything that must not be, in sentences. The time is not among them: machines differ."""
        lists = {
            "console error": self.errors,
            "request to another host": self.outside,
            "figure that does not load": self.blank,
            "axe, light": self.axe_light,
            "axe, dark": self.axe_dark,
            "bright box in dark mode": self.bright,
        }
        found = [f"{what}: {one}" for what, many in lists.items() for one in many]
        found += [f"{self.unset} formulas are not set"] if self.unset else []
        found += [f"{self.phone} px wide on a phone of {PHONE} px"] if self.phone > PHONE else []
        found += [f"{self.weight} bytes, more than {HEAVIEST}"] if self.weight > HEAVIEST else []
        return [f"{self.path}: {one}" for one in found]


def look(browser: Browser, address: str, path: str, *, contrast: bool = True) -> Seen:
    """Open one page, light, then dark, then as wide as a phone, and note everything.

    Args:
        contrast: Let axe-core judge colours too, which takes it seconds on a page of thousands of words in boxes.
    """
    with visit(browser, address, f"{path}.html") as seen:
        page = seen.page
        seconds = page.evaluate("window.readyAfter") / 1000
        blank = page.evaluate(PICTURES)
        sizes = page.evaluate(WEIGHT)
        formulas, rendered = page.locator(".math").count(), page.locator("mjx-container").count()
        light = axe(page, without=() if contrast else COLOURS)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.wait_for_timeout(200)  # colours fade
        blank += page.evaluate(PICTURES)
        dark = axe(page, only=COLOURS) if contrast else []
        bright = page.evaluate(BRIGHT)
        page.set_viewport_size({"width": PHONE, "height": SCREEN})
        return Seen(
            path=path,
            requests=len(sizes),
            weight=sum(sent for sent, _ in sizes),
            unpacked=sum(size for _, size in sizes),
            seconds=seconds,
            errors=seen.errors,
            outside=seen.outside,
            blank=blank,
            unset=max(0, formulas - rendered) + page.locator("mjx-merror, [data-mjx-error]").count(),
            axe_light=light,
            axe_dark=dark,
            bright=bright,
            phone=page.evaluate(WIDE),
            verdict=page.evaluate(VERDICT),
        )
