"""What the losses of this package do first and last: one row per example, and the reduction."""

from __future__ import annotations

import torch
from torch import Tensor

from drs._checks import at_least_float32, check_target_range, flatten_classes
from drs.errors import unknown


def examples(
    logits: Tensor, target: Tensor, ignore_index: int, reduction: str, *, min_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(M, C) logits of at least float32, (M,) labels safe to index with, (M,) mask of the examples that count."""
    if reduction not in ("none", "mean", "sum"):
        raise unknown("reduction", reduction, ("none", "mean", "sum"))
    flat, labels = flatten_classes(logits, target, min_classes=min_classes)
    check_target_range(labels, flat.shape[1], ignore_index)
    counted = labels != ignore_index
    return at_least_float32(flat), labels.where(counted, 0), counted


def reduced(values: Tensor, counted: Tensor, shape: torch.Size, reduction: str) -> Tensor:
    """Reduce per-example values (M,): ignored examples are zero and do not enter the mean's denominator."""
    values = values.where(counted, 0.0)
    if reduction == "none":
        return values.reshape(shape)
    return values.sum() if reduction == "sum" else values.sum() / counted.sum()
