"""Correlations, intervals and corrections against textbook numbers, scipy and closed forms."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from scipy import stats

from drs.errors import UsageError
from drs.statistics import (
    Method,
    _bootstrap,
    correlate,
    crossed_interval,
    holm,
    matched_band,
    mean_interval,
    paired_difference,
    partial_correlation,
)

METHODS: tuple[Method, ...] = ("pearson", "spearman", "kendall")
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}

ANSCOMBE_X = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
ANSCOMBE_Y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]


def _sample(n: int = 40, *, ties: bool = False, seed: int = 1) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    y = 0.6 * x + generator.exponential(size=n)
    return (np.round(x), np.round(y)) if ties else (x, y)


def test_pearson_of_anscombes_first_set() -> None:
    result = correlate(ANSCOMBE_X, ANSCOMBE_Y)
    assert result.estimate == pytest.approx(0.81642, abs=5e-6)
    assert result.p_value == pytest.approx(0.00217, abs=5e-6)
    assert (result.method, result.n) == ("pearson", 11)


def test_spearman_of_the_textbook_example() -> None:
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    result = correlate(iq, hours, "spearman")
    assert result.estimate == pytest.approx(-29 / 165, abs=1e-12)
    assert result.p_value == pytest.approx(0.627188, abs=1e-6)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_estimate_and_p_value_are_scipys(method: Method, ties: bool) -> None:
    x, y = _sample(ties=ties)
    result, expected = correlate(x, y, method), SCIPY[method](x, y)
    assert result.estimate == pytest.approx(expected.statistic, abs=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.low < result.estimate < result.high


def test_ninety_five_of_a_hundred_intervals_hold_the_truth() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for number in range(200):
        x = generator.normal(size=50)
        y = 0.6 * x + 0.8 * generator.normal(size=50)  # correlation 0.6
        result = correlate(x, y, resamples=500, seed=number)
        held += result.low <= 0.6 <= result.high
    assert 0.90 <= held / 200 <= 0.98


def test_seed_confidence_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _sample()
    result = correlate(x, y, "spearman", seed=3)
    assert result == correlate(x, y, "spearman", seed=3)
    assert result.low != correlate(x, y, "spearman", seed=4).low
    narrow = correlate(x, y, "spearman", seed=3, confidence=0.5)
    assert result.low < narrow.low < narrow.high < result.high
    monkeypatch.setattr(_bootstrap, "_CHUNK", 100)  # two resamples at a time
    chunked = correlate(x, y, "spearman", seed=3)
    assert (chunked.low, chunked.high) == pytest.approx((result.low, result.high), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_perfect_relation(method: Method, sign: float) -> None:
    x = np.arange(10.0)
    result = correlate(x, sign * (2.0 * x + 1.0), method)
    assert (result.estimate, result.low, result.high) == pytest.approx((sign, sign, sign), abs=1e-12)
    assert result.p_value < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_signs_shifts_and_scales(method: Method) -> None:
    x, y = _sample()
    plain, moved = correlate(x, y, method), correlate(1e6 + 3.0 * x, -y, method)
    assert moved.estimate == pytest.approx(-plain.estimate, abs=1e-8)
    assert moved.p_value == pytest.approx(plain.p_value, rel=1e-6)


def test_partial_correlation_of_the_textbook_example() -> None:
    x, y, z = [2, 4, 15, 20], [1, 2, 3, 4], [0, 0, 1, 1]
    result = partial_correlation(x, y, z)
    assert result.estimate == pytest.approx(0.919145, abs=1e-6)
    # One degree of freedom: Student's t is Cauchy's distribution, whose tail is an arc tangent.
    t = 0.919145030018058 / math.sqrt(1 - 0.919145030018058**2)
    assert result.p_value == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-9)


@pytest.mark.parametrize("ranked", [False, True])
def test_partial_correlation_from_three_plain_ones(ranked: bool) -> None:
    x, y = _sample(25)
    z = x + np.random.default_rng(9).normal(size=25)
    method: Literal["pearson", "spearman"] = "spearman" if ranked else "pearson"
    xy, xz, yz = (correlate(a, b, method).estimate for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    result = partial_correlation(x, y, z, method)
    assert result.estimate == pytest.approx(expected, abs=1e-12)
    t = expected * math.sqrt(22 / (1 - expected**2))
    assert result.p_value == pytest.approx(2 * stats.t.sf(abs(t), 22), rel=1e-9)
    assert result.low < result.estimate < result.high


def test_partial_correlation_given_two_variables_is_that_of_least_squares_residuals() -> None:
    x, y = _sample(30)
    given = np.random.default_rng(2).normal(size=(30, 2)) + x[:, None]
    design = np.column_stack([np.ones(30), given])
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    assert partial_correlation(x, y, given).estimate == pytest.approx(np.corrcoef(left)[0, 1], abs=1e-12)
    assert partial_correlation(x, y, ()) == correlate(x, y)


def test_a_confounder_is_taken_out() -> None:
    generator = np.random.default_rng(0)
    accuracy = generator.normal(size=300)
    x, y = accuracy + 0.3 * generator.normal(size=300), accuracy + 0.3 * generator.normal(size=300)
    assert correlate(x, y).low > 0.8
    partial = partial_correlation(x, y, accuracy)
    assert partial.low < 0.0 < partial.high
    assert partial.p_value > 0.05


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], "expected variables of one length, got 5, 6"),
        ([1, 2, 3], [3, 1, 2], "expected at least 4 points, got 3"),
        ([1, 2, math.nan, 4], [3, 1, 2, 4], "expected x without NaN or infinity"),
        ([1, 2, 3, 4], [3, 1, math.inf, 4], "expected y without NaN or infinity"),
        ([1, 2, 3, 4], [7, 7, 7, 7], "expected y to vary, got a constant: its correlation is undefined"),
        ([[1, 2], [3, 4]], [1, 2], r"expected x of shape \(n,\), got \(2, 2\)"),
    ],
)
def test_bad_variables(method: Method, x: Any, y: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        correlate(x, y, method)


def test_bad_options() -> None:
    x, y = _sample()
    with pytest.raises(UsageError, match="unknown method 'cosine'"):
        correlate(x, y, "cosine")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"unknown method 'kendall': expected one of kendall \(without given\)"):
        partial_correlation(x, y, x, "kendall")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected at least 100 resamples, got 10"):
        correlate(x, y, resamples=10)
    with pytest.raises(UsageError, match="expected confidence between 0 and 1, got 95"):
        correlate(x, y, confidence=95)
    with pytest.raises(UsageError, match="expected at most 5000 points for Kendall's tau, got 5001"):
        correlate(np.arange(5001), np.arange(5001), "kendall")


def test_bad_given_variables() -> None:
    x, y = _sample()
    with pytest.raises(UsageError, match="expected variables of one length, got 40, 40, 39"):
        partial_correlation(x, y, x[1:])
    with pytest.raises(UsageError, match=r"expected given\[0\] to vary"):
        partial_correlation(x, y, np.ones(40))
    with pytest.raises(UsageError, match="expected variables that the given ones do not determine"):
        partial_correlation(x, y, 3.0 * x - 2.0)
    with pytest.raises(UsageError, match="do not depend on each other"):
        partial_correlation(x, y, np.stack([x + y**2, 2.0 * (x + y**2) + 1.0], axis=1))
    with pytest.raises(UsageError, match="expected given without NaN"):
        partial_correlation(x, y, np.where(x > 0, x, math.nan))
    with pytest.raises(UsageError, match="expected at least 5 points, got 4"):
        partial_correlation([1, 2, 3, 5], [2, 1, 4, 3], [[1, 2], [2, 5], [3, 1], [0, 1]])


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], atol=1e-15)
    np.testing.assert_allclose(holm([[0.01, 0.04], [0.03, 0.005]]), [[0.03, 0.06], [0.06, 0.02]], atol=1e-15)
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02]), [0.02])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("values", [[0.1, math.nan], [0.1, 1.1], [-0.1]])
def test_holm_refuses_what_is_no_p_value(values: list[float]) -> None:
    with pytest.raises(UsageError, match="expected p values in"):
        holm(values)


def test_mean_interval_by_hand() -> None:
    result = mean_interval([1, 2, 3, 4, 5])
    half = 2.7764451 * math.sqrt(2.5 / 5)  # t of four degrees of freedom
    assert (result.mean, result.low, result.high) == pytest.approx((3.0, 3.0 - half, 3.0 + half), abs=1e-6)
    assert result.n == 5
    single = mean_interval([0.7])
    assert (single.mean, single.n) == (0.7, 1)
    assert math.isnan(single.low)
    assert math.isnan(single.high)
    same = mean_interval([2.0, 2.0])
    assert (same.mean, same.low, same.high) == (2.0, 2.0, 2.0)


def test_paired_difference_of_students_sleep_data() -> None:
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    result = paired_difference(first, second)
    assert (result.mean, result.low, result.high) == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=1e-6)
    assert result.p_value == pytest.approx(0.002833, abs=1e-6)
    assert result.n == 10


def test_paired_difference_without_spread() -> None:
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).p_value == 1.0
    assert paired_difference([2.0, 3.0], [1.0, 2.0]).p_value == 0.0
    single = paired_difference([2.0], [1.5])
    assert (single.mean, single.n) == (0.5, 1)
    assert math.isnan(single.p_value)
    assert math.isnan(single.low)


def test_bad_values_over_seeds() -> None:
    with pytest.raises(UsageError, match="expected at least one value, got none"):
        mean_interval([])
    with pytest.raises(UsageError, match="expected values without NaN"):
        mean_interval([1.0, math.nan])
    with pytest.raises(UsageError, match="expected confidence between 0 and 1, got 0"):
        mean_interval([1.0, 2.0], confidence=0)
    with pytest.raises(UsageError, match="expected a and b of one length, got 2 and 3"):
        paired_difference([1, 2], [1, 2, 3])


def test_matched_band() -> None:
    values = [0.90, 0.70, 0.92, 0.91, 0.935, 0.50]
    assert matched_band(values, 0.02).tolist() == [True, False, True, True, False, False]  # both ends belong to it
    assert matched_band(values, 0.001).tolist() == [False, False, False, False, True, False]  # the highest of equals
    assert matched_band(values, 1.0).all()
    assert matched_band([0.3], 0.1).tolist() == [True]
    assert matched_band([0.7, 0.8], 0.1).all()  # though 0.7 + 0.1 is 0.7999999999999999


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_matched_band_refuses_a_width_that_is_none(width: float) -> None:
    with pytest.raises(UsageError, match="expected a finite width > 0"):
        matched_band([1.0, 2.0], width)
    with pytest.raises(UsageError, match="expected at least one value, got none"):
        matched_band([], 1.0)


def test_matched_band_is_the_densest_of_all() -> None:
    values = np.random.default_rng(0).normal(size=60)
    band = matched_band(values, 0.4)
    assert np.ptp(values[band]) <= 0.4 + 1e-9
    assert band.sum() == max(((values >= v) & (values <= v + 0.4)).sum() for v in values)


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(0).uniform(0, 0.2, (3, 4))
    p_values[0, 1] = p_values[2, 3]
    expected = multipletests(p_values.ravel(), method="holm")[1].reshape(3, 4)
    np.testing.assert_allclose(holm(p_values), expected)


def test_over_seeds_and_images_both_vary() -> None:
    """Var of the mean of a row effect and of an image effect, over 40 rows and 40 images: the sum of both."""
    draw = np.random.default_rng(1)
    rows, images = draw.normal(size=(40, 1)), draw.normal(size=(1, 40))
    expected = {
        "both": (rows + images, math.sqrt((rows.var() + images.var()) / 40)),
        "seeds": (rows + np.zeros((1, 40)), math.sqrt(rows.var() / 40)),
        "images": (images + np.zeros((40, 1)), math.sqrt(images.var() / 40)),
    }
    for name, (values, error) in expected.items():
        found = crossed_interval(values, resamples=20_000)
        assert found.mean == pytest.approx(values.mean()), name
        assert found.n == 40
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.03), name
    equal = crossed_interval(np.full((3, 5), 0.25))
    assert equal.low == pytest.approx(0.25)
    assert equal.high == pytest.approx(0.25)
    assert crossed_interval(rows + images, seed=3) == crossed_interval(rows + images, seed=3)
    narrow, wide = (crossed_interval(rows + images, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [[1.0, math.nan]], [[]]])
def test_only_a_table_of_numbers_has_an_interval_over_both(values: object) -> None:
    with pytest.raises(UsageError, match=r"expected finite values of shape \(seeds, images\), got shape"):
        crossed_interval(values)  # type: ignore[arg-type]
