"""The one front door of every attack, and the one place where budget, pixel range and success are judged.

An attack is a frozen, keyword-only dataclass: hyperparameters in the object, model and data at the call::

    adversarials = PGD(epsilon=8 / 255, steps=20)(model, inputs, labels)

Precautions: the model returns raw logits (never a softmax), takes pixels in [0, 1] and is in evaluation mode while it
is attacked; its mode, its parameters and their gradients are as before when the call returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from drs._checks import check_images, check_target_range
from drs._seeding import seeded
from drs.errors import UsageError

TOLERANCE = 1e-6
"""What rounding may add to a budget."""


@dataclass(frozen=True)
class Adversarials:
    """What an attack made, judged by running the model on it.

    Attributes:
        inputs: (N, C, H, W) in [0, 1], within the budget.
        success: (N,) bool: the model's label differs from the true one (for a targeted attack: is the target).
        distances: (N,) in the norm of the attack (L-inf or L2), pixels in [0, 1].
        logits: (N, classes), what the model answers on ``inputs``.
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


@contextmanager
def attackable(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and frozen parameters inside; mode and flags of every module and parameter restored after."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    for parameter, _ in flags:
        parameter.requires_grad_(False)
    try:
        yield
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
    """

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

    def __call__(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Adversarials:
        """Attack a batch.

        Args:
            model: Returns raw logits (N, classes) of images in [0, 1].
            inputs: (N, C, H, W), float, in [0, 1]; pixels at most 1e-6 outside are clamped, and distances are
                measured from there.
            labels: (N,) int64, the true labels.

        Raises:
            UsageError: Wrong shapes, labels out of range, NaN, pixels outside [0, 1], a negative budget, or a model
                that returns probabilities or a single logit.
        """
        inputs = check_images(inputs, labels)
        if self.budget is not None and not 0.0 <= self.budget <= 1.0:
            raise UsageError(f"expected epsilon in [0, 1], got {self.budget}")
        with attackable(model), torch.enable_grad(), seeded(self.seed, inputs.device):
            check_model(model, inputs, labels)
            inputs = inputs.detach()
            unmoved = self.budget == 0.0 or len(inputs) == 0
            perturbed = inputs if unmoved else self.perturb(model, inputs, labels).detach()
            if self.budget is not None:
                perturbed = project(perturbed, inputs, self.budget, self.norm)
            perturbed = perturbed.clamp(0.0, 1.0)
            with torch.no_grad():
                logits = model(perturbed)
                success = self.succeeded(model, inputs, logits, labels)
        return Adversarials(perturbed, success, distance(perturbed, inputs, self.norm), logits, self.norm)


def project(perturbed: Tensor, inputs: Tensor, epsilon: float, norm: str) -> Tensor:
    """Nearest images within ``epsilon`` of ``inputs`` in the norm (L-inf: clipped; L2: scaled)."""
    difference = perturbed - inputs
    if norm == "linf":
        return inputs + difference.clamp(-epsilon, epsilon)
    lengths = difference.flatten(1).norm(dim=1).clamp_min(1e-12)
    scale: Tensor = (epsilon / lengths).clamp_max(1.0)
    return inputs + difference * scale.reshape(-1, 1, 1, 1)


def check_model(model: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    """Refuse a model whose output is not a batch of raw logits. One forward pass of at most eight images.

    Raises:
        UsageError: Outputs of another shape, a single logit, labels out of range, or rows of non-negative numbers that
            sum to one.
    """
    with torch.no_grad():
        outputs = model(inputs[:8])
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or outputs.shape[0] != min(8, len(inputs)):
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise UsageError(f"expected a model that returns logits of shape (N, classes), got {got}")
    if outputs.shape[1] < 2:
        raise UsageError(
            f"expected a model with at least 2 classes, got {outputs.shape[1]}: "
            "for a binary model with one logit z return torch.cat([-z / 2, z / 2], dim=1), which has the same sigmoid"
        )
    check_target_range(labels.cpu(), outputs.shape[1])
    if outputs.numel() and bool((outputs >= 0).all() & ((outputs.sum(dim=1) - 1.0).abs() < 1e-4).all()):
        raise UsageError("expected a model that returns raw logits, got probabilities: attack the logits instead")
