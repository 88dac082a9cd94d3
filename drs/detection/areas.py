"""ROC and precision-recall curves of two sets of scores, and the areas under them.

**HIGHER = MORE NORMAL, everywhere.** Scores are tensors on any device, arrays or sequences of shape (N,); results are
plain numbers and numpy arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drs.detection._values import Values, checked_scores
from drs.errors import UsageError, unknown

__all__ = ["Roc", "auc", "auc_interval", "aupr", "roc"]


@dataclass(frozen=True)
class Roc:
    """A ROC curve, positive class = normal, from (0, 0) to (1, 1) with one corner for each distinct score.

    Attributes:
        fpr: (K,) share of adversarial examples kept at each threshold, ascending.
        tpr: (K,) share of normal examples kept at each threshold, ascending.
        thresholds: (K,) descending, the first one infinite; kept means score >= threshold.
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def roc(normal_scores: Values, adversarial_scores: Values) -> Roc:
    """The ROC curve, positive class = normal.

    Args are those of :func:`auc`.

    Raises:
        UsageError: As :func:`auc`, or infinite scores.
    """
    normal, adversarial = checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    scores = np.concatenate([normal, adversarial])
    if not np.isfinite(scores).all():
        raise UsageError("expected finite scores for a ROC curve, got infinity")
    thresholds = np.unique(scores)[::-1]
    false, true = (
        np.concatenate([[0.0], (v.size - np.searchsorted(np.sort(v), thresholds)) / v.size])
        for v in (adversarial, normal)
    )
    return Roc(false, true, np.concatenate([[np.inf], thresholds]))


def _placements(
    normal: NDArray[np.float64], adversarial: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) share of adversarial scores below each normal one and (m,) share of normal scores above each adversarial
    one, ties counted half: their means are both the AUC. From midranks, in O((n + m) log(n + m))."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([normal, adversarial]))
    of_normal = (ranks[: normal.size] - rankdata(normal)) / adversarial.size
    of_adversarial = 1.0 - (ranks[normal.size :] - rankdata(adversarial)) / normal.size
    return of_normal, of_adversarial


def auc(normal_scores: Values, adversarial_scores: Values) -> float:
    r"""Area under the ROC curve: the probability that a normal example scores above an adversarial one.

    .. math:: P(s > a) + \tfrac12 P(s = a)

    Args:
        normal_scores: (n,) scores s of normal examples, higher = more normal.
        adversarial_scores: (m,) scores a.

    Returns:
        In [0, 1]; 0.5 for scores that say nothing.

    Raises:
        UsageError: No scores of a class, NaN, or a shape other than (N,).
    """
    # Not sklearn's roc_auc_score: the interval needs the placements, whose mean this is.
    of_normal, _ = _placements(
        checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    )
    return float(of_normal.mean())


def auc_interval(
    normal_scores: Values, adversarial_scores: Values, *, confidence: float = 0.95, paired: bool = False
) -> tuple[float, float]:
    r"""Confidence interval of the AUC (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988), clipped to [0, 1].

    .. math:: \widehat{\mathrm{AUC}} \pm z \sqrt{\frac{S_{10}}{n} + \frac{S_{01}}{m}}

    with the sample variances of the placements V10 (each normal example among the adversarial ones) and V01. With
    ``paired`` the two scores of row i come from one image, and the covariance of its two placements is counted too
    (Obuchowski, Biometrics 53, 1997). Where the classes are separated completely both variances are zero; the
    interval then is Clopper and Pearson's for min(n, m) disjoint pairs that are all ordered alike.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal.
        adversarial_scores: (m,).
        confidence: Between 0 and 1.
        paired: Row i of both is the same image, normal and attacked.

    Returns:
        (low, high); (nan, nan) if a class has a single score and the classes overlap.

    Raises:
        UsageError: As :func:`auc`, a confidence outside (0, 1), or ``paired`` with different lengths.
    """
    from scipy.stats import norm

    normal, adversarial = checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"expected confidence between 0 and 1, got {confidence}")
    if paired and normal.size != adversarial.size:
        raise UsageError(f"expected as many normal as adversarial scores, got {normal.size} and {adversarial.size}")
    if normal.min() > adversarial.max():
        return (0.5 - 0.5 * confidence) ** (1.0 / min(normal.size, adversarial.size)), 1.0
    if normal.max() < adversarial.min():
        return 0.0, 1.0 - (0.5 - 0.5 * confidence) ** (1.0 / min(normal.size, adversarial.size))
    if min(normal.size, adversarial.size) < 2:
        return math.nan, math.nan
    of_normal, of_adversarial = _placements(normal, adversarial)
    if paired:
        variance = (of_normal + of_adversarial).var(ddof=1) / normal.size
    else:
        variance = of_normal.var(ddof=1) / normal.size + of_adversarial.var(ddof=1) / adversarial.size
    centre, half = float(of_normal.mean()), float(norm.ppf(0.5 + 0.5 * confidence) * math.sqrt(variance))
    return max(0.0, centre - half), min(1.0, centre + half)


def aupr(
    normal_scores: Values, adversarial_scores: Values, *, positive: Literal["normal", "adversarial"] = "normal"
) -> float:
    r"""Area under the precision-recall curve, as average precision: AUPR-In and AUPR-Out of the field.

    >>> aupr([3.0, 1.0], [2.0])  # kept: 3 (precision 1), 3 and 2, then all (precision 2/3)
    0.8333333333333333
    >>> aupr([3.0, 1.0], [2.0], positive="adversarial")  # rejected: 1, then 1 and 2 (precision 1/2)
    0.5

    .. math:: \sum_k (R_k - R_{k-1}) \, P_k

    over the distinct scores as thresholds; recall R is the share of the positive class that is called positive and
    precision P the share of what is called positive that is. No line is drawn between two thresholds. Unlike the AUC,
    it depends on how many examples of each class there are: a score that says nothing has the share of the positive
    class.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal.
        adversarial_scores: (m,).
        positive: ``"normal"`` (AUPR-In): called positive are the highest scores. ``"adversarial"`` (AUPR-Out): the
            lowest ones.

    Returns:
        In (0, 1].

    Raises:
        UsageError: No scores of a class, NaN, a shape other than (N,), or another positive class.
    """
    normal, adversarial = checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    if positive not in ("normal", "adversarial"):
        raise unknown("positive class", positive, ("normal", "adversarial"))
    yes, no = (normal, adversarial) if positive == "normal" else (-adversarial, -normal)
    thresholds = np.unique(yes)[::-1]  # between two of them recall stands still
    true, false = (v.size - np.searchsorted(np.sort(v), thresholds) for v in (yes, no))
    gained = np.diff(true, prepend=0)
    return float((gained * (true / (true + false))).sum() / yes.size)
