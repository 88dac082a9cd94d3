"""Adaptive attacks: directions by hand, the best iterate, and a detector that falls."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import PGD, JointPGD, OrthogonalPGD, SelectivePGD, margin
from drs.attacks.adaptive import Score, orthogonal
from drs.detection import BANDWIDTH_CE, KDensity, auc, confidence, non_me
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.attacks.contract import Linear, assert_kept

KINDS: list[Any] = [SelectivePGD, OrthogonalPGD, JointPGD]


def model_confidence(model: nn.Module, images: Tensor) -> Tensor:
    return confidence(model(images))


def brightness(model: nn.Module, images: Tensor) -> Tensor:
    """Normal images are bright in pixel 0, dark in pixel 1."""
    pixels = images.flatten(1)
    return 2.0 * pixels[:, 0] - 3.0 * pixels[:, 1]


def plane(bias: float) -> Linear:
    """Margin of class 1 over class 0: x0 + 2 x1 - 4 x2 + bias."""
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, -4.0, 0.0]])
    return Linear(weight, torch.tensor([0.0, bias]))


GREY = torch.full((1, 1, 2, 2), 0.5)
ZERO = torch.tensor([0])


def directions(attack: Any, bias: float) -> tuple[Tensor, Tensor, Tensor]:
    """The attack's direction on :func:`plane` at grey, and the gradients of margin and score there."""
    images = GREY.clone().requires_grad_(True)
    margins = margin(plane(bias)(images), ZERO)
    scores = brightness(nn.Identity(), images)
    moved = attack.direction(images, margins, scores).detach().flatten()
    return moved, torch.tensor([1.0, 2.0, -4.0, 0.0]), torch.tensor([2.0, -3.0, 0.0, 0.0])


def test_selective_follows_one_gradient() -> None:
    attack = SelectivePGD(score=brightness)
    assert directions(attack, -3.0)[0].tolist() == [1.0, 1.0, -1.0, 0.0]  # margin -3.5: not fooled
    assert directions(attack, 3.0)[0].tolist() == [1.0, -1.0, 0.0, 0.0]  # fooled: the score's


def test_joint_follows_the_sum() -> None:
    for weight, expected in [(0.0, [1, 1, -1, 0]), (0.5, [1, 1, -1, 0]), (1.0, [1, -1, -1, 0])]:
        assert directions(JointPGD(score=brightness, weight=weight), 3.0)[0].tolist() == expected


@pytest.mark.parametrize("bias", [-3.0, 3.0])
def test_orthogonal_leaves_the_other_objective_alone(bias: float) -> None:
    moved, of_margin, of_score = directions(OrthogonalPGD(score=brightness), bias)
    chosen, other = (of_margin, of_score) if bias < 0 else (of_score, of_margin)
    assert (moved @ other).item() == pytest.approx(0.0, abs=1e-6)
    # Gram-Schmidt by hand, at the length of a sign step over four pixels
    expected = chosen - (chosen @ other) / (other @ other) * other
    torch.testing.assert_close(moved, 2.0 * expected / expected.norm())
    assert (moved @ chosen).item() > 0


def test_orthogonal_of_real_gradients(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    others = torch.randn(5, 3, 8, 8, generator=generator).to(device)
    gradients = others + 1e-3 * torch.randn(5, 3, 8, 8, generator=generator).to(device)
    found = orthogonal(gradients * 1e-30, others * 1e30)
    cosines = (found * others).sum(dim=(1, 2, 3)) / others.flatten(1).norm(dim=1)
    assert cosines.abs().max().item() < 1e-5
    torch.testing.assert_close(found.flatten(1).norm(dim=1), torch.ones(5, device=device))


def test_orthogonal_of_parallel_and_of_zero_gradients() -> None:
    ones = torch.ones(3, 1, 2, 2)
    ones[2, 0, 0] = -1.0
    found = orthogonal(torch.stack([2 * ones[0], 0 * ones[1], ones[2]]), torch.stack([-ones[0], ones[1], 0 * ones[2]]))
    assert found[:2].abs().max().item() == 0.0
    torch.testing.assert_close(found[2], ones[2] / 2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # fooled from the start: the score's two pixels go to the edge of the budget, the others stay
        (SelectivePGD, [0.6, 0.4, 0.5, 0.5]),
        (JointPGD, [0.6, 0.4, 0.4, 0.5]),
    ],
)
def test_closed_form_on_a_plane(kind: Any, expected: list[float]) -> None:
    found = kind(score=brightness, epsilon=0.1, steps=10, random_start=False)(plane(3.0), GREY, ZERO)
    assert found.inputs.flatten().tolist() == pytest.approx(expected)
    assert found.success.tolist() == [True]


