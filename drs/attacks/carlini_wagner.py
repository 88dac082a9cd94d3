r"""The C&W attack in L2 (Carlini and Wagner 2017, arXiv 1608.04644), and a warm-started variant under its own name.

Both minimise, over images in tanh-space and with a binary search over c for each image,

.. math:: \|x' - x\|_2^2 + c\,\max(\kappa - m(x'),\, 0)

with the margin m of the target's logit over the largest other one (untargeted: of the largest false logit over the true
one). For a network trained with the reverse loss these are the NEGATED logits, as the network at test returns them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from drs.attacks.base import Attack, distance
from drs.attacks.descent import CONST_LIMIT, Search, smallest
from drs.attacks.minimal import run_foolbox
from drs.attacks.sign import OBJECTIVES
from drs.attacks.targets import TARGETS, check_target_rule
from drs.errors import UsageError

ROUNDING = 1e-5
"""Share of the largest logit that a margin must exceed the confidence by, so that another batch size cannot undo it."""


def margin(logits: Tensor, labels: Tensor, targeted: bool = False) -> Tensor:
    """How far an attack got, (N,): largest false logit minus true logit; targeted: target minus largest other."""
    over_true = OBJECTIVES["margin"](logits, labels)
    return -over_true if targeted else over_true


@dataclass(frozen=True)
class MarginProblem:
    """Reach a margin of ``confidence`` for ``labels`` (N,): target classes if ``targeted``, else true ones."""

    model: nn.Module
    labels: Tensor
    targeted: bool
    confidence: float

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images = images.detach().requires_grad_(True)
        logits = self.model(images)
        penalty, violation, direction = margin_penalty(logits.detach(), self.labels, self.targeted, self.confidence)
        (gradient,) = torch.autograd.grad(logits, images, direction * weight.unsqueeze(1))
        return penalty, violation, gradient

    def select(self, rows: Tensor) -> MarginProblem:
        return replace(self, labels=self.labels[rows])


def margin_penalty(logits: Tensor, labels: Tensor, targeted: bool, confidence: float) -> tuple[Tensor, Tensor, Tensor]:
    """Penalty max(confidence - margin, 0), violation (0 or inf), and gradient of the penalty, of logits (N, C)."""
    index = labels.unsqueeze(1)
    other, rival = logits.scatter(1, index, -torch.inf).max(dim=1, keepdim=True)
    sign = 1.0 if targeted else -1.0
    short = confidence - sign * (logits.gather(1, index) - other)
    slack = ROUNDING * logits.abs().amax(dim=1)
    short_by = short.squeeze(1)
    violation = torch.zeros_like(short_by).where(short_by < -slack, torch.inf)
    active = sign * (short > 0.0).to(logits.dtype)
    direction = torch.zeros_like(logits).scatter(1, rival, active).scatter(1, index, -active)
    return short_by.clamp_min(0.0), violation, direction


@dataclass(frozen=True)
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
            self.learning_rate,
            self.search_steps,
            self.max_iterations,
            self.abort_early,
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


@dataclass(frozen=True)
class WarmStartCarliniWagnerL2(CarliniWagnerL2):
    """C&W started from DDN's result: another algorithm than C&W, several times faster, and named accordingly.

    DDN (100 passes) gives each image a point x_0 at distance d near the boundary. There the gradient of the margin
    balances that of the squared distance at ``c_0 = 2 d / |grad m(x_0)|``, so the search begins at ``const_factor``
    times c_0, where the hinge already holds the image at the margin, and each descent goes on from the best image so
    far; the last one lets the learning rate fall. An image is never farther than DDN's; where DDN found nothing the
    search begins at the image and ``initial_const``.

    Attributes:
        search_steps: Values of c tried.
        max_iterations: Adam's steps for each value.
        ddn_steps: Steps of DDN.
        const_factor: What c_0 is multiplied by, and c again while none succeeded.
    """

    search_steps: int = 3
    max_iterations: int = 600
    abort_early: bool = False
    ddn_steps: int = 100
    const_factor: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ddn_steps < 1 or not 1.0 < self.const_factor < math.inf:
            raise UsageError(
                f"expected ddn_steps >= 1 and const_factor > 1, got {self.ddn_steps} and {self.const_factor}"
            )

    def _search(self) -> Search:
        return replace(super()._search(), resume=True, anneal=True, factor=self.const_factor)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        import foolbox

        goals = self.goals(model, inputs, labels)
        criterion = foolbox.TargetedMisclassification(goals) if self.targeted else foolbox.Misclassification(labels)
        start = run_foolbox(foolbox.attacks.DDNAttack(steps=self.ddn_steps), model, inputs, criterion)
        problem = MarginProblem(model, goals, self.targeted, self.confidence)
        return smallest(
            problem, inputs, start=start, const=self._const(model, inputs, start, goals), search=self._search()
        )[0]

    def _const(self, model: nn.Module, inputs: Tensor, start: Tensor, goals: Tensor) -> Tensor:
        """(N,) first values of c."""
        leaf = start.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(margin(model(leaf), goals, self.targeted).sum(), leaf)
        balance = 2.0 * distance(start, inputs, "l2") / distance(gradient, torch.zeros_like(gradient), "l2")
        first = (self.const_factor * balance).clamp(1e-6, 1e6)
        return torch.where((balance > 0.0) & balance.isfinite(), first, self.initial_const)
