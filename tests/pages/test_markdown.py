"""drs.pages.markdown: one form of a number, one form of a table."""

from __future__ import annotations

import numpy as np
import pytest

from drs.pages.markdown import cell, table

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.123"),
        (0.0, "0"),
        (-1.0, "-1"),
        (1.5e-7, "1.5e-07"),
        (999.4, "999"),
        (999.6, "1,000"),  # not 1e+03
        (12345.6, "12,346"),
        (470282, "470,282"),
        (np.float64(0.25), "0.25"),
        (np.int64(1080), "1,080"),
        (True, "True"),
        (NAN, ""),
        (None, ""),
        (float("inf"), "inf"),
        ((0.25, 0.123456), "0.25, 0.123"),
        ("0.5000 of 3", "0.5000 of 3"),
    ],
)
def test_every_value_has_one_form(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_more_digits_on_request() -> None:
    assert cell(0.97218, 4) == "0.9722"
    assert cell((0.97218, 2000.5), 4) == "0.9722, 2,000"


def test_a_table_is_its_header_a_rule_and_its_rows() -> None:
    assert table(["", "AUC"], [["CE", 0.98765], ["DRS", NAN]]) == ("|  | AUC |\n|---|---|\n| CE | 0.988 |\n| DRS |  |")
    assert table(["only"], []) == "| only |\n|---|"
