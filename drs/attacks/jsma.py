"""JSMA, batched: the images of a batch take their steps together, and each stops on its own.

The classic form changes two pixels a step, the best of all pairs. That pair is found without looking at F * F pairs: a
pixel enters it only if fewer than two other pixels are better in both gradients (the 2-skyband), a handful of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from drs.attacks.base import Attack
from drs.attacks.targets import TARGETS, check_target_rule
from drs.errors import UsageError

__all__ = ["BAND", "JSMA", "best_pairs", "skyband"]

BAND = 32
"""Pixels of the 2-skyband searched together; an image with a wider band is searched over all pairs."""


def skyband(first: Tensor, second: Tensor) -> Tensor:
    """Which points have fewer than two others that are larger in both coordinates, by more than rounding could hide.

    A sort by ``first``, the two largest ``second`` of every prefix (two running maxima), and one look-up.

    Args:
        first: (N, F), -inf for points that do not count.
        second: (N, F).

    Returns:
        (N, F) bool, False for points that do not count.
    """
    counted = first > -torch.inf
    slack = 8 * torch.finfo(first.dtype).eps
    x, order = first.sort(dim=1, descending=True)
    y = second.gather(1, order)
    largest = y.cummax(dim=1).values
    nothing = torch.full_like(y[:, :1], -torch.inf)
    runner_up = torch.cat([nothing, torch.minimum(y[:, 1:], largest[:, :-1]).cummax(dim=1).values], dim=1)
    gap = slack * first.abs().where(counted, 0.0).amax(dim=1, keepdim=True)
    better = torch.searchsorted((-x).contiguous(), (-(x + gap)).contiguous(), right=True)  # points with x_j >= x + gap
    bar = y + slack * second.abs().amax(dim=1, keepdim=True)
    dominated = torch.cat([nothing, runner_up], dim=1).gather(1, better) >= bar
    return torch.zeros_like(counted).scatter(1, order, ~dominated) & counted


def _best_among(target: Tensor, others: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The best pair of the listed pixels (N, K), ascending; a listed F stands for none. First pair wins a tie."""
    count = pixels.shape[1]
    listed = pixels < target.shape[1]
    index = pixels.where(listed, 0)
    t, o = target.gather(1, index), others.gather(1, index)
    alpha, beta = t.unsqueeze(2) + t.unsqueeze(1), o.unsqueeze(2) + o.unsqueeze(1)
    allowed = (listed.unsqueeze(2) & listed.unsqueeze(1)).triu(1) & (alpha > 0) & (beta < 0)
    best, place = (alpha * beta.abs()).where(allowed, 0.0).flatten(1).max(dim=1)
    pair = torch.stack([place.div(count, rounding_mode="floor"), place % count], dim=1)
    return index.gather(1, pair), best > 0


