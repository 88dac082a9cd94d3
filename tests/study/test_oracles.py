"""Every experiment is right, not only running: its numbers for a network and images whose outcome is known by hand.

What a test would see: another split of the data, another label, another budget, another number of images, another
network, a mistake on clean images that is kept or left out, a difference with the wrong sign.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from drs.attacks import CarliniWagnerL2
from drs.study.experiments import anatomy, constant, correlation, cost, losses, stress, theory
from tests.study.oracle import (
    FLOOR,
    Array,
    Blind,
    Line,
    Scripted,
    dataset,
    line_logits,
    softmax,
    split,
    tags_of,
    training,
    x_of,
)

Places: TypeAlias = Sequence[tuple[int, float]]

PLACES = [(0, 0.02), (1, 0.04), (0, -0.1), (0, 0.08), (1, 0.15), (1, 0.55), (1, 0.3), (0, 0.03)]
"""Test images: label and distance; the third is a mistake. The experiments attack the first seven."""
FEW = 7
SPREADS = ("std", "variance", "entropy")


def expected_spread(z: Array, labels: Sequence[int]) -> dict[str, Array]:
    """Every measure of the false classes, image by image."""
    each: dict[str, list[float]] = {f"{m}_{k}": [] for m in SPREADS for k in ("logits", "probabilities")}
    for row, p, label in zip(z, softmax(z), labels):
        false, q = np.delete(row, label), np.delete(p, label)
        share = np.exp(false - false.max()) / np.exp(false - false.max()).sum()
        each["std_logits"].append(false.std())
        each["variance_logits"].append(false.var())
        each["std_probabilities"].append(q.std())
        each["variance_probabilities"].append(q.var())
        each["entropy_logits"].append(-(share * np.log(share)).sum() / math.log(2))
        each["entropy_probabilities"].append(-(q * np.log(q)).sum() / (2 / math.e))
    return {name: np.array(values) for name, values in each.items()}


def after(places: Places, epsilon: float) -> Array:
    """x of the test images after an attack that moves them by the whole budget to the other side."""
    x = x_of(split(0, places))
    step = np.array([-epsilon if label else epsilon for label, _ in places])
    moved: Array = np.clip(x + step, 0.0, 1.0)
    return moved


def surviving(places: Places, epsilon: float) -> float:
    return sum(d > epsilon for _, d in places) / len(places)


# --- anatomy ---------------------------------------------------------------------------------------------------------


def test_anatomy_is_that_of_a_line() -> None:
    places = [(0, -0.1), (1, 0.55), (1, 0.15), (0, 0.08), (1, 0.04)]
    context = Scripted(data=dataset(test=[*places, (0, 0.01), (0, 0.02)], train=[(0, 0.01)] * 9))
    spec = {"network": training(), "images": 5, "epsilon": 0.1, "budgets": [0.05, 0.2]}
    found = anatomy.run(spec, context)
    labels = [label for label, _ in places]
    before, moved = line_logits(after(places, 0.0)), line_logits(after(places, 0.1))
    metrics = dict(found.metrics)
    assert metrics["accuracy"] == 4 / 5
    assert metrics["images"] == 5.0
    # fooled are those that are right when clean and fall at 0.1: not the mistake, though the attack "succeeds" on it
    assert metrics["fooled"] == 2.0
    assert metrics["label"] == 0.0
    np.testing.assert_allclose(found.arrays["logits"][0], before[3], atol=1e-4)
    np.testing.assert_allclose(found.arrays["logits"][1:], moved[[3, 3, 3]], atol=1e-3)
    np.testing.assert_allclose(found.arrays["probabilities"], softmax(found.arrays["logits"].astype(float)), atol=1e-5)
    pictures = found.arrays["images"]
    assert (pictures.shape, pictures.dtype) == ((4, 1, 1, 3), np.uint8)
    assert tags_of(pictures / 255.0) == {"test"}
    np.testing.assert_allclose(pictures[:, 0, 0, 1], np.array([0.32, 0.42, 0.42, 0.42]) * 255, atol=1.0)
    old, new = expected_spread(before, labels), expected_spread(moved, labels)
    for name, values in old.items():
        assert metrics[f"{name}_before"] == pytest.approx(values.mean(), rel=1e-3, abs=1e-6), name
        assert metrics[f"{name}_after"] == pytest.approx(new[name].mean(), rel=1e-3, abs=1e-6), name
        assert metrics[f"{name}_rises"] == (new[name] > values)[[3, 4]].mean(), name
    # by hand: false logits (-0.8, -8) before and (0.2, -8) after, so that their distance grows
    assert metrics["std_logits_rises"] == 1.0
    assert metrics["entropy_logits_rises"] == 0.0
    for epsilon in (0.05, 0.2):
        assert metrics[f"pgd@{epsilon:g}"] == pytest.approx(surviving(places, epsilon))
        there = expected_spread(line_logits(after(places, epsilon)), labels)["std_probabilities"].mean()
        assert metrics[f"std_probabilities@{epsilon:g}"] == pytest.approx(there, rel=1e-3)
    assert {k for k in metrics if "@" in k} == {f"{n}@{e}" for n in ("pgd", "std_probabilities") for e in (0.05, 0.2)}


def test_anatomy_shows_the_first_image_where_none_is_fooled() -> None:
    context = Scripted(data=dataset(test=[(1, 0.55), (0, 0.3)]))
    found = anatomy.run({"network": training(), "images": 2, "epsilon": 0.05, "budgets": [0.05]}, context)
    assert (found.metrics["fooled"], found.metrics["label"]) == (0.0, 1.0)
    assert not [name for name in found.metrics if name.endswith("_rises")]
    np.testing.assert_allclose(found.arrays["logits"][0], [-5.5, 5.5, FLOOR], atol=0.05)


# --- losses and the population ---------------------------------------------------------------------------------------


def check_clean(metrics: dict[str, float], places: Places) -> None:
    """Clean numbers are those of ALL eight test images; training accuracy is the training's own."""
    z, labels = line_logits(x_of(split(0, places))), [label for label, _ in places]
    assert metrics["train_accuracy"] == 0.875
    assert metrics["accuracy"] == 7 / 8
    nll = -np.log(softmax(z)[np.arange(len(places)), labels])
    assert metrics["cross_entropy"] == pytest.approx(nll.mean(), rel=1e-3)
    for name, values in expected_spread(z, labels).items():
        assert metrics[f"{name}_mean"] == pytest.approx(values.mean(), rel=1e-3, abs=1e-6), name
        assert metrics[f"{name}_median"] == pytest.approx(np.sort(values)[3], rel=1e-3, abs=1e-6), name


