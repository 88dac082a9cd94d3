"""The related losses side by side: what each does to the false classes, and the worst case of a fixed list of attacks.

Every network meets the same list, image by image. Three attacks of it look at single logits. On a network with the
head of MMC, whose logits are minus the squared distances to the centres, these are the adaptive attacks of its paper:
lowering the true logit raises L_MMC, and raising the logit of a class lowers L_MMC towards that class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from drs.attacks import FGSM, PGD, Square, TargetedPGD
from drs.attacks.objectives import Objective, margin
from drs.attacks.targets import random_class
from drs.detection.scores import non_me
from drs.evaluation.accuracy import accuracy, clean_metrics, logits_of, share
from drs.evaluation.probes import repeat_difference, temperature_sweep, zero_gradient_share
from drs.spread import false_class_std
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.stress import LARGEST
from drs.study.metrics import column
from drs.training.loop import Training
from drs.training.models import Network
from drs.training.spec import TrainingSpec

__all__ = ["CLOSE", "answers", "attacked", "choice", "choose", "every_logit", "lower_true", "raise_class", "run"]

CLOSE = 0.01
"""How far below the best clean accuracy of the values tried a value may lie and still be taken."""


def lower_true(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the true logit, (N,): 2 L_MMC where the logits are minus the squared distances to centres.

    >>> lower_true(torch.tensor([[-1.0, -9.0]]), torch.tensor([1]))
    tensor([9.])
    """
    return -logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def raise_class(targets: Tensor) -> Objective:
    """The logit of the class ``targets`` (N,) of each image: minus 2 L_MMC towards that class.

    >>> raise_class(torch.tensor([0]))(torch.tensor([[-1.0, -9.0]]), torch.tensor([1]))
    tensor([-1.])
    """
    return lambda logits, labels: logits.gather(1, targets.unsqueeze(1)).squeeze(1)


def every_logit(model: Network, images: Tensor, labels: Tensor, epsilon: float, steps: int) -> Tensor:
    """Which images stand, (N,) bool, after PGD on the logit of each false class in turn. What has fallen is left."""
    standing = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    for shift in range(1, _classes(model, images)):
        rows = standing.nonzero().squeeze(1)
        if len(rows) == 0:
            break
        targets = (labels[rows] + shift) % _classes(model, images)
        attack = PGD(epsilon=epsilon, steps=steps, objective=raise_class(targets), seed=shift)
        standing[rows] = ~attack(model, images[rows], labels[rows]).success
    return standing


def _classes(model: Network, images: Tensor) -> int:
    return logits_of(model, images[:1]).shape[1]


def answers(model: Network, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Sizes of the clean answers, as medians over the images, and the mean of non-ME.

    ``clean_margin`` is the true logit's lead over the largest false one, ``linear_radius`` that lead over the L1 norm
    of its gradient: the L-inf budget that would undo it if the network were linear (0 where it is wrong).
    ``logit_norm`` is of the logits minus their mean, which the softmax does not see. ``relative_spread`` is the
    standard deviation of the false logits over the true logit's lead over their mean: no factor of the logits changes
    it.
    """
    moved = images.clone().requires_grad_(True)
    logits = model(moved)
    lead = -margin(logits, labels)
    (slope,) = torch.autograd.grad(lead.sum(), moved)
    logits, lead = logits.detach(), lead.detach()
    true = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    mean_false = (logits.sum(dim=1) - true) / (logits.shape[1] - 1)
    spread = false_class_std(logits, labels, measure="logits")
    each = {
        "clean_margin": lead,
        "linear_radius": (lead / slope.abs().flatten(1).sum(dim=1).clamp_min(1e-12)).clamp_min(0.0),
        "logit_norm": (logits - logits.mean(dim=1, keepdim=True)).norm(dim=1),
        "relative_spread": spread / (true - mean_false).clamp_min(1e-12),
    }
    medians = {column(f"{name}_median"): float(values.median()) for name, values in each.items()}
    return medians | {column("non_me_mean"): float(non_me(logits).mean())}


def attacked(model: Network, images: Tensor, labels: Tensor, spec: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy under each attack at the budget of the claims, and the worst case of each image over all of them.

    The costly attacks come last. They attack all images of a network of the ladder, where their own accuracy is
    wanted, and on other networks the images that nothing before has broken: the worst case is the same.

    Args:
        model: In evaluation mode.
        images: (N, C, H, W) in [0, 1].
        labels: (N,).
        spec: As in :func:`drs.study.experiments.grids.family`.
    """
    logits = logits_of(model, images)
    standing = logits.argmax(dim=1) == labels
    random, epsilon, steps = random_class(logits, labels, seed=0), spec["epsilon"], spec["steps"]
    runs = logits.shape[1] - 1
    values = {"images": float(len(labels)), "square_images": float(len(labels)), "clean": share(standing)}
    pgd = partial(PGD, epsilon=epsilon, steps=steps)
    for name, attack in {
        "fgsm": FGSM(epsilon=epsilon),
        "ce": pgd(),
        "margin": pgd(objective="margin"),
        "true_logit": pgd(objective=lower_true),
        "random_logit": pgd(objective=raise_class(random)),
    }.items():
        right = ~attack(model, images, labels).success
        values[column(name, budget=epsilon)] = share(right)
        standing &= right
    swept = temperature_sweep(model, images, labels, epsilon=epsilon, temperatures=spec["temperatures"], steps=steps)
    for temperature, found in swept.items():
        values[f"temperature_{temperature:g}"] = share(~found.success)
        standing &= ~found.success
    costly: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        column("targeted", budget=epsilon): lambda x, y: (
            ~TargetedPGD(epsilon=epsilon, steps=steps)(model, x, y).success
        ),
        column("target_logit", budget=epsilon): lambda x, y: every_logit(model, x, y, epsilon, steps),
        f"true_logit_runs_{runs}": lambda x, y: ~pgd(objective=lower_true, restarts=runs)(model, x, y).success,
    }
    for name, stands in costly.items():
        rows = torch.arange(len(labels), device=labels.device) if spec["ladder"] else standing.nonzero().squeeze(1)
        if len(rows):
            right = torch.ones_like(standing)
            right[rows] = stands(images[rows], labels[rows])
            standing &= right
            if spec["ladder"]:
                values[name] = share(right)
    values[column("white", budget=epsilon)] = share(standing)
    rows = standing.nonzero().squeeze(1)
    if len(rows):
        found = Square(epsilon=epsilon, queries=spec["queries"])(model, images[rows], labels[rows])
        standing[rows] = ~found.success
    values[column("strong_worst", budget=epsilon)] = share(standing)
    values[column("square_only", budget=epsilon)] = values[column("white", budget=epsilon)] - share(standing)
    return values


