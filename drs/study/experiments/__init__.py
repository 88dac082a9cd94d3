"""The experiments by name. Listing and planning them imports no torch; running one imports its module."""

from __future__ import annotations

from importlib import import_module

from drs.errors import pick
from drs.study.experiments import grids, related
from drs.study.experiments.base import Context, Experiment, Grid, Outcome, Spec


def _experiment(name: str, version: int, title: str, grid: Grid) -> Experiment:
    """The experiment whose ``run`` is that of the module of its name, imported when it is first called."""

    def run(spec: Spec, context: Context) -> Outcome:
        outcome: Outcome = import_module(f"{__name__}.{name}").run(spec, context)
        return outcome

    return Experiment(name, version, title, grid, run)


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        _experiment("anatomy", 2, "what attacks do to the softmax of the false classes", grids.anatomy),
        _experiment(
            "correlation", 2, "a population of networks: false-class spread against robustness", grids.correlation
        ),
        _experiment("losses", 2, "CE, DRS, its ablations and the controls over the epsilon curve", grids.losses),
        _experiment("controls", 1, "DRS against other regularisers, each tuned on validation images", grids.controls),
        _experiment(
            "architectures", 1, "CE and DRS on several architectures, Standard on what stands", grids.architectures
        ),
        _experiment("why", 1, "what the gain of DRS depends on: length, images, adversarial training", grids.why),
        _experiment("cost", 2, "time and memory of the DRS loss and of a training step, against CE", grids.cost),
        _experiment("stress", 2, "the strongest attacks we have, and the alarms of a broken evaluation", grids.stress),
        _experiment("theory", 1, "false-class gap against training error: exponent 1 for CE, 2 for RCE", grids.theory),
        _experiment("detection", 2, "the thresholding test behind CE, RCE and DRS networks", grids.detection),
        _experiment("constant", 2, "accuracy against the constant c of C&W", grids.constant),
        _experiment("whitebox", 3, "the paper's attacker who knows the detector, and its transfer", grids.whitebox),
        _experiment("adaptive", 1, "attackers who know the detector, image by image, at three budgets", grids.adaptive),
        _experiment("zoo", 1, "which alarm catches which broken defence and which broken attack", grids.zoo),
        _experiment("family", 1, "related losses at equal updates, and what attacks an MMC network", grids.family),
        _experiment("captions", 1, "PRSL: captions of digits under attack, word overlap by steps", related.captions),
        _experiment("density", 1, "Density-Softmax: calibration under shift, and two moons", related.density),
        _experiment("restrained", 1, "self-restrained triplet loss: verification of masked images", related.restrained),
    )
}
"""Every experiment by name, in the order of the book."""


def get_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: No experiment of that name.
    """
    return pick("experiment", EXPERIMENTS, name)


__all__ = ["EXPERIMENTS", "Context", "Experiment", "Grid", "Outcome", "Spec", "get_experiment"]