def check_curves(metrics: dict[str, float], places: Places, attacks: Sequence[str], epsilons: Sequence[float]) -> None:
    """Curves are those of the first images, at the budgets of the specification, by its attacks only."""
    for epsilon in epsilons:
        for name in ["worst", *(attacks if epsilon else [])]:
            assert metrics[f"{name}@{epsilon:g}"] == surviving(places[:FEW], epsilon), (name, epsilon)
    assert {name for name in metrics if "@" in name} == {
        f"{name}@{epsilon:g}" for epsilon in epsilons for name in ["worst", *(attacks if epsilon else [])]
    }


def test_losses_are_those_of_a_line() -> None:
    context = Scripted(data=dataset(test=PLACES))
    spec = {"variant": "x", "network": training(), "images": FEW, "epsilons": [0.0, 0.03, 0.1], "attacks": ["fgsm"]}
    metrics = dict(losses.run(spec, context).metrics)
    check_clean(metrics, PLACES)
    check_curves(metrics, PLACES, ["fgsm"], [0.0, 0.03, 0.1])
    assert metrics["worst_area"] == pytest.approx((0.03 * (6 + 5) / 14 + 0.07 * (5 + 3) / 14) / 0.1)
    assert [values["loss"] for values in context.asked] == ["ce"]


