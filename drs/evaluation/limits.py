"""What chance alone may do to accuracies and shares: the tolerances of :mod:`drs.evaluation.alarms`. No torch.

Two kinds of limits, so that chance alone seldom fires:

- A difference of two accuracies over n images may be as large as twice the binomial standard error of the smaller of
  them, and at least 0.01. (The same images stand on both sides, so the real error is smaller: a cautious alarm.)
- A share that ought to be none, such as that of the images that ONLY a weaker attack fools, fires where it exceeds a
  small limit beyond binomial chance: where its exact one-sided 95% lower bound (Clopper and Pearson) lies above it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

__all__ = [
    "BLACK_BOX_MARGIN",
    "Curve",
    "Reading",
    "above",
    "difference_limit",
    "exceeds_chance",
    "farthest",
    "last_fall",
]

BLACK_BOX_MARGIN = 0.002
"""Share of images by which a weaker attack may win, AutoAttack's own limit."""

Curve: TypeAlias = Mapping[float, float]
"""A budget, a number of steps or restarts, or a temperature, in increasing order, to an accuracy or a share."""


class Reading(NamedTuple):
    """A measured value, the largest one that raises no alarm, and whether the value is beyond it."""

    value: float
    limit: float
    fired: bool


def difference_limit(accuracy: float, images: float) -> float:
    """What a difference of accuracies over the same images may be: two binomial standard errors, at least 0.01."""
    return max(0.01, 2.0 * math.sqrt(max(0.0, accuracy * (1.0 - accuracy)) / images))


def exceeds_chance(share: float, images: float, limit: float = BLACK_BOX_MARGIN) -> bool:
    """Whether the exact one-sided 95% lower bound of a share of ``images`` lies above ``limit``."""
    from scipy.stats import beta

    count = round(share * images)
    return count > 0 and bool(beta.ppf(0.05, count, images - count + 1) > limit)


def above(value: float | None, limit: float | None) -> Reading | None:
    """Fires where the value lies above the limit, or is not a number."""
    return None if value is None or limit is None else Reading(value, limit, not value <= limit)


def farthest(high: Iterable[float], low: Iterable[float], images: float) -> tuple[float, float]:
    """Of ``high`` minus ``low``, the difference that lies farthest beyond its limit, and that limit."""
    pairs = [(a - b, difference_limit(min(a, b), images)) for a, b in zip(high, low, strict=True)]
    return max(pairs, key=lambda pair: pair[0] - pair[1])


def last_fall(curves: Iterable[Curve]) -> float | None:
    """The largest fall of accuracy at the last step of a curve."""
    ends = [list(curve.values())[-2:] for curve in curves if len(curve) > 1]
    return max((before - last for before, last in ends), default=None)
