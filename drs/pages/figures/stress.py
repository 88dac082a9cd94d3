"""Figures of the chapters on cost and on stronger attacks, drawn from frames of records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.study.metrics import column, columns

__all__ = [
    "ATTACKS",
    "CONTENDERS",
    "TELLING",
    "accuracies",
    "budgets_of",
    "convergence",
    "cost",
    "every_attack",
    "temperature",
    "under_each",
    "work",
]

ATTACKS = {
    "fgsm": "FGSM",
    "ce": "PGD, cross-entropy",
    "scaled_ce": "PGD, scaled cross-entropy",
    "dlr": "PGD, DLR",
    "margin": "PGD, margin",
    "targeted": "PGD, every target",
    "transfer": "transfer",
    "noise": "noise, worst draw",
    "square": "Square (no gradient)",
    "white": "worst of the gradients",
    "strong_worst": "worst of all",
}
"""Attacks of the chapter from weak to strong, as the text calls them."""
TELLING = ("ce", "margin", "square", "strong_worst")
"""Those that the figure shows: the usual attack, the one that cannot saturate, the one without a gradient, and all."""
CONTENDERS = {"ce": "CE", "drs": "DRS", "naive": "loop over samples"}


def budgets_of(frame: pd.DataFrame) -> list[float]:
    """Budgets at which a frame holds the worst case over every attack, in increasing order."""
    return [metric.budget for metric in columns(frame, "strong_worst").values() if metric.budget is not None]


def accuracies(frame: pd.DataFrame, attacks: Sequence[str]) -> pd.DataFrame:
    """Accuracy at every budget of every variant under each attack: mean over seeds, 95% interval cut to [0, 1]."""
    return pd.DataFrame(
        [
            {"budget": f"epsilon {budget:g}", "loss": style.name(variant), "attack": ATTACKS[name]}
            | interval("accuracy", rows[column(name, budget=budget)], low=0.0, high=1.0)
            for budget in budgets_of(frame)
            for variant, rows in each(frame, "variant")
            for name in attacks
        ]
    )


def every_attack(frame: pd.DataFrame, attacks: Sequence[str] = TELLING) -> Figured:
    """Accuracy under some attacks: one panel per budget, one colour per variant, mean over seeds and 95% interval."""
    drawn = accuracies(frame, attacks)
    budgets = budgets_of(frame)
    figure = Figure(figsize=(7.0, 1.6 + 0.8 * len(attacks)), layout="constrained")
    panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
    places = np.arange(len(attacks))[::-1]
    for axes, (budget, lines) in zip(panels, each(drawn, "budget")):
        losses = list(each(lines, "loss"))
        for number, (loss, cells) in enumerate(losses):
            where = places - (number - (len(losses) - 1) / 2) * 0.12
            colour = style.colour(loss)
            axes.plot(cells["accuracy"], where, "o", markersize=4, color=colour, label=loss)
            if cells["from"].notna().any():  # one broken line: hundreds of separate ones would make a heavy file
                ends = cells.assign(gap=np.nan)[["from", "to", "gap"]].to_numpy(float).ravel()
                axes.plot(ends, np.repeat(where, 3), color=colour, alpha=0.5, linewidth=1.2)
        if attacks[-1] == "strong_worst":
            axes.axhline(0.5, color="#999999", linewidth=0.8)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_title(budget)
        axes.set_xlabel("accuracy")
        style.tidy(axes)
    panels[0].set_yticks(places, [ATTACKS[name] for name in attacks])
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Figured(figure=figure, frame=drawn, places=("attack",), series=("loss",), panel=("budget",))


def under_each(frame: pd.DataFrame, budget: float) -> pd.DataFrame:
    """The numbers of all attacks at one budget as text: one row per attack, one column per variant."""
    found = accuracies(frame, tuple(ATTACKS))
    found = found[found["budget"] == f"epsilon {budget:g}"]
    told = [
        f"{row['accuracy']:.2f}" + (f" [{row['from']:.2f}, {row['to']:.2f}]" if row["from"] == row["from"] else "")
        for row in found.to_dict("records")
    ]
    wide = found.assign(told=told).pivot(index="attack", columns="loss", values="told")
    return wide.reindex(index=list(ATTACKS.values()), columns=list(dict.fromkeys(found["loss"])))


def _seeds(frame: pd.DataFrame, head: str, place: str) -> pd.DataFrame:
    """Accuracy against the number in its name: mean and interval over the seeds of each variant."""
    return pd.DataFrame(
        [
            {"loss": style.name(variant), place: metric.number, **interval("accuracy", rows[name], low=0.0, high=1.0)}
            for variant, rows in each(frame, "variant")
            for name, metric in columns(frame, head).items()
        ]
    )


def _curves(axes: Axes, lines: pd.DataFrame, place: str, label: str, *, log: bool) -> None:
    places = sorted(lines[place].unique())
    axes.set_xscale("log" if log else "linear")
    axes.set_xticks(places, [f"{number:g}" for number in places])
    axes.minorticks_off()
    style.bands(axes, lines, place, "accuracy", alpha=0.15)
    axes.set_ylim(0, 1.02)
    style.tidy(axes)
    axes.set_xlabel(label)


def convergence(frame: pd.DataFrame) -> Figured:
    """Accuracy against steps on cross-entropy, steps on the margin, and restarts on the margin."""
    shown = {
        "steps, cross-entropy": "ce_steps",
        "steps, margin": "margin_steps",
        "restarts, margin": "margin_restarts",
    }
    drawn = pd.concat(_seeds(frame, head, "number").assign(panel=panel) for panel, head in shown.items())
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True)
    for axes, (panel, lines) in zip(panels, each(drawn, "panel")):
        _curves(axes, lines, "number", panel, log=panel.startswith("steps"))
    panels[0].set_ylabel("accuracy")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Figured(figure=figure, frame=drawn, places=("number",), series=("loss",), panel=("panel",))


def temperature(frame: pd.DataFrame) -> Figured:
    """Accuracy under PGD on cross-entropy against the number that the logits are divided by."""
    drawn = _seeds(frame, "temperature", "temperature")
    figure = Figure(figsize=(6.2, 3.2), layout="constrained")
    axes = figure.subplots()
    _curves(axes, drawn, "temperature", "temperature T of the attacked network, logits / T", log=True)
    axes.set_ylabel("accuracy")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return Figured(figure=figure, frame=drawn, places=("temperature",), series=("loss",))


def work(row: pd.Series) -> str:
    """What a record of the experiment ``cost`` timed: a training step, or the loss of logits of some shape."""
    if row["kind"] == "training":
        return {"small_conv": "SmallConvNet step", "resnet": "ResNet step"}.get(str(row["model"]), str(row["model"]))
    tokens = f"{int(row['tokens'])}, " if row["tokens"] > 1 else ""
    return f"({int(row['batch'])}, {tokens}{int(row['classes'])})"


def cost(frame: pd.DataFrame) -> Figured:
    """Time over that of cross-entropy, with intervals: the loss alone (logarithmic) and a training step.

    Where a contender was not timed, the frame and the place of its bar are empty.
    """
    panels = {"loss": "loss alone, forward and backward", "training": "training step"}
    ratio = "time, cross-entropy = 1"
    drawn = pd.DataFrame(
        [
            {"panel": panels[str(row["kind"])], "work": work(row), "contender": contender, ratio: 1.0}
            | (
                {}
                if name == "ce"
                else {ratio: row[f"{name}_ratio"], "from": row[f"{name}_ratio_low"], "to": row[f"{name}_ratio_high"]}
            )
            for _, row in frame.iterrows()
            for name, contender in CONTENDERS.items()
            if row["kind"] == "loss" or name != "naive"
        ]
    )
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for axes, panel in zip((left, right), panels.values()):
        rows = drawn[drawn["panel"] == panel]
        contenders = list(each(rows, "contender"))
        for place, (contender, bars) in enumerate(contenders):
            values, low, high = bars[[ratio, "from", "to"]].to_numpy(float).T
            where = np.arange(len(bars)) + (place - (len(contenders) - 1) / 2) * 0.27
            axes.bar(where, values, 0.25, color=style.colour(contender), label=contender)
            if contender != "CE":
                errors = np.stack([values - low, high - values])
                axes.errorbar(where, values, errors, fmt="none", ecolor="#222222", elinewidth=1, capsize=2)
                for x, y, top in zip(where, values, high):
                    if np.isfinite(y):
                        text = f"{y:.3g}"
                        axes.annotate(text, (x, top), (0, 2), textcoords="offset points", ha="center", fontsize=8.6)
        names = list(dict.fromkeys(rows["work"]))
        axes.set_xticks(range(len(names)), [name.replace(" step", "\nstep") for name in names], fontsize="small")
        axes.set_title(panel)
        style.tidy(axes)
    left.set_yscale("log")
    left.set_ylim(bottom=0.5)
    left.set_yticks([1, 10, 100], ["1", "10", "100"])  # powers would stand in letters too small to read
    left.set_ylabel(ratio)
    left.legend(fontsize="small", loc="upper left")
    return Figured(figure=figure, frame=drawn, places=("work",), series=("contender",), panel=("panel",))
