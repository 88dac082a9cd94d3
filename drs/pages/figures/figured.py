"""A picture together with the numbers that it draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from drs.pages.figures.narrow import narrow
from drs.pages.markdown import cell
from drs.statistics import mean_interval

__all__ = ["LONGEST", "MIME", "NARROW", "UNCERTAINTY", "Figured", "Table", "each", "interval"]

MIME = "application/vnd.drs.numbers+json"
"""What a notebook keeps the tables under, next to the picture."""
NARROW = "application/vnd.drs.narrow+json"
"""What a notebook keeps a picture for phones under, next to a picture of several panels."""
LONGEST = 60
"""Rows of a table; the records hold the rest."""
UNCERTAINTY = ("from", "to", "seeds")
"""Columns that belong to the value before them: the ends of its interval, and the value of each seed."""

Table: TypeAlias = dict[str, Any]  # caption, columns and rows, all of them text


def interval(name: str, values: ArrayLike, *, low: float = -math.inf, high: float = math.inf) -> dict[str, float]:
    """The mean over seeds under ``name`` and the ends of its 95% interval, cut at ``low`` and ``high``.

    >>> interval("accuracy", [0.5, 1.0], low=0.0, high=1.0)
    {'accuracy': 0.75, 'from': 0.0, 'to': 1.0}
    """
    found = mean_interval(values)
    single = math.isnan(found.low)
    return {
        name: found.mean,
        "from": math.nan if single else max(low, found.low),
        "to": math.nan if single else min(high, found.high),
    }


def _said(names: Iterable[str], values: Iterable[object]) -> str:
    """What names a panel or a series, as text; a number is said with the name of its column."""
    return ", ".join(str(v) if isinstance(v, str) else f"{name} {cell(v)}" for name, v in zip(names, values))


def each(frame: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The values of a column in the order in which they first appear, and the rows of each."""
    for value, rows in frame.groupby(column, sort=False):
        yield str(value), rows


@dataclass(frozen=True, kw_only=True, repr=False)
class Figured:
    """A picture and the data frame that it draws.

    A notebook shows the picture and keeps the frame next to it, as one table per panel, and where several panels stand
    side by side a picture for phones (:func:`~drs.pages.figures.narrow.narrow`).

    Attributes:
        figure: The picture.
        frame: Everything that the picture draws, one row per value, and nothing else.
        places: Columns that say where a value stands, such as ``epsilon``: the first cells of a table's rows.
        series: Columns that say which line, bar or column of a map a value belongs to: one column of the table each.
        panel: Columns that name the panel: one table each.
        values: Columns of the table; all the others where empty.
    """

    figure: Figure
    frame: pd.DataFrame
    places: tuple[str, ...]
    series: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def tables(self) -> list[Table]:
        """One table per panel, in the order in which they are drawn."""
        if not self.panel or self.frame.empty:
            return [] if self.frame.empty else [self._table("", self.frame)]
        panels = self.frame.groupby(list(self.panel), sort=False, dropna=False)
        return [self._table(_said(self.panel, names), part) for names, part in panels]

    def _table(self, panel: str, part: pd.DataFrame) -> Table:
        places = [name for name in self.places if part[name].notna().any()]
        fixed = {*self.places, *self.series, *self.panel}
        others = [name for name in map(str, part) if name not in fixed and part[name].notna().any()]
        values = list(self.values) or others
        drawn = [name for name in values if name not in UNCERTAINTY]
        columns = {value: part.set_index(places)[value] for value in values}
        if self.series:
            columns = {
                _said(self.series, names) + ("" if [value] == drawn else f", {value}"): line.set_index(places)[value]
                for names, line in part.groupby(list(self.series), sort=False, dropna=False)
                for value in values
            }
        wide = pd.concat(columns, axis=1).dropna(axis=1, how="all")
        if self.series and all(pd.api.types.is_numeric_dtype(part[name]) for name in places):
            wide = wide.sort_index(kind="stable")  # a series may lack a place that a later one has
        along = len(places) == 1 and pd.api.types.is_float_dtype(part[places[0]])
        caption = " and ".join(drawn) + (f" against {places[0]}" if along else "")
        caption = f"{panel}: {caption}" if panel and (self.series or len(drawn) == 1) else panel or caption
        if len(wide) > LONGEST:
            caption += f" (the first {LONGEST} of {len(wide)}; all are in the records)"
        rows = [[cell(value, 4) for value in line] for line in wide[:LONGEST].reset_index().itertuples(index=False)]
        return {"caption": caption, "columns": [*places, *wide.columns], "rows": rows}

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        from IPython.core.pylabtools import print_figure

        def drawn(figure: Figure) -> Any:
            return print_figure(figure, fmt="svg", bbox_inches="tight", metadata={"Date": None})

        kept = {"image/svg+xml": drawn(self.figure), MIME: self.tables()}
        on_phones = narrow(self.figure)
        kept |= {} if on_phones is None else {NARROW: drawn(on_phones)}
        return kept | {"text/plain": f"a figure of {len(self.frame)} values"}
