"""The one front door of every attack, and the one place where budget, pixel range and success are judged.

An attack is a frozen, keyword-only dataclass: hyperparameters in the object, model and data at the call::

    adversarials = PGD(epsilon=8 / 255, steps=20)(model, inputs, labels)

Precautions: the model returns raw logits (never a softmax), takes pixels in [0, 1] and is in evaluation mode while it
is attacked; its mode, its parameters and their gradients are as before when the call returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from drs._checks import HALF, at_least_float32, check_images, check_target_range
from drs._seeding import seeded
from drs.errors import UsageError

__all__ = [
    "INFERENCE_MODEL",
    "NOT_DIFFERENTIABLE",
    "TOLERANCE",
    "Adversarials",
    "AsModule",
    "Attack",
    "Model",
    "attackable",
    "check_model",
    "differentiating",
    "distance",
    "first_look",
    "per_image",
    "project",
    "round_towards",
]

TOLERANCE = 1e-6
"""What rounding may add to a budget."""

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


@dataclass(frozen=True)
class Adversarials:
    """What an attack made, judged by running the model on it.

    Attributes:
        inputs: (N, ...) in [0, 1], within the budget, of the dtype of the images.
        success: (N,) bool: the model's label differs from the true one (for a targeted attack: is the target).
        distances: (N,) in the norm of the attack (L-inf or L2), pixels in [0, 1].
        logits: (N, classes), what the model answers on ``inputs``; distances and logits are never in half precision.
        norm: ``"linf"`` or ``"l2"``, the norm of ``distances``.
    """

    inputs: Tensor
    success: Tensor
    distances: Tensor
    logits: Tensor
    norm: str

    def __repr__(self) -> str:
        """Number of images, share of successes and largest distance. Waits for the device."""
        if len(self.inputs) == 0:
            return "Adversarials(n=0)"
        success, largest = float(self.success.float().mean()), float(self.distances.max())
        return f"Adversarials(n={len(self.inputs)}, success={success:.0%}, {self.norm}<={largest:.3g})"

    def robust_accuracy(self, labels: Tensor) -> float:
        """Share of the images still classified as ``labels``. Waits for the device."""
        return float((self.logits.argmax(dim=1) == labels).float().mean())


class AsModule(nn.Module):
    """A callable as a module: no parameters, no mode of its own."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.call: Model = lambda images: model(images)  # a lambda, lest a module be registered and its mode be set

    def forward(self, images: Tensor) -> Tensor:
        """Whatever the callable makes of ``images``."""
        return self.call(images)


