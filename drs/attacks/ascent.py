"""The one gradient loop: FGSM, BIM, ILCM, PGD, the adaptive attacks and adversarial training take these steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from drs.attacks.balls import Norm, steepest
from drs.attacks.base import per_image, project
from drs.attacks.objectives import Objective
from drs.errors import UsageError

__all__ = ["Keep", "Look", "Trace", "ascend", "raising", "steepest_step"]

Look: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor, Callable[[], Tensor]]]
"""From an iterate (N, ...) that requires gradients to: which images fool the model, (N,) bool; the value to be
large, (N,); and a function that gives the direction of the next step, in units of the step size."""

Keep: TypeAlias = Literal["best", "last"]
"""Which iterate an attack returns."""


@dataclass
class Trace:
    """What an attack saw at each iterate, for plots: give an empty one to the attack, and read it after the call.

    >>> import torch
    >>> from drs.attacks import PGD
    >>> model, trace = torch.nn.Flatten(), Trace()
    >>> found = PGD(epsilon=0.1, steps=4, trace=trace)(model, torch.tensor([[0.6, 0.5]]), torch.tensor([0]))
    >>> trace.values.shape, trace.fooled.shape
    (torch.Size([5, 1]), torch.Size([5, 1]))

    Attributes:
        runs: (values, fooled) of every run, (looks, n) each: one run for each batch and restart. A restart looks only
            at the images that still stand. A second call of the attack adds its runs after these.
    """

    runs: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def values(self) -> Tensor:
        """(looks, N), the objective of the first run, on the device of the images."""
        return self._first()[0]

    @property
    def fooled(self) -> Tensor:
        """(looks, N) bool: whether the iterate of the first run fooled the model."""
        return self._first()[1]

    def _first(self) -> tuple[Tensor, Tensor]:
        if not self.runs:
            raise UsageError("expected a trace of at least one step, got none: attack with epsilon > 0 first")
        return self.runs[0]


def ascend(
    look: Look,
    x: Tensor,
    *,
    start: Tensor,
    epsilon: float,
    alpha: float,
    steps: int,
    keep: Keep,
    norm: Norm = "linf",
    bar: str | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Take ``steps`` steps, each followed by projection to the ball and to [0, 1]. Never waits for the device.

    Args:
        look: What is seen at an iterate.
        x: The images, (N, ...), the centre of the ball.
        start: The first iterate.
        epsilon: Radius of the ball.
        alpha: Step size.
        steps: How many steps; ``"best"`` looks once more, at the end.
        keep: ``"best"``: for each image, of all iterates with the start and the end, one that fools the model before
            one that does not, then the one with the largest value. ``"last"``: where the last step ends.
        norm: Of the ball.
        bar: Description of a progress bar; None for no bar.
        trace: Takes down values and successes of every look.

    Returns:
        (N, ...), detached.
    """
    seen: list[tuple[Tensor, Tensor]] = []
    x_t = best = start
    best_fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    best_value = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
    looks = steps + 1 if keep == "best" else steps
    for t in tqdm(range(looks), desc=bar, unit="step", disable=bar is None, leave=False):
        x_t = x_t.detach().requires_grad_(True)
        fooled, value, direction = look(x_t)
        if trace is not None:
            seen.append((value.detach(), fooled))
        better = (fooled & ~best_fooled) | ((fooled == best_fooled) & (value > best_value))
        best = torch.where(per_image(better, x), x_t, best).detach()
        best_value = torch.where(better, value, best_value).detach()
        best_fooled = best_fooled | fooled
        if t < steps:
            x_t = project(x_t.detach() + alpha * direction(), x, epsilon, norm).clamp(0.0, 1.0)
    if trace is not None:
        values, successes = zip(*seen)
        trace.runs.append((torch.stack(values), torch.stack(successes)))
    return best if keep == "best" else x_t.detach()


def steepest_step(values: Tensor, images: Tensor, norm: Norm = "linf") -> Tensor:
    """The direction of norm 1 in which the sum of ``values`` (N,) rises most: in L-inf the sign of the gradient."""
    (gradient,) = torch.autograd.grad(values.sum(), images)
    return steepest(gradient, norm)


def raising(objective: Objective, model: nn.Module, labels: Tensor, *, norm: Norm = "linf", looks: int = 1) -> Look:
    """The look of a plain attack: steepest steps that raise an objective of the model's logits.

    Args:
        objective: From logits (N, C) and labels (N,) to (N,).
        model: Returns logits.
        labels: (N,), the true classes.
        norm: Of the steps.
        looks: How often the model is asked at each iterate. For a model that is random, the objective, and so its
            gradient, is the mean over these (expectation over transformation, Athalye et al. 2018, arXiv 1707.07397),
            and the model is fooled where the mean of the logits is.
    """

    def look(images: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
        asked = [model(images) for _ in range(looks)]
        values = torch.stack([objective(logits, labels) for logits in asked]).mean(dim=0)
        logits = torch.stack(asked).mean(dim=0)
        return logits.argmax(dim=1) != labels, values, lambda: steepest_step(values, images, norm)

    def one_look(images: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
        logits = model(images)
        values = objective(logits, labels)
        return logits.argmax(dim=1) != labels, values, lambda: steepest_step(values, images, norm)

    return one_look if looks == 1 else look
