"""What an audit found: its numbers, the headline that they allow, and its record as a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import Any, Literal

from drs._files import write_whole
from drs.errors import RecordError, UsageError
from drs.evaluation.alarms import CHECKS, Alarm
from drs.evaluation.report import Share

__all__ = ["NEEDED", "Audit", "Line", "Point"]

NEEDED = ("PGD on the margin", "PGD on cross-entropy")
"""Lines without which the attacks are not finished."""
BOUNDS = ("short APGD", "one step")
"""Lines that give a bound before: any of them, on every image."""


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
    def trust(self) -> Literal["ok", "not trustworthy", "not converged", "not finished", "not measured"]:
        """Whether ``worst`` may be quoted: by the alarms that fired, and by whether the needed attacks ran.

        ``"not trustworthy"``: an alarm about gradients, randomness or the batch. ``"not converged"``: the attacks were
        still finding more. ``"not finished"``: the time was over before the main attacks were, and ``worst`` rests on
        shorter ones. ``"not measured"``: no gradient attack saw every image. Alarms about one objective alone change
        nothing here.
        """
        kinds = {alarm.kind for alarm in self.fired}
        if "gradients" in kinds:
            return "not trustworthy"
        ran = {line.name for line in self.lines}
        if not set(NEEDED) <= ran:
            return "not finished" if ran.intersection(BOUNDS) else "not measured"
        return "not converged" if "convergence" in kinds else "ok"

    @property
    def headline(self) -> str:
        """Robust accuracy with its interval, or why there is none."""
        bound = f"robust accuracy at most {self.worst}"
        unmade = len(CHECKS) - 1 - len(self.alarms)  # "transfer wins" needs another network
        short = f", with {unmade} of {len(CHECKS) - 1} checks not made" if unmade else ""
        return {
            "ok": f"{bound}{short}",
            "not trustworthy": "upper bound, not trustworthy",
            "not converged": "upper bound, not converged",
            "not finished": f"{bound}, by short attacks alone{short}: give the audit more minutes",
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
        """Everything, as what JSON knows; with ``headline`` and ``trust``.

        An alarm's ``value`` or ``limit`` of None is infinite: a median distance where most images stand.
        """
        body = {"trust": self.trust, "headline": self.headline, **asdict(self)}
        for alarm in body["alarms"]:
            alarm |= {key: None for key in ("value", "limit") if math.isinf(alarm[key])}
        return body

    def save(self, folder: str | Path) -> Path:
        """Write ``audit.json`` and ``audit.html``, one page that needs nothing else; returns the page's path.

        Raises:
            UsageError: A folder that cannot be written.
        """
        from drs.evaluation.audit_page import page

        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
            write_whole(place / "audit.json", json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
            write_whole(place / "audit.html", page(self))
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
            body["alarms"] = tuple(_alarm(**alarm) for alarm in body["alarms"])
            body["curves"] = {
                name: tuple(Point(point["at"], Share(**point["accuracy"])) for point in curve)
                for name, curve in body["curves"].items()
            }
            return cls(**body | {name: tuple(body[name]) for name in ("labels", "predicted", "felled_by")})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"cannot read {path} as the record of an audit: {error}") from error


def _alarm(value: float | None, limit: float | None, **rest: Any) -> Alarm:
    return Alarm(value=math.inf if value is None else value, limit=math.inf if limit is None else limit, **rest)


def _line(accuracy: dict[str, Any] | None, worst: dict[str, Any], **rest: Any) -> Line:
    return Line(accuracy=None if accuracy is None else Share(**accuracy), worst=Share(**worst), **rest)
