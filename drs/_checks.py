"""What public functions do with their inputs first: refuse wrong ones in one sentence, and widen half precision.

Nothing here waits for a GPU, except :func:`check_images`.
"""

from __future__ import annotations

import numbers
from numbers import Real

import torch
from torch import Tensor

from drs.errors import UsageError

HALF = (torch.float16, torch.bfloat16)
"""The dtypes of half precision."""

ROUNDING = 1e-6
"""How far outside [0, 1] a pixel may be: what undoing a normalisation in float32 leaves."""

OTHER_RANGE = (
    ": pass bounds=(low, high) for another range, or Normalised(model, mean, std) for a model of standardised images"
)
"""What to do about pixels in another range, as the end of a sentence."""


def flatten_classes(logits: Tensor, target: Tensor, *, min_classes: int = 2) -> tuple[Tensor, Tensor]:
    """Bring every shape that torch's ``cross_entropy`` takes to (M, C) and (M,).

    Args:
        logits: (C,), (N, C) or (N, C, d1, ..., dk), floating point.
        target: (), (N,) or (N, d1, ..., dk), int64 class indices.
        min_classes: The fewest classes for which the caller's formula means something.

    Raises:
        UsageError: Shapes that do not belong together, a target that is not int64, too few classes.
    """
    for name, values in (("logits", logits), ("target", target)):
        if not isinstance(values, Tensor):
            raise UsageError(f"expected {name} as a torch tensor, got {type(values).__name__}")
    if not logits.is_floating_point() and target.is_floating_point():
        raise UsageError("expected logits first and target second, got integers first: swap the two")
    if logits.dim() == 0:
        raise UsageError("expected logits with a class dimension, got a scalar")
    if not logits.is_floating_point():
        raise UsageError(f"expected floating-point logits, got {logits.dtype}")
    if logits.device != target.device:
        raise UsageError(f"expected logits and target on one device, got {logits.device} and {target.device}")
    if are_probabilities(logits, target):
        raise UsageError(
            f"expected target of dtype torch.int64 (class indices), got probabilities of shape {tuple(target.shape)}: "
            f"pass target.argmax(dim={min(1, logits.dim() - 1)})"
        )
    if target.dtype != torch.int64:
        raise UsageError(f"expected target of dtype torch.int64 (class indices), got {target.dtype}")
    expected = logits.shape[1:] if logits.dim() == 1 else logits.shape[:1] + logits.shape[2:]
    if target.shape != expected:
        raise UsageError(
            f"expected target of shape {tuple(expected)} for logits of shape {tuple(logits.shape)}, "
            f"got {tuple(target.shape)}"
        )
    classes = logits.shape[0] if logits.dim() == 1 else logits.shape[1]
    if classes < min_classes:
        raise UsageError(f"expected at least {min_classes} classes, got {classes}")
    if logits.dim() == 1:
        return logits.unsqueeze(0), target.unsqueeze(0)
    if logits.dim() == 2:
        return logits, target
    return logits.movedim(1, -1).reshape(-1, classes), target.reshape(-1)


def check_target_range(target: Tensor, classes: int, ignore_index: int | None = None) -> None:
    """Refuse labels outside [0, classes). Only on the CPU, where looking costs nothing: a GPU would have to wait.

    Neither a compiler nor ``torch.func.vmap`` has values to look at: both skip the check.

    Raises:
        UsageError: A label outside the range that is not ``ignore_index``.
    """
    if torch.compiler.is_compiling() or target.device.type != "cpu" or target.numel() == 0:
        return
    low, high = torch.aminmax(target)  # one pass says that all is well, which it nearly always is
    try:
        if low.item() >= 0 and high.item() < classes:
            return
    except RuntimeError:  # the labels are batched by vmap
        return
    outside = (target < 0) | (target >= classes)
    if ignore_index is not None:
        outside &= target != ignore_index
    if bool(outside.any()):
        raise UsageError(f"expected labels in [0, {classes - 1}], got {int(target[outside][0])}")


def check_images(inputs: Tensor, labels: Tensor, bounds: tuple[float, float] = (0.0, 1.0)) -> tuple[Tensor, Tensor]:
    """Refuse a batch that is not images in [low, high] with one label each. Waits for the device once.

    Returns:
        Images, brought to [0, 1], and labels. Pixels that rounding put outside the bounds, by at most :data:`ROUNDING`
        of the range, are clamped. What was made in ``torch.inference_mode`` is copied: outside of it the copy takes
        gradients.

    Raises:
        UsageError: No tensors, shapes or devices that do not belong together, NaN, or pixels outside the bounds.
    """
    if not (isinstance(bounds, tuple | list) and len(bounds) == 2 and all(isinstance(bound, Real) for bound in bounds)):
        raise UsageError(f"expected bounds as two numbers, (low, high), got {bounds!r}")
    floor, ceiling = bounds
    if not -float("inf") < floor < ceiling < float("inf"):
        raise UsageError(f"expected bounds (low, high) with low < high, got {bounds}")
    for name, values, dtype in (("images", inputs, "float32"), ("labels", labels, "int64")):
        if not isinstance(values, Tensor):
            raise UsageError(
                f"expected {name} as a torch tensor, got {type(values).__name__}: "
                f"pass torch.as_tensor({name}, dtype=torch.{dtype})"
            )
    if inputs.dim() < 2:
        raise UsageError(f"expected a batch of shape (N, ...), such as (N, C, H, W), got {tuple(inputs.shape)}")
    if not inputs.is_floating_point():
        raise UsageError(f"expected floating-point images in [0, 1], got {inputs.dtype}")
    if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64:
        raise UsageError(
            f"expected labels of shape ({inputs.shape[0]},) and dtype torch.int64, "
            f"got {tuple(labels.shape)} of {labels.dtype}"
        )
    if labels.device != inputs.device:
        raise UsageError(f"expected images and labels on one device, got {inputs.device} and {labels.device}")
    if inputs.device.type == "meta" or inputs.numel() == 0:
        return inputs, labels
    low, high = (float(v) for v in torch.stack(torch.aminmax(inputs)).tolist())
    if low != low or high != high:
        raise UsageError("expected images without NaN, got NaN")
    rounding = ROUNDING * (ceiling - floor)
    if low < floor - rounding or high > ceiling + rounding:
        raise UsageError(
            f"expected pixels in [{floor:g}, {ceiling:g}], got values from {low:.7g} to {high:.7g}{OTHER_RANGE}"
        )
    if low < floor or high > ceiling:
        inputs = inputs.clamp(floor, ceiling)
    if (floor, ceiling) != (0.0, 1.0):
        inputs = ((inputs - floor) / (ceiling - floor)).clamp(0.0, 1.0)
    inputs, labels = (values.clone() if values.is_inference() else values for values in (inputs, labels))
    return inputs, labels


