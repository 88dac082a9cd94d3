"""DDN and DeepFool: distances to a plane, foolbox itself, and what it returns when it fails."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from drs.attacks import DDN, DeepFool
from drs.attacks.minimal import run_foolbox
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.attacks.contract import Linear, assert_kept

ATTACKS: list[Any] = [DDN(steps=40), DeepFool(steps=40)]
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=repr)


@every_attack
def test_distance_to_a_plane(attack: Any) -> None:
    """|margin| / |w0 - w1| from images in the middle of the range."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    model = Linear(weight, torch.tensor([0.3, -0.2], dtype=torch.float64))
    inputs = 0.5 + 0.05 * torch.randn(6, 1, 3, 3, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        logits = model(inputs)
    expected = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm()
    found = type(attack)(steps=200)(model, inputs, logits.argmax(1))
    assert found.success.all()
    assert bool((found.distances >= expected).all())
    torch.testing.assert_close(found.distances, expected, rtol=0.03, atol=0)


@every_attack
def test_equals_foolbox_where_it_succeeds(attack: Any, trained: Network, digits: Dataset) -> None:
    import foolbox

    inputs, labels = digits.test.first(8).to_float()
    reference = {
        "DDN": foolbox.attacks.DDNAttack(init_epsilon=1.0, steps=40, gamma=0.05),
        "DeepFool": foolbox.attacks.L2DeepFoolAttack(steps=40, overshoot=0.02, candidates=None),
    }[type(attack).__name__]
    wrapped = foolbox.PyTorchModel(trained, bounds=(0, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = reference.run(wrapped, inputs, foolbox.Misclassification(labels)).clamp(0, 1)
    found = attack(trained, inputs, labels)
    fooled = trained(expected).argmax(1) != labels
    assert int(fooled.sum()) >= 6
    assert torch.equal(found.success, fooled)
    torch.testing.assert_close(found.inputs[fooled], expected[fooled])


def test_distances_agree_with_each_other(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(8).to_float()
    ddn, deepfool = DDN(steps=100)(trained, inputs, labels), DeepFool(steps=40)(trained, inputs, labels)
    assert ddn.success.all()
    both = deepfool.success & (deepfool.distances > 0)
    assert int(both.sum()) >= 5
    assert 0.75 < (ddn.distances / deepfool.distances)[both].median().item() < 1.02


@every_attack
def test_a_failure_is_the_unperturbed_image(attack: Any) -> None:
    """No gradient anywhere: DDN divides by zero, DeepFool goes nowhere."""
    constant = Linear(torch.zeros(3, 4), torch.tensor([1.0, 0.0, -1.0]))
    inputs = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = attack(constant, inputs, torch.tensor([0, 0]))
    assert torch.equal(found.inputs, inputs)
    assert found.success.tolist() == [False, False]


def test_an_image_moved_in_vain_comes_back(trained: Network, digits: Dataset) -> None:
    """After one step of DeepFool most digits are elsewhere, but still classified right."""
    import foolbox

    inputs, labels = digits.test.first(8).to_float()
    criterion = foolbox.Misclassification(labels)
    moved = run_foolbox(foolbox.attacks.L2DeepFoolAttack(steps=1, candidates=None), trained, inputs, criterion)
    found = DeepFool(steps=1)(trained, inputs, labels)
    failed = ~found.success
    assert int((moved[failed] != inputs[failed]).flatten(1).any(dim=1).sum()) >= 2
    assert torch.equal(found.inputs[failed], inputs[failed])
    assert torch.equal(found.inputs[~failed], moved[~failed])


def test_images_with_nan_are_the_unperturbed_ones() -> None:
    class Broken:
        def run(self, model: Any, inputs: torch.Tensor, criterion: Any) -> torch.Tensor:
            moved = inputs + 2.0
            moved[0, 0, 0, 0] = torch.nan
            return moved

    model, inputs = Linear(torch.zeros(2, 4), torch.zeros(2)), torch.full((2, 1, 2, 2), 0.25)
    found = run_foolbox(Broken(), model, inputs, None)
    assert torch.equal(found, torch.stack([inputs[0], torch.ones(1, 2, 2)]))


@every_attack
def test_an_image_already_misclassified_stays(attack: Any, trained: Network, digits: Dataset) -> None:
    inputs, _ = digits.test.first(4).to_float()
    wrong = (trained(inputs).argmax(1) + 1) % 10
    found = attack(trained, inputs, wrong)
    assert found.success.all()
    assert torch.equal(found.inputs, inputs)


@every_attack
def test_contract(attack: Any, trained: Network, digits: Dataset, device: torch.device) -> None:
    assert_kept(attack, trained, digits, device, random=False)


@every_attack
def test_errors(attack: Any) -> None:
    with pytest.raises(UsageError) as error:
        type(attack)(steps=0)
    assert str(error.value) == "expected steps >= 1, got 0"


@pytest.mark.parametrize("attack", [DDN(steps=3), DeepFool(steps=2)])
def test_parameters_behind_a_function_get_no_gradient(attack: Any, digits: Dataset) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    images, labels = digits.test.first(4).to_float()
    plain, hidden = attack(network, images, labels), attack(lambda x: network(x), images, labels)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(plain.inputs, hidden.inputs)
