"""Audit an attack: does it do what it says, and does it miss what a plain attack finds? Each alarm names a cause.

The attack is any function of model, images and labels. It is run on all images, again with another seed, on a few
images at every place of a small batch, and on these one at a time; and the model that it gets notes at which images it
takes a gradient. An attack that asks another copy of the model shows no gradients: those checks are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from drs._checks import check_images
from drs._seeding import seeded
from drs.attacks.apgd import APGD
from drs.attacks.balls import Norm
from drs.attacks.base import Adversarials, distance, project
from drs.attacks.models import AsModule, Model, attackable, differentiating
from drs.attacks.objectives import margin
from drs.errors import UsageError
from drs.evaluation.alarms import Alarm
from drs.evaluation.attack_report import ATTACK_CHECKS, STEPS, AttackAudit
from drs.evaluation.limits import Reading, above, difference_limit
from drs.evaluation.report import share_of

__all__ = ["AttackFunction", "audit_attack"]

AttackFunction: TypeAlias = Callable[[Any, Tensor, Tensor], Any]
"""From model, images (N, ...) and labels (N,) to adversarial images (N, ...), or to ``Adversarials``."""

FEW = 8
"""Images that stand at every place of a batch in turn, and alone."""
UNUSED = 0.1
"""Share of the budget that an image may leave unused although the attack failed on it."""
SHORT = 0.5
"""Share of epsilon by which the steps together may be too short."""
MOST = 0.75
"""Share of images that may move away from the decision boundary."""
HALF = 0.5
"""Share of images that may do clearly worse than elsewhere; and what "clearly" is: below half of the margin won."""


class _Watched(nn.Module):
    """A model that keeps the images at which a gradient was taken, in order."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model if isinstance(model, nn.Module) else AsModule(model)
        self.training = False
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad and torch.is_grad_enabled():
            kept, images = images.detach().clone(), images.view_as(images)
            images.register_hook(lambda _: self.seen.append(kept))
        logits: Tensor = self.model(images)
        return logits


class _Bench:
    """The attack, the model and the images, and what is asked of them."""

    def __init__(
        self, attack: AttackFunction, model: nn.Module, x: Tensor, y: Tensor, epsilon: float, norm: Norm
    ) -> None:
        self.attack, self.model, self.x, self.y, self.epsilon, self.norm = attack, model, x, y, epsilon, norm
        self.before = self.margins(x, y)

    def run(self, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, list[Tensor]]:
        """What the attack makes of images, (N, ...), and the images at which it took a gradient."""
        watched = _Watched(self.model)
        with seeded(seed, x.device):
            found = self.attack(watched, x.clone(), y.clone())
        made = found.inputs if isinstance(found, Adversarials) else found
        if not isinstance(made, Tensor) or made.shape != x.shape:
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise UsageError(f"expected an attack that returns images of shape {tuple(x.shape)}, got {got}")
        return made.detach().to(x), watched.seen

    def within(self, made: Tensor, x: Tensor) -> Tensor:
        """Brought back into the budget and the pixel range."""
        return project(made.nan_to_num(0.0), x, self.epsilon, self.norm).clamp(0.0, 1.0)

    @torch.no_grad()
    def margins(self, x: Tensor, y: Tensor) -> Tensor:
        """The true logit minus the largest other one, (N,): negative where the model is fooled."""
        return -margin(self.model(x), y)

    def won(self, rows: Tensor, seed: int) -> Tensor:
        """By how much the margin of each row falls if these rows are attacked as one batch, (n,)."""
        x, y = self.x[rows], self.y[rows]
        made, _ = self.run(x, y, seed)
        return self.before[rows] - self.margins(self.within(made, x), y)

    def few(self) -> Tensor:
        """At most FEW rows that the model gets right, of as many classes as there are."""
        right = (self.before > 0).nonzero().squeeze(1).tolist()
        rounds: dict[int, int] = {}
        order = []
        for row in right:
            label = int(self.y[row])
            rounds[label] = rounds.get(label, 0) + 1
            order.append((rounds[label], row))
        return torch.tensor([row for _, row in sorted(order)[:FEW]], dtype=torch.int64, device=self.x.device)


def _share(chosen: Tensor) -> float:
    return float(chosen.double().mean())


def _in_batches(bench: _Bench, seed: int, falls: Tensor) -> dict[str, Reading | None]:
    """A few images at every place of a batch, and alone."""
    rows = bench.few()
    count = len(rows)
    if count < 2:
        return {}
    at = torch.zeros(count, count, device=bench.x.device)  # image, place
    for shift in range(count):
        turned = torch.arange(count, device=bench.x.device).roll(shift)
        at[turned, torch.arange(count, device=bench.x.device)] = bench.won(rows[turned], seed + shift).to(at.dtype)
    usual = at.median(dim=1).values
    alone = torch.cat([bench.won(row, seed) for row in rows.split(1)]).to(at.dtype)
    worse_here = ((at < HALF * usual.unsqueeze(1)) & (usual > 0).unsqueeze(1)).double().mean(dim=0)
    better_alone = _share((usual < HALF * alone) & (alone > 0))
    wrong = min(_share(falls), _share(alone < 0))
    return {
        "wrong direction": above(wrong, MOST),
        "place in the batch matters": above(float(worse_here.max()), HALF),
        "batch mixes images": above(better_alone, HALF),
    }


