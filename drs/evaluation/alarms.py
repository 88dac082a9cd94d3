"""Alarms: what must not happen in an evaluation whose numbers are to be believed, and the measurements behind them.

An alarm does not say that a network is weak. It says that an attack was: that gradients are masked, or that the
evaluation is broken, so that the robust accuracy beside it is too high (Carlini et al. 2019, arXiv 1902.06705).

Two kinds of limits, so that chance alone seldom fires:

- A difference of two accuracies over n images may be as large as twice the binomial standard error of the smaller of
  them, and at least 0.01. (The same images stand on both sides, so the real error is smaller: a cautious alarm.)
- The share of images that ONLY a weaker attack fools, which ought to be none, fires where it exceeds 0.002 beyond
  binomial chance: where the exact one-sided 95% lower bound of the share (Clopper and Pearson) lies above 0.002.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from drs.errors import UsageError

__all__ = [
    "CHECKS",
    "MEANINGS",
    "Alarm",
    "Check",
    "Curve",
    "Measured",
    "Reading",
    "alarms",
    "difference_limit",
    "exceeds_chance",
    "fired",
]

BLACK_BOX_MARGIN = 0.002
"""Share of images by which a weaker attack may win, AutoAttack's own limit."""
STILL_FALLING = 0.02
"""Fall of accuracy that the last increase of steps or restarts may bring."""
LOSS_GAP = 0.05
"""By how much cross-entropy's accuracy may at least exceed the margin's, or that of another temperature."""


Curve: TypeAlias = Mapping[float, float]
"""A budget, a number of steps or restarts, or a temperature, in increasing order, to an accuracy or a share."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one network. A check whose numbers are missing (None, or empty) is left out.

    Attributes:
        images: Number of images attacked, at least 1.
        one_step: Accuracy under one step of the gradient of cross-entropy, by budget.
        cross_entropy: Accuracy under many steps on cross-entropy, by budget.
        margin: Accuracy under many steps on the margin, by budget.
        others: Accuracy under further attacks, by budget, one curve for each attack.
        steps: Accuracy by number of steps, one curve for each objective.
        restarts: Accuracy by number of restarts.
        temperatures: Accuracy under the attack on cross-entropy, by the number that the logits are divided by.
        only_black_box: Share of images that random search fools and no gradient attack does, by budget.
        black_box_images: Number of images of that search; None for ``images``.
        only_transfer: Share that only another network's adversarials fool, by budget.
        only_noise: Share that only random points of the ball fool, by budget.
        largest_budget: Accuracy at L-inf budget 0.5.
        zero_gradient_share: Share of images without a gradient (:func:`drs.evaluation.probes.zero_gradient_share`).
        float64_difference: Difference of the two accuracies of :func:`drs.evaluation.probes.float64_check`.
        repeat_difference: Change of a logit between two looks (:func:`drs.evaluation.probes.repeat_difference`).
        minimal_median: Median L2 distance that a minimal-distance attack finds.
        fixed_median: Median L2 distance to the nearest adversarial of the attacks of fixed budget, on the same images.

    Raises:
        UsageError: Fewer than one image, which no tolerance can do with.
    """

    images: float
    one_step: Curve = field(default_factory=dict)
    cross_entropy: Curve = field(default_factory=dict)
    margin: Curve = field(default_factory=dict)
    others: tuple[Curve, ...] = ()
    steps: tuple[Curve, ...] = ()
    restarts: Curve = field(default_factory=dict)
    temperatures: Curve = field(default_factory=dict)
    only_black_box: Curve = field(default_factory=dict)
    black_box_images: float | None = None
    only_transfer: Curve = field(default_factory=dict)
    only_noise: Curve = field(default_factory=dict)
    largest_budget: float | None = None
    zero_gradient_share: float | None = None
    float64_difference: float | None = None
    repeat_difference: float | None = None
    minimal_median: float | None = None
    fixed_median: float | None = None

    def __post_init__(self) -> None:
        if not self.images >= 1.0:
            raise UsageError(f"expected the number of images attacked, at least 1, got {self.images}")


class Reading(NamedTuple):
    """A measured value, the largest one that raises no alarm, and whether the value is beyond it."""

    value: float
    limit: float
    fired: bool


@dataclass(frozen=True)
class Check:
    """One check of an evaluation.

    Attributes:
        name: Short, for tables.
        meaning: What it means if it fires, in one sentence.
        read: The reading, or None where the numbers it needs were not measured.
    """

    name: str
    meaning: str
    read: Callable[[Measured], Reading | None]


@dataclass(frozen=True)
class Alarm:
    """One check.

    Attributes:
        name: Short, for tables.
        fired: Whether ``value`` is beyond ``limit``.
        value: What was measured.
        limit: The largest value that raises no alarm.
        meaning: What it means if it fired, in one sentence.
    """

    name: str
    fired: bool
    value: float
    limit: float
    meaning: str


def difference_limit(accuracy: float, images: float) -> float:
    """What a difference of accuracies over the same images may be: two binomial standard errors, at least 0.01."""
    return max(0.01, 2.0 * math.sqrt(max(0.0, accuracy * (1.0 - accuracy)) / images))


def exceeds_chance(share: float, images: float, limit: float = BLACK_BOX_MARGIN) -> bool:
    """Whether the exact one-sided 95% lower bound of a share of ``images`` lies above ``limit``."""
    from scipy.stats import beta

    count = round(share * images)
    return count > 0 and bool(beta.ppf(0.05, count, images - count + 1) > limit)


