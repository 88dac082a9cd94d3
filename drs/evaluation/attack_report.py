"""What the audit of an attack found, and what each of its checks means."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any

from drs.evaluation.alarms import Alarm
from drs.evaluation.report import Share

__all__ = ["ATTACK_CHECKS", "STEPS", "AttackAudit"]

STEPS = 20
"""Steps of the attack that the audited one is compared with."""

ATTACK_CHECKS: dict[str, tuple[str, str]] = {
    "leaves the budget": (
        "Some images lie outside the ball of epsilon: their success does not count.",
        "Project after every step, and once more at the end.",
    ),
    "leaves the pixel range": (
        "Some pixels are below 0, above 1 or not numbers: no image looks like that.",
        "Clamp to [0, 1] after every step, and check the gradient for NaN.",
    ),
    "budget not used": (
        "Images that were not fooled lie well inside the ball, although an attack that fails has all of it to try.",
        "Check the unit of epsilon (of 1 or of 255, radius or width), and that the steps reach the border.",
    ),
    "steps too short": (
        "All steps together are shorter than half of epsilon: the attack stays where it starts.",
        "Raise the step size: 2.5 * epsilon / steps can cross the ball.",
    ),
    "one step only": (
        "The attack takes one gradient and stops, although more steps fool more images.",
        "Take 20 steps or more; check that the loop does not end early.",
    ),
    "wrong direction": (
        "The attack makes the true class safer, on images alone as in a batch: it goes down where it has to go up.",
        "Check the sign of the loss or of the step: an attack without target raises the loss of the true label.",
    ),
    "place in the batch matters": (
        "An image does worse at one place of the batch than at the others: the attack leaves that place out.",
        "Look for an index that skips a row, a mask from another batch, or a loss summed over part of the rows.",
    ),
    "batch mixes images": (
        "An image alone is attacked better than in a batch: the rows or the labels do not belong together.",
        "Check that images and labels are in one order, and that the loss of an image reaches its own row only.",
    ),
    "worse when repeated": (
        "A later run of the same attack fools fewer images: something is left behind from run to run.",
        "Look for state in the attack or in the model: its mode, its parameters, a buffer, a momentum.",
    ),
    "weaker than a plain attack": (
        f"APGD with {STEPS} steps fools more images than chance explains: the number of this attack is too high.",
        "Repair what the other alarms name; if there are none, take more steps, restarts or another loss.",
    ),
}
"""What each check means if it fires, and what to do next, by name, in the order of the tables."""


@dataclass(frozen=True, repr=False)
class AttackAudit:
    """What :func:`drs.evaluation.attack_audit.audit_attack` found. ``print(audit)`` shows it.

    Attributes:
        attack: What was audited, as text.
        epsilon, norm: The budget.
        accuracy: Under the audited attack, its images brought back into the budget.
        plain: Under APGD on the margin and on cross-entropy.
        alarms: Every check that could be made, fired or not.
    """

    attack: str
    epsilon: float
    norm: str
    accuracy: Share
    plain: Share
    alarms: tuple[Alarm, ...]

    @property
    def fired(self) -> tuple[Alarm, ...]:
        """The alarms that fired."""
        return tuple(alarm for alarm in self.alarms if alarm.fired)

    def __repr__(self) -> str:
        """Both accuracies, and the alarms that fired with their next step."""
        rows = [
            f"Audit of {self.attack}: {self.accuracy.total} examples, {self.norm} epsilon {self.epsilon:.4g}",
            f"  accuracy under it {self.accuracy}, under a plain attack {self.plain}",
            f"  alarms: {len(self.fired)} of {len(self.alarms)} fired" + (":" if self.fired else ""),
        ]
        rows += [indent(str(alarm), "    ") for alarm in self.fired]
        return "\n".join(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows."""
        return asdict(self)

    def to_json(self) -> str:
        """:meth:`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=1)
