"""Sphinx extension for the PDF: tables go on over a page's end, and those wider than a page wrap their cells."""

from __future__ import annotations

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx

LINE = 95
"""Characters that fit beside each other on a page."""
WIDEST = 40
"""A column gets no wider than so many characters where the table has to wrap."""


def column_widths(table: nodes.table) -> list[int]:
    """Characters of the longest cell of each column."""
    rows = [[len(entry.astext()) for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)]
    return [max(lengths) for lengths in zip(*rows)]


def lay_out(app: Sphinx, doctree: nodes.document) -> None:
    """Give every table the classes by which Sphinx's LaTeX writer chooses its kind, and its columns their shares."""
    for table in doctree.findall(nodes.table):
        table["classes"].append("longtable")
        widths = column_widths(table)
        if sum(widths) > LINE:
            table["classes"].append("colwidths-given")
            for column, width in zip(table.findall(nodes.colspec), widths):
                column["colwidth"] = min(max(width, 3), WIDEST)


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("doctree-read", lay_out)
    return {"parallel_read_safe": True}
