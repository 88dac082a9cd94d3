"""What an audit runs, cheapest first, within its time: every stage attacks, notes who fell, and feeds the alarms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from drs._seeding import seeded
from drs.attacks import APGD, DDN, FGSM, PGD, Attack, Square, TargetedPGD
from drs.attacks.balls import random_point
from drs.attacks.models import differentiating
from drs.errors import UsageError
from drs.evaluation.measurements import Measured
from drs.evaluation.passes import OutOfTime
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
from drs.evaluation.tally import Ran, Tally, first_line

__all__ = ["NEEDED", "Battery"]

NEEDED = ("PGD on the margin", "PGD on cross-entropy")
"""Without these nothing is said about robustness: they begin while there is any time, expected to be enough or not."""

STEPS = 20
"""Steps of PGD, unless the stage says otherwise."""
APGD_STEPS = 100
FRACTIONS = (0.25, 0.5, 2.0)
"""Further budgets of the curves, as shares of epsilon."""
STEP_CURVE = (10, 50, 100)
RESTARTS = 5
DRAWS = 10
"""Random points of the ball of each image."""
QUERIES = (5000, 2000, 1000, 500, 200, 100)
"""Of Square: the first number that the time allows."""
TEMPERATURES = (0.1, 1.0, 100.0, 10_000.0)
ENOUGH = 25
"""Images on which the largest budget is tried where there is no time for all."""
FEW = 16
"""Images that are shown alone."""


@dataclass
class Battery(Tally):
    """The attacks and probes on one model. :meth:`run` does everything that the time allows."""

    def run(self, progress: bool = False) -> None:
        """Every stage, cheapest first; what the time does not allow, or cuts, is in ``left_out``."""
        self._clean()
        stages: tuple[tuple[str, float, Callable[[], None]], ...] = (
            ("probes", 20, self._probes),
            ("one step", 3, self._one_step),
            ("noise", DRAWS, self._noise),
            ("PGD on the margin", 3 * STEPS, lambda: self._main("margin")),
            ("PGD on cross-entropy", 3 * STEPS, lambda: self._main("ce")),
            ("silent success", 6 * STEPS, self._silent),
            ("largest budget", 0, self._largest),
            ("targeted PGD", 0, self._targeted),
            ("APGD", 0, lambda: self._apgd("APGD", 0)),
            ("targeted APGD", 0, lambda: self._apgd("targeted APGD", min(9, self.logits.shape[1] - 1))),
            ("black box", 0, self._black_box),
            ("restarts", 0, self._restarts),
            ("curve over epsilon", (6 * STEPS + 3) * len(FRACTIONS), self._budgets),
            ("float64", 9 * STEPS, self._float64),
            ("other temperatures", 3 * STEPS * len(TEMPERATURES), self._temperatures),
            ("smallest distance", 300, self._distances),
            ("curve over steps", 3 * sum(STEP_CURVE), self._steps),
        )
        for name, cost, stage in tqdm(stages, unit="stage", disable=not progress):
            tried = name in NEEDED and time.perf_counter() < self.deadline
            if cost and not tried and not self._affordable(name, cost * len(self.attackable)):
                continue
            began, before, rows = time.perf_counter(), self.model.passes.copy(), len(self.ran)
            stood, shown, self.stage = self.standing.clone(), name, name
            try:
                stage()
            except OutOfTime:
                shown = f"{name}, cut short"
                self.left_out[name] = f"cut short after {time.perf_counter() - began:.0f} s, when the time was over"
            except (UsageError, RuntimeError, TypeError, NotImplementedError) as error:
                if name in ("one step", "PGD on the margin") and isinstance(error, UsageError):
                    raise  # what the model cannot do at all is the user's to know
                refused = isinstance(error, UsageError)
                self.left_out[name] = first_line(error) if refused else f"it failed on this model: {first_line(error)}"
            fell = int(stood.sum() - self.standing.sum())
            if fell and len(self.ran) == rows:  # a stage of several attacks
                spent, seconds = self.model.passes - before, time.perf_counter() - began
                self.ran.append(Ran(shown, shown, int(stood.sum()), fell, None, self.standing.clone(), seconds, spent))

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
        images = self.images[: self.batch_size].to(self.device)
        started = time.perf_counter()
        repeat = repeat_difference(self.model, images)
        self.numbers |= {"repeat_difference": repeat, "label_changes": label_changes(self.model, images)}
        if len(images) > 2:
            self.numbers["softmax_share"] = softmax_share(self.model, images)
        self.numbers["inner_gradients"] = inner_gradients(self.model, images[:2])
        parts = zip(self.images.split(self.batch_size), self.labels.split(self.batch_size))
        zero = [
            zero_gradient_share(self.model, x.to(self.device), y.to(self.device)) * len(y) / len(self.labels)
            for x, y in parts
        ]
        self.numbers["zero_gradient_share"] = sum(zero)
        if repeat == 0.0 and len(images) > 1:  # randomness would look the same
            try:
                self.numbers["batch_difference"] = batch_difference(self.model, images[:FEW])
            except RuntimeError as error:
                self.left_out["image alone"] = f"the model refuses a batch of two: {first_line(error)}"
        self.seconds_spent += time.perf_counter() - started

    def _one_step(self) -> None:
        self.alone["one step"] = self.note("one step", self.one_step(self.epsilon))

    def _noise(self) -> None:
        """Random points have no gradient: they count for the worst case and not as gradient attacks."""
        started, before, fooled = time.perf_counter(), self.model.passes.copy(), torch.zeros_like(self.right)
        for part in self.attackable.split(self.batch_size):
            x, y = self.images[part].to(self.device), self.labels[part].to(self.device)
            with seeded(self.seed, x.device), torch.no_grad():
                for _ in range(DRAWS):
                    fooled[part] |= (self.model(random_point(x, self.epsilon, self.norm)).argmax(dim=1) != y).cpu()
        self.noise = fooled
        self._felled("noise", fooled, gradients=False)
        seconds, spent = time.perf_counter() - started, self.model.passes - before
        self.seconds_spent += seconds
        name = f"{DRAWS} random points (epsilon={self.epsilon:.6g}, norm={self.norm!r})"
        left = self.right & ~fooled
        self.ran.append(
            Ran("noise", name, len(self.attackable), int(fooled.sum()), left, self.standing.clone(), seconds, spent)
        )

    def _main(self, objective: str) -> None:
        name = "PGD on the margin" if objective == "margin" else "PGD on cross-entropy"
        self.alone[objective] = self.note(name, self.pgd(objective))
        if objective == "margin":
            return
        for key, field_ in (("one step", "one_step"), ("ce", "cross_entropy"), ("margin", "margin")):
            if key in self.alone:
                self.numbers[field_] = {1.0: self.share(self.alone[key])}

    def _silent(self) -> None:
        """The same steps with the same seed, kept to the end: who was fooled on the way only."""
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

    def _left(self) -> Tensor:
        return self.standing.nonzero().squeeze(1)

    def _targeted(self) -> None:
        rows, targets = self._left(), min(9, self.logits.shape[1] - 1)
        if len(rows) and self._affordable("targeted PGD", 3.0 * STEPS * targets * len(rows)):
            attack = self.made(TargetedPGD, steps=STEPS, targets=targets)
            self.note("targeted PGD", attack, rows)

    def _apgd(self, name: str, targets: int) -> None:
        rows = self._left()
        if len(rows) and self._affordable(name, 3.0 * APGD_STEPS * max(1, targets) * len(rows)):
            self.note(name, self.made(APGD, steps=APGD_STEPS, objective="margin", targets=targets), rows)

    def _black_box(self) -> None:
        """Every image that no gradient attack fooled: what Square fools of these, nothing else had found."""
        rows = self.white.nonzero().squeeze(1)
        left = 0.5 * (self.deadline - time.perf_counter())
        fits = [q for q in QUERIES if self.seconds_for(q * len(rows)) <= left]
        if not fits:
            self._affordable("black box", 2.0 * QUERIES[-1] * len(rows))
            return
        attack = self.made(Square, queries=fits[0])
        standing = self.white.clone()
        right = self.note("black box", attack, rows, gradients=False)
        self.numbers["only_black_box"] = {1.0: self.share(standing & ~right)}

    def _restarts(self) -> None:
        """One run after the other, each on what the runs before have left."""
        still, curve = self.right.clone(), dict[float, float]()
        self.curves["restarts"] = self.numbers["restarts"] = curve  # before the runs, as the time may end in one
        for restart in range(RESTARTS):
            rows = still.nonzero().squeeze(1)
            if not self._affordable("restarts", 3.0 * STEPS * len(rows)):
                break
            attack = self.pgd("margin", seed=self.seed + 1 + restart)
            fooled = self._attack(attack, rows)
            self._felled("restarts", fooled, gradients=True)
            still &= ~fooled
            curve[float(restart + 1)] = self.share(still)

    def _budgets(self) -> None:
        """Every attack at every budget on every image, so that a rise of a curve would be seen."""
        attacks: dict[str, Callable[[float], Attack]] = {
            "one step": self.one_step,
            "ce": lambda e: self.pgd("ce", epsilon=e),
            "margin": lambda e: self.pgd("margin", epsilon=e),
        }
        for name, make in attacks.items():
            curve = {1.0: self.share(self.alone[name])} if name in self.alone else {}
            for fraction in FRACTIONS:
                fooled = self._attack(make(fraction * self.epsilon), self.attackable, within=fraction <= 1.0)
                if fraction <= 1.0:
                    self._felled(f"{name}, smaller budget", fooled, gradients=True)
                curve[fraction] = self.share(self.right & ~fooled)
            self.curves[f"epsilon, {name}"] = {0.0: self.share(self.right)} | dict(sorted(curve.items()))
            key = {"one step": "one_step", "ce": "cross_entropy", "margin": "margin"}[name]
            self.numbers[key] = dict(sorted(curve.items()))

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
            found = DDN(steps=100, seed=self.seed)(self.model, x, y)
            smallest[part] = torch.where(found.success, found.distances, math.inf).cpu()
            if self.norm == "l2":
                inside = torch.zeros_like(self.right)
                inside[part] = (found.success & (found.distances <= self.epsilon)).cpu()
                self._felled("DDN", inside, gradients=True)
        median = {"minimal_median": smallest, "fixed_median": fixed}
        self.numbers |= {k: float(v.sort().values[len(v) // 2]) for k, v in median.items()}

    def _steps(self) -> None:
        curve = {}
        for steps in STEP_CURVE:
            fooled = self._attack(self.pgd("margin", steps=steps), self.attackable)
            self._felled(f"{steps} steps", fooled, gradients=True)
            curve[float(steps)] = self.share(self.right & ~fooled)
        self.curves["steps"] = curve
        self.numbers["steps"] = (curve,)

    def measured(self) -> Measured:
        """What the alarms judge, once :meth:`run` is over."""
        numbers = dict(self.numbers)
        if hasattr(self, "noise"):
            numbers["only_noise"] = {1.0: self.share(self.white & self.noise)}
        everywhere = [one.right for one in self.ran if one.right is not None and one.name != "noise"]
        if len(everywhere) > 2:
            worst = self.share(torch.stack(everywhere).all(dim=0))
            numbers |= {"union_worst": worst, "union_gap": min(map(self.share, everywhere)) - worst}
        return Measured(images=float(len(self.labels)), **numbers)