def _at_other_budgets(model: Network, images: Tensor, labels: Tensor, spec: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy under three attacks at the larger budgets."""
    return {
        column(name, budget=epsilon): share(~attack(model, images, labels).success)
        for epsilon in spec["others"]
        for name, attack in {
            "fgsm": FGSM(epsilon=epsilon),
            "ce": PGD(epsilon=epsilon, steps=spec["steps"]),
            "margin": PGD(epsilon=epsilon, steps=spec["steps"], objective="margin"),
        }.items()
    }


def _alarm_metrics(model: Network, images: Tensor, labels: Tensor, spec: Spec) -> dict[str, float]:
    """What alarms read beside the accuracies."""
    steps, values = spec["steps"], {}
    grey = [PGD(epsilon=LARGEST, steps=steps, objective=name)(model, images, labels) for name in ("ce", "margin")]
    values["largest_budget"] = share(~(grey[0].success | grey[1].success))
    values["zero_gradient_share"] = zero_gradient_share(model, images, labels)
    values["repeat_difference"] = repeat_difference(model, images)
    return values


def choose(tried: Mapping[float, tuple[float, float]], published: float) -> float:
    """The value with the largest worst case of those whose clean accuracy is at most CLOSE below the best one.

    >>> choose({0.1: (0.97, 0.3), 0.5: (0.965, 0.4), 2.5: (0.9, 0.6)}, published=0.1)
    0.5

    Args:
        tried: From each value to its clean accuracy and its worst case, both on validation images.
        published: Taken where several are equal and it is one of them; else the first of them is.
    """
    best = max(clean for clean, _ in tried.values())
    allowed = {value: worst for value, (clean, worst) in tried.items() if clean >= best - CLOSE - 1e-9}
    return max(allowed, key=lambda value: (allowed[value], value == published))


def choice(taken: float, tried: Mapping[float, tuple[float, float]]) -> dict[str, float]:
    """The value taken, and the clean accuracy and the worst case of every value on validation images, as metrics."""
    notes = {column("tuned"): float(taken)}
    for value, (clean, worst) in tried.items():
        notes |= {column("validation_clean", budget=value): clean, column("validation", budget=value): worst}
    return notes


def _tuned(spec: Spec, context: Context) -> tuple[Training, dict[str, float]]:
    """The network of a specification; for a tuned loss that of the value which :func:`choose` takes, and the choice."""
    if "tried" not in spec:
        return context.network(spec["network"]), {}
    base = TrainingSpec.from_dict(spec["network"])
    validation = context.dataset(base.dataset).validation
    every_image, every_label = validation.to_float(context.device)
    images, labels = validation.first(spec["validation_images"]).to_float(context.device)
    epsilon, steps = spec["epsilon"], spec["steps"]
    trained: dict[float, Training] = {}
    tried: dict[float, tuple[float, float]] = {}
    for value in spec["tried"]:
        trained[value] = context.network(base.having(spec["option"], value).as_dict())
        model = trained[value].network
        standing = torch.ones_like(labels, dtype=torch.bool)
        for objective in ("ce", "margin"):
            standing &= ~PGD(epsilon=epsilon, steps=steps, objective=objective)(model, images, labels).success
        tried[value] = (accuracy(logits_of(model, every_image), every_label), share(standing))
    taken = choose(tried, base.loss_options[spec["option"]])
    return trained[taken], choice(taken, tried)


def run(spec: Spec, context: Context) -> Outcome:
    """Train (and choose, on validation images), measure all clean test images, attack the first ``images``."""
    training, notes = _tuned(spec, context)
    model = training.network
    test = context.dataset(spec["network"]["dataset"]).test
    every_image, every_label = test.to_float(context.device)
    images, labels = test.first(spec["images"]).to_float(context.device)
    metrics = {"train_accuracy": training.accuracy} | notes
    metrics |= clean_metrics(logits_of(model, every_image), every_label) | answers(model, every_image, every_label)
    metrics |= attacked(model, images, labels, spec)
    metrics |= _at_other_budgets(model, images, labels, spec)
    return Outcome(metrics | _alarm_metrics(model, images, labels, spec))
