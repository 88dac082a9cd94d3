"""Losses of the papers next to DRS and RCE: guided complement entropy, the STD loss, the Max-Mahalanobis centre loss.

>>> import torch
>>> from drs.family import gce_loss, simplex_centres
>>> gce_loss(torch.zeros(1, 3), torch.tensor([0]), alpha=0.0)  # minus log 2 / log 3
tensor(-0.6309)
>>> simplex_centres(3, dimensions=2, scale=1.0) @ simplex_centres(3, dimensions=2, scale=1.0)[0]
tensor([ 1.0000, -0.5000, -0.5000])

These three can be trained by name (``drs list``): ``gce``, ``std``, and ``mmc`` as loss and as model. Methods that take
more than logits and labels have modules of their own: :mod:`drs.family.recentralised`,
:mod:`drs.family.density_softmax` and :mod:`drs.family.self_restrained`.
"""

from typing import TYPE_CHECKING

from drs._lazy import lazily

if TYPE_CHECKING:
    from drs.family.guided import gce_loss, std_loss
    from drs.family.heads import MMCClassifier, mmc_network
    from drs.family.mahalanobis import (
        centre_logits,
        mmc_loss,
        random_centres,
        simplex_centres,
    )
    from drs.family.modules import GCELoss, MMCLoss, STDLoss

__all__ = [
    "GCELoss",
    "MMCClassifier",
    "MMCLoss",
    "STDLoss",
    "centre_logits",
    "gce_loss",
    "mmc_loss",
    "mmc_network",
    "random_centres",
    "simplex_centres",
    "std_loss",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "guided": ("gce_loss", "std_loss"),
        "heads": ("MMCClassifier", "mmc_network"),
        "mahalanobis": ("centre_logits", "mmc_loss", "random_centres", "simplex_centres"),
        "modules": ("GCELoss", "MMCLoss", "STDLoss"),
    },
)
