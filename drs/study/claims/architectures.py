"""Claims that are judged on several architectures, and what the gain of DRS rests on.

An architecture counts where its networks have learnt (:data:`drs.study.claims.gate.LEAST`): on one that has not, a
difference says nothing of the loss. One architecture alone decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from drs.study.claims.base import Claim, Judgement, Values, VerdictName, judge_difference, no_records
from drs.study.claims.drs import DRS, EPSILON
from drs.study.claims.gate import LEAST
from drs.study.metrics import column

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "A3",
    "A4B",
    "ARCHITECTURES",
    "C2",
    "C7",
    "C8",
    "C9",
    "C10",
    "HARM",
    "SMALL_ERROR",
    "SURVIVES",
    "difference",
    "gain",
    "judge_adversarial",
    "judge_calibration",
    "judge_clean_accuracy",
    "judge_length",
    "judge_loss",
    "judge_radius",
    "judge_survival",
    "on_each",
    "pair",
]

ARCHITECTURES = {"small_conv": "SmallConvNet", "lenet": "LeNet", "mlp": "MLP"}
"""Architectures that a verdict rests on, as the text calls them."""


def pair(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """DRS and CE rows of a frame, seed by seed."""
    ordered = frame.sort_values("network.seed")
    return ordered[ordered["network.loss"] == "drs"], ordered[ordered["network.loss"] == "ce"]


def difference(rows: tuple[pd.DataFrame, pd.DataFrame], name: str) -> Values:
    """(seeds,) a column, DRS minus CE."""
    values: Values = rows[0][name].to_numpy(float) - rows[1][name].to_numpy(float)
    return values


def gain(rows: tuple[pd.DataFrame, pd.DataFrame], name: str, *, above: float = 0.0) -> Judgement:
    """A column, DRS minus CE, against ``above``."""
    ours, base = (each[column(name)].to_numpy(float) for each in rows)
    return judge_difference(ours, base, f"{base.mean():.3f} with CE, {ours.mean():.3f} with DRS", above=above)


def on_each(
    frame: pd.DataFrame,
    judge: Callable[[tuple[pd.DataFrame, pd.DataFrame]], Judgement | None],
    said: str = "{:+.3f} [{:+.3f}, {:+.3f}]",
) -> Judgement:
    """One verdict of a rule on every architecture that counts; the estimate is the smallest of them.

    Args:
        frame: Records of ``architectures``.
        judge: The rule on one of them; None where it does not apply.
        said: How an estimate with its interval is written.
    """
    found: dict[str, Judgement] = {}
    left_out = []
    for name, title in ARCHITECTURES.items():
        rows = frame[frame["architecture"] == name]
        if rows.empty:
            continue
        reached = float(rows[column("train_accuracy")].min())
        judged = judge(pair(rows)) if reached >= LEAST else None
        if judged is not None:
            found[title] = judged
        elif reached < LEAST:
            left_out.append(f"{title} is left out: training ended at {reached:.3f}, below {LEAST:g}")
        else:
            left_out.append(f"{title} is left out: no gain")
    parts = [f"{title} {said.format(j.estimate, j.low, j.high)}" for title, j in found.items()]
    detail = "; ".join(parts + left_out)
    if not found:
        return Judgement("not tested", np.nan, np.nan, np.nan, 0, detail) if left_out else no_records("not run")
    least = min(found.values(), key=lambda j: j.estimate)
    each = [j.verdict for j in found.values()]
    return Judgement(_together(each), least.estimate, least.low, least.high, least.n, detail)


def _together(each: list[VerdictName]) -> VerdictName:
    """One verdict of several: all, none, some."""
    if len(each) > 1 and set(each) == {"reproduced"}:
        return "reproduced"
    if "reproduced" in each:
        return "partly reproduced"
    return "not reproduced" if set(each) == {"not reproduced"} else "undecided"


COUNTS = (
    f"On each of {', '.join(ARCHITECTURES.values())} whose CE and DRS networks all end training at an accuracy of at "
    f"least {LEAST:g}: "
)
TOGETHER = (
    " Reproduced if at least two architectures count and it does on every one; partly if on at least one; not if it "
    "lies wholly on the other side on every one; not tested if none counts; else undecided."
)
TOGETHER_OURS = (
    " Held if at least two architectures count and it does on every one; partly if on at least one; failed if it lies "
    "wholly on the other side on every one; not tested if none counts; else undecided."
)
_ONE_NETWORK = (
    "The first rule looked at SmallConvNet alone, in the records of the experiment losses. That network is "
    "fragile, and an MLP without a defence withstands more. The rule was written anew before any record of the "
    "experiment that decides now."
)

# --- A3 and A4b: the loss --------------------------------------------------------------------------------------------


def judge_loss(frame: pd.DataFrame) -> Judgement:
    """A3: area under the worst-case accuracy curve, DRS minus CE."""
    return on_each(frame, lambda rows: gain(rows, "worst_area"))


A3 = Claim(
    "A3",
    DRS,
    "A loss that restrains the diversity of the false classes makes networks more robust.",
    "'improves robustness'; no table was at hand",
    "area under worst-case accuracy, DRS minus CE, the architecture that gains least",
    COUNTS + "the 95% t interval over seeds of the paired difference (DRS at the published weight minus CE) in area "
    "under the worst-case accuracy curve, epsilon 0 to 0.2, lies above 0." + TOGETHER,
    "architectures",
    "notebooks/07_drs_loss",
    judge_loss,
    amended=_ONE_NETWORK,
)

HARM = 0.01
"""What 'significant harm' is taken to mean: a loss of one point of clean accuracy."""


def judge_clean_accuracy(frame: pd.DataFrame) -> Judgement:
    """A4b: clean accuracy, DRS minus CE, against a loss of HARM."""
    return on_each(frame, lambda rows: gain(rows, "accuracy", above=-HARM), "{:+.4f} [{:+.4f}, {:+.4f}]")


A4B = Claim(
    "A4b",
    DRS,
    "The loss does not harm standard accuracy significantly.",
    "'without significant harm'",
    "clean accuracy, DRS minus CE, the architecture that loses most",
    COUNTS + "the 95% t interval over seeds of the paired difference in clean accuracy lies above "
    f"{-HARM:g}." + TOGETHER,
    "architectures",
    "notebooks/07_drs_loss",
    judge_clean_accuracy,
    amended=_ONE_NETWORK,
)

# --- C2: stronger attacks --------------------------------------------------------------------------------------------

SURVIVES = 0.5
"""What 'survives' is taken to mean: at least this share of the gain is left."""


def _survival(rows: tuple[pd.DataFrame, pd.DataFrame]) -> Judgement | None:
    weak, strong = (difference(rows, column(name, budget=EPSILON)) for name in ("white", "strong_worst"))
    if judge_difference(weak, np.zeros_like(weak), "").verdict != "reproduced":
        return None
    return judge_difference(strong, SURVIVES * weak, "")


def judge_survival(frame: pd.DataFrame) -> Judgement:
    """C2: the gain under Standard at EPSILON, minus half of that under the attacks of the curve."""
    return on_each(frame, _survival)


C2 = Claim(
    "C2",
    "ours",
    "At least half of the gain of DRS survives the strongest attack we have.",
    "",
    f"gain under Standard at epsilon {EPSILON:g} minus half of that under PGD-20, the architecture that keeps least",
    COUNTS + f"the gain (DRS at the published weight minus CE) in accuracy at epsilon {EPSILON:g}, where an image "
    "counts as lost if an attack of the curve or Standard fools the network on it, minus "
    f"{SURVIVES:g} of the gain under the attacks of the curve alone, has a 95% t interval over seeds above 0. An "
    "architecture counts only if the gain under the attacks of the curve itself lies above 0." + TOGETHER_OURS,
    "architectures",
    "notebooks/13_stronger_attacks",
    judge_survival,
    amended="The first rule asked whether the gain at one budget lies above 0, on SmallConvNet, at three seeds, under "
    "our own list of attacks. It was undecided because three seeds spread so widely. The rule was written anew, with "
    "the attack Standard and as a share of the gain, before any record of the experiment that decides now.",
)

# --- C7 and C10: what changes in the network -------------------------------------------------------------------------


TINY = 1e-6
"""Of a network that is wrong on most images the median is 0; here it counts as this."""


def judge_radius(frame: pd.DataFrame) -> Judgement:
    """C7: logarithm of the median of lead over slope, DRS minus CE."""

    def judge(rows: tuple[pd.DataFrame, pd.DataFrame]) -> Judgement:
        ours, base = (np.log2(each[column("linear_radius_median")].clip(lower=TINY).to_numpy(float)) for each in rows)
        return judge_difference(ours, base, "")

    return on_each(frame, judge, "{:+.2f} [{:+.2f}, {:+.2f}]")


C7 = Claim(
    "C7",
    "ours",
    "The gain of DRS is no rescaling of the logits: the true logit's lead grows against its own slope.",
    "",
    "doublings of the median of lead over slope, DRS minus CE, the architecture with the smallest rise",
    COUNTS + "the paired difference (DRS minus CE) in the base-2 logarithm of the median, over clean test images, of "
    "the true logit's lead over the L1 norm of its gradient has a 95% t interval over seeds above 0. A factor of the "
    "logits changes neither." + TOGETHER_OURS,
    "architectures",
    "notebooks/09_why",
    judge_radius,
)

SMALL_ERROR = 0.01
"""How much larger the calibration error may be for 'no worse'."""


def judge_calibration(frame: pd.DataFrame) -> Judgement:
    """C10: calibration error after one fitted temperature, DRS minus CE, against SMALL_ERROR."""

    def judge(rows: tuple[pd.DataFrame, pd.DataFrame]) -> Judgement:
        ours, base = (each[column("calibration_error_after")].to_numpy(float) for each in rows)
        return judge_difference(base, ours, "", above=-SMALL_ERROR)

    return on_each(frame, judge)


C10 = Claim(
    "C10",
    "ours",
    "One temperature, fitted on validation images, undoes the harm of DRS to calibration.",
    "",
    "calibration error after fitting a temperature, CE minus DRS, the architecture with the largest harm",
    COUNTS + "the paired difference (CE minus DRS) in expected calibration error (15 bins) on test images, after the "
    "logits are divided by a temperature fitted on validation images, has a 95% t interval over seeds above "
    f"{-SMALL_ERROR:g}." + TOGETHER_OURS,
    "architectures",
    "notebooks/09_why",
    judge_calibration,
)

# --- C8 and C9: when it helps ----------------------------------------------------------------------------------------


def _gains(frame: pd.DataFrame, factor: str) -> Mapping[float, Values]:
    """From each level of a factor to (seeds,) the gain of DRS in area under the worst case."""
    rows = frame[frame["factor"] == factor]
    levels = sorted(map(float, rows["level"].unique()))
    return {level: difference(pair(rows[rows["level"] == level]), column("worst_area")) for level in levels}


def judge_length(frame: pd.DataFrame) -> Judgement:
    """C8: gain after the longest training minus half of the largest gain after any."""
    gains = _gains(frame, "updates")
    if len(gains) < 2:
        return no_records("fewer than two lengths")
    longest = max(gains)
    best = max(gains, key=lambda level: float(gains[level].mean()))
    detail = ", ".join(f"{level:,.0f} updates {gain.mean():+.3f}" for level, gain in gains.items())
    return judge_difference(gains[longest], SURVIVES * gains[best], f"gain after {detail}")


C8 = Claim(
    "C8",
    "ours",
    "The gain of DRS is no matter of a short training: at least half of it is left after the longest.",
    "",
    "area under worst-case accuracy, gain of DRS after the longest training minus half of the largest gain",
    "On SmallConvNet: held if the 95% t interval over seeds of the paired difference between the gain (DRS minus "
    f"CE, area under worst-case accuracy) after the longest training and {SURVIVES:g} of the largest mean gain after "
    "any length lies above 0; failed if it lies below; undecided if it straddles 0.",
    "why",
    "notebooks/09_why",
    judge_length,
)


def judge_adversarial(frame: pd.DataFrame) -> Judgement:
    """C9: area under the worst case, adversarial training with DRS minus adversarial training with CE."""
    rows = frame[frame["factor"] == "adversarial"]
    if rows.empty:
        return no_records("not run")
    return gain(pair(rows), "worst_area")


C9 = Claim(
    "C9",
    "ours",
    "DRS adds to adversarial training.",
    "",
    "area under worst-case accuracy, adversarial training with DRS minus that with CE",
    "On SmallConvNet: held if the 95% t interval over seeds of the paired difference in area under the "
    "worst-case accuracy curve, epsilon 0 to 0.2, between networks trained on adversarial examples with DRS and with "
    "CE lies above 0; failed if it lies below; undecided if it straddles 0.",
    "why",
    "notebooks/09_why",
    judge_adversarial,
)
