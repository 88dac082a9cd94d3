"""The sum of squares of the DRS penalty for a vocabulary of classes, in half the time of the plain formula.

Two to three times as fast at 1,000 and at 32,000 classes, and slower than the plain formula below a few hundred. The
deviations c of the false values from their mean are an orthogonal projection of the values, so the gradient of the
sum of their squares is 2 c. One more projection therefore replaces the chain that automatic differentiation walks back
through, and nothing is kept but the inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MANY = 1000
"""The fewest classes for which this form is used."""


class _SumOfSquares(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, target: Tensor) -> Tensor:
        index = target.unsqueeze(1)
        length: Tensor = torch.linalg.vector_norm(_centre_(values.scatter(1, index, 0.0), index), dim=1)
        return length.square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, target = ctx.saved_tensors
        index = target.unsqueeze(1)
        return _centre_((values * (2.0 * gradients[0].unsqueeze(1))).scatter_(1, index, 0.0), index), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        values, target = ctx.saved_tensors
        index = target.unsqueeze(1)
        along: Tensor = 2.0 * (_centre_(values.scatter(1, index, 0.0), index) * tangents[0]).sum(dim=1)
        return along


def _centre_(false: Tensor, index: Tensor) -> Tensor:
    """Subtract the mean over the false classes in place, from values that are zero at the true class."""
    return false.sub_(false.sum(dim=1, keepdim=True) / (false.shape[1] - 1)).scatter_(1, index, 0.0)


def sum_of_squares(values: Tensor, target: Tensor) -> Tensor:
    """The same as ``centred_false_values(values, target).square().sum(dim=1)``.

    Args:
        values: (M, C).
        target: (M,), labels in [0, C).

    Returns:
        (M,), >= 0; supports higher-order reverse-mode and forward-mode differentiation, and ``torch.func``.
    """
    squares: Tensor = _SumOfSquares.apply(values, target)
    return squares
