r"""C&W-wb: the white-box attack of the RCE paper, which must also look normal to the K-density detector.

.. math:: \|x' - x\|_2^2 + c\,f_1(x') + c\,f_2(x'),\quad f_1 = \max(\kappa - m(x'), 0),\quad
          f_2 = \max(-\log \mathrm{KD}(x') - \eta_t, 0)

with m the margin of the target class t over the largest other logit, KD the density of the features among t's training
examples, and eta_t the median of -log KD over those. The published code is the same except for these defects, which
are fixed here:

1. with kappa > 0 it compares softmax scores, which never differ by more than one, with kappa: the search cannot
   succeed. Here kappa is in units of the logits in the search, in the choice of the best image and in ``success``;
2. its second stage measures L2 from the result of the first stage. Here always from the ORIGINAL image;
3. its density is exp, mean, then log(1e-30 + ...), whose gradient underflows to zero away from the data, soonest with
   the ten times smaller bandwidth of RCE: the defence masks the gradient. Here logsumexp, which never vanishes;
4. it attacks 100 kernels a class, the detector uses 1,000. Here the detector's own object, with ALL its kernels;
5. an image for which nothing was found is a black image. Here it comes back unperturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from drs.attacks.carlini_wagner import ROUNDING, CarliniWagnerL2, MarginProblem, margin_penalty
from drs.attacks.descent import smallest
from drs.errors import UsageError
from drs.training.models import Network

__all__ = ["Density", "WhiteBoxCarliniWagner", "f2"]


class Density(Protocol):
    """A fitted density of features, such as :class:`drs.detection.KDensity`."""

    def bind(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """log KD of features (N, D) among the examples of ``labels`` (N,), as a differentiable function."""

    def median_negative_log_density(self) -> Tensor:
        """(classes,): eta, the median of -log KD over each class's training examples."""


def f2(density: Density, features: Tensor, labels: Tensor) -> Tensor:
    """What is missing for features to look as normal as the median training example: max(-log KD - eta, 0).

    Args:
        density: Fitted.
        features: (N, D), differentiable.
        labels: (N,) int64, the classes whose examples count: the labels the network gives.

    Returns:
        (N,) >= 0. The share above 0 is what Tables 3 and 6 of the RCE paper report for C&W-wb.
    """
    eta = density.median_negative_log_density().to(features)[labels]
    return (-density.bind(labels)(features) - eta).clamp_min(0.0)


@dataclass(frozen=True)
class _Evasion:
    """Reach the margin AND f2 <= 0; f2 is the violation of an image that reaches the margin only."""

    model: Network
    labels: Tensor
    confidence: float
    density: Density
    eta: Tensor
    log_density: Callable[[Tensor], Tensor]

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images = images.detach().requires_grad_(True)
        features = self.model.features(images)
        logits = self.model.head(features)
        abnormal = -self.log_density(features) - self.eta
        penalty, violation = margin_penalty(logits, self.labels, True, self.confidence)
        missing = (abnormal + ROUNDING * (1.0 + abnormal.detach().abs() + self.eta.abs())).relu()
        (gradient,) = torch.autograd.grad([penalty, missing], images, [weight, weight])
        missing = missing.detach()
        return penalty.detach() + missing, violation + missing, gradient

    def select(self, rows: Tensor) -> _Evasion:
        labels = self.labels[rows]
        return replace(self, labels=labels, eta=self.eta[rows], log_density=self.density.bind(labels))


@dataclass(frozen=True, kw_only=True)
class WhiteBoxCarliniWagner(CarliniWagnerL2):
    """C&W-wb in the paper's two stages: plain C&W finds the target class, then the density term joins in.

    An image with f2 <= 0 that is nearest to the original is returned; where none was found, the one with the target
    class (and the margin) whose f2 is smallest; where not even the target was reached, the unperturbed image.
    ``success`` asks for the target and the margin only, as the paper counts it: look at :func:`f2` too.

    Attributes:
        density: The detector's fitted density, all its kernels.
        first_steps: Values of c in the first stage; 3 in the published code.
        first_iterations: Adam's steps for each of them; 5,000 in the published code.
        search_steps: Values of c in the second stage; 8 in the published code, 9 with kappa = 5.
        max_iterations: Adam's steps for each of them; 10,000 in the published code.
        initial_const: Of both stages; 1 in the published code (10 and then 100 with kappa = 5).
        target: ``"random"`` (as published) or ``"least_likely"``.
    """

    opens_model: ClassVar[bool] = True

    density: Density
    first_steps: int = 3
    first_iterations: int = 500
    search_steps: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.targeted:
            raise UsageError("expected a target rule: C&W-wb needs the class whose density it is to reach")
        if self.first_steps < 1 or self.first_iterations < 0:
            raise UsageError(
                f"expected first_steps >= 1 and first_iterations >= 0, got {self.first_steps} and "
                f"{self.first_iterations}"
            )

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        if not isinstance(model, Network):
            raise UsageError(f"expected a Network with features and head, got {type(model).__name__}")
        target = self.goals(model, inputs, labels)
        search = self._search()
        first = replace(search, search_steps=self.first_steps, max_iterations=self.first_iterations)
        plain = MarginProblem(model, target, True, self.confidence)
        start, _ = smallest(plain, inputs, const=self.initial_const, search=first)
        eta = self.density.median_negative_log_density().to(inputs)[target]
        evasion = _Evasion(model, target, self.confidence, self.density, eta, self.density.bind(target))
        return smallest(evasion, inputs, start=start, const=self.initial_const, search=search)[0]
