"""The thresholding test behind CE, RCE and DRS networks, under every attack of the RCE paper that ignores the detector.

One run trains one network and gives the clean error (Table 1), accuracy over epsilon and minimal distortions
(Figure 2), the three metrics' AUC and detection rates under every attack (Table 2, Figures 4 to 6), seconds per
example (Table 5) and an embedding of the features (Figure 1).
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from drs.attacks import BIM, JSMA, Attack, CarliniWagnerL2
from drs.detection import auc, paired_mask
from drs.evaluation.accuracy import accuracy, clean_metrics, features_of, logits_of
from drs.evaluation.curves import ATTACKS
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.detector import METRICS, DetectorView, detector_metrics, distortion, timed
from drs.study.metrics import Metric, column

__all__ = ["BANDWIDTH_FACTORS", "BRIEF", "FULL", "RATES", "SHOWN", "SWEPT", "run"]

SHOWN = 0.1
"""The budget of the tables and ROC curves; every other one is in the records."""
SWEPT = ("fgsm", "bim", "ilcm", "jsma", "noise")
"""Attacks that take a budget (JSMA: the step of a pixel)."""
BRIEF = ("auc", "auc_all", "detection_rate_5")
"""What is kept of a detector at the budgets that are not shown in full."""
RATES = tuple(f"{rate}_{percent}" for rate in ("detection_rate", "false_rejection", "tpr_at_fpr") for percent in (5, 1))
FULL = ("auc", "auc_low", "auc_high", "auc_all", *RATES)
"""What is kept at the budget that is shown, and of attacks without one."""
BANDWIDTH_FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)


def _attacks(spec: Spec) -> dict[str, Attack]:
    """Every attack of a specification by ``name@epsilon`` or name, in a fixed order."""

    def jsma(theta: float) -> Attack:
        return JSMA(theta=theta, max_steps=spec["jsma_steps"])

    swept = {**ATTACKS, "jsma": jsma}
    chosen = {f"{name}@{epsilon:g}": swept[name](epsilon) for name in SWEPT for epsilon in spec["epsilons"]}
    search = {"search_steps": spec["search_steps"], "max_iterations": spec["max_iterations"]}
    chosen["cw"] = CarliniWagnerL2(**search)
    chosen["cw_hc"] = CarliniWagnerL2(confidence=10.0, **search)
    return chosen


def run(spec: Spec, context: Context) -> Outcome:
    """Train, fit the detector on training images, set thresholds on validation images, attack test images."""
    from sklearn.metrics import silhouette_score

    training, data = context.network(spec["network"]), context.dataset(spec["network"]["dataset"])
    network = training.network
    every_image, every_label = data.test.to_float(context.device)
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    view = DetectorView.fitted(context, spec["network"], network)
    held_out, normal = view.scores(data.validation.to_float(context.device)[0]), view.scores(images)
    right = normal.label == labels
    logits = logits_of(network, every_image)
    metrics = {"train_accuracy": training.accuracy, "error_percent": 100.0 * (1.0 - accuracy(logits, every_label))}
    metrics |= clean_metrics(logits, every_label)
    arrays = {f"normal.{name}": normal.of[name].astype(np.float32) for name in METRICS} | {"right": right.cpu().numpy()}
    for name, attack in _attacks(spec).items():
        count = spec["few_images"] if name in ("cw", "cw_hc") else len(images)
        found, seconds = timed(attack, network, images[:count], labels[:count])
        metrics[column("seconds_per_example", attack=name)] = seconds / count
        attacked = view.scores(found.inputs)
        wrong = attacked.label != labels[:count]
        metrics[column("accuracy", attack=name)] = 1.0 - float(wrong.float().mean())
        done = found.success & right[:count]
        if bool(done.any()):
            each = distortion(images[:count], found.inputs)[done]
            metrics[column("distortion", attack=name)] = float(each.mean())
        subset = paired_mask(right[:count], done if name == "cw_hc" else wrong)
        metrics[column("successes", attack=name)] = float(subset.sum())
        used = np.ones_like(subset) if name.startswith("noise") else subset  # noise is no attack: all images count
        shown = Metric.parse(column("accuracy", attack=name)).budget in (None, SHOWN)
        wanted = FULL if shown else BRIEF
        metrics |= detector_metrics(name, held_out, normal, attacked, used, wrong, wanted=wanted)
        if shown:
            arrays |= {f"{name}.{metric}": attacked.of[metric].astype(np.float32) for metric in METRICS}
            arrays[f"{name}.used"] = subset
    metrics |= _bandwidths(spec, context, view, images, labels)
    features = features_of(network, images)
    arrays |= {"labels": labels.cpu().numpy().astype(np.uint8), "embedding": _embedding(features)}
    metrics["silhouette"] = float(silhouette_score(features.cpu().numpy(), labels.cpu().numpy()))
    return Outcome(metrics, arrays)


def _bandwidths(spec: Spec, context: Context, view: DetectorView, images: Tensor, labels: Tensor) -> dict[str, float]:
    """AUC of K-density under BIM at the shown budget with other bandwidths than the paper's."""
    moved = BIM(epsilon=SHOWN)(view.network, images, labels)
    used = (logits_of(view.network, images).argmax(dim=1) == labels) & moved.success
    values = {}
    if int(used.sum()) >= 2:
        for factor in BANDWIDTH_FACTORS:
            other = DetectorView.fitted(context, spec["network"], view.network, factor)
            clean, attacked = other.scores(images[used]), other.scores(moved.inputs[used])
            values[column("bandwidth_auc", budget=factor)] = auc(clean.of["k_density"], attacked.of["k_density"])
    return values


def _embedding(features: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(N, 2) t-SNE of final hidden vectors, seeded."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(2.0, math.floor((len(features) - 1) / 3)))
    found = TSNE(2, perplexity=perplexity, random_state=0, init="pca").fit_transform(features.cpu().numpy())
    embedded: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = found.astype(np.float32)
    return embedded
