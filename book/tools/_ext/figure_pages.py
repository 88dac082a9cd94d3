"""Sphinx extension: a figure in two twins, for light and for dark pages, with the table of its numbers folded below.

A page shows the twin that fits its theme and loads no other. The dark one is made from the same vector file by turning
its neutral dark colours into light ones. ``_figures.json`` in the source folder, which ``figures.py`` writes, says by
the name of each file which numbers it draws, which data it shows where a reader can move it, and for a figure of
several panels which picture a phone shows in its place.
"""

from __future__ import annotations

import csv
import html
import io
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

SVG = "{http://www.w3.org/2000/svg}"
NEUTRAL = re.compile(r"#([0-7][0-9a-f])\1\1\b")
INK = "#262626"
"""The colour of seaborn's text; text of any other colour stands on a coloured cell and keeps it."""
NUMBERS = "_numbers"
"""The folder of the site that holds each figure's numbers as CSV."""
SCRIPT = "_static/explorer/explorer.js"


def _light(colour: re.Match[str]) -> str:
    return "#" + f"{255 - int(colour[1], 16):02x}" * 3


def dark(svg: str) -> str:
    """A figure for a dark page: its neutral dark lines and text turn light, a white background goes."""
    ElementTree.register_namespace("", SVG.strip("{}"))
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    figure = ElementTree.fromstring(svg)
    for element in figure.iter():
        style = element.get("style", "")
        if style and (element.tag != f"{SVG}text" or INK in style):
            element.set("style", NEUTRAL.sub(_light, style))
    for background in figure.iterfind(f".//{SVG}g[@id='patch_1']/{SVG}path"):
        background.set("style", background.get("style", "").replace("fill: #ffffff", "fill: none"))
    return ElementTree.tostring(figure, encoding="unicode")


@cache
def size(path: Path) -> tuple[int, int] | None:
    """Width and height in CSS pixels of a vector graphic that gives them in points, as Matplotlib does."""
    return pixels(path.read_text(encoding="utf-8"))


def pixels(svg: str) -> tuple[int, int] | None:
    """The same of the text of a file."""
    figure = ElementTree.fromstring(svg)
    lengths = [str(figure.get(side)) for side in ("width", "height")]
    if not all(length.endswith("pt") for length in lengths):
        return None
    width, height = (round(float(length.removesuffix("pt")) * 4 / 3) for length in lengths)
    return width, height


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


def as_csv(tables: Sequence[Mapping[str, Any]]) -> str:
    """The numbers of a figure as comma-separated values; several tables follow each other, an empty line between."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for number, one in enumerate(tables):
        if number:
            written.write("\n")
        if len(tables) > 1 and one["caption"]:
            writer.writerow([one["caption"]])
        writer.writerow(one["columns"])
        writer.writerows(one["rows"])
    return written.getvalue()


def fold(tables: Sequence[Mapping[str, Any]], file: str) -> str:
    """The numbers of a figure, behind one click, with the link to the same as a file."""
    inside = "".join(table(one["caption"], one["columns"], one["rows"]) for one in tables)
    inside += f'<a class="csv" download href="{html.escape(file)}">The same as CSV</a>'
    return f'<details class="figure-numbers"><summary>The numbers of this figure</summary>{inside}</details>'


def moving(data: Mapping[str, Any], root: str) -> str:
    """Where the script draws a figure that moves; hidden until it does."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    script = f'<script defer src="{root}{SCRIPT}"></script>'
    return f'<div class="explorer" hidden><script type="application/json">{text}</script></div>{script}'


@cache
def figure_data(source: Path) -> dict[str, dict[str, Any]]:
    """Numbers and data of every figure, by the name of its file without ending."""
    path = source / "_figures.json"
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def visit_image(self: HTML5Translator, node: nodes.image) -> None:
    """Write a figure as its twins, with those for phones, and what stands below; other images as Sphinx does."""
    source = Path(self.builder.srcdir, node["uri"])
    wide = size(source) if source.suffix == ".svg" and node["uri"] in self.builder.images else None
    if wide is None:
        HTML5Translator.visit_image(self, node)
        return
    name, folder = Path(self.builder.images[node["uri"]]).stem, self.builder.imgpath
    data = figure_data(Path(self.builder.srcdir)).get(name, {})
    shapes = [(name, wide, "")]
    if data.get("narrow"):
        file = Path(self.builder.outdir, "_images", f"{name}-narrow.svg")
        file.parent.mkdir(exist_ok=True)
        file.write_text(data["narrow"], encoding="utf-8")
        shapes = [(name, wide, " figure-wide"), (file.stem, pixels(data["narrow"]) or wide, " figure-narrow")]
    self.body.append('<span class="picture pst-scrollable-table-container">')
    for stem, (width, height), shape in shapes:
        for kind, ending in (("light", ""), ("dark", "-dark")):
            what = {"alt": node.get("alt", ""), "src": posixpath.join(folder, f"{stem}{ending}.svg"), "loading": "lazy"}
            more = {"width": str(width), "height": str(height), "style": f"--natural: {width}px"}
            self.body.append(self.emptytag(node, "img", "", CLASS=f"figure-{kind}{shape}", **what, **more))
    self.body.append("</span>")
    if data.get("explorer"):
        self.body.append(moving(data["explorer"], folder.removesuffix("_images")))
    if data.get("numbers"):
        file = Path(self.builder.outdir, NUMBERS, f"{name[:16]}.csv")
        file.parent.mkdir(exist_ok=True)
        file.write_text(as_csv(data["numbers"]), encoding="utf-8")
        self.body.append(fold(data["numbers"], f"{folder.removesuffix('_images')}{NUMBERS}/{file.name}"))
    raise nodes.SkipNode


def write_dark_twins(app: Sphinx, exception: Exception | None) -> None:
    """Write the dark twin beside every figure of the built site."""
    if exception is None and app.builder.format == "html":
        for path in sorted(Path(app.outdir, "_images").glob("*.svg")):
            if size(path):
                twin = dark(path.read_text(encoding="utf-8"))
                path.with_name(f"{path.stem}-dark.svg").write_text(twin, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of the extension."""
    app.add_node(nodes.image, override=True, html=(visit_image, lambda self, node: None))
    app.connect("build-finished", write_dark_twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
