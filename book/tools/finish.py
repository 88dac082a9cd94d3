"""What Sphinx and the theme leave undone in the built pages: figures for dark mode, their numbers, landmarks, weight.

Every figure gets a dark twin, made from the same vector file by turning its neutral dark colours into light ones; the
page shows the one that fits its theme, and loads no other. Below it folds a table of the numbers that it draws.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMBERS = "application/vnd.drs.numbers+json"
"""Beside a figure in a notebook: its numbers, a list of tables with caption, columns and rows."""

EXPLORER = "application/vnd.drs.explorer+json"
"""Beside a figure that a reader can move: the data that ``_explorer/explorer.js`` draws."""
SCRIPT = "_static/explorer/explorer.js"

STYLE = re.compile(r'<(?P<tag>\w+)(?P<before>[^<>]*?)style="(?P<style>[^"]*)"')
NEUTRAL = re.compile(r"#([0-7][0-9a-f])\1\1\b")
INK = "#262626"
"""The colour of seaborn's text; text of any other colour stands on a coloured cell and keeps it."""
BACKGROUND = re.compile(r'(<g id="patch_1">\s*<path [^>]*?style="fill: )#ffffff')
SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"')
IMAGE = re.compile(
    r'<img (?P<first>[^<>]*?)src="(?P<folder>(?:\.\./)*_images/)(?P<name>[^"/]+)\.svg"(?P<last>[^<>]*?)\s*/?>'
)
ICON = re.compile(
    r'<i class="(?P<classes>[^"]*\b(?:fa-solid|fa-brands|fa-regular|fas|fab|far)\b[^"]*)"(?P<rest>[^<>]*)></i>'
)
ICONS = "_static/scripts/fontawesome.js"
DRAWN = re.compile(r'[{,]"?([a-z][a-z0-9-]*)"?:\[(\d+),(\d+),\[([^\]]*)\],"[0-9a-f]+","([^"]+)"\]')
"""An icon in that file: its name, width, height, other names and path."""
MENDED = (
    # One and a half megabytes of icons, of which a page shows a dozen: those stand in the page instead.
    (r'\s*<script [^>]*src="[^"]*scripts/fontawesome\.js[^"]*"></script>', ""),
    # The name of the book above the sidebar's contents stands outside every landmark.
    (r'<div class="sidebar-primary-item">(?=\s*<a class="navbar-brand)', '<div role="navigation" aria-label="Home">'),
    # The fold of the sidebar is a picture without a name.
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="Pages within">'),
    # docutils gives a bibliography roles that ARIA 1.2 has taken back.
    (r' role="doc-biblioentry"', ' role="listitem"'),
    (r' role="doc-backlink"', ""),
    # The empty corner of a table is no header.
    (r'<th class="head"><p></p></th>', "<td></td>"),
)


def _light(colour: re.Match[str]) -> str:
    return "#" + f"{255 - int(colour[1], 16):02x}" * 3


def dark(svg: str) -> str:
    """A figure for a dark page: its neutral dark lines and text turn light, a white background goes."""

    def mend(found: re.Match[str]) -> str:
        style = found["style"]
        if found["tag"] != "text" or INK in style:
            style = NEUTRAL.sub(_light, style)
        return f'<{found["tag"]}{found["before"]}style="{style}"'

    return STYLE.sub(mend, BACKGROUND.sub(r"\1none", svg))


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """One table of numbers as HTML; the first cell of a row is its header."""
    head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' if name else "<td></td>" for name in columns)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{'' if cell is None else html.escape(str(cell))}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{html.escape(str(first))}</th>{cells}</tr>')
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="pst-scrollable-table-container"><table class="table">{above}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def fold(tables: Sequence[Mapping[str, Any]]) -> str:
    """The numbers of a figure, behind one click."""
    inside = "".join(table(one["caption"], one["columns"], one["rows"]) for one in tables)
    return f'<details class="figure-numbers"><summary>The numbers of this figure</summary>{inside}</details>'


@dataclass(frozen=True)
class Behind:
    """What a notebook keeps beside a figure: tables of its numbers, and data if it moves."""

    numbers: list[dict[str, Any]]
    explorer: dict[str, Any] | None = None


def behind_figures(notebooks: Sequence[Path], generated: Path) -> dict[str, Behind]:
    """What stands behind each figure, by its name on the site.

    Args:
        notebooks: Executed ones; MyST-NB names a figure by its hash.
        generated: Folder of generated figures, with the numbers of NAME.svg in NAME.json.
    """
    found = {path.stem: Behind(json.loads(path.read_text(encoding="utf-8"))) for path in generated.glob("*.json")}
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if NUMBERS in data:
                    svg = "\n".join("".join(data["image/svg+xml"]).splitlines())
                    name = hashlib.sha256(svg.encode()).hexdigest()
                    found[name] = Behind(data[NUMBERS], data.get(EXPLORER))
    return found


