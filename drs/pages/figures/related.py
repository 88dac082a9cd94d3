"""Figures and tables of the chapters on PRSL, Density-Softmax and the self-restrained triplet loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.pages.tables import over_seeds, possible
from drs.study.experiments.related import CONTRASTS, DIGITS, NOISES
from drs.study.metrics import column, columns
from drs.study.records import Record

__all__ = [
    "ARMS",
    "CAPTIONERS",
    "DATA",
    "EMBEDDINGS",
    "MOONS",
    "calibration",
    "captioners",
    "captions",
    "moons",
    "own_loss",
    "penalised",
    "scaled",
    "shifts",
    "trainings",
    "verification",
    "verified",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#444444", "#56B4E9")
"""Colours of the lines of a figure, in the order in which they are drawn (Okabe and Ito)."""
CAPTIONERS = {
    "ce": "CE",
    "prs-0.001": "PRSL, 0.001",
    "prs-0.1": "PRSL, 0.1",
    "classes-0.001": "over classes, 0.001",
    "classes-0.1": "over classes, 0.1",
}
"""Losses of the captioners with their weight, as the text calls them."""
ARMS = {
    "plain": "plain softmax",
    "temperature": "temperature",
    "oracle": "oracle temperature",
    "retrained": "head retrained",
    "constant": "constant factor",
    "interval": "Density-Softmax",
    "ratio": "Density-Softmax, p / p_max",
}
"""Ways to scale the logits of one network, as the text calls them."""
MOONS = {"plain": "plain softmax", "ratio": "p / p_max", "interval": "interval map"}
"""Ways to scale on two moons."""
EMBEDDINGS = {
    "unmasked": "no mask",
    "raw": "raw",
    "triplet": "triplet",
    "srt": "self-restrained",
    "pull": "pull only",
}
"""Probes of the verification: what was done to the embedding of the masked image."""
DATA = {"synthetic": "synthetic embeddings", DIGITS: "digits, classes as identities"}
"""Data of the verification, as the text calls them."""
SHOWN_POINTS = 100
"""Training points drawn on a map of two moons: more would make a heavy file."""


def _lines(axes: Axes, frame: pd.DataFrame, x: str, y: str, series: str) -> None:
    for colour, (name, line) in zip(COLOURS, each(frame, series)):
        axes.plot(line[x], line[y], marker="o", markersize=3.5, color=colour, label=name)
        if line["from"].notna().any():
            axes.fill_between(line[x], line["from"], line["to"], color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel(x)
    style.tidy(axes)


def captions(frame: pd.DataFrame) -> Figured:
    """Word overlap with the clean caption by steps of the worst of three attacks, and what each loss adds to CE.

    Args:
        frame: Of ``captions``. The right panel is the paired difference to CE of the same seed, with its interval.
    """
    base = frame[frame["variant"] == "ce"].sort_values("seed")
    rows = []
    for name, metric in columns(frame, "overlap_steps", attack="worst").items():
        for variant, said in CAPTIONERS.items():
            ours = frame[frame["variant"] == variant].sort_values("seed")[name].to_numpy(float)
            place = {"loss": said, "steps": metric.number}
            rows.append({"panel": "word overlap", **place, **interval("overlap", ours, low=0.0, high=1.0)})
            if variant != "ce":
                gain = interval("overlap", ours - base[name].to_numpy(float))
                rows.append({"panel": "word overlap, minus CE", **place, **gain})
    drawn = pd.DataFrame(rows).sort_values("panel", kind="stable")
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    for axes, (panel, part) in zip(figure.subplots(1, 2), each(drawn, "panel")):
        if panel == "word overlap":
            _lines(axes, part, "steps", "overlap", "loss")
            axes.set_ylim(0, 1.02)
        else:
            for number, (loss, line) in enumerate(each(part, "loss"), start=1):
                at = line["steps"] * (1 + 0.04 * (number - 2.5))
                axes.plot(at, line["overlap"], "o", markersize=4, color=COLOURS[number], label=loss)
                axes.vlines(at, line["from"], line["to"], color=COLOURS[number], linewidth=1.2)
            axes.axhline(0.0, color="#999999", linewidth=0.8)
            axes.set_xlabel("steps")
            style.tidy(axes)
        axes.set_xscale("log")
        ticks = sorted(part["steps"].unique())
        axes.set_xticks(ticks, [f"{step:g}" for step in ticks])
        axes.minorticks_off()
        axes.set_title(panel)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    return Figured(figure=figure, frame=drawn, places=("steps",), series=("loss",), panel=("panel",))


def captioners(frame: pd.DataFrame) -> pd.DataFrame:
    """How the captioners trained, what the loss left of two spreads, and the overlap under each attack, over seeds."""
    shown = {
        "train_loss": "loss in training",
        "caption_exact": "clean captions right",
        "scaled_penalty": "weight times tokens",
        "false_std": "std of false logits in a token",
        "batch_std": "std of their means between tokens",
        column("overlap_steps_4", attack="ce"): "overlap, 4 steps on CE",
        column("overlap_steps_4", attack="trained"): "on the trained loss",
        column("overlap_steps_4", attack="margin"): "on the margin",
        column("overlap_steps_10", attack="noise"): "10 steps of noise",
        column("overlap_steps_10", attack="zero"): "10 steps, gradient 0",
    }
    named = frame.assign(variant=frame["variant"].map(CAPTIONERS))
    return over_seeds(named, "variant", list(shown)).rename(columns=shown)


def own_loss(frame: pd.DataFrame, steps: int = 4) -> str:
    """What PRSL at the published weight keeps more than CE, under an attack on the trained loss and on cross-entropy.

    Args:
        frame: Of ``captions``.
        steps: Of the attack.

    Returns:
        A sentence with two paired differences, each with its interval over seeds.
    """
    parts = []
    for attack, said in (("trained", "the loss it was trained with"), ("ce", "plain cross-entropy")):
        name = column(f"overlap_steps_{steps}", attack=attack)
        ours, base = (
            frame[frame["variant"] == v].sort_values("seed")[name].to_numpy(float) for v in ("prs-0.001", "ce")
        )
        gain = interval("overlap", ours - base)
        parts.append(f"{gain['overlap']:+.3f} [{gain['from']:+.3f}, {gain['to']:+.3f}] under {steps} steps on {said}")
    return f"PRSL at the published weight minus CE, word overlap: {parts[0]}; {parts[1]}."


def _by_arm(frame: pd.DataFrame, arms: Mapping[str, str], heads: Mapping[str, str]) -> pd.DataFrame:
    """Numbers that have the arm in their name as one row per arm, mean and interval over seeds."""
    parts = []
    for arm, said in arms.items():
        names = {column(head, attack=arm): label for head, label in heads.items()}
        parts.append(frame[list(names)].rename(columns=names).assign(arm=said))
    limits = {label: possible(column(head, attack=next(iter(arms)))) for head, label in heads.items()}
    return over_seeds(pd.concat(parts), "arm", list(heads.values()), within=limits)


def penalised(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``density`` on digits whose network was trained with the gradient penalty."""
    return frame[(frame["kind"] == "digits") & (frame["gradient_penalty"] > 0)]


