"""The front door at its edges: draws of the records, random models, late mistakes, numbers that are none."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import (
    BIM,
    DDN,
    FGSM,
    ILCM,
    JSMA,
    PGD,
    Attack,
    CarliniWagnerL2,
    DeepFool,
    JointPGD,
    Normalised,
    OrthogonalPGD,
    SelectivePGD,
    Square,
    TargetedPGD,
    Trace,
    UniformNoise,
    margin,
)
from drs.errors import UsageError


def darkness(model: nn.Module, images: Tensor) -> Tensor:
    """A detector: dark images are normal."""
    return -images.flatten(1).sum(dim=1)


EVERY: list[Attack] = [
    FGSM(),
    BIM(steps=2),
    ILCM(steps=2),
    PGD(steps=2),
    PGD(steps=2, norm="l2", epsilon=2.0),
    TargetedPGD(steps=2),
    UniformNoise(),
    UniformNoise(norm="l2", epsilon=2.0),
    Square(queries=3),
    JSMA(max_steps=2),
    DDN(steps=2),
    DeepFool(steps=2),
    CarliniWagnerL2(search_steps=1, max_iterations=2),
    SelectivePGD(score=darkness, steps=2),
    OrthogonalPGD(score=darkness, steps=2),
    JointPGD(score=darkness, steps=2),
]
every_attack = pytest.mark.parametrize("attack", EVERY, ids=lambda attack: f"{type(attack).__name__}-{attack.norm}")


def some(count: int = 4, classes: int = 3) -> tuple[nn.Module, Tensor, Tensor]:
    """A linear network, images, and the labels that it gives them."""
    torch.manual_seed(0)
    network, images = nn.Sequential(nn.Flatten(), nn.Linear(12, classes)), torch.rand(count, 3, 2, 2)
    return network, images, network(images).argmax(dim=1)


# --- draws of the records --------------------------------------------------------------------------------------------


def drawn(images: Tensor, epsilon: float, seed: int) -> Tensor:
    """Uniform noise as the records of the book have it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return (images + torch.empty_like(images).uniform_(-epsilon, epsilon)).clamp(0.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_and_starts_are_drawn_as_in_the_records(dtype: torch.dtype) -> None:
    network, images, labels = some(64)
    network, images = network.to(dtype), images.to(dtype)
    seen: list[Tensor] = []

    def watched(model: nn.Module, x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return darkness(model, x)

    JointPGD(score=watched, epsilon=0.1, steps=1, seed=3)(network, images, labels)
    assert torch.equal(seen[0], drawn(images, 0.1, 3))  # to the last bit: `random_point` is not
    made = UniformNoise(epsilon=0.1, seed=3)(network, images, labels).inputs
    # within the ball already, up to what clipping to the budget rounds
    torch.testing.assert_close(made, drawn(images, 0.1, 3), rtol=0, atol=1e-7)
    moved = images + (drawn_raw(images, 0.1, 3) - images).clamp(-0.1, 0.1)
    assert torch.equal(made, moved.clamp(0.0, 1.0))


def drawn_raw(images: Tensor, epsilon: float, seed: int) -> Tensor:
    """The same before the cut to [0, 1]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return images + torch.empty_like(images).uniform_(-epsilon, epsilon)


# --- random models ---------------------------------------------------------------------------------------------------


class Alternating(nn.Module):
    """The margin of class 0 is 0.1 on average, and -0.9 or 1.1 at a single look."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        margin_of_0 = images.flatten(1).sum(dim=1) * 1e-6 + (-0.9 if self.calls % 2 else 1.1)
        return torch.stack([margin_of_0 / 2, -margin_of_0 / 2], dim=1)


def test_restarts_are_judged_by_the_mean_logits_too() -> None:
    # no run fools the mean of two looks, so every restart is run: 1 + 3 * (1 * 2) + 2 * 2 + 2 looks
    model = Alternating()
    attack = PGD(epsilon=0.1, steps=1, restarts=3, eot=2, keep="last")
    found = attack(model, torch.full((1, 2), 0.5), torch.tensor([0]))
    assert found.success.tolist() == [False]
    assert model.calls == 1 + 3 * 2 + 2 * 2 + 2


def test_one_look_per_step_by_default() -> None:
    model = Alternating()
    PGD(epsilon=0.1, steps=5, keep="last")(model, torch.full((1, 2), 0.5), torch.tensor([0]))
    assert model.calls == 1 + 5 + 1  # the look at the model, the steps, the judgement


# --- batches ---------------------------------------------------------------------------------------------------------


def test_a_wrong_label_of_the_last_batch_is_seen_before_the_first_is_attacked() -> None:
    network, images, labels = some(6)
    labels[5] = 7
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(len(x))
        logits: Tensor = network(x)
        return logits

    with pytest.raises(UsageError, match=r"^expected labels in \[0, 2\], got 7$"):
        PGD(steps=3)(counted, images, labels, batch_size=2)
    assert calls == [6]


@pytest.mark.parametrize("size", [2.5, "3", True])
def test_a_batch_size_that_is_no_whole_number(size: Any) -> None:
    network, images, labels = some()
    with pytest.raises(UsageError) as error:
        PGD()(network, images, labels, batch_size=size)
    assert str(error.value) == f"expected a whole number as batch_size, got {size!r}"


# --- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [5, None, (0,), (0, 1, 2), ("a", "b")])
def test_bounds_that_are_not_two_numbers(bounds: Any) -> None:
    network, images, labels = some()
    with pytest.raises(UsageError) as error:
        FGSM()(network, images, labels, bounds=bounds)
    assert str(error.value) == f"expected bounds as two numbers, (low, high), got {bounds!r}"


def test_a_list_is_a_range_and_0_to_1_changes_nothing() -> None:
    network, images, labels = some()
    plain = PGD(steps=2)(network, images, labels).inputs
    assert torch.equal(PGD(steps=2)(network, images, labels, bounds=[0, 1]).inputs, plain)  # type: ignore[arg-type]
    SelectivePGD(score=darkness, steps=2)(network, images, labels, bounds=[0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_has_no_other_range(dtype: torch.dtype) -> None:
    network, images, labels = some()
    with pytest.raises(UsageError) as error:
        PGD()(network.to(dtype), (images * 2 - 1).to(dtype), labels, bounds=(-1.0, 1.0))
    assert str(error.value) == (
        f"expected float32 or float64 images for bounds (-1.0, 1.0), got {dtype}: "
        "convert the model and the images, or pass images in [0, 1]"
    )


# --- every attack ----------------------------------------------------------------------------------------------------


@every_attack
def test_one_image_no_image_two_classes_and_float64(attack: Attack) -> None:
    network, images, labels = some(1)
    one = attack(network, images, labels)
    torch.testing.assert_close(one.logits, network(one.inputs).detach())
    none = attack(network, images[:0], labels[:0], batch_size=2)
    assert (none.inputs.shape, none.success.shape, none.logits.shape) == ((0, 3, 2, 2), (0,), (0, 3))
    network, images, labels = some(3, classes=2)
    two = attack(network, images, labels)
    assert torch.equal(two.success, two.logits.argmax(dim=1) != labels)
    double = attack(network.double(), images.double(), labels)
    assert (double.inputs.dtype, double.distances.dtype, double.logits.dtype) == (torch.float64,) * 3


@every_attack
def test_wrong_order_of_arguments(attack: Attack) -> None:
    network, images, labels = some()
    for wrong, text in (
        ((images, network, labels), "expected a model, a callable that maps images to logits, got Tensor"),
        ((network, labels, images), "expected a batch of shape (N, ...), such as (N, C, H, W), got (4,)"),
    ):
        with pytest.raises(UsageError) as error:
            attack(*wrong)
        assert str(error.value) == text


@every_attack
def test_nan_is_no_success(attack: Attack) -> None:
    network, images, labels = some()
    with pytest.raises(UsageError) as error:
        attack(lambda x: network(x) * math.nan, images, labels)
    assert (
        str(error.value) == "expected logits without NaN, got NaN for the images as they are: look at the model first"
    )


@every_attack
def test_a_class_that_is_ruled_out_by_an_infinite_logit(attack: Attack) -> None:
    network, images, _ = some(classes=4)
    ruled_out = torch.tensor([0.0, 0.0, 0.0, -math.inf])

    def model(x: Tensor) -> Tensor:
        logits: Tensor = network(x) + ruled_out
        return logits

    labels = model(images).argmax(dim=1)
    found = attack(model, images, labels)
    assert bool(found.inputs.isfinite().all())
    assert 3 not in found.logits.argmax(dim=1).tolist()


# --- hyperparameters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"steps": 2.5}, "expected a whole number as steps, got 2.5"),
        ({"steps": "3"}, "expected a whole number as steps, got '3'"),
        ({"eot": 1.5}, "expected a whole number as eot, got 1.5"),
        ({"step_size": -0.1}, "expected a finite step_size >= 0, got -0.1"),
        ({"step_size": math.nan}, "expected a finite step_size >= 0, got nan"),
        ({"trace": True}, "expected a Trace as trace, got True: pass trace=Trace() and keep it"),
    ],
)
def test_options_of_pgd_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        PGD(**options)
    assert str(error.value) == text


@pytest.mark.parametrize("epsilon", ["0.1", True])
def test_a_budget_that_is_no_number(epsilon: Any) -> None:
    network, images, labels = some()
    with pytest.raises(UsageError) as error:
        PGD(epsilon=epsilon)(network, images, labels)
    assert str(error.value) == f"expected a number as epsilon, got {epsilon!r}"


def test_a_function_in_a_repr_has_a_name_and_no_address() -> None:
    assert "objective=partial(margin)," in repr(PGD(objective=partial(margin, targeted=False)))
    assert "objective=CrossEntropyLoss()," in repr(PGD(objective=nn.CrossEntropyLoss(reduction="none")))


def test_a_trace_without_a_step() -> None:
    network, images, labels = some()
    trace = Trace()
    PGD(epsilon=0.0, trace=trace)(network, images, labels)
    with pytest.raises(UsageError) as error:
        _ = trace.values
    assert str(error.value) == "expected a trace of at least one step, got none: attack with epsilon > 0 first"


# --- Normalised ------------------------------------------------------------------------------------------------------


def test_normalised_takes_no_whole_numbers() -> None:
    with pytest.raises(UsageError) as error:
        Normalised(nn.Flatten(), 0.5, 0.25)(torch.zeros(2, 3, 2, 2, dtype=torch.uint8))
    assert str(error.value) == (
        "expected floating-point images of shape (N, channels, ...) in [0, 1], got (2, 3, 2, 2) of torch.uint8: "
        "divide pixels from 0 to 255 by 255"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((nn.Flatten(), [], []), "expected a mean and a std of each channel, got none"),
        ((nn.Flatten(), "a", 1.0), "expected numbers as mean and std, got 'a' and 1.0"),
        ((nn.Flatten(), None, None), "expected numbers as mean and std, got None and None"),
        ((3, 0.5, 0.5), "expected a model, a callable that maps images to logits, got int"),
    ],
)
def test_normalised_of_what_is_none(arguments: Any, text: str) -> None:
    with pytest.raises(UsageError) as error:
        Normalised(*arguments)
    assert str(error.value) == text
