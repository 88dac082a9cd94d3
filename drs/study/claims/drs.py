"""The claims of the DRS paper: each rule, with its thresholds, next to its claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drs.statistics import correlate, partial_correlation
from drs.study.claims.base import Claim, Judgement, Values, VerdictName, no_records, threshold_rule
from drs.study.metrics import column

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "A1",
    "A2",
    "A4A",
    "DECIDING",
    "DRS",
    "EPSILON",
    "FEWEST",
    "HELD_FIXED",
    "NETWORKS",
    "NO_SIGNIFICANT_TIME",
    "SPREAD",
    "STRONG",
    "WEAK",
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
"""The budget at which a single number is shown; the page shows all of them."""
STRONG = 0.7
"""What 'highly correlated' is taken to mean: at least so large an absolute Pearson coefficient."""


SPREAD = column("std_probabilities_mean")
"""The measure of A1 and of A2: standard deviation of the false probabilities, mean over clean test images."""
HELD_FIXED = (column("accuracy"), "network.model_options.depth", "network.model_options.width")
"""What sets both the spread and the robustness of a network, and is held fixed."""


def judge_correlation(frame: pd.DataFrame) -> Judgement:
    """A1: spread of the false softmax values against the area under worst-case accuracy."""
    x, y = (frame[name].to_numpy(float) for name in (SPREAD, column("worst_area")))
    held = [frame[name].to_numpy(float) for name in HELD_FIXED if frame[name].nunique() > 1]
    r, partial = correlate(x, y), partial_correlation(x, y, np.column_stack(held))
    verdict: VerdictName = "undecided"
    if r.high < 0:
        verdict = "reproduced" if r.estimate <= -STRONG and partial.high < 0 else "partly reproduced"
    elif r.low >= 0:
        verdict = "not reproduced"
    within = [
        f"depth {depth:.0f}: {correlate(rows[SPREAD], rows[column('worst_area')]).estimate:+.2f}"
        for depth, rows in frame.groupby(HELD_FIXED[1])
        if len(rows) >= FEWEST
    ]
    detail = (
        f"r = {r.estimate:+.2f} [{r.low:+.2f}, {r.high:+.2f}]; given clean accuracy, depth and width "
        f"{partial.estimate:+.2f} [{partial.low:+.2f}, {partial.high:+.2f}]; within {', '.join(within)}"
    )
    return Judgement(verdict, r.estimate, r.low, r.high, len(frame), detail)


FEWEST = 8
"""Networks of one depth from which a correlation within it is shown."""
_POPULATION = (
    "The first rules took accuracy under PGD-20 at one budget, held only clean accuracy fixed, and judged A1 on the "
    "probabilities but A2 on probabilities and logits. A closer look showed that depth sets both the spread and the "
    "robustness: within one depth the correlation vanishes or turns."
)

A1 = Claim(
    "A1",
    DRS,
    "The result after an attack is highly correlated with the diversity of the softmax values of the non-true classes.",
    "'highly correlated'; the abstract gives no coefficient",
    "Pearson r of false-class spread with the area under worst-case accuracy",
    "Over a population of cross-entropy networks: reproduced if r between the mean standard deviation of the false "
    f"probabilities and the area under the worst-case accuracy curve, epsilon 0 to 0.2, is at most {-STRONG:g} with a "
    "95% interval below 0, and the partial correlation given clean accuracy, depth and width is below 0 with its "
    "interval too; partly if only r's interval lies below 0; not if it lies above 0; else undecided.",
    "correlation",
    "notebooks/06_correlation",
    judge_correlation,
    counts="networks",
    amended=_POPULATION,
)

# --- A2: spread and clean accuracy -----------------------------------------------------------------------------------

WEAK = 0.3
"""What 'no significant positive correlation' is taken to mean: a Pearson coefficient below this."""


def judge_accuracy_correlation(frame: pd.DataFrame) -> Judgement:
    """A2: spread of the false probabilities against clean accuracy, as a test that it is not positive."""
    accuracy = frame[column("accuracy")].to_numpy(float)
    r = correlate(frame[SPREAD].to_numpy(float), accuracy)
    logits = correlate(frame[column("std_logits_mean")].to_numpy(float), accuracy)
    verdict = threshold_rule(r.low, r.high, above=WEAK, direction="less")
    detail = f"on logits, which the claim is not judged on, r = {logits.estimate:+.2f} "
    detail += f"[{logits.low:+.2f}, {logits.high:+.2f}]"
    return Judgement(verdict, r.estimate, r.low, r.high, len(frame), detail)


A2 = Claim(
    "A2",
    DRS,
    "Standard accuracy has no significant positive correlation with that diversity.",
    "'no significant positive correlation'",
    "Pearson r of false-class spread with clean accuracy",
    "Over the same population and with the same measure as A1: reproduced if the 95% interval of r between the mean "
    f"standard deviation of the false probabilities and clean accuracy lies below {WEAK:g}; not if it lies above; "
    "undecided if it straddles it.",
    "correlation",
    "notebooks/06_correlation",
    judge_accuracy_correlation,
    counts="networks",
    amended=_POPULATION,
)

# --- A4a: its cost ---------------------------------------------------------------------------------------------------

NO_SIGNIFICANT_TIME = 1.05
"""What 'no significant extra time' is taken to mean: a training step at most 5% longer."""
NETWORKS = {"small_conv": "SmallConvNet", "resnet": "ResNet-32"}
DECIDING = "resnet"
"""The network of the paper's size."""


def judge_cost(frame: pd.DataFrame) -> Judgement:
    """A4a: time of a training step, DRS over CE, on the network of the paper's size."""
    rows = {str(row["model"]): row for _, row in frame[frame["kind"] == "training"].iterrows()}
    if not set(NETWORKS) <= set(rows):
        return no_records("not every network was timed")
    middle, low, high = (
        {name: float(rows[name][column(f"drs_ratio{end}")]) for name in NETWORKS} for end in ("", "_low", "_high")
    )
    detail = "; ".join(
        f"{label} {middle[name]:.3f} [{low[name]:.3f}, {high[name]:.3f}]" for name, label in NETWORKS.items()
    )
    name = DECIDING
    return Judgement(
        threshold_rule(low[name], high[name], above=NO_SIGNIFICANT_TIME, direction="less"),
        middle[name],
        low[name],
        high[name],
        int(rows[name]["repetitions"]),
        f"step time with DRS over that with CE: {detail}",
    )


A4A = Claim(
    "A4a",
    DRS,
    "The loss costs no significant extra time.",
    "'no significant extra time'",
    f"time of a training step, DRS over CE, {NETWORKS[DECIDING]}",
    "Reproduced if the 95% percentile bootstrap interval of the median ratio of step times (DRS over torch's "
    "cross-entropy, timed in turns in one process, batch 128) of ResNet-32, the network of the paper's size, lies "
    f"below {NO_SIGNIFICANT_TIME:g}; not if it lies above; undecided if it straddles it.",
    "cost",
    "notebooks/08_cost",
    judge_cost,
    counts="timed rounds",
    amended="The first rule asked the same of SmallConvNet too, whose whole step takes half a millisecond: a network "
    "of 20,000 parameters on one thread of a processor decided a claim about networks a thousand times as costly.",
)
