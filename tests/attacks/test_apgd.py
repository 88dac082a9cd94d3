"""APGD and the Standard union against a checkpoint schedule by hand and the closed form of linear models."""

from __future__ import annotations

import pytest
import torch

from drs.attacks import APGD, Standard
from drs.attacks.apgd import checkpoints, targeted_dlr
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
