"""Which class a targeted attack aims at: a rule by name, from the model's logits on the unperturbed images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from drs.errors import unknown

__all__ = ["TARGETS", "check_target_rule", "from_image", "least_likely", "random_class"]

_FIRST: ContextVar[int] = ContextVar("first image of the batch", default=0)


@contextmanager
def from_image(number: int) -> Iterator[None]:
    """Inside, a batch begins at this image of all that are attacked, so that targets do not depend on its size."""
    token = _FIRST.set(number)
    try:
        yield
    finally:
        _FIRST.reset(token)


def least_likely(logits: Tensor, labels: Tensor, seed: int) -> Tensor:
    """The false class with the smallest logit."""
    return logits.scatter(1, labels.unsqueeze(1), torch.inf).argmin(dim=1)


def random_class(logits: Tensor, labels: Tensor, seed: int) -> Tensor:
    """A false class drawn uniformly; the same seed draws the same ones on every device and in batches of any size."""
    generator, first = torch.Generator().manual_seed(seed), _FIRST.get()
    drawn = torch.randint(1, logits.shape[1], (first + len(labels),), generator=generator)[first:]
    return (labels + drawn.to(labels.device)) % logits.shape[1]


TARGETS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {"least_likely": least_likely, "random": random_class}
"""Rules by name, from logits (N, C), true labels (N,) and a seed to target classes (N,)."""


def check_target_rule(name: str, *others: str) -> None:
    """Refuse a rule that is neither in :data:`TARGETS` nor among ``others``.

    Raises:
        UsageError: An unknown name.
    """
    if name not in TARGETS and name not in others:
        raise unknown("target rule", name, [*TARGETS, *others])
