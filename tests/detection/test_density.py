"""K-density against scikit-learn, closed forms and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from drs.detection import BANDWIDTH_CE, BANDWIDTH_RCE, KDensity
from drs.detection import density as density_module
from drs.errors import UsageError
from drs.training.models import Network


def _features(n: int = 60, width: int = 5, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    features = torch.randn(n, width, generator=generator, dtype=torch.float64) + labels.unsqueeze(1)
    return features, labels


def test_bandwidths_of_the_paper() -> None:
    assert pytest.approx(3.8461538, abs=1e-7) == BANDWIDTH_CE
    assert pytest.approx(0.38461538, abs=1e-8) == BANDWIDTH_RCE


@pytest.mark.parametrize("bandwidth", [BANDWIDTH_CE, BANDWIDTH_RCE, 0.01])
def test_equals_scikit_learn_up_to_the_constant(bandwidth: float) -> None:
    features, labels = _features()
    test, predicted = _features(20, seed=1)
    scores = KDensity(bandwidth).fit(features, labels).score(test, predicted)
    for number in range(3):
        reference = KernelDensity(kernel="gaussian", bandwidth=math.sqrt(bandwidth / 2))
        reference.fit(features[labels == number].numpy())
        rows = predicted == number
        expected = reference.score_samples(test[rows].numpy()) + 5 / 2 * math.log(math.pi * bandwidth)
        np.testing.assert_allclose(scores[rows].numpy(), expected, rtol=1e-12, atol=1e-12)


def test_by_hand() -> None:
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0], [9.0, 9.0]])
    density = KDensity(2.0).fit(features, torch.tensor([0, 0, 1, 1]))
    scores = density.score(torch.tensor([[0.0, 0.0], [9.0, 8.0]]), torch.tensor([0, 1]))
    assert scores.tolist() == pytest.approx([math.log((1 + math.exp(-25 / 2)) / 2), -0.5], abs=1e-6)
    assert (scores <= 0).all()


def test_far_from_the_data_neither_value_nor_gradient_vanishes() -> None:
    density = KDensity(BANDWIDTH_RCE).fit(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    far = torch.tensor([[7.0, 0.0], [300.0, 400.0]], requires_grad=True)
    values = density.log_density(far, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(values.detach(), torch.tensor([-49.0, -250000.0]) / BANDWIDTH_RCE)
    (gradient,) = torch.autograd.grad(values.sum(), far)
    torch.testing.assert_close(gradient, -2.0 / BANDWIDTH_RCE * far.detach())


def test_close_points_keep_their_digits_in_float32() -> None:
    features = 100.0 + torch.arange(8.0).reshape(4, 2) / 1024  # exact in float32; squares of norms would not be
    labels = torch.zeros(4, dtype=torch.int64)
    single = KDensity(1e-5).fit(features, labels).score(features, labels)
    double = KDensity(1e-5).fit(features.double(), labels).score(features.double(), labels)
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=1e-6)
    assert double[0] != 0.0


def test_gradient_is_that_of_finite_differences() -> None:
    features, labels = _features()
    density = KDensity(1.5).fit(features, labels)
    test, predicted = _features(7, seed=1)
    assert torch.autograd.gradcheck(lambda z: density.log_density(z, predicted), test.requires_grad_(True))
    assert torch.autograd.gradcheck(density.bind(predicted), test)
    at_examples = features[:5].clone().requires_grad_(True)  # distances of zero, where a square root has no slope
    assert torch.autograd.gradcheck(lambda z: density.score(z, labels[:5]), at_examples)


def test_no_gradient_is_kept_where_none_is_asked_for() -> None:
    features, labels = _features()
    density = KDensity(1.0).fit(features.requires_grad_(True), labels)
    assert not density.examples[0].requires_grad
    assert not density.score(features.detach(), labels).requires_grad


def test_bind_is_the_same_function_for_fixed_labels() -> None:
    features, labels = _features()
    density = KDensity(1.0).fit(features, labels)
    bound = density.bind(labels)
    for seed in (1, 2):
        test, _ = _features(seed=seed)
        torch.testing.assert_close(bound(test), density.score(test, labels), rtol=0, atol=0)
        one_by_one = [density.score(z[None], label[None]) for z, label in zip(test, labels)]
        torch.testing.assert_close(bound(test), torch.cat(one_by_one), rtol=1e-12, atol=1e-12)


class _Largest(TorchDispatchMode):
    """Remembers the largest number of elements that any operation returned."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.elements = max(self.elements, leaf.numel())
        return result


def test_chunks_change_nothing_and_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = _features(240, width=4)
    density = KDensity(1.0).fit(features, labels)
    whole = features.clone().requires_grad_(True)
    expected = density.log_density(whole, labels)
    expected.sum().backward()
    monkeypatch.setattr(density_module, "_CHUNK", 400)  # five rows of 80 distances
    chunked = features.clone().requires_grad_(True)
    with _Largest() as largest:
        values = density.log_density(chunked, labels)
        values.sum().backward()
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(chunked.grad, whole.grad, rtol=1e-12, atol=1e-12)
    assert largest.elements == 240 * 4  # the features themselves; a class has 80 x 80 distances, 25,600 differences


