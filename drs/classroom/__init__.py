"""The course: assignments with tests in a student and an instructor version, and the grading of a folder of notebooks.

Masters are notebooks in otter's format under ``notebooks/assignments``; otter-grader (the extra ``classroom``) makes
both versions and runs the tests. ``python -m drs.classroom --help`` lists the commands behind ``make assignments``,
``make grade`` and ``make student``.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from drs.errors import UsageError, unknown
from drs.paths import project_root

__all__ = ["OPEN", "REPOSITORY", "assignment_names", "checks", "masters_folder", "student_notebook"]

REPOSITORY = "https://github.com/drs-book/drs"
"""Where a notebook that runs outside a checkout fetches the course from; the same as in ``_config.yml``."""

OPEN = "# Open part:"
"""How the first line of a cell begins that nobody grades; the grader does not run it."""


def masters_folder() -> Path:
    """Where the masters are; the student versions are in its sub-folder ``student``."""
    return project_root() / "notebooks" / "assignments"


def assignment_names() -> list[str]:
    """The assignments in their order, by the names of their masters.

    Raises:
        UsageError: None, as in a copy of the library that was installed without its checkout.
    """
    names = sorted(path.stem for path in masters_folder().glob("*.ipynb"))
    if not names:
        raise UsageError(
            f"expected the assignments in {masters_folder()}, found none: the course needs a checkout; "
            f"run git clone {REPOSITORY}, and this command in it"
        )
    return names


def student_notebook(name: str) -> Path:
    """The student version of an assignment.

    Raises:
        UsageError: No assignment of that name, or its student version has not been made.
    """
    if name not in assignment_names():
        raise unknown("assignment", name, assignment_names())
    path = masters_folder() / "student" / f"{name}.ipynb"
    if not path.exists():
        raise UsageError(f"expected {path}, found none: run 'make assignments'")
    return path


def checks(name: str, tests: dict[str, str] | None = None) -> Any:
    """The public tests of an assignment: ``grader = checks("a1_softmax")``, then ``grader.check("q1")``.

    A student version carries its own tests and hands them over, so that a copy may have any file name, lie anywhere,
    and differ from the published one.

    Args:
        name: Of the assignment.
        tests: Question to the source of its tests; those of the published student version by default.

    Returns:
        Otter's ``Notebook``, whose ``check("q1")`` runs the public tests of a question.

    Raises:
        UsageError: No assignment of that name and no tests given, or otter-grader is not installed.
    """
    try:
        from otter import Notebook
    except ImportError as error:
        raise UsageError("expected the package otter, found none: run pip install 'drs[classroom]'") from error
    if tests is None:
        published = json.loads(student_notebook(name).read_text(encoding="utf-8"))
        tests = published["metadata"]["otter"]["tests"]
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for question, source in tests.items():
        (folder / f"{question}.py").write_text(source, encoding="utf-8")
    return Notebook(tests_dir=str(folder))
