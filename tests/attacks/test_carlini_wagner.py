"""C&W in L2: closed forms, its search step by step, and adv-lib and foolbox on real digits."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from drs.attacks import CarliniWagnerL2, WarmStartCarliniWagnerL2
from drs.attacks.carlini_wagner import MarginProblem, margin, margin_penalty
from drs.attacks.descent import Search, smallest, to_tanh_space
from drs.attacks.minimal import DDN
from drs.datasets import Dataset
from drs.errors import UsageError
from drs.models import Network
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
@pytest.mark.parametrize("kind", [CarliniWagnerL2, WarmStartCarliniWagnerL2])
def test_distance_to_a_plane(kind: type[CarliniWagnerL2], target: str) -> None:
    """Of two classes the target is the other one: every form must find |margin| / |w0 - w1|."""
    model, inputs, labels, distances = binary()
    found = kind(search_steps=6, max_iterations=400, target=target)(model, inputs, labels)
    assert found.success.all()
    assert bool((found.distances >= distances * (1 - 1e-9)).all())
    torch.testing.assert_close(found.distances, distances, rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("kind", [CarliniWagnerL2, WarmStartCarliniWagnerL2])
def test_distance_to_a_margin(kind: type[CarliniWagnerL2]) -> None:
    """With confidence kappa the plane moves by kappa / |w0 - w1|."""
    model, inputs, labels, distances = binary()
    found = kind(confidence=0.3, search_steps=6, max_iterations=400, target="untargeted")(model, inputs, labels)
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
    for attack in (QUICK, WarmStartCarliniWagnerL2(max_iterations=10), CarliniWagnerL2(max_iterations=10)):
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
    penalty, violation, direction = margin_penalty(logits, labels, targeted, 1.0)
    if targeted:  # margins 2, -0.5, 1
        assert penalty.tolist() == [0.0, 1.5, 0.0]
        assert violation.tolist() == [0.0, math.inf, math.inf]  # exactly on the margin is not beyond rounding
        assert direction.tolist() == [[0, 0, 0], [-1, 1, 0], [0, 0, 0]]
    else:  # margins -2, 0.5, -1
        assert penalty.tolist() == [3.0, 0.5, 2.0]
        assert violation.tolist() == [math.inf] * 3
        assert direction.tolist() == [[1, -1, 0], [1, -1, 0], [0, 1, -1]]
    leaf = logits.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((1.0 - margin(leaf, labels, targeted)).clamp_min(0).sum(), leaf)
    inside = penalty > 0
    assert torch.equal(gradient[inside], direction[inside])


def test_nan_is_never_reached() -> None:
    _, violation, _ = margin_penalty(torch.full((1, 3), math.nan), torch.tensor([0]), False, 0.0)
    assert violation.tolist() == [math.inf]


def test_gradient_of_the_problem(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0])
    penalty, _, gradient = MarginProblem(trained, labels, False, 30.0)(inputs, weight)
    leaf = inputs.clone().requires_grad_(True)
    expected = (30.0 - margin(trained(leaf), labels)).clamp_min(0.0)
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad((weight * expected).sum(), leaf)[0])


@dataclass(frozen=True)
class Threshold:
    """Reached wherever c is at least ``needed``; the gradient is zero, so images stay where they are."""

    needed: Tensor
    asked: list[list[float]] = field(default_factory=list)

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.asked.append(weight.tolist())
        violation = torch.zeros_like(weight).where(weight >= self.needed, torch.inf)
        return torch.ones_like(weight), violation, torch.zeros_like(images)

    def select(self, rows: Tensor) -> Threshold:
        return Threshold(self.needed[rows], self.asked)


def test_binary_search_by_hand() -> None:
    problem = Threshold(torch.tensor([30.0, 1.5, 1e12]))
    smallest(
        problem,
        torch.full((3, 1, 1, 1), 0.5),
        const=2.0,
        search=Search(search_steps=5, max_iterations=1, abort_early=False),
    )
    # times ten until reached, then halfway between; the first look, with weight 1, is at the inputs
    assert problem.asked[0] == [1.0, 1.0, 1.0]
    assert [row[0] for row in problem.asked[1:]] == [2.0, 20.0, 200.0, 110.0, 65.0]
    assert [row[1] for row in problem.asked[1:]] == [2.0, 1.0, 1.5, 1.25, 1.375]
    assert [row[2] for row in problem.asked[1:]] == [2.0, 20.0, 200.0, 2000.0, 20000.0]


@dataclass(frozen=True)
class Quadratic:
    """Penalty (sum of pixels - 1)^2, never reached; keeps the images it was asked about."""

    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.seen.append(images.clone())
        short = images.flatten(1).sum(1) - 1.0
        gradient = (2 * short * weight).reshape(-1, 1, 1, 1).expand_as(images)
        return short.square(), torch.full_like(weight, torch.inf), gradient

    def select(self, rows: Tensor) -> Quadratic:
        return self


def test_steps_are_those_of_adam_in_tanh_space() -> None:
    inputs = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = Quadratic()
    search = Search(learning_rate=0.05, search_steps=1, max_iterations=30, abort_early=False)
    images, violation = smallest(problem, inputs, const=0.7, search=search)
    assert torch.equal(images, inputs)
    assert bool((violation == torch.inf).all())
    position = to_tanh_space(inputs).requires_grad_(True)
    adam = torch.optim.Adam([position], lr=0.05)
    for seen in problem.seen[1:]:
        moved = (position.tanh() + 1) / 2
        torch.testing.assert_close(seen, moved, rtol=1e-6, atol=1e-9)
        adam.zero_grad()
        loss = (moved - inputs).square().sum() + 0.7 * (moved.flatten(1).sum(1) - 1).square().sum()
        loss.backward()
        adam.step()
    assert len(problem.seen) == 31


def test_tanh_space_holds_the_whole_range() -> None:
    images = torch.tensor([0.0, 0.25, 0.5, 1.0])
    torch.testing.assert_close((to_tanh_space(images).tanh() + 1) / 2, images, rtol=0, atol=1e-6)


def test_annealing_and_aborting_of_each_descent() -> None:
    search = Search(learning_rate=0.1, search_steps=3, max_iterations=100, anneal=True)
    rates = [[search.at(number).rate(i) for i in (0, 50, 100)] for number in range(3)]
    assert rates[0] == rates[1] == [0.1, 0.1, 0.1]
    assert rates[2] == pytest.approx([0.1, 0.0505, 0.001])
    assert [search.at(number).abort_early for number in range(3)] == [True, True, False]
    assert Search().at(8) == Search()


def test_images_do_not_influence_each_other() -> None:
    """Images leave the batch one by one; each must end where it ends alone."""
    model, inputs, labels, _ = binary()
    attack = CarliniWagnerL2(search_steps=4, max_iterations=60, target="untargeted")
    together = attack(model, inputs, labels).inputs
    for row in range(len(inputs)):
        alone = attack(model, inputs[row : row + 1], labels[row : row + 1]).inputs
        torch.testing.assert_close(alone[0], together[row], rtol=1e-9, atol=1e-9)


def test_finished_images_leave_the_batch(trained: Network, digits: Dataset) -> None:
    """Of the 3 x 100 passes of each image only those are taken in which it still improves."""
    inputs, labels = digits.test.first(6).to_float()
    passes = 0

    def count(module: Any, arguments: tuple[Tensor], output: Tensor) -> None:
        nonlocal passes
        passes += len(arguments[0])

    handle = trained.classifier.register_forward_hook(count)
    try:
        full = dataclasses.replace(QUICK, max_iterations=100, abort_early=False)
        kept = full(trained, inputs, labels)
        waiting = int((kept.distances > 0).sum())
        assert passes == waiting * 300 + 3 * len(inputs)  # and three looks: front door, start, judgement
        passes = 0
        dropped = dataclasses.replace(full, abort_early=True)(trained, inputs, labels)
        assert passes < 0.97 * waiting * 300
    finally:
        handle.remove()
    assert torch.equal(dropped.success, kept.success)
    torch.testing.assert_close(dropped.distances.median(), kept.distances.median(), rtol=0.03, atol=0)


class Waits(TorchDispatchMode):
    """Counts operations for which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.count += 1
        return function(*args, **(kwargs or {}))


