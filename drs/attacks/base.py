"""The one front door of every attack, and the one place where budget, pixel range and success are judged.

An attack is a frozen, keyword-only dataclass: hyperparameters in the object, model and data at the call::

    adversarials = PGD(epsilon=8 / 255, steps=20)(model, inputs, labels)

Precautions: the model returns raw logits (never a softmax), takes pixels in [0, 1] and is in evaluation mode while it
is attacked; its mode, its parameters and their gradients are as before when the call returns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from drs._checks import HALF, at_least_float32, check_images
from drs._seeding import seeded
from drs.attacks.models import Model, Ranged, Widened, attackable, check_model, differentiating
from drs.attacks.targets import from_image
from drs.errors import UsageError

__all__ = [
    "TOLERANCE",
    "Adversarials",
    "Attack",
    "check_count",
    "distance",
    "mean_logits",
    "per_image",
    "project",
    "round_towards",
]

TOLERANCE = 1e-6
"""What rounding may add to a budget."""


@dataclass(frozen=True)
class Adversarials:
    """What an attack made, judged by running the model on it.

    Attributes:
        inputs: (N, ...) in the range of the images, within the budget, of their dtype.
        success: (N,) bool: the model's label differs from the true one (for a targeted attack: is the target).
        distances: (N,) in the norm of the attack (L-inf or L2), in units of the range of the pixels.
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
        names = [field.name for field in fields(self) if field.repr and field.name != "seed"] + ["seed"]
        return f"{type(self).__name__}({', '.join(f'{name}={_shown(getattr(self, name))}' for name in names)})"

    @property
    def norm(self) -> str:
        """``"linf"`` or ``"l2"``: the norm of the budget and of the reported distances."""
        return "linf"

    @property
    def budget(self) -> float | None:
        """The largest distance allowed; None for an attack that looks for the smallest one."""
        value: float | None = getattr(self, "epsilon", None)
        return value

    @property
    def looks(self) -> int:
        """How often the model is asked when the result is judged, by the mean of its logits: ``eot`` of the attack."""
        asked: int = getattr(self, "eot", 1)
        return asked

    @abstractmethod
    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        """Perturbed images; called with a frozen model in evaluation mode. Need not clip to the budget."""

    def succeeded(self, model: nn.Module, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool, from the model's ``logits`` on the perturbed images; targeted attacks override it."""
        return logits.argmax(dim=1) != labels

    def __call__(
        self,
        model: Model,
        inputs: Tensor,
        labels: Tensor,
        *,
        batch_size: int | None = None,
        progress: bool = False,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> Adversarials:
        """Attack the images.

        Args:
            model: Returns raw logits (N, classes) of images in ``bounds``; any callable that does.
            inputs: (N, ...), float, in ``bounds``: images, tables, sound or video. Values outside by at most 1e-6 of
                the range are clamped, and distances are measured from there.
            labels: (N,) int64, the true labels.
            batch_size: Images attacked at a time; None for all at once. Random numbers go on from batch to batch.
            progress: Show a bar over the batches.
            bounds: Smallest and largest value of a pixel. Budgets and distances are in units of this range: with
                bounds (0, 255) an epsilon of 8 / 255 allows 8.

        Raises:
            UsageError: Wrong shapes, labels out of range, NaN, pixels outside the bounds, a negative budget, half
                precision in another range than [0, 1], or a model that returns probabilities, NaN, a single logit, no
                logits, or logits without a gradient.
        """
        if batch_size is not None:
            check_count("batch_size", batch_size)
        self._check_budget()
        with differentiating(), attackable(model) as network:
            inputs, labels = check_images(inputs, labels, bounds)
            if tuple(bounds) != (0.0, 1.0):
                if self.opens_model:
                    raise UsageError(f"expected pixels in [0, 1] for {type(self).__name__}, got bounds {bounds}")
                if inputs.dtype in HALF:  # rounding in another range would go beyond the budget
                    raise UsageError(
                        f"expected float32 or float64 images for bounds {bounds}, got {inputs.dtype}: "
                        "convert the model and the images, or pass images in [0, 1]"
                    )
                network = Ranged(network, *bounds)
            size = batch_size or max(1, len(inputs))
            batches = list(zip(inputs.detach().split(size), labels.split(size)))
            with seeded(self.seed, inputs.device):
                outputs = self._check_model(network, inputs.detach(), labels)
                bar = tqdm(batches, desc=type(self).__name__, unit="batch", disable=not progress, leave=False)
                parts = []
                for number, (x, y) in enumerate(bar):
                    with from_image(number * size):
                        parts.append(self._attack(network, x, y, outputs.dtype))
                found = _joined(parts)
        if tuple(bounds) == (0.0, 1.0):
            return found
        low, high = bounds
        moved = (found.inputs * (high - low) + low).clamp(low, high)
        return Adversarials(moved, found.success, found.distances, found.logits, found.norm)

    def _check_budget(self) -> None:
        epsilon = self.budget
        if epsilon is None:
            return
        given: object = epsilon  # a caller who has no type checker may have passed anything
        if isinstance(given, bool) or not isinstance(given, Real | Tensor):
            raise UsageError(f"expected a number as epsilon, got {epsilon!r}")
        if self.norm == "linf" and not 0.0 <= epsilon <= 1.0:
            raise UsageError(f"expected epsilon in [0, 1], got {epsilon}")
        if not 0.0 <= epsilon < math.inf:
            raise UsageError(f"expected a finite epsilon >= 0, got {epsilon}")

    def _check_model(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        """Refuse a model, or the labels of any batch, before the first batch is attacked; the first logits."""
        unmoved, dtype = self.budget == 0.0 or len(inputs) == 0, inputs.dtype
        outputs = check_model(network, inputs, labels, differentiable=self.differentiates and not unmoved)
        for kind in (dtype, outputs.dtype):
            if kind in HALF and self.opens_model:
                raise UsageError(
                    f"expected float32 or float64 images and logits for {type(self).__name__}, got {kind}: "
                    "convert the model and the images, and leave torch.autocast"
                )
        return outputs

    def _attack(self, network: nn.Module, inputs: Tensor, labels: Tensor, logits_dtype: torch.dtype) -> Adversarials:
        unmoved, dtype = self.budget == 0.0 or len(inputs) == 0, inputs.dtype
        if dtype in HALF or logits_dtype in HALF:
            network, inputs = Widened(network, dtype), at_least_float32(inputs)
        perturbed = inputs if unmoved else self.perturb(network, inputs, labels).detach()
        if self.budget is not None:
            perturbed = project(perturbed, inputs, self.budget, self.norm)
        perturbed = perturbed.clamp(0.0, 1.0)
        if dtype in HALF:
            perturbed = perturbed.to(dtype) if self.budget is None else round_towards(inputs, perturbed, dtype)
        with torch.no_grad():
            logits = mean_logits(network, perturbed, self.looks)
            success = self.succeeded(network, inputs, logits, labels)
        distances = distance(at_least_float32(perturbed), inputs, self.norm)
        return Adversarials(perturbed, success, distances, logits, self.norm)


def mean_logits(model: nn.Module, images: Tensor, looks: int) -> Tensor:
    """The mean of the logits (N, classes) over ``looks`` forward passes; of one pass, the logits as they are."""
    logits: Tensor = model(images)
    for _ in range(looks - 1):
        logits = logits + model(images)
    return logits / looks if looks > 1 else logits


def check_count(name: str, count: int, *, least: int = 1) -> None:
    """Refuse what is no whole number from ``least`` on.

    Raises:
        UsageError: Another number, or something that is none.
    """
    given: object = count  # a caller who has no type checker may have passed anything
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise UsageError(f"expected a whole number as {name}, got {count!r}")
    if count < least:
        raise UsageError(f"expected {name} >= {least}, got {count}")


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


def _joined(parts: Sequence[Adversarials]) -> Adversarials:
    """The results of batches as one."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*((part.inputs, part.success, part.distances, part.logits) for part in parts))
    inputs, success, distances, logits = (torch.cat(column) for column in columns)
    return Adversarials(inputs, success, distances, logits, parts[0].norm)


def _shown(value: object) -> str:
    """A hyperparameter in a repr; a function by its name."""
    if isinstance(value, partial):
        return f"partial({_shown(value.func)})"
    return getattr(value, "__name__", None) or repr(value)
