"""Claims about cost and about stronger attacks: what the DRS paper leaves to be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from drs.evaluation.alarms import fired
from drs.statistics import mean_interval, paired_difference
from drs.study.claims.base import Claim, Judgement, VerdictName, threshold_rule

if TYPE_CHECKING:
    import pandas as pd

NO_SIGNIFICANT_TIME = 1.05
"""What 'no significant extra time' is taken to mean: a training step at most 5% longer."""
WORST = "strong_worst@0.05"
NETWORKS = {"small_conv": "SmallConvNet", "resnet": "ResNet-32"}


def _missing(what: str) -> Judgement:
    return Judgement("no records", np.nan, np.nan, np.nan, 0, what)


def judge_cost(frame: pd.DataFrame) -> Judgement:
    """A4a: time of a training step, DRS over CE, for each network; the dearer one is the deciding number."""
    rows = {str(row["model"]): row for _, row in frame[frame["kind"] == "training"].iterrows()}
    if not set(NETWORKS) <= set(rows):
        return _missing("not every network was timed")
    within = [name for name in NETWORKS if rows[name]["drs_ratio_high"] <= NO_SIGNIFICANT_TIME]
    verdict: VerdictName = (
        "reproduced" if len(within) == len(NETWORKS) else "partly reproduced" if within else "not reproduced"
    )
    detail = "; ".join(
        f"{label} {rows[name]['drs_ratio']:.3f} [{rows[name]['drs_ratio_low']:.3f}, {rows[name]['drs_ratio_high']:.3f}]"
        for name, label in NETWORKS.items()
    )
    worst = rows[max(NETWORKS, key=lambda name: float(rows[name]["drs_ratio_high"]))]
    return Judgement(
        verdict,
        float(worst["drs_ratio"]),
        float(worst["drs_ratio_low"]),
        float(worst["drs_ratio_high"]),
        int(worst["repetitions"]),
        f"step time with DRS over that with CE: {detail}",
    )


def judge_survival(frame: pd.DataFrame) -> Judgement:
    """C2: worst case over every attack at epsilon 0.05, DRS minus CE, seed by seed."""
    table = frame.pivot(index="network.seed", columns="variant", values=WORST)
    if not {"ce", "drs"} <= set(table.columns):
        return _missing("CE and DRS were not both attacked")
    pairs = table[["ce", "drs"]].dropna()
    if len(pairs) < 2:
        return _missing("fewer than two seeds with both networks")
    base, ours = pairs["ce"].to_numpy(float), pairs["drs"].to_numpy(float)
    gain = paired_difference(ours, base)
    verdict = threshold_rule(gain.low, gain.high, above=0.0, direction="greater")
    images = int(frame["images"].min())
    detail = (
        f"worst case {mean_interval(base).mean:.3f} under CE, {mean_interval(ours).mean:.3f} under DRS, "
        f"{images} images a network"
    )
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(pairs), detail)


def judge_alarms(frame: pd.DataFrame) -> Judgement:
    """C3: share of DRS networks on whose record no alarm fires."""
    from statsmodels.stats.proportion import proportion_confint

    rows = frame[(frame["variant"] == "drs") & frame[WORST].notna()]
    if rows.empty:
        return _missing("no DRS network was attacked")
    counts: Counter[str] = Counter()
    quiet = 0
    for row in rows.to_dict("records"):
        names = fired(alarm_metrics(row))
        counts.update(names)
        quiet += not names
    low, high = proportion_confint(quiet, len(rows), method="wilson")
    verdict: VerdictName = "reproduced" if quiet == len(rows) else "partly reproduced" if quiet else "not reproduced"
    detail = ", ".join(f"{name} on {count}" for name, count in counts.most_common()) or "none fired"
    return Judgement(verdict, quiet / len(rows), float(low), float(high), len(rows), f"alarms: {detail}")


def alarm_metrics(row: Mapping[Any, object]) -> dict[str, float]:
    """The numbers of a row of a frame, without the missing ones."""
    numbers = {str(k): float(v) for k, v in row.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {name: value for name, value in numbers.items() if value == value}


CLAIMS = (
    Claim(
        "A4a",
        "DRS, arXiv 2303.12363",
        "The loss costs no significant extra time.",
        "'no significant extra time'",
        "time of a training step, DRS over CE, for the dearer network",
        "Reproduced if the upper end of the 95% percentile bootstrap interval of the median ratio of step times (DRS "
        "over torch's cross-entropy, timed in turns in one process, batch 128) is at most 1.05 for SmallConvNet and "
        "for ResNet-32; partly if for one of them; not if for neither.",
        "cost",
        "notebooks/04_cost",
        judge_cost,
        counts="timed rounds",
    ),
    Claim(
        "C2",
        "ours",
        "The gain of DRS survives the strongest attack we have.",
        "",
        "worst-case accuracy over every attack at epsilon 0.05, DRS minus CE",
        "Reproduced if the 95% t interval over seeds of the paired difference (DRS at the published weight minus CE) "
        "in accuracy at epsilon 0.05, where an image counts as lost if any attack of this chapter fools the network "
        "on it within that budget, lies above 0; undecided if it straddles 0.",
        "stress",
        "notebooks/05_stronger_attacks",
        judge_survival,
    ),
    Claim(
        "C3",
        "ours",
        "The robust numbers of DRS networks raise no alarm of a broken evaluation.",
        "",
        "share of DRS networks without an alarm (Wilson interval)",
        "Reproduced if no alarm of drs.evaluation.alarms fires on any DRS network; partly if on some but not all of "
        "them; not if at least one fires on every one.",
        "stress",
        "notebooks/05_stronger_attacks",
        judge_alarms,
        counts="networks",
    ),
)
