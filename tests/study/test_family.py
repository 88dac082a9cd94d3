"""The experiment on the related losses: its grid, its attacks on single logits, its worst case, and what it chooses."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drs.family import centre_logits, mmc_loss, simplex_centres
from drs.study.experiments import family, get_experiment
from drs.study.experiments.family import answers, attacked, choose, every_logit, lower_true, raise_class
from drs.study.profiles import PROFILES
from drs.training.datasets import Dataset, Split

SPEC: dict[str, Any] = {
    "epsilon": 0.05,
    "others": [0.1],
    "ladder": True,
    "steps": 5,
    "queries": 5,
    "temperatures": [1.0, 100.0],
}


class Pixels(nn.Module):
    """Three logits: the means of the first, second and third row of the images."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 3))


def rows(*levels: tuple[float, float, float]) -> Tensor:
    return torch.tensor(levels).reshape(-1, 1, 3, 1).expand(-1, 1, 3, 4).clone()


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_members_differ_in_the_loss_and_its_head_alone(profile: str) -> None:
    scale = PROFILES[profile]
    specs = get_experiment("family").specs(scale)
    names = ["ce", "label-smoothing", "rce", "drs", "gce", "std", "mmc", "mmc-1", "mmc-3", "mmc-30", "mmc-random"]
    assert [spec["variant"] for spec in specs] == names * len(scale.seeds)
    for spec in specs:
        network, base = dict(spec["network"]), dict(specs[0]["network"])
        for name in ("loss", "loss_options", "model", "model_options", "learning_rate", "seed"):
            network.pop(name), base.pop(name)
        assert network == base
        assert len(spec.get("tried", ())) == (3 if spec["variant"] in ("drs", "gce") else 0)
    by_name = {spec["variant"]: spec for spec in specs[-len(names) :]}
    assert by_name["drs"]["network"]["loss_options"] == {"weight": by_name["drs"]["tried"][1]} == {"weight": 0.64}
    assert by_name["gce"]["network"]["loss_options"] == {"alpha": by_name["gce"]["tried"][1]}
    heads = {name: by_name[name]["network"]["model_options"] for name in names if name.startswith("mmc")}
    assert heads == {
        "mmc": {"scale": 10},
        "mmc-1": {"scale": 1},
        "mmc-3": {"scale": 3},
        "mmc-30": {"scale": 30},
        "mmc-random": {"scale": 10, "centre_seed": scale.seeds[-1]},
    }
    rates = {name: by_name[name]["network"]["learning_rate"] for name in ("ce", "mmc", "mmc-1", "mmc-3", "mmc-30")}
    assert rates == pytest.approx({"ce": 0.1, "mmc": 0.02, "mmc-1": 0.1, "mmc-3": 0.2 / 3, "mmc-30": 0.2 / 30})


def test_single_logits_are_the_adaptive_losses_of_mmc() -> None:
    centres = simplex_centres(4, dimensions=3, scale=2.0)
    points, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0])
    logits, targets = centre_logits(points, centres), torch.tensor([1, 2, 3, 0, 3])
    torch.testing.assert_close(lower_true(logits, labels), 2.0 * mmc_loss(logits, labels, reduction="none"))
    towards = 2.0 * mmc_loss(logits, targets, reduction="none")
    torch.testing.assert_close(raise_class(targets)(logits, labels), -towards)


def test_every_class_is_tried() -> None:
    """From (0.5, 0.35, 0.43) raising the second row by 0.1 does not pass the first; raising the third does."""
    images, labels = rows((0.5, 0.35, 0.43), (0.5, 0.45, 0.2), (0.5, 0.3, 0.3)), torch.zeros(3, dtype=torch.int64)
    assert every_logit(Pixels(), images, labels, 0.1, 4).tolist() == [False, False, True]  # type: ignore[arg-type]


def test_answers_of_known_logits() -> None:
    """Logits (0.8, 0.5, 0.1): the lead 0.3 has a gradient of L1 norm 2, and 0.15 on both rows would undo it."""
    found = answers(Pixels(), rows((0.8, 0.5, 0.1)), torch.tensor([0]))  # type: ignore[arg-type]
    assert found["clean_margin_median"] == pytest.approx(0.3)
    assert found["linear_radius_median"] == pytest.approx(0.15)
    # minus the mean 1.4 / 3: squares of 1/3, 1/30 and -11/30
    assert found["logit_norm_median"] == pytest.approx((1 / 9 + 1 / 900 + 121 / 900) ** 0.5)
    assert found["relative_spread_median"] == pytest.approx(0.2 / 0.5)
    q = torch.tensor([0.5, 0.1]).softmax(dim=0)
    assert found["non_me_mean"] == pytest.approx(float(-(q * q.log()).sum()))
    wrong = answers(Pixels(), rows((0.5, 0.8, 0.1)), torch.tensor([0]))  # type: ignore[arg-type]
    assert wrong["linear_radius_median"] == 0.0
    scaled = answers(nn.Sequential(Pixels(), Times(7.0)), rows((0.8, 0.5, 0.1)), torch.tensor([0]))  # type: ignore[arg-type]
    assert scaled["relative_spread_median"] == pytest.approx(0.4)
    assert scaled["linear_radius_median"] == pytest.approx(0.15)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.factor


