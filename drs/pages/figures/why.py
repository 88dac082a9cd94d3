"""Figures and tables of the chapter on why the DRS loss works, from records of ``architectures`` and ``why``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.pages.tables import over_seeds
from drs.statistics import paired_difference
from drs.study.metrics import column
from drs.study.records import Record

__all__ = [
    "ANSWERS",
    "FACTORS",
    "NETWORKS",
    "areas",
    "dependence",
    "looked_at",
    "radii",
    "standing",
    "walks",
    "when_it_helps",
]

NETWORKS = {
    "small_conv": "SmallConvNet",
    "lenet": "LeNet",
    "mlp": "MLP",
    "small_conv-plain": "SmallConvNet without batch norm",
    "mlp-norm": "MLP with batch norm",
}
"""Architectures as the text calls them."""
ANSWERS = {
    "accuracy": "clean accuracy",
    "clean_margin_median": "lead",
    "gradient_norm_median": "CE gradient",
    "linear_radius_median": "lead over slope",
    "worst_area": "area",
    "calibration_error": "ECE",
    "calibration_error_after": "ECE, tempered",
}
"""Columns of the table of what a network looks like without an attack, and what the attack leaves."""


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Architectures and losses as the text calls them, in the order of the text."""
    order = {name: place for place, name in enumerate(NETWORKS)}
    rows = frame.assign(
        loss=frame["network.loss"].map(style.name),
        network=frame["architecture"].map(NETWORKS),
        place=frame["architecture"].map(order),
    )
    return rows.sort_values(["place", "loss", "network.seed"], kind="stable")


def areas(frame: pd.DataFrame) -> Figured:
    """Area under worst-case accuracy of CE and DRS networks, one row for each architecture: means, their 95% intervals,
    and each seed as a small dot."""
    name = column("worst_area")
    drawn = pd.DataFrame(
        [
            {"network": network, "loss": loss}
            | interval("area", values[name], low=0.0, high=1.0)
            | {"seeds": ", ".join(f"{value:.3f}" for value in values[name])}
            for network, rows in each(_named(frame), "network")
            for loss, values in each(rows, "loss")
        ]
    )
    where = {network: place for place, network in enumerate(dict.fromkeys(drawn["network"]))}
    figure = Figure(figsize=(7.6, 0.9 + 0.62 * len(where)), layout="constrained")
    axes = figure.subplots()
    for (loss, rows), shift in zip(each(drawn, "loss"), (-0.14, 0.14)):
        heights = rows["network"].map(where).to_numpy(float) + shift
        for height, seeds in zip(heights, rows["seeds"]):
            values = [float(value) for value in seeds.split(", ")]
            axes.plot(values, [height] * len(values), "o", markersize=3, color=style.colour(loss), alpha=0.4)
        if rows["from"].notna().any():
            axes.hlines(heights, rows["from"], rows["to"], color=style.colour(loss), linewidth=1.6)
        axes.plot(rows["area"], heights, "o", color=style.colour(loss), label=loss)
    axes.set_yticks(list(where.values()), list(where))
    axes.set_ylim(len(where) - 0.5, -0.5)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("area under worst-case accuracy, epsilon 0 to 0.2")
    axes.legend(loc="best")
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("network",), series=("loss",))


def radii(frame: pd.DataFrame, epsilon: float = 0.05) -> Figured:
    """The median of lead over slope against accuracy under attack, one dot a network: what a look at the gradient says
    beside what the attacks find."""
    rows, worst = _named(frame), column("worst", budget=epsilon)
    drawn = pd.DataFrame(
        {
            "lead over slope": rows["linear_radius_median"].to_numpy(float),
            "loss": rows["loss"].to_numpy(),
            "network": rows["network"].to_numpy(),
            "accuracy": rows[worst].to_numpy(float),
        }
    )
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    markers = dict(zip(dict.fromkeys(drawn["network"]), "osD^v"))
    for (network, loss), part in drawn.groupby(["network", "loss"], sort=False):
        axes.plot(
            part["lead over slope"],
            part["accuracy"],
            markers[str(network)],
            color=style.colour(str(loss)),
            label=f"{network}, {loss}",
            alpha=0.8,
        )
    axes.axvline(epsilon, color="#777777", linewidth=0.8, linestyle="--")
    axes.set_xlabel("lead over slope, median (pixels in [0, 1])")
    axes.set_ylabel(f"worst case, epsilon {epsilon:g}")
    axes.set_xlim(left=0.0)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("lead over slope",), series=("loss",), panel=("network",))


def walks(records: Sequence[Record], names: Iterable[str] = ("small_conv", "lenet", "mlp")) -> Figured:
    """The true logit's lead along the sign of its gradient and along random signs, as a share of the lead at the image:
    means over images, then over seeds."""
    lines = []
    for name in names:
        for loss in ("ce", "drs"):
            chosen = [
                r for r in records if r.run.spec["architecture"] == name and r.run.spec["network"]["loss"] == loss
            ]
            for direction in ("gradient", "random") if chosen else ():
                each_seed = [r.arrays[direction] / r.arrays[direction][0] for r in chosen]
                distances = np.linspace(0.0, max(chosen[0].run.spec["epsilons"]), len(each_seed[0]))
                lines += [
                    {
                        "distance": float(distance),
                        "loss": style.name(loss),
                        "direction": direction,
                        "network": NETWORKS[name],
                        "lead left": float(value),
                    }
                    for distance, value in zip(distances, np.mean(each_seed, axis=0))
                ]
    drawn = pd.DataFrame(lines)
    networks = list(dict.fromkeys(drawn["network"]))
    figure = Figure(figsize=(3.1 * len(networks), 3.3), layout="constrained")
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, (network, rows) in zip(panels, each(drawn, "network")):
        for loss, both in each(rows, "loss"):
            for direction, line in each(both, "direction"):
                axes.plot(
                    line["distance"],
                    line["lead left"],
                    color=style.colour(loss),
                    linestyle="-" if direction == "gradient" else ":",
                    label=f"{loss}, {direction}",
                )
        axes.axhline(0.0, color="#777777", linewidth=0.8)
        axes.set_title(network)
        axes.set_xlabel("L-inf distance")
        style.tidy(axes)
    panels[0].set_ylabel("lead left")
    panels[-1].legend()
    return Figured(figure=figure, frame=drawn, places=("distance",), series=("loss", "direction"), panel=("network",))


