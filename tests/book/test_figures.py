"""figures.py and the extension figure_pages: dark figures, and the numbers that stand with each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import figure_pages
import figures
import pytest
from docutils import nodes  # type: ignore[import-untyped]
from sphinx.writers.html5 import HTML5Translator

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="300pt" height="150.3pt" viewBox="0 0 300 150">
 <g id="patch_1">
  <path d="M 0 0" style="fill: #ffffff"/>
 </g>
 <path d="M 1 1" style="fill: #ffffff; stroke: #444444"/>
 <path d="M 2 2" style="stroke: #0072b2; stroke-width: 2"/>
 <text style="fill: #262626" x="1">ink</text><text style="fill: #222222">cell</text><text style="x: 1">black</text>
</svg>"""


def test_the_dark_twin_turns_neutral_lines_and_ink_and_keeps_colours_and_cells() -> None:
    dark = figure_pages.dark(SVG)
    styles = {element.get("d") or element.text: element.get("style") for element in ElementTree.fromstring(dark).iter()}
    assert {name: style for name, style in styles.items() if style} == {
        "M 0 0": "fill: none",
        "M 1 1": "fill: #ffffff; stroke: #bbbbbb",
        "M 2 2": "stroke: #0072b2; stroke-width: 2",
        "ink": "fill: #d9d9d9",
        "cell": "fill: #222222",
        "black": "x: 1",
    }
    assert dark.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="300pt"')
    assert figure_pages.dark(dark) == dark


class Page:
    """Stands for Sphinx's writer of one page."""

    def __init__(self, source: Path, images: dict[str, str]) -> None:
        self.builder = SimpleNamespace(srcdir=str(source), outdir=str(source), images=images, imgpath="../_images")
        self.body: list[str] = []

    def emptytag(self, node: nodes.image, tag: str, suffix: str, **attributes: str) -> str:
        return " ".join([f"<{tag}", *(f'{name.lower()}="{value}"' for name, value in attributes.items())]) + ">"


def test_a_page_shows_both_twins_at_their_size_with_the_numbers_below(tmp_path: Path) -> None:
    (tmp_path / "f.svg").write_text(SVG)
    tables = [{"caption": "a < b", "columns": ["", "CE"], "rows": [["0.1", "0.5"], ["0.2", None]]}]
    figures.write_figures({"f": figures.Behind(tables, {"kind": "</script>"})}, tmp_path)
    writer = Page(tmp_path, {"f.svg": "f.svg"})
    with pytest.raises(nodes.SkipNode):
        figure_pages.visit_image(writer, nodes.image(uri="f.svg", alt="what it shows"))  # type: ignore[arg-type]
    page = "".join(writer.body)
    for kind, name in (("light", "f"), ("dark", "f-dark")):
        image = f'<img class="figure-{kind}" alt="what it shows" src="../_images/{name}.svg"'
        assert f'{image} loading="lazy" width="400" height="200" style="--natural: 400px">' in page
    assert "figure-narrow" not in page
    assert '<a class="csv" download href="../_numbers/f.csv">' in page
    assert (tmp_path / "_numbers" / "f.csv").read_text() == ",CE\n0.1,0.5\n0.2,\n"
    assert "<caption>a &lt; b</caption>" in page
    assert '<tr><td></td><th scope="col">CE</th></tr>' in page
    assert '<tr><th scope="row">0.1</th><td>0.5</td></tr><tr><th scope="row">0.2</th><td></td></tr>' in page
    assert '<script type="application/json">{"kind":"\\u003c/script>"}</script>' in page
    assert '<script defer src="../_static/explorer/explorer.js"></script>' in page


def test_a_figure_with_a_picture_for_phones_is_four_images_of_one_text(tmp_path: Path) -> None:
    (tmp_path / "f.svg").write_text(SVG)
    small = SVG.replace('width="300pt" height="150.3pt"', 'width="240pt" height="600pt"')
    figures.write_figures({"f": figures.Behind([], narrow=small)}, tmp_path)
    writer = Page(tmp_path, {"f.svg": "f.svg"})
    with pytest.raises(nodes.SkipNode):
        figure_pages.visit_image(writer, nodes.image(uri="f.svg", alt="what it shows"))  # type: ignore[arg-type]
    page = "".join(writer.body)
    for kind, ending in (("light", ""), ("dark", "-dark")):
        for shape, name, size in (("wide", "f", (400, 200)), ("narrow", "f-narrow", (320, 800))):
            image = f'<img class="figure-{kind} figure-{shape}" alt="what it shows" src="../_images/{name}{ending}.svg"'
            more = f'width="{size[0]}" height="{size[1]}" style="--natural: {size[0]}px"'
            assert f'{image} loading="lazy" {more}>' in page
    assert page.count("<img") == 4
    assert (tmp_path / "_images" / "f-narrow.svg").read_text() == small


def test_several_tables_of_a_figure_are_one_file_each_under_its_caption() -> None:
    tables: list[dict[str, Any]] = [
        {"caption": "CE, seed 0", "columns": ["x", "y"], "rows": [["1", "a, b"]]},
        {"caption": "DRS", "columns": ["x"], "rows": [[2]]},
    ]
    assert figure_pages.as_csv(tables) == '"CE, seed 0"\nx,y\n1,"a, b"\n\nDRS\nx\n2\n'


def test_an_image_that_is_no_figure_of_ours_is_left_to_sphinx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(HTML5Translator, "visit_image", lambda self, node: seen.append(node["uri"]))
    (tmp_path / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"/>')
    writer = Page(tmp_path, {"logo.svg": "logo.svg", "photo.png": "photo.png"})
    for uri in ("logo.svg", "photo.png", "https://example.org/a.svg"):
        figure_pages.visit_image(writer, nodes.image(uri=uri))  # type: ignore[arg-type]
    assert (seen, writer.body) == (["logo.svg", "photo.png", "https://example.org/a.svg"], [])


def test_numbers_are_found_by_the_name_that_the_figure_gets(tmp_path: Path) -> None:
    tables = [{"caption": "", "columns": ["x", "y"], "rows": [["1", "2"]]}]
    kept = {"image/svg+xml": SVG.splitlines(True), figures.NUMBERS: tables, figures.NARROW: "<svg/>"}
    output = {"output_type": "execute_result", "data": kept}
    path = tmp_path / "a.ipynb"
    notebook = {"cells": [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [output]}]}
    path.write_text(json.dumps(notebook))
    (tmp_path / "story.json").write_text(json.dumps(tables))
    (tmp_path / "story.svg").write_text(SVG)
    (tmp_path / "claims.json").write_text("[]")  # data beside the figures, and no figure
    found = figures.behind_figures([path], tmp_path)
    name = hashlib.sha256(SVG.encode()).hexdigest()
    assert found == {"story": figures.Behind(tables), name: figures.Behind(tables, narrow="<svg/>")}
    left = figures.without_figure_data(notebook)["cells"][1]["outputs"][0]["data"]
    assert list(left) == ["image/svg+xml"]


def test_a_site_gets_its_dark_figures(tmp_path: Path) -> None:
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "f.svg").write_text(SVG)
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path))
    figure_pages.write_dark_twins(app, None)  # type: ignore[arg-type]
    assert (tmp_path / "_images" / "f-dark.svg").read_text() == figure_pages.dark(SVG)
