"""The search behind C&W: smallest perturbations in tanh-space, with a binary search over c for each image.

What is to be reached is a :class:`Problem`; an image leaves the batch when its loss stands still, and the device is
waited for ten times a descent, not at every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from drs.errors import UsageError

CONST_LIMIT = 1e10
"""The largest c that is tried."""


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
class Search:
    """How :func:`smallest` searches.

    Attributes:
        learning_rate: Of Adam, in tanh-space.
        search_steps: Values of c tried for each image.
        max_iterations: Adam's steps for each value.
        abort_early: Drop an image whose loss fell by less than 0.01% over a tenth of ``max_iterations``.
        resume: Start each descent from the best image so far, where there is one.
        anneal: At the last value of c let the learning rate fall to a hundredth, along a cosine, and abort nothing.
        factor: What c is multiplied by while no c has succeeded.
        description: Of the progress bar; None for no bar.
    """

    learning_rate: float = 0.01
    search_steps: int = 9
    max_iterations: int = 1000
    abort_early: bool = True
    resume: bool = False
    anneal: bool = False
    factor: float = 10.0
    description: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.learning_rate < math.inf:
            raise UsageError(f"expected a finite learning_rate > 0, got {self.learning_rate}")
        if self.search_steps < 1 or self.max_iterations < 0:
            raise UsageError(
                f"expected search_steps >= 1 and max_iterations >= 0, got {self.search_steps} and {self.max_iterations}"
            )

    def at(self, number: int) -> Search:
        """What holds at a value of c, from 0: only the last one is annealed."""
        if not self.anneal or number == self.search_steps - 1:
            return replace(self, abort_early=self.abort_early and not self.anneal)
        return replace(self, anneal=False)

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
        resumed = (best.violation < torch.inf).reshape(-1, 1, 1, 1) & search.resume
        position = to_tanh_space(torch.where(resumed, best.images, begin)[rows])
        found = _descend(problem.select(rows), inputs[rows], position, c, best, rows, search.at(number), bar)
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
    bar: Any,
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
