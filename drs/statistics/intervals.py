"""Means over seeds with Student's t intervals, and paired differences. Thin over ``scipy.stats``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drs.errors import UsageError

__all__ = [
    "Array",
    "Difference",
    "Interval",
    "check_confidence",
    "crossed_interval",
    "detectable_difference",
    "finite",
    "mean_interval",
    "paired_difference",
    "share_interval",
]

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and its t interval over ``n`` values; NaN bounds for a single one."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean difference over ``n`` pairs, its t interval and two-sided p value; NaN for a single pair."""

    mean: float
    low: float
    high: float
    p_value: float
    n: int


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval.

    ``mean_interval([1, 2, 3, 4, 5])`` is the mean 3 with the interval from 1.04 to 4.96.

    Args:
        values: (n,), n >= 1; a single one has no interval (NaN), equal ones have one of width zero.
        confidence: Between 0 and 1.

    Raises:
        UsageError: No values, NaN, or a shape other than (n,).
    """
    sample = finite(values, "values")
    mean, low, high, _ = _student(sample, confidence)
    return Interval(mean, low, high, sample.size)


def paired_difference(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Difference:
    """Mean of a - b over matching seeds, with the interval and the p value of the paired t test.

    Args:
        a, b: (n,), entry i of both from the same seed.
        confidence: Between 0 and 1.

    Raises:
        UsageError: Different lengths, no values, or NaN.
    """
    first, second = finite(a, "a"), finite(b, "b")
    if first.size != second.size:
        raise UsageError(f"expected a and b of one length, got {first.size} and {second.size}")
    return Difference(*_student(first - second, confidence), first.size)


def detectable_difference(values: ArrayLike, *, confidence: float = 0.95, power: float = 0.8) -> float:
    r"""The smallest true mean that the t interval of so many values would leave above 0 with this probability.

    >>> round(detectable_difference([0.1, 0.2, 0.3]), 3)
    0.31

    It is :math:`(t_{1 - \alpha / 2} + t_{power})\, s / \sqrt n` with the standard deviation s of the values and
    Student's quantiles for n - 1 degrees of freedom (the usual approximation to the noncentral t).

    Args:
        values: (n,) differences, seed by seed; NaN for a single one.
        confidence, power: Between 0 and 1.

    Raises:
        UsageError: No values, or NaN.
    """
    from scipy.stats import t

    sample = finite(values, "values")
    check_confidence(confidence)
    if sample.size < 2:
        return math.nan
    quantiles = t.ppf([1.0 - (1.0 - confidence) / 2.0, power], sample.size - 1)
    return float(quantiles.sum() * sample.std(ddof=1) / math.sqrt(sample.size))


def _student(sample: Array, confidence: float) -> tuple[float, float, float, float]:
    """Mean, bounds of its t interval and two-sided p value of a mean of zero."""
    from scipy.stats import ttest_1samp

    if not sample.size:
        raise UsageError("expected at least one value, got none")
    check_confidence(confidence)
    mean = float(sample.mean())
    if sample.size == 1:
        return mean, math.nan, math.nan, math.nan
    if float(np.ptp(sample)) <= 1e-14 * abs(mean):  # all equal up to rounding: scipy warns, and divides zero by zero
        return mean, mean, mean, float(mean == 0.0)
    test = ttest_1samp(sample, 0.0)
    bounds = test.confidence_interval(confidence)
    return mean, float(bounds.low), float(bounds.high), float(test.pvalue)


def share_interval(count: int, n: int, *, confidence: float = 0.95) -> Interval:
    """A share with its Wilson interval (J. Am. Stat. Assoc. 22, 1927).

    >>> share = share_interval(8, 10)
    >>> print(f"{share.mean:.2f} [{share.low:.2f}, {share.high:.2f}]")
    0.80 [0.49, 0.94]

    Args:
        count: How many of ``n``.
        n: At least 1.
        confidence: Between 0 and 1.

    Raises:
        UsageError: ``n`` below 1, or a count that is not between 0 and ``n``.
    """
    from scipy.stats import binomtest

    if not 0 <= count <= n or n < 1:
        raise UsageError(f"expected a count of 0 to n and n >= 1, got {count} of {n}")
    check_confidence(confidence)
    found = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return Interval(count / n, float(found.low), float(found.high), n)


def crossed_interval(values: ArrayLike, *, resamples: int = 5000, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Mean over seeds AND images, each network seen on the same images, with a bootstrap interval over both.

    >>> found = crossed_interval([[1, 1, 0, 1], [1, 0, 0, 1]], resamples=1000)
    >>> found.mean, found.low < 0.625 < found.high
    (0.625, True)

    Each resample draws seeds and images, both with replacement and apart from each other; its mean is that of the drawn
    seeds on the drawn images. The ends are percentiles of those means. With few seeds an interval over seeds alone, as
    of :func:`mean_interval`, says how networks differ and takes the images for all there are; this one lets both vary.
    The pigeonhole bootstrap of Owen, Ann. Appl. Stat. 1, 2007, is a little too wide on average.

    Args:
        values: (seeds, images), such as 1 where an attack succeeded and 0 where it did not.
        resamples: Drawn.
        seed: Of the drawing.
        confidence: Between 0 and 1.

    Raises:
        UsageError: No values, NaN, or a shape other than (seeds, images).
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise UsageError(f"expected finite values of shape (seeds, images), got shape {table.shape}")
    check_confidence(confidence)
    draw = np.random.default_rng(seed)
    rows, columns = (draw.multinomial(n, np.full(n, 1.0 / n), resamples) / n for n in table.shape)
    means = ((rows @ table) * columns).sum(axis=1)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(table.mean()), float(low), float(high), len(table))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"expected confidence between 0 and 1, got {confidence}")


def finite(values: ArrayLike, name: str) -> Array:
    """(n,) float64 without NaN or infinity, or an error."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise UsageError(f"expected {name} of shape (n,), got {array.shape}")
    if not np.isfinite(array).all():
        raise UsageError(f"expected {name} without NaN or infinity")
    return array
