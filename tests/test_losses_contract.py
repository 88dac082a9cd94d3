"""What every loss promises: shapes, reductions, precision, no host synchronisation, modules, names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from drs.errors import UsageError
from drs.losses import (
    LOSSES,
    CrossEntropyLoss,
    DRSLoss,
    LabelSmoothingLoss,
    RCELoss,
    cross_entropy,
    drs_loss,
    get_loss,
    label_smoothing,
    rce_loss,
)
from tests.loss_cases import Loss, batch, every_variant, gradient

# --- shapes, reductions, ignored examples ----------------------------------------------------------------------------


@every_variant
def test_every_shape_that_torch_takes(function: Loss, options: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(24, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 5, (24,), generator=generator)
    labels[[3, 17]] = -100
    options = {**options, "reduction": "none"}
    if options.get("batch_reduction") == "sum":
        options["penalty"] = 1e-3
    expected = function(flat, labels, **options)
    for shape in [(24,), (4, 6), (2, 3, 4), (2, 2, 3, 2)]:
        z, y = flat.reshape(*shape, 5).movedim(-1, 1), labels.reshape(shape)
        found = function(z, y, **options)
        assert found.shape == shape
        torch.testing.assert_close(found, expected.reshape(shape), rtol=1e-10, atol=1e-12)
    single = function(flat[0], labels[0], **options)
    assert single.shape == ()
    torch.testing.assert_close(single, function(flat[:1], labels[:1], **options)[0])


@every_variant
def test_reductions_and_ignored_examples(function: Loss, options: dict[str, Any]) -> None:
    logits, target = batch(10, 5)
    target[:] = logits.argmax(1)
    target[[1, 4]] = 3
    kept = target != 3
    values = function(logits[kept], target[kept], reduction="none", **options)
    none = function(logits, target, ignore_index=3, reduction="none", **options)
    torch.testing.assert_close(none[kept], values)
    assert bool((none[~kept] == 0).all())
    assert int(kept.sum()) < 10
    torch.testing.assert_close(function(logits, target, ignore_index=3, reduction="sum", **options), values.sum())
    torch.testing.assert_close(function(logits, target, ignore_index=3, **options), values.mean())


@every_variant
def test_ignored_examples_have_no_gradient(function: Loss, options: dict[str, Any]) -> None:
    logits, target = batch(4, 5)
    logits.requires_grad_()
    target[1] = -100
    found = gradient(function(logits, target, **options), logits)
    assert bool((found[1] == 0).all())
    assert bool((found[0] != 0).any())


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@every_variant
def test_gradient_of_each_example_by_torch_func(function: Loss, options: dict[str, Any]) -> None:
    logits, target = batch(6, 5)
    options = {"batch_reduction": "mean", **options} if function is drs_loss else options

    def alone(z: Tensor, y: Tensor) -> Tensor:
        return function(z.unsqueeze(0), y.unsqueeze(0), **options)

    found = torch.func.vmap(torch.func.grad(alone))(logits, target)
    for row in range(6):
        leaf = logits[row].clone().requires_grad_()
        torch.testing.assert_close(found[row], gradient(alone(leaf, target[row]), leaf))


@every_variant
def test_nothing_left_to_count_is_nan_as_in_torch(function: Loss, options: dict[str, Any]) -> None:
    logits, target = torch.zeros(2, 5), torch.tensor([-100, -100])
    assert math.isnan(function(logits, target, **options).item())
    assert math.isnan(F.cross_entropy(logits, target).item())
    assert function(logits, target, reduction="sum", **options).item() == 0.0


# --- numbers that are hard for floats --------------------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_finite_for_huge_logits(
    function: Loss, options: dict[str, Any], kind: torch.dtype, device: torch.device
) -> None:
    logits = torch.tensor(
        [[1e4, -1e4, 0, 1, 1e4], [-1e4, 1e4, 1e4, -1e4, 3], [-1e4] * 5, [1e4, 0, 0, 0, 0]], device=device, dtype=kind
    ).requires_grad_()
    target = torch.tensor([1, 0, 2, 0], device=device)
    loss = function(logits, target, **options)
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())
    # the gradient of the squares is about 1e4: within float16's range
    assert bool(gradient(loss, logits).isfinite().all())


@every_variant
def test_half_precision_logits_are_computed_in_float32(function: Loss, options: dict[str, Any]) -> None:
    logits, target = batch(8, 6)
    for kind in (torch.float16, torch.bfloat16):
        half = logits.to(kind)
        assert torch.equal(function(half, target, **options), function(half.float(), target, **options))


@every_variant
def test_autocast(function: Loss, options: dict[str, Any], device: torch.device) -> None:
    """The loss of the same logits in float32, and that of the half-precision logits a layer gives."""
    logits, target = batch(16, 6)
    z, y = logits.float().to(device), target.to(device)
    kind = torch.float16 if device.type == "mps" else torch.bfloat16
    with torch.autocast(device.type, dtype=kind):
        found = function(z, y, **options)
        through_a_layer = function(F.linear(z, torch.eye(6, device=device)), y, **options)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, function(z, y, **options), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(through_a_layer, function(z.to(kind).float(), y, **options), rtol=1e-5, atol=1e-5)


# --- no host synchronisation, no loops -------------------------------------------------------------------------------


@every_variant
def test_never_reads_a_value(function: Loss, options: dict[str, Any]) -> None:
    """On the meta device there are no values: whatever asks for one raises."""
    logits = torch.zeros(8, 6, device="meta", requires_grad=True)
    target = torch.zeros(8, dtype=torch.int64, device="meta")
    assert gradient(function(logits, target, **options), logits).shape == (8, 6)


class CountOperations(TorchDispatchMode):
    """Counts every operation that torch dispatches."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@every_variant
