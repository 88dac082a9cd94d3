"""How well a detector's scores tell normal from adversarial examples: ROC curves, AUC, rates at a threshold.

**HIGHER = MORE NORMAL, everywhere.** An example is kept where its score is >= the threshold and rejected (NOT SURE)
where it is below. Two rates are easily mixed up, so each has a name of its own:

- :func:`~drs.detection.detection_rate` fixes the price paid on NORMAL examples: the share of adversarial examples
  that are rejected at the threshold that rejects at most a given share of the normal ones. What a user of the detector
  asks for.
- :func:`~drs.detection.tpr_at_fpr` takes normal as the positive class, as the RCE paper and its field do: the share of
  normal examples that are kept at the threshold that keeps at most a given share of the adversarial ones.

Scores are tensors on any device, arrays or sequences of shape (N,); results are plain numbers and numpy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drs.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Roc",
    "Values",
    "auc",
    "auc_interval",
    "detection_rate",
    "evaluate_detector",
    "paired_mask",
    "rejection_threshold",
    "roc",
    "tpr_at_fpr",
    "undetected_success",
]

Values: TypeAlias = "Tensor | NDArray[np.generic] | Sequence[float] | Sequence[bool]"


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


def _array(values: Values) -> NDArray[np.generic]:
    tensor: Any = values
    if not hasattr(tensor, "detach"):  # torch is not imported here: a page that only reads records needs none
        return np.asarray(values)
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)  # numpy has no bfloat16


def _scores(values: Values, kind: str) -> NDArray[np.float64]:
    """(N,) float64, at least one of them, none NaN. float32 scores stay exact, so ties stay ties."""
    scores = _array(values).astype(np.float64)
    if scores.ndim != 1:
        raise UsageError(f"expected {kind} scores of shape (N,), got {scores.shape}")
    if not scores.size:
        raise UsageError(f"expected at least one {kind} score, got none: rates need both classes")
    if np.isnan(scores).any():
        raise UsageError(f"expected {kind} scores without NaN, got {int(np.isnan(scores).sum())} NaN")
    return scores


def _mask(values: Values, name: str) -> NDArray[np.bool_]:
    mask = _array(values)
    if mask.ndim != 1 or mask.dtype != np.bool_:
        raise UsageError(f"expected {name} to be booleans of shape (N,), got {mask.dtype} of shape {mask.shape}")
    return mask.astype(np.bool_)


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
    scores = _scores(normal_scores, "normal")
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
    return float((_scores(adversarial_scores, "adversarial") < threshold).mean())


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
    normal, adversarial = _scores(normal_scores, "normal"), _scores(adversarial_scores, "adversarial")
    allowed = _allowed(fpr, adversarial.size, "fpr")
    last_rejected = np.partition(adversarial, adversarial.size - 1 - allowed)[adversarial.size - 1 - allowed]
    return float((normal > last_rejected).mean())


def roc(normal_scores: Values, adversarial_scores: Values) -> Roc:
    """The ROC curve, positive class = normal.

    Args are those of :func:`auc`.

    Raises:
        UsageError: As :func:`auc`, or infinite scores.
    """
    normal, adversarial = _scores(normal_scores, "normal"), _scores(adversarial_scores, "adversarial")
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
    of_normal, _ = _placements(_scores(normal_scores, "normal"), _scores(adversarial_scores, "adversarial"))
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

    normal, adversarial = _scores(normal_scores, "normal"), _scores(adversarial_scores, "adversarial")
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


def evaluate_detector(
    normal_scores: Values, adversarial_scores: Values, *, held_out: Values | None = None, paired: bool = False
) -> dict[str, float]:
    """Every number the book shows of a detector under an attack.

    Args:
        normal_scores: (n,) scores of normal examples, higher = more normal.
        adversarial_scores: (m,).
        held_out: (k,) scores of other normal examples that set the thresholds of the detection rates; without them
            ``normal_scores`` set their own.
        paired: Row i of both is the same image, as in the set of :func:`paired_mask`; narrows the interval.

    Returns:
        ``auc`` with its 95% interval ``auc_low``, ``auc_high``; ``detection_rate_5`` and ``_1`` (share of adversarial
        examples rejected at 5% and 1% false rejection); ``false_rejection_5`` and ``_1`` (share of ``normal_scores``
        rejected at these thresholds); ``tpr_at_fpr_5`` and ``_1`` (positive = normal); ``n_normal``, ``n_adversarial``.

    Raises:
        UsageError: No scores of a class, NaN, or a shape other than (N,).
    """
    normal, adversarial = _scores(normal_scores, "normal"), _scores(adversarial_scores, "adversarial")
    low, high = auc_interval(normal, adversarial, paired=paired)
    result: dict[str, float] = {"auc": auc(normal, adversarial), "auc_low": low, "auc_high": high}
    for percent in (5, 1):
        threshold = rejection_threshold(normal if held_out is None else held_out, percent / 100)
        result[f"detection_rate_{percent}"] = float((adversarial < threshold).mean())
        result[f"false_rejection_{percent}"] = float((normal < threshold).mean())
        result[f"tpr_at_fpr_{percent}"] = tpr_at_fpr(normal, adversarial, percent / 100)
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
    correct, wrong = _mask(clean_correct, "clean_correct"), _mask(attacked_wrong, "attacked_wrong")
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
    wrong, scores = _mask(attacked_wrong, "attacked_wrong"), _scores(adversarial_scores, "adversarial")
    if wrong.shape != scores.shape:
        raise UsageError(f"expected one score for each attacked image, got {scores.size} scores of {wrong.size}")
    if math.isnan(threshold):
        raise UsageError("expected a threshold, got NaN")
    return float((wrong & (scores >= threshold)).mean())
