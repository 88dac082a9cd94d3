"""Numbers of one trained network: accuracy, calibration, false-class measures, and accuracy under attack."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from drs.attacks import BIM, FGSM, ILCM, PGD, Adversarials, Attack, TargetedPGD, UniformNoise
from drs.errors import unknown
from drs.spread import false_class_entropy, false_class_std, false_class_variance
from drs.training.models import Network

BATCH = 1000
"""Images a forward pass."""

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

MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "std_logits": lambda z, y: false_class_std(z, y, measure="logits"),
    "std_probabilities": lambda z, y: false_class_std(z, y, measure="probabilities"),
    "variance_logits": lambda z, y: false_class_variance(z, y, measure="logits"),
    "variance_probabilities": lambda z, y: false_class_variance(z, y, measure="probabilities"),
    "entropy_logits": lambda z, y: false_class_entropy(z, y, measure="logits"),
    "entropy_probabilities": lambda z, y: false_class_entropy(z, y, measure="probabilities"),
}
"""Measures of the false-class distribution by name: (N, C) logits and (N,) labels to (N,)."""


@torch.no_grad()
def logits_of(network: Network, images: Tensor) -> Tensor:
    """Logits (N, C) of images in batches."""
    return torch.cat([network(batch) for batch in images.split(BATCH)])


@torch.no_grad()
def features_of(network: Network, images: Tensor) -> Tensor:
    """Final hidden vectors (N, D) of images in batches."""
    return torch.cat([network.features(batch) for batch in images.split(BATCH)])


def share(chosen: Tensor) -> float:
    """Share of True in (N,) bool, in double precision: equal counts give equal numbers."""
    return int(chosen.sum()) / len(chosen)


def timed(attack: Attack, network: Network, images: Tensor, labels: Tensor) -> tuple[Adversarials, float]:
    """What an attack makes of a batch, and the wall time of the whole call in seconds, the device waited for.

    foolbox, which DDN and DeepFool import when they are first called, is loaded before the clock starts.
    """
    import foolbox  # noqa: F401

    def now() -> float:
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        return time.perf_counter()

    started = now()
    found = attack(network, images, labels)
    return found, now() - started


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of right labels."""
    return share(logits.argmax(dim=1) == labels)


def expected_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by size (Guo et al. 2017).

    Args:
        logits: (N, C).
        labels: (N,).
        bins: Number of bins of (0, 1].
    """
    confidence, predicted = torch.softmax(logits, dim=1).max(dim=1)
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = confidence - (predicted == labels).to(confidence)
    sums = torch.zeros(bins, dtype=confidence.dtype, device=logits.device).index_add_(0, place, gap)
    return float(sums.abs().sum() / len(labels))


def clean_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, cross-entropy, calibration error, and mean and median of every false-class measure."""
    values = {
        "accuracy": accuracy(logits, labels),
        "cross_entropy": float(F.cross_entropy(logits, labels)),
        "calibration_error": expected_calibration_error(logits, labels),
    }
    for name, measure in MEASURES.items():
        each = measure(logits, labels)
        values[f"{name}_mean"] = float(each.mean())
        values[f"{name}_median"] = float(each.median())
    return values


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
