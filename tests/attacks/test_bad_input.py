"""The front door of every attack: one sentence for every batch, budget or model that it cannot take."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import FGSM, Adversarials
from drs.errors import UsageError
from drs.training.models import build_model
from tests.attacks.test_base import Brightness, grey

# --- bad input -------------------------------------------------------------------------------------------------------


def _with(position: tuple[int, ...], value: float) -> Tensor:
    images = torch.full((2, 1, 4, 4), 0.5)
    images[position] = value
    return images


@pytest.mark.parametrize(
    ("inputs", "labels", "text"),
    [
        (torch.zeros(2, 16), torch.tensor([0, 1]), "expected images of shape (N, C, H, W), got (2, 16)"),
        (
            torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
            torch.tensor([0, 1]),
            "expected floating-point images in [0, 1], got torch.uint8",
        ),
        (
            torch.zeros(2, 1, 4, 4),
            torch.tensor([0]),
            "expected labels of shape (2,) and dtype torch.int64, got (1,) of torch.int64",
        ),
        (
            torch.zeros(2, 1, 4, 4),
            torch.tensor([0.0, 1.0]),
            "expected labels of shape (2,) and dtype torch.int64, got (2,) of torch.float32",
        ),
        (
            torch.zeros(2, 1, 4, 4),
            torch.eye(2).long(),
            "expected labels of shape (2,) and dtype torch.int64, got (2, 2) of torch.int64",
        ),
        (_with((1, 0, 2, 3), math.nan), torch.tensor([0, 1]), "expected images without NaN, got NaN"),
        (_with((1, 0, 0, 0), 1.5), torch.tensor([0, 1]), "expected pixels in [0, 1], got values from 0.5 to 1.5"),
        (_with((0, 0, 1, 1), -0.25), torch.tensor([0, 1]), "expected pixels in [0, 1], got values from -0.25 to 0.5"),
        (_with((0, 0, 1, 1), math.inf), torch.tensor([0, 1]), "expected pixels in [0, 1], got values from 0.5 to inf"),
        (torch.zeros(2, 1, 4, 4), torch.tensor([0, 3]), "expected labels in [0, 2], got 3"),
        (torch.zeros(2, 1, 4, 4), torch.tensor([-1, 0]), "expected labels in [0, 2], got -1"),
    ],
)
def test_bad_batches(inputs: Tensor, labels: Tensor, text: str) -> None:
    model = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=4)
    with pytest.raises(UsageError) as error:
        FGSM()(model, inputs, labels)
    assert str(error.value) == text


@pytest.mark.parametrize("epsilon", [-0.1, 1.5, 8.0, math.nan, math.inf])
def test_bad_budgets(epsilon: float) -> None:
    with pytest.raises(UsageError) as error:
        FGSM(epsilon=epsilon)(Brightness(), grey(0.5), torch.tensor([0]))
    assert str(error.value) == f"expected epsilon in [0, 1], got {epsilon}"


class Returns(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: Tensor) -> object:
        logits = Brightness()(images)
        return {
            "probabilities": logits.softmax(1),
            "labels": logits.argmax(1),
            "tuple": (logits, logits),
            "half": logits[::2],
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("probabilities", "expected a model that returns raw logits, got probabilities: attack the logits instead"),
        ("labels", "expected a model that returns logits of shape (N, classes), got (2,)"),
        ("tuple", "expected a model that returns logits of shape (N, classes), got tuple"),
        ("half", "expected a model that returns logits of shape (N, classes), got (1, 2)"),
    ],
)
def test_bad_models(kind: str, text: str) -> None:
    with pytest.raises(UsageError) as error:
        FGSM()(Returns(kind), grey(0.2, 0.9), torch.tensor([0, 1]))
    assert str(error.value) == text


def test_result_is_plain_data() -> None:
    fields = [field.name for field in dataclasses.fields(Adversarials)]
    assert fields == ["inputs", "success", "distances", "logits", "norm"]
