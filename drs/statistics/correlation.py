"""Correlations with bootstrap intervals, partial correlations, Holm's correction, populations of equal accuracy.

Thin over scipy. Intervals are BCa bootstrap intervals (Efron, J. Am. Stat. Assoc. 82, 1987):
bias-corrected and accelerated, from resamples of whole points, ranks taken anew in each of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drs.errors import UsageError, unknown
from drs.statistics._bootstrap import bca_interval, kendall, linear
from drs.statistics.intervals import Array, finite

__all__ = ["Correlation", "Method", "correlate", "holm", "matched_band", "partial_correlation"]

Method: TypeAlias = Literal["pearson", "spearman", "kendall"]

_KENDALL_LIMIT = 5000
"""Points for which the matrices of pairs still fit into memory."""


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient.

    Attributes:
        method: ``"pearson"``, ``"spearman"`` or ``"kendall"`` (tau-b).
        estimate: In [-1, 1].
        low, high: The BCa bootstrap interval.
        p_value: Two-sided, of no correlation.
        n: Number of points.
    """

    method: str
    estimate: float
    low: float
    high: float
    p_value: float
    n: int


def correlate(
    x: ArrayLike,
    y: ArrayLike,
    method: Method = "pearson",
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Correlation:
    """Correlation of two variables with its BCa bootstrap interval.

    The same seed draws the same resamples of n points for every pair of variables. Resamples in which a variable is
    constant are left out. The p value is Student's t with n - 2 degrees of freedom (Pearson, Spearman) or scipy's
    ``kendalltau``.

    Args:
        x, y: (n,), n >= 4; no NaN, not constant.
        method: ``"pearson"``, ``"spearman"`` or ``"kendall"`` (tau-b; memory n * n, at most 5000 points).
        resamples: Bootstrap resamples, at least 100.
        seed: Of the resamples.
        confidence: Between 0 and 1.

    Raises:
        UsageError: Different lengths, fewer than 4 points, NaN, a constant variable, or an unknown option.
    """
    if method != "kendall":
        return partial_correlation(x, y, (), method, resamples=resamples, seed=seed, confidence=confidence)
    from scipy.stats import kendalltau

    columns = _columns(x, y, ())
    if len(columns) > _KENDALL_LIMIT:
        raise UsageError(f"expected at most {_KENDALL_LIMIT} points for Kendall's tau, got {len(columns)}")
    statistic = kendall(columns)
    estimate = float(statistic(np.ones((1, len(columns))))[0])
    low, high = bca_interval(statistic, estimate, len(columns), resamples, seed, confidence)
    return Correlation(
        method, estimate, low, high, float(kendalltau(columns[:, 0], columns[:, 1]).pvalue), len(columns)
    )


def partial_correlation(
    x: ArrayLike,
    y: ArrayLike,
    given: ArrayLike,
    method: Literal["pearson", "spearman"] = "pearson",
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Correlation:
    """Correlation of what a linear regression on ``given`` leaves of x and of y, with its BCa bootstrap interval.

    For Spearman all variables are replaced by their ranks first. The regression is done anew in every resample. The
    p value is Student's t with n - 2 - k degrees of freedom, k the number of given variables.

    Args:
        x, y: (n,), n >= 4 and n >= 3 + k; no NaN, not constant.
        given: (n,) or (n, k) variables to hold fixed; () for none.
        method: ``"pearson"`` or ``"spearman"``.
        resamples, seed, confidence: As in :func:`correlate`.

    Raises:
        UsageError: Different lengths, too few points, NaN, a constant variable, given variables that depend on each
            other or determine x or y, or an unknown option.
    """
    from scipy.stats import t

    if method not in ("pearson", "spearman"):
        raise unknown("method", method, ("pearson", "spearman", "kendall (without given)"))
    columns = _columns(x, y, given)
    count, width = columns.shape
    statistic = linear(columns, ranked=method == "spearman")
    estimate = float(statistic(np.ones((1, count)))[0])
    if math.isnan(estimate):
        raise UsageError("expected variables that the given ones do not determine, got x or y without a residual")
    low, high = bca_interval(statistic, estimate, count, resamples, seed, confidence)
    freedom = count - width
    with np.errstate(divide="ignore"):
        p_value = 2.0 * t.sf(abs(estimate) * np.sqrt(np.divide(freedom, 1.0 - estimate**2)), freedom)
    return Correlation(method, estimate, low, high, float(p_value), count)


def holm(p_values: ArrayLike) -> Array:
    """p values corrected for their number (Holm, Scand. J. Stat. 6, 1979): the chance of one false alarm in all.

    Args:
        p_values: Any shape, in [0, 1].

    Returns:
        The same shape, each >= its p value and at most 1; below 0.05 is significant at 5% over all.

    Raises:
        UsageError: NaN, or a number outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not bool(((values >= 0.0) & (values <= 1.0)).all()):
        raise UsageError("expected p values in [0, 1], got NaN or a number outside")
    if not values.size:
        return values
    order = np.argsort(values, axis=None)
    corrected = np.empty(values.size)
    corrected[order] = np.maximum.accumulate(values.ravel()[order] * np.arange(values.size, 0, -1)).clip(max=1.0)
    return corrected.reshape(values.shape)


def matched_band(values: ArrayLike, width: float) -> NDArray[np.bool_]:
    """The densest band of a given width: which networks form a population at equal clean accuracy.

    Args:
        values: (n,), such as clean accuracies.
        width: Of the band, in the unit of the values, both ends included.

    Returns:
        (n,) bool, true for the values inside; of bands with equally many values the highest.

    Raises:
        UsageError: No values, NaN, or a width <= 0.
    """
    sample = finite(values, "values")
    if not sample.size:
        raise UsageError("expected at least one value, got none")
    if not 0.0 < width < math.inf:
        raise UsageError(f"expected a finite width > 0, got {width}")
    ordered = np.sort(sample)
    tops = ordered + width * (1.0 + 1e-9)  # 0.92 belongs to a band of 0.02 that starts at 0.9
    inside = np.searchsorted(ordered, tops, side="right") - np.arange(sample.size)
    start = sample.size - 1 - int(inside[::-1].argmax())
    band: NDArray[np.bool_] = (sample >= ordered[start]) & (sample <= tops[start])
    return band


def _columns(x: ArrayLike, y: ArrayLike, given: ArrayLike) -> Array:
    """(n, 2 + k): x, y and the k given variables, checked."""
    named = {"x": finite(x, "x"), "y": finite(y, "y")}
    others = np.asarray(given, dtype=np.float64)
    if others.size:
        others = others[:, None] if others.ndim == 1 else others
        if others.ndim != 2:
            raise UsageError(f"expected given of shape (n,) or (n, k), got {others.shape}")
        named |= {f"given[{number}]": finite(column, "given") for number, column in enumerate(others.T)}
    sizes = [column.size for column in named.values()]
    if len(set(sizes)) > 1:
        raise UsageError(f"expected variables of one length, got {', '.join(map(str, sizes))}")
    if sizes[0] < max(4, 1 + len(named)):
        raise UsageError(f"expected at least {max(4, 1 + len(named))} points, got {sizes[0]}")
    for name, column in named.items():
        if np.ptp(column) == 0.0:
            raise UsageError(f"expected {name} to vary, got a constant: its correlation is undefined")
    columns = np.stack(list(named.values()), axis=1)
    held = columns[:, 2:]
    if held.size and np.linalg.matrix_rank((held - held.mean(axis=0)) / held.std(axis=0)) < held.shape[1]:
        raise UsageError("expected given variables that do not depend on each other linearly")
    return columns
