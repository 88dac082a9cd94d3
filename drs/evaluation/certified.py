"""A lower bound on robust accuracy that no attack can go below: interval bound propagation.

An attack gives an upper bound on the true robust accuracy, and a stronger attack may lower it. Interval bounds give a
lower bound: every layer maps a box of values to a box that holds all its outputs, from the L-inf ball of an image to
the margins of its label. An image is certified where every margin is > 0 in the whole ball. The bound is quick and
loose: it says something for small networks at small budgets, and the true number lies between it and the attack's.

Source: Gowal et al. 2018, arXiv 1810.12715; Mirman, Gehr and Vechev 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._checks import HALF, check_images, check_target_range
from drs.attacks.base import Attack
from drs.attacks.models import attackable
from drs.errors import UsageError
from drs.evaluation._boxes import Box, NoRule, Propagation, rounding, traced
from drs.evaluation.report import Share, share_of

__all__ = ["Bracket", "bracket", "certified_accuracy", "margin_bound"]


def _worst_margins(box: Box, labels: Tensor, unit: float) -> Tensor:
    """(N,) lower bound of the label's logit minus the largest other one."""
    own = labels.unsqueeze(1)
    if box.made_by is None:
        margins = box.low.gather(1, own) - box.high
    else:  # one map from the last hidden values to the margins is tighter than two logits apart
        inside, weight, bias = box.made_by
        centre, radius, size = 0.5 * (inside.low + inside.high), 0.5 * (inside.high - inside.low), inside.largest
        middle = F.linear(centre, weight, bias)
        slack = F.linear(size, weight.abs(), bias.abs()) * rounding(weight.shape[1], unit)
        reach = (
            torch.stack([(r * (weight[y] - weight).abs()).sum(dim=1) for r, y in zip(radius, labels)])
            if len(labels)
            else middle
        )
        margins = middle.gather(1, own) - middle - reach - slack.gather(1, own) - slack
    return margins.scatter(1, own, torch.inf).amin(dim=1)


