"""What an evaluation spends: forward and backward passes, one per image, counted by a model that has a deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drs.attacks.models import AsModule, Model

__all__ = ["Counted", "OutOfTime", "Passes"]


class OutOfTime(Exception):
    """The deadline of a :class:`Counted` model has passed: whoever set it catches this."""


@dataclass
class Passes:
    """Images that went forward through a model, and images whose gradient came back."""

    forward: int = 0
    backward: int = 0

    def __sub__(self, earlier: Passes) -> Passes:
        return Passes(self.forward - earlier.forward, self.backward - earlier.backward)

    def copy(self) -> Passes:
        """The counts as they are now."""
        return Passes(self.forward, self.backward)

    def __deepcopy__(self, memo: dict[int, Any]) -> Passes:
        """Itself: the copy of a model, such as the one in float64, adds to the same counts."""
        return self


class Counted(nn.Module):
    """A model that counts. It answers what the model answers, and its gradients are the model's.

    >>> model = Counted(torch.nn.Linear(4, 2))
    >>> images = torch.rand(3, 4, requires_grad=True)
    >>> model(images).sum().backward()
    >>> model.passes
    Passes(forward=3, backward=3)

    Args:
        model: Any callable that maps images (N, ...) to logits.

    Attributes:
        passes: What was counted since it was made.
        deadline: Of ``time.perf_counter``: no pass begins later. None at first.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model if isinstance(model, nn.Module) else AsModule(model)
        self.passes = Passes()
        self.deadline: float | None = None

    def forward(self, images: Tensor) -> Tensor:
        """The model's answer; each image counts as one forward pass, and as one backward pass if a gradient comes.

        Raises:
            OutOfTime: The deadline has passed. An attack that is cut so leaves nothing behind.
        """
        if self.deadline is not None and time.perf_counter() > self.deadline:
            raise OutOfTime
        self.passes.forward += len(images)
        if images.requires_grad and torch.is_grad_enabled():
            images = images.view_as(images)
            images.register_hook(self._count)
        logits: Tensor = self.model(images)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.passes.backward += len(gradient)
