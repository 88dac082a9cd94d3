"""Profiles: every number that says how large an experiment is, and what its records may decide.

This is the only place that knows one profile from another. A grid (:mod:`drs.study.experiments.grids`) reads numbers
from the profile it is given and never asks for its name. Every figure says which profile its numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drs.errors import pick

__all__ = [
    "CURVE",
    "DEFAULT",
    "FULL",
    "PAPER",
    "PROFILES",
    "QUICK",
    "SMOKE",
    "Adaptive",
    "Anatomy",
    "Architectures",
    "Captions",
    "Constant",
    "Controls",
    "Cost",
    "DensityScaled",
    "Detection",
    "Elsewhere",
    "Family",
    "Objectives",
    "Profile",
    "SelfRestrained",
    "Stress",
    "Theory",
    "WhiteBox",
    "Why",
    "Zoo",
    "deciding",
    "get_profile",
]


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Numbers of ``anatomy``: the budget of the pictures."""

    epsilon: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What ``architectures`` changes on another data set, so that its networks finish training there too.

    Attributes:
        names: Architectures; those that the claims are judged on.
        train_size: Training images used.
        longer: How many times the updates.
    """

    names: tuple[str, ...]
    train_size: int
    longer: int


@dataclass(frozen=True, kw_only=True)
class Architectures:
    """Numbers of ``architectures`` and, but for the first three, of ``why``, by the names their specifications use.

    Attributes:
        names: Architectures, keys of :data:`drs.study.experiments.networks.ARCHITECTURES`.
        seeds: How many of the profile's seeds; None for all.
        elsewhere: What changes on other data sets, by their names.
        images: Test images attacked.
        strong_images: The first of them that Standard and the temperatures see; none of them in ``why``.
        epsilons: Budgets of the curve.
        epsilon: Budget of Standard and of the temperatures, one of ``epsilons``.
        temperatures: What the logits are divided by.
        steps: Of PGD at each temperature.
    """

    names: tuple[str, ...] = ("small_conv", "lenet", "mlp", "small_conv-plain", "mlp-norm")
    seeds: int | None = None
    elsewhere: Mapping[str, Elsewhere] = field(default_factory=dict)
    images: int = 300
    strong_images: int = 100
    epsilons: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2)
    epsilon: float = 0.05
    temperatures: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    steps: int = 20


@dataclass(frozen=True, kw_only=True)
class Why:
    """Numbers of ``why``.

    Attributes:
        seeds: How many of the profile's seeds; None for all.
        steps: Updates where the length is not what changes.
        lengths: Updates where it is.
        sizes: Training images.
    """

    seeds: int | None = None
    steps: int = 1080
    lengths: tuple[int, ...] = (270, 1080, 4320)
    sizes: tuple[int, ...] = (875,)


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Numbers of ``controls``.

    Attributes:
        names: Losses tuned, keys of :data:`drs.study.experiments.networks.CONTROLS`; None for all.
        seeds: Of their trainings; no other experiment trains from them.
        tried: How many values of each loss's number are tried.
        validation_images: Images on which one is chosen.
        validation_epsilons: Budgets of the curve whose area decides there.
        trained: Accuracy in training from which a network is taken to have finished.
    """

    names: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = tuple(range(30, 36))
    tried: int = 4
    validation_images: int = 200
    validation_epsilons: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1)
    trained: float = 0.98


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Numbers of ``cost``.

    Attributes:
        tokens: Tokens per sequence of the language model.
        loss_rounds: Rounds timed for each of the four shapes of the loss alone.
        training_rounds: Rounds timed for a training step of SmallConvNet and of the ResNet.
        batch: Images per training step.
        resnet: Options of the ResNet.
    """

    tokens: int = 128
    loss_rounds: tuple[int, int, int, int] = (200, 150, 60, 7)
    training_rounds: tuple[int, int] = (100, 12)
    batch: int = 128
    resnet: Mapping[str, int] = field(default_factory=lambda: {"depth": 32})


@dataclass(frozen=True, kw_only=True)
class Stress:
    """Numbers of ``stress``, by the names its specifications use (:func:`drs.study.experiments.stress.measure`)."""

    curve_images: int = 300
    budgets: tuple[float, ...] = (0.03, 0.05, 0.1)
    steps: int = 20
    step_curve: tuple[int, ...] = (10, 50, 100)
    restarts: int = 5
    queries: int = 1000
    draws: int = 100
    temperatures: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    ddn_steps: int = 100


@dataclass(frozen=True, kw_only=True)
class Theory:
    """Numbers of ``theory``: random errors drawn for each alpha of the bound."""

    draws: int = 2000


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Numbers of ``detection``, by the names its specifications use. The budgets are those of the authors' code."""

    epsilons: tuple[float, ...] = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2)
    jsma_steps: int = 100
    search_steps: int = 5
    max_iterations: int = 200


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Numbers of ``constant``, by the names its specifications use."""

    constants: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    max_iterations: int = 100


@dataclass(frozen=True, kw_only=True)
class WhiteBox:
    """Numbers of ``whitebox``, by the names its specifications use.

    ``epsilon`` is the budget of the FGSM step that C&W-wb is timed against; ``lead_share`` times the median lead of the
    true logit on held-out images is the kappa of the attack with high confidence.
    """

    images: int = 100
    epsilon: float = 0.1
    lead_share: float = 0.5
    search_steps: int = 6
    first_iterations: int = 300
    max_iterations: int = 300


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """Numbers of ``adaptive``, by the names its specifications use; the largest budget is that of the tables."""

    images: int = 100
    epsilons: tuple[float, ...] = (0.03, 0.05, 0.1)
    steps: int = 100


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """Numbers of ``zoo``.

    Attributes:
        images: Test images of an audit.
        epsilon: Budget of an audit.
        updates: Of the training that a defence needs after it was put into a network.
        healthy: Seeds of the healthy networks and attacks.
        broken: Seeds of the broken ones.
        subjects: Those of the zoo that are audited; None for all.
        minutes: For each audit: by default so many that nothing it does depends on the machine.
    """

    images: int = 100
    epsilon: float = 0.03
    updates: int = 100
    healthy: tuple[int, ...] = tuple(range(20, 30))
    broken: tuple[int, ...] = (20, 21, 22)
    subjects: tuple[str, ...] | None = None
    minutes: float = 1e6


@dataclass(frozen=True, kw_only=True)
class Family:
    """Numbers of ``family``, by the names its specifications use; ``updates`` and ``batch`` are those of its networks.

    Attributes:
        updates: Of every training.
        batch: Images per update.
        images: Test images attacked.
        validation_images: Held-out images on which a weight is chosen.
        epsilon: L-inf budget at which every attack runs, that of the claims.
        others: Larger budgets, for three attacks only; the last one is that of the published numbers of guided
            complement entropy.
        steps: Of each gradient attack.
        queries: Of Square.
        temperatures: What the logits are divided by.
    """

    updates: int = 720
    batch: int = 64
    images: int = 100
    validation_images: int = 100
    epsilon: float = 0.05
    others: tuple[float, ...] = (0.1, 0.2)
    steps: int = 20
    queries: int = 200
    temperatures: tuple[float, ...] = (1.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Captions:
    """Numbers of ``captions``, by the names its specifications use; ``repeats`` counts its seeds.

    Seeds count up from the profile's first one. BIM takes ``step_size`` at each of ten steps, within ``epsilon``.
    """

    repeats: int = 5
    training_images: int = 2500
    images: int = 200
    steps: int = 400
    batch: int = 50
    epsilon: float = 0.2
    step_size: float = 0.02


@dataclass(frozen=True, kw_only=True)
class DensityScaled:
    """Numbers of ``density``, by the names its specifications use; ``repeats`` counts its seeds.

    ``steps`` are updates of the network on digits, ``moons_steps`` of that on two moons, ``flow_steps`` of the density
    and ``head_steps`` of the head on scaled logits.
    """

    repeats: int = 3
    images: int = 1000
    steps: int = 540
    flow_steps: int = 600
    head_steps: int = 300
    moons_steps: int = 400


@dataclass(frozen=True, kw_only=True)
class SelfRestrained:
    """Numbers of ``restrained``, by the names its specifications use; ``repeats`` counts its seeds.

    ``steps`` are updates under each loss, ``embedding_steps`` of the network that embeds digits.
    """

    repeats: int = 5
    steps: int = 300
    batch: int = 256
    embedding_steps: int = 400


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """The networks of the RCE chapters, each trained under CE, RCE and DRS.

    Attributes:
        training: What they change in the default training.
        colour: What they change further on colour images.
        seeds: How many of the profile's seeds; None for all.
        second: What a second architecture, trained from seed 0, changes further; None for no second one.
        second_in_colour: Whether the second one is trained on colour images too.
        target: Model options of the networks that an attacker does not know, trained from the first seed. None for the
            attacker's own architecture trained from the next seed.
        rce: What RCE changes in the training. Its gradient is C - 1 times smaller than CE's, so that in the same number
            of updates at the same rate its networks do not finish training.
    """

    training: Mapping[str, Any]
    colour: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    second: Mapping[str, Any] | None = None
    second_in_colour: bool = True
    target: Mapping[str, int] | None = None
    rce: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All numbers of one size of the whole study.

    Attributes:
        name: What ``--profile`` takes.
        purpose: One line for ``drs list``.
        decides: Whether its records may set a verdict; the later of two such profiles is the stronger one.
        scratch: Whether a chapter may compute its runs, into ``_build``; every other profile is only read.
        dataset: Data set of the experiments on digits.
        also_on: Further data sets that the profile is meant for.
        train_size: Training images used; None for all.
        images: Test images attacked.
        few_images: Test images of the costly attacks (minimal distances, decision-based).
        seeds: Seeds of the experiments on losses and detection.
        master_seed: Of the hyperparameters drawn for the correlation study.
        steps: Updates of a training.
        population: Networks of the correlation study.
        depths: Depths among which the study draws that of each network.
        population_images: Test images attacked in each of them; None for ``images``.
        epsilons: L-inf budgets of the curves.
        variants: Losses compared, by their names in :func:`drs.study.experiments.networks.variants`; None for all.
        stressed: Those of them whose networks get the strongest attacks.
        resnet: Options of the ResNets among them.
        lenet: Options of the LeNets among them.
        objectives: Networks of the RCE chapters.
        anatomy, controls, architectures, why, cost, stress, theory: Numbers of one experiment.
        detection, constant, whitebox, adaptive, zoo, family: The same, of later ones.
        captions, density, restrained: The same, of the related methods.
    """

    name: str
    purpose: str
    decides: bool = False
    scratch: bool = False
    dataset: str
    also_on: tuple[str, ...] = ()
    train_size: int | None = None
    images: int
    few_images: int
    seeds: tuple[int, ...]
    master_seed: int = 2023
    steps: int
    population: int
    depths: tuple[int, ...] = (1, 2, 3)
    population_images: int | None = None
    epsilons: tuple[float, ...]
    variants: tuple[str, ...] | None = None
    stressed: tuple[str, ...] = ("ce", "drs", "label-smoothing", "logit-squeezing", "rce", "adversarial")
    resnet: Mapping[str, int] = field(default_factory=lambda: {"depth": 8, "width": 8})
    lenet: Mapping[str, int] = field(default_factory=lambda: {"width": 8})
    objectives: Objectives
    anatomy: Anatomy = field(default_factory=Anatomy)
    controls: Controls = field(default_factory=Controls)
    architectures: Architectures = field(default_factory=Architectures)
    why: Why = field(default_factory=Why)
    cost: Cost = field(default_factory=Cost)
    stress: Stress = field(default_factory=Stress)
    theory: Theory = field(default_factory=Theory)
    detection: Detection = field(default_factory=Detection)
    constant: Constant = field(default_factory=Constant)
    whitebox: WhiteBox = field(default_factory=WhiteBox)
    adaptive: Adaptive = field(default_factory=Adaptive)
    zoo: Zoo = field(default_factory=Zoo)
    family: Family = field(default_factory=Family)
    captions: Captions = field(default_factory=Captions)
    density: DensityScaled = field(default_factory=DensityScaled)
    restrained: SelfRestrained = field(default_factory=SelfRestrained)


