"""Auto-PGD (Croce and Hein 2020, arXiv 2003.01690): projected gradient ascent that chooses its own step sizes.

The step starts at twice the budget. At checkpoints it is halved for each image whose objective rose too seldom or
whose best value stands still; such an image goes on from its best point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from drs.attacks.balls import NORMS, Norm, random_point, steepest
from drs.attacks.base import Attack, check_count, per_image, project
from drs.attacks.objectives import Objective, get_objective
from drs.errors import UsageError, pick, unknown

__all__ = ["APGD", "TARGETED", "checkpoints", "targeted_dlr", "targeted_margin"]

MOMENTUM = 0.75
"""Share of the new step; the rest is the last move."""
RISES = 0.75
"""Share of the steps between two checkpoints that must raise the objective."""
COMPACT_EVERY = 5
"""Steps between two looks at which images have fallen and leave the batch; each look waits for the device. On a CPU,
where there is nothing to wait for, every step looks."""

TargetedObjective: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits (N, C), labels (N,) and target classes (N,) to (N,); larger is better for the attacker."""


def checkpoints(steps: int) -> tuple[int, ...]:
    """The steps after which step sizes are judged: 22% of them, then intervals shorter by 3% each, never below 6%.

    >>> checkpoints(100)
    (22, 41, 57, 70, 80, 87, 93, 99)

    Args:
        steps: How many steps there are.
    """
    interval, shrink, least = (max(1, int(share * steps)) for share in (0.22, 0.03, 0.06))
    found, now = [], interval
    while now < steps:
        found.append(now)
        interval = max(interval - shrink, least)
        now += interval
    return tuple(found)


