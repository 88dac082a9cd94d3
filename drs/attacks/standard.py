"""One call for a strong evaluation: a union of attacks, each of which sees only the images that still stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drs.attacks.apgd import APGD
from drs.attacks.balls import NORMS, Norm
from drs.attacks.base import TOLERANCE, Adversarials, Attack
from drs.attacks.minimal import DDN
from drs.attacks.objectives import margin
from drs.attacks.square import Square, check_images_for_square
from drs.errors import unknown

__all__ = ["Standard", "Union"]

WRONG, STANDING = -2, -1
"""In ``Union.felled_by``: an image that is misclassified as it is, and one that no member felled."""


@dataclass(frozen=True, repr=False)
class Union(Adversarials):
    """What a union of attacks made, and which member did it.

    Attributes:
        members: The members in the order in which they ran.
        felled_by: (N,) int64: the index in ``members`` of the attack that felled the image; -1 for an image that
            stands, -2 for one that is misclassified as it is.
    """

    members: tuple[Attack, ...]
    felled_by: Tensor

    def fallen(self) -> dict[str, int]:
        """Number of images that each member felled, by its repr. Of ALL the images given. Waits for the device."""
        return {repr(member): int((self.felled_by == i).sum()) for i, member in enumerate(self.members)}

    def accuracies(self) -> list[float]:
        """Accuracy on all the images: without an attack, then after each member in turn.

        The second is the first member's own robust accuracy, because it sees every image; the last is the union's.
        The difference of the two bounds from above by how much the union beats its best member. Waits for the device.
        """
        count = max(1, len(self.felled_by))
        gone = [int((self.felled_by == WRONG).sum())]
        for i in range(len(self.members)):
            gone.append(gone[-1] + int((self.felled_by == i).sum()))
        return [1.0 - each / count for each in gone]

    @property
    def only_black_box(self) -> Tensor:
        """(N,) bool: the images that a member without gradients felled after every gradient member before it failed."""
        black_box = [i for i, member in enumerate(self.members) if not member.differentiates]
        return torch.isin(self.felled_by, torch.tensor(black_box, dtype=torch.int64, device=self.felled_by.device))


@dataclass(frozen=True, kw_only=True)
class Standard(Attack):
    """A union of strong attacks without a choice to make; an image that has fallen is attacked no more.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4))
    >>> _ = torch.nn.init.eye_(model[1].weight), torch.nn.init.zeros_(model[1].bias)
    >>> images = torch.tensor([0.6, 0.5, 0.0, 0.0, 0.9, 0.2, 0.0, 0.0]).reshape(2, 1, 2, 2)
    >>> found = Standard(epsilon=0.125)(model, images, torch.tensor([0, 0]))
    >>> found.felled_by, found.accuracies()
    (tensor([ 0, -1]), [1.0, 0.5, 0.5, 0.5, 0.5])

    L-inf: APGD on the margin, APGD on the cross-entropy, APGD towards each of the nine most likely false classes, and
    the Square attack, which needs no gradient. L2: the same, with DDN in place of Square, which is an L-inf attack:
    **the L2 union has no black-box member, so masked gradients must be looked for by other means**. The membership
    follows AutoAttack (Croce and Hein 2020, arXiv 2003.01690), without FAB.

    For an audit, of the :class:`Union` it returns: ``only_black_box.float().mean()`` is the share of ALL images that
    only the black box fells (``only_black_box`` of :class:`drs.evaluation.measurements.Measured`, with
    ``black_box_images`` None), and ``accuracies()`` has the first member's accuracy at index 1 and the union's at index
    -1.

    Attributes:
        epsilon: Budget in the norm, pixels in [0, 1].
        norm: ``"linf"`` or ``"l2"``.

    Raises:
        UsageError: An unknown norm; at the call, an L-inf budget for data that are not images (N, C, H, W).
    """

    epsilon: float = 0.05
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise unknown("norm", self.norm, NORMS)

    @property
    def members(self) -> tuple[Attack, ...]:
        """The attacks in the order in which they run, those that fell most images for least time first."""
        epsilon, norm, seed = self.epsilon, self.norm, self.seed
        last = Square(epsilon=epsilon, queries=2000, seed=seed) if norm == "linf" else DDN(steps=200, seed=seed)
        return (
            APGD(epsilon=epsilon, norm=norm, objective="margin", seed=seed),
            APGD(epsilon=epsilon, norm=norm, objective="ce", seed=seed),
            APGD(epsilon=epsilon, norm=norm, objective="margin", targets=9, seed=seed),
            last,
        )

    def __call__(self, model: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor, **options: Any) -> Union:
        """Attack the images; arguments, options and errors as in :meth:`drs.attacks.base.Attack.__call__`."""
        if self.norm == "linf" and isinstance(inputs, Tensor):
            check_images_for_square(inputs)  # before the hours that the members ahead of it take
        unmoved = APGD(epsilon=0.0, norm=self.norm)(model, inputs, labels, **options)
        images, logits, distances = unmoved.inputs.clone(), unmoved.logits.clone(), unmoved.distances.clone()
        felled_by = torch.where(unmoved.success, WRONG, STANDING)
        for number, member in enumerate(self.members):
            rows = (felled_by == STANDING).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            found = member(model, inputs[rows], labels[rows], **options)
            within = found.distances <= self.epsilon + TOLERANCE  # for a member that looks for the smallest distance
            nearer = found.success | (margin(found.logits, labels[rows]) > margin(logits[rows], labels[rows]))
            kept = within & nearer  # of an image that stands, the attempt that came nearest
            images[rows[kept]], logits[rows[kept]] = found.inputs[kept], found.logits[kept]
            distances[rows[kept]] = found.distances[kept]
            felled_by[rows[within & found.success]] = number
        return Union(images, felled_by != STANDING, distances, logits, self.norm, self.members, felled_by)

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return self(model, inputs, labels).inputs
