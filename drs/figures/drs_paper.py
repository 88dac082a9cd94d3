"""Figures of the DRS chapters. Each takes records or frames and draws; none computes an experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.figures import style
from drs.records import Record
from drs.statistics import mean_interval
from drs.tables import correlation_table

SHOWN = ("clean", "FGSM", "BIM", "PGD-20")


def epsilons(frame: pd.DataFrame, attack: str) -> list[float]:
    """Budgets at which a frame holds an attack's accuracy, in increasing order."""
    found = [column for column in frame.columns if column.startswith(f"{attack}@")]
    return sorted(float(column.split("@")[1]) for column in found if frame[column].notna().any())


def one_image(record: Record) -> Figure:
    """One image under each attack, and the softmax of its classes below; the true class is marked."""
    images, probabilities = record.arrays["images"], record.arrays["probabilities"]
    label = int(record.metrics["label"])
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    rows = figure.subplots(2, 4, height_ratios=(1.1, 1))
    for column, title in enumerate(SHOWN):
        picture, bars = rows[0, column], rows[1, column]
        picture.imshow(np.moveaxis(images[column], 0, -1).squeeze(), cmap="gray", vmin=0, vmax=255)
        picture.set_axis_off()
        picture.set_title(title)
        values = probabilities[column]
        top = int(values.argmax())
        colours = [style.COLOURS["ce"] if j == label else style.COLOURS["drs"] for j in range(len(values))]
        bars.bar(range(len(values)), values, color=colours)
        bars.set_ylim(0, 1.05)
        bars.set_xticks(range(len(values)))
        bars.set_xlabel(f"says {top} ({values[top]:.0%})")
        if column == 0:
            bars.set_ylabel("softmax")
        style.tidy(bars)
    return figure


def false_class_shift(frame: pd.DataFrame) -> Figure:
    """Accuracy under PGD and mean spread of the false probabilities, both against epsilon, one colour a loss."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for _, row in frame.iterrows():
        loss = str(row["network.loss"])
        budgets = epsilons(frame, "pgd")
        start = [float(row["accuracy"])], [float(row["std_probabilities_before"])]
        for axes, prefix, first in ((left, "pgd", start[0]), (right, "std_probabilities", start[1])):
            values = first + [float(row[f"{prefix}@{e:g}"]) for e in budgets]
            axes.plot([0.0, *budgets], values, marker="o", color=style.colour(loss), label=style.name(loss))
    left.set_ylabel("accuracy under PGD-20")
    right.set_ylabel("std of false probabilities")
    for axes in (left, right):
        axes.set_xlabel("epsilon (pixels in [0, 1])")
        axes.set_ylim(bottom=0)
        style.tidy(axes)
    left.legend()
    return figure


def curve(frame: pd.DataFrame, variants: Sequence[str], attacks: Sequence[str]) -> Figure:
    """Accuracy over epsilon, one panel an attack, one line a loss: the mean over seeds and its 95% interval."""
    figure = Figure(figsize=(3.1 * len(attacks), 3.2), layout="constrained")
    panels = figure.subplots(1, len(attacks), sharey=True, squeeze=False)
    for axes, attack in zip(panels[0], attacks):
        budgets = epsilons(frame, attack)
        for variant in variants:
            rows = frame[(frame["variant"] == variant) & frame["worst@0"].notna()]
            if rows.empty:  # every seed diverged
                continue
            columns = [f"{attack}@{e:g}" if e > 0 or attack == "worst" else "worst@0" for e in budgets]
            if attack != "worst" and 0.0 not in budgets:
                columns = ["worst@0", *columns]
            where = [0.0, *budgets] if len(columns) > len(budgets) else budgets
            cells = [mean_interval(rows[column].to_numpy(float)) for column in columns]
            middle = [cell.mean for cell in cells]
            axes.plot(where, middle, marker="o", markersize=3.5, color=style.colour(variant), label=style.name(variant))
            if len(rows) > 1:
                low, high = [max(0.0, c.low) for c in cells], [min(1.0, c.high) for c in cells]
                axes.fill_between(where, low, high, color=style.colour(variant), alpha=0.2, linewidth=0)
        axes.set_title(style.ATTACK_NAMES.get(attack, attack))
        axes.set_xlabel("epsilon")
        axes.set_ylim(0, 1.02)
        style.tidy(axes)
    panels[0][0].set_ylabel("accuracy")
    panels[0][-1].legend()
    return figure


def scatter(frame: pd.DataFrame, measures: Sequence[str], outcomes: Sequence[str]) -> Figure:
    """One panel a pair of measure (columns) and outcome (rows); each dot is a network, coloured by clean accuracy."""
    figure = Figure(figsize=(3.1 * len(measures), 2.5 * len(outcomes)), layout="constrained")
    panels = figure.subplots(len(outcomes), len(measures), sharex="col", sharey="row", squeeze=False)
    for row, outcome in enumerate(outcomes):
        for column, measure in enumerate(measures):
            axes = panels[row, column]
            x, y = frame[f"{measure}_mean"].to_numpy(float), frame[outcome].to_numpy(float)
            dots = axes.scatter(x, y, c=frame["accuracy"], cmap="viridis", s=16, linewidths=0)
            r = correlation_table(frame, [f"{measure}_mean"], [outcome]).iloc[0]
            title = f"r = {r.estimate:+.2f} [{r.low:+.2f}, {r.high:+.2f}]" if pd.notna(r.estimate) else "too few points"
            axes.set_title(title, fontsize="small", weight="normal")
            if row + 1 == len(outcomes):
                axes.set_xlabel(style.MEASURE_NAMES[measure])
            if column == 0:
                axes.set_ylabel(style.outcome(outcome))
            style.tidy(axes)
    figure.colorbar(dots, ax=panels, label="clean accuracy", fraction=0.03, pad=0.01)
    return figure


def correlation_map(table: pd.DataFrame, title: str) -> Figure:
    """Heat map of a correlation matrix from :func:`drs.tables.correlation_table`; significant cells are bold.

    Args:
        table: Columns ``measure``, ``outcome``, ``estimate`` and ``significant``.
        title: Above the map.
    """
    rows, columns = list(dict.fromkeys(table["measure"])), list(dict.fromkeys(table["outcome"]))
    cells = table.set_index(["measure", "outcome"])
    values = cells["estimate"].unstack().loc[rows, columns].to_numpy(float)
    marked = cells["significant"].unstack().loc[rows, columns].to_numpy(bool)
    width = 1.8 + 0.46 * len(columns)
    figure = Figure(figsize=(width, 1.5 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(values, cmap="RdBu_r", vmin=-1, vmax=1)
    for i in range(len(rows)):
        for j in range(len(columns)):
            value, bold = values[i, j], marked[i, j]
            if np.isnan(value):
                continue
            axes.text(
                j + 0.5,
                i + 0.5,
                f"{value:+.2f}".replace("0.", "."),
                ha="center",
                va="center",
                fontsize=7,
                weight="bold" if bold else "normal",
                color="white" if abs(value) > 0.6 else "#222222",
                alpha=1.0 if bold else 0.6,
            )
    axes.set_xticks(
        np.arange(len(columns)) + 0.5, [style.outcome(c) for c in columns], rotation=60, ha="right", fontsize=8
    )
    axes.set_yticks(np.arange(len(rows)) + 0.5, [style.MEASURE_NAMES.get(r, r) for r in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title)
    figure.colorbar(mesh, ax=axes, fraction=0.03, pad=0.01)
    return figure
