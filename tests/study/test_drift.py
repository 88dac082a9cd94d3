"""Recomputed records against committed ones: what is drift, what is not, and in which order it is said."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drs import cli
from drs.errors import UsageError
from drs.study import drift
from drs.study.claims import CLAIMS, Claim
from drs.study.claims.base import Judgement
from drs.study.drift import Comparison, Difference, compare, differences, examples, name
from drs.study.experiments import EXPERIMENTS, Context, Experiment, Outcome, Spec
from drs.study.metrics import KINDS, Metric
from drs.study.plan import plan
from drs.study.profiles import Profile
from drs.study.records import Record, read_record, write_record

Write = Callable[..., Path]


def grid(profile: Profile, dataset: str) -> list[Spec]:
    return [{"variant": "ce", "network": {"loss": "ce", "seed": seed}, "images": 200} for seed in (0, 1)]


def run(spec: Spec, context: Context) -> Outcome:
    raise AssertionError("a comparison computes nothing")


def judge(frame: pd.DataFrame) -> Judgement:
    """Reproduced where the mean accuracy is above one half and no run took a minute an example."""
    mean = float(frame["pgd@0.05"].mean())
    slow = bool((frame["seconds_per_example.fgsm"] > 60).any())
    return Judgement("reproduced" if mean > 0.5 and not slow else "not reproduced", mean, mean, mean, len(frame), "")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Registers an experiment of two runs with a claim; writes their records by hand into a folder of this name."""
    monkeypatch.setitem(EXPERIMENTS, "hand", Experiment("hand", 1, "records made by hand", grid, run))
    claim = Claim("H1", "ours", "It holds.", "", "accuracy", "the rule", "hand", "notebooks/05_anatomy", judge)
    monkeypatch.setitem(CLAIMS, "H1", claim)

    def write(folder: str, *each: dict[str, float]) -> Path:
        for planned, metrics in zip(plan("hand", "quick"), each):
            values = {"pgd@0.05": 0.6, "seconds_per_example.fgsm": 0.1} | metrics
            made = Record(planned, "quick", values, 1.0, "a CPU", {}, "abc", "2025-01-02T03:04:05+00:00")
            write_record(made, tmp_path / folder)
        return tmp_path / folder

    return write


def record(metrics: dict[str, float], **spec: object) -> Record:
    planned = plan("losses", "quick")[0]
    changed = type(planned)("losses", 1, {**planned.spec, **spec})
    return Record(changed, "quick", metrics, 1.0, "a CPU", {}, "abc", "2025-01-02T03:04:05+00:00")


def test_equal_records_have_no_drift(write: Write) -> None:
    found = compare(write("again", {}, {}), "quick", write("committed", {}, {}))
    assert (found.records, len(found.differences), found.drifted) == (2, 2, False)
    assert str(found) == "2 numbers of 2 records compared, 0 beyond tolerance, 0 verdicts changed"


def test_the_worst_difference_comes_first_and_times_do_not_count(write: Write) -> None:
    committed = write("committed", {"std_logits_mean": 1.0}, {"accuracy": 0.97})
    again = write(
        "again", {"std_logits_mean": 2.0, "seconds_per_example.fgsm": 900.0}, {"accuracy": 0.9, "pgd@0.05": 0.7}
    )
    found = compare(again, "quick", committed)
    # 1 of 0.3 * 2; 0.07 of 0.02 and three errors at 0.935; 0.1 of 0.05 and three errors at 0.65, 200 images each
    expected = [
        1.667,
        0.07 / (0.02 + 3 * math.sqrt(2 * 0.935 * 0.065 / 200)),
        0.1 / (0.05 + 3 * math.sqrt(0.455 / 200)),
    ]
    assert [round(d.excess, 3) for d in found.differences] == [*(round(e, 3) for e in expected), 0.0]
    assert [d.metric for d in found.differences][:3] == ["std_logits_mean", "accuracy", "pgd@0.05"]
    assert [d.metric for d in found.beyond] == ["std_logits_mean"]
    assert found.drifted
    assert found.verdicts == []
    first, second = plan("hand", "quick")
    assert str(found).splitlines() == [
        f"hand variant=ce seed=0 ({first.key}): std_logits_mean: 1 committed, 2 found, 0.6 allowed",
        "the largest difference within its tolerance: "
        f"hand variant=ce seed=1 ({second.key}): accuracy: 0.97 committed, 0.9 found, 0.094 allowed",
        "4 numbers of 2 records compared, 1 beyond tolerance, 0 verdicts changed",
    ]