def test_keeps_at_most_per_class_distinct_examples_by_seed() -> None:
    features, labels = _features(300)
    density = KDensity(1.0, per_class=40, seed=3).fit(features, labels)
    assert [len(kept) for kept in density.examples] == [40, 40, 40]
    for number, kept in enumerate(density.examples):
        rows = {tuple(row) for row in kept.tolist()}
        assert len(rows) == 40
        assert rows <= {tuple(row) for row in features[labels == number].tolist()}
    again = KDensity(1.0, per_class=40, seed=3).fit(features, labels)
    other = KDensity(1.0, per_class=40, seed=4).fit(features, labels)
    assert all(torch.equal(a, b) for a, b in zip(density.examples, again.examples))
    assert not torch.equal(density.examples[0], other.examples[0])
    all_of_them = KDensity(1.0, per_class=1000).fit(features, labels)
    assert [len(kept) for kept in all_of_them.examples] == [100, 100, 100]


def test_unequal_classes_are_means_not_sums() -> None:
    features = torch.zeros(10, 2)
    labels = torch.tensor([0] * 8 + [1] * 2)
    density = KDensity(1.0).fit(features, labels)
    assert density.score(torch.zeros(2, 2), torch.tensor([0, 1])).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_median_negative_log_density() -> None:
    features, labels = _features(64, classes=2)
    density = KDensity(1.0).fit(features, labels)
    medians = density.median_negative_log_density()
    for number in range(2):
        members = features[labels == number].numpy()
        squares = ((members[:, None, :] - members[None, :, :]) ** 2).sum(axis=2)
        values = -np.log(np.exp(-squares).mean(axis=1))  # each one its own neighbour too
        assert float(medians[number]) == pytest.approx(float(np.median(values)), abs=1e-12)
        assert float(medians[number]) <= math.log(32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    features, labels = _features()
    half = features.to(dtype)
    scores = KDensity(1.0).fit(half, labels).score(half, labels)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, KDensity(1.0).fit(half.float(), labels).score(half.float(), labels))


def test_every_device(device: torch.device) -> None:
    features, labels = (values.float() if values.is_floating_point() else values for values in _features())
    expected = KDensity(1.0, per_class=10).fit(features, labels)
    density = KDensity(1.0, per_class=10).fit(features.to(device), labels.to(device))
    test = features.to(device).requires_grad_(True)
    scores = density.score(test, labels.to(device))
    assert scores.device.type == device.type
    torch.testing.assert_close(scores.detach().cpu(), expected.score(features, labels), rtol=1e-5, atol=1e-5)
    assert density.median_negative_log_density().device.type == device.type
    if device.type == "cuda":
        bound = density.bind(labels.to(device))
        torch.cuda.set_sync_debug_mode("error")
        try:
            bound(test).sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_network_in_front(trained: Network, digits: Any) -> None:
    images, labels = digits.train.to_float()
    with torch.no_grad():
        density = KDensity(BANDWIDTH_CE).fit(trained.features(images), labels)
    images = digits.test.first(40).to_float()[0].requires_grad_(True)
    predicted = trained(images).argmax(dim=1)
    scores = density.score(trained.features(images), predicted)
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    assert gradient.abs().flatten(1).amax(dim=1).gt(0).all()
    others = density.score(trained.features(images), (predicted + 5) % 10)
    assert (scores > others).float().mean() > 0.8


def test_no_example_at_all() -> None:
    features, labels = _features()
    density = KDensity(1.0).fit(features, labels)
    assert density.score(features[:0], labels[:0]).shape == (0,)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan, math.inf])
def test_bad_bandwidth(bandwidth: float) -> None:
    with pytest.raises(UsageError, match="expected a finite bandwidth > 0, got"):
        KDensity(bandwidth)


def test_errors() -> None:
    features, labels = _features()
    density = KDensity(1.0)
    with pytest.raises(UsageError, match="expected per_class >= 2, got 1"):
        KDensity(1.0, per_class=1)
    with pytest.raises(UsageError, match=r"expected fit\(\) before a score"):
        density.score(features, labels)
    with pytest.raises(UsageError, match=r"expected fit\(\) before a score"):
        density.median_negative_log_density()
    with pytest.raises(UsageError, match="expected at least 2 training examples of class 1, got 0"):
        density.fit(features[labels != 1], labels[labels != 1])
    with pytest.raises(UsageError, match="expected at least 2 training examples of class 0, got 1"):
        density.fit(features[:3], labels[:3])
    with pytest.raises(UsageError, match="expected at least 2 training examples of class 3, got 0"):
        density.fit(features, labels, classes=4)
    with pytest.raises(UsageError, match=r"expected labels in \[0, 1\], got 2"):
        density.fit(features, labels, classes=2)
    with pytest.raises(UsageError, match="expected training examples, got none"):
        density.fit(features[:0], labels[:0])
    with pytest.raises(UsageError, match="expected finite features, got NaN or infinity"):
        density.fit(features / 0.0, labels)
    with pytest.raises(
        UsageError, match=r"expected floating-point features of shape \(N, D\), got torch.float64 \(60,"
    ):
        density.fit(features[:, 0], labels)
    with pytest.raises(UsageError, match=r"expected labels of shape \(60,\) and dtype torch.int64, got \(59,\)"):
        density.fit(features, labels[1:])
    assert density.examples == ()  # a failed fit leaves nothing behind

    density.fit(features, labels)
    with pytest.raises(UsageError, match=r"expected features of shape \(60, 5\) as in fit, got \(60, 4\)"):
        density.score(features[:, :4], labels)
    with pytest.raises(UsageError, match=r"expected labels in \[0, 2\], got 3"):
        density.score(features, labels + 1)
    with pytest.raises(UsageError, match="expected finite features, got NaN or infinity"):
        density.score(features * math.nan, labels)
    with pytest.raises(UsageError, match=r"expected labels of shape \(60,\) and dtype torch.int64, got \(60,\) of"):
        density.log_density(features, labels.int())
    with pytest.raises(UsageError, match="expected features on cpu, where those of fit are, got meta"):
        density.bind(labels)(features.to("meta"))
