"""Numbers of one network on clean images: logits, accuracy, calibration, and the false-class measures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from drs.spread import false_class_entropy, false_class_std, false_class_variance
from drs.training.models import Network

__all__ = [
    "BATCH",
    "MEASURES",
    "accuracy",
    "clean_metrics",
    "expected_calibration_error",
    "features_of",
    "logits_of",
    "share",
]

BATCH = 1000
"""Images per forward pass, unless another number is given."""

MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "std_logits": lambda z, y: false_class_std(z, y, measure="logits"),
    "std_probabilities": lambda z, y: false_class_std(z, y, measure="probabilities"),
    "variance_logits": lambda z, y: false_class_variance(z, y, measure="logits"),
    "variance_probabilities": lambda z, y: false_class_variance(z, y, measure="probabilities"),
    "entropy_logits": lambda z, y: false_class_entropy(z, y, measure="logits"),
    "entropy_probabilities": lambda z, y: false_class_entropy(z, y, measure="probabilities"),
}
"""Measures of the false-class distribution by name: (N, C) logits and (N,) labels to (N,)."""


@torch.no_grad()
def logits_of(network: Network, images: Tensor, *, batch: int = BATCH) -> Tensor:
    """Logits (N, C) of images (N, channels, H, W), ``batch`` of them per forward pass."""
    return torch.cat([network(part) for part in images.split(batch)])


@torch.no_grad()
def features_of(network: Network, images: Tensor, *, batch: int = BATCH) -> Tensor:
    """Final hidden vectors (N, D) of images (N, channels, H, W), ``batch`` of them per forward pass."""
    return torch.cat([network.features(part) for part in images.split(batch)])


def share(chosen: Tensor) -> float:
    """Share of True in (N,) bool, in double precision: equal counts give equal numbers."""
    return int(chosen.sum()) / len(chosen)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of right labels."""
    return share(logits.argmax(dim=1) == labels)


def expected_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by size (Guo et al. 2017).

    Args:
        logits: (N, C).
        labels: (N,).
        bins: Number of bins of (0, 1].
    """
    confidence, predicted = torch.softmax(logits, dim=1).max(dim=1)
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = confidence - (predicted == labels).to(confidence)
    sums = torch.zeros(bins, dtype=confidence.dtype, device=logits.device).index_add_(0, place, gap)
    return float(sums.abs().sum() / len(labels))


def clean_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, cross-entropy, calibration error, and mean and median of every false-class measure."""
    values = {
        "accuracy": accuracy(logits, labels),
        "cross_entropy": float(F.cross_entropy(logits, labels)),
        "calibration_error": expected_calibration_error(logits, labels),
    }
    for name, measure in MEASURES.items():
        each = measure(logits, labels)
        values[f"{name}_mean"] = float(each.mean())
        values[f"{name}_median"] = float(each.median())
    return values
