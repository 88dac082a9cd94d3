"""The thresholding test: keep the label of an example whose score reaches a threshold, reject the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from drs.detection.rates import rejection_threshold
from drs.errors import UsageError

__all__ = ["NOT_SURE", "Score", "ThresholdingTest"]

NOT_SURE = -1
"""What the thresholding test returns in place of a label."""

Score: TypeAlias = Callable[..., Tensor]


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
        """Set the threshold on held-out NORMAL examples (:func:`drs.detection.rejection_threshold`).

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
