"""The two balls that a perturbation may not leave: which step is steepest in each, and a random point of each.

The projection onto a ball is :func:`drs.attacks.base.project`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from drs.errors import unknown

__all__ = ["NORMS", "Norm", "random_point", "steepest"]

Norm: TypeAlias = Literal["linf", "l2"]
"""The norm of a budget: the largest change of a value, or the length of the whole change."""

NORMS: tuple[Norm, ...] = ("linf", "l2")


def _lengths(values: Tensor) -> Tensor:
    """L2 length of each example of (N, ...), in the shape (N, 1, ...). The largest value is taken out first, lest the
    squares of small numbers vanish."""
    each = tuple(range(1, values.dim()))
    largest = values.abs().amax(dim=each, keepdim=True)
    scaled = values / largest.clamp_min(torch.finfo(values.dtype).tiny)
    return largest * scaled.square().sum(dim=each, keepdim=True).sqrt()


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    r"""The direction of norm 1 in which a function rises most, to first order.

    >>> import torch
    >>> steepest(torch.tensor([[3.0, -4.0, 0.0]]), "linf")
    tensor([[ 1., -1.,  0.]])
    >>> steepest(torch.tensor([[3.0, -4.0, 0.0]]), "l2")
    tensor([[ 0.6000, -0.8000,  0.0000]])

    It is :math:`\mathrm{sign}(g)` for L-inf and :math:`g / \lVert g \rVert_2` for L2.

    Args:
        gradient: (N, ...); NaN counts as zero, and so does an infinite value under L2 (under L-inf it has a sign).
        norm: ``"linf"`` or ``"l2"``.

    Returns:
        (N, ...), zero where the gradient is zero.

    Raises:
        UsageError: An unknown norm.
    """
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    if norm == "linf":
        return gradient.nan_to_num(0.0).sign()
    finite = gradient.nan_to_num(0.0, 0.0, 0.0)
    return finite / _lengths(finite).clamp_min(torch.finfo(finite.dtype).tiny)


def random_point(x: Tensor, epsilon: float, norm: Norm) -> Tensor:
    """A uniformly random point of the ball around each example, cut to [0, 1].

    >>> import torch
    >>> x = torch.full((2, 3), 0.5)
    >>> bool(((random_point(x, 0.1, "linf") - x).abs() <= 0.1 + 1e-6).all())
    True

    Args:
        x: (N, ...) in [0, 1], the centres.
        epsilon: Radius, in the norm.
        norm: ``"linf"`` or ``"l2"``.

    Raises:
        UsageError: An unknown norm.
    """
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    if norm == "linf":  # drawn as foolbox draws it: the tests compare bit by bit
        moved = torch.rand(x.shape, dtype=x.dtype, device=x.device) * (2.0 * epsilon) - epsilon
    else:  # a random direction; a length whose power of the dimension is uniform
        direction = steepest(torch.randn(x.shape, dtype=x.dtype, device=x.device), "l2")
        shape = (len(x), *[1] * (x.dim() - 1))
        share = torch.rand(shape, dtype=x.dtype, device=x.device) ** (1.0 / max(1, x[:1].numel()))
        moved = direction * (epsilon * share)
    return (x + moved).clamp(0.0, 1.0)
