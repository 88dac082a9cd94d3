"""Which scales are complete, and that chapters show every one of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from drs.errors import UsageError
from drs.study.experiments import EXPERIMENTS
from drs.study.experiments.base import Context, Experiment, Outcome, Spec
from drs.study.plan import Scale, plan
from drs.study.profiles import PROFILES, Profile
from drs.study.records import Record, write_record
from drs.study.results import Results
from drs.study.scales import Everywhere, Shown, at_every_scale


@pytest.fixture(autouse=True)
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grid(profile: Profile, dataset: str) -> list[Spec]:
        return [{"dataset": dataset, "seed": seed, "size": profile.steps} for seed in (0, 1)]

    def run(spec: Spec, context: Context) -> Outcome:
        return Outcome({"value": float(spec["seed"])})

    monkeypatch.setitem(EXPERIMENTS, "twice", Experiment("twice", 1, "two runs", grid, run))
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))


def record(profile: str, dataset: str | None = None, count: int = 2) -> None:
    for run in plan("twice", profile, dataset=dataset)[:count]:
        write_record(Record(run, profile, {"value": 1.0}, 1.0, "a CPU", {}, "abc", "2026-01-01T00:00:00+00:00"))


def test_a_scale_is_complete_with_its_last_record() -> None:
    assert Results().complete("twice") == []
    record("quick", count=1)
    assert Results().complete("twice") == []
    record("quick")
    record("paper", "cifar10-jpeg")
    record("paper", "svhn", count=1)
    record("smoke")
    assert Results().complete("twice") == [Scale("quick", "mnist5k"), Scale("paper", "cifar10-jpeg")]
    record("paper")
    assert [str(scale) for scale in Results().complete("twice")] == [
        "quick, mnist5k",
        "paper, mnist",
        "paper, cifar10-jpeg",
    ]


def test_an_experiment_without_data_has_one_scale_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Experiment("twice", 1, "no data", lambda profile, dataset: [{"n": 1}], EXPERIMENTS["twice"].run)
    monkeypatch.setitem(EXPERIMENTS, "twice", plain)
    record("quick")
    assert Results().complete("twice") == [Scale("quick", "mnist5k")]


def test_a_chapter_shows_its_own_scale_first_and_reads_only() -> None:
    record("quick")
    record("paper", "cifar10-jpeg")
    found = at_every_scale("twice", "quick")
    assert [str(shown.scale) for shown in found.every] == ["quick, mnist5k", "paper, cifar10-jpeg"]
    assert [list(shown.frame["value"]) for shown in found.every] == [[1.0, 1.0], [1.0, 1.0]]  # as recorded
    assert [str(shown.scale) for shown in at_every_scale("twice", "quick").every[1:]] == ["paper, cifar10-jpeg"]


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "smoke"])
def test_a_chapter_computes_nothing_and_names_the_command(profile: str, tmp_path: Path) -> None:
    record(profile, count=1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as caught:
        at_every_scale("twice", profile)
    assert str(caught.value) == (
        f"expected 2 records of 'twice' under profile '{profile}' in {tmp_path}, found 1: "
        f"run 'drs run twice --profile {profile}' first"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_scratch_profile_computes_beside_the_build_and_never_into_committed_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drs.paths.project_root", lambda: tmp_path)
    committed = tmp_path / "data" / "results"
    for chosen in ("", str(committed), str(committed / ".." / "results")):
        monkeypatch.setenv("DRS_RESULTS", chosen)
        found = at_every_scale("twice", "smoke")
        assert [str(shown.scale) for shown in found.every] == ["smoke, mnist5k"]
        assert list(found.frame["value"]) == [0.0, 1.0]  # computed
        assert not committed.exists()
        assert len(list((tmp_path / "_build" / "smoke" / "results" / "smoke" / "twice").glob("*.json"))) == 2
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path / "elsewhere"))
    at_every_scale("twice", "smoke")
    assert len(list((tmp_path / "elsewhere" / "smoke" / "twice").glob("*.json"))) == 2


def test_one_scale_is_the_cells_result_and_several_are_displayed(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython.display

    seen: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", seen.append)
    one, other = (Shown(Scale("quick", name), []) for name in ("mnist5k", "mnist"))
    assert Everywhere([one]).show(lambda at: at.scale.dataset) == "mnist5k"
    assert seen == []
    assert Everywhere([one, other]).show(lambda at: at.scale.dataset) is None
    assert seen[1::2] == ["mnist5k", "mnist"]
    assert [label.data for label in seen[::2]] == ["**quick, mnist5k**", "**quick, mnist**"]


def test_once_draws_the_strongest_scale_and_names_it() -> None:
    every = [Shown(Scale(profile, "mnist"), []) for profile in ("quick", "paper", "full")]
    made = Everywhere(every).once(lambda at: SimpleNamespace(figure=Figure(), at=at))
    assert made.at is every[1]
    assert made.figure.get_suptitle() == "paper, mnist"
    alone = Everywhere(every[:1]).once(lambda at: SimpleNamespace(figure=Figure(), at=at))
    assert alone.figure.get_suptitle() == ""
    assert Everywhere(every).once(lambda at: str(at.scale)) == "paper, mnist"