def check_penalty(penalty: float | Tensor) -> float | Tensor:
    """Refuse a penalty that is not one finite number >= 0. The value of a tensor is looked at on the CPU only.

    Returns:
        A Python number, or the scalar tensor as it is.

    Raises:
        UsageError: No number, a tensor of several, or one that is negative, infinite or NaN.
    """
    if isinstance(penalty, Tensor):
        if penalty.dim() != 0:
            raise UsageError(
                f"expected penalty as one number, got a tensor of shape {tuple(penalty.shape)}: "
                "class weights go in weight="
            )
        _check_finite("penalty to be a finite number", penalty)
        return penalty
    if not isinstance(penalty, (int, float, numbers.Real)):  # the last are numpy's
        raise UsageError(f"expected penalty as one number, got {type(penalty).__name__}")
    if not 0.0 <= penalty < float("inf"):
        raise UsageError(f"expected penalty to be a finite number >= 0, got {penalty}")
    return penalty if isinstance(penalty, (int, float)) else float(penalty)


def check_class_weights(weight: Tensor, flat: Tensor) -> Tensor:
    """Refuse class weights that do not belong to (M, C) logits. Their values are looked at on the CPU only.

    Returns:
        The weights in the dtype of the logits.

    Raises:
        UsageError: No floating-point tensor of shape (C,), another device, or a weight that is negative or not finite.
    """
    if not isinstance(weight, Tensor):
        raise UsageError(
            f"expected weight as a tensor of class weights, got {type(weight).__name__}: "
            "the factor of a loss's own term is called penalty"
        )
    if weight.shape != flat.shape[1:]:
        raise UsageError(f"expected weight of shape {tuple(flat.shape[1:])}, one per class, got {tuple(weight.shape)}")
    if not weight.is_floating_point():
        raise UsageError(f"expected floating-point class weights, got {weight.dtype}")
    if weight.device != flat.device:
        raise UsageError(f"expected weight on the device of the logits, {flat.device}, got {weight.device}")
    _check_finite("class weights to be finite numbers", weight)
    return weight.to(flat.dtype)


def _check_finite(what: str, values: Tensor) -> None:
    """Refuse values that are negative or not finite, on the CPU, where looking costs nothing."""
    if torch.compiler.is_compiling() or values.device.type != "cpu":
        return
    try:
        found = values.detach().reshape(-1).tolist()
    except RuntimeError:  # the values are batched by vmap
        return
    for value in found:
        if not 0.0 <= value < float("inf"):
            raise UsageError(f"expected {what} >= 0, got {value:g}")


def are_probabilities(logits: Tensor, target: Tensor) -> bool:
    """Whether the target holds class probabilities: floating point, and of the shape of the logits."""
    return (
        isinstance(logits, Tensor)
        and isinstance(target, Tensor)
        and target.is_floating_point()
        and logits.is_floating_point()
        and target.shape == logits.shape
        and logits.dim() > 0
    )


def flatten_probabilities(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Bring logits and class probabilities of one shape to (M, C), both in the dtype of the logits, float32 or more.

    Raises:
        UsageError: Fewer than two classes, another device, or (looked at on the CPU only) values outside [0, 1].
    """
    if logits.device != target.device:
        raise UsageError(f"expected logits and target on one device, got {logits.device} and {target.device}")
    both = [v.unsqueeze(0) if v.dim() == 1 else v.movedim(1, -1) for v in (logits, target)]
    classes = both[0].shape[-1]
    if classes < 2:
        raise UsageError(f"expected at least 2 classes, got {classes}")
    flat = at_least_float32(both[0]).reshape(-1, classes)
    shares = both[1].reshape(-1, classes).to(flat.dtype)
    if not torch.compiler.is_compiling() and shares.device.type == "cpu" and shares.numel():
        low, high = (value.item() for value in torch.aminmax(shares.detach()))
        if not (low >= 0.0 and high <= 1.0 + ROUNDING):
            raise UsageError(f"expected class probabilities in [0, 1], got values from {low:g} to {high:g}")
    return flat, shares


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return values.float() if values.dtype in HALF else values
