"""The papers' numbers in data/published, each with the flag that says whether it was checked against the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drs.errors import UsageError
from drs.paths import published as published_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Quote", "published"]


def published(name: str, *, as_written: bool = False, **where: str) -> pd.DataFrame:
    """A table of the papers' numbers, with its ``checked`` column, reduced to the rows that match.

    Args:
        name: File in data/published without ending.
        as_written: Leave every cell the text it is in the file: 0.00 stays 0.00.
        **where: Column and the value it must have.

    Raises:
        UsageError: No table of that name.
    """
    import pandas as pd

    path = published_path(name)
    if not path.exists():
        raise UsageError(f"no published table {name!r}: expected a file {path.name} in data/published")
    table = pd.read_csv(path, dtype=str if as_written else None)
    for column, value in where.items():
        table = table[table[column] == value]
    return table.reset_index(drop=True)


@dataclass(frozen=True)
class Quote:
    """One number of a paper, read from data/published with its flag.

    Attributes:
        table: File there, without ending.
        column: Of the number.
        where: Columns and the values that single out its row.
    """

    table: str
    column: str
    where: Mapping[str, str]

    def text(self) -> str:
        """The number as the table writes it, with ``checked`` or ``not checked`` in brackets.

        Raises:
            UsageError: No such table, or not exactly one such row.
        """
        rows = published(self.table, as_written=True, **self.where)
        if len(rows) != 1:
            raise UsageError(f"expected one row of {self.table} with {dict(self.where)}, got {len(rows)}")
        flag = rows["checked"][0]
        checked = flag == "yes" or (flag == "ratio only" and self.column.startswith("ratio"))
        return f"{rows[self.column][0]} ({'checked' if checked else 'not checked'})"
