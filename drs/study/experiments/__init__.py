"""Every table and figure of the book as a list of run specifications: the only place where a grid is written."""

from drs.errors import pick
from drs.study.experiments import anatomy, constant, correlation, cost, detection, losses, stress, theory, whitebox
from drs.study.experiments.base import Context, Experiment, Outcome, Spec

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (anatomy, correlation, losses, cost, stress, theory, detection, constant, whitebox)
}
"""Every experiment by name, in the order of the book."""


def get_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: No experiment of that name.
    """
    return pick("experiment", EXPERIMENTS, name)


__all__ = ["EXPERIMENTS", "Context", "Experiment", "Outcome", "Spec", "get_experiment"]
