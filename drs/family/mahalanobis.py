"""The Max-Mahalanobis centre loss (MMC) of Pang et al. (ICLR 2020, arXiv 1905.10626): centres, logits and loss.

A network maps an image to a point z, each class has a fixed centre, and the logits are minus the squared distances.
**Softmax cross-entropy of such logits is nearly always 0 with a gradient of exactly 0**: at a centre the true logit
leads by 222 for ten classes and centres of norm 10. An attack on cross-entropy says nothing of these networks.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from drs.errors import UsageError
from drs.family._examples import examples, reduced

__all__ = ["centre_logits", "mmc_loss", "random_centres", "simplex_centres"]


def _check(classes: int, dimensions: int, scale: float, fewest: int) -> None:
    if classes < 2:
        raise UsageError(f"expected at least 2 classes, got {classes}")
    if dimensions < fewest:
        raise UsageError(
            f"expected at least {fewest} dimensions for the centres of {classes} classes, got {dimensions}: "
            "give the last layer more outputs"
        )
    if not 0.0 < scale < math.inf:
        raise UsageError(f"expected scale to be a finite number > 0, got {scale}")


def simplex_centres(classes: int, *, dimensions: int = 64, scale: float = 10.0) -> Tensor:
    r"""Centres of equal norm that are as far apart as they can be: the corners of a regular simplex.

    >>> centres = simplex_centres(4, dimensions=3, scale=3.0)
    >>> (centres @ centres.T).round(decimals=4)  # 9 and -9 / 3
    tensor([[ 9., -3., -3., -3.],
            [-3.,  9., -3., -3.],
            [-3., -3.,  9., -3.],
            [-3., -3., -3.,  9.]])

    The recursion, with :math:`\mu_1 = e_1` and the rest 0:

    .. math:: \mu_{kj} = -\frac{1/(C-1) + \langle \mu_k, \mu_j \rangle}{\mu_{jj}} \;(j < k), \qquad
              \mu_{kk} = \sqrt{1 - \|\mu_k\|^2}

    Args:
        classes: C >= 2.
        dimensions: At least C - 1; those beyond are 0 in every centre.
        scale: The norm of every centre, C_MM; 10 in the paper.

    Returns:
        (C, dimensions), float32: inner products scale^2 with itself, -scale^2 / (C - 1) with every other.

    Raises:
        UsageError: Fewer dimensions than C - 1, fewer than 2 classes, a scale that is not positive.
    """
    _check(classes, dimensions, scale, classes - 1)
    centres = torch.zeros(classes, dimensions, dtype=torch.float64)
    centres[0, 0] = 1.0
    for k in range(1, classes):
        for j in range(k):
            if j < classes - 1:
                centres[k, j] = -(1 / (classes - 1) + centres[k] @ centres[j]) / centres[j, j]
        if k < classes - 1:  # the last centre lies in the space of the others
            centres[k, k] = (1.0 - centres[k].square().sum()).sqrt()
    return (scale * centres).float()


def random_centres(classes: int, *, dimensions: int = 64, scale: float = 10.0, seed: int = 0) -> Tensor:
    """Centres of equal norm in random directions: the control of :func:`simplex_centres`.

    >>> random_centres(3, dimensions=8, scale=2.0).norm(dim=1)
    tensor([2., 2., 2.])

    Args:
        classes, dimensions, scale: As in :func:`simplex_centres`; any dimensions from 1.
        seed: Same seed, same centres. The global generator is left alone.

    Returns:
        (C, dimensions), float32.

    Raises:
        UsageError: No dimension, fewer than 2 classes, a scale that is not positive.
    """
    _check(classes, dimensions, scale, 1)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(classes, dimensions, dtype=torch.float64, generator=generator)
    centres: Tensor = scale * drawn / drawn.norm(dim=1, keepdim=True)
    return centres.float()


def centre_logits(points: Tensor, centres: Tensor) -> Tensor:
    r"""Logits of points: minus their squared distance to each centre, :math:`-\|z - \mu_k\|^2`.

    >>> import torch
    >>> centre_logits(torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 1.0], [4.0, 0.0]]))
    tensor([[ -4., -25.]])

    Args:
        points: (N, d).
        centres: (C, d).

    Returns:
        (N, C), <= 0.

    Raises:
        UsageError: Points of another width than the centres.
    """
    if points.dim() != 2 or centres.dim() != 2 or points.shape[1] != centres.shape[1]:
        raise UsageError(
            f"expected features of shape (N, {centres.shape[-1]}), as wide as the centres, got {tuple(points.shape)}"
        )
    return -(points.unsqueeze(1) - centres).square().sum(dim=2)


def mmc_loss(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> Tensor:
    r"""Half the squared distance to the centre of the true class, :math:`\tfrac12 \|z - \mu_y\|^2`.

    >>> import torch
    >>> logits = centre_logits(torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 1.0], [4.0, 0.0]]))
    >>> mmc_loss(logits, torch.tensor([0]))
    tensor(2.)

    The paper's form; its published code leaves out the half, which is a learning rate twice as large.

    Args:
        logits: Those of :func:`centre_logits`, (N, C) or any shape torch's ``cross_entropy`` takes.
        target: Class indices, int64.
        ignore_index: Label of examples that do not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        UsageError: Logits above 0 (seen on the CPU only), shapes, labels or an option that do not fit.
    """
    flat, labels, counted = examples(logits, target, ignore_index, reduction, min_classes=2)
    if flat.device.type == "cpu" and not torch.compiler.is_compiling() and bool((flat > 0.0).any()):
        raise UsageError("expected logits -||z - mu||^2 <= 0, got one above 0: train the loss 'mmc' with model 'mmc'")
    return reduced(-0.5 * flat.gather(1, labels.unsqueeze(1)).squeeze(1), counted, target.shape, reduction)