def test_selective_alternates_at_the_boundary() -> None:
    """Not fooled at the start: it crosses, then raises the score without losing the label."""
    found = SelectivePGD(score=brightness, epsilon=0.1, steps=60, random_start=False)(plane(0.3), GREY, ZERO)
    assert found.success.all()
    # the highest score on the right side: pixel 2 dark, pixel 0 bright, pixel 1 as dark as the margin allows:
    # 0.6 + 2 x1 - 1.6 + 0.3 >= 0 at x1 = 0.35, so the edge 0.4 of the budget
    assert brightness(nn.Identity(), found.inputs).item() == pytest.approx(2 * 0.6 - 3 * 0.4, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_iterate_is_kept(kind: Any, trained: Network, digits: Dataset) -> None:
    """Of everything the detector was asked about: misclassified, with the highest score."""
    inputs, labels = digits.test.first(12).to_float()
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(model: nn.Module, images: Tensor) -> Tensor:
        scores = model_confidence(model, images)
        with torch.no_grad():
            seen.append((margin(model(images), labels), scores.detach()))
        return scores

    found = kind(score=spy, epsilon=0.05, steps=12)(trained, inputs, labels)
    assert len(seen) == 13
    margins, scores = torch.stack([pair[0] for pair in seen]), torch.stack([pair[1] for pair in seen])
    fooled = margins > 0
    assert 0 < int(fooled.any(0).sum()) < 12
    assert torch.equal(found.success, fooled.any(0))
    best = scores.where(fooled, -math.inf).amax(0)
    torch.testing.assert_close(model_confidence(trained, found.inputs)[found.success], best[found.success])
    nearest = margins.amax(0)
    torch.testing.assert_close(margin(found.logits, labels)[~found.success], nearest[~found.success])


def test_a_detector_falls(trained: Network, digits: Dataset) -> None:
    """PGD is seen by K-density; spending the same budget on both hides much of it. Non-ME falls too."""
    images, train_labels = digits.train.to_float()
    inputs, labels = digits.test.first(16).to_float()
    with torch.no_grad():
        density = KDensity(BANDWIDTH_CE).fit(trained.features(images), train_labels)

    def k_density(model: nn.Module, images: Tensor) -> Tensor:
        features = trained.features(images)
        return density.log_density(features, trained.head(features).argmax(1))

    def area(score: Score, attack: Any) -> float:
        found = attack(trained, inputs, labels)
        assert found.success.float().mean().item() > 0.9
        with torch.no_grad():
            return auc(score(trained, inputs)[found.success], score(trained, found.inputs)[found.success])

    plain = PGD(epsilon=0.2, steps=20)
    assert area(k_density, plain) > 0.9
    assert area(k_density, SelectivePGD(score=k_density, epsilon=0.2, steps=20)) < 0.8
    entropy: Score = lambda model, images: non_me(model(images))  # noqa: E731
    for kind in (SelectivePGD, OrthogonalPGD):
        assert area(entropy, kind(score=entropy, epsilon=0.2, steps=20)) < area(entropy, plain) - 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: Any, trained: Network, digits: Dataset, device: torch.device) -> None:
    attack = kind(score=model_confidence, epsilon=0.15, steps=8)
    assert_kept(attack, trained, digits, device, random=True)
    inputs, labels = digits.test.first(4).to_float()
    zero = kind(score=model_confidence, epsilon=0.0, steps=2)(trained, inputs, labels)
    assert torch.equal(zero.inputs, inputs)


def test_directions_and_budget_in_l2() -> None:
    of_margin, of_score = torch.tensor([1.0, 2.0, -4.0, 0.0]), torch.tensor([2.0, -3.0, 0.0, 0.0])
    images = GREY.clone().requires_grad_(True)

    def moved(attack: Any, bias: float) -> Tensor:
        margins = margin(plane(bias)(images), ZERO)
        found: Tensor = attack.direction(images, margins, brightness(plane(bias), images)).detach().flatten()
        return found

    l2: dict[str, Any] = {"score": brightness, "norm": "l2"}
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(moved(SelectivePGD(**l2), 3.0), unit(of_score, dim=0))  # fooled: margin 2.5
    torch.testing.assert_close(moved(SelectivePGD(**l2), -3.0), unit(of_margin, dim=0))
    torch.testing.assert_close(moved(JointPGD(**l2, weight=2.0), 3.0), unit(of_margin + 2.0 * of_score, dim=0))
    left = of_score - of_margin * (of_margin @ of_score) / of_margin.square().sum()
    torch.testing.assert_close(moved(OrthogonalPGD(**l2), 3.0), unit(left, dim=0))
    # The margin at grey is -0.5 + bias; a change of length r raises it by at most r sqrt(21).
    for kind in KINDS[::2]:  # selective and joint
        for bias, falls in ((0.5 - 0.99 * 0.1 * math.sqrt(21.0), True), (0.5 - 1.01 * 0.1 * math.sqrt(21.0), False)):
            options: dict[str, Any] = {"weight": 0.0} if kind is JointPGD else {}
            found = kind(**l2, **options, epsilon=0.1, steps=60)(plane(bias), GREY, ZERO)
            assert (found.norm, bool(found.success)) == ("l2", falls)
            assert float(found.distances) <= 0.1 + 1e-6


def test_the_bar_is_shown_on_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    SelectivePGD(score=brightness, steps=2)(plane(3.0), GREY, ZERO)
    assert capsys.readouterr().err == ""
    SelectivePGD(score=brightness, steps=2, progress=True)(plane(3.0), GREY, ZERO)
    assert "SelectivePGD" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (
            lambda model, images: images.sum(),
            "expected a score of shape (1,), differentiable in the images, got ()",
        ),
        (
            lambda model, images: model(images).argmax(1).float(),
            "expected a score of shape (1,), differentiable in the images, got (1,) without a gradient",
        ),
    ],
)
def test_scores_that_cannot_be_attacked(score: Score, text: str) -> None:
    with pytest.raises(UsageError) as error:
        SelectivePGD(score=score)(plane(0.0), GREY, ZERO)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (SelectivePGD, {"steps": 0}, "expected steps >= 1, got 0"),
        (OrthogonalPGD, {"norm": "l1"}, "unknown norm 'l1': expected one of l2, linf"),
        (JointPGD, {"weight": -1.0}, "expected a finite weight >= 0, got -1.0"),
        (JointPGD, {"weight": math.nan}, "expected a finite weight >= 0, got nan"),
    ],
)
def test_errors(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as error:
        kind(score=brightness, **options)
    assert str(error.value) == text
