"""Figures of the DRS chapters. Each takes records or frames and draws; none computes an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.statistics import mean_interval
from drs.study.records import Record

SHOWN = ("clean", "FGSM", "BIM", "PGD-20")
ABLATIONS = {
    "losses": ("ce", "drs", "label-smoothing", "confidence-penalty", "logit-squeezing", "rce", "adversarial"),
    "weight b": ("weight-0.0064", "weight-0.064", "drs", "weight-6.4", "weight-64"),
    "what is restrained": (
        *("drs", "probabilities", "probabilities-64", "std"),
        *("mean-over-c", "top-3", "only-correct", "warm-up"),
    ),
    "batch and reduction": tuple(f"{name}-batch-{size}" for size in (32, 512) for name in ("ce", "mean", "sum")),
    "architecture": ("ce", "drs", "mlp-ce", "mlp-drs", "resnet-ce", "resnet-drs"),
}
"""Variants of the losses experiment by the question they answer."""


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
    handles, labels = panels[0][-1].get_legend_handles_labels()
    if len(labels) > 4:
        figure.set_figwidth(figure.get_figwidth() + 2)
        figure.legend(handles, labels, loc="outside right center")
    else:
        panels[0][-1].legend()
    return figure


def ablations(frame: pd.DataFrame, groups: Mapping[str, Sequence[str]], metric: str = "worst_area") -> Figure:
    """A number of every variant, one row each, in groups: the mean over seeds (dot), its 95% interval (line) and each
    seed (small dots). The dashed lines are the means of CE and DRS.

    Args:
        frame: Columns ``variant`` and ``metric``.
        groups: Variants by the heading they stand under; those that were not run, or always diverged, are left out.
        metric: Column that is drawn.
    """
    rows = frame[frame[metric].notna()]
    present = {title: [v for v in names if (rows["variant"] == v).any()] for title, names in groups.items()}
    present = {title: names for title, names in present.items() if names}
    figure = Figure(figsize=(7.5, 0.6 + 0.27 * sum(len(names) + 0.9 for names in present.values())))
    figure.set_layout_engine("tight")  # the constrained one solves so many panels to other last digits every time
    panels = figure.subplots(
        len(present), 1, sharex=True, squeeze=False, height_ratios=[len(names) + 0.6 for names in present.values()]
    )[:, 0]
    means = rows.groupby("variant")[metric].mean()
    for axes, (title, names) in zip(panels, present.items()):
        for reference in ("ce", "drs"):
            if reference in means:
                axes.axvline(means[reference], color=style.colour(reference), linestyle="--", linewidth=1)
        for height, variant in enumerate(names):
            values = rows.loc[rows["variant"] == variant, metric].to_numpy(float)
            cell, colour = mean_interval(values), style.colour(variant)
            if cell.n > 1:
                axes.plot([cell.low, cell.high], [height, height], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot(values, np.full(len(values), height), ".", color=colour, markersize=4, alpha=0.6)
            axes.plot([cell.mean], [height], "o", color=colour, markersize=6)
        axes.set_yticks(range(len(names)), [style.name(name) for name in names], fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(title, fontsize=9, loc="left")
        style.tidy(axes)
    low, high = rows[metric].min(), rows[metric].max()
    panels[-1].set_xlim(min(0.0, low), high + 0.1 * (high - low) + 0.02)
    panels[-1].set_xlabel(style.outcome(metric))
    return figure
