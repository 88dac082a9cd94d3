"""Class weights, class probabilities as target, penalties that are none, two classes, and the modules' own face."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import drs.losses as losses
from drs.errors import UsageError
from drs.losses import (
    ConfidencePenaltyLoss,
    CrossEntropyLoss,
    DRSLoss,
    LabelSmoothingLoss,
    LogitSqueezingLoss,
    RCELoss,
    confidence_penalty,
    cross_entropy,
    drs_loss,
    drs_penalty,
    label_smoothing,
    logit_squeezing,
    rce_loss,
)
from drs.spread import false_class_entropy, false_class_std, false_class_variance
from tests.loss_cases import Loss, batch, every_variant, naive_cross_entropy, naive_drs_penalty, naive_log_softmax

TWINS: dict[type[nn.Module], Callable[..., Tensor]] = {
    CrossEntropyLoss: cross_entropy,
    DRSLoss: drs_loss,
    RCELoss: rce_loss,
    LabelSmoothingLoss: label_smoothing,
    ConfidencePenaltyLoss: confidence_penalty,
    LogitSqueezingLoss: logit_squeezing,
}
every_twin = pytest.mark.parametrize(("module", "function"), TWINS.items(), ids=[one.__name__ for one in TWINS])
WEIGHTS = [0.5, 2.0, 0.0, 1.25, 3.0]


# --- class weights ---------------------------------------------------------------------------------------------------


def test_class_weights_by_a_double_loop() -> None:
    """An example counts weight[y] times in both terms, and the mean divides by the sum of these weights."""
    logits, target = batch(7, 5)
    total: dict[str, float] = dict.fromkeys(("ce", "drs", "rce", "confidence", "squeezing"), 0.0)
    count = 0.0
    for row, true in zip(logits.tolist(), target.tolist(), strict=True):
        logs = naive_log_softmax(row)
        cost, once = naive_cross_entropy(row, true), WEIGHTS[true]
        total["ce"] += once * cost
        total["drs"] += once * (cost + 0.3 * naive_drs_penalty(row, true))
        total["rce"] += once * -sum(v for j, v in enumerate(logs) if j != true) / 4
        total["confidence"] += once * (cost + 0.3 * sum(math.exp(v) * v for v in logs))
        total["squeezing"] += once * (cost + 0.3 * sum(v * v for v in row))
        count += once
    weight = torch.tensor(WEIGHTS)  # float32 beside float64 logits
    functions: dict[str, Callable[..., Tensor]] = {
        "ce": cross_entropy,
        "drs": lambda z, y, **o: drs_loss(z, y, penalty=0.3, **o),
        "rce": rce_loss,
        "confidence": lambda z, y, **o: confidence_penalty(z, y, penalty=0.3, **o),
        "squeezing": lambda z, y, **o: logit_squeezing(z, y, penalty=0.3, **o),
    }
    for name, function in functions.items():
        assert function(logits, target, weight=weight).item() == pytest.approx(total[name] / count, rel=1e-9), name
        assert function(logits, target, weight=weight, reduction="sum").item() == pytest.approx(total[name]), name


@every_variant
def test_weight_two_is_the_same_as_each_example_twice(function: Loss, options: dict[str, Any]) -> None:
    if function is label_smoothing:
        pytest.skip("torch weighs the smoothed part by class")
    logits, target = batch(9, 5)
    target[0] = -100
    weight = torch.tensor([1.0, 2.0, 3.0, 0.0, 1.0], dtype=torch.float64)
    times = [0 if y < 0 else int(weight[y]) for y in target.tolist()]
    again = torch.repeat_interleave(torch.arange(9), torch.tensor(times))
    for reduction in ("mean", "sum"):
        if reduction == "sum" and options.get("batch_reduction") == "sum":
            continue
        torch.testing.assert_close(
            function(logits, target, weight=weight, reduction=reduction, **options),
            function(logits[again], target[again], reduction=reduction, **options),
        )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_class_weights_are_torchs_in_cross_entropy(reduction: Any, smoothing: float) -> None:
    logits, target = batch(9, 5)
    target[2] = -100
    weight = torch.tensor(WEIGHTS, dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weight=weight, reduction=reduction, label_smoothing=smoothing)
    found = label_smoothing(logits, target, smoothing=smoothing, weight=weight, reduction=reduction)
    assert torch.equal(found, expected)
    if smoothing == 0.0:
        assert torch.equal(drs_loss(logits, target, penalty=0.0, weight=weight, reduction=reduction), expected)
        for control in (confidence_penalty, logit_squeezing):
            torch.testing.assert_close(
                control(logits, target, penalty=0.0, weight=weight, reduction=reduction), expected
            )


@every_variant
@pytest.mark.parametrize(
    ("weight", "text"),
    [
        (torch.ones(4), "expected weight of shape (5,), one per class, got (4,)"),
        (torch.ones(()), "expected weight of shape (5,), one per class, got ()"),
        (torch.ones(5).long(), "expected floating-point class weights, got torch.int64"),
        (torch.tensor([1.0, 1, -1, 1, 1]), "expected class weights to be finite numbers >= 0, got -1"),
        (torch.tensor([1.0, 1, math.nan, 1, 1]), "expected class weights to be finite numbers >= 0, got nan"),
        (torch.tensor([1.0, 1, math.inf, 1, 1]), "expected class weights to be finite numbers >= 0, got inf"),
        (
            0.64,
            "expected weight as a tensor of class weights, got float: "
            "the factor of a loss's own term is called penalty",
        ),
    ],
)
def test_bad_class_weights(function: Loss, options: dict[str, Any], weight: Any, text: str) -> None:
    with pytest.raises(UsageError) as error:
        function(torch.zeros(2, 5), torch.tensor([0, 1]), weight=weight, **options)
    assert str(error.value) == text


# --- penalties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [drs_loss, confidence_penalty, logit_squeezing])
@pytest.mark.parametrize(
    ("penalty", "text"),
    [
        (torch.ones(5), "expected penalty as one number, got a tensor of shape (5,): class weights go in weight="),
        (torch.tensor(-1.0), "expected penalty to be a finite number >= 0, got -1"),
        (torch.tensor(math.nan), "expected penalty to be a finite number >= 0, got nan"),
        (np.float32(-1), "expected penalty to be a finite number >= 0, got -1.0"),
        (np.ones(5), "expected penalty as one number, got ndarray"),
        (None, "expected penalty as one number, got NoneType"),
    ],
)
def test_bad_penalties(function: Loss, penalty: Any, text: str) -> None:
    with pytest.raises(UsageError) as error:
        function(torch.zeros(5, 5), torch.arange(5), penalty=penalty, reduction="none")
    assert str(error.value) == text


@pytest.mark.parametrize("function", [drs_loss, confidence_penalty, logit_squeezing])
def test_numpy_penalties_are_numbers(function: Loss) -> None:
    logits, target = batch(4, 5)
    logits.requires_grad_()
    assert torch.equal(function(logits, target, penalty=np.float32(0.5)), function(logits, target, penalty=0.5))


def test_two_classes_are_cross_entropy_and_a_warning_says_so() -> None:
    logits, target = batch(6, 2)
    with pytest.warns(UserWarning, match=r"^with two classes the DRS penalty is zero and drs_loss is cross-entropy"):
        assert torch.equal(drs_loss(logits, target), cross_entropy(logits, target))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drs_loss(logits, target, penalty=0.0)
        drs_loss(*batch(6, 3))
        assert drs_loss(logits, target, count_true_class=True) > cross_entropy(logits, target)
    with pytest.raises(UsageError, match=r"^expected at least 3 classes for top_k, got 2$"):
        drs_penalty(logits, target, top_k=2)


# --- class probabilities as target -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(5,), (6, 5), (2, 5, 3)])
def test_probabilities_as_target(shape: tuple[int, ...], reduction: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, generator=generator, dtype=torch.float64)
    dim = min(1, len(shape) - 1)
    target = torch.randn(*shape, generator=generator, dtype=torch.float64).softmax(dim)
    weight = torch.tensor(WEIGHTS, dtype=torch.float64)
    for given in (None, weight):
        options = {"weight": given, "reduction": reduction}
        expected = F.cross_entropy(logits, target, **options)
        torch.testing.assert_close(cross_entropy(logits, target, **options), expected)
        for control in (confidence_penalty, logit_squeezing):
            torch.testing.assert_close(control(logits, target, penalty=0.0, **options), expected)
        torch.testing.assert_close(
            label_smoothing(logits, target, smoothing=0.2, **options),
            F.cross_entropy(logits, target, label_smoothing=0.2, **options),
        )


def test_one_hot_probabilities_are_the_class_indices() -> None:
    logits, target = batch(6, 5)
    one_hot = F.one_hot(target, 5).double()
    weight = torch.tensor(WEIGHTS)
    for control in (cross_entropy, confidence_penalty, logit_squeezing):
        for given in (None, weight):
            torch.testing.assert_close(
                control(logits, one_hot, weight=given, reduction="none"),
                control(logits, target, weight=given, reduction="none"),
            )


def test_losses_of_the_one_true_class_take_indices_only() -> None:
    logits = torch.zeros(2, 5)
    for function in (drs_loss, rce_loss, false_class_std, false_class_variance, false_class_entropy):
        with pytest.raises(UsageError) as error:
            function(logits, torch.full((2, 5), 0.2))
        assert str(error.value) == (
            "expected target of dtype torch.int64 (class indices), got probabilities of shape (2, 5): "
            "pass target.argmax(dim=1)"
        )
    with pytest.raises(UsageError, match=r"^expected class probabilities in \[0, 1\], got values from -1 to -1$"):
        cross_entropy(logits, torch.full((2, 5), -1.0))
    with pytest.raises(UsageError, match=r"^expected class indices as target with ignore_index=0, got probabilities$"):
        cross_entropy(logits, torch.full((2, 5), 0.2), ignore_index=0)


# --- what is no batch ------------------------------------------------------------------------------------------------

MEASURES = [false_class_std, false_class_variance, false_class_entropy, drs_penalty]


@pytest.mark.parametrize("function", [*TWINS.values(), *MEASURES], ids=lambda function: function.__name__)
def test_wrong_order_no_tensors_and_values_that_are_none(function: Callable[..., Tensor]) -> None:
    logits, target = torch.zeros(2, 5), torch.tensor([0, 1])
    for bad, text in [
        ((target, logits), "expected logits first and target second, got integers first: swap the two"),
        ((logits.numpy(), target), "expected logits as a torch tensor, got ndarray"),
        ((logits, [0, 1]), "expected target as a torch tensor, got list"),
        ((logits, target.to("meta")), "expected logits and target on one device, got cpu and meta"),
    ]:
        with pytest.raises(UsageError) as error:
            function(*bad)
        assert str(error.value) == text
    for wrong in (math.nan, math.inf):
        broken = logits.clone()
        broken[0, 3] = wrong
        options = {} if function in MEASURES else {"reduction": "none"}
        values = function(broken, target, **options)
        assert bool(values[0].isnan()) or (function in (rce_loss, logit_squeezing) and not bool(values[0].isfinite()))
        assert bool(values[1].isfinite())
    empty = function(torch.zeros(0, 5), target[:0], **({} if function in MEASURES else {"reduction": "none"}))
    assert empty.shape == (0,)


# --- modules ---------------------------------------------------------------------------------------------------------


@every_twin
def test_modules_have_the_signature_of_their_function(module: type[nn.Module], function: Callable[..., Tensor]) -> None:
    of_function = {k: v.default for k, v in inspect.signature(function).parameters.items() if v.kind is v.KEYWORD_ONLY}
    of_module = {k: v.default for k, v in inspect.signature(module).parameters.items()}
    assert of_module == of_function
    assert all(v.kind is v.KEYWORD_ONLY for v in inspect.signature(module).parameters.values())


def test_every_function_has_a_module_and_a_name() -> None:
    of_family = {"gce", "std", "mmc"}  # their modules are in drs.family
    assert {one.function for name, one in losses.LOSSES.items() if name not in of_family} == set(TWINS.values())
    assert {module.__name__ for module in TWINS} <= set(losses.__all__)


@every_twin
def test_class_weights_are_a_buffer(module: type[nn.Module], function: Callable[..., Tensor]) -> None:
    logits, target = batch(6, 5)
    weight = torch.tensor(WEIGHTS)
    loss = module(weight=weight)
    assert dict(loss.named_buffers()) == {"weight": weight}
    for same in (loss, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), loss.double()):
        assert torch.equal(same(logits, target), function(logits, target, weight=weight))
    assert loss.to("meta").weight.device.type == "meta"
    assert dict(module().named_buffers()) == {}
    assert module().weight is None
    assert repr(module(weight=torch.ones(3))) == f"{module.__name__}(weight=[1.0, 1.0, 1.0])"
    assert repr(module()) == f"{module.__name__}()"
    with pytest.raises(UsageError, match=r"^expected floating-point class weights, got torch.int64$"):
        module(weight=torch.ones(5, dtype=torch.int64))


def test_an_option_of_a_module_can_change() -> None:
    logits, target = batch(6, 5)
    loss = DRSLoss(penalty=0.1)
    loss.penalty = 0.2
    assert torch.equal(loss(logits, target), drs_loss(logits, target, penalty=0.2))
    assert repr(DRSLoss(top_k=3, only_correct=True)) == "DRSLoss(top_k=3, only_correct=True)"
