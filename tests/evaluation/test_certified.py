"""Certified bounds against closed forms, exhaustive search, sampled balls and attacks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs import Normalised
from drs.attacks import DDN, PGD, TargetedPGD, margin
from drs.errors import UsageError
from drs.evaluation.certified import bracket, certified_accuracy, margin_bound
from drs.training.datasets import Dataset
from drs.training.models import MLP, Network, ResNet, ReverseLogits, SmallConvNet


def seeded(make: Any, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def two_inputs(seed: int) -> nn.Sequential:
    model: nn.Sequential = seeded(
        lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), seed
    )
    return model


def linear(weight: Any, bias: Any) -> nn.Sequential:
    layer = nn.Linear(len(weight[0]), len(weight))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return nn.Sequential(nn.Flatten(), layer)


def points_of_the_ball(images: Tensor, epsilon: float, count: int = 200) -> Tensor:
    """(count, N, ...): corners and inner points, cut to [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    moves = 2.0 * torch.rand(count, *images.shape, generator=generator) - 1.0
    moves[::2] = moves[::2].sign()
    return (images + epsilon * moves).clamp(0.0, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_no_point_of_a_fine_grid_is_below_the_bound(seed: int) -> None:
    model = two_inputs(seed)
    images = torch.rand(5, 2, generator=torch.Generator().manual_seed(seed))
    labels = model(images).argmax(dim=1)
    for epsilon in (0.02, 0.1, 0.4):
        bounds = margin_bound(model, images, labels, epsilon=epsilon)
        for image, label, bound in zip(images, labels, bounds):
            axes = [torch.linspace(max(0.0, v - epsilon), min(1.0, v + epsilon), 101) for v in image.tolist()]
            grid = torch.cartesian_prod(*axes)
            margins = -margin(model(grid), label.expand(len(grid)))
            assert float(bound) <= margins.min().item()
            if epsilon == 0.02:  # and not empty: of the size of the truth
                assert float(bound) >= margins.min().item() - 0.15


def test_a_linear_model_has_its_exact_margin() -> None:
    weight = [[1.0, -2.0, 0.5, 0.0], [0.0, 1.0, -1.0, 2.0], [-1.0, 0.0, 0.0, 1.0]]
    model = linear(weight, [3.0, 0.25, 0.0])
    image, label = torch.tensor([[[[0.5, 0.25], [0.75, 0.5]]]]), torch.tensor([0])
    # Logits 0.5 - 0.5 + 0.375 + 3 = 3.375, 0.25 - 0.75 + 1 + 0.25 = 0.75, -0.5 + 0.5 = 0. Differences of the rows:
    # |1| + |3| + |1.5| + |2| = 7.5 towards class 1, |2| + |2| + |0.5| + |1| = 5.5 towards class 2.
    for epsilon in (0.0, 0.125, 0.25):
        expected = min(3.375 - 0.75 - 7.5 * epsilon, 3.375 - 5.5 * epsilon)
        assert float(margin_bound(model, image, label, epsilon=epsilon)) == pytest.approx(expected, abs=2e-5)
    # At a budget of 1 every pixel may be 0 or 1: the worst corner towards each class.
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).reshape(16, 1, 2, 2)
    worst = (-margin(model(corners), label.expand(16))).min().item()
    assert float(margin_bound(model, image, label, epsilon=1.0)) == pytest.approx(worst, abs=2e-5)


def test_the_margin_is_one_map() -> None:
    # Both logits are 3 x0: their margin is 1 wherever x0 is; two intervals of logits would say 1 - 6 epsilon.
    model = linear([[3.0, 0.0], [3.0, 0.0]], [1.0, 0.0])
    image, label = torch.tensor([[0.5, 0.5]]), torch.tensor([0])
    assert float(margin_bound(model, image, label, epsilon=0.25)) == pytest.approx(1.0, abs=1e-5)
    turned = nn.Sequential(model, nn.Identity())
    assert float(margin_bound(turned, image, label, epsilon=0.25)) == pytest.approx(1.0, abs=1e-5)
    apart = nn.Sequential(model, nn.LeakyReLU(1.0))  # no longer linear last: two intervals
    assert float(margin_bound(apart, image, label, epsilon=0.25)) == pytest.approx(1.0 - 6 * 0.25, abs=1e-5)


class Residual(nn.Module):
    """Sums, shifts, scales and pooling written as functions, as in a forward of one's own."""

    mean: Tensor

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.active, self.in_place = nn.LeakyReLU(0.2, inplace=in_place), in_place
        self.register_buffer("mean", torch.tensor([0.4, 0.6]).reshape(1, 2, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.conv((images - self.mean) / 0.25)
        out = self.norm(self.active(hidden))
        if self.in_place:
            out += hidden
        else:
            out = out - 1.5 * hidden
        out = F.dropout(F.relu(-out), training=self.training)
        pooled = F.avg_pool2d(out, (out.shape[2], out.shape[3])).view(out.size(0), -1)
        return self.head(pooled)  # type: ignore[no-any-return]


def zoo() -> dict[str, nn.Module]:
    """Networks of images (2, 8, 8) with every layer that has a rule."""
    conv = (nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4))
    return {
        "conv": nn.Sequential(*conv, nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(), nn.Linear(64, 3)),
        "pools": nn.Sequential(
            nn.Conv2d(2, 4, 3),
            nn.LeakyReLU(),
            nn.MaxPool2d(2, padding=1),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Linear(8, 3, bias=False),
        ),
        "adaptive": nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        "grouped": nn.Sequential(nn.Conv2d(2, 4, 3, groups=2, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)),
        "no batch norm weights": nn.Sequential(nn.BatchNorm2d(2, affine=False), nn.Flatten(), nn.Linear(128, 3)),
        "residual": Residual(False),
        "residual in place": Residual(True),
        "small_conv": SmallConvNet(2, 3, width=4),
        "mlp": MLP(2, 3, size=8, width=12),
        "reversed": ReverseLogits(MLP(2, 3, size=8, width=12)),
        "normalised": Normalised(MLP(2, 3, size=8, width=12), mean=(0.4, 0.5), std=(0.2, 0.3)),
        "resnet": ResNet(2, 3, depth=8, width=4),
    }


@pytest.mark.parametrize("name", list(zoo()))
def test_every_layer_keeps_the_sampled_ball_above_its_bound(name: str) -> None:
    model = seeded(zoo)[name]
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(0.3 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.2 + torch.rand(module.num_features, generator=generator))
            if module.affine:  # of both signs
                module.weight.data.copy_(torch.randn(module.num_features, generator=generator))
    images = torch.rand(4, 2, 8, 8, generator=generator)
    labels = torch.tensor([0, 1, 2, 0])
    still = margin_bound(model, images, labels, epsilon=0.0)
    assert model.training  # as it came
    model.eval()
    margins = -margin(model(images), labels)
    torch.testing.assert_close(still, margins.detach().double(), atol=5e-3, rtol=0)
    assert (still <= margins).all()
    previous = still
    for epsilon in (0.003, 0.02, 0.1):
        bound = margin_bound(model, images, labels, epsilon=epsilon)
        assert (bound < previous).all()  # monotone
        with torch.no_grad():
            for moved in points_of_the_ball(images, epsilon, 40):
                assert (bound <= -margin(model(moved), labels)).all()
        previous = bound


def test_the_bound_holds_for_the_network_as_it_rounds() -> None:
    # 2^24 x0 - 2^24 x1 + 1: float32 loses the one where the products are large, so no margin of one is certain.
    model = linear([[2.0**24, 0.0], [2.0**24, 0.0]], [1.0, 0.0])
    image, label = torch.tensor([[0.9, 0.5]]), torch.tensor([0])
    assert float(margin_bound(model, image, label, epsilon=0.0)) < 0.0
    assert float(margin_bound(model.double(), image.double(), label, epsilon=0.0)) == pytest.approx(1.0, abs=1e-6)
    # A hidden sum of 100 values near 90 may be off by 104 * 2^-24 * 90 = 6e-4 in a layer whose own two terms are not.
    first = linear([[1.0] * 100, [1.0] * 100], [5e-4, 0.0])
    deep = nn.Sequential(*first, nn.ReLU(), *linear([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]))
    assert -1e-3 < float(margin_bound(deep, torch.full((1, 100), 0.9), label, epsilon=0.0)) < 0.0
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(200, 1, 28, 28, generator=generator)
    network = seeded(MLP).eval()
    labels = torch.arange(200) % 10
    bound = margin_bound(network, images, labels, epsilon=0.0)
    with torch.no_grad():
        single = -margin(network(images), labels)
        double = -margin(network.double()(images.double()), labels)
    assert (bound <= single).all()
    assert (bound <= double).all()
    assert (double - bound).max() < 2e-3  # and is no larger than it need be


def test_certified_is_never_above_attacked_and_falls_with_the_budget(trained: Network, digits: Dataset) -> None:
    images, labels = digits.test.to_float()
    with torch.no_grad():
        clean = int((trained(images).argmax(dim=1) == labels).sum())
    counts = []
    for epsilon in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.5):
        found = bracket(trained, images, labels, PGD(epsilon=epsilon, steps=10, objective="margin"))
        assert not (found.certified & ~found.standing).any()
        assert found.low.count <= found.high.count
        assert found.open.count == found.high.count - found.low.count
        assert found.low == certified_accuracy(trained, images, labels, epsilon=epsilon, batch_size=7)
        counts.append(found.low.count)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= clean - 1
    assert counts[2] > 0
    assert counts[-1] == 0


def test_a_bracket_that_closes_names_the_truth() -> None:
    # Robust where x0 - x1 > 2 epsilon: an attack on a linear model is exact, and so is the bound.
    model = linear([[2.0, 0.0], [0.0, 2.0]], [0.0, 0.0])
    gaps = torch.tensor([-0.1, 0.1, 0.18, 0.22, 0.4])
    images = torch.stack([0.5 + gaps / 2, 0.5 - gaps / 2], dim=1)
    found = bracket(model, images, torch.zeros(5, dtype=torch.int64), TargetedPGD(epsilon=0.1))
    assert found.certified.tolist() == found.standing.tolist() == [False, False, False, True, True]
    assert found.open.count == 0
    assert repr(found) == (
        "Robust accuracy at linf 0.1 on 5 images is between 0.400 (certified) and 0.400 (attacked); over the "
        "population, with 95% intervals, between 0.053 and 0.853"
    )


class Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if images.sum() > 0 else -images


class Doubled(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.exp()


class Weighted(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.add(images, images, alpha=2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.GELU()), "interval bounds know, got the layer GELU: see margin_bound"),
        (Doubled(), "interval bounds know, got the method exp"),
        (Weighted(), r"interval bounds know, got the function add with 2 arguments and \['alpha'\]"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), "got a batch norm without running statistics"),
        (nn.Sequential(nn.Conv1d(4, 2, 1, padding_mode="circular")), "got a convolution padded with 'circular'"),
        (Branching(), "expected a network whose layers can be listed, got one whose forward depends on its values"),
        (lambda images: images, "expected a torch.nn.Module, whose layers interval bounds need, got function"),
    ],
)
def test_networks_without_a_rule(model: Any, message: str) -> None:
    images = torch.rand(2, 4, 3) if "circular" in message else torch.rand(2, 4)
    with pytest.raises(UsageError, match=message):
        margin_bound(model, images, torch.tensor([0, 1]), epsilon=0.1)


