"""Runs one notebook and its tests in this process, which the grader may kill at any time.

The cells run in IPython, in their order, a failing one not keeping the next from running; the tests are otter's, run
where the notebook asks for them and, if it does not, at its end. ``otter run`` gives the same score through a kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zipfile
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from otter import Notebook
from otter.execute import Checker
from otter.test_files import GradingResults
from traitlets.config import Config


def message_of(text: str) -> str:
    """The exception's own words: otter puts the failing line of the test before them, which may be hidden."""
    lines = text.splitlines()
    start = next((i + 2 for i, line in enumerate(lines) if line.startswith("Error at line ")), 0)
    return "\n".join(lines[start:]).strip().removeprefix("AssertionError: ")


def run_cells(sources: list[str], tests: Path) -> GradingResults:
    """Run the code of a notebook and every test file of the folder ``tests``."""
    Notebook.init_grading_mode(str(tests))
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    for source in sources:
        shell.run_cell(source, store_history=True)
    for path in sorted(tests.glob("*.py")):
        with contextlib.suppress(SystemExit, KeyboardInterrupt):  # from an answer: it costs this question only
            Checker.check_if_not_already_checked(str(path), global_env=shell.user_ns)
    return GradingResults(Checker.get_results())


def grade(sources: list[str], autograder: Path, scratch: Path, environment: dict[str, str]) -> None:
    """Grade a notebook and end this process.

    Leaves ``result.json`` in ``scratch``: question to a list of [passed, message], test by test.

    Args:
        sources: The text of each code cell.
        autograder: Otter's zip.
        scratch: A folder of its own; the notebook runs there.
        environment: Variables to set first.
    """
    if hasattr(os, "setsid"):
        os.setsid()  # what the notebook starts is ended with it
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    os.chdir(scratch)
    sys.path.insert(0, "")
    with zipfile.ZipFile(autograder) as archive:
        archive.extractall(scratch / "autograder")
    results = run_cells(sources, scratch / "autograder" / "tests").results
    found = {
        question: [
            [bool(case.passed), "" if case.passed else message_of(case.message)] for case in file.test_case_results
        ]
        for question, file in results.items()
    }
    partial = scratch / "result.tmp"
    partial.write_text(json.dumps(found), encoding="utf-8")
    partial.replace(scratch / "result.json")
    os._exit(0)  # whatever threads the notebook has left behind
