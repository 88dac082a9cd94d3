"""book/tools/slides.py: what of a notebook becomes a slide, and that a page of slides stands alone."""

from __future__ import annotations

import base64
import re
from typing import Any

import slides

import notebooks

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="5" height="5"/></svg>'


def markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def code(source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = (), **metadata: Any) -> dict[str, Any]:
    about = {"tags": list(tags), **metadata}
    return {"cell_type": "code", "metadata": about, "source": [source], "outputs": list(outputs)}


FIGURE = {"output_type": "execute_result", "data": {"image/svg+xml": [SVG]}}
ABOUT = {"image": {"alt": 'Bars "a" & b'}, "figure": {"caption": "It falls."}}
TINY: dict[str, Any] = {
    "cells": [
        code("secret = 1", tags=("launch", "remove-cell")),
        markdown("# A title\n\nThe *question* with $a < b$.\n\nA second paragraph."),
        markdown("(label)=\n## Code\n\nSee [the site](https://example.org) and <b>this</b>."),
        code(
            "print(1 < 2)\n\n\nx = 1",
            {"output_type": "stream", "name": "stdout", "text": ["True & <more>\n"]},
            tags=("live",),
        ),
        code("draw()", FIGURE, tags=("remove-input",), mystnb=ABOUT),
        markdown("Reads the figure."),
        markdown("## Nothing below\n\n## To remember\n\n1. One.\n2. Two."),
    ]
}


def test_headings_code_and_figures_become_slides() -> None:
    found = slides.slides_of(TINY)
    assert [one.heading for one in found] == ["A title", "Code", "Code", "To remember"]
    assert found[0].parts == ['<p>The <em>question</em> with <code class="tex">a &lt; b</code>.</p>']
    assert found[3].parts == ["<ol>\n<li>One.</li>\n<li>Two.</li>\n</ol>"]


def test_text_code_and_output_are_escaped() -> None:
    assert slides.slides_of(TINY)[1].parts == [
        "<p>See the site and &lt;b&gt;this&lt;/b&gt;.</p>",
        '<pre>print(1 &lt; 2)\n\nx = 1</pre><pre class="printed">True &amp; &lt;more&gt;</pre>',
    ]


def test_the_figure_is_kept_as_it_is() -> None:
    (figure,) = slides.slides_of(TINY)[2].parts
    found = re.search(r'alt="([^"]*)" src="data:image/svg\+xml;base64,([^"]*)"', figure)
    assert found is not None
    assert (found[1], base64.b64decode(found[2]).decode()) == ("Bars &quot;a&quot; &amp; b", SVG)
    assert "<figcaption><p>It falls.</p></figcaption>" in figure


def test_a_page_stands_alone_and_numbers_its_slides() -> None:
    page = slides.page("Week <1>", slides.slides_of(TINY))
    assert re.findall(r"<b>(.*?)</b>", page) == ["1 / 4", "2 / 4", "3 / 4", "4 / 4"]
    assert "http://" not in page
    assert "https://" not in page
    assert "secret" not in page
    assert "<title>Week &lt;1&gt;</title>" in page


def test_every_week_names_chapters_that_exist_and_loads_nothing() -> None:
    for chapters in slides.WEEKS.values():
        for name in chapters:
            found = slides.slides_of(notebooks.read(slides.ROOT / "notebooks" / f"{name}.ipynb"))
            assert len(found) > 3, name
            assert not re.search(r"""(?:src|href)=["']?https?:|url\(|@import""", slides.page(name, found)), name


def test_a_formula_that_a_colon_announces_comes_along() -> None:
    assert slides.sections("## A\n\nIt is:\n\n$$x$$\n\nMore.") == [("A", "It is:\n\n$$x$$")]
    assert slides.inline("$$x$$ (eq-one)") == '<p><code class="tex">x</code></p>'
