"""How fast false classes become equal as training error falls: O(alpha) for CE, O(alpha squared) for RCE.

Two views. The bound itself: random softmax vectors at sup-norm distance alpha from the label (for RCE: from the
reverse label, then negated in the logits), the largest difference between two false classes, and the slope of its
logarithm in that of alpha. And trained networks: the same two numbers for each test image.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from drs.evaluation.accuracy import logits_of
from drs.losses import get_loss
from drs.study.experiments.base import Context, Outcome, Spec

__all__ = ["CLASSES", "false_class_gap", "labels_of", "run"]

CLASSES = 10


def labels_of(kind: str, smoothing: float = 0.1) -> NDArray[np.float64]:
    """(classes,) what training drives the softmax to, the true class first: one-hot, smoothed or reversed."""
    label = np.full(CLASSES, 0.0)
    label[0] = 1.0
    if kind == "label_smoothing":
        label = (1 - smoothing) * label + smoothing / CLASSES
    elif kind == "rce":
        label = (1.0 - label) / (CLASSES - 1)
    return label


def false_class_gap(kind: str, alpha: float, draws: int, seed: int) -> float:
    """Mean over random errors of the largest difference between two false classes of the network as used at test.

    Args:
        kind: ``"ce"``, ``"label_smoothing"`` or ``"rce"``.
        alpha: Sup-norm distance of the softmax from :func:`labels_of`.
        draws: Random errors, uniform within the distance, of sum zero, the largest exactly alpha.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    target = labels_of(kind)
    error = generator.uniform(-1.0, 1.0, (draws, CLASSES))
    error = np.where(target == 0.0, np.abs(error), error)  # a probability cannot fall below zero
    true = 0
    rest = np.delete(np.arange(CLASSES), true)
    if kind == "rce":
        error[:, true] = np.abs(error[:, true])
    shift = error[:, true] + error[:, rest].sum(axis=1)
    if kind == "rce":
        error[:, rest] -= shift[:, None] / (CLASSES - 1)
    else:
        error[:, true] -= shift
    error *= (alpha / np.abs(error).max(axis=1))[:, None]
    softmax = target + error
    if kind == "rce":
        inverse = 1.0 / softmax  # the softmax of negated logits is proportional to one over the softmax
        softmax = inverse / inverse.sum(axis=1, keepdims=True)
    return float(np.ptp(softmax[:, rest], axis=1).mean())


def run(spec: Spec, context: Context) -> Outcome:
    """The slopes of the bound, or alpha and the false-class gap of each test image of one network."""
    if "network" not in spec:
        metrics = {}
        arrays = {"alpha": np.array(spec["alphas"])}
        for kind in ("ce", "label_smoothing", "rce"):
            gaps = np.array([false_class_gap(kind, a, spec["draws"], spec["seed"]) for a in spec["alphas"]])
            arrays[f"gap.{kind}"] = gaps
            metrics[f"slope.{kind}"] = float(np.polyfit(np.log(spec["alphas"]), np.log(gaps), 1)[0])
        return Outcome(metrics, arrays)
    network = context.network(spec["network"]).network
    images, labels = context.dataset(spec["network"]["dataset"]).test.first(spec["images"]).to_float(context.device)
    logits = logits_of(network, images).double()
    reverse = get_loss(spec["network"]["loss"]).reverse
    trained_on = torch.softmax(-logits if reverse else logits, dim=1)
    one_hot = torch.nn.functional.one_hot(labels, logits.shape[1]).double()
    target = (1.0 - one_hot) / (logits.shape[1] - 1) if reverse else one_hot
    alpha = (trained_on - target).abs().amax(dim=1)
    used = torch.softmax(logits, dim=1)
    index = labels.unsqueeze(1)
    gap = used.scatter(1, index, -torch.inf).amax(dim=1) - used.scatter(1, index, torch.inf).amin(dim=1)
    right = (logits.argmax(dim=1) == labels).cpu().numpy()
    x, y = alpha.cpu().numpy()[right], gap.cpu().numpy()[right]
    slope = np.polyfit(np.log(np.clip(x, 1e-12, None)), np.log(np.clip(y, 1e-12, None)), 1)[0]
    metrics = {"slope": float(slope), "alpha_median": float(np.median(x)), "gap_median": float(np.median(y))}
    return Outcome(metrics, {"alpha": x.astype(np.float32), "gap": y.astype(np.float32)})
