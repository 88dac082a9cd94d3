"""C&W-wb, the RCE paper's attacker who knows the detector (Tables 3, 5 and 6), and its transfer (Table 4).

One run attacks one network. The targets of the transfer are other networks, one an objective, trained from another
seed (``quick``) or deeper (``paper``, as there: ResNet-32 examples on ResNet-56).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from drs.attacks import FGSM, Adversarials, WhiteBoxCarliniWagner, f2
from drs.detection import evaluate_detector, paired_mask
from drs.evaluation.accuracy import features_of, share
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.detector import (
    METRICS,
    DetectorView,
    Scores,
    detector_metrics,
    distortion,
    median_lead,
    timed,
)
from drs.study.metrics import column

__all__ = ["WANTED", "run"]

WANTED = ("auc", "auc_low", "auc_high", "detection_rate_5", "tpr_at_fpr_5")
"""What is kept of a detector under an attack."""


def run(spec: Spec, context: Context) -> Outcome:
    """C&W-wb with kappa 0, and with one that asks the same of every network: a share of the lead that it gives its own
    held-out images; and the examples of the first on the targets."""
    trained = context.network(spec["network"])
    network = trained.network
    view = DetectorView.fitted(context, spec["network"], network)
    data = context.dataset(spec["network"]["dataset"])
    images, labels = data.test.first(spec["images"]).to_float(context.device)
    others = data.validation.to_float(context.device)
    held_out, normal = view.scores(others[0]), view.scores(images)
    lead = median_lead(network, *others)
    metrics = {"images": float(len(labels)), "train_accuracy": trained.accuracy}
    metrics[column("clean_margin_median")] = lead
    _, seconds = timed(FGSM(epsilon=spec["epsilon"]), network, images, labels)
    metrics[column("seconds_per_example", attack="fgsm")] = seconds / len(labels)
    search = {"density": view.density} | {k: spec[k] for k in ("search_steps", "first_iterations", "max_iterations")}
    found = {}
    for name, kappa in (("wb_0", 0.0), ("wb_high", spec["lead_share"] * lead)):
        attack = WhiteBoxCarliniWagner(confidence=kappa, **search, progress=context.progress)
        found[name], seconds = timed(attack, network, images, labels)
        metrics[column("seconds_per_example", attack=name)] = seconds / len(labels)
        metrics |= _white_box(name, view, images, found[name], normal.label == labels)
        metrics |= _detected(name, held_out, normal, view.scores(found[name].inputs), labels)
    for values in spec["targets"]:
        metrics |= _transfer(context, values, images, labels, found["wb_0"].inputs)
    shown = torch.stack([images[:6], *(f.inputs[:6] for f in found.values())])
    arrays = {"images": (shown * 255).round().byte().cpu().numpy(), "labels": labels[:6].cpu().numpy()}
    arrays["predicted"] = torch.stack([f.logits[:6].argmax(dim=1) for f in found.values()]).cpu().numpy()
    return Outcome(metrics, arrays)


def _white_box(name: str, view: DetectorView, images: Tensor, found: Adversarials, right: Tensor) -> dict[str, float]:
    """Share that reached the class, share of those with f2 > 0 (less dense than the class's median training example),
    and their distortion."""
    done = found.success & right
    values = {column("success", attack=name): float(found.success.float().mean())}
    if bool(done.any()):
        reached = found.inputs[done]
        missing = f2(view.density, features_of(view.network, reached), found.logits[done].argmax(dim=1))
        values[column("f2_positive", attack=name)] = float((missing > 0).float().mean())
        values[column("f2_count", attack=name)] = float(done.sum())
        values[column("distortion", attack=name)] = float(distortion(images[done], reached).mean())
        normal_looking = done.clone()
        normal_looking[done] = missing <= 0
        if bool(normal_looking.any()):
            each = distortion(images[normal_looking], found.inputs[normal_looking])
            values[column("distortion_normal", attack=name)] = float(each.mean())
    return values


def _detected(name: str, held_out: Scores, normal: Scores, attacked: Scores, labels: Tensor) -> dict[str, float]:
    """AUC on the paired set, detection rate and undetected success at 5% false rejection, of each metric."""
    wrong = attacked.label != labels
    used = paired_mask(normal.label == labels, wrong)
    counts = {column("successes", detector=metric, attack=name): float(used.sum()) for metric in METRICS}
    return counts | detector_metrics(name, held_out, normal, attacked, used, wrong, wanted=WANTED)


def _transfer(
    context: Context, values: Mapping[str, Any], images: Tensor, labels: Tensor, adversarial: Tensor
) -> dict[str, float]:
    """C&W-wb examples of one network on another: how many it gets wrong, and how many of the images themselves, and
    K-density's AUC there.

    As in the paper the AUC is over all the transferred examples against the normal images, fooled or not; the one
    over the examples that do fool the target stands beside it.
    """
    view, loss = DetectorView.fitted(context, values, context.network(values).network), values["loss"]
    normal, moved = view.scores(images), view.scores(adversarial)
    wrong = moved.label != labels
    clean, attacked = normal.of["k_density"], moved.of["k_density"]
    changed = (adversarial - images).flatten(1).abs().amax(dim=1).gt(0).cpu().numpy()
    found = {
        column("transfer", loss=loss): share(wrong),
        column("transfer_clean", loss=loss): share(normal.label != labels),
    }
    if changed.sum() >= 2:
        result = evaluate_detector(clean[changed], attacked[changed], paired=True)
        found |= {column(f"transfer_{key}", loss=loss): result[key] for key in ("auc", "auc_low", "auc_high")}
    used = paired_mask(normal.label == labels, wrong)
    if used.sum() >= 2:
        found[column("transfer_auc_fooled", loss=loss)] = evaluate_detector(clean[used], attacked[used], paired=True)[
            "auc"
        ]
    return found
