"""Numbers of one network on clean images, against hand-computed values and a naive loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drs.evaluation.accuracy import (
    BATCH,
    MEASURES,
    accuracy,
    clean_metrics,
    expected_calibration_error,
    features_of,
    logits_of,
)
from drs.training.models import Network


class Threshold(Network):
    """One pixel x, two classes, logits (0, 10 (x - 0.5)): class 1 where x > 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(1, 2)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.tensor([[0.0], [10.0]]))
            self.classifier.bias.copy_(torch.tensor([0.0, -5.0]))
        self.calls: list[int] = []

    def features(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        return images.flatten(1)


def test_calibration_error_by_hand(device: torch.device) -> None:
    # Bins of width 0.2. (0.8, 1]: confidences 0.9 right and 0.9 wrong, |(0.9 - 1) + 0.9| = 0.8;
    # (0.4, 0.6]: 0.5 right, 0.5; (0.6, 0.8]: 0.7 wrong, 0.7. Together 2.0 over four examples.
    p = torch.tensor([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.7, 0.2, 0.1]], device=device)
    y = torch.tensor([0, 1, 0, 2], device=device)
    assert expected_calibration_error(p.log(), y, bins=5) == pytest.approx(0.5, abs=1e-6)
    # One bin: |mean confidence - accuracy| = |0.75 - 0.5|.
    assert expected_calibration_error(p.log(), y, bins=1) == pytest.approx(0.25, abs=1e-6)


def test_calibration_error_against_a_loop_over_bins() -> None:
    z = torch.randn(500, 10, generator=torch.Generator().manual_seed(0)) * 2
    y = torch.randint(0, 10, (500,), generator=torch.Generator().manual_seed(1))
    y[:300] = z[:300].argmax(dim=1)
    p = torch.softmax(z, dim=1).double().numpy()
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y.numpy()
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            expected += inside.sum() / 500 * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(z, y) == pytest.approx(expected, abs=1e-6)


def test_a_sure_and_right_network_is_calibrated() -> None:
    z = torch.eye(10) * 1e4
    assert expected_calibration_error(z, torch.arange(10)) == 0.0
    assert expected_calibration_error(z, torch.arange(10).roll(1)) == 1.0


def test_clean_metrics_against_numpy() -> None:
    z = torch.randn(41, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = torch.randint(0, 5, (41,), generator=torch.Generator().manual_seed(3))
    p = np.exp(z.numpy()) / np.exp(z.numpy()).sum(axis=1, keepdims=True)
    each: dict[str, list[float]] = {name: [] for name in MEASURES}
    for row, probabilities, label in zip(z.numpy(), p, y.tolist()):
        false, q = np.delete(row, label), np.delete(probabilities, label)
        shares = np.exp(false) / np.exp(false).sum()
        each["std_logits"].append(false.std())
        each["variance_logits"].append(false.var())
        each["std_probabilities"].append(q.std())
        each["variance_probabilities"].append(q.var())
        each["entropy_logits"].append(-(shares * np.log(shares)).sum() / math.log(4))
        each["entropy_probabilities"].append(-(q * np.log(q)).sum() / math.log(4))
    expected = {f"{name}_mean": float(np.mean(values)) for name, values in each.items()}
    expected |= {f"{name}_median": float(np.median(values)) for name, values in each.items()}
    expected["accuracy"] = float((p.argmax(axis=1) == y.numpy()).mean())
    expected["cross_entropy"] = float(-np.log(p[np.arange(41), y.numpy()]).mean())
    expected["calibration_error"] = expected_calibration_error(z, y)
    got = clean_metrics(z, y)
    assert set(got) == set(expected)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-6), name


def test_batches_do_not_change_the_answer(device: torch.device) -> None:
    network = Threshold().to(device)
    images = torch.rand(2 * BATCH + 7, 1, 1, 1, device=device)
    logits = logits_of(network, images)
    assert network.calls == [BATCH, BATCH, 7]
    few = logits_of(network, images[:10], batch=4)
    assert network.calls[3:] == [4, 4, 2]
    torch.testing.assert_close(few, logits[:10])
    assert not logits.requires_grad
    torch.testing.assert_close(logits[:, 1], 10 * images.flatten() - 5)
    assert torch.equal(features_of(network, images), images.flatten(1))
    network.calls.clear()
    assert torch.equal(features_of(network, images[:10], batch=5), images[:10].flatten(1))
    assert network.calls == [5, 5]
    labels = (images.flatten() > 0.5).long()
    labels[:7] = 1 - labels[:7]
    assert accuracy(logits, labels) == pytest.approx(1 - 7 / len(images), abs=1e-6)
