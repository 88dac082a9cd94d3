"""Runs one notebook and its tests in this process, which the grader may kill at any time.

The cells run in IPython, in their order, a failing one not keeping the next from running; the tests are otter's, run
where the notebook asks for them and, if it does not, at its end. ``otter run`` gives the same score through a kernel.
Each question is reported as soon as it has been tested: what comes after cannot take it back.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, TextIO

from IPython.core.interactiveshell import InteractiveShell
from otter import Notebook
from otter.execute import Checker
from otter.nbmeta_config import NBMetadataConfig
from otter.test_files import TestCaseResult
from otter.test_files.exception_test import ExceptionTestFile
from traitlets.config import Config

from drs.classroom import OPEN, _guard
from drs.classroom._process import Task

LONGEST_MESSAGE = 2000
"""Characters of a message that are kept."""


def name_of(place: int, source: str) -> str:
    """A cell as a person finds it: its number among the code cells, from 1, and its first line of code."""
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    return f"code cell {place + 1} ({lines[0][:60]})" if lines else f"code cell {place + 1}"


def message_of(error: BaseException, test: Any) -> str:
    """What a failed test says: its own words, or what the code that it called has raised."""
    try:
        words = str(error)
    except Exception:
        words = "(its text cannot be shown)"
    words = words[:LONGEST_MESSAGE]
    frames = traceback.extract_tb(error.__traceback__)
    own = bool(frames) and frames[-1].name == test.test_func.__name__
    kind = type(error).__name__
    if isinstance(error, _guard.Stopped):
        return words
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return "your code ended the program (exit, quit or an interrupt) instead of returning a result"
    if own and isinstance(error, AssertionError):
        return words
    if own and "NoneType" in words:
        return "the result is None: replace the ... by your code, and return the result"
    return f"{kind}: {words}" if own else f"your code raised {kind}: {words}"


class Runner:
    """Runs cells and tests under a clock and writes down what came out."""

    def __init__(self, task: Task, report: TextIO) -> None:
        self.task, self.report = task, report
        self.clock = _guard.Clock(task.cell_seconds)
        self.tested: set[str] = set()
        self.current = self.trouble = ""

    def write(self, **entry: Any) -> None:
        """Add a line to the report."""
        self.report.write(json.dumps(entry) + "\n")
        self.report.flush()

    def test(self, file: Any, environment: dict[str, Any]) -> None:
        """Run the tests of a question; stands in for otter's own method, which a clock would leave half-way."""
        file.test_case_results, found, stopped = [], [], ""
        question = Path(file.path).stem
        for case in file.test_cases:
            message = stopped
            if not stopped:
                try:
                    with self.clock.running():
                        case.body.call_func(environment)
                except BaseException as error:
                    message = message_of(error, case.body) or "no message"
                    if isinstance(error, _guard.Stopped):
                        stopped = message = f"{self.current or f'the tests of {question}'} {message}"
                        self.write(cell=self.current or f"the tests of {question}", stopped=str(error))
            found.append([not message, message and (f"{self.trouble}\n{message}" if self.trouble else message)])
            file.test_case_results.append(TestCaseResult(test_case=case, message=message, passed=not message))
        self.tested.add(question)
        self.trouble = ""
        self.write(question=question, tests=found)

    def run(self) -> None:
        """Run the notebook, then every test that it has not asked for."""
        self.write(started=True)
        ExceptionTestFile.run = self._method()
        Notebook.init_grading_mode(str(self.task.tests))
        config = Config()
        config.HistoryManager.enabled = False
        shell = InteractiveShell.instance(config=config)
        for magic in ("pip", "conda", "mamba", "micromamba", "uv"):
            shell.magics_manager.register_function(lambda line: print("the grader installs nothing"), magic_name=magic)
        for place, source in enumerate(self.task.sources):
            if source.lstrip().startswith(OPEN):
                continue
            self.current = name_of(place, source)
            self._cell(shell, source)
        self.current = ""
        for path in sorted(self.task.tests.glob("*.py")):
            if path.stem not in self.tested:
                with contextlib.suppress(Exception):
                    Checker.check(str(path), NBMetadataConfig(), global_env=shell.user_ns)
        self.write(done=True)

    def _method(self) -> Any:
        runner = self

        def run(file: Any, global_environment: dict[str, Any]) -> None:
            runner.test(file, global_environment)

        return run

    def _cell(self, shell: Any, source: str) -> None:
        error: BaseException | None
        try:
            with self.clock.running():
                result = shell.run_cell(source, store_history=True)
            error = result.error_in_exec or result.error_before_exec
        except BaseException as raised:  # the clock, while IPython was at work
            error = raised
        if error is None:
            return
        if isinstance(error, _guard.Stopped):
            reason = str(error)
        elif _guard.is_out_of_memory(error):
            reason = "needed more than the memory allowed"
        else:
            with contextlib.suppress(Exception):
                self.write(cell=self.current, error=f"raised {type(error).__name__}")
            return
        self.trouble = f"{self.current} {reason}"
        self.write(cell=self.current, stopped=reason)
        error.__traceback__ = None
        for name in ("last_traceback", "last_value", "last_type", "last_exc"):
            vars(sys)[name] = None  # they hold what the cell has allocated
        gc.collect()
        _guard.limit_memory(self.task.mebibytes, 1.0)


def grade(task: Task) -> None:
    """Grade a notebook and end this process."""
    if hasattr(os, "setsid"):
        os.setsid()  # what the notebook starts is ended with it
    os.environ.update(task.environment)
    tempfile.tempdir = None  # asked for before the variables were set
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    os.chdir(task.scratch)
    sys.path.insert(0, "")
    report = task.report.open("w", encoding="utf-8")
    with contextlib.suppress(OSError):
        task.report.unlink()  # the grader holds it open: nobody else finds it
    _guard.limit_files()
    _guard.limit_memory(task.mebibytes, _guard.HEADROOM)
    _guard.confine([task.scratch, *task.writable])
    Runner(task, report).run()
    os._exit(0)  # whatever threads the notebook has left behind
