"""The tuned controls: what the validation images choose, that the test images play no part in it, and the grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from drs.errors import Diverged
from drs.study.experiments import controls
from drs.study.experiments.networks import CONTROLS
from drs.study.plan import plan
from drs.training.loop import Training
from tests.study.oracle import BOUNDARY, Line, Scripted, dataset, training

TEST = [(0, 0.02), (1, 0.02), (0, 0.3), (1, 0.3)]
"""At the boundary itself two of four images fall at a budget of 0.05."""
HELD_OUT = [(0, 0.15), (1, 0.01), (0, 0.15), (1, 0.01), (0, 0.15)]
"""With the boundary a little lower, all five stay at 0.05; as it is, two fall."""
SPEC = {
    "network": training("drs") | {"loss_options": {"weight": 0.0}},
    "option": "weight",
    "tried": [0.0, 0.07, 0.08],
    "validation_images": 5,
    "validation_epsilons": [0.0, 0.05],
    "trained": 0.98,
    "images": 4,
    "epsilons": [0.0, 0.05],
    "attacks": ["fgsm"],
}


class Moved(Scripted):
    """A weight lowers the boundary by as much; the network of ``late`` has not finished training."""

    late = 0.08

    def network(self, values: Mapping[str, Any]) -> Training:
        self.asked.append(values)
        weight = values["loss_options"]["weight"]
        if weight > 1:
            raise Diverged("too much")
        return Training(Line(boundary=BOUNDARY - weight).eval(), 0.5, 0.97 if weight == self.late else 0.99)


def run(**changed: Any) -> tuple[dict[str, float], Moved]:
    context = Moved(data=dataset(test=TEST, validation=HELD_OUT))
    return dict(controls.run(SPEC | changed, context).metrics), context


def test_the_validation_images_choose_and_the_test_images_are_attacked() -> None:
    metrics, context = run()
    assert [asked["loss_options"]["weight"] for asked in context.asked] == [0.0, 0.07, 0.08]
    assert metrics["validation@0"] == pytest.approx((1.0 + 3 / 5) / 2)
    assert metrics["validation@0.07"] == metrics["validation@0.08"] == pytest.approx(1.0)
    assert metrics["validation_clean@0.07"] == 1.0
    assert (metrics["tuned"], metrics["train_accuracy"]) == (0.07, 0.99)
    # of the test images, with the boundary lowered by 0.07, the first is wrong and no other falls
    assert metrics["accuracy"] == metrics["worst@0"] == metrics["worst@0.05"] == 3 / 4


def test_a_network_that_did_not_finish_training_is_not_chosen() -> None:
    best = {"tried": [0.0, 0.08]}
    assert run(**best)[0]["tuned"] == 0.0
    assert run(**best, trained=0.9)[0]["tuned"] == 0.08
    assert run(**best, trained=0.999)[0]["tuned"] == 0.08  # none did: then the best of all


def test_a_value_at_which_the_training_diverges_is_out() -> None:
    metrics, _ = run(tried=[5.0, 0.0, 0.07])
    assert metrics["tuned"] == 0.07
    assert "validation@5" not in metrics
    with pytest.raises(Diverged, match=r"diverged at every value tried: 5, 6$"):
        run(tried=[5.0, 6.0])


def test_every_loss_has_as_many_values_and_seeds_of_its_own() -> None:
    runs = [one.spec for one in plan("controls", "quick")]
    seeds = {spec["network"]["seed"] for spec in runs}
    assert len(runs) == len(CONTROLS) * len(seeds)
    assert seeds.isdisjoint(one.spec["network"]["seed"] for one in plan("losses", "quick"))
    for spec in runs:
        assert len(set(spec["tried"])) == 4
        network = spec["network"]
        assert (network | network["loss_options"])[spec["option"]] == spec["tried"][0]
    usual = {one.spec["variant"]: one.spec["network"] for one in plan("losses", "quick")}
    for spec in runs:
        if spec["variant"] in usual:  # the usual value of its number is that of the chapter
            same = usual[spec["variant"]] | {"seed": spec["network"]["seed"]}
            assert spec["network"] == same
