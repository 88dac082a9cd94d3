"""Figures of the RCE chapters. Each takes records or frames and draws; none computes an experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from drs.detection import auc, roc
from drs.pages.figures import style
from drs.statistics import mean_interval
from drs.study.records import Record

FEW = 10
"""Below so many adversarial examples over all seeds an AUC is hardly a number."""
METRIC_NAMES = {"confidence": "confidence", "non_me": "non-ME", "k_density": "K-density"}
METRIC_LINES = {"confidence": ":", "non_me": "--", "k_density": "-"}
LOSSES = ("ce", "rce", "drs")


def title(attack: str) -> str:
    """An attack of the records (``bim@0.1``, ``cw``) as the text calls it."""
    name, _, epsilon = attack.partition("@")
    return style.ATTACK_NAMES.get(name, name) + (f", {epsilon}" if epsilon else "")


def exponents(bound: Record, networks: Sequence[Record]) -> Figure:
    """Left: the largest false-class difference against alpha. Right: the same of each test image, a panel a network."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, 1 + len(networks), sharex=True, sharey=True)
    alpha = bound.arrays["alpha"]
    colours = {"ce": "ce", "label_smoothing": "label-smoothing", "rce": "rce"}
    for kind, variant in colours.items():
        label = f"{style.name(variant)}: exponent {bound.metrics[f'slope.{kind}']:.2f}"
        panels[0].loglog(alpha, bound.arrays[f"gap.{kind}"], color=style.colour(variant), label=label)
    panels[0].set_title("random errors")
    panels[0].legend(fontsize="x-small", loc="upper left", handlelength=1)
    for axes, record in zip(panels[1:], networks):
        loss = str(record.run.spec["network"]["loss"])
        shown = slice(None, 150)
        x, y = record.arrays["alpha"][shown], record.arrays["gap"][shown]
        axes.loglog(
            np.clip(x, 1e-9, None), np.clip(y, 1e-9, None), ".", color=style.colour(loss), markersize=3, rasterized=True
        )
        axes.set_title(f"{style.name(loss)} network: {record.metrics['slope']:.2f}")
    for axes in panels:
        axes.set_xlabel("alpha (sup norm)")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.minorticks_off()
        style.tidy(axes)
    panels[0].set_ylabel("largest false-class difference")
    return figure


def embedding(records: Sequence[Record]) -> Figure:
    """t-SNE of the final hidden vectors of test images, one panel a network, coloured by true class."""
    figure = Figure(figsize=(3.2 * len(records), 3.2), layout="constrained")
    panels = figure.subplots(1, len(records), squeeze=False)[0]
    for axes, record in zip(panels, records):
        points, labels = record.arrays["embedding"], record.arrays["labels"]
        axes.scatter(points[:, 0], points[:, 1], c=labels, cmap="tab10", s=8, linewidths=0, rasterized=True)
        loss = str(record.run.spec["network"]["loss"])
        axes.set_title(f"{style.name(loss)}, silhouette {record.metrics['silhouette']:.2f}")
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def over_epsilon(frame: pd.DataFrame, prefix: str, attacks: Sequence[str], label: str) -> Figure:
    """``prefix.attack@epsilon`` over epsilon, a panel an attack, a line a loss: mean over seeds and 95% interval."""
    figure = Figure(figsize=(2.8 * len(attacks), 3.1), layout="constrained")
    panels = figure.subplots(1, len(attacks), sharey=True, squeeze=False)[0]
    for axes, attack in zip(panels, attacks):
        start = f"{prefix}.{attack}@"
        columns = sorted((c for c in frame.columns if c.startswith(start)), key=lambda c: float(c.split("@")[1]))
        for loss in LOSSES:
            _band(axes, frame[frame["network.loss"] == loss], columns, loss)
        axes.set_title(title(attack))
        axes.set_xlabel("epsilon")
        style.tidy(axes)
    panels[0].set_ylabel(label)
    panels[0].set_ylim(0, 1.02)
    panels[-1].legend()
    return figure


