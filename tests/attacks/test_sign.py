"""Gradient attacks against closed forms on linear models, hand-written loops, restarts and targets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.attacks import BIM, FGSM, ILCM, PGD, Attack, TargetedPGD, UniformNoise
from drs.attacks.sign import OBJECTIVES, sign_steps
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network


class Linear(nn.Module):
    """Logits (0, w . x + b) for a vector w, or W x + b for a matrix."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return F.linear(images.flatten(1), self.weight, self.bias)


def two_class_model() -> tuple[Linear, Tensor]:
    w = torch.randn(12, generator=torch.Generator().manual_seed(0))
    return Linear(torch.stack([torch.zeros(12), w]), torch.tensor([0.0, -0.5 * w.sum().item()])), w


def images(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


# --- closed form on a linear model -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(epsilon=0.1),
        BIM(epsilon=0.1, steps=10),
        ILCM(epsilon=0.1, steps=10),
        PGD(epsilon=0.1, steps=20),
        PGD(epsilon=0.1, steps=20, objective="margin", random_start=False),
        PGD(epsilon=0.1, steps=5, objective="scaled_ce", step_size=0.2),
        TargetedPGD(epsilon=0.1, steps=20),
    ],
    ids=repr,
)
def test_linear_model(attack: Attack, device: torch.device) -> None:
    """x - eps * sign(w) * (2y - 1), cut to [0, 1]: the worst point of the box is known."""
    model, w = two_class_model()
    inputs = images(40)
    with torch.no_grad():
        labels = model(inputs).argmax(1)  # right answers, so that the least likely class is the other one
    sign = (2 * labels - 1).reshape(-1, 1, 1, 1)
    expected = (inputs - 0.1 * w.sign().reshape(3, 2, 2) * sign).clamp(0, 1)
    found = attack(model.to(device), inputs.to(device), labels.to(device))
    torch.testing.assert_close(found.inputs.cpu(), expected, rtol=0, atol=1e-6)
    with torch.no_grad():
        fooled = model.cpu()(expected).argmax(1) != labels
    assert torch.equal(found.success.cpu(), fooled)
    assert 0 < int(fooled.sum()) < 40


# --- hand-written loops ----------------------------------------------------------------------------------------------


def gradient_sign(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    inputs = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(inputs), labels, reduction="sum"), inputs)
    return gradient.sign()


def test_fgsm_in_three_lines(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.to_float()
    expected = (inputs + 0.08 * gradient_sign(trained, inputs, labels)).clamp(0, 1)
    torch.testing.assert_close(FGSM(epsilon=0.08)(trained, inputs, labels).inputs, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 4])
def test_bim_by_hand(trained: Network, digits: Dataset, steps: int) -> None:
    inputs, labels = digits.test.first(32).to_float()
    moved = inputs
    for _ in range(steps):
        moved = moved + 0.08 / steps * gradient_sign(trained, moved, labels)
        moved = moved.clamp(inputs - 0.08, inputs + 0.08).clamp(0, 1)
    found = BIM(epsilon=0.08, steps=steps)(trained, inputs, labels)
    assert agreement(found.inputs, moved) > 0.999
    if steps == 1:
        assert torch.equal(found.inputs, FGSM(epsilon=0.08)(trained, inputs, labels).inputs)


def test_ilcm_by_hand(trained: Network, digits: Dataset) -> None:
    """Steps DOWN the cross-entropy of the class that is least likely on the clean image."""
    inputs, labels = digits.test.first(32).to_float()
    with torch.no_grad():
        target = trained(inputs).argmin(1)
    moved = inputs
    for _ in range(4):
        moved = (moved - 0.02 * gradient_sign(trained, moved, target)).clamp(0, 1)
    found = ILCM(epsilon=0.08, steps=4)(trained, inputs, labels)
    assert agreement(found.inputs, moved) > 0.999
    with torch.no_grad():
        before, after = (F.cross_entropy(trained(x), target).item() for x in (inputs, found.inputs))
    assert after < before
    # success is untargeted: wrong, whatever the class
    assert torch.equal(found.success, found.logits.argmax(1) != labels)


def agreement(first: Tensor, second: Tensor) -> float:
    """Share of equal pixels: where a gradient is zero but for rounding, its sign may be either."""
    return ((first - second).abs() < 1e-6).float().mean().item()


