"""Every broken defence and every broken attack is caught by the alarm that names its cause; healthy ones by none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from torch import Tensor, nn

from drs.attacks import PGD
from drs.errors import UsageError
from drs.evaluation import stages
from drs.evaluation.attack_audit import audit_attack
from drs.evaluation.attack_report import ATTACK_CHECKS
from drs.evaluation.audit import audit
from drs.evaluation.broken_attacks import FAULTS, pgd
from drs.evaluation.zoo import DEFENCES
from drs.study.experiments.zoo import fine_tuned
from drs.training.datasets import Dataset
from drs.training.models import Network

EPSILON = 0.05


@pytest.fixture(scope="module", autouse=True)
def few_queries() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"QUERIES": (100,), "APGD_STEPS": 10, "STEP_CURVE": (10, 20), "RESTARTS": 2}.items():
            patch.setattr(stages, name, value)
        yield


@pytest.fixture(scope="module")
def data(digits: Dataset) -> tuple[Tensor, Tensor]:
    return digits.test.first(60).to_float()


@pytest.mark.parametrize("name", [name for name, one in DEFENCES.items() if not one.refused])
def test_a_defence_is_caught_by_name(
    name: str, trained: Network, data: tuple[Tensor, Tensor], mnist5k: Dataset
) -> None:
    broken = DEFENCES[name].wrap(trained)
    if DEFENCES[name].tuned:
        fine_tuned(broken, *mnist5k.train.to_float(), 60, seed=0, batch=64)
    found = {alarm.name for alarm in audit(broken, *data, epsilon=EPSILON, minutes=100.0).fired}
    assert set(DEFENCES[name].caught_by) <= found, found


def test_plain_probabilities_are_refused(trained: Network, data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UsageError, match=DEFENCES["softmax"].refused):
        audit(DEFENCES["softmax"].wrap(trained), *data, epsilon=EPSILON)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_name(name: str, trained: Network, data: tuple[Tensor, Tensor]) -> None:
    found = {a.name for a in audit_attack(FAULTS[name].make(EPSILON), trained, *data, epsilon=EPSILON).fired}
    assert found - {"weaker than a plain attack"} == set(FAULTS[name].caught_by)


@pytest.mark.parametrize("attack", [pgd(EPSILON), PGD(epsilon=EPSILON)])
def test_a_healthy_attack_raises_nothing(attack: PGD, trained: Network, data: tuple[Tensor, Tensor]) -> None:
    found = audit_attack(attack, trained, *data, epsilon=EPSILON, name="healthy")
    assert found.fired == ()
    assert [(alarm.name, alarm.kind) for alarm in found.alarms] == [(name, "attack") for name in ATTACK_CHECKS]
    assert json.loads(found.to_json())["attack"] == "healthy"
    assert "alarms: 0 of 10 fired" in repr(found)


def test_what_is_no_image_is_refused(trained: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(UsageError, match="returns images of shape"):
        audit_attack(lambda model, x, y: x[:1], trained, *data, epsilon=EPSILON)
    below = audit_attack(lambda model, x, y: x - 0.01, trained, *data, epsilon=EPSILON)
    assert "leaves the pixel range" in {alarm.name for alarm in below.fired}
