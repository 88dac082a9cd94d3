"""C&W in L2: closed forms, its penalty by formula, and adv-lib and foolbox on real digits."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor

from drs.attacks import CarliniWagnerL2, margin
from drs.attacks.carlini_wagner import MarginProblem, margin_penalty
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.attacks.contract import Linear, assert_kept

QUICK = CarliniWagnerL2(learning_rate=0.05, search_steps=3, max_iterations=60, target="untargeted")


def binary(dtype: torch.dtype = torch.float64) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """A two-class linear model, images in the middle of the range, labels as predicted, distances to the boundary."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 9, generator=generator, dtype=dtype)
    inputs = 0.5 + 0.05 * torch.randn(6, 1, 3, 3, generator=generator, dtype=dtype)
    model = Linear(weight, torch.tensor([0.3, -0.2], dtype=dtype))
    with torch.no_grad():
        logits = model(inputs)
    distances = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm()
    return model, inputs, logits.argmax(1), distances


# --- closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["untargeted", "random"])
def test_distance_to_a_plane(target: str) -> None:
    """Of two classes the target is the other one: both forms must find |margin| / |w0 - w1|."""
    model, inputs, labels, distances = binary()
    found = CarliniWagnerL2(search_steps=6, max_iterations=400, target=target)(model, inputs, labels)
    assert found.success.all()
    assert bool((found.distances >= distances * (1 - 1e-9)).all())
    torch.testing.assert_close(found.distances, distances, rtol=0.01, atol=1e-4)


def test_distance_to_a_margin() -> None:
    """With confidence kappa the plane moves by kappa / |w0 - w1|."""
    model, inputs, labels, distances = binary()
    attack = CarliniWagnerL2(confidence=0.3, search_steps=6, max_iterations=400, target="untargeted")
    found = attack(model, inputs, labels)
    length = (model.classifier.weight[0] - model.classifier.weight[1]).norm().item()
    assert found.success.all()
    assert margin(found.logits, labels).min().item() >= 0.3
    torch.testing.assert_close(found.distances, distances + 0.3 / length, rtol=0.01, atol=1e-4)


def test_all_false_logits_negative(trained: Network, digits: Dataset) -> None:
    """A constant added to all logits changes nothing: an attack that starts its maximum at zero would fail here."""

    class Shifted(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = trained(images) - 64.0
            return logits

    inputs, labels = digits.test.first(6).to_float()
    found, expected = QUICK(Shifted(), inputs, labels), QUICK(trained, inputs, labels)
    assert bool((found.logits < 0).all())
    assert found.success.all()
    torch.testing.assert_close(found.distances, expected.distances, rtol=0.05, atol=5e-3)


def test_a_failure_is_the_unperturbed_image_and_no_success() -> None:
    constant = Linear(torch.zeros(3, 4), torch.tensor([1.0, 0.0, -1.0]))
    inputs = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for attack in (QUICK, CarliniWagnerL2(max_iterations=10)):
        found = attack(constant, inputs, torch.tensor([0, 0]))
        assert torch.equal(found.inputs, inputs)
        assert found.success.tolist() == [False, False]
        assert found.distances.tolist() == [0.0, 0.0]


def test_an_image_already_adversarial_stays() -> None:
    model, inputs, labels, _ = binary()
    wrong = 1 - labels
    wrong[3:] = labels[3:]
    found = QUICK(model, inputs, wrong)
    assert torch.equal(found.inputs[:3], inputs[:3])
    assert found.success.all()
    assert bool((found.distances[3:] > 0).all())


def test_no_iterations_is_the_identity(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(3).to_float()
    found = dataclasses.replace(QUICK, max_iterations=0)(trained, inputs, labels)
    assert torch.equal(found.inputs, inputs)


def test_success_asks_for_the_confidence() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [1.0, 1.5, 0.0], [0.0, 2.0, 1.0], [1.0, 1.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 0])
    model, images = Linear(torch.zeros(3, 4), torch.tensor([0.0, -1.0, 0.0])), torch.zeros(4, 1, 2, 2)
    # margins of the largest false logit over the true one: -2, 0.5, 2, 0; a tie is no success
    for confidence, expected in [(0.0, [False, True, True, False]), (1.0, [False, False, True, False])]:
        attack = CarliniWagnerL2(confidence=confidence, target="untargeted")
        assert attack.succeeded(model, images, logits, labels).tolist() == expected
    # class 1 is the least likely: margins -2, 0.5, 1, 0
    for confidence, expected in [(0.0, [False, True, True, False]), (0.8, [False, False, True, False])]:
        attack = CarliniWagnerL2(confidence=confidence, target="least_likely")
        assert attack.goals(model, images, labels).tolist() == [1, 1, 1, 1]
        assert attack.succeeded(model, images, logits, labels).tolist() == expected


# --- the pieces ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targeted", [False, True])
def test_penalty_by_formula(targeted: bool) -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [1.0, 1.5, 0.0], [-7.0, -2.0, -3.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])
    leaf = logits.clone().requires_grad_(True)
    penalty, violation = margin_penalty(leaf, labels, targeted, 1.0)
    (direction,) = torch.autograd.grad(penalty.sum(), leaf)
    if targeted:  # margins 2, -0.5, 1
        assert penalty.tolist() == [0.0, 1.5, 0.0]
        assert violation.tolist() == [0.0, math.inf, math.inf]  # exactly on the margin is not beyond rounding
        assert direction.tolist() == [[0, 0, 0], [-1, 1, 0], [0, 0, 0]]
    else:  # margins -2, 0.5, -1
        assert penalty.tolist() == [3.0, 0.5, 2.0]
        assert violation.tolist() == [math.inf] * 3
        assert direction.tolist() == [[1, -1, 0], [1, -1, 0], [0, 1, -1]]


