"""Figures and sentences on why the loss works, from frames whose numbers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import why
from drs.pages.figures.correlation import within_depth
from drs.study.records import Record, Run

AREAS = {"mlp": (0.4, 0.5), "small_conv": (0.2, 0.1)}


def frame() -> pd.DataFrame:
    """Two seeds of CE and DRS on two architectures, in no order."""
    rows = []
    for name, areas in AREAS.items():
        for loss, area in zip(("ce", "drs"), areas):
            for seed in (1, 0):
                row = {
                    "architecture": name,
                    "network.loss": loss,
                    "network.seed": seed,
                    "worst_area": area + 0.01 * seed,
                }
                row |= {"accuracy": 0.9, "clean_margin_median": 5.0, "gradient_norm_median": 0.1, "worst@0.05": 0.3}
                row |= {"linear_radius_median": 0.04 + 0.02 * (loss == "drs"), "calibration_error": 0.1}
                row |= {"calibration_error_after": 0.01, "white@0.05": 0.3, "strong_worst@0.05": 0.25}
                rows.append(row | {"temperature_1": 0.3, "temperature_100": 0.28})
    return pd.DataFrame(rows)


def changed() -> pd.DataFrame:
    rows = []
    for factor, level, gain in (("updates", 270, 0.2), ("updates", 4320, -0.1), ("adversarial", 0.1, 0.0)):
        for loss in ("drs", "ce"):
            for seed in (0, 1):
                area = 0.3 + gain * (loss == "drs") + 0.05 * seed
                rows.append(
                    {"factor": factor, "level": level, "network.loss": loss, "network.seed": seed}
                    | {"worst_area": area}
                )
    return pd.DataFrame(rows)


def test_each_row_of_the_areas_is_an_architecture_in_the_order_of_the_text() -> None:
    found = why.areas(frame())
    assert list(found.frame["network"]) == ["SmallConvNet", "SmallConvNet", "MLP", "MLP"]
    assert list(found.frame["loss"]) == ["CE", "DRS", "CE", "DRS"]
    assert list(found.frame["area"]) == pytest.approx([0.205, 0.105, 0.405, 0.505])
    assert found.frame["seeds"][0] == "0.200, 0.210"
    labels = [text.get_text() for text in found.figure.axes[0].get_yticklabels()]
    assert labels == ["SmallConvNet", "MLP"]


def test_radii_have_a_dot_for_each_network() -> None:
    found = why.radii(frame())
    assert len(found.frame) == 8
    assert set(found.frame["lead over slope"].round(6)) == {0.04, 0.06}
    assert {said for said in map(str, (line.get_label() for line in found.figure.axes[0].lines)) if said[0] != "_"} == {
        f"{network}, {loss}" for network in ("SmallConvNet", "MLP") for loss in ("CE", "DRS")
    }


def test_gains_by_training_are_paired_by_seed() -> None:
    drawn = why.dependence(changed()).frame
    assert list(drawn["training"]) == ["updates 270", "updates 4,320", "adversarial training, epsilon 0.1"]
    assert list(drawn["gain"]) == pytest.approx([0.2, -0.1, 0.0])
    assert list(drawn["from"]) == pytest.approx([0.2, -0.1, 0.0])  # the same gain at both seeds
    assert list(drawn["CE"]) == pytest.approx([0.325] * 3)


def test_walks_are_shares_of_the_lead_at_the_image() -> None:
    one = Record(Run("architectures", 1, {}), "quick", {}, 1.0, "", {}, "", "")
    records = []
    for loss, end in (("ce", 0.0), ("drs", 2.0)):
        for factor in (1.0, 3.0):
            spec: dict[str, Any] = {"architecture": "mlp", "network": {"loss": loss}, "epsilons": [0.0, 0.2]}
            arrays = {"gradient": factor * np.array([4.0, end]), "random": factor * np.array([4.0, 4.0])}
            records.append(replace(one, run=Run("architectures", 1, spec), arrays=arrays))
    drawn = why.walks(records).frame
    at_end = drawn[drawn["distance"] == 0.2].set_index(["loss", "direction"])["lead left"]
    assert at_end.to_dict() == {
        ("CE", "gradient"): 0.0,
        ("CE", "random"): 1.0,
        ("DRS", "gradient"): 0.5,
        ("DRS", "random"): 1.0,
    }


def test_tables_have_a_row_for_each_kind_of_network() -> None:
    looked = why.looked_at(frame())
    assert list(looked.index) == ["SmallConvNet, CE", "SmallConvNet, DRS", "MLP, CE", "MLP, DRS"]
    assert looked.loc["MLP, DRS", "area"] == "0.505"
    assert list(why.standing(frame()).columns) == [
        *("PGD-20 and FGSM", "and Standard", "PGD, logits / 1", "PGD, logits / 100", "seeds"),
    ]


def test_the_sentences_say_gain_loss_or_nothing() -> None:
    said = why.when_it_helps(frame(), changed())
    assert "SmallConvNet -0.100 [-0.100, -0.100], a loss; MLP +0.100 [+0.100, +0.100], a gain" in said
    assert "270 updates +0.200 [+0.200, +0.200], a gain; 4,320 updates -0.100 [-0.100, -0.100], a loss" in said
    assert "On top of adversarial training: +0.000 [+0.000, +0.000], nothing that the seeds could show." in said
    assert said.endswith(
        "is 0.100 with DRS and 0.100 with CE, mean over all networks; after one fitted temperature 0.010 and 0.010."
    )


def test_the_line_within_each_depth_may_turn() -> None:
    """Simpson's paradox: more spread goes with more area at each depth, and with less over both."""
    spread, depth = np.tile([0.0, 1.0, 2.0], 2), np.repeat([1.0, 2.0], 3)
    networks = pd.DataFrame(
        {"network.model_options.depth": depth, "std_probabilities_mean": spread + 10 * (depth == 2)}
    )
    networks["worst_area"] = spread - 10 * (depth == 2)
    found = within_depth(networks)
    left, right = (
        [line.get_label() for line in axes.lines if ":" in str(line.get_label())] for axes in found.figure.axes
    )
    r = np.corrcoef(networks["std_probabilities_mean"], networks["worst_area"])[0, 1]
    assert left == [f"all networks: r = {r:+.2f}"]
    assert r < -0.9
    assert right == ["depth 1: r = +1.00", "depth 2: r = +1.00"]
