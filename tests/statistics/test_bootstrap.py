"""Resampling with counts, and the BCa interval, against scipy one resample at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from drs.statistics import Method, correlate
from drs.statistics._bootstrap import bca_interval, kendall, linear

METHODS: tuple[Method, ...] = ("pearson", "spearman", "kendall")
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


def _sample(n: int, *, ties: bool = False) -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    x = generator.normal(size=n)
    y = 0.6 * x + generator.exponential(size=n)
    return (np.round(x), np.round(y)) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_resample_is_what_scipy_makes_of_the_drawn_points(method: Method, ties: bool) -> None:
    x, y = _sample(15, ties=ties)
    columns = np.stack([x, y], axis=1)
    drawn = np.random.default_rng(0).integers(15, size=(30, 15))
    counts = np.stack([np.bincount(row, minlength=15) for row in drawn]).astype(float)
    statistic = kendall(columns) if method == "kendall" else linear(columns, ranked=method == "spearman")
    expected = [SCIPY[method](x[row], y[row]).statistic for row in drawn]
    np.testing.assert_allclose(statistic(counts), expected, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_interval_is_the_bca_interval_of_scipy(method: Method) -> None:
    x, y = _sample(30)
    result = correlate(x, y, method, resamples=20000)

    expected = stats.bootstrap(
        (x, y),
        lambda a, b: SCIPY[method](a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1500,
        method="BCa",
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_bias_and_acceleration_are_scipys() -> None:
    sample = np.random.default_rng(0).exponential(size=25)  # skewed, and its plain variance is biased

    def variance(counts: Any) -> Any:
        means = counts @ sample / counts.sum(axis=1)
        return counts @ sample**2 / counts.sum(axis=1) - means**2

    expected = stats.bootstrap((sample,), np.var, n_resamples=40000, method="BCa", rng=np.random.default_rng(1))
    interval = bca_interval(variance, float(np.var(sample)), 25, 40000, 0, 0.95)
    assert interval == pytest.approx(tuple(expected.confidence_interval), rel=0.04)


def test_bounds_stay_in_order_at_the_largest_bias_and_acceleration() -> None:
    # One point decides everything (acceleration 1/6) and no resample reaches the estimate (bias 3.5).
    low, high = bca_interval(lambda counts: -1.0 * (counts[:, 0] == 0), 10.0, 50, 2000, 0, 0.9999)
    assert (low, high) == (0.0, 0.0)


def test_resamples_in_which_the_coefficient_is_undefined_are_left_out() -> None:
    generator = np.random.default_rng(0)
    y, other = generator.normal(size=13), generator.normal(size=13)
    counts = (
        np.random.default_rng(1).multinomial(12, [0.0] + [1 / 12] * 12, size=200).astype(np.float64)
    )  # never the first point
    constant: Any = np.stack([[0.7] + [0.1] * 12, y], axis=1)
    determined: Any = np.stack([3.0 * other + 5.0 * (np.arange(13) == 0), y, other], axis=1)  # x by the given one
    for statistic in (linear(constant, ranked=False), linear(constant, ranked=True), linear(determined, ranked=False)):
        assert np.isnan(statistic(counts)).all()
    assert np.isnan(kendall(constant)(counts)).all()
    assert math.isfinite(correlate(constant[:, 0], y).low)  # a third of its resamples