def _band(axes: Axes, rows: pd.DataFrame, columns: Sequence[str], loss: str, *, log: bool = False) -> None:
    values = rows[list(columns)].to_numpy(float)
    where = [float(c.split("@")[1]) for c in columns]
    kept = [i for i in range(len(where)) if np.isfinite(values[:, i]).any()]
    cells = [mean_interval(values[np.isfinite(values[:, i]), i]) for i in kept]
    x = [where[i] for i in kept]
    axes.plot(x, [c.mean for c in cells], marker="o", markersize=3, color=style.colour(loss), label=style.name(loss))
    low, high = [max(0.0, c.low) for c in cells], [min(1.0, c.high) for c in cells]
    axes.fill_between(x, low, high, color=style.colour(loss), alpha=0.2, linewidth=0)
    if log:
        axes.set_xscale("log")


def constants(frame: pd.DataFrame) -> Figure:
    """Accuracy against the constant c of C&W, mean over seeds and 95% interval."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    columns = sorted((c for c in frame.columns if c.startswith("accuracy@")), key=lambda c: float(c.split("@")[1]))
    for loss in LOSSES:
        _band(axes, frame[frame["network.loss"] == loss], columns, loss, log=True)
    axes.set_xlabel("constant c")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1.02)
    axes.legend()
    style.tidy(axes)
    return figure


def arms(record: Record, attack: str, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the paired set of one attack: normal, adversarial. Noise is compared on all images."""
    used = record.arrays[f"{attack}.used"].astype(bool)
    if attack.startswith("noise"):
        used = np.ones_like(used)
    normal = record.arrays[f"normal.{metric}"][: len(used)][used]
    return normal.astype(np.float64), record.arrays[f"{attack}.{metric}"][used].astype(np.float64)


def roc_curves(records: Sequence[Record], attacks: Sequence[str]) -> Figure:
    """ROC of the three metrics: a column an attack, a row a network; positive = normal, as in the paper."""
    figure = Figure(figsize=(2.1 * len(attacks), 2.2 * len(records)), layout="constrained")
    panels = figure.subplots(len(records), len(attacks), sharex=True, sharey=True, squeeze=False)
    grid = np.concatenate([np.linspace(0.0, 0.1, 9), np.linspace(0.15, 1.0, 14)])
    for row, record in enumerate(records):
        loss = str(record.run.spec["network"]["loss"])
        for column, attack in enumerate(attacks):
            axes = panels[row, column]
            for metric, line in METRIC_LINES.items():
                normal, adversarial = arms(record, attack, metric)
                if len(normal) < 2:
                    continue
                curve = roc(normal, adversarial)
                label = f"{METRIC_NAMES[metric]} {auc(normal, adversarial):.2f}"
                y = np.interp(grid, curve.fpr, curve.tpr)
                axes.plot(grid, y, line, color=style.colour(loss), linewidth=1.3, label=label)
            if axes.get_lines():
                axes.legend(fontsize=6, loc="lower right", handlelength=1.6)
            else:
                axes.text(0.5, 0.5, "no success", ha="center", fontsize="small")
            axes.set_xticks([0, 0.5, 1])
            axes.set_yticks([0, 0.5, 1])
            if row == 0:
                axes.set_title(title(attack), fontsize="small")
            if column == 0:
                axes.set_ylabel(f"{style.name(loss)}\nnormal kept")
            if row + 1 == len(records):
                axes.set_xlabel("attacks kept")
            style.tidy(axes, grid=False)
    return figure


def auc_map(frame: pd.DataFrame, attacks: Sequence[str]) -> Figure:
    """Mean AUC over seeds: rows are loss and metric, columns attacks; in brackets where fewer than FEW succeeded."""
    rows = [(loss, metric) for loss in LOSSES for metric in METRIC_NAMES if (frame["network.loss"] == loss).any()]
    values, few = np.full((len(rows), len(attacks)), np.nan), np.zeros((len(rows), len(attacks)), dtype=bool)
    for i, (loss, metric) in enumerate(rows):
        for j, attack in enumerate(attacks):
            column = f"auc.{metric}.{attack}"
            if column in frame:
                of_loss = frame[frame["network.loss"] == loss]
                values[i, j] = of_loss[column].mean()
                few[i, j] = of_loss[f"successes.{attack}"].sum() < FEW
    figure = Figure(figsize=(2.4 + 0.75 * len(attacks), 1.2 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(values, cmap="cividis", vmin=0.0, vmax=1.0)
    for i in range(len(rows)):
        for j in range(len(attacks)):
            if np.isfinite(values[i, j]):
                dark = values[i, j] < 0.55
                text = f"{values[i, j]:.3f}".lstrip("0") if values[i, j] < 1 else "1"
                text = f"({text})" if few[i, j] else text
                axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color="w" if dark else "k")
    axes.set_xticks(np.arange(len(attacks)) + 0.5, [title(a) for a in attacks], rotation=30, ha="right")
    axes.set_yticks(np.arange(len(rows)) + 0.5, [f"{style.name(loss)}, {METRIC_NAMES[m]}" for loss, m in rows])
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.01, label="AUC")
    return figure


