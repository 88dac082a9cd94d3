"""What a claim is: a sentence of a paper, how it is measured, a rule, a verdict from the records.

Below it the parts that several rules share: which networks are compared, seed by seed, and over which columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drs.statistics import detectable_difference, paired_difference
from drs.study.metrics import column
from drs.study.published import Quote

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EVADING",
    "OURS",
    "SHARED_ATTACKS",
    "SHOWN",
    "SWEPT",
    "Claim",
    "Finding",
    "Judgement",
    "Values",
    "VerdictName",
    "evading_aucs",
    "judge_difference",
    "judge_gain",
    "main_architecture",
    "no_records",
    "of_loss",
    "per_seed",
    "shared",
    "threshold_rule",
]

Values: TypeAlias = NDArray[np.float64]

VerdictName: TypeAlias = Literal[
    "reproduced",
    "partly reproduced",
    "undecided",
    "not reproduced",
    "held",
    "partly held",
    "failed",
    "not tested",
    "no records",
]
OURS: dict[VerdictName, VerdictName] = {
    "reproduced": "held",
    "partly reproduced": "partly held",
    "not reproduced": "failed",
}
"""What a claim of our own is said to have done where one of a paper is or is not reproduced."""


@dataclass(frozen=True)
class Judgement:
    """What a rule says of a data frame of records.

    Attributes:
        verdict: One of :data:`VerdictName`.
        estimate, low, high: The deciding number with its 95% interval (NaN where there is none).
        n: How many it rests on, of what the claim counts.
        detail: The numbers behind it in one sentence, for the page.
        p_value: Two-sided, of a deciding difference that is as large as the rule's threshold; NaN for other rules.
        detectable: The distance from the threshold that as many values with this spread would have shown in four
            studies of five; NaN for other rules.
    """

    verdict: VerdictName
    estimate: float
    low: float
    high: float
    n: int
    detail: str
    p_value: float = math.nan
    detectable: float = math.nan


@dataclass(frozen=True)
class Claim:
    """A claim and its rule.

    Attributes:
        id: A1 ... for DRS, B1 ... for RCE, C1 ... for what is ours, R1 ... for related methods.
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
        networks: Losses or variants whose networks must have finished training (:mod:`drs.study.claims.gate`), or the
            claim is not tested.
        amended: What was changed in the rule or its code after records had been seen, and why; empty if nothing was.
        by_construction: Why no network could have failed it, where that is so; it is then counted apart.
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
    networks: tuple[str, ...] = ()
    amended: str = ""
    by_construction: str = ""

    @property
    def ours(self) -> bool:
        """Whether no paper claims it."""
        return self.source.startswith("ours")

    @property
    def words(self) -> str:
        """The rule in the words of its verdicts."""
        ours = self.rule.replace("Reproduced if", "Held if").replace("reproduced if", "held if")
        return ours if self.ours else self.rule

    def worded(self, judged: Judgement) -> Judgement:
        """The judgement in the words of the claim: ours are held or failed, a paper's are reproduced or not."""
        return replace(judged, verdict=OURS.get(judged.verdict, judged.verdict)) if self.ours else judged

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


def no_records(why: str) -> Judgement:
    """No verdict, and why there is none."""
    return Judgement("no records", math.nan, math.nan, math.nan, 0, why)


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


def judge_difference(
    ours: Values, base: Values, detail: str, *, above: float = 0.0, direction: Literal["greater", "less"] = "greater"
) -> Judgement:
    """The mean of ``ours - base`` with its 95% t interval, judged by :func:`threshold_rule`.

    Args:
        ours, base: (n,), entry i of both from the same seed.
        detail: The numbers behind it, for the page.
        above, direction: As in :func:`threshold_rule`.
    """
    gain = paired_difference(ours, base)
    verdict = threshold_rule(gain.low, gain.high, above=above, direction=direction)
    p_value = paired_difference(ours - above, base).p_value
    found = detectable_difference(ours - base)
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(ours), detail, p_value, found)


SHOWN = 0.1
"""The budget at which detectors are compared."""
SWEPT = ("fgsm", "bim", "ilcm", "jsma")
"""The attacks of the RCE paper that have a budget."""
EVADING = (*(f"{attack}@{SHOWN:g}" for attack in SWEPT), "cw", "cw_hc")
"""The six attacks that try to pass a detector, each with its budget where it has one."""


def main_architecture(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the grid's first architecture."""
    columns = [c for c in frame.columns if c == "network.model" or c.startswith("network.model_options.")]
    trained = frame[frame["network.model"].notna()]
    first = trained.iloc[0]
    same = np.ones(len(trained), dtype=bool)
    for name in columns:
        values = trained[name]
        same &= (values.isna() if first[name] != first[name] else values == first[name]).to_numpy(bool)
    return trained[same]


def of_loss(frame: pd.DataFrame, loss: str, columns: Sequence[str]) -> pd.DataFrame:
    """These columns for the networks of one loss and the main architecture, in the order of their seeds."""
    rows = main_architecture(frame)
    rows = rows[rows["network.loss"] == loss].sort_values("network.seed")
    return rows.reindex(columns=list(columns))


def per_seed(frame: pd.DataFrame, loss: str, columns: Sequence[str]) -> Values:
    """(seeds,) mean over ``columns`` for the networks of one loss, in the order of their seeds; NaN where one lacks."""
    means: Values = of_loss(frame, loss, columns).mean(axis=1, skipna=False).to_numpy(float)
    return means


def shared(frame: pd.DataFrame, columns: Sequence[str], losses: Sequence[str]) -> list[str]:
    """Those of ``columns`` that every network of these losses has: an attack that never succeeds on one has no AUC."""
    rows = [of_loss(frame, loss, columns) for loss in losses]
    return [name for name in columns if all(np.isfinite(one[name].to_numpy(float)).all() for one in rows)]


def judge_gain(frame: pd.DataFrame, columns: Sequence[str], *, loss: str = "rce", scale: str = "{:.3f}") -> Judgement:
    """Paired difference ``loss`` - CE of the mean over the shared ``columns``, reproduced above 0."""
    kept = shared(frame, columns, ("ce", loss))
    if not kept:
        return no_records("an attack never succeeded, so there is no number")
    ours, base = per_seed(frame, loss, kept), per_seed(frame, "ce", kept)
    detail = f"CE {scale.format(base.mean())}, {loss.upper()} {scale.format(ours.mean())}"
    if len(kept) < len(columns):
        detail += f", over the {len(kept)} of {len(columns)} that have a number for every network of both"
    return judge_difference(ours, base, detail)


def evading_aucs(detector: str) -> list[str]:
    """Names of a detector's AUC under each attack of :data:`EVADING`."""
    return [column("auc", detector=detector, attack=attack) for attack in EVADING]


SHARED_ATTACKS = (
    "The first version averaged, for each network, over the attacks that succeeded on that network, so that networks "
    "were compared over different attacks: C&W-hc, which is easy to detect or never succeeds, counted for some only. "
    "Since then an attack counts if it succeeds on every network of both losses. The records known when this was "
    "amended turn C4 from undecided to not reproduced by it and leave B3b as it was."
)
"""What was changed in B3b and C4."""
