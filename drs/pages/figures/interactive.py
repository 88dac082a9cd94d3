"""Figures that a reader can move: a picture for where no script runs, and the data that the site's script draws.

The script is ``book/_explorer/explorer.js``; a code host or a printed page shows the picture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.catalog import PUBLISHED_WEIGHT
from drs.detection import auc, roc
from drs.pages.figures import style
from drs.pages.figures.drs_paper import epsilons
from drs.pages.figures.numbers import MIME as NUMBERS
from drs.pages.figures.numbers import tables
from drs.pages.figures.rce_paper import METRIC_NAMES, arms, title
from drs.statistics import mean_interval
from drs.study.experiments.grids import CURVE_ATTACKS
from drs.study.experiments.networks import WEIGHTS
from drs.study.records import Record

MIME = "application/vnd.drs.explorer+json"
"""What a notebook keeps the data under, beside the picture."""


@dataclass(frozen=True, repr=False)
class Explorer:
    """A picture, and the data behind it in all its choices."""

    figure: Figure
    data: dict[str, Any]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        from IPython.core.pylabtools import print_figure

        picture = print_figure(self.figure, fmt="svg", bbox_inches="tight", metadata={"Date": None})
        return {"image/svg+xml": picture, NUMBERS: tables(self.figure), MIME: self.data, "text/plain": "Explorer"}


def weight_explorer(frame: pd.DataFrame) -> Explorer:
    """Accuracy over budget and weight of the DRS penalty under a chosen attack; weight 0 is plain cross-entropy.

    Args:
        frame: Records of the experiment ``losses``.
    """
    names = {0.0: "ce"} | {w: "drs" if w == PUBLISHED_WEIGHT else f"weight-{w:g}" for w in WEIGHTS}
    found = {weight: frame[frame["variant"] == name] for weight, name in names.items()}
    found = {weight: rows for weight, rows in found.items() if len(rows)}
    budgets = sorted({0.0, *epsilons(frame, CURVE_ATTACKS[0])})
    attacks = ("worst", *CURVE_ATTACKS)
    cells = {a: [[_cell(rows, a, e) for e in budgets] for rows in found.values()] for a in attacks}
    data = {
        "kind": "weights",
        "weights": list(found),
        "epsilons": budgets,
        "attacks": {attack: style.ATTACK_NAMES[attack] for attack in attacks},
        "cells": cells,
        "seeds": [len(rows) for rows in found.values()],
        "finished": [int(rows["worst@0"].notna().sum()) for rows in found.values()],
        "start": {"weight": list(found).index(PUBLISHED_WEIGHT), "epsilon": min(4, len(budgets) - 1)},
        "colours": {"weight": style.colour("drs"), "reference": style.colour("ce")},
        "names": {"weight": style.name("drs"), "reference": style.name("ce")},
    }
    figure = Figure(figsize=(1.6 + 0.62 * len(budgets), 1.4 + 0.42 * len(found)), layout="constrained")
    axes = figure.subplots()
    values = np.array([[cell[0] if cell else np.nan for cell in line] for line in cells["worst"]], float)
    mesh = axes.pcolormesh(values, cmap="cividis", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "w" if value < 0.55 else "k"
            axes.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(np.arange(len(budgets)) + 0.5, [f"{e:g}" for e in budgets])
    axes.set_yticks(np.arange(len(found)) + 0.5, [f"{w:g}" for w in found])
    axes.set(xlabel="epsilon", ylabel="weight b", title="worst case")
    figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.01, label="accuracy")
    return Explorer(figure, data)


def _cell(rows: pd.DataFrame, attack: str, epsilon: float) -> list[float | None] | None:
    """Mean over seeds and the ends of its interval (None where there is none); None where no training finished."""
    values = rows[f"{attack}@{epsilon:g}" if epsilon > 0 else "worst@0"].dropna().to_numpy(float)
    if not len(values):
        return None
    interval = mean_interval(values)
    ends = [max(0.0, interval.low), min(1.0, interval.high)]
    return [_short(interval.mean), *(_short(end) if np.isfinite(interval.low) else None for end in ends)]


def _short(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")


def threshold_explorer(records: Sequence[Record], attacks: Sequence[str], start: str = "bim@0.1") -> Explorer:
    """Histogram and ROC curve of one metric under one attack, with a threshold to move.

    Args:
        records: One record of the experiment ``detection`` a loss, with arrays.
        attacks: As the records name them; left out where a network has fewer than two pairs.
        start: The attack that is shown first.
    """
    networks = []
    for record in records:
        loss, pairs = str(record.run.spec["network"]["loss"]), {}
        for attack in attacks:
            both = {metric: arms(record, attack, metric) for metric in METRIC_NAMES}
            if len(both["confidence"][0]) >= 2:
                pairs[attack] = {
                    metric: {
                        "normal": sorted(map(_short, normal)),
                        "attacked": sorted(map(_short, attacked)),
                        "auc": _short(auc(normal, attacked)),
                    }
                    for metric, (normal, attacked) in both.items()
                }
        networks.append({"name": style.name(loss), "colour": style.colour(loss), "pairs": pairs})
    first = min(1, len(records) - 1)
    data = {
        "kind": "thresholds",
        "networks": networks,
        "metrics": METRIC_NAMES | {"k_density": "log K-density"},
        "attacks": {attack: title(attack) for attack in attacks},
        "start": {"network": first, "attack": start, "metric": "k_density"},
    }
    return Explorer(_threshold_picture(records[first], start), data)


def _threshold_picture(record: Record, attack: str) -> Figure:
    """The first choice, without a threshold: histogram left, ROC curve right."""
    loss = str(record.run.spec["network"]["loss"])
    normal, attacked = arms(record, attack, "k_density")
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    if len(normal) >= 2:
        low, high = np.quantile(np.concatenate([normal, attacked]), [0.01, 1.0])
        edges = np.linspace(low, high, 25)
        for values, colour, name in ((normal, "#222222", "normal"), (attacked, style.colour(loss), title(attack))):
            shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
            left.stairs(shares, edges, color=colour, label=name, linewidth=1.4)
        grid = np.linspace(0.0, 1.0, 41)
        curve = roc(normal, attacked)
        label = f"AUC {auc(normal, attacked):.3f}"
        right.plot(grid, np.interp(grid, curve.fpr, curve.tpr), color=style.colour(loss), label=label)
        left.legend(fontsize="small")
        right.legend(fontsize="small", loc="lower right")
    left.set(xlabel="log K-density", ylabel="share of images", title=f"{style.name(loss)}, {title(attack)}")
    right.set(xlabel="attacked images kept", ylabel="normal images kept", title="ROC")
    for axes in (left, right):
        style.tidy(axes)
    return figure
