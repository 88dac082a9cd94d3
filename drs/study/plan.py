"""Which runs an experiment consists of under a profile, and which of them have no record yet. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drs.catalog import check_dataset_name
from drs.study.experiments import Experiment, get_experiment
from drs.study.profiles import Profile, get_profile
from drs.study.records import Run, has_record
from drs.training.folders import identified


@dataclass(frozen=True)
class Scale:
    """A profile on a data set.

    Attributes:
        profile: Name of the profile.
        dataset: Name of the data set; the profile's own unless the runs were told another.
    """

    profile: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.profile}, {self.dataset}"

    @property
    def paper_dataset(self) -> str:
        """The data set of the papers that is nearest to this one."""
        return "cifar10" if self.dataset.startswith("cifar") else "mnist"


_planned: dict[tuple[str, str, str], tuple[Experiment, Profile, tuple[Run, ...]]] = {}


def plan(experiment: str, profile: str, *, dataset: str | None = None) -> list[Run]:
    """The runs of an experiment under a profile, in order.

    >>> [run.spec["network"]["loss"] for run in plan("anatomy", "quick")]
    ['ce', 'drs']

    Args:
        dataset: Another data set than the profile's own, such as ``folder:PATH``. A folder is known by its content:
            the runs change when an image in it does, and stay the same when the folder is moved.

    Raises:
        UsageError: An unknown experiment, profile or data set.
        DataError: A folder that is not there.
    """
    definition, numbers = get_experiment(experiment), get_profile(profile)
    check_dataset_name(name := dataset or numbers.dataset)
    name = identified(name)
    known = _planned.get((experiment, profile, name))
    if known is None or known[0] is not definition or known[1] is not numbers:
        specs = definition.specs(numbers, name)
        known = definition, numbers, tuple(Run(definition.name, definition.version, spec) for spec in specs)
        _planned[experiment, profile, name] = known
    return list(known[2])


def missing(runs: Sequence[Run], profile: str, results: Path | None = None) -> list[Run]:
    """The runs that have no record yet."""
    return [run for run in runs if not has_record(run, profile, results)]
