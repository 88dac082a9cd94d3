"""Error rates of a verification system: equal error rate, FNMR at a fixed FMR, Fisher's ratio.

**HIGHER = MORE ALIKE.** Two samples match where their score is >= the threshold. FMR is the share of impostor pairs
(two identities) that match, FNMR the share of genuine pairs (one identity) that do not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drs.errors import UsageError

__all__ = ["equal_error_rate", "fisher_ratio", "fnmr_at_fmr", "pair_scores"]


def _scores(values: ArrayLike, kind: str) -> NDArray[np.float64]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise UsageError(f"expected finite {kind} scores of shape (n,), n >= 1, got shape {scores.shape}")
    return scores


def equal_error_rate(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """The error rate at the threshold where FMR and FNMR are nearest to each other: their mean there.

    >>> equal_error_rate([0.9, 0.8, 0.7, 0.2], [0.1, 0.0, 0.3, 0.6])
    0.25

    Args:
        genuine: (n,) scores of pairs of one identity.
        impostor: (m,) scores of pairs of two identities.

    Returns:
        In [0, 1], lower = better; 0.5 for scores that say nothing.

    Raises:
        UsageError: No scores, a shape other than (n,), or a score that is not finite.
    """
    same, other = np.sort(_scores(genuine, "genuine")), np.sort(_scores(impostor, "impostor"))
    thresholds = np.append(np.unique(np.concatenate([same, other])), np.inf)
    fnmr = np.searchsorted(same, thresholds) / same.size
    fmr = 1.0 - np.searchsorted(other, thresholds) / other.size
    nearest = int(np.abs(fmr - fnmr).argmin())
    return float((fmr[nearest] + fnmr[nearest]) / 2.0)


def fnmr_at_fmr(genuine: ArrayLike, impostor: ArrayLike, fmr: float = 0.01) -> float:
    """The lowest FNMR at an FMR of at most ``fmr``: FMR100 of the literature at 0.01, FMR1000 at 0.001.

    >>> fnmr_at_fmr([0.9, 0.8, 0.7, 0.2], [0.1, 0.0, 0.3, 0.75], fmr=0.1)
    0.5

    Args:
        genuine, impostor: As in :func:`equal_error_rate`.
        fmr: Between 0 and 1, both excluded. With fewer than 1 / fmr impostor pairs none may match.

    Returns:
        In [0, 1], lower = better.

    Raises:
        UsageError: As :func:`equal_error_rate`, or a rate outside (0, 1).
    """
    if not 0.0 < fmr < 1.0:
        raise UsageError(f"expected fmr between 0 and 1, got {fmr}")
    same, other = _scores(genuine, "genuine"), np.sort(_scores(impostor, "impostor"))[::-1]
    highest_refused = other[math.floor(fmr * other.size + 1e-9)]
    return float((same <= highest_refused).mean())


def fisher_ratio(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Fisher's discriminant ratio (FDR): squared difference of the means over the sum of the variances.

    >>> fisher_ratio([2.0, 4.0], [0.0, 0.0])
    9.0

    Args:
        genuine, impostor: As in :func:`equal_error_rate`.

    Returns:
        >= 0, higher = better; infinite where neither side varies and the means differ.

    Raises:
        UsageError: As :func:`equal_error_rate`.
    """
    same, other = _scores(genuine, "genuine"), _scores(impostor, "impostor")
    apart, spread = float((same.mean() - other.mean()) ** 2), float(same.var() + other.var())
    if spread == 0.0:
        return math.inf if apart else 0.0
    return apart / spread


def pair_scores(
    probes: ArrayLike, probe_identities: ArrayLike, references: ArrayLike, reference_identities: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines of every probe with every reference, split into genuine and impostor pairs.

    >>> pair_scores([[1.0, 0.0]], [7], [[2.0, 0.0], [0.0, 1.0]], [7, 8])
    (array([1.]), array([0.]))

    Args:
        probes, references: (n, D) and (m, D), no row of norm zero.
        probe_identities, reference_identities: (n,) and (m,).

    Returns:
        Genuine and impostor scores, each one-dimensional, in [-1, 1].

    Raises:
        UsageError: A row of norm zero.
    """
    first, second = np.asarray(probes, dtype=np.float64), np.asarray(references, dtype=np.float64)
    norms = [np.linalg.norm(values, axis=1, keepdims=True) for values in (first, second)]
    if any((norm == 0.0).any() for norm in norms):
        raise UsageError("expected embeddings of a norm above 0, got a zero vector: leave it out, it has no direction")
    cosines = (first / norms[0]) @ (second / norms[1]).T
    same = np.asarray(probe_identities)[:, None] == np.asarray(reference_identities)[None, :]
    return cosines[same], cosines[~same]
