"""Losses side by side over the whole epsilon curve: CE, DRS in every form the papers leave open, and the controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drs.evaluation.accuracy import clean_metrics, curve_metrics, logits_of
from drs.losses import PUBLISHED_WEIGHT
from drs.study.checkpoints import cached_dataset
from drs.study.experiments.base import Context, Experiment, Outcome, Spec
from drs.study.profiles import Profile
from drs.training.loop import TrainingSpec

ATTACKS = ("fgsm", "pgd", "margin")
SIZES = dict.fromkeys(("mnist5k", "mnist", "fashion_mnist"), 28) | dict.fromkeys(
    ("cifar10", "cifar100", "svhn", "cifar10-jpeg"), 32
)
"""Height and width of the images of each data set with a name, so that planning a run reads no data."""
MAIN = ("ce", "drs")
WEIGHTS = (0.0064, 0.064, 0.64, 6.4, 64.0)


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


def network(profile: Profile, dataset: str, variant: str, seed: int) -> TrainingSpec:
    """The training of a variant. All see the same number of images, but adversarial training, which is given the same
    number of gradient steps: its updates are divided by its inner steps plus one."""
    change = variants()[variant]
    base = TrainingSpec(dataset=dataset, train_size=profile.train_size, steps=profile.steps, seed=seed)
    spec = replace(base, **change)
    if spec.model == "resnet":
        spec = replace(spec, model_options={"depth": 32} if profile.name == "paper" else {"depth": 8, "width": 8})
    size = SIZES.get(dataset)
    if spec.model == "mlp" and size != 28:  # the size a plain network expects unless it is told another
        spec = replace(spec, model_options={"size": size or cached_dataset(dataset).size})
    per_update = spec.batch_size / base.batch_size * (spec.adversarial.get("steps", 0) + 1)
    return replace(spec, steps=max(1, round(profile.steps / per_update)))


def grid(profile: Profile, dataset: str) -> list[Spec]:
    """Every variant at every seed; the first two variants (the DRS chapter's) come first."""
    names = list(variants()) if profile.name != "smoke" else ["ce", "drs", "rce", "adversarial"]
    return [
        {
            "variant": name,
            "network": network(profile, dataset, name, seed).as_dict(),
            "images": profile.images,
            "epsilons": list(profile.epsilons),
            "attacks": list(ATTACKS),
        }
        for name in names
        for seed in profile.seeds
    ]


def run(spec: Spec, context: Context) -> Outcome:
    """Train, measure on all clean test images, attack the first ``images`` of them."""
    training = context.network(spec["network"])
    test = context.dataset(spec["network"]["dataset"]).test
    every_image, every_label = test.to_float(context.device)
    images, labels = test.first(spec["images"]).to_float(context.device)
    metrics = {"train_accuracy": training.accuracy}
    metrics |= clean_metrics(logits_of(training.network, every_image), every_label)
    curve, _ = curve_metrics(training.network, images, labels, spec["attacks"], spec["epsilons"])
    return Outcome(metrics | curve)


EXPERIMENT = Experiment("losses", 2, "CE, DRS, its ablations and the controls over the epsilon curve", grid, run)
