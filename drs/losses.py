"""Training losses: pure functions of (logits, target), and modules of the same name for any training loop.

>>> import torch
>>> from drs.losses import DRSLoss, drs_loss
>>> logits, target = torch.tensor([[2.0, 1.0, 0.0, 3.0]]), torch.tensor([0])
>>> round(drs_loss(logits, target, penalty=0.64).item(), 4)  # cross-entropy 1.4402 + 0.64 * 14 / 3
4.4269
>>> DRSLoss(penalty=0.64)(logits, target) == drs_loss(logits, target, penalty=0.64)
tensor(True)

All take raw logits (never a softmax) in every shape that :func:`torch.nn.functional.cross_entropy` takes, honour
``ignore_index``, and reduce with torch's own words ``"none"``, ``"mean"`` and ``"sum"``. Half-precision logits are
computed in float32. Nothing here waits for a GPU: labels, penalties and class weights are looked at on the CPU only.

``weight`` are class weights, as in torch: (C,), floating point, >= 0. **An example counts ``weight[y]`` times**, in the
cross-entropy, in the penalty and in RCE alike, and the mean divides by the sum of these weights. So a class of weight
2 is the same as a batch that holds each of its examples twice. (Label smoothing does as torch does, which also weighs
the smoothed part by class.)

``penalty`` is the factor of the term that a loss adds to cross-entropy.

Cross-entropy, label smoothing, the confidence penalty and logit squeezing also take class probabilities as target,
floating point and of the shape of the logits, as torch does; the mean then divides by the number of examples, and an
example counts the mean of the class weights under its probabilities. DRS and RCE leave out the one true class, so they
take class indices only.

NaN among the logits gives NaN, and so does a logit of +inf, as in torch. A logit of -inf (a class that is ruled out)
makes the terms of DRS and logit squeezing NaN or infinite: rule classes out after the loss.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._checks import (
    are_probabilities,
    at_least_float32,
    check_class_weights,
    check_penalty,
    check_target_range,
    flatten_classes,
    flatten_probabilities,
)
from drs.catalog import PUBLISHED_WEIGHT
from drs.errors import UsageError, pick, unknown
from drs.family.guided import gce_loss, std_loss
from drs.family.mahalanobis import mmc_loss
from drs.spread import Measure, false_class_squares, measured_values

__all__ = [
    "LOSSES",
    "ConfidencePenaltyLoss",
    "CrossEntropyLoss",
    "DRSLoss",
    "LabelSmoothingLoss",
    "LogitSqueezingLoss",
    "Loss",
    "LossFunction",
    "RCELoss",
    "Reduction",
    "Spread",
    "confidence_penalty",
    "cross_entropy",
    "drs_loss",
    "drs_penalty",
    "get_loss",
    "label_smoothing",
    "logit_squeezing",
    "rce_loss",
]

Reduction: TypeAlias = Literal["none", "mean", "sum"]
Spread: TypeAlias = Literal["sum_of_squares", "std"]


def _check_reduction(reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise unknown("reduction", reduction, ("none", "mean", "sum"))


def _flatten(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What a loss needs of class indices, once they are checked.

    Returns:
        (M, C) logits of at least float32, (M,) labels safe to index with, (M,) mask of the examples that count, and
        (M,) how often each counts, or None where all count once.
    """
    _check_reduction(reduction)
    flat, labels = flatten_classes(logits, target)
    check_target_range(labels, flat.shape[1], ignore_index)
    flat = at_least_float32(flat)
    counted = labels != ignore_index
    labels = labels.where(counted, 0)
    if weight is None:
        return flat, labels, counted, None
    return flat, labels, counted, check_class_weights(weight, flat)[labels].where(counted, 0.0)


def _reduce(values: Tensor, counted: Tensor, weights: Tensor | None, shape: torch.Size, reduction: str) -> Tensor:
    """Reduce per-example values (M,): ignored examples are zero and do not enter the mean's denominator."""
    values = values.where(counted, 0.0)
    if weights is not None:
        values = values * weights
    if reduction == "none":
        return values.reshape(shape)
    return values.sum() if reduction == "sum" else values.sum() / (counted if weights is None else weights).sum()


def _check_probabilities(logits: Tensor, target: Tensor, ignore_index: int, reduction: str) -> tuple[Tensor, Tensor]:
    """(M, C) logits of at least float32 and (M, C) probabilities of the same dtype."""
    _check_reduction(reduction)
    if ignore_index >= 0:
        raise UsageError(f"expected class indices as target with ignore_index={ignore_index}, got probabilities")
    return flatten_probabilities(logits, target)


