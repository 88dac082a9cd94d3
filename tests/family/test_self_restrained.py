"""Triplet losses against a double loop, by hand, on both sides of the switch; error rates against two normals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from drs.errors import UsageError
from drs.family.biometrics import equal_error_rate, fisher_ratio, fnmr_at_fmr, pair_scores
from drs.family.self_restrained import (
    EmbeddingUnmasking,
    SelfRestrainedTripletLoss,
    draw_negatives,
    is_restrained,
    pull_loss,
    self_restrained_triplet_loss,
    squared_distance,
    triplet_loss,
)


def triplets(seed: int, near: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Anchors that lie near the positives (``near`` above 1: beyond them) or near the negatives (0)."""
    generator = torch.Generator().manual_seed(seed)
    p, n, noise = (torch.randn(6, 5, dtype=torch.float64, generator=generator) for _ in range(3))
    return near * p + (1.0 - near) * n + 0.1 * noise, p, n


def by_loops(a: torch.Tensor, p: torch.Tensor, n: torch.Tensor, margin: float, restrained: bool) -> float:
    def distance(u: list[float], v: list[float]) -> float:
        dot = sum(x * y for x, y in zip(u, v))
        return 2.0 - 2.0 * dot / math.sqrt(sum(x * x for x in u) * sum(y * y for y in v))

    rows = list(zip(a.tolist(), p.tolist(), n.tolist()))
    apart = sum(distance(v, w) for _, v, w in rows) / len(rows)
    far = [apart if restrained else distance(u, w) for u, _, w in rows]
    return sum(max(0.0, distance(u, v) + margin - f) for (u, v, _), f in zip(rows, far)) / len(rows)


@pytest.mark.parametrize(("near", "restrained"), [(1.5, True), (0.2, False)])
def test_both_sides_of_the_switch(near: float, restrained: bool) -> None:
    a, p, n = triplets(3, near)
    assert bool(is_restrained(a, p, n)) == restrained
    for margin in (0.0, 0.5, 2.0):
        found = float(self_restrained_triplet_loss(a, p, n, margin=margin))
        assert found == pytest.approx(by_loops(a, p, n, margin, restrained), rel=1e-12)
        assert float(triplet_loss(a, p, n, margin=margin)) == pytest.approx(by_loops(a, p, n, margin, False))
        assert float(SelfRestrainedTripletLoss(margin=margin)(a, p, n)) == found


def test_by_hand() -> None:
    a, p, n = (
        torch.tensor([[3.0, 0.0], [1.0, 0.0]]),
        torch.tensor([[0.0, 1.0], [2.0, 0.0]]),
        torch.tensor([[-1.0, 0.0]] * 2),
    )
    # d(a, p) = 2, 0; d(a, n) = 4, 4; d(p, n) = 2, 4 with mean 3: restrained, relu(2 + 2 - 3) = 1, relu(0 + 2 - 3) = 0
    assert squared_distance(a, p).tolist() == [2.0, 0.0]
    assert float(self_restrained_triplet_loss(a, p, n)) == 0.5
    assert float(triplet_loss(a, p, n, margin=3.0)) == 0.5
    assert float(pull_loss(a, p)) == 1.0


def test_the_switch_is_exactly_at_equality_and_negatives_then_have_no_gradient() -> None:
    a, p, n = triplets(1, 1.5)
    assert bool(is_restrained(p, p, n))
    a.requires_grad_()
    (restrained,) = torch.autograd.grad(self_restrained_triplet_loss(a, p, n, margin=4.0), a)
    (pulled,) = torch.autograd.grad(pull_loss(a, p), a)
    assert torch.allclose(restrained, pulled, atol=1e-12)


@pytest.mark.parametrize("near", [1.5, 0.2])
def test_gradient(near: float) -> None:
    a, p, n = triplets(2, near)
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: self_restrained_triplet_loss(x, p, n, margin=1.0), (a,))


def test_negatives_are_of_another_identity() -> None:
    identities = torch.tensor([0, 0, 1, 2, 2, 2])
    for seed in range(20):
        drawn = draw_negatives(identities, generator=torch.Generator().manual_seed(seed))
        assert bool((identities[drawn] != identities).all())


def test_network() -> None:
    layers = list(EmbeddingUnmasking(8).layers)
    assert [type(x).__name__ for x in layers] == ["Linear", "BatchNorm1d", "LeakyReLU"] * 3 + ["Linear", "BatchNorm1d"]
    assert layers[2].negative_slope == 0.2
    assert sum(x.numel() for x in EmbeddingUnmasking(8).parameters()) == 4 * (8 * 8 + 8 + 16)


def test_bad_input() -> None:
    a, p, n = triplets(0, 0.5)
    with pytest.raises(UsageError, match="expected at least two identities in a batch of triplets, got 1"):
        draw_negatives(torch.zeros(4, dtype=torch.int64))
    with pytest.raises(UsageError, match="expected a negative for each anchor, got an empty batch"):
        self_restrained_triplet_loss(a[:0], p[:0], n[:0])
    with pytest.raises(UsageError, match="a zero vector in row 2: leave it out"):
        squared_distance(a.index_fill(0, torch.tensor([2]), 0.0), p)
    with pytest.raises(UsageError, match=r"expected two tensors of one shape \(N, D\), got \(6, 5\) and \(5, 5\)"):
        triplet_loss(a, p[1:], n)
    with pytest.raises(UsageError, match="expected a finite margin >= 0, got -1"):
        triplet_loss(a, p, n, margin=-1.0)
    with pytest.raises(UsageError, match="got a zero vector: leave it out"):
        pair_scores([[0.0, 0.0]], [0], [[1.0, 0.0]], [0])
    with pytest.raises(UsageError, match="expected fmr between 0 and 1, got 0"):
        fnmr_at_fmr([1.0], [0.0], fmr=0.0)
    with pytest.raises(UsageError, match="expected finite impostor scores"):
        equal_error_rate([1.0], [])


def test_rates_of_two_normals_are_the_closed_form() -> None:
    places = (np.arange(200_000) + 0.5) / 200_000
    impostor, genuine = norm.ppf(places), 2.0 + norm.ppf(places)
    assert equal_error_rate(genuine, impostor) == pytest.approx(norm.cdf(-1.0), abs=1e-4)
    for rate in (0.01, 0.001):
        assert fnmr_at_fmr(genuine, impostor, rate) == pytest.approx(norm.cdf(norm.ppf(1 - rate) - 2.0), abs=1e-3)
    assert fisher_ratio(genuine, impostor) == pytest.approx(2.0, rel=1e-3)
    assert equal_error_rate(impostor, impostor) == pytest.approx(0.5, abs=1e-4)


def test_rates_by_hand() -> None:
    assert equal_error_rate([0.9, 0.8], [0.1, 0.2]) == 0.0
    assert fnmr_at_fmr([0.9, 0.5], [0.5, 0.1], fmr=0.01) == 0.5  # a tie with the highest impostor is refused
    assert fnmr_at_fmr([0.9, 0.5], [0.5, 0.1], fmr=0.5) == 0.0
    assert fisher_ratio([1.0], [1.0]) == 0.0
    assert fisher_ratio([1.0], [0.0]) == math.inf
    genuine, impostor = pair_scores([[1.0, 0.0], [0.0, 2.0]], [1, 2], [[3.0, 0.0], [1.0, 1.0]], [1, 2])
    assert genuine == pytest.approx([1.0, math.sqrt(0.5)])
    assert impostor == pytest.approx([math.sqrt(0.5), 0.0])
