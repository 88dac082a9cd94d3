"""The claims of the DRS paper, and two of ours about it, with the rules that judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drs.statistics import correlate, mean_interval, paired_difference, partial_correlation
from drs.study.claims.base import Claim, Judgement, VerdictName, threshold_rule

if TYPE_CHECKING:
    import pandas as pd

DRS = "DRS, arXiv 2303.12363"
EPSILON = 0.05
"""The budget at which A1 is judged; the page shows all of them."""
STRONG = 0.7
"""What 'highly correlated' is taken to mean: at least so large an absolute Pearson coefficient."""


def _seeds(frame: pd.DataFrame, variant: str, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rows = frame[frame["variant"] == variant].sort_values("network.seed")
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = rows[column].to_numpy(float)
    return values


def judge_shift(frame: pd.DataFrame) -> Judgement:
    """A0: share of fooled images whose false probabilities are spread wider after PGD than before, CE network."""
    from statsmodels.stats.proportion import proportion_confint

    row = frame[frame["network.loss"] == "ce"].iloc[0]
    count = int(row["fooled"])
    if count == 0:
        return Judgement("no records", np.nan, np.nan, np.nan, 0, "no image was fooled")
    share = float(row["std_probabilities_rises"])
    low, high = proportion_confint(round(share * count), count, method="wilson")
    verdict = threshold_rule(low, high, above=0.5, direction="greater")
    return Judgement(verdict, share, float(low), float(high), count, f"{share:.1%} of {count} fooled images")


def judge_correlation(frame: pd.DataFrame) -> Judgement:
    """A1: spread of the false softmax values against accuracy under PGD-20 at EPSILON."""
    x = frame["std_probabilities_mean"].to_numpy(float)
    y = frame[f"pgd@{EPSILON:g}"].to_numpy(float)
    r = correlate(x, y)
    partial = partial_correlation(x, y, frame["accuracy"].to_numpy(float))
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


def judge_accuracy_correlation(frame: pd.DataFrame) -> Judgement:
    """A2: spread against clean accuracy, on probabilities and on logits; the more positive of the two is shown."""
    accuracy = frame["accuracy"].to_numpy(float)
    on = {name: correlate(frame[f"std_{name}_mean"].to_numpy(float), accuracy) for name in ("probabilities", "logits")}
    positive = [name for name, r in on.items() if r.low > 0]
    verdict: VerdictName = "not reproduced" if len(positive) == 2 else "partly reproduced" if positive else "reproduced"
    r = max(on.values(), key=lambda c: c.low)
    detail = "; ".join(f"on {name} r = {c.estimate:+.2f} [{c.low:+.2f}, {c.high:+.2f}]" for name, c in on.items())
    return Judgement(verdict, r.estimate, r.low, r.high, len(frame), detail)


def judge_loss(frame: pd.DataFrame) -> Judgement:
    """A3: area under the worst-case accuracy curve, DRS minus CE, seed by seed."""
    ours, base = _seeds(frame, "drs", "worst_area"), _seeds(frame, "ce", "worst_area")
    gain = paired_difference(ours, base)
    verdict = threshold_rule(gain.low, gain.high, above=0.0, direction="greater")
    detail = f"area {mean_interval(base).mean:.3f} under CE, {mean_interval(ours).mean:.3f} under DRS"
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(ours), detail)


def judge_clean_accuracy(frame: pd.DataFrame) -> Judgement:
    """A4b: clean accuracy, DRS minus CE, seed by seed, against a loss of one point."""
    ours, base = _seeds(frame, "drs", "accuracy"), _seeds(frame, "ce", "accuracy")
    gain = paired_difference(ours, base)
    verdict = threshold_rule(gain.low, gain.high, above=-0.01, direction="greater")
    detail = f"accuracy {mean_interval(base).mean:.3f} under CE, {mean_interval(ours).mean:.3f} under DRS"
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(ours), detail)


def judge_controls(frame: pd.DataFrame) -> Judgement:
    """C1: DRS minus the best of three controls that do not name the false classes, by mean worst-case area."""
    controls = ("label-smoothing", "confidence-penalty", "logit-squeezing")
    present = [name for name in controls if (frame["variant"] == name).any()]
    if not present:
        return Judgement("no records", np.nan, np.nan, np.nan, 0, "the controls were not run")
    ours = _seeds(frame, "drs", "worst_area")
    areas = {name: _seeds(frame, name, "worst_area") for name in present}
    best = max(present, key=lambda name: float(areas[name].mean()))
    gain = paired_difference(ours, areas[best])
    verdict = threshold_rule(gain.low, gain.high, above=0.0, direction="greater")
    detail = f"best control: {best.replace('-', ' ')}, area {areas[best].mean():.3f} against {ours.mean():.3f}"
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(ours), detail)


CLAIMS = (
    Claim(
        "A0",
        "ours",
        "An attack that succeeds spreads the softmax values of the false classes wider.",
        "",
        "share of fooled images whose spread rises",
        "Reproduced if the 95% Wilson interval of the share of images fooled by PGD-20 whose standard deviation over "
        "the false probabilities rises lies above 0.5; undecided if it straddles 0.5.",
        "anatomy",
        "notebooks/01_anatomy",
        judge_shift,
        counts="fooled images",
    ),
    Claim(
        "A1",
        DRS,
        "The result after an attack is highly correlated with the diversity of the softmax values of the non-true "
        "classes.",
        "'highly correlated'; the abstract gives no coefficient",
        "Pearson r of false-class spread with accuracy under PGD-20 at epsilon 0.05",
        "Over a population of cross-entropy networks: reproduced if r between the mean standard deviation of the false "
        "probabilities and accuracy under PGD-20 at epsilon 0.05 is at most -0.7 with a 95% interval below 0, and the "
        "partial correlation given clean accuracy is below 0 with its interval too; partly if only r's interval lies "
        "below 0.",
        "correlation",
        "notebooks/02_correlation",
        judge_correlation,
        counts="networks",
    ),
    Claim(
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
    ),
    Claim(
        "A3",
        DRS,
        "A loss that restrains the diversity of the false classes makes networks more robust.",
        "'improves robustness'; no table was at hand",
        "area under worst-case accuracy, DRS minus CE",
        "Reproduced if the 95% t interval over seeds of the paired difference (DRS at the published weight minus CE) "
        "in area under the worst-case accuracy curve, epsilon 0 to 0.2, lies above 0; undecided if it straddles 0.",
        "losses",
        "notebooks/03_drs_loss",
        judge_loss,
    ),
    Claim(
        "A4b",
        DRS,
        "The loss does not harm standard accuracy significantly.",
        "'without significant harm'",
        "clean accuracy, DRS minus CE",
        "Reproduced if the 95% t interval over seeds of the paired difference in clean accuracy lies above -0.01; "
        "undecided if it straddles -0.01.",
        "losses",
        "notebooks/03_drs_loss",
        judge_clean_accuracy,
    ),
    Claim(
        "C1",
        "ours",
        "The gain of DRS is more than three common regularisers of the logits bring, each at one weight.",
        "",
        "area under worst-case accuracy, DRS minus the best control",
        "Reproduced if the 95% t interval over seeds of the paired difference to the best of label smoothing, "
        "confidence penalty and logit squeezing lies above 0; undecided if it straddles 0.",
        "losses",
        "notebooks/03_drs_loss",
        judge_controls,
    ),
)