def scaled(frame: pd.DataFrame) -> pd.DataFrame:
    """NLL, calibration error, Brier score and accuracy of every way to scale, clean and over the shifts.

    The first row is the network without the gradient penalty, to which the claim compares.
    """
    heads = {
        "nll": "NLL, clean",
        "nll_shift": "NLL, shifted",
        "ece": "ECE, clean",
        "ece_shift": "ECE, shifted",
        "brier_shift": "Brier, shifted",
        "hits": "accuracy, clean",
        "hits_shift": "accuracy, shifted",
        "aupr": "AUPR, shuffled pixels",
    }
    without = frame[(frame["kind"] == "digits") & (frame["gradient_penalty"] == 0)]
    first = _by_arm(without, {"plain": "plain softmax, no penalty"}, heads)
    return pd.concat([first, _by_arm(penalised(frame), ARMS, heads)])


def shifts(frame: pd.DataFrame) -> pd.DataFrame:
    """NLL under rotation and under noise and contrast apart, networks with gradient penalty, over seeds.

    A record holds the mean over all shifts and each rotation: the other part is what the mean leaves.
    """
    rows, parts, others = penalised(frame), [], len(NOISES) + len(CONTRASTS)
    for arm, said in ARMS.items():
        turned = rows[list(columns(rows, "nll_rotation", attack=arm))]
        total = rows[column("nll_shift", attack=arm)] * (turned.shape[1] + others)
        rest = (total - turned.sum(axis=1)) / others
        found = {"arm": said, "NLL, rotation": turned.mean(axis=1), "NLL, noise and contrast": rest}
        parts.append(pd.DataFrame(found))
    return over_seeds(pd.concat(parts), "arm", ["NLL, rotation", "NLL, noise and contrast"], within=(0.0, math.inf))


