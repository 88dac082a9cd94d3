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
COLUMN = 688
"""Width of the text, in CSS pixels, on a screen of 1,280: a wider figure is shrunk to it."""
SMALLEST = 9.0
"""CSS pixels: smaller letters in a figure are hard to read."""
FONT = re.compile(r"font(?:-size)?:[^;\"]*?([\d.]+)px")
WIDTH = re.compile(r"<svg[^>]*?width=\"([\d.]+)pt\"", re.DOTALL)
NOT_PROSE = ("pre", "table", "script", "style", "mjx-container", "button", "nav")
ENDING = ("p", "li", "dd", "dt", "h1", "h2", "h3", "h4", "figcaption")
"""Elements that end a sentence, whatever their last letter."""
ELSEWHERE = re.compile(r"cdn\.|unpkg\.com|googleapis|gstatic")


@dataclass
class Page(HTMLParser):
    """What matters of one page: its anchors, its links and its figures."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    figures: list[dict[str, str]] = field(default_factory=list)
    uncaptioned: list[str] = field(default_factory=list)
    folds: int = 0
    words: int = 0
    """Of prose in the article: not in code, tables or scripts."""
    prose: list[str] = field(default_factory=list)
    """The pieces of that prose; a paragraph, a list's item or a heading ends with a full stop."""
    skipped: int = 0
    framed: int = 0
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
        twin = re.search("figure-(dark|narrow)", values.get("class", ""))  # of a figure that is counted already
        if tag == "img" and self.inside and not twin:
            self.figures.append(values)
            self.uncaptioned += [] if self.framed else [values.get("src", "")]
        self.framed += tag == "figure"
        self.skipped += tag in NOT_PROSE
        self.folds += tag == "details" and values.get("class") == "figure-numbers"

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self.inside &= tag != "article"
        self.framed -= tag == "figure"
        self.skipped -= tag in NOT_PROSE
        if tag in ENDING and self.inside and not self.skipped:
            self.prose.append(". ")

    def handle_data(self, data: str) -> None:
        """Count the words of the article."""
        if self.inside and not self.skipped:
            self.words += len(data.split())
            self.prose.append(data)


def reading_ease(text: str) -> float:
    """Flesch's reading ease: 206.835 - 1.015 words per sentence - 84.6 syllables per word.

    60 to 70 is plain English, below 30 is hard. A syllable is counted as a group of vowels, a final silent e as none.

    >>> round(reading_ease("The cat sat. The dog ran."), 1)
    119.2
    >>> round(reading_ease("Distribution-restrained regularisation systematically improves robustness."), 0) < 0
    True
    """
    words = re.findall(r"[A-Za-z]+(?:['\u2019][a-z]+)?", text)
    sentences = [part for part in re.split(r"[.!?:;](?:\s|$)", text) if re.search("[A-Za-z]{2}", part)]
    if not words:
        return float("nan")
    silent = (re.sub(r"(?<=[^aeiouyl])e$", "", word.lower()) for word in words)
    syllables = sum(max(1, len(re.findall("[aeiouy]+", word))) for word in silent)
    return 206.835 - 1.015 * len(words) / max(1, len(sentences)) - 84.6 * syllables / len(words)


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


def without_caption(site: Path) -> list[str]:
    """Figures without a number and a caption, as ``page: figure``."""
    return [f"{name}: {source}" for name in chapters(site) for source in page_at(site / f"{name}.html").uncaptioned]


def smallest_letters(svg: str) -> float:
    """The size of a figure's smallest letters on the page, in CSS pixels; infinite for a figure without text.

    >>> smallest_letters('<svg width="688pt"><text style="font: 12px sans">a</text></svg>')
    12.0
    """
    width, sizes = WIDTH.search(svg), [float(size) for size in FONT.findall(svg)]
    if width is None or not sizes:
        return float("inf")
    return min(sizes) * min(4 / 3, COLUMN / float(width[1]))


def letters(site: Path) -> dict[str, float]:
    """The smallest letters of every figure by its name; the dark twins have the same."""
    figures = sorted(path for path in (site / "_images").glob("*.svg") if not path.stem.endswith("-dark"))
    return {path.name: smallest_letters(path.read_text(encoding="utf-8")) for path in figures}


def hard_to_read(site: Path) -> list[str]:
    """Figures with letters smaller than :data:`SMALLEST`, as ``figure: size``."""
    return [f"{name}: {size:.1f} px" for name, size in letters(site).items() if size < SMALLEST]


def loads_from_elsewhere(site: Path) -> list[str]:
    """Pages and style sheets that name another host to load something from."""
    texts = {path: path.read_text(encoding="utf-8") for path in [*site.rglob("*.html"), *site.rglob("*.css")]}
    found = []
    for path, text in sorted(texts.items()):
        patterns = (LOADING, ELSEWHERE) if path.suffix == ".html" else (IMPORTING,)
        found += [f"{path.relative_to(site)}: {match[0]}" for p in patterns for match in p.finditer(text)]
    return found
