"""Grades submissions in parallel, each in processes of its own, with a limit of time and of memory.

A submission that crashes, hangs or eats the memory costs only itself. This is no sandbox: a notebook runs with the
rights of whoever grades it (see the instructor's guide).
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from drs.classroom.assignments import Case, manifest
from drs.classroom.submissions import Submission, read_notebook

__all__ = ["MIB", "POLL", "Grade", "Limits", "Outcome", "code_of", "grade"]

POLL = 0.1
"""Seconds between two looks at the running submissions."""
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        seconds: Wall time of the whole notebook and its tests.
        mebibytes: Resident memory of its processes together.
    """

    seconds: float = 120.0
    mebibytes: float = 2048.0


@dataclass(frozen=True)
class Outcome:
    """One test of a graded submission; ``message`` says what went wrong, empty if it passed."""

    case: Case
    passed: bool
    message: str = ""


@dataclass(frozen=True)
class Grade:
    """What a submission is worth.

    Attributes:
        submission: What was graded.
        status: ``"graded"``, or why there is no score: ``"not graded"``, ``"time limit"``, ``"memory limit"`` or
            ``"crashed"``.
        message: The reason in one sentence; empty if graded.
        outcomes: Every test of the assignment in its order, all failed unless graded.
        seconds: Wall time it took.
    """

    submission: Submission
    status: str
    message: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """Points earned."""
        return sum(outcome.case.points for outcome in self.outcomes if outcome.passed)

    @property
    def possible(self) -> float:
        """Points of the assignment; 0 if it is unknown."""
        return sum(outcome.case.points for outcome in self.outcomes)

    @property
    def failed(self) -> list[str]:
        """The failed tests as ``q1.test_name``."""
        return [f"{one.case.question}.{one.case.name}" for one in self.outcomes if not one.passed]


@dataclass
class _Running:
    submission: Submission
    process: BaseProcess
    scratch: Path
    started: float = field(default_factory=time.monotonic)


def code_of(submission: Submission) -> list[str]:
    """The text of each code cell of a notebook, in order."""
    cells = [cell for cell in read_notebook(submission.path)["cells"] if cell.get("cell_type") == "code"]
    return ["".join(cell.get("source", "")) for cell in cells]


def _environment(scratch: Path, checkpoints: Path) -> dict[str, str]:
    """Variables of a submission: no GPU, nothing of the user's own set-up, temporary files in ``scratch``."""
    return {
        "IPYTHONDIR": str(scratch / "ipython"),
        "TMPDIR": str(scratch),
        "DRS_CHECKPOINTS": str(checkpoints),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MPLBACKEND": "agg",
    }


def _tree(process: BaseProcess) -> list[Any]:
    """The process and its descendants, as psutil's."""
    import psutil

    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident(tree: Iterable[Any]) -> float:
    """MiB of resident memory of these processes."""
    import psutil

    total = 0
    for process in tree:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / MIB


def _kill(process: BaseProcess) -> None:
    """End a submission's process and those it started."""
    import psutil

    for one in _tree(process) if process.is_alive() else []:  # the number of an ended one may be another's by now
        with contextlib.suppress(psutil.Error):
            one.kill()
    if hasattr(os, "killpg") and process.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.join()


def _over(running: _Running, limits: Limits) -> tuple[str, str] | None:
    """Status and reason if a submission uses more than it may."""
    if time.monotonic() - running.started > limits.seconds:
        return "time limit", "stopped at the time limit: does a loop never end?"
    if _resident(_tree(running.process)) > limits.mebibytes:
        return "memory limit", "stopped at the memory limit"
    return None


def _outcomes(cases: Sequence[Case], questions: dict[str, list[list[Any]]]) -> tuple[Outcome, ...]:
    """What otter found, test by test; a question without results has failed."""
    places: dict[str, int] = {}
    outcomes = []
    for case in cases:
        place = places[case.question] = places.get(case.question, -1) + 1
        results = questions.get(case.question, [])
        passed, message = results[place] if place < len(results) else (False, "the test did not run")
        outcomes.append(Outcome(case, passed, message))
    return tuple(outcomes)


def _grade_of(running: _Running, cases: Sequence[Case], stopped: tuple[str, str] | None) -> Grade:
    """The grade of a submission whose process has ended."""
    seconds = time.monotonic() - running.started
    result = running.scratch / "result.json"
    if stopped is None and result.exists():
        return Grade(running.submission, "graded", "", _outcomes(cases, json.loads(result.read_text())), seconds)
    ended = "crashed", f"the notebook ended the process it ran in (exit status {running.process.exitcode})"
    status, message = stopped or ended
    return Grade(running.submission, status, message, _outcomes(cases, {}), seconds)


def _run(*arguments: Any) -> None:
    from drs.classroom import _worker

    _worker.grade(*arguments)


def _start(submission: Submission, autograders: Path, checkpoints: Path, context: Any) -> _Running:
    scratch = Path(tempfile.mkdtemp(prefix="grade-"))
    autograder = (autograders / f"{submission.assignment}.zip").resolve()
    environment = _environment(scratch, checkpoints.resolve())
    process = context.Process(target=_run, args=(code_of(submission), autograder, scratch, environment))
    process.start()
    return _Running(submission, process, scratch)


def grade(
    submissions: Sequence[Submission],
    autograders: Path,
    *,
    checkpoints: Path,
    jobs: int = 2,
    limits: Limits | None = None,
    report: Callable[[Grade], None] | None = None,
) -> list[Grade]:
    """Grade submissions, ``jobs`` at a time.

    Args:
        submissions: From :func:`drs.classroom.submissions.find`.
        autograders: The folder ``autograder`` of :func:`drs.classroom.assignments.build`.
        checkpoints: Where the networks that the notebooks train are kept for the next one.
        jobs: How many at a time.
        limits: Of each; those of :class:`Limits` by default.
        report: Called with each grade as soon as it is there, if given.

    Returns:
        One grade a submission, in their order.

    Raises:
        UsageError: An assignment that was not built.
    """
    allowed = limits or Limits()
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["drs.classroom._warm"])
    cases = {name: manifest(autograders, name) for name in {one.assignment for one in submissions} - {""}}
    grades: dict[str, Grade] = {}

    def finish(found: Grade) -> None:
        grades[found.submission.relative] = found
        if report is not None:
            report(found)

    waiting = []
    for one in submissions:
        if one.problem:
            finish(Grade(one, "not graded", one.problem, _outcomes(cases.get(one.assignment, []), {})))
        else:
            waiting.append(one)
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                running.append(_start(waiting.pop(0), autograders, checkpoints, context))
            time.sleep(POLL)
            for current in list(running):
                stopped = _over(current, allowed) if current.process.is_alive() else None
                if stopped is None and current.process.is_alive():
                    continue
                _kill(current.process)
                running.remove(current)
                finish(_grade_of(current, cases[current.submission.assignment], stopped))
                shutil.rmtree(current.scratch, ignore_errors=True)
    finally:
        for current in running:
            _kill(current.process)
            shutil.rmtree(current.scratch, ignore_errors=True)
    return [grades[one.relative] for one in submissions]
