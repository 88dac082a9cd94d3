"""What every attack takes: both norms, one's own objective, models that are random, batches, other ranges of pixels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import BIM, DDN, FGSM, JSMA, PGD, CarliniWagnerL2, Normalised, Square, TargetedPGD, Trace, UniformNoise
from drs.attacks.adaptive import SelectivePGD
from drs.errors import UsageError
from drs.evaluation.report import evaluate


class Line(nn.Module):
    """Two classes whose margin is w . (x - 1/2) + bias: the distance to the boundary is a closed form in every norm."""

    weights: Tensor

    def __init__(self, weights: Tensor, bias: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.bias = bias

    def forward(self, images: Tensor) -> Tensor:
        margin = (images.flatten(1) - 0.5) @ self.weights + self.bias
        return torch.stack([margin / 2, -margin / 2], dim=1)


WEIGHTS = torch.tensor([3.0, -4.0, 0.0, 0.5])
GREY, ZERO = torch.full((1, 4), 0.5), torch.tensor([0])


@pytest.mark.parametrize("kind", [FGSM, BIM, PGD, TargetedPGD])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_budget_beyond_the_distance_of_a_plane_fools_and_one_short_of_it_does_not(kind: Any, norm: Any) -> None:
    bias = 0.4
    length = WEIGHTS.abs().sum() if norm == "linf" else WEIGHTS.norm()  # the dual norm
    nearest = float(bias / length)
    model = Line(WEIGHTS, bias)
    found = kind(epsilon=1.1 * nearest, norm=norm)(model, GREY, ZERO)
    assert found.success.tolist() == [True]
    assert found.norm == norm
    assert nearest < float(found.distances) <= 1.1 * nearest + 1e-6
    assert not bool(kind(epsilon=0.98 * nearest, norm=norm)(model, GREY, ZERO).success)


def test_the_l2_step_of_fgsm_is_along_the_gradient() -> None:
    found = FGSM(epsilon=0.25, norm="l2")(Line(WEIGHTS, 0.1), GREY, ZERO)
    torch.testing.assert_close(found.inputs, GREY - 0.25 * WEIGHTS / WEIGHTS.norm())


def test_l2_budgets_may_exceed_one_and_linf_budgets_may_not() -> None:
    images = torch.full((1, 100), 0.5)
    model = Line(torch.ones(100), 15.0)  # 1.5 away in L2
    found = PGD(epsilon=1.6, norm="l2")(model, images, ZERO)
    assert found.success.tolist() == [True]
    assert float(found.distances) <= 1.6 + 1e-5
    with pytest.raises(UsageError, match=r"^expected epsilon in \[0, 1\], got 1.6$"):
        PGD(epsilon=1.6)(model, images, ZERO)
    for wrong in (-0.1, math.inf, math.nan):
        with pytest.raises(UsageError, match=r"^expected a finite epsilon >= 0, got"):
            PGD(epsilon=wrong, norm="l2")(model, images, ZERO)


@pytest.mark.parametrize("kind", [FGSM, BIM, PGD, TargetedPGD, UniformNoise])
def test_an_unknown_norm(kind: Any) -> None:
    with pytest.raises(UsageError, match=r"^unknown norm 'l1'"):
        kind(norm="l1")


def second_logit(logits: Tensor, labels: Tensor) -> Tensor:
    """A goal of one's own."""
    return logits[:, 1]


def test_an_objective_of_ones_own_is_raised() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    network = nn.Linear(2, 3, bias=False)
    network.weight.data = weights
    attack = PGD(epsilon=0.25, objective=second_logit, random_start=False)
    found = attack(network, torch.tensor([[0.5, 0.5]]), ZERO)
    assert found.inputs.tolist() == [[0.5, 0.75]]  # only the second pixel moves the second logit
    assert "objective=second_logit" in repr(attack)


