"""The experiments on architectures and on why the loss works: on a line every number is known. And their grids."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from drs.study.experiments import architectures
from drs.study.experiments.networks import ARCHITECTURES
from drs.study.plan import plan
from drs.study.runner import keep_freed_memory
from tests.study.oracle import Scripted, dataset, line_logits, softmax, split, training, x_of

PLACES = [(0, 0.04), (1, 0.08), (1, -0.1), (0, 0.3), (1, 0.5), (1, 0.02), (0, 0.12), (0, 0.2)]
"""Label and distance from the boundary of eight test images; the third is a clean mistake."""
HELD_OUT = [(0, 0.1), (1, 0.1), (0, 0.1), (1, -0.1)]
"""Validation: three right and one wrong, so that neither a very small nor a very large temperature is best."""
SPEC = {
    "network": training(),
    "images": 7,
    "strong_images": 6,
    "attacks": ["fgsm"],
    "epsilons": [0.0, 0.03, 0.05, 0.1],
    "epsilon": 0.05,
    "temperatures": [1.0, 10.0],
    "steps": 5,
}


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, float], dict[str, np.ndarray]]:
    outcome = architectures.run(SPEC, Scripted(data=dataset(test=PLACES, validation=HELD_OUT)))
    return dict(outcome.metrics), dict(outcome.arrays)


def test_the_attacks_see_the_first_images(found: tuple[dict[str, float], object]) -> None:
    metrics, _ = found
    assert metrics["images"] == 7.0
    assert (metrics["worst@0"], metrics["worst@0.03"], metrics["worst@0.05"]) == (6 / 7, 5 / 7, 4 / 7)
    assert metrics["accuracy"] == 7 / 8  # of all test images
    assert metrics["white@0.05"] == metrics["strong_worst@0.05"] == 3 / 6  # of the first six
    assert metrics["square_only@0.05"] == 0.0
    assert metrics["temperature_1"] == metrics["temperature_10"] == 3 / 6


def test_the_look_without_an_attack(found: tuple[dict[str, float], object]) -> None:
    """The lead is 20 times the distance and its slope 20 on one pixel, so lead over slope IS the distance."""
    metrics, _ = found
    z, labels = line_logits(x_of(split(0, PLACES))), [label for label, _ in PLACES]
    distances = [d if d > 0 else 0.0 for _, d in PLACES[:7]]
    assert metrics["linear_radius_median"] == pytest.approx(np.median(distances), abs=0.003)
    assert metrics["clean_margin_median"] == pytest.approx(20 * np.median([d for _, d in PLACES[:7]]), abs=0.06)
    slope = np.abs((softmax(z) - np.eye(3)[labels]) @ np.array([-10.0, 10.0, 0.0]))[:7]
    assert metrics["gradient_norm_median"] == pytest.approx(np.median(slope), rel=1e-3)


def test_walks_fall_as_the_line_does(found: tuple[object, dict[str, np.ndarray]]) -> None:
    """Along the sign of the gradient each lead falls by 20 for every unit; random signs do so or the opposite."""
    _, walks = found
    start = walks["gradient"][0]
    distances = np.linspace(0.0, 0.1, architectures.POINTS)
    assert walks["gradient"] == pytest.approx(start - 20 * distances, abs=1e-4)
    assert walks["random"][0] == start
    steps = np.diff(walks["random"]) / np.diff(distances) / 20 * 7
    assert steps[:-1] == pytest.approx(np.full(architectures.POINTS - 2, round(float(steps[0]))), abs=1e-3)


def test_the_temperature_is_that_of_the_held_out_images(found: tuple[dict[str, float], object]) -> None:
    """The best of a fine grid; the error after it by the definition, bin by bin."""
    metrics, _ = found
    z, labels = line_logits(x_of(split(0, HELD_OUT))), [label for label, _ in HELD_OUT]
    grid = np.linspace(0.5, 5.0, 4501)
    losses = [-np.log(softmax(z / t)[np.arange(len(labels)), labels]).mean() for t in grid]
    assert metrics["best_temperature"] == pytest.approx(grid[int(np.argmin(losses))], abs=0.002)
    probabilities = softmax(line_logits(x_of(split(0, PLACES))) / metrics["best_temperature"])
    right = [probabilities[i].argmax() == label for i, (label, _) in enumerate(PLACES)]
    gaps: dict[int, float] = {}
    for confidence, hit in zip(probabilities.max(axis=1), right):
        place = math.ceil(confidence * 15)
        gaps[place] = gaps.get(place, 0.0) + confidence - hit
    assert metrics["calibration_error_after"] == pytest.approx(sum(map(abs, gaps.values())) / 8, abs=1e-4)


def test_without_strong_images_there_is_no_strong_attack() -> None:
    metrics = architectures.run({**SPEC, "strong_images": 0}, Scripted(data=dataset(test=PLACES))).metrics
    assert not {"strong_worst@0.05", "white@0.05", "temperature_1"} & set(metrics)
    assert metrics["worst@0.05"] == 4 / 7


def test_a_temperature_is_found_from_either_side() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 4, generator=generator)
    labels = _drawn(logits, generator)
    for factor in (0.2, 1.0, 7.0):
        assert architectures.fitted_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.05)


def _drawn(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Labels drawn from the softmax of the logits: their best temperature is 1."""
    return torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)


