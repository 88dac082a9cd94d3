"""The Square attack (Andriushchenko et al. 2020, arXiv 1912.00049) in L-inf: scores only, no gradient to mask.

Random search: a square of the image is set to one colour at the edge of the budget, and kept where the margin of the
true class falls. foolbox has no such attack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from drs.attacks.base import Attack, check_count
from drs.attacks.objectives import margin
from drs.errors import UsageError

__all__ = ["COMPACT_EVERY", "HALVINGS", "Square", "check_images_for_square", "square_side"]

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10,000, after each of which the share of the image that a square covers is halved."""

COMPACT_EVERY = 25
"""Queries between two looks at which images are fooled and need no more; each look waits for the device."""


def square_side(query: int, queries: int, height: int, width: int, share: float = 0.8) -> int:
    """Side of the square at a query, from 0: a share of the image that falls as in the paper, rescaled to ``queries``.

    Args:
        query: Number of the query, from 0.
        queries: How many there are.
        height, width: Of the images.
        share: Of the image at the start.
    """
    rescaled = query * 10_000 // queries
    now = share / 2 ** sum(rescaled > limit for limit in HALVINGS)
    return min(max(1, round(math.sqrt(now * height * width))), height, width)


def check_images_for_square(inputs: Tensor) -> None:
    """Refuse what has no height and width.

    Raises:
        UsageError: Another shape than (N, C, H, W).
    """
    if inputs.dim() != 4:
        raise UsageError(
            f"expected images of shape (N, C, H, W) for Square, got {tuple(inputs.shape)}: "
            "its squares need a height and a width, attack other data with PGD"
        )


@dataclass(frozen=True, kw_only=True)
class Square(Attack):
    """Square attack on the margin, untargeted; every image has squares of its own and stops when it is fooled.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        queries: Forward passes of an image after the first look; 5,000 in AutoAttack, 10,000 in the paper.
        share: Share of the image that the first squares cover; 0.8 in AutoAttack.
    """

    differentiates: ClassVar[bool] = False

    epsilon: float = 0.05
    queries: int = 1000
    share: float = 0.8

    def __post_init__(self) -> None:
        check_count("queries", self.queries)
        if not 0.0 < self.share <= 1.0:
            raise UsageError(f"expected share in (0, 1], got {self.share}")

    @torch.no_grad()
    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        check_images_for_square(inputs)
        count, channels, height, width = inputs.shape
        stripes = self.epsilon * _signs((count, channels, 1, width), inputs)
        best = (inputs + stripes).clamp(0.0, 1.0)
        rows = torch.arange(count, device=inputs.device)
        moved, score = best.clone(), margin(model(best), labels)
        for query in range(self.queries):
            if query % COMPACT_EVERY == 0:
                best[rows] = moved
                standing = score <= 0.0
                rows, moved, score = rows[standing], moved[standing], score[standing]
                origin, target = inputs[rows], labels[rows]
                if len(rows) == 0:
                    break
            side = square_side(query, self.queries, height, width, self.share)
            inside = _squares(len(rows), height, width, side, inputs.device)
            colour = self.epsilon * _signs((len(rows), channels, 1, 1), inputs)
            tried = torch.where(inside, (origin + colour).clamp(0.0, 1.0), moved)
            found = margin(model(tried), target)
            better = (found > score) & (score <= 0.0)
            moved = torch.where(better.reshape(-1, 1, 1, 1), tried, moved)
            score = torch.where(better, found, score)
        best[rows] = moved
        return best


def _signs(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """-1 or 1, each with probability one half."""
    return 1.0 - 2.0 * torch.randint(0, 2, shape, device=like.device).to(like.dtype)


def _squares(count: int, height: int, width: int, side: int, device: torch.device) -> Tensor:
    """(count, 1, height, width) bool: a square of that side at a uniformly random place in each image."""
    top = torch.randint(0, height - side + 1, (count, 1, 1, 1), device=device)
    left = torch.randint(0, width - side + 1, (count, 1, 1, 1), device=device)
    row = torch.arange(height, device=device).reshape(-1, 1)
    column = torch.arange(width, device=device)
    return (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
