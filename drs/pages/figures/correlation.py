"""Figures of the correlation chapter: matrices as heat maps, and the dots behind their cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.tables import correlation_table


def _title(frame: pd.DataFrame, measure: str, outcome: str) -> str:
    r = correlation_table(frame, [measure], [outcome]).iloc[0]
    return f"r = {r.estimate:+.2f} [{r.low:+.2f}, {r.high:+.2f}]" if pd.notna(r.estimate) else "too few points"


def scatter(frame: pd.DataFrame, measures: Sequence[str], outcomes: Sequence[str]) -> Figure:
    """One panel a pair of measure (columns) and outcome (rows); each dot is a network, coloured by clean accuracy.

    Args:
        frame: One row a network.
        measures: Names of measures; their mean over images is drawn.
        outcomes: Columns of the results after an attack.
    """
    figure = Figure(figsize=(3.1 * len(measures), 2.5 * len(outcomes)), layout="constrained")
    panels = figure.subplots(len(outcomes), len(measures), sharex="col", sharey="row", squeeze=False)
    for row, outcome in enumerate(outcomes):
        for column, measure in enumerate(measures):
            axes = panels[row, column]
            x, y = frame[f"{measure}_mean"].to_numpy(float), frame[outcome].to_numpy(float)
            dots = axes.scatter(x, y, c=frame["accuracy"], cmap="viridis", s=16, linewidths=0, rasterized=True)
            axes.set_title(_title(frame, f"{measure}_mean", outcome), fontsize="small", weight="normal")
            if row + 1 == len(outcomes):
                axes.set_xlabel(style.MEASURE_NAMES[measure])
            if column == 0:
                axes.set_ylabel(style.outcome(outcome))
            style.tidy(axes)
    figure.colorbar(dots, ax=panels, label="clean accuracy", fraction=0.03, pad=0.01)
    return figure


def scatter_losses(frame: pd.DataFrame, measures: Sequence[str], outcome: str) -> Figure:
    """Networks of different losses: a panel a measure, a dot a network, its colour the loss (grey: a variant of DRS).

    Args:
        frame: One row a network, with ``variant``.
        measures: Names of measures; their mean over images is drawn.
        outcome: Column of the result after an attack.
    """
    figure = Figure(figsize=(3.6 * len(measures), 3.4), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    named = [variant for variant in dict.fromkeys(frame["variant"]) if variant in style.COLOURS]
    for axes, measure in zip(panels, measures):
        for variant in [None, *named]:
            rows = frame[~frame["variant"].isin(named)] if variant is None else frame[frame["variant"] == variant]
            axes.plot(
                rows[f"{measure}_mean"],
                rows[outcome],
                "o",
                markersize=4 if variant is None else 6,
                color=style.colour(variant or ""),
                alpha=0.5 if variant is None else 0.9,
                label="variants" if variant is None else style.name(variant),
            )
        axes.set_title(_title(frame, f"{measure}_mean", outcome), fontsize="small", weight="normal")
        axes.set_xlabel(style.MEASURE_NAMES[measure])
        style.tidy(axes)
    panels[0].set_ylabel(style.outcome(outcome))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def correlation_map(table: pd.DataFrame, title: str, *, numbers: bool = True) -> Figure:
    """Heat map of a correlation matrix from :func:`drs.pages.tables.correlation_table`.

    Args:
        table: Columns ``measure``, ``outcome``, ``estimate`` and ``significant``.
        title: Above the map.
        numbers: Write the coefficients, significant ones bold; else small cells with a dot in the significant ones.
    """
    rows, columns = list(dict.fromkeys(table["measure"])), list(dict.fromkeys(table["outcome"]))
    cells = table.set_index(["measure", "outcome"])
    values = cells["estimate"].unstack().loc[rows, columns].to_numpy(float)
    marked = cells["significant"].unstack().loc[rows, columns].to_numpy(bool)
    wide, high = (0.46, 0.4) if numbers else (0.25, 0.25)
    figure = Figure(figsize=(1.8 + wide * len(columns), 1.5 + high * len(rows)), layout="constrained")
    axes = figure.subplots()
    mesh: ScalarMappable
    if numbers:
        mesh = axes.pcolormesh(values, cmap="RdBu_r", vmin=-1, vmax=1)
    else:  # one picture: hundreds of rectangles would make a heavy figure
        extent = (0, len(columns), len(rows), 0)
        mesh = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", extent=extent)
    for i, j in np.argwhere(np.isfinite(values)):
        value, bold = values[i, j], marked[i, j]
        colour = "white" if abs(value) > 0.6 else "#222222"
        if numbers:
            axes.text(
                j + 0.5,
                i + 0.5,
                f"{value:+.2f}".replace("0.", "."),
                ha="center",
                va="center",
                fontsize=7,
                weight="bold" if bold else "normal",
                color=colour,
                alpha=1.0 if bold else 0.6,
            )
        elif bold:
            axes.plot([j + 0.5], [i + 0.5], ".", color=colour, markersize=3)
    axes.set_xticks(
        np.arange(len(columns)) + 0.5, [style.outcome(c) for c in columns], rotation=60, ha="right", fontsize=8
    )
    axes.set_yticks(np.arange(len(rows)) + 0.5, [style.measure(r) for r in rows], fontsize=8)
    axes.set_ylim(len(rows), 0)
    axes.set_title(title)
    figure.colorbar(mesh, ax=axes, fraction=0.03, pad=0.01)
    return figure
