"""What the detectors that look at features refuse."""

from __future__ import annotations

import torch
from torch import Tensor

from drs.errors import UsageError


def check_features(features: Tensor, labels: Tensor) -> None:
    if features.dim() != 2 or not features.is_floating_point():
        raise UsageError(
            f"expected floating-point features of shape (N, D), got {features.dtype} {tuple(features.shape)}"
        )
    if labels.shape != features.shape[:1] or labels.dtype != torch.int64:
        raise UsageError(
            f"expected labels of shape ({len(features)},) and dtype torch.int64, "
            f"got {tuple(labels.shape)} of {labels.dtype}"
        )


def check_finite(features: Tensor) -> None:
    if not bool(features.isfinite().all()):
        raise UsageError("expected finite features, got NaN or infinity")
