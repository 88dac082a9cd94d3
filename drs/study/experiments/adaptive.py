"""Attackers who know the thresholding test, at several budgets, and the union of all of them, image by image.

The share that counts is that of images which at least one attack gets misclassified AND accepted. The largest share of
one attack is only a lower bound of it: two attacks may pass with different images. An image that the network gets
wrong and accepts as it is counts at every budget, since an attacker may leave it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from drs.attacks import PGD, Attack, JointPGD, OrthogonalPGD, SelectivePGD
from drs.detection import KDensity, confidence, non_me, rejection_threshold
from drs.evaluation.accuracy import share
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.detector import METRICS, DetectorView
from drs.study.metrics import column
from drs.training.models import Network

__all__ = ["JOINT_WEIGHTS", "attackers", "run", "score_functions"]

JOINT_WEIGHTS = (0.01, 0.1, 1.0, 10.0)
"""Of the score next to the margin. A log density is larger than a margin by orders, an entropy is not."""


def score_functions(density: KDensity) -> dict[str, Callable[[Network, Tensor], Tensor]]:
    """Each metric as a differentiable function of the network and images."""

    def k_density(network: Network, images: Tensor) -> Tensor:
        features = network.features(images)
        return density.log_density(features, network.head(features).argmax(dim=1))

    return {
        "confidence": lambda network, images: confidence(network(images)),
        "non_me": lambda network, images: non_me(network(images)),
        "k_density": k_density,
    }


def attackers(density: KDensity, *, epsilon: float, steps: int) -> dict[str, dict[str, list[Attack]]]:
    """The attacks at a budget: under ``""`` those that do not know the test, under each metric those made for it."""
    shared: dict[str, Any] = {"epsilon": epsilon, "steps": steps}
    every: dict[str, dict[str, list[Attack]]] = {
        "": {"blind": [PGD(objective="ce", **shared), PGD(objective="margin", **shared)]}
    }
    for metric, score in score_functions(density).items():
        aware = shared | {"score": score}
        every[metric] = {
            "selective": [SelectivePGD(**aware)],
            "orthogonal": [OrthogonalPGD(**aware)],
            "joint": [JointPGD(weight=weight, **aware) for weight in JOINT_WEIGHTS],
        }
    return every


def run(spec: Spec, context: Context) -> Outcome:
    """Shares misclassified and accepted at 5% false rejection, by metric, attack and budget, and the worst accuracy.

    The array ``passed.METRIC@EPSILON`` (images,) says which images the union gets through, ``fooled@EPSILON`` which of
    them it gets misclassified, whatever the test says.
    """
    trained = context.network(spec["network"])
    network = trained.network
    view = DetectorView.fitted(context, spec["network"], network)
    data = context.dataset(spec["network"]["dataset"])
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    held_out = view.scores(data.validation.to_float(context.device)[0])
    limits = {metric: rejection_threshold(held_out.of[metric], 0.05) for metric in METRICS}

    def look(inputs: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Which images are misclassified, and by metric which of those are accepted."""
        seen = view.scores(inputs)
        wrong = (seen.label != labels).cpu()
        return wrong, {metric: wrong & torch.from_numpy(seen.of[metric] >= limits[metric]) for metric in METRICS}

    wrong_as_it_is, passed_as_it_is = look(images)
    metrics = {"images": float(len(labels)), "train_accuracy": trained.accuracy}
    metrics["accuracy"] = 1.0 - share(wrong_as_it_is)
    metrics |= {column("undetected", detector=m, attack="clean"): share(passed_as_it_is[m]) for m in METRICS}
    arrays = {}
    for epsilon in spec["epsilons"]:
        fooled, union = wrong_as_it_is.clone(), {metric: passed_as_it_is[metric].clone() for metric in METRICS}
        for known, attacks in attackers(view.density, epsilon=epsilon, steps=spec["steps"]).items():
            judged = [known] if known else METRICS
            for name, variants in attacks.items():
                passed = {metric: torch.zeros_like(fooled) for metric in judged}
                for attack in variants:
                    wrong, accepted = look(attack(network, images, labels).inputs)
                    fooled |= wrong
                    for metric in METRICS:
                        union[metric] |= accepted[metric]
                    for metric in judged:
                        passed[metric] |= accepted[metric]
                for metric in judged:
                    metrics[column("undetected", detector=metric, attack=name, budget=epsilon)] = share(passed[metric])
        for metric in METRICS:
            metrics[column("undetected", detector=metric, attack="union", budget=epsilon)] = share(union[metric])
            arrays[f"passed.{metric}@{epsilon:g}"] = union[metric].numpy()
        metrics[column("worst", budget=epsilon)] = 1.0 - share(fooled)
        arrays[f"fooled@{epsilon:g}"] = fooled.numpy()
    return Outcome(metrics, arrays)
