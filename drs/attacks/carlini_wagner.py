r"""The C&W attack in L2 (Carlini and Wagner 2017, arXiv 1608.04644).

It minimises, over images in tanh-space and with a binary search over c for each image,

.. math:: \|x' - x\|_2^2 + c\,\max(\kappa - m(x'),\, 0)

with the margin m of the target's logit over the largest other one (untargeted: of the largest false logit over the true
one). For a network trained with the reverse loss these are the NEGATED logits, as the network at test returns them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from drs.attacks.base import Attack
from drs.attacks.descent import CONST_LIMIT, Search, smallest
from drs.attacks.objectives import margin
from drs.attacks.targets import TARGETS, check_target_rule
from drs.errors import UsageError

__all__ = ["ROUNDING", "CarliniWagnerL2", "MarginProblem", "margin_penalty"]

ROUNDING = 1e-5
"""Share of the largest logit that a margin must exceed the confidence by, so that another batch size cannot undo it."""


def margin_penalty(logits: Tensor, labels: Tensor, targeted: bool, confidence: float) -> tuple[Tensor, Tensor]:
    """Penalty max(confidence - margin, 0), differentiable, and violation (0 or inf), both (N,), of logits (N, C)."""
    short = confidence - margin(logits, labels, targeted)
    slack = ROUNDING * logits.abs().amax(dim=1)
    violation = torch.zeros_like(short).where((short < -slack).detach(), torch.inf)
    return short.relu(), violation


@dataclass(frozen=True)
class MarginProblem:
    """Reach a margin of ``confidence`` for ``labels`` (N,): target classes if ``targeted``, else true ones."""

    model: nn.Module
    labels: Tensor
    targeted: bool
    confidence: float

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images = images.detach().requires_grad_(True)
        penalty, violation = margin_penalty(self.model(images), self.labels, self.targeted, self.confidence)
        (gradient,) = torch.autograd.grad(penalty, images, weight)
        return penalty.detach(), violation, gradient

    def select(self, rows: Tensor) -> MarginProblem:
        return replace(self, labels=self.labels[rows])


@dataclass(frozen=True, kw_only=True)
class CarliniWagnerL2(Attack):
    """C&W in L2: the smallest perturbation found over a binary search on c, for each image on its own.

    An image leaves the batch when its loss stands still. An image for which nothing was found is returned unperturbed
    (never as zeros) and is no success; one that is adversarial already is returned as it is.

    ``success`` asks for the label and, with ``confidence`` > 0, for the whole margin on the returned image
    (C&W-hc of the RCE paper: ``confidence=10, max_iterations=10000``).

    Attributes:
        confidence: kappa >= 0, the margin to reach, in units of the logits.
        learning_rate: Of Adam, in tanh-space.
        search_steps: Values of c tried; 9 in the RCE paper.
        max_iterations: Adam's steps for each value; up to 10,000 in the RCE paper.
        initial_const: The first c; 1 in the RCE paper's code.
        abort_early: Stop an image whose loss fell by less than 0.01% over a tenth of ``max_iterations``.
        target: ``"random"`` (as in the RCE paper), ``"least_likely"`` or ``"untargeted"``.
        progress: Show a bar.
    """

    confidence: float = 0.0
    learning_rate: float = 0.01
    search_steps: int = 9
    max_iterations: int = 1000
    initial_const: float = 1.0
    abort_early: bool = True
    target: str = "random"
    progress: bool = False

    def __post_init__(self) -> None:
        check_target_rule(self.target, "untargeted")
        if not 0.0 <= self.confidence < math.inf:
            raise UsageError(f"expected a finite confidence >= 0, got {self.confidence}")
        if not 0.0 < self.initial_const <= CONST_LIMIT:
            raise UsageError(f"expected initial_const in (0, {CONST_LIMIT:g}], got {self.initial_const}")
        self._search()

    @property
    def norm(self) -> str:
        """``"l2"``."""
        return "l2"

    @property
    def targeted(self) -> bool:
        """Whether a target class is aimed at."""
        return self.target != "untargeted"

    def _search(self) -> Search:
        return Search(
            learning_rate=self.learning_rate,
            search_steps=self.search_steps,
            max_iterations=self.max_iterations,
            abort_early=self.abort_early,
            description=type(self).__name__ if self.progress else None,
        )

    def goals(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        """(N,) what margins are measured for: the target classes, or the true ``labels`` of an untargeted attack."""
        if not self.targeted:
            return labels
        with torch.no_grad():
            return TARGETS[self.target](model(inputs), labels, self.seed)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        problem = MarginProblem(model, self.goals(model, inputs, labels), self.targeted, self.confidence)
        return smallest(problem, inputs, const=self.initial_const, search=self._search())[0]

    def succeeded(self, model: nn.Module, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        reached = margin(logits, self.goals(model, inputs, labels), self.targeted)
        return (reached > 0.0) & (reached >= self.confidence)
