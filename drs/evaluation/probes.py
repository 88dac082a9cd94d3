"""What the alarms look at beside accuracies: gradients, temperatures, precision, and whether answers repeat."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._checks import at_least_float32, check_images
from drs.attacks import PGD, Adversarials
from drs.attacks.models import Model, attackable, check_model, differentiating, first_look
from drs.errors import UsageError

__all__ = [
    "Tempered",
    "float64_check",
    "gradient_norms",
    "repeat_difference",
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
