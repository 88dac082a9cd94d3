"""The claims of the RCE paper: each rule, with its thresholds, next to its claim.

Every rule compares networks of one architecture (the first of the grid: SmallConvNet in ``quick``, ResNet-32 in
``paper``) seed by seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drs.statistics import mean_interval
from drs.study.claims.base import (
    EVADING,
    SHARED_ATTACKS,
    SHOWN,
    SWEPT,
    Claim,
    Judgement,
    VerdictName,
    evading_aucs,
    judge_difference,
    judge_gain,
    main_architecture,
    no_records,
    of_loss,
    per_seed,
    shared,
)
from drs.study.metrics import DETECTORS, Metric, column, columns
from drs.study.published import Quote

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALMOST_ALL",
    "APART",
    "B0",
    "B1",
    "B2",
    "B3A",
    "B3B",
    "B4",
    "B5",
    "B6",
    "B7",
    "B8",
    "B9",
    "B10",
    "EVERY_CELL",
    "EXPONENTS",
    "HALF",
    "HALF_A_POINT",
    "LOSSES",
    "MOST_CELLS",
    "NEARLY_EVERY",
    "RCE",
    "SEEDS",
    "SLACK",
    "TIE",
    "TIMES",
    "judge_accuracy",
    "judge_best",
    "judge_clusters",
    "judge_constant",
    "judge_error",
    "judge_high_confidence",
    "judge_noise",
    "judge_non_me",
    "judge_theory",
    "judge_time",
    "judge_transfer",
    "judge_white_box",
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
    "notebooks/06_reverse_training",
    judge_theory,
    counts="draws",
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
    "notebooks/06_reverse_training",
    judge_error,
    _quotes("rce_table1_error", "error_percent", model="resnet32", dataset="mnist"),
    networks=("ce", "rce"),
)

# --- B2: robustness without the test ---------------------------------------------------------------------------------

EVERY_CELL = 0.95
"""What 'at every epsilon' is taken to mean: at least this share of the cells."""
MOST_CELLS = 0.5


def judge_accuracy(frame: pd.DataFrame) -> Judgement:
    """B2: share of (attack, epsilon) cells where RCE is more accurate, and the distortion of C&W."""
    rows = main_architecture(frame)
    cells = [name for name, metric in columns(rows, "accuracy").items() if metric.attack in SWEPT]
    means = rows.groupby("network.loss")[cells].mean()
    share = float(np.mean(means.loc["rce"].to_numpy(float) > means.loc["ce"].to_numpy(float)))
    ratios = {}
    for attack in ("cw", "cw_hc"):
        ours, base = (per_seed(frame, loss, [column("distortion", attack=attack)]) for loss in ("rce", "ce"))
        ratios[attack] = ours.mean() / base.mean()
    larger = all(ratio > 1 for ratio in ratios.values())
    verdict: VerdictName = "not reproduced"
    if share >= EVERY_CELL and larger:
        verdict = "reproduced"
    elif share > MOST_CELLS:
        verdict = "partly reproduced"
    detail = "distortion of RCE over CE: " + ", ".join(
        f"{name} {ratio:.2f}" if ratio == ratio else f"{name} has no success to measure"
        for name, ratio in ratios.items()
    )
    return Judgement(verdict, share, np.nan, np.nan, len(cells), detail)


B2 = Claim(
    "B2",
    RCE,
    "Without the test, RCE networks are more accurate under FGSM, BIM, ILCM and JSMA at every epsilon, and C&W and "
    "C&W-hc need larger distortions.",
    "Figure 2",
    "share of (attack, epsilon) cells where RCE is more accurate",
    f"Reproduced if RCE's mean accuracy over seeds is above CE's in at least {EVERY_CELL:.0%} of the cells and the "
    "mean distortion of C&W and of C&W-hc is larger; partly if it is above in more than half of them.",
    "detection",
    "notebooks/07_robustness",
    judge_accuracy,
    counts="cells",
    networks=("ce", "rce"),
)

# --- B3: detection ---------------------------------------------------------------------------------------------------

TIE = 0.005
"""How far below the best an AUC still counts as the best."""
ALMOST_ALL, HALF = 5, 3
"""Under how many of the six attacks it must be the best, to be reproduced and partly."""


def judge_best(frame: pd.DataFrame) -> Judgement:
    """B3a: share of attacks where RCE with K-density has the best AUC of CE and RCE with any metric."""
    won = []
    for attack in EVADING:
        names = {detector: column("auc", detector=detector, attack=attack) for detector in DETECTORS}
        table = {
            (loss, detector): float(np.mean(per_seed(frame, loss, [name])))
            for loss in LOSSES
            for detector, name in names.items()
        }
        if table["rce", "k_density"] >= np.nanmax(list(table.values())) - TIE:
            won.append(Metric.parse(names["k_density"]).attack)
    count = len(won)
    verdict: VerdictName = (
        "reproduced" if count >= ALMOST_ALL else "partly reproduced" if count >= HALF else "not reproduced"
    )
    detail = f"best (within {TIE:g}) under: {', '.join(won) or 'none'}"
    return Judgement(verdict, count / len(EVADING), np.nan, np.nan, len(EVADING), detail)


_NUMBERS = {3: "three", 5: "five", 6: "six"}

B3A = Claim(
    "B3a",
    RCE,
    "RCE with K-density has the best AUC in almost all cases.",
    "Table 2, MNIST, BIM, AUC of K-density in percent: CE {}, RCE {}",
    "share of attacks where it is best",
    f"Over FGSM, BIM, ILCM, JSMA at epsilon {SHOWN:g}, C&W and C&W-hc: reproduced if the mean AUC of RCE with "
    f"K-density is within {TIE:g} of the best of CE and RCE with any metric under at least {_NUMBERS[ALMOST_ALL]} of "
    f"{_NUMBERS[len(EVADING)]}; partly under {_NUMBERS[HALF]}.",
    "detection",
    "notebooks/08_detection",
    judge_best,
    _quotes("rce_table2_auc", "k_density", attack="bim", dataset="mnist"),
    counts="attacks",
    networks=("ce", "rce"),
)


def judge_non_me(frame: pd.DataFrame) -> Judgement:
    """B3b: AUC of non-ME, mean over the attacks that succeed on every network of both, RCE - CE."""
    return judge_gain(frame, evading_aucs("non_me"))


B3B = Claim(
    "B3b",
    RCE,
    "Non-ME itself becomes a reliable metric under RCE.",
    "Table 2, MNIST, FGSM, AUC of non-ME in percent: CE {}, RCE {}",
    "AUC of non-ME, mean over attacks, RCE minus CE",
    f"Reproduced if {SEEDS} in non-ME's AUC, mean over those of the six attacks of B3a that succeed on "
    "every network of both, lies above 0; undecided if it straddles 0.",
    "detection",
    "notebooks/08_detection",
    judge_non_me,
    _quotes("rce_table2_auc", "non_me", attack="fgsm", dataset="mnist"),
    amended=SHARED_ATTACKS,
    networks=("ce", "rce"),
)

# --- B4 and B5: white-box attack and its transfer --------------------------------------------------------------------


def judge_white_box(frame: pd.DataFrame) -> Judgement:
    """B4: distortion and share with f2 > 0 of C&W-wb, RCE against CE."""
    ratio = judge_gain(frame, [column("f2_positive", attack="wb_0")])
    length = judge_gain(frame, [column("distortion", attack="wb_0")], scale="{:.2f}")
    wins = [j.verdict == "reproduced" for j in (ratio, length)]
    verdict: VerdictName = "reproduced" if all(wins) else "partly reproduced" if any(wins) else "not reproduced"
    detail = f"f2 > 0: {ratio.detail}; distortion: {length.detail}, difference {length.estimate:+.2f}"
    return Judgement(verdict, ratio.estimate, ratio.low, ratio.high, ratio.n, detail)


B4 = Claim(
    "B4",
    RCE,
    "The white-box attack C&W-wb needs much larger distortions on RCE networks, and most of its examples keep "
    "f2 > 0: they stay less dense than the median training example of their class.",
    "Table 3, MNIST, share with f2 > 0: CE {}, RCE {}; distortion: CE {}, RCE {}",
    "share with f2 > 0, RCE minus CE",
    f"Reproduced if {SEEDS} lies above 0 both in the share of successful examples with f2 > 0 and in their mean "
    "distortion; partly if in one of them.",
    "whitebox",
    "notebooks/09_white_box",
    judge_white_box,
    _quotes("rce_table3_whitebox", "ratio_f2_positive", dataset="mnist")
    + _quotes("rce_table3_whitebox", "minimal_distortion", dataset="mnist"),
    networks=("ce", "rce"),
)


def judge_transfer(frame: pd.DataFrame) -> Judgement:
    """B5: K-density's AUC on transferred C&W-wb examples, RCE target - CE target, mean over CE and RCE substitutes."""
    rows = main_architecture(frame)
    rows = rows[rows["network.loss"].isin(LOSSES)]
    targets = [column("transfer_auc", loss=loss) for loss in ("rce", "ce")]
    by_seed = rows.groupby("network.seed")[targets].mean()
    ours, base = (by_seed[name].to_numpy(float) for name in targets)
    return judge_difference(ours, base, f"CE target {base.mean():.3f}, RCE target {ours.mean():.3f}")


