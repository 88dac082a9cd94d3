"""What a claim is: a sentence of a paper, how it is measured, a rule fixed beforehand, a verdict from the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

VerdictName: TypeAlias = Literal["reproduced", "partly reproduced", "not reproduced", "no records"]


@dataclass(frozen=True)
class Judgement:
    """What a rule says of a data frame of records.

    Attributes:
        verdict: One of :data:`VerdictName`.
        estimate, low, high: The deciding number with its 95% interval (NaN where there is none).
        n: How many networks, images or seeds it rests on.
        detail: The numbers behind it in one sentence, for the page.
    """

    verdict: VerdictName
    estimate: float
    low: float
    high: float
    n: int
    detail: str


@dataclass(frozen=True)
class Claim:
    """A claim and its rule.

    Attributes:
        id: A1 ... for DRS, B1 ... for RCE, C1 ... for what is ours.
        source: Which paper claims it, or that it is ours.
        statement: The claim in one sentence.
        published: The number of the paper, in words; empty where it gives none.
        quantity: What ``estimate`` is, with its unit.
        rule: The rule in words, exactly what ``judge`` computes.
        experiment: Whose records decide.
        notebook: Path of the chapter, from the repository root, without extension.
        judge: The rule.
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
            return f"{judged.estimate:.3g}"
        return f"{judged.estimate:.3g} [{judged.low:.3g}, {judged.high:.3g}]"


NO_RECORDS = Judgement("no records", float("nan"), float("nan"), float("nan"), 0, "not run")


def threshold_rule(low: float, high: float, *, above: float, direction: Literal["greater", "less"]) -> VerdictName:
    """``reproduced`` where the whole interval lies on the claimed side of ``above``, ``partly`` where it straddles it.

    Args:
        low, high: The interval.
        above: The value that the claim says is passed.
        direction: On which side of it the claim lies.
    """
    if direction == "less":
        low, high, above = -high, -low, -above
    if low > above:
        return "reproduced"
    return "partly reproduced" if high > above else "not reproduced"
