"""drs.pages.figures.explorer: the data of the figures that a reader moves, and the picture of the first choice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from drs.pages.figures.explorer import MIME, threshold_explorer, weight_explorer
from drs.study.metrics import DETECTORS
from drs.study.records import Record, Run

NAN = float("nan")


def test_weights_are_rows_and_cross_entropy_is_weight_zero() -> None:
    frame = pd.DataFrame(
        [
            {"variant": "ce", "worst@0": 0.9, "fgsm@0.1": 0.5, "pgd@0.1": 0.5, "margin@0.1": 0.5, "worst@0.1": 0.25},
            {"variant": "ce", "worst@0": 0.9, "fgsm@0.1": 0.5, "pgd@0.1": 0.5, "margin@0.1": 0.5, "worst@0.1": 0.75},
            {"variant": "drs", "worst@0": 0.8, "fgsm@0.1": 0.1, "pgd@0.1": 0.2, "margin@0.1": 0.3, "worst@0.1": 0.125},
            {"variant": "weight-64", "worst@0": NAN, "fgsm@0.1": NAN, "pgd@0.1": NAN, "margin@0.1": NAN},
        ]
    )
    made = weight_explorer(frame)
    assert (made.data["weights"], made.data["epsilons"]) == ([0.0, 0.64, 64.0], [0.0, 0.1])
    assert (made.data["seeds"], made.data["finished"]) == ([2, 1, 1], [2, 1, 0])
    # two values half apart: the interval is cut at 0 and 1; a single one has none
    assert made.data["cells"]["worst"] == [
        [[0.9, 0.9, 0.9], [0.5, 0.0, 1.0]],
        [[0.8, None, None], [0.125, None, None]],
        [None, None],
    ]
    assert made.data["cells"]["pgd"][1] == [[0.8, None, None], [0.2, None, None]]
    assert made.frame["accuracy"].tolist() == pytest.approx([0.9, 0.5, 0.8, 0.125, NAN, NAN], nan_ok=True)
    axes = made.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.90", "0.50", "0.80", "0.12"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "0.64", "64"]
    assert made._repr_mimebundle_()[MIME] == made.data


def record(loss: str, used: list[int]) -> Record:
    arrays: dict[str, NDArray[np.generic]] = {"bim@0.1.used": np.array(used)}
    for metric in DETECTORS:
        arrays |= {f"normal.{metric}": np.array([3.0, 2.0, 1.0]), f"bim@0.1.{metric}": np.array([0.5, 0.0, 2.5])}
    run = Run("detection", 1, {"network": {"loss": loss}})
    return Record(run, "quick", {}, 1.0, "", {}, "", "", arrays=arrays)


def test_thresholds_get_every_pair_of_every_network() -> None:
    made = threshold_explorer([record("ce", [1, 0, 0]), record("rce", [1, 1, 1])], ("bim@0.1",))
    first, second = made.data["networks"]
    assert first["pairs"] == {}  # one pair is too few
    pairs = second["pairs"]["bim@0.1"]["k_density"]
    assert (pairs["normal"], pairs["attacked"]) == ([1.0, 2.0, 3.0], [0.0, 0.5, 2.5])
    assert pairs["auc"] == pytest.approx(7 / 9, abs=1e-6)
    assert made.data["attacks"] == {"bim@0.1": "BIM, 0.1"}
    bins, roc = (rows for _, rows in made.frame.groupby("panel", sort=False))
    assert bins.groupby("images")["share of images"].sum().to_dict() == pytest.approx({"normal": 1.0, "BIM, 0.1": 1.0})
    assert roc["panel"].iloc[0] == "ROC, AUC 0.778"
    left, right = made.figure.axes
    normal = bins[bins["images"] == "normal"]["share of images"].tolist()
    assert np.asarray(left.patches[0].get_data().values).tolist() == normal  # type: ignore[attr-defined]
    drawn = roc[["attacked images kept", "share of images"]].to_numpy().tolist()
    assert np.asarray(right.get_lines()[0].get_xydata()).tolist() == drawn
    assert right.get_lines()[0].get_label() == "AUC 0.778"
    none = threshold_explorer([record("ce", [1, 0, 0])], ("bim@0.1",))
    assert none.tables() == []
