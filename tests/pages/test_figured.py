"""drs.pages.figures.figured: the tables of a frame, panel by panel, and what a notebook keeps."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from drs.pages.figures.figured import MIME, Figured, Table, interval

NAN = float("nan")


def figured(rows: list[dict[str, Any]], **layout: tuple[str, ...]) -> Figured:
    return Figured(figure=Figure(), frame=pd.DataFrame(rows), **layout)


def only(made: Figured) -> Table:
    [table] = made.tables()
    return table


def test_interval_is_students_and_is_cut() -> None:
    # two values: mean 0.95, t(1, 0.975) = 12.706 times 0.05
    found = interval("accuracy", [0.9, 1.0], high=1.0)
    assert found == {"accuracy": pytest.approx(0.95), "from": pytest.approx(0.95 - 0.6353, abs=1e-4), "to": 1.0}
    assert interval("accuracy", [0.5, 0.6], low=0.4)["from"] == 0.4
    single = interval("accuracy", [0.5], low=0.0, high=1.0)
    assert single["accuracy"] == 0.5
    assert single["from"] != single["from"]
    assert single["to"] != single["to"]


def test_series_stand_side_by_side_with_their_intervals() -> None:
    rows = [
        {"attack": attack, "loss": loss, "epsilon": e, "accuracy": a, "from": a - 0.125, "to": a + 0.25}
        for attack, shift in (("PGD-20", 0.0), ("FGSM", 0.01))
        for loss, more in (("CE", 0.0), ("DRS", 0.1))
        for e, a in ((0.0, 0.5 + more + shift), (0.05, 0.25 + more + shift))
    ]
    first, second = figured(rows, places=("epsilon",), series=("loss",), panel=("attack",)).tables()
    assert first == {
        "caption": "PGD-20: accuracy against epsilon",
        "columns": ["epsilon", "CE", "CE, from", "CE, to", "DRS", "DRS, from", "DRS, to"],
        "rows": [
            ["0", "0.5", "0.375", "0.75", "0.6", "0.475", "0.85"],
            ["0.05", "0.25", "0.125", "0.5", "0.35", "0.225", "0.6"],
        ],
    }
    assert (second["caption"], second["rows"][1][1]) == ("FGSM: accuracy against epsilon", "0.26")


def test_a_series_that_lacks_a_place_leaves_its_cell_empty_and_places_stay_in_order() -> None:
    rows = [
        {"loss": "a", "x": 3.0, "y": 1.0},
        {"loss": "b", "x": 2.0, "y": 2.0},
        {"loss": "b", "x": 3.0, "y": 4.0},
    ]
    table = only(figured(rows, places=("x",), series=("loss",)))
    assert table["rows"] == [["2", "", "2"], ["3", "1", "4"]]


def test_words_keep_the_order_of_the_frame_and_an_interval_of_nothing_is_left_out() -> None:
    rows = [{"attack": a, "loss": "CE", "accuracy": 0.5, "from": NAN, "to": NAN} for a in ("PGD", "FGSM")]
    assert only(figured(rows, places=("attack",), series=("loss",))) == {
        "caption": "accuracy",
        "columns": ["attack", "CE"],
        "rows": [["PGD", "0.5"], ["FGSM", "0.5"]],
    }


def test_without_series_the_columns_are_those_of_the_frame_and_seeds_share_a_cell() -> None:
    rows = [{"variant": "CE", "area": 0.123456, "from": 0.1, "to": 0.2, "seeds": (0.12, 0.13)}]
    assert only(figured(rows, places=("variant",))) == {
        "caption": "area",
        "columns": ["variant", "area", "from", "to", "seeds"],
        "rows": [["CE", "0.1235", "0.1", "0.2", "0.12, 0.13"]],
    }


def test_numbers_that_name_a_series_or_a_panel_say_what_they_are() -> None:
    rows = [{"network": "CE", "silhouette": 0.5, "detector": "non-ME", "AUC": 0.98765, "kept": 0.1, "share": 0.2}]
    table = only(figured(rows, places=("kept",), series=("detector", "AUC"), panel=("network", "silhouette")))
    assert table["caption"] == "CE, silhouette 0.5: share against kept"
    assert table["columns"] == ["kept", "non-ME, AUC 0.988"]


def test_two_values_of_a_series_are_both_named() -> None:
    rows = [{"loss": "CE", "epsilon": 0.0, "accuracy": 0.9, "spread": 0.1}]
    table = only(figured(rows, places=("epsilon",), series=("loss",)))
    assert table["caption"] == "accuracy and spread against epsilon"
    assert table["columns"] == ["epsilon", "CE, accuracy", "CE, spread"]


def test_places_that_a_panel_does_not_have_are_left_out_and_only_the_values_asked_for_are_shown() -> None:
    rows = [
        {"panel": "bins", "from": 0.0, "to": 0.5, "kept": NAN, "share": 0.25, "few": True},
        {"panel": "ROC", "from": NAN, "to": NAN, "kept": 0.0, "share": 1.0, "few": False},
    ]
    places = ("from", "to", "kept")
    bins, roc = figured(rows, places=places, panel=("panel",), values=("share",)).tables()
    assert (bins["columns"], bins["rows"]) == (["from", "to", "share"], [["0", "0.5", "0.25"]])
    assert (roc["columns"], roc["rows"]) == (["kept", "share"], [["0", "1"]])


def test_a_long_table_says_what_it_leaves_out() -> None:
    table = only(figured([{"network": n, "y": 1.0} for n in range(61)], places=("network",)))
    assert len(table["rows"]) == 60
    assert table["caption"] == "y (the first 60 of 61; all are in the records)"


def test_an_empty_frame_has_no_table() -> None:
    assert Figured(figure=Figure(), frame=pd.DataFrame(columns=["x"]), places=("x",), panel=("x",)).tables() == []


def test_a_notebook_keeps_the_picture_and_its_tables() -> None:
    made = figured([{"x": 1.0, "y": 2.0}], places=("x",))
    made.figure.subplots().plot([1.0], [2.0])
    kept = made._repr_mimebundle_()
    assert set(kept) == {"image/svg+xml", MIME, "text/plain"}
    assert kept["image/svg+xml"].startswith("<?xml")
    assert "dc:date" not in kept["image/svg+xml"]
    assert kept[MIME] == made.tables()
    assert "0x" not in kept["text/plain"]