def test_an_objective_equal_to_a_named_one_finds_the_same() -> None:
    torch.manual_seed(0)
    network, images, labels = nn.Linear(4, 3), torch.rand(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    own = PGD(epsilon=0.1, objective=lambda z, y: nn.functional.cross_entropy(z, y, reduction="none"))
    assert torch.equal(own(network, images, labels).inputs, PGD(epsilon=0.1)(network, images, labels).inputs)


def test_objectives_that_cannot_be_followed() -> None:
    network = nn.Linear(2, 3)
    images, labels = torch.rand(2, 2), torch.tensor([0, 1])
    with pytest.raises(UsageError, match=r"shape \(2,\), got \(\): use reduction='none'$"):
        PGD(objective=nn.functional.cross_entropy)(network, images, labels)
    with pytest.raises(UsageError, match=r"shape \(2,\), got float"):
        PGD(objective=lambda z, y: 1.0)(network, images, labels)  # type: ignore[arg-type, return-value]
    with pytest.raises(UsageError, match="differentiable in the logits, got numbers without a gradient"):
        PGD(objective=lambda z, y: z[:, 0].detach())(network, images, labels)


class Flipping(nn.Module):
    """Logits of a line plus, at every second call, a large noise that hides the gradient's sign: zero on average."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        slope = 4.0 if self.calls % 2 else -3.0
        margin = slope * (images.flatten(1).sum(dim=1) - 0.9)
        return torch.stack([margin / 2, -margin / 2], dim=1)


def test_eot_follows_the_mean_gradient_and_judges_by_the_mean_logits() -> None:
    # the mean slope of two looks is (4 - 3) / 2 > 0: the true class loses where the sum of pixels falls below 0.9
    images = torch.tensor([[0.5, 0.5]])
    averaged = PGD(epsilon=0.125, eot=2, random_start=False, objective="margin")(Flipping(), images, ZERO)
    torch.testing.assert_close(averaged.inputs, torch.tensor([[0.375, 0.375]]))
    assert averaged.success.tolist() == [True]
    torch.testing.assert_close(averaged.logits, torch.tensor([[-0.15 / 4, 0.15 / 4]]))  # mean margin 0.5 * (0.75 - 0.9)


def test_eot_asks_that_often() -> None:
    model = Flipping()
    PGD(epsilon=0.1, eot=4, steps=3, keep="last")(model, torch.tensor([[0.5, 0.5]]), ZERO)
    assert model.calls == 1 + 3 * 4 + 4  # the first look at the model, the steps, the judgement
    with pytest.raises(UsageError, match=r"^expected eot >= 1, got 0$"):
        PGD(eot=0)


def test_a_trace_takes_down_objective_and_success_of_every_look() -> None:
    trace = Trace()
    model, images = Line(WEIGHTS, 0.4), torch.cat([GREY, GREY])
    attack = PGD(epsilon=0.1, steps=4, step_size=0.025, random_start=False, objective="margin", trace=trace)
    attack(model, images, torch.tensor([0, 1]))
    # the first image: 7.5 * 0.025 off the margin at each step; the second is wrong from the start and stays so
    torch.testing.assert_close(trace.values[:, 0], -0.4 + 7.5 * 0.025 * torch.arange(5.0))
    assert trace.fooled.tolist() == [[False, True], [False, True], [False, True], [True, True], [True, True]]
    assert len(trace.runs) == 1
    assert "trace" not in repr(attack)


def test_restarts_and_batches_add_runs_to_a_trace() -> None:
    trace = Trace()
    attack = PGD(epsilon=0.01, steps=2, restarts=2, trace=trace)
    attack(Line(WEIGHTS, 0.4), GREY.repeat(3, 1), torch.zeros(3, dtype=torch.int64), batch_size=2)
    assert [values.shape for values, _ in trace.runs] == [(3, 2), (3, 2), (3, 1), (3, 1)]


ATTACKS = [
    FGSM(epsilon=0.1),
    PGD(epsilon=0.1, steps=3, random_start=False),
    TargetedPGD(epsilon=0.1, steps=3, keep="best"),
    DDN(steps=10),
    JSMA(),
    CarliniWagnerL2(search_steps=1, max_iterations=10),
    UniformNoise(epsilon=0.1),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_batches_join_to_the_whole(attack: Any) -> None:
    torch.manual_seed(1)
    network, images = nn.Linear(6, 3), torch.rand(5, 6)
    labels = network(images).argmax(dim=1)
    whole = attack(network, images, labels)
    parts = attack(network, images, labels, batch_size=2)
    assert parts.inputs.shape == whole.inputs.shape
    if not isinstance(attack, (TargetedPGD, UniformNoise)):  # their random numbers fall on other images
        torch.testing.assert_close(parts.inputs, whole.inputs)
        assert torch.equal(parts.success, whole.success)
    torch.testing.assert_close(parts.logits, network(parts.inputs).detach())
    with pytest.raises(UsageError, match=r"^expected batch_size >= 1, got 0$"):
        attack(network, images, labels, batch_size=0)


def test_the_random_numbers_of_two_batches_differ() -> None:
    images = torch.full((4, 3), 0.5)
    moved = UniformNoise(epsilon=0.1)(nn.Linear(3, 2), images, torch.zeros(4, dtype=torch.int64), batch_size=2).inputs
    assert not torch.equal(moved[:2], moved[2:])


def test_a_bar_over_batches(capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = torch.rand(4, 2), torch.zeros(4, dtype=torch.int64)
    FGSM()(nn.Linear(2, 2), images, labels, batch_size=2)
    assert capsys.readouterr().err == ""
    FGSM()(nn.Linear(2, 2), images, labels, batch_size=2, progress=True)
    assert "FGSM" in capsys.readouterr().err


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_another_range_of_pixels_is_the_same_attack(norm: Any) -> None:
    torch.manual_seed(2)
    network, images = nn.Linear(4, 3), torch.rand(6, 4)
    labels = network(images).argmax(dim=1)
    attack = PGD(epsilon=0.1, norm=norm, steps=5)
    plain = attack(network, images, labels)
    wide = attack(lambda x: network(x / 255.0), images * 255.0, labels, bounds=(0.0, 255.0))
    torch.testing.assert_close(wide.inputs, plain.inputs * 255.0, rtol=0, atol=1e-3)
    torch.testing.assert_close(wide.distances, plain.distances)
    signed = attack(lambda x: network((x + 1.0) / 2.0), images * 2.0 - 1.0, labels, bounds=(-1.0, 1.0))
    torch.testing.assert_close(signed.inputs, plain.inputs * 2.0 - 1.0, rtol=0, atol=1e-5)
    report = evaluate(lambda x: network(x / 255.0), (images * 255.0, labels), attack, bounds=(0.0, 255.0))
    assert report.robust_accuracy.count == int((plain.logits.argmax(dim=1) == labels).sum())


def test_ranges_that_are_none() -> None:
    images, labels = torch.rand(2, 4), torch.tensor([0, 1])
    with pytest.raises(UsageError, match=r"^expected bounds \(low, high\) with low < high, got \(1.0, 0.0\)$"):
        FGSM()(nn.Linear(4, 2), images, labels, bounds=(1.0, 0.0))
    with pytest.raises(UsageError, match=r"^expected pixels in \[-1, 1\], got values from .* to 3"):
        FGSM()(nn.Linear(4, 2), images.clamp(0, 1) * 0 + 3.0, labels, bounds=(-1.0, 1.0))
    with pytest.raises(UsageError, match=r"^expected pixels in \[0, 1\] for SelectivePGD, got bounds \(-1.0, 1.0\)$"):
        SelectivePGD(score=lambda m, x: x.sum(dim=1))(nn.Linear(4, 2), images, labels, bounds=(-1.0, 1.0))


def test_normalised_is_the_network_behind_torchvisions_normalize() -> None:
    from torchvision.transforms.functional import normalize

    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4, 2))
    images, mean, std = torch.rand(5, 3, 2, 2), [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    model = Normalised(network, mean, std)
    torch.testing.assert_close(model(images), network(normalize(images, mean, std)))
    one = Normalised(network, 0.5, 0.25)
    torch.testing.assert_close(one(images), network((images - 0.5) / 0.25))
    assert model.double()(images.double()).dtype == torch.float64
    found = PGD(epsilon=0.1)(Normalised(network, mean, std).float(), images, torch.zeros(5, dtype=torch.int64))
    assert float((found.inputs - images).abs().max()) <= 0.1 + 1e-6  # the budget is in pixels


def test_normalised_refuses_numbers_that_cannot_be() -> None:
    network = nn.Flatten()
    with pytest.raises(UsageError, match=r"^expected as many stds as means, got 1 for 3$"):
        Normalised(network, [0.5, 0.5, 0.5], 0.2)
    for mean, std in ((0.5, 0.0), (0.5, -1.0), (math.nan, 1.0), (0.5, math.inf)):
        with pytest.raises(UsageError, match=r"^expected finite means and stds > 0, got mean="):
            Normalised(network, mean, std)
    with pytest.raises(UsageError, match=r"^expected images with 3 channels, one for each mean, got shape"):
        Normalised(network, [0.5] * 3, [0.2] * 3)(torch.rand(2, 1, 4, 4))


def test_square_keeps_its_norm() -> None:
    assert Square().norm == "linf"
