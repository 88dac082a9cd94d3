"""How well a detector's scores tell normal from adversarial examples: rates at a threshold.

**HIGHER = MORE NORMAL, everywhere.** An example is kept where its score is >= the threshold and rejected (NOT SURE)
where it is below. Three rates are easily mixed up, so each has a name of its own:

- :func:`~drs.detection.detection_rate` fixes the price paid on NORMAL examples: the share of adversarial examples
  that are rejected at the threshold that rejects at most a given share of the normal ones. What a user of the detector
  asks for.
- :func:`~drs.detection.tpr_at_fpr` takes normal as the positive class, as the RCE paper and its field do: the share of
  normal examples that are kept at the threshold that keeps at most a given share of the adversarial ones.
- :func:`~drs.detection.fpr_at_tpr` has normal as the positive class too, and fixes the share of them that is kept: the
  share of adversarial examples that are kept with them. At 95% it is the field's FPR95.

Scores are tensors on any device, arrays or sequences of shape (N,); results are plain numbers and numpy arrays.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drs.detection._values import Values, checked_mask, checked_scores
from drs.detection.areas import auc, auc_interval, aupr
from drs.errors import UsageError

__all__ = [
    "Values",
    "detection_rate",
    "evaluate_detector",
    "fpr_at_tpr",
    "paired_mask",
    "rejection_threshold",
    "tpr_at_fpr",
    "undetected_success",
]


def _allowed(rate: float, count: int, name: str) -> int:
    """The most examples that are at most the share ``rate`` of ``count``; 0.29 * 100 is 29, not 28.999..."""
    if not 0.0 < rate < 1.0:
        raise UsageError(f"expected {name} between 0 and 1, got {rate}")
    return math.floor(rate * count + 1e-9)


def rejection_threshold(normal_scores: Values, false_rejection_rate: float = 0.05) -> float:
    """The highest threshold that rejects at most the given share of normal examples.

    With k = floor(rate * n) it is the (k + 1)-th smallest score: at most k scores lie below it, fewer with ties. The
    paper keeps a label if its metric is > T; T is then any number just below this one.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal.
        false_rejection_rate: Between 0 and 1, both excluded.

    Returns:
        The threshold; kept means score >= threshold.

    Raises:
        UsageError: No scores, NaN, a shape other than (n,), or a rate outside (0, 1).
    """
    scores = checked_scores(normal_scores, "normal")
    allowed = _allowed(false_rejection_rate, scores.size, "false_rejection_rate")
    return float(np.partition(scores, allowed)[allowed])


def detection_rate(normal_scores: Values, adversarial_scores: Values, false_rejection_rate: float = 0.05) -> float:
    """Share of ADVERSARIAL examples rejected when at most a given share of NORMAL examples is rejected.

    Args:
        normal_scores: (n,) scores of normal examples, which set the threshold (best: held-out ones).
        adversarial_scores: (m,).
        false_rejection_rate: Between 0 and 1, both excluded.

    Returns:
        In [0, 1], higher = better detector.

    Raises:
        UsageError: As :func:`rejection_threshold`.
    """
    threshold = rejection_threshold(normal_scores, false_rejection_rate)
    return float((checked_scores(adversarial_scores, "adversarial") < threshold).mean())


def tpr_at_fpr(normal_scores: Values, adversarial_scores: Values, fpr: float = 0.05) -> float:
    """Largest share of NORMAL examples kept while at most a given share of ADVERSARIAL examples is kept.

    Positive = normal. A point of the ROC curve itself: no interpolation between its corners.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal.
        adversarial_scores: (m,).
        fpr: Between 0 and 1, both excluded.

    Returns:
        In [0, 1], higher = better detector.

    Raises:
        UsageError: No scores of a class, NaN, a shape other than (N,), or a rate outside (0, 1).
    """
    normal, adversarial = checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    allowed = _allowed(fpr, adversarial.size, "fpr")
    last_rejected = np.partition(adversarial, adversarial.size - 1 - allowed)[adversarial.size - 1 - allowed]
    return float((normal > last_rejected).mean())


def fpr_at_tpr(normal_scores: Values, adversarial_scores: Values, tpr: float = 0.95) -> float:
    """Smallest share of ADVERSARIAL examples kept while at least a given share of NORMAL examples is kept: FPR95.

    >>> normal, adversarial = [float(number) for number in range(20)], [-1.0, 0.5, 3.0, 30.0]
    >>> fpr_at_tpr(normal, adversarial)  # keeps 19 of 20 normal ones: the threshold is 1
    0.5

    Positive = normal, as in the literature on out-of-distribution data. It is 1 - :func:`detection_rate` at a false
    rejection of 1 - ``tpr``. No interpolation between the corners of the ROC curve.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal; they set the threshold.
        adversarial_scores: (m,).
        tpr: Between 0 and 1, both excluded.

    Returns:
        In [0, 1], lower = better detector.

    Raises:
        UsageError: No scores of a class, NaN, a shape other than (N,), or a rate outside (0, 1).
    """
    normal, adversarial = checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    rejected = _allowed(1.0 - tpr, normal.size, "1 - tpr")
    return float((adversarial >= np.partition(normal, rejected)[rejected]).mean())


def evaluate_detector(
    normal_scores: Values, adversarial_scores: Values, *, held_out: Values | None = None, paired: bool = False
) -> dict[str, float]:
    """Every number of a detector under an attack: those the book shows, and the field's FPR95 and AUPR.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal.
        adversarial_scores: (m,).
        held_out: (k,) scores of other normal examples that set the thresholds of the detection rates; without them
            ``normal_scores`` set their own.
        paired: Row i of both is the same image, as in the set of :func:`paired_mask`; narrows the interval.

    Returns:
        ``auc`` with its 95% interval ``auc_low``, ``auc_high``; ``detection_rate_5`` and ``_1`` (share of adversarial
        examples rejected at 5% and 1% false rejection); ``false_rejection_5`` and ``_1`` (share of ``normal_scores``
        rejected at these thresholds); ``tpr_at_fpr_5`` and ``_1`` (positive = normal); the field's ``fpr95``,
        ``aupr_in`` (positive = normal) and ``aupr_out`` (positive = adversarial); ``n_normal``, ``n_adversarial``.

    Raises:
        UsageError: No scores of a class, NaN, or a shape other than (N,).
    """
    normal, adversarial = checked_scores(normal_scores, "normal"), checked_scores(adversarial_scores, "adversarial")
    low, high = auc_interval(normal, adversarial, paired=paired)
    result: dict[str, float] = {"auc": auc(normal, adversarial), "auc_low": low, "auc_high": high}
    for percent in (5, 1):
        threshold = rejection_threshold(normal if held_out is None else held_out, percent / 100)
        result[f"detection_rate_{percent}"] = float((adversarial < threshold).mean())
        result[f"false_rejection_{percent}"] = float((normal < threshold).mean())
        result[f"tpr_at_fpr_{percent}"] = tpr_at_fpr(normal, adversarial, percent / 100)
    result["fpr95"] = fpr_at_tpr(normal, adversarial)
    result["aupr_in"] = aupr(normal, adversarial)
    result["aupr_out"] = aupr(normal, adversarial, positive="adversarial")
    return result | {"n_normal": normal.size, "n_adversarial": adversarial.size}


def paired_mask(clean_correct: Values, attacked_wrong: Values) -> NDArray[np.bool_]:
    """The AUC set of the RCE paper: images classified right when normal AND wrong when attacked.

    Both arms, normal and adversarial scores, are taken on these images, so their numbers are equal.

    Args:
        clean_correct: (N,) bool.
        attacked_wrong: (N,) bool.

    Returns:
        (N,) bool.

    Raises:
        UsageError: Not booleans, or different lengths.
    """
    correct, wrong = checked_mask(clean_correct, "clean_correct"), checked_mask(attacked_wrong, "attacked_wrong")
    if correct.shape != wrong.shape:
        raise UsageError(f"expected masks of one length, got {correct.size} and {wrong.size}")
    return correct & wrong


def undetected_success(attacked_wrong: Values, adversarial_scores: Values, threshold: float) -> float:
    """Share of ALL attacked images that are misclassified AND kept by the detector: what an attacker gains.

    Args:
        attacked_wrong: (N,) bool, the attacked image is misclassified.
        adversarial_scores: (N,) scores of the attacked images, higher = more normal.
        threshold: From :func:`rejection_threshold` on held-out normal examples; kept means score >= threshold.

    Returns:
        In [0, 1], lower = better defence.

    Raises:
        UsageError: Not booleans, different lengths, no scores, or NaN.
    """
    wrong, scores = checked_mask(attacked_wrong, "attacked_wrong"), checked_scores(adversarial_scores, "adversarial")
    if wrong.shape != scores.shape:
        raise UsageError(f"expected one score for each attacked image, got {scores.size} scores of {wrong.size}")
    if math.isnan(threshold):
        raise UsageError("expected a threshold, got NaN")
    return float((wrong & (scores >= threshold)).mean())
