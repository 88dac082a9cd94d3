"""One row per student: which submission counts, the total with the written part, and exports for Canvas and Moodle."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drs.classroom.feedback import number, write_rows
from drs.classroom.grading import Grade
from drs.classroom.identity import Roster
from drs.classroom.written import Written
from drs.errors import UsageError

__all__ = ["Gradebook", "Marks", "items", "questions_of", "read_marks"]

Marks = Mapping[tuple[str, str, str], float]
"""Points for written answers: (student, assignment, question) to points."""

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("ID number", "Email address", "Full name", "First name", "Surname")


@dataclass(frozen=True)
class _Claim:
    """A submission as somebody's: of whom, and what is odd about that."""

    place: int
    student: str
    note: str = ""


class Gradebook:
    """Who gets how many points for what.

    Args:
        grades: Of all submissions.
        roster: The class list, if there is one.
        marks: Points for written answers.
        written: The written questions: assignment to what it asks for.
    """

    def __init__(
        self,
        grades: Sequence[Grade],
        roster: Roster | None = None,
        marks: Marks | None = None,
        written: Mapping[str, Sequence[Written]] | None = None,
    ) -> None:
        self.grades, self.roster = list(grades), roster
        self.marks, self.written = dict(marks or {}), dict(written or {})
        self.assignments = sorted({one.submission.assignment for one in grades} - {""})
        self._numbers = self._several()
        self.claims = [claim for place in range(len(self.grades)) for claim in self._claim(place)]
        self.counting = self._counting()

    def _several(self) -> set[str]:
        """Names under which one assignment came with several numbers: they are several people."""
        pairs = {(g.submission.assignment, g.submission.student, g.submission.number) for g in self.grades}
        return {name for (_, name), n in Counter((a, name) for a, name, _ in pairs).items() if n > 1}

    def _claim(self, place: int) -> list[_Claim]:
        one = self.grades[place].submission
        names, numbers = one.student.split("; "), one.number.split("; ")
        found = []
        for name, own in zip(names, [*numbers, *[""] * len(names)], strict=False):
            told_apart = f"{name} ({own})" if name in self._numbers and own else name
            if self.roster is None:
                found.append(_Claim(place, told_apart, "another student has this name" * (told_apart != name)))
                continue
            meant = self.roster.find(name, own)
            if len(meant) == 1:
                found.append(_Claim(place, self.roster.called(meant[0])))
            else:
                note = "several students of this name in the roster" if meant else "not in the roster"
                found.append(_Claim(place, told_apart, note))
        return found

    def _counting(self) -> dict[tuple[str, str], int]:
        """(student, assignment) to the submission that counts: one that ran, the last attempt, the best score."""
        best: dict[tuple[str, str], int] = {}

        def rank(place: int) -> tuple[bool, int, float]:
            grade = self.grades[place]
            return grade.status != "not graded", grade.submission.attempt, grade.score

        for claim in self.claims:
            key = (claim.student, self.grades[claim.place].submission.assignment)
            if key[1] and (key not in best or rank(claim.place) > rank(best[key])):
                best[key] = claim.place
        return best

    def notes(self) -> list[str]:
        """What there is to say of each submission: late, unknown to the roster, not the one that counts."""
        found: list[list[str]] = [["late"] if one.submission.late else [] for one in self.grades]
        for claim in self.claims:
            one = self.grades[claim.place].submission
            counting = self.counting.get((claim.student, one.assignment), claim.place)
            found[claim.place] += [claim.note] if claim.note else []
            if counting != claim.place:
                found[claim.place].append(f"does not count: {self.grades[counting].submission.relative} does")
        return ["; ".join(dict.fromkeys(notes)) for notes in found]

    def students(self) -> list[str]:
        """Everybody in the roster, in its order, then whoever else handed in."""
        listed = [self.roster.called(one) for one in self.roster.students] if self.roster else []
        others = sorted({claim.student for claim in self.claims} - set(listed))
        return [*dict.fromkeys(listed), *others]

    def score(self, student: str, assignment: str) -> float | None:
        """Points of an assignment with its written part; None if nothing was handed in."""
        place = self.counting.get((student, assignment))
        if place is None:
            return None
        asked = self.written.get(assignment, ())
        return self.grades[place].score + sum(self.marks.get((student, assignment, q.question), 0.0) for q in asked)

    def possible(self, assignment: str) -> float:
        """Points that an assignment has, its written part included."""
        tested = max((g.possible for g in self.grades if g.submission.assignment == assignment), default=0.0)
        return tested + sum(one.points for one in self.written.get(assignment, ()))

    def _cells(self, student: str) -> list[str]:
        scores = [self.score(student, assignment) for assignment in self.assignments]
        return ["" if score is None else number(score) for score in scores]

    def write_students(self, path: Path) -> None:
        """One row per student: points of each assignment, the total of the course, and what is missing."""
        total = sum(self.possible(assignment) for assignment in self.assignments)
        rows = [["student", *self.assignments, "total", "possible", "notes"]]
        for student in self.students():
            scores = [self.score(student, assignment) for assignment in self.assignments]
            notes = [
                f"{question.question} of {assignment} is not marked yet"
                for assignment in self.assignments
                for question in self.written.get(assignment, ())
                if (student, assignment) in self.counting and (student, assignment, question.question) not in self.marks
            ]
            notes += [f"no {a}" for a, score in zip(self.assignments, scores, strict=True) if score is None]
            points = number(sum(score for score in scores if score is not None))
            rows.append([student, *self._cells(student), points, number(total), "; ".join(notes)])
        write_rows(rows, path)

    def write_export(self, folder: Path) -> list[Path]:
        """The tables that Canvas and Moodle import, for a roster that came from there; returns what was written."""
        if self.roster is None:
            return []
        made = []
        for name, wanted, needed in (("canvas", CANVAS, "Student"), ("moodle", MOODLE, "")):
            columns = [column for column in wanted if column in self.roster.columns]
            if not columns or (needed and (needed not in columns or "ID" not in columns)):
                continue
            rows = [[*columns, *self.assignments]]
            if name == "canvas":
                most = [number(self.possible(assignment)) for assignment in self.assignments]
                rows.append(["    Points Possible", *[""] * (len(columns) - 1), *most])
            called = self.roster.called
            rows += [[*(one.row[c] for c in columns), *self._cells(called(one))] for one in self.roster.students]
            made.append(folder / f"{name}.csv")
            write_rows(rows, made[-1])
        return made


