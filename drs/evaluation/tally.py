"""Who fell to what, and what the time allows: the book-keeping of an audit under its attacks."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from drs._checks import check_target_range
from drs.attacks import Attack
from drs.attacks.base import distance
from drs.attacks.models import check_model
from drs.errors import UsageError
from drs.evaluation.passes import Counted, OutOfTime, Passes

__all__ = ["Ran", "Tally", "first_line"]


@dataclass(frozen=True)
class Ran:
    """One attack that ran.

    Attributes:
        name: Short, for tables.
        attack: With its hyperparameters, as text.
        attacked: Images it was run on: those that it could still bring down.
        fooled: Images it fooled, of these.
        right: (N,) bool, which images are still right under it alone; None where it saw only what others had left.
        worst: (N,) bool, which images no attack had fooled after it.
        seconds: Wall-clock time.
        passes: Forward and backward passes of single images.
    """

    name: str
    attack: str
    attacked: int
    fooled: int
    right: Tensor | None
    worst: Tensor
    seconds: float
    passes: Passes


@dataclass
class Tally:
    """What is known of each image so far, and the attacks' time. A stage of an audit adds to it.

    Args:
        model: Counts its passes, and none begins after the deadline; in evaluation mode.
        images: (N, ...) in [0, 1].
        labels: (N,).
        epsilon: Budget.
        norm: ``"linf"`` or ``"l2"``.
        seed: Of every attack.
        batch_size: Images per call of an attack.
        device: Where each batch is sent; None leaves it.
        deadline: Of ``time.perf_counter``: no stage begins that is expected to end later, and one that does is cut.

    Attributes:
        ran: Attacks on ``epsilon``, in their order.
        stage: The stage that runs.
        left_out: Stages that did not run or were cut short, with the reason.
        curves: Accuracy by budget (as share of epsilon), steps or restarts.
        felled_by: For each image the attack that fooled it first; "" for none.
        numbers: What the alarms judge.
        alone: (N,) bool of the main attacks: which images are right under each.
        tight: Whether the main attacks may not fit into the time.
        reserved: Forward passes of an image for which time is kept: no stage begins that would need it.
    """

    model: Counted
    images: Tensor
    labels: Tensor
    epsilon: float
    norm: Literal["linf", "l2"]
    seed: int
    batch_size: int
    device: torch.device | str | None
    deadline: float
    stage: str = ""
    ran: list[Ran] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    curves: dict[str, dict[float, float]] = field(default_factory=dict)
    felled_by: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    alone: dict[str, Tensor] = field(default_factory=dict)
    tight: bool = False
    reserved: float = 0.0

    def _clean(self) -> None:
        """Accuracy without attack, whatever the time. After it the clock counts."""
        started = time.perf_counter()
        first = self.images[:8].to(self.device)
        try:
            check_model(self.model, first, self.labels[:8].to(self.device), differentiable=False)
        except UsageError:
            raise
        except Exception as error:  # a stranger's model
            raise UsageError(
                f"the model fails on a batch of shape {tuple(first.shape)}: {first_line(error)}; "
                "it has to take batches of any size"
            ) from error
        with torch.no_grad():
            parts = self.images.split(self.batch_size)
            self.logits = torch.cat([self.model(part.to(self.device)).cpu() for part in parts])
        check_target_range(self.labels, self.logits.shape[1])
        self.seconds_spent, self.predicted = time.perf_counter() - started, self.logits.argmax(dim=1)
        self.right = self.predicted == self.labels
        self.attackable = self.right.nonzero().squeeze(1)
        self.white, self.standing = self.right.clone(), self.right.clone()
        self.nearest = torch.where(self.right, math.inf, 0.0)
        self.felled_by = ["" if right else "clean" for right in self.right.tolist()]
        self.model.deadline = self.deadline

    def seconds_for(self, units: float) -> float:
        """Expected time of so many forward passes of an image; a backward pass counts as two."""
        done = self.model.passes.forward + 2 * self.model.passes.backward
        return units * self.seconds_spent / max(1, done)

    def _affordable(self, name: str, units: float) -> bool:
        needed, left = self.seconds_for(units), self.deadline - time.perf_counter()
        if needed + self.seconds_for(self.reserved) <= left:
            return True
        self.left_out[name] = f"about {needed:.0f} s were needed and {max(0.0, left):.0f} s were left"
        return False

    def _attack(self, attack: Attack, rows: Tensor, *, within: bool = True, model: Any = None) -> Tensor:
        """(N,) bool: fooled. ``within``: the attack keeps the budget, so its successes move ``nearest``.

        Raises:
            OutOfTime: At the deadline; what the batches before had fooled is noted.
        """
        fooled, started = torch.zeros_like(self.right), time.perf_counter()
        try:
            for part in rows.split(self.batch_size):
                x, y = self.images[part].to(self.device), self.labels[part].to(self.device)
                found = attack(self.model if model is None else model, x, y)
                fooled[part] = found.success.cpu()
                if within:
                    length = distance(found.inputs, x, "l2").cpu()
                    reached = torch.where(found.success.cpu(), length, math.inf).to(self.nearest)
                    self.nearest[part] = torch.minimum(self.nearest[part], reached)
        except OutOfTime:
            if within:
                self._felled(self.stage, fooled, gradients=attack.differentiates)
            raise
        self.seconds_spent += time.perf_counter() - started
        return fooled

    def note(self, name: str, attack: Attack, rows: Tensor | None = None, *, gradients: bool = True) -> Tensor:
        """Run an attack of budget epsilon, on all images (None) or those of ``rows``; (N,) bool: still right."""
        started, before = time.perf_counter(), self.model.passes.copy()
        fooled = self._attack(attack, self.attackable if rows is None else rows)
        self._felled(name, fooled, gradients=gradients)
        alone = self.right & ~fooled if rows is None else None
        count = len(self.attackable if rows is None else rows)
        seconds, spent = time.perf_counter() - started, self.model.passes - before
        self.ran.append(Ran(name, repr(attack), count, int(fooled.sum()), alone, self.standing.clone(), seconds, spent))
        return self.right & ~fooled

    def _felled(self, name: str, fooled: Tensor, *, gradients: bool) -> None:
        for row in (fooled & self.standing).nonzero().squeeze(1).tolist():
            self.felled_by[row] = name
        self.standing &= ~fooled
        if gradients:
            self.white &= ~fooled

    @staticmethod
    def share(chosen: Tensor) -> float:
        return float(chosen.double().mean())


def first_line(error: Exception) -> str:
    """The first line of an error, at most 200 characters; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