CURVE = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)

SMOKE = Profile(
    name="smoke",
    purpose="CI: does everything run",
    scratch=True,
    dataset="mnist5k",
    train_size=640,
    images=64,
    few_images=16,
    seeds=(0,),
    steps=40,
    population=6,
    epsilons=(0.0, 0.05, 0.2),
    variants=("ce", "drs", "rce", "adversarial"),
    stressed=("ce", "drs"),
    objectives=Objectives(training={"steps": 80}),
    anatomy=Anatomy(epsilon=0.2),
    controls=Controls(
        names=("weight-decay", "drs"),
        seeds=(30,),
        tried=2,
        validation_images=8,
        validation_epsilons=(0.0, 0.05),
        trained=0.0,
    ),
    architectures=Architectures(
        names=("small_conv", "mlp"),
        images=8,
        strong_images=8,
        epsilons=(0.0, 0.05),
        temperatures=(1.0, 10.0),
        steps=3,
    ),
    why=Why(steps=40, lengths=(20, 40), sizes=(320,)),
    cost=Cost(tokens=2, loss_rounds=(2, 2, 2, 2), training_rounds=(2, 2), batch=16, resnet={"depth": 8, "width": 4}),
    stress=Stress(
        curve_images=64,
        steps=5,
        step_curve=(5, 10),
        restarts=2,
        queries=50,
        draws=5,
        temperatures=(1.0, 10.0),
        ddn_steps=50,
    ),
    theory=Theory(draws=100),
    detection=Detection(epsilons=(0.1, 0.2), jsma_steps=5, search_steps=2, max_iterations=20),
    constant=Constant(constants=(1.0, 100.0), max_iterations=10),
    whitebox=WhiteBox(images=16, search_steps=2, first_iterations=20, max_iterations=20),
    adaptive=Adaptive(images=16, steps=5),
    zoo=Zoo(
        images=8,
        updates=10,
        healthy=(20,),
        broken=(20,),
        subjects=("CE network", "PGD", "k-WTA", "softmax", "rounding", "wrong sign"),
        minutes=0.01,
    ),
    family=Family(updates=40, images=16, validation_images=16, steps=3, queries=10),
    captions=Captions(repeats=1, training_images=400, images=16, steps=30),
    density=DensityScaled(repeats=1, images=100, steps=20, flow_steps=20, head_steps=10, moons_steps=20),
    restrained=SelfRestrained(repeats=1, steps=10, embedding_steps=20),
)
QUICK = Profile(
    name="quick",
    purpose="the default: a laptop, from nothing",
    decides=True,
    dataset="mnist5k",
    images=300,
    few_images=100,
    seeds=(0, 1, 2),
    steps=540,
    population=60,
    epsilons=CURVE,
    objectives=Objectives(
        training={"steps": 1080},
        second={"model": "resnet", "model_options": {"depth": 8, "width": 8}},
        rce={"learning_rate": 2.7, "weight_decay": 2.2e-5},
    ),
    architectures=Architectures(
        elsewhere={"fashion_mnist": Elsewhere(names=("small_conv", "lenet", "mlp"), train_size=3500, longer=4)}
    ),
)
FULL = Profile(
    name="full",
    purpose="all of MNIST, on processors overnight",
    decides=True,
    dataset="mnist",
    also_on=("cifar10-jpeg",),
    images=1000,
    few_images=100,
    seeds=tuple(range(100, 110)),
    master_seed=2025,
    steps=2300,
    population=100,
    depths=(2,),
    population_images=300,
    epsilons=CURVE,
    variants=("ce", "drs", "label-smoothing", "confidence-penalty", "logit-squeezing"),
    stressed=("ce", "drs"),
    objectives=Objectives(
        training={"model": "lenet", "model_options": {"width": 8}, "steps": 2300},
        seeds=5,
        rce={"learning_rate": 0.9, "weight_decay": 2.2e-5},
    ),
    architectures=Architectures(names=("small_conv", "lenet", "mlp"), seeds=5, images=1000, strong_images=200),
    why=Why(seeds=3, steps=2300, lengths=(575, 2300, 9200), sizes=(3500,)),
)
PAPER = Profile(
    name="paper",
    purpose="the reproduction, on a GPU",
    decides=True,
    dataset="mnist",
    also_on=("cifar10",),
    images=1000,
    few_images=500,
    seeds=(0, 1, 2, 3, 4),
    steps=2300,
    population=200,
    epsilons=CURVE,
    resnet={"depth": 32},
    objectives=Objectives(
        training={
            "model": "resnet",
            "model_options": {"depth": 32},
            "steps": 20_000,
            "milestones": (10_000, 15_000),
            "schedule": "step",
        },
        colour={"steps": 90_000, "milestones": (40_000, 60_000, 80_000), "augment": True},
        seeds=3,
        second={"model_options": {"depth": 56}},
        second_in_colour=False,
        target={"depth": 56},
    ),
    architectures=Architectures(images=1000, strong_images=1000),
    cost=Cost(tokens=512, loss_rounds=(400, 200, 100, 30), training_rounds=(300, 100)),
    stress=Stress(curve_images=500, steps=100, step_curve=(10, 50, 100, 1000), queries=5000),
    detection=Detection(max_iterations=1000),
    whitebox=WhiteBox(max_iterations=1000),
    adaptive=Adaptive(images=1000),
    family=Family(updates=20_000, batch=128, images=1000, validation_images=1000, steps=100, queries=5000),
    captions=Captions(repeats=10, training_images=3500, images=1000, steps=4000),
    density=DensityScaled(repeats=10, steps=2300, flow_steps=3000, head_steps=1000, moons_steps=2000),
    restrained=SelfRestrained(repeats=10, steps=3000, batch=512, embedding_steps=2300),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (SMOKE, QUICK, FULL, PAPER)}
"""Every profile by name, weakest first."""
DEFAULT = QUICK.name
"""What a chapter and every command show unless they are told another."""


def deciding() -> list[Profile]:
    """The profiles whose records may set a verdict, weakest first."""
    return [profile for profile in PROFILES.values() if profile.decides]


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: No profile of that name.
    """
    return pick("profile", PROFILES, name)
