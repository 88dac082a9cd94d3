"""Audit a model: its accuracy under many attacks, and whether that number can be believed."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import Any, Literal

import torch
from torch import Tensor

from drs._checks import check_images
from drs.attacks.balls import NORMS
from drs.attacks.models import Model, Ranged, attackable
from drs.errors import RecordError, UsageError, pick
from drs.evaluation.alarms import CHECKS, Alarm, alarms
from drs.evaluation.passes import Counted
from drs.evaluation.report import Share, share_of
from drs.evaluation.stages import NEEDED, Battery

__all__ = ["Audit", "Line", "Point", "audit"]

RESERVE = 0.02
"""Share of the time that is kept for the pass that runs when the attacks have to end, and for the report."""


@dataclass(frozen=True)
class Line:
    """One attack of an audit.

    Attributes:
        name: Short.
        attack: With its hyperparameters, as text.
        attacked: Images it was run on.
        fooled: Images it fooled, of these.
        accuracy: Accuracy under this attack alone; None where it saw only what the others had left.
        worst: Accuracy under it and all before it, image by image.
        seconds: Wall-clock time.
        forward, backward: Passes of single images.
    """

    name: str
    attack: str
    attacked: int
    fooled: int
    accuracy: Share | None
    worst: Share
    seconds: float
    forward: int
    backward: int


@dataclass(frozen=True)
class Point:
    """One point of a curve: where it is (epsilon, steps or restarts), and the accuracy there."""

    at: float
    accuracy: Share


@dataclass(frozen=True, repr=False)
class Audit:
    """What :func:`drs.evaluation.audit.audit` found.

    ``print(audit)`` shows it; :meth:`save` writes a page and a record.

    Attributes:
        model: What was audited, as text.
        epsilon, norm: The budget.
        seed: Of the attacks.
        minutes: What the audit was given.
        clean: Accuracy without attack.
        worst: Accuracy under all attacks together, image by image. Every such number is an upper bound.
        lines: Every attack at ``epsilon``, in the order they ran.
        curves: Accuracy over epsilon, steps and restarts, by name.
        alarms: Every check that could be made, fired or not.
        left_out: What was not run or was cut short, with the reason.
        labels, predicted: The true label of each image, and the model's without attack.
        felled_by: What fooled each image first: an attack, ``"clean"`` where no attack was needed, or ``""``.
        forward, backward: Passes of single images, in all.
        seconds: Wall-clock time.
        versions: Of Python and the libraries, and the device.
    """

    model: str
    epsilon: float
    norm: str
    seed: int
    minutes: float
    clean: Share
    worst: Share
    lines: tuple[Line, ...]
    curves: Mapping[str, tuple[Point, ...]]
    alarms: tuple[Alarm, ...]
    left_out: Mapping[str, str]
    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    felled_by: tuple[str, ...]
    forward: int
    backward: int
    seconds: float
    versions: Mapping[str, str]

    @property
    def fired(self) -> tuple[Alarm, ...]:
        """The alarms that fired."""
        return tuple(alarm for alarm in self.alarms if alarm.fired)

    @property
    def trust(self) -> Literal["ok", "not trustworthy", "not converged", "not measured"]:
        """Whether ``worst`` may be quoted: by the alarms that fired, and by whether the needed attacks ran.

        ``"not trustworthy"``: an alarm about gradients, randomness or the batch. ``"not converged"``: the attacks were
        still finding more. ``"not measured"``: PGD did not run on both objectives. Alarms about one objective alone
        change nothing here.
        """
        kinds = {alarm.kind for alarm in self.fired}
        if "gradients" in kinds:
            return "not trustworthy"
        if not set(NEEDED) <= {line.name for line in self.lines}:
            return "not measured"
        return "not converged" if "convergence" in kinds else "ok"

    @property
    def headline(self) -> str:
        """Robust accuracy with its interval, or why there is none."""
        unmade = len(CHECKS) - 1 - len(self.alarms)  # "transfer wins" needs another network
        short = f", with {unmade} of {len(CHECKS) - 1} checks not made" if unmade else ""
        return {
            "ok": f"robust accuracy at most {self.worst}{short}",
            "not trustworthy": "upper bound, not trustworthy",
            "not converged": "upper bound, not converged",
            "not measured": "not measured: give the audit more minutes or fewer images",
        }[self.trust]

    def __repr__(self) -> str:
        """The headline, every attack, the alarms with their next step, and what was left out."""
        rows = [
            f"Audit of {self.model}: {len(self.labels)} examples, {self.norm} epsilon {self.epsilon:.4g}, "
            f"{self.seconds:.1f} s, intervals of 95%",
            f"  {self.headline}",
            f"  clean accuracy {self.clean}",
            f"  {'attack':<24}{'alone':<22}{'with all before it':<22}{'fooled':>14}",
        ]
        for line in self.lines:
            alone = "" if line.accuracy is None else str(line.accuracy)
            rows.append(f"  {line.name:<24}{alone:<22}{line.worst!s:<22}{line.fooled:>6} of {line.attacked}")
        fired = self.fired
        rows.append(f"  alarms: {len(fired)} of {len(self.alarms)} fired" + (":" if fired else ""))
        rows += [indent(str(alarm), "    ") for alarm in fired]
        rows += [f"  left out: {name} ({reason})" for name, reason in self.left_out.items()]
        return "\n".join(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows; with ``headline`` and ``trust``."""
        return {"trust": self.trust, "headline": self.headline, **asdict(self)}

    def save(self, folder: str | Path) -> Path:
        """Write ``audit.json`` and ``audit.html``, one page that needs nothing else; returns the page's path.

        Raises:
            UsageError: A folder that cannot be written.
        """
        from drs.evaluation.audit_page import page

        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / "audit.json").write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
            (place / "audit.html").write_text(page(self), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"expected a folder that can be written, got {place}: {error}") from error
        return place / "audit.html"

    @classmethod
    def load(cls, path: str | Path) -> Audit:
        """The audit of a file ``audit.json``.

        Raises:
            RecordError: A file that cannot be read or is no such record.
        """
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
            body.pop("trust"), body.pop("headline")
            body["clean"], body["worst"] = Share(**body["clean"]), Share(**body["worst"])
            body["lines"] = tuple(_line(**line) for line in body["lines"])
            body["alarms"] = tuple(Alarm(**alarm) for alarm in body["alarms"])
            body["curves"] = {
                name: tuple(Point(point["at"], Share(**point["accuracy"])) for point in curve)
                for name, curve in body["curves"].items()
            }
            return cls(**body | {name: tuple(body[name]) for name in ("labels", "predicted", "felled_by")})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"cannot read {path} as the record of an audit: {error}") from error


