"""The figures of the correlation chapter, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import style
from drs.pages.figures.correlation import MEASURED, RESULT, at_equal_accuracy, correlation_map, scatter, scatter_losses
from drs.pages.tables import correlation_table

X = np.arange(10.0)
NETWORKS = pd.DataFrame(
    {
        "std_logits_mean": X,
        "std_logits_median": X + 1.0,
        "std_probabilities_mean": -X,
        "accuracy": np.linspace(0.8, 0.9, 10),
        "pgd@0.05": X / 10,
        "variant": ["ce", "drs", "std", "weight-6.4", "rce"] * 2,
    }
)


def test_map_writes_coefficients_and_marks_the_significant() -> None:
    table = correlation_table(NETWORKS, ["std_logits_mean", "std_logits_median"], ["pgd@0.05", "accuracy"])
    made = correlation_map(table, "r")
    assert made.frame["measure"].tolist() == ["std of false logits"] * 2 + ["std of false logits, median"] * 2
    assert made.frame["outcome"].tolist() == ["PGD-20, 0.05", "clean accuracy"] * 2
    assert made.frame["estimate"].tolist() == pytest.approx([1.0] * 4)
    assert made.tables()[0]["columns"] == ["measure", "PGD-20, 0.05", "clean accuracy"]
    axes = made.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["+1.00"] * 4
    assert {text.get_fontweight() for text in axes.texts} == {"bold"}
    assert [label.get_text() for label in axes.get_yticklabels()] == made.frame["outcome"].unique().tolist()
    assert [label.get_text() for label in axes.get_xticklabels()] == made.frame["measure"].unique().tolist()
    dots = correlation_map(table, "r", numbers=False).figure.axes[0].get_lines()
    places = [np.asarray(line.get_xydata())[0].tolist() for line in dots]
    assert places == [[0.5, 0.5], [0.5, 1.5], [1.5, 0.5], [1.5, 1.5]]
    faint = table.assign(significant=False)
    assert len(correlation_map(faint, "r", numbers=False).figure.axes[0].get_lines()) == 0


def test_a_cell_of_the_map_stands_where_its_row_and_column_say() -> None:
    cells = [("std_logits", "accuracy", 0.5), ("std_logits", "ddn_median", -0.25), ("entropy_logits", "accuracy", 0.75)]
    cells.append(("entropy_logits", "ddn_median", np.nan))
    table = pd.DataFrame(cells, columns=["measure", "outcome", "estimate"]).assign(significant=[True] + [False] * 3)
    axes = correlation_map(table, "r").figure.axes[0]
    drawn = {text.get_text(): (text.get_position(), text.get_fontweight()) for text in axes.texts}
    assert drawn == {
        "+.50": ((0.5, 0.5), "bold"),
        "-.25": ((0.5, 1.5), "normal"),
        "+.75": ((1.5, 0.5), "normal"),
    }
    mesh = np.ma.filled(axes.collections[0].get_array(), np.nan).ravel()  # type: ignore[arg-type]
    assert mesh.tolist() == pytest.approx([0.5, 0.75, -0.25, np.nan], nan_ok=True)


def test_scatter_has_every_dot_and_its_coefficient() -> None:
    made = scatter(NETWORKS, ["std_logits", "std_probabilities"], ["pgd@0.05"])
    left, right = made.figure.axes[:2]
    assert left.get_title().startswith("r = +1.00")
    assert right.get_title().startswith("r = -1.00")
    np.testing.assert_allclose(np.asarray(right.collections[0].get_offsets()), np.stack([-X, X / 10], axis=1))
    drawn = made.frame[made.frame["measure"] == "std of false probabilities"]
    assert drawn[MEASURED].tolist() == (-X).tolist()
    assert drawn[RESULT].tolist() == (X / 10).tolist()
    assert drawn["clean accuracy"].tolist() == NETWORKS["accuracy"].tolist()
    assert made.tables()[1]["caption"] == f"PGD-20, 0.05, std of false probabilities, {right.get_title()}"


def test_losses_have_their_colours_and_variants_are_grey() -> None:
    made = scatter_losses(NETWORKS, ["std_logits"], "pgd@0.05")
    drawn = {line.get_label(): line for line in made.figure.axes[0].get_lines()}
    assert {label: line.get_color() for label, line in drawn.items()} == {
        "variants": "#777777",
        "CE": style.COLOURS["ce"],
        "DRS": style.COLOURS["drs"],
        "RCE": style.COLOURS["rce"],
    }
    assert np.asarray(drawn["DRS"].get_xdata()).tolist() == [1.0, 6.0]
    assert np.asarray(drawn["variants"].get_xdata()).tolist() == [2.0, 3.0, 7.0, 8.0]
    assert made.frame["loss"].tolist() == ["CE", "DRS", "variants", "variants", "RCE"] * 2
    assert made.frame[MEASURED].tolist() == X.tolist()


def test_only_networks_of_the_densest_band_are_correlated() -> None:
    frame = NETWORKS.assign(accuracy=[0.5, 0.6, *np.linspace(0.9, 0.915, 8)])
    frame.loc[:1, "pgd@0.05"] = [9.0, 9.0]  # outside the band; with them r would fall
    made = at_equal_accuracy(frame, ["std_logits_mean"], ["pgd@0.05"])
    assert made.frame["estimate"].tolist() == pytest.approx([1.0])
    assert made.figure.axes[0].get_title() == "8 networks with clean accuracy 0.900 to 0.915"
