"""Alarms: what must not happen in an evaluation whose numbers are to be believed, and the measurements behind them.

An alarm does not say that a network is weak. It says that an attack was: that gradients are masked, or that the
evaluation is broken, so that the robust accuracy beside it is too high (Carlini et al. 2019, arXiv 1902.06705).

Two kinds of limits, so that chance alone seldom fires:

- A difference of two accuracies over n images may be as large as twice the binomial standard error of the smaller of
  them, and at least 0.01. (The same images stand on both sides, so the real error is smaller: a cautious alarm.)
- The share of images that ONLY a weaker attack fools, which ought to be none, fires where it exceeds 0.002 beyond
  binomial chance: where the exact one-sided 95% lower bound of the share (Clopper and Pearson) lies above 0.002.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._checks import check_images
from drs.attacks import PGD, Adversarials
from drs.attacks.base import attackable
from drs.errors import UsageError

BLACK_BOX_MARGIN = 0.002
"""Share of images by which a weaker attack may win, AutoAttack's own limit."""
STILL_FALLING = 0.02
"""Fall of accuracy that the last increase of steps or restarts may bring."""
LOSS_GAP = 0.05
"""By how much cross-entropy's accuracy may at least exceed the margin's, or that of another temperature."""


@dataclass(frozen=True)
class Alarm:
    """One check.

    Attributes:
        name: Short, for tables.
        fired: Whether ``value`` is beyond ``limit``.
        value: What was measured.
        limit: The largest value that raises no alarm.
        meaning: What it means if it fired, in one sentence.
    """

    name: str
    fired: bool
    value: float
    limit: float
    meaning: str


MEANINGS = {
    "one step wins": "One gradient step fools more than many: the steps are lost in a masked or broken gradient.",
    "large budget survives": "Half the pixel range makes any image grey, so accuracy there is the attack's failure.",
    "not monotone": "A larger budget contains the smaller one: more accuracy there is the attack's failure.",
    "steps not converged": "More steps still find more: the number is not final.",
    "restarts not converged": "More restarts still find more: the number is not final.",
    "zero gradients": "The input gradient of some images is exactly zero: there is nothing to follow.",
    "precision matters": "The attack does otherwise in float64: rounding hides the gradient.",
    "cross-entropy misleads": "Cross-entropy leaves many images standing that the margin fools: never quote it alone.",
    "black box wins": "Random search without gradients fools images that no gradient attack did.",
    "transfer wins": "Another network's adversarials fool images that no gradient attack on this one did.",
    "noise wins": "Random points of the ball fool images that no gradient attack did.",
    "temperature matters": "Dividing the logits by a constant, which changes no answer, lets the attack find more.",
    "minimal norm disagrees": "The minimal-distance attack is beaten at its own task by attacks of fixed budget.",
    "randomised": "Two looks at the same images give other logits: average over the randomness before attacking.",
}
"""Every alarm with what it means."""


def difference_limit(accuracy: float, images: float) -> float:
    """What a difference of accuracies over the same images may be: two binomial standard errors, at least 0.01."""
    return max(0.01, 2.0 * math.sqrt(max(0.0, accuracy * (1.0 - accuracy)) / images))


def exceeds_chance(share: float, images: float, limit: float = BLACK_BOX_MARGIN) -> bool:
    """Whether the exact one-sided 95% lower bound of a share of ``images`` lies above ``limit``."""
    from scipy.stats import beta

    count = round(share * images)
    return count > 0 and bool(beta.ppf(0.05, count, images - count + 1) > limit)


def at_budgets(metrics: Mapping[str, float], name: str) -> dict[float, float]:
    """``name@budget`` of metrics as budget to value, in increasing order."""
    found = {float(k.split("@")[1]): float(v) for k, v in metrics.items() if k.split("@")[0] == name and "@" in k}
    return dict(sorted(found.items()))


def _numbered(metrics: Mapping[str, float], prefix: str) -> list[float]:
    """Values of ``prefix`` + number, in the order of the numbers."""
    found = {float(k.removeprefix(prefix)): float(v) for k, v in metrics.items() if k.startswith(prefix)}
    return [found[number] for number in sorted(found)]


def _largest_difference(high: Iterable[float], low: Iterable[float], images: float) -> tuple[float, float]:
    """Of ``high`` minus ``low``, the one that lies farthest beyond its limit, and that limit."""
    pairs = [(a - b, difference_limit(min(a, b), images)) for a, b in zip(high, low)]
    return max(pairs, key=lambda pair: pair[0] - pair[1])


