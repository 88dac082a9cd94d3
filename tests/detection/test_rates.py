"""ROC, AUC and rates at a threshold against naive counting, scikit-learn, a bootstrap and hand-made scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from drs import detection
from drs.detection import (
    auc,
    auc_interval,
    aupr,
    detection_rate,
    evaluate_detector,
    fpr_at_tpr,
    paired_mask,
    rejection_threshold,
    roc,
    tpr_at_fpr,
    undetected_success,
)
from drs.errors import UsageError

TIED = st.lists(st.integers(0, 6), min_size=1, max_size=25)


def _pairs(normal: Any, adversarial: Any) -> Any:
    """(n, m): 1 where the normal score is higher, 0.5 where they tie, one pair after the other."""
    return np.array([[1.0 if s > a else 0.5 if s == a else 0.0 for a in adversarial] for s in normal])


def _naive_delong(normal: Any, adversarial: Any, *, paired: bool) -> tuple[float, float]:
    pairs = _pairs(normal, adversarial)
    n, m = pairs.shape
    rows, columns, centre = pairs.mean(axis=1), pairs.mean(axis=0), pairs.mean()
    variance = (
        sum((v - centre) ** 2 for v in rows) / (n - 1) / n + sum((v - centre) ** 2 for v in columns) / (m - 1) / m
    )
    if paired:
        variance += 2 * sum((r - centre) * (c - centre) for r, c in zip(rows, columns)) / (n - 1) / n
    half = 1.959963984540054 * math.sqrt(max(variance, 0.0))
    return max(0.0, centre - half), min(1.0, centre + half)


def test_higher_is_more_normal() -> None:
    normal, adversarial = [3.0, 4.0, 5.0], [0.0, 1.0, 2.0]
    assert auc(normal, adversarial) == 1.0
    assert auc(adversarial, normal) == 0.0
    assert detection_rate(normal, adversarial) == tpr_at_fpr(normal, adversarial) == 1.0
    assert detection_rate(adversarial, normal) == tpr_at_fpr(adversarial, normal) == 0.0


def test_auc_by_hand() -> None:
    # 4 of the 6 pairs are ordered right, one ties: (4 + 0.5) / 6.
    assert auc([1.0, 2.0, 3.0], [1.0, 1.5]) == pytest.approx(4.5 / 6, abs=1e-15)
    assert auc([7.0, 7.0], [7.0, 7.0, 7.0]) == 0.5


@given(TIED, TIED)
@settings(max_examples=60, deadline=None)
def test_auc_is_naive_counting_and_scikit_learns(normal: list[int], adversarial: list[int]) -> None:
    value = auc(np.array(normal), np.array(adversarial))
    assert value == pytest.approx(_pairs(normal, adversarial).mean(), abs=1e-12)
    truth = [1] * len(normal) + [0] * len(adversarial)
    assert value == pytest.approx(roc_auc_score(truth, normal + adversarial), abs=1e-12)
    curve = roc(np.array(normal), np.array(adversarial))
    assert value == pytest.approx(np.trapezoid(curve.tpr, curve.fpr), abs=1e-12)
    thresholds = [math.inf, *sorted({*normal, *adversarial}, reverse=True)]
    kept = [[np.mean(np.array(scores) >= t) for t in thresholds] for scores in (adversarial, normal)]
    for found, expected in ((curve.fpr, kept[0]), (curve.tpr, kept[1]), (curve.thresholds, thresholds)):
        np.testing.assert_allclose(found, np.array(expected, dtype=float), atol=1e-12)


def test_a_curve_has_finite_scores() -> None:
    with pytest.raises(UsageError, match=r"^expected finite scores for a ROC curve, got infinity$"):
        roc([1.0, math.inf], [0.0])


@given(TIED, TIED, st.sampled_from([0.01, 0.05, 0.2, 0.5]))
@settings(max_examples=60, deadline=None)
def test_rates_are_the_best_over_all_thresholds(normal: list[int], adversarial: list[int], rate: float) -> None:
    s, a = np.array(normal, dtype=float), np.array(adversarial, dtype=float)
    thresholds = [*np.unique(np.concatenate([s, a])), math.inf]
    rejected = [(a < t).mean() for t in thresholds if (s < t).mean() <= rate]
    # A threshold between two scores of the other class does as well as the score itself.
    assert detection_rate(s, a, rate) == pytest.approx(max(rejected), abs=1e-12)
    kept = [(s >= t).mean() for t in thresholds if (a >= t).mean() <= rate]
    assert tpr_at_fpr(s, a, rate) == pytest.approx(max(kept), abs=1e-12)


def test_the_two_rates_differ_and_say_what_they_say() -> None:
    normal = np.arange(20.0)  # 5% of them is one: the threshold is 1, the score 0 is rejected
    adversarial = np.array([-5.0, 0.5, 0.9, 18.5])
    assert rejection_threshold(normal, 0.05) == 1.0
    assert detection_rate(normal, adversarial, 0.05) == 0.75
    # No adversarial example may be kept (5% of 4 is none): only 19 lies above 18.5.
    assert tpr_at_fpr(normal, adversarial, 0.05) == 0.05
    # One may (25% of 4): every normal score above 0.9.
    assert tpr_at_fpr(normal, adversarial, 0.25) == 0.95


def test_threshold_by_hand() -> None:
    assert rejection_threshold([5.0, 1.0, 4.0, 2.0, 3.0], 0.5) == 3.0  # two of five may be rejected
    assert rejection_threshold([5.0, 1.0, 4.0, 2.0, 3.0], 0.1) == 1.0  # none may
    assert rejection_threshold([1.0, 1.0, 1.0, 2.0], 0.5) == 1.0  # ties: rejecting one would reject three
    assert rejection_threshold(np.arange(100.0), 0.29) == 29.0  # 0.29 * 100 = 28.999999999999996
    assert rejection_threshold(torch.tensor([-math.inf, 0.0, 1.0]), 0.1) == -math.inf


@pytest.mark.parametrize("paired", [False, True])
def test_delong_is_the_naive_one(paired: bool) -> None:
    generator = np.random.default_rng(0)
    for shift in (0.0, 0.5, 2.0):
        normal = generator.integers(0, 8, size=30) + shift
        adversarial = generator.integers(0, 8, size=30 if paired else 17) * 1.0
        expected = _naive_delong(normal, adversarial, paired=paired)
        assert auc_interval(normal, adversarial, paired=paired) == pytest.approx(expected, abs=1e-12)


def test_delong_by_hand() -> None:
    # V10 = (1/2, 1, 1) and V01 = (1, 2/3): variance (1/12) / 3 + (1/18) / 2 = 1/18 around an AUC of 5/6.
    low, high = auc_interval([1.0, 2.0, 3.0], [0.9, 1.1], confidence=0.5)
    assert (low, high) == pytest.approx(
        (5 / 6 - 0.6744898 / math.sqrt(18), 5 / 6 + 0.6744898 / math.sqrt(18)), abs=1e-7
    )
    assert auc_interval([1.0, 2.0, 3.0], [0.9, 1.1])[1] == 1.0  # clipped


@pytest.mark.parametrize("paired", [False, True])
def test_delong_is_near_a_bootstrap(paired: bool) -> None:
    generator = np.random.default_rng(4)
    image = generator.normal(size=150)  # what the two scores of one image share
    normal = image + 1.0 + 0.5 * generator.normal(size=150)
    adversarial = image + 0.5 * generator.normal(size=150)
    drawn = []
    for _ in range(1500):
        rows = generator.integers(150, size=150)
        others = rows if paired else generator.integers(150, size=150)
        drawn.append(auc(normal[rows], adversarial[others]))
    low, high = auc_interval(normal, adversarial, paired=paired)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.012)
    unpaired = auc_interval(normal, adversarial)
    assert (high - low < 0.7 * (unpaired[1] - unpaired[0])) == paired


def test_delong_holds_the_truth_of_two_normals() -> None:
    generator = np.random.default_rng(8)
    truth = float(norm.cdf(1 / math.sqrt(2)))
    held = 0
    for _ in range(400):
        low, high = auc_interval(generator.normal(1.0, size=80), generator.normal(0.0, size=60))
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_interval_of_complete_separation_is_not_a_point() -> None:
    # All of 20 disjoint pairs ordered right: p**20 = 0.025 at the lower bound.
    normal, adversarial = np.arange(30.0) + 100, np.arange(20.0)
    low, high = auc_interval(normal, adversarial)
    assert (low**20, high) == pytest.approx((0.025, 1.0), abs=1e-12)
    assert auc_interval(adversarial, normal) == pytest.approx((0.0, 1.0 - low), abs=1e-12)


def test_interval_of_single_scores() -> None:
    assert all(math.isnan(bound) for bound in auc_interval([1.0], [0.0, 2.0]))
    assert auc_interval([1.0], [0.0, 0.5]) == pytest.approx((0.025, 1.0), abs=1e-12)


def test_evaluate_detector() -> None:
    generator = np.random.default_rng(1)
    normal, adversarial = generator.normal(2.0, size=200), generator.normal(0.0, size=100)
    result = evaluate_detector(torch.tensor(normal), torch.tensor(adversarial))
    assert list(result) == [
        *("auc", "auc_low", "auc_high"),
        *("detection_rate_5", "false_rejection_5", "tpr_at_fpr_5"),
        *("detection_rate_1", "false_rejection_1", "tpr_at_fpr_1"),
        *("fpr95", "aupr_in", "aupr_out"),
        *("n_normal", "n_adversarial"),
    ]
    assert result["auc"] == auc(normal, adversarial)
    assert (result["auc_low"], result["auc_high"]) == auc_interval(normal, adversarial)
    assert result["detection_rate_5"] == detection_rate(normal, adversarial, 0.05)
    assert result["detection_rate_1"] == detection_rate(normal, adversarial, 0.01)
    assert result["tpr_at_fpr_5"] == tpr_at_fpr(normal, adversarial, 0.05)
    assert result["tpr_at_fpr_1"] == tpr_at_fpr(normal, adversarial, 0.01)
    assert (result["false_rejection_5"], result["false_rejection_1"]) == (0.05, 0.01)
    assert result["fpr95"] == pytest.approx(1.0 - result["detection_rate_5"], abs=1e-12)
    assert result["aupr_in"] == aupr(normal, adversarial)
    assert result["aupr_out"] == aupr(normal, adversarial, positive="adversarial") != result["aupr_in"]
    assert (result["n_normal"], result["n_adversarial"]) == (200, 100)


def test_evaluate_detector_with_held_out_normals_and_pairs() -> None:
    normal, adversarial, held_out = np.arange(100.0), np.arange(100.0) - 30, np.arange(100.0) + 10
    result = evaluate_detector(normal, adversarial, held_out=held_out, paired=True)
    assert result["false_rejection_5"] == 0.15  # the held-out threshold is 15
    assert result["detection_rate_5"] == 0.45  # -30 ... 14
    assert result["tpr_at_fpr_5"] == 0.35  # above 64
    assert (result["auc_low"], result["auc_high"]) == auc_interval(normal, adversarial, paired=True)


def test_paired_mask_and_undetected_success() -> None:
    clean_correct = torch.tensor([True, True, False, False])
    attacked_wrong = torch.tensor([True, False, True, False])
    assert paired_mask(clean_correct, attacked_wrong).tolist() == [True, False, False, False]
    wrong = np.array([True, True, True, False])
    # Kept: the second (at the threshold), the third and the fourth; the fourth is right.
    assert undetected_success(wrong, [0.0, 1.0, 2.0, 3.0], 1.0) == 0.5
    assert undetected_success(wrong, [0.0, 1.0, 2.0, 3.0], -math.inf) == 0.75


@given(TIED, TIED)
@settings(max_examples=60, deadline=None)
def test_fpr95_and_aupr_are_scikit_learns(normal: list[int], adversarial: list[int]) -> None:
    s, a = np.array(normal), np.array(adversarial)
    scores, is_normal = np.concatenate([s, a]), np.arange(s.size + a.size) < s.size
    fpr, tpr, _ = roc_curve(is_normal, scores, drop_intermediate=False)
    for rate in (0.95, 0.5):
        assert fpr_at_tpr(s, a, rate) == pytest.approx(fpr[np.argmax(tpr >= rate - 1e-12)], abs=1e-12)
    assert aupr(s, a) == pytest.approx(average_precision_score(is_normal, scores), abs=1e-12)
    expected = average_precision_score(~is_normal, -scores)
    assert aupr(s, a, positive="adversarial") == pytest.approx(expected, abs=1e-12)


def test_fpr95_by_hand() -> None:
    normal = np.arange(40.0)  # 38 of 40 are kept at the threshold 2
    assert fpr_at_tpr(normal, [-1.0, 1.9, 2.0, 50.0]) == 0.5
    assert fpr_at_tpr(normal, [1.9, 1.8]) == 0.0
    assert fpr_at_tpr(normal[:19], [0.0, -1.0]) == 0.5  # 95% of 19 is more than 18: all are kept
    assert fpr_at_tpr([1.0, 1.0, 1.0], [1.0]) == 1.0
    with pytest.raises(UsageError, match="expected 1 - tpr between 0 and 1, got"):
        fpr_at_tpr([1.0], [0.0], 1.0)


def test_aupr_by_hand() -> None:
    # Kept in the order 4 (n), 3 (a), 2 (n), 2 (a), 1 (n); the two that tie are kept together.
    normal, adversarial = [4.0, 2.0, 1.0], [3.0, 2.0]
    assert aupr(normal, adversarial) == pytest.approx((1 + 2 / 4 + 3 / 5) / 3, abs=1e-15)
    # Rejected in the order 1 (n), 2 (n, a), 3 (a), 4 (n).
    assert aupr(normal, adversarial, positive="adversarial") == pytest.approx((1 / 3 + 2 / 4) / 2, abs=1e-15)
    assert aupr([0.0] * 3, [0.0]) == 0.75  # says nothing: the share of the positive class
    assert aupr([0.0] * 3, [0.0], positive="adversarial") == 0.25
    assert aupr([1.0, 2.0], [0.0]) == aupr([1.0, 2.0], [0.0], positive="adversarial") == 1.0
    with pytest.raises(UsageError, match="unknown positive class 'in': expected one of adversarial, normal"):
        aupr([1.0], [0.0], positive="in")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "function", [auc, auc_interval, aupr, roc, detection_rate, fpr_at_tpr, tpr_at_fpr, evaluate_detector]
)
@pytest.mark.parametrize(
    ("normal", "adversarial", "message"),
    [
        ([], [1.0], "expected at least one normal score, got none: rates need both classes"),
        ([1.0], [], "expected at least one adversarial score, got none: rates need both classes"),
        ([1.0, math.nan], [1.0], "expected normal scores without NaN, got 1 NaN"),
        ([1.0], [math.nan, math.nan], "expected adversarial scores without NaN, got 2 NaN"),
        ([[1.0]], [1.0], r"expected normal scores of shape \(N,\), got \(1, 1\)"),
    ],
)
def test_bad_scores(function: Any, normal: Any, adversarial: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        function(normal, adversarial)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 5, math.nan])
def test_bad_rates(rate: float) -> None:
    with pytest.raises(UsageError, match="expected false_rejection_rate between 0 and 1, got"):
        detection_rate([1.0], [0.0], rate)
    with pytest.raises(UsageError, match="expected fpr between 0 and 1, got"):
        tpr_at_fpr([1.0], [0.0], rate)
    with pytest.raises(UsageError, match="expected confidence between 0 and 1, got"):
        auc_interval([1.0], [0.0], confidence=rate)


def test_bad_masks_and_pairs() -> None:
    with pytest.raises(UsageError, match="expected masks of one length, got 2 and 1"):
        paired_mask([True, False], [True])
    with pytest.raises(UsageError, match=r"expected clean_correct to be booleans of shape \(N,\), got int64"):
        paired_mask(np.array([0, 1]), [True, False])
    with pytest.raises(UsageError, match="expected one score for each attacked image, got 1 scores of 2"):
        undetected_success([True, False], [1.0], 0.0)
    with pytest.raises(UsageError, match="expected a threshold, got NaN"):
        undetected_success([True], [1.0], math.nan)
    with pytest.raises(UsageError, match="expected as many normal as adversarial scores, got 2 and 1"):
        auc_interval([1.0, 2.0], [1.0], paired=True)


def test_tensors_on_any_device(device: torch.device) -> None:
    normal = torch.tensor([0.5, 0.25, 0.75], device=device, requires_grad=True)
    adversarial = torch.tensor([0.25, 0.0], device=device)
    assert auc(normal, adversarial) == pytest.approx(5.5 / 6, abs=1e-12)
    mask = paired_mask(normal > 0.3, torch.tensor([True, True, False], device=device))
    assert mask.tolist() == [True, False, False]


def test_every_name_is_reachable_from_detection() -> None:
    assert detection.auc is auc
    assert detection.roc is roc
    assert all(hasattr(detection, name) for name in detection.__all__)


def test_scores_in_bfloat16() -> None:
    assert auc(torch.tensor([1.0, 2.0]).bfloat16(), [0.0]) == 1.0
    assert rejection_threshold(torch.tensor([0.25, 0.5]).bfloat16(), 0.5) == 0.5
