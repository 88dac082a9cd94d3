"""book/tools/pdf.py: what is laid out for LaTeX, and what is said where LaTeX is missing."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import build
import long_tables
import pdf
import pytest
import yaml
from docutils import nodes  # type: ignore[import-untyped]
from docutils.core import publish_doctree  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="5" height="5"/></svg>'


def test_graphics_get_a_twin_and_a_browser_s_markup_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "as_pdf", lambda svg: b"PDF of " + svg)
    cells = [
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "outputs": []},
        {"cell_type": "markdown", "metadata": {}},
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [
                {"data": {"image/svg+xml": ["<svg>", "</svg>"], "text/html": "<img>", "text/plain": "a figure"}},
                {"data": {"text/markdown": "**x**", "text/html": "<b>x</b>"}},
                {"data": {"text/html": "<b>nothing else</b>"}},
                {"name": "stdout", "text": "a stream"},
            ],
        },
    ]
    kept = pdf.printable({"cells": cells})["cells"]
    assert kept == cells[1:]
    graphic, markdown, markup, _ = kept[1]["outputs"]
    assert base64.b64decode(graphic["data"].pop("application/pdf")) == b"PDF of <svg></svg>"
    assert graphic["data"] == {"text/plain": "a figure"}
    assert markdown["data"] == {"text/markdown": "**x**"}
    assert markup["data"] == {"text/html": "<b>nothing else</b>"}


def test_the_configuration_is_the_site_s_with_what_latex_needs(tmp_path: Path) -> None:
    shutil.copy(ROOT / "_config.yml", tmp_path)
    pdf.configure(tmp_path)
    before, after = (yaml.safe_load((folder / "_config.yml").read_text()) for folder in (ROOT, tmp_path))
    assert after["sphinx"]["config"]["extensions"][:-2] == before["sphinx"]["config"]["extensions"]
    assert after["sphinx"]["config"]["latex_additional_files"] == ["bbm.sty"]
    assert (tmp_path / "bbm.sty").read_text() == "\\newcommand{\\mathbbm}[1]{\\mathbb{#1}}\n"


def test_without_latex_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None if command == "xelatex" else f"/usr/bin/{command}")
    assert pdf.main() == 1
    assert capsys.readouterr().err.startswith("pdf.py: the PDF needs xelatex (on Debian: texlive-xetex ")


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="rsvg-convert is not installed")
def test_a_graphic_becomes_a_pdf() -> None:
    assert pdf.as_pdf(SVG.encode()).startswith(b"%PDF-")


def test_wide_tables_wrap_and_narrow_ones_do_not() -> None:
    def table(words: str) -> str:
        return f"\n.. list-table::\n\n   * - a\n     - b\n   * - {words}\n     - four\n"

    document = publish_doctree(table("short") + "\ntext\n" + table("x" * 95))
    long_tables.lay_out(None, document)  # type: ignore[arg-type]
    narrow, wide = document.findall(nodes.table)
    assert narrow["classes"] == ["longtable"]
    assert {"longtable", "colwidths-given"} <= set(wide["classes"])
    assert [column["colwidth"] for column in wide.findall(nodes.colspec)] == [40, 4]


def test_the_page_on_citing_links_the_pdf_only_where_there_is_one(tmp_path: Path) -> None:
    for made in (False, True):
        mirror, file = tmp_path / f"mirror-{made}", tmp_path / "drs.pdf"
        (mirror / "book").mkdir(parents=True)
        shutil.copy(ROOT / "book" / "cite.md", mirror / "book")
        if made:
            file.write_bytes(b"%PDF-")
        build.offer_pdf(file, mirror)
        page = (mirror / "book" / "cite.md").read_text()
        assert ("drs.pdf" in page, (mirror / "_extra" / "drs.pdf").exists()) == (made, made)
        assert "<!-- pdf -->" not in page


def test_the_doors_of_the_front_page_are_not_printed() -> None:
    text = (ROOT / "book" / "intro.md").read_text()
    kept = pdf.without_doors(text)
    assert "grid-item-card" in text
    assert "grid-item-card" not in kept
    assert "The two papers in one picture each" in kept
    assert "reproduction report" in kept
