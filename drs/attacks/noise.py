"""Uniform noise: the control that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from drs.attacks.balls import NORMS, Norm, random_point
from drs.attacks.base import Attack
from drs.errors import unknown

__all__ = ["UniformNoise", "uniform_noise"]


def uniform_noise(inputs: Tensor, epsilon: float) -> Tensor:
    """A uniformly random point of the L-inf ball, not cut to [0, 1], drawn as the records of the book were.

    The last bit differs from :func:`drs.attacks.balls.random_point`, which draws as foolbox does.
    """
    return inputs + torch.empty_like(inputs).uniform_(-epsilon, epsilon)


@dataclass(frozen=True, kw_only=True)
class UniformNoise(Attack):
    """A uniformly random point of the ball: in L-inf every pixel moves by a random number in [-epsilon, epsilon].

    >>> import torch
    >>> from drs.attacks import UniformNoise
    >>> found = UniformNoise(epsilon=0.1)(torch.nn.Flatten(), torch.tensor([[0.9, 0.3]]), torch.tensor([0]))
    >>> found.success
    tensor([False])

    Attributes:
        epsilon: Budget, pixels in [0, 1].
        norm: ``"linf"`` or ``"l2"``.
    """

    differentiates: ClassVar[bool] = False

    epsilon: float = 0.05
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise unknown("norm", self.norm, NORMS)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return uniform_noise(inputs, self.epsilon) if self.norm == "linf" else random_point(inputs, self.epsilon, "l2")
