"""What an evaluation measured of one network: the numbers that the alarms judge. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from drs.errors import UsageError
from drs.evaluation.limits import Curve

__all__ = ["Measured"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one network. A check whose numbers are missing (None, or empty) is left out.

    Attributes:
        images: Number of images attacked, at least 1.
        one_step: Accuracy under one step of the gradient of cross-entropy, by budget.
        cross_entropy: Accuracy under many steps on cross-entropy, by budget.
        margin: Accuracy under many steps on the margin, by budget.
        others: Accuracy under further attacks, by budget, one curve for each attack.
        steps: Accuracy by number of steps, one curve for each objective.
        restarts: Accuracy by number of restarts.
        temperatures: Accuracy under the attack on cross-entropy, by the number that the logits are divided by.
        only_black_box: Share of images that random search fools and no gradient attack does, by budget.
        black_box_images: Number of images of that search; None for ``images``.
        only_transfer: Share that only another network's adversarials fool, by budget.
        only_noise: Share that only random points of the ball fool, by budget.
        largest_budget: Accuracy at L-inf budget 0.5.
        zero_gradient_share: Share of images without a gradient (:func:`drs.evaluation.probes.zero_gradient_share`).
        float64_difference: Difference of the two accuracies of :func:`drs.evaluation.probes.float64_check`.
        repeat_difference: Change of a logit between two looks (:func:`drs.evaluation.probes.repeat_difference`).
        minimal_median: Median L2 distance that a minimal-distance attack finds.
        fixed_median: Median L2 distance to the nearest adversarial of the attacks of fixed budget, on the same images.
        silent_success: Share of images that some step of an attack fooled and its last one did not.
        union_gap: Accuracy under the best single attack, minus the worst case over the attacks, on the same images.
        union_worst: That worst case.
        batch_difference: How far the rest of the batch moves a logit (:func:`drs.evaluation.probes.batch_difference`).
        label_changes: Share of images whose label is not the same at every look
            (:func:`drs.evaluation.probes.label_changes`).
        softmax_share: Share of images whose logits look like scaled probabilities
            (:func:`drs.evaluation.probes.softmax_share`).
        inner_gradients: Gradients that a forward pass computes (:func:`drs.evaluation.probes.inner_gradients`).

    Raises:
        UsageError: Fewer than one image, which no tolerance can do with.
    """

    images: float
    one_step: Curve = field(default_factory=dict)
    cross_entropy: Curve = field(default_factory=dict)
    margin: Curve = field(default_factory=dict)
    others: tuple[Curve, ...] = ()
    steps: tuple[Curve, ...] = ()
    restarts: Curve = field(default_factory=dict)
    temperatures: Curve = field(default_factory=dict)
    only_black_box: Curve = field(default_factory=dict)
    black_box_images: float | None = None
    only_transfer: Curve = field(default_factory=dict)
    only_noise: Curve = field(default_factory=dict)
    largest_budget: float | None = None
    zero_gradient_share: float | None = None
    float64_difference: float | None = None
    repeat_difference: float | None = None
    minimal_median: float | None = None
    fixed_median: float | None = None
    silent_success: float | None = None
    union_gap: float | None = None
    union_worst: float = 0.0
    batch_difference: float | None = None
    label_changes: float | None = None
    inner_gradients: float | None = None
    softmax_share: float | None = None

    def __post_init__(self) -> None:
        if not self.images >= 1.0:
            raise UsageError(f"expected the number of images attacked, at least 1, got {self.images}")
