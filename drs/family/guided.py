"""Guided complement entropy (GCE) and the STD loss: two losses that flatten the false classes, as DRS does.

Both take raw logits in every shape that :func:`torch.nn.functional.cross_entropy` takes.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from drs._checks import check_penalty
from drs.errors import UsageError
from drs.family._examples import examples, reduced
from drs.spread import false_class_squares

__all__ = ["gce_loss", "std_loss"]


def gce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 1 / 3,
    ignore_index: int = -100,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> Tensor:
    r"""Guided complement entropy (Chen et al., ICCV 2019, arXiv 1903.09799).

    >>> import torch
    >>> logits = torch.tensor([[2.0, 1.0, 1.0]]).log()  # p = 1/2, 1/4, 1/4 and q = 1/2, 1/2
    >>> gce_loss(logits, torch.tensor([0]), alpha=1.0)  # -(1/2) log 2 / log 3
    tensor(-0.3155)

    .. math:: L = \frac{p_y^\alpha}{\log C} \sum_{j \ne y} q_j \log q_j, \qquad q_j = \frac{p_j}{1 - p_y}

    The sum is minus the RCE paper's non-ME, taken at the true class; :math:`p_y^\alpha` lets it count where the network
    is already sure. There is no cross-entropy term: the guide alone raises :math:`p_y`.

    Args:
        logits: Raw logits (N, C) or any shape torch takes, C >= 3.
        target: Class indices, int64.
        alpha: >= 0, of the guide; 0 gives the entropy alone, which says nothing of the true class.
        ignore_index: Label of examples that do not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        Between -log(C - 1) / log C, for equal false classes and a sure network, and 0.

    Raises:
        UsageError: alpha < 0 or not finite, fewer than three classes, shapes, labels or an option that do not fit.
    """
    if not 0.0 <= alpha < math.inf:
        raise UsageError(f"expected alpha to be a finite number >= 0, got {alpha}")
    flat, labels, counted = examples(logits, target, ignore_index, reduction, min_classes=3)
    index = labels.unsqueeze(1)
    # log q is the log-softmax of the false logits alone: no division by 1 - p_y, which rounds to zero
    log_q = torch.log_softmax(flat.scatter(1, index, -torch.inf), dim=1).scatter(1, index, 0.0)
    complement = (log_q.exp() * log_q).sum(dim=1)
    guide = (alpha * torch.log_softmax(flat, dim=1).gather(1, index).squeeze(1)).exp()
    return reduced(guide * complement / math.log(flat.shape[1]), counted, target.shape, reduction)


def std_loss(
    logits: Tensor,
    target: Tensor,
    *,
    penalty: float | Tensor = 1.0,
    ignore_index: int = -100,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> Tensor:
    r"""Cross-entropy plus the standard deviation of the false probabilities (Yang et al. 2022, arXiv 2206.00913).

    >>> import torch
    >>> logits = torch.tensor([[2.0, 1.0, 1.0]]).log()
    >>> std_loss(logits, torch.tensor([0]), penalty=1.0)  # equal false classes: cross-entropy, log 2
    tensor(0.6931)

    .. math:: L = -\log p_y + b \sqrt{\frac{1}{C-1} \sum_{j \ne y} (p_j - \bar p)^2}

    The paper adds the term to adversarial training; its weight was not at hand. The DRS loss is nearly the same
    term on the logits, where a sure network does not make it vanish.

    Args:
        penalty: b >= 0; 0 is exactly cross-entropy. The other arguments are those of :func:`gce_loss`.

    Raises:
        UsageError: A penalty < 0 or not finite, or what :func:`gce_loss` raises.
    """
    penalty = check_penalty(penalty)
    flat, labels, counted = examples(logits, target, ignore_index, reduction, min_classes=3)
    log_probabilities = torch.log_softmax(flat, dim=1)
    loss = F.nll_loss(log_probabilities, labels, reduction="none")
    if isinstance(penalty, Tensor) or penalty > 0.0:
        squares = false_class_squares(log_probabilities.exp(), labels)
        # The gradient of a square root is infinite at zero; the floor keeps it finite where all values are equal.
        loss = loss + penalty * (squares / (flat.shape[1] - 1) + 1e-12).sqrt()
    return reduced(loss, counted, target.shape, reduction)
