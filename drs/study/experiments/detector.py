"""What the two experiments on detection share: how a detector sees images, and its numbers under one attack."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drs.attacks import Adversarials, Attack
from drs.attacks.objectives import margin
from drs.detection import (
    BANDWIDTH_CE,
    BANDWIDTH_RCE,
    KDensity,
    auc,
    confidence,
    evaluate_detector,
    non_me,
    rejection_threshold,
    undetected_success,
)
from drs.evaluation.accuracy import features_of, logits_of
from drs.losses import get_loss
from drs.study.experiments.base import Context
from drs.study.metrics import column
from drs.training.models import Network

__all__ = [
    "METRICS",
    "SMALLEST",
    "DetectorView",
    "Mask",
    "Scores",
    "bandwidth",
    "detector_metrics",
    "distortion",
    "median_lead",
    "timed",
]

Mask: TypeAlias = NDArray[np.bool_]

METRICS = ("confidence", "non_me", "k_density")
SMALLEST = 1e-6
"""A median lead below it is taken to be it, so that a network that has learnt nothing divides by no zero."""


def bandwidth(loss: str) -> float:
    """The paper's sigma squared for a network of that loss; DRS, which the paper does not know, takes that of CE."""
    return BANDWIDTH_RCE if get_loss(loss).reverse else BANDWIDTH_CE


@dataclass(frozen=True)
class Scores:
    """What a detector sees of a batch.

    Attributes:
        label: (N,) the labels that the network gives.
        of: The score of each of :data:`METRICS`, (N,), HIGHER = MORE NORMAL.
    """

    label: Tensor
    of: Mapping[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class DetectorView:
    """A network and the density of its features among its training images."""

    network: Network
    density: KDensity

    @classmethod
    def fitted(cls, context: Context, values: Mapping[str, Any], network: Network, factor: float = 1.0) -> DetectorView:
        """The density of the images that the network of specification ``values`` was trained on, by true label, at most
        1,000 per class; ``factor`` multiplies the paper's bandwidth."""
        data = context.dataset(values["dataset"])
        images, labels = data.train.first(values["train_size"]).to_float(context.device)
        density = KDensity(bandwidth(values["loss"]) * factor)
        return cls(network, density.fit(features_of(network, images), labels, classes=len(data.class_names)))

    def scores(self, images: Tensor) -> Scores:
        """Labels and scores of images (N, C, H, W)."""
        logits, features = logits_of(self.network, images), features_of(self.network, images)
        label = logits.argmax(dim=1)
        each = (confidence(logits), non_me(logits), self.density.score(features, label))
        return Scores(label, {name: score.cpu().numpy() for name, score in zip(METRICS, each)})


def detector_metrics(
    name: str,
    held_out: Scores,
    normal: Scores,
    attacked: Scores,
    used: Mask,
    wrong: Tensor,
    *,
    wanted: Collection[str],
) -> dict[str, float]:
    """The numbers of each metric's detector under one attack.

    Args:
        name: Of the attack, for the names of the numbers.
        held_out: Of validation images; they set the thresholds.
        normal: Of the test images.
        attacked: Of the first n of them, attacked.
        used: (n,) the images of both arms.
        wrong: (n,) whether the network is wrong on the attacked image.
        wanted: Keys of :func:`drs.detection.evaluate_detector`, or ``auc_all``: all normal images against the used
            attacked ones. Left out where fewer than two images are used.
    """
    values: dict[str, float] = {}
    for metric in METRICS:
        held, clean, moved = held_out.of[metric], normal.of[metric], attacked.of[metric]
        if used.sum() >= 2:
            found = evaluate_detector(clean[: len(used)][used], moved[used], held_out=held, paired=True)
            found["auc_all"] = auc(clean, moved[used])
            values |= {column(key, detector=metric, attack=name): found[key] for key in wanted}
        threshold = rejection_threshold(held, 0.05)
        values[column("undetected", detector=metric, attack=name)] = undetected_success(
            wrong.cpu().numpy(), moved, threshold
        )
    return values


def median_lead(network: Network, images: Tensor, labels: Tensor) -> float:
    """Median lead of the true logit over the largest false one."""
    return max(SMALLEST, float(-margin(logits_of(network, images), labels).median()))


def distortion(images: Tensor, others: Tensor) -> Tensor:
    """(N,) root mean square change of a pixel on the scale 0 to 255: the paper's ||x - x*|| / sqrt(d)."""
    return (images - others).flatten(1).square().mean(dim=1).sqrt() * 255.0


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
