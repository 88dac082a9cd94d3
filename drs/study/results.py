"""The records there are: planned, found, read and checked once per process. Computes nothing, imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from drs.catalog import PIXELS
from drs.errors import UsageError
from drs.paths import results_root
from drs.study.derived import EXPERIMENTS as DERIVED
from drs.study.derived import derived
from drs.study.plan import Scale, missing, plan
from drs.study.profiles import Profile, deciding
from drs.study.records import Record, Run, has_record, read_record, record_path, recorded_keys, to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Results"]


_State: TypeAlias = tuple[Path, bool, tuple[tuple[int, int, int], ...]]
"""A record's path, whether its arrays are wanted, and what tells its files from any that are written anew."""


def _state(path: Path, arrays: bool) -> _State:
    beside = path.with_suffix(".safetensors")
    found = [file.stat() for file in (path, beside) if file == path or (arrays and beside.exists())]
    return path, arrays, tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


@cache
def _read(state: _State) -> Record:
    record = read_record(state[0], arrays=state[1])
    return replace(record, metrics={**record.metrics, **derived(record)})


@lru_cache(maxsize=64)
def _frame(states: tuple[_State, ...]) -> pd.DataFrame:
    return to_frame(map(_read, states))


class Results:
    """The records under one root.

    Instances share what they have read, so that ``Results()`` costs nothing.

    >>> Results().complete("theory")[0]
    Scale(profile='quick', dataset='mnist5k')

    Args:
        root: Folder of the profiles' folders; ``$DRS_RESULTS`` or ``data/results`` by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or results_root()

    def _states(self, runs: Sequence[Run], profile: str, arrays: bool) -> Iterator[_State]:
        for run in runs:
            if has_record(run, profile, self.root):
                yield _state(record_path(run, profile, self.root), arrays)

    def records(
        self, experiment: str, profile: str, *, dataset: str | None = None, arrays: bool = False
    ) -> list[Record]:
        """The records of an experiment that exist, in the order of its runs; missing ones are left out.

        Their metrics hold what :mod:`drs.study.derived` makes of their arrays, for the experiments it knows.

        Args:
            experiment: Name of an experiment.
            profile: Name of a profile.
            dataset: Another data set than the profile's own.
            arrays: Read the arrays too.

        Raises:
            UsageError: An unknown name, or a folder that cannot be read.
            RecordError: A damaged record.
        """
        runs = plan(experiment, profile, dataset=dataset)
        return [_read(state) for state in self._states(runs, profile, arrays or experiment in DERIVED)]

    def frame(self, experiment: str, profile: str, *, dataset: str | None = None) -> pd.DataFrame:
        """:meth:`records` as a data frame of the caller's own, one row per record."""
        runs = plan(experiment, profile, dataset=dataset)
        return _frame(tuple(self._states(runs, profile, experiment in DERIVED))).copy()

    def required(self, experiment: str, profile: str, *, arrays: bool = False) -> list[Record]:
        """The records of every run of an experiment on the profile's own data set.

        Raises:
            UsageError: An unknown name, or a missing record: the sentence names the command that computes it.
            RecordError: A damaged record.
        """
        runs = plan(experiment, profile)
        if left := missing(runs, profile, self.root):
            raise UsageError(
                f"expected {len(runs)} records of {experiment!r} under profile {profile!r} in {self.root}, "
                f"found {len(runs) - len(left)}: run 'drs run {experiment} --profile {profile}' first"
            )
        return self.records(experiment, profile, arrays=arrays)

    def complete(self, experiment: str, profiles: Iterable[Profile] | None = None) -> list[Scale]:
        """The scales at which every run of an experiment has a record: the profile's own data set first.

        Args:
            experiment: Name of an experiment.
            profiles: Which to look at; those that decide by default.

        Raises:
            UsageError: No experiment of that name.
        """
        found = []
        for profile in deciding() if profiles is None else profiles:
            present, claimed = recorded_keys(experiment, profile.name, self.root), set[str]()
            for dataset in (profile.dataset, *(name for name in PIXELS if name != profile.dataset)):
                if present <= claimed:
                    break
                keys = {run.key for run in plan(experiment, profile.name, dataset=dataset)}
                if keys <= present and not keys <= claimed:  # without data it is the same on every data set
                    found.append(Scale(profile.name, dataset))
                    claimed |= keys
        return found
