"""Grids of the related methods. All use embedded digits or made data, whatever the data set of the profile."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drs.study.experiments.base import Spec
from drs.study.profiles import Profile

__all__ = ["CONTRASTS", "DIGITS", "NOISES", "RECENTRALISED", "ROTATIONS", "captions", "density", "restrained"]

DIGITS = "mnist5k"
RECENTRALISED: dict[str, Spec] = {
    "ce": {"penalty": 0.0},
    "prs-0.001": {"penalty": 1e-3},
    "prs-0.1": {"penalty": 0.1},
    "classes-0.001": {"penalty": 1e-3, "across": "classes"},
    "classes-0.1": {"penalty": 0.1, "across": "classes"},
}
"""Losses of the captioners, by the name of the variant: 1e-3 and the window 0 to 4 are the published default.

``classes`` is the control: the same weight and window, the softmax over the classes of a token instead of the batch.
"""
ROTATIONS = (15, 30, 45, 60, 75)
"""Degrees."""
NOISES = (0.1, 0.2, 0.3, 0.4)
"""Standard deviations of Gaussian noise."""
CONTRASTS = (0.75, 0.5, 0.25)
"""Factors of the pixels."""


def _repeated(profile: Profile, numbers: object) -> tuple[range, dict[str, Any]]:
    """Seeds from the profile's first one on, as many as the experiment repeats, and its other numbers."""
    values = asdict(numbers)  # type: ignore[call-overload]
    first = profile.seeds[0]
    return range(first, first + values.pop("repeats")), values


def captions(profile: Profile, dataset: str) -> list[Spec]:
    """Every loss of :data:`RECENTRALISED` at every seed."""
    seeds, numbers = _repeated(profile, profile.captions)
    return [
        {"variant": variant, "recentralised": dict(options), "dataset": DIGITS, "seed": seed, **numbers}
        for variant, options in RECENTRALISED.items()
        for seed in seeds
    ]


def density(profile: Profile, dataset: str) -> list[Spec]:
    """Digits without and with the gradient penalty at every seed, then two moons at every seed."""
    seeds, numbers = _repeated(profile, profile.density)
    moons_steps = numbers.pop("moons_steps")
    shifts: Spec = {"rotations": list(ROTATIONS), "noises": list(NOISES), "contrasts": list(CONTRASTS)}
    digits = [
        {"kind": "digits", "gradient_penalty": weight, "dataset": DIGITS, "seed": seed, **numbers, **shifts}
        for weight in (0.0, 1e-4)
        for seed in seeds
    ]
    moons = {"kind": "moons", "gradient_penalty": 1e-2, "dataset": "two moons", "steps": moons_steps}
    return [*digits, *(moons | {"seed": seed, "flow_steps": numbers["flow_steps"]} for seed in seeds)]


def restrained(profile: Profile, dataset: str) -> list[Spec]:
    """Made embeddings and embedded digits at every seed; all losses in one run."""
    seeds, numbers = _repeated(profile, profile.restrained)
    return [{"dataset": data, "seed": seed, **numbers} for data in ("synthetic", DIGITS) for seed in seeds]
