"""The extension theme_repairs, in a small Sphinx project: the markup that assistive technology needs, and the icons."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import theme_repairs
from bs4 import BeautifulSoup, Tag
from docutils.core import publish_doctree  # type: ignore[import-untyped]
from sphinx import addnodes
from sphinx.application import Sphinx

PAGE = """\
Title
=====

See [One]_, [Two]_ and [Two]_.

.. list-table::
   :header-rows: 1

   * -
     - CE
   * - 0.1
     - 0.5

.. [One] First.
.. [Two] Second.
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    """A page with a table and two references, written by Sphinx with the extension's writer."""
    source = tmp_path_factory.mktemp("source")
    (source / "index.rst").write_text(PAGE)
    app = Sphinx(source, None, source / "html", source / "doctrees", "html", status=None, warning=None)
    app.set_translator("html", theme_repairs.Translator)
    app.build()
    return BeautifulSoup((source / "html" / "index.html").read_text(), "html.parser")


def test_the_empty_corner_of_a_table_is_a_cell(page: BeautifulSoup) -> None:
    row = page.select_one("table thead tr")
    assert row is not None
    assert [(cell.name, cell.get_text(strip=True)) for cell in row.find_all(["td", "th"])] == [("td", ""), ("th", "CE")]


def test_a_bibliography_has_no_role_that_aria_took_back(page: BeautifulSoup) -> None:
    assert [one.get("role") for one in page.select("div.citation")] == ["listitem", "listitem"]
    assert page.select("[role^=doc-back], [role=doc-biblioentry]") == []
    links = [
        [link.get_text() for link in one.select("span.label a, span.backrefs a")] for one in page.select(".citation")
    ]
    assert links == [["One"], ["1", "2"]]
    targets = [str(link["href"])[1:] for link in page.select("div.citation a[href^='#']")]
    assert all(page.find(id=target) for target in targets)


def test_folds_of_the_sidebar_have_a_name() -> None:
    markup = "<ul><li><a href='a'>A</a><details><summary><i></i></summary></details></li></ul>"
    context = {"generate_toctree_html": lambda kind: BeautifulSoup(markup, "html.parser")}
    theme_repairs.name_folds(None, "a", "page.html", context, None)  # type: ignore[arg-type]
    fold = context["generate_toctree_html"]("sidebar").summary
    assert isinstance(fold, Tag)
    assert fold["aria-label"] == "Pages within"


def test_what_a_module_describes_answers_to_its_name_under_the_package() -> None:
    document = publish_doctree("")
    for name in ("drs.attacks.base.FEW", "drs.attacks.PGD", "drs.attacks.other.PGD"):
        module, _, own = name.rpartition(".")
        document += addnodes.desc_signature(ids=[name], module=module, fullname=own)
    theme_repairs.anchor_under_package(None, document)  # type: ignore[arg-type]
    assert [signature["ids"] for signature in document.findall(addnodes.desc_signature)] == [
        ["drs.attacks.base.FEW", "drs.attacks.FEW"],
        ["drs.attacks.PGD", "drs.PGD"],
        ["drs.attacks.other.PGD"],
    ]


def test_every_icon_is_a_drawing() -> None:
    style = theme_repairs.icon_style()
    pictures = dict(
        re.findall(r'^\.fa-([a-z-]+) \{ --icon: url\("data:image/svg\+xml,(.*)"\); \}$', style, re.MULTILINE)
    )
    assert {"download", "rocket", "magnifying-glass", "circle-half-stroke"} <= set(pictures)
    for name, picture in pictures.items():
        drawing = ElementTree.fromstring(unquote(picture))
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg", name
        assert drawing.find(".//{http://www.w3.org/2000/svg}path") is not None, name
        assert '"' not in picture, name


def test_the_theme_s_icon_script_and_source_maps_are_not_served(tmp_path: Path) -> None:
    scripts = tmp_path / "_static" / "scripts"
    scripts.mkdir(parents=True)
    for name in ("fontawesome.js", "fontawesome.js.map", "fontawesome.js.LICENSE.txt", "theme.js.map", "theme.js"):
        (scripts / name).write_text("x" * 1000)
    theme_repairs.remove_unused(type("App", (), {"outdir": str(tmp_path)})(), None)
    assert {path.name for path in scripts.iterdir()} == {"fontawesome.js", "theme.js"}
    assert len((scripts / "fontawesome.js").read_text()) < 100


def test_mathjax_is_loaded_on_pages_with_a_formula_only(tmp_path: Path) -> None:
    source, built = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    (source / "conf.py").write_text(
        "import theme_repairs\nextensions = ['sphinx.ext.mathjax']\nmathjax_path = 'mathjax/startup.js'\n"
        "mathjax3_config = {'tex': {}}\ndef setup(app):\n    app.set_html_assets_policy('always')\n"
        "    app.connect('html-page-context', theme_repairs.without_mathjax, priority=900)\n"
    )
    (source / "index.rst").write_text("Words\n=====\n\n.. toctree::\n\n   inline\n   block\n")
    (source / "inline.rst").write_text("Inline\n======\n\n:math:`a`\n")
    (source / "block.rst").write_text("Block\n=====\n\n.. math:: a\n")
    Sphinx(source, source, built, tmp_path / "trees", "html", freshenv=True, status=None).build()
    pages = {name: (built / f"{name}.html").read_text() for name in ("index", "inline", "block", "search")}
    assert {name: "mathjax/startup.js" in text for name, text in pages.items()} == {
        "index": False,
        "inline": True,
        "block": True,
        "search": False,
    }
    assert {name: "window.MathJax" in text for name, text in pages.items()}["index"] is False
