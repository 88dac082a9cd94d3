"""Uniform noise: the control that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from drs.attacks.balls import NORMS, Norm, random_point
from drs.attacks.base import Attack
from drs.errors import unknown

__all__ = ["UniformNoise"]


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
        return random_point(inputs, self.epsilon, self.norm)