class _Widened(nn.Module):
    """A model in half precision, or under autocast, as one that takes images and returns logits in float32.

    The attack then computes in float32; only the model itself does not.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.call, self.dtype = AsModule(model), dtype

    def forward(self, images: Tensor) -> Tensor:
        return at_least_float32(self.call(images.to(self.dtype)))


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


def distance(inputs: Tensor, others: Tensor, norm: str) -> Tensor:
    """(N,) distances between two batches of images, ``"linf"`` or ``"l2"``."""
    difference = (inputs - others).flatten(1)
    return difference.abs().amax(dim=1) if norm == "linf" else difference.norm(dim=1)


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """Base of every attack: subclasses say how images are perturbed, this class says what counts.

    Subclasses are frozen, keyword-only dataclasses: ``@dataclass(frozen=True, kw_only=True)``.

    Attributes:
        seed: Of the attack's own random numbers; the global generators are left as they were.
        differentiates: Whether the attack needs the gradient of the logits.
        opens_model: Whether it uses more of the model than its logits; such an attack takes no half precision.
    """

    differentiates: ClassVar[bool] = True
    opens_model: ClassVar[bool] = False

    seed: int = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__repr__ = Attack.__repr__  # type: ignore[method-assign]  # @dataclass keeps a method that is there already

    def __repr__(self) -> str:
        """The hyperparameters, those of the attack first and the seed last."""
        names = [field.name for field in fields(self) if field.name != "seed"] + ["seed"]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    @property
    def norm(self) -> str:
        """``"linf"`` or ``"l2"``: the norm of the budget and of the reported distances."""
        return "linf"

    @property
    def budget(self) -> float | None:
        """The largest distance allowed; None for an attack that looks for the smallest one."""
        value: float | None = getattr(self, "epsilon", None)
        return value

    @abstractmethod
    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        """Perturbed images; called with a frozen model in evaluation mode. Need not clip to the budget."""

    def succeeded(self, model: nn.Module, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool, from the model's ``logits`` on the perturbed images; targeted attacks override it."""
        return logits.argmax(dim=1) != labels

    def __call__(self, model: Model, inputs: Tensor, labels: Tensor) -> Adversarials:
        """Attack a batch.

        Args:
            model: Returns raw logits (N, classes) of images in [0, 1]; any callable that does.
            inputs: (N, ...), float, in [0, 1]: images, tables, sound or video. Values at most 1e-6 outside are clamped,
                and distances are measured from there.
            labels: (N,) int64, the true labels.

        Raises:
            UsageError: Wrong shapes, labels out of range, NaN, pixels outside [0, 1], a negative budget, or a model
                that returns probabilities, a single logit, no logits, or logits without a gradient.
        """
        with differentiating(), attackable(model) as network:
            inputs, labels = check_images(inputs, labels)
            if self.budget is not None and not 0.0 <= self.budget <= 1.0:
                raise UsageError(f"expected epsilon in [0, 1], got {self.budget}")
            with seeded(self.seed, inputs.device):
                return self._attack(network, inputs.detach(), labels)

    def _attack(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> Adversarials:
        unmoved, dtype = self.budget == 0.0 or len(inputs) == 0, inputs.dtype
        outputs = check_model(network, inputs, labels, differentiable=self.differentiates and not unmoved)
        for kind in (dtype, outputs.dtype):
            if kind in HALF and self.opens_model:
                raise UsageError(
                    f"expected float32 or float64 images and logits for {type(self).__name__}, got {kind}: "
                    "convert the model and the images, and leave torch.autocast"
                )
        if dtype in HALF or outputs.dtype in HALF:
            network, inputs = _Widened(network, dtype), at_least_float32(inputs)
        perturbed = inputs if unmoved else self.perturb(network, inputs, labels).detach()
        if self.budget is not None:
            perturbed = project(perturbed, inputs, self.budget, self.norm)
        perturbed = perturbed.clamp(0.0, 1.0)
        if dtype in HALF:
            perturbed = perturbed.to(dtype) if self.budget is None else round_towards(inputs, perturbed, dtype)
        with torch.no_grad():
            logits = network(perturbed)
            success = self.succeeded(network, inputs, logits, labels)
        distances = distance(at_least_float32(perturbed), inputs, self.norm)
        return Adversarials(perturbed, success, distances, logits, self.norm)


def round_towards(inputs: Tensor, perturbed: Tensor, dtype: torch.dtype) -> Tensor:
    """Perturbed pixels in half precision, none of them further from the image than before.

    Args:
        inputs: float32 in [0, 1], values that ``dtype`` has.
        perturbed: float32 in [0, 1].
        dtype: float16 or bfloat16.
    """
    nearest = perturbed.to(dtype)
    further = (nearest.float() - inputs).abs() > (perturbed - inputs).abs()
    step = torch.where(nearest.float() > inputs, -1, 1).to(torch.int16)
    neighbour = (nearest.view(torch.int16) + step).view(dtype)  # the bits of numbers >= 0 are in the numbers' order
    return torch.where(further, neighbour, nearest)


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """One value per image, (N,), in the shape (N, 1, ...) that broadcasts over ``images`` (N, ...)."""
    return values.reshape(-1, *[1] * (images.dim() - 1))


def project(perturbed: Tensor, inputs: Tensor, epsilon: float, norm: str) -> Tensor:
    """Nearest images within ``epsilon`` of ``inputs`` in the norm (L-inf: clipped; L2: scaled)."""
    difference = perturbed - inputs
    if norm == "linf":
        return inputs + difference.clamp(-epsilon, epsilon)
    lengths = difference.flatten(1).norm(dim=1).clamp_min(1e-12)
    scale: Tensor = (epsilon / lengths).clamp_max(1.0)
    return inputs + difference * per_image(scale, inputs)


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
        UsageError: Outputs of another type or shape, a single logit, labels out of range, rows of non-negative numbers
            that sum to one, logits without a gradient, or images of another dtype or device than the model's.
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
    rounding = max(1e-4, torch.finfo(outputs.dtype).eps)
    sums = at_least_float32(outputs).sum(dim=1)
    if outputs.numel() and bool((outputs >= 0).all() & ((sums - 1.0).abs() < rounding).all()):
        raise UsageError("expected a model that returns raw logits, got probabilities: attack the logits instead")
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
    if not outputs.requires_grad or not isinstance(model, AsModule):  # a module's own parameters are frozen
        return outputs.requires_grad
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
