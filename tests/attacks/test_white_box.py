"""C&W-wb: a closed form in feature space, each fixed defect, and the real detector on real digits."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from drs.attacks import CarliniWagnerL2, WhiteBoxCarliniWagner, f2, margin
from drs.attacks.targets import TARGETS
from drs.attacks.white_box import _Evasion
from drs.detection import BANDWIDTH_CE, BANDWIDTH_RCE, KDensity
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.attacks.contract import Linear, assert_kept


@dataclass
class OneKernel:
    """A density with one kernel a class: log KD = -|z - centre|^2 / bandwidth, and eta as given."""

    centres: Tensor
    eta: Tensor
    bandwidth: float = 1.0
    bound: list[list[int]] = field(default_factory=list)

    def bind(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        self.bound.append(labels.tolist())
        centres = self.centres[labels]
        return lambda features: -(features - centres).square().sum(1) / self.bandwidth

    def median_negative_log_density(self) -> Tensor:
        return self.eta


def two_classes(kappa: float = 0.0, eta: float = 0.01) -> tuple[Linear, OneKernel, Tensor, Tensor, float]:
    """Features are four pixels; class 1 where their sum is above 2; its training data in a ball around 0.8.

    f2 <= 0 is a ball of radius sqrt(eta) around (0.8, 0.8, 0.8, 0.8), all of it on the right side of the plane, so the
    nearest adversarial image is on the ball: at the distance to its centre less its radius.
    """
    weight = torch.tensor([[-1.0] * 4, [1.0] * 4], dtype=torch.float64)
    model = Linear(weight, torch.tensor([2.0, -2.0]))
    centres = torch.tensor([[0.2] * 4, [0.8] * 4], dtype=torch.float64)
    inputs = torch.tensor([[0.3, 0.2, 0.4, 0.3], [0.25, 0.25, 0.1, 0.5]], dtype=torch.float64).reshape(2, 1, 2, 2)
    return model, OneKernel(centres, torch.tensor([eta, eta])), inputs, torch.tensor([0, 0]), math.sqrt(eta)


def attack_on(density: Any, **options: Any) -> WhiteBoxCarliniWagner:
    chosen: dict[str, Any] = {
        "search_steps": 5,
        "max_iterations": 200,
        "first_iterations": 40,
        "learning_rate": 0.03,
        "abort_early": False,
    } | options
    return WhiteBoxCarliniWagner(density=density, **chosen)


def test_distance_to_a_ball_of_density() -> None:
    model, density, inputs, labels, radius = two_classes()
    found = attack_on(density)(model, inputs, labels)
    expected = (inputs.flatten(1) - 0.8).norm(dim=1) - radius
    assert found.success.all()
    assert f2(density, found.inputs.flatten(1), torch.tensor([1, 1])).tolist() == [0.0, 0.0]
    torch.testing.assert_close(found.distances, expected, rtol=0.01, atol=0)
    plain = CarliniWagnerL2(learning_rate=0.03, search_steps=4, max_iterations=100)(model, inputs, labels)
    assert bool((f2(density, plain.inputs.flatten(1), torch.tensor([1, 1])) > 0.1).all())
    assert bool((plain.distances < 0.6 * found.distances).all())


def test_distances_are_measured_from_the_original() -> None:
    """The published second stage starts, and measures, at the first stage's image: here 2% off the shortest way."""
    model, density, _, labels, radius = two_classes(eta=0.09)
    inputs = torch.tensor([0.05, 0.05, 0.05, 0.9], dtype=torch.float64).reshape(1, 1, 2, 2)
    found = attack_on(density, first_iterations=200)(model, inputs, labels[:1])
    expected = (inputs.flatten(1) - 0.8).norm(dim=1) - radius
    torch.testing.assert_close(found.distances, expected, rtol=0.005, atol=0)


def test_distance_to_a_margin_inside_the_ball() -> None:
    """The margin, twice (sum - 2), is 2.4 at the centre and at most 2.4 + 4 r = 2.8; 2.5 cuts a cap off the ball."""
    model, density, inputs, labels, _ = two_classes()
    found = attack_on(density, confidence=2.5)(model, inputs, labels)
    assert found.success.all()
    assert margin(found.logits, torch.tensor([1, 1]), True).min().item() >= 2.5
    assert f2(density, found.inputs.flatten(1), torch.tensor([1, 1])).tolist() == [0.0, 0.0]
    assert found.inputs.flatten(1).sum(1).tolist() == pytest.approx([3.25, 3.25], rel=0.01)


