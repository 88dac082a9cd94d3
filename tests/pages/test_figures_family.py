"""The figures and tables of the family, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import family, style

VALUES = {
    **{name: 0.9 - 0.1 * place for place, name in enumerate(family.LADDER)},
    "relative_spread_median": 0.5,
    "fgsm@0.2": 0.4,
    "ce@0.2": 0.1,
}
COSTLY = ("true_logit_runs_9", "target_logit@0.05", "targeted@0.05")


def network(variant: str, seed: int, shift: float = 0.0, **more: object) -> dict[str, object]:
    """One network; every accuracy is moved by ``shift``. Others than MMC have no accuracy under the costly attacks."""
    values = {name: value + shift for name, value in VALUES.items() if variant == "mmc" or name not in COSTLY}
    return {"variant": variant, "network.seed": seed, **values, **more}


def test_the_ladder_has_every_attack_of_mmc_and_those_of_ce_that_were_measured() -> None:
    frame = pd.DataFrame([network("ce", 0), network("mmc", 0), network("mmc", 1, 0.02), network("drs", 0, 0.5)])
    made = family.ladder(frame)
    mmc, ce = (made.frame[made.frame["loss"] == loss] for loss in ("MMC", "CE"))
    assert mmc["attack"].tolist() == list(family.LADDER.values())
    assert mmc["accuracy"].tolist() == pytest.approx([0.91 - 0.1 * place for place in range(9)])
    assert mmc["seeds"].tolist()[0] == "0.90, 0.92"
    # t(1, 0.975) = 12.706 times 0.01, cut at 0
    assert mmc["from"].tolist()[:2] == pytest.approx([0.91 - 0.12706, 0.81 - 0.12706], abs=1e-4)
    assert mmc["from"].tolist()[-1] == 0.0
    assert len(ce) == 6
    assert ce["from"].isna().all()
    axes = made.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(reversed(family.LADDER.values()))
    means = next(line for line in axes.get_lines() if line.get_label() == "MMC")
    assert np.asarray(means.get_xdata()).tolist() == pytest.approx(mmc["accuracy"].tolist())
    assert np.asarray(means.get_ydata()).tolist() == pytest.approx([8.1 - place for place in range(9)])
    assert means.get_color() == style.COLOURS["mmc"]


def test_centres_show_cross_entropy_and_the_worst_case() -> None:
    rows = [network("mmc", 0), network("mmc-1", 0, -0.1), network("mmc-random", 0), network("ce", 0)]
    made = family.centres(pd.DataFrame(rows))
    assert made.frame["centres"].tolist() == ["norm 1"] * 2 + ["norm 10"] * 2 + ["norm 10, random"] * 2
    assert made.frame["accuracy"].tolist() == pytest.approx([0.8, 0.0, 0.9, 0.1, 0.9, 0.1])
    hollow, filled = (line for line in made.figure.axes[0].get_lines() if line.get_label() in set(made.frame["attack"]))
    assert np.asarray(hollow.get_xdata()).tolist() == pytest.approx([0.8, 0.9, 0.9])
    assert np.asarray(filled.get_ydata()).tolist() == [0, 1, 2]


def test_places_are_those_of_the_spread_and_the_worst_case() -> None:
    rows = [network("ce", 0), network("ce", 1), network("gce", 0, 0.1)]
    frame = pd.DataFrame(rows).assign(relative_spread_median=[0.1, 0.4, 0.03])
    made = family.places(frame)
    assert made.frame["loss"].tolist() == ["CE", "GCE"]
    assert made.frame["relative spread"].tolist() == pytest.approx([0.2, 0.03])  # the geometric mean of 0.1 and 0.4
    assert made.frame["worst case"].tolist() == pytest.approx([0.1, 0.2])
    assert made.frame["cross-entropy alone"].tolist() == pytest.approx([0.9, 1.0])
    axes = made.figure.axes[0]
    assert axes.get_xscale() == "log"
    labelled = {line.get_label(): line for line in axes.get_lines()}
    assert np.asarray(labelled["GCE"].get_xydata()).ravel().tolist() == pytest.approx([0.03, 0.2])


def test_names_of_members_and_centres() -> None:
    frame = pd.DataFrame([network("mmc-random", 0), network("mmc", 0), network("std", 0)])
    found = family.named(frame, ("std", "mmc", "mmc-random", "mmc-1"))
    assert found["variant"].tolist() == ["STD", "MMC", "MMC, norm 10, random"]


def test_what_was_chosen_and_what_was_tried() -> None:
    tried = {"validation@0.16": 0.25, "validation@0.64": 0.5}
    row = network("drs", 2, tried=[0.16, 0.64], option="weight", tuned=0.64) | tried
    table = family.chosen(pd.DataFrame([row, network("ce", 0)]))
    assert table.index.tolist() == ["DRS, seed 2"]
    assert table.to_numpy().tolist() == [["weight", "0.64", "0.16: 0.25, 0.64: 0.50"]]


def test_published_numbers_stand_next_to_ours_at_the_same_budget() -> None:
    frame = pd.DataFrame([network("ce", 0), network("gce", 0, 0.1), network("gce", 1, 0.12)])
    table = family.against_published(frame).reset_index()
    assert table[["attack", "loss", "published", "checked"]].to_numpy().tolist() == [
        ["FGSM, 0.2", "CE", "38.88", "no"],
        ["FGSM, 0.2", "GCE", "62.74", "no"],
        ["PGD, 0.2", "CE", "1.58", "no"],
        ["PGD, 0.2", "GCE", "9.55", "no"],
    ]
    assert table["ours"].tolist() == ["40.0", "51.0 [38.3, 63.7]", "10.0", "21.0 [8.3, 33.7]"]
