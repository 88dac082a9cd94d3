"""The claims of the RCE paper: each rule, with its thresholds, next to its claim.

Every rule compares networks of one architecture (the first of the grid: SmallConvNet in ``quick``, ResNet-32 in
``paper``) seed by seed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from drs.statistics import mean_interval, share_interval
from drs.study.claims.base import (
    EVADING,
    SHARED_ATTACKS,
    SHOWN,
    SWEPT,
    Claim,
    Judgement,
    Values,
    VerdictName,
    evading_aucs,
    judge_difference,
    judge_gain,
    main_architecture,
    no_records,
    of_loss,
    per_seed,
    shared,
    threshold_rule,
)
from drs.study.metrics import ATTACKS, DETECTORS, Metric, column, columns
from drs.study.published import Quote

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "APART",
    "B0",
    "B1",
    "B2",
    "B3A",
    "B3B",
    "B4A",
    "B4B",
    "B5",
    "B6",
    "B7",
    "B8",
    "B9",
    "B10",
    "BADLY",
    "ENOUGH",
    "EXPONENTS",
    "HALF_A_POINT",
    "LARGER",
    "LOSSES",
    "MAJORITY",
    "MOST",
    "NEARLY_EVERY",
    "RCE",
    "RELIABLE",
    "SEEDS",
    "SLACK",
    "TIMES",
    "judge_accuracy",
    "judge_best",
    "judge_clusters",
    "judge_constant",
    "judge_distortion",
    "judge_error",
    "judge_high_confidence",
    "judge_kept_density",
    "judge_noise",
    "judge_non_me",
    "judge_theory",
    "judge_time",
    "judge_transfer",
]

RCE = "RCE, arXiv 1706.00633"
LOSSES = ("ce", "rce")
SEEDS = "the 95% t interval over seeds of the paired difference (RCE minus CE)"


def _quotes(table: str, name: str, **where: str) -> tuple[Quote, ...]:
    """One number of the paper for CE and one for RCE."""
    return tuple(Quote(table, name, {"objective": loss, **where}) for loss in LOSSES)


# --- B0: the theorem -------------------------------------------------------------------------------------------------

EXPONENTS = {"ce": 1, "label_smoothing": 1, "rce": 2}
SLACK = 0.1
"""How near to an exponent a fitted one must be."""


def judge_theory(frame: pd.DataFrame) -> Judgement:
    """B0: exponents of the false-class gap."""
    row = frame[frame[column("slope", loss="rce")].notna()].iloc[0]
    slopes = {loss: float(row[column("slope", loss=loss)]) for loss in EXPONENTS}
    close = all(abs(slopes[loss] - exponent) < SLACK for loss, exponent in EXPONENTS.items())
    detail = "exponents " + ", ".join(f"{loss.replace('_', ' ')} {value:.3f}" for loss, value in slopes.items())
    verdict: VerdictName = "reproduced" if close else "not reproduced"
    return Judgement(verdict, slopes["rce"], np.nan, np.nan, int(row["draws"]), detail)


B0 = Claim(
    "B0",
    RCE,
    "The difference between false classes falls with the square of the training error under RCE, with its first "
    "power under CE and label smoothing.",
    "Theorem: O(alpha^2) against O(alpha)",
    "exponent under RCE",
    "Reproduced if the fitted exponents of the largest false-class difference in alpha, over random errors of "
    f"sup norm 1e-5 to 1e-2, are within {SLACK:g} of {EXPONENTS['rce']} (RCE), {EXPONENTS['ce']} (CE) and "
    f"{EXPONENTS['label_smoothing']} (label smoothing); else not.",
    "theory",
    "notebooks/10_reverse_training",
    judge_theory,
    counts="draws",
    by_construction="Random errors are put into the formulas of the losses: this checks the algebra of the theorem, "
    "and no trained network. What networks do is shown beside it.",
)

# --- B1: clean data --------------------------------------------------------------------------------------------------

HALF_A_POINT = 0.5
"""How much larger the clean error may be, in percentage points, for 'as accurate'."""


def judge_error(frame: pd.DataFrame) -> Judgement:
    """B1: clean error in percent, RCE - CE, against half a point."""
    ours, base = (per_seed(frame, loss, [column("error_percent")]) for loss in ("rce", "ce"))
    detail = f"error {base.mean():.2f}% under CE, {ours.mean():.2f}% under RCE"
    return judge_difference(ours, base, detail, above=HALF_A_POINT, direction="less")


B1 = Claim(
    "B1",
    RCE,
    "RCE networks are as accurate on clean data as CE networks.",
    "Table 1, MNIST, ResNet-32, error in percent: CE {}, RCE {}",
    "clean error in percent, RCE minus CE",
    f"Reproduced if {SEEDS} in clean error lies below half a percentage point; undecided if it straddles it.",
    "detection",
    "notebooks/10_reverse_training",
    judge_error,
    _quotes("rce_table1_error", "error_percent", model="resnet32", dataset="mnist"),
    networks=("ce", "rce"),
)

# --- B2: robustness without the test ---------------------------------------------------------------------------------


def judge_accuracy(frame: pd.DataFrame) -> Judgement:
    """B2: for each attack the mean accuracy over its budgets, RCE - CE; and the distortion of C&W."""
    rows = main_architecture(frame)
    found: dict[str, Judgement] = {}
    for attack in SWEPT:
        cells = [name for name, metric in columns(rows, "accuracy").items() if metric.attack == attack]
        found[ATTACKS[attack]] = judge_difference(per_seed(frame, "rce", cells), per_seed(frame, "ce", cells), "")
    ours, base = (per_seed(frame, loss, [column("distortion", attack="cw")]) for loss in LOSSES[::-1])
    if np.isfinite(ours).all() and np.isfinite(base).all():
        found["C&W, distortion"] = judge_difference(ours, base, "")
    above = [name for name, judged in found.items() if judged.verdict == "reproduced"]
    verdict: VerdictName = "undecided"
    if len(above) == len(SWEPT) + 1:
        verdict = "reproduced"
    elif len(above) >= MOST:
        verdict = "partly reproduced"
    elif all(judged.verdict == "not reproduced" for judged in found.values()):
        verdict = "not reproduced"
    detail = "; ".join(f"{name} {j.estimate:+.3f} [{j.low:+.3f}, {j.high:+.3f}]" for name, j in found.items())
    return Judgement(verdict, len(above) / (len(SWEPT) + 1), np.nan, np.nan, len(SWEPT) + 1, detail)


MOST = 3
"""How many of the five comparisons must favour RCE for a partial success."""

B2 = Claim(
    "B2",
    RCE,
    "Without the test, RCE networks are more accurate under FGSM, BIM, ILCM and JSMA at every epsilon, and C&W and "
    "C&W-hc need larger distortions.",
    "Figure 2",
    "share of five comparisons whose whole interval favours RCE",
    f"Five comparisons: the mean accuracy over the budgets under each of FGSM, BIM, ILCM and JSMA, and the mean "
    f"distortion of C&W. Reproduced if {SEEDS} lies above 0 in all five; partly if in at least {MOST}; not if it lies "
    "below 0 in all; else undecided. C&W-hc is not judged: it seldom reaches its margin, and a distortion of those "
    "that do is no mean over all.",
    "detection",
    "notebooks/11_robustness",
    judge_accuracy,
    counts="comparisons",
    networks=("ce", "rce"),
    amended="The first rule counted cells of attack and epsilon, which depend on each other, without an interval, and "
    "asked it of C&W-hc, which fails on most RCE images.",
)

# --- B3: detection ---------------------------------------------------------------------------------------------------


def judge_best(frame: pd.DataFrame) -> Judgement:
    """B3a: under how many attacks RCE with K-density beats the best of CE and RCE with any other metric."""
    found: dict[str, Judgement] = {}
    for attack in EVADING:
        aucs = {
            (loss, detector): per_seed(frame, loss, [column("auc", detector=detector, attack=attack)])
            for loss in LOSSES
            for detector in DETECTORS
        }
        ours = aucs.pop(("rce", "k_density"))
        others = {name: values for name, values in aucs.items() if np.isfinite(values).all()}
        if np.isfinite(ours).all() and others:
            best = max(others, key=lambda name: float(others[name].mean()))
            label = Metric.parse(column("auc", detector="k_density", attack=attack)).attack
            found[label] = judge_difference(ours, others[best], "")
    if not found:
        return no_records("no attack succeeded on every network")
    won, lost = ([k for k, j in found.items() if j.verdict == name] for name in ("reproduced", "not reproduced"))
    verdict: VerdictName = "undecided"
    if len(lost) <= 1 and 2 * len(won) >= len(found):
        verdict = "reproduced"
    elif 2 * len(lost) >= len(found):
        verdict = "not reproduced"
    elif won:
        verdict = "partly reproduced"
    detail = "; ".join(
        f"{said} under {', '.join(ATTACKS[k] for k in names) or 'none'}"
        for said, names in (("won", won), ("lost", lost))
    )
    return Judgement(verdict, len(won) / len(found), np.nan, np.nan, len(found), detail)


B3A = Claim(
    "B3a",
    RCE,
    "RCE with K-density has the best AUC in almost all cases.",
    "Table 2, MNIST, BIM, AUC of K-density in percent: CE {}, RCE {}",
    "share of attacks where it is best, with its whole interval",
    f"Over those of FGSM, BIM, ILCM, JSMA at epsilon {SHOWN:g}, C&W and C&W-hc that succeed on every network: RCE with "
    "K-density wins or loses an attack where the 95% t interval over seeds of its AUC minus the best of CE and RCE "
    "with any other metric lies above or below 0. Reproduced if it loses at most one and wins at least half of them; "
    "not if it loses at least half; else partly if it wins one, and undecided if it wins none.",
    "detection",
    "notebooks/12_detection",
    judge_best,
    _quotes("rce_table2_auc", "k_density", attack="bim", dataset="mnist"),
    counts="attacks",
    networks=("ce", "rce"),
    amended="The first rule compared means without an interval, and counted C&W-hc as lost where it never succeeded.",
)

RELIABLE = 0.95
"""What 'reliable' is taken to mean: an AUC above this."""


def judge_non_me(frame: pd.DataFrame) -> Judgement:
    """B3b: AUC of non-ME on RCE networks, mean over the attacks that succeed on every network, against RELIABLE."""
    kept = shared(frame, evading_aucs("non_me"), LOSSES)
    if not kept:
        return no_records("an attack never succeeded, so there is no number")
    ours, base = (per_seed(frame, loss, kept) for loss in LOSSES[::-1])
    found = mean_interval(ours)
    verdict = threshold_rule(found.low, found.high, above=RELIABLE, direction="greater")
    detail = f"CE {base.mean():.3f}, RCE {ours.mean():.3f}, over {len(kept)} of {len(EVADING)} attacks"
    return Judgement(verdict, found.mean, found.low, found.high, found.n, detail)


B3B = Claim(
    "B3b",
    RCE,
    "Non-ME itself becomes a reliable metric under RCE.",
    "Table 2, MNIST, FGSM, AUC of non-ME in percent: CE {}, RCE {}",
    "AUC of non-ME, mean over attacks, RCE",
    "Reproduced if the 95% t interval over seeds of non-ME's AUC on RCE networks, mean over those of the six attacks "
    f"of B3a that succeed on every network of both, lies above {RELIABLE:g}; not if it lies below; undecided if it "
    "straddles it.",
    "detection",
    "notebooks/12_detection",
    judge_non_me,
    _quotes("rce_table2_auc", "non_me", attack="fgsm", dataset="mnist"),
    amended=SHARED_ATTACKS + " The rule then asked whether non-ME is better under RCE than under CE, where it is "
    "useless: 'reliable' asks for more, and now has a number.",
    networks=("ce", "rce"),
)

# --- B4 and B5: white-box attack and its transfer --------------------------------------------------------------------


LARGER = 1.5
"""What 'much larger' is taken to mean: so many times as large."""
MAJORITY = 0.5


def judge_distortion(frame: pd.DataFrame) -> Judgement:
    """B4a: distortion of C&W-wb, RCE over CE, against LARGER."""
    ours, base = (per_seed(frame, loss, [column("distortion", attack="wb_0")]) for loss in LOSSES[::-1])
    if not (np.isfinite(ours).all() and np.isfinite(base).all()):
        return no_records("the attack never succeeded on a network")
    found = mean_interval(ours / base)
    verdict = threshold_rule(found.low, found.high, above=LARGER, direction="greater")
    detail = f"distortion {base.mean():.2f} on CE, {ours.mean():.2f} on RCE"
    return Judgement(verdict, found.mean, found.low, found.high, found.n, detail)


def judge_kept_density(frame: pd.DataFrame) -> Judgement:
    """B4b: share of the examples of C&W-wb on RCE networks with f2 > 0, against one half."""
    ours, base = (per_seed(frame, loss, [column("f2_positive", attack="wb_0")]) for loss in LOSSES[::-1])
    if not np.isfinite(ours).all():
        return no_records("the attack never succeeded on a network")
    found = mean_interval(ours)
    verdict = threshold_rule(found.low, found.high, above=MAJORITY, direction="greater")
    detail = f"share {base.mean():.3f} on CE, {ours.mean():.3f} on RCE"
    return Judgement(verdict, found.mean, found.low, found.high, found.n, detail)


_SPLIT = (
    "The first rule put both halves of the sentence together and asked of each only whether RCE lies above CE: 'much "
    "larger' and 'most' ask for more."
)

B4A = Claim(
    "B4a",
    RCE,
    "The white-box attack C&W-wb needs much larger distortions on RCE networks.",
    "Table 3, MNIST, distortion: CE {}, RCE {}",
    "distortion of C&W-wb, RCE over CE",
    "Reproduced if the 95% t interval over seeds of the ratio of mean distortions of successful C&W-wb examples (RCE "
    f"over CE) lies above {LARGER:g}; not if it lies below; undecided if it straddles it.",
    "whitebox",
    "notebooks/15_white_box",
    judge_distortion,
    _quotes("rce_table3_whitebox", "minimal_distortion", dataset="mnist"),
    networks=("ce", "rce"),
    amended=_SPLIT,
)
B4B = Claim(
    "B4b",
    RCE,
    "Most examples of C&W-wb on RCE networks keep f2 > 0: they stay less dense than the median training example of "
    "their class.",
    "Table 3, MNIST, share with f2 > 0: CE {}, RCE {}",
    "share with f2 > 0 of the successful examples of C&W-wb, RCE",
    "Reproduced if the 95% t interval over seeds of the share of successful C&W-wb examples with f2 > 0 on RCE "
    f"networks lies above {MAJORITY:g}; not if it lies below; undecided if it straddles it.",
    "whitebox",
    "notebooks/15_white_box",
    judge_kept_density,
    _quotes("rce_table3_whitebox", "ratio_f2_positive", dataset="mnist"),
    networks=("ce", "rce"),
    amended=_SPLIT,
)


BADLY = 0.1
"""What 'transfer badly' is taken to mean: a target errs on at most so much more of the examples than of the images."""


def judge_transfer(frame: pd.DataFrame) -> Judgement:
    """B5: K-density's AUC on transferred C&W-wb examples, RCE target - CE target, and how many of them fool a target.

    Both are means over CE and RCE substitutes."""
    rows = main_architecture(frame)
    rows = rows[rows["network.loss"].isin(LOSSES)]

    def of(head: str, loss: str) -> Values:
        values: Values = rows.groupby("network.seed")[column(head, loss=loss)].mean().to_numpy(float)
        return values

    found = judge_difference(of("transfer_auc", "rce"), of("transfer_auc", "ce"), "")
    extra = mean_interval(np.mean([of("transfer", loss) - of("transfer_clean", loss) for loss in LOSSES], axis=0))
    halves = [threshold_rule(extra.low, extra.high, above=BADLY, direction="less"), found.verdict]
    verdict: VerdictName = "partly reproduced" if "reproduced" in halves else "undecided"
    if len(set(halves)) == 1:
        verdict = halves[0]
    detail = (
        f"extra errors on transferred examples {extra.mean:.3f} [{extra.low:.3f}, {extra.high:.3f}]; AUC "
        f"{of('transfer_auc', 'ce').mean():.3f} on CE targets, {of('transfer_auc', 'rce').mean():.3f} on RCE targets"
    )
    return replace(found, verdict=verdict, detail=detail)


B5 = Claim(
    "B5",
    RCE,
    "White-box examples transfer badly: on an unknown network K-density still finds them, best on RCE.",
    "Table 4, CIFAR-10, AUC of K-density in percent: CE to CE {}, RCE to RCE {}",
    "AUC of K-density on transferred examples, RCE target minus CE target",
    "Two halves, each over CE and RCE substitutes: the errors of CE and RCE targets on transferred C&W-wb examples "
    f"beyond those on the images themselves have a 95% t interval over seeds below {BADLY:g}; and the paired "
    "difference in K-density's AUC on those examples (RCE target minus CE target) has one above 0. Reproduced if both "
    "hold; partly if one does; not if both intervals lie on the other side; else undecided.",
    "whitebox",
    "notebooks/16_black_box",
    judge_transfer,
    tuple(
        Quote("rce_table4_blackbox_auc", "k_density_auc", {"substitute_resnet32": loss, "target_resnet56": loss})
        for loss in LOSSES
    ),
    networks=("ce", "rce"),
    amended="The first rule judged the second half of the sentence alone.",
)

# --- B6 and B7: its time, and high confidence ------------------------------------------------------------------------

TIMES = 1000
"""How many times as long as FGSM the attack on the detector must take."""


def judge_time(frame: pd.DataFrame) -> Judgement:
    """B6: seconds per example of C&W-wb over those of FGSM, on RCE networks."""
    slow, fast = (per_seed(frame, "rce", [column("seconds_per_example", attack=name)]) for name in ("wb_0", "fgsm"))
    ratio = mean_interval(slow / fast)
    verdict: VerdictName = "reproduced" if ratio.mean >= TIMES else "not reproduced"
    detail = f"FGSM {fast.mean():.2g} s, C&W-wb {slow.mean():.2g} s an example"
    return Judgement(verdict, ratio.mean, np.nan, np.nan, ratio.n, detail)


B6 = Claim(
    "B6",
    RCE,
    "A white-box attack on the detector costs over a thousand times what FGSM costs an example.",
    "Table 5, seconds per example: FGSM on CE {}, on RCE {}; C&W-wb on CE {}, on RCE {}",
    "seconds per example of C&W-wb over FGSM, RCE",
    f"Reproduced if C&W-wb takes at least {TIMES:,} times as long per example as FGSM on RCE networks, mean over "
    "seeds; else not.",
    "whitebox",
    "notebooks/15_white_box",
    judge_time,
    _quotes("rce_table5_seconds_per_example", "seconds", attack="fgsm")
    + _quotes("rce_table5_seconds_per_example", "seconds", attack="cw_wb"),
    by_construction="We chose how many iterations the attack takes: the ratio of times is mostly that number.",
)

NEARLY_EVERY = 0.95
"""What 'cannot make its examples look normal' is taken to mean: at least this share keeps f2 > 0."""


def judge_high_confidence(frame: pd.DataFrame) -> Judgement:
    """B7: share of C&W-wb examples of high confidence that keep f2 > 0 on RCE networks, if enough reach kappa."""
    counts, kept, images = (
        per_seed(frame, "rce", [name])
        for name in (column("f2_count", attack="wb_high"), column("f2_positive", attack="wb_high"), column("images"))
    )
    reached = int(np.nansum(counts))
    detail = "; ".join(_reached(frame, loss) for loss in ("rce", "ce"))
    if reached < ENOUGH * images.sum():
        return Judgement("not tested", np.nan, np.nan, np.nan, reached, f"too few reach kappa: {detail}")
    found = share_interval(round(float(np.nansum(counts * kept))), reached)
    verdict = threshold_rule(found.low, found.high, above=NEARLY_EVERY, direction="greater")
    return Judgement(verdict, found.mean, found.low, found.high, reached, detail)


ENOUGH = 0.5
"""Share of the images on which the attack must reach its margin: one that does not is no test of a defence."""


def _reached(frame: pd.DataFrame, loss: str) -> str:
    """How many images reached kappa, and on how many of those f2 is positive."""
    names = (column("f2_count", attack="wb_high"), column("f2_positive", attack="wb_high"), column("images"))
    counts, kept, images = (of_loss(frame, loss, [name])[name].to_numpy(float) for name in names)
    positive = np.nansum(counts * kept)
    return (
        f"{loss.upper()}: {np.nansum(counts):.0f} of {images.sum():.0f} images reached it, {positive:.0f} keep f2 > 0"
    )


B7 = Claim(
    "B7",
    RCE,
    "High-confidence C&W-wb cannot make its examples look normal.",
    "Table 6, from memory: every example keeps f2 > 0; the published code cannot succeed at that margin",
    "share with f2 > 0 at high confidence, RCE",
    "Kappa is half of the median lead of the true logit on held-out images of the same network. Reproduced if the 95% "
    "Wilson interval of the share with f2 > 0, of the examples that reach kappa on RCE networks, lies above "
    f"{NEARLY_EVERY:g}; not if it lies below; undecided if it straddles it. Not tested if fewer than {ENOUGH:g} of the "
    "images reach kappa: an attack that misses its own aim says nothing of a defence.",
    "whitebox",
    "notebooks/15_white_box",
    judge_high_confidence,
    counts="examples that reached kappa",
    networks=("ce", "rce"),
    amended="The first rule took the mean over seeds without an interval, however few images reached the margin, and "
    "the same margin of 5 for every network, whatever margins that network gives clean images.",
)

# --- B8 to B10: features, noise, constants ---------------------------------------------------------------------------


def judge_clusters(frame: pd.DataFrame) -> Judgement:
    """B8: silhouette of the final hidden vectors by true label, RCE - CE."""
    return judge_gain(frame, [column("silhouette")])


B8 = Claim(
    "B8",
    RCE,
    "RCE features are compact, separate clusters.",
    "Figure 1 (t-SNE)",
    "silhouette of the final hidden vectors, RCE minus CE",
    f"Reproduced if {SEEDS} in the silhouette coefficient of the features by true label lies above 0; undecided if "
    "it straddles 0.",
    "detection",
    "notebooks/10_reverse_training",
    judge_clusters,
    networks=("ce", "rce"),
)

APART = 0.9
"""The AUC from which attacks and noise count as told apart."""


def judge_noise(frame: pd.DataFrame) -> Judgement:
    """B9: AUC with which K-density ranks noisy images above attacked ones, mean over four attacks, RCE networks."""
    names = [column("noise_auc", detector="k_density", attack=name, budget=SHOWN) for name in SWEPT]
    ours, base = (per_seed(frame, loss, shared(frame, names, ("ce", "rce"))) for loss in ("rce", "ce"))
    if not ours.size or not np.isfinite(ours).all():
        return no_records("an attack never succeeded, so there is no number")
    found = mean_interval(ours)
    verdict = threshold_rule(found.low, found.high, above=APART, direction="greater")
    each = ", ".join(f"{name.upper()} {per_seed(frame, 'rce', [key]).mean():.3f}" for name, key in zip(SWEPT, names))
    detail = f"{each}; CE networks {base.mean():.3f}"
    return Judgement(verdict, found.mean, found.low, found.high, len(ours), detail)


B9 = Claim(
    "B9",
    RCE,
    "The detector tells random noise from attacks.",
    "Figures 4, 5 and 6",
    "AUC of noisy images above attacked ones, RCE with K-density",
    "Reproduced if the 95% t interval over seeds lies above "
    f"{APART:g}, of the AUC with which K-density on RCE networks ranks uniformly noisy images above adversarial "
    f"examples that fool the network (mean over FGSM, BIM, ILCM and JSMA, all at epsilon {SHOWN:g}); not if it lies "
    f"below; undecided if it straddles {APART:g}.",
    "detection",
    "notebooks/12_detection",
    judge_noise,
    networks=("ce", "rce"),
    amended="The first rule compared the shares rejected at one threshold, set for 5% false rejection, and asked for a "
    "difference of 0.5: it judged where that threshold lies, not whether the scores tell noise from attacks.",
)


def judge_constant(frame: pd.DataFrame) -> Judgement:
    """B10: mean accuracy over the constants of C&W, RCE minus CE as it is, then CE with its logits divided."""
    constants = [
        metric.budget for metric in columns(frame, "accuracy", attack="").values() if metric.budget is not None
    ]
    plain = judge_gain(frame, [column("accuracy", budget=each) for each in constants])
    ours = per_seed(frame, "rce", [column("accuracy", budget=each) for each in constants])
    divided = per_seed(frame, "rce", [column("rescaled", budget=each) for each in constants])
    by = per_seed(frame, "rce", [column("divisor")]).mean()
    found = judge_difference(
        ours, divided, f"{plain.detail}, CE with its logits divided by {by:.1f} {divided.mean():.3f}"
    )
    if plain.verdict != "reproduced":
        return replace(found, verdict=plain.verdict)
    return found if found.verdict == "reproduced" else replace(found, verdict="partly reproduced")


B10 = Claim(
    "B10",
    RCE,
    "Over the constants c of C&W, RCE networks stay more accurate on average.",
    "Figure 7",
    "accuracy, mean over the constants, RCE minus CE with its logits divided",
    f"Reproduced if {SEEDS} in accuracy, mean over c from 0.001 to 1000, lies above 0, and the same difference to that "
    "CE network with its logits divided, so that the median margin on clean validation images is RCE's, does too; "
    "partly if only the first does; else not if the first lies below 0; undecided if it straddles 0.",
    "constant",
    "notebooks/11_robustness",
    judge_constant,
    networks=("ce", "rce"),
    amended="The first rule compared the networks as they are. C&W weighs the distance against the logits, so a "
    "division of all logits, which changes no answer, moves its curve along the axis of c: the gain could have been "
    "one of scale alone.",
)
