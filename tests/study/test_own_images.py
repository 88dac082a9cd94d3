"""Experiments on one's own images: what a plan leaves out, what it refuses before any training; the rest runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from drs.errors import DataError
from drs.losses import get_loss
from drs.study.experiments import EXPERIMENTS
from drs.study.experiments.networks import variants
from drs.study.plan import missing, plan
from drs.study.profiles import PROFILES
from drs.study.records import Run
from drs.study.results import Results
from drs.study.runner import run_missing
from drs.training.folders import Overview, overview
from drs.training.models import build_model
from drs.training.spec import TrainingSpec

WITHOUT = ("cost", "captions", "density", "restrained")
"""Experiments that are the same whatever the data set."""
TRAINED = [name for name in EXPERIMENTS if name not in WITHOUT]
NAMES = ("ant", "bee", "cow", "doe")


def write(folder: Path, classes: int, each: int, size: tuple[int, int] = (28, 20)) -> None:
    """Images of width and height ``size``; each class has a grey level of its own, with noise."""
    draw = np.random.default_rng(0)
    for label, name in enumerate(NAMES[:classes]):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = draw.integers(60 * label, 60 * label + 60, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")


def planned(experiment: str, folder: Path, profile: str = "quick") -> list[Run]:
    return plan(experiment, profile, dataset=f"folder:{folder}")


def networks(runs: list[Run]) -> list[Mapping[str, Any]]:
    return [
        network
        for run in runs
        for network in (run.spec.get("network"), run.spec.get("source"), *run.spec.get("targets", ()))
        if network is not None
    ]


def refusal(experiment: str, folder: Path) -> str:
    with pytest.raises(DataError) as error:
        planned(experiment, folder)
    start = f"experiment '{experiment}': expected at least "
    assert str(error.value).startswith(start)
    return str(error.value)[len(start) :]


def test_what_is_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "flat", 3, 65)
    # 195 images: 39 to test, an eighth of the other 156, rounded down, to validate; 65 * 137 / 195 = 45.7
    assert overview(f"folder:{tmp_path}/flat") == Overview(NAMES[:3], 137, 45, None, 20, 28)
    write(tmp_path / "split" / "train", 3, 8)
    write(tmp_path / "split" / "test", 3, 4)
    assert overview(f"folder:{tmp_path}/split") == Overview(NAMES[:3], 21, 7, 4, 20, 28)
    write(tmp_path / "split" / "val", 3, 5)
    assert overview(f"folder:{tmp_path}/split") == Overview(NAMES[:3], 24, 8, 4, 20, 28)


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
@pytest.mark.parametrize("size", [(28, 20), (33, 65), (30, 30)])
def test_every_planned_network_takes_three_classes_and_any_size(
    profile: str, size: tuple[int, int], tmp_path: Path
) -> None:
    write(tmp_path, 3, 65, size)
    target = torch.arange(2)
    tried = set()
    for experiment in TRAINED:
        for network in networks(planned(experiment, tmp_path, profile)):
            key = repr([network[part] for part in ("model", "model_options", "loss", "loss_options")])
            if key not in tried:
                tried.add(key)
                options = network["model_options"]
                model = build_model(network["model"], channels=3, classes=3, seed=0, **options)
                logits = model(torch.rand(2, 3, size[1], size[0]))
                assert logits.shape == (2, 3)
                loss = get_loss(network["loss"]).function(
                    logits, target, **TrainingSpec.from_dict(network).loss_arguments
                )
                assert bool(torch.isfinite(loss))
            assert network["batch_size"] <= 137


def test_what_is_left_out_of_the_losses(tmp_path: Path) -> None:
    write(tmp_path / "three", 3, 65)
    write(tmp_path / "four", 4, 183)  # 732 images: 146 to test, 73 to validate, 513 to train
    large = ["ce-batch-512", "mean-batch-512", "sum-batch-512"]
    seeds = len(PROFILES["quick"].seeds)
    for folder, left_out in (("three", ["top-3", *large]), ("four", [])):
        kept = [name for name in variants() if name not in left_out]
        assert [run.spec["variant"] for run in planned("losses", tmp_path / folder)] == [
            name for name in kept for _ in range(seeds)
        ]


@pytest.mark.parametrize(
    ("size", "options"), [((28, 20), {"size": 20, "columns": 28}), ((32, 32), {"size": 32}), ((28, 28), {})]
)
def test_a_plain_network_is_told_the_size_of_the_images(
    size: tuple[int, int], options: dict[str, int], tmp_path: Path
) -> None:
    write(tmp_path, 3, 65, size)
    plain = [network for network in networks(planned("losses", tmp_path)) if network["model"] == "mlp"]
    assert len(plain) == 6
    assert all(network["model_options"] == options for network in plain)


@pytest.mark.parametrize("experiment", TRAINED)
def test_two_classes_are_refused_before_any_training(experiment: str, tmp_path: Path) -> None:
    write(tmp_path, 2, 100)
    assert refusal(experiment, tmp_path) == (
        f"3 classes (with two, all losses are the same) in {tmp_path}, got ant, bee"
    )


def test_an_experiment_without_networks_takes_any_folder(tmp_path: Path) -> None:
    write(tmp_path, 2, 1)
    specs = [run.spec for run in plan("cost", "quick")]
    assert [run.spec for run in planned("cost", tmp_path)] == specs


def test_too_few_images_are_refused_before_any_training(tmp_path: Path) -> None:
    write(tmp_path / "few", 3, 60)  # 180 images: 36 to test, 18 to validate
    assert refusal("losses", tmp_path / "few") == (
        f"128 training images, besides those held out, in {tmp_path}/few, got 126"
    )
    write(tmp_path / "uneven", 3, 65)
    for number in range(4, 65):
        (tmp_path / "uneven" / "bee" / f"{number:03}.png").rename(tmp_path / "uneven" / "ant" / f"1{number:03}.png")
    assert refusal("detection", tmp_path / "uneven") == (  # 4 * 137 / 195 = 2.8
        f"3 training images of each class, besides those held out, in {tmp_path}/uneven, got 2"
    )
    write(tmp_path / "split" / "train", 3, 50)
    write(tmp_path / "split" / "test", 3, 2)
    assert refusal("anatomy", tmp_path / "split") == f"3 test images of each class in {tmp_path}/split, got 2"


def test_a_plan_on_own_images_needs_no_torch(tmp_path: Path) -> None:
    write(tmp_path, 3, 65)
    script = f"""
import sys
from drs.study.plan import plan
print(len(plan("losses", "quick", dataset="folder:{tmp_path}")), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(3 * (len(variants()) - 4)), "False"]


def test_the_losses_run_on_three_classes_and_images_that_are_not_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ("ce", "top-3", "rce", "mlp-drs", "resnet-drs")
    write(tmp_path / "own", 3, 65, (14, 9))
    monkeypatch.setenv("DRS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    small = replace(PROFILES["quick"], steps=2, images=4, epsilons=(0.0, 0.1), seeds=(0,), variants=shown)
    monkeypatch.setitem(PROFILES, "quick", small)
    runs = planned("losses", tmp_path / "own")
    assert [run.spec["variant"] for run in runs] == ["ce", "rce", "mlp-drs", "resnet-drs"]
    run_missing(runs, "quick", workers=1, device="cpu", results=tmp_path / "results", progress=False)
    assert missing(runs, "quick", tmp_path / "results") == []
    records = Results(tmp_path / "results").records("losses", "quick", dataset=f"folder:{tmp_path / 'own'}")
    assert len(records) == len(runs)
    assert all(0.0 <= record.metrics["accuracy"] <= 1.0 for record in records)
