"""The benchmarks run, their ratios are what two clocks say, and what is saved is read back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from drs import paths
from drs.errors import UsageError
from drs.pages import tables
from drs.study import benchmarks as attacks

CPU = torch.device("cpu")


def test_the_sides_take_turns_and_medians_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    calls: list[str] = []
    spent = {"a": iter([1.0, 5.0, 2.0]), "b": iter([4.0, 4.0, 9.0])}

    def side(name: str) -> str:
        nonlocal now
        now += next(spent[name])
        calls.append(name)
        return f"{name}{len(calls)}"

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    seconds, results = attacks.take_turns([lambda: side("a"), lambda: side("b")], 3, CPU)
    assert calls == ["a", "b"] * 3
    assert seconds == [2.0, 4.0]
    assert results == ["a5", "b6"]


def test_smoke_measures_what_needs_no_other_library() -> None:
    rows = list(attacks.run("smoke", CPU, "white_box"))
    assert [row["reference"] for row in rows] == ["C&W 8 x 20"]
    assert rows[0]["ratio"] > 0
    assert rows[0]["images"] == 4


def test_wrong_names_and_missing_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown benchmark 'speed': expected one of carlini_wagner, jsma"):
        list(attacks.run("smoke", CPU, "speed"))
    with pytest.raises(
        UsageError, match="expected the package nothing_at_all, found none: run pip install --no-deps torchattacks=="
    ):
        attacks._library("nothing_at_all")


def test_what_is_saved_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    assert len(tables.benchmarks()) == 0
    rows = [
        {"name": "JSMA", "ratio": 0.098765, "seconds": 1.5, "reference": "other", "images": 32, "device": "cpu"},
        {"name": "quality", "ratio": 1.0, "seconds": None, "reference": "other", "images": 32, "device": "cpu"},
    ]
    path = attacks.save(rows, CPU)
    assert path == tmp_path / "data" / "benchmarks" / "attacks-cpu.csv"
    found = tables.benchmarks()
    assert list(found.index) == ["JSMA", "quality"]
    assert list(found["ratio"]) == [0.09877, 1.0]
    assert found["seconds"].isna().tolist() == [False, True]
    assert found["device"].str.contains("CPU, ").all()
