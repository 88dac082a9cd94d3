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
from torch.utils._python_dispatch import TorchDispatchMode

from drs.attacks import BIM, FGSM, ILCM, PGD, Attack, TargetedPGD, UniformNoise
from drs.attacks.ascent import Keep, ascend, raising
from drs.attacks.objectives import OBJECTIVES, Objective, cross_entropy
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
        PGD(epsilon=0.1, steps=5, objective="scaled_ce", step_size=0.2, keep="last"),  # its value is flat here
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

    found = PGD(epsilon=0.05, steps=5, seed=7, keep="last")(trained, inputs, labels)
    assert agreement(found.inputs, walked(start)) > 0.999
    without = PGD(epsilon=0.05, steps=5, random_start=False, keep="last")(trained, inputs, labels)
    assert agreement(without.inputs, walked(inputs)) > 0.999


def test_step_size_is_used(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    small = PGD(epsilon=0.1, steps=1, step_size=0.01, random_start=False, keep="last")(trained, inputs, labels)
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
    the second pixel down, so that class 2 cannot win by chance; class 2 reaches 4 - 2.1 = 1.9 > 1. (The last iterate:
    the random start is an iterate too and may fool the model by chance.)
    """
    model = Linear(torch.tensor([[0.0, 0.0], [4.0, -0.01], [0.0, 4.0]]), torch.tensor([1.0, -3.295, -2.1]))
    inputs, labels = torch.tensor([[[[0.9, 0.5]]]]), torch.tensor([0])
    torch.testing.assert_close(model(inputs).detach(), torch.tensor([[1.0, 0.3, -0.1]]))
    one = TargetedPGD(epsilon=0.6, steps=20, targets=1, keep="last")(model, inputs, labels)
    assert one.success.tolist() == [False]
    both = TargetedPGD(epsilon=0.6, steps=20, keep="last")(model, inputs, labels)
    assert both.success.tolist() == [True]
    assert both.logits.argmax(1).tolist() == [2]
    torch.testing.assert_close(both.inputs[0, 0, 0, 1], torch.tensor(1.0))
    # there are two false classes: asking for more is asking for all of them
    many = TargetedPGD(epsilon=0.6, steps=20, targets=9, keep="last")(model, inputs, labels)
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


def test_steps_climb_and_descend() -> None:
    model, w = two_class_model()
    inputs, labels = images(5), torch.ones(5, dtype=torch.int64)
    objectives: list[Objective] = [cross_entropy, lambda logits, labels: -cross_entropy(logits, labels)]
    moves: list[Callable[..., Tensor]] = [torch.sub, torch.add]
    for objective, move in zip(objectives, moves, strict=True):
        look = raising(objective, model, labels)
        found = ascend(look, inputs, start=inputs, epsilon=0.1, alpha=0.03, steps=3, keep="last")
        # ascending makes class 1 less likely; three steps of 0.03 stay inside the budget
        torch.testing.assert_close(found, move(inputs, 0.09 * w.sign().reshape(3, 2, 2)).clamp(0, 1))


# --- foolbox's own attacks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.3])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (FGSM(), "LinfFastGradientAttack", {"random_start": False}),
        (BIM(steps=6), "LinfBasicIterativeAttack", {"rel_stepsize": 1 / 6, "steps": 6, "random_start": False}),
        (PGD(steps=6, seed=3, keep="last"), "LinfPGD", {"rel_stepsize": 2.5 / 6, "steps": 6, "random_start": True}),
        (
            PGD(steps=6, random_start=False, step_size=0.02, keep="last"),
            "LinfPGD",
            {"abs_stepsize": 0.02, "steps": 6, "random_start": False},
        ),
    ],
    ids=["FGSM", "BIM", "PGD", "PGD from the image"],
)
def test_equals_foolbox(
    ours: Attack, theirs: str, options: dict[str, Any], epsilon: float, trained: Network, digits: Dataset
) -> None:
    """The same steps from the same random start: every iterate, and so the last one, is the same to a rounding."""
    import foolbox

    inputs, labels = digits.test.first(24).to_float()
    attack = getattr(foolbox.attacks, theirs)(**options)
    with torch.random.fork_rng():
        torch.manual_seed(ours.seed)
        wrapped = foolbox.PyTorchModel(trained, bounds=(0, 1))
        expected = attack.run(wrapped, inputs, foolbox.Misclassification(labels), epsilon=epsilon)
    found = dataclasses.replace(ours, epsilon=epsilon)(trained, inputs, labels)  # type: ignore[call-arg]
    torch.testing.assert_close(found.inputs, expected, rtol=0, atol=1e-6)


# --- the best iterate ------------------------------------------------------------------------------------------------


class Valley(nn.Module):
    """Margin of class 1 over class 0: height - |pixel - 0.6|, above 0 only near 0.6: large steps jump over it."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.height = height

    def forward(self, batch: Tensor) -> Tensor:
        top = self.height - (batch.flatten(1)[:, 0] - 0.6).abs()
        return torch.stack([torch.zeros_like(top), top], dim=1)


@pytest.mark.parametrize("objective", ["ce", "margin"])
def test_the_best_iterate_of_an_attack_that_overshoots(objective: str) -> None:
    """From 0.5 in steps of 0.08: 0.58, then 0.66, 0.58, 0.66. Only 0.58 is within 0.03 of 0.6."""
    inputs, labels = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    attack = PGD(epsilon=0.2, steps=4, step_size=0.08, random_start=False, objective=objective)
    best, last = (dataclasses.replace(attack, keep=keep)(Valley(0.03), inputs, labels) for keep in ("best", "last"))
    assert best.inputs.item() == pytest.approx(0.58)
    assert best.success.tolist() == [True]
    assert last.inputs.item() == pytest.approx(0.66)
    assert last.success.tolist() == [False]
    # where none fools, the largest objective: 0.58 is nearer to 0.6 than 0.5 and 0.66
    assert attack(Valley(-0.1), inputs, labels).inputs.item() == pytest.approx(0.58)


def test_the_start_and_the_end_are_iterates() -> None:
    """From 0.6, the top, every step leads down; one step of 0.08 from 0.52 ends on the top."""
    attack = PGD(epsilon=0.2, steps=1, step_size=0.08, random_start=False, objective="margin")
    labels = torch.tensor([0])
    for start in (0.6, 0.52):
        found = attack(Valley(-0.5), torch.full((1, 1, 1, 1), start), labels)
        assert found.inputs.item() == pytest.approx(0.6)


def test_fooling_comes_before_the_objective() -> None:
    """Iterates 0.5, 0.6, 0.7 and 0.8; the last one has the largest value but does not fool the model."""
    values, fooled = torch.tensor([1.0, 3.0, 2.0, 5.0]), torch.tensor([False, True, True, False])
    step = iter(range(4))

    def look(image: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
        now = next(step)
        return fooled[now : now + 1], values[now : now + 1], lambda: torch.ones_like(image)

    x = torch.full((1, 1, 1, 1), 0.5)
    found = ascend(look, x, start=x, epsilon=0.4, alpha=0.1, steps=3, keep="best")
    assert found.item() == pytest.approx(0.6)  # the second iterate: fools, and its value 3 is above the third's 2


@pytest.mark.parametrize("objective", ["ce", "scaled_ce", "margin", "dlr"])
@pytest.mark.parametrize("epsilon", [0.02, 0.06])
def test_the_best_iterate_is_never_weaker(objective: str, epsilon: float, trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.to_float()
    attack = PGD(epsilon=epsilon, steps=4, objective=objective, seed=1)
    best, last = attack(trained, inputs, labels), dataclasses.replace(attack, keep="last")(trained, inputs, labels)
    assert bool((best.success | ~last.success).all())
    both = best.success == last.success
    higher = OBJECTIVES[objective](best.logits, labels) - OBJECTIVES[objective](last.logits, labels)
    assert higher[both].min().item() >= -1e-4
    towards = TargetedPGD(epsilon=epsilon, steps=4, targets=1)
    best, last = towards(trained, inputs, labels), dataclasses.replace(towards, keep="last")(trained, inputs, labels)
    assert bool((best.success | ~last.success).all())


class Waits(TorchDispatchMode):
    """Counts operations for which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_loop_never_waits_for_the_device(keep: Keep) -> None:
    model, _ = two_class_model()
    inputs, labels = images(5), torch.zeros(5, dtype=torch.int64)
    with Waits() as waits:
        look = raising(cross_entropy, model, labels)
        ascend(look, inputs, start=inputs, epsilon=0.1, alpha=0.03, steps=5, keep=keep)
    assert waits.count == 0


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (PGD, {"objective": "hinge"}, "unknown objective 'hinge': expected one of ce, dlr, margin, scaled_ce"),
        (PGD, {"steps": 0}, "expected steps >= 1, got 0"),
        (PGD, {"restarts": 0}, "expected restarts >= 1, got 0"),
        (BIM, {"steps": 0}, "expected steps >= 1, got 0"),
        (ILCM, {"steps": -1}, "expected steps >= 1, got -1"),
        (PGD, {"keep": "first"}, "unknown iterate to keep 'first': expected one of best, last"),
        (TargetedPGD, {"keep": "all"}, "unknown iterate to keep 'all': expected one of best, last"),
        (TargetedPGD, {"steps": 0}, "expected steps >= 1, got 0"),
        (TargetedPGD, {"targets": 0}, "expected targets >= 1, got 0"),
    ],
)
def test_bad_options(kind: Callable[..., Attack], options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        kind(**options)
    assert str(error.value) == text
