"""What an audit runs within its time, in what order: every stage attacks, notes who fell, and feeds the alarms.

Where the main attacks would take more than half of the time, the time is **tight**: a short attack comes first, so that
there is a bound whatever happens; the main attacks are runs of APGD, which drop an image once it has fallen, in small
batches; and the probes look at few images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from drs._seeding import seeded
from drs.attacks import APGD, Attack, Square, TargetedPGD
from drs.attacks.balls import random_point
from drs.errors import UsageError
from drs.evaluation.audit_report import NEEDED
from drs.evaluation.measurements import Measured
from drs.evaluation.passes import OutOfTime
from drs.evaluation.sanity import DISTANCE_STEPS, STEPS, TEMPERATURES, SanityChecks
from drs.evaluation.tally import Ran, first_line

__all__ = ["Battery"]

TIGHT = 0.5
"""Share of the time that the main attacks may take before it is called tight."""
SHORT_STEPS = (10, 5, 2, 1)
"""Of the short attack: the first number that a third of the time allows."""
SMALLEST = 8
"""Images of a batch where time is tight, at least."""
APGD_STEPS = 100
FRACTIONS = (0.25, 0.5, 2.0)
"""Further budgets of the curves, as shares of epsilon."""
STEP_CURVE = (10, 50, 100)
RESTARTS = 5
DRAWS = 10
"""Random points of the ball of each image."""
QUERIES = (5000, 2000, 1000, 500, 200, 100)
"""Of Square: the first number that the time allows."""


@dataclass
class Battery(SanityChecks):
    """The attacks and probes on one model. :meth:`run` does everything that the time allows."""

    def run(self, progress: bool = False) -> None:
        """Every stage; what the time does not allow, or cuts, is in ``left_out``."""
        self._clean()
        self._plan()
        stages: tuple[tuple[str, float, Callable[[], None]], ...] = (
            ("short APGD", 0, self._short),
            ("one step", 3, self._one_step),
            ("probes", 0, self._probes),
            ("PGD on the margin", 3 * STEPS, lambda: self._main("margin")),
            ("PGD on cross-entropy", 3 * STEPS, lambda: self._main("ce")),
            ("noise", DRAWS, self._noise),
            ("silent success", 6 * STEPS, self._silent),
            ("largest budget", 0, self._largest),
            ("targeted PGD", 0, self._targeted),
            ("APGD", 0, lambda: self._apgd("APGD", 0)),
            ("targeted APGD", 0, lambda: self._apgd("targeted APGD", min(9, self.logits.shape[1] - 1))),
            ("restarts", 0, self._restarts),
            ("curve over epsilon", (6 * STEPS + 3) * len(FRACTIONS), self._budgets),
            ("float64", 9 * STEPS, self._float64),
            ("other temperatures", 3 * STEPS * len(TEMPERATURES), self._temperatures),
            ("smallest distance", 3 * DISTANCE_STEPS, self._distances),
            ("curve over steps", 3 * sum(STEP_CURVE), self._steps),
            ("black box", 0, self._black_box),
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
            except Exception as error:  # a stranger's model may raise anything: the other stages go on
                if name in ("short APGD", "one step", "PGD on the margin") and isinstance(error, UsageError):
                    raise  # what the model cannot do at all is the user's to know
                refused = isinstance(error, UsageError)
                self.left_out[name] = first_line(error) if refused else f"it failed on this model: {first_line(error)}"
            fell = int(stood.sum() - self.standing.sum())
            if fell and len(self.ran) == rows:  # a stage of several attacks
                spent, seconds = self.model.passes - before, time.perf_counter() - began
                self.ran.append(Ran(shown, shown, int(stood.sum()), fell, None, self.standing.clone(), seconds, spent))

    def _plan(self) -> None:
        """Whether time is tight; if so, batches are so small that a main attack on one takes a tenth of the time."""
        left, each = self.deadline - time.perf_counter(), self.seconds_for(3.0 * STEPS)
        self.tight = 2.0 * each * len(self.attackable) > TIGHT * left
        if self.tight:
            self.batch_size = min(self.batch_size, max(SMALLEST, int(0.1 * left / each)))

    def _short(self) -> None:
        """The margin, in so few steps that a third of the time is enough; nothing where there is time for the rest."""
        if self.tight and len(self.attackable):
            left, looks = (self.deadline - time.perf_counter()) / 3.0, 3 * len(self.attackable)
            fits = [s for s in SHORT_STEPS if self.seconds_for((s + 2) * looks) <= left] or SHORT_STEPS[-1:]
            self.note("short APGD", self.made(APGD, steps=fits[0], objective="margin"))

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
        apgd = self.made(APGD, steps=STEPS, objective=objective) if self.tight else None
        self.alone[objective] = self.note(name, apgd or self.pgd(objective))
        if objective == "margin":
            return
        for key, field_ in (("one step", "one_step"), ("ce", "cross_entropy"), ("margin", "margin")):
            if key in self.alone:
                self.numbers[field_] = {1.0: self.share(self.alone[key])}

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
        """What the main attacks left, with most of the time that is left: what Square fools, they had not found."""
        rows, left = self.resisted.nonzero().squeeze(1), 0.8 * (self.deadline - time.perf_counter())
        self.reserved = 0.0
        fits = [q for q in QUERIES if self.seconds_for(q * len(rows)) <= left]
        if not fits:
            self._affordable("black box", QUERIES[-1] * len(rows) / 0.8)
            return
        right = self.note("black box", self.made(Square, queries=fits[0]), rows, gradients=False)
        self.numbers["only_black_box"] = {1.0: self.share(self.resisted & ~right)}

    def _restarts(self) -> None:
        """One run after the other, each on what the runs before have left.

        From here on time is kept for the black box, whose images are those that no attack before this one fooled.
        """
        self.resisted = self.white.clone()
        self.reserved = float(QUERIES[-1] * int(self.resisted.sum())) if self.norm == "linf" else 0.0
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
        weak = ("noise", "short APGD")
        everywhere = [one.right for one in self.ran if one.right is not None and one.name not in weak]
        if len(everywhere) > 2:
            worst = self.share(torch.stack(everywhere).all(dim=0))
            numbers |= {"union_worst": worst, "union_gap": min(map(self.share, everywhere)) - worst}
        return Measured(images=float(len(self.labels)), **numbers)
