"""Losses against hand arithmetic, naive loops, finite differences, torch, their limits and their invariances."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from drs.catalog import PUBLISHED_WEIGHT
from drs.losses import (
    confidence_penalty,
    cross_entropy,
    drs_loss,
    drs_penalty,
    label_smoothing,
    logit_squeezing,
    rce_loss,
)
from tests.loss_cases import (
    Loss,
    batch,
    every_variant,
    gradient,
    naive_cross_entropy,
    naive_drs_penalty,
    naive_log_softmax,
)

# --- hand-computed numbers -------------------------------------------------------------------------------------------


def test_drs_by_hand(device: torch.device) -> None:
    # z = (2, 1, 0, 3), y = 0. False logits 1, 0, 3: mean 4/3, squares 1/9 + 16/9 + 25/9 = 42/9 = 14/3.
    # CE = log(e^0 + e^-1 + e^-2 + e^1) = log(1 + 0.36787944 + 0.13533528 + 2.71828183) = log(4.22149655) = 1.44018970
    # L = 1.44018970 + 0.64 * 4.66666667 = 4.42685636
    logits, target = torch.tensor([[2.0, 1.0, 0.0, 3.0]], device=device), torch.tensor([0], device=device)
    assert cross_entropy(logits, target).item() == pytest.approx(1.44018970, rel=1e-6)
    assert drs_penalty(logits, target).item() == pytest.approx(14 / 3, rel=1e-6)
    assert drs_loss(logits, target).item() == pytest.approx(4.42685636, rel=1e-6)
    # std over the three false classes: sqrt(14/9); the two largest, 3 and 1, lie 1 from their mean: 1 + 1 = 2
    assert drs_penalty(logits, target, spread="std").item() == pytest.approx(math.sqrt(14 / 9), rel=1e-6)
    assert drs_penalty(logits, target, top_k=2).item() == pytest.approx(2.0, rel=1e-6)
    assert drs_penalty(logits, target, top_k=2, spread="std").item() == pytest.approx(1.0, rel=1e-6)


def test_drs_on_probabilities_by_hand() -> None:
    # logits log(5, 3, 2) give p = (0.5, 0.3, 0.2); y = 0: false 0.3 and 0.2 lie 0.05 from 0.25, squares 2 * 0.0025
    logits, target = torch.tensor([[5.0, 3.0, 2.0]]).log(), torch.tensor([0])
    assert drs_penalty(logits, target, measure="probabilities").item() == pytest.approx(0.005, rel=1e-5)
    assert drs_loss(logits, target, measure="probabilities", penalty=2.0).item() == pytest.approx(
        math.log(2.0) + 0.01, rel=1e-6
    )


def test_rce_by_hand(device: torch.device) -> None:
    # p = (0.5, 0.3, 0.2), y = 0: -(log 0.3 + log 0.2) / 2 = -log(0.06) / 2 = 1.40670536
    logits, target = torch.tensor([[5.0, 3.0, 2.0]], device=device).log(), torch.tensor([0], device=device)
    assert rce_loss(logits, target).item() == pytest.approx(1.40670536, rel=1e-6)


def test_controls_by_hand() -> None:
    # p = (0.5, 0.25, 0.25), y = 1: CE = log 4; entropy = 0.5 log 2 + 0.5 log 4 = 1.5 log 2
    logits, target = torch.tensor([[2.0, 1.0, 1.0]]).log(), torch.tensor([1])
    assert confidence_penalty(logits, target, penalty=0.1).item() == pytest.approx(1.85 * math.log(2), rel=1e-6)
    # squared norm of (log 2, 0, 0): (log 2)^2
    expected = 2 * math.log(2) + 0.05 * math.log(2) ** 2
    assert logit_squeezing(logits, target, penalty=0.05).item() == pytest.approx(expected, rel=1e-6)
    # label smoothing 0.3: 0.1 on each, 0.8 on the true class: 0.1 log 2 + 0.8 log 4 + 0.1 log 4 = 1.9 log 2
    assert label_smoothing(logits, target, smoothing=0.3).item() == pytest.approx(1.9 * math.log(2), rel=1e-6)


def test_only_correct_penalises_right_answers_only() -> None:
    logits, target = torch.tensor([[9.0, 1.0, 0.0, 3.0], [2.0, 1.0, 0.0, 3.0]]), torch.tensor([0, 0])
    penalty = drs_loss(logits, target, penalty=1.0, only_correct=True, reduction="none") - cross_entropy(
        logits, target, reduction="none"
    )
    torch.testing.assert_close(penalty, torch.tensor([14 / 3, 0.0]))


# --- naive loops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (7, 3), (16, 10)])
def test_naive_loops(count: int, classes: int, device: torch.device) -> None:
    logits, target = batch(count, classes, seed=classes)
    drs, probabilities, rce, published_second = [], [], [], []
    for row, true in zip(logits.tolist(), target.tolist(), strict=True):
        values = naive_log_softmax(row)
        cost = naive_cross_entropy(row, true)
        drs.append(cost + 0.64 * naive_drs_penalty(values, true))
        probabilities.append(cost + 0.64 * naive_drs_penalty([math.exp(v) for v in values], true))
        rce.append(-sum(v for j, v in enumerate(values) if j != true) / (classes - 1))
        mean = sum(v for j, v in enumerate(values) if j != true) / classes
        second = sum((v - mean) ** 2 for j, v in enumerate(values) if j != true)
        published_second.append(cost + 0.64 * second)
    kind = torch.float32 if device.type == "mps" else torch.float64
    z, y = logits.to(device, kind), target.to(device)

    def check(found: Tensor, expected: list[float] | float) -> None:
        torch.testing.assert_close(found.cpu().double(), torch.tensor(expected).double(), rtol=1e-5, atol=1e-5)

    check(drs_loss(z, y, reduction="none"), drs)
    check(drs_loss(z, y), sum(drs) / count)
    check(drs_loss(z, y, measure="probabilities", reduction="none"), probabilities)
    check(drs_loss(z, y, count_true_class=True, reduction="none"), published_second)
    check(rce_loss(z, y, reduction="none"), rce)


# --- gradients -------------------------------------------------------------------------------------------------------


@every_variant
def test_gradients_against_finite_differences(function: Loss, options: dict[str, Any]) -> None:
    logits, target = batch(3, 5, seed=1, scale=1.0)
    logits.requires_grad_()
    target[0] = logits[0].argmax()  # so that only_correct has something to do
    for reduction in ("none", "mean"):

        def loss(z: Tensor, reduction: str = reduction) -> Tensor:
            return function(z, target, reduction=reduction, **options)

        assert torch.autograd.gradcheck(loss, (logits,))
        assert torch.autograd.gradgradcheck(loss, (logits,))


def test_rce_gradient_closed_form() -> None:
    logits, target = batch(6, 7)
    logits.requires_grad_()
    found = gradient(rce_loss(logits, target, reduction="sum"), logits)
    reverse = (1.0 - F.one_hot(target, 7)) / 6
    torch.testing.assert_close(found, torch.softmax(logits, 1).detach() - reverse.double())


def test_drs_gradient_closed_form() -> None:
    # d/dz_j of sum (z_i - mean)^2 is 2 (z_j - mean) for a false class, 0 for the true one
    logits, target = batch(6, 7)
    logits.requires_grad_()
    found = gradient(drs_penalty(logits, target).sum(), logits)
    false = F.one_hot(target, 7) == 0
    mean = (logits * false).sum(1, keepdim=True) / 6
    torch.testing.assert_close(found, (2 * (logits - mean) * false).detach())


def test_drs_penalty_forwards_and_twice() -> None:
    """Forward mode against finite differences; the second derivative is 2 (I - 1/(C - 1)) over the false classes."""
    logits, target = batch(1, 5)
    false = (F.one_hot(target[0], 5) == 0).double()
    assert torch.autograd.gradcheck(
        lambda z: drs_penalty(z, target), (logits.clone().requires_grad_(),), check_forward_ad=True
    )
    found = torch.autograd.functional.hessian(lambda z: drs_penalty(z.unsqueeze(0), target).sum(), logits[0])
    torch.testing.assert_close(found, 2 * (torch.diag(false) - torch.outer(false, false) / 4))


def test_std_has_a_finite_gradient_where_all_false_values_are_equal() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    found = gradient(drs_loss(logits, torch.tensor([0, 3]), spread="std"), logits)
    # what remains is cross-entropy's own gradient, (softmax - one-hot) / N
    expected = (torch.full((2, 4), 0.25) - F.one_hot(torch.tensor([0, 3]), 4)) / 2
    torch.testing.assert_close(found, expected)


# --- limits and relations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_weight_zero_is_exactly_cross_entropy(reduction: str, device: torch.device) -> None:
    for seed in range(20):
        logits, target = batch(1 + 13 * seed, 2 + seed, seed)
        z, y = logits.float().to(device), target.to(device)
        expected = F.cross_entropy(z, y, reduction=reduction)
        assert torch.equal(drs_loss(z, y, penalty=0.0, reduction=reduction), expected)  # type: ignore[arg-type]
        assert torch.equal(drs_loss(z, y, penalty=torch.zeros((), device=device), reduction=reduction), expected)  # type: ignore[arg-type]
        assert torch.equal(cross_entropy(z, y, reduction=reduction), expected)  # type: ignore[arg-type]
        assert torch.equal(label_smoothing(z, y, smoothing=0.0, reduction=reduction), expected)  # type: ignore[arg-type]


@every_variant
def test_shift_of_all_logits(function: Loss, options: dict[str, Any]) -> None:
    """A constant added to all logits of an example changes nothing, except for the squared norm of the logits."""
    logits, target = batch(9, 6)
    shifted = logits + torch.linspace(-5, 5, 9, dtype=torch.float64).unsqueeze(1)
    same = torch.allclose(function(logits, target, **options), function(shifted, target, **options), rtol=1e-9)
    assert same is (function is not logit_squeezing)


def test_counting_the_true_class_is_not_invariant_to_a_shift_of_the_values() -> None:
    """The authors' second version differs from the first by (C - 1) m^2 / C^2 summed over the batch, m the sum / C."""
    logits, target = batch(8, 10, scale=1.0)
    v = torch.log_softmax(logits, 1)

    def second(values: Tensor) -> Tensor:
        false = F.one_hot(target, 10) == 0
        centred = (values - (values * false).sum(1, keepdim=True) / 10) * false
        return centred.square().sum()

    first = drs_penalty(logits, target).sum()
    torch.testing.assert_close(drs_penalty(logits, target, count_true_class=True).sum(), second(v))
    for values in (v, logits, logits + 5.0):
        # with s the false sum and m = s / (C - 1) its mean: sum (v - s / C)^2 = sum (v - m)^2 + (C - 1) m^2 / C^2
        mean = values.scatter(1, target.unsqueeze(1), 0.0).sum(1) / 9
        torch.testing.assert_close(second(values), first + (9 * mean.square() / 100).sum())
    assert second(logits + 5.0) > second(logits) + 5.0
    torch.testing.assert_close(drs_penalty(logits + 5.0, target), drs_penalty(logits, target))
    # our function takes log-softmax first, which undoes a shift of the logits
    torch.testing.assert_close(
        drs_penalty(logits + 5.0, target, count_true_class=True), drs_penalty(logits, target, count_true_class=True)
    )