def test_a_member_of_the_population_is_measured_right() -> None:
    places = [(0, 0.12), (1, 0.25), (2, -0.1), (0, 0.3), (1, 0.5), (1, 0.04), (0, 0.02), (0, 0.03)]
    context = Scripted(data=dataset(test=places))
    epsilons = [0.0, 0.03, 0.06, 0.2, 0.28, 0.4]
    spec = {"network": training(), "images": FEW, "few_images": 5, "epsilons": epsilons, "attacks": ["fgsm", "margin"]}
    metrics = dict(correlation.run(spec, context).metrics)
    check_clean(metrics, places)
    check_curves(metrics, places, ["fgsm", "margin"], epsilons)
    # distances of the first five, in order: 0 (the mistake), 0.12, 0.25, 0.3, 0.5
    for name in ("ddn", "deepfool", "carlini_wagner"):
        assert metrics[f"{name}_median"] == pytest.approx(0.25, rel=0.1), name
    # of the six that are right: when they fell, 0.8 standing for never, against the spread of their false classes
    fell = [0.2, 0.28, 0.4, 0.8, 0.06, 0.03]
    kept = [place for number, place in enumerate(places[:FEW]) if number != 2]
    spread = expected_spread(line_logits(x_of(split(0, kept))), [label for label, _ in kept])
    for name in ("std_logits", "std_probabilities", "entropy_logits"):
        expected = spearmanr(spread[name], fell).statistic
        assert metrics[f"sample_spearman_{name}"] == pytest.approx(expected), name
    # the farther from the boundary, the nearer the two false logits: -10 d and -8 (the mistake, of class 2, is not so)
    assert metrics["sample_spearman_std_logits"] == pytest.approx(-1.0)
    assert metrics["sample_spearman_entropy_logits"] == pytest.approx(1.0)


def test_a_minimal_attack_that_fails_counts_as_infinitely_far() -> None:
    """A slope of zero answers class 0 everywhere: of three images two cannot fall, and the mistake is at 0."""
    context = Scripted(data=dataset(test=[(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.3)]), network_of=lambda values: Line(0.0))
    spec = {"network": training(), "images": 4, "few_images": 3, "epsilons": [0.0, 0.1], "attacks": ["fgsm"]}
    metrics = correlation.run(spec, context).metrics
    assert metrics["ddn_median"] == metrics["deepfool_median"] == metrics["carlini_wagner_median"] == math.inf


# --- constant --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AsFarAsTheConstant(CarliniWagnerL2):
    """Moves x by a hundredth of the constant to the other side; notes itself and what it is given."""

    seen: ClassVar[list[tuple[CarliniWagnerL2, Tensor]]] = []

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        self.seen.append((self, inputs))
        moved = inputs.clone()
        moved[:, 0, 0, 1] += torch.where(labels == 0, 1.0, -1.0) * self.initial_const / 100
        return moved


def test_one_descent_for_each_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constant, "CarliniWagnerL2", AsFarAsTheConstant)
    AsFarAsTheConstant.seen.clear()
    context = Scripted(data=dataset(test=PLACES))
    spec = {"network": training("rce"), "images": FEW, "constants": [1.0, 3.0, 10.0], "max_iterations": 17}
    metrics = constant.run(spec, context).metrics
    expected = {f"accuracy@{c:g}": surviving(PLACES[:FEW], c / 100) for c in (1, 3, 10)}
    assert metrics == pytest.approx(expected)
    for (attack, inputs), c in zip(AsFarAsTheConstant.seen, (1.0, 3.0, 10.0), strict=True):
        assert (attack.search_steps, attack.initial_const, attack.max_iterations) == (1, c, 17)
        assert (attack.target, attack.confidence, attack.seed) == ("random", 0.0, 0)
        assert (len(inputs), tags_of(inputs)) == (FEW, {"test"})
    assert [values["loss"] for values in context.asked] == ["rce"]


