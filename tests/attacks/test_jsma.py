"""JSMA: the pair search against a search over all pairs, the whole attack against torchattacks and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drs.attacks import JSMA
from drs.attacks import jsma as module
from drs.attacks.jsma import BAND, best_pairs, skyband
from drs.attacks.targets import TARGETS
from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.attacks.contract import Linear, assert_kept


def gradients(seed: int, rows: int, features: int, ties: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Target gradients, other gradients, domain; with ``ties`` small integers, so that many values are equal."""
    generator = torch.Generator().manual_seed(seed)
    if ties:
        target = torch.randint(-3, 4, (rows, features), generator=generator).float()
        others = torch.randint(-3, 4, (rows, features), generator=generator).float()
    else:
        target = torch.randn(rows, features, generator=generator)
        others = torch.randn(rows, features, generator=generator)
    return target, others, torch.rand(rows, features, generator=generator) < 0.8


def all_pairs(target: Tensor, others: Tensor, domain: Tensor) -> tuple[list[int], bool]:
    """The best pair of one image by looking at every pair in order; the first one wins a tie."""
    best, pair = 0.0, [0, 0]
    for p in range(len(target)):
        for q in range(p + 1, len(target)):
            alpha, beta = (target[p] + target[q]), (others[p] + others[q])
            if domain[p] and domain[q] and alpha > 0 and beta < 0 and (alpha * beta.abs()).item() > best:
                best, pair = (alpha * beta.abs()).item(), [p, q]
    return pair, best > 0


@pytest.mark.parametrize("ties", [False, True])
def test_best_pairs_equal_the_search_over_all_pairs(ties: bool, device: torch.device) -> None:
    for seed in range(8):
        target, others, domain = gradients(seed, 3, 40, ties)
        pairs, found = best_pairs(target.to(device), others.to(device), domain.to(device))
        for row in range(3):
            expected, exists = all_pairs(target[row], others[row], domain[row])
            assert found[row].item() == exists
            assert not exists or pairs[row].tolist() == expected


def test_skyband_equals_its_definition() -> None:
    target, others, domain = gradients(3, 5, 60, ties=False)
    band = skyband(target.where(domain, -torch.inf), -others)
    for row in range(5):
        for i in range(60):
            better = [
                j
                for j in range(60)
                if domain[row, j] and target[row, j] > target[row, i] and others[row, j] < others[row, i]
            ]
            assert band[row, i].item() == (bool(domain[row, i]) and len(better) < 2)


def test_skyband_by_hand() -> None:
    # (4, 4) dominates all; (3, 3) has one better, (2, 2) two; (1, 5) none; (5, -inf) does not dominate; -inf: not there
    first = torch.tensor([[2.0, 4.0, 3.0, 1.0, -torch.inf]])
    second = torch.tensor([[2.0, 4.0, 3.0, 5.0, 9.0]])
    assert skyband(first, second).tolist() == [[False, True, True, True, False]]


def test_equal_points_all_stay_in_the_band() -> None:
    assert skyband(torch.ones(1, 5), torch.ones(1, 5)).all()


