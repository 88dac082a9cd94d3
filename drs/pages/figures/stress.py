"""Figures and tables of the chapters on cost and on stronger attacks, drawn from frames of records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drs.evaluation.alarms import fired
from drs.pages.figures import style
from drs.statistics import mean_interval
from drs.study.claims.evaluation import alarm_metrics
from drs.study.measured import at_budgets, measured

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
CONTENDERS = {"ce": "CE", "drs": "DRS", "naive": "loop over samples"}


def variants_of(frame: pd.DataFrame) -> list[str]:
    """Variants in the order in which they first appear."""
    return list(dict.fromkeys(frame["variant"]))


def every_attack(frame: pd.DataFrame) -> Figure:
    """Accuracy under every attack: a panel a budget, a colour a variant, the mean over seeds with its 95% interval."""
    variants, budgets = variants_of(frame), budgets_of(frame)
    figure = Figure(figsize=(2.9 * len(budgets) + 3.2, 5.6), layout="constrained")
    panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
    places = np.arange(len(ATTACKS))[::-1]
    for axes, budget in zip(panels, budgets):
        for number, variant in enumerate(variants):
            rows = frame[frame["variant"] == variant]
            cells = [mean_interval(rows[f"{name}@{budget:g}"].to_numpy(float)) for name in ATTACKS]
            where = places - (number - (len(variants) - 1) / 2) * 0.12
            colour = style.colour(variant)
            axes.plot([c.mean for c in cells], where, "o", markersize=4, color=colour, label=style.name(variant))
            if len(rows) > 1:  # one broken line: hundreds of separate ones would make a heavy file
                ends = np.array([(c.low, c.high, np.nan) for c in cells]).ravel()
                axes.plot(ends, np.repeat(where, 3), color=colour, alpha=0.5, linewidth=1.2)
        axes.axhline(1.5, color="#999999", linewidth=0.8)
        axes.set_xlim(-0.03, 1.03)
        axes.set_title(f"epsilon {budget:g}")
        axes.set_xlabel("accuracy")
        style.tidy(axes)
    panels[0].set_yticks(places, list(ATTACKS.values()), fontsize="small")
    panels[-1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def budgets_of(frame: pd.DataFrame) -> list[float]:
    """Budgets at which a frame holds the worst case over every attack, in increasing order."""
    return list(at_budgets({str(column): 0.0 for column in frame.columns}, "strong_worst"))


def _numbers(frame: pd.DataFrame, prefix: str) -> list[float]:
    found = [str(c).removeprefix(prefix) for c in frame.columns if str(c).startswith(prefix)]
    return sorted(float(number) for number in found)


def _curve(axes: Axes, frame: pd.DataFrame, prefix: str, *, log: bool) -> None:
    """Accuracy against the number behind ``prefix``: a line a variant, the interval over seeds as a band."""
    numbers = _numbers(frame, prefix)
    axes.set_xscale("log" if log else "linear")
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.minorticks_off()
    for variant in variants_of(frame):
        rows = frame[frame["variant"] == variant]
        cells = [mean_interval(rows[f"{prefix}{number:g}"].to_numpy(float)) for number in numbers]
        colour = style.colour(variant)
        axes.plot(numbers, [c.mean for c in cells], "o-", markersize=3.5, color=colour, label=style.name(variant))
        if len(rows) > 1:
            low, high = [max(0.0, c.low) for c in cells], [min(1.0, c.high) for c in cells]
            axes.fill_between(numbers, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_ylim(0, 1.02)
    style.tidy(axes)


def convergence(frame: pd.DataFrame) -> Figure:
    """Accuracy against steps on cross-entropy, steps on the margin, and restarts on the margin."""
    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    shown = (
        ("ce_steps_", "steps, cross-entropy"),
        ("margin_steps_", "steps, margin"),
        ("margin_restarts_", "restarts, margin"),
    )
    for axes, (prefix, title) in zip(panels, shown):
        _curve(axes, frame, prefix, log="steps" in prefix)
        axes.set_xlabel(title)
    panels[0].set_ylabel("accuracy")
    panels[-1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def temperature(frame: pd.DataFrame) -> Figure:
    """Accuracy under PGD on cross-entropy against the number that the logits are divided by."""
    figure = Figure(figsize=(6.2, 3.2), layout="constrained")
    axes = figure.subplots()
    _curve(axes, frame, "temperature_", log=True)
    axes.set_xlabel("temperature T of the attacked network, logits / T")
    axes.set_ylabel("accuracy")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _label(row: pd.Series) -> str:
    if row["kind"] == "training":
        return {"small_conv": "SmallConvNet\nstep", "resnet": "ResNet\nstep"}.get(str(row["model"]), str(row["model"]))
    tokens = f"{int(row['tokens'])}, " if row["tokens"] > 1 else ""
    return f"({int(row['batch'])}, {tokens}{int(row['classes'])})"


def cost(frame: pd.DataFrame) -> Figure:
    """Time over that of cross-entropy, with intervals: the loss alone (logarithmic) and a training step."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for axes, kind in ((left, "loss"), (right, "training")):
        rows = frame[frame["kind"] == kind]
        names = [name for name in CONTENDERS if kind == "loss" or name != "naive"]
        for place, name in enumerate(names):
            values, errors = _ratios(rows, name)
            where = np.arange(len(rows)) + (place - (len(names) - 1) / 2) * 0.27
            axes.bar(where, values, 0.25, color=style.colour(name), label=CONTENDERS[name])
            if name != "ce":
                axes.errorbar(where, values, errors, fmt="none", ecolor="#222222", elinewidth=1, capsize=2)
                for x, y, up in zip(where, values, errors[1]):
                    if np.isfinite(y):
                        text = f"{y:.3g}"
                        axes.annotate(text, (x, y + up), (0, 2), textcoords="offset points", ha="center", fontsize=7)
        axes.set_xticks(range(len(rows)), [_label(row) for _, row in rows.iterrows()], fontsize="small")
        style.tidy(axes)
    left.set_yscale("log")
    left.set_ylim(bottom=0.5)
    left.set_ylabel("time, cross-entropy = 1")
    left.set_title("loss alone, forward and backward")
    right.set_title("training step")
    left.legend(fontsize="small", loc="upper left")
    return figure


