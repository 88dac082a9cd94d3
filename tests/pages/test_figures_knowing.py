"""The figures of attackers who know the detector, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import knowing
from drs.study.records import Record, Run

ATTACKS = ("blind", "selective", "orthogonal", "joint", "union")


def frame() -> pd.DataFrame:
    """Two seeds of RCE and one of CE; every number says by its size what it is."""
    rows = []
    for loss, seed in (("rce", 0), ("rce", 1), ("ce", 0)):
        row: dict[str, object] = {"network.loss": loss, "network.seed": seed, "accuracy": 0.9 + 0.02 * seed}
        row |= {"worst@0.03": 0.5 - 0.1 * seed, "worst@0.1": 0.0}
        for place, detector in enumerate(("confidence", "non_me", "k_density")):
            row[f"undetected.{detector}.clean"] = 0.04
            for number, attack in enumerate(ATTACKS):
                row[f"undetected.{detector}.{attack}@0.03"] = 0.1 * place + 0.02 * seed
                row[f"undetected.{detector}.{attack}@0.1"] = 0.1 * number + 0.02 * seed + 0.01 * (2 - place)
        rows.append(row)
    return pd.DataFrame(rows)


def test_every_attack_has_its_seeds_and_their_mean() -> None:
    made = knowing.by_attack(frame(), 0.1)
    assert len(made.frame) == 3 * 2 * len(ATTACKS)
    at = made.frame.set_index(["detector", "loss", "attacker"])
    assert at.loc[("non-ME", "RCE", "joint"), "seeds"] == (pytest.approx(0.31), pytest.approx(0.33))
    assert at.loc[("non-ME", "RCE", "joint"), knowing.SHARE] == pytest.approx(0.32)
    assert at.loc[("K-density", "CE", "ignores the test"), "seeds"] == (0.0,)
    axes = made.figure.axes[1]
    assert axes.get_title() == "non-ME"
    assert [label.get_text() for label in axes.get_xticklabels()] == list(knowing.ATTACKERS.values())
    dots, mean = axes.get_lines()[10 + 1 + 2 * 3 : 10 + 1 + 2 * 3 + 2]  # CE has five pairs and its key, RCE follows
    assert np.asarray(dots.get_xydata()).ravel().tolist() == pytest.approx([3.0, 0.31, 3.0, 0.33])
    assert np.asarray(mean.get_xydata()).ravel().tolist() == pytest.approx([2.92, 0.32, 3.08, 0.32])


def test_over_the_budget_each_detector_stands_next_to_none() -> None:
    made = knowing.over_budget(frame())
    at = made.frame.set_index(["detector", "loss", "epsilon"])[knowing.SHARE]
    rce = {name: [at[name, "RCE", e] for e in (0.0, 0.03, 0.1)] for name in ("no test", "confidence", "K-density")}
    assert rce["no test"] == pytest.approx([0.09, 0.55, 1.0])
    assert rce["confidence"] == pytest.approx([0.04, 0.01, 0.43])
    assert rce["K-density"] == pytest.approx([0.04, 0.21, 0.41])
    assert made.frame["from"].min() >= 0.0
    assert made.frame["to"].max() <= 1.0
    solid = made.figure.axes[2].get_lines()[1]
    assert np.asarray(solid.get_ydata()).tolist() == pytest.approx(rce["K-density"])
    assert [line.get_linestyle() for line in made.figure.axes[2].get_lines()] == ["-", "-", "--", "--"]


def test_the_sentence_names_the_best_detector_at_each_budget() -> None:
    assert knowing.said(frame()) == (
        "Behind RCE networks the test that serves best takes what an attacker gets through at 0.03 from 55% to 1% "
        "(confidence) and at 0.1 from 100% to 41% (K-density), mean over seeds."
    )


def test_each_share_has_an_interval_over_seeds_and_one_over_both() -> None:
    def record(loss: str, passed: list[bool]) -> Record:
        run = Run("adaptive", 1, {"network": {"loss": loss}, "epsilons": [0.1]})
        arrays = {f"passed.{m}@0.1": np.array(passed) for m in ("confidence", "non_me", "k_density")}
        return Record(run, "quick", {}, 1.0, "", {}, "", "", arrays=arrays)

    alike = [record("rce", [True, False] * 50) for _ in range(3)]
    found = knowing.twice([*alike, record("ce", [True] * 100)])
    assert found.index.tolist() == ["0.1"]
    assert found.loc["0.1", "non-ME"] == "0.50 [0.50, 0.50]"  # no seed differs from another
    low, high = map(float, str(found.loc["0.1", "non-ME, images too"]).strip("[]").split(", "))
    assert low == pytest.approx(0.4, abs=0.02)  # 1.96 sqrt(.25 / 100) below the mean
    assert high == pytest.approx(0.6, abs=0.02)