def test_a_verdict_that_changes_is_drift_even_where_every_number_is_within_its_tolerance(write: Write) -> None:
    committed, again = (
        write("committed", {"pgd@0.05": 0.51}, {"pgd@0.05": 0.51}),
        write("again", *[{"pgd@0.05": 0.49}] * 2),
    )
    found = compare(again, "quick", committed)
    assert (found.beyond, found.drifted) == ([], True)
    assert found.verdicts == ["verdict of H1: reproduced committed, not reproduced found"]


def test_a_verdict_that_rests_on_a_time_does_not_change_with_it(write: Write) -> None:
    committed, again = write("committed", {}, {}), write("again", *[{"seconds_per_example.fgsm": 61.0}] * 2)
    assert compare(again, "quick", committed).verdicts == []


def test_records_that_are_there_once_are_said(write: Write) -> None:
    committed, again = write("committed", {}, {}), write("again", {})
    found = compare(again, "quick", committed)
    assert found.missing == ["hand: 1 of 2 runs have no record found"]
    assert (found.records, found.drifted) == (1, False)
    # the other way round every verdict of the experiment is without its records
    turned = compare(committed, "quick", again)
    assert turned.missing == ["hand: 1 of 2 runs have no record committed"]
    assert turned.verdicts == ["verdict of H1: no records committed, reproduced found"]


def test_a_number_that_only_one_record_has_is_drift(write: Write) -> None:
    found = compare(write("again", {"diverged": 1.0}, {}), "quick", write("committed", {}, {}))
    assert [(d.metric, d.committed, d.found) for d in found.beyond] == [("diverged", None, 1.0)]
    assert "diverged: none committed, 1 found" in str(found)


def test_a_long_list_is_cut(write: Write) -> None:
    many = {f"pgd@{number}": 0.9 for number in range(drift.WORST_SHOWN)}
    again = write("again", dict.fromkeys(many, 0.1), {"pgd@0.05": 0.1})
    lines = str(compare(again, "quick", write("committed", many, {}))).splitlines()
    assert lines[drift.WORST_SHOWN + 1 :][0] == "... and 1 more"


@pytest.mark.parametrize(
    ("metric", "unit", "allowed"),
    [
        ("accuracy", "share", 0.02),
        ("pgd@0.05", "share", 0.05),
        ("accuracy.fgsm@0.1", "share", 0.1),
        ("worst_area", "share", 0.05),
        ("margin_restarts_5", "share", 0.05),
        ("auc_low.k_density.bim@0.1", "share", 0.3),
        ("successes.jsma@0.1", "count", 0.05),
        ("undetected.non_me.selective", "share", 0.2),
        ("distortion.cw", "relative", 0.2),
        ("std_logits_median", "relative", 0.3),
        ("std_probabilities@0.05", "absolute", 0.05),
        ("slope.rce", "absolute", 1e-6),
        ("slope", "absolute", 0.1),
        ("drs_ratio_high", "ignored", 0.0),
        ("memory_ratio", "relative", 0.05),
        ("seconds_per_example.fgsm@0.1", "ignored", 0.0),
    ],
)
def test_the_tolerance_of_a_metric(metric: str, unit: str, allowed: float) -> None:
    kind = Metric.parse(metric).kind
    assert (kind.unit, kind.allowed) == (unit, allowed)


def test_an_unknown_metric_is_refused_by_name() -> None:
    one = record({"glamour@0.1": 0.5})
    with pytest.raises(UsageError, match=r"unknown metric 'glamour@0.1': add its form, label and tolerance to drs"):
        differences("run", one, one)


