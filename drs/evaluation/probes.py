"""What the alarms look at beside accuracies: gradients, temperatures, precision, and whether answers repeat."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from drs._checks import at_least_float32, check_images
from drs.attacks import PGD, Adversarials
from drs.attacks.models import Model, attackable, check_model, differentiating, first_look
from drs.errors import UsageError

__all__ = [
    "Tempered",
    "batch_difference",
    "float64_check",
    "gradient_norms",
    "inner_gradients",
    "label_changes",
    "repeat_difference",
    "softmax_share",
    "temperature_sweep",
    "zero_gradient_share",
]


def gradient_norms(network: Model, images: Tensor, labels: Tensor) -> Tensor:
    """L2 norm of the gradient of cross-entropy with respect to each image.

    Args:
        network: Returns raw logits (N, classes).
        images: (N, ...) in [0, 1].
        labels: (N,) int64.

    Returns:
        (N,), >= 0, in nats a unit of pixel.

    Raises:
        UsageError: Images or labels that do not fit, or a network that does not return logits.
    """
    with differentiating(), attackable(network) as model:
        images, labels = check_images(images, labels)
        moved = images.detach().clone().requires_grad_(True)
        check_model(model, images, labels, differentiable=False)
        loss = F.cross_entropy(at_least_float32(first_look(model, moved)), labels, reduction="sum")
        gradient = torch.autograd.grad(loss, moved, allow_unused=True)[0] if loss.requires_grad else None
    if gradient is None:  # the network lets no gradient through at all
        return images.new_zeros(len(images))
    norms: Tensor = at_least_float32(gradient).flatten(1).norm(dim=1)
    return norms


def zero_gradient_share(network: Model, images: Tensor, labels: Tensor) -> float:
    """Share of the images whose gradient of cross-entropy is zero in every pixel, or infinite or NaN in any.

    Args and errors are those of :func:`gradient_norms`.
    """
    norms = gradient_norms(network, images, labels)
    return float((~((norms > 0.0) & norms.isfinite())).double().mean())


class Tempered(nn.Module):
    """A network whose logits are divided by a temperature: the same answers, another cross-entropy.

    Args:
        network: Returns raw logits.
        temperature: > 0.
    """

    def __init__(self, network: Model, temperature: float) -> None:
        super().__init__()
        if not temperature > 0.0:
            raise UsageError(f"expected temperature > 0, got {temperature}")
        self.network, self.temperature = network, temperature

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) over the temperature."""
        logits: Tensor = self.network(images) / self.temperature
        return logits


def temperature_sweep(
    network: Model,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    temperatures: Iterable[float] = (0.1, 1.0, 10.0, 100.0),
    steps: int = 20,
) -> dict[float, Adversarials]:
    """PGD on cross-entropy against the network at other temperatures: temperature to what it made.

    Success does not depend on the temperature, so the adversarials hold for the network itself.

    Raises:
        UsageError: A temperature <= 0, or what the attack raises.
    """
    attack = PGD(epsilon=epsilon, steps=steps, keep="last")
    return {t: attack(Tempered(network, t), images, labels) for t in temperatures}


def float64_check(
    network: Model, images: Tensor, labels: Tensor, *, epsilon: float, steps: int = 20, objective: str = "margin"
) -> tuple[float, float]:
    """Accuracy under PGD from the images themselves, in float32 and on a copy of the network in float64.

    Nothing in it is random, so the two differ by rounding alone. (MPS has no float64: there the copy is on the CPU.)

    Raises:
        UsageError: A network that is no module, or what the attack raises.
    """
    if not isinstance(network, nn.Module):
        raise UsageError(f"expected a module, which can be copied to float64, got {type(network).__name__}")
    attack = PGD(epsilon=epsilon, steps=steps, objective=objective, random_start=False, keep="last")
    single = attack(network, images, labels).robust_accuracy(labels)
    if images.device.type == "mps":
        images, labels = images.cpu(), labels.cpu()
    twin = copy.deepcopy(network).to(images.device, torch.float64)
    return single, attack(twin, images.double(), labels).robust_accuracy(labels)


@torch.no_grad()
def repeat_difference(network: Model, images: Tensor) -> float:
    """Largest change of a logit between two looks at the same images, in evaluation mode; 0 for a fixed network."""
    with attackable(network) as model:
        return float((model(images) - model(images)).abs().max())


@torch.no_grad()
def softmax_share(network: Model, images: Tensor) -> float:
    """Share of images whose logits are not negative and have the sum that the median image has, to 0.1%.

    >>> softmax_share(lambda images: 10.0 * images.softmax(dim=1), torch.tensor([[0.0, 1.0], [3.0, 0.0]]))
    1.0

    Args:
        network: Returns what it calls logits, (N, classes).
        images: (N, ...) in [0, 1], at least 3, as the median image always counts.
    """
    with attackable(network) as model:
        logits = at_least_float32(model(images))
    sums = logits.sum(dim=1)
    usual = sums.median()
    return float(((logits >= 0.0).all(dim=1) & ((sums - usual).abs() <= 1e-3 * usual.abs())).double().mean())


@torch.no_grad()
def label_changes(network: Model, images: Tensor, *, looks: int = 5) -> float:
    """Share of images whose label is not the same at every one of ``looks`` looks; 0 for a fixed network.

    Raises:
        UsageError: Fewer than two looks.
    """
    if looks < 2:
        raise UsageError(f"expected looks >= 2, got {looks}")
    with attackable(network) as model:
        labels = torch.stack([model(images).argmax(dim=1) for _ in range(looks)])
    return float((labels != labels[0]).any(dim=0).double().mean())


@torch.no_grad()
def batch_difference(network: Model, images: Tensor) -> float:
    """How far the rest of the batch moves a logit: its largest change where only a copy stays beside the image.

    >>> class Coupled(torch.nn.Module):
    ...     def forward(self, images):
    ...         return (images - images.mean(dim=0)).flatten(1)
    >>> batch_difference(Coupled(), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))  # beside its copy every logit is 0
    0.5

    Args:
        network: Returns raw logits (N, classes).
        images: (N, ...) in [0, 1], at least 2; each is shown once beside its copy, as alone some networks refuse it.

    Returns:
        The change as a share of the range of the logits of the batch, from the smallest to the largest. Rounding moves
        them by less than 0.001; a random network moves them as well.
    """
    with attackable(network) as model:
        together = at_least_float32(model(images))
        alone = torch.cat([at_least_float32(model(torch.cat([image, image])))[:1] for image in images.split(1)])
    width = float(together.max() - together.min())
    return float((together - alone).abs().max()) / width if width > 0.0 else 0.0


class _Gradients(TorchFunctionMode):
    """Counts the calls of ``torch.autograd.grad``, ``backward`` and what is made of them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += call in (torch.autograd.grad, torch.autograd.backward, Tensor.backward)
        return call(*args, **(kwargs or {}))


def inner_gradients(network: Model, images: Tensor) -> float:
    """How many gradients one forward pass computes: 0, unless the network optimises something at each look.

    A network that is compiled, scripted or exported shows nothing of this.
    """
    with differentiating(), attackable(network) as model, _Gradients() as seen:
        model(images.detach().clone().requires_grad_(True))
    return float(seen.calls)
