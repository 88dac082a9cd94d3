"""Networks whose evaluation goes wrong in a known way, and one whose evaluation cannot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drs.training.models import Network


class Linear(Network):
    """Nearest class mean as a linear network: nothing can be masked."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__()
        means = torch.stack([images[labels == k].flatten(1).mean(dim=0) for k in range(10)])
        self.classifier = nn.Linear(means.shape[1], 10)
        self.classifier.weight = nn.Parameter(means)
        self.classifier.bias = nn.Parameter(-means.square().sum(dim=1) / 2)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Loud(Network):
    """The logits of another network times 10,000: the same answers, a softmax that is 0 or 1."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        return self.network.features(images)

    def head(self, features: Tensor) -> Tensor:
        return 1e4 * self.network.head(features)


class Quantised(Loud):
    """Another network behind an input rounded to five grey levels: a staircase without slope."""

    def features(self, images: Tensor) -> Tensor:
        return self.network.features((images * 4).round() / 4)

    def head(self, features: Tensor) -> Tensor:
        return self.network.head(features)


def tiny() -> nn.Sequential:
    """An untrained network for digits: convolution, batch norm, ReLU and a linear layer; a forward pass takes 20 us."""
    convolution = nn.Conv2d(1, 8, 5, stride=2, padding=2)
    return nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 10))
