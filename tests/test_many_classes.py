"""The sum of squares for many classes against the plain formula: values, and derivatives of every kind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from drs import spread
from drs._many_classes import MANY, sum_of_squares
from drs.losses import drs_loss
from drs.spread import centred_false_values, false_class_squares
from tests.loss_cases import batch, gradient


def plain(values: Tensor, target: Tensor) -> Tensor:
    return centred_false_values(values, target).square().sum(dim=1)


def test_values_and_gradient_are_those_of_the_plain_formula(device: torch.device) -> None:
    logits, target = batch(5, 2 * MANY)
    kind = torch.float32 if device.type == "mps" else torch.float64
    z, y = logits.to(device, kind).requires_grad_(), target.to(device)
    weights = torch.arange(1.0, 6.0, device=device, dtype=kind)  # each example has a gradient of its own
    torch.testing.assert_close(sum_of_squares(z, y), plain(z, y))
    found = gradient((weights * sum_of_squares(z, y)).sum(), z)
    torch.testing.assert_close(found, gradient((weights * plain(z, y)).sum(), z))


def test_by_hand() -> None:
    # false values 1, 0, 3 with mean 4/3: the squares are 1/9, 16/9, 25/9, the gradient twice the deviations
    logits = torch.tensor([[1e8, 1.0, 0.0, 3.0]], requires_grad=True)  # a large true logit costs no precision
    squares = sum_of_squares(logits, torch.tensor([0]))
    assert squares.item() == pytest.approx(42 / 9, rel=1e-6)
    torch.testing.assert_close(gradient(squares.sum(), logits), torch.tensor([[0.0, -2 / 3, -8 / 3, 10 / 3]]))


def test_derivatives_backwards_forwards_and_twice() -> None:
    logits, target = batch(3, 5, scale=1.0)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: sum_of_squares(z, target), (logits,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda z: sum_of_squares(z, target), (logits,))
    found = torch.autograd.functional.hessian(lambda z: sum_of_squares(z.unsqueeze(0), target[:1]).sum(), logits[0])
    false = (F.one_hot(target[0], 5) == 0).double()
    torch.testing.assert_close(found, 2 * (torch.diag(false) - torch.outer(false, false) / 4))


def test_gradient_where_there_is_no_spread() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    assert bool((gradient(sum_of_squares(logits, torch.tensor([0, 3])).sum(), logits) == 0.0).all())


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_the_loss_of_many_classes_by_torch_func() -> None:
    logits, target = batch(3, MANY)

    def alone(z: Tensor, y: Tensor) -> Tensor:
        return drs_loss(z.unsqueeze(0), y.unsqueeze(0))

    found = torch.func.vmap(torch.func.grad(alone))(logits, target)
    whole = logits.clone().requires_grad_()
    torch.testing.assert_close(found, gradient(drs_loss(whole, target, reduction="sum"), whole))
    tangent = torch.ones_like(logits).scatter(1, target.unsqueeze(1), 0.0)
    tangent[:, ::2] = 0.0
    slope = torch.func.jvp(lambda z: drs_loss(z, target), (logits,), (tangent,))[1]
    torch.testing.assert_close(slope, (gradient(drs_loss(whole, target), whole) * tangent).sum())


@pytest.mark.parametrize(("classes", "fast"), [(MANY - 1, False), (MANY, True)])
def test_it_is_used_from_that_many_classes(classes: int, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(values: Tensor, target: Tensor) -> Tensor:
        calls.append(values.shape)
        return sum_of_squares(values, target)

    monkeypatch.setattr(spread, "sum_of_squares", spy)
    logits, target = batch(2, classes)
    torch.testing.assert_close(false_class_squares(logits, target), plain(logits, target))
    assert bool(calls) is fast
