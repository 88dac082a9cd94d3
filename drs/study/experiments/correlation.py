"""A population of cross-entropy networks: does the spread of the false classes go with robustness?"""

from __future__ import annotations

import math

import torch

from drs.attacks import DDN, CarliniWagnerL2, DeepFool
from drs.evaluation.accuracy import MEASURES, clean_metrics, logits_of
from drs.evaluation.curves import curve_metrics
from drs.study.experiments.base import Context, Outcome, Spec

__all__ = ["run"]


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
