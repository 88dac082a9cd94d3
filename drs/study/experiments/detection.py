"""The thresholding test behind CE, RCE and DRS networks, under every attack of the RCE paper that ignores the detector.

One run trains one network and gives the clean error (Table 1), accuracy over epsilon and minimal distortions
(Figure 2), the three metrics' AUC and detection rates under every attack (Table 2, Figures 4 to 6), seconds per
example (Table 5) and an embedding of the features (Figure 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from drs.attacks import BIM, FGSM, ILCM, JSMA, Attack, CarliniWagnerL2, UniformNoise
from drs.detection import (
    BANDWIDTH_CE,
    BANDWIDTH_RCE,
    KDensity,
    confidence,
    evaluate_detector,
    non_me,
    paired_mask,
    rejection_threshold,
    undetected_success,
)
from drs.evaluation.accuracy import accuracy, clean_metrics, features_of, logits_of, timed
from drs.losses import get_loss
from drs.study.experiments.base import Context, Outcome, Spec
from drs.training.models import Network

SHOWN = 0.1
"""The budget of the tables and ROC curves, fixed beforehand; every other one is in the records."""
METRICS = ("confidence", "non_me", "k_density")
SWEPT = ("fgsm", "bim", "ilcm", "jsma", "noise")
BRIEF = ("auc", "auc_all", "detection_rate_5")
"""What is kept of a detector at the budgets that are not shown in full."""
BANDWIDTH_FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)

ATTACKS: dict[str, Callable[[float], Attack]] = {
    "fgsm": lambda epsilon: FGSM(epsilon=epsilon),
    "bim": lambda epsilon: BIM(epsilon=epsilon),
    "ilcm": lambda epsilon: ILCM(epsilon=epsilon),
    "jsma": lambda epsilon: JSMA(theta=epsilon),
    "noise": lambda epsilon: UniformNoise(epsilon=epsilon),
}
"""Attacks that take a budget (JSMA: the step of a pixel)."""


def bandwidth(loss: str) -> float:
    """The paper's sigma squared for a network of that loss; DRS, which the paper does not know, takes that of CE."""
    return BANDWIDTH_RCE if get_loss(loss).reverse else BANDWIDTH_CE


def fitted_density(network: Network, images: Tensor, labels: Tensor, sigma_squared: float, classes: int) -> KDensity:
    """K-density on the features of training images, by true label, at most 1,000 a class."""
    return KDensity(sigma_squared).fit(features_of(network, images), labels, classes=classes)


def scores(network: Network, density: KDensity, images: Tensor) -> dict[str, Tensor]:
    """The three metrics of images, each (N,), HIGHER = MORE NORMAL, and the predicted labels under ``label``."""
    logits, features = logits_of(network, images), features_of(network, images)
    labels = logits.argmax(dim=1)
    return {
        "confidence": confidence(logits),
        "non_me": non_me(logits),
        "k_density": density.score(features, labels),
        "label": labels,
    }


def distortion(images: Tensor, others: Tensor) -> Tensor:
    """(N,) root mean square change of a pixel on the scale 0 to 255: the paper's ||x - x*|| / sqrt(d)."""
    return (images - others).flatten(1).square().mean(dim=1).sqrt() * 255.0


def _attacks(spec: Spec) -> dict[str, Attack]:
    """Every attack of a specification by ``name@epsilon`` or name, in a fixed order."""
    chosen: dict[str, Attack] = {}
    for name in SWEPT:
        for epsilon in spec["epsilons"]:
            chosen[f"{name}@{epsilon:g}"] = (
                JSMA(theta=epsilon, max_steps=spec["jsma_steps"]) if name == "jsma" else ATTACKS[name](epsilon)
            )
    search = {"search_steps": spec["search_steps"], "max_iterations": spec["max_iterations"]}
    chosen["cw"] = CarliniWagnerL2(**search)
    chosen["cw_hc"] = CarliniWagnerL2(confidence=10.0, **search)
    return chosen


