"""Attacks that follow the sign of a gradient within an L-inf budget: FGSM, BIM, PGD and ILCM, steps by foolbox.

foolbox takes the steps; :mod:`drs.attacks.base` clips to the budget and judges success.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.attacks.base import Attack
from drs.errors import UsageError, unknown


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"expected {name} >= 1, got {count}")


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    true = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    return logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(dim=1) - true


def _dlr(logits: Tensor, labels: Tensor) -> Tensor:
    top = logits.topk(3, dim=1).values
    return _margin(logits, labels) / (top[:, 0] - top[:, 2]).clamp_min(1e-12)


def _scaled_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    top = logits.topk(2, dim=1).values
    scale = (top[:, 0] - top[:, 1]).abs().clamp_min(1e-12).unsqueeze(1).detach()
    return F.cross_entropy(logits / scale, labels, reduction="none")


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"),
    "scaled_ce": _scaled_cross_entropy,
    "margin": _margin,
    "dlr": _dlr,
}
"""What an attack makes larger, from logits (N, C) and labels (N,) to (N,): cross-entropy; cross-entropy of logits
divided by the gap of the top two; largest false logit minus true logit; that margin over the gap of first and third."""


def _foolbox_step(
    steps: int, step_size: float, random_start: bool, objective: Callable[[Tensor, Tensor], Tensor], ascend: bool
) -> Any:
    """foolbox's one L-inf loop with an objective of ours in place of its cross-entropy."""
    import eagerpy as ep
    from foolbox.attacks.gradient_descent_base import LinfBaseGradientDescent

    class Steps(LinfBaseGradientDescent):  # type: ignore[misc]  # foolbox has no types
        def get_loss_fn(self, model: Any, labels: Any) -> Callable[[Any], Any]:
            target = labels.raw

            def loss(inputs: Any) -> Any:
                total = objective(model(inputs).raw, target).sum()
                return ep.astensor(total if ascend else -total)

            return loss

    return Steps(rel_stepsize=1.0, abs_stepsize=step_size, steps=steps, random_start=random_start)


def sign_steps(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    step_size: float,
    random_start: bool = False,
    objective: Callable[[Tensor, Tensor], Tensor],
    ascend: bool = True,
) -> Tensor:
    """``steps`` sign steps on ``objective``, each followed by projection to the L-inf ball and to [0, 1].

    Args:
        labels: What the objective is measured against (a target class, with ``ascend=False``).

    Returns:
        The last iterate, (N, C, H, W).
    """
    import foolbox

    wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0.0, 1.0), device=inputs.device)
    steps_taken = _foolbox_step(steps, step_size, random_start, objective, ascend)
    result: Tensor = steps_taken.run(wrapped, inputs, foolbox.Misclassification(labels), epsilon=epsilon)
    return result


def _first_success(
    model: nn.Module, inputs: Tensor, labels: Tensor, runs: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """What the first run that fools the model makes of each image; of those that none fools, what the last one does.

    Args:
        runs: Each takes the rows (n,) of the images that still stand and returns what it makes of them. Which rows
            these are is asked of the device once a run.
    """
    found = inputs.clone()
    rows = torch.arange(len(inputs), device=inputs.device)
    for run in runs:
        if not len(rows):
            break
        found[rows] = run(rows)
        with torch.no_grad():
            rows = rows[model(found[rows]).argmax(dim=1) == labels[rows]]
    return found


@dataclass(frozen=True)
class FGSM(Attack):
    """Fast gradient sign method (Goodfellow et al. 2015): one step of size epsilon on cross-entropy.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1] (8/255 is 0.031).
    """

    epsilon: float = 0.05

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return sign_steps(
            model, inputs, labels, epsilon=self.epsilon, steps=1, step_size=self.epsilon, objective=OBJECTIVES["ce"]
        )


@dataclass(frozen=True)
class BIM(Attack):
    """Basic iterative method (Kurakin et al. 2016): ``steps`` steps of epsilon / steps from the image itself.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: 10 in the RCE paper.
    """

    epsilon: float = 0.05
    steps: int = 10

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return sign_steps(
            model,
            inputs,
            labels,
            epsilon=self.epsilon,
            steps=self.steps,
            step_size=self.epsilon / self.steps,
            objective=OBJECTIVES["ce"],
        )


@dataclass(frozen=True)
class ILCM(Attack):
    """Iterative least-likely class method (Kurakin et al. 2016): BIM towards the class the model finds least likely.

    ``success`` is untargeted (the label is wrong), as in the RCE paper's evaluation.

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
        return sign_steps(
            model,
            inputs,
            least_likely,
            epsilon=self.epsilon,
            steps=self.steps,
            step_size=self.epsilon / self.steps,
            objective=OBJECTIVES["ce"],
            ascend=False,
        )


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent (Madry et al. 2018): random start, sign steps, the worst of several restarts.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: Steps of each run.
        step_size: None for 2.5 * epsilon / steps.
        restarts: Runs; an image keeps the first one that fools the model.
        random_start: Start uniformly in the ball.
        objective: ``"ce"``, ``"scaled_ce"``, ``"margin"`` or ``"dlr"``.
    """

    epsilon: float = 0.05
    steps: int = 20
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True
    objective: str = "ce"

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)
        _check_counts(steps=self.steps, restarts=self.restarts)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        step_size = 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size

        def run(rows: Tensor) -> Tensor:
            return sign_steps(
                model,
                inputs[rows],
                labels[rows],
                epsilon=self.epsilon,
                steps=self.steps,
                step_size=step_size,
                random_start=self.random_start,
                objective=OBJECTIVES[self.objective],
            )

        return _first_success(model, inputs, labels, [run] * self.restarts)


@dataclass(frozen=True)
class TargetedPGD(Attack):
    """PGD on the margin towards every false class in turn, the k most likely first; an image keeps its first success.

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
        steps: Steps towards each class.
        targets: How many false classes; None for all of them.
    """

    epsilon: float = 0.05
    steps: int = 20
    targets: int | None = None

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps, targets=1 if self.targets is None else self.targets)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            order = model(inputs).scatter(1, labels.unsqueeze(1), -torch.inf).argsort(dim=1, descending=True)

        def run(rows: Tensor, rank: int) -> Tensor:
            target = order[rows, rank].unsqueeze(1)

            def objective(logits: Tensor, labels: Tensor) -> Tensor:
                return (logits.gather(1, target) - logits.gather(1, labels.unsqueeze(1))).squeeze(1)

            return sign_steps(
                model,
                inputs[rows],
                labels[rows],
                epsilon=self.epsilon,
                steps=self.steps,
                step_size=2.5 * self.epsilon / self.steps,
                random_start=True,
                objective=objective,
            )

        ranks = range(min(self.targets or order.shape[1], order.shape[1] - 1))
        as_they_are = [inputs.__getitem__]  # what the model gets wrong already stays
        return _first_success(model, inputs, labels, as_they_are + [partial(run, rank=rank) for rank in ranks])


@dataclass(frozen=True)
class UniformNoise(Attack):
    """The control: every pixel moved by a uniform random number in [-epsilon, epsilon].

    Attributes:
        epsilon: L-inf budget, pixels in [0, 1].
    """

    epsilon: float = 0.05

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return inputs + torch.empty_like(inputs).uniform_(-self.epsilon, self.epsilon)
