"""What every loss does before and after its formula: shapes, labels that do not count, precision, reduction."""

from __future__ import annotations

import torch
from torch import Tensor

from drs._checks import check_target_range, flatten_classes
from drs.errors import UsageError, unknown


def flatten(logits: Tensor, target: Tensor, ignore_index: int, reduction: str) -> tuple[Tensor, Tensor, Tensor]:
    """(M, C) logits of at least float32, (M,) labels safe to index with, (M,) mask of the examples that count."""
    if reduction not in ("none", "mean", "sum"):
        raise unknown("reduction", reduction, ("none", "mean", "sum"))
    flat, labels = flatten_classes(logits, target)
    check_target_range(labels, flat.shape[1], ignore_index)
    counted = labels != ignore_index
    return at_least_float32(flat), labels.where(counted, 0), counted


def reduce(values: Tensor, counted: Tensor, shape: torch.Size, reduction: str) -> Tensor:
    """Reduce per-example values (M,): ignored examples are zero and do not enter the mean's denominator."""
    values = values.where(counted, 0.0)
    if reduction == "none":
        return values.reshape(shape)
    return values.sum() if reduction == "sum" else values.sum() / counted.sum()


def at_least_float32(logits: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def check_weight(weight: float | Tensor, name: str = "weight") -> None:
    """Refuse a weight that is negative or not finite; a tensor's value is not looked at."""
    if isinstance(weight, (int, float)) and not 0.0 <= weight < float("inf"):
        raise UsageError(f"expected {name} to be a finite number >= 0, got {weight}")
