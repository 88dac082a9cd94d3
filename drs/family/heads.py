"""The head of MMC on any network of :mod:`drs.training.models`."""

from __future__ import annotations

from torch import Tensor, nn

from drs.errors import UsageError
from drs.family.mahalanobis import centre_logits, random_centres, simplex_centres
from drs.training.models import Network, SmallConvNet

__all__ = ["MMCClassifier", "mmc_network"]


class MMCClassifier(Network):
    """A network whose last linear layer gives a point, classified by the nearest of fixed centres.

    >>> import torch
    >>> from drs.family import simplex_centres
    >>> from drs.training.models import SmallConvNet
    >>> model = MMCClassifier(SmallConvNet(classes=10), simplex_centres(10, dimensions=64))
    >>> images = torch.zeros(2, 1, 28, 28)
    >>> model.features(images).shape, model(images).shape
    (torch.Size([2, 64]), torch.Size([2, 10]))

    Train it with :func:`drs.family.mahalanobis.mmc_loss`. The centres are a buffer: they are saved with the weights and
    never trained.

    Args:
        body: Any network with a linear ``classifier``, which is replaced by a new layer as wide as the centres.
        centres: (C, d).

    Raises:
        UsageError: A body without a linear layer at its end.
    """

    centres: Tensor

    def __init__(self, body: Network, centres: Tensor) -> None:
        super().__init__()
        last = getattr(body, "classifier", None)
        if not isinstance(last, nn.Linear):
            raise UsageError(f"expected a network whose 'classifier' is a linear layer, got {type(body).__name__}")
        body.classifier = nn.Linear(last.in_features, centres.shape[1])
        self.body = body
        self.register_buffer("centres", centres)

    def features(self, images: Tensor) -> Tensor:
        """The point z of each image, (N, d)."""
        points: Tensor = self.body(images)
        return points

    def head(self, features: Tensor) -> Tensor:
        """Minus the squared distance of each point to each centre, (N, C).

        Raises:
            UsageError: Features of another width than the centres.
        """
        return centre_logits(features, self.centres)


def mmc_network(
    channels: int = 1,
    classes: int = 10,
    *,
    dimensions: int = 64,
    scale: float = 10.0,
    centre_seed: int | None = None,
    width: int = 16,
    depth: int = 2,
) -> MMCClassifier:
    """The quick network, :class:`drs.training.models.SmallConvNet`, with the head of MMC: the model ``"mmc"``.

    Args:
        channels, classes, width, depth: Those of the small network.
        dimensions, scale: Those of :func:`drs.family.mahalanobis.simplex_centres`.
        centre_seed: Random centres from this seed in place of the simplex.

    Raises:
        UsageError: Fewer dimensions than classes - 1, or what the small network refuses.
    """
    if centre_seed is None:
        centres = simplex_centres(classes, dimensions=dimensions, scale=scale)
    else:
        centres = random_centres(classes, dimensions=dimensions, scale=scale, seed=centre_seed)
    return MMCClassifier(SmallConvNet(channels, classes, width=width, depth=depth), centres)
