"""Runs Sphinx as ``jupyter-book build -W -n --keep-going`` does, on several cores at once, which that command cannot.

``python book/tools/sphinx_book.py FOLDER BUILDER JOBS`` builds FOLDER with Sphinx's BUILDER (html, linkcheck) into
FOLDER/_build/html.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import drs


def import_library() -> None:
    """Import every public module: what the pages describe, once, before the processes that read them part."""
    for module in pkgutil.walk_packages(drs.__path__, "drs."):
        if "._" not in module.name:
            importlib.import_module(module.name)


def main() -> int:
    """Entry point; the status is Sphinx's."""
    source, builder, jobs = Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3])
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # 38 grammars that jsonschema would build first
    from jupyter_book.sphinx import build_sphinx

    import_library()
    status = build_sphinx(
        source,
        source / "_build" / "html",
        path_config=source / "_config.yml",
        noconfig=True,
        confoverrides={
            "external_toc_path": (source / "_toc.yml").as_posix(),
            "latex_individualpages": False,
            "nitpicky": True,
            "html_search_scorer": str(Path(__file__).parent / "_ext" / "scorer.js"),
        },
        builder=builder,
        warningiserror=builder == "html",
        keep_going=builder == "html",
        jobs=jobs,
    )
    return status if isinstance(status, int) else 1


if __name__ == "__main__":
    raise SystemExit(main())
