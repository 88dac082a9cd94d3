"""Attacks that follow the sign of a gradient within an L-inf budget: FGSM, BIM, ILCM, PGD and targeted PGD.

Each says in a few lines which objective it raises, from where and in which steps; :func:`drs.attacks.ascent.ascend`
takes the steps, :mod:`drs.attacks.base` clips to the budget and judges success.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from drs.attacks.ascent import Keep, ascend, raising
from drs.attacks.base import Attack
from drs.attacks.objectives import OBJECTIVES, cross_entropy
from drs.errors import UsageError, unknown

__all__ = ["BIM", "FGSM", "ILCM", "PGD", "TargetedPGD"]


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"expected {name} >= 1, got {count}")


def _check_keep(keep: str) -> None:
    if keep not in ("best", "last"):
        raise unknown("iterate to keep", keep, ("best", "last"))


def _start(x: Tensor, epsilon: float) -> Tensor:
    """A uniformly random point of the ball, cut to [0, 1], drawn as foolbox draws it: the tests compare bit by bit."""
    return (x + (torch.rand(x.shape, dtype=x.dtype, device=x.device) * (2.0 * epsilon) - epsilon)).clamp(0.0, 1.0)


def _first_success(
    model: nn.Module, inputs: Tensor, labels: Tensor, runs: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """What the first run that fools the model makes of each image; of those that none fools, what the last one does.

    Args:
        runs: Each takes the rows (n,) of the images that still stand and returns what it makes of them. Between two
            runs the device is asked once which rows these are.
    """
    found = inputs.clone()
    rows = torch.arange(len(inputs), device=inputs.device)
    for number, run in enumerate(runs):
        if number:
            with torch.no_grad():
                rows = rows[model(found[rows]).argmax(dim=1) == labels[rows]]
        if len(rows) == 0:
            break
        found[rows] = run(rows)
    return found


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """Fast gradient sign method (Goodfellow et al. 2015): one step of size epsilon on cross-entropy.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1] (8/255 is 0.031).
    """

    epsilon: float = 0.05

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        look = raising(cross_entropy, model, labels)
        return ascend(look, inputs, start=inputs, epsilon=self.epsilon, alpha=self.epsilon, steps=1, keep="last")


@dataclass(frozen=True, kw_only=True)
class BIM(Attack):
    """Basic iterative method (Kurakin et al. 2016): ``steps`` steps of epsilon / steps from the image itself.

    The last iterate is returned, as in the paper.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: 10 in the RCE paper.
    """

    epsilon: float = 0.05
    steps: int = 10

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        look, alpha = raising(cross_entropy, model, labels), self.epsilon / self.steps
        return ascend(look, inputs, start=inputs, epsilon=self.epsilon, alpha=alpha, steps=self.steps, keep="last")


@dataclass(frozen=True, kw_only=True)
class ILCM(Attack):
    """Iterative least-likely class method (Kurakin et al. 2016): BIM towards the class the model finds least likely.

    The last iterate is returned, as in the paper. ``success`` is untargeted (the label is wrong), as in the RCE
    paper's evaluation.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: 10 in the RCE paper.
    """

    epsilon: float = 0.05
    steps: int = 10

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            least_likely = model(inputs).argmin(dim=1)
        look = raising(lambda logits, _: -cross_entropy(logits, least_likely), model, labels)
        alpha = self.epsilon / self.steps
        return ascend(look, inputs, start=inputs, epsilon=self.epsilon, alpha=alpha, steps=self.steps, keep="last")


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Projected gradient descent (Madry et al. 2018): random start, sign steps, the best iterate, restarts.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> _ = torch.nn.init.eye_(model[1].weight), torch.nn.init.zeros_(model[1].bias)
    >>> images = torch.tensor([0.6, 0.5, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0]).reshape(2, 1, 2, 2)
    >>> found = PGD(epsilon=0.125, steps=20)(model, images, torch.tensor([0, 0]))
    >>> found
    Adversarials(n=2, success=50%, linf<=0.125)
    >>> found.success
    tensor([ True, False])

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: Steps of each run.
        step_size: None for 2.5 * epsilon / steps.
        restarts: Runs; an image keeps the first one that fools the model, or else the last one.
        random_start: Start uniformly in the ball.
        objective: ``"ce"``, ``"scaled_ce"``, ``"margin"`` or ``"dlr"``.
        keep: What a run returns: ``"best"``, of all its iterates one that fools the model before one that does not,
            and then the one with the largest objective; or ``"last"``, the last iterate, as foolbox does. ``"best"``
            costs one forward pass more and is never weaker. The records of the book are computed with ``"last"``.
    """

    epsilon: float = 0.05
    steps: int = 20
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True
    objective: str = "ce"
    keep: Keep = "best"

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)
        _check_counts(steps=self.steps, restarts=self.restarts)
        _check_keep(self.keep)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        alpha = 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size

        def run(rows: Tensor) -> Tensor:
            x = inputs[rows]
            start = _start(x, self.epsilon) if self.random_start else x
            look = raising(OBJECTIVES[self.objective], model, labels[rows])
            return ascend(look, x, start=start, epsilon=self.epsilon, alpha=alpha, steps=self.steps, keep=self.keep)

        return _first_success(model, inputs, labels, [run] * self.restarts)


@dataclass(frozen=True, kw_only=True)
class TargetedPGD(Attack):
    """PGD on the margin towards every false class in turn, the k most likely first; an image keeps its first success.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: Steps towards each class.
        targets: How many false classes; None for all of them.
        keep: As in :class:`PGD`; the objective is the target's logit minus the true one.
    """

    epsilon: float = 0.05
    steps: int = 20
    targets: int | None = None
    keep: Keep = "best"

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps, targets=1 if self.targets is None else self.targets)
        _check_keep(self.keep)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            order = model(inputs).scatter(1, labels.unsqueeze(1), -torch.inf).argsort(dim=1, descending=True)
        alpha = 2.5 * self.epsilon / self.steps

        def run(rows: Tensor, rank: int) -> Tensor:
            x, target = inputs[rows], order[rows, rank].unsqueeze(1)

            def objective(logits: Tensor, labels: Tensor) -> Tensor:
                return (logits.gather(1, target) - logits.gather(1, labels.unsqueeze(1))).squeeze(1)

            look, start = raising(objective, model, labels[rows]), _start(x, self.epsilon)
            return ascend(look, x, start=start, epsilon=self.epsilon, alpha=alpha, steps=self.steps, keep=self.keep)

        ranks = range(min(self.targets or order.shape[1], order.shape[1] - 1))
        as_they_are = [inputs.__getitem__]  # what the model gets wrong already stays
        return _first_success(model, inputs, labels, as_they_are + [partial(run, rank=rank) for rank in ranks])
