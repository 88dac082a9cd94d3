"""Runs the tests of a question on edited code, in this process: all mutants in seconds, not minutes."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from otter.test_files.exception_test import ExceptionTestFile

from drs.classroom import OPEN
from tests import known_wrong

IMAGES = ("first(200)", "first(60)")
"""Fewer images in the given cells: the tests bring their own where the number matters."""
SKIPPED = ("grader", "print(", OPEN)
"""How cells begin that show something and define nothing a test needs."""


@cache
def _solved(assignment: str, built: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The cells of a solution, and what they define."""
    cells = tuple(cell.replace(*IMAGES) for cell in known_wrong.code_cells(assignment, built))
    cells = tuple(cell for cell in cells if not cell.startswith(SKIPPED) and "checks(" not in cell)
    environment: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        exec(cell, environment)
    return cells, environment


def failed(one: known_wrong.KnownWrong, built: Path) -> dict[str, str]:
    """The tests that an edited solution fails among those of its questions, each with what it says."""
    cells, solved = _solved(one.assignment, built)
    changed = known_wrong.edited(list(cells), one.edits)
    environment = dict(solved)
    for cell in changed:  # every definition anew, so that the functions see each other's edited form
        if cell.startswith("def "):
            exec(cell.split("\n\n\n")[0] if one.questions[-1] != "q5" else cell, environment)
    found = {}
    with zipfile.ZipFile(built / "autograder" / f"{one.assignment}.zip") as archive:
        for question in dict.fromkeys(one.questions):
            code = compile(archive.read(f"tests/{question}.py"), question, "exec")
            file = ExceptionTestFile._from_compiled_code(code, question)
            for case in file.test_cases:
                try:
                    case.body.call_func(environment)
                except Exception as error:
                    found[f"{question}.{case.body.test_func.__name__}"] = str(error)
    return found
