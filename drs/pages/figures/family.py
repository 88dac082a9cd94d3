"""Figures and tables of the chapters on the related losses and on MMC, from frames of the experiment ``family``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.statistics import mean_interval
from drs.study.claims.drs import EPSILON
from drs.study.metrics import column
from drs.study.published import published

__all__ = ["CENTRES", "LADDER", "MEMBERS", "against_published", "centres", "chosen", "ladder", "named", "places"]

MEMBERS = ("ce", "label-smoothing", "drs", "rce", "gce", "std", "mmc")
"""The losses of the figure of the family, as variants."""
CENTRES = {"mmc-1": "norm 1", "mmc-3": "norm 3", "mmc": "norm 10", "mmc-30": "norm 30", "mmc-random": "norm 10, random"}
"""Centres of the MMC networks, as the text calls them."""
LADDER = {
    column("ce", budget=EPSILON): "PGD, cross-entropy",
    column("fgsm", budget=EPSILON): "FGSM",
    column("random_logit", budget=EPSILON): "L_MMC, one random target",
    column("true_logit", budget=EPSILON): "L_MMC, no target",
    column("true_logit_runs_9"): "L_MMC, no target, nine runs",
    column("margin", budget=EPSILON): "PGD, margin",
    column("target_logit", budget=EPSILON): "L_MMC, each of nine targets",
    column("targeted", budget=EPSILON): "PGD, margin, each of nine targets",
    column("strong_worst", budget=EPSILON): "worst of all",
}
"""Attacks of the ladder by column; the order is that in which they were planned, from naive to thorough."""
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5)
_PLAIN, _WORST = column("ce", budget=EPSILON), column("strong_worst", budget=EPSILON)


def named(frame: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """The rows of some variants in their order, each under the name that the text gives it."""
    names = {variant: f"MMC, {said}" for variant, said in CENTRES.items() if variant != "mmc"}
    names["std"] = style.NAMES["std-loss"]  # elsewhere the variant of DRS that takes the standard deviation
    parts = [
        frame[frame["variant"] == variant].assign(variant=names.get(variant, style.name(variant)))
        for variant in variants
    ]
    return pd.concat(parts)


def ladder(frame: pd.DataFrame) -> Figured:
    """Accuracy under each attack of the ladder, of MMC networks with centres of norm 10 and of CE networks.

    A dot is a mean over seeds with its 95% interval, small dots are the seeds. The costly attacks have no accuracy of
    their own on CE networks.
    """
    drawn = pd.DataFrame(
        [
            {"loss": loss, "attack": attack}
            | interval("accuracy", rows[name], low=0.0, high=1.0)
            | {"seeds": ", ".join(f"{value:.2f}" for value in rows[name])}
            for loss, rows in each(named(frame, ("mmc", "ce")), "variant")
            for name, attack in LADDER.items()
            if name in rows and rows[name].notna().all()
        ]
    )
    figure = Figure(figsize=(8.6, 4.4), layout="constrained")
    axes = figure.subplots()
    where = {attack: place for place, attack in enumerate(reversed(LADDER.values()))}
    for loss, shift in (("MMC", 0.1), ("CE", -0.15)):
        cells = drawn[drawn["loss"] == loss]
        heights = cells["attack"].map(where).to_numpy(float) + shift
        colour = style.colour(loss)
        for height, seeds in zip(heights, cells["seeds"]):
            values = [float(value) for value in seeds.split(", ")]
            axes.plot(values, [height] * len(values), "o", markersize=3, color=colour, alpha=0.4)
        if cells["from"].notna().any():
            axes.hlines(heights, cells["from"], cells["to"], color=colour, alpha=0.5, linewidth=1.4)
        axes.plot(cells["accuracy"], heights, "o-" if loss == "MMC" else "o", color=colour, linewidth=0.8, label=loss)
    axes.axhline(0.5, color="#999999", linewidth=0.8)
    axes.set_yticks(list(where.values()), list(where))
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(f"accuracy at epsilon {EPSILON:g}")
    axes.legend(title="trained with", loc="center right")
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("attack",), series=("loss",))


def centres(frame: pd.DataFrame) -> Figured:
    """Accuracy under PGD on cross-entropy and in the worst case for each kind of centres: the gap is masking."""
    said = {_PLAIN: "PGD, cross-entropy", _WORST: "worst of all"}
    drawn = pd.DataFrame(
        [
            {"centres": name, "attack": attack} | interval("accuracy", rows[key], low=0.0, high=1.0)
            for variant, name in CENTRES.items()
            if len(rows := frame[frame["variant"] == variant])
            for key, attack in said.items()
        ]
    )
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    where = {name: place for place, name in enumerate(dict.fromkeys(drawn["centres"]))}
    wide = drawn.pivot(index="centres", columns="attack", values="accuracy").loc[list(where)]
    axes.hlines(
        list(where.values()), wide["worst of all"], wide["PGD, cross-entropy"], color="#bbbbbb", linewidth=4, zorder=1
    )
    for (attack, cells), fill in zip(each(drawn, "attack"), ("white", style.colour("mmc"))):
        heights = cells["centres"].map(where).to_numpy(float)
        if cells["from"].notna().any():
            axes.hlines(heights, cells["from"], cells["to"], color=style.colour("mmc"), alpha=0.5, linewidth=1.2)
        axes.plot(
            cells["accuracy"], heights, "o", color=style.colour("mmc"), markerfacecolor=fill, label=attack, zorder=3
        )
    axes.set_yticks(list(where.values()), list(where))
    axes.set_ylim(len(where) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(f"accuracy at epsilon {EPSILON:g}")
    axes.set_ylabel("centres")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("centres",), series=("attack",))


def places(frame: pd.DataFrame) -> Figured:
    """Where each loss stands: the relative spread of the false logits, and accuracy in the worst case.

    Small dots are networks, large ones means over seeds with the 95% interval of the accuracy; a hollow dot is the
    accuracy under PGD on cross-entropy alone.
    """
    spread = column("relative_spread_median")
    drawn = pd.DataFrame(
        [
            {"loss": loss, "relative spread": float(np.exp(np.log(rows[spread]).mean()))}
            | interval("worst case", rows[_WORST], low=0.0, high=1.0)
            | {"cross-entropy alone": mean_interval(rows[_PLAIN]).mean}
            for loss, rows in each(named(frame, MEMBERS), "variant")
        ]
    )
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots()
    for loss, rows in each(named(frame, MEMBERS), "variant"):
        axes.plot(rows[spread], rows[_WORST], "o", markersize=3.5, color=style.colour(loss), alpha=0.45)
    for row in drawn.to_dict("records"):
        colour, x, y = style.colour(row["loss"]), row["relative spread"], row["worst case"]
        axes.plot([x, x], [y, row["cross-entropy alone"]], ":", color=colour, linewidth=1)
        axes.plot(x, row["cross-entropy alone"], "o", color=colour, markerfacecolor="white", markersize=7)
        if row["from"] == row["from"]:
            axes.vlines(x, row["from"], row["to"], color=colour, alpha=0.5, linewidth=1.4)
        axes.plot(x, y, "o", color=colour, markersize=8, label=row["loss"])
    axes.plot([], [], "o", color="#777777", markerfacecolor="white", markersize=7, label="PGD, cross-entropy alone")
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.set_xticks([], minor=True)
    spreads = frame.loc[frame["variant"].isin(MEMBERS), spread]
    axes.set_xlim(0.8 * spreads.min(), 1.25 * spreads.max())
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("spread of the false logits, as a share of the true one's lead (log scale)")
    axes.set_ylabel(f"accuracy at epsilon {EPSILON:g}")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("loss",))


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """What each network of a tuned loss chose, and the worst case on validation images of the values it tried."""
    rows = frame[frame["variant"].isin(("drs", "gce"))].sort_values(["variant", "network.seed"])
    table = []
    for row in rows.to_dict("records"):
        tried = {value: row[column("validation", budget=value)] for value in row["tried"]}
        cells = ", ".join(f"{value:.3g}: {worst:.2f}" for value, worst in tried.items())
        table.append(
            {
                "network": f"{style.name(row['variant'])}, seed {row['network.seed']}",
                "option": row["option"],
                "value taken": f"{row[column('tuned')]:.3g}",
                "worst case on validation images, by value": cells,
            }
        )
    return pd.DataFrame(table).set_index("network")


def against_published(frame: pd.DataFrame) -> pd.DataFrame:
    """Our accuracy at the budget of guided complement entropy's published numbers next to them, both in percent."""
    attacks = {"fgsm": "fgsm", "pgd": "ce"}
    table = []
    for row in published("gce_mnist").to_dict("records"):
        if row["attack"] in attacks:
            values = frame.loc[frame["variant"] == row["objective"], f"{attacks[row['attack']]}@{row['epsilon']:g}"]
            found = mean_interval(100.0 * values)
            low, high = max(found.low, 0.0), min(found.high, 100.0)
            same = values.nunique() == 1
            ends = "" if np.isnan(found.high) else " at each seed" if same else f" [{low:.1f}, {high:.1f}]"
            table.append(
                {
                    "attack": f"{row['attack'].upper()}, {row['epsilon']:g}",
                    "loss": style.name(row["objective"]),
                    "published": f"{row['accuracy_percent']:.2f}",
                    "checked": row["checked"],
                    "ours": f"{found.mean:.1f}{ends}",
                }
            )
    return pd.DataFrame(table).set_index("attack")