def test_the_control_is_divided_to_the_lead_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads are 2 slope |d|, so a network of slope 10 is to one of slope 4 as 2.5; the boundaries differ too."""
    monkeypatch.setattr(constant, "CarliniWagnerL2", AsFarAsTheConstant)
    AsFarAsTheConstant.seen.clear()
    held_out = [(0, 0.1), (1, 0.2), (0, 0.3)]
    slopes = {"ce": 10.0, "rce": 4.0}
    context = Scripted(
        data=dataset(test=PLACES, validation=held_out), network_of=lambda values: Line(slope=slopes[values["loss"]])
    )
    spec = {"network": training("rce"), "control": training("ce"), "images": FEW, "constants": [3.0]}
    metrics = constant.run(spec | {"max_iterations": 5}, context).metrics
    assert metrics["divisor"] == pytest.approx(2.5)
    assert metrics["accuracy@3"] == metrics["rescaled@3"] == pytest.approx(surviving(PLACES[:FEW], 0.03))
    assert len(AsFarAsTheConstant.seen) == 2
    assert tags_of(AsFarAsTheConstant.seen[1][1]) == {"test"}


# --- theory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["ce", "drs", "rce"])
def test_alpha_and_gap_of_a_line(loss: str) -> None:
    """alpha: how far what was trained on is from its label; gap: largest minus smallest false probability at test."""
    context = Scripted(data=dataset(test=PLACES))
    found = theory.run({"network": training(loss), "images": FEW}, context)
    alpha, gap = [], []
    for (label, d), z in zip(PLACES[:FEW], line_logits(x_of(split(0, PLACES[:FEW])))):
        if d < 0:
            continue  # a clean mistake has no place in the figure
        target = np.eye(3)[label]
        if loss == "rce":
            target = (1 - target) / 2
        trained_on = softmax(-z[None] if loss == "rce" else z[None])[0]
        alpha.append(np.abs(trained_on - target).max())
        false = np.delete(softmax(z[None])[0], label)
        gap.append(false.max() - false.min())
    np.testing.assert_allclose(found.arrays["alpha"], alpha, rtol=1e-4)
    np.testing.assert_allclose(found.arrays["gap"], gap, rtol=1e-4)
    assert found.metrics["alpha_median"] == pytest.approx(np.median(alpha), rel=1e-4)
    assert found.metrics["gap_median"] == pytest.approx(np.median(gap), rel=1e-4)
    slope = np.polyfit(np.log(alpha), np.log(gap), 1)[0]
    assert found.metrics["slope"] == pytest.approx(slope, rel=1e-3)


def test_the_bound_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three classes, one draw of errors (0.5, 0.2, -0.1) per unit, the true class first.

    CE: the label is (1, 0, 0), false errors are made positive (0.2, 0.1), the true one takes their sum, -0.3, and all
    are scaled until the largest is alpha: false probabilities 2 alpha / 3 and alpha / 3, gap alpha / 3.
    RCE: the label is (0, 1/2, 1/2); the true error stays 0.5, the others give up half the sum 0.6 each: (-0.1, -0.4);
    scaled, the softmax is (alpha, 1/2 - alpha / 5, 1/2 - 4 alpha / 5), and the network at test has one over it.
    """

    class Drawn:
        def uniform(self, low: float, high: float, shape: tuple[int, int]) -> Array:
            assert (low, high) == (-1.0, 1.0)
            return np.tile([0.5, 0.2, -0.1], (shape[0], 1))

    monkeypatch.setattr(theory, "CLASSES", 3)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Drawn())
    alphas = [1e-4, 1e-3, 1e-2]
    found = theory.run({"draws": 4, "alphas": alphas, "seed": 0}, Scripted())
    np.testing.assert_allclose(found.arrays["alpha"], alphas)
    np.testing.assert_allclose(found.arrays["gap.ce"], [a / 3 for a in alphas])
    at_test = [1 / np.array([a, 0.5 - a / 5, 0.5 - 4 * a / 5]) for a in alphas]
    np.testing.assert_allclose(found.arrays["gap.rce"], [(v[2] - v[1]) / v.sum() for v in at_test])
    # label smoothing 0.1: the label is (0.9 + 1/30, 1/30, 1/30), false errors keep their sign: (-0.1, 0.2, -0.1)
    np.testing.assert_allclose(found.arrays["gap.label_smoothing"], [1.5 * a for a in alphas])
    assert found.metrics["slope.ce"] == pytest.approx(1.0)
    assert found.metrics["slope.rce"] == pytest.approx(2.0, abs=0.01)
    assert found.metrics["slope.label_smoothing"] == pytest.approx(1.0)


