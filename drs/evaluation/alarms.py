"""Alarms: what must not happen in an evaluation whose numbers are to be believed, and the measurements behind them.

An alarm does not say that a network is weak. It says that an attack was: that gradients are masked, or that the
evaluation is broken, so that the robust accuracy beside it is too high (Carlini et al. 2019, arXiv 1902.06705).

What chance alone may do is in :mod:`drs.evaluation.limits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from drs.evaluation.limits import (
    BLACK_BOX_MARGIN,
    Curve,
    Reading,
    above,
    difference_limit,
    exceeds_chance,
    farthest,
    last_fall,
)
from drs.evaluation.measurements import Measured

__all__ = ["CHECKS", "KINDS", "MEANINGS", "Alarm", "Check", "Kind", "alarms", "fired"]

STILL_FALLING = 0.02
"""Fall of accuracy that the last increase of steps or restarts may bring."""
LOSS_GAP = 0.05
"""By how much cross-entropy's accuracy may at least exceed the margin's, or that of another temperature."""
SILENT = 0.005
"""Share of images that a step may fool and the end of the steps may not."""
UNION_GAP = 0.05
"""By how much the best single attack's accuracy may at least exceed the worst case over all of them."""
BATCH_EFFECT = 0.01
"""How far the rest of the batch may move a logit, as a share of the range of the logits: rounding moves it less."""

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


def _only(shares: Curve, images: float) -> Reading | None:
    """Fires where the largest share that only one attack fools is beyond chance."""
    if not shares:
        return None
    largest = max(shares.values())
    return Reading(largest, BLACK_BOX_MARGIN, exceeds_chance(largest, images))


def _one_step_wins(measured: Measured) -> Reading | None:
    many, one = measured.cross_entropy, measured.one_step
    if not many or one.keys() != many.keys():
        return None
    return above(*farthest(many.values(), one.values(), measured.images))


def _not_monotone(measured: Measured) -> Reading | None:
    curves = (measured.one_step, measured.cross_entropy, measured.margin, *measured.others)
    values = [list(curve.values()) for curve in curves if len(curve) > 1]
    rises = [farthest(v[1:], v[:-1], measured.images) for v in values]
    return above(*max(rises, key=lambda pair: pair[0] - pair[1])) if rises else None


def _cross_entropy_misleads(measured: Measured) -> Reading | None:
    plain, margin = measured.cross_entropy, measured.margin
    if not plain or margin.keys() != plain.keys():
        return None
    value, limit = farthest(plain.values(), margin.values(), measured.images)
    return above(value, max(LOSS_GAP, limit))


def _temperature_matters(measured: Measured) -> Reading | None:
    found = measured.temperatures
    if len(found) < 2 or 1.0 not in found:
        return None
    lowest = min(found.values())
    return above(found[1.0] - lowest, max(LOSS_GAP, difference_limit(lowest, measured.images)))


def _silent(measured: Measured) -> Reading | None:
    share = measured.silent_success
    return None if share is None else Reading(share, SILENT, exceeds_chance(share, measured.images, SILENT))


def _union(measured: Measured) -> Reading | None:
    limit = max(UNION_GAP, difference_limit(measured.union_worst, measured.images))
    return above(measured.union_gap, limit)


CHECKS = (
    Check(
        "one step wins",
        "gradients",
        "One gradient step fools more than many: the steps are lost in a masked or broken gradient.",
        "Plot the loss along the steps; replace rounding, clipping or noise in the model by a smooth stand-in.",
        _one_step_wins,
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
        _not_monotone,
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
        _cross_entropy_misleads,
    ),
    Check(
        "black box wins",
        "gradients",
        "Random search without gradients fools images that no gradient attack did.",
        "Trust no gradient attack here: run Square with many more queries, and find what hides the gradient.",
        lambda m: _only(m.only_black_box, m.images if m.black_box_images is None else m.black_box_images),
    ),
    Check(
        "transfer wins",
        "gradients",
        "Another network's adversarials fool images that no gradient attack on this one did.",
        "Attack through the other network, and find what hides this one's gradient.",
        lambda m: _only(m.only_transfer, m.images),
    ),
    Check(
        "noise wins",
        "gradients",
        "Random points of the ball fool images that no gradient attack did.",
        "Check the sign and the size of the attack's steps, then look for what hides the gradient.",
        lambda m: _only(m.only_noise, m.images),
    ),
    Check(
        "temperature matters",
        "objective",
        "Dividing the logits by a constant, which changes no answer, lets the attack find more.",
        "Use objectives that no scale changes, such as DLR or the margin, and quote the worst case.",
        _temperature_matters,
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
        _silent,
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
        _union,
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
