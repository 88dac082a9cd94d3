"""Whether a recomputation agrees with the committed records: the same runs, number by number, within tolerances.

On the machine the records come from, a recomputation is the same bit for bit. On another processor the last digits of a
training differ, and a few hundred updates turn them into another network, as another seed would. The tolerances, which
stand with each kind of number in :data:`drs.study.metrics.KINDS`, are what such a network may differ by, and are no
intervals. They were set with the records at hand and widened once, for detectors, after all of ``quick`` had been
computed again with other kernels for the convolutions: what a detector makes of one network moves as much as between
seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drs.errors import UsageError
from drs.paths import project_root
from drs.study.claims import CLAIMS
from drs.study.experiments import EXPERIMENTS
from drs.study.metrics import Metric
from drs.study.plan import plan
from drs.study.records import Record, Run, to_frame
from drs.study.results import Results

__all__ = ["FEW", "WORST_SHOWN", "Comparison", "Difference", "compare", "differences", "examples", "name"]

FEW = 5
"""A number over fewer examples than this is not compared."""
WORST_SHOWN = 40


def examples(metric: Metric, record: Record) -> float:
    """How many examples a number of a record rests on: what its kind is counted over, else the attacked images."""
    images = float(record.run.spec.get("images", record.metrics.get("images", math.inf)))
    for counted in metric.counted_by:
        if (value := record.metrics.get(str(counted))) is not None:
            return value * images if counted.kind.unit == "share" else value
    return images


@dataclass(frozen=True)
class Difference:
    """One number of one run, twice.

    Attributes:
        run: What was computed, in words.
        metric: Name of the number.
        committed, found: Its values; None where a record does not have it.
        allowed: The largest difference that is no drift.
    """

    run: str
    metric: str
    committed: float | None
    found: float | None
    allowed: float

    @property
    def excess(self) -> float:
        """The difference in units of what is allowed: above one it is drift."""
        a, b = self.committed, self.found
        if a is None or b is None:
            return math.inf
        if a == b or (math.isnan(a) and math.isnan(b)):
            return 0.0
        gap = abs(a - b)
        return gap / self.allowed if self.allowed and math.isfinite(gap) else math.inf

    def __str__(self) -> str:
        a, b = ("none" if value is None else f"{value:.4g}" for value in (self.committed, self.found))
        return f"{self.run}: {self.metric}: {a} committed, {b} found, {self.allowed:.2g} allowed"


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Attributes:
        records: How many records were there twice.
        differences: Every number that was compared, the worst first.
        verdicts: Sentences on claims whose verdict changed.
        missing: Sentences on records that are there only once.
    """

    records: int
    differences: Sequence[Difference]
    verdicts: Sequence[str]
    missing: Sequence[str]

    @property
    def beyond(self) -> list[Difference]:
        """The differences that are drift."""
        return [difference for difference in self.differences if difference.excess > 1.0]

    @property
    def drifted(self) -> bool:
        """Whether a number or a verdict has moved."""
        return bool(self.beyond or self.verdicts)

    def __str__(self) -> str:
        beyond = self.beyond
        rest = next((d for d in self.differences if d.excess <= 1.0), None)
        lines = [*self.verdicts, *map(str, beyond[:WORST_SHOWN])]
        if len(beyond) > WORST_SHOWN:
            lines.append(f"... and {len(beyond) - WORST_SHOWN} more")
        if rest is not None and rest.excess > 0.0:
            lines.append(f"the largest difference within its tolerance: {rest}")
        total = (
            f"{len(self.differences)} numbers of {self.records} records compared, {len(beyond)} beyond tolerance, "
            f"{len(self.verdicts)} verdicts changed"
        )
        return "\n".join([*lines, *self.missing, total])