def _above(value: float | None, limit: float | None) -> Reading | None:
    """Fires where the value lies above the limit, or is not a number."""
    return None if value is None or limit is None else Reading(value, limit, not value <= limit)


def _only(shares: Curve, images: float) -> Reading | None:
    """Fires where the largest share that only one attack fools is beyond chance."""
    if not shares:
        return None
    largest = max(shares.values())
    return Reading(largest, BLACK_BOX_MARGIN, exceeds_chance(largest, images))


def _farthest(high: Iterable[float], low: Iterable[float], images: float) -> tuple[float, float]:
    """Of ``high`` minus ``low``, the difference that lies farthest beyond its limit, and that limit."""
    pairs = [(a - b, difference_limit(min(a, b), images)) for a, b in zip(high, low, strict=True)]
    return max(pairs, key=lambda pair: pair[0] - pair[1])


def _last_fall(curves: Iterable[Curve]) -> float | None:
    """The largest fall of accuracy at the last step of a curve."""
    ends = [list(curve.values())[-2:] for curve in curves if len(curve) > 1]
    return max((before - last for before, last in ends), default=None)


def _one_step_wins(measured: Measured) -> Reading | None:
    many, one = measured.cross_entropy, measured.one_step
    if not many or one.keys() != many.keys():
        return None
    return _above(*_farthest(many.values(), one.values(), measured.images))


def _not_monotone(measured: Measured) -> Reading | None:
    curves = (measured.one_step, measured.cross_entropy, measured.margin, *measured.others)
    values = [list(curve.values()) for curve in curves if len(curve) > 1]
    rises = [_farthest(v[1:], v[:-1], measured.images) for v in values]
    return _above(*max(rises, key=lambda pair: pair[0] - pair[1])) if rises else None


def _cross_entropy_misleads(measured: Measured) -> Reading | None:
    plain, margin = measured.cross_entropy, measured.margin
    if not plain or margin.keys() != plain.keys():
        return None
    value, limit = _farthest(plain.values(), margin.values(), measured.images)
    return _above(value, max(LOSS_GAP, limit))


def _temperature_matters(measured: Measured) -> Reading | None:
    found = measured.temperatures
    if len(found) < 2 or 1.0 not in found:
        return None
    lowest = min(found.values())
    return _above(found[1.0] - lowest, max(LOSS_GAP, difference_limit(lowest, measured.images)))


CHECKS = (
    Check(
        "one step wins",
        "One gradient step fools more than many: the steps are lost in a masked or broken gradient.",
        _one_step_wins,
    ),
    Check(
        "large budget survives",
        "Half the pixel range makes any image grey, so accuracy there is the attack's failure.",
        lambda m: _above(m.largest_budget, 0.01),
    ),
    Check(
        "not monotone",
        "A larger budget contains the smaller one: more accuracy there is the attack's failure.",
        _not_monotone,
    ),
    Check(
        "steps not converged",
        "More steps still find more: the number is not final.",
        lambda m: _above(_last_fall(m.steps), STILL_FALLING),
    ),
    Check(
        "restarts not converged",
        "More restarts still find more: the number is not final.",
        lambda m: _above(_last_fall([m.restarts]), STILL_FALLING),
    ),
    Check(
        "zero gradients",
        "The input gradient of some images is exactly zero: there is nothing to follow.",
        lambda m: _above(m.zero_gradient_share, 0.0),
    ),
    Check(
        "precision matters",
        "The attack does otherwise in float64: rounding hides the gradient.",
        lambda m: _above(m.float64_difference, 0.01),
    ),
    Check(
        "cross-entropy misleads",
        "Cross-entropy leaves many images standing that the margin fools: never quote it alone.",
        _cross_entropy_misleads,
    ),
    Check(
        "black box wins",
        "Random search without gradients fools images that no gradient attack did.",
        lambda m: _only(m.only_black_box, m.images if m.black_box_images is None else m.black_box_images),
    ),
    Check(
        "transfer wins",
        "Another network's adversarials fool images that no gradient attack on this one did.",
        lambda m: _only(m.only_transfer, m.images),
    ),
    Check(
        "noise wins",
        "Random points of the ball fool images that no gradient attack did.",
        lambda m: _only(m.only_noise, m.images),
    ),
    Check(
        "temperature matters",
        "Dividing the logits by a constant, which changes no answer, lets the attack find more.",
        _temperature_matters,
    ),
    Check(
        "minimal norm disagrees",
        "The minimal-distance attack is beaten at its own task by attacks of fixed budget.",
        lambda m: _above(m.minimal_median, m.fixed_median),
    ),
    Check(
        "randomised",
        "Two looks at the same images give other logits: average over the randomness before attacking.",
        lambda m: _above(m.repeat_difference, 0.0),
    ),
)
"""Every check, in the order of the tables."""
MEANINGS = {check.name: check.meaning for check in CHECKS}
"""What each alarm means, by its name."""


def alarms(measured: Measured) -> list[Alarm]:
    """Every check whose numbers were measured, fired or not, in the order of :data:`CHECKS`.

    Example:
        >>> [alarm.name for alarm in alarms(Measured(images=300, largest_budget=0.2)) if alarm.fired]
        ['large budget survives']
    """
    readings = [(check, check.read(measured)) for check in CHECKS]
    return [Alarm(check.name, r.fired, r.value, r.limit, check.meaning) for check, r in readings if r is not None]


def fired(measured: Measured) -> list[str]:
    """Names of the alarms that fired."""
    return [alarm.name for alarm in alarms(measured) if alarm.fired]
