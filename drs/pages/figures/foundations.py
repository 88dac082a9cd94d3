"""Figures of the first chapters: small numbers that a reader can follow by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import ArrayLike

from drs.detection import auc, roc
from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each

__all__ = ["balls", "between", "curves", "kernels", "pictures", "roc_by_hand", "softmax_and_gradient"]

TRUE, FALSE = "#0072B2", "#D55E00"


def softmax_and_gradient(probabilities: ArrayLike, target: int) -> Figured:
    """The softmax of one example, and the gradient of cross-entropy in each logit: p_j, less one for the true class.

    Args:
        probabilities: (C,), which sum to one.
        target: The true class.
    """
    p = np.round(np.asarray(probabilities, float), 4)
    frame = pd.DataFrame({"class": range(len(p)), "softmax": p, "gradient": p - (np.arange(len(p)) == target)})
    colours = [TRUE if j == target else FALSE for j in frame["class"]]
    figure = Figure(figsize=(7, 2.7), layout="constrained")
    for axes, (name, said) in zip(figure.subplots(1, 2), {"softmax": "p", "gradient": "d loss / d z"}.items()):
        axes.bar(frame["class"], frame[name], color=colours)
        axes.axhline(0, color="#777777", linewidth=0.8)
        axes.set_xticks(frame["class"])
        axes.set_xlabel("class")
        axes.set_ylabel(said)
        axes.set_title(name)
        style.tidy(axes)
    return Figured(figure=figure, frame=frame, places=("class",))


def balls(gradient: tuple[float, float], epsilon: float = 1.0) -> Figured:
    """Two pixels: the L-infinity ball is a square, the L2 ball a disc; the arrow is the gradient, the dots the points
    of each ball where a linear loss is largest.

    Args:
        gradient: Of the loss in the two pixels.
        epsilon: Half the side of the square and the radius of the disc.
    """
    g = np.asarray(gradient, float)
    best = {"L-infinity": epsilon * np.sign(g), "L2": epsilon * g / np.linalg.norm(g)}
    rows = [
        {
            "ball": name,
            "pixel 1": round(float(x), 4),
            "pixel 2": round(float(y), 4),
            "rise": round(float(g @ (x, y)), 4),
        }
        for name, (x, y) in best.items()
    ]
    figure = Figure(figsize=(7, 3.3), layout="constrained")
    shapes = (Rectangle((-epsilon, -epsilon), 2 * epsilon, 2 * epsilon), Circle((0, 0), epsilon))
    for axes, shape, row in zip(figure.subplots(1, 2), shapes, rows):
        shape.set(facecolor="#56B4E9", alpha=0.3, edgecolor="#0072B2")
        axes.add_patch(shape)
        for level in np.linspace(-2.5, 2.5, 11):  # where the linear loss is constant
            axes.axline(level * g / (g @ g), slope=-g[0] / g[1], color="#777777", linewidth=0.5, alpha=0.6)
        axes.annotate(
            "", xy=0.9 * g / np.linalg.norm(g), xytext=(0, 0), arrowprops={"arrowstyle": "->", "color": FALSE}
        )
        axes.plot([row["pixel 1"]], [row["pixel 2"]], "o", color=FALSE, markersize=9)
        axes.set_title(f"{row['ball']}: the loss rises by {row['rise']:.2f}")
        axes.set_xlim(-1.5 * epsilon, 1.5 * epsilon)
        axes.set_ylim(-1.5 * epsilon, 1.5 * epsilon)
        axes.set_aspect("equal")
        axes.set_xlabel("change of pixel 1")
        axes.set_ylabel("change of pixel 2")
        style.tidy(axes, grid=False)
    return Figured(figure=figure, frame=pd.DataFrame(rows), places=("ball",))


def pictures(images: Mapping[str, ArrayLike], labels: Mapping[str, str]) -> Figured:
    """Grey pictures side by side, each with its name above and a word below.

    Args:
        images: (H, W) each, in [0, 1] or, for a perturbation, around 0.
        labels: What stands below each.
    """
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    rows = []
    for axes, (name, image) in zip(figure.subplots(1, len(images)), images.items()):
        values = np.asarray(image, float)
        low, high = (-1.0, 1.0) if values.min() < 0 else (0.0, 1.0)
        axes.imshow(np.round(values, 2), cmap="gray", vmin=low, vmax=high)
        axes.set_title(name)
        axes.set_xlabel(labels[name])
        axes.set_xticks([])
        axes.set_yticks([])
        rows.append({"picture": name, "label": labels[name]})
    return Figured(figure=figure, frame=pd.DataFrame(rows), places=("picture",))


def curves(frame: pd.DataFrame) -> Figured:
    """Accuracy over the budget, one line per attack and one panel per network.

    Args:
        frame: Columns network, attack, epsilon and accuracy.
    """
    panels = list(each(frame, "network"))
    figure = Figure(figsize=(7, 2.9), layout="constrained")
    palette = dict(zip(dict.fromkeys(frame["attack"]), (TRUE, FALSE, "#009E73", "#CC79A7")))
    markers = dict(zip(palette, "osD^"))
    for place, (axes, (network, lines)) in enumerate(
        zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels)
    ):
        for attack, line in each(lines, "attack"):
            axes.plot(line["epsilon"], line["accuracy"], marker=markers[attack], color=palette[attack], label=attack)
        axes.set_title(network)
        axes.set_xlabel("epsilon")
        axes.set_ylim(0, 1.02)
        style.tidy(axes)
        if place == 0:
            axes.set_ylabel("accuracy")
            axes.legend(loc="lower left")
    return Figured(figure=figure, frame=frame, places=("epsilon",), series=("attack",), panel=("network",))


def between(frame: pd.DataFrame) -> Figured:
    """Two bounds of robust accuracy over the budget, with the band in which the truth lies.

    Args:
        frame: Columns epsilon, certified and attacked.
    """
    figure = Figure(figsize=(5, 2.9), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(frame["epsilon"], frame["certified"], frame["attacked"], color="#777777", alpha=0.25)
    axes.plot(frame["epsilon"], frame["attacked"], marker="o", color=FALSE, label="under attack: not above")
    axes.plot(frame["epsilon"], frame["certified"], marker="s", color=TRUE, label="certified: not below")
    axes.set_xlabel("epsilon")
    axes.set_ylabel("robust accuracy")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    style.tidy(axes)
    return Figured(figure=figure, frame=frame, places=("epsilon",))


def roc_by_hand(normal: Sequence[float], attacked: Sequence[float]) -> Figured:
    """A few scores on a line, and the ROC curve that a threshold draws when it moves through them.

    Args:
        normal, attacked: Scores, higher for what looks more normal.
    """
    points = roc(np.asarray(normal, float), np.asarray(attacked, float))
    area = auc(np.asarray(normal, float), np.asarray(attacked, float))
    kinds = {"normal": (normal, TRUE, "o"), "attacked": (attacked, FALSE, "X")}
    frame = pd.DataFrame([{"images": kind, "score": v} for kind, (values, _, _) in kinds.items() for v in values])
    figure = Figure(figsize=(7, 2.9), layout="constrained")
    line, curve = figure.subplots(1, 2, width_ratios=(1.2, 1))
    for height, (values, colour, marker) in enumerate(kinds.values()):
        line.plot(values, [height] * len(values), marker, color=colour, markersize=9)
        line.axhline(height, color="#777777", linewidth=0.5)
    line.set_yticks([0, 1], list(kinds))
    line.set_ylim(-0.6, 1.6)
    line.set_xlabel("score (higher: more normal)")
    style.tidy(line, grid=False)
    curve.plot(points.fpr, points.tpr, color=TRUE, marker="o")
    curve.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
    curve.set_xlabel("attacked images kept")
    curve.set_ylabel("normal images kept")
    curve.set_title(f"area {area:.3f}")
    curve.set_aspect("equal")
    style.tidy(curve)
    return Figured(figure=figure, frame=frame, places=("images",))


def kernels(points: Sequence[float], bandwidths: Sequence[float]) -> Figured:
    """A kernel density from a few points: one bump per point (thin), and their mean (thick), per bandwidth.

    Args:
        points: Where the training examples lie.
        bandwidths: sigma squared of exp(-(x - point)^2 / bandwidth), one panel each.
    """
    places = np.linspace(min(points) - 2, max(points) + 2, 81)
    rows = []
    figure = Figure(figsize=(7, 2.7), layout="constrained")
    for axes, bandwidth in zip(figure.subplots(1, len(bandwidths), sharey=True), bandwidths):
        bumps = np.exp(-((places[:, None] - np.asarray(points)) ** 2) / bandwidth)
        axes.plot(places, bumps / len(points), color="#56B4E9", linewidth=1)
        axes.plot(places, bumps.mean(axis=1), color=TRUE, linewidth=2.2)
        axes.plot(points, [0] * len(points), "|", color="#262626", markersize=12)
        axes.set_title(f"bandwidth {bandwidth:g}")
        axes.set_xlabel("feature")
        style.tidy(axes)
        shown = slice(None, None, 8)
        rows += [
            {"bandwidth": bandwidth, "feature": x, "density": round(float(y), 4)}
            for x, y in zip(places[shown], bumps.mean(axis=1)[shown])
        ]
        if bandwidth == bandwidths[0]:
            axes.set_ylabel("density")
    return Figured(figure=figure, frame=pd.DataFrame(rows), places=("feature",), panel=("bandwidth",))
