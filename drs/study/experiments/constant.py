"""Accuracy under C&W with a fixed constant c, no search (Figure 7 of the RCE paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drs.attacks import CarliniWagnerL2
from drs.evaluation.probes import Tempered
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.detector import median_lead
from drs.study.metrics import column

__all__ = ["run"]


def run(spec: Spec, context: Context) -> Outcome:
    """One descent for each constant, targeted at a random class as in the paper; accuracy on what comes back.

    The specification of another network, ``control``, asks for the same on that network with its logits divided so that
    its median lead on validation images is that of the first.
    """
    network, data = context.network(spec["network"]).network, context.dataset(spec["network"]["dataset"])
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    attacks = {
        constant: CarliniWagnerL2(search_steps=1, initial_const=constant, max_iterations=spec["max_iterations"])
        for constant in spec["constants"]
    }
    metrics = {
        column("accuracy", budget=constant): attack(network, images, labels).robust_accuracy(labels)
        for constant, attack in attacks.items()
    }
    control: Mapping[str, Any] | None = spec.get("control")
    if control is not None:
        other, held_out = context.network(control).network, data.validation.to_float(context.device)
        metrics["divisor"] = median_lead(other, *held_out) / median_lead(network, *held_out)
        divided = Tempered(other, metrics["divisor"])
        for constant, attack in attacks.items():
            metrics[column("rescaled", budget=constant)] = attack(divided, images, labels).robust_accuracy(labels)
    return Outcome(metrics)