def _with_penalty(
    logits: Tensor,
    target: Tensor,
    penalty: float | Tensor,
    of: Callable[[Tensor, Tensor], Tensor],
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """Cross-entropy plus ``penalty`` times a value of each example: ``of`` takes its logits and log-probabilities."""
    penalty = check_penalty(penalty)
    if are_probabilities(logits, target):
        flat, shares = _check_probabilities(logits, target, ignore_index, reduction)
        log_probabilities = torch.log_softmax(flat, dim=1)
        values, weighed = of(flat, log_probabilities), shares
        if weight is not None:
            weighed = shares * check_class_weights(weight, flat)
            values = values * weighed.sum(dim=1)
        values = penalty * values - (weighed * log_probabilities).sum(dim=1)
        shape = logits.shape[:1] + logits.shape[2:] if logits.dim() > 1 else logits.shape[:0]
        return _reduce(values, torch.ones_like(values, dtype=torch.bool), None, shape, reduction)
    flat, labels, counted, weights = _flatten(logits, target, weight, ignore_index, reduction)
    log_probabilities = torch.log_softmax(flat, dim=1)
    values = F.nll_loss(log_probabilities, labels, reduction="none") + penalty * of(flat, log_probabilities)
    return _reduce(values, counted, weights, target.shape, reduction)


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy, torch's own, with this package's checks.

    >>> import torch
    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))  # log 4
    tensor(1.3863)

    Args:
        logits: Raw logits (N, C) or any shape torch takes.
        target: Class indices, int64, of the shape of the logits without the class dimension; or class probabilities
            of the shape of the logits.
        weight: Class weights (C,), >= 0, as in torch: the mean divides by the sum of the weights of the true classes.
        ignore_index: Label of examples that do not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        UsageError: Shapes, labels, class weights or ``reduction`` that do not fit.
    """
    return label_smoothing(logits, target, smoothing=0.0, weight=weight, ignore_index=ignore_index, reduction=reduction)


def label_smoothing(
    logits: Tensor,
    target: Tensor,
    *,
    smoothing: float = 0.1,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy against ``(1 - smoothing) * one_hot + smoothing / C``: a control, not a defence.

    >>> import torch
    >>> logits, target = torch.tensor([[2.0, 1.0, 1.0]]).log(), torch.tensor([1])
    >>> label_smoothing(logits, target, smoothing=0.3)  # 1.9 log 2
    tensor(1.3170)

    Args:
        smoothing: In [0, 1]; the other arguments are those of :func:`cross_entropy`.

    Raises:
        UsageError: ``smoothing`` outside [0, 1], or what :func:`cross_entropy` raises.
    """
    if not 0.0 <= smoothing <= 1.0:
        raise UsageError(f"expected smoothing in [0, 1], got {smoothing}")
    if are_probabilities(logits, target):
        flat, _ = _check_probabilities(logits, target, ignore_index, reduction)
        target = target.to(flat.dtype)
    else:
        flat, *_ = _flatten(logits, target, None, ignore_index, reduction)
    if weight is not None:
        weight = check_class_weights(weight, flat)
    return F.cross_entropy(
        at_least_float32(logits),
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=smoothing,
    )


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

    >>> import torch
    >>> drs_penalty(torch.tensor([[2.0, 1.0, 0.0, 3.0]]), torch.tensor([0]))  # false logits 1, 0, 3: 14 / 3
    tensor([4.6667])

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
        UsageError: An unknown option, options that exclude each other, shapes or labels that do not fit.
    """
    logits, target = flatten_classes(logits, target)
    check_target_range(target, logits.shape[1])
    return _spread_of(at_least_float32(logits), target, measure, spread, top_k, count_true_class)


def _spread_of(
    logits: Tensor, target: Tensor, measure: Measure, spread: Spread, top_k: int | None, count_true_class: bool
) -> Tensor:
    """:func:`drs_penalty` of logits and labels that were checked before."""
    if top_k is not None and logits.shape[1] < 3:
        raise UsageError(f"expected at least 3 classes for top_k, got {logits.shape[1]}")
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
    penalty: float | Tensor = PUBLISHED_WEIGHT,
    measure: Measure = "logits",
    batch_reduction: Literal["mean", "sum"] = "mean",
    spread: Spread = "sum_of_squares",
    top_k: int | None = None,
    count_true_class: bool = False,
    only_correct: bool = False,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Distribution-restrained softmax loss (DRS), arXiv 2303.12363.

    >>> import torch
    >>> logits, target = torch.tensor([[2.0, 1.0, 0.0, 3.0]]), torch.tensor([0])
    >>> drs_loss(logits, target, penalty=0.64)  # 1.4402 + 0.64 * 14 / 3
    tensor(4.4269)

    .. math:: L = \mathrm{CE}(z, y) + b \sum_{j \ne y} (v_j - \bar v)^2,
              \qquad \bar v = \frac{1}{C-1} \sum_{j \ne y} v_j

    The published code takes the batch mean of the first term and the batch SUM of the second, so its effective penalty
    grows with the batch. Here both are means by default, with a penalty that equals the published one at batch 128.
    With two classes there is one false class, whose spread is zero: the loss is cross-entropy, and a warning says so.

    Args:
        logits: Raw logits (N, C) or any shape torch's ``cross_entropy`` takes.
        target: Class indices, int64.
        penalty: b >= 0; 0 is exactly cross-entropy. A scalar tensor on the logits' device can change without a new
            graph.
        measure: Restrain the false ``"logits"`` or the false ``"probabilities"``.
        batch_reduction: ``"mean"``, or ``"sum"`` for the published form (then penalty = 0.005 is the published one).
        spread, top_k, count_true_class: As in :func:`drs_penalty`.
        only_correct: Penalise only examples that are classified right at this step.
        weight: Class weights (C,), >= 0. An example counts ``weight[y]`` times in both terms: with
            ``reduction="mean"`` each is a mean weighted by ``weight[y]`` (and with ``batch_reduction="sum"`` the
            second is the sum weighted so).
        ignore_index: Label of examples that do not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"`` over the examples.

    Raises:
        UsageError: Shapes, labels, class weights or a penalty that do not fit, or an unknown option.

    Warns:
        UserWarning: Two classes, and a penalty above zero.
    """
    penalty = check_penalty(penalty)
    if batch_reduction not in ("mean", "sum"):
        raise unknown("batch_reduction", batch_reduction, ("mean", "sum"))
    flat, labels, counted, weights = _flatten(logits, target, weight, ignore_index, reduction)
    loss = F.cross_entropy(
        at_least_float32(logits),
        target,
        weight=None if weight is None else weight.to(flat.dtype),
        ignore_index=ignore_index,
        reduction=reduction,
    )
    if not isinstance(penalty, Tensor) and penalty == 0.0:
        return loss
    if flat.shape[1] == 2 and not count_true_class and not torch.compiler.is_compiling():
        warnings.warn(
            "with two classes the DRS penalty is zero and drs_loss is cross-entropy: use three classes or more",
            UserWarning,
            stacklevel=2,
        )
    values = _spread_of(flat, labels, measure, spread, top_k, count_true_class)
    if only_correct:
        values = values * (flat.argmax(dim=1) == labels)
    if batch_reduction == "sum":
        values = values * (counted if weights is None else weights).sum()
    return loss + penalty * _reduce(values, counted, weights, target.shape, reduction)


