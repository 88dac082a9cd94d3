"""Accuracy under C&W with a fixed constant c, no search (Figure 7 of the RCE paper)."""

from __future__ import annotations

from drs.attacks import CarliniWagnerL2
from drs.study.experiments.base import Context, Experiment, Outcome, Spec
from drs.study.experiments.networks import networks
from drs.study.profiles import Profile

CONSTANTS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def grid(profile: Profile, dataset: str) -> list[Spec]:
    """The networks of the first architecture."""
    every = networks(profile, dataset)
    return [
        {
            "network": spec.as_dict(),
            "images": profile.few_images,
            "constants": [1.0, 100.0] if profile.name == "smoke" else list(CONSTANTS),
            "max_iterations": 10 if profile.name == "smoke" else 100,
        }
        for spec in every
        if (spec.model, spec.model_options) == (every[0].model, every[0].model_options)
    ]


def run(spec: Spec, context: Context) -> Outcome:
    """One descent for each constant, targeted at a random class as in the paper; accuracy on what comes back."""
    network = context.network(spec["network"]).network
    images, labels = context.dataset(spec["network"]["dataset"]).test.first(spec["images"]).to_float(context.device)
    metrics = {}
    for constant in spec["constants"]:
        attack = CarliniWagnerL2(search_steps=1, initial_const=constant, max_iterations=spec["max_iterations"])
        metrics[f"accuracy@{constant:g}"] = attack(network, images, labels).robust_accuracy(labels)
    return Outcome(metrics)


EXPERIMENT = Experiment("constant", 1, "accuracy against the constant c of C&W", grid, run)