def test_pgd_by_hand(trained: Network, digits: Dataset) -> None:
    """Uniform start in the ball, steps of 2.5 eps / steps, projection after each."""
    inputs, labels = digits.test.first(32).to_float()
    torch.manual_seed(7)
    start = (inputs + 0.1 * torch.rand(inputs.shape) - 0.05).clamp(0, 1)

    def walked(moved: Tensor) -> Tensor:
        for _ in range(5):
            moved = moved + 0.025 * gradient_sign(trained, moved, labels)
            moved = moved.clamp(inputs - 0.05, inputs + 0.05).clamp(0, 1)
        return moved

    found = PGD(epsilon=0.05, steps=5, seed=7)(trained, inputs, labels)
    assert agreement(found.inputs, walked(start)) > 0.999
    without = PGD(epsilon=0.05, steps=5, random_start=False)(trained, inputs, labels)
    assert agreement(without.inputs, walked(inputs)) > 0.999


def test_step_size_is_used(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    small = PGD(epsilon=0.1, steps=1, step_size=0.01, random_start=False)(trained, inputs, labels)
    torch.testing.assert_close(small.inputs, FGSM(epsilon=0.01)(trained, inputs, labels).inputs)


def test_order_of_strength(trained: Network, digits: Dataset) -> None:
    """Noise <= one step <= many steps; more budget is never weaker here."""
    inputs, labels = digits.test.to_float()

    def accuracy(attack: Attack) -> float:
        return attack(trained, inputs, labels).robust_accuracy(labels)

    noise, one, many = (accuracy(a) for a in (UniformNoise(epsilon=0.06), FGSM(epsilon=0.06), PGD(epsilon=0.06)))
    assert noise > one > many
    robust = [accuracy(BIM(epsilon=e)) for e in (0.0, 0.03, 0.06, 0.12, 0.3)]
    assert robust == sorted(robust, reverse=True)
    assert robust[0] > 0.85
    assert robust[-1] == 0.0


# --- restarts and targets --------------------------------------------------------------------------------------------


def test_restarts_are_never_worse(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.to_float()
    attack = PGD(epsilon=0.04, steps=2, seed=5)
    fooled = torch.zeros(80, dtype=torch.bool)
    totals = []
    for restarts in (1, 2, 4):
        found = dataclasses.replace(attack, restarts=restarts)(trained, inputs, labels)
        assert bool((found.success | ~fooled).all())  # whatever was fooled stays fooled
        fooled = found.success
        totals.append(int(fooled.sum()))
    assert totals == sorted(totals)


def test_an_image_keeps_the_first_run_that_fools() -> None:
    """Two runs of scripted results: the second replaces the first only where that one did not fool the model."""
    model, _ = two_class_model()
    inputs = images(6)
    with torch.no_grad():
        labels = model(inputs).argmax(1)
    one = PGD(epsilon=0.3, steps=1, seed=2, step_size=0.0)(model, inputs, labels)  # the random start alone
    two = PGD(epsilon=0.3, steps=1, seed=2, step_size=0.0, restarts=2)(model, inputs, labels)
    kept = (one.inputs == two.inputs).flatten(1).all(1)
    assert torch.equal(kept, one.success)


def three_class_model() -> Linear:
    """Logits W x + b on two pixels: class 0 between two others, one near in each direction."""
    return Linear(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), torch.tensor([1.0, -2.5, -2.3]))


def test_targeted_pgd_finds_the_class_that_is_second_choice() -> None:
    """At x = (0.5, 0.3) logits are (1, -0.5, -1.1).

    With eps = 0.4 class 1 gets to 4 * 0.9 - 2.5 = 1.1 > 1, class 2 to 4 * 0.7 - 2.3 = 0.5 < 1.
    """
    model, inputs, labels = three_class_model(), torch.tensor([[[[0.5, 0.3]]]]), torch.tensor([0])
    found = TargetedPGD(epsilon=0.4, steps=20)(model, inputs, labels)
    assert found.logits.argmax(1).tolist() == [1]
    torch.testing.assert_close(found.inputs[0, 0, 0, 0], torch.tensor(0.9))


def test_targeted_pgd_tries_the_next_class_when_the_first_fails() -> None:
    """Class 1 leads among the false ones but cannot win within the box, class 2 can.

    At x = (0.9, 0.5) the logits are (1, 0.3, -0.1). Pixels end at 1: class 1 reaches 4 - 3.295 = 0.705 < 1 and pulls
    the second pixel down, so that class 2 cannot win by chance; class 2 reaches 4 - 2.1 = 1.9 > 1.
    """
    model = Linear(torch.tensor([[0.0, 0.0], [4.0, -0.01], [0.0, 4.0]]), torch.tensor([1.0, -3.295, -2.1]))
    inputs, labels = torch.tensor([[[[0.9, 0.5]]]]), torch.tensor([0])
    torch.testing.assert_close(model(inputs).detach(), torch.tensor([[1.0, 0.3, -0.1]]))
    one = TargetedPGD(epsilon=0.6, steps=20, targets=1)(model, inputs, labels)
    assert one.success.tolist() == [False]
    both = TargetedPGD(epsilon=0.6, steps=20)(model, inputs, labels)
    assert both.success.tolist() == [True]
    assert both.logits.argmax(1).tolist() == [2]
    torch.testing.assert_close(both.inputs[0, 0, 0, 1], torch.tensor(1.0))
    # there are two false classes: asking for more is asking for all of them
    many = TargetedPGD(epsilon=0.6, steps=20, targets=9)(model, inputs, labels)
    assert torch.equal(many.inputs, both.inputs)


def test_targeted_pgd_leaves_what_is_fooled_alone() -> None:
    """An image the model gets wrong already stays as it is."""
    model = three_class_model()
    inputs, labels = torch.tensor([[[[0.5, 0.3]]]]), torch.tensor([2])
    found = TargetedPGD(epsilon=0.2, steps=5)(model, inputs, labels)
    assert found.success.tolist() == [True]
    assert torch.equal(found.inputs, inputs)


# --- noise and steps -------------------------------------------------------------------------------------------------


def test_noise_is_uniform_in_the_ball(device: torch.device) -> None:
    model, _ = two_class_model()
    inputs = torch.full((2000, 3, 2, 2), 0.5, device=device)
    noise = UniformNoise(epsilon=0.2)(model.to(device), inputs, torch.zeros(2000, dtype=torch.int64, device=device))
    moved = (noise.inputs - 0.5).cpu().double().flatten()
    # 24,000 values: mean 0, standard deviation 0.2 / sqrt(3) = 0.1155, a tenth beyond 0.18
    assert abs(moved.mean().item()) < 0.004
    assert moved.std().item() == pytest.approx(0.2 / math.sqrt(3), rel=0.02)
    assert (moved.abs() > 0.18).double().mean().item() == pytest.approx(0.1, abs=0.01)


def test_sign_steps_climb_and_descend() -> None:
    model, w = two_class_model()
    inputs, labels = images(5), torch.ones(5, dtype=torch.int64)
    moves: list[Callable[..., Tensor]] = [torch.sub, torch.add]
    for ascend, move in zip((True, False), moves, strict=True):
        found = sign_steps(
            model, inputs, labels, epsilon=0.1, steps=3, step_size=0.03, objective=OBJECTIVES["ce"], ascend=ascend
        )
        # ascending makes class 1 less likely; three steps of 0.03 stay inside the budget
        torch.testing.assert_close(found, move(inputs, 0.09 * w.sign().reshape(3, 2, 2)).clamp(0, 1))


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (PGD, {"objective": "hinge"}, "unknown objective 'hinge': expected one of ce, dlr, margin, scaled_ce"),
        (PGD, {"steps": 0}, "expected steps >= 1, got 0"),
        (PGD, {"restarts": 0}, "expected restarts >= 1, got 0"),
        (BIM, {"steps": 0}, "expected steps >= 1, got 0"),
        (ILCM, {"steps": -1}, "expected steps >= 1, got -1"),
        (TargetedPGD, {"steps": 0}, "expected steps >= 1, got 0"),
        (TargetedPGD, {"targets": 0}, "expected targets >= 1, got 0"),
    ],
)
def test_bad_options(kind: Callable[..., Attack], options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        kind(**options)
    assert str(error.value) == text
