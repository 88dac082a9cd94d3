"""Audit a model: its accuracy under many attacks, and whether that number can be believed."""

from __future__ import annotations

import platform
import time
from typing import Literal

import torch
from torch import Tensor

from drs._checks import check_images
from drs.attacks.balls import NORMS
from drs.attacks.models import Model, Ranged, attackable
from drs.errors import UsageError, pick
from drs.evaluation.alarms import alarms
from drs.evaluation.audit_report import Audit, Line, Point
from drs.evaluation.passes import Counted
from drs.evaluation.report import Share, share_of
from drs.evaluation.stages import Battery

__all__ = ["audit"]

RESERVE = 0.02
"""Share of the time that is kept for the pass that runs when the attacks have to end, and for the report."""


def audit(
    model: Model,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    norm: Literal["linf", "l2"] = "linf",
    minutes: float = 5.0,
    seed: int = 0,
    device: torch.device | str | None = None,
    batch_size: int = 250,
    bounds: tuple[float, float] = (0.0, 1.0),
    progress: bool = False,
    name: str | None = None,
    started: float | None = None,
) -> Audit:
    """Attack a model in many ways, keep the worst case of each image, and say whether the number can be believed.

    >>> import torch
    >>> from drs.evaluation.audit import audit
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    >>> _ = torch.nn.init.eye_(model[1].weight), torch.nn.init.zeros_(model[1].bias)
    >>> images = torch.zeros(8, 1, 4, 4)
    >>> images[:, 0, 0, 0] = torch.linspace(0.05, 0.4, 8)  # the gap that an attack has to close
    >>> found = audit(model, images, torch.zeros(8, dtype=torch.int64), epsilon=0.125, minutes=1)
    >>> found.clean.value, found.worst.value
    (1.0, 0.5)

    It runs, cheapest first: one step of the gradient, probes of the model, PGD on the margin and on cross-entropy,
    random points, targeted PGD, APGD, restarts, curves over epsilon and steps, and with the time that is left random
    search without gradients (Square). Where time is tight (:mod:`drs.evaluation.stages`), a short attack comes first,
    so that there is a bound whatever happens. The alarms of :mod:`drs.evaluation.alarms` judge what came out. An image
    that the model gets wrong as it is counts as fallen and is not attacked; the last attacks see only what is left.

    Args:
        model: A callable that returns raw logits (N, C). A module is put in evaluation mode, and its mode restored.
        images: (N, ...), float, within ``bounds``. 100 are enough for a first look, 1,000 for a number to publish.
        labels: (N,) int64.
        epsilon: Budget, as a share of the range of ``bounds``, as in every attack: 8/255 also for pixels up to 255.
        norm: ``"linf"`` or ``"l2"``.
        minutes: What it may take. What does not fit is left out, an attack that runs when the time ends is cut short,
            and both are named. Accuracy without attack is measured in any case, and a pass that has begun is ended.
        seed: Of every attack.
        device: Where the batches are sent; None for where the images are. The model has to be there.
        batch_size: Images per call of the model.
        bounds: Smallest and largest pixel that the model takes; they become [0, 1] in the report.
        progress: Show a bar.
        name: What the report calls the model; the name of its class by default.
        started: When the time began, of ``time.perf_counter``: earlier than the call where loading counts too.

    Raises:
        UsageError: No image, a budget or time that is not above 0, or what the attacks refuse.
    """
    started = time.perf_counter() if started is None else started
    pick("norm", dict.fromkeys(NORMS, 0), norm)
    for word, value in (("epsilon", epsilon), ("minutes", minutes)):
        if not 0.0 < value < float("inf"):
            raise UsageError(f"expected {word} > 0, got {value}")
    if batch_size < 1:
        raise UsageError(f"expected batch_size >= 1, got {batch_size}")
    if device is None and isinstance(images, Tensor):
        device = images.device
    images, labels = (values.detach().cpu() if isinstance(values, Tensor) else values for values in (images, labels))
    images, labels = check_images(images, labels, bounds)
    if len(images) == 0:
        raise UsageError("expected at least one example, got none")
    with attackable(model) as network:
        counted = Counted(network if bounds == (0.0, 1.0) else Ranged(network, *bounds))
        counted.training = False  # what is inside is in evaluation mode, and an exported program takes no other word
        battery = Battery(
            model=counted,
            images=images,
            labels=labels,
            epsilon=epsilon,
            norm=norm,
            seed=seed,
            batch_size=batch_size,
            device=device,
            deadline=started + (1.0 - RESERVE) * 60.0 * minutes,
        )
        battery.run(progress)
    passes = battery.model.passes
    return Audit(
        model=type(model).__name__ if name is None else name,
        epsilon=float(epsilon),
        norm=norm,
        seed=seed,
        minutes=float(minutes),
        clean=share_of(battery.right),
        worst=share_of(battery.standing),
        lines=tuple(
            Line(
                name=one.name,
                attack=one.attack,
                attacked=one.attacked,
                fooled=one.fooled,
                accuracy=None if one.right is None else share_of(one.right),
                worst=share_of(one.worst),
                seconds=round(one.seconds, 3),
                forward=one.passes.forward,
                backward=one.passes.backward,
            )
            for one in battery.ran
        ),
        curves={
            title: tuple(Point(_at(title, at, epsilon), _share(value, len(labels))) for at, value in curve.items())
            for title, curve in battery.curves.items()
            if len(curve) > 1
        },
        alarms=tuple(alarms(battery.measured())),
        left_out=battery.left_out,
        labels=tuple(labels.tolist()),
        predicted=tuple(battery.predicted.tolist()),
        felled_by=tuple(battery.felled_by),
        forward=passes.forward,
        backward=passes.backward,
        seconds=round(time.perf_counter() - started, 3),
        versions=_versions(device, images),
    )


def _at(title: str, at: float, epsilon: float) -> float:
    return at * epsilon if title.startswith("epsilon") else at


def _share(value: float, total: int) -> Share:
    return share_of(torch.arange(total) < round(value * total))


def _versions(device: torch.device | str | None, images: Tensor) -> dict[str, str]:
    import drs

    where = str(images.device if device is None else device)
    return {"drs": drs.__version__, "torch": torch.__version__, "python": platform.python_version(), "device": where}
