"""Sphinx extension: what the theme leaves undone. Icons without a script, landmarks and names for assistive technology.

The theme draws its icons with a script of one and a half megabytes of which a page shows a dozen. Here they are rules
of one style sheet, from the icons that sphinx-design brings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from bs4 import BeautifulSoup
from docutils import nodes  # type: ignore[import-untyped]
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator
from sphinx_design.icons import get_octicon

HALF = '<svg viewBox="0 0 16 16"><path d="M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0Zm0 1.5v13a6.5 6.5 0 0 1 0-13Z"/></svg>'
"""A circle of which one half is full: the theme that follows the reader's system."""
ICONS = {
    "angle-left": "chevron-left",
    "angle-right": "chevron-right",
    "arrow-up": "arrow-up",
    "bars": "three-bars",
    "chevron-down": "chevron-down",
    "code": "code",
    "download": "download",
    "expand": "screen-full",
    "file": "file",
    "file-lines": "file",
    "file-pdf": "file",
    "home": "home",
    "lightbulb": "issue-opened",
    "list": "list-unordered",
    "magnifying-glass": "search",
    "moon": "moon",
    "outdent": "sidebar-expand",
    "pencil": "pencil",
    "pencil-alt": "pencil",
    "play": "play",
    "rocket": "rocket",
    "github": "mark-github",
    "square-github": "mark-github",
    "sun": "sun",
}
"""The theme's name of an icon, and the one that sphinx-design has for it."""


def icon_style() -> str:
    """The style sheet that draws every icon in the colour of its text."""
    drawings = {name: get_octicon(other) for name, other in ICONS.items()} | {"circle-half-stroke": HALF}
    named = 'xmlns="http://www.w3.org/2000/svg"'
    rules = [
        'i[class*="fa-"]::before { content: ""; display: inline-block; width: 1.25em; height: 1em; '
        "vertical-align: -0.125em; background: currentColor; mask: var(--icon) center / contain no-repeat; }",
        '@media (forced-colors: active) { i[class*="fa-"]::before { background: CanvasText; } }',
    ]
    for name, drawing in drawings.items():
        picture = quote(drawing.replace("<svg", f"<svg {named}", 1), safe=" =:/'")
        rules.append(f'.fa-{name} {{ --icon: url("data:image/svg+xml,{picture}"); }}')
    return "\n".join(rules) + "\n"


class Translator(HTML5Translator):
    """Sphinx's writer with the markup that ARIA 1.2 and axe-core ask for."""

    def starttag(self, node: Any, tagname: Any = "", *arguments: Any, **attributes: Any) -> str:
        """Give an entry of the bibliography the role that replaced ``doc-biblioentry``."""
        if attributes.get("role") == "doc-biblioentry":
            attributes["role"] = "listitem"
        return str(super().starttag(node, tagname, *arguments, **attributes))

    def visit_entry(self, node: nodes.entry) -> None:
        """Write the empty corner of a table as a cell: it is the header of nothing."""
        super().visit_entry(node)
        if isinstance(node.parent.parent, nodes.thead) and not node.astext().strip():
            self.body[-1], self.context[-1] = "<td>", "</td>\n"

    def visit_label(self, node: nodes.label) -> None:
        """Write the label of a reference with a plain link back, without the role ``doc-backlink``."""
        back = node.parent.get("backrefs", [])
        text = f'<a href="#{back[0]}">' if len(back) == 1 else ""
        self.body.append(f'<span class="label"><span class="fn-bracket">[</span>{text}')

    def depart_label(self, node: nodes.label) -> None:
        """Close the label; several links back are numbered."""
        back = node.parent.get("backrefs", [])
        self.body.append(f'{"</a>" if len(back) == 1 else ""}<span class="fn-bracket">]</span></span>\n')
        if len(back) > 1:
            links = ",".join(f'<a href="#{place}">{number}</a>' for number, place in enumerate(back, 1))
            self.body.append(f'<span class="backrefs">({links})</span>\n')


def name_folds(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Name the folds of the sidebar, which are pictures; the theme makes the sidebar with this function."""
    make = context["generate_toctree_html"]

    def named(*arguments: Any, **options: Any) -> BeautifulSoup | str:
        contents: BeautifulSoup | str = make(*arguments, **options)
        if isinstance(contents, BeautifulSoup):
            for fold in contents.find_all("summary"):
                fold["aria-label"] = "Pages within"
        return contents

    context["generate_toctree_html"] = named


def without_mathjax(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load MathJax, 600 kB, only on pages with a formula: Jupyter Book asks for it on every page."""
    if doctree is None or not any(isinstance(node, nodes.math | nodes.math_block) for node in doctree.findall()):
        context["script_files"] = [script for script in context["script_files"] if not _is_mathjax(script)]


def _is_mathjax(script: Any) -> bool:
    body = str(getattr(script, "attributes", {}).get("body") or "")
    return "mathjax" in str(getattr(script, "filename", script) or "") or body.startswith("window.MathJax")


def anchor_under_package(app: Sphinx, document: nodes.document) -> None:
    """Let what is described under its module answer to its name under the package too.

    A page of source code links back to one of the two, and does not know which.
    """
    known = {name for signature in document.findall(addnodes.desc_signature) for name in signature["ids"]}
    for signature in document.findall(addnodes.desc_signature):
        package = str(signature.get("module") or "").rpartition(".")[0]
        name = f"{package}.{signature.get('fullname')}"
        if package and name not in known:
            signature["ids"].append(name)
            known.add(name)


def prepare(app: Sphinx) -> None:
    """Write the style sheet of the icons, and let Sphinx read pages side by side."""
    if app.builder.format == "html":
        folder = Path(app.outdir, "_static")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "icons.css").write_text(icon_style(), encoding="utf-8")
        app.add_css_file("icons.css")
    # It does not say so, but it works on the whole environment after all pages were read.
    app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True


def remove_unused(app: Sphinx, exception: Exception | None) -> None:
    """Leave nothing of the theme's icon script but its name, which every page asks for, and no source maps."""
    static = Path(app.outdir, "_static")
    for unused in {*static.glob("scripts/fontawesome*"), *static.rglob("*.map")}:
        unused.unlink()
    if (static / "scripts").is_dir():
        (static / "scripts" / "fontawesome.js").write_text("// icons.css draws the icons\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of the extension."""
    app.config.templates_path.insert(0, str(Path(__file__).parent / "templates"))
    app.set_translator("html", Translator)
    app.connect("builder-inited", prepare)
    app.connect("doctree-read", anchor_under_package)
    app.connect("html-page-context", name_folds, priority=600)  # after the theme's own
    app.connect("html-page-context", without_mathjax, priority=900)  # after sphinx.ext.mathjax
    app.connect("build-finished", remove_unused, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
