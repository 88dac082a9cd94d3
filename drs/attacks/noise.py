"""Uniform noise: the control that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from drs.attacks.base import Attack

__all__ = ["UniformNoise"]


@dataclass(frozen=True, kw_only=True)
class UniformNoise(Attack):
    """Every pixel moved by a uniform random number in [-epsilon, epsilon].

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
    """

    differentiates: ClassVar[bool] = False

    epsilon: float = 0.05

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return inputs + torch.empty_like(inputs).uniform_(-self.epsilon, self.epsilon)
