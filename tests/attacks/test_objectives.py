"""What gradient attacks make larger: numbers and gradients by hand, and what they are for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import OBJECTIVES, PGD, margin
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network

# --- objectives ------------------------------------------------------------------------------------------------------


def test_objectives_by_hand() -> None:
    # z = (2, 1, -1, 4), y = 0: CE = log(1 + e^-1 + e^-3 + e^2); the largest false logit is 4: margin 2
    logits, labels = torch.tensor([[2.0, 1.0, -1.0, 4.0]]), torch.tensor([0])
    cost = math.log(1 + math.exp(-1) + math.exp(-3) + math.exp(2))
    assert OBJECTIVES["ce"](logits, labels).item() == pytest.approx(cost, rel=1e-6)
    assert OBJECTIVES["margin"](logits, labels).item() == 2.0
    # first minus third, 4 - 1 = 3
    assert OBJECTIVES["dlr"](logits, labels).item() == pytest.approx(2 / 3)
    # top two 4 and 2: all logits over 2
    scaled = math.log(1 + math.exp(-0.5) + math.exp(-1.5) + math.exp(1))
    assert OBJECTIVES["scaled_ce"](logits, labels).item() == pytest.approx(scaled, rel=1e-6)
    # a right answer has a negative margin: y = 3: 2 - 4
    assert OBJECTIVES["margin"](logits, torch.tensor([3])).item() == -2.0


def test_gradients_of_the_objectives() -> None:
    """Margin: +1 at the largest false logit, -1 at the true one; cross-entropy: softmax - one-hot, scaled or not."""
    logits, labels = torch.tensor([[2.0, 1.0, -1.0, 4.0]]), torch.tensor([0])

    def gradient(name: str) -> Tensor:
        z = logits.clone().requires_grad_()
        (found,) = torch.autograd.grad(OBJECTIVES[name](z, labels).sum(), z)
        return found

    torch.testing.assert_close(gradient("margin"), torch.tensor([[-1.0, 0.0, 0.0, 1.0]]))
    one_hot = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(gradient("ce"), logits.softmax(1) - one_hot)
    torch.testing.assert_close(gradient("scaled_ce"), ((logits / 2).softmax(1) - one_hot) / 2)
    # 2 / 3 with both parts moving: d(4 - 2) / 3 - 2 / 9 * d(4 - 1)
    torch.testing.assert_close(gradient("dlr"), torch.tensor([[-1 / 3, 2 / 9, 0.0, 1 / 3 - 2 / 9]]))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_one_value_an_image_and_finite_where_logits_are_equal(name: str) -> None:
    logits = torch.zeros(3, 5, requires_grad=True)
    values = OBJECTIVES[name](logits, torch.tensor([0, 1, 2]))
    assert values.shape == (3,)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert bool(values.isfinite().all())
    assert bool(gradient.isfinite().all())


def test_margin_towards_a_target() -> None:
    logits = torch.tensor([[2.0, 1.0, -1.0, 4.0], [0.0, 3.0, 1.0, 2.0]])
    assert margin(logits, torch.tensor([3, 2]), targeted=True).tolist() == [2.0, -2.0]  # 4 - 2, 1 - 3
    assert margin(logits, torch.tensor([3, 2])).tolist() == [-2.0, 2.0]


def test_dlr_needs_three_classes() -> None:
    with pytest.raises(UsageError) as error:
        OBJECTIVES["dlr"](torch.zeros(1, 2), torch.tensor([0]))
    assert str(error.value) == "expected at least 3 classes for the objective 'dlr', got 2: use 'margin'"


def test_scaling_undoes_saturation(trained: Network, digits: Dataset) -> None:
    """Logits 10,000 times as large: cross-entropy underflows, the scaled objective does not care."""

    class Saturated(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            logits: Tensor = trained(batch)
            return 1e4 * logits

    inputs, labels = digits.test.first(40).to_float()

    def accuracy(model: nn.Module, objective: str) -> float:
        attack = PGD(epsilon=0.06, steps=5, objective=objective, random_start=False)
        return attack(model, inputs, labels).robust_accuracy(labels)

    assert accuracy(Saturated(), "ce") > 0.8
    assert accuracy(Saturated(), "scaled_ce") == pytest.approx(accuracy(trained, "scaled_ce"), abs=0.051)
    assert accuracy(Saturated(), "scaled_ce") < 0.6