def test_a_wide_band_falls_back_to_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a front where nobody dominates anybody the band is everything, far wider than what is searched together."""
    count = 3 * BAND
    angle = torch.linspace(0.1, 1.4, count)
    target, others = angle.cos()[None].repeat(2, 1), -angle.sin()[None].repeat(2, 1)
    target[1], others[1] = torch.arange(count) * 1.0, -torch.arange(count) * 1.0  # a chain: a band of two
    domain = torch.ones(2, count, dtype=torch.bool)
    widths: list[tuple[int, int]] = []
    search = module._best_among

    def spy(target: Tensor, others: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        widths.append(tuple(pixels.shape))  # type: ignore[arg-type]
        return search(target, others, pixels)

    monkeypatch.setattr(module, "_best_among", spy)
    pairs, found = best_pairs(target, others, domain)
    assert widths == [(2, BAND), (1, count)]
    assert found.all()
    assert pairs[0].tolist() == all_pairs(target[0], others[0], domain[0])[0]
    assert pairs[1].tolist() == [count - 2, count - 1]


@pytest.mark.parametrize(("theta", "images"), [(1.0, 4), (0.3, 2)])
def test_pairs_are_those_of_torchattacks(theta: float, images: int, trained: Network, digits: Dataset) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    inputs, labels = digits.test.first(images).to_float()
    reference = torchattacks.JSMA(trained, theta=theta, gamma=0.1)
    reference.set_mode_targeted_by_function(lambda x, y: TARGETS["least_likely"](trained(x), y, 0))
    expected = reference(inputs, labels)
    found = JSMA(theta=theta, max_steps=40, pixels_per_step=2)(trained, inputs, labels)
    assert torch.equal(found.inputs, expected)
    assert (found.inputs != inputs).flatten(1).any(dim=1).all()


def test_one_value_is_the_argmax_of_the_published_map(trained: Network, digits: Dataset) -> None:
    """The published code's map, dp_t * |sum of the other dp| where dp_t >= 0, class by class in float64."""
    model = trained.double()
    try:
        inputs, labels = digits.test.first(5).to_float()
        inputs = inputs.double()
        target = TARGETS["least_likely"](model(inputs), labels, 0)
        found = JSMA(theta=0.2, max_steps=1)(model, inputs, labels)
        for row in range(5):
            image = inputs[row : row + 1]
            jacobian = torch.autograd.functional.jacobian(lambda x: model(x).softmax(1)[0], image).reshape(10, -1)
            own = jacobian[target[row]]
            score = (own * (jacobian.sum(0) - own).abs()).where((own >= 0) & (image.flatten() < 1), -torch.inf)
            changed = (found.inputs[row] - inputs[row]).flatten()
            assert changed.nonzero().flatten().tolist() == [int(score.argmax())]
            start = image.flatten()[score.argmax()].item()
            assert changed.max().item() == pytest.approx(min(0.2, 1 - start))
    finally:
        model.float()


def linear() -> tuple[Linear, Tensor, Tensor]:
    """Class 1 is aimed at; the pixels' effect on it in order: 2, 0, 1, 3 (which lowers it)."""
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.6, 0.2, 1.0, -1.0]])
    return Linear(weight, torch.tensor([1.0, 0.0])), torch.zeros(1, 1, 2, 2) + 0.25, torch.tensor([0])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [0.25, 0.25, 0.75, 0.25]),
        (2, [0.25, 0.25, 1.0, 0.25]),  # the same value again, cut at the end of the range
        (3, [0.75, 0.25, 1.0, 0.25]),  # 0.45 + 0.05 + 1 - 0.25 = 1.25 > 1: reached, so the image stops
        (9, [0.75, 0.25, 1.0, 0.25]),
    ],
)
def test_one_value_a_step_by_hand(steps: int, expected: list[float]) -> None:
    model, inputs, labels = linear()
    found = JSMA(theta=0.5, max_steps=steps)(model, inputs, labels)
    assert found.inputs.flatten().tolist() == pytest.approx(expected)
    assert found.success.tolist() == [steps >= 3]


def test_finished_images_leave_the_batch() -> None:
    """One image is at the target from the start, one after three steps: 2, then 1, 1 and 1 images are looked at."""
    model, inputs, _ = linear()
    sizes: list[int] = []
    handle = model.classifier.register_forward_hook(lambda module, given, output: sizes.append(len(given[0])))
    there = torch.tensor([1.0, 0.25, 1.0, 0.0]).reshape(1, 1, 2, 2)
    found = JSMA(theta=0.5, max_steps=9)(model, torch.cat([there, inputs]), torch.tensor([0, 0]))
    handle.remove()
    assert sizes == [2, 2, 2, 1, 1, 1, 2]  # before: front door and targets; after: judgement
    assert torch.equal(found.inputs[:1], there)
    assert found.success.tolist() == [True, True]


def test_negative_theta_darkens_what_speaks_against_the_target() -> None:
    model, inputs, labels = linear()
    found = JSMA(theta=-0.2, max_steps=1)(model, inputs, labels)
    assert found.inputs.flatten().tolist() == pytest.approx([0.25, 0.25, 0.25, 0.05])


