"""Attacks made for a classifier AND its detector, at a fixed budget: selective, orthogonal and joint PGD.

The detector is a differentiable score of (model, images), HIGHER = MORE NORMAL, such as::

    def score(model, images):
        features = model.features(images)
        return density.log_density(features, model.head(features).argmax(dim=1))

This one waits for a GPU at every step, because the kernels are sorted by the class that the model names; ``bind`` of
the density sorts once, for labels that stay the same.

Every attack returns, for each image, the best iterate it saw: among those that fool the classifier the one with the
highest score, and where none does the one that came nearest to fooling it. ``success`` is judged on the classifier
alone; whether the detector was evaded too, its threshold says.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from drs.attacks.ascent import ascend, steepest_step
from drs.attacks.balls import NORMS, Norm, random_point
from drs.attacks.base import Attack, check_count, per_image
from drs.attacks.noise import uniform_noise
from drs.attacks.objectives import margin
from drs.errors import UsageError, unknown

__all__ = ["JointPGD", "OrthogonalPGD", "Score", "SelectivePGD", "orthogonal"]

Score: TypeAlias = Callable[[nn.Module, Tensor], Tensor]
"""From a model and images (N, ...) to (N,), differentiable in the images, higher = more normal."""


@dataclass(frozen=True, kw_only=True)
class _AdaptivePGD(Attack):
    """PGD with two objectives, the classifier's margin and the detector's score.

    Attributes:
        score: The detector, a :data:`Score`.
        epsilon: Budget in the norm, pixels in [0, 1].
        norm: ``"linf"`` or ``"l2"``.
        steps: Steps from the start.
        step_size: None for 2.5 * epsilon / steps.
        random_start: Start uniformly in the ball.
        progress: Show a bar.
    """

    opens_model: ClassVar[bool] = True

    score: Score
    epsilon: float = 0.05
    norm: Norm = "linf"
    steps: int = 100
    step_size: float | None = None
    random_start: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise unknown("norm", self.norm, NORMS)
        check_count("steps", self.steps)

    @abstractmethod
    def direction(self, images: Tensor, margins: Tensor, scores: Tensor) -> Tensor:
        """Where to move, in units of the step size.

        Args:
            images: (N, ...), the leaf the other two depend on.
            margins: (N,), largest false logit minus true logit; > 0 fools the classifier.
            scores: (N,), of the detector.
        """

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        def look(images: Tensor) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
            margins = margin(model(images), labels)
            scores = self.score(model, images)
            if scores.shape != labels.shape or not scores.requires_grad:
                raise UsageError(
                    f"expected a score of shape ({len(labels)},), differentiable in the images, "
                    f"got {tuple(scores.shape)}{'' if scores.requires_grad else ' without a gradient'}"
                )
            fooled = margins > 0.0
            return fooled, torch.where(fooled, scores, margins), lambda: self.direction(images, margins, scores)

        return ascend(
            look,
            inputs,
            start=self._start(inputs) if self.random_start else inputs,
            epsilon=self.epsilon,
            alpha=2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size,
            steps=self.steps,
            keep="best",
            norm=self.norm,
            bar=type(self).__name__ if self.progress else None,
        )

    def _start(self, inputs: Tensor) -> Tensor:
        if self.norm == "l2":
            return random_point(inputs, self.epsilon, self.norm)
        return uniform_noise(inputs, self.epsilon).clamp(0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class SelectivePGD(_AdaptivePGD):
    """Each image follows ONE gradient (in L-inf its sign): of the margin until it is fooled, of the score while it is.

    Selective PGD of Bryniarski et al. 2021, arXiv 2106.15023.
    """

    def direction(self, images: Tensor, margins: Tensor, scores: Tensor) -> Tensor:
        return steepest_step(torch.where(margins > 0.0, scores, margins), images, self.norm)


@dataclass(frozen=True, kw_only=True)
class OrthogonalPGD(_AdaptivePGD):
    """Selective PGD that first removes from the chosen gradient its part along the other one.

    To first order a step then raises one objective and leaves the other as it is. A sign would undo that, so the step
    follows the projected gradient itself, in L-inf scaled to the L2 length of a sign step. Bryniarski et al. 2021,
    arXiv 2106.15023.
    """

    def direction(self, images: Tensor, margins: Tensor, scores: Tensor) -> Tensor:
        (of_margin,) = torch.autograd.grad(margins.sum(), images, retain_graph=True)
        (of_score,) = torch.autograd.grad(scores.sum(), images)
        of_margin, of_score = of_margin.nan_to_num(0.0, 0.0, 0.0), of_score.nan_to_num(0.0, 0.0, 0.0)
        fooled = per_image(margins.detach() > 0.0, images)
        moved = orthogonal(torch.where(fooled, of_score, of_margin), torch.where(fooled, of_margin, of_score))
        return moved * math.sqrt(images[0].numel()) if self.norm == "linf" else moved


@dataclass(frozen=True, kw_only=True)
class JointPGD(_AdaptivePGD):
    """Steepest steps (in L-inf signs) on margin + ``weight`` * score, the sum both must share; sweep the weight.

    Attributes:
        weight: >= 0; 0 is PGD on the margin that keeps the iterate with the highest score.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.weight < math.inf:
            raise UsageError(f"expected a finite weight >= 0, got {self.weight}")

    def direction(self, images: Tensor, margins: Tensor, scores: Tensor) -> Tensor:
        return steepest_step(margins + self.weight * scores, images, self.norm)


def orthogonal(gradients: Tensor, others: Tensor) -> Tensor:
    """Unit vectors along the part of each gradient that is orthogonal to the other one; zero where nothing is left.

    Args:
        gradients: (N, ...).
        others: (N, ...).
    """
    along = _unit(others)
    kept = _unit(gradients)
    each = tuple(range(1, kept.dim()))
    for _ in range(2):  # once more takes away what rounding left
        kept = kept - (kept * along).sum(dim=each, keepdim=True) * along
    rounding = 10.0 * torch.finfo(kept.dtype).eps
    return _unit(kept) * (kept.abs().amax(dim=each, keepdim=True) > rounding)


def _unit(values: Tensor) -> Tensor:
    """Each image divided by its L2 norm; zero stays zero. The largest value goes first, lest squares underflow."""
    tiny, each = torch.finfo(values.dtype).tiny, tuple(range(1, values.dim()))
    scaled = values / values.abs().amax(dim=each, keepdim=True).clamp_min(tiny)
    return scaled / scaled.square().sum(dim=each, keepdim=True).sqrt().clamp_min(tiny)
