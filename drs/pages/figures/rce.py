"""Figures of the RCE chapters, drawn from records or frames of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.study.metrics import DETECTORS, Metric, column, columns
from drs.study.records import Record

__all__ = [
    "FEW",
    "LINES",
    "LOSSES",
    "arms",
    "auc_map",
    "constants",
    "embedding",
    "exponents",
    "highest",
    "histograms",
    "loss_of",
    "over_epsilon",
    "roc_curves",
    "shares",
    "white_box_images",
]

FEW = 10
"""With fewer adversarial examples over all seeds an AUC says little."""
ATTACKED_KEPT, NORMAL_KEPT = "attacked images kept", "normal images kept"
"""The axes of a ROC curve, here as in the explorer of the threshold."""
LINES: Mapping[str, Literal[":", "--", "-"]] = {"confidence": ":", "non-ME": "--", "K-density": "-"}
LOSSES = ("ce", "rce", "drs")


def loss_of(record: Record) -> str:
    """The loss that the network of a record was trained with, as the text calls it."""
    return style.name(str(record.run.spec["network"]["loss"]))


def exponents(bound: Record, networks: Sequence[Record]) -> Figured:
    """Left: the largest false-class difference against alpha. Right: the same of each test image, one panel per
    network (the first 150 images)."""
    difference = "largest false-class difference"
    kinds = {"ce": "ce", "label_smoothing": "label-smoothing", "rce": "rce"}
    parts: list[tuple[object, ...]] = []
    for kind, variant in kinds.items():
        slope = bound.metrics[column("slope", loss=kind)]
        parts.append(("random errors", style.name(variant), slope, bound.arrays["alpha"], bound.arrays[f"gap.{kind}"]))
    for record in networks:
        shown = [np.clip(record.arrays[name][:150], 1e-9, None) for name in ("alpha", "gap")]
        parts.append((f"{loss_of(record)} network", loss_of(record), record.metrics["slope"], *shown))
    names = ("panel", "loss", "exponent", "alpha", difference)
    drawn = pd.concat(pd.DataFrame(dict(zip(names, part))) for part in parts)
    figure, panels = style.wrapped(1 + len(networks), height=3.2)
    for axes, (panel, lines) in zip(panels, each(drawn, "panel")):
        for loss, line in each(lines, "loss"):
            colour, exponent = style.colour(loss), line["exponent"].iloc[0]
            if axes is panels[0]:
                axes.loglog(line["alpha"], line[difference], color=colour, label=f"{loss}: exponent {exponent:.2f}")
                axes.set_title(panel)
                axes.legend(fontsize="small", loc="upper left", handlelength=1)
            else:
                axes.loglog(line["alpha"], line[difference], ".", color=colour, markersize=3, rasterized=True)
                axes.set_title(f"{panel}: {exponent:.2f}")
        axes.set_xlabel("alpha (sup norm)")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.minorticks_off()
        style.tidy(axes)
    panels[0].set_ylabel(difference)
    return Figured(figure=figure, frame=drawn, places=("alpha",), series=("loss", "exponent"), panel=("panel",))


def embedding(records: Sequence[Record]) -> Figured:
    """t-SNE of the final hidden vectors of test images, one panel per network, coloured by true class."""
    drawn = pd.concat(
        pd.DataFrame(record.arrays["embedding"], columns=["x", "y"]).assign(
            network=loss_of(record),
            silhouette=record.metrics["silhouette"],
            image=range(1, len(record.arrays["labels"]) + 1),
            label=record.arrays["labels"],
        )
        for record in records
    )
    figure = Figure(figsize=(3.2 * len(records), 3.2), layout="constrained")
    panels = figure.subplots(1, len(records), squeeze=False)[0]
    for axes, (network, dots) in zip(panels, each(drawn, "network")):
        axes.scatter(dots["x"], dots["y"], c=dots["label"], cmap="tab10", s=8, linewidths=0, rasterized=True)
        axes.set_title(f"{network}, silhouette {dots['silhouette'].iloc[0]:.2f}")
        axes.set_xticks([])
        axes.set_yticks([])
    return Figured(figure=figure, frame=drawn, places=("image",), panel=("network", "silhouette"))


def _seeds(frame: pd.DataFrame, metrics: Mapping[str, Metric], place: str, value: str) -> pd.DataFrame:
    """Mean and interval over the seeds of each loss at each budget where one of its networks has a number."""
    return pd.DataFrame(
        [
            {"loss": style.name(loss), place: metric.budget} | interval(value, numbers, low=0.0, high=1.0)
            for loss in LOSSES
            for name, metric in metrics.items()
            if metric.budget is not None
            if len(numbers := frame.loc[frame["network.loss"] == loss, name].dropna())
        ],
        columns=["loss", place, value, "from", "to"],
    )


def over_epsilon(frame: pd.DataFrame, head: str, attacks: Sequence[str], label: str, *, detector: str = "") -> Figured:
    """A number over epsilon, one panel per attack, one line per loss: mean over seeds and 95% interval.

    Args:
        frame: Records of the experiment ``detection``, of one architecture.
        head: First word of the number's name, such as ``accuracy`` or ``auc``.
        attacks: As the records name them.
        label: What is drawn.
        detector: The detector that the number is of.
    """
    drawn = pd.concat(
        _seeds(frame, columns(frame, head, detector=detector, attack=attack), "epsilon", label).assign(
            attack=style.attack(attack)
        )
        for attack in attacks
    )
    figure, panels = style.wrapped(len(attacks))
    for axes, attack in zip(panels, map(style.attack, attacks)):
        style.bands(axes, drawn[drawn["attack"] == attack], "epsilon", label, size=3)
        axes.set_title(attack)
        axes.set_xlabel("epsilon")
        style.tidy(axes)
    panels[0].set_ylabel(label)
    panels[0].set_ylim(0, 1.02)
    panels[-1].legend()
    return Figured(figure=figure, frame=drawn, places=("epsilon",), series=("loss",), panel=("attack",))


DIVIDED = "CE, logits divided"


def constants(frame: pd.DataFrame) -> Figured:
    """Accuracy against the constant c of C&W, mean over seeds and 95% interval; as a control CE with its logits divided
    so that its median margin is that of RCE."""
    drawn = _seeds(frame, columns(frame, "accuracy", detector="", attack=""), "constant c", "accuracy")
    divided = frame[frame["network.loss"] == "rce"]
    control = _seeds(divided, columns(divided, "rescaled"), "constant c", "accuracy")
    if len(control):
        drawn = pd.concat([drawn, control.assign(loss=DIVIDED)], ignore_index=True)
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    style.bands(axes, drawn, "constant c", "accuracy", size=3)
    axes.set_xscale("log")
    axes.set_xlabel("constant c")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1.02)
    axes.legend()
    style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("constant c",), series=("loss",))


def arms(record: Record, attack: str, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the paired set of one attack: normal, adversarial. Noise is compared on all images."""
    used = record.arrays[f"{attack}.used"].astype(bool)
    if attack.startswith("noise"):
        used = np.ones_like(used)
    normal = record.arrays[f"normal.{metric}"][: len(used)][used]
    return normal.astype(np.float64), record.arrays[f"{attack}.{metric}"][used].astype(np.float64)


