"""The search behind C&W: smallest perturbations in tanh-space, with a binary search over c for each image.

What is to be reached is a :class:`Problem`; an image leaves the batch when its loss stands still, and the device is
waited for ten times per descent, not at every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from drs.attacks.base import per_image
from drs.errors import UsageError

__all__ = ["CONST_LIMIT", "Problem", "Search", "smallest", "to_tanh_space"]

CONST_LIMIT = 1e10
"""The largest c that is tried."""


class Problem(Protocol):
    """What a search makes zero, for a set of images."""

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look at images (n, ...).

        Args:
            images: In [0, 1].
            weight: (n,), of each image's penalty in the gradient.

        Returns:
            Penalty (n,), violation (n,) (0 reached, > 0 short of it, inf worth nothing), and the gradient of the
            weighted penalty with respect to the images.
        """

    def select(self, rows: Tensor) -> Problem:
        """The same problem for some of the images."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How :func:`smallest` searches.

    Attributes:
        learning_rate: Of Adam, in tanh-space.
        search_steps: Values of c tried for each image.
        max_iterations: Adam's steps for each value.
        abort_early: Drop an image whose loss fell by less than 0.01% over a tenth of ``max_iterations``.
        description: Of the progress bar; None for no bar.
    """

    learning_rate: float = 0.01
    search_steps: int = 9
    max_iterations: int = 1000
    abort_early: bool = True
    description: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.learning_rate < math.inf:
            raise UsageError(f"expected a finite learning_rate > 0, got {self.learning_rate}")
        if self.search_steps < 1 or self.max_iterations < 0:
            raise UsageError(
                f"expected search_steps >= 1 and max_iterations >= 0, got {self.search_steps} and {self.max_iterations}"
            )


def to_tanh_space(images: Tensor) -> Tensor:
    """Unbounded values whose ``(tanh + 1) / 2`` are the images, within 5e-7 of pixels that are 0 or 1."""
    return torch.atanh((2.0 * images - 1.0) * (1.0 - 1e-6))


class _Best:
    """The best image seen so far for each of ``inputs``: smallest violation first, then smallest squared L2."""

    def __init__(self, inputs: Tensor, violation: Tensor) -> None:
        self.images, self.violation, self.squared = inputs.clone(), violation.clone(), torch.zeros_like(violation)

    def offer(self, rows: Tensor, images: Tensor, violation: Tensor, squared: Tensor) -> None:
        """Keep those of ``images``, seen for ``rows``, that are better."""
        least, shortest = self.violation[rows], self.squared[rows]
        nearer = (violation == least) & (squared < shortest) & (violation < torch.inf)
        better = (violation < least) | nearer
        self.images[rows] = torch.where(per_image(better, images), images, self.images[rows])
        self.violation[rows] = torch.where(better, violation, least)
        self.squared[rows] = torch.where(better, squared, shortest)


def smallest(
    problem: Problem, inputs: Tensor, *, start: Tensor | None = None, const: float, search: Search
) -> tuple[Tensor, Tensor]:
    """Images near ``inputs`` with the smallest violation and, among those, the smallest L2.

    An image already without violation stays as it is. The device is waited for ten times per value of c, when images
    that no longer improve are dropped from the batch.

    Args:
        problem: What to reach.
        inputs: (N, ...) in [0, 1]; distances are measured from here.
        start: Images to start each descent from; ``inputs`` by default.
        const: First c. It grows tenfold until it succeeds, then the interval is halved.
        search: How long and how fast.

    Returns:
        (N, ...) images (those of ``inputs`` where the violation is infinite) and (N,) violations.
    """
    ones = inputs.new_ones(len(inputs))
    violation = problem(inputs, ones)[1]
    best = _Best(inputs, violation)
    if start is not None:
        everything = torch.arange(len(inputs), device=inputs.device)
        best.offer(everything, start, problem(start, ones)[1], (start - inputs).flatten(1).square().sum(dim=1))
    rows = (violation > 0.0).nonzero().flatten()
    if len(rows) == 0 or search.max_iterations == 0:
        return best.images, best.violation
    problem, x = problem.select(rows), inputs[rows]
    position = to_tanh_space(x if start is None else start[rows])
    c = x.new_full((len(x),), const)
    low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
    with tqdm(
        total=search.search_steps * search.max_iterations,
        desc=search.description,
        unit="step",
        disable=search.description is None,
        leave=False,
    ) as bar:
        for number in range(1, search.search_steps + 1):
            reached = _descend(problem, x, position, c, best, rows, search, bar)
            bar.update(number * search.max_iterations - bar.n)
            high = torch.where(reached, torch.minimum(high, c), high)
            low = torch.where(reached, low, torch.maximum(low, c))
            c = torch.where(high < torch.inf, (low + high) / 2.0, (c * 10.0).clamp_max(CONST_LIMIT))
    return best.images, best.violation


def _descend(
    problem: Problem, x: Tensor, w: Tensor, c: Tensor, best: _Best, rows: Tensor, search: Search, bar: Any
) -> Tensor:
    """Adam in tanh-space from ``w`` at a fixed ``c`` per image; offers every iterate to ``best``.

    Only the looks of ``abort_early`` wait for the device.

    Returns:
        (n,) bool: which of the images reached what the problem asks for.
    """
    w, reached, active = w.clone(), torch.zeros_like(c, dtype=torch.bool), torch.arange(len(c), device=c.device)
    mean, square, previous = torch.zeros_like(w), torch.zeros_like(w), torch.full_like(c, torch.inf)
    every = max(1, search.max_iterations // 10)
    for t in range(search.max_iterations):
        tanh = w.tanh()
        images = (tanh + 1.0) / 2.0
        penalty, violation, gradient = problem(images, c)
        difference = images - x
        squared = difference.flatten(1).square().sum(dim=1)
        best.offer(rows[active], images, violation, squared)
        reached[active] |= violation == 0.0
        gradient = (gradient + 2.0 * difference) * (1.0 - tanh.square()) / 2.0
        mean.lerp_(gradient, 0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (square / (1.0 - 0.999 ** (t + 1))).sqrt_().add_(1e-8)
        w.addcdiv_(mean, scale, value=-search.learning_rate / (1.0 - 0.9 ** (t + 1)))
        bar.update()
        if search.abort_early and t % every == 0:
            loss = squared + c * penalty
            kept = (loss <= 0.9999 * previous).nonzero().flatten()
            if len(kept) == 0:
                break
            previous = loss
            if len(kept) < len(active):
                problem = problem.select(kept)
                active, x, w, c, mean, square, previous = (
                    values[kept] for values in (active, x, w, c, mean, square, previous)
                )
    return reached
