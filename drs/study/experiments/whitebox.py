"""Attackers who know the detector: C&W-wb (Tables 3 and 6), its transfer (Table 4), and PGD made for each metric.

One run attacks one network. The targets of the transfer are other networks, one an objective, trained from another
seed (``quick``) or deeper (``paper``, as there: ResNet-32 examples on ResNet-56).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drs.attacks import FGSM, Adversarials, JointPGD, OrthogonalPGD, SelectivePGD, WhiteBoxCarliniWagner, f2
from drs.detection import (
    KDensity,
    confidence,
    evaluate_detector,
    non_me,
    paired_mask,
    rejection_threshold,
    undetected_success,
)
from drs.evaluation.accuracy import features_of, share, timed
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.detection import METRICS, bandwidth, distortion, fitted_density, scores
from drs.training.models import Network

JOINT_WEIGHTS = (0.1, 1.0, 10.0)


def _score_functions(density: KDensity) -> dict[str, Callable[[Network, Tensor], Tensor]]:
    """Each metric as a differentiable function of the network and images."""

    def k_density(network: Network, images: Tensor) -> Tensor:
        features = network.features(images)
        return density.log_density(features, network.head(features).argmax(dim=1))

    return {
        "confidence": lambda network, images: confidence(network(images)),
        "non_me": lambda network, images: non_me(network(images)),
        "k_density": k_density,
    }


def _fitted(context: Context, values: dict[str, Any]) -> tuple[Network, KDensity]:
    """A trained network and its density on the training images."""
    network = context.network(values).network
    data = context.dataset(values["dataset"])
    images, labels = data.train.first(values["train_size"]).to_float(context.device)
    return network, fitted_density(network, images, labels, bandwidth(values["loss"]), len(data.class_names))


def run(spec: Spec, context: Context) -> Outcome:
    """C&W-wb with kappa 0 and 5, its examples on the targets, and the adaptive PGD attacks on each metric."""
    network, density = _fitted(context, spec["network"])
    data = context.dataset(spec["network"]["dataset"])
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    held_out = scores(network, density, data.validation.to_float(context.device)[0])
    normal = scores(network, density, images)
    right = normal["label"] == labels
    metrics: dict[str, float] = {"images": float(len(labels))}
    _, seconds = timed(FGSM(epsilon=spec["epsilon"]), network, images, labels)
    metrics["seconds_per_example.fgsm"] = seconds / len(labels)
    search = {"density": density} | {k: spec[k] for k in ("search_steps", "first_iterations", "max_iterations")}
    found = {}
    for kappa in (0.0, 5.0):
        name = f"wb_{kappa:g}"
        attack = WhiteBoxCarliniWagner(confidence=kappa, **search, progress=context.progress)
        found[name], seconds = timed(attack, network, images, labels)
        metrics[f"seconds_per_example.{name}"] = seconds / len(labels)
        metrics |= _white_box(name, network, density, images, found[name], right)
        metrics |= _detector(name, held_out, normal, scores(network, density, found[name].inputs), right, labels)
    for values in spec["targets"]:
        metrics |= _transfer(context, values, images, labels, found["wb_0"].inputs)
    for metric, score in _score_functions(density).items():
        shared = {"epsilon": spec["epsilon"], "steps": spec["steps"], "score": score}
        adaptive = {"selective": SelectivePGD(**shared), "orthogonal": OrthogonalPGD(**shared)}
        adaptive |= {f"joint@{weight:g}": JointPGD(weight=weight, **shared) for weight in JOINT_WEIGHTS}
        for name, pgd in adaptive.items():
            attacked = scores(network, density, pgd(network, images, labels).inputs)
            metrics |= _detector(name, held_out, normal, attacked, right, labels, only=metric)
    shown = torch.stack([images[:6], *(f.inputs[:6] for f in found.values())])
    arrays = {"images": (shown * 255).round().byte().cpu().numpy(), "labels": labels[:6].cpu().numpy()}
    arrays["predicted"] = torch.stack([f.logits[:6].argmax(dim=1) for f in found.values()]).cpu().numpy()
    return Outcome(metrics, arrays)


def _white_box(
    name: str, network: Network, density: KDensity, images: Tensor, found: Adversarials, right: Tensor
) -> dict[str, float]:
    """Share that reached the class, share of those with f2 > 0 (less dense than the class's median training example),
    and their distortion."""
    done = found.success & right
    values = {f"success.{name}": float(found.success.float().mean())}
    if bool(done.any()):
        reached = found.inputs[done]
        missing = f2(density, features_of(network, reached), found.logits[done].argmax(dim=1))
        values[f"f2_positive.{name}"] = float((missing > 0).float().mean())
        values[f"f2_count.{name}"] = float(done.sum())
        values[f"distortion.{name}"] = float(distortion(images[done], reached).mean())
        normal_looking = done.clone()
        normal_looking[done] = missing <= 0
        if bool(normal_looking.any()):
            each = distortion(images[normal_looking], found.inputs[normal_looking])
            values[f"distortion_normal.{name}"] = float(each.mean())
    return values


def _detector(
    name: str,
    held_out: dict[str, Tensor],
    normal: dict[str, Tensor],
    attacked: dict[str, Tensor],
    right: Tensor,
    labels: Tensor,
    *,
    only: str | None = None,
) -> dict[str, float]:
    """AUC on the paired set, detection rate and undetected success at 5% false rejection, of each metric."""
    wrong = attacked["label"] != labels
    used = paired_mask(right, wrong)
    values: dict[str, float] = {}
    for metric in METRICS if only is None else (only,):
        held, moved = held_out[metric].cpu().numpy(), attacked[metric].cpu().numpy()
        if used.sum() >= 2:
            clean = normal[metric].cpu().numpy()
            found = evaluate_detector(clean[used], moved[used], held_out=held, paired=True)
            wanted = ("auc", "auc_low", "auc_high", "detection_rate_5", "tpr_at_fpr_5")
            values |= {f"{key}.{metric}.{name}": found[key] for key in wanted}
        values[f"undetected.{metric}.{name}"] = undetected_success(
            wrong.cpu().numpy(), moved, rejection_threshold(held, 0.05)
        )
        values[f"successes.{metric}.{name}"] = float(used.sum())
    return values


def _transfer(
    context: Context, values: dict[str, Any], images: Tensor, labels: Tensor, adversarial: Tensor
) -> dict[str, float]:
    """C&W-wb examples of one network on another: how many it gets wrong, and how many of the images themselves, and
    K-density's AUC there.

    As in the paper the AUC is over all the transferred examples against the normal images, fooled or not; the one
    over the examples that do fool the target stands beside it.
    """
    network, density = _fitted(context, values)
    loss = values["loss"]
    normal, moved = scores(network, density, images), scores(network, density, adversarial)
    wrong = moved["label"] != labels
    clean, attacked = normal["k_density"].cpu().numpy(), moved["k_density"].cpu().numpy()
    changed = (adversarial - images).flatten(1).abs().amax(dim=1).gt(0).cpu().numpy()
    found = {f"transfer.{loss}": share(wrong), f"transfer_clean.{loss}": share(normal["label"] != labels)}
    if changed.sum() >= 2:
        result = evaluate_detector(clean[changed], attacked[changed], paired=True)
        found |= {f"transfer_{key}.{loss}": result[key] for key in ("auc", "auc_low", "auc_high")}
    used = paired_mask(normal["label"] == labels, wrong)
    if used.sum() >= 2:
        found[f"transfer_auc_fooled.{loss}"] = evaluate_detector(clean[used], attacked[used], paired=True)["auc"]
    return found
