"""The grids: what they hold under every profile, what their keys depend on; every experiment once from end to end."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drs.errors import UsageError
from drs.losses import get_loss
from drs.study.experiments import EXPERIMENTS, Context, Spec, get_experiment, grids, networks
from drs.study.plan import plan
from drs.study.profiles import PROFILES, get_profile
from drs.study.records import Run
from drs.study.runner import compute
from drs.training.datasets import DATASETS
from drs.training.models import build_model
from drs.training.spec import TrainingSpec

CPU = torch.device("cpu")
BOTH = pytest.mark.parametrize("profile", sorted(PROFILES))
ALL = pytest.mark.parametrize("name", sorted(EXPERIMENTS))


@pytest.fixture(scope="module", autouse=True)
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One folder of checkpoints for this file, so that experiments share their networks as they do in a sweep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRS_CHECKPOINTS", str(tmp_path_factory.mktemp("checkpoints")))
        yield


def networks_in(value: object) -> list[Mapping[str, Any]]:
    """Every training specification inside a specification."""
    if isinstance(value, Mapping):
        here = [value] if {"dataset", "loss", "seed"} <= set(value) else []
        return here + [found for inner in value.values() for found in networks_in(inner)]
    return [found for inner in value for found in networks_in(inner)] if isinstance(value, list) else []


def test_the_known_experiments_are_there_under_their_own_names() -> None:
    assert {"anatomy", "correlation", "losses"} <= set(EXPERIMENTS)
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name == get_experiment(name).name
        assert experiment.version >= 1
        assert 10 < len(experiment.title) < 100
        assert "\n" not in experiment.title
    with pytest.raises(UsageError, match=r"unknown experiment 'loses': expected one of .*losses"):
        get_experiment("loses")


@ALL
@BOTH
def test_every_grid_is_plain_unique_and_stable(name: str, profile: str) -> None:
    runs = plan(name, profile)
    keys = [run.key for run in runs]
    assert keys
    assert len(set(keys)) == len(keys)
    assert [run.key for run in plan(name, profile)] == keys
    for run in runs:
        text = json.dumps(run.spec, allow_nan=False)
        assert Run(name, run.version, json.loads(text)).key == run.key
        assert Run(name, run.version + 1, run.spec).key != run.key
        assert Run(name, run.version, {**run.spec, "new": 1}).key != run.key
        for network in networks_in(run.spec):
            assert TrainingSpec.from_dict(network).as_dict() == network
            assert network["dataset"] == get_profile(profile).dataset


@ALL
def test_smoke_is_small_and_the_profiles_do_not_share_runs(name: str) -> None:
    smoke, quick, paper = ({run.key for run in plan(name, profile)} for profile in ("smoke", "quick", "paper"))
    assert len(smoke) <= min(12, len(quick))
    assert len(quick) <= max(len(paper), 60)
    for run in plan(name, "smoke"):
        assert run.spec.get("images", 0) <= 100
        for network in networks_in(run.spec):
            assert network["steps"] * network["batch_size"] <= 40 * 128 * 4
            assert network["train_size"] <= 1000


@ALL
def test_another_data_set_reaches_every_network(name: str) -> None:
    specs = [run.spec for run in plan(name, "smoke", dataset="svhn")]
    found = [network["dataset"] for spec in specs for network in networks_in(spec)]
    assert len(specs) == len(plan(name, "smoke"))
    assert set(found) <= {"svhn"}
    if networks_in([dict(run.spec) for run in plan(name, "smoke")]):
        assert found


REQUIRED: dict[str, set[str]] = {
    "anatomy": {"accuracy", "fooled", "std_probabilities_before", "std_probabilities_after", "pgd@0.05", "pgd@0.2"},
    "correlation": {
        *("accuracy", "train_accuracy", "std_logits_mean", "entropy_logits_mean", "fgsm@0.05", "pgd@0.2", "worst@0"),
        *("worst_area", "ddn_median", "deepfool_median", "carlini_wagner_median", "sample_spearman_std_logits"),
    },
    "losses": {"accuracy", "calibration_error", "fgsm@0.05", "pgd@0.05", "margin@0.2", "worst@0.2", "worst_area"},
}
MAY_BE_UNDEFINED = ("sample_spearman_", "_median", "slope", "alpha", "gap")


def smaller(value: Any, key: str = "") -> Any:
    """The same specification with fewer images and iterations; trainings stay as they are."""
    most = {"images": 16, "few_images": 6, "max_iterations": 5, "search_steps": 1, "jsma_steps": 2, "draws": 50}
    if isinstance(value, Mapping):
        return value if networks_in(value) and "loss" in value else {k: smaller(v, k) for k, v in value.items()}
    if key == "targets":
        return value[:1]
    return min(value, most[key]) if key in most else min(value, 2) if key == "steps" else value


@ALL
def test_the_first_smoke_run_goes_from_end_to_end(name: str) -> None:
    run = plan(name, "smoke")[0]
    record = compute(replace(run, spec=smaller(run.spec)), "smoke", "cpu")
    assert REQUIRED.get(name, set()) <= set(record.metrics)
    assert record.metrics
    for metric, value in record.metrics.items():
        assert type(value) is float, metric
        assert math.isfinite(value) or any(part in metric for part in MAY_BE_UNDEFINED), metric
        if metric.startswith(("accuracy", "worst@", "pgd@", "fgsm@", "margin@", "train_accuracy")):
            assert 0.0 <= value <= 1.0, metric
    for metric, array in record.arrays.items():
        assert isinstance(array, np.ndarray), metric
        assert array.dtype != np.dtype(object), metric
    json.dumps(dict(record.metrics))


def test_the_anatomy_of_one_image_is_consistent() -> None:
    run = plan("anatomy", "smoke")[0]
    record = compute(replace(run, spec=smaller(run.spec)), "smoke", "cpu")
    images, values, p = (record.arrays[key] for key in ("images", "logits", "probabilities"))
    assert (images.shape, images.dtype) == ((4, 1, 28, 28), np.uint8)
    assert values.shape == p.shape == (4, 10)
    np.testing.assert_allclose(p, np.exp(values) / np.exp(values).sum(axis=1, keepdims=True), rtol=1e-4)
    changed = np.abs(images[1:].astype(int) - images[0].astype(int)).max(axis=(1, 2, 3))
    assert changed.max() <= round(0.2 * 255) + 1
    assert changed.min() > 0
    label = int(record.metrics["label"])
    if record.metrics["fooled"]:
        assert p[0].argmax() == label
        assert p[3].argmax() != label
        assert all(0 <= record.metrics[f"{m}_rises"] <= 1 for m in ("std_logits", "entropy_probabilities"))
    assert record.metrics["pgd@0.2"] <= record.metrics["pgd@0.05"] <= record.metrics["accuracy"]


def png_tree(folder: Path, size: int = 28) -> Path:
    """Three classes of 65 grey PNGs each: dark, middle and bright, with noise."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for label, (name, level) in enumerate((("dark", 40), ("middle", 120), ("bright", 200))):
        (folder / name).mkdir(parents=True)
        for number in range(65):
            pixels = draw.integers(level - 40, level + 40, (size, size, 3), dtype=np.uint8)
            pixels[label * 8 : label * 8 + 8] //= 2
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", ["anatomy", "losses", "correlation"])
def test_an_experiment_runs_on_ones_own_images(name: str, tmp_path: Path) -> None:
    run = plan(name, "smoke", dataset=f"folder:{png_tree(tmp_path / 'own', 20)}")[0]
    network = dict(run.spec["network"]) | {"batch_size": 16, "steps": 4}
    record = compute(replace(run, spec=smaller({**run.spec, "network": network})), "smoke", "cpu")
    assert REQUIRED[name] <= set(record.metrics)
    assert 0.0 <= record.metrics["accuracy"] <= 1.0
    if name == "anatomy":
        assert record.arrays["images"].shape == (4, 3, 20, 20)
        assert record.arrays["logits"].shape == (4, 3)
        assert record.metrics["images"] == 16


