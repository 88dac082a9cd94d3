r"""Detection of adversarial examples by a score and a threshold: the thresholding test of the RCE paper.

**HIGHER = MORE NORMAL, everywhere.** Every score here, confidence, non-ME and log K-density, is large for examples
that look like the training data and small for suspicious ones; an example is rejected where its score is BELOW the
threshold. arXiv 1706.00633; for an RCE network the logits are those of :class:`drs.models.ReverseLogits`::

    density = KDensity(BANDWIDTH_RCE).fit(model.features(train_images), train_labels)
    test = ThresholdingTest(density.score).fit(model.features(held_out), model(held_out).argmax(dim=1))
    labels = test.predict(predicted, model.features(images), predicted)  # -1 where it is not sure

K-density lives in :mod:`drs.density`, what the scores are worth (ROC, AUC, detection rates) in :mod:`drs.roc`; their
names are also here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from drs.density import BANDWIDTH_CE, BANDWIDTH_RCE, KDensity
from drs.distribution import false_class_entropy
from drs.errors import UsageError
from drs.roc import (
    Roc,
    auc,
    auc_interval,
    detection_rate,
    evaluate_detector,
    paired_mask,
    rejection_threshold,
    roc,
    tpr_at_fpr,
    undetected_success,
)

__all__ = [
    "BANDWIDTH_CE",
    "BANDWIDTH_RCE",
    "NOT_SURE",
    "KDensity",
    "Roc",
    "ThresholdingTest",
    "auc",
    "auc_interval",
    "confidence",
    "detection_rate",
    "evaluate_detector",
    "non_me",
    "paired_mask",
    "rejection_threshold",
    "roc",
    "tpr_at_fpr",
    "undetected_success",
]

NOT_SURE = -1
"""What the thresholding test returns in place of a label."""

Score: TypeAlias = Callable[..., Tensor]


def _check_logits(logits: Tensor, classes: int) -> None:
    if logits.dim() != 2 or not logits.is_floating_point():
        raise UsageError(f"expected floating-point logits of shape (N, C), got {logits.dtype} {tuple(logits.shape)}")
    if logits.shape[1] < classes:
        raise UsageError(f"expected at least {classes} classes, got {logits.shape[1]}")


def confidence(logits: Tensor) -> Tensor:
    """Largest softmax value. HIGHER = MORE NORMAL.

    Args:
        logits: (N, C), raw logits, C >= 2. Half precision is computed in float32.

    Returns:
        (N,) in [1 / C, 1]. Rounds to exactly 1 for very large margins: such examples tie.

    Raises:
        UsageError: Not floating-point logits of shape (N, C).
    """
    _check_logits(logits, 2)
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return torch.softmax(wide, dim=1).amax(dim=1)


def non_me(logits: Tensor) -> Tensor:
    r"""Entropy of the classes other than the predicted one, renormalised to sum to one, in nats. HIGHER = MORE NORMAL.

    .. math:: -\sum_{j \ne \hat y} q_j \log q_j, \qquad q = \mathrm{softmax}(z_j : j \ne \hat y)

    Taken from the log-softmax of the other logits, so it stays finite where their probabilities underflow. At the
    true class the DRS penalty is zero exactly where this is log(C - 1).

    Args:
        logits: (N, C), raw logits, C >= 3. Half precision is computed in float32.

    Returns:
        (N,) in [0, log(C - 1)].

    Raises:
        UsageError: Not floating-point logits of shape (N, C), or fewer than three classes.
    """
    _check_logits(logits, 3)
    return false_class_entropy(logits, logits.argmax(dim=1), normalised=False)


@dataclass(eq=False)
class ThresholdingTest:
    """Return the label where the score reaches a threshold, else :data:`NOT_SURE`. HIGHER = MORE NORMAL.

    Attributes:
        metric: Makes (N,) scores of whatever ``fit``, ``score`` and ``predict`` are given (:func:`confidence` and
            :func:`non_me` of logits, :meth:`KDensity.score` of features and predictions); None: they are given scores.
        false_rejection_rate: The largest share of the fitted normal examples that is rejected, between 0 and 1.
    """

    metric: Score | None = None
    false_rejection_rate: float = 0.05
    _threshold: float | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.false_rejection_rate < 1.0:
            raise UsageError(f"expected false_rejection_rate between 0 and 1, got {self.false_rejection_rate}")

    @property
    def threshold(self) -> float:
        """Set by ``fit``; a score >= it keeps its label.

        Raises:
            UsageError: Asked for before ``fit``.
        """
        if self._threshold is None:
            raise UsageError("expected fit() before the threshold is asked for")
        return self._threshold

    def score(self, *inputs: Tensor) -> Tensor:
        """(N,) scores of ``inputs``: what the metric makes of them.

        Raises:
            UsageError: Scores of another shape, or NaN.
        """
        scores = inputs[0] if self.metric is None else self.metric(*inputs)
        if scores.dim() != 1:
            raise UsageError(f"expected scores of shape (N,), got {tuple(scores.shape)}")
        if bool(scores.isnan().any()):
            raise UsageError("expected scores without NaN, got NaN")
        return scores

    def fit(self, *inputs: Tensor) -> ThresholdingTest:
        """Set the threshold on held-out NORMAL examples (:func:`drs.roc.rejection_threshold`).

        Args:
            *inputs: What the metric takes, of normal examples the network was not trained on.

        Returns:
            Itself.

        Raises:
            UsageError: No examples, scores of another shape, or NaN.
        """
        self._threshold = rejection_threshold(self.score(*inputs), self.false_rejection_rate)
        return self

    def predict(self, labels: Tensor, *inputs: Tensor) -> Tensor:
        """Labels where the test accepts, :data:`NOT_SURE` where it does not.

        Args:
            labels: (N,) int64, the labels the network gives.
            *inputs: What the metric takes, of the same examples.

        Returns:
            (N,) int64.

        Raises:
            UsageError: Called before ``fit``, scores of another shape, or NaN.
        """
        threshold, scores = self.threshold, self.score(*inputs)
        if labels.shape != scores.shape:
            raise UsageError(f"expected labels of shape {tuple(scores.shape)}, got {tuple(labels.shape)}")
        return labels.where(scores >= threshold, NOT_SURE)
