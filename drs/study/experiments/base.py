"""What an experiment is: a name, a version, the grid of its specifications, and the function that does one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from drs.study.profiles import Profile
from drs.training.spec import TrainingSpec

if TYPE_CHECKING:
    import torch

    from drs.training.datasets import Dataset
    from drs.training.loop import Training

__all__ = ["Context", "Experiment", "Grid", "Outcome", "Spec"]

Spec: TypeAlias = dict[str, Any]
Grid: TypeAlias = Callable[[Profile, str], list[Spec]]


@dataclass(frozen=True)
class Outcome:
    """Numbers and arrays of one run."""

    metrics: Mapping[str, float]
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a run may use beside its specification."""

    device: torch.device
    progress: bool = False

    def dataset(self, name: str) -> Dataset:
        """The data set, read once per process."""
        from drs.study.checkpoints import cached_dataset

        return cached_dataset(name)

    def network(self, values: Mapping[str, Any]) -> Training:
        """The trained network of a training specification given as plain values."""
        from drs.study.checkpoints import trained

        return trained(TrainingSpec.from_dict(values), self.device, progress=self.progress)


@dataclass(frozen=True)
class Experiment:
    """A named, versioned grid.

    Attributes:
        name: What ``drs run`` takes.
        version: Raised when the code changes meaning; old records are then no longer read.
        title: One line for ``drs list``.
        grid: The specifications under a profile and on a data set.
        run: Does one specification.
    """

    name: str
    version: int
    title: str
    grid: Grid
    run: Callable[[Spec, Context], Outcome]

    def specs(self, profile: Profile, dataset: str | None = None) -> list[Spec]:
        """The specifications under a profile; ``dataset`` replaces the profile's own."""
        return self.grid(profile, dataset or profile.dataset)
