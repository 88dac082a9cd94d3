"""Measures of the false classes against hand arithmetic, naive loops, bounds and relations."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drs.errors import UsageError
from drs.losses import drs_penalty
from drs.spread import centred_false_values, false_class_entropy, false_class_std, false_class_variance

Function = Callable[..., Tensor]
every_function = pytest.mark.parametrize("function", [false_class_std, false_class_variance, false_class_entropy])


def batch(count: int, classes: int, seed: int = 0, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (count,), generator=generator)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


# --- hand-computed numbers -------------------------------------------------------------------------------------------


def test_variance_and_std_by_hand(device: torch.device) -> None:
    # z = (2, 1, 0, 3), y = 0: false 1, 0, 3 with mean 4/3; squares 1/9, 16/9, 25/9; sum 42/9, over 3: 14/9
    logits, target = torch.tensor([[2.0, 1.0, 0.0, 3.0]], device=device), torch.tensor([0], device=device)
    assert false_class_variance(logits, target).item() == pytest.approx(14 / 9, rel=1e-6)
    assert false_class_std(logits, target).item() == pytest.approx(math.sqrt(14) / 3, rel=1e-6)
    # p = (0.5, 0.3, 0.2), y = 0: false 0.3 and 0.2 lie 0.05 from their mean
    logits = torch.tensor([[0.5, 0.3, 0.2]], device=device).log()
    assert false_class_variance(logits, target, measure="probabilities").item() == pytest.approx(0.0025, rel=1e-4)
    assert false_class_std(logits, target, measure="probabilities").item() == pytest.approx(0.05, rel=1e-4)


def test_entropy_by_hand(device: torch.device) -> None:
    # p = (0.5, 0.25, 0.125, 0.125), y = 0. Renormalised false classes: 0.5, 0.25, 0.25: 1.5 log 2 nats, of log 3
    logits, target = torch.tensor([[0.5, 0.25, 0.125, 0.125]], device=device).log(), torch.tensor([0], device=device)
    assert false_class_entropy(logits, target, normalised=False).item() == pytest.approx(1.5 * math.log(2), rel=1e-6)
    assert false_class_entropy(logits, target).item() == pytest.approx(1.5 * math.log(2) / math.log(3), rel=1e-6)
    # as they stand: 0.25 log 4 + 2 * 0.125 log 8 = 0.5 log 2 + 0.75 log 2 = 1.25 log 2
    raw = false_class_entropy(logits, target, measure="probabilities", normalised=False)
    assert raw.item() == pytest.approx(1.25 * math.log(2), rel=1e-6)
    share = false_class_entropy(logits, target, measure="probabilities")
    assert share.item() == pytest.approx(1.25 * math.log(2) / math.log(3), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_naive_loops(classes: int) -> None:
    logits, target = batch(20, classes, seed=classes)
    for position, (row, true) in enumerate(zip(logits.tolist(), target.tolist(), strict=True)):
        one, label = logits[position : position + 1], target[position : position + 1]
        for values, measure in [(row, "logits"), (softmax(row), "probabilities")]:
            false = [v for j, v in enumerate(values) if j != true]
            mean = sum(false) / len(false)
            variance = sum((v - mean) ** 2 for v in false) / len(false)
            assert false_class_variance(one, label, measure=measure).item() == pytest.approx(variance, abs=1e-12)  # type: ignore[arg-type]
            assert false_class_std(one, label, measure=measure).item() == pytest.approx(math.sqrt(variance), abs=1e-9)  # type: ignore[arg-type]
        if classes == 2:
            continue
        false = [p for j, p in enumerate(softmax(row)) if j != true]
        renormalised = [p / sum(false) for p in false]
        for shares, measure in [(renormalised, "logits"), (false, "probabilities")]:
            entropy = -sum(p * math.log(p) for p in shares)
            found = false_class_entropy(one, label, measure=measure, normalised=False)  # type: ignore[arg-type]
            assert found.item() == pytest.approx(entropy, rel=1e-9)


# --- bounds, maxima, relations ---------------------------------------------------------------------------------------


def test_entropy_is_largest_exactly_when_the_false_classes_are_equal() -> None:
    for classes in (3, 4, 10):
        logits = torch.zeros(1, classes, dtype=torch.float64)
        logits[0, 1] = 4.0
        target = torch.tensor([1])
        assert false_class_entropy(logits, target).item() == pytest.approx(1.0, abs=1e-12)
        assert false_class_entropy(logits, target, normalised=False).item() == pytest.approx(math.log(classes - 1))
        assert false_class_variance(logits, target).item() == pytest.approx(0.0, abs=1e-24)
        logits[0, 0] = 0.1
        assert false_class_entropy(logits, target).item() < 1.0 - 1e-5
        assert false_class_variance(logits, target).item() > 1e-5


def test_unnormalised_entropy_has_its_own_maximum_for_three_classes() -> None:
    """-2 p log p is largest at p = 1/e, where it is 2/e; log 2 is smaller and would let the share exceed one."""
    best = torch.tensor([[1 - 2 / math.e, 1 / math.e, 1 / math.e]], dtype=torch.float64).log()
    target = torch.tensor([0])
    found = false_class_entropy(best, target, measure="probabilities", normalised=False)
    assert found.item() == pytest.approx(2 / math.e, rel=1e-12)
    assert found.item() > math.log(2)
    assert false_class_entropy(best, target, measure="probabilities").item() == pytest.approx(1.0, rel=1e-12)


def test_unnormalised_entropy_has_its_maximum_without_a_true_class_for_four() -> None:
    """For C - 1 >= 3 false classes the maximum log(C - 1) is at p_j = 1/(C - 1) <= 1/e, the true class having none."""
    logits = torch.tensor([[-60.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    found = false_class_entropy(logits, torch.tensor([0]), measure="probabilities")
    assert found.item() == pytest.approx(1.0, rel=1e-12)


def test_unnormalised_entropy_falls_when_the_true_class_takes_all() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [30.0, 0.0, 0.0, 0.0]])
    target = torch.tensor([0, 0])
    torch.testing.assert_close(false_class_entropy(logits, target), torch.ones(2))
    unnormalised = false_class_entropy(logits, target, measure="probabilities")
    # 3/4 log 4 of log 3, and about 3 * 30 * e^-30
    assert unnormalised[0].item() == pytest.approx(0.75 * math.log(4) / math.log(3))
    assert 0 < unnormalised[1].item() < 1e-10


def test_largest_variance_of_probabilities() -> None:
    """One of two false classes takes all the mass: values 1 and 0, mean 1/2, variance 1/4."""
    logits = torch.tensor([[-50.0, 50.0, -50.0]], dtype=torch.float64)
    assert false_class_variance(logits, torch.tensor([0]), measure="probabilities").item() == pytest.approx(0.25)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(3, 12), st.integers(0, 99), st.floats(0.01, 20))
def test_bounds_and_relations(count: int, classes: int, seed: int, scale: float) -> None:
    logits, target = batch(count, classes, seed, scale)
    for measure in ("logits", "probabilities"):
        variance = false_class_variance(logits, target, measure=measure)
        std = false_class_std(logits, target, measure=measure)
        torch.testing.assert_close(std.square(), variance)
        assert bool((variance >= 0).all())
        penalty = drs_penalty(logits, target, measure=measure)
        torch.testing.assert_close(penalty, (classes - 1) * variance)
        share = false_class_entropy(logits, target, measure=measure)
        assert bool(((share >= 0) & (share <= 1 + 1e-12)).all())
        torch.testing.assert_close(
            drs_penalty(logits, target, measure=measure, spread="std"), std, atol=2e-6, rtol=1e-6
        )
    assert bool((false_class_variance(logits, target, measure="probabilities") <= 0.25 + 1e-12).all())
    # log-softmax is a shift, and the true logit plays no part
    for function in (false_class_variance, false_class_entropy):
        torch.testing.assert_close(function(torch.log_softmax(logits, 1), target), function(logits, target))
        other = logits.scatter(1, target.unsqueeze(1), 7.0)
        torch.testing.assert_close(function(other, target), function(logits, target))


def test_a_large_true_logit_costs_no_precision() -> None:
    logits = torch.tensor([[1e8, 1.0, 0.0, 3.0]])
    assert false_class_variance(logits, torch.tensor([0])).item() == pytest.approx(14 / 9, rel=1e-6)
    assert centred_false_values(logits, torch.tensor([0])).sum().item() == pytest.approx(0.0, abs=1e-6)
    assert centred_false_values(logits, torch.tensor([0]))[0, 0].item() == 0.0


@every_function
def test_finite_for_huge_logits(function: Function, device: torch.device) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, 1.0], [-1e4, 1e4, 1e4, -1e4]], device=device)
    target = torch.tensor([1, 0], device=device)
    for measure in ("logits", "probabilities"):
        assert bool(function(logits, target, measure=measure).isfinite().all())


def test_underflowing_false_classes_have_no_entropy_and_not_nan() -> None:
    logits = torch.tensor([[0.0, 500.0, -500.0, -500.0]])
    assert false_class_entropy(logits, torch.tensor([0])).item() == 0.0


# --- shapes, precision, gradients, devices ---------------------------------------------------------------------------


@every_function
def test_shapes(function: Function) -> None:
    logits, target = batch(24, 5)
    expected = function(logits, target)
    assert expected.shape == (24,)
    for shape in [(4, 6), (2, 3, 4)]:
        found = function(logits.reshape(*shape, 5).movedim(-1, 1), target.reshape(shape))
        torch.testing.assert_close(found, expected.reshape(shape))
    single = function(logits[0], target[0])
    assert single.shape == ()
    torch.testing.assert_close(single, expected[0])


@every_function
def test_half_precision_is_computed_in_float32(function: Function) -> None:
    logits, target = batch(8, 6)
    for kind in (torch.float16, torch.bfloat16):
        half = logits.to(kind)
        assert torch.equal(function(half, target), function(half.float(), target))


@every_function
@pytest.mark.parametrize("measure", ["logits", "probabilities"])
def test_gradients(function: Function, measure: str) -> None:
    logits, target = batch(3, 5, seed=1, scale=1.0)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: function(z, target, measure=measure), (logits,))
    assert torch.autograd.gradgradcheck(lambda z: function(z, target, measure=measure), (logits,))


@every_function
def test_never_reads_a_value(function: Function) -> None:
    logits = torch.zeros(8, 6, device="meta")
    for measure in ("logits", "probabilities"):
        found = function(logits, torch.zeros(8, dtype=torch.int64, device="meta"), measure=measure)
        assert found.shape == (8,)


# --- bad input -------------------------------------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize(
    ("logits", "target", "measure", "text"),
    [
        (
            torch.zeros(2, 5),
            torch.tensor([0, 1]),
            "odds",
            "unknown measure 'odds': expected one of logits, probabilities",
        ),
        (torch.zeros(2, 5), torch.tensor([0, 5]), "logits", "expected labels in [0, 4], got 5"),
        (torch.zeros(2, 5), torch.tensor([-100, 0]), "logits", "expected labels in [0, 4], got -100"),
        (
            torch.zeros(2, 5),
            torch.tensor([0]),
            "logits",
            "expected target of shape (2,) for logits of shape (2, 5), got (1,)",
        ),
        (torch.zeros(1, 5).int(), torch.tensor([0]), "logits", "expected floating-point logits, got torch.int32"),
    ],
)
def test_bad_input(function: Function, logits: Tensor, target: Tensor, measure: str, text: str) -> None:
    with pytest.raises(UsageError) as error:
        function(logits, target, measure=measure)
    assert str(error.value) == text


def test_too_few_classes() -> None:
    target = torch.tensor([0])
    with pytest.raises(UsageError, match=r"^expected at least 3 classes, got 2$"):
        false_class_entropy(torch.zeros(1, 2), target)
    with pytest.raises(UsageError, match=r"^expected at least 2 classes, got 1$"):
        false_class_variance(torch.zeros(1, 1), target)
    assert false_class_variance(torch.zeros(1, 2), target).item() == 0.0
