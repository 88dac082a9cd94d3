"""The figures and tables of the chapters on related methods, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import related
from drs.study.plan import plan
from drs.study.records import Record

T = 12.706  # Student's t for two values


def captioned() -> pd.DataFrame:
    """Two seeds of every captioner: overlap 1 / steps, PRSL 0.1 above CE at one seed and 0.3 at the other."""
    rows = []
    for variant in related.CAPTIONERS:
        for seed in (1, 0):
            more = 0.0 if variant == "ce" else 0.1 + 0.2 * seed
            row = {"variant": variant, "seed": seed, "train_loss": 0.5, "caption_exact": 0.9, "scaled_penalty": 1.0}
            row |= {"false_std": 3.0, "batch_std": 2.0, "overlap_steps_10.noise": 1.0, "overlap_steps_10.zero": 1.0}
            row |= {f"overlap_steps_{s}.worst": 0.5 / s + 0.05 * seed + more for s in (1, 2, 4, 10)}
            row |= {f"overlap_steps_4.{name}": 0.25 for name in ("ce", "trained", "margin")}
            rows.append(row)
    return pd.DataFrame(rows)


def test_captions_are_drawn_with_their_difference_to_ce_of_the_same_seed() -> None:
    made = related.captions(captioned())
    parts = dict(iter(made.frame.groupby("panel")))
    assert set(parts) == {"word overlap", "word overlap, minus CE"}
    ce = parts["word overlap"][parts["word overlap"]["loss"] == "CE"]
    assert ce[["steps", "overlap"]].to_numpy().tolist() == pytest.approx(
        np.array([[1, 0.525], [2, 0.275], [4, 0.15], [10, 0.075]])
    )
    gains = parts["word overlap, minus CE"]
    assert set(gains["loss"]) == set(related.CAPTIONERS.values()) - {"CE"}
    assert gains["overlap"].tolist() == pytest.approx([0.2] * 16)
    assert (gains["to"] - gains["overlap"]).tolist() == pytest.approx([T * 0.1] * 16, abs=1e-3)
    left, right = made.figure.axes
    assert (left.get_xscale(), [tick.get_text() for tick in left.get_xticklabels()]) == ("log", ["1", "2", "4", "10"])
    assert [line.get_label() for line in left.get_lines()] == list(related.CAPTIONERS.values())
    assert right.get_title() == "word overlap, minus CE"
    table = related.captioners(captioned())
    assert table.index.tolist() == list(related.CAPTIONERS.values())
    assert table.loc["CE", "clean captions right"] == "0.900"
    assert table.columns[-1] == "seeds"
    frame = captioned()
    frame.loc[frame["variant"] == "prs-0.001", "overlap_steps_4.trained"] = [0.55, 0.45]
    assert related.own_loss(frame) == (
        "PRSL at the published weight minus CE, word overlap: +0.250 [-0.385, +0.885] under 4 steps on the loss it was "
        "trained with; +0.000 [+0.000, +0.000] under 4 steps on plain cross-entropy."
    )


def scaled() -> pd.DataFrame:
    """Two networks, without and with penalty, of two seeds: NLL 1, 2, 3 ... in the order of the arms, ECE a tenth."""
    rows = []
    for weight in (0.0, 1e-4):
        for seed in (0, 1):
            row: dict[str, object] = {"kind": "digits", "gradient_penalty": weight, "seed": seed}
            for place, arm in enumerate(related.ARMS, start=1):
                for head, factor in (("nll", 1.0), ("ece", 0.1), ("brier", 0.5), ("hits", 0.01)):
                    value = factor * place * (10.0 if weight else 1.0)
                    row |= {f"{head}.{arm}": value, f"{head}_shift.{arm}": 2 * value}
                    row |= {f"{head}_rotation.{arm}@{degrees}": value + degrees for degrees in (30, 15)}
                row[f"aupr.{arm}"] = 0.5
            rows.append(row)
    moons = {"kind": "moons", "gradient_penalty": 0.01, "seed": 0}
    for place, arm in enumerate(related.MOONS):
        moons |= {f"distance_correlation.{arm}": 0.1 * place, f"uncertainty.{arm}": 0.01 * place}
    return pd.DataFrame([*rows, moons, moons | {"seed": 1}])


def test_calibration_is_that_of_the_networks_with_penalty_from_no_angle_up() -> None:
    made = related.calibration(scaled(), arms=("plain", "interval"))
    nll = made.frame[made.frame["measure"] == "NLL"]
    assert nll[["arm", "degrees", "value"]].to_numpy().tolist() == [
        *(["plain softmax", degrees, 10.0 + degrees] for degrees in (0.0, 15.0, 30.0)),
        *(["Density-Softmax", degrees, 60.0 + degrees] for degrees in (0.0, 15.0, 30.0)),
    ]
    table = related.scaled(scaled())
    assert table.index.tolist() == ["plain softmax, no penalty", *related.ARMS.values()]
    assert table["NLL, shifted"].tolist()[:3] == ["2.000", "20.000", "40.000"]
    assert table.loc["Density-Softmax", "ECE, clean"] == "6.000"
    apart = related.shifts(scaled()).loc["plain softmax"]
    # two rotations, 10 + 15 and 10 + 30, and seven others; their mean is 20
    assert list(apart) == ["32.500", f"{(9 * 20 - 65) / 7:.3f}", "2"]


def test_moons_are_drawn_as_they_lie() -> None:
    """A grid whose uncertainty is the height alone: the picture's rows are the heights, from the lowest up."""
    run = next(run for run in plan("density", "quick") if run.spec["kind"] == "moons")
    values = np.tile(np.linspace(0.0, 0.25, 41), (61, 1)).astype(np.float32)
    arrays = {f"uncertainty.{arm}": values for arm in related.MOONS}
    arrays |= {"points": np.array([[0.5, 1.0], [2.0, -1.5]]), "classes": np.array([0, 1])}
    said = {"device": "CPU", "versions": {}, "commit": "", "utc": "2026-01-01T00:00:00"}
    record = Record(run=run, profile="quick", metrics={}, arrays=arrays, seconds=1.0, **said)  # type: ignore[arg-type]
    made = related.moons(record, scaled())
    first = made.figure.axes[0]
    [picture] = first.get_images()
    assert picture.get_array() is not None
    np.testing.assert_allclose(np.asarray(picture.get_array())[:, 0], np.linspace(0.0, 0.25, 41), rtol=1e-6)
    assert (picture.origin, list(picture.get_extent())) == ("lower", [-3.0, 3.0, -2.0, 2.0])
    assert [line.get_xydata().tolist() for line in first.get_lines()] == [[[0.5, 1.0]], [[2.0, -1.5]]]  # type: ignore[union-attr]
    assert made.frame["rank correlation with distance"].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert made.frame["uncertainty near the data"].tolist() == pytest.approx([0.0, 0.01, 0.02])