def items(grades: Sequence[Grade]) -> list[list[str]]:
    """How often each test failed, among the submissions that ran, as rows with a header."""
    ran = [one for one in grades if one.status != "not graded"]
    tried: Counter[tuple[str, str, str]] = Counter()
    failed: Counter[tuple[str, str, str]] = Counter()
    points: dict[tuple[str, str, str], tuple[str, str]] = {}
    for grade in ran:
        for outcome in grade.outcomes:
            key = (grade.submission.assignment, outcome.case.question, outcome.case.name)
            tried[key] += 1
            failed[key] += not outcome.passed
            points[key] = ("hidden" if outcome.case.hidden else "public", number(outcome.case.points))
    head = ["assignment", "question", "test", "kind", "points", "submissions", "failed", "share"]
    return [
        head,
        *([*key, *points[key], str(tried[key]), str(failed[key]), f"{failed[key] / tried[key]:.2f}"] for key in tried),
    ]


def questions_of(grades: Sequence[Grade]) -> list[list[str]]:
    """How each question went, among the submissions that ran, as rows with a header.

    Mean and share of full marks, and the message of failure that the most submissions got, with how many did.
    """
    earned: dict[tuple[str, str], list[tuple[float, float]]] = {}
    said: dict[tuple[str, str], Counter[str]] = {}
    for grade in grades:
        points: dict[tuple[str, str], tuple[float, float]] = {}
        messages: dict[tuple[str, str], set[str]] = {}
        for outcome in grade.outcomes if grade.status != "not graded" else ():
            key = (grade.submission.assignment, outcome.case.question)
            got, of = points.get(key, (0.0, 0.0))
            points[key] = (got + outcome.case.points * outcome.passed, of + outcome.case.points)
            if not outcome.passed:
                messages.setdefault(key, set()).add(f"{outcome.case.name}: {outcome.message}")
        for key, pair in points.items():
            earned.setdefault(key, []).append(pair)
            said.setdefault(key, Counter()).update(messages.get(key, ()))
    rows = [["assignment", "question", "submissions", "mean", "of", "full_marks", "most_frequent", "times"]]
    for key, pairs in earned.items():
        full = sum(got == of for got, of in pairs) / len(pairs)
        mean = sum(got for got, _ in pairs) / len(pairs)
        message, times = min(said[key].items(), key=lambda one: (-one[1], one[0]), default=("", 0))
        rows.append([*key, str(len(pairs)), f"{mean:.2f}", number(pairs[0][1]), f"{full:.2f}", message, str(times)])
    return rows


def read_marks(path: Path) -> dict[tuple[str, str, str], float]:
    """Points for written answers that a person has filled in; empty if there is no such file.

    Args:
        path: A CSV with the columns student, assignment, question and points.

    Raises:
        UsageError: Not such a table, or points that are no number.
    """
    if not path.exists():
        return {}
    marks = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                if row["points"].strip():
                    student = row["student"]
                    student = student[1:] if student[:2] in ("'=", "'+", "'-", "'@") else student
                    marks[student, row["assignment"], row["question"]] = float(row["points"])
    except (OSError, KeyError, ValueError, AttributeError, csv.Error) as error:
        raise UsageError(
            f"expected the columns student, assignment, question and points with numbers in {path}, got {error}"
        ) from error
    return marks
