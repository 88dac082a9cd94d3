"""Showing a chapter's figures at every scale at which its experiment has been run in full.

Records of ``paper``, or of another data set, appear beside those of ``quick`` in every figure, table and verdict as
soon as they are there; no chapter has to be changed for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from drs.paths import scratch_results_root
from drs.study.plan import Scale
from drs.study.profiles import DEFAULT, PROFILES, get_profile
from drs.study.records import Record, to_frame
from drs.study.results import Results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Everywhere", "Shown", "at_every_scale"]


@dataclass(frozen=True)
class Shown:
    """The records of an experiment at one scale, as the figures of a chapter take them."""

    scale: Scale
    records: list[Record]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per record."""
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
            drawn = draw(one)
            if getattr(drawn, "figure", None) is None:  # a heading between pictures would get their cell's caption
                display(Markdown(f"**{one.scale}**"))
            display(_named(drawn, one.scale))
        return None

    def once(self, draw: Callable[[Shown], Any]) -> Any:
        """The result of ``draw`` at the strongest scale alone, for what would fill the page at every one."""
        rank = list(PROFILES)
        strongest = max(self.every, key=lambda shown: rank.index(shown.scale.profile))
        drawn = draw(strongest)
        return drawn if len(self.every) == 1 else _named(drawn, strongest.scale)


def _named(drawn: Any, scale: Scale) -> Any:
    """A figure under the name of its scale; anything else as it is."""
    if (figure := getattr(drawn, "figure", None)) is not None:
        figure.suptitle(str(scale), fontsize="small")
    return drawn


def at_every_scale(experiment: str, profile: str = DEFAULT, *, arrays: bool = False) -> Everywhere:
    """What the first cell of a chapter asks for: the records under ``profile``, and those of every other complete
    deciding scale if ``profile`` decides too.

    Records are read, never computed: the committed ones are made by ``drs run`` only. A scratch profile (``smoke``) is
    the exception: its runs are computed here, into ``_build/smoke/results`` (or ``$DRS_RESULTS``).

    Args:
        experiment: Name of an experiment.
        profile: Name of a profile.
        arrays: Read the arrays too.

    Raises:
        UsageError: An unknown name, or a missing record: the sentence names the command that computes it.
        RecordError: A damaged record.
    """
    chosen, results = get_profile(profile), Results()
    if chosen.scratch:
        from drs.study.runner import ensure

        records = ensure(experiment, profile, scratch_results_root(), arrays=arrays)
    else:
        records = results.required(experiment, profile, arrays=arrays)
    own = Scale(profile, chosen.dataset)
    every = [Shown(own, records)]
    if chosen.decides:
        for scale in results.complete(experiment):
            if scale != own:
                found = results.records(experiment, scale.profile, dataset=scale.dataset, arrays=arrays)
                every.append(Shown(scale, found))
    return Everywhere(every)