@pytest.mark.parametrize("ladder", [True, False])
def test_the_worst_case_is_that_of_each_image_over_every_attack(ladder: bool) -> None:
    """Leads of 0.08, 0.16 and 0.6 fall to a budget of half of that or more; the last image is wrong as it is."""
    images = rows((0.5, 0.42, 0.0), (0.5, 0.34, 0.0), (0.8, 0.2, 0.2), (0.2, 0.5, 0.0))
    spec = SPEC | {"ladder": ladder}
    found = attacked(Pixels(), images, torch.zeros(4, dtype=torch.int64), spec)  # type: ignore[arg-type]
    assert found["clean"] == 0.75
    assert found["strong_worst@0.05"] == found["white@0.05"] == found["margin@0.05"] == found["ce@0.05"] == 0.5
    assert found["square_only@0.05"] == 0.0
    assert found["images"] == found["square_images"] == 4.0
    # one logit alone moves by the budget: 0.05 < 0.08, so no single logit fells the first image
    assert found["true_logit@0.05"] == found["random_logit@0.05"] == 0.75
    own = {name: found.get(name) for name in ("targeted@0.05", "target_logit@0.05", "true_logit_runs_2")}
    assert list(own.values()) == ([0.5, 0.75, 0.75] if ladder else [None] * 3)


def test_a_saturated_network_fools_cross_entropy_and_not_the_worst_case() -> None:
    saturated = nn.Sequential(Pixels(), Times(1e4))
    found = attacked(saturated, rows((0.5, 0.42, 0.0)), torch.tensor([0]), SPEC)  # type: ignore[arg-type]
    assert (found["ce@0.05"], found["fgsm@0.05"], found["margin@0.05"], found["strong_worst@0.05"]) == (1, 1, 0, 0)


class Stepped(Pixels):
    """Its logits go up in steps, so that no gradient leads anywhere."""

    def forward(self, images: Tensor) -> Tensor:
        means = super().forward(images)
        return (20.0 * means).floor() / 20.0 + 0.0 * means


def test_what_only_square_fells_is_in_the_worst_case() -> None:
    found = attacked(Stepped(), rows((0.52, 0.46, 0.0)), torch.tensor([0]), SPEC | {"queries": 300})  # type: ignore[arg-type]
    assert (found["white@0.05"], found["strong_worst@0.05"], found["square_only@0.05"]) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("tried", "taken"),
    [
        ({0.1: (0.97, 0.3), 0.5: (0.97, 0.4), 2.5: (0.97, 0.2)}, 0.5),
        ({0.1: (0.97, 0.3), 0.5: (0.97, 0.4), 2.5: (0.959, 0.9)}, 0.5),  # more than a point less accurate
        ({0.1: (0.97, 0.3), 0.5: (0.97, 0.4), 2.5: (0.96, 0.9)}, 2.5),  # exactly a point
        ({0.1: (0.97, 0.4), 0.5: (0.97, 0.4), 2.5: (0.97, 0.4)}, 0.5),  # the published one
        ({0.1: (0.97, 0.4), 0.5: (0.97, 0.3), 2.5: (0.97, 0.4)}, 0.1),
    ],
)
def test_the_value_taken(tried: Mapping[float, tuple[float, float]], taken: float) -> None:
    assert choose(tried, published=0.5) == taken


class Flattest:
    """Stands for trainings whose networks differ in how far the first two rows lie apart: the weight."""

    def __init__(self, data: Dataset) -> None:
        self.device, self.data = torch.device("cpu"), data

    def dataset(self, name: str) -> Dataset:
        return self.data

    def network(self, values: Mapping[str, Any]) -> Any:
        lift = Lifted(values["loss_options"].get("weight", 0.0))
        return SimpleNamespace(network=lift, accuracy=1.0)


class Lifted(Pixels):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.lift = torch.tensor([0.01 * weight, 0.0, 0.0])

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.lift


def test_the_weight_is_chosen_on_validation_images_and_not_on_test_images() -> None:
    """On validation images a large lift helps; on the test images, all of the second class, it would ruin all."""
    held = (255 * rows((0.5, 0.42, 0.0), (0.5, 0.34, 0.0), (0.8, 0.2, 0.2))).to(torch.uint8)
    tested = (255 * rows((0.59, 0.6, 0.0), (0.59, 0.6, 0.0))).to(torch.uint8)
    validation, test = Split(held, torch.tensor([0, 0, 0])), Split(tested, torch.tensor([1, 1]))
    context = Flattest(Dataset("mnist5k", ("a", "b", "c"), validation, validation, test))
    spec = get_experiment("family").specs(PROFILES["smoke"])[3] | SPEC
    assert spec["variant"] == "drs"
    found = family.run(spec, context).metrics  # type: ignore[arg-type]
    assert found["tuned"] == 2.56
    assert found["validation@2.56"] == 1.0
    assert found["validation@0.64"] == pytest.approx(2 / 3)
    assert found["accuracy"] == 0.0
