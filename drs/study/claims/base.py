"""What a claim is: a sentence of a paper, how it is measured, a rule fixed beforehand, a verdict from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from drs.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

VerdictName: TypeAlias = Literal["reproduced", "partly reproduced", "undecided", "not reproduced", "no records"]


@dataclass(frozen=True)
class Judgement:
    """What a rule says of a data frame of records.

    Attributes:
        verdict: One of :data:`VerdictName`.
        estimate, low, high: The deciding number with its 95% interval (NaN where there is none).
        n: How many it rests on, of what the claim counts.
        detail: The numbers behind it in one sentence, for the page.
    """

    verdict: VerdictName
    estimate: float
    low: float
    high: float
    n: int
    detail: str


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
        from drs.pages.tables import published

        rows = published(self.table, as_written=True, **self.where)
        if len(rows) != 1:
            raise UsageError(f"expected one row of {self.table} with {dict(self.where)}, got {len(rows)}")
        flag = rows["checked"][0]
        checked = flag == "yes" or (flag == "ratio only" and self.column.startswith("ratio"))
        return f"{rows[self.column][0]} ({'checked' if checked else 'not checked'})"


@dataclass(frozen=True)
class Claim:
    """A claim and its rule.

    Attributes:
        id: A1 ... for DRS, B1 ... for RCE, C1 ... for what is ours.
        source: Which paper claims it, or that it is ours.
        statement: The claim in one sentence.
        published: What the paper gives, with ``{}`` in place of each of ``quotes``; empty for a claim of ours.
        quantity: What ``estimate`` is, with its unit.
        rule: The rule in words, exactly what ``judge`` computes.
        experiment: Whose records decide.
        notebook: Path of the chapter, from the repository root, without extension.
        judge: The rule.
        quotes: The paper's numbers.
        counts: What the judgement's ``n`` counts.
        mended: What was changed in the rule or its code after records had been seen, and why; empty if nothing was.
    """

    id: str
    source: str
    statement: str
    published: str
    quantity: str
    rule: str
    experiment: str
    notebook: str
    judge: Callable[[pd.DataFrame], Judgement]
    quotes: tuple[Quote, ...] = ()
    counts: str = "seeds"
    mended: str = ""

    def paper_says(self) -> str:
        """``published`` with its numbers filled in."""
        return self.published.format(*(quote.text() for quote in self.quotes))


@dataclass(frozen=True)
class Finding:
    """A claim judged under a profile, with where its records come from."""

    claim: Claim
    profile: str
    judgement: Judgement
    seeds: int
    dataset: str
    device: str

    @property
    def interval(self) -> str:
        """The deciding number with its interval, as text."""
        judged = self.judgement
        if judged.estimate != judged.estimate:
            return "none"
        if judged.low != judged.low:
            return _short(judged.estimate)
        return f"{_short(judged.estimate)} [{_short(judged.low)}, {_short(judged.high)}]"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


NO_RECORDS = Judgement("no records", float("nan"), float("nan"), float("nan"), 0, "not run")


def threshold_rule(low: float, high: float, *, above: float, direction: Literal["greater", "less"]) -> VerdictName:
    """``reproduced`` where the interval lies on the claimed side of ``above``, ``undecided`` where it straddles it.

    Args:
        low, high: The interval.
        above: The value that the claim says is passed.
        direction: On which side of it the claim lies.
    """
    if direction == "less":
        low, high, above = -high, -low, -above
    if low > above:
        return "reproduced"
    return "undecided" if high > above else "not reproduced"
