"""Profiles: at which scale an experiment runs. Every figure says which one its numbers come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drs.errors import pick


@dataclass(frozen=True)
class Profile:
    """A scale.

    Attributes:
        name: ``smoke``, ``quick``, ``reseeded`` or ``paper``.
        dataset: Data set of the experiments on digits.
        train_size: Training images used; None for all.
        images: Test images attacked.
        few_images: Test images of the costly attacks (minimal distances, decision-based).
        seeds: Seeds of the experiments on losses and detection.
        steps: Updates of a training.
        population: Networks of the correlation study.
        epsilons: L-inf budgets of the curves.
        purpose: One line for ``drs list``.
        master_seed: Of the hyperparameters drawn for the correlation study.
    """

    name: str
    dataset: str
    train_size: int | None
    images: int
    few_images: int
    seeds: tuple[int, ...]
    steps: int
    population: int
    epsilons: tuple[float, ...]
    purpose: str
    master_seed: int = 2023


CURVE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
QUICK = Profile("quick", "mnist5k", None, 300, 100, (0, 1, 2), 540, 60, CURVE, "the default: a laptop, from nothing")

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("smoke", "mnist5k", 640, 64, 16, (0,), 40, 6, (0.0, 0.05, 0.2), "CI: does everything run"),
        QUICK,
        replace(
            QUICK,
            name="reseeded",
            seeds=(10, 11, 12),
            master_seed=2024,
            purpose="quick again from other seeds, a check",
        ),
        Profile("paper", "mnist", None, 1000, 500, (0, 1, 2, 3, 4), 2300, 200, CURVE, "the reproduction, on a GPU"),
    )
}
"""Every profile by name. ``reseeded`` sets no verdict: it shows which verdicts of ``quick`` hang on its seeds."""


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: No profile of that name.
    """
    return pick("profile", PROFILES, name)
