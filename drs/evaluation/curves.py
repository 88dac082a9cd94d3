"""Accuracy under attack over a range of budgets, for attacks by name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from drs.attacks import BIM, FGSM, ILCM, PGD, Attack, TargetedPGD, UniformNoise
from drs.errors import unknown
from drs.evaluation.accuracy import logits_of, share
from drs.training.models import Network

__all__ = ["ATTACKS", "curve_metrics"]

ATTACKS: dict[str, Callable[[float], Attack]] = {
    "noise": lambda epsilon: UniformNoise(epsilon=epsilon),
    "fgsm": lambda epsilon: FGSM(epsilon=epsilon),
    "bim": lambda epsilon: BIM(epsilon=epsilon),
    "ilcm": lambda epsilon: ILCM(epsilon=epsilon),
    "pgd": lambda epsilon: PGD(epsilon=epsilon, steps=20, restarts=2, keep="last"),
    "margin": lambda epsilon: PGD(epsilon=epsilon, steps=20, objective="margin", keep="last"),
    "targeted": lambda epsilon: TargetedPGD(epsilon=epsilon, steps=20, keep="last"),
}
"""Attacks of the curves by name; each takes its L-inf budget. PGD keeps the last iterate, as in all records."""


def curve_metrics(
    network: Network, images: Tensor, labels: Tensor, attacks: Iterable[str], epsilons: Iterable[float]
) -> tuple[dict[str, float], Tensor]:
    """Accuracy under each attack at each budget, and the worst case over the attacks for each image.

    An image that an attack fools at one budget counts as fooled by it at every larger one, and is not attacked again:
    the adversarial of the smaller ball lies in the larger. (What an attack does at one budget alone is what
    :mod:`drs.study.experiments.stress` measures.)

    Args:
        network: In evaluation mode.
        images: (N, C, H, W) in [0, 1].
        labels: (N,).
        attacks: Keys of :data:`ATTACKS`.
        epsilons: Increasing budgets; 0 is clean accuracy.

    Returns:
        ``attack@epsilon`` and ``worst@epsilon`` to accuracy, ``worst_area``, the mean of ``worst`` over
        [0, largest budget] by the trapezoidal rule; and (N,) the smallest budget at which each image fell (infinity
        if it never did).

    Raises:
        UsageError: An unknown attack.
    """
    names, budgets = list(attacks), list(epsilons)
    for name in names:
        if name not in ATTACKS:
            raise unknown("attack", name, ATTACKS)
    values: dict[str, float] = {}
    right = logits_of(network, images).argmax(dim=1) == labels
    fell_at = torch.where(right, math.inf, 0.0)
    standing = {name: right.clone() for name in names}
    worst = []
    for epsilon in budgets:
        if epsilon > 0:
            for name in names:
                rows = standing[name].nonzero().squeeze(1)
                if len(rows):
                    standing[name][rows] = ~ATTACKS[name](epsilon)(network, images[rows], labels[rows]).success
                values[f"{name}@{epsilon:g}"] = share(standing[name])
                fell_at = torch.where(standing[name], fell_at, fell_at.clamp_max(epsilon))
        worst.append(share(fell_at > epsilon))
        values[f"worst@{epsilon:g}"] = worst[-1]
    if len(budgets) > 1:
        widths = [right - left for left, right in itertools.pairwise(budgets)]
        area = sum(w * (a + b) / 2 for w, (a, b) in zip(widths, itertools.pairwise(worst)))
        values["worst_area"] = area / (budgets[-1] - budgets[0])
    return values, fell_at
