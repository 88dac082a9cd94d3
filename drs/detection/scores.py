"""Scores of logits: confidence and non-ME. HIGHER = MORE NORMAL."""

from __future__ import annotations

import torch
from torch import Tensor

from drs._checks import at_least_float32
from drs.errors import UsageError
from drs.spread import false_class_entropy

__all__ = ["confidence", "non_me"]


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
    return torch.softmax(at_least_float32(logits), dim=1).amax(dim=1)


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