# --- the table of losses ---

PUBLISHED = {"weight": 0.64}
EXPECTED: dict[str, dict[str, Any]] = {
    "ce": {"loss": "ce", "loss_options": {}},
    "drs": {"loss": "drs", "loss_options": PUBLISHED},
    "weight-0.0064": {"loss": "drs", "loss_options": {"weight": 0.0064}},
    "weight-0.064": {"loss": "drs", "loss_options": {"weight": 0.064}},
    "weight-6.4": {"loss": "drs", "loss_options": {"weight": 6.4}},
    "weight-64": {"loss": "drs", "loss_options": {"weight": 64.0}},
    "probabilities": {"loss": "drs", "loss_options": PUBLISHED | {"measure": "probabilities"}},
    "std": {"loss": "drs", "loss_options": PUBLISHED | {"spread": "std"}},
    "mean-over-c": {"loss": "drs", "loss_options": PUBLISHED | {"count_true_class": True}},
    "top-3": {"loss": "drs", "loss_options": PUBLISHED | {"top_k": 3}},
    "only-correct": {"loss": "drs", "loss_options": PUBLISHED | {"only_correct": True}},
    "warm-up": {"loss": "drs", "loss_options": PUBLISHED, "warmup": 0.5},
    "ce-batch-32": {"loss": "ce", "loss_options": {}, "batch_size": 32},
    "mean-batch-512": {"loss": "drs", "loss_options": PUBLISHED, "batch_size": 512},
    "sum-batch-32": {"loss": "drs", "loss_options": {"weight": 0.005, "batch_reduction": "sum"}, "batch_size": 32},
    "label-smoothing": {"loss": "label_smoothing", "loss_options": {"smoothing": 0.1}},
    "rce": {"loss": "rce", "loss_options": {}},
    "adversarial": {"loss": "ce", "adversarial": {"epsilon": 0.1, "steps": 5, "step_size": 0.05}},
    "mlp-drs": {"loss": "drs", "loss_options": PUBLISHED, "model": "mlp"},
    "resnet-ce": {"loss": "ce", "loss_options": {}, "model": "resnet"},
}
BASE = {"batch_size": 128, "model": "small_conv", "warmup": 0.0, "adversarial": {}, "learning_rate": 0.1}


