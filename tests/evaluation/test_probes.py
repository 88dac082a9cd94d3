"""Gradients, temperatures, precision and repeats: closed forms, and networks made to fail each."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.errors import UsageError
from drs.evaluation.probes import (
    Tempered,
    batch_difference,
    float64_check,
    gradient_norms,
    inner_gradients,
    label_changes,
    repeat_difference,
    temperature_sweep,
    zero_gradient_share,
)
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.evaluation.masked import Linear, Loud, Quantised


@pytest.fixture(scope="module")
def linear(mnist5k: Dataset) -> Linear:
    return Linear(*mnist5k.train.to_float())


@pytest.fixture(scope="module")
def data(digits: Dataset) -> tuple[Tensor, Tensor]:
    return digits.test.first(40).to_float()


def test_gradient_norms_against_the_closed_form(linear: Linear, data: tuple[Tensor, Tensor]) -> None:
    """The gradient of cross-entropy of W x + b is W^T (softmax - one-hot)."""
    images, labels = data
    with torch.no_grad():
        error = torch.softmax(linear(images), dim=1) - F.one_hot(labels, 10)
        expected = (error @ linear.classifier.weight).norm(dim=1)
    torch.testing.assert_close(gradient_norms(linear, images, labels), expected)
    assert zero_gradient_share(linear, images, labels) == 0.0
    assert all(p.grad is None and p.requires_grad for p in linear.parameters())


def test_zero_gradients_are_counted(linear: Linear, data: tuple[Tensor, Tensor]) -> None:
    images, labels = data
    with torch.no_grad():
        right = linear(images).argmax(dim=1) == labels
    # times 10,000 the softmax is exactly one-hot wherever the answer is clear: right answers have no gradient
    share = zero_gradient_share(Loud(linear), images, labels)
    assert share == pytest.approx(float(right.double().mean()), abs=0.03)
    assert share > 0.7
    assert zero_gradient_share(Quantised(linear), images, labels) == 1.0
    with pytest.raises(UsageError, match=r"expected pixels in \[0, 1\]"):
        zero_gradient_share(linear, images + 1, labels)


class Blind(nn.Module):
    """No gradient reaches the images: the answer is looked up."""

    def forward(self, images: Tensor) -> Tensor:
        return F.one_hot((images.detach().flatten(1).sum(dim=1) > 100).long(), 2).float() * 3 - 1


def test_a_network_that_lets_no_gradient_through(data: tuple[Tensor, Tensor]) -> None:
    images, labels = data
    assert torch.equal(gradient_norms(Blind(), images, labels.clamp_max(1)), torch.zeros(len(images)))


def test_temperature_undoes_a_scale_exactly(trained: Network, data: tuple[Tensor, Tensor]) -> None:
    images, labels = data
    with torch.no_grad():
        torch.testing.assert_close(4 * Tempered(trained, 4.0)(images), trained(images))
    plain = temperature_sweep(trained, images, labels, epsilon=0.05, temperatures=[1.0], steps=5)[1.0]
    swept = temperature_sweep(Tempered(trained, 1 / 1024), images, labels, epsilon=0.05, temperatures=[1024.0], steps=5)
    assert torch.equal(plain.inputs, swept[1024.0].inputs)
    with pytest.raises(UsageError, match="expected temperature > 0, got 0"):
        Tempered(trained, 0.0)


def test_float64_agrees_for_a_plain_network(linear: Linear, data: tuple[Tensor, Tensor]) -> None:
    single, double = float64_check(linear, *data, epsilon=0.05, steps=5)
    assert single == double < 1.0
    assert linear.classifier.weight.dtype == torch.float32


class Rounding(nn.Module):
    """Float32 loses the images beside a constant of 1e9; float64 does not."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(1e9))

    def forward(self, images: Tensor) -> Tensor:
        mean = (images.flatten(1).mean(dim=1) + self.offset) - self.offset
        return torch.stack([torch.zeros_like(mean), 100 * (mean - 0.5)], dim=1)


def test_float64_disagrees_where_rounding_hides_everything() -> None:
    images, labels = torch.full((4, 1, 4, 4), 0.45), torch.zeros(4, dtype=torch.int64)
    assert float64_check(Rounding(), images, labels, epsilon=0.1, steps=3) == (1.0, 0.0)


def test_a_randomised_network_is_noticed(trained: Network, data: tuple[Tensor, Tensor]) -> None:
    class Noisy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.rand(len(images), 3)

    assert repeat_difference(trained, data[0]) == 0.0
    assert repeat_difference(Noisy(), data[0]) > 0.1


def test_labels_that_change_between_looks_are_counted() -> None:
    class Flickering(nn.Module):
        """Even looks give every image class 0, odd ones give class 1 to the first image alone."""

        looks = 0

        def forward(self, images: Tensor) -> Tensor:
            self.looks += 1
            logits = torch.tensor([1.0, 0.0]).repeat(len(images), 1)
            logits[0, 1] += 2.0 * (self.looks % 2)
            return logits

    images = torch.rand(8, 4)
    assert label_changes(Flickering(), images) == 1 / 8
    assert label_changes(nn.Linear(4, 2), images) == 0.0
    with pytest.raises(UsageError, match="expected looks >= 2, got 1"):
        label_changes(nn.Linear(4, 2), images, looks=1)


def test_the_rest_of_the_batch_is_noticed() -> None:
    class Coupled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images - images.mean(dim=0)

    # mean 0.25: logits -0.25, 0.75, 0 from a range of 1; beside its copy each is 0
    images = torch.tensor([[0.0, 0.25], [1.0, 0.25], [0.0, 0.25], [0.0, 0.25]])
    assert batch_difference(Coupled(), images) == 0.75
    statistics = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    assert batch_difference(statistics, torch.rand(6, 4)) < 1e-5
    none = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 3))
    assert batch_difference(none, torch.rand(6, 4)) > 0.05


def test_gradients_inside_the_forward_pass_are_counted(trained: Network) -> None:
    class Purifying(nn.Module):
        """Three steps on the image, of each kind in which a gradient can be asked for."""

        def forward(self, images: Tensor) -> Tensor:
            with torch.enable_grad():
                moved = images.detach().clone().requires_grad_(True)
                (gradient,) = torch.autograd.grad(moved.square().sum(), moved)
                moved.square().sum().backward()
                torch.autograd.backward(moved.square().sum())
            return (images - 0.1 * gradient).flatten(1)

    assert inner_gradients(Purifying(), torch.rand(2, 4)) == 3.0
    assert inner_gradients(trained, torch.rand(2, 1, 28, 28)) == 0.0
    with torch.no_grad():
        assert inner_gradients(Purifying(), torch.rand(2, 4)) == 3.0
