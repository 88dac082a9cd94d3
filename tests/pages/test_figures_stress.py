"""The figures of the chapters on cost and stronger attacks, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from drs.pages.figures import stress, style

NAN = float("nan")


def attacked(variant: str, shift: float) -> dict[str, object]:
    """One network: under attack i of the list, at budget b, its accuracy is (i + 10 b) / 20 + shift."""
    accuracies = {
        f"{name}@{budget}": (place + 10 * budget) / 20 + shift
        for place, name in enumerate(stress.ATTACKS)
        for budget in (0.1, 0.05)
    }
    return {"variant": variant, **accuracies}


def test_every_attack_is_drawn_at_its_place_with_its_interval() -> None:
    frame = pd.DataFrame([attacked("ce", 0.0), attacked("ce", 0.02), attacked("drs", 0.1)])
    assert stress.budgets_of(frame) == [0.05, 0.1]
    made = stress.every_attack(frame, tuple(stress.ATTACKS))
    panel = made.frame[(made.frame["budget"] == "epsilon 0.1") & (made.frame["loss"] == "CE")]
    assert panel["attack"].tolist() == list(stress.ATTACKS.values())
    means = [(place + 1) / 20 + 0.01 for place in range(len(stress.ATTACKS))]
    assert panel["accuracy"].tolist() == pytest.approx(means)
    # two values 0.02 apart: t(1, 0.975) = 12.706 times 0.01
    assert (panel["to"] - panel["accuracy"]).tolist() == pytest.approx([0.12706] * len(panel), abs=1e-4)
    assert made.frame.loc[made.frame["loss"] == "DRS", "from"].isna().all()
    axes = made.figure.axes[1]
    assert [one.get_title() for one in made.figure.axes] == ["epsilon 0.05", "epsilon 0.1"]
    dots, broken, single = axes.get_lines()[:3]
    assert np.asarray(dots.get_xdata()).tolist() == pytest.approx(means)
    np.testing.assert_allclose(np.diff(np.asarray(dots.get_ydata())), -1.0)
    ends = np.asarray(broken.get_xdata(), float).reshape(-1, 3)
    assert ends[:, :2].ravel().tolist() == pytest.approx(panel[["from", "to"]].to_numpy().ravel().tolist())
    assert np.isnan(ends[:, 2]).all()
    assert (single.get_label(), single.get_color()) == ("DRS", style.COLOURS["drs"])  # one seed: no interval


def test_the_figure_shows_the_telling_attacks_and_the_table_all_of_them() -> None:
    frame = pd.DataFrame([attacked("ce", 0.0), attacked("ce", 0.02), attacked("drs", 0.1)])
    made = stress.every_attack(frame)
    assert list(made.frame["attack"].unique()) == [stress.ATTACKS[name] for name in stress.TELLING]
    assert [label.get_text() for label in made.figure.axes[0].get_yticklabels()][-1] == "worst of all"
    assert made.figure.get_size_inches()[0] <= 7.0
    table = stress.under_each(frame, 0.1)
    assert list(table.index) == list(stress.ATTACKS.values())
    assert list(table.columns) == ["CE", "DRS"]
    assert list(table.loc["FGSM"]) == ["0.06 [0.00, 0.19]", "0.15"]  # 0.06 less 0.127 is no accuracy
    assert table.loc["worst of all", "CE"] == "0.56 [0.43, 0.69]"


def test_convergence_and_temperature_are_drawn_against_the_numbers_in_the_names() -> None:
    columns = {"ce_steps_10": 0.5, "ce_steps_5": 0.6, "margin_steps_5": 0.4, "margin_restarts_2": 0.3}
    frame = pd.DataFrame([{"variant": "ce"} | columns, {"variant": "drs"} | dict.fromkeys(columns, 0.9)])
    made = stress.convergence(frame)
    first = made.frame[(made.frame["panel"] == "steps, cross-entropy") & (made.frame["loss"] == "CE")]
    assert first[["number", "accuracy"]].to_numpy().tolist() == [[5.0, 0.6], [10.0, 0.5]]
    left, middle, right = made.figure.axes
    assert [label.get_text() for label in left.get_xticklabels()] == ["5", "10"]
    assert left.get_lines()[0].get_xydata().tolist() == [[5.0, 0.6], [10.0, 0.5]]  # type: ignore[union-attr]
    assert middle.get_lines()[0].get_xydata().tolist() == [[5.0, 0.4]]  # type: ignore[union-attr]
    assert right.get_lines()[1].get_xydata().tolist() == [[2.0, 0.9]]  # type: ignore[union-attr]
    swept = pd.DataFrame({"variant": ["ce", "drs"], "temperature_10": [0.1, 0.2], "temperature_1": [0.3, 0.4]})
    made = stress.temperature(swept)
    assert made.frame["accuracy"].tolist() == [0.3, 0.1, 0.4, 0.2]
    assert np.asarray(made.figure.axes[0].get_lines()[1].get_ydata()).tolist() == [0.4, 0.2]


def heights(axes: Axes) -> list[list[float]]:
    """Of the bars of each contender."""
    return [[bar.get_height() for bar in bars] for bars in axes.containers if isinstance(bars, BarContainer)]


def timed(kind: str, **row: object) -> dict[str, object]:
    ratio = {"drs_ratio": 1.5, "drs_ratio_low": 1.25, "drs_ratio_high": 2.0}
    return {"kind": kind, **ratio, **row}


COSTS = pd.DataFrame(
    [
        timed("loss", batch=128, tokens=1, classes=10, naive_ratio=8.0, naive_ratio_low=6.0, naive_ratio_high=9.0),
        timed("loss", batch=8, tokens=2, classes=32000, naive_ratio=NAN, naive_ratio_low=NAN, naive_ratio_high=NAN),
        timed("training", model="small_conv"),
    ]
)


def test_cost_draws_a_bar_per_contender_and_leaves_out_what_was_not_timed() -> None:
    made = stress.cost(COSTS)
    assert made.frame["work"].unique().tolist() == ["(128, 10)", "(8, 2, 32000)", "SmallConvNet step"]
    loop = made.frame[made.frame["contender"] == "loop over samples"]
    drawn = loop[["time, cross-entropy = 1", "from", "to"]].to_numpy().ravel().tolist()
    assert drawn == pytest.approx([8.0, 6.0, 9.0, NAN, NAN, NAN], nan_ok=True)
    left, right = made.figure.axes
    assert [heights(axes) for axes in (left, right)] == [
        [[1, 1], [1.5, 1.5], [8, pytest.approx(NAN, nan_ok=True)]],
        [[1.0], [1.5]],
    ]
    assert [text.get_text() for text in left.texts] == ["1.5", "1.5", "8"]
    bars = left.containers[2].lines[2][0].get_segments()  # type: ignore[attr-defined]
    assert [segment[:, 1].tolist() for segment in bars] == [[1.25, 2.0], [1.25, 2.0]]
    assert [table["rows"][0] for table in made.tables()] == [
        ["(128, 10)", "1", "1.5", "1.25", "2", "8", "6", "9"],
        ["SmallConvNet step", "1", "1.5", "1.25", "2"],
    ]
