"""DRS and other regularisers of the logits, each at the strength that is best for it on validation images.

The number of each loss is chosen anew at every seed: as many values are tried for each, on images that are neither
trained on nor attacked later. Two attacks judge there, all attacks of the curve on the test images.
"""

from __future__ import annotations

from drs.errors import Diverged
from drs.evaluation.accuracy import accuracy, clean_metrics, logits_of
from drs.evaluation.curves import curve_metrics
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.family import choice, choose
from drs.study.metrics import column
from drs.training.loop import Training
from drs.training.spec import TrainingSpec

__all__ = ["run"]

JUDGES = ("pgd", "margin")
"""Attacks on the validation images."""


def _chosen(spec: Spec, context: Context) -> tuple[Training, dict[str, float]]:
    """The training whose value is best on validation images, and how every value did there.

    A value at which the training diverges is out, and one whose network did not finish training is taken only where
    none did.

    Raises:
        Diverged: At every value.
    """
    base = TrainingSpec.from_dict(spec["network"])
    validation = context.dataset(base.dataset).validation
    every_image, every_label = validation.to_float(context.device)
    images, labels = validation.first(spec["validation_images"]).to_float(context.device)
    trained: dict[float, Training] = {}
    tried: dict[float, tuple[float, float]] = {}
    for value in spec["tried"]:
        try:
            trained[value] = context.network(base.having(spec["option"], value).as_dict())
        except Diverged:
            continue
        network = trained[value].network
        curve, _ = curve_metrics(network, images, labels, JUDGES, spec["validation_epsilons"])
        tried[value] = (accuracy(logits_of(network, every_image), every_label), curve[column("worst_area")])
    if not tried:
        raise Diverged(f"training diverged at every value tried: {', '.join(f'{value:g}' for value in spec['tried'])}")
    finished = {value: numbers for value, numbers in tried.items() if trained[value].accuracy >= spec["trained"]}
    taken = choose(finished or tried, spec["tried"][0])
    return trained[taken], choice(taken, tried)


def run(spec: Spec, context: Context) -> Outcome:
    """Train at each value, choose one, measure its network on all clean test images, attack the first ``images``."""
    training, notes = _chosen(spec, context)
    test = context.dataset(spec["network"]["dataset"]).test
    every_image, every_label = test.to_float(context.device)
    images, labels = test.first(spec["images"]).to_float(context.device)
    metrics = {"train_accuracy": training.accuracy} | notes
    metrics |= clean_metrics(logits_of(training.network, every_image), every_label)
    curve, _ = curve_metrics(training.network, images, labels, spec["attacks"], spec["epsilons"])
    return Outcome(metrics | curve)
