"""Figures of attackers who know the detector, and what they say, from frames of the experiment ``adaptive``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.statistics import crossed_interval, mean_interval
from drs.study.metrics import DETECTORS, column, columns
from drs.study.records import Record

__all__ = ["ATTACKERS", "LOSSES", "SHARE", "by_attack", "over_budget", "said", "twice"]

LOSSES = ("ce", "rce", "drs")
ATTACKERS = {
    "blind": "ignores the test",
    "selective": "selective",
    "orthogonal": "orthogonal",
    "joint": "joint",
    "union": "all of them",
}
"""Attacks of the records as the figures call them; the last is the union of the others, image by image."""
SHARE = "misclassified and accepted"


def by_attack(frame: pd.DataFrame, budget: float) -> Figured:
    """Share misclassified and accepted under each attack at a budget, one panel per detector, one colour per loss: each
    seed (dots) and their mean (line)."""
    rows = []
    for metric, detector in DETECTORS.items():
        for loss in LOSSES:
            for attack, said in ATTACKERS.items():
                number = column("undetected", detector=metric, attack=attack, budget=budget)
                seeds = frame[frame["network.loss"] == loss].get(number, pd.Series(dtype=float)).dropna()
                where = {"detector": detector, "loss": style.name(loss), "attacker": said}
                if len(seeds):
                    rows.append(where | {SHARE: seeds.mean(), "seeds": tuple(seeds)})
    drawn = pd.DataFrame(rows)
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    panels = figure.subplots(1, len(DETECTORS), sharey=True)
    names = list(ATTACKERS.values())
    for axes, detector in zip(panels, DETECTORS.values()):
        for shift, loss in enumerate(map(style.name, LOSSES)):
            colour = style.colour(loss)
            for cell in drawn[(drawn["detector"] == detector) & (drawn["loss"] == loss)].to_dict("records"):
                x = names.index(cell["attacker"]) + (shift - 1) * 0.2
                axes.plot([x] * len(cell["seeds"]), cell["seeds"], ".", color=colour, alpha=0.5)
                axes.plot([x - 0.08, x + 0.08], [cell[SHARE]] * 2, color=colour, linewidth=2)
            axes.plot([], [], color=colour, label=loss, linewidth=2)
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
        axes.set_title(detector)
        axes.set_ylim(-0.02, 1.02)
        style.tidy(axes)
    panels[0].set_ylabel(SHARE)
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right upper")
    return Figured(figure=figure, frame=drawn, places=("attacker",), series=("loss",), panel=("detector",))


def _over_budget(frame: pd.DataFrame) -> pd.DataFrame:
    """Of each detector, and of none, and of each loss: the share that all attacks together get through, by budget."""
    rows: list[dict[str, object]] = []
    for loss in LOSSES:
        networks = frame[frame["network.loss"] == loss]
        if networks.empty:
            continue
        budgets = [metric.budget for metric in columns(frame, "worst").values() if metric.budget is not None]
        every = {"no test": {0.0: 1.0 - networks[column("accuracy")]}}
        every["no test"] |= {e: 1.0 - networks[column("worst", budget=e)] for e in budgets}
        for metric, detector in DETECTORS.items():
            every[detector] = {0.0: networks[column("undetected", detector=metric, attack="clean")]}
            union = {e: column("undetected", detector=metric, attack="union", budget=e) for e in budgets}
            every[detector] |= {e: networks[name] for e, name in union.items()}
        for detector, values in every.items():
            for epsilon, seeds in values.items():
                found = interval(SHARE, seeds, low=0.0, high=1.0)
                rows.append({"detector": detector, "loss": style.name(loss), "epsilon": epsilon, **found})
    return pd.DataFrame(rows)


def over_budget(frame: pd.DataFrame) -> Figured:
    """What all attacks together get misclassified and accepted over epsilon, one panel per detector: mean over seeds
    with 95% interval; dashed, what they get misclassified where there is no detector."""
    drawn = _over_budget(frame)
    figure, panels = style.wrapped(len(DETECTORS), height=3.1)
    for axes, detector in zip(panels, DETECTORS.values()):
        style.bands(axes, drawn[drawn["detector"] == detector], "epsilon", SHARE, size=3)
        for loss, line in each(drawn[drawn["detector"] == "no test"], "loss"):
            axes.plot(line["epsilon"], line[SHARE], color=style.colour(loss), linestyle="--", linewidth=1)
        axes.set_title(detector)
        axes.set_xlabel("epsilon")
        axes.set_ylim(-0.02, 1.02)
        style.tidy(axes)
    panels[0].set_ylabel(SHARE)
    handles, names = panels[0].get_legend_handles_labels()
    dashed = Line2D([], [], color="#555555", linestyle="--", linewidth=1)
    figure.legend([*handles, dashed], [*names, "no test"], loc="outside upper center", ncols=4)
    return Figured(figure=figure, frame=drawn, places=("epsilon",), series=("loss",), panel=("detector",))


def said(frame: pd.DataFrame, loss: str = "rce") -> str:
    """How much of what the attacks break the best detector of a loss stops, at each budget, in one sentence."""
    drawn = _over_budget(frame[frame["network.loss"] == loss])
    parts = []
    for epsilon, cells in drawn[drawn["epsilon"] > 0].groupby("epsilon"):
        shares = dict(zip(cells["detector"], cells[SHARE]))
        without = shares.pop("no test")
        best = min(shares, key=lambda name: shares[name])
        parts.append(f"at {epsilon:g} from {without:.0%} to {shares[best]:.0%} ({best})")
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return (
        f"Behind {style.name(loss)} networks the test that serves best takes what an attacker gets through {listed}, "
        "mean over seeds."
    )


def twice(records: Sequence[Record], loss: str = "rce") -> pd.DataFrame:
    """What all attacks together get through behind one loss, by budget (rows) and detector, with its 95% interval over
    seeds alone, and over seeds and images."""
    chosen = [record for record in records if record.run.spec["network"]["loss"] == loss]
    rows: dict[str, dict[str, str]] = {}
    for epsilon in chosen[0].run.spec["epsilons"]:
        cells = rows.setdefault(f"{epsilon:g}", {})
        for metric, detector in DETECTORS.items():
            passed = np.stack([record.arrays[f"passed.{metric}@{epsilon:g}"] for record in chosen])
            seeds, both = mean_interval(passed.mean(axis=1)), crossed_interval(passed)
            low, high = max(0.0, seeds.low), min(1.0, seeds.high)
            cells[detector] = f"{seeds.mean:.2f} [{low:.2f}, {high:.2f}]"
            cells[f"{detector}, images too"] = f"[{both.low:.2f}, {both.high:.2f}]"
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("epsilon")