def test_nan_is_never_reached() -> None:
    _, violation = margin_penalty(torch.full((1, 3), math.nan), torch.tensor([0]), False, 0.0)
    assert violation.tolist() == [math.inf]


def test_gradient_of_the_problem(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0])
    penalty, _, gradient = MarginProblem(trained, labels, False, 30.0)(inputs, weight)
    leaf = inputs.clone().requires_grad_(True)
    expected = (30.0 - margin(trained(leaf), labels)).clamp_min(0.0)
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad((weight * expected).sum(), leaf)[0])


# --- libraries -------------------------------------------------------------------------------------------------------


def test_as_good_as_adv_lib_and_foolbox(trained: Network, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    import foolbox

    pytest.importorskip("adv_lib")
    visdom = types.ModuleType("visdom")
    monkeypatch.setitem(sys.modules, "visdom", visdom)
    from adv_lib.attacks.carlini_wagner import carlini_wagner_l2

    inputs, labels = digits.test.first(8).to_float()
    found = dataclasses.replace(QUICK, learning_rate=0.02, max_iterations=150)(trained, inputs, labels)
    assert found.success.all()
    reference = carlini_wagner_l2(
        trained, inputs, labels, learning_rate=0.02, initial_const=1.0, binary_search_steps=3, max_iterations=150
    )
    fool = foolbox.attacks.L2CarliniWagnerAttack(3, 150, 0.02, initial_const=1.0)
    other = fool.run(foolbox.PyTorchModel(trained, bounds=(0, 1)), inputs, foolbox.Misclassification(labels))
    for images in (reference, other):
        assert bool((trained(images).argmax(1) != labels).all())
        distances = (images - inputs).flatten(1).norm(dim=1)
        torch.testing.assert_close(found.distances, distances, rtol=0.1, atol=0.02)
        assert found.distances.median().item() == pytest.approx(distances.median().item(), rel=0.03)


# --- what every attack keeps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        dataclasses.replace(QUICK, search_steps=2),
        CarliniWagnerL2(learning_rate=0.1, search_steps=2, max_iterations=40, confidence=1.0),
    ],
    ids=repr,
)
def test_contract(attack: CarliniWagnerL2, trained: Network, digits: Dataset, device: torch.device) -> None:
    assert_kept(attack, trained, digits, device, random=attack.targeted)


def test_the_bar_is_shown_on_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    model, inputs, labels, _ = binary()
    attack = CarliniWagnerL2(search_steps=1, max_iterations=5, target="untargeted")
    attack(model, inputs, labels)
    assert capsys.readouterr().err == ""
    dataclasses.replace(attack, progress=True)(model, inputs, labels)
    assert "CarliniWagnerL2:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"confidence": -1.0}, "expected a finite confidence >= 0, got -1.0"),
        ({"initial_const": 0.0}, "expected initial_const in (0, 1e+10], got 0.0"),
        ({"learning_rate": 0.0}, "expected a finite learning_rate > 0, got 0.0"),
        (
            {"search_steps": 0},
            "expected search_steps >= 1 and max_iterations >= 0, got 0 and 1000",
        ),
        (
            {"target": "any"},
            "unknown target rule 'any': expected one of least_likely, random, untargeted",
        ),
    ],
)
def test_errors(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        CarliniWagnerL2(**options)
    assert str(error.value) == text


def test_random_targets_do_not_depend_on_the_size_of_the_batch() -> None:
    """One iteration leads nowhere: what is asked for shows in the targets that the rule is asked about."""
    asked: list[list[int]] = []

    class Noted(CarliniWagnerL2):
        def goals(self, model: torch.nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
            asked.append(super().goals(model, inputs, labels).tolist())
            return super().goals(model, inputs, labels)

    model, images = Linear(torch.zeros(10, 4), torch.zeros(10)), torch.full((12, 1, 2, 2), 0.5)
    labels = torch.arange(12) % 10
    attack = Noted(max_iterations=0, search_steps=1)
    found = {}
    for size in (12, 5, 1):
        asked.clear()
        attack(model, images, labels, batch_size=size)
        found[size] = [target for part in asked[::2] for target in part]  # each batch asks twice
    assert found[12] == found[5] == found[1]
    assert len(set(found[1])) > 3
    assert all(target != label for target, label in zip(found[1], labels.tolist()))
    assert torch.equal(attack.goals(model, images, labels), torch.tensor(found[12]))  # nothing is left behind
