"""Which networks the experiments train: the variants of the loss, the RCE chapters' objectives, the population, the
family of related losses."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

from drs.catalog import PIXELS, PUBLISHED_WEIGHT
from drs.study.profiles import Profile
from drs.training.folders import overview
from drs.training.spec import TrainingSpec

__all__ = [
    "ARCHITECTURES",
    "CONTROLS",
    "MAIN",
    "OBJECTIVES",
    "TUNED",
    "WEIGHTS",
    "architecture_network",
    "changed_network",
    "control_network",
    "family_networks",
    "first_architecture",
    "is_colour",
    "member",
    "objective",
    "objective_networks",
    "unknown_to_attacker",
    "variant_network",
    "variants",
]

MAIN = ("ce", "drs")
WEIGHTS = (0.0064, 0.064, 0.64, 6.4, 64.0)
OBJECTIVES = ("ce", "rce", "drs")
TUNED = {"drs": ("weight", (0.16, 0.64, 2.56)), "gce": ("alpha", (1 / 6, 1 / 3, 2 / 3))}
"""Losses of the family whose one number is chosen on validation images: its name, and as many values for each, with
the published one in the middle."""
CONTROLS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "weight-decay": ("ce", "weight_decay", (2e-4, 3.2e-3, 1.28e-2, 5.12e-2)),
    "label-smoothing": ("label_smoothing", "smoothing", (0.1, 0.4, 0.6, 0.8)),
    "confidence-penalty": ("confidence_penalty", "weight", (0.5, 2.0, 4.0, 8.0)),
    "logit-squeezing": ("logit_squeezing", "weight", (0.05, 0.2, 0.8, 3.2)),
    "drs": ("drs", "weight", (PUBLISHED_WEIGHT, 0.16, 2.56, 10.24)),
}
"""DRS and its controls, each with one number to choose: the loss, the name of the number in a training's specification
or in the options of its loss, and as many values for each, the usual one first.

A first search, whose records were not kept, went up to 0.0128, 0.4, 2 and 0.8, and the validation images preferred the
largest value of each control at most seeds. So the values reach further now.
"""
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "small_conv": {},
    "lenet": {"model": "lenet"},
    "mlp": {"model": "mlp", "model_options": {"width": 128}, "learning_rate": 0.03},
    "small_conv-plain": {"model_options": {"norm": False}},
    "mlp-norm": {"model": "mlp", "model_options": {"width": 128, "norm": True}},
}
"""What each architecture changes in the base training, under either loss. At the base's rate of 0.1 the MLP does not
learn at all under DRS; here the question is what the loss does to a network that has learnt."""
LONGER = {"mlp": 4, "small_conv-plain": 4}
"""How many times the updates an architecture needs, to fit its training images as the others do."""
CENTRES = {"mmc": 10, "mmc-1": 1, "mmc-3": 3, "mmc-30": 30}
"""Norms of the simplex's centres, C_MM; 10 is the published one."""


def _drs(**options: Any) -> dict[str, Any]:
    return {"loss": "drs", "loss_options": {"weight": PUBLISHED_WEIGHT} | options}


def variants() -> dict[str, dict[str, Any]]:
    """Every variant by name: what it changes in the base training. The base is cross-entropy at batch 128."""
    table: dict[str, dict[str, Any]] = {"ce": {}, "drs": _drs()}
    table |= {f"weight-{weight:g}": _drs(weight=weight) for weight in WEIGHTS if weight != PUBLISHED_WEIGHT}
    table |= {
        "probabilities": _drs(measure="probabilities"),
        "probabilities-64": _drs(measure="probabilities", weight=64.0),
        "std": _drs(spread="std"),
        "mean-over-c": _drs(count_true_class=True),
        "top-3": _drs(top_k=3),
        "only-correct": _drs(only_correct=True),
        "warm-up": _drs() | {"warmup": 0.5},
    }
    for batch in (32, 512):
        table[f"ce-batch-{batch}"] = {"batch_size": batch}
        table[f"mean-batch-{batch}"] = _drs() | {"batch_size": batch}
        table[f"sum-batch-{batch}"] = _drs(weight=0.005, batch_reduction="sum") | {"batch_size": batch}
    table |= {
        "label-smoothing": {"loss": "label_smoothing", "loss_options": {"smoothing": 0.1}},
        "confidence-penalty": {"loss": "confidence_penalty", "loss_options": {"weight": 0.5}},
        "logit-squeezing": {"loss": "logit_squeezing", "loss_options": {"weight": 0.05}},
        "rce": {"loss": "rce"},
        "adversarial": {"adversarial": {"epsilon": 0.1, "steps": 5, "step_size": 0.05}},
        "mlp-ce": {"model": "mlp"},
        "mlp-drs": _drs() | {"model": "mlp"},
        "resnet-ce": {"model": "resnet"},
        "resnet-drs": _drs() | {"model": "resnet"},
    }
    return table


