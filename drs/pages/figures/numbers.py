"""The numbers that a figure draws, read from the figure itself: so that every figure has its table, and the right one.

A table holds one panel: rows are places on its axis of places (or labels), columns what is drawn there. A band or bar
of uncertainty becomes two columns beside the line that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import FillBetweenPolyCollection, LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.ticker import FixedFormatter, FuncFormatter
from numpy.typing import NDArray

MIME = "application/vnd.drs.numbers+json"
"""What a notebook keeps the tables under, beside the figure."""
MEAN = "_mean"
LONGEST = 60
"""Rows of a table; the records hold the rest."""

Table: TypeAlias = dict[str, Any]
Values: TypeAlias = NDArray[np.float64]


def text(value: float) -> str:
    """Four significant digits; nothing where there is no number."""
    return f"{value:.4g}" if np.isfinite(value) else ""


def _plain(values: Any) -> Values:
    """Numbers as an array, NaN where they are masked."""
    array: Values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    return array


def tables(figure: Figure) -> list[Table]:
    """One table a panel that draws numbers: caption, columns and rows, all of them text."""
    found = []
    for place, axes in enumerate(figure.axes):
        table = _heat_map(axes) or _stairs(axes) or _series(axes)
        if table and table["rows"]:
            hidden = len(table["rows"]) - LONGEST
            more = f" (the first {LONGEST} of {len(table['rows'])}; all are in the records)" if hidden > 0 else ""
            table["rows"] = table["rows"][:LONGEST]
            found.append({"caption": _caption(axes, place) + more} | table)
    return found


def _caption(axes: Axes, place: int) -> str:
    what = " against ".join(part for part in (_up(axes), axes.get_xlabel()) if part).replace("\n", " ")
    return ": ".join(part for part in (axes.get_title(), what) if part) or f"panel {place + 1}"


def _up(axes: Axes) -> str:
    """The label of the vertical axis, which panels side by side share with the first of their row."""
    row = [other for other in axes.figure.axes if abs(other.get_position().y0 - axes.get_position().y0) < 0.02]
    return axes.get_ylabel() or next((other.get_ylabel() for other in row if other.get_ylabel()), "")


def _labels(axis: Axis) -> dict[float, str]:
    """Places on an axis that carry words instead of numbers."""
    if not isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter):
        return {}
    places = axis.get_majorticklocs()
    words = axis.get_major_formatter().format_ticks(list(places))
    return {round(float(place), 6): word.replace("\n", " ") for place, word in zip(places, words)}


def _heat_map(axes: Axes) -> Table | None:
    """A mesh with words on both axes, except that of a colour bar."""
    meshes = [c for c in axes.collections if isinstance(c, QuadMesh)]
    rows, columns = _labels(axes.yaxis), _labels(axes.xaxis)
    if not meshes or not rows or not columns:
        return None
    values = _plain(meshes[0].get_array())
    lines = [[name, *map(text, line)] for name, line in zip(rows.values(), values.reshape(len(rows), -1))]
    return {"columns": ["", *columns.values()], "rows": lines}


def _stairs(axes: Axes) -> Table | None:
    """Histograms on common edges: a row a bin."""
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    if not steps:
        return None
    data: list[Any] = [step.get_data() for step in steps]  # named tuples, which the stubs do not say
    edges, shares = _plain(data[0].edges), [_plain(one.values) for one in data]
    bins = [f"{text(low)} to {text(high)}" for low, high in pairwise(edges)]
    columns = [axes.get_xlabel() or "bin", *(str(step.get_label()) for step in steps)]
    return {"columns": columns, "rows": [[b, *map(text, line)] for b, line in zip(bins, np.transpose(shares))]}


@dataclass
class _Drawn:
    """One series: values at places along the axis of places, and the interval around each where there is one."""

    name: str
    colour: str
    places: Values
    values: Values
    intervals: tuple[Values, Values, Values] | None = None
    """Places, lower and upper ends."""


def _series(axes: Axes) -> Table:
    """Lines, bars and dots: a row a place, a column a series (and two for its interval)."""
    upright = not _labels(axes.yaxis)  # places run along x, unless y carries words
    words = _labels(axes.xaxis if upright else axes.yaxis)
    drawn = [*_bars(axes, upright), *_lines(axes, upright), *_dots(axes, upright)]
    legend = {one.colour: one.name for one in drawn if one.colour and not one.name.startswith("_")}
    across, up = (axes.get_xlabel(), _up(axes)) if upright else (axes.get_ylabel(), axes.get_xlabel())
    for one in drawn:
        if one.name.startswith("_"):
            of_mean = ", mean" if one.name == MEAN else ""
            one.name = legend.get(one.colour, up or "value") + of_mean
    for colour, *interval in _intervals(axes, upright):
        for one in drawn:
            if colour in ("", one.colour) and one.intervals is None and _within(interval[0], one.places):
                one.intervals = (interval[0], interval[1], interval[2])
                break
    drawn = [one for one in drawn if len(one.places)]
    numbered = bool(axes.collections) and any(isinstance(c, PathCollection) for c in axes.collections)
    return _numbered(drawn, across) if numbered else _joined(drawn, across, words)


def _bars(axes: Axes, upright: bool) -> Iterator[_Drawn]:
    for bars in (c for c in axes.containers if isinstance(c, BarContainer)):
        boxes = np.array([bar.get_bbox().get_points() for bar in bars], float)  # (bars, corner, x and y)
        place, value = (0, 1) if upright else (1, 0)
        colour = to_hex(bars[0].get_facecolor())
        yield _Drawn(str(bars.get_label()), colour, boxes[:, :, place].mean(axis=1), boxes[:, 1, value])


def _lines(axes: Axes, upright: bool) -> Iterator[_Drawn]:
    caps = {line for c in axes.containers if isinstance(c, ErrorbarContainer) for line in c[1]}
    for line in axes.get_lines():
        place, value = _data(line, upright)
        if line in caps or line.get_transform() != axes.transData or _broken(place, value):
            continue  # ends of bars, rules across the panel, and intervals
        name, colour = str(line.get_label()), to_hex(line.get_color())
        if len(value) == 2 and value[0] == value[1] and name.startswith("_"):  # a short level line marks a mean
            yield _Drawn(MEAN, colour, place.mean(keepdims=True), value[:1])
        else:
            yield _Drawn(name, colour, place, value)


def _dots(axes: Axes, upright: bool) -> Iterator[_Drawn]:
    for dots in (c for c in axes.collections if isinstance(c, PathCollection)):
        where = _plain(dots.get_offsets())
        place, value = where.T if upright else where.T[::-1]
        yield _Drawn(str(dots.get_label()), "", place, value)
        if dots.get_array() is not None:
            yield _Drawn("colour", "", place, _plain(dots.get_array()))


def _data(line: Line2D, upright: bool) -> tuple[Values, Values]:
    x, y = (np.asarray(values, float).ravel() for values in line.get_data())
    return (x, y) if upright else (y, x)


def _broken(places: Values, values: Values) -> bool:
    """Whether a line is a row of separate intervals, each upright: low, high, nothing, low, high, nothing."""
    apart = len(values) > 2 and len(values) % 3 == 0 and bool(np.isnan(values[2::3]).all())
    return apart and np.array_equal(places[::3], places[1::3])


def _intervals(axes: Axes, upright: bool) -> Iterator[tuple[str, Values, Values, Values]]:
    """Bands, bars of uncertainty and broken lines: colour ("" for any), places, lower and upper ends."""
    for line in axes.get_lines():
        place, value = _data(line, upright)
        if _broken(place, value):
            yield to_hex(line.get_color()), place[::3], value[::3], value[1::3]
    for band in axes.collections:
        if isinstance(band, FillBetweenPolyCollection):
            if not band.get_paths():  # nothing but NaN, as with a single seed
                continue
            corners = np.asarray(band.get_paths()[0].vertices, float)
            half = (len(corners) - 3) // 2  # start, one side, the turn, the other side backwards, the closing point
            edge, back = corners[1 : half + 1], corners[half + 2 : -1][::-1]
            ends = np.stack([edge[:, 1], back[:, 1]])
            colours: Any = band.get_facecolor()  # (1, 4)
            yield to_hex(colours[0]), edge[:, 0], ends.min(axis=0), ends.max(axis=0)
        elif isinstance(band, LineCollection):
            segments = np.array([s for s in band.get_segments() if len(s) == 2], float).reshape(-1, 2, 2)
            ends = segments[:, :, 1 if upright else 0]
            yield "", segments[:, 0, 0 if upright else 1], ends.min(axis=1), ends.max(axis=1)


def _within(some: Values, every: Values) -> bool:
    near = np.isclose(some[:, None], every[None, :], rtol=1e-6, atol=1e-9)
    return bool(len(some) and len(every) and near.any(axis=1).all())


def _numbered(drawn: Sequence[_Drawn], across: str) -> Table:
    """Dots: a row each."""
    columns: list[tuple[str, Values]] = []
    for one in drawn:
        if not columns or not np.array_equal(columns[0][1], one.places, equal_nan=True):
            columns.append((across or "across", one.places))
        columns.append((one.name, one.values))
    rows = [[str(n + 1), *(text(v[n]) if n < len(v) else "" for _, v in columns)] for n in range(len(columns[0][1]))]
    return {"columns": ["number", *(name for name, _ in columns)], "rows": rows}


def _joined(drawn: Sequence[_Drawn], across: str, words: dict[float, str]) -> Table:
    """The columns of a panel side by side; series of one name share a column, several values a cell."""
    columns: dict[str, dict[float | str, list[float]]] = {}
    for one in drawn:
        parts = [(one.name, one.places, one.values)]
        if one.intervals:
            where, low, high = one.intervals
            parts += [(f"{one.name}, from", where, low), (f"{one.name}, to", where, high)]
        for name, places, values in parts:
            column = columns.setdefault(name, {})
            for place, value in zip(places, values):
                column.setdefault(_key(place, words), []).append(value)
    keys: Iterable[float | str] = dict.fromkeys(key for column in columns.values() for key in column)
    order = list(words.values())
    keys = sorted(keys, key=lambda k: (0, order.index(k)) if k in order else (1, k))
    rows = [
        [key if isinstance(key, str) else text(key), *(", ".join(map(text, c.get(key, []))) for c in columns.values())]
        for key in keys
    ]
    return {"columns": [across, *columns], "rows": rows}


def _key(place: float, words: dict[float, str]) -> float | str:
    """The word at a place, or within half a step of it (bars and dots stand side by side); else the place."""
    nearest = min(words, key=lambda tick: abs(tick - place), default=np.inf)
    return words[nearest] if abs(nearest - place) < 0.5 else float(f"{place:.6g}")