def test_no_loop_over_samples_or_classes(function: Loss, options: dict[str, Any]) -> None:
    """The number of operations, backward included, does not depend on the shape."""
    counts = []
    for count, classes in [(8, 5), (64, 50)]:
        logits, target = batch(count, classes)
        logits.requires_grad_()
        with CountOperations() as operations:
            gradient(function(logits, target, **options), logits)
        counts.append(operations.count)
    assert counts[0] == counts[1] > 0


def test_weight_may_be_a_tensor(device: torch.device) -> None:
    logits, target = batch(5, 4)
    z, y = logits.float().to(device), target.to(device)
    assert torch.equal(drs_loss(z, y, penalty=torch.tensor(0.3, device=device)), drs_loss(z, y, penalty=0.3))


# --- random shapes ---------------------------------------------------------------------------------------------------

shapes = st.tuples(st.integers(1, 6), st.integers(2, 9), st.lists(st.integers(1, 3), max_size=2), st.integers(0, 99))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shapes)
def test_properties_over_random_shapes(case: tuple[int, int, list[int], int]) -> None:
    count, classes, extra, seed = case
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(count, classes, *extra, generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (count, *extra), generator=generator)
    ce = F.cross_entropy(logits, target, reduction="none")
    assert torch.equal(cross_entropy(logits, target, reduction="none"), ce)
    drs = drs_loss(logits, target, reduction="none")
    assert drs.shape == target.shape
    assert bool((drs >= ce - 1e-12).all())
    if classes == 2:  # one false class has no spread
        torch.testing.assert_close(drs, ce)
    # twice the weight, twice the penalty; twice the false deviations, four times
    torch.testing.assert_close(drs_loss(logits, target, penalty=1.28, reduction="none") - ce, 2 * (drs - ce))
    doubled = drs_loss(2 * logits, target, reduction="none") - F.cross_entropy(2 * logits, target, reduction="none")
    torch.testing.assert_close(doubled, 4 * (drs - ce))
    # the order of the classes does not matter
    order = torch.randperm(classes, generator=generator)
    renamed = torch.argsort(order)[target]
    for function in (drs_loss, rce_loss):
        torch.testing.assert_close(
            function(logits[:, order], renamed, reduction="none"), function(logits, target, reduction="none")
        )
    # CE and RCE share the log-softmax: CE + (C - 1) RCE = -sum over all classes
    total = -torch.log_softmax(logits, 1).sum(1)
    torch.testing.assert_close(ce + (classes - 1) * rce_loss(logits, target, reduction="none"), total)
    assert drs_loss(logits, target).item() == pytest.approx(drs.mean().item())


# --- modules and registry --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "function", "options"),
    [
        (CrossEntropyLoss, cross_entropy, {"reduction": "sum"}),
        (DRSLoss, drs_loss, {}),
        (DRSLoss, drs_loss, {"penalty": 0.1, "measure": "probabilities", "spread": "std", "reduction": "none"}),
        (DRSLoss, drs_loss, {"top_k": 7}),
        (RCELoss, rce_loss, {"ignore_index": 2}),
        (LabelSmoothingLoss, label_smoothing, {"smoothing": 0.3}),
    ],
)
def test_modules_equal_functions(module: Callable[..., torch.nn.Module], function: Loss, options: Any) -> None:
    logits, target = batch(9, 10)
    loss = module(**options)
    assert torch.equal(loss(logits, target), function(logits, target, **options))
    assert list(loss.parameters()) == []


def test_module_repr_lists_its_options() -> None:
    assert repr(DRSLoss(penalty=0.1, measure="probabilities")) == "DRSLoss(penalty=0.1, measure='probabilities')"


def test_module_refuses_bad_options_when_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"^expected penalty to be a finite number >= 0, got -1$"):
        DRSLoss(penalty=-1)
    with pytest.raises(UsageError, match="unknown reduction 'avg': expected one of mean, none, sum"):
        RCELoss(reduction="avg")  # type: ignore[arg-type]


def test_registry() -> None:
    assert get_loss("drs").function is drs_loss
    assert get_loss("rce").function is rce_loss
    assert [name for name, loss in LOSSES.items() if loss.reverse] == ["rce"]
    own = {"ce", "drs", "rce", "label_smoothing", "confidence_penalty", "logit_squeezing"}
    assert set(LOSSES) == own | {"gce", "std", "mmc"}
    with pytest.raises(UsageError, match=r"^unknown loss 'focal': expected one of ce, confidence_penalty, drs, gce"):
        get_loss("focal")