FACTORS = {
    "updates": "updates",
    "training images": "images in training",
    "adversarial": "adversarial training, epsilon",
}
"""What is changed in the training, as the text calls it."""


def dependence(frame: pd.DataFrame) -> Figured:
    """The gain of DRS in area under worst-case accuracy, for every change of the training, with its 95% interval."""
    lines = []
    for factor, said in FACTORS.items():
        for level in sorted(frame.loc[frame["factor"] == factor, "level"].unique()):
            rows = frame[(frame["factor"] == factor) & (frame["level"] == level)].sort_values("network.seed")
            ours, base = (rows.loc[rows["network.loss"] == loss, column("worst_area")] for loss in ("drs", "ce"))
            found = paired_difference(ours, base)
            lines.append(
                {"training": f"{said} {level:,g}", "gain": found.mean, "from": found.low, "to": found.high}
                | {"CE": float(base.mean()), "DRS": float(ours.mean())}
            )
    drawn = pd.DataFrame(lines)
    figure = Figure(figsize=(7.6, 0.9 + 0.42 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    heights = np.arange(len(drawn))
    if drawn["from"].notna().any():
        axes.hlines(heights, drawn["from"], drawn["to"], color=style.colour("drs"), linewidth=1.6)
    axes.plot(drawn["gain"], heights, "o", color=style.colour("drs"))
    axes.axvline(0.0, color="#777777", linewidth=0.8)
    axes.set_yticks(heights, drawn["training"])
    axes.set_ylim(len(drawn) - 0.5, -0.5)
    axes.set_xlabel("gain of DRS over CE, area under worst-case accuracy")
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("training",))


def looked_at(frame: pd.DataFrame) -> pd.DataFrame:
    """What every kind of network looks like without an attack, and the area that attacks leave; over seeds."""
    rows = _named(frame)
    kinds = rows.assign(kind=rows["network"] + ", " + rows["loss"])
    return over_seeds(kinds, "kind", list(ANSWERS)).rename(columns=ANSWERS)


def standing(frame: pd.DataFrame, epsilon: float = 0.05) -> pd.DataFrame:
    """Accuracy under the attacks of the curve and under Standard, on the same images at one budget, over seeds; and the
    accuracy under PGD on cross-entropy at each temperature."""
    shown = {
        column("white", budget=epsilon): "PGD-20 and FGSM",
        column("strong_worst", budget=epsilon): "and Standard",
        **{f"temperature_{value:g}": f"PGD, logits / {value:g}" for value in (0.1, 1.0, 10.0, 100.0)},
    }
    rows = _named(frame)
    kinds = rows.assign(kind=rows["network"] + ", " + rows["loss"])
    return over_seeds(kinds, "kind", [name for name in shown if name in kinds]).rename(columns=shown)


def _judged(values: Iterable[float], base: Iterable[float]) -> str:
    """A paired difference as text, with what its interval says."""
    found = paired_difference(np.asarray(values, float), np.asarray(base, float))
    side = "a gain" if found.low > 0 else "a loss" if found.high < 0 else "nothing that the seeds could show"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {side}"


def _both(rows: pd.DataFrame, name: str) -> tuple[list[float], list[float]]:
    """A column of the DRS and of the CE networks, in the order of their seeds."""
    ordered = rows.sort_values("network.seed")
    ours, base = (ordered.loc[ordered["network.loss"] == loss, name].tolist() for loss in ("drs", "ce"))
    return ours, base


def when_it_helps(frame: pd.DataFrame, changed: pd.DataFrame) -> str:
    """What came out, in sentences whose numbers and words come from the records.

    Args:
        frame: Records of ``architectures``.
        changed: Records of ``why``.
    """
    area = column("worst_area")
    said = [
        f"{network} {_judged(*_both(rows, area))}" for network, rows in each(_named(frame), "network") if len(rows) >= 4
    ]
    lengths = changed[changed["factor"] == "updates"]
    spent = [
        f"{level:,.0f} updates {_judged(*_both(lengths[lengths['level'] == level], area))}"
        for level in sorted(lengths["level"].unique())
    ]
    hardened = changed[changed["factor"] == "adversarial"]
    ours, base = _both(frame, "calibration_error")
    after, before = _both(frame, "calibration_error_after")
    return (
        f"**When it helps.** Area under worst-case accuracy, DRS minus CE, by architecture: {'; '.join(said)}. By the "
        f"length of the training, on SmallConvNet: {'; '.join(spent)}. On top of adversarial training: "
        f"{_judged(*_both(hardened, area))}. What it costs: the calibration error is {np.mean(ours):.3f} with DRS and "
        f"{np.mean(base):.3f} with CE, mean over all networks; after one fitted temperature {np.mean(after):.3f} and "
        f"{np.mean(before):.3f}."
    )
