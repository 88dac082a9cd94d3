"""Networks: images in [0, 1] in, raw logits out, the final hidden vector through ``features``.

The pixel range of the papers ([-0.5, 0.5]) lives inside the models, so that nobody outside has to think of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._seeding import seeded
from drs.errors import UsageError, pick

__all__ = [
    "MLP",
    "MODELS",
    "LeNet",
    "Network",
    "ResNet",
    "ReverseLogits",
    "SmallConvNet",
    "build_model",
    "count_parameters",
    "on_device",
]


class Network(nn.Module):
    """What attacks and detectors need of a network; subclasses give ``features`` and, if it is not linear, ``head``."""

    classifier: nn.Linear

    def features(self, images: Tensor) -> Tensor:
        """The final hidden vector, (N, D), of images (N, channels, H, W) in [0, 1]."""
        raise NotImplementedError

    def head(self, features: Tensor) -> Tensor:
        """Logits (N, C) of the final hidden vector."""
        logits: Tensor = self.classifier(features)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C): ``head`` of ``features``."""
        return self.head(self.features(images))


def _global_average(hidden: Tensor) -> Tensor:
    """(N, D) means over height and width; a pooling's gradient keeps the layout of ``hidden``, a mean's does not."""
    return F.avg_pool2d(hidden, (hidden.shape[2], hidden.shape[3])).flatten(1)


def _active(kind: Callable[[int], nn.Module], width: int, norm: bool) -> list[nn.Module]:
    """A ReLU, after a normalisation where there is one."""
    return [kind(width), nn.ReLU()] if norm else [nn.ReLU()]


class SmallConvNet(Network):
    """The quick network, about 20,000 parameters: ``depth`` strided convolutions, average pooling, one linear layer.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels after the first convolution; they double once, then grow by half.
        depth: Number of 3 x 3 convolutions after the first, 5 x 5 one (1 to 4).
        norm: Batch normalisation after each convolution; without it the convolutions have biases.
    """

    def __init__(
        self, channels: int = 1, classes: int = 10, *, width: int = 16, depth: int = 2, norm: bool = True
    ) -> None:
        super().__init__()
        if width < 1 or not 1 <= depth <= 4:
            raise UsageError(f"expected width >= 1 and depth from 1 to 4, got width {width} and depth {depth}")
        widths = [width, 2 * width] + [3 * width] * (depth - 1)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 5, stride=2, padding=2, bias=not norm)]
        for number, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += _active(nn.BatchNorm2d, before, norm)
            layers += [nn.Conv2d(before, after, 3, stride=2 if number < 2 else 1, padding=1, bias=not norm)]
        layers += _active(nn.BatchNorm2d, widths[-1], norm)
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Linear(widths[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.body(images - 0.5)
        return _global_average(hidden)


class MLP(Network):
    """A plain network without convolutions: two hidden layers of ReLUs.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Neurons of each hidden layer.
        size: Height of the images in pixels.
        columns: Their width in pixels; None for the same.
        norm: Batch normalisation before each ReLU.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 10,
        *,
        width: int = 64,
        size: int = 28,
        columns: int | None = None,
        norm: bool = False,
    ) -> None:
        super().__init__()
        values = channels * size * (size if columns is None else columns)
        layers: list[nn.Module] = [nn.Flatten()]
        for before in (values, width):
            layers += [nn.Linear(before, width, bias=not norm), *_active(nn.BatchNorm1d, width, norm)]
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, classes)

    def features(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.body(images - 0.5)
        return hidden


class LeNet(Network):
    """The digit network of the robustness literature: two 5 x 5 convolutions, each with max-pooling, a dense layer.

    No batch normalisation, no average over places: an attacker meets none of what is peculiar to the other networks.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels after the first convolution; the second has twice as many.
        hidden: Neurons of the dense layer.
        size: Height of the images in pixels, at least 4.
        columns: Their width in pixels; None for the same.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 10,
        *,
        width: int = 16,
        hidden: int = 128,
        size: int = 28,
        columns: int | None = None,
    ) -> None:
        super().__init__()
        values = 2 * width * (size // 4) * ((size if columns is None else columns) // 4)
        if values < 1:
            raise UsageError(f"expected images of 4 x 4 pixels or more, got {size} x {columns or size}")
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(width, 2 * width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(values, hidden), nn.ReLU()),
        )
        self.classifier = nn.Linear(hidden, classes)

    def features(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.body(images - 0.5)
        return hidden


def _activate(values: Tensor) -> Tensor:
    return F.leaky_relu(values, 0.1)


class _Unit(nn.Module):
    """Pre-activation residual unit; the shortcut is average pooling and zero padding of channels."""

    def __init__(self, before: int, after: int, stride: int, activate_before_residual: bool) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before, eps=1e-3, momentum=0.1)  # momentum 0.9 in the other convention
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after, eps=1e-3, momentum=0.1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.stride = stride
        self.padding = after - before
        self.activate_before_residual = activate_before_residual

    def forward(self, x: Tensor) -> Tensor:
        active = _activate(self.norm1(x))
        shortcut = active if self.activate_before_residual else x
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, self.stride, ceil_mode=True)  # as the convolution where a side is odd
        if self.padding:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.padding // 2, self.padding - self.padding // 2))
        out: Tensor = self.conv2(_activate(self.norm2(self.conv1(active)))) + shortcut
        return out


