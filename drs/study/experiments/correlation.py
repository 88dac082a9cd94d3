"""A population of cross-entropy networks: does the spread of the false classes go with robustness?"""

from __future__ import annotations

import math
import random

import torch

from drs.attacks import DDN, CarliniWagnerL2, DeepFool
from drs.evaluation.accuracy import MEASURES, clean_metrics, curve_metrics, logits_of
from drs.study.experiments.base import Context, Experiment, Outcome, Spec
from drs.study.profiles import Profile
from drs.training.loop import TrainingSpec

ATTACKS = ("fgsm", "bim", "pgd", "margin")


def member(profile: Profile, dataset: str, number: int) -> TrainingSpec:
    """Network ``number`` of the population: hyperparameters drawn from a generator of its own and the master seed's.

    Width 6 to 32, depth 1 to 3, learning rate 0.01 to 0.2 and weight decay 1e-5 to 1e-2 (log-uniform), batch 64, 128
    or 256, and one to two thirds of the profile's updates more or less.
    """
    draw = random.Random(f"{profile.master_seed}/{number}")
    return TrainingSpec(
        dataset=dataset,
        train_size=profile.train_size,
        model="small_conv",
        model_options={"width": draw.choice((6, 8, 12, 16, 24, 32)), "depth": draw.randint(1, 3)},
        loss="ce",
        learning_rate=float(f"{math.exp(draw.uniform(math.log(0.01), math.log(0.2))):.3g}"),
        weight_decay=float(f"{math.exp(draw.uniform(math.log(1e-5), math.log(1e-2))):.3g}"),
        batch_size=draw.choice((64, 128, 256)),
        steps=round(profile.steps * draw.uniform(0.3, 1.5)),
        seed=number,
    )


def grid(profile: Profile, dataset: str) -> list[Spec]:
    """``profile.population`` networks; the attacked images are the same for all."""
    return [
        {
            "network": member(profile, dataset, number).as_dict(),
            "images": profile.images,
            "few_images": profile.few_images,
            "epsilons": list(profile.epsilons),
            "attacks": list(ATTACKS),
        }
        for number in range(profile.population)
    ]


def run(spec: Spec, context: Context) -> Outcome:
    """Train, measure the false classes on clean test images, attack, and relate the two image by image."""
    from scipy.stats import spearmanr

    training = context.network(spec["network"])
    test = context.dataset(spec["network"]["dataset"]).test
    every_image, every_label = test.to_float(context.device)
    metrics = {"train_accuracy": training.accuracy}
    metrics |= clean_metrics(logits_of(training.network, every_image), every_label)
    images, labels = test.first(spec["images"]).to_float(context.device)
    curve, fell_at = curve_metrics(training.network, images, labels, spec["attacks"], spec["epsilons"])
    metrics |= curve
    few, few_labels = images[: spec["few_images"]], labels[: spec["few_images"]]
    for name, attack in (
        ("ddn", DDN(steps=50)),
        ("deepfool", DeepFool(steps=30)),
        (
            "carlini_wagner",
            CarliniWagnerL2(target="untargeted", learning_rate=0.05, search_steps=4, max_iterations=100),
        ),
    ):
        result = attack(training.network, few, few_labels)
        distances = torch.where(result.success, result.distances, math.inf)
        metrics[f"{name}_median"] = float(distances.sort().values[len(distances) // 2])
    logits = logits_of(training.network, images)
    right = (fell_at > 0).cpu()
    rank = fell_at.clamp_max(2 * max(spec["epsilons"])).cpu()
    for name in ("std_logits", "std_probabilities", "entropy_logits"):
        each = MEASURES[name](logits, labels).cpu()[right]
        varied = len(each) > 1 and bool((each.min() < each.max()) & (rank[right].min() < rank[right].max()))
        metrics[f"sample_spearman_{name}"] = float(spearmanr(each, rank[right]).statistic) if varied else math.nan
    return Outcome(metrics)


EXPERIMENT = Experiment("correlation", 2, "a population of networks: false-class spread against robustness", grid, run)
