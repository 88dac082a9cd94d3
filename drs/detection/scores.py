"""Scores of logits: confidence, non-ME, largest logit and energy. HIGHER = MORE NORMAL."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from drs._checks import at_least_float32
from drs.errors import UsageError
from drs.spread import false_class_entropy

__all__ = ["confidence", "energy", "max_logit", "non_me"]


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


def max_logit(logits: Tensor) -> Tensor:
    r"""Largest logit, :math:`\max_i z_i`. HIGHER = MORE NORMAL.

    >>> import torch
    >>> max_logit(torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([3.])

    Hendrycks et al. 2022, arXiv 1911.11132. Unlike the confidence it does not round to 1, and it changes when a number
    is added to all logits.

    Args:
        logits: (N, C), raw logits, C >= 2. Half precision is computed in float32.

    Returns:
        (N,), any number.

    Raises:
        UsageError: Not floating-point logits of shape (N, C).
    """
    _check_logits(logits, 2)
    return at_least_float32(logits).amax(dim=1)


def energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Negative free energy, :math:`T \log \sum_i \exp(z_i / T)`. HIGHER = MORE NORMAL.

    >>> import torch
    >>> energy(torch.zeros(1, 4)).exp()
    tensor([4.])

    Liu et al. 2020, arXiv 2010.03759, whose energy E is the negative of this. Tends to :func:`max_logit` as the
    temperature falls to 0. It, too, changes when a number is added to all logits.

    Args:
        logits: (N, C), raw logits, C >= 2. Half precision is computed in float32.
        temperature: T > 0; 1 in the paper.

    Returns:
        (N,), any number; at least the largest logit.

    Raises:
        UsageError: Not floating-point logits of shape (N, C), or a temperature that is not a finite number > 0.
    """
    _check_logits(logits, 2)
    if not 0.0 < temperature < math.inf:
        raise UsageError(f"expected a finite temperature > 0, got {temperature}")
    return temperature * (at_least_float32(logits) / temperature).logsumexp(dim=1)