B5 = Claim(
    "B5",
    RCE,
    "White-box examples transfer badly: on an unknown network K-density still finds them, best on RCE.",
    "Table 4, CIFAR-10, AUC of K-density in percent: CE to CE {}, RCE to RCE {}",
    "AUC of K-density on transferred examples, RCE target minus CE target",
    "Reproduced if the 95% t interval over seeds of the paired difference in K-density's AUC on transferred "
    "C&W-wb examples (RCE target minus CE target, mean over CE and RCE substitutes) lies above 0; undecided if it "
    "straddles 0.",
    "whitebox",
    "notebooks/10_black_box",
    judge_transfer,
    tuple(
        Quote("rce_table4_blackbox_auc", "k_density_auc", {"substitute_resnet32": loss, "target_resnet56": loss})
        for loss in LOSSES
    ),
    networks=("ce", "rce"),
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
    "notebooks/09_white_box",
    judge_time,
    _quotes("rce_table5_seconds_per_example", "seconds", attack="fgsm")
    + _quotes("rce_table5_seconds_per_example", "seconds", attack="cw_wb"),
)

NEARLY_EVERY = 0.95
"""What 'cannot make its examples look normal' is taken to mean: at least this share keeps f2 > 0."""


def judge_high_confidence(frame: pd.DataFrame) -> Judgement:
    """B7: share of C&W-wb examples with kappa = 5 that keep f2 > 0 on RCE networks."""
    values = per_seed(frame, "rce", [column("f2_positive", attack="wb_5")])
    values = values[np.isfinite(values)]
    if not len(values):
        return no_records("no example reached the margin, so f2 has no share")
    share = mean_interval(values)
    verdict: VerdictName = "reproduced" if share.mean >= NEARLY_EVERY else "not reproduced"
    detail = "; ".join(_reached(frame, loss) for loss in ("rce", "ce"))
    return Judgement(verdict, share.mean, np.nan, np.nan, share.n, detail)


