"""Accuracy under C&W with a fixed constant c, no search (Figure 7 of the RCE paper)."""

from __future__ import annotations

from drs.attacks import CarliniWagnerL2
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.metrics import column

__all__ = ["run"]


def run(spec: Spec, context: Context) -> Outcome:
    """One descent for each constant, targeted at a random class as in the paper; accuracy on what comes back."""
    network = context.network(spec["network"]).network
    images, labels = context.dataset(spec["network"]["dataset"]).test.first(spec["images"]).to_float(context.device)
    metrics = {}
    for constant in spec["constants"]:
        attack = CarliniWagnerL2(search_steps=1, initial_const=constant, max_iterations=spec["max_iterations"])
        metrics[column("accuracy", budget=constant)] = attack(network, images, labels).robust_accuracy(labels)
    return Outcome(metrics)
