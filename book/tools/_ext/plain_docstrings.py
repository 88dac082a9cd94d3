"""Sphinx extension: docstrings as they are written here, where napoleon would read a type into them.

A constant's docstring may hold a colon without its beginning being a type, and one entry of ``Args`` or ``Attributes``
may describe several names. What a package exports is described once, under the package: the name that users import.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

SEVERAL = re.compile(r":(?P<kind>ivar|param) (?P<names>\w+(?:, \w+)+):(?P<text>.*)")


def before_napoleon(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Give a constant's docstring an empty type, so that none is read into it."""
    if what in ("attribute", "data", "property") and lines and lines[0]:
        lines[0] = f": {lines[0]}"


def after_napoleon(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Split a field of several names into one field each; the last one keeps the description."""
    split: list[str] = []
    for line in lines:
        if field := SEVERAL.fullmatch(line):
            *first, last = field["names"].split(", ")
            split += [f":{field['kind']} {one}: See ``{last}``." for one in first]
            line = f":{field['kind']} {last}:{field['text']}"
        split.append(line)
    lines[:] = split


def exported_above(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out of a module what its package exports; None lets autodoc decide. ``drs`` itself has no page."""
    package = str(app.env.temp_data.get("autodoc:module", "")).rpartition(".")[0]
    above = sys.modules.get(package) if "." in package else None
    exported = name in getattr(above, "__all__", ()) and getattr(above, name, None) is obj  # not a module of that name
    return True if what == "module" and exported else None


def exported_home(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element) -> Any:
    """Lead a type that names the module of an exported name to its entry under the package."""
    home, _, name = str(node.get("reftarget", "")).rpartition(".")
    package = home.rpartition(".")[0]
    if node.get("refdomain") != "py" or name not in getattr(sys.modules.get(package), "__all__", ()):
        return None
    domain = env.domains["py"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{package}.{name}", node, contnode)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both sides of napoleon, which listens at priority 500."""
    app.connect("autodoc-skip-member", exported_above)
    app.connect("missing-reference", exported_home)
    app.connect("autodoc-process-docstring", before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", after_napoleon, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
