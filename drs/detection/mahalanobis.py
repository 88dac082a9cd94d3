"""Mahalanobis score: the distance of an example's features to the nearest class mean, in units of the classes' spread.

**HIGHER = MORE NORMAL.** A baseline of :mod:`drs.detection`, whose names include that of this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from drs._checks import at_least_float32, check_target_range
from drs.detection._features import check_features, check_finite
from drs.errors import UsageError

__all__ = ["Mahalanobis"]


@dataclass(eq=False)
class Mahalanobis:
    r"""Minus the squared Mahalanobis distance of features to the nearest class mean. HIGHER = MORE NORMAL; at most 0.

    >>> import torch
    >>> features = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [9.0, -2.0], [9.0, 2.0]])  # variances 1/2 and 2
    >>> score = Mahalanobis(ridge=0.0).fit(features, torch.tensor([0, 0, 1, 1])).score
    >>> [round(value, 6) for value in score(torch.tensor([[0.0, 2.0], [8.0, 0.0]])).tolist()]
    [-2.0, -2.0]

    .. math:: \max_c \; -(f - \mu_c)^\top \Sigma^{-1} (f - \mu_c), \qquad
        \Sigma = \frac{1}{N} \sum_i (f_i - \mu_{y_i}) (f_i - \mu_{y_i})^\top + \lambda \frac{\mathrm{tr}}{D} I

    Lee et al. 2018, arXiv 1807.03888, on one layer and without their perturbation of the input. The mean over classes
    is by true label and the covariance is shared. Means, covariance and its Cholesky factor are computed in float64
    (float32 on Apple's GPUs, which have no float64).

    Attributes:
        ridge: :math:`\lambda \ge 0`, in units of the mean variance (tr is the trace of the covariance without it). A
            feature that never changes in training, such as a dead ReLU, makes the covariance singular: the ridge then
            counts any change of it as a large distance.
        means: After ``fit``: (C, D), float64.
        whitening: After ``fit``: (D, D) float64, the inverse of the Cholesky factor of the covariance.
    """

    ridge: float = 1e-6
    means: Tensor | None = field(default=None, init=False, repr=False)
    whitening: Tensor | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.ridge < math.inf:
            raise UsageError(f"expected a finite ridge >= 0, got {self.ridge}")

    def fit(self, features: Tensor, labels: Tensor, *, classes: int | None = None) -> Mahalanobis:
        """Means of the classes and their shared covariance.

        Args:
            features: (N, D), hidden vectors of training images.
            labels: (N,) int64, their TRUE labels.
            classes: Number of classes; None for the largest label + 1.

        Returns:
            Itself.

        Raises:
            UsageError: Wrong shapes, NaN or infinite features, a class without examples, features that do not vary
                within any class, or a singular covariance (with a ridge of 0).
        """
        check_features(features, labels)
        check_finite(features)
        values, labels = features.detach().cpu().double(), labels.cpu()
        if classes is None:
            classes = int(labels.max()) + 1 if len(labels) else 0
        check_target_range(labels, max(classes, 1))
        if not len(labels):
            raise UsageError("expected training examples, got none")
        sizes = labels.bincount(minlength=classes)
        if bool((sizes == 0).any()):
            empty = int((sizes == 0).int().argmax())
            raise UsageError(f"expected at least 1 training example of class {empty}, got 0")
        sums = torch.zeros(classes, values.shape[1], dtype=values.dtype).index_add_(0, labels, values)
        means = sums / sizes.unsqueeze(1)
        centred = values - means[labels]
        covariance = centred.T @ centred / len(values)
        spread = float(covariance.diagonal().mean()) if values.shape[1] else 0.0
        if not spread > 0.0:
            raise UsageError("expected features that vary within a class, got none that do")
        covariance.diagonal().add_(self.ridge * spread)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if int(failed) or not bool((factor.diagonal() > 0.0).all()):
            raise UsageError(f"expected a covariance that has an inverse, got a singular one: raise ridge={self.ridge}")
        whitening = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=factor.dtype), upper=False)
        dtype = torch.float32 if features.device.type == "mps" else torch.float64
        self.means = means.to(features.device, dtype)
        self.whitening = whitening.to(features.device, dtype)
        return self

    def distances(self, features: Tensor) -> Tensor:
        """Squared Mahalanobis distance to every class mean.

        Args:
            features: (N, D), any floating-point type, on the device of the training features.

        Returns:
            (N, C), >= 0, differentiable in the features.

        Raises:
            UsageError: Called before ``fit``, or features of another width or device.
        """
        if self.means is None or self.whitening is None:
            raise UsageError("expected fit() before a score: Mahalanobis has no class means yet")
        if features.dim() != 2 or features.shape[1] != self.means.shape[1] or not features.is_floating_point():
            raise UsageError(
                f"expected floating-point features of shape (N, {self.means.shape[1]}) as in fit, "
                f"got {features.dtype} {tuple(features.shape)}"
            )
        if features.device != self.means.device:
            raise UsageError(f"expected features on {self.means.device}, where those of fit are, got {features.device}")
        white, centres = (values.to(self.means.dtype) @ self.whitening.T for values in (features, self.means))
        squares = torch.cdist(white, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        return squares.to(at_least_float32(features).dtype)

    def closeness(self, features: Tensor) -> Tensor:
        """The score without a look for NaN: what an attack differentiates.

        Args:
            features: (N, D).

        Raises:
            UsageError: As :meth:`distances`.
        """
        return -self.distances(features).amin(dim=1)

    def score(self, features: Tensor) -> Tensor:
        """Minus the squared distance to the nearest class mean. HIGHER = MORE NORMAL.

        Args:
            features: (N, D), any floating-point type, on the device of the training features.

        Returns:
            (N,), at most 0.

        Raises:
            UsageError: As :meth:`distances`, or NaN or infinite features.
        """
        check_finite(features)
        return self.closeness(features)