def test_every_metric_of_the_committed_records_has_a_tolerance_and_every_kind_a_use() -> None:
    root = Path(__file__).resolve().parents[2] / "data" / "results"
    names = {metric for path in root.glob("quick/*/*.json") for metric in read_record(path, arrays=False).metrics}
    assert {Metric.parse(metric).kind.title for metric in names} == {kind.title for kind in KINDS}


def test_a_rate_rests_on_the_successes_and_few_of_them_are_not_compared() -> None:
    metrics = {"successes.fgsm@0.1": 4.0, "auc.non_me.fgsm@0.1": 0.9, "transfer_auc_fooled.ce": 0.5, "transfer.ce": 0.1}
    one = record(metrics, images=300)
    assert examples(Metric.parse("auc.non_me.fgsm@0.1"), one) == 4.0
    assert examples(Metric.parse("transfer_auc_fooled.ce"), one) == pytest.approx(30.0)
    assert examples(Metric.parse("pgd@0.1"), one) == 300.0
    assert [d.metric for d in differences("run", one, one)] == [
        "successes.fgsm@0.1",
        "transfer.ce",
        "transfer_auc_fooled.ce",
    ]
    more = record({**metrics, "successes.fgsm@0.1": 50.0}, images=300)
    compared = {d.metric: d for d in differences("run", more, more)}
    assert compared["auc.non_me.fgsm@0.1"].allowed == pytest.approx(0.3 + 3 * math.sqrt(2 * 0.9 * 0.1 / 50))
    # a count may move as the share it is of the images: 300 (0.05 + 3 sqrt(2 p (1 - p) / 300)) at p = 50 / 300
    p = 50 / 300
    expected = 300 * (0.05 + 3 * math.sqrt(2 * p * (1 - p) / 300))
    assert compared["successes.fgsm@0.1"].allowed == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "allowed", "excess"),
    [
        (1.0, 1.5, 0.5, 1.0),
        (1.0, 1.0, 0.0, 0.0),
        (np.nan, np.nan, 0.1, 0.0),
        (np.inf, np.inf, 0.1, 0.0),
        (np.inf, 1.0, np.inf, np.inf),
        (1.0, np.nan, 0.1, np.inf),
        (0.0, 1e-9, 0.0, np.inf),
        (None, 1.0, 0.1, np.inf),
    ],
)
def test_the_excess_of_a_difference(a: float | None, b: float | None, allowed: float, excess: float) -> None:
    assert Difference("run", "metric", a, b, allowed).excess == excess


def test_what_is_just_allowed_is_no_drift() -> None:
    just = Difference("run", "metric", 1.0, 1.5, 0.5)
    assert Comparison(1, [just], [], []).beyond == []


def test_a_run_is_named_by_what_is_trained() -> None:
    bound, trained = plan("theory", "quick")[:2]
    assert name(bound) == f"theory ({bound.key})"
    assert name(trained) == f"theory model=small_conv loss=ce seed=0 ({trained.key})"


def test_what_cannot_be_compared_is_one_sentence(write: Write, tmp_path: Path) -> None:
    committed = write("committed", {}, {})
    with pytest.raises(
        UsageError, match=r"expected a folder of recomputed records, other than .*committed, got .*none"
    ):
        compare(tmp_path / "none", "quick", committed)
    with pytest.raises(UsageError, match=r"expected a folder of recomputed records, other than"):
        compare(committed, "quick", committed)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no record under quick is both in .*empty and in .*committed: nothing"):
        compare(tmp_path / "empty", "quick", committed)


@pytest.mark.parametrize(("metrics", "status"), [({}, 0), ({"pgd@0.05": 0.1}, 1), (None, 2)])
def test_the_command_says_drift_by_its_status(
    write: Write,
    metrics: dict[str, float] | None,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    committed = write("committed", {}, {})
    folder = committed.parent / "none" if metrics is None else write("again", metrics, metrics)
    monkeypatch.setattr(sys, "argv", ["drs", "compare", str(folder), "--against", str(committed)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert (stopped.value.code or 0) == status
    out, err = capsys.readouterr()
    assert out.endswith("verdicts changed\n") if status < 2 else err.startswith("drs: expected a folder")
