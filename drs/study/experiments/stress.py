"""The strongest attack we have on each loss's networks: does what the curves show survive it?

One run attacks one trained network at a few budgets with every objective, more steps, more restarts, random search
without gradients, another network's adversarials, noise and other temperatures; keeps the worst case of each image;
and measures what the alarms of :mod:`drs.evaluation.alarms` look at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from drs.attacks import DDN, FGSM, PGD, Adversarials, Attack, Square, TargetedPGD, UniformNoise
from drs.attacks.base import distance
from drs.evaluation.accuracy import accuracy, logits_of, share
from drs.evaluation.probes import (
    float64_check,
    gradient_norms,
    repeat_difference,
    temperature_sweep,
    zero_gradient_share,
)
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.metrics import column
from drs.training.models import Network

__all__ = ["LARGEST", "OBJECTIVES", "SHOWN", "measure", "run"]

SHOWN = 0.05
"""The budget of the step, restart and temperature curves and of the claims."""
OBJECTIVES = ("ce", "scaled_ce", "margin", "dlr")
LARGEST = 0.5
"""A budget at which every image can be made grey."""


class _Standing:
    """Which images have not fallen at a budget, to gradient attacks and to anything."""

    def __init__(self, model: Network, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.right = logits_of(model, images).argmax(dim=1) == labels
        self.white, self.every = self.right.clone(), self.right.clone()
        self.shortest = torch.where(self.right, math.inf, 0.0)  # L2 to the nearest adversarial; 0 where clean is wrong

    def note(self, found: Adversarials, rows: slice | Tensor, *, gradients: bool) -> Tensor:
        """Take an attack's result on some rows into account; whether each of the rows is still right, (n,) bool."""
        lengths = torch.where(found.success, distance(found.inputs, self.images[rows], "l2"), math.inf)
        self.shortest[rows] = torch.minimum(self.shortest[rows], lengths)
        self.every[rows] &= ~found.success
        if gradients:
            self.white[rows] &= ~found.success
        return ~found.success

    def attack(self, attack: Attack, rows: slice | Tensor = slice(None), *, gradients: bool = True) -> Tensor:
        """Run an attack on some rows and :meth:`note` it."""
        return self.note(attack(self.model, self.images[rows], self.labels[rows]), rows, gradients=gradients)

    def costly(self, attack: Attack, few: int, *, gradients: bool) -> Tensor:
        """Run an attack on the first ``few`` images, whose outcome is returned, and on the others still standing."""
        right = self.attack(attack, slice(few), gradients=gradients)
        rest = self.every.nonzero().squeeze(1)
        rest = rest[rest >= few]
        if len(rest):
            self.attack(attack, rest, gradients=gradients)
        return right