def test_only_the_kernels_of_the_target_class_are_asked() -> None:
    model, density, inputs, labels, _ = two_classes()
    attack_on(density, search_steps=1, max_iterations=20)(model, inputs, labels)
    assert {label for bound in density.bound for label in bound} == {1}


def test_the_smallest_f2_where_none_reaches_zero() -> None:
    """A centre outside the range of pixels: the nearest corner is (1, 1, 1, 1), with f2 = 4 * 0.2^2 - eta."""
    model, density, inputs, labels, _ = two_classes()
    density.centres = torch.tensor([[0.2] * 4, [1.2] * 4], dtype=torch.float64)
    attack = attack_on(density, max_iterations=300, learning_rate=0.05, initial_const=100.0, search_steps=1)
    found = attack(model, inputs, labels)
    left = f2(density, found.inputs.flatten(1), torch.tensor([1, 1]))
    assert found.success.all()
    assert left.tolist() == pytest.approx([0.15, 0.15], abs=0.01)


def test_a_failure_is_the_unperturbed_image_and_no_success() -> None:
    _, density, inputs, labels, _ = two_classes()
    constant = Linear(torch.zeros(2, 4, dtype=torch.float64), torch.tensor([2.0, 0.0]))
    found = attack_on(density, search_steps=2, max_iterations=20)(constant, inputs, labels)
    assert torch.equal(found.inputs, inputs)
    assert found.success.tolist() == [False, False]


def test_no_iterations_is_the_identity() -> None:
    model, density, inputs, labels, _ = two_classes()
    found = attack_on(density, max_iterations=0, first_iterations=0)(model, inputs, labels)
    assert torch.equal(found.inputs, inputs)


def test_confidence_is_in_units_of_the_logits() -> None:
    """The published code compares softmax scores, which differ by at most one: kappa = 5 could never succeed."""
    model, density, inputs, labels, _ = two_classes(eta=0.2)
    with torch.no_grad():
        model.classifier.weight.mul_(5)
        model.classifier.bias.mul_(5)
    found = attack_on(density, confidence=5.0)(model, inputs, labels)
    assert found.success.all()
    assert margin(found.logits, torch.tensor([1, 1]), True).min().item() >= 5.0


# --- f2 and its gradient ---------------------------------------------------------------------------------------------


def test_f2_by_hand() -> None:
    density = OneKernel(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([1.0, 20.0]), bandwidth=0.5)
    features = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0]])
    # squared distances 1, 0.25, 25 over 0.5: 2 - 1; 0.5 - 1 is cut at 0; 50 - 20
    assert f2(density, features, torch.tensor([0, 0, 1])).tolist() == pytest.approx([1.0, 0.0, 30.0])


def test_f2_of_the_detector() -> None:
    """Against the formula, exp and mean in float64, where nothing underflows."""
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    labels = torch.arange(40) % 2
    density = KDensity(BANDWIDTH_CE).fit(train, labels)
    features = torch.randn(5, 3, generator=generator, dtype=torch.float64) * 2
    chosen = torch.tensor([0, 1, 1, 0, 1])

    def negative_log(z: Tensor, label: int) -> Tensor:
        return -(-(train[labels == label] - z).square().sum(1) / BANDWIDTH_CE).exp().mean().log()

    for z, label, value in zip(features, chosen.tolist(), f2(density, features, chosen).tolist()):
        eta = torch.stack([negative_log(x, label) for x in train[labels == label]]).quantile(0.5)
        assert value == pytest.approx(max(negative_log(z, label).item() - eta.item(), 0.0))


@pytest.mark.parametrize(("distance", "gradient"), [(5.5, 28.6), (7.0, 36.4)])
def test_the_gradient_does_not_underflow(distance: float, gradient: float) -> None:
    """At feature distances where exp(-d^2 / sigma^2) is zero: 2 d / sigma^2 with the bandwidth of RCE."""
    density = KDensity(BANDWIDTH_RCE).fit(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
    features = torch.tensor([[distance]], requires_grad=True)
    f2(density, features, torch.tensor([0])).sum().backward()
    assert features.grad is not None
    assert features.grad.item() == pytest.approx(gradient, rel=1e-3)


def test_gradient_of_the_problem(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    train, train_labels = digits.train.to_float()
    with torch.no_grad():
        density = KDensity(BANDWIDTH_CE).fit(trained.features(train), train_labels)
        target = TARGETS["random"](trained(inputs), labels, 0)
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0])
    eta = density.median_negative_log_density()[target]
    problem = _Evasion(trained, target, 1.0, density, eta, density.bind(target))
    penalty, violation, gradient = problem(inputs, weight)
    assert violation.tolist() == [math.inf] * 4
    leaf = inputs.clone().requires_grad_(True)
    missing = f2(density, trained.features(leaf), target)
    assert bool((missing > 0).all())
    expected = (1.0 - margin(trained(leaf), target, True)).clamp_min(0.0) + missing
    torch.testing.assert_close(penalty, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradient, torch.autograd.grad((weight * expected).sum(), leaf)[0])
    some = problem.select(torch.tensor([2, 0]))(inputs[[2, 0]], weight[[2, 0]])
    torch.testing.assert_close(some[0], penalty[[2, 0]])
    torch.testing.assert_close(some[2], gradient[[2, 0]])


