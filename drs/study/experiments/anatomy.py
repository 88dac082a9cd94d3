"""What an attack does to the softmax of the false classes: one image from close by, then many."""

from __future__ import annotations

import torch

from drs.attacks import PGD
from drs.evaluation.accuracy import MEASURES, accuracy, logits_of
from drs.evaluation.curves import ATTACKS
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.metrics import column

__all__ = ["SHOWN", "run"]

SHOWN = ("fgsm", "bim", "pgd")


def run(spec: Spec, context: Context) -> Outcome:
    """Attack the test images; keep the first image that is right when clean and wrong under PGD (else the first)."""
    training = context.network(spec["network"])
    images, labels = context.dataset(spec["network"]["dataset"]).test.first(spec["images"]).to_float(context.device)
    logits = logits_of(training.network, images)
    attacked = {name: ATTACKS[name](spec["epsilon"])(training.network, images, labels) for name in SHOWN}
    right = logits.argmax(dim=1) == labels
    fooled = right & attacked["pgd"].success
    one = int(fooled.int().argmax())
    metrics = {
        "accuracy": accuracy(logits, labels),
        "images": float(len(labels)),
        "label": float(labels[one]),
        "fooled": float(fooled.sum()),
    }
    for name, measure in MEASURES.items():
        before, after = measure(logits, labels), measure(attacked["pgd"].logits, labels)
        metrics[f"{name}_before"] = float(before.mean())
        metrics[f"{name}_after"] = float(after.mean())
        if bool(fooled.any()):
            metrics[f"{name}_rises"] = float((after > before)[fooled].float().mean())
    for epsilon in spec["budgets"]:
        result = PGD(epsilon=epsilon, steps=20, keep="last")(training.network, images, labels)
        metrics[column("pgd", budget=epsilon)] = result.robust_accuracy(labels)
        spread = MEASURES["std_probabilities"](result.logits, labels)
        metrics[column("std_probabilities", budget=epsilon)] = float(spread.mean())
    pictures = torch.stack([images[one]] + [attacked[name].inputs[one] for name in SHOWN])
    values = torch.stack([logits[one]] + [attacked[name].logits[one] for name in SHOWN])
    arrays = {
        "images": (pictures * 255).round().byte().cpu().numpy(),
        "probabilities": torch.softmax(values, dim=1).cpu().numpy(),
        "logits": values.cpu().numpy(),
    }
    return Outcome(metrics, arrays)
