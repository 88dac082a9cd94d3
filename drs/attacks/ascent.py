"""The one gradient loop: FGSM, BIM, ILCM, PGD, the adaptive attacks and adversarial training take these steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from drs.attacks.base import per_image, project
from drs.attacks.objectives import Objective

__all__ = ["Keep", "Look", "ascend", "raising", "random_start", "sign_of_gradient"]

Look: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor, Callable[[], Tensor]]]
"""From an iterate (N, ...) that requires gradients to: which images fool the model, (N,) bool; the value to be
large, (N,); and a function that gives the direction of the next step, in units of the step size."""

Keep: TypeAlias = Literal["best", "last"]
"""Which iterate an attack returns."""


def ascend(
    look: Look,
    x: Tensor,
    *,
    start: Tensor,
    epsilon: float,
    alpha: float,
    steps: int,
    keep: Keep,
    bar: str | None = None,
) -> Tensor:
    """Take ``steps`` steps, each followed by projection to the L-inf ball and to [0, 1]. Never waits for the device.

    Args:
        look: What is seen at an iterate.
        x: The images, (N, ...), the centre of the ball.
        start: The first iterate.
        epsilon: Radius of the ball.
        alpha: Step size.
        steps: How many steps; ``"best"`` looks once more, at the end.
        keep: ``"best"``: for each image, of all iterates with the start and the end, one that fools the model before
            one that does not, then the one with the largest value. ``"last"``: where the last step ends.
        bar: Description of a progress bar; None for no bar.

    Returns:
        (N, ...), detached.
    """
    x_t = best = start
    best_fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    best_value = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
    looks = steps + 1 if keep == "best" else steps
    for t in tqdm(range(looks), desc=bar, unit="step", disable=bar is None, leave=False):
        x_t = x_t.detach().requires_grad_(True)
        fooled, value, direction = look(x_t)
        better = (fooled & ~best_fooled) | ((fooled == best_fooled) & (value > best_value))
        best = torch.where(per_image(better, x), x_t, best).detach()
        best_value = torch.where(better, value, best_value).detach()
        best_fooled = best_fooled | fooled
        if t < steps:
            x_t = project(x_t.detach() + alpha * direction(), x, epsilon, "linf").clamp(0.0, 1.0)
    return best if keep == "best" else x_t.detach()


def random_start(x: Tensor, epsilon: float) -> Tensor:
    """A uniformly random point of the L-inf ball around each image, cut to [0, 1]."""
    return (x + torch.empty_like(x).uniform_(-epsilon, epsilon)).clamp(0.0, 1.0)


def sign_of_gradient(values: Tensor, images: Tensor) -> Tensor:
    """Sign of the gradient of the sum of ``values`` (N,) with respect to the images."""
    (gradient,) = torch.autograd.grad(values.sum(), images)
    return gradient.sign()


def raising(objective: Objective, model: nn.Module, labels: Tensor) -> Look:
    """The look of a plain attack: sign steps that raise an objective of the model's logits.

    Args:
        objective: From logits (N, C) and labels (N,) to (N,).
        model: Returns logits.
        labels: (N,), the true classes.
    """

    def look(images: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
        logits = model(images)
        values = objective(logits, labels)
        return logits.argmax(dim=1) != labels, values, lambda: sign_of_gradient(values, images)

    return look
