"""Has it trained? A network that did not finish training tests no claim, whatever its numbers say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from drs.study.claims.base import Claim, Judgement
from drs.study.metrics import LOSSES
from drs.study.records import Record, canonical
from drs.study.results import Results

__all__ = ["LEAST", "gated", "untrained"]

LEAST = 0.98
"""Accuracy over the last epoch of training that a network must reach on digits."""
RECORDING = ("losses", "detection")
"""Experiments whose records say how far each network's training came."""
ACCURACY = "train_accuracy"


def _name(record: Record) -> str:
    """What a rule knows a network by: its variant, or its loss."""
    return str(record.run.spec.get("variant") or record.run.spec["network"]["loss"])


def _tested(records: Iterable[Record], networks: tuple[str, ...]) -> Iterator[tuple[str, Record]]:
    """Those of the records whose network a rule looks at, of the grid's first architecture where it knows losses."""
    first = None
    for record in records:
        network = record.run.spec.get("network")
        if network is None or _name(record) not in networks:
            continue
        shape = canonical([network["model"], network["model_options"]])
        first = first or shape
        if "variant" in record.run.spec or shape == first:
            yield _name(record), record


def untrained(records: Iterable[Record], networks: tuple[str, ...], known: Iterable[Record]) -> str:
    """Which networks did not finish training, in words; empty where all did, or where no record says how far they came.

    Args:
        records: Of the claim's experiment.
        networks: Variants or losses whose networks have to have trained.
        known: Records that hold the accuracy in training of the same networks, of any experiment.
    """
    reached = {
        canonical(record.run.spec["network"]): record.metrics[ACCURACY]
        for record in known
        if ACCURACY in record.metrics and "network" in record.run.spec
    }
    short: dict[str, list[float]] = {}
    for name, record in _tested(records, networks):
        found = record.metrics.get(ACCURACY, reached.get(canonical(record.run.spec["network"])))
        if found is not None and found < LEAST:
            short.setdefault(name, []).append(found)
    return "; ".join(_sentence(name, values) for name, values in short.items())


def _sentence(name: str, values: list[float]) -> str:
    several, reached = len(values) > 1, f"{min(values):.3f}" + (f" to {max(values):.3f}" if len(values) > 1 else "")
    loss = LOSSES.get(name.replace("-", "_"), name)
    return f"{len(values)} {loss} network{'s' * several} ended training at an accuracy of {reached}, below {LEAST:g}"


def gated(claim: Claim, judged: Judgement, profile: str, dataset: str | None) -> Judgement:
    """The judgement of a claim, or ``not tested`` where a network that it rests on did not finish training."""
    if not claim.networks or judged.verdict == "no records":
        return judged
    results = Results()
    known = [r for name in RECORDING for r in results.records(name, profile, dataset=dataset)]
    why = untrained(results.records(claim.experiment, profile, dataset=dataset), claim.networks, known)
    return replace(judged, verdict="not tested", detail=f"{why}; {judged.detail}") if why else judged