def test_pairs_by_hand() -> None:
    # t = (0.6, 0.2, 1, -1), o = -t on centred logits: pairs (0, 2), then (1, 3) has t + o = -0.8 < 0: it stops
    weight = torch.tensor([[0.6, 0.2, 1.0, -1.0]])
    model = Linear(torch.cat([-weight, weight]), torch.tensor([9.0, 0.0]))
    found = JSMA(theta=0.5, max_steps=9, pixels_per_step=2)(model, torch.full((1, 1, 2, 2), 0.25), torch.tensor([0]))
    assert found.inputs.flatten().tolist() == pytest.approx([0.75, 0.25, 0.75, 0.25])
    assert found.success.tolist() == [False]
    down = JSMA(theta=-0.1, max_steps=1, pixels_per_step=2)
    mirrored = Linear(torch.cat([weight, -weight]), torch.tensor([9.0, 0.0]))
    moved = down(mirrored, torch.full((1, 1, 2, 2), 0.25), torch.tensor([0]))
    assert moved.inputs.flatten().tolist() == pytest.approx([0.15, 0.25, 0.15, 0.25])


@pytest.mark.parametrize("pixels", [1, 2])
def test_images_do_not_influence_each_other(pixels: int, trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(5).to_float()
    attack = JSMA(theta=1.0, max_steps=30, pixels_per_step=pixels)
    together = attack(trained, inputs, labels)
    changed = (together.inputs != inputs).flatten(1).sum(1)
    assert changed.max().item() <= 30 * pixels
    assert len(set(changed.tolist())) > 1
    for row in range(5):
        alone = attack(trained, inputs[row : row + 1], labels[row : row + 1])
        assert torch.equal(alone.inputs[0], together.inputs[row])


def test_images_stop_at_the_target(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(6).to_float()
    found = JSMA(theta=1.0, max_steps=60)(trained, inputs, labels)
    target = TARGETS["least_likely"](trained(inputs), labels, 0)
    reached = found.logits.argmax(1) == target
    assert int(reached.sum()) >= 3
    again = JSMA(theta=1.0, max_steps=61)(trained, inputs, labels)
    assert torch.equal(again.inputs[reached], found.inputs[reached])


@pytest.mark.parametrize("attack", [JSMA(theta=0.0), JSMA(max_steps=0), JSMA(theta=0.0, pixels_per_step=2)], ids=repr)
def test_identity(attack: JSMA, trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    assert torch.equal(attack(trained, inputs, labels).inputs, inputs)


@pytest.mark.parametrize(
    "attack", [JSMA(theta=0.5, max_steps=20), JSMA(max_steps=10, pixels_per_step=2, target="random")], ids=repr
)
def test_contract(attack: JSMA, trained: Network, digits: Dataset, device: torch.device) -> None:
    assert_kept(attack, trained, digits, device, random=attack.target == "random")


def test_the_bar_is_shown_on_request_only(
    trained: Network, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs, labels = digits.test.first(2).to_float()
    JSMA(max_steps=2)(trained, inputs, labels)
    assert capsys.readouterr().err == ""
    JSMA(max_steps=2, progress=True)(trained, inputs, labels)
    assert "JSMA" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pixels_per_step": 3}, "expected pixels_per_step 1 or 2, got 3"),
        ({"theta": 1.5}, "expected theta in [-1, 1], got 1.5"),
        ({"theta": float("nan")}, "expected theta in [-1, 1], got nan"),
        ({"max_steps": -1}, "expected max_steps >= 0, got -1"),
        ({"target": "likely"}, "unknown target rule 'likely': expected one of least_likely, random"),
    ],
)
def test_errors(options: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError) as error:
        JSMA(**options)  # type: ignore[arg-type]
    assert str(error.value) == text


def test_target_rules() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [-2.0, -1.0, 5.0]])
    assert TARGETS["least_likely"](logits, torch.tensor([0, 2]), 0).tolist() == [2, 0]
    labels = torch.arange(10).repeat(300)
    drawn = TARGETS["random"](torch.zeros(3000, 10), labels, 0)
    assert bool((drawn != labels).all())
    # each of the 90 pairs (label, target) is expected 33 times, standard deviation 5.4
    counts = torch.stack([drawn[labels == label].bincount(minlength=10) for label in range(10)])
    assert counts.diagonal().tolist() == [0] * 10
    assert counts.sum().item() == 3000
    assert counts[counts > 0].min().item() > 10
    assert counts.max().item() < 60
    assert torch.equal(TARGETS["random"](torch.zeros(3000, 10), labels, 0), drawn)
    assert not torch.equal(TARGETS["random"](torch.zeros(3000, 10), labels, 1), drawn)
