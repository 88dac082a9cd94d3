"""Figures of the front page and of the page of claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each
from drs.pages.figures.knowing import SHARE
from drs.pages.verdicts import look, ordered
from drs.study.metrics import DETECTORS, column

__all__ = ["Row", "forest", "normalised", "undetected"]

REACH = 1.0
"""Half of the forest's width: the far end of every interval lies here at most."""


class Row(NamedTuple):
    """One line of a forest plot; ``low`` to ``high`` is the interval, ``least`` to ``most`` the claim's side."""

    group: str
    claim: str
    verdict: str
    number: str
    estimate: float
    low: float
    high: float
    least: float
    most: float


def normalised(row: Row) -> tuple[float, float, float]:
    """Estimate and interval on the common axis: 0 is the threshold, right of it the claim's side, the far end at 1.

    A claim that asks for a number between two counts from the nearer of them, inwards.

    >>> normalised(Row("", "", "", "", 0.5, 0.25, 0.75, 0.5, float("inf")))
    (0.0, -1.0, 1.0)
    >>> normalised(Row("", "", "", "", 0.75, 0.5, 1.25, -float("inf"), 0.25))
    (-0.5, -0.25, -1.0)
    """
    ends = [value if np.isfinite(value) else row.estimate for value in (row.estimate, row.low, row.high)]
    inside = [float(min(value - row.least, row.most - value)) for value in ends]
    middle = (row.least + row.most) / 2
    if row.low < middle < row.high:  # of two numbers: the interval reaches as far in as it can
        inside[1] = max(inside[1], row.most - middle)
        inside[2] = min(inside[2], float(min(row.low - row.least, row.most - row.high)))
    longest = max(abs(value) for value in inside) or 1.0
    estimate, low, high = (value / longest * REACH for value in inside)
    return estimate, low, high


def forest(rows: Sequence[Row]) -> Figured:
    """Every claim as a line of its own: the estimate with its interval against the threshold of its rule.

    The quantities have different units, so each line has its own scale: the threshold lies in the middle, what the
    claim says to the right of it, and the farther end of the interval at the edge. A claim whose rule names no single
    number has its mark in the margin only.
    """
    drawn = pd.DataFrame([row._asdict() for row in rows])
    groups = list(each(drawn, "group"))
    heights = [len(lines) + 0.3 for _, lines in groups]
    total = sum(heights)
    figure = Figure(figsize=(7.1, 0.28 * total + 0.42 * len(groups) + 0.8))
    figure.set_layout_engine("tight")
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, lines) in zip(panels, groups):
        axes.axvline(0, color="#777777", linewidth=1)
        axes.axvspan(0, 1.12, color="#777777", alpha=0.08, linewidth=0)
        for height, line in enumerate(lines.itertuples(index=False)):
            row = Row(*line)
            shape = look(row.verdict)
            axes.text(-1.42, height, row.claim, va="center", ha="right", fontsize=9)
            axes.plot([-1.28], [height], shape.marker, color=shape.colour, markersize=7, clip_on=False)
            if np.isfinite(row.estimate) and (np.isfinite(row.least) or np.isfinite(row.most)):
                estimate, low, high = normalised(row)
                axes.plot([low, high], [height, height], color=shape.colour, linewidth=2, solid_capstyle="butt")
                axes.plot([estimate], [height], shape.marker, color=shape.colour, markersize=7)
            axes.text(1.18, height, row.number, va="center", fontsize=8.5)
        axes.set_yticks([])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_xlim(-1.12, 1.12)
        axes.set_xticks([])
        axes.set_title(group, fontsize=9.5, loc="left")
        axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    panels[-1].set_xlabel("against the claim  ←  threshold of the rule  →  for the claim", fontsize=9)
    handles = [
        panels[0].plot([], [], look(word).marker, color=look(word).colour, label=word)[0]
        for word in ordered(drawn["verdict"])
    ]
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=9, bbox_to_anchor=(0.5, 1.0))
    values = drawn.rename(columns={"number": "ours", "least": "rule: from", "most": "rule: to"})
    kept = values[["group", "claim", "verdict", "ours", "rule: from", "rule: to"]]
    return Figured(figure=figure, frame=kept, places=("claim",), panel=("group",))


def undetected(frame: pd.DataFrame, loss: str, budget: float) -> Figured:
    """Share of images misclassified and accepted behind one loss: attacks that do not know the detector against all
    attacks together, per detector; bars are means over seeds, dots the seeds.

    Args:
        frame: Records of the experiment ``adaptive``.
        loss: Key of the loss.
        budget: Of the attacks.
    """
    rows = []
    for metric, detector in DETECTORS.items():
        for attack, said in {"blind": "does not know the detector", "union": "knows the detector"}.items():
            number = column("undetected", detector=metric, attack=attack, budget=budget)
            seeds = frame.loc[frame["network.loss"] == loss, number].dropna()
            if len(seeds):
                rows.append({"detector": detector, "attacker": said, SHARE: seeds.mean(), "seeds": tuple(seeds)})
    drawn = pd.DataFrame(rows)
    figure = Figure(figsize=(7, 3.1), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(drawn["detector"]))
    colours = {"does not know the detector": "#56B4E9", "knows the detector": "#B3261E"}
    for shift, (attacker, cells) in enumerate(each(drawn, "attacker")):
        places = [names.index(name) + (shift - 0.5) * 0.36 for name in cells["detector"]]
        axes.bar(places, cells[SHARE], width=0.32, color=colours[attacker], label=attacker)
        for place, seeds, mean in zip(places, cells["seeds"], cells[SHARE]):
            axes.plot([place] * len(seeds), seeds, ".", color="#262626", markersize=5)
            axes.text(place + 0.02, max(*seeds, mean) + 0.03, f"{mean:.0%}", ha="center", fontsize=9.5)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 1.19)
    axes.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.set_ylabel("fooled and not noticed")
    style.tidy(axes)
    figure.legend(loc="outside upper center", ncols=2)
    return Figured(figure=figure, frame=drawn, places=("detector",), series=("attacker",))
