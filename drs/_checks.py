"""What public functions do with their inputs first: refuse wrong ones in one sentence, and widen half precision.

Nothing here waits for a GPU, except :func:`check_images`.
"""

from __future__ import annotations

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
    if logits.dim() == 0:
        raise UsageError("expected logits with a class dimension, got a scalar")
    if not logits.is_floating_point():
        raise UsageError(f"expected floating-point logits, got {logits.dtype}")
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
    if bounds != (0.0, 1.0):
        inputs = ((inputs - floor) / (ceiling - floor)).clamp(0.0, 1.0)
    inputs, labels = (values.clone() if values.is_inference() else values for values in (inputs, labels))
    return inputs, labels


def check_weight(weight: float | Tensor, name: str = "weight") -> None:
    """Refuse a weight that is negative or not finite; a tensor's value is not looked at.

    Raises:
        UsageError: A number that is negative, infinite or NaN.
    """
    if isinstance(weight, (int, float)) and not 0.0 <= weight < float("inf"):
        raise UsageError(f"expected {name} to be a finite number >= 0, got {weight}")


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32, anything else as it is."""
    return values.float() if values.dtype in HALF else values