# --- the real detector -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector(trained: Network, digits: Dataset) -> KDensity:
    images, labels = digits.train.to_float()
    with torch.no_grad():
        return KDensity(BANDWIDTH_CE).fit(trained.features(images), labels)


def test_evades_the_detector_where_plain_does_not(trained: Network, digits: Dataset, detector: KDensity) -> None:
    inputs, labels = digits.test.first(8).to_float()
    options: dict[str, Any] = {"learning_rate": 0.05, "search_steps": 3, "max_iterations": 60}
    plain = CarliniWagnerL2(**options)(trained, inputs, labels)
    found = WhiteBoxCarliniWagner(density=detector, first_iterations=40, **options)(trained, inputs, labels)
    goals = TARGETS["random"](trained(inputs), labels, 0)
    assert int((plain.success & found.success).sum()) >= 6
    missing = f2(detector, trained.features(plain.inputs), goals)[plain.success]
    assert (missing > 0).float().mean().item() > 0.8
    left = f2(detector, trained.features(found.inputs), goals)[found.success]
    assert (left > 0).float().mean().item() < 0.5
    assert left.mean().item() < 0.2 * missing.mean().item()
    assert found.distances[found.success].median().item() > plain.distances[plain.success].median().item()


def test_one_forward_pass_a_step(trained: Network, digits: Dataset, detector: KDensity) -> None:
    inputs, labels = digits.test.first(2).to_float()
    calls = 0

    def count(module: Any, arguments: Any, output: Any) -> None:
        nonlocal calls
        calls += 1

    attack = WhiteBoxCarliniWagner(
        density=detector, first_steps=1, first_iterations=5, search_steps=1, max_iterations=20, abort_early=False
    )
    handle = trained.get_submodule("body.0").register_forward_hook(count)
    try:
        attack(trained, inputs, labels)
    finally:
        handle.remove()
    # 5 and 20 steps; looks: front door, target, first start, second input and start, judgement, its target
    assert calls == 25 + 7


SHORT: dict[str, Any] = {
    "learning_rate": 0.1,
    "initial_const": 10.0,
    "first_steps": 1,
    "first_iterations": 40,
    "search_steps": 1,
    "max_iterations": 20,
}


def test_contract(trained: Network, digits: Dataset, detector: KDensity) -> None:
    attack = WhiteBoxCarliniWagner(density=detector, **SHORT)
    assert_kept(attack, trained, digits, torch.device("cpu"), random=True)


def test_on_every_device(trained: Network, digits: Dataset, detector: KDensity, device: torch.device) -> None:
    density = KDensity(BANDWIDTH_CE)
    density.examples = tuple(part.to(device) for part in detector.examples)
    inputs, labels = digits.test.first(6).to_float(device)
    found = WhiteBoxCarliniWagner(density=density, **SHORT)(copy.deepcopy(trained).to(device), inputs, labels)
    assert found.inputs.device.type == device.type
    assert int(found.success.sum()) >= 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"target": "untargeted"},
            "expected a target rule: C&W-wb needs the class whose density it is to reach",
        ),
        ({"first_steps": 0}, "expected first_steps >= 1 and first_iterations >= 0, got 0 and 500"),
        ({"confidence": math.nan}, "expected a finite confidence >= 0, got nan"),
    ],
)
def test_errors(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        WhiteBoxCarliniWagner(density=KDensity(1.0), **options)
    assert str(error.value) == text


def test_a_model_without_features() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    with pytest.raises(UsageError) as error:
        WhiteBoxCarliniWagner(density=KDensity(1.0))(model, torch.zeros(1, 1, 2, 2), torch.tensor([0]))
    assert str(error.value) == "expected a Network with features and head, got Sequential"


def test_a_detector_without_examples(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(1).to_float()
    attack = dataclasses.replace(WhiteBoxCarliniWagner(density=KDensity(1.0)), first_iterations=0)
    with pytest.raises(UsageError, match="no training examples yet"):
        attack(trained, inputs, labels)
