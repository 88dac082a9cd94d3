"""book/tools/finish.py: dark figures, their numbers, and the markup that assistive technology needs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import finish

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="300pt" height="150.3pt" viewBox="0 0 300 150">
 <g id="patch_1">
  <path d="M 0 0" style="fill: #ffffff"/>
 </g>
 <path d="M 1 1" style="fill: #ffffff; stroke: #444444"/>
 <path d="M 2 2" style="stroke: #0072b2; stroke-width: 2"/>
 <text style="fill: #262626" x="1">ink</text><text style="fill: #222222">cell</text><text style="x: 1">black</text>
</svg>"""


def test_the_dark_twin_turns_neutral_lines_and_ink_and_keeps_colours_and_cells() -> None:
    dark = finish.dark(SVG)
    assert '<path d="M 0 0" style="fill: none"/>' in dark
    assert '<path d="M 1 1" style="fill: #ffffff; stroke: #bbbbbb"/>' in dark
    assert "stroke: #0072b2; stroke-width: 2" in dark
    assert '<text style="fill: #d9d9d9" x="1">ink</text>' in dark
    assert '<text style="fill: #222222">cell</text><text style="x: 1">black</text>' in dark
    assert finish.dark(dark) == dark


def test_a_page_shows_both_twins_at_their_size_with_the_numbers_below() -> None:
    tables = [{"caption": "a < b", "columns": ["", "CE"], "rows": [["0.1", "0.5"], ["0.2", None]]}]
    page = finish.finished(
        '<p><img alt="what it shows" src="../_images/f.svg" /></p>', {"f": (400.0, 200.4)}, {"f": finish.Behind(tables)}
    )
    for kind, name in (("light", "f"), ("dark", "f-dark")):
        image = f'<img class="figure-{kind}" alt="what it shows" src="../_images/{name}.svg"'
        assert f'{image} loading="lazy" width="400" height="200">' in page
    assert "<caption>a &lt; b</caption>" in page
    assert '<tr><td></td><th scope="col">CE</th></tr>' in page
    assert '<tr><th scope="row">0.1</th><td>0.5</td></tr><tr><th scope="row">0.2</th><td></td></tr>' in page


def test_an_image_that_is_no_figure_of_ours_stays() -> None:
    image = '<img alt="logo" src="../_images/logo.svg" />'
    assert finish.finished(image, {}, {}) == image


def test_markup_that_assistive_technology_stumbles_over_is_mended() -> None:
    page = '<div id="id5" role="doc-biblioentry"><a role="doc-backlink"></a></div><th class="head"><p></p></th>'
    sidebar = '<div class="sidebar-primary-item">\n  \n<a class="navbar-brand logo" href="#">'
    assert finish.finished(page + sidebar, {}, {}) == (
        '<div id="id5" role="listitem"><a></a></div><td></td>'
        '<div role="navigation" aria-label="Home">\n  \n<a class="navbar-brand logo" href="#">'
    )


def test_numbers_are_found_by_the_name_that_the_figure_gets(tmp_path: Path) -> None:
    tables = [{"caption": "", "columns": ["x", "y"], "rows": [["1", "2"]]}]
    output = {"output_type": "execute_result", "data": {"image/svg+xml": SVG.splitlines(True), finish.NUMBERS: tables}}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [output]}]}))
    (tmp_path / "story.json").write_text(json.dumps(tables))
    found = finish.behind_figures([path], tmp_path)
    assert found == {"story": finish.Behind(tables), hashlib.sha256(SVG.encode()).hexdigest(): finish.Behind(tables)}


def test_a_site_gets_its_dark_figures(tmp_path: Path) -> None:
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "f.svg").write_text(SVG)
    (tmp_path / "page.html").write_text('<img alt="four words say little" src="_images/f.svg" />')
    finish.finish(tmp_path, {})
    assert (tmp_path / "_images" / "f-dark.svg").read_text() == finish.dark(SVG)
    assert 'src="_images/f-dark.svg" loading="lazy" width="400" height="200">' in (tmp_path / "page.html").read_text()
