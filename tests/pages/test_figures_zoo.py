"""The matrix of the zoo, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drs.pages.figures import zoo

NAMES = ("zero gradients", "black box wins", "randomised")


def frame() -> pd.DataFrame:
    """Rounding fires its alarm on both seeds and another on one; nothing was asked about randomness."""
    rows = [("CE network", 0.0, 0.0), ("CE network", 0.0, 0.0), ("rounding", 1.0, 1.0), ("rounding", 1.0, 0.0)]
    return pd.DataFrame(rows, columns=["subject", "alarm.zero_gradients", "alarm.black_box_wins"])


def test_a_share_is_the_mean_over_the_seeds_and_what_was_not_asked_has_none() -> None:
    assert zoo.heard(frame(), NAMES).to_dict("list") == {
        "subject": ["CE network", "CE network", "rounding", "rounding"],
        "alarm": ["zero gradients", "black box wins"] * 2,
        "share": [0.0, 0.0, 1.0, 0.5],
    }
    unasked = frame().assign(**{"alarm.randomised": [np.nan, np.nan, 1.0, 1.0]})
    shown = zoo.heard(unasked, NAMES)
    assert shown[shown["alarm"] == "randomised"].to_dict("list") == {
        "subject": ["rounding"],
        "alarm": ["randomised"],
        "share": [1.0],
    }


def test_squares_stand_where_alarms_fired_and_frames_where_they_name_the_cause() -> None:
    made = zoo.matrix(frame(), NAMES, {"rounding": ("zero gradients",)})
    axes = made.figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(NAMES[:2])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CE network", "rounding"]
    first, second, around = axes.collections
    assert np.asarray(first.get_offsets()).tolist() == [[0.0, 1.0]]
    assert np.asarray(second.get_offsets()).tolist() == [[1.0, 1.0]]
    sizes = [float(one.get_sizes()[0]) for one in (first, second)]  # type: ignore[attr-defined]
    assert sizes[1] == sizes[0] / 2
    assert np.asarray(around.get_offsets()).tolist() == [[0.0, 1.0]]
    assert len(np.asarray(around.get_facecolor())) == 0
    unmeasured = zoo.matrix(frame(), NAMES, {"rounding": ("randomised",)}).figure.axes[0]
    assert [label.get_text() for label in unmeasured.get_xticklabels()] == list(NAMES)
    assert np.asarray(unmeasured.collections[-1].get_offsets()).tolist() == [[2.0, 1.0]]
    [shown] = made.tables()
    assert shown["columns"] == ["subject", "zero gradients", "black box wins"]
    assert shown["rows"] == [["CE network", "0", "0"], ["rounding", "1", "0.5"]]


def test_misses_are_named_with_the_share_of_the_seeds_that_heard_them() -> None:
    assert zoo.misses(frame(), NAMES, {"rounding": ("zero gradients",)}) == (
        "In the figure 1 of 1 broken subjects raise every alarm that names their cause, at every seed."
    )
    causes: dict[str, tuple[str, ...]] = {"rounding": ("black box wins", "randomised"), "CE network": ()}
    assert zoo.misses(frame(), NAMES, causes) == (
        "In the figure 0 of 1 broken subjects raise every alarm that names their cause, at every seed. The rest: "
        "rounding (black box wins at 50% of the seeds, randomised at 0% of the seeds)."
    )