class ResNet(Network):
    """Pre-activation ResNet of the RCE paper: three stages of (depth - 2) / 6 units, widths 16, 32, 64, leaky ReLU 0.1.

    ``features`` is the 64-vector after global average pooling: the space K-density is measured in.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        depth: 6n + 2: 8, 14, 20, 32, 56 ...
        width: Channels of the first stage.
    """

    def __init__(self, channels: int = 3, classes: int = 10, *, depth: int = 32, width: int = 16) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise UsageError(f"expected a depth of the form 6n + 2 with n >= 1, got {depth}")
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        units: list[nn.Module] = []
        before = width
        for stage in range(3):
            after = width * 2**stage
            for unit in range((depth - 2) // 6):
                units.append(_Unit(before, after, 2 if stage and not unit else 1, not stage and not unit))
                before = after
        self.units = nn.Sequential(*units)
        self.norm = nn.BatchNorm2d(before, eps=1e-3, momentum=0.1)
        self.classifier = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.classifier.bias)

    def features(self, images: Tensor) -> Tensor:
        hidden: Tensor = _activate(self.norm(self.units(self.stem(images - 0.5))))
        return _global_average(hidden)


class ReverseLogits(Network):
    """The negated network, F_RCE(x) = softmax(-Z(x)): how an RCE-trained network is used at test and attacked.

    Args:
        model: A network trained with :func:`drs.losses.rce_loss`.
    """

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def features(self, images: Tensor) -> Tensor:
        """The final hidden vector of the network inside, unchanged."""
        return self.model.features(images)

    def head(self, features: Tensor) -> Tensor:
        """Negated logits of the final hidden vector."""
        return -self.model.head(features)


def _mmc(channels: int = 1, classes: int = 10, **options: Any) -> Network:
    """:func:`drs.family.heads.mmc_network`, which is built on the networks above and so is imported when asked for."""
    from drs.family.heads import mmc_network

    return mmc_network(channels, classes, **options)


MODELS: dict[str, Callable[..., Network]] = {
    "small_conv": SmallConvNet,
    "mlp": MLP,
    "lenet": LeNet,
    "resnet": ResNet,
    "mmc": _mmc,
}
"""Every architecture by the name that specifications use."""


def build_model(name: str, *, channels: int, classes: int, seed: int, **options: Any) -> Network:
    """A freshly initialised network; the same seed gives the same weights and leaves the global generator alone.

    Raises:
        UsageError: An unknown name or an option the architecture does not have.
    """
    architecture = pick("model", MODELS, name)
    with seeded(seed, torch.device("cpu")):
        try:
            return architecture(channels, classes, **options)
        except TypeError as error:
            raise UsageError(f"model {name!r} does not take these options: {error}") from error


def on_device(model: Network, device: torch.device) -> Network:
    """The model there, its kernels laid out as that kind of device convolves fastest: channels last on a processor."""
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    return model.to(device).to(memory_format=layout)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
