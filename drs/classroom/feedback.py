"""What a teacher and a student read after grading: one CSV, and one page of Markdown for each submission."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from drs._files import write_whole
from drs.classroom.grading import Grade, Outcome

__all__ = ["as_markdown", "escaped", "number", "write_csv", "write_feedback", "write_rows"]


def number(points: float) -> str:
    """Points without trailing zeros: ``2``, ``2.5``."""
    return f"{points:g}"


def escaped(value: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before ``=``, ``+``, ``-`` and ``@``.

    >>> escaped("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    """
    return f"'{value}" if value.lstrip().startswith(("=", "+", "-", "@")) or value[:1] in ("\t", "\r") else value


def write_rows(rows: Iterable[Sequence[str]], path: Path) -> None:
    """Rows of text as CSV, every cell :func:`escaped`; the old file stays until the new one is complete.

    Args:
        rows: The header first.
        path: Its folder is created if missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([escaped(cell) for cell in row] for row in rows)
    write_whole(path, text.getvalue().encode(errors="backslashreplace"))


def _questions(grade: Grade) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for outcome in grade.outcomes:
        found.setdefault(outcome.case.question, []).append(outcome)
    return found


def _earned(outcomes: Sequence[Outcome]) -> float:
    return sum(one.case.points for one in outcomes if one.passed)


def write_csv(grades: Sequence[Grade], path: Path, notes: Sequence[str] = ()) -> None:
    """One row per submission: who, what, status, score, points of each question, failed tests, reason, notes.

    The file depends on the grades alone: no time, no path of this machine.

    Args:
        grades: In the order of the rows.
        path: Written anew.
        notes: What else there is to say of each: late, not in the class list, another attempt counts.
    """
    columns = sorted({o.case.question for g in grades for o in g.outcomes}, key=_place)
    head = ["assignment", "student", "number", "submission", "status", "score", "possible"]
    rows = [[*head, *columns, "failed_tests", "message", "notes"]]
    for place, grade in enumerate(grades):
        questions = _questions(grade)
        points = [number(_earned(questions[c])) if c in questions else "" for c in columns]
        failed = " ".join(grade.failed) if grade.status == "graded" or grade.score else ""
        one = grade.submission
        who = [one.assignment, one.student, one.number, one.relative]
        total = [number(grade.score), number(grade.possible)]
        note = notes[place] if place < len(notes) else ""
        rows.append([*who, grade.status, *total, *points, failed, grade.message, note])
    write_rows(rows, path)


def _place(question: str) -> tuple[int, str]:
    digits = "".join(character for character in question if character.isdigit())
    return (int(digits) if digits else 0, question)


def as_markdown(grade: Grade) -> str:
    """The feedback on one submission: its score, its questions, and what each failed test says."""
    one = grade.submission
    lines = [
        f"# {one.assignment or 'Unknown assignment'}: {one.student}",
        "",
        f"**{number(grade.score)} of {number(grade.possible)} points** for the tested questions.",
    ]
    if grade.message:
        lines += ["", f"{'Note' if grade.status == 'graded' else f'Not graded ({grade.status})'}: {grade.message}."]
    if grade.status != "graded" and not grade.score:
        return "\n".join([*lines, ""])
    lines += ["", "| question | points | of |", "|---|---|---|"]
    for question, outcomes in _questions(grade).items():
        lines.append(f"| {question} | {number(_earned(outcomes))} | {number(sum(o.case.points for o in outcomes))} |")
    if grade.errors:
        lines += ["", "These cells raised an error when the notebook ran from top to bottom:", ""]
        lines += [f"- `{error.replace('`', chr(39))}`" for error in grade.errors]
    failed = [outcome for outcome in grade.outcomes if not outcome.passed]
    if failed:
        lines += ["", "## What to look at"]
    for outcome in failed:
        case = outcome.case
        kind = "hidden test" if case.hidden else "test in your notebook"
        lines += ["", f"### {case.question}: `{case.name}` ({kind}, {number(case.points)} points)", ""]
        lines += ["```text", outcome.message.replace("```", "'''") or "no message", "```"]
    return "\n".join([*lines, ""])


def write_feedback(grades: Sequence[Grade], folder: Path) -> None:
    """One Markdown file per submission, under the submission's own path with ``.md`` for its suffix.

    Nothing is deleted: other files of the folder stay as they are.

    Args:
        grades: What to write.
        folder: Created if missing.
    """
    taken: set[Path] = set()
    for grade in grades:
        relative = grade.submission.relative
        stem = relative[: -len(".ipynb")] if relative.lower().endswith(".ipynb") else relative
        target = folder / f"{stem}.md"
        while target in taken:
            target = target.with_name(f"{target.stem}+.md")
        taken.add(target)
        text = as_markdown(grade).encode("utf-8", "backslashreplace")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
        except OSError:  # a name that is too long, or a folder where a file has to be
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{hashlib.sha256(relative.encode()).hexdigest()[:16]}.md").write_bytes(text)
