"""The tables of the report: from plans and from records made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from drs.pages import report
from drs.study.claims import CLAIMS, Finding, get_claim
from drs.study.claims.base import Judgement
from drs.study.experiments import EXPERIMENTS, Context, Experiment, Outcome, Spec
from drs.study.plan import plan
from drs.study.profiles import Profile
from drs.study.records import Record, write_record

ROOT = Path(__file__).resolve().parents[2]


def row(table: str, *first: str) -> list[str]:
    """The cells of the one row of a table that begins with these."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    (found,) = [cells for cells in rows if cells[: len(first)] == list(first)]
    return found


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One experiment on data and one without, each of two runs; records of one and of both, by hand."""

    def grid(profile: Profile, dataset: str) -> list[Spec]:
        return [{"number": number, "dataset": dataset} for number in (0, 1)]

    def timed(profile: Profile, dataset: str) -> list[Spec]:
        return [{"number": number} for number in (0, 1)]

    def run(spec: Spec, context: Context) -> Outcome:
        raise AssertionError("a table computes nothing")

    def judge(frame: pd.DataFrame) -> Judgement:
        raise AssertionError("these tables judge nothing")

    every = {
        "some": Experiment("some", 1, "some runs", grid, run),
        "clock": Experiment("clock", 1, "a clock", timed, run),
    }
    claims = {"A1": replace(get_claim("A1"), experiment="some", judge=judge)}
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    with patch.dict(EXPERIMENTS, every, clear=True), patch.dict(CLAIMS, claims, clear=True):
        for name, seconds in (("some", [90.0]), ("clock", [30.0, 60.0])):
            for planned, spent in zip(plan(name, "quick"), seconds):
                record = Record(planned, "quick", {"x": 1.0}, spent, "a CPU", {"torch": "2.6.0"}, "abc", "2025-01-02")
                write_record(record, tmp_path)
        yield


@pytest.mark.usefixtures("two")
def test_the_cost_is_summed_once_for_each_record(tmp_path: Path) -> None:
    clock = Record(plan("clock", "paper")[0], "paper", {"x": 1.0}, 60.0, "a GPU", {}, "abc", "2025-01-02")
    write_record(clock, tmp_path)  # it knows no data set, so that it is planned for each of them
    assert report.cost().splitlines()[2:] == [
        "| quick, mnist5k | `some` | 1 | 1.5 | 90 | a CPU | 2.6.0 |",
        "| quick, mnist5k | `clock` | 2 | 1.5 | 60 | a CPU | 2.6.0 |",
        "| paper, mnist | `clock` | 1 | 1.0 | 60 | a GPU | unknown |",
        "| **all** |  | 4 | 4.0 |  |  |  |",
    ]


@pytest.mark.usefixtures("two")
def test_what_was_not_run_is_said_and_disappears_with_its_records(tmp_path: Path) -> None:
    assert report.not_run().splitlines()[2:] == [
        "| quick, mnist5k | `some`: some runs | 1 of 2 | A1 |",
        "| full, mnist | `some`: some runs | 0 of 2 | A1 |",
        "| full, mnist | `clock`: a clock | 0 of 2 |  |",
        "| full, cifar10-jpeg | `some`: some runs | 0 of 2 | A1 |",
        "| paper, mnist | `some`: some runs | 0 of 2 | A1 |",
        "| paper, mnist | `clock`: a clock | 0 of 2 |  |",
        "| paper, cifar10 | `some`: some runs | 0 of 2 | A1 |",
    ]
    for profile, dataset in report.SCALES:
        for name in EXPERIMENTS:
            for planned in plan(name, profile, dataset=dataset):
                write_record(Record(planned, profile, {"x": 1.0}, 1.0, "a CPU", {}, "abc", "2025-01-02"), tmp_path)
    assert report.not_run() == "Every experiment has been run at every scale."


def test_the_outcome_names_each_claim_once_under_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(claim: str, verdict: str, dataset: str = "mnist5k") -> Finding:
        judged = Judgement(verdict, 0.0, 0.0, 0.0, 3, "")  # type: ignore[arg-type]
        return Finding(get_claim(claim), "quick", judged, 3, dataset, "a CPU")

    every = [
        found("A3", "reproduced"),
        found("A4b", "reproduced"),
        found("C2", "no records", ""),
        found("B1", "not reproduced"),
        found("B0", "reproduced"),
    ]
    monkeypatch.setattr(report, "verdicts", lambda: every)
    assert report.outcome().splitlines() == [
        "| claims of, profile, data | verdicts |",
        "|---|---|",
        "| DRS<br>quick, mnist5k | reproduced: [A3](../notebooks/07_drs_loss.ipynb), "
        "[A4b](../notebooks/07_drs_loss.ipynb) |",
        "| RCE<br>quick, mnist5k | reproduced: [B0](../notebooks/10_reverse_training.ipynb)<br>"
        "not reproduced: [B1](../notebooks/10_reverse_training.ipynb) |",
        "| ours<br>quick | no records: [C2](../notebooks/13_stronger_attacks.ipynb) |",
    ]


def test_parameters_are_counted() -> None:
    table = report.architectures()
    # pixels x 64 + 64, then 64 x 64 + 64 and 64 x 10 + 10; with width 128 and batch norm, which has no biases before it
    small, wide = 784 * 64 + 64 + 4160 + 650, 784 * 128 + 256 + 128 * 128 + 256 + 1290
    assert row(table, "`mlp`", "quick, mnist5k")[2] == f"{small:,} to {wide:,}"
    assert row(table, "`mlp`", "full, mnist")[2] == f"{784 * 128 + 128 + 128 * 128 + 128 + 1290:,}"
    assert "`resnet-32`" in table


def test_trainings_are_those_of_the_plan_and_stand_once() -> None:
    table = report.trainings()
    rate = "rate 0.1 to 2.7 (cosine), decay 2.2e-05 to 0.0002"  # the larger one is RCE's
    assert row(table, "quick, mnist5k", "resnet, small_conv", "1,080")[3:] == ["128", rate, "detection: 12"]
    alike = row(table, "quick, mnist5k", "small_conv", "1,080")
    assert alike[3:] == ["128", rate, "theory: 3, constant: 9, whitebox: 9, adaptive: 9"]
    assert "rate 0.1 (step)" in row(table, "paper, cifar10", "resnet", "90,000")[4]
    steps = [run.spec["network"]["steps"] for run in plan("correlation", "quick")]
    assert row(table, "quick, mnist5k", "small_conv", f"{min(steps)} to {max(steps)}")[5] == "correlation: 60"


def test_attacks_show_their_settings() -> None:
    table = report.attacks()
    assert row(table, "`bim`")[2:] == ["{class}`drs.attacks.BIM`", "`steps=10, norm='linf'`"]
    assert row(table, "`fgsm`")[3] == "`norm='linf'`"
    assert "restarts=2, random_start=True, objective='ce'" in row(table, "`pgd`")[3]
    assert "search_steps=5, max_iterations=1000" in row(table, "experiment `detection`", "paper")[3]


def test_data_and_seeds() -> None:
    assert row(report.data(), "`mnist5k`") == ["`mnist5k`", "quick", "28 x 28"]
    assert row(report.data(), "`svhn`")[1] == "only on request"
    assert row(report.seeds(), "`quick`")[1:] == ["0, 1, 2", "60", "300", "100"]


def test_the_page_includes_every_table_and_every_table_is_there() -> None:
    page = (ROOT / "book" / "report.md").read_text()
    for table in report.FRAGMENTS:
        assert page.count(f"```{{include}} _generated/report_{table.__name__}.md\n") == 1
        assert (ROOT / "book" / "_generated" / f"report_{table.__name__}.md").is_file()
    assert page.count("_generated/") == len(report.FRAGMENTS) + 1
    assert page.count("```{include} _generated/found.md\n") == 1