def rce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Reverse cross-entropy (RCE), arXiv 1706.00633, on the raw logits of the REVERSE classifier.

    >>> import torch
    >>> logits, target = torch.tensor([[5.0, 3.0, 2.0]]).log(), torch.tensor([0])
    >>> rce_loss(logits, target)  # -(log 0.3 + log 0.2) / 2
    tensor(1.4067)

    .. math:: L = -\frac{1}{C-1} \sum_{j \ne y} \log \mathrm{softmax}(z)_j

    Training drives the true class to the LOWEST probability and the others to 1/(C - 1); at test the logits are
    negated (:class:`drs.training.models.ReverseLogits`). The smallest possible value is log(C - 1). With two classes it
    is cross-entropy against the other label.

    Args:
        logits: Raw logits (N, C) or any shape torch's ``cross_entropy`` takes.
        target: Class indices, int64.
        weight: Class weights (C,), >= 0. An example counts ``weight[y]`` times, y its TRUE class, and the mean divides
            by the sum of these.
        ignore_index, reduction: As in :func:`cross_entropy`.

    Raises:
        UsageError: Shapes, labels, class weights or ``reduction`` that do not fit.
    """
    flat, labels, counted, weights = _flatten(logits, target, weight, ignore_index, reduction)
    log_probabilities = torch.log_softmax(flat, dim=1)
    false_sum = log_probabilities.scatter(1, labels.unsqueeze(1), 0.0).sum(dim=1)
    return _reduce(-false_sum / (flat.shape[1] - 1), counted, weights, target.shape, reduction)


def confidence_penalty(
    logits: Tensor,
    target: Tensor,
    *,
    penalty: float | Tensor = 0.1,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy minus ``penalty`` times the entropy of the whole softmax (Pereyra et al. 2017): a control.

    >>> import torch
    >>> confidence_penalty(torch.zeros(1, 4), torch.tensor([0]), penalty=0.1)  # 0.9 log 4
    tensor(1.2477)

    Args:
        penalty: >= 0; the other arguments are those of :func:`cross_entropy`. An example counts ``weight[y]`` times in
            both terms.

    Raises:
        UsageError: A penalty that does not fit, or what :func:`cross_entropy` raises.
    """

    def negative_entropy(_: Tensor, log_probabilities: Tensor) -> Tensor:
        return (log_probabilities.exp() * log_probabilities).sum(dim=1)

    return _with_penalty(logits, target, penalty, negative_entropy, weight, ignore_index, reduction)


