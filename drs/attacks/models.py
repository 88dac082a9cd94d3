"""Whose models can be attacked: any callable that returns raw logits, in any range of pixels, in half precision too.

:func:`attackable` lends a model out in evaluation mode and gives it back as it was; :func:`check_model` refuses in one
sentence what does not return logits; :class:`Normalised` stands in front of a network that wants standardised images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from drs._checks import at_least_float32, check_target_range
from drs.errors import UsageError

__all__ = [
    "AsModule",
    "Model",
    "Normalised",
    "Ranged",
    "Widened",
    "attackable",
    "check_model",
    "differentiating",
    "first_look",
]

NOT_DIFFERENTIABLE = (
    "expected a model that is differentiable in its images, got logits without a gradient: "
    "attack it with Square, which needs none"
)

INFERENCE_MODEL = (
    "expected a model made outside torch.inference_mode, got parameters that take no gradients: "
    "leave inference_mode and copy the model with copy.deepcopy"
)

Model: TypeAlias = Callable[[Tensor], Tensor]
"""From images to raw logits (N, classes): a module, a function, TorchScript, the module of an exported program.

A function's own modules are not seen: put them in evaluation mode before."""


class AsModule(nn.Module):
    """A callable as a module: no parameters, no mode of its own."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.call: Model = lambda images: model(images)  # a lambda, lest a module be registered and its mode be set

    def forward(self, images: Tensor) -> Tensor:
        """Whatever the callable makes of ``images``."""
        return self.call(images)


class Widened(nn.Module):
    """A model in half precision, or under autocast, as one that takes images and returns logits in float32.

    The attack then computes in float32; only the model itself does not.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.call, self.dtype = AsModule(model), dtype

    def forward(self, images: Tensor) -> Tensor:
        """Logits in float32."""
        return at_least_float32(self.call(images.to(self.dtype)))


class Normalised(nn.Module):
    """A network that wants standardised images, as one that takes pixels in [0, 1].

    >>> import torch
    >>> network = Normalised(torch.nn.Flatten(), mean=[0.5, 0.0], std=[0.25, 1.0])
    >>> network(torch.tensor([[[[1.0]], [[0.5]]]]))
    tensor([[2.0000, 0.5000]])

    Attacks and budgets are in pixels, so the standardisation belongs to the model: wrap the network in this and leave
    ``transforms.Normalize`` out of the data.

    Args:
        model: Returns raw logits of images that were standardised.
        mean: Of each channel, or one number for all.
        std: Of each channel, or one number for all; > 0.

    Raises:
        UsageError: A std <= 0, numbers that are not finite, or means and stds of different lengths.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        try:
            means, stds = (torch.as_tensor(values, dtype=torch.float32).reshape(-1) for values in (mean, std))
        except (TypeError, ValueError) as error:
            raise UsageError(f"expected numbers as mean and std, got {mean!r} and {std!r}") from error
        if len(means) != len(stds):
            raise UsageError(f"expected as many stds as means, got {len(stds)} for {len(means)}")
        if len(means) == 0:
            raise UsageError("expected a mean and a std of each channel, got none")
        if not bool(means.isfinite().all() & stds.isfinite().all() & (stds > 0.0).all()):
            raise UsageError(f"expected finite means and stds > 0, got mean={mean} and std={std}")
        if not callable(model):
            raise UsageError(f"expected a model, a callable that maps images to logits, got {type(model).__name__}")
        self.model = model if isinstance(model, nn.Module) else AsModule(model)
        self.register_buffer("mean", means)
        self.register_buffer("std", stds)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (N, channels, ...) in [0, 1].

        Raises:
            UsageError: Whole numbers, or images with another number of channels than there are means.
        """
        if not images.is_floating_point() or images.dim() < 2:
            raise UsageError(
                f"expected floating-point images of shape (N, channels, ...) in [0, 1], got {tuple(images.shape)} of "
                f"{images.dtype}: divide pixels from 0 to 255 by 255"
            )
        if len(self.mean) not in (1, images.shape[1]):
            raise UsageError(
                f"expected images with {len(self.mean)} channels, one for each mean, got shape {tuple(images.shape)}"
            )
        shape = (-1, *[1] * (images.dim() - 2))
        mean, std = (values.to(images.dtype).reshape(shape) for values in (self.mean, self.std))
        logits: Tensor = self.model((images - mean) / std)
        return logits


class Ranged(nn.Module):
    """A model that takes pixels in [low, high], as one that takes pixels in [0, 1].

    Args:
        model: Takes images in [low, high].
        low, high: The range.
    """

    def __init__(self, model: Model, low: float, high: float) -> None:
        super().__init__()
        self.call = model if isinstance(model, nn.Module) else AsModule(model)
        self.low, self.high = low, high

    def forward(self, images: Tensor) -> Any:
        """Whatever the model makes of the images in its own range."""
        return self.call(images * (self.high - self.low) + self.low)


