"""The figure of the chapter on transfer, and what it says, from frames of the experiment ``whitebox``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.study.claims.base import main_architecture
from drs.study.metrics import column

__all__ = ["AREA", "EXTRA", "LOSSES", "pairs", "said", "transferred"]

LOSSES = ("ce", "rce", "drs")
EXTRA = "wrong beyond clean images"
"""Share of the examples that a target gets wrong, minus that of the images they were made of."""
AREA = "AUC of K-density"
"""On the target, normal images against all transferred examples."""


def pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Every substitute and target: :data:`EXTRA` and :data:`AREA`, means over seeds with their 95% intervals.

    A pair that was not measured has no row.
    """
    rows = main_architecture(frame)
    found: list[dict[str, object]] = []
    for substitute in LOSSES:
        made = rows[rows["network.loss"] == substitute]
        for target in LOSSES:
            wrong, clean, area = (column(n, loss=target) for n in ("transfer", "transfer_clean", "transfer_auc"))
            where = {"substitute": style.name(substitute), "target": style.name(target)}
            measured = made.reindex(columns=[wrong, clean, area])
            extra, areas = (measured[wrong] - measured[clean]).dropna(), measured[area].dropna()
            for panel, values, low in ((EXTRA, extra, -1.0), (AREA, areas, 0.0)):
                if len(values):
                    found.append({"panel": panel, **where, **interval("mean", values, low=low, high=1.0)})
    return pd.DataFrame(found, columns=["panel", "substitute", "target", "mean", "from", "to"])


def transferred(frame: pd.DataFrame) -> Figured:
    """Two maps of :func:`pairs`, substitutes by targets: each cell has its mean, and below it the interval."""
    drawn = pairs(frame)
    drawn = pd.concat([drawn[drawn["panel"] == EXTRA], drawn[drawn["panel"] == AREA]])
    names = [style.name(loss) for loss in LOSSES]
    figure = Figure(figsize=(7.0, 3.1), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, (panel, cells) in zip(panels, each(drawn, "panel")):
        values = cells.pivot(index="substitute", columns="target", values="mean").reindex(index=names, columns=names)
        top = 1.0 if panel == AREA else max(0.5, float(cells["mean"].max()))
        axes.pcolormesh(values.to_numpy(float), cmap="cividis", vmin=0.0, vmax=top)
        for cell in cells.dropna(subset="mean").to_dict("records"):
            sign = "+" if panel == EXTRA else ""
            text = f"{_rounded(cell['mean']):{sign}.2f}"
            if cell["from"] == cell["from"]:
                text += f"\n[{_rounded(cell['from']):.2f}, {_rounded(cell['to']):.2f}]"
            dark = cell["mean"] < 0.55 * top
            place = (names.index(cell["target"]) + 0.5, names.index(cell["substitute"]) + 0.5)
            axes.text(*place, text, ha="center", va="center", fontsize=8, color="w" if dark else "k")
        axes.set_xticks(np.arange(len(names)) + 0.5, names)
        axes.set_yticks(np.arange(len(names)) + 0.5, names)
        axes.invert_yaxis()
        axes.set_xlabel("shown to (target)")
        axes.set_title(panel)
        axes.tick_params(length=0)
    panels[0].set_ylabel("made on (substitute)")
    return Figured(figure=figure, frame=drawn, places=("substitute",), series=("target",), panel=("panel",))


def said(frame: pd.DataFrame) -> str:
    """The pairs that transfer most and least, and where examples are easiest to find, as sentences with numbers."""
    found = pairs(frame)
    extra, area = (found[found["panel"] == panel].dropna(subset="mean").sort_values("mean") for panel in (EXTRA, AREA))
    if extra.empty or area.empty:
        return "No pair was measured."

    def pair(row: pd.Series) -> str:
        return f"{row['substitute']} to {row['target']}"

    least, most, seen = extra.iloc[0], extra.iloc[-1], area.iloc[-1]
    above = ", ".join(pair(row) for _, row in extra[extra["from"] > 0.0].iterrows()) or "none"
    return (
        f"Most transfers from {pair(most)} ({_rounded(most['mean']):+.2f}), least from {pair(least)} "
        f"({_rounded(least['mean']):+.2f}). Pairs whose whole interval lies above zero: {above}. K-density finds the "
        f"examples best from {pair(seen)}, with an AUC of {seen['mean']:.2f}."
    )


def _rounded(value: float) -> float:
    """Two digits; a small negative number is 0 and not -0.

    >>> _rounded(-0.003), _rounded(0.256)
    (0.0, 0.26)
    """
    return round(value, 2) + 0.0
