"""Are the results still what they were: records computed anew against the committed ones, run by run.

A training on another processor differs in its last digits from the first step on, and such differences grow. So the
numbers of one run may move within the tolerances below; what may not move is a verdict.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drs.claims import CLAIMS, DECIDING, finding
from drs.experiments import EXPERIMENTS
from drs.paths import results_root
from drs.records import Record, Run, has_record, read_record, record_path
from drs.runner import plan

TIMED = ("seconds", "milliseconds", "_ratio", "_bytes")
"""Parts of the names of metrics that measure a machine: never compared."""
SHARE, RELATIVE = 0.1, 0.2
"""A metric has drifted if it moved by more than ``SHARE`` and by more than ``RELATIVE`` of the committed value."""
MEDIAN = 0.02
"""An experiment has drifted if half of its metrics moved by more than this, each as a share or relatively."""


@dataclass(frozen=True)
class Moved:
    """One metric of one run, before and now, and by how much it moved: the smaller of the two ways to say it."""

    run: Run
    metric: str
    before: float
    now: float

    @property
    def by(self) -> float:
        """Absolute or relative movement, whichever is smaller; infinite where only one side is a number."""
        if math.isnan(self.before) and math.isnan(self.now):
            return 0.0
        if not (math.isfinite(self.before) and math.isfinite(self.now)):
            return 0.0 if self.before == self.now else math.inf
        distance = abs(self.now - self.before)
        return min(distance, distance / abs(self.before)) if self.before else distance

    @property
    def drifted(self) -> bool:
        """Beyond both tolerances."""
        distance = abs(self.now - self.before)
        return self.by == math.inf or (distance > SHARE and distance > RELATIVE * abs(self.before))

    def __str__(self) -> str:
        return f"{self.run.experiment} {self.run.key} {self.metric}: {self.before:.6g} before, {self.now:.6g} now"


def moved(before: Record, now: Record) -> list[Moved]:
    """Every metric of two records of the same run, except those that measure the machine; a lost one is NaN."""
    names = [n for n in {**before.metrics, **now.metrics} if not any(part in n for part in TIMED)]
    nothing = math.nan
    return [Moved(before.run, n, before.metrics.get(n, nothing), now.metrics.get(n, nothing)) for n in names]


@contextmanager
def _results(folder: Path) -> Iterator[None]:
    """Let claims be judged from another folder of records."""
    kept = os.environ.get("DRS_RESULTS")
    os.environ["DRS_RESULTS"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("DRS_RESULTS")
        if kept is not None:
            os.environ["DRS_RESULTS"] = kept


def changed_verdicts(folder: Path, profile: str) -> list[str]:
    """Claims that the records of ``folder`` judge otherwise; those without complete records there are left out."""
    lines = []
    for claim_id in CLAIMS:
        with _results(folder):
            now = finding(claim_id, profile).judgement.verdict
        before = finding(claim_id, profile).judgement.verdict
        if "no records" not in (now, before) and now != before:
            lines.append(f"claim {claim_id}: {before} before, {now} now")
    return lines


def compare(folder: Path, profile: str) -> tuple[list[str], list[str]]:
    """Compare a folder of records with the committed ones of the same specifications.

    Args:
        folder: Root of the records computed anew, as ``$DRS_RESULTS``.
        profile: Which of its profiles.

    Returns:
        What was compared, a line an experiment; and what drifted, a line each.

    Raises:
        RecordError: A damaged record on either side.
    """
    said, drifted = [], []
    for name in EXPERIMENTS:
        runs = [r for r in plan(name, profile) if has_record(r, profile, folder) and has_record(r, profile)]
        if not runs:
            continue
        found: list[Moved] = []
        for run in runs:
            old, new = (read_record(record_path(run, profile, root), arrays=False) for root in (results_root(), folder))
            found += moved(old, new)
        distances = sorted(one.by for one in found)
        median = distances[len(distances) // 2] if distances else 0.0
        said.append(f"{name}: {len(runs)} runs, {len(found)} numbers, half of them within {median:.2g} of before")
        drifted += [str(one) for one in found if one.drifted]
        if median > MEDIAN:
            drifted.append(f"{name}: half of its numbers moved by more than {MEDIAN:g}")
    if profile in DECIDING:
        drifted += changed_verdicts(folder, profile)
    return said, drifted
