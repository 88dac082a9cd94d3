"""Worker processes that die, and sweeps that are stopped or killed in the middle: nothing twice, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drs.study.experiments import EXPERIMENTS, Context, Experiment, Outcome, Spec
from drs.study.plan import plan
from drs.study.profiles import Profile
from drs.study.records import Run, record_path
from drs.study.runner import run_missing
from tests.study.stored import stored

SWEEP = '''
"""drs with one more experiment; worker processes import this file too."""

import json
import os
import time
from pathlib import Path

from drs.study import runner
from drs.cli import main
from drs.study.experiments import EXPERIMENTS, Experiment, Outcome

PLAN = json.loads(os.environ["SWEEP"])
runner.ATTEMPTS = 2


def run(spec, context):
    mark = Path(os.environ["MARKS"]) / str(spec["number"])
    with mark.open("a") as file:
        file.write("x")
    if len(mark.read_text()) <= spec["deaths"]:
        os._exit(9)
    time.sleep(PLAN["seconds"][spec["number"]])
    with mark.open("a") as file:
        file.write("!")
    return Outcome({"number": float(spec["number"])})


def grid(profile, dataset):
    return [{"number": number, "deaths": deaths} for number, deaths in enumerate(PLAN["deaths"])]


EXPERIMENTS["sweep"] = Experiment("sweep", 1, "sleeps, and dies where it is told to", grid, run)

if __name__ == "__main__":
    main()
'''


class Sweep:
    """The command ``drs run sweep --workers 2`` in a process group of its own."""

    def __init__(self, folder: Path, deaths: list[int], seconds: list[float]) -> None:
        self.script, self.marks, self.results = folder / "sweep.py", folder / "marks", folder / "results"
        self.script.write_text(SWEEP)
        self.marks.mkdir()
        self.runs = [Run("sweep", 1, {"number": n, "deaths": d}) for n, d in enumerate(deaths)]
        plan_text = f'{{"deaths": {deaths}, "seconds": {seconds}}}'
        self.environment = os.environ | {"MARKS": str(self.marks), "SWEEP": plan_text}

    @contextmanager
    def start(self) -> Iterator[subprocess.Popen[str]]:
        words = ["run", "sweep", "--profile", "smoke", "--workers", "2", "--device", "cpu"]
        process = subprocess.Popen(
            [sys.executable, str(self.script), *words, "--results", str(self.results)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A suite started in the background of a shell ignores Ctrl-C, and would pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def marked(self) -> list[str]:
        paths = [self.marks / str(run.spec["number"]) for run in self.runs]
        return [path.read_text() if path.exists() else "" for path in paths]

    def records(self) -> dict[Path, tuple[int, bytes]]:
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in self.results.rglob("*.json")}

    def wait_for(self, count: int, process: subprocess.Popen[str]) -> None:
        while len(self.records()) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)


def members(group: int) -> list[int]:
    """Processes of a group that still run (Linux)."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            alive.append(int(stat.parent.name))
    return alive


def left_over(group: int) -> list[int]:
    """Processes of a group that have not ended a minute after their leader; the last ones close pipes for a moment."""
    deadline = time.monotonic() + 60
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    return members(group)


def test_a_worker_that_dies_loses_only_its_run_and_one_that_always_dies_is_told(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, deaths=[0, 1, 0, 0, 99], seconds=[0.3] * 5)
    with sweep.start() as process:
        _, told = process.communicate(timeout=600)
    assert process.returncode == 2
    killer = sweep.runs[4]
    sentence = f"drs: run {killer.key} of sweep killed its worker process 2 times (out of memory? try --workers 1)"
    assert told.splitlines()[-1] == sentence
    assert "Traceback" not in told
    assert sweep.marked() == ["x!", "xx!", "x!", "x!", "xx"]
    found = stored(sweep.runs, sweep.results)
    assert [record.run for record in found] == sweep.runs[:4]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc")
def test_stopped_and_killed_in_the_middle_it_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(tmp_path, deaths=[0] * 9, seconds=[0.4] * 8 + [600.0])
    with sweep.start() as process:
        sweep.wait_for(1, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        assert left_over(process.pid) == []
    killed = sweep.records()
    assert 1 <= len(killed) < 8

    with sweep.start() as process:  # Ctrl-C in a terminal reaches the whole group: one worker at a run, one idle
        sweep.wait_for(8, process)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "drs: stopped; run the same command again to go on"
    assert "Traceback" not in told
    assert left_over(process.pid) == []
    stopped = sweep.records()
    assert len(stopped) == 8
    assert {path: stopped[path] for path in killed} == killed

    done: list[int] = []

    def run(spec: Spec, context: Context) -> Outcome:
        done.append(spec["number"])
        return Outcome({"number": float(spec["number"])})

    grid: Callable[[Profile, str], list[Spec]] = lambda profile, dataset: [dict(r.spec) for r in sweep.runs]  # noqa: E731
    monkeypatch.setitem(EXPERIMENTS, "sweep", Experiment("sweep", 1, "the rest of it", grid, run))
    assert plan("sweep", "smoke") == sweep.runs
    assert run_missing(sweep.runs, "smoke", workers=1, results=sweep.results, progress=False) == 1
    assert done == [8]
    finished = sweep.records()
    assert {path: finished[path] for path in stopped} == stopped
    assert [r.metrics["number"] for r in stored(sweep.runs, sweep.results)] == list(map(float, range(9)))
    at_the_kill = [n for n, run in enumerate(sweep.runs) if record_path(run, "smoke", sweep.results) in killed]
    assert all(sweep.marked()[n] == "x!" for n in at_the_kill)
    assert all(marks.count("!") <= 2 for marks in sweep.marked())  # twice: finished, but killed before it was written
    assert not [p for p in sweep.results.rglob("*") if p.is_file() and p.suffix not in (".json", ".tmp")]
