"""The metrics and the thresholding test of the RCE paper against closed forms and hand-made scores."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import entropy
from torch import Tensor

from drs.detection import BANDWIDTH_CE, NOT_SURE, KDensity, ThresholdingTest, confidence, energy, max_logit, non_me
from drs.errors import UsageError
from drs.losses import drs_penalty
from drs.training.models import Network, ReverseLogits


def _logits(n: int = 12, classes: int = 6) -> Tensor:
    return 3.0 * torch.randn(n, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_confidence_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(6.0), 0.0, 0.0, math.log(2.0)]])
    assert confidence(logits).tolist() == pytest.approx([0.25, 0.6], abs=1e-7)
    assert confidence(torch.tensor([[1e4, 0.0]])).tolist() == [1.0]


def test_non_me_by_hand() -> None:
    # Predicted: class 1. The others have odds 1 : 2 : 1, an entropy of 1.5 bits.
    logits = torch.tensor([[0.0, 5.0, math.log(2.0), 0.0], [7.0, 7.0, 7.0, 7.0]])
    assert non_me(logits).tolist() == pytest.approx([1.5 * math.log(2.0), math.log(3.0)], abs=1e-6)


def test_non_me_is_scipys_entropy_of_the_other_probabilities() -> None:
    logits = _logits()
    for row, value in zip(torch.softmax(logits, dim=1), non_me(logits)):
        others = [float(p) for number, p in enumerate(row) if number != int(row.argmax())]
        assert float(value) == pytest.approx(float(entropy(others)), abs=1e-12)


def test_non_me_is_finite_where_probabilities_underflow() -> None:
    logits = torch.tensor([[1e4, 0.0, 0.0, -1e4], [1e4, 0.0, -500.0, -1e4]], requires_grad=True)
    values = non_me(logits)
    assert values.tolist() == pytest.approx([math.log(2.0), 0.0], abs=1e-6)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert gradient.isfinite().all()


def test_non_me_is_maximal_exactly_where_the_drs_penalty_is_zero() -> None:
    logits = torch.tensor([[9.0, 2.0, 2.0, 2.0], [9.0, 2.0, 2.0, 2.1]], dtype=torch.float64)
    penalty = drs_penalty(logits, torch.zeros(2, dtype=torch.int64))
    assert non_me(logits)[0].item() == pytest.approx(math.log(3.0), abs=1e-12)
    assert penalty[0].item() == 0.0
    assert non_me(logits)[1].item() < math.log(3.0) - 1e-6
    assert penalty[1].item() > 1e-6


def test_energy_and_largest_logit_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), math.log(5.0)], [1e4, 1e4], [-1e4, -2e4]])
    assert energy(logits).tolist() == pytest.approx([math.log(8.0), 1e4 + math.log(2.0), -1e4], rel=1e-6)
    # exp(z / 0.5) are 9 and 25: half the logarithm of 34.
    assert energy(logits[:1], 0.5).item() == pytest.approx(0.5 * math.log(34.0), abs=1e-6)
    assert max_logit(logits).tolist() == pytest.approx([math.log(5.0), 1e4, -1e4])
    for temperature in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="expected a finite temperature > 0, got"):
            energy(logits, temperature)


def test_energy_is_scipys_and_tends_to_the_largest_logit() -> None:
    logits = _logits()
    for temperature in (0.3, 1.0, 20.0):
        expected = temperature * logsumexp(logits.numpy() / temperature, axis=1)
        torch.testing.assert_close(energy(logits, temperature), torch.from_numpy(expected))
    torch.testing.assert_close(energy(logits, 1e-4), max_logit(logits), atol=1e-3, rtol=0)
    assert (energy(logits) >= max_logit(logits)).all()


@pytest.mark.parametrize("metric", [energy, max_logit])
def test_energy_and_largest_logit_follow_a_shift(metric: Any) -> None:
    logits = _logits()
    torch.testing.assert_close(metric(logits + 50.0), metric(logits) + 50.0)
    torch.testing.assert_close(metric(logits[:, torch.randperm(6)]), metric(logits))
    assert torch.autograd.gradcheck(metric, logits.clone().requires_grad_(True))


@pytest.mark.parametrize("metric", [confidence, non_me])
def test_metrics_ignore_a_shift_and_the_order_of_classes(metric: Any) -> None:
    logits = _logits()
    torch.testing.assert_close(metric(logits + 50.0), metric(logits))
    torch.testing.assert_close(metric(logits[:, torch.randperm(6)]), metric(logits))
    assert metric(logits[:0]).shape == (0,)
    assert torch.autograd.gradcheck(metric, logits.clone().requires_grad_(True))


@pytest.mark.parametrize(("metric", "classes"), [(confidence, 2), (energy, 2), (max_logit, 2), (non_me, 3)])
def test_metrics_on_every_device_and_in_half_precision(metric: Any, classes: int, device: torch.device) -> None:
    logits = _logits().float()
    torch.testing.assert_close(metric(logits.to(device)).cpu(), metric(logits), rtol=1e-5, atol=1e-6)
    half = metric(logits.to(device, torch.bfloat16))
    assert half.dtype == torch.float32
    with pytest.raises(UsageError, match=r"expected floating-point logits of shape \(N, C\), got torch.float32 \(6,\)"):
        metric(logits[0])
    with pytest.raises(UsageError, match="expected floating-point logits"):
        metric(logits.long())
    with pytest.raises(UsageError, match=f"expected at least {classes} classes, got {classes - 1}"):
        metric(logits[:, : classes - 1])


def test_reverse_logits_turn_the_confidence_round(trained: Network, digits: Any) -> None:
    images = digits.test.first(4).to_float()[0]
    torch.testing.assert_close(confidence(ReverseLogits(trained)(images)), confidence(-trained(images)))


def test_thresholding_test_of_scores() -> None:
    test = ThresholdingTest(false_rejection_rate=0.25).fit(torch.tensor([0.4, 0.1, 0.3, 0.2]))
    assert test.threshold == pytest.approx(0.2)
    labels = torch.tensor([7, 0, 3, 5])
    answer = test.predict(labels, torch.tensor([0.9, 0.2, 0.19, -5.0]))
    assert answer.tolist() == [7, 0, NOT_SURE, NOT_SURE]
    assert NOT_SURE == -1
    assert answer.dtype == torch.int64
    assert labels.tolist() == [7, 0, 3, 5]  # left alone


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.5])
def test_at_most_the_given_share_of_normals_is_rejected(rate: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for scores in (torch.rand(317, generator=generator), torch.randint(5, (317,), generator=generator).float()):
        test = ThresholdingTest(false_rejection_rate=rate).fit(scores)
        rejected = int((test.predict(torch.zeros(317, dtype=torch.int64), scores) == NOT_SURE).sum())
        assert rejected <= rate * 317
        one_higher = scores[scores > test.threshold].min()
        assert int((scores < one_higher).sum()) > rate * 317  # the next threshold would reject too many


def test_thresholding_test_with_a_metric(trained: Network, digits: Any, device: torch.device) -> None:
    model = copy.deepcopy(trained).to(device)
    with torch.no_grad():
        features = [model.features(part.to_float(device)[0]) for part in (digits.train, digits.validation, digits.test)]
        predicted = [model.head(values).argmax(dim=1) for values in features]
    density = KDensity(BANDWIDTH_CE).fit(features[0], digits.train.labels.to(device))
    test = ThresholdingTest(density.score, 0.1).fit(features[1], predicted[1])
    torch.testing.assert_close(test.score(features[2], predicted[2]), density.score(features[2], predicted[2]))
    answer = test.predict(predicted[2], features[2], predicted[2])
    kept = density.score(features[2], predicted[2]) >= test.threshold
    assert torch.equal(answer[kept], predicted[2][kept])
    assert answer[~kept].eq(NOT_SURE).all()
    assert 0.0 < float((~kept).float().mean()) < 0.3
    far = test.predict(predicted[2], features[2] + 20.0, predicted[2])
    assert far.eq(NOT_SURE).all()


def test_thresholding_test_of_logits() -> None:
    logits = _logits(40)
    test = ThresholdingTest(confidence).fit(logits)
    answer = test.predict(logits.argmax(dim=1), logits)
    assert answer.eq(NOT_SURE).sum().item() == 2  # 5% of 40
    assert answer[confidence(logits).argmin()].item() == NOT_SURE


def test_thresholding_test_errors() -> None:
    for rate in (0.0, 1.0, -1.0, 5.0, math.nan):
        with pytest.raises(UsageError, match="expected false_rejection_rate between 0 and 1, got"):
            ThresholdingTest(false_rejection_rate=rate)
    test = ThresholdingTest()
    scores, labels = torch.arange(4.0), torch.arange(4)
    with pytest.raises(UsageError, match=r"expected fit\(\) before the threshold is asked for"):
        _ = test.threshold
    with pytest.raises(UsageError, match=r"expected fit\(\) before the threshold is asked for"):
        test.predict(labels, scores)
    with pytest.raises(UsageError, match="expected scores without NaN, got NaN"):
        test.fit(scores * math.nan)
    with pytest.raises(UsageError, match="expected at least one normal score, got none"):
        test.fit(scores[:0])
    with pytest.raises(UsageError, match=r"expected scores of shape \(N,\), got \(4, 1\)"):
        test.fit(scores[:, None])
    test.fit(scores)
    with pytest.raises(UsageError, match=r"expected labels of shape \(4,\), got \(3,\)"):
        test.predict(labels[1:], scores)
    with pytest.raises(UsageError, match="expected scores without NaN, got NaN"):
        test.predict(labels, scores * math.nan)