def _line(accuracy: dict[str, Any] | None, worst: dict[str, Any], **rest: Any) -> Line:
    return Line(accuracy=None if accuracy is None else Share(**accuracy), worst=Share(**worst), **rest)


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

    It runs, cheapest first: probes of the model, one step of the gradient, random points, PGD on the margin and on
    cross-entropy, targeted PGD, random search without gradients (Square), restarts, and curves over epsilon and
    steps. The alarms of :mod:`drs.evaluation.alarms` judge what came out. An image that the model gets wrong as it is
    counts as fallen and is not attacked; the last attacks see only what is left.

    Args:
        model: A callable that returns raw logits (N, C). A module is put in evaluation mode, and its mode restored.
        images: (N, ...), float, within ``bounds``. 100 are enough for a first look, 1,000 for a number to publish.
        labels: (N,) int64.
        epsilon: Budget, as a share of the range of ``bounds``, as in every attack: 8/255 also for pixels up to 255.
        norm: ``"linf"`` or ``"l2"``.
        minutes: What it may take. What does not fit is left out, an attack that runs when the time ends is cut short,
            and both are named. Accuracy without attack is measured in any case, and a pass that has begun is ended.
        seed: Of every attack.
        device: Where the batches are sent; None leaves them where they are. The model has to be there.
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
