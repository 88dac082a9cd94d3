"""The experiment of the zoo: its grid, what a run says of a subject, and the network that is trained further."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from drs.errors import UsageError
from drs.evaluation.alarms import CHECKS
from drs.evaluation.attack_report import ATTACK_CHECKS
from drs.evaluation.broken_attacks import FAULTS
from drs.evaluation.zoo import DEFENCES
from drs.study.experiments import get_experiment, grids, zoo
from drs.study.experiments.base import Context
from drs.study.metrics import alarm_word, columns
from drs.study.profiles import PROFILES
from drs.training.datasets import Dataset
from drs.training.loop import Training
from drs.training.models import Network


class Given(Context):
    """Every network is the one of the tests, every data set a slice of digits."""

    def __init__(self, network: Network, data: Dataset) -> None:
        super().__init__(torch.device("cpu"))
        object.__setattr__(self, "given", (network, data))

    def network(self, values: Any) -> Training:
        return Training(self.given[0], 0.0, 1.0)  # type: ignore[attr-defined]

    def dataset(self, name: str) -> Dataset:
        found: Dataset = self.given[1]  # type: ignore[attr-defined]
        return found


@pytest.fixture
def run(trained: Network, digits: Dataset) -> Any:
    def of(kind: str, subject: str) -> dict[str, float]:
        network = {"dataset": "mnist5k", "seed": 0}
        spec = {"kind": kind, "subject": subject, "network": network, "images": 30, "epsilon": 0.05}
        return dict(zoo.run({**spec, "updates": 2, "minutes": 0.02}, Given(trained, digits)).metrics)

    return of


def test_the_grid_names_the_whole_zoo() -> None:
    assert tuple(DEFENCES) == grids.BROKEN_DEFENCES
    assert tuple(FAULTS) == grids.BROKEN_ATTACKS
    specs = get_experiment("zoo").specs(PROFILES["quick"])
    assert len(specs) == 3 * 10 + 3 * (9 + 7)
    others = get_experiment("losses").specs(PROFILES["quick"])
    assert not {s["network"]["seed"] for s in specs} & {s["network"]["seed"] for s in others}
    assert sorted({s["network"]["seed"] for s in specs if s["subject"] == "CE network"}) == list(range(20, 30))


def test_a_refusal_that_names_the_cause_is_a_catch(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("network", "softmax") == {"refused": 1.0, "caught": 1.0, "alarms": 0.0}

    def other(*_: object, **__: object) -> None:
        raise UsageError("something else")

    monkeypatch.setattr(zoo, "audit", other)
    assert run("network", "softmax")["caught"] == 0.0
    with pytest.raises(UsageError, match="something else"):
        run("network", "rounding")


def test_a_caught_defence_and_one_whose_alarm_is_silent(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("network", "noise")
    assert (found["caught"], found["alarm.randomised"]) == (1.0, 1.0)
    known = {check.name for check in CHECKS}
    assert {m.attack for m in columns(found, "alarm").values()} <= {alarm_word(name) for name in known}
    assert found["alarms"] == sum(found[name] for name in columns(found, "alarm"))
    silent = DEFENCES["noise"].__class__("noise", "", "", ("batch matters",), "", DEFENCES["noise"].wrap)
    monkeypatch.setitem(DEFENCES, "noise", silent)
    assert run("network", "noise")["caught"] == 0.0


def test_a_fault_and_a_healthy_attack(run: Any) -> None:
    found = run("attack", "no projection")
    assert (found["caught"], found["alarm.leaves_the_budget"]) == (1.0, 1.0)
    assert len(columns(found, "alarm")) == len(ATTACK_CHECKS)
    healthy = run("attack", "PGD")
    assert "caught" not in healthy
    assert healthy["alarms"] == 0.0


def test_training_further_is_seeded_and_ends_in_evaluation_mode() -> None:
    images, labels = torch.eye(4).repeat(8, 1), torch.arange(4).repeat(8)
    made = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            layer = nn.Linear(4, 4)
        before = torch.random.get_rng_state()
        tuned = zoo.fine_tuned(layer, images, labels, 50, seed=seed, batch=5, rate=0.5)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert not tuned.training
        assert torch.equal(tuned(images).argmax(dim=1), labels)
        made.append(layer.weight.detach())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
