"""What a profile will cost: on a clock that the test moves, every number is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from drs.cli import app
from drs.study import estimate as module
from drs.study.estimate import FEW, MORE, UPDATES, estimate, extrapolated
from drs.study.experiments import EXPERIMENTS, Context, Outcome
from drs.study.plan import plan
from drs.study.records import Record, Run, write_record
from drs.training.spec import TrainingSpec

UPDATE, RUN, IMAGE = 0.5, 3.0, 0.25


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[TrainingSpec]:
    """An update takes 0.5 s, a run 3 s and 0.25 s an image; the trainings that were done, in order."""
    now, done = [0.0], []

    def train(spec: TrainingSpec, data: object, **_: object) -> object:
        done.append(spec)
        now[0] += UPDATE * spec.steps
        return SimpleNamespace(network=None)

    def run(spec: dict[str, Any], context: Context) -> Outcome:
        if "network" in spec:
            context.network(spec["network"])
        now[0] += RUN + IMAGE * spec.get("images", 0)
        return Outcome({})

    monkeypatch.setattr("drs.study.estimate.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "get_experiment", lambda name: replace(EXPERIMENTS[name], run=run))
    monkeypatch.setattr(Context, "dataset", lambda self, name: None)
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    return done


def recorded(run: Run, seconds: float) -> Record:
    return Record(run, "smoke", {"accuracy": 1.0}, seconds, "a CPU", {}, "abc", "2025-01-02T03:04:05+00:00")


def test_a_straight_line_through_two_times() -> None:
    assert extrapolated(2.0, 5.0, MORE) == 5.0
    assert extrapolated(2.0, 5.0, MORE + 2 * (MORE - FEW)) == 11.0
    assert extrapolated(5.0, 2.0, 1000) == 2.0  # noise: never less than what was measured
    assert extrapolated(2.0, 5.0, 10) == 5.0


def test_the_sum_is_updates_and_images_of_every_run(clock: list[TrainingSpec]) -> None:
    (found,) = estimate(["losses"], "quick")
    runs = plan("losses", "quick")
    updates = sum(run.spec["network"]["steps"] for run in runs)
    assert found.seconds == pytest.approx(UPDATE * updates + sum(RUN + IMAGE * run.spec["images"] for run in runs))
    assert (found.runs, found.left, found.seconds_left) == (len(runs), len(runs), found.seconds)
    assert (found.recorded, found.recorded_estimate) == (0.0, 0.0)
    assert 0 < len(clock) <= module.MOST  # one of each kind that is timed: its seeds share it
    assert {spec.seed for spec in clock} == {0}
    assert all(spec.steps <= UPDATES for spec in clock)


def test_a_network_that_two_experiments_share_is_trained_once(clock: list[TrainingSpec]) -> None:
    losses, stress = estimate(["losses", "stress"], "smoke")
    alone = estimate(["stress"], "smoke")[0]
    trained = sum(run.spec["network"]["steps"] for run in plan("stress", "smoke"))
    assert stress.seconds == pytest.approx(alone.seconds - UPDATE * trained)
    assert losses.seconds > alone.seconds


def test_what_has_no_network_costs_what_other_records_say(clock: list[TrainingSpec]) -> None:
    run = plan("captions", "smoke")[0]
    (timed,) = estimate(["captions"], "quick")
    images = plan("captions", "quick")[0].spec["images"]
    assert timed.seconds == pytest.approx(timed.runs * (RUN + IMAGE * images))
    write_record(recorded(run, 7.0))
    (found,) = estimate(["captions"], "quick")
    assert found.seconds == pytest.approx(7.0 * found.runs)


def test_a_population_is_sampled_and_the_rest_costs_the_mean(
    clock: list[TrainingSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = plan("correlation", "full")
    kinds = module._kinds(runs)
    shapes = {(run.spec["network"]["model_options"]["width"], run.spec["network"]["batch_size"]) for run in runs}
    assert len(kinds) == len(shapes) > module.MOST
    assert module.sampled(len(kinds)) == [place * len(kinds) // module.MOST for place in range(module.MOST)]
    (found,) = estimate(["correlation"], "full")
    assert len(clock) == module.MOST
    updates = sum(run.spec["network"]["steps"] for run in runs)
    assert found.seconds == pytest.approx(UPDATE * updates + len(runs) * (RUN + IMAGE * runs[0].spec["images"]))


def test_what_is_recorded_stands_beside_what_was_estimated(clock: list[TrainingSpec]) -> None:
    first = plan("anatomy", "smoke")[0]
    write_record(recorded(first, 100.0))
    (found,) = estimate(["anatomy"], "smoke")
    each = UPDATE * first.spec["network"]["steps"] + RUN + IMAGE * first.spec["images"]
    assert found.recorded == 100.0
    assert found.recorded_estimate == pytest.approx(each)
    assert found.left == found.runs - 1
    assert found.seconds_left == pytest.approx(found.seconds - each)


def test_the_command_adds_up(clock: list[TrainingSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["estimate", "anatomy", "--profile", "smoke", "--workers", "2"])
    assert done.exit_code == 0, done.output
    (found,) = estimate(["anatomy"], "smoke")
    last = f"{found.seconds / 3600:.2f} core-hours in all; {found.seconds / 7200:.2f} hours are left, with 2 at once"
    assert done.output.splitlines()[-1] == last
    assert done.output.splitlines()[1].split()[:2] == ["anatomy", str(found.runs)]


def test_each_kind_is_told_by_all_but_its_seed_and_its_pace() -> None:
    kinds = list(module._kinds(plan("architectures", "full")))
    assert [len(kind) for kind in kinds] == [5] * 6
    spec: Mapping[str, Any] = kinds[0][0].spec
    assert {run.spec["variant"] for run in kinds[0]} == {spec["variant"]}
    first = kinds[0][0].spec["network"]
    slower = module._alike(first | {"learning_rate": 0.5, "steps": 7, "weight_decay": 1.0})
    assert slower == module._alike(first) != module._alike(first | {"batch_size": 7})
    assert module._alike({"steps": 3}) == {"steps": 3}  # those of an attack


def test_what_a_run_trains_to_choose_among_is_counted(
    clock: list[TrainingSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source of a transfer is another run's network: it is trained here, and not counted."""
    spec = plan("stress", "smoke")[0].spec
    tried = {**spec["network"], "loss": "drs", "loss_options": {"weight": 9.0}, "steps": 70}

    def run(values: dict[str, Any], context: Context) -> Outcome:
        for network in (values["network"], values["source"], tried):
            context.network(network)
        return Outcome({})

    monkeypatch.setattr(module, "get_experiment", lambda name: replace(EXPERIMENTS[name], run=run))
    (found,) = estimate(["stress"], "smoke")
    updates = sum(each.spec["network"]["steps"] + 70 for each in plan("stress", "smoke"))
    assert found.seconds == pytest.approx(UPDATE * updates)
