"""Attacks that take steepest steps within a budget in L-inf or L2: FGSM, BIM, ILCM, PGD and targeted PGD.

Each says in a few lines which objective it raises, from where and in which steps; :func:`drs.attacks.ascent.ascend`
takes the steps, :mod:`drs.attacks.base` clips to the budget and judges success.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from drs.attacks.ascent import Keep, Trace, ascend, raising
from drs.attacks.balls import NORMS, Norm, random_point
from drs.attacks.base import Attack, check_count, mean_logits
from drs.attacks.objectives import Objective, cross_entropy, get_objective
from drs.errors import UsageError, unknown

__all__ = ["BIM", "FGSM", "ILCM", "PGD", "TargetedPGD"]


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        check_count(name, count)


def _check_choices(norm: str, keep: str = "best") -> None:
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    if keep not in ("best", "last"):
        raise unknown("iterate to keep", keep, ("best", "last"))


def _first_success(
    model: nn.Module, inputs: Tensor, labels: Tensor, runs: Sequence[Callable[[Tensor], Tensor]], looks: int = 1
) -> Tensor:
    """What the first run that fools the model makes of each image; of those that none fools, what the last one does.

    Args:
        runs: Each takes the rows (n,) of the images that still stand and returns what it makes of them. Between two
            runs the device is asked once which rows these are.
        looks: How often the model is asked, by the mean of its logits, whether an image still stands.
    """
    found = inputs.clone()
    rows = torch.arange(len(inputs), device=inputs.device)
    for number, run in enumerate(runs):
        if number:
            with torch.no_grad():
                rows = rows[mean_logits(model, found[rows], looks).argmax(dim=1) == labels[rows]]
        if len(rows) == 0:
            break
        found[rows] = run(rows)
    return found


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """Fast gradient sign method (Goodfellow et al. 2015): one step of size epsilon on cross-entropy.

    >>> import torch
    >>> from drs.attacks import FGSM
    >>> found = FGSM(epsilon=0.25)(torch.nn.Flatten(), torch.tensor([[0.75, 0.5]]), torch.tensor([0]))
    >>> found.inputs
    tensor([[0.5000, 0.7500]])

    Attributes:
        epsilon: Budget, pixels in [0, 1] (8/255 is 0.031).
        norm: ``"linf"``; or ``"l2"``, a step along the gradient itself, known as FGM.
    """

    epsilon: float = 0.05
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        _check_choices(self.norm)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        look, step = raising(cross_entropy, model, labels, norm=self.norm), self.epsilon
        return ascend(look, inputs, start=inputs, epsilon=step, alpha=step, steps=1, keep="last", norm=self.norm)


@dataclass(frozen=True, kw_only=True)
class BIM(Attack):
    """Basic iterative method (Kurakin et al. 2016): ``steps`` steps of epsilon / steps from the image itself.

    The last iterate is returned, as in the paper.

    >>> import torch
    >>> from drs.attacks import BIM
    >>> found = BIM(epsilon=0.25, steps=2)(torch.nn.Flatten(), torch.tensor([[0.75, 0.5]]), torch.tensor([0]))
    >>> found.inputs
    tensor([[0.5000, 0.7500]])

    Attributes:
        epsilon: Budget, pixels in [0, 1].
        steps: 10 in the RCE paper.
        norm: ``"linf"`` or ``"l2"``.
    """

    epsilon: float = 0.05
    steps: int = 10
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps)
        _check_choices(self.norm)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return ascend(
            raising(cross_entropy, model, labels, norm=self.norm),
            inputs,
            start=inputs,
            epsilon=self.epsilon,
            alpha=self.epsilon / self.steps,
            steps=self.steps,
            keep="last",
            norm=self.norm,
        )


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
    """Projected gradient descent (Madry et al. 2018): random start, steepest steps, the best iterate, restarts.

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
        epsilon: Budget, pixels in [0, 1]; under L2 it may exceed 1.
        steps: Steps of each run.
        step_size: None for 2.5 * epsilon / steps.
        restarts: Runs; an image keeps the first one that fools the model, or else the last one.
        random_start: Start uniformly in the ball.
        objective: ``"ce"``, ``"scaled_ce"``, ``"margin"`` or ``"dlr"``; or a function of one's own, from logits (N, C)
            and labels (N,) to (N,), larger is better for the attacker.
        keep: What a run returns: ``"best"``, of all its iterates one that fools the model before one that does not,
            and then the one with the largest objective; or ``"last"``, the last iterate, as foolbox does. ``"best"``
            costs one forward pass more and is never weaker. The records of the book are computed with ``"last"``.
        norm: ``"linf"`` or ``"l2"``: of the budget and of the steps.
        eot: How often the model is asked at each iterate, for a model that is random: the gradient is that of the mean
            objective, success is judged on the mean of the logits.
        trace: Takes down the objective and the success of every iterate; a :class:`drs.attacks.ascent.Trace`.
    """

    epsilon: float = 0.05
    steps: int = 20
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True
    objective: str | Objective = "ce"
    keep: Keep = "best"
    norm: Norm = "linf"
    eot: int = 1
    trace: Trace | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        get_objective(self.objective)
        _check_counts(steps=self.steps, restarts=self.restarts, eot=self.eot)
        if self.step_size is not None and not 0.0 <= self.step_size < math.inf:
            raise UsageError(f"expected a finite step_size >= 0, got {self.step_size}")
        if not isinstance(self.trace, Trace | None):
            raise UsageError(f"expected a Trace as trace, got {self.trace!r}: pass trace=Trace() and keep it")
        _check_choices(self.norm, self.keep)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        objective = get_objective(self.objective)

        def run(rows: Tensor) -> Tensor:
            x = inputs[rows]
            return ascend(
                raising(objective, model, labels[rows], norm=self.norm, looks=self.eot),
                x,
                start=random_point(x, self.epsilon, self.norm) if self.random_start else x,
                epsilon=self.epsilon,
                alpha=2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size,
                steps=self.steps,
                keep=self.keep,
                norm=self.norm,
                trace=self.trace,
            )

        return _first_success(model, inputs, labels, [run] * self.restarts, looks=self.eot)


@dataclass(frozen=True, kw_only=True)
class TargetedPGD(Attack):
    """PGD on the margin towards every false class in turn, the k most likely first; an image keeps its first success.

    >>> import torch
    >>> from drs.attacks import TargetedPGD
    >>> found = TargetedPGD(epsilon=0.125)(torch.nn.Flatten(), torch.tensor([[0.6, 0.5, 0.0]]), torch.tensor([0]))
    >>> found.success
    tensor([True])

    Attributes:
        epsilon: Budget, pixels in [0, 1].
        steps: Steps towards each class.
        targets: How many false classes; None for all of them.
        keep: As in :class:`PGD`; the objective is the target's logit minus the true one.
        norm: ``"linf"`` or ``"l2"``.
    """

    epsilon: float = 0.05
    steps: int = 20
    targets: int | None = None
    keep: Keep = "best"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps, targets=1 if self.targets is None else self.targets)
        _check_choices(self.norm, self.keep)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            order = model(inputs).scatter(1, labels.unsqueeze(1), -torch.inf).argsort(dim=1, descending=True)
        alpha = 2.5 * self.epsilon / self.steps

        def run(rows: Tensor, rank: int) -> Tensor:
            x, target = inputs[rows], order[rows, rank].unsqueeze(1)

            def objective(logits: Tensor, labels: Tensor) -> Tensor:
                return (logits.gather(1, target) - logits.gather(1, labels.unsqueeze(1))).squeeze(1)

            return ascend(
                raising(objective, model, labels[rows], norm=self.norm),
                x,
                start=random_point(x, self.epsilon, self.norm),
                epsilon=self.epsilon,
                alpha=alpha,
                steps=self.steps,
                keep=self.keep,
                norm=self.norm,
            )

        ranks = range(min(self.targets or order.shape[1], order.shape[1] - 1))
        as_they_are = [inputs.__getitem__]  # what the model gets wrong already stays
        return _first_success(model, inputs, labels, as_they_are + [partial(run, rank=rank) for rank in ranks])
