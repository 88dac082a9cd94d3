"""Partially recentralised softmax (PRSL): restrain the false classes over the batch, for models of sequences.

Wang et al., 2024, arXiv 2402.03627. Logits have the classes LAST here, (..., C), as sequence models give them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._checks import at_least_float32, check_penalty, check_target_range, flatten_classes
from drs.errors import UsageError, unknown

__all__ = ["Across", "RecentralisedLoss", "recentralised_loss", "recentralised_penalty"]

Across: TypeAlias = Literal["batch", "classes"]


def _counted(logits: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """(N, C) logits of at least float32 and (N,) labels of the tokens that count."""
    if logits.dim() == 0 or logits.shape[:-1] != target.shape:
        raise UsageError(
            f"expected logits (..., C) and target (...), got {tuple(logits.shape)} and {tuple(target.shape)}: "
            "move the classes to the last dimension"
        )
    flat, labels = flatten_classes(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
    check_target_range(labels, flat.shape[1], ignore_index)
    kept = labels != ignore_index
    return at_least_float32(flat)[kept], labels[kept]


def _penalty(logits: Tensor, labels: Tensor, start: int, end: int, across: Across) -> Tensor:
    if across not in ("batch", "classes"):
        raise unknown("direction of the softmax", across, ("batch", "classes"))
    false = logits.shape[1] - 1
    if not 0 <= start < end <= false:
        raise UsageError(
            f"expected a window with 0 <= start < end <= {false} (the false classes), got start {start} and end {end}"
        )
    ordered = logits.scatter(1, labels.unsqueeze(1), -torch.inf).sort(dim=1, descending=True).values
    window = ordered[:, start:end]
    if len(window) == 0:
        return logits.sum() * 0.0
    values = window.mean(dim=1).unsqueeze(0) if across == "batch" else window
    return (values.logsumexp(dim=1, keepdim=True) - values).sum()


def recentralised_penalty(
    logits: Tensor, target: Tensor, *, start: int = 0, end: int = 4, across: Across = "batch", ignore_index: int = -100
) -> Tensor:
    r"""What PRSL adds to cross-entropy, for a whole batch.

    >>> z = torch.tensor([[9.0, 1.0, 0.0, 0.0], [9.0, 3.0, 0.0, 0.0]])
    >>> recentralised_penalty(z, torch.tensor([0, 0]), start=0, end=2)  # means 0.5 and 1.5
    tensor(1.6265)
    >>> recentralised_penalty(z[:1], torch.tensor([0]), start=0, end=2)
    tensor(0.)

    .. math:: \sum_{i=1}^{N} -\log \frac{e^{m_i}}{\sum_k e^{m_k}} = N \log \sum_k e^{m_k} - \sum_k m_k

    where m_i is the mean of the false logits of token i at the positions start to end - 1, sorted with the largest
    first. The smallest value is N log N (all m_i equal), a shift of all m_i changes nothing, and a single token gives
    exactly 0 with a zero gradient: the loss restrains how the tokens of a batch differ, not the spread inside one.

    Args:
        logits: (..., C), floating point, raw.
        target: (...), int64.
        start, end: The window among the sorted false logits, 0 <= start < end <= C - 1.
        across: ``"batch"`` as published. ``"classes"`` is a control: the softmax runs over the window of each token,
            so that what is restrained is the spread inside a token.
        ignore_index: Label of tokens, such as padding, that are removed before the softmax.

    Returns:
        A scalar >= 0, a SUM over the tokens; 0 where no token counts.

    Raises:
        UsageError: A window outside the false classes, or shapes, labels or options that do not fit.
    """
    return _penalty(*_counted(logits, target, ignore_index), start, end, across)


def recentralised_loss(
    logits: Tensor,
    target: Tensor,
    *,
    penalty: float = 1e-3,
    start: int = 0,
    end: int = 4,
    across: Across = "batch",
    ignore_index: int = -100,
) -> Tensor:
    r"""Partially recentralised softmax loss, arXiv 2402.03627: mean cross-entropy plus ``penalty`` times the SUM of
    :func:`recentralised_penalty`.

    >>> recentralised_loss(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64), penalty=0.0)
    tensor(1.6094)

    The effective weight on a mean is ``penalty`` times N, the number of tokens that count: 1e-3 at 50 tokens is 0.05.

    Args:
        logits: (..., C), floating point, raw.
        target: (...), int64; at least one label other than ``ignore_index``.
        penalty: b >= 0; 0 is cross-entropy. Published: 1e-6 to 1e-3.
        start, end, across, ignore_index: As in :func:`recentralised_penalty`.

    Returns:
        A scalar.

    Raises:
        UsageError: As :func:`recentralised_penalty`, or a penalty that is negative or not finite.
    """
    check_penalty(penalty)
    kept, labels = _counted(logits, target, ignore_index)
    return F.cross_entropy(kept, labels) + penalty * _penalty(kept, labels, start, end, across)


class RecentralisedLoss(nn.Module):
    """Module twin of :func:`recentralised_loss`.

    >>> loss = RecentralisedLoss(penalty=0.01, end=3)
    >>> loss(torch.zeros(2, 5), torch.tensor([0, -100]))
    tensor(1.6094)

    Args:
        penalty, start, end, across, ignore_index: As in the function; a window that no number of classes allows is
            refused at once.

    Raises:
        UsageError: As the function.
    """

    def __init__(
        self,
        *,
        penalty: float = 1e-3,
        start: int = 0,
        end: int = 4,
        across: Across = "batch",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        self.penalty, self.start, self.end, self.across, self.ignore_index = penalty, start, end, across, ignore_index
        self(torch.zeros(1, max(2, end + 1)), torch.zeros(1, dtype=torch.int64))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of raw ``logits`` (..., C) against ``target`` (...)."""
        return recentralised_loss(
            logits,
            target,
            penalty=self.penalty,
            start=self.start,
            end=self.end,
            across=self.across,
            ignore_index=self.ignore_index,
        )

    def extra_repr(self) -> str:
        """The options, for the printed form of a network."""
        return f"penalty={self.penalty}, start={self.start}, end={self.end}, across={self.across!r}"
