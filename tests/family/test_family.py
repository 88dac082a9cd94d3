"""GCE, the STD loss and MMC against loops, hand-computed numbers, limits and the errors they promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from drs.errors import UsageError
from drs.family import (
    MMCClassifier,
    centre_logits,
    gce_loss,
    mmc_loss,
    random_centres,
    simplex_centres,
    std_loss,
)
from drs.losses import drs_penalty
from drs.training.models import MLP, ResNet, SmallConvNet, build_model

LOGITS = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
TARGET = torch.tensor([0, 1, 2, 3, 4, 4])


def loop_gce(logits: Tensor, target: Tensor, alpha: float) -> list[float]:
    found = []
    for row, y in zip(logits.tolist(), target.tolist()):
        total = sum(math.exp(v) for v in row)
        p = [math.exp(v) / total for v in row]
        q = [p[j] / (1 - p[y]) for j in range(len(p)) if j != y]
        found.append(p[y] ** alpha * sum(v * math.log(v) for v in q) / math.log(len(p)))
    return found


def loop_std(logits: Tensor, target: Tensor, strength: float) -> list[float]:
    found = []
    for row, y in zip(logits.tolist(), target.tolist()):
        total = sum(math.exp(v) for v in row)
        p = [math.exp(v) / total for v in row]
        false = [p[j] for j in range(len(p)) if j != y]
        mean = sum(false) / len(false)
        std = math.sqrt(sum((v - mean) ** 2 for v in false) / len(false))
        found.append(-math.log(p[y]) + strength * std)
    return found


@pytest.mark.parametrize("alpha", [0.0, 1 / 3, 2.0])
def test_gce_is_the_loop(alpha: float) -> None:
    expected = torch.tensor(loop_gce(LOGITS, TARGET, alpha), dtype=torch.float64)
    torch.testing.assert_close(gce_loss(LOGITS, TARGET, alpha=alpha, reduction="none"), expected)
    torch.testing.assert_close(gce_loss(LOGITS, TARGET, alpha=alpha), expected.mean())


@pytest.mark.parametrize("strength", [0.0, 1.0, 7.0])
def test_std_is_the_loop(strength: float) -> None:
    expected = torch.tensor(loop_std(LOGITS, TARGET, strength), dtype=torch.float64)
    torch.testing.assert_close(std_loss(LOGITS, TARGET, penalty=strength, reduction="none"), expected)
    torch.nn.functional.cross_entropy(LOGITS, TARGET, reduction="none")
    own = drs_penalty(LOGITS, TARGET, measure="probabilities", spread="std")
    torch.testing.assert_close(
        expected, torch.nn.functional.cross_entropy(LOGITS, TARGET, reduction="none") + strength * own
    )


def test_gce_by_hand_and_where_the_network_is_sure() -> None:
    logits = torch.tensor([[2.0, 1.0, 1.0]]).log()
    assert gce_loss(logits, torch.tensor([0]), alpha=1.0).item() == pytest.approx(-0.5 * math.log(2) / math.log(3))
    sure = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)  # 1 - p_y is 0 in float32
    loss = gce_loss(sure, torch.tensor([0]))
    assert loss.item() == pytest.approx(-math.log(2) / math.log(3))
    assert bool(torch.autograd.grad(loss, sure)[0].isfinite().all())


@pytest.mark.parametrize("loss", [gce_loss, std_loss])
def test_shapes_ignored_labels_and_gradients(loss) -> None:  # type: ignore[no-untyped-def]
    each = loss(LOGITS, TARGET, reduction="none")
    wide = LOGITS.reshape(2, 3, 5).movedim(2, 1)
    torch.testing.assert_close(loss(wide, TARGET.reshape(2, 3), reduction="none"), each.reshape(2, 3))
    torch.testing.assert_close(loss(LOGITS[0], TARGET[0]), each[0])
    some = TARGET.clone()
    some[2:4] = -100
    torch.testing.assert_close(loss(LOGITS, some), each[[0, 1, 4, 5]].mean())
    assert torch.autograd.gradcheck(lambda z: loss(z, TARGET), LOGITS.clone().requires_grad_(True))


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_centres_are_a_simplex(classes: int) -> None:
    centres = simplex_centres(classes, dimensions=classes - 1, scale=1.0).double()
    expected = torch.full((classes, classes), -1 / (classes - 1), dtype=torch.float64).fill_diagonal_(1.0)
    torch.testing.assert_close(centres @ centres.T, expected, atol=1e-6, rtol=0)
    wider = simplex_centres(classes, dimensions=classes + 3, scale=1.0)
    assert torch.equal(wider[:, : classes - 1].double(), centres)
    assert not wider[:, classes - 1 :].any()


def test_the_gap_at_a_centre_is_222() -> None:
    centres = simplex_centres(10, scale=10.0)
    logits = centre_logits(centres, centres)
    gap = logits.diagonal() - logits.masked_fill(torch.eye(10, dtype=torch.bool), -torch.inf).amax(dim=1)
    torch.testing.assert_close(gap, torch.full((10,), 200 * (1 + 1 / 9)))
    torch.testing.assert_close(random_centres(10, scale=10.0).norm(dim=1), torch.full((10,), 10.0))


def test_mmc_is_the_loop() -> None:
    points = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    centres = simplex_centres(5, dimensions=4, scale=2.0).double()
    expected = []
    for z, y in zip(points.tolist(), TARGET.tolist()):
        expected.append(0.5 * sum((a - b) ** 2 for a, b in zip(z, centres[y].tolist())))
    each = mmc_loss(centre_logits(points, centres), TARGET, reduction="none")
    torch.testing.assert_close(each.detach(), torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda z: mmc_loss(centre_logits(z, centres), TARGET), points)


@pytest.mark.parametrize("body", [SmallConvNet(), MLP(), ResNet(1, depth=8)], ids=["conv", "mlp", "resnet"])
def test_head_on_any_network(body) -> None:  # type: ignore[no-untyped-def]
    model = MMCClassifier(body, simplex_centres(10)).eval()
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    z = model.features(images)
    by_hand = -torch.stack([(z - centre).square().sum(dim=1) for centre in model.centres], dim=1)
    torch.testing.assert_close(model(images), by_hand)
    assert not any(p is model.centres for p in model.parameters())
    assert "centres" in model.state_dict()


def test_bad_input() -> None:
    model = MMCClassifier(SmallConvNet(), simplex_centres(10))
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: simplex_centres(10, dimensions=8), "at least 9 dimensions for the centres of 10 classes, got 8"),
        (lambda: simplex_centres(10, scale=0.0), "expected scale to be a finite number > 0, got 0.0"),
        (
            lambda: model.head(torch.zeros(2, 48)),
            r"\(N, 64\).*got \(2, 48\)",
        ),
        (lambda: mmc_loss(torch.ones(1, 3), torch.tensor([0])), "train the loss 'mmc' with model 'mmc'"),
        (lambda: gce_loss(LOGITS, TARGET, alpha=-1.0), "alpha to be a finite number >= 0, got -1.0"),
        (lambda: gce_loss(torch.zeros(1, 2), torch.tensor([0])), "expected at least 3 classes, got 2"),
        (lambda: std_loss(LOGITS, TARGET, penalty=-1.0), "expected penalty to be a finite number >= 0"),
        (lambda: build_model("mmc", channels=1, classes=10, seed=0, dimensions=8), "at least 9 dimensions"),
    ]
    for call, text in refused:
        with pytest.raises(UsageError, match=text):
            call()
