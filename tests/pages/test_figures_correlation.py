"""The figures of the correlation chapter and of the ablations, on frames made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drs.pages.figures import style
from drs.pages.figures.correlation import correlation_map, scatter, scatter_losses
from drs.pages.figures.drs_paper import ABLATIONS, ablations
from drs.pages.tables import correlation_table
from drs.study.experiments.networks import variants

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
    axes = correlation_map(table, "r").axes[0]
    assert [text.get_text() for text in axes.texts] == ["+1.00"] * 4
    assert {text.get_fontweight() for text in axes.texts} == {"bold"}
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "std of false logits",
        "std of false logits, median",
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["PGD-20, 0.05", "clean accuracy"]
    dots = correlation_map(table, "r", numbers=False).axes[0].get_lines()
    places = [np.asarray(line.get_xydata())[0].tolist() for line in dots]
    assert places == [[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]
    faint = table.assign(significant=False)
    assert len(correlation_map(faint, "r", numbers=False).axes[0].get_lines()) == 0


def test_scatter_has_every_dot_and_its_coefficient() -> None:
    figure = scatter(NETWORKS, ["std_logits", "std_probabilities"], ["pgd@0.05"])
    left, right = figure.axes[:2]
    assert left.get_title().startswith("r = +1.00")
    assert right.get_title().startswith("r = -1.00")
    np.testing.assert_allclose(np.asarray(right.collections[0].get_offsets()), np.stack([-X, X / 10], axis=1))


def test_losses_have_their_colours_and_variants_are_grey() -> None:
    axes = scatter_losses(NETWORKS, ["std_logits"], "pgd@0.05").axes[0]
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert {label: line.get_color() for label, line in drawn.items()} == {
        "variants": "#777777",
        "CE": style.COLOURS["ce"],
        "DRS": style.COLOURS["drs"],
        "RCE": style.COLOURS["rce"],
    }
    assert np.asarray(drawn["DRS"].get_xdata()).tolist() == [1.0, 6.0]
    assert np.asarray(drawn["variants"].get_xdata()).tolist() == [2.0, 3.0, 7.0, 8.0]


def test_every_variant_of_the_experiment_is_in_one_of_the_groups() -> None:
    assert {name for names in ABLATIONS.values() for name in names} == set(variants())


def test_ablations_draw_mean_interval_and_seeds() -> None:
    rows = [("ce", 0.1), ("ce", 0.3), ("drs", 0.5), ("std", np.nan)]
    frame = pd.DataFrame(rows, columns=["variant", "worst_area"])
    figure = ablations(frame, {"losses": ("ce", "drs", "rce"), "form": ("std",)})
    (axes,) = figure.axes  # the other group was not run
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CE", "DRS"]
    lines = [np.asarray(line.get_xdata(), dtype=float) for line in axes.get_lines()]
    references, interval, seeds, mean = lines[:2], lines[2], lines[3], lines[4]
    assert [reference[0] for reference in references] == pytest.approx([0.2, 0.5])
    # two values: mean 0.2, t(1, 0.975) = 12.706 times 0.1
    assert interval == pytest.approx([0.2 - 1.2706, 0.2 + 1.2706], abs=1e-3)
    assert list(seeds) == [0.1, 0.3]
    assert mean == pytest.approx([0.2])
    assert len(lines) == 7  # a single seed has no interval
