"""The search behind C&W: its binary search, its Adam, and images that leave the batch one by one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from drs.attacks import CarliniWagnerL2
from drs.attacks.descent import Search, smallest, to_tanh_space
from drs.training.datasets import Dataset
from drs.training.models import Network, build_model

QUICK = CarliniWagnerL2(learning_rate=0.05, search_steps=3, max_iterations=60, target="untargeted")


@dataclass(frozen=True)
class Threshold:
    """Reached wherever c is at least ``needed``; the gradient is zero, so images stay where they are."""

    needed: Tensor
    asked: list[list[float]] = field(default_factory=list)

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.asked.append(weight.tolist())
        violation = torch.zeros_like(weight).where(weight >= self.needed, torch.inf)
        return torch.ones_like(weight), violation, torch.zeros_like(images)

    def select(self, rows: Tensor) -> Threshold:
        return Threshold(self.needed[rows], self.asked)


def test_binary_search_by_hand() -> None:
    problem = Threshold(torch.tensor([30.0, 1.5, 1e12]))
    smallest(
        problem,
        torch.full((3, 1, 1, 1), 0.5),
        const=2.0,
        search=Search(search_steps=5, max_iterations=1, abort_early=False),
    )
    # times ten until reached, then halfway between; the first look, with weight 1, is at the inputs
    assert problem.asked[0] == [1.0, 1.0, 1.0]
    assert [row[0] for row in problem.asked[1:]] == [2.0, 20.0, 200.0, 110.0, 65.0]
    assert [row[1] for row in problem.asked[1:]] == [2.0, 1.0, 1.5, 1.25, 1.375]
    assert [row[2] for row in problem.asked[1:]] == [2.0, 20.0, 200.0, 2000.0, 20000.0]


@dataclass(frozen=True)
class Quadratic:
    """Penalty (sum of pixels - 1)^2, never reached; keeps the images it was asked about."""

    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.seen.append(images.clone())
        short = images.flatten(1).sum(1) - 1.0
        gradient = (2 * short * weight).reshape(-1, 1, 1, 1).expand_as(images)
        return short.square(), torch.full_like(weight, torch.inf), gradient

    def select(self, rows: Tensor) -> Quadratic:
        return self


def test_steps_are_those_of_adam_in_tanh_space() -> None:
    inputs = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = Quadratic()
    search = Search(learning_rate=0.05, search_steps=1, max_iterations=30, abort_early=False)
    images, violation = smallest(problem, inputs, const=0.7, search=search)
    assert torch.equal(images, inputs)
    assert bool((violation == torch.inf).all())
    position = to_tanh_space(inputs).requires_grad_(True)
    adam = torch.optim.Adam([position], lr=0.05)
    for seen in problem.seen[1:]:
        moved = (position.tanh() + 1) / 2
        torch.testing.assert_close(seen, moved, rtol=1e-6, atol=1e-9)
        adam.zero_grad()
        loss = (moved - inputs).square().sum() + 0.7 * (moved.flatten(1).sum(1) - 1).square().sum()
        loss.backward()
        adam.step()
    assert len(problem.seen) == 31


def test_tanh_space_holds_the_whole_range() -> None:
    images = torch.tensor([0.0, 0.25, 0.5, 1.0])
    torch.testing.assert_close((to_tanh_space(images).tanh() + 1) / 2, images, rtol=0, atol=1e-6)


def test_images_do_not_influence_each_other() -> None:
    """Images leave the batch one by one, at times of their own; each must end where it ends alone."""
    model = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=16).double().eval()
    inputs = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = model(inputs).argmax(1)
    attack = CarliniWagnerL2(learning_rate=0.05, search_steps=3, max_iterations=60, target="untargeted")
    sizes: set[int] = set()
    handle = model.classifier.register_forward_hook(lambda module, given, output: sizes.add(len(given[0])))
    together = attack(model, inputs, labels)
    handle.remove()
    assert len(sizes) > 3
    assert int(together.success.sum()) >= 5
    for row in range(len(inputs)):
        alone = attack(model, inputs[row : row + 1], labels[row : row + 1]).inputs
        torch.testing.assert_close(alone[0], together.inputs[row], rtol=1e-6, atol=1e-6)


@dataclass(frozen=True)
class Falling:
    """Never reached; at c = 1 the loss of image i falls by one at each of its first ``falls[i]`` looks, then stays.

    The gradient is zero and the inputs are grey, so that images stay where they are and every loss is exact.
    """

    falls: Tensor
    looks: Tensor
    asked: list[int] = field(default_factory=list)

    def __call__(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.asked.append(len(images))
        penalty = 1000.0 - torch.minimum(self.looks, self.falls)
        self.looks.add_(1.0)
        return penalty, torch.full_like(weight, torch.inf), torch.zeros_like(images)

    def select(self, rows: Tensor) -> Falling:
        return Falling(self.falls[rows], self.looks[rows], self.asked)


@pytest.mark.parametrize("abort_early", [True, False])
def test_finished_images_leave_the_batch(abort_early: bool) -> None:
    """Of 100 passes an image takes those up to the first tenth in which its loss did not fall.

    Look number 0 is at the inputs, so that the loss falls until iteration ``falls - 1``. The loss is compared at
    iterations 0, 10, 20 ... with the one of the time before, at 0 with infinity: an image whose loss falls until
    iteration 0 leaves at 10, after 11 passes; until 5 it leaves at 20; until 35, at 50; to the end, never.
    """
    problem = Falling(torch.tensor([1.0, 6.0, 36.0, 1000.0]), torch.zeros(4))
    search = Search(search_steps=1, max_iterations=100, abort_early=abort_early)
    smallest(problem, torch.full((4, 1, 2, 2), 0.5), const=1.0, search=search)
    if abort_early:
        assert problem.asked[1:] == [4] * 11 + [3] * 10 + [2] * 30 + [1] * 49
    else:
        assert problem.asked[1:] == [4] * 100


def test_aborting_early_costs_passes_and_not_the_result(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(6).to_float()
    full = dataclasses.replace(QUICK, max_iterations=100, abort_early=False)
    kept = full(trained, inputs, labels)
    dropped = dataclasses.replace(full, abort_early=True)(trained, inputs, labels)
    assert torch.equal(dropped.success, kept.success)
    torch.testing.assert_close(dropped.distances.median(), kept.distances.median(), rtol=0.03, atol=0)


class Waits(TorchDispatchMode):
    """Counts operations for which a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.count += 1
        return function(*args, **(kwargs or {}))


def test_the_device_is_waited_for_seldom(trained: Network, digits: Dataset) -> None:
    inputs, labels = digits.test.first(4).to_float()
    with Waits() as waits:
        dataclasses.replace(QUICK, search_steps=2, max_iterations=100)(trained, inputs, labels)
    assert 10 < waits.count < 60  # ten looks a descent and those of the front door; one at every step would make 200
