r"""The C&W attack in L2 (Carlini and Wagner 2017, arXiv 1608.04644), and a warm-started variant under its own name.

Both minimise, over images in tanh-space and with a binary search over c for each image,

.. math:: \|x' - x\|_2^2 + c\,\max(\kappa - m(x'),\, 0)

with the margin m of the target's logit over the largest other one (untargeted: of the largest false logit over the true
one). For a network trained with the reverse loss these are the NEGATED logits, as the network at test returns them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from drs.attacks.base import Attack
from drs.attacks.gradient import OBJECTIVES
from drs.attacks.targets import TARGETS, check_target_rule
from drs.errors import UsageError

ROUNDING = 1e-5
"""Share of the largest logit that a margin must exceed the confidence by, so that another batch size cannot undo it."""

CONST_LIMIT = 1e10
"""A constant c beyond which no image is searched."""


def margin(logits: Tensor, labels: Tensor, targeted: bool = False) -> Tensor:
    """How far an attack got, (N,): largest false logit minus true logit; targeted: target minus largest other."""
    over_true = OBJECTIVES["margin"](logits, labels)
    return -over_true if targeted else over_true


class Problem(Protocol):
    """What a search makes zero, for a set of images."""

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look at images (n, C, H, W).

        Args:
            images: In [0, 1].
            weight: (n,), of each image's penalty in the gradient.

        Returns:
            Penalty (n,), violation (n,) (0 reached, > 0 short of it, inf worth nothing), and the gradient of the
            weighted penalty with respect to the images.
        """

    def select(self, rows: Tensor) -> Problem:
        """The same problem for some of the images."""


@dataclass(frozen=True)
class MarginProblem:
    """Reach a margin of ``confidence`` for ``labels`` (N,): target classes if ``targeted``, else true ones."""

    model: nn.Module
    labels: Tensor
    targeted: bool
    confidence: float

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
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
    violation = torch.full_like(short_by, torch.inf).where(short_by > -slack, 0.0)
    active = sign * (short > 0.0).to(logits.dtype)
    direction = torch.zeros_like(logits).scatter(1, rival, active).scatter(1, index, -active)
    return short_by.clamp_min(0.0), violation, direction


@dataclass(frozen=True)
class Search:
    """How :func:`smallest` searches.

    Attributes:
        learning_rate: Of Adam, in tanh-space.
        search_steps: Values of c tried for each image.
        max_iterations: Adam's steps for each value.
        abort_early: Drop an image whose loss fell by less than 0.01% over a tenth of ``max_iterations``.
        anneal: Let the learning rate fall to a hundredth, along a cosine.
        factor: What c is multiplied by while no c has succeeded.
        description: Of the progress bar; None for no bar.
    """

    learning_rate: float = 0.01
    search_steps: int = 9
    max_iterations: int = 1000
    abort_early: bool = True
    anneal: bool = False
    factor: float = 10.0
    description: str | None = None

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0:
            raise UsageError(f"expected learning_rate > 0, got {self.learning_rate}")
        if self.search_steps < 1 or self.max_iterations < 0:
            raise UsageError(
                f"expected search_steps >= 1 and max_iterations >= 0, got {self.search_steps} and {self.max_iterations}"
            )

    def rate(self, iteration: int) -> float:
        """Learning rate of a step, from 0."""
        if not self.anneal:
            return self.learning_rate
        share = 0.5 * (1.0 + math.cos(math.pi * iteration / self.max_iterations))
        return self.learning_rate * (0.01 + 0.99 * share)


def to_tanh_space(images: Tensor) -> Tensor:
    """Unbounded values whose ``(tanh + 1) / 2`` are the images, within 5e-7 of pixels that are 0 or 1."""
    return torch.atanh((2.0 * images - 1.0) * (1.0 - 1e-6))


class _Best:
    """The best images so far: smallest violation first, then smallest L2."""

    def __init__(self, images: Tensor, violation: Tensor, squared: Tensor) -> None:
        self.images, self.violation, self.squared = images, violation, squared

    def select(self, rows: Tensor) -> _Best:
        return _Best(self.images[rows], self.violation[rows], self.squared[rows])

    def write(self, rows: Tensor, other: _Best) -> None:
        self.images[rows], self.violation[rows], self.squared[rows] = other.images, other.violation, other.squared

    def offer(self, images: Tensor, violation: Tensor, squared: Tensor) -> None:
        nearer = (violation == self.violation) & (squared < self.squared) & (violation < torch.inf)
        better = (violation < self.violation) | nearer
        self.images = torch.where(better.reshape(-1, 1, 1, 1), images, self.images)
        self.violation = torch.where(better, violation, self.violation)
        self.squared = torch.where(better, squared, self.squared)