def _ratios(rows: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Ratios (rows,) and the distances to the ends of their intervals (2, rows); NaN where there is none."""
    if name == "ce":
        return np.ones(len(rows)), np.zeros((2, len(rows)))
    columns = [f"{name}_ratio", f"{name}_ratio_low", f"{name}_ratio_high"]
    middle, low, high = rows.reindex(columns=columns).to_numpy(float).T
    return middle, np.stack([middle - low, high - middle])


def cost_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds, time ratio with its interval and memory ratio of every shape and network."""
    table = {}
    for _, row in frame.iterrows():
        interval = f"{row['drs_ratio']:.3f} [{row['drs_ratio_low']:.3f}, {row['drs_ratio_high']:.3f}]"
        loop = row.get("naive_ratio", np.nan)
        table[_label(row).replace("\n", " ")] = {
            "CE, ms": f"{row['ce_milliseconds']:.3g}",
            "DRS, ms": f"{row['drs_milliseconds']:.3g}",
            "DRS / CE": interval,
            "loop / CE": f"{loop:.3g}" if loop == loop else "not run",
            "memory, DRS / CE": f"{row['memory_ratio']:.3f}",
        }
    return pd.DataFrame.from_dict(table, orient="index")


def alarm_table(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """On how many of a variant's networks each alarm fired, a row an alarm, a column a variant."""
    table: dict[str, dict[str, str]] = {}
    for variant in variants_of(frame):
        rows = frame[frame["variant"] == variant].to_dict("records")
        heard = [fired(measured(alarm_metrics(row))) for row in rows]
        counts = {name: sum(name in one for one in heard) for name in names}
        cells = {name: f"**{n} of {len(rows)}**" if n else f"0 of {len(rows)}" for name, n in counts.items()}
        quiet = sum(not one for one in heard)
        table[style.name(variant)] = cells | {"no alarm at all": f"{quiet} of {len(rows)}"}
    return pd.DataFrame(table)
