"""Broken attacks, each PGD with one mistake, and the alarm that must catch it; a healthy one beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.attacks.base import project

__all__ = ["FAULTS", "Fault", "Relabel", "pgd"]

Relabel: TypeAlias = Callable[[Tensor], Tensor]
"""From labels (N,) to others (N,)."""


@dataclass(frozen=True)
class Fault:
    """One broken attack.

    Attributes:
        name: Short, for tables.
        sentence: The mistake, in one sentence.
        caught_by: Alarms of :mod:`drs.evaluation.attack_audit` that name it, each of which must fire.
        make: From a budget to the broken attack, a function of model, images and labels; L-inf.
    """

    name: str
    sentence: str
    caught_by: tuple[str, ...]
    make: Callable[[float], Callable[[nn.Module, Tensor, Tensor], Tensor]]


def pgd(
    epsilon: float,
    *,
    steps: int = 20,
    size: float = 2.5,
    direction: float = 1.0,
    skip: int | None = None,
    projects: bool = True,
    labels_of: Relabel | None = None,
) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """PGD on cross-entropy in L-inf, in ten plain lines, with a place for each mistake. Healthy by default.

    Args:
        epsilon: Budget.
        steps: Steps.
        size: All steps together, in epsilons.
        direction: -1 goes down.
        skip: An image of the batch that gets no gradient.
        projects: Whether steps are brought back into the budget.
        labels_of: What becomes of the labels; None leaves them.
    """

    def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        labels = labels if labels_of is None else labels_of(labels)
        moved = (images + epsilon * (2.0 * torch.rand_like(images) - 1.0)).clamp(0.0, 1.0)
        for _ in range(steps):
            moved = moved.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(moved), labels, reduction="sum"), moved)
            if skip is not None:
                gradient = gradient.index_fill(0, torch.tensor([skip], device=images.device), 0.0)
            moved = moved.detach() + direction * size * epsilon / steps * gradient.sign()
            moved = (project(moved, images, epsilon, "linf") if projects else moved).clamp(0.0, 1.0)
        return moved.detach()

    return attack


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("step / 50", "Steps 50 times too small.", ("steps too short",), lambda e: pgd(e, size=0.05)),
        Fault("wrong sign", "Steps down the loss.", ("wrong direction",), lambda e: pgd(e, direction=-1.0)),
        Fault("one step", "One step instead of 20.", ("one step only",), lambda e: pgd(e, steps=1)),
        Fault("epsilon / 2", "Half the budget.", ("budget not used",), lambda e: pgd(e / 2.0)),
        Fault(
            "first image",
            "The first image of each batch gets no gradient.",
            ("place in the batch matters",),
            lambda e: pgd(e, skip=0),
        ),
        Fault("no projection", "Steps leave the budget.", ("leaves the budget",), lambda e: pgd(e, projects=False)),
        Fault(
            "labels permuted",
            "Every image gets its neighbour's label.",
            ("batch mixes images",),
            lambda e: pgd(e, labels_of=lambda labels: labels.roll(1)),
        ),
    )
}
"""Every broken attack, by name."""
