"""A figure of several panels as a phone shows it: the panels below each other, at the size of letters they have.

Used by :class:`~drs.pages.figures.figured.Figured`; the site shows this picture in place of the wide one where a page
is at most 576 pixels wide.
"""

from __future__ import annotations

import math
import pickle
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.legend import Legend

__all__ = ["COLUMN", "WIDTH", "across", "narrow"]

WIDTH = 3.6
"""Inches: with the margin around a saved picture, the text's width on a phone of 390 pixels."""
COLUMN = 7.17
"""Inches: the text's width on a screen. A wider figure is shown smaller there."""
LOWEST = 1.3
"""Inches: the least height of a panel that is no picture, without its labels."""


@dataclass(frozen=True)
class _Panel:
    """A panel and its row and column in the wide figure."""

    axes: Axes
    row: int
    column: int


def across(columns: int, width: float) -> int:
    """How many of a figure's columns fit side by side on a phone without getting smaller; at least one.

    >>> across(2, 7.0), across(3, 9.2), across(4, 9.0), across(6, 9.0)
    (1, 1, 2, 3)

    Args:
        columns: Panels side by side in the wide figure.
        width: Of the wide figure, in inches.
    """
    return max(1, math.floor(columns * WIDTH / min(width, COLUMN)))


def narrow(figure: Figure) -> Figure | None:
    """The same panels, one or a few in a row, with the legend above them; None where nothing would move.

    Panels that share both axes with all others follow each other as they are read. Otherwise columns stay together: a
    picture with what is drawn below it. A panel that loses the neighbour whose labels it shared gets labels of its own.

    Args:
        figure: A figure with constrained layout; it is not changed.
    """
    if not _panels(figure):
        return None
    copy: Figure = pickle.loads(pickle.dumps(figure))
    panels = _panels(copy)
    columns = 1 + max(panel.column for panel in panels)
    fit = across(columns, float(copy.get_figwidth()))
    if fit >= columns:
        return None
    if all(_picture(one.axes) for one in panels):
        fit = min(columns, 3 * fit)  # small, so that they can be compared side by side
    first = panels[0].axes
    flat = all(one.axes.get_shared_x_axes().joined(first, one.axes) for one in panels)
    flat = flat and all(one.axes.get_shared_y_axes().joined(first, one.axes) for one in panels)
    places = _places(panels, fit, flat=flat)
    _label(panels, places, flat=flat)
    copy.draw_without_rendering()
    inside: dict[int, float] = {}
    around: dict[int, float] = {}
    for panel in panels:
        box, whole = panel.axes.get_window_extent(), panel.axes.get_tightbbox()
        assert whole is not None
        if panel.axes.get_aspect() == "auto":
            tall = max(LOWEST, box.height / copy.dpi)
        else:
            tall = box.height / box.width * (WIDTH / fit - 0.3)
        row = places[panel][0]
        inside[row] = max(inside.get(row, 0.0), tall)
        around[row] = max(around.get(row, 0.0), (whole.height - box.height) / copy.dpi)
    legend = _legend_above(copy, panels)
    total = sum(inside.values()) + sum(around.values()) + 0.1 * len(inside) + legend
    if copy.get_suptitle():
        total += 0.3
    copy.set_size_inches(WIDTH, total)
    grid = copy.add_gridspec(len(inside), fit, height_ratios=[inside[row] for row in sorted(inside)])
    for panel, (row, column) in places.items():
        panel.axes.set_subplotspec(grid[row, column])
        _wrap(panel.axes, fit)
    return copy


def _panels(figure: Figure) -> list[_Panel]:
    """The panels of a figure with constrained layout that form one grid of several columns; else none."""
    found, grids = [], set()
    for axes in list(figure.axes):
        spec = axes.get_subplotspec()
        if not isinstance(spec, SubplotSpec):
            continue  # a colour bar, which goes with its panels
        if not axes.axison and not axes.has_data():
            continue  # an empty place of the grid
        if len(spec.rowspan) != 1 or len(spec.colspan) != 1:
            return []
        grids.add(id(spec.get_gridspec()))
        found.append(_Panel(axes, spec.rowspan.start, spec.colspan.start))
    several = len({panel.column for panel in found}) > 1
    return found if several and len(grids) == 1 and figure.get_constrained_layout() else []


def _picture(axes: Axes) -> bool:
    """Whether a panel is an image and nothing else, with square pixels and no ticks."""
    ticks = axes.axison and (len(axes.get_xticks()) or len(axes.get_yticks()))
    return bool(axes.images) and not axes.texts and not ticks and axes.get_aspect() != "auto"


def _places(panels: Sequence[_Panel], fit: int, *, flat: bool) -> dict[_Panel, tuple[int, int]]:
    """The row and column of each panel on a phone."""
    if flat:
        ordered = sorted(panels, key=lambda one: (one.row, one.column))
        return {panel: divmod(place, fit) for place, panel in enumerate(ordered)}
    rows = 1 + max(panel.row for panel in panels)
    return {one: (one.column // fit * rows + one.row, one.column % fit) for one in panels}


def _label(panels: Sequence[_Panel], places: dict[_Panel, tuple[int, int]], *, flat: bool) -> None:
    """Give panels the labels that they shared with neighbours they no longer have."""
    for panel in panels:
        axes = panel.axes
        left = min((one for one in panels if one.row == panel.row), key=lambda one: one.column).axes
        low = max((one for one in panels if one.column == panel.column), key=lambda one: one.row).axes
        if places[panel][1] == 0 and left is not axes and axes.get_shared_y_axes().joined(left, axes):
            axes.tick_params(axis="y", labelleft=True)
            axes.set_ylabel(axes.get_ylabel() or left.get_ylabel(), fontsize=left.yaxis.label.get_fontsize())
        if flat and low is not axes:
            axes.tick_params(axis="x", labelbottom=True)
            if not axes.get_xlabel():
                axes.set_xlabel(low.get_xlabel(), fontsize=low.xaxis.label.get_fontsize())


def _legend_above(figure: Figure, panels: Sequence[_Panel]) -> float:
    """Put what explains all panels above them, in as many columns as fit; returns its height in inches."""
    legends: list[Legend] = list(figure.legends)
    for panel in panels:
        own = panel.axes.get_legend()
        mine = set(panel.axes.get_legend_handles_labels()[1])
        others = [set(one.axes.get_legend_handles_labels()[1]) for one in panels if one is not panel]
        if own is not None and not figure.legends and any(mine & other for other in others):
            legends.append(own)
    height = 0.0
    said: list[list[str]] = []
    for legend in legends:
        handles = [handle for handle in legend.legend_handles if handle is not None]
        names = [text.get_text() for text in legend.get_texts()]
        size, title = legend.get_texts()[0].get_fontsize(), legend.get_title().get_text() or None
        legend.remove()
        if names in said:
            continue
        said.append(names)
        for columns in range(min(4, len(names)), 0, -1):
            made = figure.legend(
                handles, names, loc="outside upper center", ncols=columns, fontsize=size, title=title, handlelength=1.5
            )
            box = made.get_window_extent()
            if columns == 1 or box.width / figure.dpi <= WIDTH:
                height += box.height / figure.dpi + 0.1
                break
            made.remove()
    return height


def _wrap(axes: Axes, fit: int) -> None:
    """Break a title that is longer than a panel is wide."""
    size = float(axes.title.get_fontsize())
    letters = max(8, int((WIDTH / fit - 0.2) * 72 / (0.62 * size)))
    axes.set_title("\n".join(textwrap.fill(line, letters) for line in axes.get_title().split("\n")), fontsize=size)
