"""What gradient attacks make larger: cross-entropy and margins, as plain functions of the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from drs.errors import UsageError

__all__ = ["OBJECTIVES", "Objective", "cross_entropy", "dlr", "margin", "scaled_cross_entropy"]

Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From logits (N, C) and labels (N,) to (N,); larger is better for the attacker."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each image, (N,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def scaled_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the logits divided by the gap of the top two, (N,): it cannot saturate."""
    top = logits.topk(2, dim=1).values
    scale = (top[:, 0] - top[:, 1]).abs().clamp_min(1e-12).unsqueeze(1).detach()
    return cross_entropy(logits / scale, labels)


def margin(logits: Tensor, labels: Tensor, targeted: bool = False) -> Tensor:
    r"""How far an attack got, (N,): :math:`\max_{i \ne y} z_i - z_y`, above 0 where the model is fooled.

    >>> import torch
    >>> logits = torch.tensor([[2.0, 1.0, -1.0, 4.0]])
    >>> margin(logits, torch.tensor([0]))
    tensor([2.])
    >>> margin(logits, torch.tensor([3]), targeted=True)
    tensor([2.])

    Args:
        logits: (N, C).
        labels: (N,) int64, the true classes; the target classes if ``targeted``.
        targeted: The negative: the target's logit minus the largest other one.
    """
    index = labels.unsqueeze(1)
    over_label = logits.scatter(1, index, -torch.inf).amax(dim=1) - logits.gather(1, index).squeeze(1)
    return -over_label if targeted else over_label


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020, arXiv 2003.01690): the margin over the gap of first and third.

    Raises:
        UsageError: Fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise UsageError(f"expected at least 3 classes for the objective 'dlr', got {logits.shape[1]}: use 'margin'")
    top = logits.topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2]).clamp_min(1e-12)


OBJECTIVES: dict[str, Objective] = {
    "ce": cross_entropy,
    "scaled_ce": scaled_cross_entropy,
    "margin": margin,
    "dlr": dlr,
}
"""Every objective by name."""
