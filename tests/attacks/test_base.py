"""The front door of every attack: budget, pixel range, success, the state of the model."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import (
    BIM,
    DDN,
    FGSM,
    ILCM,
    JSMA,
    PGD,
    Attack,
    CarliniWagnerL2,
    DeepFool,
    Square,
    TargetedPGD,
    UniformNoise,
)
from drs.attacks.base import TOLERANCE, distance, project
from drs.attacks.models import attackable
from drs.training.datasets import Dataset
from drs.training.models import Network, build_model
from tests.attacks.contract import assert_model_as_it_was, assert_seeded

ATTACKS: list[Attack] = [
    FGSM(epsilon=0.06),
    BIM(epsilon=0.06, steps=4),
    ILCM(epsilon=0.06, steps=4),
    PGD(epsilon=0.06, steps=4),
    PGD(epsilon=0.06, steps=3, restarts=2, objective="margin"),
    PGD(epsilon=0.06, steps=3, random_start=False, objective="dlr", keep="last"),
    TargetedPGD(epsilon=0.06, steps=3, targets=2),
    UniformNoise(epsilon=0.06),
]
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=repr)


@dataclass(frozen=True, kw_only=True)
class Adds(Attack):
    """A misbehaving attack: adds ``shift`` to every pixel whatever the budget says."""

    epsilon: float | None = None
    shift: float = 0.0
    kind: str = "linf"

    @property
    def norm(self) -> str:
        return self.kind

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return inputs + self.shift


class Brightness(nn.Module):
    """Class 1 if the mean pixel is above one half, else class 0."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], dim=1)


def grey(*values: float) -> Tensor:
    """One 1 x 2 x 2 image a value."""
    return torch.tensor(values).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()


# --- what every attack keeps -----------------------------------------------------------------------------------------


@every_attack
def test_budget_range_and_judgement(attack: Attack, trained: Network, digits: Dataset, device: torch.device) -> None:
    model = copy.deepcopy(trained).to(device)
    inputs, labels = digits.test.first(24).to_float(device)
    given = inputs.clone()
    found = attack(model, inputs, labels)
    assert torch.equal(inputs, given)
    moved = (found.inputs - inputs).abs().amax(dim=(1, 2, 3))
    assert moved.max().item() <= 0.06 + TOLERANCE
    with torch.no_grad():
        right = model(inputs).argmax(1) == labels
    assert int(right.sum()) > 15
    assert moved[right].min().item() > 0.01
    assert found.inputs.min().item() >= 0.0
    assert found.inputs.max().item() <= 1.0
    torch.testing.assert_close(found.distances, moved, rtol=0, atol=0)
    with torch.no_grad():
        logits = model(found.inputs)
    torch.testing.assert_close(found.logits, logits)
    assert torch.equal(found.success, logits.argmax(1) != labels)
    assert found.robust_accuracy(labels) == pytest.approx(1 - found.success.float().mean().item())
    assert not found.inputs.requires_grad


