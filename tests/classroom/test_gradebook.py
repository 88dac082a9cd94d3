"""Who gets how many points: rosters, duplicates, tables that a platform imports, and names of every kind."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from drs.classroom.assignments import Case
from drs.classroom.feedback import escaped, write_csv, write_feedback
from drs.classroom.gradebook import Gradebook, items, questions_of, read_marks
from drs.classroom.grading import Grade, Outcome
from drs.classroom.identity import Roster, parse, printable
from drs.classroom.similarity import similar, tokens
from drs.classroom.submissions import Submission
from drs.classroom.tables import write_tables
from drs.classroom.written import Written, answer, save_questions
from drs.errors import UsageError

CASES = Case("q1", "test_one", 2, False), Case("q1", "test_two", 1, True)


def graded(
    student: str, passed: tuple[bool, bool] = (True, True), status: str = "graded", number: str = "", attempt: int = 0
) -> Grade:
    relative = f"{student}{number}-{attempt}.ipynb"
    one = Submission(Path(relative), relative, student, "a1", number=number, attempt=attempt)
    return Grade(one, status, "", tuple(Outcome(case, ok, "no") for case, ok in zip(CASES, passed, strict=True)))


def roster(folder: Path, text: str) -> Roster:
    path = folder / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return Roster.read(path)


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_roster_knows_a_student_by_name_in_both_orders_and_by_number(tmp_path: Path) -> None:
    listed = roster(
        tmp_path, 'Student,ID,SIS Login ID\n"Lovelace, Ada",12,ada\n"Student, Test",99,\nJosé Núñez,13,jose\n'
    )
    assert [one.name for one in listed.students] == ["Lovelace, Ada", "José Núñez"]
    for name, number in (("lovelaceada", ""), ("Ada Lovelace", ""), ("?", "12"), ("ada", "")):
        assert [one.name for one in listed.find(name, number)] == ["Lovelace, Ada"]
    assert [one.name for one in listed.find("jose nunez")] == ["José Núñez"]
    assert listed.find("Grace Hopper") == []


def test_a_roster_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a column name, Student, or First name and Surname in"):
        roster(tmp_path, "points\n3\n")


def test_the_last_attempt_that_ran_counts_and_the_others_say_so() -> None:
    grades = [
        graded("ada"),
        graded("ada", (True, False), attempt=1),
        graded("ada", (False, False), "not graded", attempt=2),
    ]
    book = Gradebook(grades)
    assert book.score("ada", "a1") == 2
    assert book.notes() == ["does not count: ada-1.ipynb does", "", "does not count: ada-1.ipynb does"]


def test_two_students_of_one_name_stay_two() -> None:
    book = Gradebook([graded("Ada", number="1"), graded("Ada", (True, False), number="2")])
    assert book.students() == ["Ada (1)", "Ada (2)"]
    assert (book.score("Ada (1)", "a1"), book.score("Ada (2)", "a1")) == (3, 2)
    assert book.notes() == ["another student has this name"] * 2


def test_the_tables_of_a_class(tmp_path: Path) -> None:
    listed = roster(tmp_path, 'Student,ID,Email address\n"Lovelace, Ada",12,ada@x\n=Grace,13,grace@x\n')
    grades = [graded("lovelaceada", number="12"), graded("alan", (False, False))]
    marks = {("Lovelace, Ada", "a1", "q2"): 4.5}
    book = Gradebook(grades, listed, marks, {"a1": [Written("q2", 10, "Question 2")]})
    book.write_students(tmp_path / "students.csv")
    assert rows(tmp_path / "students.csv") == [
        ["student", "a1", "total", "possible", "notes"],
        ["Lovelace, Ada", "7.5", "7.5", "13", ""],
        ["'=Grace", "", "0", "13", "no a1"],
        ["alan", "0", "0", "13", "q2 of a1 is not marked yet"],
    ]
    assert book.notes() == ["", "not in the roster"]
    made = book.write_export(tmp_path)
    assert [path.name for path in made] == ["canvas.csv", "moodle.csv"]
    assert rows(made[0]) == [
        ["Student", "ID", "a1"],
        ["    Points Possible", "", "13"],
        ["Lovelace, Ada", "12", "7.5"],
        ["'=Grace", "13", ""],
    ]
    assert rows(made[1])[:2] == [["Email address", "a1"], ["ada@x", "7.5"]]


def test_items_say_how_often_a_test_failed() -> None:
    found = items([graded("ada"), graded("alan", (True, False)), graded("eve", status="not graded")])
    assert found[1:] == [
        ["a1", "q1", "test_one", "public", "2", "2", "0", "0.00"],
        ["a1", "q1", "test_two", "hidden", "1", "2", "1", "0.50"],
    ]


def test_questions_say_the_most_frequent_failure() -> None:
    grades = [
        graded("ada"),
        graded("alan", (True, False)),
        graded("bob", (False, False)),
        graded("eve", status="not graded"),
    ]
    assert questions_of(grades)[1:] == [["a1", "q1", "3", "1.67", "3", "0.33", "test_two: no", "2"]]


SOLUTION = """def mean_of(values):
    total = 0.0
    for value in values:
        total = total + float(value) * 2
    return total / len(values)"""
OTHERWISE = """def mean_of(values):
    doubled = [2 * float(value) for value in values if value is not None]
    return sum(doubled) / max(len(doubled), 1)"""


def test_a_copy_with_other_names_is_a_hint_and_another_answer_is_not(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    renamed = (
        SOLUTION.replace("total", "s")
        .replace("value ", "one ")
        .replace("(value)", "(one)")
        .replace("0.0", "0.0  # my own")
    )
    given = "import torch\nprint(torch.ones(3) + torch.zeros(3) * 2 - 5, 'given', [1, 2, 3], {4: 5})"
    texts = {"ada": SOLUTION, "bob": renamed, "eve": OTHERWISE}
    grades = []
    for student, text in texts.items():
        path = tmp_path / f"{student}.ipynb"
        code = [given, text, 'grader.check("q1")']
        path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in code]}))
        grades.append(Grade(Submission(path, path.name, student, "a1"), "graded", "", (Outcome(CASES[0], True),)))
    shown = [{"cell_type": "code", "source": cell} for cell in (given, "def mean_of(values):\n    ...")]
    (tmp_path / "student" / "a1.ipynb").write_text(json.dumps({"cells": shown}))
    named = similar(grades, tmp_path / "student")[1:]
    assert [row[:5] for row in named] == [["a1", "ada.ipynb", "bob.ipynb", "q1", "1.00"]]
    assert named[0][6] == "a hint, not a proof: read both"
    usual = float(named[0][5])
    assert usual < 0.5
    assert tokens('"""Says."""\nx = y.total') == ["v0", "=", "v1", ".", "total"]


def test_written_answers_are_collected_and_their_points_survive(tmp_path: Path) -> None:
    config = "# BEGIN QUESTION\nname: q6\nmanual: true\npoints: 10"
    cells = [("raw", config), ("markdown", "## Question 6: in words\n\nWrite.")]
    save_questions(
        {"cells": [{"cell_type": kind, "source": text} for kind, text in cells]}, tmp_path / "a1.written.json"
    )
    texts = [
        "<!-- BEGIN QUESTION -->\n\n## Question 6: in words",
        "It is\nmasked.",
        "<!-- END QUESTION -->\n## Hand in",
    ]
    shown = [{"cell_type": "markdown", "source": text} for text in texts]
    notebook = tmp_path / "ada.ipynb"
    notebook.write_text(json.dumps({"cells": [*shown, {"cell_type": "code", "source": "1"}]}))
    assert answer(notebook, "Question 6: in words") == "It is\nmasked."
    grades = [Grade(Submission(notebook, "ada.ipynb", "ada", "a1"), "graded", "", (Outcome(CASES[0], True),))]
    write_tables(grades, tmp_path / "out", tmp_path)
    marked = tmp_path / "out" / "written.csv"
    assert rows(marked)[1] == ["ada", "a1", "q6", "", "10"]
    page = (tmp_path / "out" / "written.md").read_text()
    assert "> It is\n> masked.\n\n(3 words)" in page
    assert "## Rubric" in page
    marked.write_text(marked.read_text().replace("q6,,10", "q6,8.5,10"))
    write_tables(grades, tmp_path / "out", tmp_path, marks=read_marks(marked))
    assert rows(marked)[1] == ["ada", "a1", "q6", "8.5", "10"]
    assert rows(tmp_path / "out" / "students.csv")[1][:3] == ["ada", "10.5", "10.5"]
    marked.write_text("student,points\nada,many\n")
    with pytest.raises(UsageError, match="expected the columns student, assignment, question and points"):
        read_marks(marked)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", " =1", "\t1"])
def test_no_cell_is_a_formula(name: str) -> None:
    assert escaped(name) == f"'{name}"
    assert escaped(f"a{name}") == f"a{name}"


def test_names_of_every_kind_end_up_in_the_csv_and_nothing_is_deleted(tmp_path: Path) -> None:
    broken = os.fsdecode(b"Jos\xe9\n")
    shown = printable(broken)
    assert shown == "Jos\\udce9\\n"
    grades = [graded(broken), graded(shown), graded("x" * 300), graded("a"), graded("a")]
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "mine.md").write_text("notes")
    write_csv(grades, tmp_path / "grades.csv")
    write_feedback(grades, tmp_path / "feedback")
    assert len(rows(tmp_path / "grades.csv")) == 6
    assert (tmp_path / "feedback" / "mine.md").read_text() == "notes"
    assert len(list((tmp_path / "feedback").rglob("*.md"))) == 6


def test_a_path_without_a_platform_names_nobody() -> None:
    assert parse(["group 1", "ada"]).student == ""
    assert parse(["a1_softmax-2"]).attempt == 2


def test_two_students_of_one_name_in_the_roster_have_a_row_each(tmp_path: Path) -> None:
    listed = roster(tmp_path, "Student,ID\nKim Lee,11\nKim Lee,22\nAda,33\n")
    book = Gradebook([graded("leekim", number="11"), graded("leekim", (False, False), number="22")], listed)
    assert book.students() == ["Kim Lee (11)", "Kim Lee (22)", "Ada"]
    assert book.notes() == ["", ""]
    (canvas,) = book.write_export(tmp_path)
    assert rows(canvas)[2:] == [["Kim Lee", "11", "3"], ["Kim Lee", "22", "0"], ["Ada", "33", ""]]


def test_a_number_that_is_another_students_does_not_beat_the_name(tmp_path: Path) -> None:
    listed = roster(tmp_path, "name,id\nAda,900\nBob,123\n")
    assert [one.name for one in listed.find("Ada", "123")] == ["Ada"]  # Moodle's number of the submission
    assert [one.name for one in listed.find("Ada", "900")] == ["Ada"]
    assert [one.name for one in listed.find("somebody", "123")] == ["Bob"]
    assert [one.name for one in listed.find("123")] == ["Bob"]
    assert listed.find("somebody", "5") == []
