"""Accuracy over budgets, against a naive loop, scripted attacks, and a linear model whose attacks are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import Adversarials
from drs.errors import UsageError
from drs.evaluation.curves import ATTACKS, curve_metrics
from drs.training.datasets import Dataset
from drs.training.models import Network


class Threshold(Network):
    """One pixel x, two classes, logits (0, 10 (x - 0.5)): class 1 where x > 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(1, 2)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.tensor([[0.0], [10.0]]))
            self.classifier.bias.copy_(torch.tensor([0.0, -5.0]))

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Constant(Network):
    """Answers class 2 of 3 whatever it sees."""

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def head(self, features: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0, 2.0], device=features.device) + 0.0 * features.sum(dim=1, keepdim=True)


PIXELS = (0.52, 0.56, 0.65, 0.9, 0.48, 0.3)
LABELS = (1, 1, 1, 1, 0, 1)


def pixels(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(PIXELS, device=device).reshape(-1, 1, 1, 1), torch.tensor(LABELS, device=device)


def test_the_curve_of_a_threshold_is_known(device: torch.device) -> None:
    """An image falls at epsilon >= |x - 0.5|: at 0.05 two of five fall, at 0.1 one more, at 0.2 one more."""
    epsilons = [0.0, 0.05, 0.1, 0.2]
    names = ["fgsm", "bim", "pgd", "margin"]
    values, fell_at = curve_metrics(Threshold().to(device), *pixels(device), names, epsilons)
    expected = {0.0: 5 / 6, 0.05: 3 / 6, 0.1: 2 / 6, 0.2: 1 / 6}
    for epsilon, share in expected.items():
        for name in ["worst", *(names if epsilon else [])]:
            assert values[f"{name}@{epsilon:g}"] == pytest.approx(share, abs=1e-6), (name, epsilon)
    area = (0.05 * (5 + 3) / 12 + 0.05 * (3 + 2) / 12 + 0.1 * (2 + 1) / 12) / 0.2
    assert values["worst_area"] == pytest.approx(area, abs=1e-6)
    assert len(values) == 4 + 3 * 4 + 1
    torch.testing.assert_close(fell_at.cpu(), torch.tensor([0.05, 0.1, 0.2, math.inf, 0.05, 0.0]))


def test_a_constant_network_stays_where_it_is(device: torch.device) -> None:
    images = torch.rand(8, 1, 2, 2, device=device)
    labels = torch.tensor([2, 2, 0, 1, 2, 0, 1, 2], device=device)
    values, fell_at = curve_metrics(Constant().to(device), images, labels, ["fgsm", "pgd"], [0.0, 0.1, 0.3])
    assert {name: value for name, value in values.items() if value != 0.5} == {}
    assert torch.equal(fell_at.isinf(), labels == 2)
    assert bool((fell_at[labels != 2] == 0).all())


@dataclass(frozen=True)
class Scripted:
    """Fools the images it is told to, whatever the model says; notes how many it was given."""

    fooled: tuple[bool, ...]
    given: list[int]

    def __call__(self, network: Network, images: Tensor, labels: Tensor) -> Adversarials:
        self.given.append(len(images))
        places = [PIXELS.index(round(value, 2)) for value in images.flatten().tolist()]
        success = torch.tensor([self.fooled[place] for place in places], device=images.device)
        return Adversarials(images, success, torch.zeros_like(success, dtype=torch.float), network(images), "linf")


def test_the_worst_case_is_over_attacks_and_smaller_budgets(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    yes, no = True, False
    first = {0.1: (yes, no, no, no, no, yes), 0.2: (no, no, no, no, no, yes), 0.3: (no, no, no, no, yes, yes)}
    second = {0.1: (no, yes, no, no, no, no), 0.2: (no, no, yes, no, no, no), 0.3: (no,) * 6}
    given: list[int] = []
    monkeypatch.setitem(ATTACKS, "first", lambda epsilon: Scripted(first[epsilon], given))
    monkeypatch.setitem(ATTACKS, "second", lambda epsilon: Scripted(second[epsilon], []))
    values, fell_at = curve_metrics(Threshold().to(device), *pixels(device), ["first", "second"], [0.0, 0.1, 0.2, 0.3])
    assert [values[f"first@{e:g}"] for e in first] == pytest.approx([4 / 6, 4 / 6, 3 / 6])
    assert [values[f"second@{e:g}"] for e in second] == pytest.approx([4 / 6, 3 / 6, 3 / 6])
    assert given == [5, 4, 4]  # neither what is wrong when clean nor what this attack has fooled already
    assert [values[f"worst@{e:g}"] for e in (0, 0.1, 0.2, 0.3)] == pytest.approx([5 / 6, 3 / 6, 2 / 6, 1 / 6])
    torch.testing.assert_close(fell_at.cpu(), torch.tensor([0.1, 0.1, 0.2, math.inf, 0.3, 0.0]))


def test_on_real_digits_the_worst_case_falls_and_bounds_every_attack(trained: Network, digits: Dataset) -> None:
    images, labels = digits.test.first(40).to_float()
    epsilons = [0.0, 0.02, 0.08, 0.2]
    values, fell_at = curve_metrics(trained, images, labels, ["noise", "fgsm", "bim"], epsilons)
    worst = [values[f"worst@{e:g}"] for e in epsilons]
    assert worst == sorted(worst, reverse=True)
    assert worst[0] > 0.8
    assert worst[-1] < 0.1
    for name in ("noise", "fgsm", "bim"):
        for epsilon, bound in zip(epsilons[1:], worst[1:]):
            assert values[f"{name}@{epsilon:g}"] >= bound
    for epsilon, share in zip(epsilons, worst):
        assert int((fell_at > torch.tensor(epsilon)).sum()) / 40 == share


def test_one_budget_has_no_area_and_an_unknown_attack_is_named() -> None:
    images, labels = pixels(torch.device("cpu"))
    values, _ = curve_metrics(Threshold(), images, labels, ["fgsm"], [0.1])
    assert set(values) == {"fgsm@0.1", "worst@0.1"}
    with pytest.raises(UsageError, match=r"unknown attack 'fgms': expected one of .*fgsm"):
        curve_metrics(Threshold(), images, labels, ["fgms"], [0.1])


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_every_attack_of_the_curves_takes_its_budget(name: str) -> None:
    attack = ATTACKS[name](0.07)
    assert (attack.budget, attack.norm) == (0.07, "linf")
