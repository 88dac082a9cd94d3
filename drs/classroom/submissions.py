"""Which files of a folder are submissions, of which assignment, and by whom.

The assignment is named by the notebook itself (otter writes it into the metadata of every student version), else by a
part of its path (``a1_softmax/ada.ipynb``, ``ada/a1_softmax (1).ipynb``, ``Copy of A1-softmax.ipynb``), else by the
tests that its code asks for. What is left of the path is the student, unless a learning platform has named the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drs.classroom.identity import SUBMITTERS, Identity, parse, printable, submitters
from drs.errors import UsageError

__all__ = ["IGNORED", "LARGEST", "Submission", "code_of", "find", "identify", "read_notebook", "text_of"]

IGNORED = {".ipynb_checkpoints", "__pycache__", "__MACOSX", SUBMITTERS}
LARGEST = 200 * 2**20
"""Bytes that a notebook may have, outputs included."""
_COPY = re.compile(r"^copy of|\s*\(\d+\)$|[-_ ]copy\d*$|(?<=\w)-\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Submission:
    """A file that somebody handed in.

    Attributes:
        path: Where it is.
        relative: Its path within the folder, with slashes, as it can be printed.
        student: Who handed it in, as its path says; several, as in a group, are separated by semicolons.
        assignment: Its assignment; empty if unknown.
        problem: Why it cannot be graded, in one sentence; empty if it can be tried.
        number: What the learning platform calls the student or the submission; empty if there is none.
        late: Whether the learning platform marked it as late.
        attempt: 0 for the first, 1 for the next, as its name says.
    """

    path: Path
    relative: str
    student: str
    assignment: str
    problem: str = ""
    number: str = ""
    late: bool = False
    attempt: int = 0


def _pattern(assignment: str) -> re.Pattern[str]:
    """The name of an assignment with any separators and case, not in the middle of a word."""
    words = r"[\s_-]+".join(re.escape(word) for word in assignment.split("_"))
    return re.compile(rf"(?<![^\W_]){words}(?![^\W_])", re.IGNORECASE)


def _named_by(part: str, assignments: Sequence[str]) -> str:
    """The assignment that a part of a path names; empty if none."""
    return next((name for name in assignments if _pattern(name).search(part)), "")


def _remainder(parts: Sequence[str], assignment: str) -> str:
    """The student: the parts of a path without what names the assignment, and without the marks of a copy."""
    number = re.sub(r"\D", "", assignment.split("_")[0])
    only_number = re.compile(rf"(a|hw|homework|assignment|exercise|ex)?[\s_-]*0*{number}", re.IGNORECASE)
    left = []
    for part in parts:
        named = bool(_pattern(assignment).search(part))
        rest = _COPY.sub("", part).strip() if named else part
        rest = _pattern(assignment).sub("", rest).strip("_- ") if named else rest
        left.append("" if number and len(parts) > 1 and only_number.fullmatch(rest) else rest)
    return "/".join(part for part in left if part) or "/".join(parts)


def text_of(cell: Mapping[str, Any]) -> str:
    """The text of a cell.

    Raises:
        UsageError: It is neither a text nor a list of texts.
    """
    source = cell.get("source", "")
    lines = [source] if isinstance(source, str) else source
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise UsageError("the file is not a notebook: the source of a cell is neither a text nor a list of texts")
    return "".join(lines)


def code_of(submission: Submission) -> list[str]:
    """The text of each code cell of a notebook, in order."""
    cells = read_notebook(submission.path)["cells"]
    return [text_of(cell) for cell in cells if cell.get("cell_type") == "code"]


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook as JSON.

    Raises:
        UsageError: It is empty, too large, not JSON or not a notebook, in one sentence.
    """
    if path.stat().st_size > LARGEST:
        raise UsageError(f"the file is larger than {LARGEST // 2**20} MiB: hand it in without its outputs")
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
    for cell in cells:
        text_of(cell)
    notebook: dict[str, Any] = content
    return notebook


def _claimed(content: dict[str, Any]) -> str:
    """The assignment that a notebook's metadata names; empty if it names none."""
    metadata = content.get("metadata")
    otter = metadata.get("otter") if isinstance(metadata, dict) else None
    name = otter.get("assignment_name") if isinstance(otter, dict) else None
    return name if isinstance(name, str) else ""


def _asked_for(content: dict[str, Any]) -> str:
    """The assignment whose tests the code asks for; empty if none."""
    code = "\n".join(text_of(cell) for cell in content["cells"] if cell.get("cell_type") == "code")
    found = re.search(r"""\bchecks\(\s*["'](\w+)["']""", code)
    return found[1] if found else ""


def identify(
    path: Path, folder: Path, assignments: Sequence[str], platform: Mapping[str, Identity] | None = None
) -> Submission:
    """What a file is a submission of, and whose.

    Args:
        path: The file.
        folder: The folder of submissions it lies in.
        assignments: Names of the assignments there are.
        platform: Who handed in which folder, if the learning platform says so in a file of its own.
    """
    relative = path.relative_to(folder)
    parts = [printable(part) for part in (*relative.parent.parts, relative.stem)]
    by_path = next(filter(None, (_named_by(part, assignments) for part in parts)), "")
    claimed = asked = problem = ""
    try:
        if path.suffix.lower() != ".ipynb":
            raise UsageError(f"expected a notebook (.ipynb), got {path.suffix or 'a file without a suffix'}")
        content = read_notebook(path)
        claimed, asked = _claimed(content), _asked_for(content)
    except (UsageError, OSError, ValueError) as error:
        problem = printable(str(error))
    if not problem and claimed and by_path and claimed != by_path:
        problem = f"the notebook is of assignment {claimed}, but its path says {by_path}"
    elif not problem and claimed and claimed not in assignments:
        problem = f"unknown assignment {printable(claimed)}: expected one of {', '.join(assignments)}"
    elif not problem and not claimed and not by_path and asked not in assignments:
        problem = "unknown assignment: neither the notebook's metadata nor its path names one of " + ", ".join(
            assignments
        )
    assignment = by_path or next((name for name in (claimed, asked) if name in assignments), "")
    who = parse(parts)
    if platform and (known := next((platform[part] for part in parts if part in platform), None)):
        who = known
    student = who.student or (_remainder(parts, assignment) if assignment else "/".join(parts))
    shown = printable(relative.as_posix())
    return Submission(path, shown, student, assignment, problem, who.number, who.late, who.attempt)


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
    platform: dict[str, Identity] = {}
    for path in inside:
        if path.name == SUBMITTERS and len(path.relative_to(folder).parts) <= 2:
            platform |= submitters(path)
    visible = [
        path
        for path in inside
        if not any(part.startswith(".") or part in IGNORED for part in path.relative_to(folder).parts)
    ]
    if not visible:
        raise UsageError(f"expected submissions under {folder}, found none")
    found = [identify(path, folder, assignments, platform) for path in visible]
    return sorted(found, key=lambda one: (one.assignment, one.relative))