@pytest.mark.parametrize("variant", EXPECTED)
def test_what_a_variant_changes_and_nothing_else(variant: str) -> None:
    spec = networks.variant_network(PROFILES["quick"], "mnist5k", variant, 2).as_dict()
    for key, value in (BASE | EXPECTED[variant]).items():
        assert spec[key] == value, key
    assert (spec["seed"], spec["dataset"], spec["train_size"]) == (2, "mnist5k", None)


@pytest.mark.parametrize("variant", networks.variants())
@BOTH
def test_every_variant_can_be_trained_at_the_same_budget(variant: str, profile: str) -> None:
    spec = networks.variant_network(PROFILES[profile], "mnist5k", variant, 0)
    options = spec.loss_arguments
    assert set(options) <= set(inspect.signature(get_loss(spec.loss).function).parameters)
    z = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    assert bool(get_loss(spec.loss).function(z, torch.arange(6), **options).isfinite())
    assert not spec.warmup or spec.loss == "drs"
    # Forward-backward passes over an image: one an update, and one for each inner step of adversarial training.
    passes = spec.steps * spec.batch_size * (1 + int(spec.adversarial.get("steps", 0)))
    assert passes == pytest.approx(PROFILES[profile].steps * 128, abs=spec.batch_size * 3.01)
    if profile == "smoke":
        build_model(spec.model, channels=1, classes=10, seed=0, **spec.model_options)


def test_the_losses_grid_holds_every_variant_at_every_seed_the_chapters_own_first() -> None:
    specs = [run.spec for run in plan("losses", "quick")]
    assert [(s["variant"], s["network"]["seed"]) for s in specs] == [
        (variant, seed) for variant in networks.variants() for seed in (0, 1, 2)
    ]
    assert [s["variant"] for s in specs[:6]] == ["ce"] * 3 + ["drs"] * 3
    assert tuple(networks.variants())[:2] == networks.MAIN == ("ce", "drs")
    assert {"ce", "drs"} <= {run.spec["variant"] for run in plan("losses", "smoke")}
    assert networks.variant_network(PROFILES["paper"], "mnist", "resnet-drs", 0).model_options == {"depth": 32}
    assert all(s["epsilons"][0] == 0.0 and s["epsilons"] == sorted(s["epsilons"]) for s in specs)


