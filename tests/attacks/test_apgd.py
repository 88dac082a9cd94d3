"""APGD and the Standard union against a checkpoint schedule by hand and the closed form of linear models."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from drs.attacks import APGD, Square, Standard
from drs.attacks.apgd import _Climb, _judge, checkpoints, targeted_dlr
from drs.attacks.balls import Norm
from drs.errors import UsageError
from tests.attacks.contract import Linear


def linear() -> tuple[Linear, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    model = Linear(weight, torch.zeros(5, dtype=torch.float64))
    images = 0.35 + 0.3 * torch.rand(40, 1, 4, 4, generator=generator, dtype=torch.float64)
    return model, images, model(images).argmax(dim=1).detach()


def test_the_checkpoints_are_the_published_ones() -> None:
    # p = 0.22, then + max(last gap - 0.03, 0.06): gaps 22, 19, 16, 13, 10, 7, 6, 6
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert checkpoints(1) == ()


def test_targeted_dlr_by_hand() -> None:
    # (3 - 5) / (5 - (2 + 0) / 2) = -0.5
    found = targeted_dlr(torch.tensor([[5.0, 3.0, 2.0, 0.0]]), torch.tensor([0]), torch.tensor([1]))
    torch.testing.assert_close(found, torch.tensor([-0.5]))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targets", [0, 4])
def test_a_linear_model_falls_exactly_where_its_closed_form_says(norm: Norm, targets: int) -> None:
    # the ball stays inside [0, 1], so the margin to class i rises by epsilon times the dual norm of w_i - w_y
    model, images, labels = linear()
    epsilon = 0.1 if norm == "linf" else 0.3
    weight = model.classifier.weight.detach()
    logits = model(images).detach()
    dual = torch.cdist(weight, weight, p=1.0 if norm == "linf" else 2.0)[labels]
    gap = logits - logits.gather(1, labels.unsqueeze(1)) + epsilon * dual
    expected = gap.scatter(1, labels.unsqueeze(1), -torch.inf).amax(dim=1) > 0
    found = APGD(epsilon=epsilon, norm=norm, steps=100, targets=targets)(model, images, labels)
    assert 0 < int(expected.sum()) < 40
    assert found.success.tolist() == expected.tolist()


def test_the_union_says_which_member_felled_each_image() -> None:
    model, images, labels = linear()
    wrong = labels.clone()
    wrong[0] = (labels[0] + 1) % 5
    found = Standard(epsilon=0.1)(model, images, wrong)
    assert found.felled_by[0] == -2
    assert found.success.tolist() == (found.felled_by != -1).tolist()
    assert sum(found.fallen().values()) == int(found.success.sum()) - 1
    assert found.accuracies()[0] == pytest.approx(39 / 40)
    assert found.accuracies()[-1] == pytest.approx(found.robust_accuracy(wrong))


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match="expected steps >= 1, got 0"):
        APGD(steps=0)
    with pytest.raises(UsageError, match="unknown targeted objective 'ce': expected one of dlr, margin"):
        APGD(targets=9, objective="ce")


def test_an_objective_of_ones_own_is_checked_as_in_pgd() -> None:
    network, images = torch.nn.Linear(4, 3), torch.rand(2, 4)
    labels = network(images).argmax(dim=1)  # what is wrong already is not attacked
    with pytest.raises(UsageError, match=r"shape \(2,\), got \(\): use reduction='none'$"):
        APGD(objective=torch.nn.functional.cross_entropy)(network, images, labels)


class Hill(nn.Module):
    """Images of one pixel p; its margin is -(p - peak)^2 - 1: no image ever falls. Keeps the pixels that it saw."""

    def __init__(self, peaks: list[float]) -> None:
        super().__init__()
        self.peaks, self.seen = torch.tensor(peaks, dtype=torch.float64), list[list[float]]()

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)[:, 0]
        self.seen.append(pixels.tolist())
        return torch.stack([torch.zeros_like(pixels), -((pixels - self.peaks) ** 2) - 1.0], dim=1)


def published(start: float, centre: float, epsilon: float, peak: float, steps: int) -> list[float]:
    """Algorithm 1 of arXiv 2003.01690 for one pixel, line by line: every iterate."""

    def inside(p: float) -> float:
        return min(max(p, centre - epsilon), centre + epsilon)

    def f(p: float) -> float:
        return -((p - peak) ** 2)

    eta, x_before, x, x_max, f_max_before = 2 * epsilon, start, start, start, f(start)
    seen, rises, w, halved = [start], 0, 0, False
    for k in range(1, steps + 1):
        z = inside(x + eta * math.copysign(1.0, peak - x))
        following = z if k == 1 else inside(x + 0.75 * (z - x) + 0.25 * (x - x_before))
        rises += f(following) > f(x)
        x_before, x = x, following
        seen.append(x)
        x_max = x if f(x) > f(x_max) else x_max
        if k in checkpoints(steps):
            halved = rises < 0.75 * (k - w) or (not halved and f(x_max) == f_max_before)
            if halved:
                eta, x = eta / 2, x_max
            w, rises, f_max_before = k, 0, f(x_max)
    return seen


@pytest.mark.parametrize("steps", [10, 50, 100])
def test_every_iterate_is_that_of_the_published_algorithm(steps: int) -> None:
    peaks, centres, epsilon = [0.5, 0.9, 0.37, 0.41], [0.4, 0.5, 0.4, 0.6], 0.3
    model = Hill(peaks)
    images = torch.tensor(centres, dtype=torch.float64).reshape(-1, 1, 1, 1)
    labels = torch.zeros(4, dtype=torch.int64)
    torch.manual_seed(0)
    made = APGD(epsilon=epsilon, steps=steps).perturb(model, images, labels)
    paths = list(zip(*model.seen[1:]))  # the first look is at the images
    for path, centre, peak, last in zip(paths, centres, peaks, made.flatten().tolist()):
        expected = published(path[0], centre, epsilon, peak, steps)
        assert path == pytest.approx(expected, abs=1e-12)
        assert last == pytest.approx(min((abs(p - peak), p) for p in expected)[1], abs=1e-12)
    if steps == 100:
        assert made.flatten().tolist() == pytest.approx([0.5, 0.8, 0.37, 0.41], abs=0.01)


def climb(**given: list[float] | list[bool]) -> _Climb:
    """Images of one pixel; what is not given is 0."""
    count = len(next(iter(given.values())))
    zero, images = torch.zeros(count, dtype=torch.float64), ("x", "now", "before", "gradient", "best", "best_gradient")
    fields = {
        name: torch.tensor(v, dtype=None if isinstance(v[0], bool) else torch.float64) for name, v in given.items()
    }
    names = (*images, "row", "y", "target", "value", "best_value", "fallen", "step", "rises", "halved")
    whole = {name: fields.get(name, zero.bool() if name in ("fallen", "halved") else zero) for name in names}
    whole["value_at_checkpoint"] = fields.get("value_at_checkpoint", zero)
    return _Climb(**{name: v.reshape(-1, 1) if name in images else v for name, v in whole.items()})


def test_at_a_checkpoint_steps_are_halved_where_progress_was_rare_or_none() -> None:
    """After 5 steps, so that 3.75 must rise: enough and better; too few; nothing better; that after a halving."""
    c = climb(
        rises=[4.0, 3.0, 4.0, 4.0],
        best_value=[2.0, 2.0, 1.0, 1.0],
        value_at_checkpoint=[1.0] * 4,
        halved=[False, False, False, True],
        step=[0.4] * 4,
        now=[0.1] * 4,
        best=[0.7] * 4,
        gradient=[-1.0] * 4,
        best_gradient=[5.0] * 4,
        value=[0.5] * 4,
    )
    _judge(c, 5)
    assert c.halved.tolist() == [False, True, True, False]
    assert c.step.tolist() == [0.4, 0.2, 0.2, 0.4]
    assert c.now.flatten().tolist() == [0.1, 0.7, 0.7, 0.1]
    assert c.gradient.flatten().tolist() == [-1.0, 5.0, 5.0, -1.0]
    assert c.value.tolist() == [0.5, 2.0, 1.0, 0.5]
    assert c.value_at_checkpoint.tolist() == [2.0, 2.0, 1.0, 1.0]
    assert c.rises.tolist() == [0.0] * 4


def test_momentum_by_hand() -> None:
    """Free: .5 + .75 * .1 + .25 * .2. Cut: the step ends at .55 before the momentum. Cut twice: so does the sum."""
    c = climb(x=[0.4, 0.5, 0.5], now=[0.5] * 3, before=[0.3, 0.48, 0.3], gradient=[3.0] * 3, step=[0.1] * 3)
    attack = APGD(epsilon=0.25)
    attack._move(c, first=False)
    assert c.now.flatten().tolist() == pytest.approx([0.625, 0.58, 0.625])
    assert c.before.flatten().tolist() == [0.5] * 3
    c = climb(x=[0.5, 0.5], now=[0.5] * 2, before=[0.48, 0.3], gradient=[3.0] * 2, step=[0.1] * 2)
    APGD(epsilon=0.05)._move(c, first=False)
    assert c.now.flatten().tolist() == pytest.approx([0.5425, 0.55])
    c = climb(x=[0.5], now=[0.5], before=[0.3], gradient=[3.0], step=[0.1])
    attack._move(c, first=True)
    assert c.now.flatten().tolist() == pytest.approx([0.6])


def test_an_iterate_that_fools_is_kept_before_a_larger_value_that_does_not() -> None:
    """The objective says nothing of success here: class 1 wins where the pixel is below .3, the value rises with it."""

    class Below(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            gap = images.flatten(1)[:, 0] - 0.3
            return torch.stack([gap, -gap], dim=1)

    c = climb(
        x=[0.4] * 3,
        now=[0.2, 0.5, 0.3],
        best=[0.45, 0.2, 0.4],
        best_value=[0.15, -0.1, 0.1],
        fallen=[False, True, False],
    )
    c.y = torch.zeros(3, dtype=torch.int64)
    APGD(epsilon=0.25, objective=lambda logits, labels: logits[:, 0])._look(c, Below(), gradient=True)
    assert c.best.flatten().tolist() == pytest.approx([0.2, 0.2, 0.4])
    assert c.best_value.tolist() == pytest.approx([-0.1, -0.1, 0.1])
    assert c.best_gradient.flatten().tolist() == [1.0, 0.0, 0.0]
    assert c.fallen.tolist() == [True, True, False]
    assert c.rises.tolist() == [0.0, 1.0, 0.0]  # the last has the value that it had


def test_a_run_begins_with_the_value_of_its_start_and_steps_of_twice_the_budget() -> None:
    model, x = Hill([0.5]), torch.full((1, 1), 0.4, dtype=torch.float64)
    y = torch.zeros(1, dtype=torch.int64)
    c = APGD(epsilon=0.3)._begin(model, x, y, y, torch.full((1, 1), 0.25, dtype=torch.float64))
    assert [float(v) for v in (c.value, c.best_value, c.value_at_checkpoint)] == [-1.0625] * 3
    assert (float(c.step), float(c.rises), float(c.best_gradient)) == (0.6, 0.0, 0.5)


def test_tables_are_refused_before_any_attack_runs() -> None:
    passes = []

    def model(rows: torch.Tensor) -> torch.Tensor:
        passes.append(len(rows))
        return rows

    with pytest.raises(UsageError, match=r"expected images of shape \(N, C, H, W\) for Square, got \(3, 4\)"):
        Standard(epsilon=0.1)(model, torch.rand(3, 4), torch.zeros(3, dtype=torch.int64))
    assert passes == []


def test_of_an_image_that_stands_the_attempt_that_came_nearest_is_kept() -> None:
    """DDN gives an image back as it was where it fails; APGD had moved it towards the boundary."""
    model = Linear(torch.tensor([[1.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]), torch.tensor([-0.5, 0.5]))
    images = torch.full((1, 1, 2, 2), 0.9)
    found = Standard(epsilon=0.1, norm="l2")(model, images, torch.zeros(1, dtype=torch.int64))
    assert not found.success.any()
    assert float(found.inputs[0, 0, 0, 0]) == pytest.approx(0.8, abs=1e-4)
    assert float(found.distances[0]) == pytest.approx(0.1, abs=1e-4)
    assert torch.equal(found.logits, model(found.inputs).detach())


@pytest.mark.parametrize(
    ("made", "name"),
    [(lambda: APGD(steps=1e1), "steps"), (lambda: Square(queries=1e2), "queries")],  # type: ignore[arg-type]
)
def test_whole_numbers_are_asked_for_by_name(made: Callable[[], object], name: str) -> None:
    with pytest.raises(UsageError, match=f"expected a whole number as {name}, got 10"):
        made()
