"""A network and data whose numbers are known without running anything of ours.

An image is one row of three pixels: the tag of its split, x, and a pixel that nobody looks at. The network decides on x
alone, so an attack with L-inf budget e fools it on an image at distance d from the boundary where d < e, whatever the
objective: the sign of every useful gradient is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drs.study.experiments import Context
from drs.training.datasets import Dataset, Split
from drs.training.loop import Training
from drs.training.models import Network

Array = NDArray[np.float64]

BOUNDARY = 0.4
"""Class 0 below it, class 1 above it; not in the middle, so that some images lie more than half the range away."""
TAGS = {"train": 40, "validation": 120, "test": 200}
"""Value of the first pixel of every image of a split: far enough apart to survive any budget used here."""
FLOOR = -8.0
"""Logit of class 2, which never wins."""


class Line(Network):
    """Logits (-10 s, 10 s, -8) with s = x - 0.4, or another slope and boundary; the features are the pixels."""

    def __init__(self, slope: float = 10.0, boundary: float = BOUNDARY) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.boundary = boundary

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def head(self, features: Tensor) -> Tensor:
        move = self.slope * (features[:, 1] - self.boundary)
        return torch.stack([-move, move, torch.full_like(move, FLOOR)], dim=1)


class Blind(Line):
    """The same answers, but no gradient reaches the pixels."""

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1).round(decimals=6)


def line_logits(x: Sequence[float] | Array, slope: float = 10.0, boundary: float = BOUNDARY) -> Array:
    """(N, 3) what :class:`Line` answers, by hand."""
    move = slope * (np.asarray(x, dtype=float) - boundary)
    return np.stack([-move, move, np.full_like(move, FLOOR)], axis=1)


def softmax(z: Array) -> Array:
    """(N, C) of logits."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    found: Array = e / e.sum(axis=1, keepdims=True)
    return found


def split(tag: int, places: Sequence[tuple[int, float]]) -> Split:
    """Images at ``(label, distance)`` from the boundary; a negative distance is a clean mistake."""
    x = [BOUNDARY + d if label == 1 else BOUNDARY - d for label, d in places]
    pixels = torch.tensor([[tag, round(255 * value), 77] for value in x], dtype=torch.uint8)
    return Split(pixels.reshape(-1, 1, 1, 3), torch.tensor([label for label, _ in places]))


def dataset(**places: Sequence[tuple[int, float]]) -> Dataset:
    """The three splits, each with its tag; a split that is not given holds mistakes only, so that its use is seen."""
    nowhere = [(0, -0.3), (1, -0.3), (0, -0.3), (1, -0.3)]
    parts = {name: split(tag, places.get(name, nowhere)) for name, tag in TAGS.items()}
    return Dataset("oracle", ("low", "high", "never"), parts["train"], parts["validation"], parts["test"])


def x_of(part: Split) -> Array:
    """(N,) the pixel that decides, in [0, 1]."""
    found: Array = part.images[:, 0, 0, 1].numpy() / 255.0
    return found


def tags_of(images: Tensor | NDArray[Any]) -> set[str]:
    """The splits that images (N, 1, 1, 3) in [0, 1] come from, told by the tag that is nearest to their first pixel."""
    first = np.asarray(images, dtype=float).reshape(len(images), -1)[:, 0] * 255
    return {min(TAGS, key=lambda name: abs(TAGS[name] - value)) for value in first}


@dataclass(frozen=True)
class Scripted(Context):
    """Gives its data set and, for every training specification, the network that ``network_of`` names."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: bool = False
    data: Dataset = field(default_factory=dataset)
    network_of: Callable[[Mapping[str, Any]], Network] = lambda values: Line()
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def dataset(self, name: str) -> Dataset:
        assert name == "oracle"
        return self.data

    def network(self, values: Mapping[str, Any]) -> Training:
        self.asked.append(values)
        return Training(self.network_of(values).eval(), 0.5, 0.875)


def training(loss: str = "ce", seed: int = 0, train_size: int | None = None) -> dict[str, Any]:
    """What the experiments read of a training specification."""
    return {"dataset": "oracle", "loss": loss, "seed": seed, "train_size": train_size}
