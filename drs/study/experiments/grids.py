"""Which runs each experiment consists of: a list of plain specifications from a profile and a data set.

The only place where a grid is written. Nothing here imports torch or reads data (own images excepted, for their size);
what one run does is ``run`` in the experiment's own module.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drs.study.experiments.base import Spec
from drs.study.experiments.networks import (
    CONTROLS,
    MAIN,
    OBJECTIVES,
    TUNED,
    architecture_network,
    changed_network,
    control_network,
    family_networks,
    first_architecture,
    member,
    objective,
    objective_networks,
    unknown_to_attacker,
    variant_network,
    variants,
)
from drs.study.profiles import Profile
from drs.training.spec import TrainingSpec

__all__ = [
    "ALPHAS",
    "BROKEN_ATTACKS",
    "BROKEN_DEFENCES",
    "CURVE_ATTACKS",
    "HEALTHY",
    "POPULATION_ATTACKS",
    "SEQUENCES",
    "SHAPES",
    "VOCABULARY",
    "adaptive",
    "anatomy",
    "architectures",
    "constant",
    "controls",
    "correlation",
    "cost",
    "detection",
    "family",
    "losses",
    "stress",
    "theory",
    "whitebox",
    "why",
    "zoo",
]

POPULATION_ATTACKS = ("fgsm", "bim", "pgd", "margin")
CURVE_ATTACKS = ("fgsm", "pgd", "margin")
SHAPES = ((128, 10), (128, 100), (256, 1000))
"""(batch, classes) of the loss alone."""
SEQUENCES, VOCABULARY = 8, 32_000
"""Language models: sequences per batch, and classes; the tokens per sequence depend on the profile."""
ALPHAS = (
    *(1e-05, 1.77827941004e-05, 3.16227766017e-05, 5.6234132519e-05),
    *(1e-04, 1.77827941004e-04, 3.16227766017e-04, 5.6234132519e-04),
    *(1e-03, 1.77827941004e-03, 3.16227766017e-03, 5.6234132519e-03),
    1e-02,
)
"""Four per decade, written out: a power that is computed can differ in its last digit between processors."""


def anatomy(profile: Profile, dataset: str) -> list[Spec]:
    """One network per loss: cross-entropy and DRS, first seed."""
    return [
        {
            "network": TrainingSpec(
                dataset=dataset, train_size=profile.train_size, loss=loss, steps=profile.steps, seed=profile.seeds[0]
            ).as_dict(),
            "images": profile.images,
            "budgets": [e for e in profile.epsilons if e > 0],
            **asdict(profile.anatomy),
        }
        for loss in ("ce", "drs")
    ]


def correlation(profile: Profile, dataset: str) -> list[Spec]:
    """``profile.population`` networks; the attacked images are the same for all."""
    return [
        {
            "network": member(profile, dataset, number).as_dict(),
            "images": profile.population_images or profile.images,
            "few_images": profile.few_images,
            "epsilons": list(profile.epsilons),
            "attacks": list(POPULATION_ATTACKS),
        }
        for number in range(profile.population)
    ]


def losses(profile: Profile, dataset: str) -> list[Spec]:
    """Every variant at every seed; the first two variants (the DRS chapter's) come first."""
    return [
        {
            "variant": name,
            "network": variant_network(profile, dataset, name, seed).as_dict(),
            "images": profile.images,
            "epsilons": list(profile.epsilons),
            "attacks": list(CURVE_ATTACKS),
        }
        for name in profile.variants or variants()
        for seed in profile.seeds
    ]


def controls(profile: Profile, dataset: str) -> list[Spec]:
    """DRS and every control, seed by seed, with the values of its number that are tried on validation images."""
    numbers = profile.controls
    return [
        {
            "variant": name,
            "network": control_network(profile, dataset, name, seed).as_dict(),
            "option": CONTROLS[name][1],
            "tried": list(CONTROLS[name][2][: numbers.tried]),
            "validation_images": numbers.validation_images,
            "validation_epsilons": list(numbers.validation_epsilons),
            "trained": numbers.trained,
            "images": profile.images,
            "epsilons": list(profile.epsilons),
            "attacks": list(CURVE_ATTACKS),
        }
        for seed in numbers.seeds
        for name in numbers.names or CONTROLS
    ]


def _looked_at(profile: Profile) -> Spec:
    """What a run of ``architectures`` measures of its network."""
    numbers = asdict(profile.architectures)
    del numbers["names"], numbers["seeds"], numbers["elsewhere"]
    return {"attacks": list(CURVE_ATTACKS), **numbers}


def architectures(profile: Profile, dataset: str) -> list[Spec]:
    """CE and DRS on every architecture, seed by seed."""
    numbers = profile.architectures
    other = numbers.elsewhere.get(dataset)
    return [
        {
            "variant": f"{name}-{loss}",
            "architecture": name,
            "network": architecture_network(profile, dataset, name, loss, seed).as_dict(),
            **_looked_at(profile),
        }
        for seed in profile.seeds[: numbers.seeds]
        for name in (other.names if other else numbers.names)
        for loss in MAIN
    ]


def why(profile: Profile, dataset: str) -> list[Spec]:
    """CE and DRS on SmallConvNet, one thing of the training changed at a time: its length, the images, the attacks.

    Adversarial training takes as many updates as the longest plain one has gradients.
    """
    numbers, base = profile.why, {"steps": profile.why.steps}
    inner = {"epsilon": 0.1, "steps": 3, "step_size": 0.05}
    changes: list[tuple[str, float, dict[str, Any]]] = [
        *(("updates", length, {"steps": length}) for length in numbers.lengths),
        *(("training images", size, base | {"train_size": size}) for size in numbers.sizes),
        ("adversarial", inner["epsilon"], {"steps": max(numbers.lengths) // 4, "adversarial": inner}),
    ]
    return [
        {
            "factor": factor,
            "level": level,
            "network": changed_network(profile, dataset, loss, change, seed).as_dict(),
            **_looked_at(profile),
            "strong_images": 0,
        }
        for seed in profile.seeds[: numbers.seeds]
        for factor, level, change in changes
        for loss in MAIN
    ]


def cost(profile: Profile, dataset: str) -> list[Spec]:
    """One specification per shape and network; the data set plays no part.

    The language model's shape is (8, 512, 32000) under ``paper``. Under ``quick`` it is (8, 128, 32000), which a
    laptop does in a second and a gigabyte; the naive loop is left out there, because it would take minutes.
    """
    numbers = profile.cost
    shapes: list[Spec] = [{"batch": b, "tokens": 1, "classes": c, "naive": True} for b, c in SHAPES]
    shapes.append({"batch": SEQUENCES, "tokens": numbers.tokens, "classes": VOCABULARY, "naive": False})
    steps: list[Spec] = [
        {"model": "small_conv", "model_options": {}, "channels": 1, "size": 28},
        {"model": "resnet", "model_options": numbers.resnet, "channels": 3, "size": 32},
    ]
    return [
        *({"kind": "loss", **shape, "repetitions": n} for shape, n in zip(shapes, numbers.loss_rounds)),
        *(
            {"kind": "training", **step, "batch": numbers.batch, "classes": 10, "repetitions": n}
            for step, n in zip(steps, numbers.training_rounds)
        ),
    ]


def stress(profile: Profile, dataset: str) -> list[Spec]:
    """Every variant at every seed. Adversarials are transferred from the CE network of the same seed, to the CE network
    itself from the DRS one. The step curve of ``paper`` goes to 1,000 steps, on fewer images."""
    return [
        {
            "variant": variant,
            "network": variant_network(profile, dataset, variant, seed).as_dict(),
            "source": variant_network(profile, dataset, "drs" if variant == "ce" else "ce", seed).as_dict(),
            "images": profile.images,
            "few_images": profile.few_images,
            **asdict(profile.stress),
        }
        for variant in profile.stressed
        for seed in profile.seeds
    ]


def theory(profile: Profile, dataset: str) -> list[Spec]:
    """One run for the bound, one for each network of the first seed."""
    every = objective_networks(profile, dataset)
    chosen = [spec for spec in every if spec.seed == profile.seeds[0]][: len(OBJECTIVES)]
    bound: Spec = {"alphas": list(ALPHAS), "seed": 0, **asdict(profile.theory)}
    return [bound, *({"network": spec.as_dict(), "images": profile.images} for spec in chosen)]


def detection(profile: Profile, dataset: str) -> list[Spec]:
    """One run per network; C&W, the costly attack, on ``few_images``."""
    return [
        {
            "network": spec.as_dict(),
            "images": profile.images,
            "few_images": profile.few_images,
            **asdict(profile.detection),
        }
        for spec in objective_networks(profile, dataset)
    ]


def constant(profile: Profile, dataset: str) -> list[Spec]:
    """The networks of the first architecture; beside each but the CE ones, the CE network of its seed."""
    every = first_architecture(profile, dataset)
    plain = {spec.seed: spec.as_dict() for spec in every if spec.loss == "ce"}
    return [
        {"network": spec.as_dict(), "images": profile.few_images, **asdict(profile.constant)}
        | ({} if spec.loss == "ce" else {"control": plain[spec.seed]})
        for spec in every
    ]


def whitebox(profile: Profile, dataset: str) -> list[Spec]:
    """The networks of the detection experiment that share the first one's architecture."""
    return [
        {
            "network": spec.as_dict(),
            "targets": [objective(profile, unknown_to_attacker(profile, spec), loss).as_dict() for loss in OBJECTIVES],
            **asdict(profile.whitebox),
        }
        for spec in first_architecture(profile, dataset)
    ]


def adaptive(profile: Profile, dataset: str) -> list[Spec]:
    """The networks of the detection experiment that share the first one's architecture."""
    return [{"network": spec.as_dict(), **asdict(profile.adaptive)} for spec in first_architecture(profile, dataset)]


HEALTHY = {"ce": "CE network", "adversarial": "adversarially trained network"}
"""Networks that no alarm may fire on: variants, and what the tables call them."""
BROKEN_DEFENCES = (
    *("k-WTA", "rounding", "logits x 100", "noise", "batch statistics"),
    *("softmax", "softmax x 10", "detached", "JPEG-like"),
)
BROKEN_ATTACKS = (
    *("step / 50", "wrong sign", "one step", "epsilon / 2"),
    *("first image", "no projection", "labels permuted"),
)
"""Those of :mod:`drs.evaluation.zoo`, which needs torch, by name."""


def zoo(profile: Profile, dataset: str) -> list[Spec]:
    """Healthy networks and a healthy attack at many seeds, every broken defence and attack at a few.

    The seeds are not those of the other experiments, on whose networks the alarms were built.
    """
    numbers = profile.zoo
    subjects = [
        *(("network", name, variant, numbers.healthy) for variant, name in HEALTHY.items()),
        ("attack", "PGD", "ce", numbers.healthy),
        *(("network", name, "ce", numbers.broken) for name in BROKEN_DEFENCES),
        *(("attack", name, "ce", numbers.broken) for name in BROKEN_ATTACKS),
    ]
    return [
        {
            "kind": kind,
            "subject": subject,
            "network": variant_network(profile, dataset, variant, seed).as_dict(),
            "images": numbers.images,
            "epsilon": numbers.epsilon,
            "updates": numbers.updates,
            "minutes": numbers.minutes,
        }
        for kind, subject, variant, seeds in subjects
        if numbers.subjects is None or subject in numbers.subjects
        for seed in seeds
    ]


def family(profile: Profile, dataset: str) -> list[Spec]:
    """Every member of the family at every seed. ``tried`` are the values of the loss's option ``option`` that a tuned
    member chooses from. On networks of a ``ladder`` the costly attacks have an accuracy of their own."""
    numbers = asdict(profile.family)
    del numbers["updates"], numbers["batch"]  # they are in the network
    return [
        {"variant": name, "network": network.as_dict(), "ladder": network.model == "mmc", **numbers}
        | ({"option": TUNED[name][0], "tried": list(TUNED[name][1])} if name in TUNED else {})
        for seed in profile.seeds
        for name, network in family_networks(profile, dataset, seed).items()
    ]
