"""What the functions of scores take: tensors, arrays or sequences, brought to one checked array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drs.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

Values: TypeAlias = "Tensor | NDArray[np.generic] | Sequence[float] | Sequence[bool]"


def _array(values: Values) -> NDArray[np.generic]:
    tensor: Any = values
    if not hasattr(tensor, "detach"):  # torch is not imported here: a page that only reads records needs none
        return np.asarray(values)
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)  # numpy has no bfloat16


def checked_scores(values: Values, kind: str) -> NDArray[np.float64]:
    """(N,) float64, at least one of them, none NaN. float32 scores stay exact, so ties stay ties."""
    scores = _array(values).astype(np.float64)
    if scores.ndim != 1:
        raise UsageError(f"expected {kind} scores of shape (N,), got {scores.shape}")
    if not scores.size:
        raise UsageError(f"expected at least one {kind} score, got none: rates need both classes")
    if np.isnan(scores).any():
        raise UsageError(f"expected {kind} scores without NaN, got {int(np.isnan(scores).sum())} NaN")
    return scores


def checked_mask(values: Values, name: str) -> NDArray[np.bool_]:
    mask = _array(values)
    if mask.ndim != 1 or mask.dtype != np.bool_:
        raise UsageError(f"expected {name} to be booleans of shape (N,), got {mask.dtype} of shape {mask.shape}")
    return mask.astype(np.bool_)