def _steps(seen: list[Tensor], made: Tensor, bench: _Bench, missed: float, limit: float) -> dict[str, Reading | None]:
    """What the places of the gradients say; nothing where the attack took none that could be seen."""
    whole = [images for images in seen if images.shape == made.shape]
    if not whole:
        return {}
    path = [*whole, made]
    standing = bench.margins(bench.within(made, bench.x), bench.y) > 0
    if not bool(standing.any()):
        return {}
    moves = torch.stack([distance(a, b, bench.norm)[standing].median() for a, b in pairwise(path)])
    length = float(moves.median()) * len(moves)
    return {
        "steps too short": above(1.0 - length / bench.epsilon, SHORT),
        "one step only": Reading(missed, limit, len(whole) == 1 and missed > limit),
    }


def audit_attack(
    attack: AttackFunction,
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: Norm = "linf",
    seed: int = 0,
    name: str | None = None,
) -> AttackAudit:
    """Run somebody's attack in several ways and say what is wrong with it.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> _ = torch.nn.init.eye_(model[1].weight), torch.nn.init.zeros_(model[1].bias)
    >>> images = torch.tensor([0.6, 0.5, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0]).reshape(2, 1, 2, 2)
    >>> far = audit_attack(lambda model, x, y: 1.0 - x, model, images, torch.tensor([0, 0]), epsilon=0.125)
    >>> [alarm.name for alarm in far.fired]
    ['leaves the budget']

    Args:
        attack: Any function of model, images and labels that returns adversarial images or an ``Adversarials``. A
            class that holds its own model is passed as ``lambda model, x, y: Attack(model, ...)(x, y)``.
        model: Returns raw logits (N, C); put in evaluation mode.
        images: (N, ...) float in [0, 1]. 100 are enough.
        labels: (N,) int64.
        epsilon: The budget that the attack claims to keep, > 0.
        norm: ``"linf"`` or ``"l2"``.
        seed: The global generators are seeded with it before each run, and restored.
        name: What the report calls the attack; its own name by default.

    Raises:
        UsageError: A budget that is not above 0, no image, an attack that returns something else than images, or what
            the attacks of this library refuse.
    """
    if not 0.0 < epsilon < float("inf"):
        raise UsageError(f"expected epsilon > 0, got {epsilon}")
    images, labels = check_images(images, labels)
    if len(images) == 0:
        raise UsageError("expected at least one example, got none")
    x, y = images.detach(), labels
    with differentiating(), attackable(model) as network:
        plain = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for objective in ("margin", "ce"):
            ours = APGD(epsilon=epsilon, norm=norm, steps=STEPS, objective=objective, seed=seed)
            plain &= ~ours(network, x, y).success
        bench = _Bench(attack, network, x, y, epsilon, norm)
        made, seen = bench.run(x, y, seed)
        after = bench.margins(bench.within(made, x), y)
        again, _ = bench.run(x, y, seed + 1)
        later = bench.margins(bench.within(again, x), y)
        right, standing = bench.before > 0, (after > 0) & (bench.before > 0)
        distances = distance(made, x, norm)
        outside = torch.maximum(-made, made - 1.0).amax()
        limit = difference_limit(_share(plain), len(x))
        missed = _share(after > 0) - _share(plain)
        used = float(distances[standing].max()) / epsilon if bool(standing.any()) else None
        repeated = _share(later > 0) - _share(after > 0)
        readings: dict[str, Reading | None] = {
            "leaves the budget": above(float(distances.max()), epsilon * 1.001 + 1e-6),
            "leaves the pixel range": above(float(outside), 1e-6),
            "budget not used": None if used is None else above(1.0 - used, UNUSED),
            "worse when repeated": above(repeated, difference_limit(_share(after > 0), len(x))),
            "weaker than a plain attack": above(missed, limit),
        }
        readings |= _steps(seen, made, bench, missed, limit)
        if bool(right.any()):
            readings |= _in_batches(bench, seed, (after > bench.before)[right])
    alarms = tuple(
        Alarm(check, reading.fired, reading.value, reading.limit, *ATTACK_CHECKS[check], "attack")
        for check in ATTACK_CHECKS
        if (reading := readings.get(check)) is not None
    )
    shown = name or getattr(attack, "__name__", None) or type(attack).__name__
    return AttackAudit(shown, float(epsilon), norm, share_of(after > 0), share_of(plain), alarms)
