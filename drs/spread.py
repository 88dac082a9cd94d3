"""How the values of the false classes (every class but the true one) are spread, per example.

Every measure takes raw logits and a target and says with ``measure`` what it is taken of:

- ``"logits"``: the false logits. Log-softmax only shifts all logits of an example by one constant, so the standard
  deviation and the variance of the false log-probabilities are the same numbers.
- ``"probabilities"``: the softmax values of the false classes as they stand (they do not sum to one).

Shapes: logits (C,), (N, C) or (N, C, d1, ..., dk) as for :func:`torch.nn.functional.cross_entropy`; the result has the
shape of the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from drs._checks import at_least_float32, check_target_range, flatten_classes
from drs._many_classes import MANY, sum_of_squares
from drs.errors import pick

__all__ = [
    "Measure",
    "centred_false_values",
    "false_class_entropy",
    "false_class_squares",
    "false_class_std",
    "false_class_variance",
    "measured_values",
]

Measure: TypeAlias = Literal["logits", "probabilities"]

_MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "logits": lambda logits: logits,
    "probabilities": lambda logits: torch.softmax(logits, dim=1),
}


def measured_values(logits: Tensor, measure: str) -> Tensor:
    """The values a measure is taken of: (M, C) logits in, (M, C) values out.

    Raises:
        UsageError: An unknown ``measure``.
    """
    return pick("measure", _MEASURES, measure)(logits)


def centred_false_values(values: Tensor, target: Tensor) -> Tensor:
    """Values minus the mean over the false classes, exactly zero at the true class.

    Args:
        values: (M, C).
        target: (M,), labels in [0, C).

    Returns:
        (M, C), ``c_j = v_j - mean over j != y of v_j`` for j != y and ``c_y = 0``. The true class is taken out before
        the sum, so that a large true logit costs no precision.
    """
    index = target.unsqueeze(1)
    false = values.scatter(1, index, 0.0)
    mean = false.sum(dim=1, keepdim=True) / (values.shape[1] - 1)
    return (false - mean).scatter(1, index, 0.0)


def false_class_squares(values: Tensor, target: Tensor) -> Tensor:
    """Sum of squared deviations of the false classes from their own mean.

    Args:
        values: (M, C).
        target: (M,), labels in [0, C).

    Returns:
        (M,), >= 0.
    """
    if values.shape[1] >= MANY and not torch.compiler.is_compiling():  # the compiler fuses the plain formula
        return sum_of_squares(values, target)
    return centred_false_values(values, target).square().sum(dim=1)


def _prepare(logits: Tensor, target: Tensor, min_classes: int) -> tuple[Tensor, Tensor]:
    flat, labels = flatten_classes(logits, target, min_classes=min_classes)
    check_target_range(labels, flat.shape[1])
    return at_least_float32(flat), labels


def false_class_variance(logits: Tensor, target: Tensor, *, measure: Measure = "logits") -> Tensor:
    r"""Population variance over the false classes.

    .. math:: \frac{1}{C-1} \sum_{j \ne y} (v_j - \bar v)^2, \qquad \bar v = \frac{1}{C-1} \sum_{j \ne y} v_j

    Args:
        logits: Raw logits, class dimension 1.
        target: Class indices.
        measure: ``"logits"`` or ``"probabilities"``.

    Returns:
        One value per example, >= 0 (for probabilities at most 1/4).

    Raises:
        UsageError: Shapes, labels or ``measure`` that do not fit.
    """
    flat, labels = _prepare(logits, target, 2)
    squares = false_class_squares(measured_values(flat, measure), labels)
    return (squares / (flat.shape[1] - 1)).reshape(target.shape)


def false_class_std(logits: Tensor, target: Tensor, *, measure: Measure = "logits") -> Tensor:
    """Population standard deviation over the false classes: the square root of :func:`false_class_variance`.

    Args, returns and errors are those of :func:`false_class_variance`, in the unit of the values measured.
    """
    return false_class_variance(logits, target, measure=measure).sqrt()


def false_class_entropy(
    logits: Tensor, target: Tensor, *, measure: Measure = "logits", normalised: bool = True
) -> Tensor:
    r"""Entropy of the false classes, in nats or as a share of its largest possible value.

    With ``measure="logits"`` the false classes are renormalised to sum to one, which needs their logits only
    (non-ME of the RCE paper, taken at the true class):

    .. math:: -\sum_{j \ne y} q_j \log q_j, \qquad q = \mathrm{softmax}(z_j : j \ne y)

    With ``measure="probabilities"`` they stay as they are, :math:`-\sum_{j \ne y} p_j \log p_j`, so the value also
    falls when the true class takes all the mass.

    Args:
        logits: Raw logits, class dimension 1, at least three classes.
        target: Class indices.
        measure: ``"logits"`` or ``"probabilities"``.
        normalised: Divide by the largest possible value (``log(C - 1)``; for unnormalised probabilities of two false
            classes ``2 / e``), so that the result lies in [0, 1].

    Returns:
        One value per example.

    Raises:
        UsageError: Shapes, labels or ``measure`` that do not fit.
    """
    flat, labels = _prepare(logits, target, 3)
    pick("measure", _MEASURES, measure)
    index = labels.unsqueeze(1)
    false_classes = flat.shape[1] - 1
    if measure == "logits":
        log_values = torch.log_softmax(flat.scatter(1, index, -math.inf), dim=1)
        largest = math.log(false_classes)
    else:
        log_values = torch.log_softmax(flat, dim=1)
        largest = math.log(false_classes) if false_classes > 2 else false_classes / math.e
    log_values = log_values.scatter(1, index, 0.0)  # 1 * log 1 = 0: the true class adds nothing
    entropy = -(log_values.exp() * log_values).sum(dim=1)
    return (entropy / largest if normalised else entropy).reshape(target.shape)