def targeted_margin(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The target's logit minus the true one, (N,)."""
    return logits.gather(1, targets.unsqueeze(1)).squeeze(1) - logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The targeted margin over the gap between the first logit and the mean of the third and fourth, (N,).

    >>> import torch
    >>> targeted_dlr(torch.tensor([[5.0, 3.0, 2.0, 0.0]]), torch.tensor([0]), torch.tensor([1]))
    tensor([-0.5000])

    Raises:
        UsageError: Fewer than four classes.
    """
    if logits.shape[1] < 4:
        raise UsageError(
            f"expected at least 4 classes for the targeted objective 'dlr', got {logits.shape[1]}: use 'margin'"
        )
    top = logits.topk(4, dim=1).values
    gap = top[:, 0] - (top[:, 2] + top[:, 3]) / 2.0
    return targeted_margin(logits, labels, targets) / gap.clamp_min(1e-12)


TARGETED: dict[str, TargetedObjective] = {"margin": targeted_margin, "dlr": targeted_dlr}
"""Every targeted objective by name."""


@dataclass
class _Climb:
    """Where each image of a run stands; every field has one entry per image."""

    row: Tensor
    x: Tensor
    y: Tensor
    target: Tensor
    now: Tensor
    before: Tensor
    gradient: Tensor
    value: Tensor
    best: Tensor
    best_gradient: Tensor
    best_value: Tensor
    fallen: Tensor
    step: Tensor
    rises: Tensor
    halved: Tensor
    value_at_checkpoint: Tensor

    def select(self, kept: Tensor) -> _Climb:
        """The same for some of the images."""
        return _Climb(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class APGD(Attack):
    """Auto-PGD: no step size to choose. Returns the best iterate, one that fools the model before any that does not.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> _ = torch.nn.init.eye_(model[1].weight), torch.nn.init.zeros_(model[1].bias)
    >>> images = torch.tensor([0.6, 0.5, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0]).reshape(2, 1, 2, 2)
    >>> APGD(epsilon=0.125, steps=20)(model, images, torch.tensor([0, 0])).success
    tensor([ True, False])

    An image that has fallen leaves the batch (on a GPU at the next of every fifth step), so easy images cost little.
    Each step is one forward and one backward pass.

    Attributes:
        epsilon: Budget in the norm, pixels in [0, 1].
        norm: ``"linf"`` or ``"l2"``.
        steps: Steps of each run.
        restarts: Runs, each from a random point of the ball; for each target if there are targets.
        objective: ``"margin"``, ``"dlr"``, ``"ce"``, ``"scaled_ce"``, or a function from logits (N, C) and labels (N,)
            to (N,) that is to be large. With targets ``"margin"`` or ``"dlr"``.
        targets: 0 for the untargeted attack. Otherwise one run towards each of that many false classes, those with
            the largest logits on the image first; 9 in AutoAttack.

    Raises:
        UsageError: An unknown norm or objective, or too small a number of steps, restarts or targets.
    """

    epsilon: float = 0.05
    norm: Norm = "linf"
    steps: int = 100
    restarts: int = 1
    objective: str | Objective = "margin"
    targets: int = 0

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise unknown("norm", self.norm, NORMS)
        for name, least in (("steps", 1), ("restarts", 1), ("targets", 0)):
            check_count(name, getattr(self, name), least=least)
        if not self.targets:
            get_objective(self.objective)
        elif callable(self.objective):
            raise UsageError("expected the objective 'margin' or 'dlr' with targets, got a function: set targets=0")
        else:
            pick("targeted objective", TARGETED, self.objective)

    def _objective(self) -> TargetedObjective:
        if self.targets:
            return TARGETED[cast(str, self.objective)]
        objective = get_objective(self.objective)
        return lambda logits, labels, _: objective(logits, labels)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        found, value = inputs.clone(), torch.full((len(inputs),), -torch.inf, device=inputs.device, dtype=inputs.dtype)
        with torch.no_grad():
            logits = model(inputs)
        standing = logits.argmax(dim=1) == labels
        goals = labels.unsqueeze(1)
        if self.targets:
            others = logits.scatter(1, goals, -torch.inf)
            goals = others.topk(min(self.targets, logits.shape[1] - 1), dim=1).indices
        for number in range(goals.shape[1] * self.restarts):
            rows = standing.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            target = goals[rows, number % goals.shape[1]]
            best, best_value, fallen = self._run(model, inputs[rows], labels[rows], target)
            better = fallen | (best_value > value[rows])
            found[rows] = torch.where(per_image(better, inputs), best, found[rows])
            value[rows] = torch.where(better, best_value, value[rows])
            standing[rows] = ~fallen
        return found

    def _run(self, model: nn.Module, x: Tensor, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One run from a random point: best iterates (n, ...), their values (n,), and which fool the model (n,)."""
        best, value, fallen = x.clone(), torch.empty_like(x.flatten(1)[:, 0]), torch.zeros_like(y, dtype=torch.bool)
        start, judged = random_point(x, self.epsilon, self.norm), set(checkpoints(self.steps))
        last_checkpoint, every = 0, 1 if x.device.type == "cpu" else COMPACT_EVERY
        c = self._begin(model, x, y, target, start)
        for k in range(1, self.steps + 1):
            self._move(c, first=k == 1)
            self._look(c, model, gradient=k < self.steps)
            if k in judged:
                _judge(c, k - last_checkpoint)
                last_checkpoint = k
            if k == self.steps:
                break
            if k % every == 0 and bool(c.fallen.any()):
                best[c.row], value[c.row], fallen[c.row] = c.best, c.best_value, c.fallen
                c = c.select((~c.fallen).nonzero().squeeze(1))
                if len(c.row) == 0:
                    break
        best[c.row], value[c.row], fallen[c.row] = c.best, c.best_value, c.fallen
        return best, value, fallen

    def _begin(self, model: nn.Module, x: Tensor, y: Tensor, target: Tensor, start: Tensor) -> _Climb:
        rows, worst = torch.arange(len(x), device=x.device), torch.full_like(x.flatten(1)[:, 0], -torch.inf)
        never, zero = torch.zeros_like(y, dtype=torch.bool), torch.zeros_like(x)
        c = _Climb(
            row=rows,
            x=x,
            y=y,
            target=target,
            now=start,
            before=start,
            gradient=zero,
            value=worst,
            best=start,
            best_gradient=zero,
            best_value=worst,
            fallen=never,
            step=torch.full_like(worst, 2.0 * self.epsilon),
            rises=torch.zeros_like(worst),
            halved=never,
            value_at_checkpoint=worst,
        )
        self._look(c, model, gradient=True)
        c.rises, c.value_at_checkpoint = torch.zeros_like(worst), c.best_value
        return c

    def _look(self, c: _Climb, model: nn.Module, *, gradient: bool) -> None:
        """Run the model on the iterates; keep what is best. The last iterate needs no gradient."""
        with torch.set_grad_enabled(gradient):
            images = c.now.detach().requires_grad_(gradient)
            logits = model(images)
            values = self._objective()(logits, c.y, c.target)
            if gradient:
                (c.gradient,) = torch.autograd.grad(values.sum(), images)
        fools, values = logits.detach().argmax(dim=1) != c.y, values.detach().to(c.x.dtype)
        c.rises = c.rises + (values > c.value)
        c.value = values
        better = (fools & ~c.fallen) | ((fools == c.fallen) & (values > c.best_value))
        across = per_image(better, c.x)
        c.best = torch.where(across, c.now, c.best)
        c.best_gradient = torch.where(across, c.gradient, c.best_gradient)
        c.best_value = torch.where(better, values, c.best_value)
        c.fallen = c.fallen | fools

    def _move(self, c: _Climb, *, first: bool) -> None:
        """A step along the gradient, then momentum; both are projected to the ball and to [0, 1]."""
        ahead = self._inside(c, c.now + per_image(c.step, c.x) * steepest(c.gradient, self.norm))
        if not first:
            ahead = self._inside(c, c.now + MOMENTUM * (ahead - c.now) + (1.0 - MOMENTUM) * (c.now - c.before))
        c.before, c.now = c.now, ahead

    def _inside(self, c: _Climb, images: Tensor) -> Tensor:
        return project(images, c.x, self.epsilon, self.norm).clamp(0.0, 1.0)


def _judge(c: _Climb, interval: int) -> None:
    """Halve the step of images whose objective rose too seldom or that found nothing better; they go on from the best.

    An image whose step was halved at the last checkpoint is not halved for standing still.
    """
    seldom = c.rises < math.ceil(RISES * interval)
    still = ~c.halved & (c.best_value <= c.value_at_checkpoint)
    halve = seldom | still
    across = per_image(halve, c.x)
    c.step = torch.where(halve, c.step / 2.0, c.step)
    c.now = torch.where(across, c.best, c.now)
    c.gradient = torch.where(across, c.best_gradient, c.gradient)
    c.value = torch.where(halve, c.best_value, c.value)
    c.halved, c.value_at_checkpoint, c.rises = halve, c.best_value, torch.zeros_like(c.rises)
