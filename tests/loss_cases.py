"""The variants of every loss that the tests of losses run over, and batches to run them on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from drs.losses import (
    confidence_penalty,
    cross_entropy,
    drs_loss,
    label_smoothing,
    logit_squeezing,
    rce_loss,
)

Loss = Callable[..., Tensor]

VARIANTS: dict[str, tuple[Loss, dict[str, Any]]] = {
    "ce": (cross_entropy, {}),
    "label_smoothing": (label_smoothing, {"smoothing": 0.2}),
    "drs": (drs_loss, {}),
    "drs-probabilities": (drs_loss, {"measure": "probabilities"}),
    "drs-std": (drs_loss, {"spread": "std"}),
    "drs-top_k": (drs_loss, {"top_k": 3}),
    "drs-sum": (drs_loss, {"batch_reduction": "sum", "penalty": 0.005}),
    "drs-true_class": (drs_loss, {"count_true_class": True}),
    "drs-only_correct": (drs_loss, {"only_correct": True}),
    "rce": (rce_loss, {}),
    "confidence_penalty": (confidence_penalty, {"penalty": 0.1}),
    "logit_squeezing": (logit_squeezing, {"penalty": 0.05}),
}
every_variant = pytest.mark.parametrize(("function", "options"), VARIANTS.values(), ids=VARIANTS.keys())


def batch(count: int, classes: int, seed: int = 0, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Normal logits (count, classes) in float64 and labels (count,)."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (count,), generator=generator)


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    """The gradient of a scalar loss."""
    (found,) = torch.autograd.grad(loss, logits)
    return found


def naive_cross_entropy(row: list[float], true: int) -> float:
    """Of one example, by a loop over its classes."""
    return math.log(sum(math.exp(v - row[true]) for v in row))


def naive_log_softmax(row: list[float]) -> list[float]:
    """Of one example, by a loop over its classes."""
    return [-naive_cross_entropy(row, j) for j in range(len(row))]


def naive_drs_penalty(values: list[float], true: int) -> float:
    """Squared deviations of the false values from their mean, by a loop over them."""
    false = [v for j, v in enumerate(values) if j != true]
    mean = sum(false) / len(false)
    return sum((v - mean) ** 2 for v in false)
