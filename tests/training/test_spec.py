"""Training specifications: what they turn into, and one sentence for everything that can be wrong with them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from torch import Tensor
from torch.nn import functional as F

from drs.errors import Diverged, UsageError
from drs.losses import Loss
from drs.training.datasets import Dataset
from drs.training.loop import train
from drs.training.spec import TrainingSpec

SMALL = TrainingSpec(model="mlp", model_options={"width": 8}, steps=6, batch_size=32, seed=4)


# --- specifications --------------------------------------------------------------------------------------------------


def test_spec_survives_json() -> None:
    spec = TrainingSpec(
        model="resnet",
        model_options={"depth": 8},
        loss="drs",
        loss_options={"weight": 0.1, "measure": "probabilities"},
        milestones=(10, 20),
        schedule="step",
        adversarial={"epsilon": 0.1, "steps": 3, "step_size": 0.04},
        train_size=100,
    )
    assert TrainingSpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
    assert spec.as_dict()["milestones"] == [10, 20]
    assert TrainingSpec.from_dict({}) == TrainingSpec()


def test_default_spec_is_the_papers_optimiser() -> None:
    spec = TrainingSpec()
    assert (spec.batch_size, spec.momentum, spec.weight_decay, spec.learning_rate) == (128, 0.9, 2e-4, 0.1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schedule": "linear"}, "unknown schedule 'linear': expected one of cosine, step"),
        ({"steps": 0}, "expected steps and batch_size >= 1, got 0 and 32"),
        ({"batch_size": 0}, "expected steps and batch_size >= 1, got 6 and 0"),
        ({"adversarial": {"epsilon": 0.1}}, "expected adversarial epsilon, steps and step_size, got epsilon"),
    ],
)
def test_bad_spec(change: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        dataclasses.replace(SMALL, **change)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"batch_size": 321}, "expected at least one batch of 321 training images, got 320"),
        ({"train_size": 31}, "expected at least one batch of 32 training images, got 31"),
        (
            {"loss": "hinge"},
            "unknown loss 'hinge': expected one of ce, confidence_penalty, drs, gce, label_smoothing, "
            "logit_squeezing, mmc, rce, std",
        ),
        (
            {"model": "vgg", "model_options": {}},
            "unknown model 'vgg': expected one of lenet, mlp, mmc, resnet, small_conv",
        ),
    ],
)
def test_bad_training(digits: Dataset, change: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        train(dataclasses.replace(SMALL, **change), digits)
    assert str(error.value) == text


def test_option_that_the_loss_does_not_have(digits: Dataset) -> None:
    with pytest.raises(UsageError, match=r"^loss 'drs' has no option 'wieght': expected one of .*weight"):
        train(dataclasses.replace(SMALL, loss="drs", loss_options={"wieght": 1}), digits)
    with pytest.raises(UsageError, match=r"^loss 'ce' has no option 'weight': expected one of "):
        train(dataclasses.replace(SMALL, warmup=0.5), digits)


@pytest.mark.parametrize("steps", [2, 12])
def test_divergence_is_an_error(digits: Dataset, steps: int) -> None:
    """Inside a first epoch that is never finished, and in whole ones."""
    spec = dataclasses.replace(SMALL, loss="logit_squeezing", learning_rate=1e12, steps=steps)
    with pytest.raises(Diverged, match=r"^training diverged: loss (nan|inf) with logit_squeezing \{\}, seed 4$"):
        train(spec, digits)


def test_divergence_after_the_last_whole_epoch_is_an_error(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten batches an epoch: the eleventh update, and the last, meets a loss that is no number."""
    calls = 0

    def breaks(logits: Tensor, target: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return F.cross_entropy(logits, target) * (math.nan if calls == 11 else 1.0)

    monkeypatch.setattr("drs.losses.LOSSES", {"ce": Loss(breaks)})
    assert math.isfinite(train(dataclasses.replace(SMALL, steps=10), digits).loss)
    calls = 0
    with pytest.raises(Diverged, match=r"^training diverged: loss nan with ce \{\}, seed 4$"):
        train(dataclasses.replace(SMALL, steps=11), digits)


def test_the_penalty_of_a_loss_is_called_weight_in_specifications(digits: Dataset) -> None:
    spec = dataclasses.replace(SMALL, loss="drs", loss_options={"weight": 0.1, "measure": "probabilities"})
    assert spec.loss_arguments == {"penalty": 0.1, "measure": "probabilities"}
    with pytest.raises(UsageError, match=r"^loss 'drs' has no option 'penalty': expected one of .*weight"):
        train(dataclasses.replace(SMALL, loss="drs", loss_options={"penalty": 0.1}), digits)
