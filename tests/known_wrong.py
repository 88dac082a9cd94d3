"""Submissions with known mistakes, made from the masters and the edits in ``known_wrong.toml``.

``python -m tests.known_wrong`` writes them to ``tests/submissions``; a test compares.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "submissions"
FEWER = "first(200)", "first(60)"
"""Images in the given cells of most wrong submissions: their tests bring their own where the number matters."""


@dataclass(frozen=True)
class KnownWrong:
    """A submission: its place under ``tests/submissions``, its edits, and what becomes of it."""

    path: str
    edits: tuple[tuple[str, str], ...] = ()
    score: float = 0.0
    failed: tuple[str, ...] = ()
    status: str = "graded"
    questions: tuple[str, ...] = ()
    stopped: str = ""

    @property
    def assignment(self) -> str:
        return self.path.split("/")[0]


def _read(kind: str) -> tuple[KnownWrong, ...]:
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[kind]
    return tuple(
        KnownWrong(
            entry["path"],
            tuple((edit["old"], edit["new"]) for edit in entry.get("edits", [])),
            entry.get("score", 0.0),
            tuple(entry.get("failed", [])),
            entry.get("status", "graded"),
            tuple(entry.get("questions", [name.split(".")[0] for name in entry.get("failed", [])])),
            entry.get("stopped", ""),
        )
        for entry in entries
    )


GRADED = _read("graded")
"""Submissions that can be graded."""
FAILING = _read("failing")
"""Submissions that bring themselves down, or one of their cells."""
MUTANTS = _read("mutant")
"""Wrong answers that have no notebook: the tests of their questions run on the edited code alone."""
RIGHT = _read("right")
"""Right answers written in another way: every test of their questions has to pass."""


def code_cells(assignment: str, built: Path) -> list[str]:
    """The solved code of an assignment, without otter's marks; the tests are the published ones, not copies."""
    solved = json.loads((built / "autograder" / f"{assignment}.ipynb").read_text())
    code = [cell for cell in solved["cells"] if cell["cell_type"] == "code"]
    cells = [_code_of(cell, assignment) for cell in code]
    return [
        re.sub(r"  # SOLUTION$|^\s*# (BEGIN|END) SOLUTION( NO PROMPT)?\n?", "", cell, flags=re.MULTILINE).rstrip()
        for cell in cells
    ]


def _code_of(cell: dict[str, Any], assignment: str) -> str:
    if "public-tests" in cell["metadata"].get("tags", []):
        return f'from drs.classroom import checks\n\ngrader = checks("{assignment}")'
    return "".join(cell["source"])


def edited(cells: list[str], edits: tuple[tuple[str, str], ...]) -> list[str]:
    """Cells after some edits, each of which has to fit exactly once."""
    for old, new in edits:
        fits = [place for place, cell in enumerate(cells) if old in cell]
        assert len(fits) == 1, f"expected one cell with {old!r}, got {len(fits)}"
        assert cells[fits[0]].count(old) == 1, old
        cells = [cell.replace(old, new) for cell in cells]
    return cells


def notebook(title: str, cells: list[str], assignment: str) -> str:
    """A notebook of code cells without outputs, as JSON."""
    shown: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": [f"# {title.replace('_', ' ')}"]}
    ]
    shown += [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{place:02d}",
            "metadata": {},
            "outputs": [],
            "source": cell.splitlines(keepends=True),
        }
        for place, cell in enumerate(cells)
    ]
    metadata: dict[str, Any] = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    if assignment:
        metadata["otter"] = {"assignment_name": assignment}
    content = {"cells": shown, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def contents(built: Path) -> dict[str, str]:
    """Every file under ``tests/submissions``, path to text, made from the built assignments."""
    files = {}
    for one in GRADED + FAILING:
        cells = edited(code_cells(one.assignment, built), one.edits)
        counts_images = one.path.endswith("/reference") or "q3.test_breaks_the_defence" in one.failed
        if not counts_images:  # else the worst case of the capstone is near the bound that a test asks for
            cells = [cell.replace(*FEWER) for cell in cells]
        files[f"{one.path}.ipynb"] = notebook(one.path, cells, one.assignment)
    for student in sorted((built / "student").glob("*.ipynb")):
        content = json.loads(student.read_text())
        untouched = [_code_of(cell, student.stem) for cell in content["cells"] if cell["cell_type"] == "code"]
        files[f"untouched/{student.name}"] = notebook(f"{student.stem}, nothing done", untouched, "")
    files["a2_attacks/empty.ipynb"] = ""
    files["a3_detection/report.docx"] = "not a notebook\n"
    files["a1_softmax_not_json.ipynb"] = "# Assignment 1\n"
    files["a1_softmax/wrong_folder.ipynb"] = notebook("another assignment", ["print(1)"], "a2_attacks")
    files["homework.ipynb"] = notebook("which assignment", ["print(1)"], "")
    return files


def main() -> None:
    """Write ``tests/submissions`` anew."""
    from drs.classroom.assignments import build

    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        files = contents(Path(folder))
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, text in files.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(files)} files in {FOLDER}")


if __name__ == "__main__":
    main()
