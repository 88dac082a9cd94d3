"""Which runs an experiment consists of under a profile, and which of them have no record yet. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drs.catalog import check_dataset_name
from drs.errors import DataError
from drs.study.experiments import Experiment, Spec, get_experiment
from drs.study.profiles import Profile, get_profile
from drs.study.records import Run, has_record
from drs.training.folders import PREFIX, identified, overview, parts
from drs.training.spec import TrainingSpec

__all__ = ["CLASSES", "OF_A_CLASS", "Scale", "missing", "plan"]


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


CLASSES = 3
"""Classes that an experiment with networks needs: its subject is how the false ones differ."""
OF_A_CLASS = 3
"""Images of each class that it needs: a density is estimated from two and more."""

_planned: dict[tuple[str, str, str], tuple[Experiment, Profile, tuple[Run, ...]]] = {}


def plan(experiment: str, profile: str, *, dataset: str | None = None) -> list[Run]:
    """The runs of an experiment under a profile, in order.

    >>> [run.spec["network"]["loss"] for run in plan("anatomy", "quick")]
    ['ce', 'drs']

    Args:
        dataset: Another data set than the profile's own, such as ``folder:PATH``. A folder is known by its content:
            the runs change when an image in it does, and stay the same when the folder is moved. Networks that its
            images do not allow are left out: those whose loss looks at more false classes than there are, and those
            whose batches are larger than the training set.

    Raises:
        UsageError: An unknown experiment, profile or data set.
        DataError: A folder that is not there, is not laid out as :mod:`drs.training.folders` says, or holds too few
            classes or images for the experiment.
    """
    definition, numbers = get_experiment(experiment), get_profile(profile)
    check_dataset_name(name := dataset or numbers.dataset)
    name = identified(name)
    known = _planned.get((experiment, profile, name))
    if known is None or known[0] is not definition or known[1] is not numbers:
        specs = _possible(definition.specs(numbers, name), experiment, name)
        known = definition, numbers, tuple(Run(definition.name, definition.version, spec) for spec in specs)
        _planned[experiment, profile, name] = known
    return list(known[2])


def _networks(spec: Spec) -> list[Mapping[str, Any]]:
    """Every network that a run trains or reads."""
    return [*(spec[role] for role in ("network", "source") if role in spec), *spec.get("targets", ())]


def _possible(specs: list[Spec], experiment: str, dataset: str) -> list[Spec]:
    """Those of the specifications that can be computed on a folder of images; all of them on another data set."""
    networks = [network for spec in specs for network in _networks(spec)]
    if not dataset.startswith(PREFIX) or not networks:
        return specs
    folder, path = overview(dataset), parts(dataset)[0]
    size = networks[0]["train_size"]
    training = min(folder.training, size or folder.training)

    def refuse(what: str, found: object) -> DataError:
        return DataError(f"experiment {experiment!r}: expected at least {what} in {path}, got {found}")

    if len(folder.classes) < CLASSES:
        raise refuse(f"{CLASSES} classes (with two, all losses are the same)", ", ".join(folder.classes))
    if training < TrainingSpec.batch_size:
        raise refuse(f"{TrainingSpec.batch_size} training images, besides those held out,", training)
    if (fewest := folder.fewest_training * training // folder.training) < OF_A_CLASS:
        raise refuse(f"{OF_A_CLASS} training images of each class, besides those held out,", fewest)
    if folder.fewest_test is not None and folder.fewest_test < OF_A_CLASS:
        raise refuse(f"{OF_A_CLASS} test images of each class", folder.fewest_test)

    def fits(network: Mapping[str, Any]) -> bool:
        top_k = network["loss_options"].get("top_k") or 0
        return top_k < len(folder.classes) and network["batch_size"] <= training

    return [spec for spec in specs if all(map(fits, _networks(spec)))]


def missing(runs: Sequence[Run], profile: str, results: Path | None = None) -> list[Run]:
    """The runs that have no record yet."""
    return [run for run in runs if not has_record(run, profile, results)]