def measure(model: Network, source: Network, images: Tensor, labels: Tensor, spec: Mapping[str, Any]) -> Outcome:
    """Everything one run measures of a network.

    ``white@e`` and ``strong_worst@e`` are worst cases over gradient attacks and over everything, smaller budgets
    included; the float64 re-run, the largest budget and DDN are no part of them. The two costly attacks, targeted PGD
    and Square, have their own accuracy on the first ``few_images``; of the other images they attack those that nothing
    before has broken, so that the worst cases are those of every attack on every image.

    Args:
        model: The network, in evaluation mode.
        source: Whose adversarials are transferred.
        images: (N, C, H, W) in [0, 1].
        labels: (N,).
        spec: As in :func:`drs.study.experiments.grids.stress`.
    """
    state = _Standing(model, images, labels)
    few, steps = min(spec["few_images"], len(labels)), spec["steps"]
    values = {"images": float(len(labels)), "square_images": float(few), "clean": share(state.every)}
    for epsilon in sorted(spec["budgets"]):
        at = partial(column, budget=epsilon)
        values[at("fgsm")] = share(state.attack(FGSM(epsilon=epsilon)))
        for objective in OBJECTIVES:
            right = state.attack(PGD(epsilon=epsilon, steps=steps, objective=objective, keep="last"))
            values[at(objective)] = share(right)
        values[at("targeted")] = share(
            state.costly(TargetedPGD(epsilon=epsilon, steps=steps, keep="last"), few, gradients=True)
        )
        if epsilon == SHOWN:
            values |= _curves(state, spec, epsilon)
        borrowed = PGD(epsilon=epsilon, steps=steps, objective="margin", keep="last")(source, images, labels).inputs
        logits = logits_of(model, borrowed)
        result = Adversarials(
            borrowed, logits.argmax(dim=1) != labels, distance(borrowed, images, "linf"), logits, "linf"
        )
        right = state.note(result, slice(None), gradients=False)
        values |= {at("transfer"): share(right), at("transfer_only"): share(state.white & ~right)}
        still = torch.ones_like(state.every)
        for draw in range(spec["draws"]):
            still &= state.attack(UniformNoise(epsilon=epsilon, seed=draw), gradients=False)
        values |= {at("noise"): share(still), at("noise_only"): share(state.white & ~still)}
        right = state.costly(Square(epsilon=epsilon, queries=spec["queries"]), few, gradients=False)
        values |= {at("square"): share(right), at("square_only"): share(state.white[:few] & ~right)}
        values |= {at("white"): share(state.white), at("white_few"): share(state.white[:few])}
        values[at("strong_worst")] = share(state.every)
    largest = [
        PGD(epsilon=LARGEST, steps=steps, objective=name, keep="last")(model, images, labels)
        for name in ("ce", "margin")
    ]
    values["largest_budget"] = share(~(largest[0].success | largest[1].success))
    values |= {"zero_gradient_share": zero_gradient_share(model, images, labels)}
    values["gradient_norm_median"] = float(gradient_norms(model, images, labels).median())
    single, double = float64_check(model, images, labels, epsilon=SHOWN, steps=steps)
    values |= {"float32": single, "float64": double, "float64_difference": abs(single - double)}
    values["repeat_difference"] = repeat_difference(model, images)
    ddn = DDN(steps=spec["ddn_steps"])(model, images[:few], labels[:few])
    values["ddn_median"] = _median(torch.where(ddn.success, ddn.distances, math.inf).where(state.right[:few], 0.0))
    values["linf_l2_median"] = _median(state.shortest[:few])
    return Outcome(values)


def _median(distances: Tensor) -> float:
    return float(distances.sort().values[len(distances) // 2])


def _curves(state: _Standing, spec: Mapping[str, Any], epsilon: float) -> dict[str, float]:
    """More steps, more restarts and other temperatures at one budget."""
    values: dict[str, float] = {}
    rows = slice(spec["curve_images"])
    for name in ("ce", "margin"):
        for steps in spec["step_curve"]:
            right = state.attack(PGD(epsilon=epsilon, steps=steps, objective=name, seed=1, keep="last"), rows)
            values[f"{name}_steps_{steps}"] = share(right)
    still = torch.ones_like(state.every)
    for restart in range(spec["restarts"]):
        still &= state.attack(
            PGD(epsilon=epsilon, steps=spec["steps"], objective="margin", seed=2 + restart, keep="last")
        )
        values[f"margin_restarts_{restart + 1}"] = share(still)
    swept = temperature_sweep(
        state.model,
        state.images,
        state.labels,
        epsilon=epsilon,
        temperatures=spec["temperatures"],
        steps=spec["steps"],
    )
    for temperature, found in swept.items():
        values[f"temperature_{temperature:g}"] = share(state.note(found, slice(None), gradients=True))
    return values


def run(spec: Spec, context: Context) -> Outcome:
    """Train or read the network and the one whose adversarials it gets, and :func:`measure`."""
    training = context.network(spec["network"])
    source = context.network(spec["source"]).network
    test = context.dataset(spec["network"]["dataset"]).test
    every_image, every_label = test.to_float(context.device)
    images, labels = test.first(spec["images"]).to_float(context.device)
    clean = {"accuracy": accuracy(logits_of(training.network, every_image), every_label)}
    measured = measure(training.network, source, images, labels, spec)
    return Outcome(clean | dict(measured.metrics), measured.arrays)