def best_pairs(target: Tensor, others: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
    r"""The two pixels p < q that maximise the saliency of Papernot et al. (2016), formulas 8 to 10, for each image.

    .. math:: (t_p + t_q)\,|o_p + o_q| \quad\text{where}\quad t_p + t_q > 0,\; o_p + o_q < 0

    Equal to a search over all pairs, its order of ties included. Waits for the device once.

    Args:
        target: (N, F), t: gradient of the target's logit.
        others: (N, F), o: gradient of the sum of all other logits.
        domain: (N, F) bool: pixels that may change.

    Returns:
        (N, 2) pixels and (N,) bool, False where no pair is admissible.
    """
    features = target.shape[1]
    band = skyband(target.where(domain, -torch.inf), -others)
    everything = torch.arange(features, device=target.device)
    width = min(BAND, features)
    listed = everything.where(band, features).topk(width, dim=1, largest=False, sorted=True).values
    pairs, found = _best_among(target, others, listed)
    for row in (band.sum(dim=1) > width).nonzero().flatten().tolist():
        one = slice(row, row + 1)
        pairs[one], found[one] = _best_among(target[one], others[one], everything.where(domain[one], features))
    return pairs, found


@dataclass(frozen=True, kw_only=True)
class JSMA(Attack):
    """Jacobian saliency map attack (Papernot et al. 2016, arXiv 1511.07528) towards one target class.

    With ``pixels_per_step=1`` as in the RCE paper's code: each step adds ``theta`` to the one value that raises the
    target's probability most, and a value may be chosen again until it reaches the end of the range. There the saliency
    map is taken of the softmax, whose gradients sum to zero over the classes, so that it degenerates to the square of
    the target's; the gradient of log p_t orders the values in the same way without the round-off.

    With ``pixels_per_step=2`` the classic search over pairs of values, on logits; a chosen value is not chosen again,
    values from 0.99 on (with a negative ``theta``: up to 0.01) never are, and an image without an admissible pair
    stops. The choice is that of torchattacks 3.5.1 (theta 1, gamma 0.1 is ``max_steps=40`` on MNIST).

    An image stops when the model gives it the target. ``success`` is untargeted (the label is wrong), as the paper
    evaluates it. Each step is one forward pass and one or two vector-Jacobian products of the images still under way.

    Attributes:
        theta: What a step adds to a value, pixels in [0, 1]; negative to darken. The RCE paper's epsilon.
        max_steps: Steps at most; 100 in the RCE paper.
        pixels_per_step: 1 or 2.
        target: ``"least_likely"`` (as in the RCE paper) or ``"random"``.
        progress: Show a bar.
    """

    theta: float = 1.0
    max_steps: int = 100
    pixels_per_step: int = 1
    target: str = "least_likely"
    progress: bool = False

    def __post_init__(self) -> None:
        if self.pixels_per_step not in (1, 2):
            raise UsageError(f"expected pixels_per_step 1 or 2, got {self.pixels_per_step}")
        if not -1.0 <= self.theta <= 1.0:
            raise UsageError(f"expected theta in [-1, 1], got {self.theta}")
        if self.max_steps < 0:
            raise UsageError(f"expected max_steps >= 0, got {self.max_steps}")
        check_target_rule(self.target)

    @property
    def norm(self) -> str:
        """``"l2"``: what the RCE paper reports; the number of values changed is bounded by the steps."""
        return "l2"

    def perturb(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        if self.theta == 0.0 or self.max_steps == 0:
            return inputs
        with torch.no_grad():
            target = TARGETS[self.target](model(inputs), labels, self.seed)
        images = inputs.clone()
        step = self._single if self.pixels_per_step == 1 else self._pair
        low, high = (0.0, 1.0) if self.pixels_per_step == 1 else (0.01, 0.99)
        domain = (images < high if self.theta > 0 else images > low).flatten(1)
        rows = torch.arange(len(images), device=images.device)
        for _ in tqdm(range(self.max_steps), desc="JSMA", unit="step", disable=not self.progress, leave=False):
            moved = images[rows].requires_grad_(True)
            logits = model(moved)
            waiting = (logits.argmax(dim=1) != target[rows]) & domain[rows].any(dim=1)
            if not bool(waiting.any()):
                break
            changed = step(moved, logits, target[rows], domain[rows])
            amount = (changed & waiting.unsqueeze(1)).reshape(moved.shape) * self.theta
            images[rows] = (moved.detach() + amount).clamp(0.0, 1.0)
            if self.pixels_per_step == 1:
                domain[rows] = (images[rows] < 1.0 if self.theta > 0 else images[rows] > 0.0).flatten(1)
            else:
                domain[rows] &= ~changed
                waiting &= changed.any(dim=1)
            rows = rows[waiting]
        return images

    def _single(self, images: Tensor, logits: Tensor, target: Tensor, domain: Tensor) -> Tensor:
        """(n, F) bool: the value with the largest gradient of log p_t along ``theta``."""
        log_probability = torch.log_softmax(logits, dim=1).gather(1, target.unsqueeze(1)).sum()
        gradient = torch.autograd.grad(log_probability, images)[0].flatten(1)
        score = gradient if self.theta > 0 else -gradient
        best = score.where(domain, -torch.inf).argmax(dim=1, keepdim=True)
        return torch.zeros_like(domain).scatter(1, best, True)

    def _pair(self, images: Tensor, logits: Tensor, target: Tensor, domain: Tensor) -> Tensor:
        """(n, F) bool: the two values of the best pair, none where no pair is admissible."""
        own = logits.gather(1, target.unsqueeze(1)).sum()
        towards = torch.autograd.grad(own, images, retain_graph=True)[0].flatten(1)
        away = torch.autograd.grad(logits.sum() - own, images)[0].flatten(1)
        sign = 1.0 if self.theta > 0 else -1.0
        pairs, found = best_pairs(sign * towards, sign * away, domain)
        return torch.zeros_like(domain).scatter(1, pairs, found.unsqueeze(1).expand(-1, 2))
