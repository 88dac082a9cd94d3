"""The claims of the DRS paper: each rule, with its thresholds, next to its claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs.statistics import correlate, partial_correlation
from drs.study.claims.base import Claim, Judgement, Values, VerdictName, no_records
from drs.study.metrics import column

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "A1",
    "A2",
    "A4A",
    "DRS",
    "EPSILON",
    "NETWORKS",
    "NO_SIGNIFICANT_TIME",
    "STRONG",
    "judge_accuracy_correlation",
    "judge_correlation",
    "judge_cost",
    "of_variant",
]

DRS = "DRS, arXiv 2303.12363"


def of_variant(frame: pd.DataFrame, variant: str, name: str) -> Values:
    """(seeds,) a column for one variant, in the order of the seeds."""
    rows = frame[frame["variant"] == variant].sort_values("network.seed")
    values: Values = rows[name].to_numpy(float)
    return values


# --- A1: spread and robustness ---------------------------------------------------------------------------------------

EPSILON = 0.05
"""The budget at which A1 is judged; the page shows all of them."""
STRONG = 0.7
"""What 'highly correlated' is taken to mean: at least so large an absolute Pearson coefficient."""


def judge_correlation(frame: pd.DataFrame) -> Judgement:
    """A1: spread of the false softmax values against accuracy under PGD-20 at EPSILON."""
    x = frame[column("std_probabilities_mean")].to_numpy(float)
    y = frame[column("pgd", budget=EPSILON)].to_numpy(float)
    r = correlate(x, y)
    partial = partial_correlation(x, y, frame[column("accuracy")].to_numpy(float))
    verdict: VerdictName
    if r.high < 0 and r.estimate <= -STRONG and partial.high < 0:
        verdict = "reproduced"
    elif r.high < 0:
        verdict = "partly reproduced"
    else:
        verdict = "not reproduced"
    detail = (
        f"r = {r.estimate:+.2f} [{r.low:+.2f}, {r.high:+.2f}]; given clean accuracy "
        f"{partial.estimate:+.2f} [{partial.low:+.2f}, {partial.high:+.2f}]"
    )
    return Judgement(verdict, r.estimate, r.low, r.high, len(frame), detail)


A1 = Claim(
    "A1",
    DRS,
    "The result after an attack is highly correlated with the diversity of the softmax values of the non-true classes.",
    "'highly correlated'; the abstract gives no coefficient",
    f"Pearson r of false-class spread with accuracy under PGD-20 at epsilon {EPSILON:g}",
    "Over a population of cross-entropy networks: reproduced if r between the mean standard deviation of the false "
    f"probabilities and accuracy under PGD-20 at epsilon {EPSILON:g} is at most {-STRONG:g} with a 95% interval below "
    "0, and the partial correlation given clean accuracy is below 0 with its interval too; partly if only r's interval "
    "lies below 0.",
    "correlation",
    "notebooks/02_correlation",
    judge_correlation,
    counts="networks",
)

# --- A2: spread and clean accuracy -----------------------------------------------------------------------------------


def judge_accuracy_correlation(frame: pd.DataFrame) -> Judgement:
    """A2: spread against clean accuracy, on probabilities and on logits; the more positive of the two is shown."""
    accuracy = frame[column("accuracy")].to_numpy(float)
    on = {
        name: correlate(frame[column(f"std_{name}_mean")].to_numpy(float), accuracy)
        for name in ("probabilities", "logits")
    }
    positive = [name for name, r in on.items() if r.low > 0]
    verdict: VerdictName = "not reproduced" if len(positive) == 2 else "partly reproduced" if positive else "reproduced"
    r = max(on.values(), key=lambda c: c.low)
    detail = "; ".join(f"on {name} r = {c.estimate:+.2f} [{c.low:+.2f}, {c.high:+.2f}]" for name, c in on.items())
    return Judgement(verdict, r.estimate, r.low, r.high, len(frame), detail)


A2 = Claim(
    "A2",
    DRS,
    "Standard accuracy has no significant positive correlation with that diversity.",
    "'no significant positive correlation'",
    "Pearson r of false-class spread with clean accuracy, the more positive of probabilities and logits",
    "Over the same population: reproduced if neither the spread of the false probabilities nor that of the false "
    "logits has a 95% interval of r wholly above 0; partly if one has; not if both have.",
    "correlation",
    "notebooks/02_correlation",
    judge_accuracy_correlation,
    counts="networks",
)

# --- A4a: its cost ---------------------------------------------------------------------------------------------------

NO_SIGNIFICANT_TIME = 1.05
"""What 'no significant extra time' is taken to mean: a training step at most 5% longer."""
NETWORKS = {"small_conv": "SmallConvNet", "resnet": "ResNet-32"}


def judge_cost(frame: pd.DataFrame) -> Judgement:
    """A4a: time of a training step, DRS over CE, for each network; the slower one is the deciding number."""
    rows = {str(row["model"]): row for _, row in frame[frame["kind"] == "training"].iterrows()}
    if not set(NETWORKS) <= set(rows):
        return no_records("not every network was timed")
    middle, low, high = (
        {name: float(rows[name][column(f"drs_ratio{end}")]) for name in NETWORKS} for end in ("", "_low", "_high")
    )
    within = [name for name in NETWORKS if high[name] <= NO_SIGNIFICANT_TIME]
    verdict: VerdictName = (
        "reproduced" if len(within) == len(NETWORKS) else "partly reproduced" if within else "not reproduced"
    )
    detail = "; ".join(
        f"{label} {middle[name]:.3f} [{low[name]:.3f}, {high[name]:.3f}]" for name, label in NETWORKS.items()
    )
    worst = max(NETWORKS, key=high.__getitem__)
    return Judgement(
        verdict,
        middle[worst],
        low[worst],
        high[worst],
        int(rows[worst]["repetitions"]),
        f"step time with DRS over that with CE: {detail}",
    )


A4A = Claim(
    "A4a",
    DRS,
    "The loss costs no significant extra time.",
    "'no significant extra time'",
    "time of a training step, DRS over CE, for the slower network",
    "Reproduced if the upper end of the 95% percentile bootstrap interval of the median ratio of step times (DRS "
    "over torch's cross-entropy, timed in turns in one process, batch 128) is at most "
    f"{NO_SIGNIFICANT_TIME:g} for SmallConvNet and for ResNet-32; partly if for one of them; not if for neither.",
    "cost",
    "notebooks/04_cost",
    judge_cost,
    counts="timed rounds",
)
