"""Sphinx extension: the directive ``live-attack`` puts the attack that a reader moves where a page wants it.

What stands inside the directive is shown where no script runs. Markup and scripts are written here once, for every page
that shows the attack; no other page loads them.
"""

from __future__ import annotations

from docutils import nodes  # type: ignore[import-untyped]
from docutils.parsers.rst import Directive  # type: ignore[import-untyped]
from sphinx.application import Sphinx

SCRIPTS = ("explorer", "network", "playground")
"""Files of ``_static/explorer``, in the order in which they need each other."""


def markup(page: str) -> str:
    """Where the scripts draw, hidden until they do, and the scripts by their paths from a page of the site.

    >>> markup("book/playground").splitlines()[1]
    '<script defer src="../_static/explorer/explorer.js"></script>'
    """
    root = "../" * page.count("/")
    scripts = [f'<script defer src="{root}_static/explorer/{name}.js"></script>' for name in SCRIPTS]
    return "\n".join(['<div class="playground" hidden></div>', *scripts])


class LiveAttack(Directive):  # type: ignore[misc]
    """The attack; its content is one paragraph, which the script hides."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The paragraph, and below it what the script fills."""
        self.assert_has_content()
        above = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, above)
        page = self.state.document.settings.env.docname
        return [*above.children, nodes.raw("", markup(page), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of the extension."""
    app.add_directive("live-attack", LiveAttack)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
