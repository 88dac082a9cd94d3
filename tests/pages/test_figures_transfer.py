"""The maps of substitutes and targets, on a frame made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from drs.pages.figures import transfer

NAN = float("nan")
# Two seeds for CE, one for RCE; the networks of another architecture do not count. A difference of 0.02 between two
# seeds has an interval of t(1, 0.975) = 12.706 times 0.01 on each side.
FRAME = pd.DataFrame(
    {
        "network.model": ["small_conv", "small_conv", "small_conv", "resnet"],
        "network.loss": ["ce", "ce", "rce", "ce"],
        "transfer.ce": [0.50, 0.54, 0.40, 0.0],
        "transfer_clean.ce": [0.10, 0.12, 0.10, 1.0],
        "transfer_auc.ce": [0.90, 0.92, 0.70, 0.0],
        "transfer.rce": [0.05, 0.05, 0.30, 0.0],
        "transfer_clean.rce": [0.10, 0.10, 0.10, 1.0],
        "transfer_auc.rce": [NAN, NAN, 0.80, 0.0],
    }
)


def test_pairs_are_errors_beyond_those_on_clean_images_and_areas() -> None:
    found = transfer.pairs(FRAME)
    assert found.drop(columns=["mean", "from", "to"]).to_numpy().tolist() == [
        [transfer.EXTRA, "CE", "CE"],
        [transfer.AREA, "CE", "CE"],
        [transfer.EXTRA, "CE", "RCE"],
        [transfer.EXTRA, "RCE", "CE"],
        [transfer.AREA, "RCE", "CE"],
        [transfer.EXTRA, "RCE", "RCE"],
        [transfer.AREA, "RCE", "RCE"],
    ]
    assert found["mean"].tolist() == pytest.approx([0.41, 0.91, -0.05, 0.3, 0.7, 0.2, 0.8])
    assert found["from"].tolist()[:3] == pytest.approx([0.28294, 0.78294, -0.05], abs=1e-5)
    assert found["to"].tolist()[:3] == pytest.approx([0.53706, 1.0, -0.05], abs=1e-5)  # an area is at most 1
    assert found["from"].tolist()[3:] == pytest.approx([NAN] * 4, nan_ok=True)  # one seed has no interval


def test_the_maps_have_substitutes_down_targets_across_and_their_intervals() -> None:
    made = transfer.transferred(FRAME)
    left, right = made.figure.axes
    assert (left.get_title(), right.get_title()) == (transfer.EXTRA, transfer.AREA)
    assert [label.get_text() for label in left.get_yticklabels()] == ["CE", "RCE", "DRS"]
    values: NDArray[np.float64] = np.ma.filled(np.ma.asarray(left.collections[0].get_array()), NAN).reshape(3, 3)
    np.testing.assert_allclose(values, [[0.41, -0.05, NAN], [0.30, 0.20, NAN], [NAN, NAN, NAN]], atol=1e-9)
    texts = {text.get_position(): text.get_text() for text in left.texts}
    assert texts[(0.5, 0.5)] == "+0.41\n[0.28, 0.54]"
    assert texts[(0.5, 1.5)] == "+0.30"  # one seed has no interval
    assert texts[(1.5, 0.5)] == "-0.05\n[-0.05, -0.05]"
    assert [text.get_text() for text in right.texts] == ["0.91\n[0.78, 1.00]", "0.70", "0.80"]
    assert left.yaxis_inverted()  # the first substitute stands on top
    assert all(float(text.get_fontsize()) >= 7.0 for text in left.texts)  # 7 in are 672 px of the page
    assert made.figure.get_size_inches()[0] == 7.0
    assert [table["caption"] for table in made.tables()] == [
        f"{name}: mean" for name in (transfer.EXTRA, transfer.AREA)
    ]
    assert made.tables()[0]["rows"][1][:2] == ["RCE", "0.3"]


def test_the_reading_names_the_pairs() -> None:
    assert transfer.said(FRAME) == (
        "Most transfers from CE to CE (+0.41), least from CE to RCE (-0.05). Pairs whose whole interval lies above "
        "zero: CE to CE. K-density finds the examples best from CE to CE, with an AUC of 0.91."
    )
    nothing = FRAME.assign(**{"transfer.ce": FRAME["transfer_clean.ce"] - 0.001})
    assert "(+0.20), least from CE to RCE (-0.05). Pairs whose whole interval lies above zero: none." in (
        transfer.said(nothing)
    )
    assert transfer.transferred(nothing).figure.axes[0].texts[0].get_text() == "+0.00\n[0.00, 0.00]"  # and not -0.00
    unmeasured = FRAME[["network.model", "network.loss"]]
    assert transfer.said(unmeasured) == "No pair was measured."