def test_every_architecture_has_both_losses_at_every_seed() -> None:
    runs = [run.spec for run in plan("architectures", "full")]
    assert [run["network"]["seed"] for run in runs] == sorted(seed for seed in range(100, 105) for _ in range(6))
    assert {run["architecture"] for run in runs} == {"small_conv", "lenet", "mlp"}
    for run in runs:
        network = run["network"]
        assert run["variant"] == f"{run['architecture']}-{network['loss']}"
        assert network["steps"] == 2300 * (4 if network["model"] == "mlp" else 1)
        assert network["learning_rate"] == (0.03 if network["model"] == "mlp" else 0.1)
    twins: dict[tuple[str, int], list[Any]] = {}
    for run in runs:
        same = {k: v for k, v in run["network"].items() if k not in ("loss", "loss_options")}
        twins.setdefault((run["architecture"], same["seed"]), []).append(same)
    assert all(one == other for one, other in twins.values())
    quick = {run.spec["architecture"]: run.spec["network"] for run in plan("architectures", "quick")}
    assert set(quick) == set(ARCHITECTURES)
    assert quick["small_conv-plain"]["model_options"] == {"norm": False}
    assert quick["mlp-norm"]["model_options"] == {"width": 128, "norm": True}
    assert quick["lenet"]["model_options"] == {"width": 8}


def test_one_thing_of_the_training_changes_at_a_time() -> None:
    runs = [run.spec for run in plan("why", "quick")]
    levels = {(run["factor"], run["level"]) for run in runs}
    assert levels == {
        ("updates", 270),
        ("updates", 1080),
        ("updates", 4320),
        ("training images", 875),
        ("adversarial", 0.1),
    }
    usual = next(run["network"] for run in runs if (run["factor"], run["level"]) == ("updates", 1080))
    for run in runs:
        changed = {k for k, v in run["network"].items() if v != usual[k]} - {"loss", "loss_options", "seed"}
        expected = {"updates": {"steps"}, "training images": {"train_size"}, "adversarial": {"adversarial"}}
        assert changed <= expected[run["factor"]], run["factor"]
        assert run["strong_images"] == 0


def test_keeping_memory_is_harmless_and_repeatable() -> None:
    keep_freed_memory()
    keep_freed_memory()
    assert torch.ones(4_000_000).sum() == 4e6


def test_on_another_data_set_the_networks_train_longer_on_as_many_images() -> None:
    digits, clothes = (plan("architectures", "quick", dataset=name) for name in ("mnist5k", "fashion_mnist"))
    assert {run.spec["architecture"] for run in clothes} == {"small_conv", "lenet", "mlp"}
    here = {(run.spec["variant"], run.spec["network"]["seed"]): run.spec for run in digits}
    for run in clothes:
        spec = here[run.spec["variant"], run.spec["network"]["seed"]]
        changed = {"dataset": "fashion_mnist", "train_size": 3500, "steps": 4 * spec["network"]["steps"]}
        assert run.spec == {**spec, "network": {**spec["network"], **changed}}
    assert plan("architectures", "full", dataset="cifar10")[0].spec["network"]["train_size"] is None