def variant_network(profile: Profile, dataset: str, variant: str, seed: int) -> TrainingSpec:
    """The training of a variant.

    All variants except adversarial training see the same number of images. Adversarial training gets the same number
    of gradient steps: its updates are divided by its inner steps plus one.
    """
    change = variants()[variant]
    base = TrainingSpec(dataset=dataset, train_size=profile.train_size, steps=profile.steps, seed=seed)
    spec = replace(base, **change)
    if spec.model == "resnet":
        spec = replace(spec, model_options=profile.resnet)
    if spec.model in ("mlp", "lenet"):
        spec = replace(spec, model_options=_size_options(dataset))
    per_update = spec.batch_size / base.batch_size * (spec.adversarial.get("steps", 0) + 1)
    return replace(spec, steps=max(1, round(profile.steps / per_update)))


def architecture_network(profile: Profile, dataset: str, architecture: str, loss: str, seed: int) -> TrainingSpec:
    """The training of an architecture under CE or DRS."""
    other = profile.architectures.elsewhere.get(dataset)
    steps = profile.steps * LONGER.get(architecture, 1) * (other.longer if other else 1)
    train_size = other.train_size if other else profile.train_size
    base = TrainingSpec(dataset=dataset, train_size=train_size, steps=steps, seed=seed)
    spec = replace(base, **variants()[loss] | ARCHITECTURES[architecture])
    if spec.model == "small_conv":
        return spec
    own = profile.lenet if spec.model == "lenet" else {}
    return replace(spec, model_options={**_size_options(dataset), **spec.model_options, **own})


def changed_network(profile: Profile, dataset: str, loss: str, change: dict[str, Any], seed: int) -> TrainingSpec:
    """SmallConvNet under CE or DRS, with one thing of its training changed."""
    return replace(architecture_network(profile, dataset, "small_conv", loss, seed), **change)


def control_network(profile: Profile, dataset: str, name: str, seed: int) -> TrainingSpec:
    """SmallConvNet under DRS or a control, at the usual value of its number."""
    loss, option, (usual, *_) = CONTROLS[name]
    base = TrainingSpec(dataset=dataset, train_size=profile.train_size, loss=loss, steps=profile.steps, seed=seed)
    return base.having(option, usual)


def _size_options(dataset: str) -> dict[str, int]:
    """What a plain network is told of the size of its images: nothing where they are of 28 x 28 pixels."""
    if dataset in PIXELS:
        height = width = PIXELS[dataset]
    else:
        folder = overview(dataset)
        height, width = folder.height, folder.width
    if height != width:
        return {"size": height, "columns": width}
    return {} if height == 28 else {"size": height}


def objective(profile: Profile, spec: TrainingSpec, loss: str) -> TrainingSpec:
    """The same training under another loss: DRS at the published weight, RCE with what the profile changes for it.

    ``quick`` trains RCE at 27 times the learning rate of CE and about a ninth of its weight decay: the loss times 9,
    which is C - 1, at three times the rate. That was chosen on the accuracy in training and the confidence on clean
    images alone.
    """
    numbers = profile.objectives
    usual = replace(TrainingSpec(), **numbers.training)
    changed = numbers.rce if loss == "rce" else {name: getattr(usual, name) for name in numbers.rce}
    return replace(spec, loss=loss, loss_options={"weight": PUBLISHED_WEIGHT} if loss == "drs" else {}, **changed)


def is_colour(dataset: str) -> bool:
    """Whether the networks of the RCE chapters are trained on a data set as on the papers' colour images."""
    return dataset.startswith("cifar")


