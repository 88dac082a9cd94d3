"""drs.pages.figures.narrow: where panels stand on a phone, which labels they get, and that the wide figure stays."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drs.pages.figures import style
from drs.pages.figures.explorer import Explorer
from drs.pages.figures.figured import NARROW, Figured
from drs.pages.figures.narrow import COLUMN, WIDTH, narrow


def made(figure: Figure) -> Figure:
    found = narrow(figure)
    assert found is not None
    found.draw_without_rendering()
    return found


def places(figure: Figure) -> list[tuple[int, int]]:
    """Row and column of each panel, in the order in which the panels were drawn."""
    specs = [axes.get_subplotspec() for axes in figure.axes]
    return [(spec.rowspan.start, spec.colspan.start) for spec in specs if spec is not None]


def numbers(axes: Axes, side: str) -> bool:
    """Whether the numbers of an axis (``left`` or ``bottom``) are written."""
    which = axes.yaxis if side == "left" else axes.xaxis
    return bool(which.get_tick_params()[f"label{side}"])


def test_panels_stand_below_each_other_as_they_are_read_with_labels_of_their_own() -> None:
    figure, panels = style.wrapped(4)
    for axes, name in zip(panels, "abcd"):
        axes.plot([0, 1], [0, 1], label="CE")
        axes.set_title(name)
    panels[0].set_ylabel("accuracy")
    panels[2].set_ylabel("accuracy")
    for axes in panels[2:]:
        axes.set_xlabel("epsilon")
    panels[3].legend()
    found = made(figure)
    assert places(found) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert [axes.get_title() for axes in found.axes] == ["a", "b", "c", "d"]
    assert {axes.get_ylabel() for axes in found.axes} == {"accuracy"}
    assert {axes.get_xlabel() for axes in found.axes} == {"epsilon"}
    assert all(numbers(axes, side) for axes in found.axes for side in ("left", "bottom"))
    tops = [axes.get_position().y1 for axes in found.axes]
    assert tops == sorted(tops, reverse=True)
    assert found.get_figwidth() == WIDTH
    # the legend of one panel explains all: it stands above them
    [legend] = found.legends
    assert [text.get_text() for text in legend.get_texts()] == ["CE"]
    assert [axes.get_legend() for axes in found.axes] == [None] * 4
    # the wide figure is as it was
    assert figure.get_figwidth() == 7.0
    assert places(figure) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert panels[1].get_ylabel() == ""
    assert panels[3].get_legend() is not None
    assert not figure.legends


def test_what_is_drawn_below_a_picture_stays_below_it() -> None:
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    for column in figure.subplots(2, 4).T:
        column[0].imshow(np.zeros((4, 4)))
        column[1].bar([0, 1], [0.5, 0.5])
    # two of four columns fit side by side; pictures are the odd rows; panels were made row by row
    assert places(made(figure)) == [(0, 0), (0, 1), (2, 0), (2, 1), (1, 0), (1, 1), (3, 0), (3, 1)]


def test_small_pictures_stay_side_by_side_and_those_with_axes_do_not() -> None:
    figure = Figure(figsize=(7, 2.5), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes in panels:
        axes.imshow(np.zeros((4, 4)))
        axes.set(xticks=[], yticks=[])
    assert places(made(figure)) == [(0, 0), (0, 1), (0, 2)]
    panels[0].set_xticks([0, 1])
    assert places(made(figure)) == [(0, 0), (1, 0), (2, 0)]


def test_a_legend_gets_as_many_columns_as_fit_and_one_that_explains_its_panel_alone_stays() -> None:
    figure = Figure(figsize=(7, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ("adversarial training", "confidence penalty", "label smoothing", "logit squeezing"):
        left.plot([0, 1], label=name)
    left.legend()
    right.plot([0, 1])
    found = made(figure)
    assert not found.legends
    assert found.axes[0].get_legend() is not None
    left.get_legend().remove()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    [legend] = made(figure).legends
    assert len(legend.get_texts()) == 4
    assert legend.get_window_extent().width / 100 <= WIDTH
    assert legend.get_window_extent().y0 > made(figure).axes[0].get_window_extent().y1


def test_a_figure_that_fits_and_one_that_moves_have_no_second_picture() -> None:
    one = Figure(figsize=(7, 3), layout="constrained")
    one.subplots().plot([0, 1])
    column = Figure(figsize=(7, 6), layout="constrained")
    for axes in column.subplots(2, 1):
        axes.plot([0, 1])
    assert narrow(one) is None
    assert narrow(column) is None
    wide = Figure(figsize=(COLUMN, 3), layout="constrained")
    for axes in wide.subplots(1, 2):
        axes.plot([0, 1])
    frame = pd.DataFrame({"x": [1.0], "y": [2.0]})
    kept = Figured(figure=wide, frame=frame, places=("x",))._repr_mimebundle_()
    width = re.search(r'width="([\d.]+)pt"', kept[NARROW])
    assert width is not None
    assert float(width[1]) / 72 == pytest.approx(WIDTH + 0.1, abs=0.15)
    assert NARROW not in Explorer(figure=wide, frame=frame, places=("x",))._repr_mimebundle_()
