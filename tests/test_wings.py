"""The house: no wing imports from a later one, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Container
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METHOD = {"losses", "family", "spread", "statistics", "detection", "training", "attacks", "evaluation"}
WINGS = dict.fromkeys(("errors", "paths", "catalog", "_checks", "_files", "_lazy", "_seeding"), 0)
WINGS |= dict.fromkeys((*METHOD, "_many_classes"), 1)
WINGS |= {"study": 2, "pages": 3, "classroom": 3, "cli": 4, "__main__": 4}


def modules() -> dict[str, ast.Module]:
    names = {p: ".".join(p.relative_to(ROOT).with_suffix("").parts) for p in (ROOT / "drs").rglob("*.py")}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text()) for path, name in names.items()}


def imports(tree: ast.AST, known: Container[str], *, everywhere: bool) -> set[str]:
    """Modules of ``drs`` that a module imports: at import time, or ``everywhere`` in functions as well."""
    found = set()
    for node in list(ast.walk(tree)) if everywhere else ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return {name for name in found if name.startswith("drs.")}


def test_no_wing_imports_from_a_later_one() -> None:
    known = modules()
    assert {name.split(".")[1] for name in known if name != "drs"} == set(WINGS)
    for name, tree in known.items():
        for other in imports(tree, known, everywhere=True) if name != "drs" else ():
            assert WINGS[other.split(".")[1]] <= WINGS[name.split(".")[1]], f"{name} imports {other}"


def test_no_circle() -> None:
    known = modules()
    TopologicalSorter({n: imports(t, known, everywhere=False) for n, t in known.items()}).prepare()
