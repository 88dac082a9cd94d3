"""What a teacher and a student read after grading: one CSV, and one page of Markdown for each submission."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from drs.classroom.grading import Grade, Outcome

__all__ = ["as_markdown", "number", "write_csv", "write_feedback"]


def number(points: float) -> str:
    """Points without trailing zeros: ``2``, ``2.5``."""
    return f"{points:g}"


def _questions(grade: Grade) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for outcome in grade.outcomes:
        found.setdefault(outcome.case.question, []).append(outcome)
    return found


def _earned(outcomes: Sequence[Outcome]) -> float:
    return sum(one.case.points for one in outcomes if one.passed)


def write_csv(grades: Sequence[Grade], path: Path) -> None:
    """One row a submission: who, what, status, score, points of each question, failed tests, reason.

    The file depends on the grades alone: no time, no path of this machine.

    Args:
        grades: In the order of the rows.
        path: Written anew.
    """
    columns = sorted({o.case.question for g in grades for o in g.outcomes}, key=_place)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["assignment", "student", "submission", "status", "score", "possible", *columns, "failed_tests", "message"]
        )
        for grade in grades:
            questions = _questions(grade)
            points = [number(_earned(questions[c])) if c in questions else "" for c in columns]
            failed = " ".join(grade.failed) if grade.status == "graded" else ""
            one = grade.submission
            who = [one.assignment, one.student, one.relative]
            total = [number(grade.score), number(grade.possible)]
            writer.writerow([*who, grade.status, *total, *points, failed, grade.message])


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
    if grade.status != "graded":
        return "\n".join([*lines, "", f"Not graded ({grade.status}): {grade.message}.", ""])
    lines += ["", "| question | points | of |", "|---|---|---|"]
    for question, outcomes in _questions(grade).items():
        lines.append(f"| {question} | {number(_earned(outcomes))} | {number(sum(o.case.points for o in outcomes))} |")
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
    """One Markdown file a submission, under the submission's own path with ``.md`` for its suffix.

    Args:
        grades: What to write.
        folder: Created if missing.
    """
    for grade in grades:
        target = folder / f"{grade.submission.relative.removesuffix('.ipynb')}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(as_markdown(grade), encoding="utf-8")
