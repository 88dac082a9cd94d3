"""Which files of a folder are submissions, of which assignment, and by whom.

The assignment is named by the notebook itself (otter writes it into the metadata of every student version), else by a
folder of its path (``a1_softmax/ada.ipynb`` or ``ada/a1_softmax.ipynb``) or by the beginning of its file name
(``a1_softmax_ada.ipynb``). What is left of the path is the student.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drs.errors import UsageError

__all__ = ["IGNORED", "Submission", "find", "identify", "read_notebook"]

IGNORED = {".ipynb_checkpoints", "__pycache__"}


@dataclass(frozen=True)
class Submission:
    """A file that somebody handed in.

    Attributes:
        path: Where it is.
        relative: Its path within the folder, with slashes.
        student: Who handed it in, as its path says.
        assignment: Its assignment; empty if unknown.
        problem: Why it cannot be graded, in one sentence; empty if it can be tried.
    """

    path: Path
    relative: str
    student: str
    assignment: str
    problem: str = ""


def _named_by(part: str, assignments: Sequence[str]) -> str:
    """The assignment whose name is ``part`` or its beginning, before a separator; empty if none."""
    return next((name for name in assignments if part == name or part.startswith((f"{name}_", f"{name}-"))), "")


def _remainder(parts: Sequence[str], assignment: str) -> str:
    """The student: the parts of a path without the one that names the assignment."""
    left = [part.removeprefix(assignment).strip("_- ") if _named_by(part, [assignment]) else part for part in parts]
    return "/".join(part for part in left if part) or "/".join(parts)


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook as JSON.

    Raises:
        UsageError: It is empty, not JSON or not a notebook, in one sentence.
    """
    data = path.read_bytes()
    if not data.strip():
        raise UsageError("the file is empty")
    content: Any
    try:
        content = json.loads(data)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise UsageError("the file is not a notebook: it is not JSON") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise UsageError("the file is not a notebook: it has no list of cells")
    if not any(cell.get("cell_type") == "code" for cell in cells):
        raise UsageError("the notebook has no code")
    notebook: dict[str, Any] = content
    return notebook


def _claimed(content: dict[str, Any]) -> str:
    """The assignment that a notebook's metadata names; empty if it names none."""
    metadata = content.get("metadata")
    otter = metadata.get("otter") if isinstance(metadata, dict) else None
    name = otter.get("assignment_name") if isinstance(otter, dict) else None
    return name if isinstance(name, str) else ""


def identify(path: Path, folder: Path, assignments: Sequence[str]) -> Submission:
    """What a file is a submission of.

    Args:
        path: The file.
        folder: The folder of submissions it lies in.
        assignments: Names of the assignments there are.
    """
    relative = path.relative_to(folder)
    parts = [*relative.parent.parts, relative.stem]
    by_path = next(filter(None, (_named_by(part, assignments) for part in parts)), "")
    claimed, problem = "", ""
    try:
        if path.suffix != ".ipynb":
            raise UsageError(f"expected a notebook (.ipynb), got {path.suffix or 'a file without a suffix'}")
        claimed = _claimed(read_notebook(path))
    except (UsageError, OSError) as error:
        problem = str(error)
    if not problem and claimed and by_path and claimed != by_path:
        problem = f"the notebook is of assignment {claimed}, but its path says {by_path}"
    elif not problem and claimed and claimed not in assignments:
        problem = f"unknown assignment {claimed}: expected one of {', '.join(assignments)}"
    elif not problem and not claimed and not by_path:
        problem = "unknown assignment: neither the notebook's metadata nor its path names one of " + ", ".join(
            assignments
        )
    assignment = by_path or (claimed if claimed in assignments else "")
    student = _remainder(parts, assignment) if assignment else "/".join(parts)
    return Submission(path, relative.as_posix(), student, assignment, problem)


def find(folder: Path, assignments: Sequence[str]) -> list[Submission]:
    """Every file of a folder as a submission, except hidden ones, sorted by assignment and student.

    Args:
        folder: Searched with its sub-folders.
        assignments: Names of the assignments there are.

    Raises:
        UsageError: No such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"expected a folder of submissions, found none at {folder}")
    inside = [path for path in folder.rglob("*") if path.is_file()]
    visible = [
        path
        for path in inside
        if not any(part.startswith(".") or part in IGNORED for part in path.relative_to(folder).parts)
    ]
    if not visible:
        raise UsageError(f"expected submissions under {folder}, found none")
    found = [identify(path, folder, assignments) for path in visible]
    return sorted(found, key=lambda one: (one.assignment, one.relative))
