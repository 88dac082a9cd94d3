"""Losses: one sentence for every batch and option that they cannot take."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from drs.errors import UsageError
from drs.losses import (
    confidence_penalty,
    cross_entropy,
    drs_loss,
    label_smoothing,
    logit_squeezing,
    rce_loss,
)
from tests.loss_cases import Loss, every_variant

# --- bad input -------------------------------------------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize(
    ("logits", "target", "text"),
    [
        (torch.tensor(1.0), torch.tensor(0), "expected logits with a class dimension, got a scalar"),
        (torch.zeros(2, 5).long(), torch.zeros(2).long(), "expected floating-point logits, got torch.int64"),
        (torch.zeros(2, 5), torch.zeros(2), "expected target of dtype torch.int64 (class indices), got torch.float32"),
        (
            torch.zeros(2, 5),
            torch.zeros(2).int(),
            "expected target of dtype torch.int64 (class indices), got torch.int32",
        ),
        (
            torch.zeros(2, 5),
            torch.zeros(3).long(),
            "expected target of shape (2,) for logits of shape (2, 5), got (3,)",
        ),
        (
            torch.zeros(2, 5, 4),
            torch.zeros(2, 5).long(),
            "expected target of shape (2, 4) for logits of shape (2, 5, 4), got (2, 5)",
        ),
        (torch.zeros(5), torch.zeros(1).long(), "expected target of shape () for logits of shape (5,), got (1,)"),
        (torch.zeros(2, 1), torch.zeros(2).long(), "expected at least 2 classes, got 1"),
        (torch.zeros(2, 5), torch.tensor([0, 5]), "expected labels in [0, 4], got 5"),
        (torch.zeros(2, 5), torch.tensor([-1, 0]), "expected labels in [0, 4], got -1"),
    ],
)
def test_bad_batches(function: Loss, options: dict[str, Any], logits: Tensor, target: Tensor, text: str) -> None:
    with pytest.raises(UsageError) as error:
        function(logits, target, **options)
    assert str(error.value) == text


COUNT_TRUE_CLASS = "count_true_class is defined for measure='logits' and all false classes only"


@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        (cross_entropy, {"reduction": "avg"}, "unknown reduction 'avg': expected one of mean, none, sum"),
        (rce_loss, {"reduction": None}, "unknown reduction None: expected one of mean, none, sum"),
        (drs_loss, {"measure": "odds"}, "unknown measure 'odds': expected one of logits, probabilities"),
        (drs_loss, {"spread": "range"}, "unknown spread 'range': expected one of std, sum_of_squares"),
        (drs_loss, {"batch_reduction": "max"}, "unknown batch_reduction 'max': expected one of mean, sum"),
        (drs_loss, {"penalty": -0.1}, "expected penalty to be a finite number >= 0, got -0.1"),
        (drs_loss, {"penalty": math.nan}, "expected penalty to be a finite number >= 0, got nan"),
        (drs_loss, {"penalty": math.inf}, "expected penalty to be a finite number >= 0, got inf"),
        (drs_loss, {"top_k": 1}, "expected top_k from 2 to 4, got 1"),
        (drs_loss, {"top_k": 5}, "expected top_k from 2 to 4, got 5"),
        (drs_loss, {"top_k": 3, "count_true_class": True}, COUNT_TRUE_CLASS),
        (drs_loss, {"measure": "probabilities", "count_true_class": True}, COUNT_TRUE_CLASS),
        (label_smoothing, {"smoothing": 1.5}, "expected smoothing in [0, 1], got 1.5"),
        (label_smoothing, {"smoothing": math.nan}, "expected smoothing in [0, 1], got nan"),
        (confidence_penalty, {"penalty": -1}, "expected penalty to be a finite number >= 0, got -1"),
        (logit_squeezing, {"penalty": math.inf}, "expected penalty to be a finite number >= 0, got inf"),
    ],
)
def test_bad_options(function: Loss, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        function(torch.zeros(2, 5), torch.tensor([0, 1]), **options)
    assert str(error.value) == text
