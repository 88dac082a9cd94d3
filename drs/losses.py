"""Training losses: pure functions of (logits, target), and modules of the same name for any training loop.

All take raw logits (never a softmax) in every shape that :func:`torch.nn.functional.cross_entropy` takes, honour
``ignore_index``, and reduce with torch's own words ``"none"``, ``"mean"`` and ``"sum"``. Half-precision logits are
computed in float32. Nothing here waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._checks import at_least_float32, check_target_range, check_weight, flatten_classes
from drs.catalog import PUBLISHED_WEIGHT
from drs.errors import UsageError, pick, unknown
from drs.spread import Measure, false_class_squares, measured_values

Reduction: TypeAlias = Literal["none", "mean", "sum"]
Spread: TypeAlias = Literal["sum_of_squares", "std"]


def _flatten(logits: Tensor, target: Tensor, ignore_index: int, reduction: str) -> tuple[Tensor, Tensor, Tensor]:
    """(M, C) logits of at least float32, (M,) labels safe to index with, (M,) mask of the examples that count."""
    if reduction not in ("none", "mean", "sum"):
        raise unknown("reduction", reduction, ("none", "mean", "sum"))
    flat, labels = flatten_classes(logits, target)
    check_target_range(labels, flat.shape[1], ignore_index)
    counted = labels != ignore_index
    return at_least_float32(flat), labels.where(counted, 0), counted


def _reduce(values: Tensor, counted: Tensor, shape: torch.Size, reduction: str) -> Tensor:
    """Reduce per-example values (M,): ignored examples are zero and do not enter the mean's denominator."""
    values = values.where(counted, 0.0)
    if reduction == "none":
        return values.reshape(shape)
    return values.sum() if reduction == "sum" else values.sum() / counted.sum()


def cross_entropy(logits: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: Reduction = "mean") -> Tensor:
    """Cross-entropy, torch's own, with this package's checks.

    Args:
        logits: Raw logits (N, C) or any shape torch takes.
        target: Class indices, int64.
        ignore_index: Label of examples that do not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        UsageError: Shapes, labels or ``reduction`` that do not fit.
    """
    return label_smoothing(logits, target, smoothing=0.0, ignore_index=ignore_index, reduction=reduction)


