"""The Square attack against its published schedule, a closed form, a linear model and another implementation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import PGD, Square
from drs.attacks.square import _squares, square_side
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network


class Brightness(nn.Module):
    """Logits (0, mean pixel - threshold): the best perturbation of the box is known, and is one colour."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(dim=1)
        return torch.stack([torch.zeros_like(mean), mean - self.threshold], dim=1)


def test_the_side_follows_the_published_schedule() -> None:
    # p = 0.8 halves after queries 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000; side = sqrt(p * 28 * 28)
    expected = {0: 25, 10: 25, 11: 18, 50: 18, 51: 13, 201: 9, 501: 6, 1001: 4, 2001: 3, 4001: 2, 6001: 2, 8001: 1}
    assert {query: square_side(query, 10_000, 28, 28) for query in expected} == expected
    # a tenth of the queries, a tenth of the schedule
    assert [square_side(q, 1000, 28, 28) for q in (0, 1, 2, 5, 6, 20, 21)] == [25, 25, 18, 18, 13, 13, 9]
    assert square_side(0, 100, 4, 40, share=1.0) == 4  # never wider than the image
    assert square_side(9999, 10_000, 5, 5) == 1


def test_squares_are_whole_and_anywhere() -> None:
    torch.manual_seed(0)
    inside = _squares(4000, 6, 5, 4, torch.device("cpu"))
    assert inside.shape == (4000, 1, 6, 5)
    assert bool((inside.flatten(1).sum(dim=1) == 16).all())
    rows, columns = inside.any(dim=3).squeeze(1), inside.any(dim=2).squeeze(1)
    assert bool((rows.sum(dim=1) == 4).all() & (columns.sum(dim=1) == 4).all())
    # 3 x 2 places, each about equally often
    places = rows.int().argmax(dim=1) * 2 + columns.int().argmax(dim=1)
    counts = torch.bincount(places, minlength=6)
    assert counts.numel() == 6
    assert int(counts.min()) > 4000 / 6 * 0.85


def test_finds_the_one_colour_that_is_best(device: torch.device) -> None:
    """Pixels 0.5, threshold 0.5 + 0.9 * eps: only an image almost wholly at the edge of the budget is fooled."""
    images = torch.full((6, 1, 8, 8), 0.5, device=device)
    labels = torch.zeros(6, dtype=torch.int64, device=device)
    found = Square(epsilon=0.1, queries=400)(Brightness(0.59), images, labels)
    assert bool(found.success.all())
    assert bool((found.inputs.flatten(1).mean(dim=1) > 0.59).all())
    # out of reach: nothing in the ball has a mean above 0.6, and the search comes as close as 0.6
    hopeless = Square(epsilon=0.1, queries=400)(Brightness(0.601), images, labels)
    assert not bool(hopeless.success.any())
    assert float(hopeless.inputs.flatten(1).mean(dim=1).min()) == pytest.approx(0.6, abs=0.01)
    # what the last queries found comes back too
    means = [Square(epsilon=0.1, queries=n)(Brightness(0.601), images, labels).inputs.mean() for n in (1, 20)]
    assert float(means[1]) > float(means[0])


def test_starts_from_vertical_stripes() -> None:
    """A model that every perturbation fools: the first look is what comes back, one sign a column and channel."""
    images = torch.full((3, 2, 5, 7), 0.5)

    class Easy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            moved = (images - 0.5).abs().flatten(1).amax(dim=1)
            return torch.stack([torch.full_like(moved, 0.05), moved], dim=1)

    found = Square(epsilon=0.1)(Easy(), images, torch.zeros(3, dtype=torch.int64))
    change = found.inputs - 0.5
    torch.testing.assert_close(change.abs(), torch.full_like(change, 0.1))
    assert torch.equal(change, change[:, :, :1].expand_as(change))
    assert len(torch.unique(change[:, :, 0], dim=0)) > 1
    assert bool(found.success.all())


def test_more_queries_find_more_and_gradients_more_still(trained: Network, digits: Dataset) -> None:
    images, labels = digits.test.to_float()
    standing = [
        Square(epsilon=0.1, queries=queries)(trained, images, labels).robust_accuracy(labels) for queries in (1, 400)
    ]
    white = PGD(epsilon=0.1, steps=20, objective="margin")(trained, images, labels).robust_accuracy(labels)
    assert white <= standing[1] < standing[0] - 0.1


def test_images_are_attacked_each_for_itself(trained: Network, digits: Dataset) -> None:
    """Fooled images are left alone: what fools one stays, whatever happens to the others."""
    images, labels = digits.test.to_float()
    found = Square(epsilon=0.1, queries=200, seed=3)(trained, images, labels)
    assert float(found.distances.max()) <= 0.1 + 1e-6
    again = Square(epsilon=0.1, queries=200, seed=3)(trained, images, labels)
    assert torch.equal(found.inputs, again.inputs)
    with torch.no_grad():
        clean_wrong = trained(images).argmax(dim=1) != labels
    assert bool(found.success[clean_wrong].float().mean() > 0.5)


def test_agrees_with_torchattacks(trained: Network, digits: Dataset) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    images, labels = digits.test.to_float()
    ours = Square(epsilon=0.1, queries=300)(trained, images, labels).robust_accuracy(labels)
    theirs = torchattacks.Square(trained, norm="Linf", eps=0.1, n_queries=300, n_restarts=1, p_init=0.8, seed=0)
    with torch.no_grad():
        moved = theirs(images, labels)
        other = float((trained(moved).argmax(dim=1) == labels).float().mean())
    assert float((moved - images).abs().max()) <= 0.1 + 1e-6
    assert ours == pytest.approx(other, abs=0.08)
    assert ours < 0.9


def test_errors() -> None:
    with pytest.raises(UsageError, match="expected queries >= 1, got 0"):
        Square(queries=0)
    with pytest.raises(UsageError, match=r"expected share in \(0, 1\], got 1.5"):
        Square(share=1.5)
