"""What a profile will cost, measured before the hours are spent: one training and one run of each kind, made small.

A kind is a set of runs that differ in their seed alone. Of each kind one network is trained for a few updates, which
gives the time of an update; then its run is done on that network, on a few images and on more. Time is taken to grow in
a straight line with the images, so two numbers give the rest. Runs without a network are timed as they are, or taken
from the records of the profile below.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from tqdm import tqdm

from drs.study.experiments import Context, get_experiment
from drs.study.plan import missing, plan
from drs.study.profiles import PROFILES, get_profile
from drs.study.records import Run, canonical
from drs.study.results import Results
from drs.study.runner import keep_freed_memory, resolve_device
from drs.training.loop import Training, train
from drs.training.spec import TrainingSpec

__all__ = ["FEW", "IMAGES", "MORE", "UPDATES", "Estimate", "estimate", "extrapolated"]

UPDATES = 200
"""Of the network on which a run is timed: after these it knows its digits, and attacks find it hard enough."""
FEW, MORE = 16, 64
"""Images of the two runs that are timed."""
IMAGES = ("images", "few_images", "curve_images", "strong_images", "validation_images")
"""What a specification calls numbers of images."""


@dataclass(frozen=True)
class Estimate:
    """What an experiment costs under a profile.

    Attributes:
        experiment: Its name.
        runs: How many it has.
        left: How many have no record.
        seconds: Of all of its runs, one after the other, each on one thread.
        seconds_left: Of those without a record.
        recorded: Seconds that the records say their runs took.
        recorded_estimate: What this estimate says of the same runs.
    """

    experiment: str
    runs: int
    left: int
    seconds: float
    seconds_left: float
    recorded: float
    recorded_estimate: float


@dataclass(frozen=True)
class _Short(Context):
    """A context whose networks are trained for a few updates, and kept in memory."""

    trained: dict[str, Training] = field(default_factory=dict)
    asked: list[TrainingSpec] = field(default_factory=list)
    per_update: dict[str, float] = field(default_factory=dict)

    def network(self, values: Mapping[str, Any]) -> Training:
        spec = TrainingSpec.from_dict(values)
        self.asked.append(spec)
        key = canonical(replace(spec, seed=0, steps=1).as_dict())
        if key not in self.trained:
            short = replace(spec, seed=0, steps=min(spec.steps, UPDATES), milestones=())
            started = time.perf_counter()
            self.trained[key] = train(short, self.dataset(spec.dataset), device=self.device)
            self.per_update[key] = (time.perf_counter() - started) / short.steps
        return self.trained[key]

    def training_seconds(self, spec: TrainingSpec) -> float:
        """What the whole training of a network that was asked for would take."""
        return spec.steps * self.per_update[canonical(replace(spec, seed=0, steps=1).as_dict())]


def extrapolated(few: float, more: float, images: int) -> float:
    """The time of a run on so many images, from those on :data:`FEW` and on :data:`MORE`: a straight line, never below
    what MORE took.

    >>> extrapolated(1.0, 4.0, 64), extrapolated(1.0, 4.0, 1024)
    (4.0, 64.0)
    """
    slope = max(0.0, (more - few) / (MORE - FEW))
    return more + slope * max(0, images - MORE)


def _kinds(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs that differ in their seed alone."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(canonical(_unseeded(run.spec)), []).append(run)
    yield from found.values()


def _unseeded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _unseeded(v) for k, v in value.items() if k not in ("seed", "centre_seed")}
    return [_unseeded(v) for v in value] if isinstance(value, list | tuple) else value


def _timed(run: Run, images: float, context: _Short) -> float:
    """Seconds of a run on at most so many images."""
    share = min(1.0, images / run.spec.get("images", 1))
    small = {k: math.ceil(run.spec[k] * share) for k in IMAGES if run.spec.get(k)}
    started = time.perf_counter()
    get_experiment(run.experiment).run({**run.spec, **small}, context)
    return time.perf_counter() - started


def _of_kind(run: Run, context: _Short, known: float) -> tuple[float, float]:
    """Seconds of the training and of the rest of a run; ``known`` is what a run without a network took elsewhere.

    What a run trains beside its own network, to choose among, is part of the rest; networks of other runs are not.
    """
    network = run.spec.get("network")
    if network is None or "images" not in run.spec:
        return 0.0, known if known == known else _timed(run, math.inf, context)
    context.asked.clear()
    _timed(run, FEW, context)  # trains what the run asks for
    own, *others = (
        TrainingSpec.from_dict(v) for v in (network, run.spec.get("source"), *run.spec.get("targets", ())) if v
    )
    tried = {canonical(s.as_dict()): s for s in context.asked if s != own and s not in others}
    more_trainings = sum(map(context.training_seconds, tried.values()))
    few, more = (_timed(run, images, context) for images in (FEW, MORE))
    return context.training_seconds(own), more_trainings + extrapolated(few, more, run.spec["images"])


def _elsewhere(experiment: str, profile: str) -> float:
    """Mean seconds of a run in the records of another profile; NaN where there are none."""
    for other in PROFILES:
        found = Results().records(experiment, other) if other != profile else []
        if found:
            return sum(record.seconds for record in found) / len(found)
    return math.nan


def estimate(
    experiments: Sequence[str],
    profile: str,
    *,
    dataset: str | None = None,
    device: str = "auto",
    progress: bool = False,
) -> list[Estimate]:
    """What experiments cost under a profile, measured here and now; leaves no file behind.

    A network that several runs share is trained once, by the first of them.

    Args:
        experiments: Names.
        profile: Name of a profile.
        dataset: Another data set than the profile's own.
        device: As ``drs run`` takes it.
        progress: Show a bar over the kinds of runs.

    Raises:
        UsageError: An unknown name, or what a run refuses.
    """
    get_profile(profile)
    context = _Short(resolve_device(device))
    keep_freed_memory()
    threads = torch.get_num_threads()
    if context.device.type == "cpu":
        torch.set_num_threads(1)
    planned = {name: plan(name, profile, dataset=dataset) for name in experiments}
    shared: set[str] = set()
    found = []
    try:
        with tqdm(
            total=sum(len(list(_kinds(runs))) for runs in planned.values()), unit="kind", disable=not progress
        ) as bar:
            for name, runs in planned.items():
                cost: dict[str, float] = {}
                for kind in _kinds(runs):
                    training, rest = _of_kind(kind[0], context, _elsewhere(name, profile))
                    for run in kind:
                        key = canonical(run.spec.get("network"))
                        cost[run.key] = rest + (0.0 if key in shared else training)
                        shared.add(key)
                    bar.update()
                found.append(_summed(name, profile, dataset, runs, cost))
    finally:
        torch.set_num_threads(threads)
    return found


def _summed(name: str, profile: str, dataset: str | None, runs: Sequence[Run], cost: Mapping[str, float]) -> Estimate:
    left = {run.key for run in missing(runs, profile)}
    records = Results().records(name, profile, dataset=dataset)
    return Estimate(
        name,
        len(runs),
        len(left),
        sum(cost.values()),
        sum(seconds for key, seconds in cost.items() if key in left),
        sum(record.seconds for record in records),
        sum(cost[record.run.key] for record in records),
    )