def run(spec: Spec, context: Context) -> Outcome:
    """Train, fit the detector on training images, set thresholds on validation images, attack test images."""
    from sklearn.metrics import silhouette_score

    training, data = context.network(spec["network"]), context.dataset(spec["network"]["dataset"])
    network, loss, classes = training.network, spec["network"]["loss"], len(data.class_names)
    train_images, train_labels = data.train.first(spec["network"]["train_size"]).to_float(context.device)
    every_image, every_label = data.test.to_float(context.device)
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    density = fitted_density(network, train_images, train_labels, bandwidth(loss), classes)
    held_out = scores(network, density, data.validation.to_float(context.device)[0])
    normal = scores(network, density, images)
    right = normal["label"] == labels
    logits = logits_of(network, every_image)
    metrics = {"train_accuracy": training.accuracy, "error_percent": 100.0 * (1.0 - accuracy(logits, every_label))}
    metrics |= clean_metrics(logits, every_label)
    arrays = {f"normal.{name}": _half(normal[name]) for name in METRICS} | {"right": right.cpu().numpy()}
    for name, attack in _attacks(spec).items():
        count = spec["few_images"] if name in ("cw", "cw_hc") else len(images)
        found, seconds = timed(attack, network, images[:count], labels[:count])
        metrics[f"seconds_per_example.{name}"] = seconds / count
        attacked = scores(network, density, found.inputs)
        wrong = attacked["label"] != labels[:count]
        metrics[f"accuracy.{name}"] = 1.0 - float(wrong.float().mean())
        done = found.success & right[:count]
        if bool(done.any()):
            each = distortion(images[:count], found.inputs)[done]
            metrics[f"distortion.{name}"] = float(each.mean())
        subset = paired_mask(right[:count], done if name == "cw_hc" else wrong)
        metrics |= _detection(name, held_out, normal, attacked, subset, wrong, noise=name.startswith("noise"))
        if name in ("cw", "cw_hc") or name.endswith(f"@{SHOWN:g}"):
            arrays |= {f"{name}.{metric}": _half(attacked[metric]) for metric in METRICS}
            arrays[f"{name}.used"] = subset
    metrics |= _bandwidths(network, (train_images, train_labels), images, labels, loss, classes)
    shown = features_of(network, images)
    arrays |= {"labels": labels.cpu().numpy().astype(np.uint8), "embedding": _embedding(shown)}
    metrics["silhouette"] = float(silhouette_score(shown.cpu().numpy(), labels.cpu().numpy()))
    return Outcome(metrics, arrays)


def _half(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return values.cpu().numpy().astype(np.float32)


def _detection(
    name: str,
    held_out: dict[str, Tensor],
    normal: dict[str, Tensor],
    attacked: dict[str, Tensor],
    subset: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    wrong: Tensor,
    *,
    noise: bool,
) -> dict[str, float]:
    """Every detector number of one attack: on the paper's paired set, and on all test normals against all successes.

    Noise is no attack: its arms are all normal and all noisy images.
    """
    values: dict[str, float] = {f"successes.{name}": float(subset.sum())}
    for metric in METRICS:
        clean, moved = normal[metric].cpu().numpy(), attacked[metric].cpu().numpy()
        held = held_out[metric].cpu().numpy()
        used = np.ones_like(subset) if noise else subset
        count = len(subset)
        if used.sum() >= 2:
            found = evaluate_detector(clean[:count][used], moved[used], held_out=held, paired=True)
            found["auc_all"] = evaluate_detector(clean, moved[used])["auc"]
            wanted = found if "@" not in name or name.endswith(f"@{SHOWN:g}") else BRIEF
            values |= {f"{key}.{metric}.{name}": found[key] for key in wanted if not key.startswith("n_")}
        threshold = rejection_threshold(held, 0.05)
        values[f"undetected.{metric}.{name}"] = undetected_success(wrong.cpu().numpy(), moved, threshold)
    return values


def _bandwidths(
    network: Network, train: tuple[Tensor, Tensor], images: Tensor, labels: Tensor, loss: str, classes: int
) -> dict[str, float]:
    """AUC of K-density under BIM at the shown budget with other bandwidths than the paper's."""
    moved = BIM(epsilon=SHOWN)(network, images, labels)
    right = logits_of(network, images).argmax(dim=1) == labels
    used = right & moved.success
    values = {}
    if int(used.sum()) >= 2:
        for factor in BANDWIDTH_FACTORS:
            density = fitted_density(network, *train, bandwidth(loss) * factor, classes)
            clean = scores(network, density, images[used])["k_density"]
            attacked = scores(network, density, moved.inputs[used])["k_density"]
            values[f"bandwidth_auc@{factor:g}"] = evaluate_detector(clean, attacked, paired=True)["auc"]
    return values


def _embedding(features: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(N, 2) t-SNE of final hidden vectors, seeded."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(2.0, math.floor((len(features) - 1) / 3)))
    found = TSNE(2, perplexity=perplexity, random_state=0, init="pca").fit_transform(features.cpu().numpy())
    embedded: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = found.astype(np.float32)
    return embedded