def _reached(frame: pd.DataFrame, loss: str) -> str:
    """How many images reached the margin of 5, and on how many of those f2 is positive."""
    names = (column("f2_count", attack="wb_5"), column("f2_positive", attack="wb_5"), column("images"))
    counts, kept, images = (of_loss(frame, loss, [name])[name].to_numpy(float) for name in names)
    positive = np.nansum(counts * kept)
    return (
        f"{loss.upper()}: {np.nansum(counts):.0f} of {images.sum():.0f} images reached it, {positive:.0f} keep f2 > 0"
    )


B7 = Claim(
    "B7",
    RCE,
    "High-confidence C&W-wb (kappa = 5) cannot make its examples look normal.",
    "Table 6, from memory: every example keeps f2 > 0; the published code cannot succeed at that margin",
    "share with f2 > 0 at kappa = 5, RCE",
    f"Reproduced if at least {NEARLY_EVERY:.0%} of the examples that reach the margin of 5 on RCE networks keep f2 > "
    "0, mean over seeds; else not.",
    "whitebox",
    "notebooks/09_white_box",
    judge_high_confidence,
    networks=("ce", "rce"),
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
    "notebooks/06_reverse_training",
    judge_clusters,
    networks=("ce", "rce"),
)

APART = 0.5
"""How much larger the rejected share of the attacks than that of the noise must be."""


def judge_noise(frame: pd.DataFrame) -> Judgement:
    """B9: share rejected at 5% false rejection by K-density, attacks - noise, on RCE networks."""
    attacks, noise = (
        [column("detection_rate_5", detector="k_density", attack=name, budget=SHOWN) for name in names]
        for names in (SWEPT, ("noise",))
    )
    caught, passed = per_seed(frame, "rce", shared(frame, attacks, ("rce",))), per_seed(frame, "rce", noise)
    detail = f"rejected: {caught.mean():.0%} of the attacks, {passed.mean():.0%} of the noisy images"
    return judge_difference(caught, passed, detail, above=APART)


B9 = Claim(
    "B9",
    RCE,
    "The detector tells random noise from attacks.",
    "Figures 4, 5 and 6",
    "share rejected at 5% false rejection, attacks minus noise, RCE with K-density",
    "Reproduced if the 95% t interval over seeds of the difference between the share of adversarial examples "
    f"(FGSM, BIM, ILCM, JSMA at epsilon {SHOWN:g}) and of uniformly noisy images (same epsilon) that K-density rejects "
    f"on RCE networks lies above {APART:g}; undecided if it straddles {APART:g}.",
    "detection",
    "notebooks/08_detection",
    judge_noise,
    networks=("ce", "rce"),
)


def judge_constant(frame: pd.DataFrame) -> Judgement:
    """B10: mean accuracy over the constants of C&W, RCE - CE."""
    constants = columns(frame, "accuracy", attack="").items()
    return judge_gain(frame, [name for name, metric in constants if metric.budget is not None])


B10 = Claim(
    "B10",
    RCE,
    "Over the constants c of C&W, RCE networks stay more accurate on average.",
    "Figure 7",
    "accuracy, mean over the constants, RCE minus CE",
    f"Reproduced if {SEEDS} in accuracy, mean over c from 0.001 to 1000, lies above 0; undecided if it straddles 0.",
    "constant",
    "notebooks/07_robustness",
    judge_constant,
    networks=("ce", "rce"),
)
