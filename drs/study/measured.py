"""The numbers of a ``stress`` record as what the alarms judge."""

from __future__ import annotations

from collections.abc import Mapping

from drs.evaluation.limits import Curve
from drs.evaluation.measurements import Measured
from drs.study.metrics import columns

__all__ = ["at_budgets", "measured"]


def at_budgets(metrics: Mapping[str, float], name: str) -> dict[float, float]:
    """The values of ``name`` by budget, in increasing order."""
    found = columns(metrics, name).items()
    return {metric.budget: float(metrics[key]) for key, metric in found if metric.budget is not None}


def _numbered(metrics: Mapping[str, float], name: str) -> dict[float, float]:
    """The values of ``name`` by their number of steps or restarts, or temperature, in increasing order."""
    found = columns(metrics, name).items()
    return {metric.number: float(metrics[key]) for key, metric in found if metric.number is not None}


def measured(metrics: Mapping[str, float]) -> Measured:
    """What a ``stress`` record (or a row of a frame of them) measured.

    Args:
        metrics: By name; other names are passed over.

    Raises:
        UsageError: No ``images``, which every tolerance needs.
    """

    def curve(name: str) -> Curve:
        return at_budgets(metrics, name)

    return Measured(
        images=metrics.get("images", 0.0),
        one_step=curve("fgsm"),
        cross_entropy=curve("ce"),
        margin=curve("margin"),
        others=(curve("scaled_ce"), curve("dlr"), curve("targeted")),
        steps=(_numbered(metrics, "ce_steps"), _numbered(metrics, "margin_steps")),
        restarts=_numbered(metrics, "margin_restarts"),
        temperatures=_numbered(metrics, "temperature"),
        only_black_box=curve("square_only"),
        black_box_images=metrics.get("square_images"),
        only_transfer=curve("transfer_only"),
        only_noise=curve("noise_only"),
        largest_budget=metrics.get("largest_budget"),
        zero_gradient_share=metrics.get("zero_gradient_share"),
        float64_difference=metrics.get("float64_difference"),
        repeat_difference=metrics.get("repeat_difference"),
        minimal_median=metrics.get("ddn_median"),
        fixed_median=metrics.get("linf_l2_median"),
    )