def objective_networks(profile: Profile, dataset: str) -> list[TrainingSpec]:
    """The networks of the RCE chapters: seed by seed, then objective by objective, then the second architecture.

    ``paper`` follows the paper: pre-activation ResNets, SGD with momentum 0.9, batch 128, weight decay 2e-4, learning
    rate 0.1 divided by ten at 10,000 and 15,000 of 20,000 updates on digits; at 40,000, 60,000 and 80,000 of 90,000
    with random crops and flips on colour images. ``quick`` and ``smoke`` are small networks trained for longer than
    the DRS chapters' because RCE needs more updates than CE.
    """
    numbers, colour = profile.objectives, is_colour(dataset)
    base = TrainingSpec(dataset=dataset, train_size=profile.train_size)
    base = replace(base, **{**numbers.training, **(numbers.colour if colour else {})})
    bases = [replace(base, seed=seed) for seed in profile.seeds[: numbers.seeds]]
    if numbers.second is not None and (numbers.second_in_colour or not colour):
        bases.append(replace(base, **numbers.second))
    return [objective(profile, each, loss) for each in bases for loss in OBJECTIVES]


def family_networks(profile: Profile, dataset: str, seed: int) -> dict[str, TrainingSpec]:
    """One network per member of the family, by name, after as many updates each; the tuned ones at the published value.

    The learning rate of MMC is 0.2 over the norm of its centres, at most 0.1: 0.02 at the published norm, which is the
    published code's 0.01 for twice the loss. ``mmc-random`` has centres of the same norm in directions drawn from the
    network's seed.
    """
    numbers = profile.family
    base = TrainingSpec(dataset=dataset, train_size=profile.train_size, steps=numbers.updates, seed=seed)
    base = replace(base, batch_size=numbers.batch)
    smoothed = replace(base, loss="label_smoothing", loss_options={"smoothing": 0.1})
    found = {"ce": base, "label-smoothing": smoothed, "rce": replace(base, loss="rce")}
    for loss, (option, (_, published, _)) in TUNED.items():
        found[loss] = replace(base, loss=loss, loss_options={option: published})
    found["std"] = replace(base, loss="std", loss_options={"weight": 1.0})
    for name, norm in CENTRES.items():
        rate = min(0.1, 0.2 / norm)
        found[name] = replace(base, loss="mmc", model="mmc", model_options={"scale": norm}, learning_rate=rate)
    simplex = found["mmc"]
    return found | {"mmc-random": replace(simplex, model_options={**simplex.model_options, "centre_seed": seed})}


def first_architecture(profile: Profile, dataset: str) -> list[TrainingSpec]:
    """Those of :func:`objective_networks` that share the first one's architecture."""
    every = objective_networks(profile, dataset)
    return [spec for spec in every if (spec.model, spec.model_options) == (every[0].model, every[0].model_options)]


def unknown_to_attacker(profile: Profile, spec: TrainingSpec) -> TrainingSpec:
    """A network to which the adversarials of the network ``spec`` are transferred."""
    if profile.objectives.target is None:
        return replace(spec, seed=spec.seed + 1)
    return replace(spec, model_options=profile.objectives.target, seed=profile.seeds[0])


def member(profile: Profile, dataset: str, number: int) -> TrainingSpec:
    """Network ``number`` of the population: hyperparameters drawn from a generator of its own and the master seed's.

    Width 6 to 32, one of the profile's depths, learning rate 0.01 to 0.2 and weight decay 1e-5 to 1e-2 (log-uniform),
    batch 64, 128 or 256, and one to two thirds of the profile's updates more or less.
    """
    draw = random.Random(f"{profile.master_seed}/{number}")
    return TrainingSpec(
        dataset=dataset,
        train_size=profile.train_size,
        model="small_conv",
        model_options={"width": draw.choice((6, 8, 12, 16, 24, 32)), "depth": draw.choice(profile.depths)},
        loss="ce",
        learning_rate=float(f"{math.exp(draw.uniform(math.log(0.01), math.log(0.2))):.3g}"),
        weight_decay=float(f"{math.exp(draw.uniform(math.log(1e-5), math.log(1e-2))):.3g}"),
        batch_size=draw.choice((64, 128, 256)),
        steps=round(profile.steps * draw.uniform(0.3, 1.5)),
        seed=number,
    )
