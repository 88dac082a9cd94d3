"""Figures that a reader can move: a picture for where no script runs, and the data that the site's script draws.

The script is ``book/_explorer/explorer.js``; a code host or a printed page shows the picture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.catalog import PUBLISHED_WEIGHT
from drs.pages.figures import style
from drs.pages.figures.drs import epsilons, under
from drs.pages.figures.figured import NARROW, Figured, each, interval
from drs.pages.figures.rce import arms, loss_of, shares
from drs.study.experiments.grids import CURVE_ATTACKS
from drs.study.experiments.networks import WEIGHTS
from drs.study.metrics import DETECTORS, label
from drs.study.records import Record

__all__ = ["MIME", "Explorer", "threshold_explorer", "weight_explorer"]

MIME = "application/vnd.drs.explorer+json"
"""What a notebook keeps the data under, next to the picture."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Explorer(Figured):
    """A picture of the first choice, and the data behind it in all its choices."""

    data: dict[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, **options: object) -> dict[str, Any]:
        kept = super()._repr_mimebundle_(**options) | {MIME: self.data}
        kept.pop(NARROW, None)  # on a phone, too, the script draws in place of the picture
        return kept


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
        "attacks": {attack: label(attack) for attack in attacks},
        "cells": cells,
        "seeds": [len(rows) for rows in found.values()],
        "finished": [int(rows[under("worst", 0.0)].notna().sum()) for rows in found.values()],
        "start": {"weight": list(found).index(PUBLISHED_WEIGHT), "epsilon": min(4, len(budgets) - 1)},
        "colours": {"weight": style.colour("drs"), "reference": style.colour("ce")},
        "names": {"weight": style.name("drs"), "reference": style.name("ce")},
    }
    drawn = pd.DataFrame(
        [
            {"weight b": weight, "epsilon": epsilon, "accuracy": cell[0] if cell else np.nan}
            for weight, line in zip(found, cells["worst"])
            for epsilon, cell in zip(budgets, line)
        ]
    )
    values = drawn["accuracy"].to_numpy(float).reshape(len(found), len(budgets))
    figure = Figure(figsize=(1.6 + 0.62 * len(budgets), 1.4 + 0.42 * len(found)), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(values, cmap="cividis", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "w" if value < 0.55 else "k"
            axes.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(np.arange(len(budgets)) + 0.5, [f"{e:g}" for e in budgets])
    axes.set_yticks(np.arange(len(found)) + 0.5, [f"{w:g}" for w in found])
    axes.set(xlabel="epsilon", ylabel="weight b", title="worst case")
    figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.01, label="accuracy")
    return Explorer(figure=figure, frame=drawn, places=("weight b",), series=("epsilon",), data=data)


def _cell(rows: pd.DataFrame, attack: str, epsilon: float) -> list[float | None] | None:
    """Mean over seeds and the ends of its interval (None where there is none); None where no training finished."""
    values = rows[under(attack, epsilon)].dropna()
    if not len(values):
        return None
    found = interval("mean", values, low=0.0, high=1.0)
    return [_rounded(value) if np.isfinite(value) else None for value in found.values()]


def _rounded(value: float) -> float:
    """Six significant digits, which keep the page light."""
    return float(f"{value:.6g}")


def threshold_explorer(records: Sequence[Record], attacks: Sequence[str], start: str = "bim@0.1") -> Explorer:
    """Histogram and ROC curve of one detector under one attack, with a threshold to move.

    Args:
        records: One record of the experiment ``detection`` per loss, with arrays.
        attacks: As the records name them; left out where a network has fewer than two pairs.
        start: The attack that is shown first.
    """
    from drs.detection import auc

    networks = []
    for record in records:
        pairs = {}
        for attack in attacks:
            both = {metric: arms(record, attack, metric) for metric in DETECTORS}
            if len(both["confidence"][0]) >= 2:
                pairs[attack] = {
                    metric: {
                        "normal": sorted(map(_rounded, normal)),
                        "attacked": sorted(map(_rounded, attacked)),
                        "auc": _rounded(auc(normal, attacked)),
                    }
                    for metric, (normal, attacked) in both.items()
                }
        networks.append({"name": loss_of(record), "colour": style.colour(loss_of(record)), "pairs": pairs})
    first = min(1, len(records) - 1)
    data = {
        "kind": "thresholds",
        "networks": networks,
        "metrics": DETECTORS | {"k_density": "log K-density"},
        "attacks": {attack: style.attack(attack) for attack in attacks},
        "start": {"network": first, "attack": start, "metric": "k_density"},
    }
    figure, drawn = _threshold_picture(records[first], start)
    places = ("from", "to", "attacked images kept")
    return Explorer(figure=figure, frame=drawn, places=places, series=("images",), panel=("panel",), data=data)


def _threshold_picture(record: Record, attack: str) -> tuple[Figure, pd.DataFrame]:
    """The first choice, without a threshold: histogram left, ROC curve right."""
    from drs.detection import auc, roc

    loss, name = loss_of(record), style.attack(attack)
    normal, attacked = arms(record, attack, "k_density")
    drawn = pd.DataFrame(columns=["panel", "images", "from", "to", "attacked images kept", "share of images"])
    if len(normal) >= 2:
        low, high = np.quantile(np.concatenate([normal, attacked]), [0.01, 1.0])
        edges, grid, curve = np.linspace(low, high, 25), np.linspace(0.0, 1.0, 41), roc(normal, attacked)
        kept = {"attacked images kept": grid, "share of images": np.interp(grid, curve.fpr, curve.tpr)}
        drawn = pd.concat(
            [
                pd.DataFrame({"panel": "log K-density", "images": "normal"} | shares(normal, edges)),
                pd.DataFrame({"panel": "log K-density", "images": name} | shares(attacked, edges)),
                pd.DataFrame({"panel": f"ROC, AUC {auc(normal, attacked):.3f}", "images": "normal"} | kept),
            ]
        )
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for panel, rows in each(drawn, "panel"):
        if panel == "log K-density":
            for images, bins in each(rows, "images"):
                colour = "#222222" if images == "normal" else style.colour(loss)
                style.stairs(left, bins, "share of images", color=colour, label=images)
            left.legend(fontsize="small")
        else:
            x, y = rows["attacked images kept"], rows["share of images"]
            right.plot(x, y, color=style.colour(loss), label=panel.removeprefix("ROC, "))
            right.legend(fontsize="small", loc="lower right")
    left.set(xlabel="log K-density", ylabel="share of images", title=f"{loss}, {name}")
    right.set(xlabel="attacked images kept", ylabel="normal images kept", title="ROC")
    for axes in (left, right):
        style.tidy(axes)
    return figure, drawn
