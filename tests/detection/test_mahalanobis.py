"""The Mahalanobis score against scipy, scikit-learn and hand-made features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from drs.detection import Mahalanobis, ThresholdingTest
from drs.errors import UsageError


def features_of_three_classes(n: int = 90, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    mixed = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    mixed[:, 1] += 0.9 * mixed[:, 0]  # correlated
    return mixed * torch.tensor([1.0, 2.0, 0.1, 5.0]) + 2.0 * labels.unsqueeze(1), labels


def test_by_hand() -> None:
    # Means (0, 0) and (9, 0); within the classes the variances are 1/2 and 2, without correlation.
    features = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [9.0, -2.0], [9.0, 2.0]])
    detector = Mahalanobis(ridge=0.0).fit(features, torch.tensor([0, 0, 1, 1]))
    asked = torch.tensor([[0.0, 0.0], [0.0, 4.0], [7.0, 2.0]])
    assert detector.score(asked).tolist() == pytest.approx([0.0, -16 / 2, -(4 / 0.5 + 4 / 2)], abs=1e-6)
    assert detector.distances(asked)[2].tolist() == pytest.approx([49 / 0.5 + 4 / 2, 10.0], abs=1e-4)
    # A ridge of 1 adds the mean variance, 1.25, to both.
    wide = Mahalanobis(ridge=1.0).fit(features, torch.tensor([0, 0, 1, 1]))
    assert wide.score(asked).tolist() == pytest.approx([0.0, -16 / 3.25, -(4 / 1.75 + 4 / 3.25)], abs=1e-6)


def test_is_scipys_distance_to_the_nearest_mean() -> None:
    features, labels = features_of_three_classes()
    detector = Mahalanobis(ridge=0.0).fit(features, labels)
    means = [features[labels == number].mean(dim=0).numpy() for number in range(3)]
    centred = np.concatenate([features[labels == number].numpy() - means[number] for number in range(3)])
    inverse = np.linalg.inv(centred.T @ centred / len(centred))
    asked, _ = features_of_three_classes(12, seed=5)
    for row, score in zip(asked.numpy(), detector.score(asked)):
        assert float(score) == pytest.approx(-min(mahalanobis(row, mean, inverse) ** 2 for mean in means), rel=1e-9)


def test_the_nearest_mean_is_that_of_linear_discriminant_analysis() -> None:
    features, labels = features_of_three_classes()
    asked, _ = features_of_three_classes(200, seed=5)
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3).fit(features.numpy(), labels.numpy())
    nearest = Mahalanobis(ridge=0.0).fit(features, labels).distances(asked).argmin(dim=1)
    assert nearest.tolist() == reference.predict(asked.numpy()).tolist()


def test_a_linear_map_of_the_features_changes_nothing() -> None:
    features, labels = features_of_three_classes()
    asked, _ = features_of_three_classes(30, seed=2)
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    straight = Mahalanobis(ridge=0.0).fit(features, labels).score(asked)
    mapped = Mahalanobis(ridge=0.0).fit(features @ matrix + 3.0, labels).score(asked @ matrix + 3.0)
    torch.testing.assert_close(mapped, straight, rtol=1e-8, atol=1e-8)


def test_a_feature_that_was_dead_in_training_counts_with_the_ridge() -> None:
    features, labels = features_of_three_classes()
    features = torch.cat([features, torch.zeros(len(features), 1, dtype=features.dtype)], dim=1)
    with pytest.raises(UsageError, match=r"expected a covariance that has an inverse, got a singular one: raise ridge"):
        Mahalanobis(ridge=0.0).fit(features, labels)
    detector = Mahalanobis().fit(features, labels)
    moved = features.clone()
    moved[:, 4] = 1.0
    assert (detector.score(moved) < detector.score(features) - 1e4).all()


def test_float32_features_are_scored_in_double_precision() -> None:
    features, labels = features_of_three_classes()
    far = (features + 4096.0).float()  # sums of squares in float32 would lose the spread
    single, double = (
        Mahalanobis().fit(far, labels).score(far),
        Mahalanobis().fit(far.double(), labels).score(far.double()),
    )
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, double.float(), rtol=1e-6, atol=0)
    half = Mahalanobis().fit(features.bfloat16(), labels).score(features.bfloat16())
    assert half.dtype == torch.float32


def test_gradient_is_that_of_finite_differences() -> None:
    features, labels = features_of_three_classes()
    detector = Mahalanobis().fit(features.requires_grad_(True), labels)
    asked = features_of_three_classes(6, seed=3)[0].requires_grad_(True)
    assert torch.autograd.gradcheck(detector.closeness, asked)
    assert torch.equal(detector.closeness(asked), detector.score(asked))
    at_the_mean = detector.means
    assert at_the_mean is not None
    assert not at_the_mean.requires_grad
    at_the_mean = at_the_mean.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(detector.score(at_the_mean).sum(), at_the_mean)
    assert gradient.abs().max() == 0.0


def test_in_a_thresholding_test(device: torch.device) -> None:
    features, labels = features_of_three_classes(300)
    features, labels = features.float().to(device), labels.to(device)
    detector = Mahalanobis().fit(features, labels)
    test = ThresholdingTest(detector.score, 0.1).fit(features)
    assert int((test.predict(labels, features) == -1).sum()) == 30
    assert (test.predict(labels, features + 100.0) == -1).all()


def test_errors() -> None:
    features, labels = features_of_three_classes()
    with pytest.raises(UsageError, match=r"expected fit\(\) before a score: Mahalanobis has no class means yet"):
        Mahalanobis().score(features)
    with pytest.raises(UsageError, match="expected a finite ridge >= 0, got nan"):
        Mahalanobis(ridge=math.nan)
    with pytest.raises(UsageError, match="expected at least 1 training example of class 3, got 0"):
        Mahalanobis().fit(features, labels, classes=4)
    with pytest.raises(UsageError, match=r"expected labels in \[0, 1\], got 2"):
        Mahalanobis().fit(features, labels, classes=2)
    with pytest.raises(UsageError, match="expected training examples, got none"):
        Mahalanobis().fit(features[:0], labels[:0])
    with pytest.raises(UsageError, match="expected features that vary within a class, got none that do"):
        Mahalanobis().fit(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(UsageError, match="expected finite features, got NaN or infinity"):
        Mahalanobis().fit(features * math.nan, labels)
    with pytest.raises(UsageError, match=r"expected labels of shape \(90,\) and dtype torch.int64"):
        Mahalanobis().fit(features, labels[1:])
    fitted = Mahalanobis().fit(features, labels)
    with pytest.raises(UsageError, match="expected finite features, got NaN or infinity"):
        fitted.score(features * math.nan)
    with pytest.raises(
        UsageError, match=r"expected floating-point features of shape \(N, 4\) as in fit, got torch.float64 \(90, 3\)"
    ):
        fitted.score(features[:, 1:])
