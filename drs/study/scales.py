"""At which scales an experiment has been run in full, and showing a chapter's figures at each of them.

A scale is a profile and a data set. Records of ``paper``, or of another data set, appear beside those of ``quick`` in
every figure, table and verdict as soon as they are there; no chapter has to be changed for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from drs.study.profiles import get_profile
from drs.study.records import Record, to_frame
from drs.study.runner import ensure, existing, missing, plan
from drs.training.datasets import DATASETS

if TYPE_CHECKING:
    import pandas as pd

DECIDING = ("quick", "paper")
"""Profiles whose records may set a verdict, weakest first; ``smoke`` never does, ``reseeded`` only checks."""


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

    def records(self, experiment: str, *, arrays: bool = False) -> list[Record]:
        """The records of an experiment that exist at this scale."""
        return existing(experiment, self.profile, dataset=self.dataset, arrays=arrays)


def complete_scales(experiment: str) -> list[Scale]:
    """The deciding scales at which every run of an experiment has a record: the profile's own data set first.

    Raises:
        UsageError: No experiment of that name.
    """
    found, seen = [], set()
    for profile in DECIDING:
        own = get_profile(profile).dataset
        for dataset in (own, *(name for name in DATASETS if name != own)):
            runs = plan(experiment, profile, dataset=dataset)
            if missing(runs[:1], profile) or missing(runs, profile):
                continue
            keys = frozenset(run.key for run in runs)
            if (profile, keys) not in seen:  # an experiment without data is the same runs whatever the data set
                found.append(Scale(profile, dataset))
            seen.add((profile, keys))
    return found


@dataclass(frozen=True)
class Shown:
    """The records of an experiment at one scale, as the figures of a chapter take them."""

    scale: Scale
    records: list[Record]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a record."""
        return to_frame(self.records)


@dataclass(frozen=True)
class Everywhere:
    """An experiment at the scale a chapter was asked for and at every other one there is."""

    every: list[Shown]

    @property
    def records(self) -> list[Record]:
        """The records of the chapter's own scale."""
        return self.every[0].records

    @property
    def frame(self) -> pd.DataFrame:
        """The frame of the chapter's own scale."""
        return self.every[0].frame

    def show(self, draw: Callable[[Shown], Any]) -> Any:
        """The result of ``draw`` at each scale, as the cell's own where there is one, else one below the other."""
        if len(self.every) == 1:
            return draw(self.every[0])
        from IPython.display import Markdown, display

        for one in self.every:
            display(Markdown(f"**{one.scale}**"))
            display(draw(one))
        return None


def at_every_scale(experiment: str, profile: str = "quick", *, arrays: bool = False) -> Everywhere:
    """What the first cell of a chapter asks for: the records under ``profile``, computed where they are missing, and
    those of every other complete deciding scale (beside ``smoke`` none is shown).

    Args:
        experiment: Name of an experiment.
        profile: ``smoke``, ``quick``, ``reseeded`` or ``paper``.
        arrays: Read the arrays too.

    Raises:
        UsageError: An unknown name.
        RecordError: A damaged record.
    """
    own = Scale(profile, get_profile(profile).dataset)
    every = [Shown(own, ensure(experiment, profile, arrays=arrays))]
    if profile in DECIDING:
        others = (scale for scale in complete_scales(experiment) if scale != own)
        every += [Shown(scale, scale.records(experiment, arrays=arrays)) for scale in others]
    return Everywhere(every)
