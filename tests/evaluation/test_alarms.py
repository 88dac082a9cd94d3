"""The alarms: silent for a plain network, each one fired by a network or by numbers that deserve it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.errors import UsageError
from drs.evaluation.alarms import (
    MEANINGS,
    Tempered,
    alarms,
    difference_limit,
    exceeds_chance,
    fired,
    float64_check,
    gradient_norms,
    repeat_difference,
    temperature_sweep,
    zero_gradient_share,
)
from drs.study.experiments.stress import measure
from drs.training.datasets import Dataset
from drs.training.models import Network

SPEC = {
    "images": 40,
    "few_images": 20,
    "curve_images": 40,
    "budgets": [0.05, 0.1],
    "steps": 10,
    "step_curve": [10, 20],
    "restarts": 3,
    "queries": 100,
    "draws": 5,
    "temperatures": [1.0, 10_000.0],
    "ddn_steps": 60,
}


class Linear(Network):
    """Nearest class mean as a linear network: nothing can be masked."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__()
        means = torch.stack([images[labels == k].flatten(1).mean(dim=0) for k in range(10)])
        self.classifier = nn.Linear(means.shape[1], 10)
        self.classifier.weight = nn.Parameter(means)
        self.classifier.bias = nn.Parameter(-means.square().sum(dim=1) / 2)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Loud(Network):
    """The logits of another network times 10,000: the same answers, a softmax that is 0 or 1."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        return self.network.features(images)

    def head(self, features: Tensor) -> Tensor:
        return 1e4 * self.network.head(features)


class Quantised(Loud):
    """Another network behind an input rounded to five grey levels: a staircase without slope."""

    def features(self, images: Tensor) -> Tensor:
        return self.network.features((images * 4).round() / 4)

    def head(self, features: Tensor) -> Tensor:
        return self.network.head(features)


@pytest.fixture(scope="module")
def linear(mnist5k: Dataset) -> Linear:
    return Linear(*mnist5k.train.to_float())


@pytest.fixture(scope="module")
def data(digits: Dataset) -> tuple[Tensor, Tensor]:
    return digits.test.first(40).to_float()


def stressed(network: Network, source: Network, data: tuple[Tensor, Tensor]) -> Mapping[str, float]:
    return measure(network.eval(), source.eval(), *data, SPEC).metrics


# --- whole networks --------------------------------------------------------------------------------------------------


def test_a_plain_linear_network_raises_none(linear: Linear, trained: Network, data: tuple[Tensor, Tensor]) -> None:
    metrics = stressed(linear, trained, data)
    found = alarms(metrics)
    assert [alarm.name for alarm in found] == list(MEANINGS)
    assert [alarm.name for alarm in found if alarm.fired] == []
    assert fired(metrics) == []
    assert metrics["strong_worst@0.1"] <= metrics["strong_worst@0.05"] < metrics["clean"] > 0.7


def test_loud_logits_raise_the_alarms_of_a_saturated_softmax(
    trained: Network, linear: Linear, data: tuple[Tensor, Tensor]
) -> None:
    names = fired(stressed(Loud(trained), linear, data))
    assert {"zero gradients", "cross-entropy misleads", "temperature matters"} <= set(names)
    # the margin is not fooled by loudness, so the worst case is final
    assert not {"black box wins", "transfer wins", "noise wins", "randomised", "large budget survives"} & set(names)


def test_quantised_input_raises_the_alarms_of_no_gradient_at_all(
    trained: Network, linear: Linear, data: tuple[Tensor, Tensor]
) -> None:
    """Budgets of 0.05 and 0.1 do not cross a level everywhere, but random search and transfer need no gradient."""
    metrics = stressed(Quantised(trained), trained, data)
    assert metrics["zero_gradient_share"] == 1.0
    assert {"zero gradients", "large budget survives", "transfer wins"} <= set(fired(metrics))


# --- single alarms from hand-made numbers ----------------------------------------------------------------------------

QUIET = {
    "images": 300.0,
    "square_images": 100.0,
    **{f"fgsm@{e}": v for e, v in ((0.03, 0.8), (0.05, 0.6), (0.1, 0.2))},
    **{f"ce@{e}": v for e, v in ((0.03, 0.75), (0.05, 0.5), (0.1, 0.05))},
    **{f"margin@{e}": v for e, v in ((0.03, 0.74), (0.05, 0.48), (0.1, 0.04))},
    **{f"{kind}_only@{e}": 0.0 for kind in ("square", "transfer", "noise") for e in (0.03, 0.05, 0.1)},
    **{"ce_steps_10": 0.52, "ce_steps_50": 0.5, "ce_steps_100": 0.49},
    **{"margin_steps_10": 0.50, "margin_steps_50": 0.48, "margin_steps_100": 0.48},
    **{f"margin_restarts_{n}": v for n, v in ((1, 0.48), (2, 0.475), (3, 0.473), (4, 0.473), (5, 0.472))},
    **{"temperature_0.1": 0.52, "temperature_1": 0.5, "temperature_10": 0.48, "temperature_100": 0.48},
    "largest_budget": 0.0,
    "zero_gradient_share": 0.0,
    "float64_difference": 0.0,
    "repeat_difference": 0.0,
    "ddn_median": 0.9,
    "linf_l2_median": 1.1,
}

LOUD = {
    "one step wins": {
        "ce@0.1": 0.26,
        "margin@0.1": 0.25,
    },  # 0.06 above FGSM: two standard errors of 0.2 over 300 are 0.046
    "large budget survives": {"largest_budget": 0.02},
    "not monotone": {"margin@0.1": 0.55},  # 0.07 above that at 0.05: two standard errors of 0.48 are 0.058
    "steps not converged": {"margin_steps_100": 0.45},
    "restarts not converged": {"margin_restarts_5": 0.45},
    "zero gradients": {"zero_gradient_share": 1 / 300},
    "precision matters": {"float64_difference": 0.02},
    "cross-entropy misleads": {"margin@0.05": 0.43},  # 0.07: above 0.05 and above two standard errors of 0.43, 0.057
    "black box wins": {"square_only@0.05": 0.02},  # 2 of 100
    "transfer wins": {"transfer_only@0.1": 0.01},  # 3 of 300
    "noise wins": {"noise_only@0.03": 0.01},
    "temperature matters": {"temperature_100": 0.42},
    "minimal norm disagrees": {"ddn_median": 1.2},
    "randomised": {"repeat_difference": 1e-3},
}


def test_hand_made_numbers_without_a_flaw_are_quiet() -> None:
    assert [alarm.name for alarm in alarms(QUIET)] == list(MEANINGS)
    assert fired(QUIET) == []


@pytest.mark.parametrize("name", MEANINGS)
def test_each_flaw_fires_its_own_alarm(name: str) -> None:
    assert fired(QUIET | LOUD[name]) == [name]


@pytest.mark.parametrize(
    ("name", "nearly"),
    [
        ("one step wins", {"ce@0.1": 0.24}),
        ("not monotone", {"margin@0.1": 0.53, "ce@0.1": 0.5}),
        ("large budget survives", {"largest_budget": 0.01}),
        ("black box wins", {"square_only@0.05": 0.01}),  # 1 of 100 may be chance
        ("transfer wins", {"transfer_only@0.1": 2 / 300}),
        ("cross-entropy misleads", {"margin@0.05": 0.445}),
        ("minimal norm disagrees", {"ddn_median": math.inf, "linf_l2_median": math.inf}),
    ],
)
def test_within_the_limit_nothing_fires(name: str, nearly: dict[str, float]) -> None:
    assert name not in fired(QUIET | nearly)


def test_values_and_limits_are_those_of_the_rule() -> None:
    found = {alarm.name: alarm for alarm in alarms(QUIET | LOUD["one step wins"])}
    assert found["one step wins"].value == pytest.approx(0.06)
    assert found["one step wins"].limit == pytest.approx(2 * math.sqrt(0.2 * 0.8 / 300))
    assert found["black box wins"].limit == 0.002
    assert found["minimal norm disagrees"].limit == 1.1
    assert all(alarm.meaning == MEANINGS[alarm.name] for alarm in found.values())


def test_a_number_that_is_not_one_fires() -> None:
    assert fired(QUIET | {"zero_gradient_share": math.nan}) == ["zero gradients"]


def test_checks_without_numbers_are_left_out() -> None:
    assert alarms({"images": 10.0}) == []
    assert [a.name for a in alarms({"images": 10.0, "largest_budget": 0.5})] == ["large budget survives"]
    with pytest.raises(UsageError, match="expected metrics with images"):
        alarms({"largest_budget": 0.5})


def test_the_binomial_limits_by_hand() -> None:
    assert difference_limit(0.5, 100) == pytest.approx(0.1)
    assert difference_limit(0.0, 100) == 0.01
    # The lower bound p of k of n solves sum over i >= k of C(n, i) p^i (1 - p)^(n - i) = 0.05.
    # k = 1: 1 - (1 - p)^n = 0.05, so p = 1 - 0.95^(1/n): 0.0021 for n = 24, 0.0019 for n = 27
    assert exceeds_chance(1 / 24, 24)
    assert not exceeds_chance(1 / 27, 27)
    assert not exceeds_chance(0.0, 1000)
    assert (exceeds_chance(0.006, 1000), exceeds_chance(0.005, 1000)) == (True, False)


# --- measurements ----------------------------------------------------------------------------------------------------


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