def test_what_would_make_the_bound_wrong_is_refused() -> None:
    model, image, label = linear([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), torch.tensor([[0.9, 0.1]]), torch.tensor([0])
    with pytest.raises(UsageError, match=r"expected a finite epsilon >= 0, got -0\.1"):
        margin_bound(model, image, label, epsilon=-0.1)
    with pytest.raises(UsageError, match=r"expected labels in \[0, 1\], got 2"):
        margin_bound(model, image, label + 2, epsilon=0.1)
    with pytest.raises(UsageError, match=r"expected images in float32 or float64, got torch\.bfloat16"):
        margin_bound(model, image.bfloat16(), label, epsilon=0.1)
    with pytest.raises(UsageError, match=r"expected an L-inf attack with a budget, got DDN"):
        bracket(model, image, label, DDN())
    with pytest.raises(UsageError, match="expected at least one example, got none"):
        certified_accuracy(model, image[:0], label[:0], epsilon=0.1)

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = model

        def forward(self, images: Tensor) -> Tensor:
            return self.inside(F.dropout(images))  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match="got a dropout that stays on in evaluation mode"):
        margin_bound(Noisy(), image, label, epsilon=0.1)
    handle = model[1].register_forward_hook(lambda layer, given, found: -found)
    with pytest.raises(UsageError, match="layers alone decide its outputs, got one with forward hooks"):
        margin_bound(model, image, label, epsilon=0.1)
    handle.remove()


class Lying(nn.Module):
    """Answers otherwise than its layers once they were listed."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = linear([[2.0, 0.0], [0.0, 2.0]], [0.0, 0.0])

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.inside(images)
        return found if type(images).__name__ == "Proxy" else found.flip(1)


def test_a_certified_image_that_falls_is_an_error() -> None:
    with pytest.raises(UsageError, match="expected no certified image to fall, got 1 that did"):
        bracket(Lying(), torch.tensor([[0.9, 0.1]]), torch.tensor([0]), PGD(epsilon=0.1, steps=2))