def calibration(
    frame: pd.DataFrame, arms: Sequence[str] = ("plain", "temperature", "oracle", "constant", "interval")
) -> Figured:
    """NLL and calibration error against the angle of rotation, one line per arm, networks with gradient penalty."""
    rows = penalised(frame)
    drawn = pd.DataFrame(
        [
            {"measure": said, "arm": ARMS[arm], "degrees": degrees, **interval("value", rows[name], low=0.0)}
            for head, said in (("nll", "NLL"), ("ece", "calibration error"))
            for arm in arms
            for degrees, name in [
                (0.0, column(head, attack=arm)),
                *((m.budget, n) for n, m in columns(rows, f"{head}_rotation", attack=arm).items()),
            ]
        ]
    )
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    for axes, (measure, part) in zip(figure.subplots(1, 2), each(drawn, "measure")):
        _lines(axes, part, "degrees", "value", "arm")
        axes.set_title(measure)
        axes.set_ylim(bottom=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    return Figured(figure=figure, frame=drawn, places=("degrees",), series=("arm",), panel=("measure",))


def moons(record: Record, frame: pd.DataFrame) -> Figured:
    """The uncertainty p (1 - p) on the plane for one seed, one map per arm, with some of the training points.

    Args:
        record: Of two moons, with its arrays.
        frame: Of ``density``: the table beside the figure is over its seeds.
    """
    points, classes = (record.arrays[name][:SHOWN_POINTS] for name in ("points", "classes"))
    every = frame[frame["kind"] == "moons"]
    figure = Figure(figsize=(9.6, 3.0), layout="constrained")
    rows, shown = [], None
    for axes, (arm, title) in zip(figure.subplots(1, 3, sharey=True), MOONS.items()):
        values = record.arrays[f"uncertainty.{arm}"]
        shown = axes.imshow(
            values.T, origin="lower", extent=(-3, 3, -2, 2), vmin=0, vmax=0.25, cmap="viridis", aspect="auto"
        )
        for label, colour in ((0, "#E69F00"), (1, "#FFFFFF")):
            chosen = points[classes == label]
            axes.plot(chosen[:, 0], chosen[:, 1], ".", color=colour, markersize=2)
        axes.set_title(title)
        grown = interval("rank correlation with distance", every[column("distance_correlation", attack=arm)])
        near = every[column("uncertainty", attack=arm)].mean()
        rows.append({"way to scale": title} | grown | {"uncertainty near the data": float(near)})
    assert shown is not None
    figure.colorbar(shown, ax=figure.axes, label="p (1 - p)")
    return Figured(figure=figure, frame=pd.DataFrame(rows), places=("way to scale",))


def verification(frame: pd.DataFrame) -> Figured:
    """Equal error rate on identities that were not trained on: mean over seeds and its interval, one panel per data."""
    drawn = pd.DataFrame(
        [
            {"data": said, "probe": name} | interval("EER", rows[column("eer", attack=arm)], low=0.0)
            for data, said in DATA.items()
            for rows in (frame[frame["dataset"] == data],)
            for arm, name in EMBEDDINGS.items()
        ]
    )
    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    for axes, (data, part) in zip(figure.subplots(1, 2, sharey=True), each(drawn, "data")):
        places = range(len(part))[::-1]
        for place, colour, row in zip(places, COLOURS, part.itertuples()):
            axes.plot(row.EER, place, "o", color=colour)
        axes.hlines(list(places), part["from"], part["to"], color=list(COLOURS[: len(part)]))
        axes.set_yticks(list(places), part["probe"].tolist())
        axes.set_xlim(left=0)
        axes.set_title(data)
        axes.set_xlabel("equal error rate (lower is better)")
        style.tidy(axes)
    return Figured(figure=figure, frame=drawn, places=("probe",), panel=("data",))


def verified(frame: pd.DataFrame, data: str) -> pd.DataFrame:
    """Every error rate of every probe on one data set, over seeds."""
    heads = {
        "eer": "EER",
        "fnmr_100": "FMR100",
        "fnmr_1000": "FMR1000",
        "fisher": "FDR",
        "genuine": "G-mean",
        "impostor": "I-mean",
    }
    return _by_arm(frame[frame["dataset"] == data], EMBEDDINGS, heads)


def trainings(frame: pd.DataFrame) -> pd.DataFrame:
    """The loss of every training of ``restrained`` over its first and last updates, and how often SRT was restrained.

    The table has one row per data set; mean and interval over seeds.
    """
    shown = {
        f"train_loss_{end}.{loss}": f"{EMBEDDINGS[loss]}, {said}"
        for loss in ("triplet", "srt", "pull")
        for end, said in (("before", "first"), ("after", "last"))
    }
    shown |= {"restrained_batches": "restrained batches", "train_accuracy": "accuracy of what embeds digits"}
    named = frame.assign(dataset=frame["dataset"].map(DATA))
    return over_seeds(named, "dataset", list(shown)).rename(columns=shown)