def roc_curves(records: Sequence[Record], attacks: Sequence[str]) -> Figured:
    """ROC of the three detectors, positive = normal as in the paper: for each network one panel per attack, in rows of
    three, with the three areas below it in the order of the legend."""
    from drs.detection import auc, roc

    grid = np.concatenate([np.linspace(0.0, 0.1, 9), np.linspace(0.15, 1.0, 14)])
    parts = [pd.DataFrame(columns=["network", "attack", "detector", "AUC", ATTACKED_KEPT, NORMAL_KEPT])]
    for record in records:
        for attack in attacks:
            for metric, detector in DETECTORS.items():
                normal, adversarial = arms(record, attack, metric)
                if len(normal) >= 2:
                    curve = roc(normal, adversarial)
                    kept = {ATTACKED_KEPT: grid, NORMAL_KEPT: np.interp(grid, curve.fpr, curve.tpr)}
                    where = {"network": loss_of(record), "attack": style.attack(attack), "detector": detector}
                    parts.append(pd.DataFrame(where | {"AUC": auc(normal, adversarial)} | kept))
    drawn = pd.concat(parts[1:] or parts)
    rows = 2 if len(attacks) > 3 else 1  # for each network: six panels side by side would be too small to read
    across = math.ceil(len(attacks) / rows)
    figure = Figure(figsize=(max(4.2, 2.33 * across), 0.5 + 2.6 * rows * len(records)), layout="constrained")
    panels = figure.subplots(rows * len(records), across, sharex=True, sharey=True, squeeze=False).flat
    for place, axes in enumerate(panels):
        down, number = divmod(place, rows * across)
        if number >= len(attacks):
            axes.set_axis_off()
            continue
        network, attack = loss_of(records[down]), style.attack(attacks[number])
        lines = drawn[(drawn["network"] == network) & (drawn["attack"] == attack)]
        for detector, line in each(lines, "detector"):
            axes.plot(
                line[ATTACKED_KEPT],
                line[NORMAL_KEPT],
                LINES[detector],
                color=style.colour(network),
                linewidth=1.3,
            )
        areas = " / ".join(f"{line['AUC'].iloc[0]:.2f}" for _, line in each(lines, "detector"))
        last = number >= (rows - 1) * across
        axes.set_xlabel("\n".join([f"AUC {areas}" if areas else "", *([ATTACKED_KEPT] if last else [])]), fontsize=8.5)
        if not len(lines):
            axes.text(0.5, 0.5, "no success", ha="center", fontsize="small")
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks([0, 0.5, 1])
        axes.set_title(attack, fontsize="small")
        if number % across == 0:
            axes.set_ylabel(f"{network}\n{NORMAL_KEPT}", fontsize=8.5)
        style.tidy(axes, grid=False)
    handles = [Line2D([], [], color="#444444", linestyle=line, label=name) for name, line in LINES.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=1.8)
    return Figured(
        figure=figure,
        frame=drawn,
        places=(ATTACKED_KEPT,),
        series=("detector", "AUC"),
        panel=("network", "attack"),
    )