def test_the_device_is_waited_for_seldom(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    with Waits() as waits:
        dataclasses.replace(QUICK, search_steps=2, max_iterations=100)(trained, inputs, labels)
    assert 10 < waits.count < 60  # ten looks a descent and those of the front door; one at every step would make 200


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


def test_the_warm_start_is_never_farther_than_ddn(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    start = DDN(steps=50)(trained, inputs, labels)
    attack = WarmStartCarliniWagnerL2(target="untargeted", ddn_steps=50, search_steps=2, max_iterations=60)
    found = attack(trained, inputs, labels)
    assert found.success.all()
    assert bool((found.distances <= start.distances * (1 + 1e-5)).all())
    assert bool((found.distances < start.distances * 0.99).any())
    assert found.distances.median().item() < QUICK(trained, inputs, labels).distances.median().item() * 1.01


def test_the_warm_start_asks_for_the_target(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    attack = WarmStartCarliniWagnerL2(target="least_likely", confidence=2.0, learning_rate=0.03, max_iterations=80)
    found = attack(trained, inputs, labels)
    goals = trained(inputs).scatter(1, labels.unsqueeze(1), torch.inf).argmin(1)
    assert int(found.success.sum()) >= 7
    assert bool((margin(found.logits, goals, True)[found.success] >= 2.0).all())


# --- what every attack keeps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        dataclasses.replace(QUICK, search_steps=2),
        CarliniWagnerL2(learning_rate=0.1, search_steps=2, max_iterations=40, confidence=1.0),
        WarmStartCarliniWagnerL2(search_steps=2, max_iterations=30, ddn_steps=30),
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
    ("kind", "options", "text"),
    [
        (CarliniWagnerL2, {"confidence": -1.0}, "expected a finite confidence >= 0, got -1.0"),
        (CarliniWagnerL2, {"initial_const": 0.0}, "expected initial_const in (0, 1e+10], got 0.0"),
        (CarliniWagnerL2, {"learning_rate": 0.0}, "expected a finite learning_rate > 0, got 0.0"),
        (
            CarliniWagnerL2,
            {"search_steps": 0},
            "expected search_steps >= 1 and max_iterations >= 0, got 0 and 1000",
        ),
        (
            CarliniWagnerL2,
            {"target": "any"},
            "unknown target rule 'any': expected one of least_likely, random, untargeted",
        ),
        (
            WarmStartCarliniWagnerL2,
            {"const_factor": 1.0},
            "expected ddn_steps >= 1 and const_factor > 1, got 100 and 1.0",
        ),
    ],
)
def test_errors(kind: type[CarliniWagnerL2], options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        kind(**options)
    assert str(error.value) == text
