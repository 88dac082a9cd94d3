"""Losses side by side over the whole epsilon curve: CE, DRS in every form the papers leave open, and the controls."""

from __future__ import annotations

from drs.evaluation.accuracy import clean_metrics, logits_of
from drs.evaluation.curves import curve_metrics
from drs.study.experiments.base import Context, Outcome, Spec

__all__ = ["run"]


def run(spec: Spec, context: Context) -> Outcome:
    """Train, measure on all clean test images, attack the first ``images`` of them."""
    training = context.network(spec["network"])
    test = context.dataset(spec["network"]["dataset"]).test
    every_image, every_label = test.to_float(context.device)
    images, labels = test.first(spec["images"]).to_float(context.device)
    metrics = {"train_accuracy": training.accuracy}
    metrics |= clean_metrics(logits_of(training.network, every_image), every_label)
    curve, _ = curve_metrics(training.network, images, labels, spec["attacks"], spec["epsilons"])
    return Outcome(metrics | curve)