def auc_map(frame: pd.DataFrame, attacks: Sequence[str]) -> Figured:
    """Mean AUC over seeds: rows are loss and detector, columns attacks; in brackets where fewer than FEW succeeded."""
    drawn = pd.DataFrame(
        [
            {
                "network": f"{style.name(loss)}, {detector}",
                "attack": style.attack(attack),
                "AUC": rows[f"auc.{metric}.{attack}"].mean(),
                "few": bool(rows[f"successes.{attack}"].sum() < FEW),
            }
            for loss in LOSSES
            if len(rows := frame[frame["network.loss"] == loss])
            for metric, detector in DETECTORS.items()
            for attack in attacks
            if f"auc.{metric}.{attack}" in rows
        ]
    )
    networks, names = list(dict.fromkeys(drawn["network"])), [style.attack(attack) for attack in attacks]
    values = drawn.pivot(index="network", columns="attack", values="AUC").reindex(index=networks, columns=names)
    figure = Figure(figsize=(2.4 + 0.75 * len(names), 1.2 + 0.36 * len(networks)), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(values.to_numpy(float), cmap="cividis", vmin=0.0, vmax=1.0)
    for cell in drawn.dropna().to_dict("records"):
        value = cell["AUC"]
        text = f"{value:.3f}".lstrip("0") if value < 1 else "1"
        axes.text(
            names.index(cell["attack"]) + 0.5,
            networks.index(cell["network"]) + 0.5,
            f"({text})" if cell["few"] else text,
            ha="center",
            va="center",
            fontsize=8,
            color="w" if value < 0.55 else "k",
        )
    axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=30, ha="right")
    axes.set_yticks(np.arange(len(networks)) + 0.5, networks)
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.01, label="AUC")
    return Figured(figure=figure, frame=drawn, places=("network",), series=("attack",), values=("AUC",))