def differences(run: str, committed: Record, found: Record) -> list[Difference]:
    """Every number of two records of one run whose kind is compared.

    Args:
        run: What was computed, in words.
        committed, found: The two records.

    Raises:
        UsageError: A number that is in no kind of :data:`drs.study.metrics.KINDS`.
    """
    every = []
    for metric in sorted(committed.metrics.keys() | found.metrics.keys()):
        parsed = Metric.parse(metric)
        kind = parsed.kind
        a, b = committed.metrics.get(metric), found.metrics.get(metric)
        count = min(examples(parsed, committed), examples(parsed, found))
        if kind.unit == "ignored" or (kind.over and count < FEW):
            continue
        allowed = kind.allowed
        if kind.unit == "relative":
            allowed *= max(abs(a or 0.0), abs(b or 0.0))
        elif kind.unit in ("share", "count"):
            scale = count if kind.unit == "count" else 1.0
            share = min(max(((a or 0.0) + (b or 0.0)) / 2 / scale, 0.0), 1.0)
            allowed = scale * (allowed + 3 * math.sqrt(2 * share * (1 - share) / count))
        every.append(Difference(run, metric, a, b, allowed))
    return every


def name(run: Run) -> str:
    """A run in words: its experiment, what is trained, and the key that is its file's name."""
    network = run.spec.get("network") or {}
    told = (
        {"variant": run.spec.get("variant")}
        if "variant" in run.spec
        else {k: network.get(k) for k in ("model", "loss")}
    )
    words = [f"{key}={value}" for key, value in {**told, "seed": network.get("seed")}.items() if value is not None]
    return " ".join([run.experiment, *words, f"({run.key})"])


def _verdict(claim_id: str, runs: Sequence[Run], records: Sequence[Record]) -> str:
    complete = len(records) == len(runs)
    return CLAIMS[claim_id].judge(to_frame(records)).verdict if complete else "no records"


def _same_times(committed: Record, found: Record) -> Record:
    """``found`` with the numbers that are not compared (times) as they were, so that they move no verdict."""
    kept = {name: value for name, value in committed.metrics.items() if Metric.parse(name).kind.unit == "ignored"}
    return Record(**{**vars(found), "metrics": {**found.metrics, **kept}})


def compare(folder: Path, profile: str = "quick", against: Path | None = None) -> Comparison:
    """Compare the records in a folder with the committed ones, run by run, and the verdicts of both.

    Args:
        folder: A root of records, as ``$DRS_RESULTS`` names one.
        profile: Whose records.
        against: The root to compare with; ``data/results`` by default.

    Raises:
        UsageError: No such folder, the folder that it is compared with, or no record that is in both.
        RecordError: A damaged record.
    """
    root = against or project_root() / "data" / "results"
    if not folder.is_dir() or folder.resolve() == root.resolve():
        raise UsageError(f"expected a folder of recomputed records, other than {root}, got {folder}")
    twice, every, changed, missing = 0, [], [], []
    for experiment in EXPERIMENTS:
        runs = plan(experiment, profile)
        here, there = ({r.run.key: r for r in Results(at).records(experiment, profile)} for at in (folder, root))
        if not here:
            continue
        for words, place in (("committed", there), ("found", here)):
            if lacking := [run for run in runs if run.key not in place]:
                missing.append(f"{experiment}: {len(lacking)} of {len(runs)} runs have no record {words}")
        for run in runs:
            if run.key in here and run.key in there:
                twice += 1
                every += differences(name(run), there[run.key], here[run.key])
        same = [_same_times(there[key], record) if key in there else record for key, record in here.items()]
        for claim in CLAIMS.values():
            if claim.experiment == experiment and len(here) == len(runs):
                before, after = _verdict(claim.id, runs, list(there.values())), _verdict(claim.id, runs, same)
                if before != after:
                    changed.append(f"verdict of {claim.id}: {before} committed, {after} found")
    if not twice:
        raise UsageError(f"no record under {profile} is both in {folder} and in {root}: nothing to compare")
    return Comparison(twice, sorted(every, key=lambda d: d.excess, reverse=True), changed, missing)
