"""Figures of the DRS chapters, drawn from records or frames of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.figured import Figured, each, interval
from drs.study.metrics import column, columns, label
from drs.study.records import Record

__all__ = [
    "ABLATIONS",
    "VARIANTS",
    "ablations",
    "curve",
    "epsilons",
    "false_class_shift",
    "named",
    "one_image",
    "under",
]

ABLATIONS = {
    "losses": ("ce", "drs", "label-smoothing", "confidence-penalty", "logit-squeezing", "rce", "adversarial"),
    "weight b": ("weight-0.0064", "weight-0.064", "drs", "weight-6.4", "weight-64"),
    "what is restrained": (
        *("drs", "probabilities", "probabilities-64", "std"),
        *("mean-over-c", "top-3", "only-correct", "warm-up"),
    ),
    "batch and reduction": tuple(f"{name}-batch-{size}" for size in (32, 512) for name in ("ce", "mean", "sum")),
    "architecture": ("ce", "drs", "mlp-ce", "mlp-drs", "resnet-ce", "resnet-drs"),
}
"""Variants of the losses experiment by the question they answer."""

_MANY = "the same images in larger batches, so fewer updates"
_FEW = "the same images in smaller batches, so more updates"
VARIANTS = {
    "ce": ("CE", "cross-entropy alone"),
    "drs": ("DRS", "the loss of the paper, at b = 0.64"),
    "weight-0.0064": ("DRS, b = 0.0064", "the weight"),
    "weight-0.064": ("DRS, b = 0.064", "the weight"),
    "weight-6.4": ("DRS, b = 6.4", "the weight"),
    "weight-64": ("DRS, b = 64", "the weight"),
    "probabilities": ("DRS, probabilities", "restrains the softmax values in place of the logits"),
    "probabilities-64": ("DRS, probabilities, b = 64", "the same at a hundred times the weight"),
    "std": ("DRS, std", "restrains the standard deviation in place of the sum of squares"),
    "mean-over-c": ("DRS, second version", "the authors' second version: the true class enters the mean as a zero"),
    "top-3": ("DRS, top 3", "restrains only the three largest false logits"),
    "only-correct": ("DRS, only correct", "leaves out images that are misclassified at that step"),
    "warm-up": ("DRS, warm-up", "lets the weight grow from zero"),
    "ce-batch-32": ("CE, batch 32", _FEW),
    "mean-batch-32": ("DRS, batch 32", _FEW + "; our mean over the batch"),
    "sum-batch-32": ("DRS, batch 32, sum", _FEW + "; the published sum over the batch"),
    "ce-batch-512": ("CE, batch 512", _MANY),
    "mean-batch-512": ("DRS, batch 512", _MANY + "; our mean over the batch"),
    "sum-batch-512": ("DRS, batch 512, sum", _MANY + "; the published sum over the batch"),
    "label-smoothing": ("label smoothing", "a target of 0.9 for the true class and the rest for all"),
    "confidence-penalty": ("confidence penalty", "rewards the entropy of the softmax"),
    "logit-squeezing": ("logit squeezing", "presses all logits towards zero"),
    "rce": ("RCE", "the loss of the other paper"),
    "adversarial": ("adversarial training", "cross-entropy on attacked images"),
    "mlp-ce": ("MLP, CE", "the architecture"),
    "mlp-drs": ("MLP, DRS", "the architecture"),
    "resnet-ce": ("ResNet, CE", "the architecture"),
    "resnet-drs": ("ResNet, DRS", "the architecture"),
}
"""What the text calls each variant of the losses experiment, and what it changes."""


def named(variant: str) -> str:
    """A variant of the losses experiment as the text calls it; any other by its own name.

    >>> named("top-3"), named("something else")
    ('DRS, top 3', 'something else')
    """
    return VARIANTS[variant][0] if variant in VARIANTS else style.name(variant)


def epsilons(frame: pd.DataFrame, attack: str) -> list[float]:
    """Budgets at which a frame holds an attack's accuracy, in increasing order."""
    found = columns(frame, attack).items()
    return [metric.budget for name, metric in found if metric.budget is not None and frame[name].notna().any()]


def under(attack: str, epsilon: float) -> str:
    """The column of accuracy under an attack, which at budget 0 is that of the images themselves."""
    return column(attack, budget=epsilon) if epsilon > 0 else column("worst", budget=0.0)


def one_image(record: Record) -> Figured:
    """One image under each attack, and the softmax of its classes below; the true class is marked."""
    names = ("clean", "FGSM", "BIM", "PGD-20")
    images, true = record.arrays["images"], int(record.metrics["label"])
    drawn = pd.DataFrame(
        [
            {"image": name, "class": j, "softmax": float(value)}
            for name, probabilities in zip(names, record.arrays["probabilities"])
            for j, value in enumerate(probabilities)
        ]
    )
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    rows = figure.subplots(2, len(names), height_ratios=(1.1, 1))
    for place, (name, values) in enumerate(each(drawn, "image")):
        picture, bars = rows[0, place], rows[1, place]
        picture.imshow(np.moveaxis(images[place], 0, -1).squeeze(), cmap="gray", vmin=0, vmax=255)
        picture.set_axis_off()
        picture.set_title(name)
        top = values.iloc[int(values["softmax"].to_numpy().argmax())]
        bars.bar(
            values["class"],
            values["softmax"],
            color=[style.colour("ce" if j == true else "drs") for j in values["class"]],
        )
        bars.set_ylim(0, 1.05)
        bars.set_xticks(values["class"])
        bars.set_xlabel(f"says {top['class']} ({top['softmax']:.0%})")
        if place == 0:
            bars.set_ylabel("softmax")
        style.tidy(bars)
    return Figured(figure=figure, frame=drawn, places=("class",), series=("image",))