def moving(data: Mapping[str, Any], root: str) -> str:
    """Where the script draws a figure that moves; hidden until it does."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    script = f'<script defer src="{root}{SCRIPT}"></script>'
    return f'<div class="explorer" hidden><script type="application/json">{text}</script></div>{script}'


def as_sphinx_reads_it(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook without what only :func:`finish` reads: the numbers come back with the figures, in :func:`finish`."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind in (NUMBERS, EXPLORER):
                output.get("data", {}).pop(kind, None)
    return notebook


def icons(page: str, drawn: Mapping[str, tuple[str, str, str]]) -> str:
    """Icons of a web font or script as pictures in the page itself.

    Raises:
        KeyError: An icon that nobody has drawn.
    """

    def picture(found: re.Match[str]) -> str:
        names = [word.removeprefix("fa-") for word in found["classes"].split() if word.startswith("fa-")]
        width, height, path = drawn[next(name for name in names if name not in ("solid", "brands", "regular", "lg"))]
        return (
            f'<svg class="icon {found["classes"]}"{found["rest"]} viewBox="0 0 {width} {height}" aria-hidden="true">'
            f'<path fill="currentColor" d="{path}"/></svg>'
        )

    return ICON.sub(picture, page)


def back_links(page: str, module: str, anchors: Set[str]) -> str:
    """A page of source code whose links back lead to the module's own name where the package does not export it."""

    def mend(found: re.Match[str]) -> str:
        whole, name = f"{found['package']}.{found['name']}", found["name"]
        return f"{found['before']}#{whole if whole in anchors else f'{module}.{name}'}"

    package = module.rpartition(".")[0]
    return re.sub(
        rf'(?P<before>class="viewcode-back" href="[^"#]*)#(?P<package>{package})\.(?P<name>[^"]+)', mend, page
    )


def finished(page: str, sizes: Mapping[str, tuple[float, float]], behind: Mapping[str, Behind]) -> str:
    """One page of the built site, mended."""

    def both(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in sizes:
            return found[0]
        width, height = sizes[name]
        size = f'loading="lazy" width="{width:.0f}" height="{height:.0f}"'
        pair = "".join(
            f'<img class="figure-{kind}" {found["first"]}src="{found["folder"]}{name}{end}.svg"{found["last"]} {size}>'
            for kind, end in (("light", ""), ("dark", "-dark"))
        )
        more = behind.get(name, Behind([]))
        below = moving(more.explorer, found["folder"].removesuffix("_images/")) if more.explorer else ""
        below += fold(more.numbers) if more.numbers else ""
        box = f'class="picture pst-scrollable-table-container" style="--natural: {width:.0f}px"'
        return f"<span {box}>{pair}</span>{below}"

    page = IMAGE.sub(both, page)
    for pattern, new in MENDED:
        page = re.sub(pattern, new, page)
    return page


def finish(site: Path, behind: Mapping[str, Behind]) -> None:
    """Mend every page of a built site, and write the dark figures.

    Args:
        site: Folder of the built HTML.
        behind: What stands behind figures, by their names.
    """
    sizes = {}
    for path in sorted((site / "_images").glob("*.svg")):
        svg = path.read_text(encoding="utf-8")
        if size := SIZE.search(svg):
            sizes[path.stem] = (float(size[1]) * 4 / 3, float(size[2]) * 4 / 3)
            path.with_name(f"{path.stem}-dark.svg").write_text(dark(svg), encoding="utf-8")
    script = site / ICONS
    drawings = script.read_text(encoding="utf-8") if script.exists() else ""
    drawn: dict[str, tuple[str, str, str]] = {}
    for name, width, height, others, path in DRAWN.findall(drawings):
        drawn |= dict.fromkeys((name, *re.findall(r'"([^"]+)"', others)), (width, height, path))
    described = "".join(path.read_text(encoding="utf-8") for path in site.glob("book/api/*.html"))
    anchors = set(re.findall(r'\bid="(drs\.[^"]+)"', described))
    for path in sorted(site.rglob("*.html")):
        page = icons(path.read_text(encoding="utf-8"), drawn)
        if path.is_relative_to(site / "_modules"):
            module = ".".join(path.relative_to(site / "_modules").with_suffix("").parts)
            page = back_links(page, module, anchors)
        path.write_text(finished(page, sizes, behind), encoding="utf-8")
    for unused in {*script.parent.glob("fontawesome*"), *site.glob("_static/**/*.map")}:
        unused.unlink()