def test_the_bound_draws_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def gap(kind: str, alpha: float, draws: int, seed: int) -> float:
        seen.append((kind, alpha, draws, seed))
        return alpha**3

    monkeypatch.setattr(theory, "false_class_gap", gap)
    found = theory.run({"draws": 7, "alphas": [0.1, 0.2], "seed": 5}, Scripted())
    assert seen == [(kind, alpha, 7, 5) for kind in ("ce", "label_smoothing", "rce") for alpha in (0.1, 0.2)]
    assert found.metrics == pytest.approx({f"slope.{kind}": 3.0 for kind in ("ce", "label_smoothing", "rce")})


# --- cost ------------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still but for the work that is put on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shapes: set[tuple[int, ...]] = set()

    def loss(self, name: str, spent: float, buffers: int) -> Any:
        """A loss that takes ``spent`` seconds and keeps ``buffers`` tensors of the size of the logits."""

        def work(logits: Tensor, target: Tensor) -> Tensor:
            self.now += spent
            self.shapes.add((*logits.shape, len(target)))
            kept = logits.square().sum()  # the square keeps the logits, which were there before
            return kept + torch.stack([(number * logits).exp().sum() for number in range(1, buffers + 1)]).sum()

        return work


@pytest.mark.parametrize("naive", [True, False])
def test_the_cost_of_losses_of_known_cost(naive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "process_time", lambda: clock.now)
    known = {"ce": (1.0, 1), "drs": (1.5, 3), "naive": (40.0, 2)}
    monkeypatch.setattr(cost, "CONTENDERS", {name: clock.loss(name, *what) for name, what in known.items()})
    spec = {"kind": "loss", "batch": 4, "tokens": 3, "classes": 5, "naive": naive, "repetitions": 7}
    found = cost.run(spec, Scripted())
    assert clock.shapes == {(12, 5, 12)}
    expected = {"memory_ratio": 3.0, "ce_bytes": 240.0, "drs_bytes": 720.0, "ce_milliseconds": 1e3}
    expected |= {"drs_milliseconds": 1.5e3, "drs_ratio": 1.5, "drs_ratio_low": 1.5, "drs_ratio_high": 1.5}
    if naive:
        expected |= {"naive_bytes": 480.0, "naive_milliseconds": 40e3}
        expected |= {"naive_ratio": 40.0, "naive_ratio_low": 40.0, "naive_ratio_high": 40.0}
    assert found.metrics == pytest.approx(expected)
    counts = {name: len(spent) for name, spent in found.arrays.items()}
    assert counts == {"ce": 7, "drs": 7} | ({"naive": 5} if naive else {})


def test_a_training_step_is_timed_with_its_own_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "process_time", lambda: clock.now)
    known = {"ce": (2.0, 1), "drs": (5.0, 1), "naive": (9.0, 1)}
    monkeypatch.setattr(cost, "CONTENDERS", {name: clock.loss(name, *what) for name, what in known.items()})
    spec = {"kind": "training", "model": "mlp", "model_options": {"size": 4, "width": 3}, "channels": 2, "size": 4}
    found = cost.run({**spec, "batch": 6, "classes": 7, "repetitions": 3}, Scripted())
    assert clock.shapes == {(6, 7, 6)}
    assert found.metrics["drs_ratio"] == 2.5
    assert (found.metrics["ce_milliseconds"], found.metrics["drs_milliseconds"]) == (2e3, 5e3)
    assert not [name for name in found.metrics if name.startswith(("naive", "eager"))]
    assert {name: list(spent) for name, spent in found.arrays.items()} == {"ce": [2.0] * 3, "drs": [5.0] * 3}


# --- stress ----------------------------------------------------------------------------------------------------------

STRESS = {
    "network": training("drs"),
    "source": training("ce"),
    "images": FEW,
    "few_images": 4,
    "curve_images": 5,
    "budgets": [0.1, 0.03, 0.05],
    "steps": 10,
    "step_curve": [10, 20],
    "restarts": 2,
    "queries": 20,
    "draws": 30,
    "temperatures": [1.0, 10.0],
    "ddn_steps": 100,
}


def stressed(places: Places, model: Line, source: Line, **changes: Any) -> dict[str, float]:
    context = Scripted(
        data=dataset(test=places, validation=[(0, 0.01)] * 9, train=[(0, 0.01)] * 9),
        network_of=lambda values: {"drs": model, "ce": source}[values["loss"]],
    )
    return dict(stress.run({**STRESS, **changes}, context).metrics)


