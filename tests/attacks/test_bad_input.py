"""The front door of every attack: one sentence for every batch, budget or model that it cannot take."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from drs._checks import OTHER_RANGE
from drs.attacks import DDN, FGSM, JSMA, PGD, Adversarials, Attack, CarliniWagnerL2, DeepFool, Square
from drs.attacks.base import TOLERANCE
from drs.errors import UsageError
from drs.evaluation.probes import gradient_norms
from drs.training.models import build_model
from tests.attacks.test_base import Brightness, grey

# --- bad input -------------------------------------------------------------------------------------------------------

PIXELS = "expected pixels in [0, 1], got values from"


def _with(position: tuple[int, ...], value: float) -> Tensor:
    images = torch.full((2, 1, 4, 4), 0.5)
    images[position] = value
    return images


@pytest.mark.parametrize(
    ("inputs", "labels", "text"),
    [
        (
            torch.zeros(16),
            torch.tensor([0, 1]),
            "expected a batch of shape (N, ...), such as (N, C, H, W), got (16,)",
        ),
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
        (
            _with((1, 0, 0, 0), 1.5),
            torch.tensor([0, 1]),
            f"{PIXELS} 0.5 to 1.5{OTHER_RANGE}",
        ),
        (
            _with((0, 0, 1, 1), -0.25),
            torch.tensor([0, 1]),
            f"{PIXELS} -0.25 to 0.5{OTHER_RANGE}",
        ),
        (
            _with((0, 0, 1, 1), math.inf),
            torch.tensor([0, 1]),
            f"{PIXELS} 0.5 to inf{OTHER_RANGE}",
        ),
        (torch.zeros(2, 1, 4, 4), torch.tensor([0, 3]), "expected labels in [0, 2], got 3"),
        (torch.zeros(2, 1, 4, 4), torch.tensor([-1, 0]), "expected labels in [0, 2], got -1"),
    ],
)
def test_bad_batches(inputs: Tensor, labels: Tensor, text: str) -> None:
    model = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=4)
    with pytest.raises(UsageError) as error:
        FGSM()(model, inputs, labels)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("value", "got"),
    [(1.00001, "0.5 to 1.00001"), (1.000002, "0.5 to 1.000002"), (-3e-6, "-3e-06 to 0.5"), (1.01, "0.5 to 1.01")],
)
def test_an_excess_is_shown(value: float, got: str) -> None:
    model = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=4)
    with pytest.raises(UsageError) as error:
        FGSM()(model, _with((0, 0, 1, 1), value), torch.tensor([0, 1]))
    assert str(error.value) == f"expected pixels in [0, 1], got values from {got}{OTHER_RANGE}"


@pytest.mark.parametrize(("value", "clamped"), [(1.0000001, 1.0), (1.0000009, 1.0), (-2.98e-8, 0.0), (-9e-7, 0.0)])
def test_what_rounding_puts_outside_is_clamped(value: float, clamped: float) -> None:
    images, labels = _with((0, 0, 1, 1), value), torch.tensor([0, 1])
    expected = _with((0, 0, 1, 1), clamped)
    model = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=4)
    assert torch.equal(FGSM(epsilon=0.0)(model, images, labels).inputs, expected)
    for attack in (FGSM(), Square(queries=5), DDN(steps=5)):
        assert torch.equal(attack(model, images, labels).inputs, attack(model, expected, labels).inputs)
    assert torch.equal(gradient_norms(model, images, labels), gradient_norms(model, expected, labels))
    assert images[0, 0, 1, 1].item() == pytest.approx(value, abs=1e-7)  # the caller's images stay as they are


def test_undoing_a_normalisation() -> None:
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]))
    images = torch.randint(0, 256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
    images[:, :, 0], images[:, :, 1] = 0.0, 1.0
    images = (images - mean) / std * std + mean
    assert images.min().item() < 0.0  # by 3e-8
    model = build_model("mlp", channels=3, classes=3, seed=0, size=8, width=4)
    found = FGSM(epsilon=0.1)(model, images, torch.zeros(8, dtype=torch.int64))
    assert found.inputs.min().item() == 0.0
    assert found.distances.max().item() <= 0.1 + TOLERANCE


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
        (
            "probabilities",
            "expected a model that returns raw logits, got probabilities: "
            "return the logits, or torch.log of the probabilities, which are logits too",
        ),
        ("labels", "expected a model that returns logits of shape (N, classes), got (2,)"),
        (
            "tuple",
            "expected a model that returns logits of shape (N, classes), got tuple: "
            "attack a function such as lambda images: model(images)[0], after model.eval()",
        ),
        ("half", "expected a model that returns logits of shape (N, classes), got (1, 2)"),
    ],
)
def test_bad_models(kind: str, text: str) -> None:
    with pytest.raises(UsageError) as error:
        FGSM()(Returns(kind), grey(0.2, 0.9), torch.tensor([0, 1]))
    assert str(error.value) == text


ONE_LOGIT = (
    "expected a model with at least 2 classes, got 1: for a binary model with one logit z return "
    "torch.cat([-z / 2, z / 2], dim=1), which has the same sigmoid"
)


class OneLogit(nn.Module):
    """The logit of class 1; ``two`` of them as the error advises."""

    def __init__(self, two: bool) -> None:
        super().__init__()
        self.two = two

    def forward(self, images: Tensor) -> Tensor:
        z = 4.0 * images.flatten(1).mean(dim=1, keepdim=True) - 2.0
        return torch.cat([-z / 2, z / 2], dim=1) if self.two else z


@pytest.mark.parametrize("labels", [[0, 0], [0, 1]])
@pytest.mark.parametrize("attack", [FGSM(), Square(), CarliniWagnerL2(), DeepFool(), JSMA()], ids=repr)
def test_one_logit_is_refused(attack: Attack, labels: list[int]) -> None:
    with pytest.raises(UsageError) as error:
        attack(OneLogit(two=False), grey(0.2, 0.9), torch.tensor(labels))
    assert str(error.value) == ONE_LOGIT


def test_one_logit_as_two() -> None:
    # z = 4 * 0.45 - 2 = -0.2 says class 0; 0.1 brighter it is 0.2, which says class 1; 0.9 stays class 1
    images, labels = grey(0.45, 0.9), torch.tensor([0, 1])
    model = OneLogit(two=True)
    torch.testing.assert_close(model(images).softmax(dim=1)[:, 1], torch.sigmoid(OneLogit(two=False)(images)[:, 0]))
    found = FGSM(epsilon=0.1)(model, images, labels)
    torch.testing.assert_close(found.logits, torch.tensor([[-0.1, 0.1], [-0.6, 0.6]]))
    assert found.robust_accuracy(labels) == 0.5


def test_two_classes_and_dlr() -> None:
    with pytest.raises(UsageError) as error:
        PGD(objective="dlr")(Brightness(), grey(0.2, 0.9), torch.tensor([0, 1]))
    assert str(error.value) == "expected at least 3 classes for the objective 'dlr', got 2: use 'margin'"


def test_result_is_plain_data() -> None:
    fields = [field.name for field in dataclasses.fields(Adversarials)]
    assert fields == ["inputs", "success", "distances", "logits", "norm"]
