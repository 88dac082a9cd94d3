"""What a profile will cost, measured before the hours are spent: one training and one run of each kind, made small.

A kind is a set of runs that differ only in their seeds and in how fast and how long their networks learn. Of each kind
one network is trained for a few updates, which gives the time of an update; then its run is done on that network, on a
few images and on more. Time is taken to grow in a straight line with the images, so two numbers give the rest. Of an
experiment with many kinds, such as a population, some are timed, evenly spaced; the others cost their mean. Runs
without a network are timed as they are, or taken from the records of the profile below.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
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

__all__ = ["FEW", "IMAGES", "MORE", "MOST", "UPDATES", "Estimate", "estimate", "extrapolated", "sampled"]

UPDATES = 200
"""Of the network on which a run is timed: after these it knows its digits, and attacks find it hard enough."""
FEW, MORE = 16, 64
"""Images of the two runs that are timed."""
MOST = 12
"""Kinds of an experiment that are timed at most."""
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
        key = canonical(_alike(spec.as_dict()))
        if key not in self.trained:
            short = replace(spec, seed=0, steps=min(spec.steps, UPDATES), milestones=())
            started = time.perf_counter()
            self.trained[key] = train(short, self.dataset(spec.dataset), device=self.device)
            self.per_update[key] = (time.perf_counter() - started) / short.steps
        return self.trained[key]

    def training_seconds(self, spec: TrainingSpec) -> float:
        """What the whole training of a network that was asked for would take."""
        return spec.steps * self.per_update[canonical(_alike(spec.as_dict()))]


def extrapolated(few: float, more: float, images: int) -> float:
    """The time of a run on so many images, from those on :data:`FEW` and on :data:`MORE`: a straight line, never below
    what MORE took.

    >>> extrapolated(1.0, 4.0, 64), extrapolated(1.0, 4.0, 1024)
    (4.0, 64.0)
    """
    slope = max(0.0, (more - few) / (MORE - FEW))
    return more + slope * max(0, images - MORE)


SEEDS = ("seed", "centre_seed")
PACE = ("learning_rate", "weight_decay", "steps", "milestones", "warmup")
"""What a training's specification says of how fast and how long its network learns."""


def _alike(value: Any) -> Any:
    """A specification without what may differ within a kind."""
    if isinstance(value, Mapping):
        left_out = SEEDS + (PACE if "learning_rate" in value else ())
        return {k: _alike(v) for k, v in value.items() if k not in left_out}
    return [_alike(v) for v in value] if isinstance(value, list | tuple) else value


def _kinds(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that cost the same, but for the length of their trainings."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(canonical(_alike(run.spec)), []).append(run)
    return list(found.values())


def sampled(count: int) -> list[int]:
    """The places of those that are timed of so many kinds: all of few, :data:`MOST` of many.

    >>> sampled(3), sampled(100)[:4], len(sampled(100))
    ([0, 1, 2], [0, 8, 16, 25], 12)
    """
    timed = min(count, MOST)
    return [place * count // timed for place in range(timed)]


def _timed(run: Run, images: float, context: _Short) -> float:
    """Seconds of a run on at most so many images."""
    share = min(1.0, images / run.spec.get("images", 1))
    small = {k: math.ceil(run.spec[k] * share) for k in IMAGES if run.spec.get(k)}
    started = time.perf_counter()
    get_experiment(run.experiment).run({**run.spec, **small}, context)
    return time.perf_counter() - started


@dataclass(frozen=True)
class _Cost:
    """Seconds of an update of a run's network, 0 without one, and of the rest of the run."""

    update: float
    rest: float

    def of(self, run: Run, *, training: bool) -> float:
        """Of a run, with the training of its network or without."""
        network = run.spec.get("network") if training else None
        return self.rest + (self.update * network["steps"] if network else 0.0)


def _of_kind(run: Run, context: _Short, known: float) -> _Cost:
    """What a kind costs, timed on one of its runs; ``known`` is what a run without a network took elsewhere.

    What a run trains beside its own network, to choose among, is part of the rest; networks of other runs are not.
    """
    network = run.spec.get("network")
    if network is None or "images" not in run.spec:
        return _Cost(0.0, known if known == known else _timed(run, math.inf, context))
    context.asked.clear()
    _timed(run, FEW, context)  # trains what the run asks for
    own, *others = (
        TrainingSpec.from_dict(v) for v in (network, run.spec.get("source"), *run.spec.get("targets", ())) if v
    )
    tried = {canonical(s.as_dict()): s for s in context.asked if s != own and s not in others}
    more_trainings = sum(map(context.training_seconds, tried.values()))
    few, more = (_timed(run, images, context) for images in (FEW, MORE))
    rest = more_trainings + extrapolated(few, more, run.spec["images"])
    return _Cost(context.training_seconds(own) / own.steps, rest)


def _elsewhere(experiment: str, profile: str) -> float:
    """Mean seconds of a run in the records of another profile; NaN where there are none."""
    for other in PROFILES:
        found = Results().records(experiment, other) if other != profile else []
        if found:
            return sum(record.seconds for record in found) / len(found)
    return math.nan


def _mean(costs: Collection[_Cost]) -> _Cost:
    if not costs:
        return _Cost(0.0, 0.0)
    return _Cost(sum(c.update for c in costs) / len(costs), sum(c.rest for c in costs) / len(costs))


def estimate(
    experiments: Sequence[str],
    profile: str,
    *,
    dataset: str | None = None,
    device: str = "auto",
    progress: bool = False,
) -> list[Estimate]:
    """What experiments cost under a profile, measured here and now; leaves no file behind.

    A network that several runs share is trained once, by the first of them. At most :data:`MOST` kinds of an
    experiment are timed.

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
    planned = {name: _kinds(plan(name, profile, dataset=dataset)) for name in experiments}
    shared: set[str] = set()
    found = []
    try:
        with tqdm(
            total=sum(min(len(kinds), MOST) for kinds in planned.values()), unit="kind", disable=not progress
        ) as bar:
            for name, kinds in planned.items():
                known, timed = _elsewhere(name, profile), dict[int, _Cost]()
                for place in sampled(len(kinds)):
                    timed[place] = _of_kind(kinds[place][0], context, known)
                    bar.update()
                mean = _mean(timed.values())
                cost: dict[str, float] = {}
                for place, kind in enumerate(kinds):
                    for run in kind:
                        key = canonical(run.spec.get("network"))
                        cost[run.key] = timed.get(place, mean).of(run, training=key not in shared)
                        shared.add(key)
                runs = [run for kind in kinds for run in kind]
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