def histograms(records: Sequence[Record], metric: str, attacks: Sequence[str]) -> Figure:
    """Density of a metric for normal images and under noise and attacks, a panel a network."""
    figure = Figure(figsize=(3.4 * len(records), 3.1), layout="constrained")
    panels = figure.subplots(1, len(records), squeeze=False)[0]
    palette = ["#222222", "#999999", "#CC79A7", "#E69F00", "#56B4E9"]
    for axes, record in zip(panels, records):
        every = {"normal": record.arrays[f"normal.{metric}"]}
        every |= {title(attack): arms(record, attack, metric)[1] for attack in attacks}
        finite = np.concatenate([v for v in every.values() if len(v)])
        low, high = np.quantile(finite, [0.01, 1.0])
        edges = np.linspace(low, high + 1e-9, 30)
        for (name, values), colour in zip(every.items(), palette):
            if len(values):
                shares = np.histogram(np.clip(values, low, high), edges)[0] / len(values)
                axes.stairs(shares, edges, color=colour, label=name, linewidth=1.4)
        axes.set_title(style.name(str(record.run.spec["network"]["loss"])))
        axes.set_xlabel({"k_density": "log K-density"}.get(metric, METRIC_NAMES[metric]))
        style.tidy(axes)
    panels[0].set_ylabel("share of images")
    panels[0].legend(fontsize="small")
    return figure


def white_box_images(record: Record) -> Figure:
    """Original images and what C&W-wb makes of them with kappa 0 and 5; the label given stands below."""
    pictures, labels, predicted = (record.arrays[name] for name in ("images", "labels", "predicted"))
    count = len(labels)
    figure = Figure(figsize=(1.35 * count + 1, 4.4), layout="constrained")
    panels = figure.subplots(3, count, squeeze=False)
    for row, name in enumerate(("original", "kappa = 0", "kappa = 5")):
        for column in range(count):
            axes = panels[row, column]
            axes.imshow(np.moveaxis(pictures[row, column], 0, -1).squeeze(), cmap="gray", vmin=0, vmax=255)
            words = f"says {predicted[row - 1, column]}" if row else f"is {labels[column]}"
            unchanged = row > 0 and np.array_equal(pictures[row, column], pictures[0, column])
            axes.set_xlabel(f"{words}\n(failed)" if unchanged else words, fontsize="small")
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(name)
    return figure


def adaptive(frame: pd.DataFrame, oblivious: pd.DataFrame | None = None) -> Figure:
    """Undetected successes under each adaptive attack, a panel a metric, a colour a loss; BIM as the oblivious one."""
    attacks = ["selective", "orthogonal", *sorted({c.split(".", 2)[2] for c in frame.columns if ".joint@" in c})]
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    names = (["BIM, oblivious"] if oblivious is not None else []) + [a.replace("joint@", "joint, ") for a in attacks]
    for axes, metric in zip(panels, METRIC_NAMES):
        for shift, loss in enumerate(LOSSES):
            rows = frame[frame["network.loss"] == loss]
            cells = []
            if oblivious is not None:
                chosen = oblivious[oblivious["network.loss"] == loss]
                column = next((c for c in chosen.columns if c == f"undetected.{metric}.bim@0.1"), None)
                cells.append(chosen[column].dropna().to_numpy(float) if column else np.array([]))
            cells += [rows[f"undetected.{metric}.{attack}"].dropna().to_numpy(float) for attack in attacks]
            place = np.arange(len(cells)) + (shift - 1) * 0.2
            for x, values in zip(place, cells):
                axes.plot([x] * len(values), values, ".", color=style.colour(loss), alpha=0.5)
                if len(values):
                    axes.plot([x - 0.08, x + 0.08], [values.mean()] * 2, color=style.colour(loss), linewidth=2)
            axes.plot([], [], color=style.colour(loss), label=style.name(loss), linewidth=2)
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
        axes.set_title(METRIC_NAMES[metric])
        axes.set_ylim(-0.02, 1.02)
        style.tidy(axes)
    panels[0].set_ylabel("misclassified and accepted")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right upper")
    return figure