def test_stress_is_that_of_a_line() -> None:
    """The source believes the opposite: its adversarials lead away from this network's boundary."""
    metrics = stressed(PLACES, Line(), Line(slope=-10.0))
    first = PLACES[:FEW]
    assert metrics["accuracy"] == 7 / 8
    assert metrics["clean"] == 6 / 7
    assert (metrics["images"], metrics["square_images"]) == (7.0, 4.0)
    for e in (0.03, 0.05, 0.1):
        at = f"@{e:g}"
        for name in ("fgsm", *stress.OBJECTIVES, "white", "strong_worst", "noise"):
            assert metrics[name + at] == surviving(first, e), name + at
        for name in ("targeted", "square", "white_few"):
            assert metrics[name + at] == surviving(first[:4], e), name + at
        assert metrics[f"transfer{at}"] == 6 / 7
        assert [metrics[f"{name}_only{at}"] for name in ("transfer", "noise", "square")] == [0.0, 0.0, 0.0]
    for name in ("ce_steps_10", "ce_steps_20", "margin_steps_10", "margin_steps_20"):
        assert metrics[name] == surviving(first[:5], 0.05), name
    for name in ("margin_restarts_1", "margin_restarts_2", "temperature_1", "temperature_10", "float32", "float64"):
        assert metrics[name] == pytest.approx(surviving(first, 0.05)), name
    assert metrics["largest_budget"] == pytest.approx(1 / 7)  # 0.55 from the boundary, beyond half the pixel range
    assert (metrics["float64_difference"], metrics["repeat_difference"], metrics["zero_gradient_share"]) == (0, 0, 0)
    z, labels = line_logits(x_of(split(0, first))), [label for label, _ in first]
    slope = np.abs((softmax(z) - np.eye(3)[labels]) @ np.array([-10.0, 10.0, 0.0]))
    assert metrics["gradient_norm_median"] == pytest.approx(np.median(slope), rel=1e-3)
    # the first four in order of distance: the mistake, which counts as 0, then 0.02, 0.04 and 0.08
    assert metrics["ddn_median"] == pytest.approx(0.04, rel=0.1)
    assert 0.04 - 0.003 < metrics["linf_l2_median"] < 0.08


def test_what_only_a_weaker_attack_fools_is_counted_as_such() -> None:
    """No gradient reaches the pixels, and random points hardly ever cross: two of four images lie just within reach.

    A gradient that sees finds the boundary for both; random search goes to the corners of the ball and finds it too.
    """
    places = [(0, 13 / 255), (1, 13 / 255), (0, -0.2), (1, 0.5)]  # 0.05098
    metrics = stressed(places, Blind(), Line(), images=4, few_images=4, curve_images=4, draws=1, budgets=[0.0511])
    at = "@0.0511"
    for name in ("fgsm", *stress.OBJECTIVES, "targeted", "white", "white_few", "noise"):
        assert metrics[name + at] == 3 / 4, name
    assert (metrics[f"transfer{at}"], metrics[f"transfer_only{at}"]) == (1 / 4, 2 / 4)
    assert (metrics[f"square{at}"], metrics[f"square_only{at}"]) == (1 / 4, 2 / 4)
    assert (metrics[f"noise_only{at}"], metrics[f"strong_worst{at}"]) == (0.0, 1 / 4)
    assert metrics["zero_gradient_share"] == 1.0


def test_every_draw_of_noise_is_another_one() -> None:
    """An image at 0.6 of the budget survives a draw in four of five; thirty draws leave hardly one of twelve."""
    places = [(label, 0.06) for label in (0, 1)] * 6
    metrics = stressed(places, Blind(), Line(-10.0), images=12, few_images=2, curve_images=2, budgets=[0.1], restarts=1)
    assert metrics["noise@0.1"] < 0.2
    once = stressed(
        places, Blind(), Line(-10.0), images=12, few_images=2, curve_images=2, budgets=[0.1], restarts=1, draws=1
    )
    assert once["noise@0.1"] > 0.4
