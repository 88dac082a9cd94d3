"""Module twins of the losses of this package, for any training loop.

>>> import torch
>>> from drs.family import GCELoss
>>> GCELoss(alpha=1.0)(torch.tensor([[2.0, 1.0, 1.0]]).log(), torch.tensor([0]))
tensor(-0.3155)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from drs.family.guided import gce_loss, std_loss
from drs.family.mahalanobis import mmc_loss

__all__ = ["GCELoss", "MMCLoss", "STDLoss"]


class _Twin(nn.Module):
    """A loss function with its options fixed; wrong options are refused at once."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        type(self).function(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64), **options)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of raw ``logits`` against class indices ``target``."""
        return type(self).function(logits, target, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self.options.items())


class GCELoss(_Twin):
    """Module twin of :func:`drs.family.guided.gce_loss`; takes its keyword arguments."""

    function = staticmethod(gce_loss)


class STDLoss(_Twin):
    """Module twin of :func:`drs.family.guided.std_loss`; takes its keyword arguments."""

    function = staticmethod(std_loss)


class MMCLoss(_Twin):
    """Module twin of :func:`drs.family.mahalanobis.mmc_loss`; takes its keyword arguments."""

    function = staticmethod(mmc_loss)
