"""What the files of the built site show by themselves: links that lead nowhere, figures that nobody described."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FEWEST_WORDS = 4
"""An alternative text with fewer words names a figure and does not say what it shows."""
LOADING = re.compile(
    r"<(script|link|img|iframe|source|video|object)\b[^>]*?\b(?:src|href|data)=[\"'](https?:)?//[^\"']+"
)
IMPORTING = re.compile(r"@import\s+(url\()?[\"']?(https?:)?//|url\([\"']?(https?:)?//")
ELSEWHERE = re.compile(r"cdn\.|unpkg\.com|googleapis|gstatic")


@dataclass
class Page(HTMLParser):
    """What matters of one page: its anchors, its links and its figures."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    figures: list[dict[str, str]] = field(default_factory=list)
    folds: int = 0
    inside: bool = False
    """Within the article, not in the theme's bars."""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.inside |= tag == "article"
        if tag == "img" and self.inside and "figure-dark" not in values.get("class", ""):
            self.figures.append(values)
        self.folds += tag == "details" and values.get("class") == "figure-numbers"

    def handle_endtag(self, tag: str) -> None:
        """Leave the article."""
        self.inside &= tag != "article"


@cache
def read(path: Path, changed: float) -> Page:
    """A page, parsed once; ``changed`` is the time of its last change."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def page_at(path: Path) -> Page:
    """A page of the site."""
    return read(path, path.stat().st_mtime)


def chapters(site: Path) -> list[str]:
    """The pages that people read, as paths without suffix."""
    found = [p for top in ("book", "notebooks") for p in (site / top).rglob("*.html")]
    return sorted(str(path.relative_to(site).with_suffix("")) for path in found)


def broken_links(site: Path) -> list[str]:
    """Links to a page, a file or an anchor of the site that is not there, as ``page: link``."""
    problems = []
    for path in sorted(site.rglob("*.html")):
        for link in dict.fromkeys(page_at(path).links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing = not target.is_file()
            if missing or (anchor and target.suffix == ".html" and anchor not in page_at(target).anchors):
                problems.append(f"{path.relative_to(site)}: {link}")
    return problems


def undescribed(site: Path) -> list[str]:
    """Figures without an alternative text that says what they show, as ``page: figure``."""
    return [
        f"{name}: {figure.get('src', '')}"
        for name in chapters(site)
        for figure in page_at(site / f"{name}.html").figures
        if len(figure.get("alt", "").split()) < FEWEST_WORDS or "/" in figure["alt"].split()[0]
    ]


def loads_from_elsewhere(site: Path) -> list[str]:
    """Pages and style sheets that name another host to load something from."""
    texts = {path: path.read_text(encoding="utf-8") for path in [*site.rglob("*.html"), *site.rglob("*.css")]}
    found = []
    for path, text in sorted(texts.items()):
        patterns = (LOADING, ELSEWHERE) if path.suffix == ".html" else (IMPORTING,)
        found += [f"{path.relative_to(site)}: {match[0]}" for p in patterns for match in p.finditer(text)]
    return found
