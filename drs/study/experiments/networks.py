"""The networks of the RCE chapters: the same architectures and updates under CE, RCE and DRS."""

from __future__ import annotations

from dataclasses import replace

from drs.losses import PUBLISHED_WEIGHT
from drs.study.profiles import Profile
from drs.training.loop import TrainingSpec

OBJECTIVES = ("ce", "rce", "drs")


def objective(spec: TrainingSpec, loss: str) -> TrainingSpec:
    """The same training under another loss; DRS at the published weight."""
    return replace(spec, loss=loss, loss_options={"weight": PUBLISHED_WEIGHT} if loss == "drs" else {})


def networks(profile: Profile, dataset: str) -> list[TrainingSpec]:
    """Every network of a profile, objective by objective, then seed by seed.

    ``paper`` follows the paper: pre-activation ResNets, SGD with momentum 0.9, batch 128, weight decay 2e-4, learning
    rate 0.1 divided by ten at 10,000 and 15,000 of 20,000 updates on digits; at 40,000, 60,000 and 80,000 of 90,000
    with random crops and flips on colour images. ``quick`` and ``smoke`` are small networks trained for longer than
    the DRS chapters' because RCE needs more updates than CE.
    """
    if profile.name == "paper":
        colour = "cifar" in dataset
        base = TrainingSpec(
            dataset=dataset,
            model="resnet",
            model_options={"depth": 32},
            steps=90_000 if colour else 20_000,
            milestones=(40_000, 60_000, 80_000) if colour else (10_000, 15_000),
            schedule="step",
            augment=colour,
        )
        seeds, bases = profile.seeds[:3], [base]
    else:
        base = TrainingSpec(dataset=dataset, train_size=profile.train_size, steps=2 * profile.steps)
        bases, seeds = [base], profile.seeds
    chosen = [objective(replace(b, seed=seed), loss) for b in bases for seed in seeds for loss in OBJECTIVES]
    if profile.name in ("quick", "reseeded"):
        small = replace(base, model="resnet", model_options={"depth": 8, "width": 8})
        chosen += [objective(small, loss) for loss in OBJECTIVES]
    if profile.name == "paper" and not colour:
        chosen += [objective(replace(base, model_options={"depth": 56}), loss) for loss in OBJECTIVES]
    return chosen