@contextmanager
def differentiating() -> Iterator[None]:
    """Gradients are computed inside, also within ``torch.no_grad`` and ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def attackable(model: Model) -> Iterator[nn.Module]:
    """The model as a module: evaluation mode and frozen parameters inside; every mode and flag restored after.

    A callable that is no module has neither, and is called as it is. An exported program has one mode only.

    Raises:
        UsageError: Something that cannot be called, or parameters made in ``torch.inference_mode``.
    """
    if not callable(model):
        raise UsageError(f"expected a model, a callable that maps images to logits, got {type(model).__name__}")
    if type(model).__name__ == "ExportedProgram":
        raise UsageError("expected a model that can be called, got ExportedProgram: pass its module()")
    if not isinstance(model, nn.Module):
        yield AsModule(model)
        return
    if any(values.is_inference() for values in (*model.parameters(), *model.buffers())):
        raise UsageError(INFERENCE_MODEL)
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
    except NotImplementedError:  # what an exported program answers
        for module, _ in modes:
            module.training = False
    for parameter, _ in flags:
        parameter.requires_grad_(False)
    try:
        yield model
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode


def check_model(model: nn.Module, inputs: Tensor, labels: Tensor, *, differentiable: bool) -> Tensor:
    """Refuse a model whose output is not a batch of raw logits. One forward pass of at most eight images.

    Args:
        model: As :func:`attackable` yields it.
        inputs: (N, ...).
        labels: (N,).
        differentiable: Whether a gradient has to reach the images.

    Returns:
        Logits of the first eight images.

    Raises:
        UsageError: Outputs of another type or shape, a single logit, labels out of range, NaN, rows of
            non-negative numbers that sum to one, logits without a gradient, or images of another dtype or device than
            the model's.
    """
    images = inputs[:8].clone().requires_grad_(differentiable)
    outputs = first_look(model, images)
    if not isinstance(outputs, Tensor):
        raise UsageError(f"expected a model that returns logits of shape (N, classes), {_how_to_wrap(outputs)}")
    if outputs.dim() != 2 or outputs.shape[0] != len(images):
        raise UsageError(f"expected a model that returns logits of shape (N, classes), got {tuple(outputs.shape)}")
    if outputs.shape[1] < 2:
        raise UsageError(
            f"expected a model with at least 2 classes, got {outputs.shape[1]}: "
            "for a binary model with one logit z return torch.cat([-z / 2, z / 2], dim=1), which has the same sigmoid"
        )
    check_target_range(labels.cpu(), outputs.shape[1])
    if bool(outputs.isnan().any()):
        raise UsageError("expected logits without NaN, got NaN for the images as they are: look at the model first")
    rounding = max(1e-4, torch.finfo(outputs.dtype).eps)
    sums = at_least_float32(outputs).sum(dim=1)
    if outputs.numel() and bool((outputs >= 0).all() & ((sums - 1.0).abs() < rounding).all()):
        raise UsageError(
            "expected a model that returns raw logits, got probabilities: "
            "return the logits, or torch.log of the probabilities, which are logits too"
        )
    if differentiable and not _reaches(outputs, images, model):
        raise UsageError(NOT_DIFFERENTIABLE)
    return outputs


def first_look(model: nn.Module, images: Tensor) -> Any:
    """What the model returns for images that may require gradients.

    Raises:
        UsageError: The model cannot take images that require gradients, or images of this dtype or device.
    """
    try:
        with torch.set_grad_enabled(images.requires_grad):
            return model(images)
    except RuntimeError as error:
        if images.requires_grad and "requires grad" in str(error):  # numpy() of a tensor that does
            raise UsageError(NOT_DIFFERENTIABLE) from error
        if "Inference tensors" in str(error):
            raise UsageError(INFERENCE_MODEL) from error
        weight = next(model.parameters(), None)
        if weight is not None and (weight.dtype, weight.device) != (images.dtype, images.device):
            raise UsageError(
                f"expected images of the model's dtype and device, {weight.dtype} on {weight.device}, "
                f"got {images.dtype} on {images.device}: convert one of them with to()"
            ) from error
        raise


def _reaches(outputs: Tensor, images: Tensor, model: nn.Module) -> bool:
    """Whether the outputs have a gradient with respect to the images."""
    if not outputs.requires_grad or not any(isinstance(module, AsModule) for module in model.modules()):
        return outputs.requires_grad  # a module's own parameters are frozen, those behind a callable may not be
    return torch.autograd.grad(outputs.sum(), images, allow_unused=True)[0] is not None


def _how_to_wrap(outputs: object) -> str:
    """What came instead of a tensor, and a function that returns the logits in it."""
    got, inside = type(outputs).__name__, ""
    if isinstance(outputs, (tuple, list)):
        inside = "[0]"
    elif isinstance(outputs, dict):
        inside = f"[{'logits' if 'logits' in outputs else next(iter(outputs), 'logits')!r}]"
    elif is_dataclass(outputs):
        names = [field.name for field in fields(outputs)]
        inside = f".{'logits' if 'logits' in names else names[0]}"
    if not inside:
        return f"got {got}: return a torch tensor"
    return f"got {got}: attack a function such as lambda images: model(images){inside}, after model.eval()"
