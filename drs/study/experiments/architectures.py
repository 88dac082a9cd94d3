"""CE and DRS on several architectures: what the loss gains, what of it the strongest attack leaves, and why.

One run trains one network and measures it in three ways. It is attacked: the curve over budgets, then, at one of them
and on the first images, :class:`drs.attacks.Standard` on what still stands. It is looked at without an attack: the
true logit's lead, the slope of that lead, and what walks along the gradient and along a random direction do to it. And
its answers are calibrated: one temperature, fitted on validation images, before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drs.attacks import Standard
from drs.attacks.objectives import margin
from drs.evaluation.accuracy import clean_metrics, expected_calibration_error, logits_of, share
from drs.evaluation.curves import curve_metrics
from drs.evaluation.probes import gradient_norms, temperature_sweep
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.family import answers
from drs.study.metrics import column
from drs.training.models import Network

__all__ = ["POINTS", "calibrated", "fitted_temperature", "leads_along", "run", "survivors"]

POINTS = 21
"""Points of a walk, the image itself among them."""


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """The number that logits are divided by for the smallest cross-entropy, by ternary search over its logarithm.

    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])  # right three times of four
    >>> round(fitted_temperature(logits, torch.tensor([0, 0, 0, 1])) * torch.tensor(3.0).log().item(), 3)
    2.0

    Cross-entropy is convex in the inverse of the temperature, so it has one minimum. The search ends at 1e-3 and 1e3.

    Args:
        logits: (N, C).
        labels: (N,).
    """
    scores, low, high = logits.double(), -3.0, 3.0

    def loss(power: float) -> float:
        return float(torch.nn.functional.cross_entropy(scores / 10.0**power, labels))

    for _ in range(60):
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return float(10.0 ** ((low + high) / 2))


def calibrated(held_out: tuple[Tensor, Tensor], logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The temperature that held-out logits and labels ask for, and the calibration error that it leaves on others."""
    temperature = fitted_temperature(*held_out)
    after = expected_calibration_error(logits / temperature, labels)
    return {column("best_temperature"): temperature, column("calibration_error_after"): after}


def leads_along(model: Network, images: Tensor, labels: Tensor, reach: float) -> dict[str, np.ndarray[Any, Any]]:
    """The true logit's lead over the largest false one on straight walks from each image, as means over the images.

    ``gradient`` steps by the sign of the lead's gradient at the image, towards less of it; ``random`` by random signs.
    Each walk has :data:`POINTS` equal steps to the L-inf distance ``reach``; pixels stay in [0, 1].
    """
    moved = images.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(-margin(model(moved), labels).sum(), moved)
    generator = torch.Generator(images.device).manual_seed(0)
    coins = torch.randint(0, 2, images.shape, generator=generator, device=images.device).to(images) * 2 - 1
    found = {}
    for name, direction in (("gradient", -slope.sign()), ("random", coins)):
        leads = [
            float(-margin(logits_of(model, (images + direction * distance).clamp(0, 1)), labels).mean())
            for distance in np.linspace(0.0, reach, POINTS)
        ]
        found[name] = np.array(leads, dtype=np.float32)
    return found


def survivors(model: Network, images: Tensor, labels: Tensor, fell_at: Tensor, epsilon: float) -> dict[str, float]:
    """Accuracy at a budget under the attacks of the curve, and what Standard then leaves of the images that stand."""
    standing = fell_at > epsilon
    values = {column("white", budget=epsilon): share(standing)}
    rows = standing.nonzero().squeeze(1)
    black_box = 0
    if len(rows):
        found = Standard(epsilon=epsilon)(model, images[rows], labels[rows])
        standing[rows] = ~found.success
        black_box = int(found.only_black_box.sum())
    values[column("square_only", budget=epsilon)] = black_box / len(labels)
    return values | {column("strong_worst", budget=epsilon): share(standing)}


def run(spec: Spec, context: Context) -> Outcome:
    """Train, then attack, look and calibrate; attacks see the first ``images`` of the test images, the strongest ones
    the first ``strong_images``."""
    training = context.network(spec["network"])
    model, data = training.network, context.dataset(spec["network"]["dataset"])
    every_image, every_label = data.test.to_float(context.device)
    held_image, held_label = data.validation.to_float(context.device)
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    logits = logits_of(model, every_image)
    metrics = {"train_accuracy": training.accuracy, "images": float(len(labels))}
    metrics |= clean_metrics(logits, every_label) | answers(model, images, labels)
    metrics |= calibrated((logits_of(model, held_image), held_label), logits, every_label)
    metrics["gradient_norm_median"] = float(gradient_norms(model, images, labels).median())
    curve, fell_at = curve_metrics(model, images, labels, spec["attacks"], spec["epsilons"])
    metrics |= curve
    if few := spec["strong_images"]:
        metrics |= survivors(model, images[:few], labels[:few], fell_at[:few], spec["epsilon"])
        metrics |= _tempered(model, images[:few], labels[:few], spec)
    return Outcome(metrics, leads_along(model, images, labels, max(spec["epsilons"])))


def _tempered(model: Network, images: Tensor, labels: Tensor, spec: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy under PGD on cross-entropy of the logits over each temperature."""
    swept = temperature_sweep(
        model, images, labels, epsilon=spec["epsilon"], temperatures=spec["temperatures"], steps=spec["steps"]
    )
    return {f"temperature_{value:g}": share(~found.success) for value, found in swept.items()}
