"""K-density: how close an example's features are to training examples of its predicted class.

**HIGHER = MORE NORMAL.** The third metric of :mod:`drs.detection`, whose names include those of this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from drs._checks import at_least_float32, check_target_range
from drs.detection._features import check_features, check_finite
from drs.errors import UsageError

__all__ = ["BANDWIDTH_CE", "BANDWIDTH_RCE", "KDensity"]

BANDWIDTH_CE = 1 / 0.26
"""The paper's sigma squared for networks trained with cross-entropy."""

BANDWIDTH_RCE = 0.1 / 0.26
"""The paper's sigma squared for networks trained with reverse cross-entropy, whose features are more compact."""

_CHUNK = 2**22
"""Distances held at a time (32 MiB in float64), whatever the number of examples."""


class _LogMeanKernel(torch.autograd.Function):
    """log mean_i exp(-|x_i - z|^2 / bandwidth), (N, D) and (M, D) to (N,); differentiable once, in z only.

    Distances are summed difference by difference: the matrix-product form loses the digits of close points. The
    gradient, 2 / bandwidth * (sum_i w_i x_i - z) with w the softmax of the exponents, is taken in the forward pass,
    so that no (N, M) matrix waits for the backward one, and none of the steps needs (N, M, D). Automatic
    differentiation would sum w_i (x_i - z) instead, which far from the data is wrong by a percent in float32: there
    the w_i do not sum to one.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, examples: Tensor, bandwidth: float) -> Tensor:
        distances = torch.cdist(features, examples, compute_mode="donot_use_mm_for_euclid_dist")
        exponents = distances.square_().div_(-bandwidth)
        log_sum = exponents.logsumexp(dim=1)
        if ctx.needs_input_grad[0]:
            weights = exponents.sub_(log_sum.unsqueeze(1)).exp_()
            ctx.save_for_backward((weights @ examples - features).mul_(2.0 / bandwidth))
        return log_sum - math.log(len(examples))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return grad.unsqueeze(1) * slope, None, None


@dataclass(eq=False)
class KDensity:
    r"""Kernel density of the final hidden vector among training examples of the predicted class.

    .. math:: \log \frac{1}{n} \sum_{i=1}^{n} \exp\left(-\frac{\lVert z_i - z \rVert^2}{\sigma^2}\right)

    HIGHER = MORE NORMAL; at most 0. In log space, so that it neither underflows nor loses its gradient far from the
    data. Equal to scikit-learn's Gaussian ``KernelDensity`` with bandwidth :math:`\sqrt{\sigma^2 / 2}` up to that
    one's normalising constant.

    Attributes:
        bandwidth: The paper's :math:`\sigma^2`, > 0, such as :data:`BANDWIDTH_CE`.
        per_class: The most training examples kept of each class, drawn at random; a class that has fewer keeps all.
        seed: Of that draw; the same on every device.
        examples: After ``fit``: for each class its kept feature vectors (n, D).
    """

    bandwidth: float
    per_class: int = 1000
    seed: int = 0
    examples: tuple[Tensor, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.bandwidth < math.inf:
            raise UsageError(f"expected a finite bandwidth > 0, got {self.bandwidth}")
        if self.per_class < 2:
            raise UsageError(f"expected per_class >= 2, got {self.per_class}")

    def fit(self, features: Tensor, labels: Tensor, *, classes: int | None = None) -> KDensity:
        """Keep training examples of every class.

        Args:
            features: (N, D), final hidden vectors of training images.
            labels: (N,) int64, their TRUE labels.
            classes: Number of classes; None for the largest label + 1.

        Returns:
            Itself.

        Raises:
            UsageError: Wrong shapes, NaN or infinite features, or a class with fewer than two examples.
        """
        check_features(features, labels)
        check_finite(features)
        labels = labels.cpu()
        if classes is None:
            classes = int(labels.max()) + 1 if len(labels) else 0
        check_target_range(labels, max(classes, 1))
        wide = at_least_float32(features.detach())
        generator = torch.Generator().manual_seed(self.seed)
        kept = []
        for number in range(classes):
            members = (labels == number).nonzero().squeeze(1)
            if len(members) < 2:
                raise UsageError(f"expected at least 2 training examples of class {number}, got {len(members)}")
            drawn = members[torch.randperm(len(members), generator=generator)[: self.per_class]]
            kept.append(wide[drawn.to(wide.device)])
        if not kept:
            raise UsageError("expected training examples, got none")
        self.examples = tuple(kept)
        return self

    def score(self, features: Tensor, predicted: Tensor) -> Tensor:
        """Log density of each example among the training examples of its predicted class. HIGHER = MORE NORMAL.

        Args:
            features: (N, D), any floating-point type, on the device of the training features.
            predicted: (N,) int64, the labels the network gives.

        Returns:
            (N,), at most 0.

        Raises:
            UsageError: Called before ``fit``, NaN or infinite features, and what :meth:`log_density` raises.
        """
        check_finite(features)
        return self.log_density(features, predicted)

    def log_density(self, features: Tensor, labels: Tensor) -> Tensor:
        """The same number for any choice of classes, without a look for NaN: what an attack differentiates.

        Args:
            features: (N, D); the result is differentiable in them (once).
            labels: (N,) int64, the class whose training examples count.

        Raises:
            UsageError: Called before ``fit``, features of another width or device, labels out of range.
        """
        check_features(features, labels)
        return self.bind(labels)(features)

    def bind(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """:meth:`log_density` for fixed labels: sorts the batch by class now, so that the calls never wait for a GPU.

        Args:
            labels: (N,) int64.

        Returns:
            A function of features (N, D) that returns (N,).

        Raises:
            UsageError: Called before ``fit``, or labels out of range; the function: features of another shape or
                device.
        """
        if not self.examples:
            raise UsageError("expected fit() before a score: K-density has no training examples yet")
        on_host = labels.cpu()
        check_target_range(on_host, len(self.examples))
        order = labels.argsort()
        inverse = order.argsort()
        sizes = on_host.bincount(minlength=len(self.examples)).tolist()
        groups = [
            (examples, rows)
            for examples, members in zip(self.examples, torch.split(order, sizes))
            for rows in torch.split(members, max(1, _CHUNK // len(examples)))
            if len(rows)
        ]

        def log_density(features: Tensor) -> Tensor:
            first = self.examples[0]
            if features.shape != (len(labels), first.shape[1]):
                raise UsageError(
                    f"expected features of shape ({len(labels)}, {first.shape[1]}) as in fit, "
                    f"got {tuple(features.shape)}"
                )
            if features.device != first.device:
                raise UsageError(f"expected features on {first.device}, where those of fit are, got {features.device}")
            wide = at_least_float32(features)
            parts = [
                _LogMeanKernel.apply(wide[rows], examples.to(wide.dtype), self.bandwidth) for examples, rows in groups
            ]
            return torch.cat(parts)[inverse] if parts else wide.sum(dim=1)

        return log_density

    def median_negative_log_density(self) -> Tensor:
        """(classes,) medians of minus the log density of each class's kept training examples: eta of C&W-wb.

        Each example counts as its own neighbour, as in the authors' code, so a value is at most log(n).

        Raises:
            UsageError: Called before ``fit``.
        """
        sizes = torch.tensor([len(examples) for examples in self.examples])
        if not len(sizes):
            raise UsageError("expected fit() before a score: K-density has no training examples yet")
        labels = torch.arange(len(sizes)).repeat_interleave(sizes).to(self.examples[0].device)
        values = -self.log_density(torch.cat(self.examples), labels)
        return torch.stack([part.quantile(0.5) for part in torch.split(values, sizes.tolist())])
