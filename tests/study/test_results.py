"""Records are read once per process, and again when they were written anew; claims and plans need no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from drs.catalog import ATTACKS, LOSSES, MODELS, PIXELS
from drs.errors import RecordError, UsageError
from drs.study import results
from drs.study.experiments import EXPERIMENTS, Context, Experiment, Outcome, Spec
from drs.study.plan import plan
from drs.study.profiles import PROFILES, Profile, deciding
from drs.study.records import Record, read_record, write_record
from drs.study.results import Results


@pytest.fixture(autouse=True)
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grid(profile: Profile, dataset: str) -> list[Spec]:
        return [{"dataset": dataset, "seed": seed} for seed in (0, 1)]

    def run(spec: Spec, context: Context) -> Outcome:
        raise AssertionError("reading computes nothing")

    monkeypatch.setitem(EXPERIMENTS, "twice", Experiment("twice", 1, "two runs", grid, run))
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read."""
    found: list[Path] = []

    def counted(path: Path, *, arrays: bool) -> Record:
        found.append(path)
        return read_record(path, arrays=arrays)

    monkeypatch.setattr(results, "read_record", counted)
    return found


def write(value: float, seed: int = 0) -> Path:
    run = plan("twice", "quick")[seed]
    return write_record(Record(run, "quick", {"value": value}, 1.0, "a CPU", {}, "abc", "2026-01-01T00:00:00+00:00"))


def test_a_record_is_read_once_whoever_asks(reads: list[Path]) -> None:
    paths = [write(1.0), write(2.0, seed=1)]
    for _ in range(3):
        assert [r.metrics["value"] for r in Results().records("twice", "quick")] == [1.0, 2.0]
        assert list(Results().frame("twice", "quick")["value"]) == [1.0, 2.0]
        assert len(Results().required("twice", "quick")) == 2
    assert reads == paths


def test_a_record_that_is_written_anew_is_read_anew_and_no_other(reads: list[Path]) -> None:
    first, second = write(1.0), write(2.0, seed=1)
    Results().records("twice", "quick")
    write(3.0)
    assert list(Results().frame("twice", "quick")["value"]) == [3.0, 2.0]
    assert reads == [first, second, first]
    second.unlink()
    assert list(Results().frame("twice", "quick")["value"]) == [3.0]


def test_a_damaged_record_is_named_every_time() -> None:
    path = write(1.0)
    path.write_text(path.read_text().replace("1.0", "1.5"))
    for _ in range(2):
        with pytest.raises(RecordError, match=path.stem):
            Results().records("twice", "quick")


def test_a_frame_is_the_callers_own() -> None:
    write(1.0)
    mine = Results().frame("twice", "quick")
    mine["value"] = 7.0
    assert list(Results().frame("twice", "quick")["value"]) == [1.0]


def test_a_plan_follows_the_experiment_and_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [run.key for run in plan("twice", "quick")]
    plan("twice", "quick").clear()
    assert [run.key for run in plan("twice", "quick")] == before
    monkeypatch.setitem(EXPERIMENTS, "twice", replace(EXPERIMENTS["twice"], version=2))
    raised = [run.key for run in plan("twice", "quick")]
    assert not set(raised) & set(before)
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], dataset="svhn"))
    assert {run.spec["dataset"] for run in plan("twice", "quick")} == {"svhn"}


def test_a_file_in_place_of_the_records_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "quick").write_text("not a folder")
    with pytest.raises(UsageError, match=r"^cannot read the folder of records .*twice"):
        Results().complete("twice")


def test_the_whole_report_reads_every_committed_record_once(monkeypatch: pytest.MonkeyPatch, reads: list[Path]) -> None:
    from drs.pages.front import texts

    monkeypatch.delenv("DRS_RESULTS")
    results._read.cache_clear()
    results._frame.cache_clear()
    texts()
    assert len(reads) == len(set(reads)) > 300


def test_what_profiles_decide_is_said_once() -> None:
    assert [profile.name for profile in deciding()] == ["quick", "full", "paper"]
    assert [p.name for p in PROFILES.values() if p.scratch] == ["smoke"]


def test_the_catalogue_is_what_the_registries_hold() -> None:
    from drs.evaluation import curves
    from drs.losses import LOSSES as losses
    from drs.training.datasets import DATASETS
    from drs.training.models import MODELS as models

    assert (tuple(losses), tuple(models), tuple(curves.ATTACKS)) == (LOSSES, MODELS, ATTACKS)
    assert tuple(DATASETS) == tuple(PIXELS)


BLOCKED = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "foolbox"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Refuse())
sys.argv = ["drs", *sys.argv[1:]]
from drs.cli import main
main()
"""


@pytest.mark.parametrize(
    ("command", "shown"),
    [("claims", "A1 "), ("claims --rules", "rule: "), ("status", "anatomy "), ("list", "label_smoothing")],
)
def test_plans_records_and_claims_need_no_torch(command: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRS_RESULTS")
    done = subprocess.run([sys.executable, "-c", BLOCKED, *command.split()], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout


def test_running_needs_torch_and_the_test_above_would_see_it() -> None:
    words = ["run", "theory", "-p", "smoke", "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", BLOCKED, *words], capture_output=True, text=True)
    assert done.returncode != 0
    assert "torch is blocked" in done.stderr