def logit_squeezing(
    logits: Tensor,
    target: Tensor,
    *,
    penalty: float | Tensor = 0.05,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy plus ``penalty`` times the squared L2 norm of the logits (Kannan et al. 2018): a control.

    >>> import torch
    >>> logit_squeezing(torch.ones(1, 4), torch.tensor([0]), penalty=0.5)  # log 4 + 0.5 * 4
    tensor(3.3863)

    Args:
        penalty: >= 0; the other arguments are those of :func:`cross_entropy`. An example counts ``weight[y]`` times in
            both terms.

    Raises:
        UsageError: A penalty that does not fit, or what :func:`cross_entropy` raises.
    """

    def squared_norm(flat: Tensor, _: Tensor) -> Tensor:
        return flat.square().sum(dim=1)

    return _with_penalty(logits, target, penalty, squared_norm, weight, ignore_index, reduction)


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
    "gce": Loss(gce_loss),
    "std": Loss(std_loss),
    "mmc": Loss(mmc_loss),
}
"""Every loss by the name that specifications and the command line use."""


@dataclass(kw_only=True, eq=False, repr=False)
class _LossModule(nn.Module):
    """A loss function whose options are the fields of the class. Class weights are a buffer: they move with ``to``."""

    function: ClassVar[LossFunction]

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", self.__dict__.pop("weight"))
        self._names = tuple(field.name for field in fields(self))
        options = self._options()
        classes = len(options["weight"]) if isinstance(options["weight"], Tensor) and options["weight"].dim() else 3
        classes = max(classes, (options.get("top_k") or 0) + 1)
        device = getattr(options["weight"], "device", None)
        zeros = torch.zeros(1, classes, device=device)
        self(zeros, torch.zeros(1, dtype=torch.int64, device=device))  # refuses bad options at once

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of raw ``logits`` against ``target``."""
        return type(self).function(logits, target, **self._options())

    def extra_repr(self) -> str:
        default = {field.name: field.default for field in fields(self)}
        return ", ".join(
            f"{name}={value.tolist() if isinstance(value, Tensor) else repr(value)}"
            for name, value in self._options().items()
            if isinstance(value, Tensor) or value != default[name]
        )


del _LossModule.weight  # the default of the field, which would hide the buffer of that name


@dataclass(kw_only=True, eq=False, repr=False)
class CrossEntropyLoss(_LossModule):
    """Module twin of :func:`cross_entropy`."""

    function = staticmethod(cross_entropy)


@dataclass(kw_only=True, eq=False, repr=False)
class DRSLoss(_LossModule):
    """Module twin of :func:`drs_loss`; takes its keyword arguments.

    >>> DRSLoss(penalty=0.1, measure="probabilities")
    DRSLoss(penalty=0.1, measure='probabilities')
    """

    function = staticmethod(drs_loss)

    penalty: float | Tensor = PUBLISHED_WEIGHT
    measure: Measure = "logits"
    batch_reduction: Literal["mean", "sum"] = "mean"
    spread: Spread = "sum_of_squares"
    top_k: int | None = None
    count_true_class: bool = False
    only_correct: bool = False


@dataclass(kw_only=True, eq=False, repr=False)
class RCELoss(_LossModule):
    """Module twin of :func:`rce_loss`."""

    function = staticmethod(rce_loss)


@dataclass(kw_only=True, eq=False, repr=False)
class LabelSmoothingLoss(_LossModule):
    """Module twin of :func:`label_smoothing`; takes its keyword arguments."""

    function = staticmethod(label_smoothing)

    smoothing: float = 0.1


@dataclass(kw_only=True, eq=False, repr=False)
class ConfidencePenaltyLoss(_LossModule):
    """Module twin of :func:`confidence_penalty`; takes its keyword arguments."""

    function = staticmethod(confidence_penalty)

    penalty: float | Tensor = 0.1


@dataclass(kw_only=True, eq=False, repr=False)
class LogitSqueezingLoss(_LossModule):
    """Module twin of :func:`logit_squeezing`; takes its keyword arguments."""

    function = staticmethod(logit_squeezing)

    penalty: float | Tensor = 0.05


def get_loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
        UsageError: No loss of that name.
    """
    return pick("loss", LOSSES, name)
