"""The benchmarks run, their ratios are what two clocks say, and what is saved is read back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from drs import paths
from drs.attacks import APGD
from drs.errors import UsageError
from drs.pages import tables
from drs.pages.front import benchmark_table
from drs.study import benchmarks as attacks
from drs.study import strength

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
    with pytest.raises(UsageError, match="unknown benchmark 'speed': expected one of apgd, carlini_wagner, jsma"):
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
    (path,) = attacks.save(rows, CPU)
    assert path == tmp_path / "data" / "benchmarks" / "attacks-cpu.csv"
    found = tables.benchmarks()
    assert list(found.index) == ["JSMA", "quality"]
    assert list(found["ratio"]) == [0.09877, 1.0]
    assert found["seconds"].isna().tolist() == [False, True]
    assert found["device"].str.contains("CPU, ").all()
    header, _, first, second = benchmark_table().splitlines()
    assert header == "| what is measured | ratio | seconds | to | images | device | commit |"
    assert first.startswith("| JSMA | 0.0988 | 1.5 | other | 32 |")
    assert second.startswith("| quality | 1 |  | other | 32 |")


class Breaks:
    """A reference that breaks the images of some labels, as torchattacks is called."""

    def __init__(self, model: object, **options: object) -> None:
        self.options = options

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return images + 0.3 * (labels == 1).float()[:, None, None, None]  # beyond the budget: only 0.1 of it counts


class Bright(torch.nn.Module):
    """Class 0 below a brightness of 1/2, class 1 above it, and two classes that never win."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = images.mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-level, level, level.abs() * 0 - 1, level.abs() * 0 - 1], dim=1)


def test_a_contest_lists_who_breaks_what_on_the_images_that_were_right() -> None:
    levels = torch.tensor([0.45, 0.2, 0.9, 0.55, 0.45])
    images = levels[:, None, None, None].expand(5, 1, 8, 8).contiguous()
    labels = torch.tensor([0, 0, 1, 0, 1])  # the last two are wrong from the start
    contest = strength.Contest("two levels", "ce", 0.1)
    row = strength.compare(
        contest, Bright(), images, labels, ours=APGD(epsilon=0.1, steps=5), theirs=Breaks, name="a library", table="t"
    )
    assert (row["clean"], row["ours"], row["theirs"]) == (0.6, 0.4, 0.6)
    assert (row["only_ours"], row["only_theirs"], row["images"]) == ("0", "", 5)
    assert (row["table"], row["reference"]) == ("t", "a library")


def test_both_sides_get_the_same_budget_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []

    def other(model: object, **options: object) -> Breaks:
        made.append(options)
        return Breaks(model)

    images, labels = torch.full((2, 1, 8, 8), 0.45), torch.tensor([0, 0])
    monkeypatch.setattr(strength, "contest_network", lambda *_, **__: (Bright(), images, labels))
    rows = list(strength.apgd_contests(full=False, device=CPU, apgd=other))
    assert made == [{"eps": 0.04, "steps": 5, "loss": loss, "seed": 0} for loss in ("ce", "dlr")] * 3
    assert [row["name"] for row in rows[::2]] == ["cross-entropy, mnist5k", "DRS, mnist5k", "RCE, mnist5k"]
    assert {(row["table"], row["epsilon"], row["ours"]) for row in rows} == {("apgd", 0.04, 1.0)}


def test_a_contest_without_its_data_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_DATA", str(tmp_path))
    colour = next(contest for contest in strength.CONTESTS if contest.dataset == strength.CIFAR)
    assert strength.contest_network(colour, full=False, device=CPU) is None


def test_two_tables_are_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    speed = {"name": "JSMA", "ratio": 0.5, "seconds": 1.5, "reference": "other", "images": 32, "device": "cpu"}
    files = attacks.save([speed, {**speed, "table": "standard", "ours": 0.1}], CPU)
    assert [file.name for file in files] == ["attacks-cpu.csv", "standard-cpu.csv"]
    assert "ours" not in files[0].read_text()
