"""drs.compare: what counts as drift, number by number and verdict by verdict."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from drs import cli, compare
from drs.paths import results_root
from drs.records import Record, Run, read_records, write_record
from drs.runner import plan

NAN = math.nan
RUN = Run("losses", 1, {"seed": 0})


def record(**metrics: float) -> Record:
    return Record(RUN, "quick", metrics, 1.0, "a CPU", {}, "abc", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("before", "now", "by", "drifted"),
    [
        (0.5, 0.5, 0.0, False),
        (0.5, 0.59, 0.09, False),  # less than 0.1
        (0.5, 0.61, 0.11, True),  # more than 0.1, and 22%
        (2.0, 2.3, 0.15, False),  # more than 0.1, but 15%
        (2.0, 2.5, 0.25, True),
        (0.0, 0.09, 0.09, False),
        (0.0, 0.11, 0.11, True),
        (-1.0, -1.25, 0.25, True),
        (NAN, NAN, 0.0, False),
        (NAN, 0.5, math.inf, True),
        (0.5, NAN, math.inf, True),
        (math.inf, math.inf, 0.0, False),
    ],
)
def test_what_counts_as_drift(before: float, now: float, by: float, drifted: bool) -> None:
    one = compare.Moved(RUN, "accuracy", before, now)
    assert one.by == pytest.approx(by)
    assert one.drifted is drifted


def test_numbers_of_the_machine_are_not_compared_and_a_lost_one_is() -> None:
    before = record(accuracy=0.5, lost=0.25, **{"seconds_per_example.cw": 1.0, "drs_ratio": 1.0})
    now = record(accuracy=0.75, **{"seconds_per_example.cw": 9.0, "drs_ratio": 2.0})
    found = {one.metric: one for one in compare.moved(before, now)}
    assert sorted(found) == ["accuracy", "lost"]
    assert str(found["accuracy"]) == f"losses {RUN.key} accuracy: 0.5 before, 0.75 now"
    assert (found["accuracy"].drifted, found["lost"].drifted) == (True, True)


def again(folder: Path, change: float = 0.0, metric: str = "accuracy") -> None:
    """The committed records of the anatomy experiment in another folder, one number of the first changed."""
    first, *others = read_records(plan("anatomy", "quick"), "quick", arrays=True)
    write_record(replace(first, metrics={**first.metrics, metric: first.metrics[metric] + change}), folder)
    for other in others:
        write_record(other, folder)


def test_the_same_records_have_not_drifted(tmp_path: Path) -> None:
    again(tmp_path)
    said, drifted = compare.compare(tmp_path, "quick")
    assert drifted == []
    assert [line.partition(",")[0] for line in said] == ["anatomy: 2 runs"]
    assert said[0].endswith("half of them within 0 of before")
    assert results_root().name == "results"  # the environment is as it was


def test_a_drifted_number_is_named_with_both_values_and_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    again(tmp_path, -0.5)
    _, drifted = compare.compare(tmp_path, "quick")
    [line] = drifted
    assert line.startswith("anatomy ")
    assert " accuracy: 0.9" in line
    monkeypatch.setattr("sys.argv", ["drs", "compare", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert line in capsys.readouterr().out


def test_a_verdict_that_changed_is_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again(tmp_path)
    told = {str(tmp_path): "not reproduced"}

    def judged(claim_id: str, profile: str) -> object:
        verdict = told.get(str(results_root()), "reproduced" if claim_id == "A0" else "not reproduced")
        return type("Found", (), {"judgement": type("Judged", (), {"verdict": verdict})})

    monkeypatch.setattr(compare, "finding", judged)
    assert compare.changed_verdicts(tmp_path, "quick") == ["claim A0: reproduced before, not reproduced now"]


def test_a_folder_with_nothing_to_compare_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, sentence in ((tmp_path, "no record under"), (tmp_path / "none", "expected a folder of records")):
        monkeypatch.setattr("sys.argv", ["drs", "compare", str(folder)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 2
        assert sentence in capsys.readouterr().err
