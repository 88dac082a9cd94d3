"""What an audit of a detector found: its numbers, its alarms, a table, a data frame and a file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drs._files import write_whole
from drs.errors import needs_extra, unknown
from drs.evaluation.report import Share

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OBLIVIOUS", "WORST", "DetectorAudit", "Finding"]

OBLIVIOUS = "PGD"
"""The attack of :class:`Finding` that does not know the detector."""

WORST = "worst"
"""For each image the attack, of all, that fools the classifier and has the highest score."""


@dataclass(frozen=True)
class Finding:
    """One score before one attacker. Positive = adversarial in ``detected``, normal in ``fpr95`` and ``aupr_in``.

    Attributes:
        score: ``"detector"`` or the name of a baseline.
        attack: :data:`OBLIVIOUS`, the name of an adaptive attack, or :data:`WORST`.
        fooled: Share of the judged images that the classifier gets wrong when attacked.
        undetected_5: Share that it gets wrong AND the detector keeps, at the threshold that rejects 5% of the
            calibration images: what the attacker gains.
        undetected_1: The same at 1%.
        detected_5: Of the images that are right when clean and wrong when attacked, the share rejected at that
            threshold (the true positive rate at 5% false alarms); None if there are none.
        detected_1: The same at 1%.
        auc: Area under the ROC curve of all clean images against those attacked ones; NaN if there are none.
        auc_low: Lower end of its 95% interval (DeLong et al. 1988).
        auc_high: Upper end.
        fpr95: Share of those attacked images kept where 95% of the clean ones are.
        aupr_in: Area under the precision-recall curve, positive = clean.
        aupr_out: The same, positive = attacked.
    """

    score: str
    attack: str
    fooled: Share
    undetected_5: Share
    undetected_1: Share
    detected_5: Share | None
    detected_1: Share | None
    auc: float
    auc_low: float
    auc_high: float
    fpr95: float
    aupr_in: float
    aupr_out: float


@dataclass(frozen=True, repr=False)
class DetectorAudit:
    """What :func:`drs.evaluation.detector_audit.audit_detector` found. ``print(audit)`` shows it as a table.

    Attributes:
        findings: One for each score and attacker, the detector first.
        false_alarms: For each score the share of the judged clean images that the 5% threshold rejects: near 5%, if the
            calibration images are like them.
        epsilon: The attackers' budget.
        norm: Its norm.
        calibration: How many clean images set the thresholds.
        judged: How many images were judged.
        notes: Sentences on what could not be run.
        seconds: Wall-clock time of everything.
    """

    findings: tuple[Finding, ...]
    false_alarms: dict[str, Share]
    epsilon: float
    norm: str
    calibration: int
    judged: int
    notes: tuple[str, ...]
    seconds: float

    def of(self, score: str, attack: str) -> Finding:
        """The finding of a score and an attacker.

        Raises:
            UsageError: No such pair.
        """
        for finding in self.findings:
            if (finding.score, finding.attack) == (score, attack):
                return finding
        raise unknown("finding", f"{score} {attack}", [f"{f.score} {f.attack}" for f in self.findings])

    @property
    def alarms(self) -> tuple[str, ...]:
        """What a reader must know before the numbers, each in one sentence; empty if nothing is wrong."""
        found = []
        blind = self.of("detector", OBLIVIOUS)
        if blind.detected_5 is None or blind.detected_5.total < 30:
            count = 0 if blind.detected_5 is None else blind.detected_5.total
            found.append(f"The attack fooled only {count} images: rates of detection say little at this budget.")
        expected = self.false_alarms["detector"]
        if not expected.low <= 0.05 <= expected.high:
            found.append(
                f"The threshold set to reject 5% of clean images rejects {expected} of those judged: "
                "the calibration images are not like them, or are too few."
            )
        if any(f.score == "detector" and f.attack == WORST for f in self.findings):
            worst = self.of("detector", WORST).undetected_5
            if worst.low > blind.undetected_5.high or worst.low > 0.5:
                found.append(
                    f"The detector falls to an attacker who knows it: at 5% false alarms {worst} of the images are "
                    f"misclassified and kept, against {blind.undetected_5} for an attacker who does not."
                )
        attack = WORST if any(f.score == "detector" and f.attack == WORST for f in self.findings) else OBLIVIOUS
        mine = self.of("detector", attack).undetected_5
        rivals = [f for f in self.findings if f.score != "detector" and f.attack == attack]
        best = min(rivals, key=lambda f: f.undetected_5.value, default=None)
        if best is not None and best.undetected_5.value <= mine.value:
            found.append(
                f"A score that costs nothing does as well: {best.score} lets {best.undetected_5} pass "
                f"where the detector lets {mine} ({attack})."
            )
        return tuple(found)

    def __repr__(self) -> str:
        rows = [("score", "attacker", "fooled", "undetected at 5% false alarms", "detected", "AUC", "FPR95")]
        for f in self.findings:
            detected = "none" if f.detected_5 is None else f"{f.detected_5.value:.3f}"
            area = f"{f.auc:.3f} [{f.auc_low:.3f}, {f.auc_high:.3f}]"
            rows.append(
                (f.score, f.attack, f"{f.fooled.value:.3f}", str(f.undetected_5), detected, area, f"{f.fpr95:.3f}")
            )
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(
            [
                f"Detector under attack, {self.norm} {self.epsilon:.4g}: {self.judged} images judged, thresholds from "
                f"{self.calibration} others, intervals of 95%, {self.seconds:.1f} s",
                *lines,
                *(f"ALARM  {sentence}" for sentence in self.alarms),
                *(f"NOTE   {sentence}" for sentence in self.notes),
            ]
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per score and attacker (needs the extra ``study``); shares as value, ``_low`` and ``_high``."""
        with needs_extra("study"):
            import pandas as pd

        return pd.DataFrame([_flat(finding) for finding in self.findings])

    def save(self, path: str | Path) -> Path:
        """Write everything as one JSON file; returns its path. A number that does not exist is null."""
        body = {
            "epsilon": self.epsilon,
            "norm": self.norm,
            "calibration": self.calibration,
            "judged": self.judged,
            "seconds": round(self.seconds, 3),
            "alarms": list(self.alarms),
            "notes": list(self.notes),
            "false_alarms": {name: _spelled(share) for name, share in self.false_alarms.items()},
            "findings": [{f.name: _spelled(getattr(one, f.name)) for f in fields(one)} for one in self.findings],
        }
        file = Path(path)
        write_whole(file, json.dumps(body, indent=1, allow_nan=False) + "\n")
        return file


def _spelled(value: Any) -> Any:
    if isinstance(value, Share):
        return {"value": value.value, "low": value.low, "high": value.high, "count": value.count, "n": value.total}
    return None if isinstance(value, float) and math.isnan(value) else value


def _flat(finding: Finding) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in fields(finding):
        value = getattr(finding, field.name)
        if field.type == "Share" or field.type == "Share | None":
            ends = (math.nan,) * 3 if value is None else (value.value, value.low, value.high)
            row |= dict(zip((field.name, f"{field.name}_low", f"{field.name}_high"), ends))
        else:
            row[field.name] = value
    return row
