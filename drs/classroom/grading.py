"""Grades submissions in parallel, each in processes of its own, with limits of time, memory and disk.

A submission that crashes, hangs or eats the memory costs only itself, and keeps what it earned before. This is no
sandbox: a notebook runs with the rights of whoever grades it (see the instructor's guide).
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drs.classroom._process import Running
from drs.classroom.assignments import Case, manifest
from drs.classroom.submissions import Submission, code_of

__all__ = ["DISK", "POLL", "Grade", "Limits", "Outcome", "grade"]

POLL = 0.1
"""Seconds between two looks at the running submissions."""
DISK = 1024
"""MiB that the files of one submission may have together."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        seconds: Wall time of the whole notebook and its tests; what ignores its interrupt is ended then.
        mebibytes: Resident memory of its processes together.
        cell_seconds: Wall time of one cell, and of one test; a cell that needs more is interrupted.
    """

    seconds: float = 180.0
    mebibytes: float = 2048.0
    cell_seconds: float = 30.0


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
        status: ``"graded"``, or what kept it from being graded to its end: ``"not graded"``, ``"time limit"``,
            ``"memory limit"``, ``"disk limit"``, ``"crashed"`` or ``"tampered"``.
        message: The reason in one sentence, or the cells that were stopped; empty if there is nothing to say.
        outcomes: Every test of the assignment in its order; one that did not run has failed.
        seconds: Wall time it took.
        errors: The cells that raised an error, each with its kind.
    """

    submission: Submission
    status: str
    message: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    errors: tuple[str, ...] = ()

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


def _outcomes(cases: Sequence[Case], questions: dict[str, list[Any]]) -> tuple[Outcome, ...]:
    """What was found, test by test; a question without results has failed."""
    places: dict[str, int] = {}
    outcomes = []
    for case in cases:
        place = places[case.question] = places.get(case.question, -1) + 1
        results = questions.get(case.question, [])
        passed, message = results[place] if place < len(results) else (False, "the test did not run")
        outcomes.append(Outcome(case, passed is True, str(message)))
    return tuple(outcomes)


def _over(running: Running, limits: Limits) -> tuple[str, str] | None:
    """Status and reason if a submission uses more than it may."""
    if running.seconds > limits.seconds:
        return "time limit", "stopped at the time limit, in a cell that could not be interrupted"
    if running.memory() > limits.mebibytes:
        return "memory limit", "stopped at the memory limit"
    if running.disk() > DISK:
        return "disk limit", f"stopped when its files reached {DISK} MiB"
    return None


def _grade_of(
    submission: Submission, running: Running, cases: Sequence[Case], stopped: tuple[str, str] | None
) -> Grade:
    """The grade of a submission whose process has ended."""
    seconds, lines = running.seconds, running.reported()
    if changed := running.tampering():
        reason = f"{changed}: nothing that it reports counts; read the notebook"
        return Grade(submission, "tampered", reason, _outcomes(cases, {}), seconds)
    questions = {str(line["question"]): line["tests"] for line in lines if isinstance(line.get("tests"), list)}
    notes = [f"{line['cell']} {line['stopped']}" for line in lines if "cell" in line and "stopped" in line]
    errors = tuple(f"{line['cell']} {line['error']}" for line in lines if "cell" in line and "error" in line)
    status, reason = stopped or ("graded", "")
    if stopped is None and not any(line.get("done") is True for line in lines):
        status = "crashed"
        reason = f"the notebook ended the process it ran in (exit status {running.process.exitcode})"
    message = "; ".join([*dict.fromkeys(notes), *([reason] if reason else [])])
    return Grade(submission, status, message, _outcomes(cases, questions), seconds, errors)


def grade(
    submissions: Sequence[Submission],
    autograders: Path,
    *,
    checkpoints: Path,
    jobs: int = 2,
    limits: Limits | None = None,
    report: Callable[[Grade], None] | None = None,
    trusted: bool = False,
) -> list[Grade]:
    """Grade submissions, ``jobs`` at a time.

    Args:
        submissions: From :func:`drs.classroom.submissions.find`.
        autograders: The folder ``autograder`` of :func:`drs.classroom.assignments.build`.
        checkpoints: Networks that the notebooks need trained; each works on a copy.
        jobs: How many at a time.
        limits: Of each; those of :class:`Limits` by default.
        report: Called with each grade as soon as it is there, if given.
        trusted: Whether what they train is added to ``checkpoints``, as for solutions of one's own.

    Returns:
        One grade for each submission, in their order. Whatever one of them does, the others have theirs.

    Raises:
        UsageError: An assignment that was not built.
    """
    allowed = limits or Limits()
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["drs.classroom._warm"])
    cases = {name: manifest(autograders, name) for name in {one.assignment for one in submissions} - {""}}
    grades: dict[int, Grade] = {}

    def finish(place: int, found: Grade) -> None:
        grades[place] = found
        if report is not None:
            report(found)

    def refuse(place: int, reason: str) -> None:
        one = submissions[place]
        finish(place, Grade(one, "not graded", reason, _outcomes(cases.get(one.assignment, []), {})))

    def start(place: int) -> None:
        one = submissions[place]
        if one.problem:
            return refuse(place, one.problem)
        try:
            autograder = (autograders / f"{one.assignment}.zip").resolve()
            most = (allowed.cell_seconds, allowed.mebibytes)
            running[place] = Running(code_of(one), autograder, checkpoints.resolve(), most, context)
        except Exception as error:  # whatever it is about this one, the others go on
            refuse(place, f"the notebook cannot be run: {error}")

    waiting = list(range(len(submissions)))
    running: dict[int, Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                start(waiting.pop(0))
            time.sleep(POLL if running else 0.0)
            for place, current in list(running.items()):
                stopped = _over(current, allowed) if current.process.is_alive() else None
                if stopped is None and current.process.is_alive():
                    continue
                current.end()
                del running[place]
                one = submissions[place]
                try:
                    found = _grade_of(one, current, cases[one.assignment], stopped)
                    if trusted:
                        current.keep(checkpoints)
                    finish(place, found)
                except Exception as error:
                    refuse(place, f"the notebook left something that cannot be read: {error}")
                current.remove()
    finally:
        for current in running.values():
            current.end()
            current.remove()
    return [grades[place] for place in range(len(submissions))]
