"""Steepest steps and random points of the two balls."""

import math

import pytest
import torch

from drs.attacks.balls import NORMS, Norm, random_point, steepest
from drs.errors import UsageError


@pytest.mark.parametrize("norm", NORMS)
def test_the_steepest_step_beats_every_other_step_of_norm_one(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    others = torch.randn(400, 5, 2, 3, generator=generator, dtype=torch.float64)
    lengths = others.flatten(2).abs().amax(dim=2) if norm == "linf" else others.flatten(2).norm(dim=2)
    gains = (others / lengths[..., None, None] * gradient).flatten(2).sum(dim=2)
    best = (steepest(gradient, norm) * gradient).flatten(1).sum(dim=1)
    expected = gradient.flatten(1).abs().sum(dim=1) if norm == "linf" else gradient.flatten(1).norm(dim=1)  # dual norm
    torch.testing.assert_close(best, expected)
    assert bool((gains <= best).all())


def test_a_step_of_l2_has_length_one_even_where_squares_underflow() -> None:
    small = torch.tensor([[3e-30, 4e-30]])
    torch.testing.assert_close(steepest(small, "l2"), torch.tensor([[0.6, 0.8]]))


@pytest.mark.parametrize("norm", NORMS)
def test_no_gradient_no_step_and_nan_counts_as_zero(norm: Norm) -> None:
    gradient = torch.tensor([[0.0, 0.0], [math.nan, -2.0], [math.inf, 1.0]])
    infinite = 1.0 if norm == "linf" else 0.0  # it has a sign, and no length
    assert steepest(gradient, norm).tolist() == [[0.0, 0.0], [0.0, -1.0], [infinite, 1.0]]


def test_random_points_fill_the_l2_ball_evenly() -> None:
    torch.manual_seed(0)
    x = torch.full((20_000, 3), 0.5, dtype=torch.float64)
    lengths = (random_point(x, 0.4, "l2") - x).norm(dim=1)
    assert float(lengths.max()) <= 0.4
    # uniform in three dimensions: half of the points lie within (1/2)^(1/3) of the radius
    assert float((lengths <= 0.4 * 0.5 ** (1 / 3)).double().mean()) == pytest.approx(0.5, abs=0.015)


def test_random_points_fill_the_linf_ball_evenly() -> None:
    torch.manual_seed(0)
    x = torch.full((20_000, 3), 0.5, dtype=torch.float64)
    moved = random_point(x, 0.4, "linf") - x
    assert float(moved.abs().max()) <= 0.4
    assert float((moved.abs() <= 0.1).double().mean()) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("norm", NORMS)
def test_random_points_stay_in_the_range_of_pixels(norm: Norm) -> None:
    torch.manual_seed(0)
    points = random_point(torch.tensor([[0.0, 1.0, 0.5]] * 50), 0.9, norm)
    assert float(points.min()) >= 0.0
    assert float(points.max()) <= 1.0


def test_an_unknown_norm_is_named() -> None:
    with pytest.raises(UsageError, match="unknown norm 'l1'"):
        steepest(torch.zeros(1, 2), "l1")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown norm 'l1'"):
        random_point(torch.zeros(1, 2), 0.1, "l1")  # type: ignore[arg-type]