class _Descent:
    """Adam in tanh-space at a fixed c for each of a shrinking set of images."""

    def __init__(self, problem: Problem, inputs: Tensor, start: Tensor, const: Tensor, best: _Best) -> None:
        self.problem, self.inputs, self.const, self.best = problem, inputs, const, best
        self.rows = torch.arange(len(inputs), device=inputs.device)
        self.position = start.clone()
        self.mean = torch.zeros_like(start)
        self.square = torch.zeros_like(start)
        self.found = torch.zeros_like(const, dtype=torch.bool)
        self.loss = self.previous = torch.full_like(const, torch.inf)

    def step(self, iteration: int, rate: float) -> None:
        """Look at the present images, then move; nothing in here waits for the device."""
        tanh = self.position.tanh()
        images = (tanh + 1.0) / 2.0
        penalty, violation, gradient = self.problem(images, self.const)
        difference = images - self.inputs
        squared = difference.flatten(1).square().sum(dim=1)
        self.loss = squared + self.const * penalty
        self.best.offer(images, violation, squared)
        self.found = self.found | (violation == 0.0)
        gradient = (gradient + 2.0 * difference) * (1.0 - tanh.square()) / 2.0
        self.mean.lerp_(gradient, 0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (self.square / (1.0 - 0.999 ** (iteration + 1))).sqrt_().add_(1e-8)
        self.position.addcdiv_(self.mean, scale, value=-rate / (1.0 - 0.9 ** (iteration + 1)))

    def improving(self) -> Tensor:
        """(n,) bool: the loss fell by more than 0.01% since the last call."""
        result = self.loss <= 0.9999 * self.previous
        self.previous = self.loss
        return result

    def keep(self, kept: Tensor) -> None:
        """Go on with the images at these places only."""
        for name in ("rows", "inputs", "const", "position", "mean", "square", "found", "loss", "previous"):
            setattr(self, name, getattr(self, name)[kept])
        self.problem, self.best = self.problem.select(kept), self.best.select(kept)


def smallest(
    problem: Problem, inputs: Tensor, *, start: Tensor | None = None, const: Tensor | float, search: Search
) -> tuple[Tensor, Tensor]:
    """Images near ``inputs`` with the smallest violation and, among those, the smallest L2.

    An image already without violation stays as it is. The device is waited for ten times a value of c, when images
    that no longer improve are dropped from the batch.

    Args:
        problem: What to reach.
        inputs: (N, C, H, W) in [0, 1]; distances are measured from here.
        start: Images to start each descent from; ``inputs`` by default.
        const: First c, one for all or (N,).
        search: How long and how fast.

    Returns:
        (N, C, H, W) images (those of ``inputs`` where the violation is infinite) and (N,) violations.
    """
    ones = torch.ones_like(inputs[:, 0, 0, 0])
    violation = problem(inputs, ones)[1]
    best = _Best(inputs.clone(), violation, torch.zeros_like(violation))
    begin = inputs if start is None else start
    if start is not None:
        best.offer(start, problem(start, ones)[1], (start - inputs).flatten(1).square().sum(dim=1))
    rows = (violation > 0.0).nonzero().flatten()
    if len(rows) == 0 or search.max_iterations == 0:
        return best.images, best.violation
    c = torch.as_tensor(const, dtype=inputs.dtype, device=inputs.device).expand(len(inputs))[rows].clone()
    low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
    bar = tqdm(
        total=search.search_steps * search.max_iterations,
        desc=search.description,
        unit="step",
        disable=search.description is None,
        leave=False,
    )
    for number in range(search.search_steps):
        found = _descend(problem.select(rows), inputs[rows], to_tanh_space(begin[rows]), c, best, rows, search, bar)
        bar.update((number + 1) * search.max_iterations - bar.n)
        high = torch.where(found, torch.minimum(high, c), high)
        low = torch.where(found, low, torch.maximum(low, c))
        c = torch.where(high < torch.inf, (low + high) / 2.0, (c * search.factor).clamp_max(CONST_LIMIT))
    bar.close()
    return best.images, best.violation


def _descend(
    problem: Problem,
    inputs: Tensor,
    start: Tensor,
    const: Tensor,
    best: _Best,
    rows: Tensor,
    search: Search,
    bar: tqdm[None],
) -> Tensor:
    """One descent at ``const`` for the images at ``rows``; writes into ``best``, returns (n,) bool: reached."""
    descent = _Descent(problem, inputs, start, const, best.select(rows))
    found = torch.zeros_like(const, dtype=torch.bool)
    every = max(1, search.max_iterations // 10)
    for iteration in range(search.max_iterations):
        descent.step(iteration, search.rate(iteration))
        bar.update()
        if not search.abort_early or iteration % every:
            continue
        going_on = descent.improving()
        kept = going_on.nonzero().flatten()
        if len(kept) < len(going_on):
            best.write(rows[descent.rows], descent.best)
            found[descent.rows] = descent.found
            if len(kept) == 0:
                return found
            descent.keep(kept)
    best.write(rows[descent.rows], descent.best)
    found[descent.rows] = descent.found
    return found


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
        if self.confidence < 0.0:
            raise UsageError(f"expected confidence >= 0, got {self.confidence}")
        if self.initial_const <= 0.0:
            raise UsageError(f"expected initial_const > 0, got {self.initial_const}")
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
