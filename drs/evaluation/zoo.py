"""A zoo of broken defences, each with the alarm that must catch it and why.

A broken defence wraps a network and leaves it as easy to fool as before, or nearly; only attacks get lost in it. With
the broken attacks of :mod:`drs.evaluation.broken_attacks` they test the alarms: a mistake that no alarm names is a hole
in them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.errors import UsageError

__all__ = ["DEFENCES", "Defence", "KWinners"]


@dataclass(frozen=True)
class Defence:
    """One broken defence.

    Attributes:
        name: Short, for tables.
        sentence: What it does, in one sentence.
        source: The paper or idea it stands for.
        caught_by: Alarms of :mod:`drs.evaluation.alarms` that name the cause, each of which must fire; empty where the
            attacks refuse the model.
        refused: What the refusal says; empty where an alarm speaks.
        tuned: Whether the broken network has to be trained further before it is worth attacking.
        cause: Why these alarms fire.
        wrap: From a network to the broken one; the network stays as it is.
    """

    name: str
    sentence: str
    source: str
    caught_by: tuple[str, ...]
    cause: str
    wrap: Callable[[nn.Module], nn.Module]
    refused: str = ""
    tuned: bool = False


class _Around(nn.Module):
    """Another network with one function before it and one after it."""

    def __init__(
        self,
        network: nn.Module,
        before: Callable[[Tensor], Tensor] = lambda images: images,
        after: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> None:
        super().__init__()
        self.network, self.before, self.after = network, before, after
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C)."""
        return self.after(self.network(self.before(images)))


class KWinners(nn.Module):
    """k winners take all (Xiao et al. 2020): the largest activations of each image pass, the others become zero.

    Args:
        share: Of the activations of a layer that pass, in (0, 1].
    """

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        if not 0.0 < share <= 1.0:
            raise UsageError(f"expected share in (0, 1], got {share}")
        self.share = share

    def forward(self, hidden: Tensor) -> Tensor:
        """The same shape, with zeros."""
        flat = hidden.flatten(1)
        least = flat.topk(max(1, int(self.share * flat.shape[1])), dim=1).values[:, -1:]
        return torch.where(flat >= least, flat, torch.zeros_like(flat)).reshape(hidden.shape)


def _replaced(network: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A copy in which every layer of a kind is another one."""
    twin = copy.deepcopy(network)
    found = 0
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))
                found += 1
    if not found:
        raise UsageError(f"expected a network with a layer {kind.__name__}, got none")
    return twin.train(network.training)


def _k_winners(network: nn.Module) -> nn.Module:
    return _replaced(network, nn.ReLU, lambda _: KWinners())


def _rounded(network: nn.Module) -> nn.Module:
    return _Around(network, before=lambda images: (images * 4.0).round() / 4.0)


def _loud(network: nn.Module) -> nn.Module:
    return _Around(network, after=lambda logits: 100.0 * logits)


def _noisy(network: nn.Module) -> nn.Module:
    return _Around(network, before=lambda images: images + 0.1 * torch.randn_like(images))


def _coupled(network: nn.Module) -> nn.Module:
    def forget(layer: nn.Module) -> nn.Module:
        layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None  # type: ignore[assignment]
        return layer

    return _replaced(network, nn.BatchNorm2d, forget)


def _softmax(network: nn.Module) -> nn.Module:
    return _Around(network, after=lambda logits: F.softmax(logits, dim=1))


def _hidden_softmax(network: nn.Module) -> nn.Module:
    return _Around(network, after=lambda logits: 10.0 * F.softmax(logits, dim=1))


def _detached(network: nn.Module) -> nn.Module:
    """A trace of the image is left, as a model without any gradient is refused by name."""
    return _Around(network, before=lambda images: images.detach() + 0.0 * images)


def _cosines(size: int) -> Tensor:
    """The orthonormal matrix of the DCT-II, (size, size)."""
    places = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * (places + 0.5) * places.unsqueeze(1)) * math.sqrt(2.0 / size)
    rows[0] /= math.sqrt(2.0)
    return rows


def _jpeg(network: nn.Module) -> nn.Module:
    def quantised(images: Tensor) -> Tensor:
        left, down = _cosines(images.shape[-2]).to(images), _cosines(images.shape[-1]).to(images)
        waves = left @ images @ down.T
        return (left.T @ ((waves * 4.0).round() / 4.0) @ down).clamp(0.0, 1.0)

    return _Around(network, before=quantised)


_STAIRCASE = "A staircase has no slope: the gradient of the rounding is zero everywhere."

DEFENCES: dict[str, Defence] = {
    defence.name: defence
    for defence in (
        Defence(
            "k-WTA",
            "Only the largest tenth of the activations of each layer pass.",
            "Xiao et al. 2020, broken by Tramer et al. 2020",
            ("silent success",),
            "Which units win changes from point to point: the loss is rough, and steps pass over what fools.",
            _k_winners,
            tuned=True,
        ),
        Defence(
            "rounding",
            "Every pixel is rounded to one of five grey levels.",
            "Feature squeezing, Xu et al. 2018; thermometer encoding, Buckman et al. 2018",
            ("zero gradients",),
            _STAIRCASE,
            _rounded,
        ),
        Defence(
            "logits x 100",
            "The logits are multiplied by 100.",
            "Defensive distillation, Papernot et al. 2016, broken by Carlini and Wagner 2017",
            ("temperature matters",),
            "The softmax is 0 or 1 in float32, so cross-entropy has no gradient until the logits are divided.",
            _loud,
        ),
        Defence(
            "noise",
            "Noise of standard deviation 0.1 is added to every image.",
            "Random inputs, Xie et al. 2018, broken by Athalye et al. 2018",
            ("randomised",),
            "Two looks at one image differ.",
            _noisy,
        ),
        Defence(
            "batch statistics",
            "Batch normalisation uses the statistics of the batch it is given.",
            "A model left in training mode, a frequent mistake",
            ("batch matters",),
            "The answer for an image changes with its neighbours.",
            _coupled,
        ),
        Defence(
            "softmax",
            "The model returns probabilities as if they were logits.",
            "A frequent mistake",
            (),
            "Rows that are not negative and sum to 1 are no logits.",
            _softmax,
            refused="got probabilities",
        ),
        Defence(
            "softmax x 10",
            "The model returns its probabilities times 10 as logits.",
            "A frequent mistake, disguised",
            ("softmax inside",),
            "Rows that are not negative and all have one sum are scaled probabilities.",
            _hidden_softmax,
        ),
        Defence(
            "detached",
            "The image is cut off from the graph, and only a zero is left of it.",
            "A pipeline that goes through numpy; shattered gradients, Athalye et al. 2018",
            ("zero gradients",),
            "What comes back is a zero for every pixel.",
            _detached,
        ),
        Defence(
            "JPEG-like",
            "The cosine transform of every image is rounded to steps of 0.25.",
            "JPEG compression, Guo et al. 2018, broken by Athalye et al. 2018",
            ("zero gradients",),
            _STAIRCASE,
            _jpeg,
        ),
    )
}
"""Every broken defence, by name."""
