"""Commands of the course: ``python -m drs.classroom --help``."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from drs.classroom import assignment_names, student_notebook
from drs.errors import UsageError
from drs.paths import project_root

app = typer.Typer(
    help="Make the assignments, grade a folder of notebooks, or start an assignment as a student.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
BUILT = Path("_build") / "assignments"
PROCESSORS = os.cpu_count() or 1

OutOption = Annotated[Path | None, typer.Option("--out", help="Folder to write to.")]
JobsOption = Annotated[int, typer.Option("--jobs", help="Submissions at a time.")]


def _built() -> Path:
    return project_root() / BUILT


@app.command()
def build(
    out: OutOption = None,
    jobs: JobsOption = PROCESSORS,
    verify: Annotated[bool, typer.Option(help="Grade the solutions: they must earn every point.")] = True,
    publish: Annotated[bool, typer.Option(help="Refresh notebooks/assignments/student as well.")] = True,
) -> None:
    """Make the student and the instructor version of every assignment."""
    from drs.classroom.assignments import build as make
    from drs.classroom.assignments import publish as copy_students
    from drs.classroom.grading import Grade, grade
    from drs.classroom.submissions import find

    target = _built() if out is None else out
    names = make(target)
    for changed in copy_students(target) if publish else []:
        typer.echo(f"wrote {changed.relative_to(project_root())}")

    def report(found: Grade) -> None:
        typer.echo(f"  {found.submission.assignment:<16}{found.score:g} points, {found.seconds:.1f} s to grade")

    if verify:
        solved = [one for one in find(target / "autograder", names) if one.path.suffix == ".ipynb"]
        grades = grade(
            solved, target / "autograder", checkpoints=target / "checkpoints", jobs=jobs, report=report, trusted=True
        )
        problems = [f"{one.submission.assignment}: {one.message}" for one in grades if one.status != "graded"]
        problems += [
            f"{one.submission.assignment}, {case.case.question}.{case.case.name}: {case.message}"
            for one in grades
            for case in one.outcomes
            if one.status == "graded" and not case.passed
        ]
        problems += [f"{one.submission.assignment}: {error}" for one in grades for error in one.errors]
        if problems:
            raise UsageError("\n".join(["a solution does not run to its end with every point", *problems]))
    typer.echo(f"{len(names)} assignments in {target}")


@app.command("grade")
def grade_(
    submissions: Annotated[Path, typer.Argument(help="Folder of notebooks.")],
    out: OutOption = None,
    jobs: JobsOption = PROCESSORS,
    seconds: Annotated[float, typer.Option(help="Time limit of one submission.")] = 180.0,
    cell_seconds: Annotated[float, typer.Option(help="Time limit of one cell, and of one test.")] = 30.0,
    memory: Annotated[float, typer.Option(help="Memory limit of one submission in MiB.")] = 2048.0,
    roster: Annotated[Path | None, typer.Option(help="Class list as CSV: of Canvas, of Moodle, or name,id.")] = None,
    built: Annotated[Path | None, typer.Option(help="Folder that 'build' wrote.")] = None,
) -> None:
    """Grade a folder of notebooks: tables for the teacher, and feedback/ for each submission. Needs no network."""
    from drs.classroom.feedback import number, write_feedback
    from drs.classroom.gradebook import read_marks
    from drs.classroom.grading import Grade, Limits, grade
    from drs.classroom.identity import Roster
    from drs.classroom.submissions import find
    from drs.classroom.tables import write_tables

    source = _built() if built is None else built
    target = project_root() / "_build" / "grades" if out is None else out
    if target.resolve().is_relative_to(submissions.resolve()):
        raise UsageError(f"expected a folder for the grades outside {submissions}, got {target}")
    listed = None if roster is None else Roster.read(roster)
    marks = read_marks(target / "written.csv")
    found = find(submissions, assignment_names())

    def report(one: Grade) -> None:
        what = " ".join(one.failed) if one.status == "graded" else f"{one.status}: {one.message}"
        typer.echo(
            f"  {one.submission.relative:<44}{number(one.score):>5} of {number(one.possible):<5}"
            f"{one.seconds:6.1f} s  {what}"
        )

    grades = grade(
        found,
        source / "autograder",
        checkpoints=source / "checkpoints",
        jobs=jobs,
        limits=Limits(seconds, memory, cell_seconds),
        report=report,
    )
    made = write_tables(grades, target, source / "autograder", listed, marks)
    write_feedback(grades, target / "feedback")
    typer.echo(f"{len(grades)} submissions: {', '.join(map(str, made))}, {target / 'feedback'}")


@app.command()
def variants(
    roster: Annotated[Path, typer.Argument(help="Class list as CSV: of Canvas, of Moodle, or name,id.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write.")] = Path("variants.csv"),
) -> None:
    """Write down which variant of the open parts each student's number gives."""
    from drs.classroom.identity import Roster
    from drs.classroom.variants import write_variants

    write_variants(Roster.read(roster), out)
    typer.echo(str(out))


@app.command()
def student(
    name: Annotated[str, typer.Argument(help="Name of an assignment, or its beginning.")] = "a1",
    folder: Annotated[Path | None, typer.Option(help="Where your notebooks are.")] = None,
) -> None:
    """Put the student version of an assignment into your folder, unless it is there, and print its path."""
    full = next((known for known in assignment_names() if known.startswith(name)), name)
    source = student_notebook(full)
    target = (source.parent.parent / "mine" if folder is None else folder) / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(source, target)
    typer.echo(str(target))


def main() -> None:
    """Entry point: a usage error is one sentence and status 2, never a traceback."""
    try:
        app(prog_name="python -m drs.classroom")
    except UsageError as error:
        print(f"drs.classroom: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