def alarms(metrics: Mapping[str, float]) -> list[Alarm]:
    """Every alarm whose numbers are among the metrics of a ``stress`` record, fired or not.

    Args:
        metrics: ``attack@budget`` accuracies (``fgsm``, ``ce``, ``margin``, ``dlr``, ``scaled_ce``, ``targeted``,
            ``square``, ``transfer``, ``noise``), ``square_only@budget`` and the like (share of images that only this
            attack fools), ``images``, ``square_images``, ``ce_steps_N``, ``margin_steps_N``, ``margin_restarts_N``,
            ``temperature_T``, ``largest_budget``, ``zero_gradient_share``, ``float64_difference``,
            ``repeat_difference``, ``ddn_median`` and ``linf_l2_median``.

    Returns:
        In the order of :data:`MEANINGS`; a check whose numbers are missing is left out.

    Raises:
        UsageError: No ``images``, which every tolerance needs.
    """
    if not metrics.get("images", 0.0) >= 1.0:
        raise UsageError("expected metrics with images, the number of images attacked")
    images = float(metrics["images"])
    measured: dict[str, tuple[float, float, bool]] = {}

    def above(name: str, value: float, limit: float) -> None:
        measured[name] = value, limit, not value <= limit

    curves = {name: at_budgets(metrics, name) for name in ("fgsm", "ce", "scaled_ce", "margin", "dlr", "targeted")}
    iterative, one_step, margin = curves["ce"], curves["fgsm"], curves["margin"]
    if iterative and one_step.keys() == iterative.keys():
        above("one step wins", *_largest_difference(iterative.values(), one_step.values(), images))
    if "largest_budget" in metrics:
        above("large budget survives", metrics["largest_budget"], 0.01)
    rises = [_largest_difference(v[1:], v[:-1], images) for v in map(_values, curves.values()) if len(v) > 1]
    if rises:
        above("not monotone", *max(rises, key=lambda pair: pair[0] - pair[1]))
    for kind, prefixes in (("steps", ("ce_steps_", "margin_steps_")), ("restarts", ("margin_restarts_",))):
        falls = [v[-2] - v[-1] for v in (_numbered(metrics, prefix) for prefix in prefixes) if len(v) > 1]
        if falls:
            above(f"{kind} not converged", max(falls), STILL_FALLING)
    if "zero_gradient_share" in metrics:
        above("zero gradients", metrics["zero_gradient_share"], 0.0)
    if "float64_difference" in metrics:
        above("precision matters", metrics["float64_difference"], 0.01)
    if iterative and margin.keys() == iterative.keys():
        value, limit = _largest_difference(iterative.values(), margin.values(), images)
        above("cross-entropy misleads", value, max(LOSS_GAP, limit))
    for name, key, count in (
        ("black box wins", "square_only", float(metrics.get("square_images", images))),
        ("transfer wins", "transfer_only", images),
        ("noise wins", "noise_only", images),
    ):
        shares = _values(at_budgets(metrics, key))
        if shares:
            measured[name] = max(shares), BLACK_BOX_MARGIN, exceeds_chance(max(shares), count)
    others = _numbered(metrics, "temperature_")
    if len(others) > 1 and "temperature_1" in metrics:
        limit = max(LOSS_GAP, difference_limit(min(others), images))
        above("temperature matters", metrics["temperature_1"] - min(others), limit)
    if {"ddn_median", "linf_l2_median"} <= metrics.keys():
        above("minimal norm disagrees", metrics["ddn_median"], metrics["linf_l2_median"])
    if "repeat_difference" in metrics:
        above("randomised", metrics["repeat_difference"], 0.0)
    return [
        Alarm(name, measured[name][2], measured[name][0], measured[name][1], meaning)
        for name, meaning in MEANINGS.items()
        if name in measured
    ]


def _values(found: Mapping[float, float]) -> list[float]:
    return list(found.values())


def fired(metrics: Mapping[str, float]) -> list[str]:
    """Names of the alarms that fired."""
    return [alarm.name for alarm in alarms(metrics) if alarm.fired]


def gradient_norms(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """L2 norm of the gradient of cross-entropy with respect to each image.

    Args:
        network: Returns raw logits (N, classes).
        images: (N, C, H, W) in [0, 1].
        labels: (N,) int64.

    Returns:
        (N,), >= 0, in nats a unit of pixel.

    Raises:
        UsageError: Images or labels that do not fit.
    """
    check_images(images, labels)
    with attackable(network), torch.enable_grad():
        moved = images.detach().clone().requires_grad_(True)
        loss = F.cross_entropy(network(moved), labels, reduction="sum")
        if not loss.requires_grad:  # the network lets no gradient through at all
            return images.new_zeros(len(images))
        (gradient,) = torch.autograd.grad(loss, moved)
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return norms


def zero_gradient_share(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of the images whose gradient of cross-entropy is exactly zero in every pixel (or not a number).

    Args and errors are those of :func:`gradient_norms`.
    """
    return float((~(gradient_norms(network, images, labels) > 0.0)).double().mean())


class Tempered(nn.Module):
    """A network whose logits are divided by a temperature: the same answers, another cross-entropy.

    Args:
        network: Returns raw logits.
        temperature: > 0.
    """

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        if not temperature > 0.0:
            raise UsageError(f"expected temperature > 0, got {temperature}")
        self.network, self.temperature = network, temperature

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) over the temperature."""
        logits: Tensor = self.network(images) / self.temperature
        return logits


def temperature_sweep(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    temperatures: Iterable[float] = (0.1, 1.0, 10.0, 100.0),
    steps: int = 20,
) -> dict[float, Adversarials]:
    """PGD on cross-entropy against the network at other temperatures: temperature to what it made.

    Success does not depend on the temperature, so the adversarials hold for the network itself.

    Raises:
        UsageError: A temperature <= 0, or what the attack raises.
    """
    attack = PGD(epsilon=epsilon, steps=steps, keep="last")
    return {t: attack(Tempered(network, t), images, labels) for t in temperatures}


def float64_check(
    network: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, steps: int = 20, objective: str = "margin"
) -> tuple[float, float]:
    """Accuracy under PGD from the images themselves, in float32 and on a copy of the network in float64.

    Nothing in it is random, so the two differ by rounding alone. (MPS has no float64: there the copy is on the CPU.)

    Raises:
        UsageError: What the attack raises.
    """
    attack = PGD(epsilon=epsilon, steps=steps, objective=objective, random_start=False, keep="last")
    single = attack(network, images, labels).robust_accuracy(labels)
    if images.device.type == "mps":
        images, labels = images.cpu(), labels.cpu()
    twin = copy.deepcopy(network).to(images.device, torch.float64)
    return single, attack(twin, images.double(), labels).robust_accuracy(labels)


@torch.no_grad()
def repeat_difference(network: nn.Module, images: Tensor) -> float:
    """Largest change of a logit between two looks at the same images, in evaluation mode; 0 for a fixed network."""
    with attackable(network):
        return float((network(images) - network(images)).abs().max())
