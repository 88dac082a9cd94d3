"""BCa bootstrap intervals of correlation coefficients, all resamples at once.

A resample is a row of counts, how often each of the n points was drawn; a statistic takes (B, n) counts to B numbers,
NaN where it is undefined. All ones is the sample itself, all ones but one is a jackknife sample.
"""

# Not scipy.stats.bootstrap: it draws other resamples, so that the intervals of the book would change in the second or
# third digit; it gives NaN as soon as one resample is constant; and Kendall's tau takes twenty times as long.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from drs.errors import UsageError
from drs.statistics.intervals import Array, check_confidence

Statistic: TypeAlias = Callable[[Array], Array]

_CHUNK = 2**21
"""Counts held at a time (16 MiB)."""


def _ranks(columns: Array, counts: Array) -> Array:
    """(B, n, p) midranks of each column within each resample, divided by n; any number where a point is not in it."""
    ranks = []
    for column in columns.T:
        _, group = np.unique(column, return_inverse=True)
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], np.arange(group.max() + 1))
        ties = np.add.reduceat(counts[:, order], starts, axis=1)
        ranks.append((ties.cumsum(axis=1) - 0.5 * (ties - 1.0))[:, group])
    return np.stack(ranks, axis=2) / len(columns)


def linear(columns: Array, *, ranked: bool) -> Statistic:
    """Pearson's (of ranks: Spearman's) coefficient of the first two columns given the others, NaN if undefined."""
    standard = ((columns - columns.mean(axis=0)) / columns.std(axis=0))[None]

    def statistic(counts: Array) -> Array:
        values = _ranks(columns, counts) if ranked else standard
        means = (counts[:, None, :] @ values) / counts.sum(axis=1)[:, None, None]
        values = values - means
        moments = (values * counts[:, :, None]).transpose(0, 2, 1) @ values
        across = moments[:, :2, 2:]
        left = moments[:, :2, :2]
        if across.size:
            left = left - across @ np.linalg.pinv(moments[:, 2:, 2:], hermitian=True) @ across.transpose(0, 2, 1)
        defined = np.minimum(left[:, 0, 0], left[:, 1, 1]) > 1e-12 * len(columns)
        scale = np.where(defined, left[:, 0, 0] * left[:, 1, 1], np.nan)
        coefficient: Array = np.clip(left[:, 0, 1] / np.sqrt(scale), -1.0, 1.0)
        return coefficient

    return statistic


def kendall(columns: Array) -> Statistic:
    """Kendall's tau-b of two columns: signs of all pairs once, then two products with the counts of each resample."""
    sign_x, sign_y = (np.sign(column[:, None] - column[None, :]) for column in columns.T)
    concordance, untied_x, untied_y = sign_x * sign_y, np.abs(sign_x), np.abs(sign_y)

    def statistic(counts: Array) -> Array:
        total, of_x, of_y = (((counts @ pairs) * counts).sum(axis=1) for pairs in (concordance, untied_x, untied_y))
        scale = of_x * of_y
        tau: Array = total / np.sqrt(np.where(scale > 0.0, scale, np.nan))
        return tau

    return statistic


def bca_interval(
    statistic: Statistic, estimate: float, count: int, resamples: int, seed: int, confidence: float
) -> tuple[float, float]:
    """The bias-corrected and accelerated interval, from ``resamples`` rows of counts and the n jackknife samples."""
    from scipy.special import ndtr, ndtri

    check_confidence(confidence)
    if resamples < 100:
        raise UsageError(f"expected at least 100 resamples, got {resamples}")
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // count)

    def draw(start: int) -> Array:
        size = min(rows, resamples - start)
        return generator.multinomial(count, np.full(count, 1.0 / count), size=size).astype(np.float64)

    def leave_one_out(start: int) -> Array:
        return 1.0 - np.eye(min(rows, count - start), count, start)

    drawn = np.concatenate([statistic(draw(start)) for start in range(0, resamples, rows)])
    left_out = np.concatenate([statistic(leave_one_out(start)) for start in range(0, count, rows)])
    drawn, left_out = drawn[~np.isnan(drawn)], left_out[~np.isnan(left_out)]
    if not drawn.size or not left_out.size:
        return math.nan, math.nan
    share = float((drawn < estimate).mean() + 0.5 * (drawn == estimate).mean())
    bias = ndtri(min(max(share, 0.5 / drawn.size), 1.0 - 0.5 / drawn.size))
    pulls = left_out.mean() - left_out
    spread = float((pulls**2).sum())
    acceleration = float((pulls**3).sum()) / (6.0 * spread**1.5) if spread > 0.0 else 0.0
    shifted = bias + ndtri(np.array([0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence]))
    stretch = np.maximum(1.0 - acceleration * shifted, 1e-9)  # one outlier that rules the sample would turn it over
    low, high = np.quantile(drawn, ndtr(bias + shifted / stretch))
    return float(low), float(high)
