"""drs.pages.figures.numbers: the table of a figure holds what the figure draws, value by value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from drs.pages.figures import drs_paper, numbers, style

NAN = float("nan")


def only(figure: Figure) -> numbers.Table:
    [table] = numbers.tables(figure)
    return table


def test_lines_take_their_bands_by_colour() -> None:
    figure = Figure()
    axes = figure.subplots()
    for name, colour, shift in (("CE", "#0072B2", 0.0), ("DRS", "#D55E00", 0.1)):
        x, y = np.array([0.0, 0.05]), np.array([0.5, 0.25]) + shift
        axes.plot(x, y, color=colour, label=name)
        axes.fill_between(x, y - 0.125, y + 0.25, color=colour, alpha=0.2, linewidth=0)
    axes.set(title="PGD-20", xlabel="epsilon", ylabel="accuracy")
    assert only(figure) == {
        "caption": "PGD-20: accuracy against epsilon",
        "columns": ["epsilon", "CE", "CE, from", "CE, to", "DRS", "DRS, from", "DRS, to"],
        "rows": [
            ["0", "0.5", "0.375", "0.75", "0.6", "0.475", "0.85"],
            ["0.05", "0.25", "0.125", "0.5", "0.35", "0.225", "0.6"],
        ],
    }


def test_a_line_that_stops_early_leaves_its_cells_empty() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [4, 5, NAN], label="a")
    axes.plot([2], [6], label="b")
    axes.axhline(5.5)
    assert only(figure)["rows"] == [["1", "4", ""], ["2", "5", "6"], ["3", "", ""]]


def test_bars_side_by_side_share_the_word_below_them_and_take_their_bars_of_uncertainty() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.bar([-0.2, 0.8], [1, 1], 0.3, label="CE")
    axes.bar([0.2, 1.2], [2, 3], 0.3, label="DRS")
    axes.errorbar([0.2, 1.2], [2, 3], np.array([[0.5, 0.5], [1, 2]]), fmt="none", capsize=2)
    axes.set_xticks([0, 1], ["small\nnet", "large"])
    table = only(figure)
    assert table["columns"] == ["", "CE", "DRS", "DRS, from", "DRS, to"]
    assert table["rows"] == [["small net", "1", "2", "1.5", "3"], ["large", "1", "3", "2.5", "5"]]


def test_words_on_the_upright_axis_turn_the_table() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2, sharey=True)
    for axes in (left, right):
        axes.plot([0.9, 0.8], [1, 0], "o", color="#0072B2", label="CE")
        axes.plot([0.85, 0.95, NAN, 0.7, 0.875, NAN], [1, 1, 1, 0, 0, 0], color="#0072B2")
        axes.axhline(0.5)
    left.set_yticks([1, 0], ["FGSM", "PGD"])
    for table in numbers.tables(figure):
        assert table["columns"] == ["", "CE", "CE, from", "CE, to"]
        assert table["rows"] == [["FGSM", "0.9", "0.85", "0.95"], ["PGD", "0.8", "0.7", "0.875"]]


def test_several_dots_at_one_word_share_a_cell_and_a_level_line_is_their_mean() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0.1, 0.1], [0.25, 0.75], ".", color="#0072B2")
    axes.plot([0.02, 0.18], [0.5, 0.5], color="#0072B2")
    axes.plot([], [], color="#0072B2", label="CE")
    axes.set_xticks([0], ["BIM"])
    assert only(figure) == {
        "caption": "panel 1",
        "columns": ["", "CE", "CE, mean"],
        "rows": [["BIM", "0.25, 0.75", "0.5"]],
    }


def test_a_heat_map_is_its_matrix_and_its_colour_bar_is_nothing() -> None:
    figure = Figure()
    axes = figure.subplots()
    mesh = axes.pcolormesh(np.array([[0.1, -0.25], [NAN, 1.0]]))
    axes.set_xticks([0.5, 1.5], ["FGSM", "PGD"])
    axes.set_yticks([0.5, 1.5], ["std", "entropy"])
    figure.colorbar(mesh, ax=axes)
    table = only(figure)
    assert table["columns"] == ["", "FGSM", "PGD"]
    assert table["rows"] == [["std", "0.1", "-0.25"], ["entropy", "", "1"]]


def test_a_histogram_is_a_row_a_bin() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.stairs([0.25, 0.75], [0.0, 0.5, 1.0], label="normal")
    axes.stairs([1.0, 0.0], [0.0, 0.5, 1.0], label="BIM")
    assert only(figure)["columns"] == ["bin", "normal", "BIM"]
    assert only(figure)["rows"] == [["0 to 0.5", "0.25", "1"], ["0.5 to 1", "0.75", "0"]]


def test_dots_are_numbered_and_a_long_table_says_what_it_leaves_out() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.scatter([0.5, 0.5], [1, 2], c=[7, 8])
    axes.set(xlabel="spread", ylabel="accuracy")
    assert only(figure)["columns"] == ["number", "spread", "accuracy", "colour"]
    assert only(figure)["rows"] == [["1", "0.5", "1", "7"], ["2", "0.5", "2", "8"]]
    axes.clear()
    axes.scatter(np.arange(61), np.arange(61))
    assert len(only(figure)["rows"]) == 60
    assert only(figure)["caption"] == "panel 1 (the first 60 of 61; all are in the records)"


def test_a_picture_draws_no_numbers() -> None:
    figure = Figure()
    figure.subplots().imshow(np.eye(3))
    assert numbers.tables(figure) == []


def test_a_figure_of_a_chapter_gives_back_the_records_it_was_drawn_from() -> None:
    style.apply()
    rows = [
        {"variant": "ce", "worst@0": 0.9 + seed / 100, "pgd@0.05": 0.5 - seed / 10, "worst@0.05": 0.4}
        for seed in (0, 1)
    ]
    first, second = numbers.tables(drs_paper.curve(pd.DataFrame(rows), ("ce",), ("pgd", "worst")))
    assert first["caption"] == "PGD-20: accuracy against epsilon"
    assert second["caption"] == "worst case: accuracy against epsilon"
    assert [row[:2] for row in first["rows"]] == [["0", "0.905"], ["0.05", "0.45"]]
    assert second["rows"][1] == ["0.05", "0.4", "0.4", "0.4"]


@pytest.mark.parametrize(("value", "shown"), [(0.123456, "0.1235"), (12345.6, "1.235e+04"), (NAN, ""), (0.0, "0")])
def test_four_digits(value: float, shown: str) -> None:
    assert numbers.text(value) == shown


def test_a_band_of_nothing_but_nan_is_no_interval() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0.0, 0.1], [1.0, 0.5], label="CE")
    axes.fill_between([0.0, 0.1], [np.nan, np.nan], [np.nan, np.nan])
    assert len(numbers.tables(figure)[0]["rows"]) == 2
