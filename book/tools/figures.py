"""What a notebook keeps beside its figures: tables of their numbers, and data where a reader can move them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NUMBERS = "application/vnd.drs.numbers+json"
"""Beside a figure in a notebook: its numbers, a list of tables with caption, columns and rows."""
EXPLORER = "application/vnd.drs.explorer+json"
"""Beside a figure that a reader can move: the data that ``_explorer/explorer.js`` draws."""

NARROW = "application/vnd.drs.narrow+json"
"""Beside a figure of several panels: the picture that a phone shows in its place."""


@dataclass(frozen=True)
class Behind:
    """What a notebook keeps beside a figure: tables of its numbers, data if it moves, and a picture for phones."""

    numbers: list[dict[str, Any]]
    explorer: dict[str, Any] | None = None
    narrow: str | None = None


def behind_figures(notebooks: Sequence[Path], generated: Path) -> dict[str, Behind]:
    """What stands behind each figure, by its name on the site.

    Args:
        notebooks: Executed ones; MyST-NB names a figure by its hash.
        generated: Folder of generated figures, with the numbers of NAME.svg in NAME.json.
    """
    drawn = [path for path in generated.glob("*.json") if path.with_suffix(".svg").exists()]
    found = {path.stem: Behind(json.loads(path.read_text(encoding="utf-8"))) for path in drawn}
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if NUMBERS in data:
                    svg = "\n".join("".join(data["image/svg+xml"]).splitlines())
                    name = hashlib.sha256(svg.encode()).hexdigest()
                    found[name] = Behind(data[NUMBERS], data.get(EXPLORER), data.get(NARROW))
    return found


def write_figures(behind: dict[str, Behind], mirror: Path) -> None:
    """Write what the extension ``figure_pages`` reads, beside the sources of the site."""
    text = json.dumps({name: asdict(one) for name, one in behind.items()})
    (mirror / "_figures.json").write_text(text, encoding="utf-8")


def without_figure_data(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook as Sphinx reads it: without what only :func:`behind_figures` reads."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind in (NUMBERS, EXPLORER, NARROW):
                output.get("data", {}).pop(kind, None)
    return notebook
