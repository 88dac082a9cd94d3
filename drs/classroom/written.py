"""The written part: every answer on one page for marking, and the table that takes the points."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drs.classroom.submissions import read_notebook, text_of
from drs.errors import UsageError
from drs.paths import project_root

__all__ = ["Written", "answer", "page", "questions", "rubric", "save_questions"]

NOTHING = "_Type your answer here, replacing this text._"
"""What otter puts where an answer is to be written."""


@dataclass(frozen=True)
class Written:
    """A question that a person marks.

    Attributes:
        question: ``q6`` and so on.
        points: What it is worth.
        title: Its heading, by which its answer is found in a notebook.
    """

    question: str
    points: float
    title: str


def save_questions(master: Mapping[str, Any], path: Path) -> None:
    """Write down the questions of a master that a person marks.

    Args:
        master: The master as JSON.
        path: Of the file, ``NAME.written.json`` beside the autograder.
    """
    found, config = [], ""
    for cell in master["cells"]:
        text = text_of(cell)
        if cell["cell_type"] == "raw" and text.startswith("# BEGIN QUESTION"):
            config = text
        elif cell["cell_type"] == "markdown" and "manual: true" in config:
            name, points = (re.search(rf"^{key}: *(\S+)", config, re.MULTILINE) for key in ("name", "points"))
            title = next(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
            if name and points:
                found.append(Written(name[1], float(points[1]), title))
            config = ""
    path.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", encoding="utf-8")


def questions(autograders: Path, assignments: Sequence[str]) -> dict[str, list[Written]]:
    """The written questions of the built assignments: assignment to questions."""
    paths = {name: autograders / f"{name}.written.json" for name in assignments}
    return {
        name: [Written(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
        for name, path in paths.items()
        if path.exists()
    }


def answer(path: Path, title: str) -> str:
    """The answer to a written question: the text cells after its heading, up to the next one; empty if none.

    Args:
        path: Of the notebook.
        title: Heading of the question.
    """
    try:
        cells = read_notebook(path)["cells"]
    except (UsageError, OSError):
        return ""
    inside, found = False, []
    for cell in cells:
        text = text_of(cell)
        if cell.get("cell_type") != "markdown":
            continue
        if re.search(rf"^#+ *{re.escape(title)}", text, re.MULTILINE):
            inside = True
        elif inside and ("END QUESTION" in text or re.search(r"^## (Question \d|Hand in)", text, re.MULTILINE)):
            break
        elif inside and text.strip() != NOTHING:
            found.append(text.strip())
    return "\n\n".join(found)


def rubric() -> str:
    """The rubric of the instructor's guide as Markdown; empty outside a checkout."""
    guide = project_root() / "book" / "instructors.md"
    text = guide.read_text(encoding="utf-8") if guide.exists() else ""
    found = re.search(r"^## Rubric.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0].strip() if found else ""


def page(answers: Sequence[tuple[str, str, Written, str]]) -> str:
    """Every answer below the rubric, as Markdown.

    Args:
        answers: Student, assignment, question and text.
    """
    lines = ["# The written part", "", rubric(), ""]
    for student, assignment, question, text in answers:
        lines += [f"## {student}", "", f"{assignment}, {question.title}, of {question.points:g} points:", ""]
        words = len(text.split())
        lines += [f"> {line}".rstrip() for line in text.splitlines()] or ["> (no answer)"]
        lines += ["", f"({words} words)", ""]
    return "\n".join(lines)
