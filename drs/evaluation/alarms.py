"""Alarms: what must not happen in an evaluation whose numbers are to be believed, and the measurements behind them.

An alarm does not say that a network is weak. It says that an attack was: that gradients are masked, or that the
evaluation is broken, so that the robust accuracy beside it is too high (Carlini et al. 2019, arXiv 1902.06705).

What chance alone may do is in :mod:`drs.evaluation.limits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from drs.evaluation.limits import Reading, above, last_fall
from drs.evaluation.measurements import Measured
from drs.evaluation.readings import (
    BATCH_EFFECT,
    STILL_FALLING,
    cross_entropy_misleads,
    disagreement,
    not_monotone,
    one_step_wins,
    only_by,
    silent_success,
    temperature_matters,
)

__all__ = ["CHECKS", "KINDS", "MEANINGS", "Alarm", "Check", "Kind", "alarms", "fired"]

Kind: TypeAlias = Literal["gradients", "convergence", "objective", "attack"]

KINDS: dict[Kind, str] = {
    "gradients": "The attacks could not work on this model: the robust accuracy is too high by an unknown amount.",
    "convergence": "The attacks were still finding more: give them more, and the robust accuracy will fall.",
    "objective": "One attack is weak on this model: do not quote it alone. The worst case rests on better ones.",
    "attack": "The attack does not do what it says: its number says nothing about the model.",
}
"""What an alarm says about the robust accuracy."""


@dataclass(frozen=True)
class Check:
    """One check of an evaluation.

    Attributes:
        name: Short, for tables.
        kind: What it says about the robust accuracy, a key of :data:`KINDS`.
        meaning: What it means if it fires, in one sentence.
        remedy: What to do next if it fires, in one sentence.
        read: The reading, or None where the numbers it needs were not measured.
    """

    name: str
    kind: Kind
    meaning: str
    remedy: str
    read: Callable[[Measured], Reading | None]


@dataclass(frozen=True)
class Alarm:
    """One check of an evaluation or of an attack, and what it read. As text: its name and numbers, and what to do.

    Attributes:
        name: Short, for tables.
        fired: Whether ``value`` is beyond ``limit``.
        value: What was measured.
        limit: The largest value that raises no alarm.
        meaning: What it means if it fired, in one sentence.
        remedy: What to do next if it fired, in one sentence.
        kind: What it says about the robust accuracy, a key of :data:`KINDS`.
    """

    name: str
    fired: bool
    value: float
    limit: float
    meaning: str
    remedy: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.name} ({self.value:.4g}, limit {self.limit:.4g})\n  {self.meaning}\n  Next: {self.remedy}"


CHECKS = (
    Check(
        "one step wins",
        "gradients",
        "One gradient step fools more than many: the steps are lost in a masked or broken gradient.",
        "Plot the loss along the steps; replace rounding, clipping or noise in the model by a smooth stand-in.",
        one_step_wins,
    ),
    Check(
        "large budget survives",
        "gradients",
        "Half the pixel range makes any image grey, so accuracy there is the attack's failure.",
        "Look for steps without slope in the model, such as rounding, and attack a copy in which they have one.",
        lambda m: above(m.largest_budget, 0.01),
    ),
    Check(
        "not monotone",
        "gradients",
        "A larger budget contains the smaller one: more accuracy there is the attack's failure.",
        "Set the step size in proportion to epsilon, take more steps, and count an image that fell as fallen.",
        not_monotone,
    ),
    Check(
        "steps not converged",
        "convergence",
        "More steps still find more: the number is not final.",
        "Double the steps until the accuracy stands still, or use APGD, which chooses its step size.",
        lambda m: above(last_fall(m.steps), STILL_FALLING),
    ),
    Check(
        "restarts not converged",
        "convergence",
        "More restarts still find more: the number is not final.",
        "Double the restarts until the accuracy stands still.",
        lambda m: above(last_fall([m.restarts]), STILL_FALLING),
    ),
    Check(
        "zero gradients",
        "gradients",
        "The input gradient of some images is exactly zero: there is nothing to follow.",
        "Divide the logits by a constant or attack the margin in float64; if it stays zero, give the backward pass a "
        "smooth stand-in (BPDA).",
        lambda m: above(m.zero_gradient_share, 0.0),
    ),
    Check(
        "precision matters",
        "gradients",
        "The attack does otherwise in float64: rounding hides the gradient.",
        "Attack a copy of the model in float64 and quote that number.",
        lambda m: above(m.float64_difference, 0.01),
    ),
    Check(
        "cross-entropy misleads",
        "objective",
        "Cross-entropy leaves many images standing that the margin fools: never quote it alone.",
        "Quote the worst case over cross-entropy, the margin and targeted attacks.",
        cross_entropy_misleads,
    ),
    Check(
        "black box wins",
        "gradients",
        "Random search without gradients fools images that no gradient attack did.",
        "Trust no gradient attack here: run Square with many more queries, and find what hides the gradient.",
        lambda m: only_by(m.only_black_box, m.images if m.black_box_images is None else m.black_box_images),
    ),
    Check(
        "transfer wins",
        "gradients",
        "Another network's adversarials fool images that no gradient attack on this one did.",
        "Attack through the other network, and find what hides this one's gradient.",
        lambda m: only_by(m.only_transfer, m.images),
    ),
    Check(
        "noise wins",
        "gradients",
        "Random points of the ball fool images that no gradient attack did.",
        "Check the sign and the size of the attack's steps, then look for what hides the gradient.",
        lambda m: only_by(m.only_noise, m.images),
    ),
    Check(
        "temperature matters",
        "objective",
        "Dividing the logits by a constant, which changes no answer, lets the attack find more.",
        "Use objectives that no scale changes, such as DLR or the margin, and quote the worst case.",
        temperature_matters,
    ),
    Check(
        "minimal norm disagrees",
        "objective",
        "The minimal-distance attack is beaten at its own task by attacks of fixed budget.",
        "Quote no median distance from it; give it more steps or attack the margin.",
        lambda m: above(m.minimal_median, m.fixed_median),
    ),
    Check(
        "randomised",
        "gradients",
        "Two looks at the same images give other logits: average over the randomness before attacking.",
        "Attack with PGD(eot=...), which averages gradients over many looks, and judge each image by many looks.",
        lambda m: above(m.repeat_difference, 0.0),
    ),
    Check(
        "silent success",
        "gradients",
        "A step on the way fooled the model and the end of the way did not: its loss is rough.",
        'Keep the best iterate (keep="best"), take smaller and more steps, and look at the loss along the way.',
        silent_success,
    ),
    Check(
        "batch matters",
        "gradients",
        "The answer for an image depends on the other images of its batch: its accuracy is no property of the model.",
        "Give normalisation layers running statistics (model.eval() with track_running_stats), or attack images one "
        "by one.",
        lambda m: above(m.batch_difference, BATCH_EFFECT),
    ),
    Check(
        "labels change",
        "gradients",
        "The same image gets one label at one look and another at the next: success at one look is partly luck.",
        "Judge each image by the most frequent label of many looks, and attack with PGD(eot=...).",
        lambda m: above(m.label_changes, 0.0),
    ),
    Check(
        "optimises inside",
        "gradients",
        "The model computes gradients inside its forward pass: an attack that ignores this loop follows a wrong one.",
        "Differentiate through the loop, attack the model without it, and compare.",
        lambda m: above(m.inner_gradients, 0.0),
    ),
    Check(
        "softmax inside",
        "gradients",
        "The logits are scaled probabilities: a second softmax on them flattens the gradient of cross-entropy.",
        "Return what goes into the softmax, or the logarithm of the probabilities.",
        lambda m: above(m.softmax_share, 0.5),
    ),
    Check(
        "attacks disagree",
        "convergence",
        "All attacks together fool many more images than the best one alone: none of them is strong enough here.",
        "Give each attack more steps and restarts until the best one alone comes near the worst case.",
        disagreement,
    ),
)
"""Every check, in the order of the tables."""
MEANINGS = {check.name: check.meaning for check in CHECKS}
"""What each alarm means, by its name."""


def alarms(measured: Measured) -> list[Alarm]:
    """Every check whose numbers were measured, fired or not, in the order of :data:`CHECKS`.

    Example:
        >>> from drs.evaluation.measurements import Measured
        >>> [alarm.name for alarm in alarms(Measured(images=300, largest_budget=0.2)) if alarm.fired]
        ['large budget survives']
    """
    readings = [(check, check.read(measured)) for check in CHECKS]
    return [
        Alarm(check.name, found.fired, found.value, found.limit, check.meaning, check.remedy, check.kind)
        for check, found in readings
        if found is not None
    ]


def fired(measured: Measured) -> list[str]:
    """Names of the alarms that fired."""
    return [alarm.name for alarm in alarms(measured) if alarm.fired]