def margin_bound(model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, batch_size: int = 250) -> Tensor:
    r"""A lower bound of each image's margin over the whole L-inf ball around it.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
    >>> with torch.no_grad():
    ...     _ = model[1].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0]])), model[1].bias.zero_()
    >>> bound = margin_bound(model, torch.tensor([[0.5, 0.5]]), torch.tensor([0]), epsilon=0.1)
    >>> round(float(bound), 5)  # 3 * 0.4 - 0.6
    0.6

    .. math:: \min_{\lVert x' - x \rVert_\infty \le \epsilon,\; x' \in [0, 1]} \; z_y(x') - \max_{j \ne y} z_j(x')

    The ball is cut to [0, 1]. Layers: linear, convolution, batch norm in evaluation mode, ReLU, leaky ReLU, max and
    average pooling, flatten, dropout, and sums of them (residual networks). The last linear layer and the margin are
    one map. A network in one linear layer has its exact margin.

    The bound holds for the network as it is computed in its own precision: every box is widened by the largest error
    of rounding its sums in any order. That does not cover convolutions by another algorithm (Winograd, FFT) nor TF32.

    Args:
        model: A module of such layers that returns logits (N, C), in float32 or float64.
        images: (N, ...) in [0, 1].
        labels: (N,) int64.
        epsilon: L-inf radius, >= 0.
        batch_size: Images at a time.

    Returns:
        (N,) float64; > 0: certified. At a large budget it may be far below the truth.

    Raises:
        UsageError: A network with another layer or a forward that cannot be traced, half precision, a wrong budget, or
            images and labels that do not belong together.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"expected a torch.nn.Module, whose layers interval bounds need, got {type(model).__name__}")
    if not 0.0 <= epsilon < float("inf"):
        raise UsageError(f"expected a finite epsilon >= 0, got {epsilon}")
    images, labels = check_images(images, labels)
    if images.dtype in HALF:
        raise UsageError(f"expected images in float32 or float64, got {images.dtype}: convert model and images")
    unit = 0.5 * torch.finfo(images.dtype).eps
    with torch.no_grad(), attackable(model):
        propagation = Propagation(traced(model), unit)
        bounds = [images.new_zeros(0, dtype=torch.float64)]
        for part, own in zip(images.double().split(batch_size), labels.split(batch_size)):
            reach = epsilon * (1.0 + unit) + unit  # x + epsilon is rounded too
            box = Box((part - reach).clamp(0.0, 1.0), (part + reach).clamp(0.0, 1.0))
            try:
                found = propagation.run(box) if len(part) else box
            except NoRule as error:
                raise UsageError(
                    f"expected layers that interval bounds know, got {error}: see margin_bound for the list"
                ) from error
            if not isinstance(found, Box) or len(found.shape) != 2:
                raise UsageError("expected a model that returns logits of shape (N, classes)")
            check_target_range(own.cpu(), found.shape[1])
            bounds.append(_worst_margins(found, own, unit))
    return torch.cat(bounds)


def certified_accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, batch_size: int = 250
) -> Share:
    """Share of the images that no change within an L-inf budget can make the model get wrong, at least.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
    >>> with torch.no_grad():
    ...     _ = model[1].weight.copy_(2.0 * torch.eye(2)), model[1].bias.zero_()
    >>> images, labels = torch.tensor([[0.6, 0.4], [0.52, 0.48]]), torch.tensor([0, 0])
    >>> certified_accuracy(model, images, labels, epsilon=0.05).value
    0.5

    The share of :func:`margin_bound` > 0, whose arguments and errors it has. At epsilon 0 it is the clean accuracy, but
    for margins as small as rounding.

    Raises:
        UsageError: As :func:`margin_bound`, or no image.
    """
    return share_of(margin_bound(model, images, labels, epsilon=epsilon, batch_size=batch_size) > 0.0)


@dataclass(frozen=True, repr=False)
class Bracket:
    """Two bounds on the robust accuracy of a model, one below and one above the truth.

    Attributes:
        epsilon: L-inf budget.
        certified: (N,) bool, no change within the budget can fool the model on this image.
        standing: (N,) bool, the attack did not.
    """

    epsilon: float
    certified: Tensor
    standing: Tensor

    @property
    def low(self) -> Share:
        """Certified accuracy: the truth on these images is not below."""
        return share_of(self.certified)

    @property
    def high(self) -> Share:
        """Accuracy under the attack: the truth on these images is not above."""
        return share_of(self.standing)

    @property
    def open(self) -> Share:
        """Share of the images that are neither certified nor fooled."""
        return share_of(self.standing & ~self.certified)

    def __repr__(self) -> str:
        return (
            f"Robust accuracy at linf {self.epsilon:.4g} on {len(self.certified)} images is between "
            f"{self.low.value:.3f} (certified) and {self.high.value:.3f} (attacked); over the population, with 95% "
            f"intervals, between {self.low.low:.3f} and {self.high.high:.3f}"
        )


def bracket(model: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Bracket:
    """Certified accuracy <= true robust accuracy <= accuracy under an attack.

    >>> import torch
    >>> from drs import PGD
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2))
    >>> with torch.no_grad():
    ...     _ = model[1].weight.copy_(2.0 * torch.eye(2)), model[1].bias.zero_()
    >>> images, labels = torch.tensor([[0.6, 0.4], [0.52, 0.48]]), torch.tensor([0, 0])
    >>> found = bracket(model, images, labels, PGD(epsilon=0.05))
    >>> found.low.value, found.high.value, found.open.count
    (0.5, 0.5, 0)

    Args:
        model: As for :func:`margin_bound`.
        images: (N, ...) in [0, 1].
        labels: (N,) int64.
        attack: An L-inf attack with a budget, for example ``PGD(epsilon=0.02)``.

    Raises:
        UsageError: An attack in another norm or without a budget, what :func:`margin_bound` and the attack refuse, or
            a certified image that the attack fools (the model does not compute what its layers say).
    """
    if attack.budget is None or attack.norm != "linf":
        raise UsageError(f"expected an L-inf attack with a budget, got {attack!r}")
    certified = margin_bound(model, images, labels, epsilon=attack.budget) > 0.0
    standing = attack(model, images, labels).logits.argmax(dim=1) == labels
    fallen = int((certified & ~standing).sum())
    if fallen:
        raise UsageError(
            f"expected no certified image to fall, got {fallen} that did: "
            "the model does not compute what its layers say, or rounds more than its precision does"
        )
    return Bracket(attack.budget, certified.cpu(), standing.cpu())
