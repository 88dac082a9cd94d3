"""What the alarms read from the measurements where it is more than one number, and their limits. Needs no torch."""

from __future__ import annotations

from drs.evaluation.limits import BLACK_BOX_MARGIN, Curve, Reading, above, difference_limit, exceeds_chance, farthest
from drs.evaluation.measurements import Measured

__all__ = [
    "BATCH_EFFECT",
    "LOSS_GAP",
    "SILENT",
    "STILL_FALLING",
    "UNION_GAP",
    "cross_entropy_misleads",
    "disagreement",
    "not_monotone",
    "one_step_wins",
    "only_by",
    "silent_success",
    "temperature_matters",
]

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


def only_by(shares: Curve, images: float) -> Reading | None:
    """Fires where the largest share that only one attack fools is beyond chance."""
    if not shares:
        return None
    largest = max(shares.values())
    return Reading(largest, BLACK_BOX_MARGIN, exceeds_chance(largest, images))


def one_step_wins(measured: Measured) -> Reading | None:
    """How much more one step finds than many, at the budget where it is worst."""
    many, one = measured.cross_entropy, measured.one_step
    if not many or one.keys() != many.keys():
        return None
    return above(*farthest(many.values(), one.values(), measured.images))


def not_monotone(measured: Measured) -> Reading | None:
    """The largest rise of accuracy from a budget to the next larger one."""
    curves = (measured.one_step, measured.cross_entropy, measured.margin, *measured.others)
    values = [list(curve.values()) for curve in curves if len(curve) > 1]
    rises = [farthest(v[1:], v[:-1], measured.images) for v in values]
    return above(*max(rises, key=lambda pair: pair[0] - pair[1])) if rises else None


def cross_entropy_misleads(measured: Measured) -> Reading | None:
    """How much more accuracy cross-entropy leaves than the margin, at the budget where it is worst."""
    plain, margin = measured.cross_entropy, measured.margin
    if not plain or margin.keys() != plain.keys():
        return None
    value, limit = farthest(plain.values(), margin.values(), measured.images)
    return above(value, max(LOSS_GAP, limit))


def temperature_matters(measured: Measured) -> Reading | None:
    """How much more the attack finds at the best of the temperatures."""
    found = measured.temperatures
    if len(found) < 2 or 1.0 not in found:
        return None
    lowest = min(found.values())
    return above(found[1.0] - lowest, max(LOSS_GAP, difference_limit(lowest, measured.images)))


def silent_success(measured: Measured) -> Reading | None:
    """The share of images that only a step on the way fooled, where it is beyond chance."""
    share = measured.silent_success
    return None if share is None else Reading(share, SILENT, exceeds_chance(share, measured.images, SILENT))


def disagreement(measured: Measured) -> Reading | None:
    """How much more all attacks find together than the best one alone."""
    limit = max(UNION_GAP, difference_limit(measured.union_worst, measured.images))
    return above(measured.union_gap, limit)
