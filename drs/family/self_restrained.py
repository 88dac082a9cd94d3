"""Self-restrained triplet loss (SRT) and the small network it trains on top of a frozen face recogniser.

Boutros et al., Pattern Recognition 124, 2022, arXiv 2103.01716. The anchor is the improved embedding of a masked image,
the positive an unmasked embedding of the same identity, the negative an unmasked embedding of another one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.errors import UsageError

__all__ = [
    "EmbeddingUnmasking",
    "SelfRestrainedTripletLoss",
    "draw_negatives",
    "is_restrained",
    "pull_loss",
    "self_restrained_triplet_loss",
    "squared_distance",
    "triplet_loss",
]


def _unit(values: Tensor) -> Tensor:
    norms = values.norm(dim=1, keepdim=True)
    zero = (norms == 0.0).flatten()
    if norms.device.type == "cpu" and not torch.compiler.is_compiling() and bool(zero.any()):
        raise UsageError(
            f"expected embeddings of a norm above 0, got a zero vector in row {int(zero.nonzero()[0])}: "
            "leave it out, it has no direction"
        )
    unit: Tensor = values / norms
    return unit


def squared_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Squared distance of the directions of two embeddings, row by row: 2 - 2 cos, from 0 to 4.

    >>> squared_distance(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]]))
    tensor([2.])

    .. math:: d(u, v) = \lVert u / |u| - v / |v| \rVert^2

    Args:
        first, second: (N, D), floating point.

    Returns:
        (N,).

    Raises:
        UsageError: Shapes that differ, or a row of norm zero (looked for on the CPU only, where looking is free).
    """
    if first.dim() != 2 or first.shape != second.shape:
        raise UsageError(
            f"expected two tensors of one shape (N, D), got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    return (_unit(first) - _unit(second)).square().sum(dim=1)


def draw_negatives(identities: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """For each row of a batch a random row of another identity.

    >>> draw_negatives(torch.tensor([5, 5, 7])).tolist()[:2]
    [2, 2]

    Args:
        identities: (N,) int64.
        generator: Of the random numbers.

    Returns:
        (N,) positions in the batch.

    Raises:
        UsageError: A batch of a single identity has no negative.
    """
    other = identities.unsqueeze(1) != identities.unsqueeze(0)
    if not bool(other.any(dim=1).all()):
        raise UsageError(
            f"expected at least two identities in a batch of triplets, got {len(identities.unique())}: "
            "without another identity there is no negative"
        )
    return torch.multinomial(other.float(), 1, generator=generator).squeeze(1)


def is_restrained(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Whether the self-restrained loss only pulls: mean d(anchor, negative) >= mean d(positive, negative).

    >>> a, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[-1.0, 0.0]])
    >>> is_restrained(a, p, n), is_restrained(p, a, n)
    (tensor(True), tensor(False))

    Args:
        anchor, positive, negative: (N, D).

    Returns:
        A scalar of dtype bool.

    Raises:
        UsageError: As :func:`squared_distance`.
    """
    return squared_distance(anchor, negative).mean() >= squared_distance(positive, negative).mean()


def pull_loss(anchor: Tensor, positive: Tensor) -> Tensor:
    """Mean :func:`squared_distance` of anchor and positive: the control that knows no negatives.

    >>> pull_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(2.)

    Args:
        anchor, positive: (N, D).

    Raises:
        UsageError: As :func:`squared_distance`.
    """
    return squared_distance(anchor, positive).mean()


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 1.0) -> Tensor:
    r"""Triplet loss on directions, the baseline of the paper.

    >>> a, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[-1.0, 0.0]])
    >>> triplet_loss(a, p, n, margin=3.0)  # d(a, p) = 2, d(a, n) = 4
    tensor(1.)

    .. math:: \frac{1}{N} \sum_i \max(0,\ d(a_i, p_i) + m - d(a_i, n_i))

    Args:
        anchor, positive, negative: (N, D), N >= 1.
        margin: m >= 0, in units of :func:`squared_distance`.

    Raises:
        UsageError: As :func:`squared_distance`, an empty batch, or a negative margin.
    """
    near, far = _distances(anchor, positive, negative, margin)
    return F.relu(near + margin - far).mean()


def self_restrained_triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 2.0) -> Tensor:
    r"""Self-restrained triplet loss, arXiv 2103.01716: the triplet loss until negatives are far enough, then pull only.

    >>> a, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[-1.0, 0.0]])
    >>> self_restrained_triplet_loss(a, p, n, margin=3.0)  # d(a, n) = 4 >= d(p, n) = 2: restrained
    tensor(3.)

    .. math:: \frac{1}{N} \sum_i \max(0,\ d(a_i, p_i) + m - \bar d(p, n))
              \quad\text{if}\quad \bar d(a, n) \ge \bar d(p, n),

    else the plain :func:`triplet_loss`; bars are means over the batch, and there is one switch for the whole batch. In
    the first branch the negatives are a constant. With nearly orthogonal identities that constant is about 2, the
    published margin, and the loss is then :func:`pull_loss`.

    Args:
        anchor, positive, negative: (N, D), N >= 1.
        margin: m >= 0, in units of :func:`squared_distance`.

    Returns:
        A scalar; the switch does not wait for the device.

    Raises:
        UsageError: As :func:`triplet_loss`.
    """
    near, far = _distances(anchor, positive, negative, margin)
    apart = squared_distance(positive, negative).mean()
    return F.relu(near + margin - torch.where(far.mean() >= apart, apart, far)).mean()


def _distances(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    if not 0.0 <= margin < float("inf"):
        raise UsageError(f"expected a finite margin >= 0, got {margin}")
    if len(negative) == 0:
        raise UsageError("expected a negative for each anchor, got an empty batch: draw them with draw_negatives")
    return squared_distance(anchor, positive), squared_distance(anchor, negative)


class SelfRestrainedTripletLoss(nn.Module):
    """Module twin of :func:`self_restrained_triplet_loss`.

    >>> a, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[-1.0, 0.0]])
    >>> SelfRestrainedTripletLoss(margin=2.0)(a, p, n)
    tensor(2.)

    Args:
        margin: As in the function.
    """

    def __init__(self, *, margin: float = 2.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of a batch of triplets (N, D)."""
        return self_restrained_triplet_loss(anchor, positive, negative, margin=self.margin)

    def extra_repr(self) -> str:
        """The options, for the printed form of a network."""
        return f"margin={self.margin}"


class EmbeddingUnmasking(nn.Module):
    """The embedding unmasking model (EUM): four linear layers of the embedding's size, each with a batch norm, leaky
    ReLU 0.2 after the first three.

    >>> EmbeddingUnmasking(16)(torch.randn(4, 16)).shape
    torch.Size([4, 16])

    Args:
        size: Length of an embedding.

    Raises:
        UsageError: A size below 1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise UsageError(f"expected a size >= 1, got {size}")
        layers: list[nn.Module] = []
        for number in range(4):
            layers += [nn.Linear(size, size), nn.BatchNorm1d(size)]
            layers += [nn.LeakyReLU(0.2)] if number < 3 else []
        self.layers = nn.Sequential(*layers)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Improved embeddings (N, D) of masked ones (N, D)."""
        improved: Tensor = self.layers(embeddings)
        return improved
