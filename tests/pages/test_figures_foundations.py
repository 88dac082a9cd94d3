"""The figures of the first chapters draw the numbers that a reader computes by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from drs.pages.figures import foundations


def test_the_gradient_is_the_softmax_less_one_for_the_true_class() -> None:
    made = foundations.softmax_and_gradient([0.5, 0.3, 0.2], 0)
    assert made.frame["gradient"].tolist() == pytest.approx([-0.5, 0.3, 0.2])
    heights = [bar.get_height() for bar in made.figure.axes[1].patches if isinstance(bar, Rectangle)]
    assert heights == pytest.approx([-0.5, 0.3, 0.2])


def test_the_best_point_of_the_square_is_its_corner_and_of_the_disc_along_the_gradient() -> None:
    made = foundations.balls((3.0, -4.0), epsilon=0.5)
    rows = made.frame.set_index("ball").to_numpy(float)
    assert list(made.frame["ball"]) == ["L-infinity", "L2"]
    assert rows[0] == pytest.approx([0.5, -0.5, 3.5])  # 0.5 * (3 + 4)
    assert rows[1] == pytest.approx([0.3, -0.4, 2.5])  # 0.5 * 5


def test_six_scores_give_the_area_that_pairs_give() -> None:
    made = foundations.roc_by_hand([0.9, 0.7, 0.4], [0.8, 0.3, 0.1])
    assert made.figure.axes[1].get_title() == "area 0.778"  # 7 of 9 pairs
    assert len(made.frame) == 6


def test_a_kernel_density_is_the_mean_of_its_bumps() -> None:
    made = foundations.kernels([0.0, 2.0], (1.0, 4.0))
    at = made.frame.set_index(["bandwidth", "feature"])["density"]
    assert at[1.0, -2.0] == pytest.approx((2.718281828**-4 + 2.718281828**-16) / 2, abs=1e-4)


def test_pictures_and_curves_keep_what_they_show() -> None:
    made = foundations.pictures({"image": [[0.0, 1.0]], "change": [[-0.5, 0.5]]}, {"image": "says 4", "change": ""})
    assert made.frame["label"].tolist() == ["says 4", ""]
    assert [axes.images[0].get_clim() for axes in made.figure.axes] == [(0.0, 1.0), (-1.0, 1.0)]
    rows = [
        {"network": "one", "attack": attack, "epsilon": e, "accuracy": 1 - e} for attack in "ab" for e in (0.0, 0.1)
    ]
    drawn = foundations.curves(pd.DataFrame(rows)).figure.axes[0].lines
    assert [np.asarray(line.get_ydata()).tolist() for line in drawn] == [[1.0, 0.9], [1.0, 0.9]]


def test_the_band_lies_between_the_certified_and_the_attacked_accuracy() -> None:
    frame = pd.DataFrame({"epsilon": [0.01, 0.02], "certified": [0.5, 0.25], "attacked": [0.75, 0.5]})
    made = foundations.between(frame)
    axes = made.figure.axes[0]
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[0.75, 0.5], [0.5, 0.25]]
    corners = np.asarray(axes.collections[0].get_paths()[0].vertices)
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.25, 0.75)
    [shown] = made.tables()
    assert shown["columns"] == ["epsilon", "certified", "attacked"]
