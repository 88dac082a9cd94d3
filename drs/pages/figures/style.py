"""One house style: one colour a loss everywhere, colour-blind safe (Okabe and Ito), vector graphics without dates."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drs.pages.figures.figured import each
from drs.study.metrics import ATTACKS, Metric

__all__ = ["CANVAS", "COLOURS", "NAMES", "apply", "attack", "bands", "colour", "name", "stairs", "tidy", "wrapped"]

COLOURS = {
    "ce": "#0072B2",
    "drs": "#D55E00",
    "rce": "#009E73",
    "label-smoothing": "#CC79A7",
    "confidence-penalty": "#E69F00",
    "logit-squeezing": "#56B4E9",
    "weight-decay": "#117733",
    "adversarial": "#444444",
    "gce": "#882255",
    "std-loss": "#999933",
    "mmc": "#332288",
}
"""Colour of each loss; everything else is grey."""

NAMES = {
    "ce": "CE",
    "drs": "DRS",
    "rce": "RCE",
    "label-smoothing": "label smoothing",
    "confidence-penalty": "confidence penalty",
    "logit-squeezing": "logit squeezing",
    "weight-decay": "weight decay",
    "adversarial": "adversarial training",
    "gce": "GCE",
    "std-loss": "STD",
    "mmc": "MMC",
}
"""Losses as the text calls them."""
_BY_NAME = {name: COLOURS[loss] for loss, name in NAMES.items()}

CANVAS = {
    "svg.hashsalt": "drs",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.dpi": 100,
    "savefig.dpi": 90,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


def apply() -> None:
    """Set the style for every figure that follows, in a notebook or a script."""
    import seaborn as sns

    sns.set_theme(context="notebook", style="ticks", font_scale=0.9, rc=CANVAS)


def colour(variant: str) -> str:
    """Colour of a loss, by its key or its name (``ce`` or ``CE``); grey for a variant of a loss."""
    return COLOURS.get(variant) or _BY_NAME.get(variant, "#777777")


def name(variant: str) -> str:
    """A loss as the text calls it; other variants by their own name."""
    return NAMES.get(variant, variant)


def attack(name: str) -> str:
    """An attack of the experiments on detection as the text calls it.

    >>> attack("bim@0.1"), attack("cw_hc")
    ('BIM, 0.1', 'C&W-hc')
    """
    found = Metric.parse(f"accuracy.{name}")
    return ATTACKS[found.attack] + ("" if found.budget is None else f", {found.budget:g}")


def bands(axes: Axes, frame: pd.DataFrame, x: str, y: str, *, size: float = 3.5, alpha: float = 0.2) -> None:
    """A line per loss with the interval over seeds as a band around it.

    Args:
        axes: Where to draw.
        frame: Columns ``loss`` (names), ``x``, ``y``, and ``from`` and ``to`` for the ends of the interval.
        x, y: Columns of the places and the values.
        size: Of the markers.
        alpha: Of the bands.
    """
    for loss, line in each(frame, "loss"):
        axes.plot(line[x], line[y], marker="o", markersize=size, color=colour(loss), label=loss)
        if line["from"].notna().any():
            axes.fill_between(line[x], line["from"], line["to"], color=colour(loss), alpha=alpha, linewidth=0)


def stairs(axes: Axes, bins: pd.DataFrame, value: str, *, color: str, label: str) -> None:
    """One histogram as steps, from a frame with the bins' ends ``from`` and ``to`` and their ``value``."""
    axes.stairs(bins[value], [*bins["from"], bins["to"].iloc[-1]], color=color, label=label, linewidth=1.4)


def wrapped(count: int, *, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    """A figure as wide as the page's text with one panel per attack or loss: more than three go into rows of two.

    Letters keep their size on the page, which shrinks a figure of more than 7 inches. The panels share both axes.
    """
    across = count if count <= 3 else 2
    down = math.ceil(count / across)
    width = 9.2 if across == 3 else 7.0
    figure = Figure(figsize=(width if across > 1 else 4.2, height * down), layout="constrained")
    panels = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    for empty in panels[count:]:
        empty.set_axis_off()
    return figure, panels[:count]


def tidy(axes: Axes, *, grid: bool = True) -> None:
    """No frame above and right, a light grid behind (unless there are many panels)."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(True, color="#999999", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