def test_counting_the_true_class_raises_false_log_probabilities() -> None:
    """The extra term is smallest where the mean false log-probability is 0, so a flatter network pays less."""
    confident, flat = torch.tensor([[9.0, 0.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    target = torch.tensor([0])
    assert drs_penalty(confident, target).item() == drs_penalty(flat, target).item() == 0.0
    # log-softmax of the false classes: -log(3 + e^9) = -9.000370, squared times 3/16 = 15.188749
    assert drs_penalty(confident, target, count_true_class=True).item() == pytest.approx(15.188749, rel=1e-5)
    assert drs_penalty(flat, target, count_true_class=True).item() == pytest.approx(
        3 / 16 * math.log(3 + math.e) ** 2, rel=1e-5
    )


def test_published_penalty_grows_with_the_batch_and_ours_does_not() -> None:
    logits, target = batch(128, 10)
    twice, labels = torch.cat([logits, logits]), torch.cat([target, target])
    plain = cross_entropy(logits, target)

    def published(z: Tensor, y: Tensor) -> Tensor:
        return drs_loss(z, y, penalty=0.005, batch_reduction="sum") - plain

    # written down from the formula: mean of CE plus 0.005 times the SUM over the batch
    torch.testing.assert_close(published(logits, target), 0.005 * drs_penalty(logits, target).sum())
    torch.testing.assert_close(published(twice, labels), 2 * published(logits, target))
    torch.testing.assert_close(drs_loss(twice, labels), drs_loss(logits, target))
    assert PUBLISHED_WEIGHT == 0.64
    torch.testing.assert_close(
        drs_loss(logits, target), drs_loss(logits, target, penalty=0.005, batch_reduction="sum"), rtol=1e-12, atol=0
    )


def test_published_penalty_counts_only_examples_that_are_not_ignored() -> None:
    logits, target = batch(12, 5)
    masked = target.clone()
    masked[::3] = -100
    kept = masked != -100
    torch.testing.assert_close(
        drs_loss(logits, masked, penalty=0.005, batch_reduction="sum"),
        drs_loss(logits[kept], target[kept], penalty=0.005, batch_reduction="sum"),
    )


def test_rce_minimum() -> None:
    """log(C - 1), reached where the true class has no probability and the others share it equally."""
    for classes in (2, 5, 10):
        logits = torch.zeros(1, classes, dtype=torch.float64)
        logits[0, 1] = -200.0
        assert rce_loss(logits, torch.tensor([1])).item() == pytest.approx(math.log(classes - 1), abs=1e-12)
        random, target = batch(200, classes)
        assert bool((rce_loss(random, target, reduction="none") >= math.log(classes - 1)).all())


def test_rce_is_cross_entropy_with_reverse_labels() -> None:
    logits, target = batch(11, 6)
    reverse = ((1 - F.one_hot(target, 6)) / 5).double()
    torch.testing.assert_close(rce_loss(logits, target), F.cross_entropy(logits, reverse))


def test_rce_is_the_limit_of_reverse_smoothing() -> None:
    """CE - lambda R_y^T log F over lambda tends to RCE; label smoothing is one such mixture."""
    logits, target = batch(11, 6)
    ce, rce = cross_entropy(logits, target), rce_loss(logits, target)
    # (1 - s) one_hot + s / C = (1 - s (C - 1) / C) one_hot + (s (C - 1) / C) R_y
    share = 0.3 * 5 / 6
    torch.testing.assert_close(label_smoothing(logits, target, smoothing=0.3), (1 - share) * ce + share * rce)
    # smoothing 1: (CE + (C - 1) RCE) / C
    torch.testing.assert_close(label_smoothing(logits, target, smoothing=1.0), (ce + 5 * rce) / 6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_label_smoothing_is_torchs(smoothing: float, reduction: Any) -> None:
    logits, target = batch(9, 4)
    target[2] = -100
    assert torch.equal(
        label_smoothing(logits, target, smoothing=smoothing, reduction=reduction),
        F.cross_entropy(logits, target, label_smoothing=smoothing, reduction=reduction),
    )


def test_controls_with_weight_zero_are_cross_entropy() -> None:
    logits, target = batch(9, 4)
    for function in (confidence_penalty, logit_squeezing):
        torch.testing.assert_close(function(logits, target, penalty=0.0), cross_entropy(logits, target))