def test_verification_has_a_panel_for_each_data_set_with_every_probe() -> None:
    rows = []
    for number, data in enumerate(related.DATA):
        for seed in (0, 1):
            row: dict[str, object] = {"dataset": data, "seed": seed}
            for place, arm in enumerate(related.EMBEDDINGS, start=1):
                row |= {f"{head}.{arm}": 0.01 * place + number + 0.02 * seed for head in ("eer", "fnmr_100")}
                row |= {f"{head}.{arm}": 5.0 for head in ("fnmr_1000", "fisher", "genuine", "impostor")}
            row |= {
                f"train_loss_{end}.{loss}": 0.5 for loss in ("triplet", "srt", "pull") for end in ("before", "after")
            }
            row |= {"train_loss_after.srt": 0.25, "restrained_batches": 0.75}
            rows.append(row | ({"train_accuracy": 1.0} if data == "mnist5k" else {}))
    frame = pd.DataFrame(rows)
    made = related.verification(frame)
    assert [axes.get_title() for axes in made.figure.axes] == list(related.DATA.values())
    left = made.figure.axes[0]
    assert [tick.get_text() for tick in left.get_yticklabels()] == list(related.EMBEDDINGS.values())
    assert made.frame["EER"].tolist()[:5] == pytest.approx([0.02, 0.03, 0.04, 0.05, 0.06])
    assert made.frame["to"][0] == pytest.approx(0.02 + T * 0.01, abs=1e-4)
    assert made.frame["from"][0] == 0.0  # cut: there is no error below 0
    table = related.verified(frame, "mnist5k")
    assert list(table.loc["self-restrained"]) == ["1.050", "1.050", "5.000", "5.000", "5.000", "5.000", "2"]
    learnt = related.trainings(frame)
    assert learnt.index.tolist() == list(related.DATA.values())
    assert learnt["self-restrained, first"].tolist() == ["0.500", "0.500"]
    assert learnt["self-restrained, last"].tolist() == ["0.250", "0.250"]
    assert learnt["accuracy of what embeds digits"].tolist() == ["none", "1.000"]
