"""The one form of a table and of a number on the pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from numbers import Real

__all__ = ["cell", "plain", "table"]


def cell(value: object, digits: int = 3) -> str:
    """A value as a table shows it.

    Numbers have ``digits`` significant digits, and from 1,000 on all those before the point; NaN and None are empty; a
    tuple is listed.

    >>> [cell(value) for value in (0.12345, 1734.2, float("nan"), 60000, (0.5, 0.25), "CE")]
    ['0.123', '1,734', '', '60,000', '0.5, 0.25', 'CE']
    """
    if isinstance(value, str | bool):
        return str(value)
    if value is None or value != value:
        return ""
    if isinstance(value, tuple):
        return ", ".join(cell(one, digits) for one in value)
    if isinstance(value, Real):
        number = float(value)
        return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.{digits}g}"
    return str(value)


def plain(text: str) -> str:
    """Text that Markdown shows as it is.

    >>> print(plain("5% of `x_1` | *y*"))
    5% of \\`x\\_1\\` \\| \\*y\\*
    """
    return re.sub(r"([\\`*_{}\[\]<>$|])", r"\\\1", text)


def table(columns: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table.

    >>> print(table(["", "AUC"], [["CE", 0.98765]]))
    |  | AUC |
    |---|---|
    | CE | 0.988 |
    """
    header, *lines = [[cell(value) for value in line] for line in (columns, *rows)]
    return "\n".join(
        ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        + ["| " + " | ".join(line) + " |" for line in lines]
    )
