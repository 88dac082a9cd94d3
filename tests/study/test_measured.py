"""The numbers of a stress record as what the alarms judge: name by name, and for whole networks."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from torch import Tensor

from drs.errors import UsageError
from drs.evaluation.alarms import MEANINGS, alarms, fired
from drs.evaluation.measurements import Measured
from drs.study.experiments.stress import measure
from drs.study.measured import at_budgets, measured
from drs.training.datasets import Dataset
from drs.training.models import Network
from tests.evaluation.masked import Linear, Loud, Quantised

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


@pytest.fixture(scope="module")
def linear(mnist5k: Dataset) -> Linear:
    return Linear(*mnist5k.train.to_float())


@pytest.fixture(scope="module")
def data(digits: Dataset) -> tuple[Tensor, Tensor]:
    return digits.test.first(40).to_float()


def stressed(network: Network, source: Network, data: tuple[Tensor, Tensor]) -> Mapping[str, float]:
    return measure(network.eval(), source.eval(), *data, SPEC).metrics


def test_a_plain_linear_network_raises_none(linear: Linear, trained: Network, data: tuple[Tensor, Tensor]) -> None:
    metrics = stressed(linear, trained, data)
    found = alarms(measured(metrics))
    assert [alarm.name for alarm in found] == list(MEANINGS)[:14]  # the others are an audit's
    assert [alarm.name for alarm in found if alarm.fired] == []
    assert fired(measured(metrics)) == []
    assert metrics["strong_worst@0.1"] <= metrics["strong_worst@0.05"] < metrics["clean"] > 0.7


def test_loud_logits_raise_the_alarms_of_a_saturated_softmax(
    trained: Network, linear: Linear, data: tuple[Tensor, Tensor]
) -> None:
    names = fired(measured(stressed(Loud(trained), linear, data)))
    assert {"zero gradients", "cross-entropy misleads", "temperature matters"} <= set(names)
    # the margin is not fooled by loudness, so the worst case is final
    assert not {"black box wins", "transfer wins", "noise wins", "randomised", "large budget survives"} & set(names)


def test_quantised_input_raises_the_alarms_of_no_gradient_at_all(
    trained: Network, linear: Linear, data: tuple[Tensor, Tensor]
) -> None:
    """Budgets of 0.05 and 0.1 do not cross a level everywhere, but random search and transfer need no gradient."""
    metrics = stressed(Quantised(trained), trained, data)
    assert metrics["zero_gradient_share"] == 1.0
    assert {"zero gradients", "large budget survives", "transfer wins"} <= set(fired(measured(metrics)))


def test_every_number_of_a_record_goes_to_its_place() -> None:
    """Each number is another one, so that two of them cannot be exchanged unseen."""
    numbers = {"images": 300.0, "square_images": 100.0, "largest_budget": 0.01, "zero_gradient_share": 0.02}
    numbers |= {"float64_difference": 0.03, "repeat_difference": 0.04, "ddn_median": 0.05, "linf_l2_median": 0.06}
    curves = ("fgsm", "ce", "margin", "scaled_ce", "dlr", "targeted", "square_only", "transfer_only", "noise_only")
    numbers |= {f"{name}@{e:g}": 0.1 * e + place for place, name in enumerate(curves, 1) for e in (0.1, 0.05)}
    numbers |= {"ce_steps_10": 0.21, "ce_steps_9": 0.22, "margin_steps_10": 0.23, "margin_steps_100": 0.24}
    numbers |= {"margin_restarts_2": 0.25, "margin_restarts_1": 0.26, "temperature_0.1": 0.27, "temperature_100": 0.28}
    numbers |= {"white@0.1": 9.0, "square@0.1": 9.0, "transfer@0.1": 9.0, "noise@0.1": 9.0, "cent@0.1": 9.0}

    def curve(place: int) -> dict[float, float]:
        return {e: 0.1 * e + place for e in (0.05, 0.1)}

    assert measured(numbers) == Measured(
        images=300.0,
        one_step=curve(1),
        cross_entropy=curve(2),
        margin=curve(3),
        others=(curve(4), curve(5), curve(6)),
        steps=({9.0: 0.22, 10.0: 0.21}, {10.0: 0.23, 100.0: 0.24}),
        restarts={1.0: 0.26, 2.0: 0.25},
        temperatures={0.1: 0.27, 100.0: 0.28},
        only_black_box=curve(7),
        black_box_images=100.0,
        only_transfer=curve(8),
        only_noise=curve(9),
        largest_budget=0.01,
        zero_gradient_share=0.02,
        float64_difference=0.03,
        repeat_difference=0.04,
        minimal_median=0.05,
        fixed_median=0.06,
    )
    # numbers are ordered as numbers: 9 before 10, not as words
    assert list(measured(numbers).steps[0]) == [9.0, 10.0]
    assert list(at_budgets({"accuracy@10": 1.0, "accuracy@9": 2.0}, "accuracy")) == [9.0, 10.0]


def test_a_record_without_its_number_of_images_is_refused() -> None:
    assert measured({"images": 10.0}) == Measured(images=10.0, others=({}, {}, {}), steps=({}, {}))
    with pytest.raises(UsageError, match="expected the number of images attacked, at least 1, got 0"):
        measured({"largest_budget": 0.5})