def highest(frame: pd.DataFrame, attacks: Sequence[str]) -> str:
    """A sentence: which row of :func:`auc_map` has the highest mean under each attack, without cells in brackets.

    Args:
        frame: Records of the experiment ``detection``, of one architecture.
        attacks: As the records name them.
    """
    drawn = auc_map(frame, attacks).frame
    firm = drawn[~drawn["few"]].dropna(subset=["AUC"])
    best = [
        f"{attack}: {' and '.join(cells.loc[cells['AUC'] == cells['AUC'].max(), 'network'])}"
        for attack, cells in firm.groupby("attack", sort=False)
    ]
    if not best:
        return "No cell rests on enough successes to name a highest one."
    return f"The highest mean of each column, cells in brackets left out: {'; '.join(best)}."


def shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The share of values in each bin; those beyond the ends are counted in the first and the last."""
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return {"from": edges[:-1], "to": edges[1:], "share of images": counts / len(values)}


def histograms(records: Sequence[Record], metric: str, attacks: Sequence[str]) -> Figured:
    """Histograms of a score for normal images and under noise and attacks, one panel per network."""
    score = {"k_density": "log K-density"}.get(metric, DETECTORS[metric])
    parts = []
    for record in records:
        every = {"normal": record.arrays[f"normal.{metric}"]}
        every |= {style.attack(attack): arms(record, attack, metric)[1] for attack in attacks}
        every = {name: values for name, values in every.items() if len(values)}
        low, high = np.quantile(np.concatenate([*every.values()]), [0.01, 1.0])
        edges = np.linspace(low, high + 1e-9, 30)
        for name, values in every.items():
            where = {"network": loss_of(record), "score": score, "images": name}
            parts.append(pd.DataFrame(where | shares(values, edges)))
    drawn = pd.concat(parts)
    palette = ["#222222", "#999999", "#CC79A7", "#E69F00", "#56B4E9"]
    colours = dict(zip(["normal", *map(style.attack, attacks)], palette))
    figure = Figure(figsize=(3.0 * len(records), 3.1), layout="constrained")
    panels = figure.subplots(1, len(records), squeeze=False)[0]
    for axes, (network, of_network) in zip(panels, each(drawn, "network")):
        for name, bins in each(of_network, "images"):
            style.stairs(axes, bins, "share of images", color=colours[name], label=name)
        axes.set_title(network)
        axes.set_xlabel(score)
        style.tidy(axes)
    panels[0].set_ylabel("share of images")
    panels[0].legend(fontsize="small")
    return Figured(figure=figure, frame=drawn, places=("from", "to"), series=("images",), panel=("network", "score"))


def white_box_images(record: Record) -> Figured:
    """Original images and what C&W-wb makes of them with kappa 0 and 5; below each the label that it is given."""
    pictures, labels, predicted = (record.arrays[name] for name in ("images", "labels", "predicted"))
    names = ("original", "kappa = 0", "high kappa")
    drawn = pd.DataFrame(
        [
            {
                "image": place + 1,
                "attack": name,
                "label": f"says {predicted[row - 1, place]}" if row else f"is {labels[place]}",
                "failed": row > 0 and np.array_equal(pictures[row, place], pictures[0, place]),
            }
            for row, name in enumerate(names)
            for place in range(len(labels))
        ]
    )
    figure = Figure(figsize=(1.35 * len(labels) + 1, 4.4), layout="constrained")
    panels = figure.subplots(3, len(labels), squeeze=False)
    for axes, picture, said in zip(panels.flat, pictures.reshape(-1, *pictures.shape[2:]), drawn.to_dict("records")):
        axes.imshow(np.moveaxis(picture, 0, -1).squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_xlabel(f"{said['label']}\n(failed)" if said["failed"] else said["label"], fontsize="small")
        axes.set_xticks([])
        axes.set_yticks([])
        if said["image"] == 1:
            axes.set_ylabel(said["attack"])
    drawn["label"] += np.where(drawn["failed"], " (failed)", "")
    return Figured(figure=figure, frame=drawn, places=("image",), series=("attack",), values=("label",))