# --- the population ---


def test_the_population_does_not_depend_on_its_size_and_is_the_same_every_time() -> None:
    quick = PROFILES["quick"]
    few, many = (grids.correlation(replace(quick, population=n), "mnist5k") for n in (5, 80))
    assert (len(few), len(many)) == (5, 80)
    assert many[:5] == few == grids.correlation(replace(quick, population=5), "mnist5k")
    assert networks.member(replace(quick, master_seed=1), "mnist5k", 3) != networks.member(quick, "mnist5k", 3)
    assert len(plan("correlation", "quick")) >= 40


def test_a_member_is_drawn_from_its_own_generator() -> None:
    """By hand: the draws in their order from ``random.Random("2023/7")``."""
    import random

    draw = random.Random("2023/7")
    width, depth = draw.choice([6, 8, 12, 16, 24, 32]), draw.randint(1, 3)
    rate, decay = (
        math.exp(draw.uniform(*map(math.log, (0.01, 0.2)))),
        math.exp(draw.uniform(*map(math.log, (1e-5, 1e-2)))),
    )
    batch, share = draw.choice([64, 128, 256]), draw.uniform(0.3, 1.5)
    spec = networks.member(PROFILES["quick"], "mnist5k", 7)
    assert (spec.model, spec.loss, spec.seed) == ("small_conv", "ce", 7)
    assert (spec.model_options, spec.batch_size) == ({"width": width, "depth": depth}, batch)
    assert spec.learning_rate == pytest.approx(rate, rel=5e-3)
    assert spec.weight_decay == pytest.approx(decay, rel=5e-3)
    assert spec.steps == round(540 * share)


def test_the_population_covers_its_ranges() -> None:
    members = [networks.member(PROFILES["quick"], "mnist5k", number) for number in range(300)]
    assert {m.model_options["width"] for m in members} == {6, 8, 12, 16, 24, 32}
    assert {m.model_options["depth"] for m in members} == {1, 2, 3}
    assert {m.batch_size for m in members} == {64, 128, 256}
    drawn: list[tuple[Callable[[TrainingSpec], float], float, float]] = [
        (lambda m: m.learning_rate, 0.01, 0.2),
        (lambda m: m.weight_decay, 1e-5, 1e-2),
    ]
    for value, low, high in drawn:
        values = sorted(map(value, members))
        assert low <= values[0] < low * 1.1
        assert high / 1.1 < values[-1] <= high
        assert values[150] == pytest.approx(math.sqrt(low * high), rel=0.5)
    steps = [m.steps for m in members]
    assert 0.3 * 540 - 1 <= min(steps) < 0.35 * 540
    assert 1.45 * 540 < max(steps) <= 1.5 * 540 + 1
    assert len({json.dumps(m.as_dict()) for m in members}) == 300


def test_a_context_reads_a_data_set_once() -> None:
    context = Context(CPU)
    assert context.dataset("mnist5k") is Context(CPU).dataset("mnist5k")
    spec: Spec = TrainingSpec(train_size=32, steps=1, batch_size=8, model_options={"width": 4, "depth": 1}).as_dict()
    one, other = context.network(spec), context.network(spec)
    assert (one.loss, one.accuracy) == (other.loss, other.accuracy)


@ALL
def test_planning_on_a_named_data_set_reads_no_data(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRS_DATA", str(tmp_path))
    for dataset in DATASETS:
        for run in plan(name, "quick", dataset=dataset):
            for network in networks_in(run.spec):
                if network["model"] == "mlp":
                    size = 28 if "mnist" in dataset else 32
                    own = {k: v for k, v in network["model_options"].items() if k not in ("width", "norm")}
                    assert own == ({} if size == 28 else {"size": size})
