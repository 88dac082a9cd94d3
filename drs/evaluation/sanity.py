"""The sanity checks of an audit: what is measured only to judge whether its attacks could work on this model."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from typing import Any

import torch

from drs.attacks import DDN, FGSM, PGD, Attack
from drs.attacks.models import differentiating
from drs.errors import UsageError
from drs.evaluation.probes import (
    Tempered,
    batch_difference,
    float64_check,
    inner_gradients,
    label_changes,
    repeat_difference,
    softmax_share,
    zero_gradient_share,
)
from drs.evaluation.tally import Tally, first_line

__all__ = ["DISTANCE_STEPS", "ENOUGH", "FEW", "LOOKS", "STEPS", "TEMPERATURES", "SanityChecks"]

STEPS = 20
"""Steps of PGD, unless the stage says otherwise."""
TEMPERATURES = (0.1, 1.0, 100.0, 10_000.0)
ENOUGH = 25
"""Images on which the largest budget is tried where there is no time for all."""
FEW = 16
"""Images that are shown alone; and those that the probes look at where time is short."""
DISTANCE_STEPS = 100
"""Steps of DDN, which looks for the smallest distance."""
LOOKS = 12
"""Forward passes of the probes for each image; a backward pass counts as two."""


@dataclass
class SanityChecks(Tally):
    """The attacks that an audit makes, and the checks that feed its alarms alone."""

    def made(self, kind: type[Attack], **options: Any) -> Attack:
        """An attack with this battery's budget, norm and seed, unless told otherwise.

        Raises:
            UsageError: An attack that has no form in this norm.
        """
        given: dict[str, Any] = {"epsilon": self.epsilon, "seed": self.seed} | options
        if "norm" in {each.name for each in fields(kind)}:
            given["norm"] = self.norm
        elif self.norm != "linf":
            raise UsageError(f"{kind.__name__} has no form in {self.norm}")
        return kind(**given)

    def pgd(self, objective: str = "margin", **options: Any) -> Attack:
        """PGD with :data:`STEPS` steps, unless told otherwise."""
        return self.made(PGD, **{"steps": STEPS, "objective": objective} | options)

    def one_step(self, epsilon: float) -> Attack:
        """FGSM, in either norm."""
        return self.made(FGSM, epsilon=epsilon)

    def _probes(self) -> None:
        count = min(FEW, len(self.images)) if self.tight else len(self.images)
        if not self._affordable("probes", LOOKS * count + 3.0 * FEW):
            return
        images, started = self.images[: min(count, self.batch_size)].to(self.device), time.perf_counter()
        repeat = repeat_difference(self.model, images)
        self.numbers |= {"repeat_difference": repeat, "label_changes": label_changes(self.model, images)}
        if len(images) > 2:
            self.numbers["softmax_share"] = softmax_share(self.model, images)
        self.numbers["inner_gradients"] = inner_gradients(self.model, images[:2])
        parts = zip(self.images[:count].split(self.batch_size), self.labels[:count].split(self.batch_size))
        zero = [
            zero_gradient_share(self.model, x.to(self.device), y.to(self.device)) * len(y) / count for x, y in parts
        ]
        self.numbers["zero_gradient_share"] = sum(zero)
        if repeat == 0.0 and len(images) > 1:  # randomness would look the same
            try:
                self.numbers["batch_difference"] = batch_difference(self.model, images[:FEW])
            except RuntimeError as error:
                self.left_out["image alone"] = f"the model refuses a batch of two: {first_line(error)}"
        self.seconds_spent += time.perf_counter() - started

    def _silent(self) -> None:
        """The same steps with the same seed, kept to the end: who was fooled on the way only."""
        if self.tight:
            self.left_out["silent success"] = "the main attacks were those that stop where they succeed"
            return
        shares = []
        for objective in ("margin", "ce"):
            if objective in self.alone:
                last = self._attack(self.pgd(objective, keep="last"), self.attackable)
                shares.append(self.share(self.right & ~self.alone[objective] & ~last))
        self.numbers["silent_success"] = max(shares, default=None)

    def _largest(self) -> None:
        """Half the range in every pixel: in L2 the length of that change."""
        largest = 0.5 if self.norm == "linf" else 0.5 * math.sqrt(self.images[0].numel())
        rows, cost = self.attackable, 6.0 * STEPS
        if self.seconds_for(cost * len(rows)) > self.deadline - time.perf_counter():
            rows = rows[:ENOUGH]  # of which no single one should survive
        if len(rows) and self._affordable("largest budget", cost * len(rows)):
            fooled = torch.zeros_like(self.right)
            for objective in ("ce", "margin"):
                fooled |= self._attack(self.pgd(objective, epsilon=largest), rows, within=False)
            self.numbers["largest_budget"] = self.share(~fooled[rows]) * self.share(self.right)

    def _float64(self) -> None:
        if self.norm != "linf":
            self.left_out["float64"] = "it is measured in L-inf only"
            return
        started = time.perf_counter()
        single, double, weight = 0.0, 0.0, 1.0 / max(1, len(self.attackable))
        for part in self.attackable.split(self.batch_size):
            x, y = self.images[part].to(self.device), self.labels[part].to(self.device)
            one, two = float64_check(self.model, x, y, epsilon=self.epsilon, steps=STEPS)
            single, double = single + one * len(part) * weight, double + two * len(part) * weight
        scale = len(self.attackable) / len(self.labels)
        self.numbers["float64_difference"] = abs(single - double) * scale
        self.seconds_spent += time.perf_counter() - started

    def _temperatures(self) -> None:
        found = {}
        for temperature in TEMPERATURES:
            with differentiating():
                fooled = self._attack(self.pgd("ce"), self.attackable, model=Tempered(self.model, temperature))
            self._felled("other temperatures", fooled, gradients=True)
            found[temperature] = self.share(self.right & ~fooled)
        self.numbers["temperatures"] = found

    def _distances(self) -> None:
        """DDN's median distance and that of the nearest adversarial of all others, over the images that are right."""
        fixed = self.nearest.clone()
        smallest = torch.where(self.right, math.inf, 0.0)
        for part in self.attackable.split(self.batch_size):
            x, y = self.images[part].to(self.device), self.labels[part].to(self.device)
            found = DDN(steps=DISTANCE_STEPS, seed=self.seed)(self.model, x, y)
            smallest[part] = torch.where(found.success, found.distances, math.inf).to(smallest)
            if self.norm == "l2":
                inside = torch.zeros_like(self.right)
                inside[part] = (found.success & (found.distances <= self.epsilon)).cpu()
                self._felled("DDN", inside, gradients=True)
        median = {"minimal_median": smallest, "fixed_median": fixed}
        self.numbers |= {k: float(v.sort().values[len(v) // 2]) for k, v in median.items()}