@every_attack
def test_epsilon_zero_is_the_identity(attack: Attack, trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    found = dataclasses.replace(attack, epsilon=0.0)(trained, inputs, labels)  # type: ignore[call-arg]
    assert torch.equal(found.inputs, inputs)
    assert bool((found.distances == 0).all())
    with torch.no_grad():
        assert torch.equal(found.success, trained(inputs).argmax(1) != labels)


@every_attack
def test_the_model_is_as_it_was(attack: Attack, digits: Dataset) -> None:
    assert_model_as_it_was(attack, digits)


@every_attack
def test_seeded_and_the_global_generator_untouched(attack: Attack, trained: Network, digits: Dataset) -> None:
    random = isinstance(attack, (TargetedPGD, UniformNoise)) or getattr(attack, "random_start", False)
    assert_seeded(attack, trained, digits, random)


@every_attack
def test_callable_where_gradients_are_off(attack: Attack, trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    expected = attack(trained, inputs, labels).inputs
    with torch.no_grad():
        found = attack(trained, inputs, labels).inputs
    assert torch.equal(found, expected)


@every_attack
def test_an_empty_batch_is_no_error(attack: Attack, trained: Network) -> None:
    found = attack(trained, torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64))
    assert found.inputs.shape == (0, 1, 28, 28)
    assert found.success.shape == found.distances.shape == (0,)


@every_attack
def test_inputs_that_require_gradients(attack: Attack, trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    expected = attack(trained, inputs, labels).inputs
    inputs.requires_grad_()
    assert torch.equal(attack(trained, inputs, labels).inputs, expected)
    assert inputs.grad is None
    assert inputs.requires_grad


def test_attacks_are_frozen_and_say_what_they_are() -> None:
    attack = FGSM(epsilon=0.03)
    assert repr(attack) == "FGSM(epsilon=0.03, norm='linf', seed=0)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.epsilon = 0.1  # type: ignore[misc]
    assert (attack.norm, attack.budget) == ("linf", 0.03)
    assert repr(DDN(steps=7)) == "DDN(steps=7, initial_norm=1.0, gamma=0.05, seed=0)"


@pytest.mark.parametrize("kind", [FGSM, BIM, PGD, DDN, DeepFool, JSMA, Square, CarliniWagnerL2, UniformNoise])
def test_hyperparameters_are_named(kind: Any) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        kind(50)


def test_results_say_what_they_are() -> None:
    found = Adds(epsilon=0.1, shift=0.5)(Brightness(), grey(0.3, 0.45, 0.95), torch.tensor([0, 0, 1]))
    assert repr(found) == "Adversarials(n=3, success=33%, linf<=0.1)"
    found = Adds(epsilon=0.2, shift=0.5, kind="l2")(Brightness(), grey(0.45), torch.tensor([0]))
    assert repr(found) == "Adversarials(n=1, success=100%, l2<=0.2)"
    nothing = Adds(epsilon=0.1)(Brightness(), torch.zeros(0, 1, 2, 2), torch.zeros(0, dtype=torch.int64))
    assert repr(nothing) == "Adversarials(n=0)"


# --- an attack that misbehaves is clipped and judged here ------------------------------------------------------------


def test_budget_is_enforced_in_linf() -> None:
    # 0.3 + 0.5 is cut to 0.3 + 0.1 = 0.4; 0.45 to 0.55; 0.95 to 1.0, the edge of the pixels
    inputs = grey(0.3, 0.45, 0.95)
    found = Adds(epsilon=0.1, shift=0.5)(Brightness(), inputs, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(found.inputs, grey(0.4, 0.55, 1.0))
    torch.testing.assert_close(found.distances, torch.tensor([0.1, 0.1, 0.05]))
    assert found.success.tolist() == [False, True, False]
    torch.testing.assert_close(found.logits, torch.tensor([[0.1, -0.1], [-0.05, 0.05], [-0.5, 0.5]]))
    assert found.robust_accuracy(torch.tensor([0, 0, 1])) == pytest.approx(2 / 3)


def test_budget_is_enforced_in_l2() -> None:
    # four pixels moved by 0.5: length 1, scaled to 0.2: 0.1 a pixel
    found = Adds(epsilon=0.2, shift=0.5, kind="l2")(Brightness(), grey(0.3, 0.45), torch.tensor([0, 0]))
    torch.testing.assert_close(found.inputs, grey(0.4, 0.55))
    torch.testing.assert_close(found.distances, torch.tensor([0.2, 0.2]))
    assert found.success.tolist() == [False, True]


def test_pixel_range_is_enforced_without_a_budget() -> None:
    for shift, value in [(7.0, 1.0), (-7.0, 0.0), (0.25, 0.65)]:
        found = Adds(shift=shift)(Brightness(), grey(0.4), torch.tensor([0]))
        torch.testing.assert_close(found.inputs, grey(value))
        torch.testing.assert_close(found.distances, torch.tensor([abs(value - 0.4)]))
        assert found.success.tolist() == [value > 0.5]


def test_success_can_be_redefined_by_targeted_attacks() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Targeted(Adds):
        def succeeded(self, model: nn.Module, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
            return logits.argmax(1) == 0

    found = Targeted(shift=0.0)(Brightness(), grey(0.4, 0.6), torch.tensor([0, 1]))
    assert found.success.tolist() == [True, False]


def test_perturb_sees_a_frozen_model_in_evaluation_mode() -> None:
    seen: list[tuple[bool, bool]] = []

    @dataclass(frozen=True, kw_only=True)
    class Looks(Attack):
        def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
            seen.append((model.training, any(p.requires_grad for p in model.parameters())))
            return inputs

    model = build_model("mlp", channels=1, classes=3, seed=0, size=2, width=4).train()
    Looks()(model, grey(0.1), torch.tensor([0]))
    assert seen == [(False, False)]


def test_the_model_comes_back_after_an_error() -> None:
    model = build_model("mlp", channels=1, classes=3, seed=0, size=2, width=4).train()

    def fail() -> None:
        with attackable(model):
            assert not model.training
            assert not any(p.requires_grad for p in model.parameters())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_an_attack_must_say_how() -> None:
    with pytest.raises(TypeError, match="perturb"):
        Attack()  # type: ignore[abstract]


# --- distances and projections ---------------------------------------------------------------------------------------


def test_distances_by_hand() -> None:
    first = torch.zeros(2, 1, 2, 2)
    second = torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.5, 0.5, -0.5, 0.5]]).reshape(2, 1, 2, 2)
    assert distance(first, second, "linf").tolist() == [4.0, 0.5]
    assert distance(first, second, "l2").tolist() == [5.0, 1.0]


def test_projections_by_hand() -> None:
    start = torch.full((1, 1, 1, 2), 0.5)
    moved = start + torch.tensor([0.3, -0.4])
    torch.testing.assert_close(project(moved, start, 0.35, "linf"), start + torch.tensor([0.3, -0.35]))
    # length 0.5, scaled to 0.25; inside the ball nothing happens
    torch.testing.assert_close(project(moved, start, 0.25, "l2"), start + torch.tensor([0.15, -0.2]))
    torch.testing.assert_close(project(moved, start, 0.6, "l2"), moved)
    assert torch.equal(project(start, start, 0.1, "l2"), start)
