"""Figures of the correlation chapter: matrices as heat maps, and the dots behind their cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each
from drs.pages.tables import correlation_table
from drs.statistics import matched_band
from drs.study.metrics import SPREADS, label

__all__ = [
    "MEASURED",
    "PANEL",
    "RESULT",
    "at_equal_accuracy",
    "correlation_map",
    "scatter",
    "scatter_losses",
    "within_depth",
]

MEASURED, RESULT = "the measure", "the outcome"
"""Columns of the two numbers of a dot."""
PANEL = ("outcome", "measure", "coefficient")
"""Columns that name a panel of dots."""


def _coefficient(frame: pd.DataFrame, measure: str, outcome: str) -> str:
    r = correlation_table(frame, [measure], [outcome]).iloc[0]
    return f"r = {r.estimate:+.2f} [{r.low:+.2f}, {r.high:+.2f}]" if pd.notna(r.estimate) else "too few points"


def _dots(frame: pd.DataFrame, measures: Sequence[str], outcomes: Sequence[str], more: pd.DataFrame) -> pd.DataFrame:
    """A row per outcome, measure and network, with the columns of ``more`` for each network."""
    numbered = more.assign(network=range(1, len(more) + 1))
    return pd.concat(
        numbered.assign(
            outcome=label(outcome),
            measure=SPREADS[measure],
            coefficient=_coefficient(frame, f"{measure}_mean", outcome),
            x=frame[f"{measure}_mean"].to_numpy(float),
            y=frame[outcome].to_numpy(float),
        )
        for outcome in outcomes
        for measure in measures
    ).rename(columns={"x": MEASURED, "y": RESULT})


def scatter(frame: pd.DataFrame, measures: Sequence[str], outcomes: Sequence[str]) -> Figured:
    """One panel per pair of measure (columns) and outcome (rows); each dot is a network, coloured by clean accuracy.

    Args:
        frame: One row per network.
        measures: Names of measures; their mean over images is drawn.
        outcomes: Columns of the results after an attack.
    """
    drawn = _dots(frame, measures, outcomes, pd.DataFrame({"clean accuracy": frame["accuracy"].to_numpy(float)}))
    figure = Figure(figsize=(3.1 * len(measures), 2.5 * len(outcomes)), layout="constrained")
    panels = figure.subplots(len(outcomes), len(measures), sharex="col", sharey="row", squeeze=False)
    for axes, ((outcome, measure, coefficient), rows) in zip(panels.flat, drawn.groupby(list(PANEL), sort=False)):
        colours = rows["clean accuracy"]
        dots = axes.scatter(
            rows[MEASURED], rows[RESULT], c=colours, cmap="viridis", s=16, linewidths=0, rasterized=True
        )
        axes.set_title(coefficient, fontsize="small", weight="normal")
        if axes in panels[-1]:
            axes.set_xlabel(measure)
        if axes in panels[:, 0]:
            axes.set_ylabel(outcome)
        style.tidy(axes)
    figure.colorbar(dots, ax=panels, label="clean accuracy", fraction=0.03, pad=0.01)
    return Figured(figure=figure, frame=drawn, places=("network",), panel=PANEL)


def scatter_losses(frame: pd.DataFrame, measures: Sequence[str], outcome: str) -> Figured:
    """Networks of different losses: one panel per measure, one dot per network, its colour the loss (grey: a variant
    of DRS).

    Args:
        frame: One row per network, with ``variant``.
        measures: Names of measures; their mean over images is drawn.
        outcome: Column of the result after an attack.
    """
    losses = [style.name(v) if v in style.COLOURS else "variants" for v in frame["variant"]]
    drawn = _dots(frame, measures, [outcome], pd.DataFrame({"loss": losses}))
    order = ["variants", *(loss for loss in dict.fromkeys(losses) if loss != "variants")]
    figure = Figure(figsize=(3.6 * len(measures), 3.4), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, ((_, measure, coefficient), rows) in zip(panels, drawn.groupby(list(PANEL), sort=False)):
        for loss in order:
            dots, variants = rows[rows["loss"] == loss], loss == "variants"
            axes.plot(
                dots[MEASURED],
                dots[RESULT],
                "o",
                markersize=4 if variants else 6,
                color=style.colour(loss),
                alpha=0.5 if variants else 0.9,
                label=loss,
            )
        axes.set_title(coefficient, fontsize="small", weight="normal")
        axes.set_xlabel(measure)
        style.tidy(axes)
    panels[0].set_ylabel(label(outcome))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return Figured(figure=figure, frame=drawn, places=("network",), panel=PANEL)


def within_depth(frame: pd.DataFrame, measure: str = "std_probabilities") -> Figured:
    """The same networks twice: with one line for all of them, and coloured by depth with a line for each depth.

    A line is the least-squares fit; the coefficients are Pearson's.

    Args:
        frame: Records of ``correlation``.
        measure: Its mean over images is drawn against the area under worst-case accuracy.
    """
    drawn = pd.DataFrame(
        {
            "depth": [f"depth {depth:.0f}" for depth in frame["network.model_options.depth"]],
            MEASURED: frame[f"{measure}_mean"].to_numpy(float),
            RESULT: frame["worst_area"].to_numpy(float),
        }
    )
    figure = Figure(figsize=(8.2, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    parts = [(left, "all networks", drawn, "#555555")]
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
    parts += [
        (right, depth, rows, colour)
        for (depth, rows), colour in zip(each(drawn.sort_values("depth"), "depth"), colours)
    ]
    for axes, name, rows, colour in parts:
        x, y = rows[MEASURED].to_numpy(float), rows[RESULT].to_numpy(float)
        axes.plot(x, y, "o", markersize=4, color=colour, alpha=0.7)
        if len(rows) > 2:
            slope, start = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            said = f"{name}: r = {np.corrcoef(x, y)[0, 1]:+.2f}"
            axes.plot(ends, start + slope * ends, color=colour, label=said)
    for axes in (left, right):
        axes.set_xlabel(f"{SPREADS[measure]}, mean")
        axes.legend()
        style.tidy(axes)
    left.set_ylabel(label("worst_area"))
    return Figured(
        figure=figure, frame=drawn.assign(network=range(1, len(drawn) + 1)), places=("network",), series=("depth",)
    )


def correlation_map(table: pd.DataFrame, title: str, *, numbers: bool = True) -> Figured:
    """Heat map of a correlation matrix from :func:`drs.pages.tables.correlation_table`.

    Args:
        table: Columns ``measure``, ``outcome``, ``estimate`` and ``significant``.
        title: Above the map.
        numbers: Write the coefficients, significant ones bold; else small cells with a dot in the significant ones.
    """
    drawn = table[["measure", "outcome", "estimate", "significant"]].copy()
    drawn["measure"], drawn["outcome"] = drawn["measure"].map(label), drawn["outcome"].map(label)
    rows, columns = list(dict.fromkeys(drawn["measure"])), list(dict.fromkeys(drawn["outcome"]))
    values = drawn.pivot(index="measure", columns="outcome", values="estimate").loc[rows, columns].to_numpy(float)
    values = values.T  # outcomes down, measures across: the few across, so that letters stay large
    wide, high = (0.74, 0.27) if numbers else (0.38, 0.2)
    figure = Figure(figsize=(2.3 + wide * len(rows), 1.9 + high * len(columns)), layout="constrained")
    axes = figure.subplots()
    mesh: ScalarMappable
    if numbers:
        mesh = axes.pcolormesh(values, cmap="RdBu_r", vmin=-1, vmax=1)
    else:  # one picture: hundreds of rectangles would make a heavy figure
        extent = (0, len(rows), len(columns), 0)
        mesh = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", extent=extent)
    for cell in drawn.dropna().to_dict("records"):
        x, y = rows.index(cell["measure"]) + 0.5, columns.index(cell["outcome"]) + 0.5
        value, bold = cell["estimate"], cell["significant"]
        colour = "white" if abs(value) > 0.6 else "#222222"
        if numbers:
            axes.text(
                x,
                y,
                f"{value:+.2f}".replace("0.", "."),
                ha="center",
                va="center",
                fontsize=8,
                weight="bold" if bold else "normal",
                color=colour,
                alpha=1.0 if bold else 0.8,
            )
        elif bold:
            axes.plot([x], [y], ".", color=colour, markersize=3)
    axes.set_xticks(np.arange(len(rows)) + 0.5, rows, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(np.arange(len(columns)) + 0.5, columns, fontsize=8)
    axes.set_ylim(len(columns), 0)
    axes.set_title(title)
    figure.colorbar(mesh, ax=axes, fraction=0.03, pad=0.01)
    return Figured(figure=figure, frame=drawn, places=("measure",), series=("outcome",), values=("estimate",))


def at_equal_accuracy(frame: pd.DataFrame, measures: Sequence[str], outcomes: Sequence[str]) -> Figured:
    """The correlations over the networks of the densest band of clean accuracy that is two points wide.

    Args:
        frame: One row per network.
        measures: Columns of the false-class measures.
        outcomes: Columns of the results after an attack.
    """
    band = frame[matched_band(frame["accuracy"].to_numpy(float), 0.02)]
    low, high = band["accuracy"].min(), band["accuracy"].max()
    title = f"{len(band)} networks with clean accuracy {low:.3f} to {high:.3f}"
    return correlation_map(correlation_table(band, measures, outcomes), title)