def false_class_shift(frame: pd.DataFrame) -> Figured:
    """Accuracy under PGD and mean spread of the false probabilities, both against epsilon, one colour per loss."""
    panels = {
        "accuracy under PGD-20": ("accuracy", "pgd"),
        "std of false probabilities": ("std_probabilities_before", "std_probabilities"),
    }
    drawn = pd.DataFrame(
        [
            {"loss": style.name(str(row["network.loss"])), "epsilon": epsilon}
            | {
                name: float(row[column(head, budget=epsilon) if epsilon else start])
                for name, (start, head) in panels.items()
            }
            for _, row in frame.iterrows()
            for epsilon in (0.0, *epsilons(frame, "pgd"))
        ]
    )
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name in zip((left, right), panels):
        for loss, line in each(drawn, "loss"):
            axes.plot(line["epsilon"], line[name], marker="o", color=style.colour(loss), label=loss)
        axes.set_ylabel(name)
        axes.set_xlabel("epsilon (pixels in [0, 1])")
        axes.set_ylim(bottom=0)
        style.tidy(axes)
    left.legend()
    return Figured(figure=figure, frame=drawn, places=("epsilon",), series=("loss",))


def curve(frame: pd.DataFrame, variants: Sequence[str], attacks: Sequence[str]) -> Figured:
    """Accuracy over epsilon, one panel per attack, one line per loss: the mean over seeds and its 95% interval.

    Args:
        frame: Records of the experiment ``losses``.
        variants: Losses to draw; those that were not run, or always diverged, are left out.
        attacks: As the records name them.
    """
    finished = {
        variant: frame[(frame["variant"] == variant) & frame[under("worst", 0.0)].notna()] for variant in variants
    }
    drawn = pd.DataFrame(
        [
            {"attack": label(attack), "loss": style.name(variant), "epsilon": epsilon}
            | interval("accuracy", rows[under(attack, epsilon)], low=0.0, high=1.0)
            for attack in attacks
            for variant, rows in finished.items()
            if len(rows)
            for epsilon in sorted({0.0, *epsilons(frame, attack)})
        ]
    )
    figure, panels = style.wrapped(len(attacks), height=3.2)
    for axes, (attack, lines) in zip(panels, each(drawn, "attack")):
        style.bands(axes, lines, "epsilon", "accuracy")
        axes.set_title(attack)
        axes.set_xlabel("epsilon")
        axes.set_ylim(0, 1.02)
        style.tidy(axes)
    panels[0].set_ylabel("accuracy")
    handles, labels = panels[-1].get_legend_handles_labels()
    if len(labels) > 4:
        figure.set_figheight(figure.get_figheight() + 0.8)
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    else:
        panels[-1].legend()
    return Figured(figure=figure, frame=drawn, places=("epsilon",), series=("loss",), panel=("attack",))


def ablations(frame: pd.DataFrame, groups: Mapping[str, Sequence[str]], metric: str = "worst_area") -> Figured:
    """A number of every variant, one row each, in groups: the mean over seeds (dot), its 95% interval (line) and each
    seed (small dots). The dashed lines are the means of CE and DRS.

    Args:
        frame: Columns ``variant`` and ``metric``.
        groups: Variants by the heading they stand under; those that were not run, or always diverged, are left out.
        metric: Column that is drawn.
    """
    seeds = {
        str(name): values.to_numpy(float) for name, values in frame.dropna(subset=metric).groupby("variant")[metric]
    }
    number = label(metric)
    drawn = pd.DataFrame(
        [
            {"group": group, "variant": name} | interval(number, seeds[name]) | {"seeds": tuple(seeds[name])}
            for group, names in groups.items()
            for name in names
            if name in seeds
        ]
    )
    present = list(each(drawn, "group"))
    heights = [len(rows) + 0.6 for _, rows in present]
    figure = Figure(figsize=(7.5, 0.6 + 0.27 * sum(height + 0.3 for height in heights)))
    figure.set_layout_engine("tight")  # the constrained one solves so many panels to other last digits every time
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, rows) in zip(panels, present):
        for reference in ("ce", "drs"):
            if reference in seeds:
                axes.axvline(seeds[reference].mean(), color=style.colour(reference), linestyle="--", linewidth=1)
        for height, row in enumerate(rows.to_dict("records")):
            colour = style.colour(row["variant"])
            if np.isfinite(row["from"]):
                ends = [row["from"], row["to"]]
                axes.plot(ends, [height, height], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot(row["seeds"], [height] * len(row["seeds"]), ".", color=colour, markersize=4, alpha=0.6)
            axes.plot([row[number]], [height], "o", color=colour, markersize=6)
        names = [named(name) for name in rows["variant"]]
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(group, fontsize=9, loc="left")
        style.tidy(axes)
    every = np.concatenate([*seeds.values()])
    low, high = every.min(), every.max()
    panels[-1].set_xlim(min(0.0, low), high + 0.1 * (high - low) + 0.02)
    panels[-1].set_xlabel(number)
    drawn["variant"] = drawn["variant"].map(named)
    return Figured(figure=figure, frame=drawn, places=("variant",), panel=("group",))
