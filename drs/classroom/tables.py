"""Every table of a grading: submissions, students, tests, what a learning platform imports, and the written part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drs.classroom.feedback import number, write_csv, write_rows
from drs.classroom.gradebook import Gradebook, Marks, items, questions_of
from drs.classroom.grading import Grade
from drs.classroom.identity import Roster
from drs.classroom.similarity import similar
from drs.classroom.written import answer, page, questions

__all__ = ["write_tables"]


def write_tables(
    grades: Sequence[Grade],
    folder: Path,
    autograders: Path,
    roster: Roster | None = None,
    marks: Marks | None = None,
) -> list[Path]:
    """Write every table: where there is reason, the written part and the exports as well.

    Args:
        grades: In the order of the rows.
        folder: Created if missing.
        autograders: The folder ``autograder`` of :func:`drs.classroom.assignments.build`.
        roster: The class list, if there is one.
        marks: Points for written answers that a person has given; they stay in ``written.csv`` and join the totals.

    Returns:
        What was written.
    """
    asked = questions(autograders, sorted({one.submission.assignment for one in grades} - {""}))
    book = Gradebook(grades, roster, marks, asked)
    made = [
        folder / "grades.csv",
        folder / "students.csv",
        folder / "items.csv",
        folder / "questions.csv",
        folder / "similar.csv",
    ]
    write_csv(grades, made[0], book.notes())
    book.write_students(made[1])
    write_rows(items(grades), made[2])
    write_rows(questions_of(grades), made[3])
    write_rows(similar(grades, autograders.parent / "student"), made[4])
    answers = [
        (student, assignment, question, answer(grades[place].submission.path, question.title))
        for (student, assignment), place in sorted(book.counting.items())
        for question in asked.get(assignment, ())
        if grades[place].status != "not graded"
    ]
    if answers:
        made += [folder / "written.csv", folder / "written.md"]
        given = {key: number(points) for key, points in (marks or {}).items()}
        possible = {(name, assignment, q.question): number(q.points) for name, assignment, q, _ in answers}
        rows = [["student", "assignment", "question", "points", "possible"]]
        rows += [[*key, given.get(key, ""), possible.get(key, "")] for key in sorted(given.keys() | possible.keys())]
        write_rows(rows, made[-2])
        made[-1].write_bytes(page(answers).encode("utf-8", "backslashreplace"))
    return [*made, *book.write_export(folder)]