def label_smoothing(
    logits: Tensor, target: Tensor, *, smoothing: float = 0.1, ignore_index: int = -100, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy against ``(1 - smoothing) * one_hot + smoothing / C``: a control, not a defence.

    Args:
        smoothing: In [0, 1]; the other arguments are those of :func:`cross_entropy`.

    Raises:
        UsageError: ``smoothing`` outside [0, 1], or what :func:`cross_entropy` raises.
    """
    if not 0.0 <= smoothing <= 1.0:
        raise UsageError(f"expected smoothing in [0, 1], got {smoothing}")
    _flatten(logits, target, ignore_index, reduction)
    logits = at_least_float32(logits)
    return F.cross_entropy(logits, target, ignore_index=ignore_index, reduction=reduction, label_smoothing=smoothing)


def drs_penalty(
    logits: Tensor,
    target: Tensor,
    *,
    measure: Measure = "logits",
    spread: Spread = "sum_of_squares",
    top_k: int | None = None,
    count_true_class: bool = False,
) -> Tensor:
    r"""What the DRS loss restrains, one value per example.

    .. math:: \sum_{j \ne y} (v_j - \bar v)^2, \qquad \bar v = \frac{1}{C-1} \sum_{j \ne y} v_j

    Args:
        logits: (M, C) raw logits.
        target: (M,) labels in [0, C).
        measure: Take v from the ``"logits"`` (the same as from log-softmax) or from the ``"probabilities"``.
        spread: ``"sum_of_squares"`` as published, or ``"std"``, the standard deviation over the false classes.
        top_k: Only the k largest false values (an ablation); None for all of them.
        count_true_class: The authors' second version, which lets the true class enter the mean as a zero and
            divides by C; taken on log-softmax, as there. Not invariant to a shift of v, so an ablation only.

    Returns:
        (M,), >= 0.

    Raises:
        UsageError: An unknown option, or options that exclude each other.
    """
    if top_k is not None and not 2 <= top_k < logits.shape[1]:
        raise UsageError(f"expected top_k from 2 to {logits.shape[1] - 1}, got {top_k}")
    if count_true_class and (measure != "logits" or top_k is not None):
        raise UsageError("count_true_class is defined for measure='logits' and all false classes only")
    index = target.unsqueeze(1)
    if count_true_class:
        values = torch.log_softmax(logits, dim=1).scatter(1, index, 0.0)
        squares = (values - values.mean(dim=1, keepdim=True)).scatter(1, index, 0.0).square().sum(dim=1)
    elif top_k is None:
        squares = false_class_squares(measured_values(logits, measure), target)
    else:
        top = measured_values(logits, measure).scatter(1, index, -torch.inf).topk(top_k, dim=1).values
        squares = (top - top.mean(dim=1, keepdim=True)).square().sum(dim=1)
    if spread == "sum_of_squares":
        return squares
    if spread == "std":
        # The gradient of a square root is infinite at zero; the floor keeps it finite where all values are equal.
        return (squares / (top_k or logits.shape[1] - 1) + 1e-12).sqrt()
    raise unknown("spread", spread, ("sum_of_squares", "std"))


def drs_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weight: float | Tensor = PUBLISHED_WEIGHT,
    measure: Measure = "logits",
    batch_reduction: Literal["mean", "sum"] = "mean",
    spread: Spread = "sum_of_squares",
    top_k: int | None = None,
    count_true_class: bool = False,
    only_correct: bool = False,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Distribution-restrained softmax loss (DRS), arXiv 2303.12363.

    .. math:: L = \mathrm{CE}(z, y) + b \sum_{j \ne y} (v_j - \bar v)^2,
              \qquad \bar v = \frac{1}{C-1} \sum_{j \ne y} v_j

    The published code takes the batch mean of the first term and the batch SUM of the second, so its effective weight
    grows with the batch. Here both are means by default, with a weight that equals the published one at batch 128.

    Args:
        logits: Raw logits (N, C) or any shape torch's ``cross_entropy`` takes.
        target: Class indices, int64.
        weight: b >= 0; 0 is exactly cross-entropy. A tensor on the logits' device can change without a new graph.
        measure: Restrain the false ``"logits"`` or the false ``"probabilities"``.
        batch_reduction: ``"mean"``, or ``"sum"`` for the published form (then weight = 0.005 is the published one).
        spread, top_k, count_true_class: As in :func:`drs_penalty`.
        only_correct: Penalise only examples that are classified right at this step.
        ignore_index: Label of examples that do not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"`` over the examples.

    Raises:
        UsageError: Shapes, labels, a weight < 0 or an unknown option.
    """
    check_weight(weight)
    if batch_reduction not in ("mean", "sum"):
        raise unknown("batch_reduction", batch_reduction, ("mean", "sum"))
    flat, labels, counted = _flatten(logits, target, ignore_index, reduction)
    loss = F.cross_entropy(at_least_float32(logits), target, ignore_index=ignore_index, reduction=reduction)
    if not isinstance(weight, Tensor) and weight == 0.0:
        return loss
    penalty = drs_penalty(flat, labels, measure=measure, spread=spread, top_k=top_k, count_true_class=count_true_class)
    if only_correct:
        penalty = penalty * (flat.argmax(dim=1) == labels)
    if batch_reduction == "sum":
        penalty = penalty * counted.sum()
    return loss + weight * _reduce(penalty, counted, target.shape, reduction)


def rce_loss(logits: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: Reduction = "mean") -> Tensor:
    r"""Reverse cross-entropy (RCE), arXiv 1706.00633, on the raw logits of the REVERSE classifier.

    .. math:: L = -\frac{1}{C-1} \sum_{j \ne y} \log \mathrm{softmax}(z)_j

    Training drives the true class to the LOWEST probability and the others to 1/(C - 1); at test the logits are
    negated (:class:`drs.training.models.ReverseLogits`). The smallest possible value is log(C - 1).

    Args, returns and errors are those of :func:`cross_entropy`.
    """
    flat, labels, counted = _flatten(logits, target, ignore_index, reduction)
    log_probabilities = torch.log_softmax(flat, dim=1)
    false_sum = log_probabilities.scatter(1, labels.unsqueeze(1), 0.0).sum(dim=1)
    return _reduce(-false_sum / (flat.shape[1] - 1), counted, target.shape, reduction)


def confidence_penalty(
    logits: Tensor, target: Tensor, *, weight: float = 0.1, ignore_index: int = -100, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy minus ``weight`` times the entropy of the whole softmax (Pereyra et al. 2017): a control.

    Args, returns and errors are those of :func:`cross_entropy`; weight >= 0.
    """
    check_weight(weight)
    flat, labels, counted = _flatten(logits, target, ignore_index, reduction)
    log_probabilities = torch.log_softmax(flat, dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    loss = F.nll_loss(log_probabilities, labels, reduction="none") - weight * entropy
    return _reduce(loss, counted, target.shape, reduction)


def logit_squeezing(
    logits: Tensor, target: Tensor, *, weight: float = 0.05, ignore_index: int = -100, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy plus ``weight`` times the squared L2 norm of the logits (Kannan et al. 2018): a control.

    Args, returns and errors are those of :func:`cross_entropy`; weight >= 0.
    """
    check_weight(weight)
    flat, labels, counted = _flatten(logits, target, ignore_index, reduction)
    loss = F.cross_entropy(flat, labels, reduction="none") + weight * flat.square().sum(dim=1)
    return _reduce(loss, counted, target.shape, reduction)


LossFunction: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss that a network can be trained with.

    Attributes:
        function: Takes (logits, target) and the options of the loss.
        reverse: It drives the true class to the LOWEST logit, so that the network is negated at test.
    """

    function: LossFunction
    reverse: bool = False


LOSSES: dict[str, Loss] = {
    "ce": Loss(cross_entropy),
    "drs": Loss(drs_loss),
    "rce": Loss(rce_loss, reverse=True),
    "label_smoothing": Loss(label_smoothing),
    "confidence_penalty": Loss(confidence_penalty),
    "logit_squeezing": Loss(logit_squeezing),
}
"""Every loss by the name that specifications and the command line use."""


class _FunctionalLoss(nn.Module):
    """A loss function with its options fixed."""

    function: LossFunction

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        classes = max(3, (options.get("top_k") or 0) + 1)
        type(self).function(torch.zeros(1, classes), torch.zeros(1, dtype=torch.int64), **options)  # refuse bad options

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of raw ``logits`` against class indices ``target``."""
        return type(self).function(logits, target, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self.options.items())


class CrossEntropyLoss(_FunctionalLoss):
    """Module twin of :func:`cross_entropy`."""

    function = staticmethod(cross_entropy)


class DRSLoss(_FunctionalLoss):
    """Module twin of :func:`drs_loss`; takes its keyword arguments."""

    function = staticmethod(drs_loss)


class RCELoss(_FunctionalLoss):
    """Module twin of :func:`rce_loss`."""

    function = staticmethod(rce_loss)


class LabelSmoothingLoss(_FunctionalLoss):
    """Module twin of :func:`label_smoothing`; takes its keyword arguments."""

    function = staticmethod(label_smoothing)


def get_loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
        UsageError: No loss of that name.
    """
    return pick("loss", LOSSES, name)
