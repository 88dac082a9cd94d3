"""The findings of the RCE paper, and two of ours about them, with the rules that judge them.

Every rule compares networks of one architecture (the first of the grid: SmallConvNet in ``quick``, ResNet-32 in
``paper``) seed by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drs.statistics import mean_interval, paired_difference
from drs.study.claims.base import Judgement, VerdictName, threshold_rule

if TYPE_CHECKING:
    import pandas as pd

RCE = "RCE, arXiv 1706.00633"
SHOWN = "@0.1"
EVADING = ("fgsm" + SHOWN, "bim" + SHOWN, "ilcm" + SHOWN, "jsma" + SHOWN, "cw", "cw_hc")
LOSSES = ("ce", "rce")
METRICS = ("confidence", "non_me", "k_density")
Values = NDArray[np.float64]


def main_architecture(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the grid's first architecture."""
    columns = [c for c in frame.columns if c == "network.model" or c.startswith("network.model_options.")]
    trained = frame[frame["network.model"].notna()]
    first = trained.iloc[0]
    same = np.ones(len(trained), dtype=bool)
    for column in columns:
        values = trained[column]
        same &= (values.isna() if first[column] != first[column] else values == first[column]).to_numpy(bool)
    return trained[same]


def _of_loss(frame: pd.DataFrame, loss: str, columns: Sequence[str]) -> pd.DataFrame:
    rows = main_architecture(frame)
    rows = rows[rows["network.loss"] == loss].sort_values("network.seed")
    return rows.reindex(columns=list(columns))


def per_seed(frame: pd.DataFrame, loss: str, columns: Sequence[str]) -> Values:
    """(seeds,) mean over ``columns`` for the networks of one loss, in the order of their seeds; NaN where one lacks."""
    means: Values = _of_loss(frame, loss, columns).mean(axis=1, skipna=False).to_numpy(float)
    return means


def shared(frame: pd.DataFrame, columns: Sequence[str], losses: Sequence[str]) -> list[str]:
    """Those of ``columns`` that every network of these losses has: an attack that never succeeds on one has no AUC."""
    return [column for column in columns if all(np.isfinite(per_seed(frame, loss, [column])).all() for loss in losses)]


def _gain(
    frame: pd.DataFrame, columns: Sequence[str], *, loss: str = "rce", above: float = 0.0, scale: str = "{:.3f}"
) -> Judgement:
    """Paired difference ``loss`` - CE of the mean over the shared ``columns``, judged against ``above``."""
    kept = shared(frame, columns, ("ce", loss))
    if not kept:
        return Judgement("no records", np.nan, np.nan, np.nan, 0, "an attack never succeeded, so there is no number")
    ours, base = per_seed(frame, loss, kept), per_seed(frame, "ce", kept)
    gain = paired_difference(ours, base)
    verdict = threshold_rule(gain.low, gain.high, above=above, direction="greater")
    detail = f"CE {scale.format(base.mean())}, {loss.upper()} {scale.format(ours.mean())}"
    if len(kept) < len(columns):
        detail += f", over the {len(kept)} of {len(columns)} that have a number for every network of both"
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(ours), detail)


def judge_theory(frame: pd.DataFrame) -> Judgement:
    """B0: exponents of the false-class gap."""
    row = frame[frame["slope.rce"].notna()].iloc[0]
    slopes = {kind: float(row[f"slope.{kind}"]) for kind in ("ce", "label_smoothing", "rce")}
    close = abs(slopes["rce"] - 2) < 0.1 and abs(slopes["ce"] - 1) < 0.1 and abs(slopes["label_smoothing"] - 1) < 0.1
    detail = "exponents " + ", ".join(f"{kind.replace('_', ' ')} {value:.3f}" for kind, value in slopes.items())
    verdict: VerdictName = "reproduced" if close else "not reproduced"
    return Judgement(verdict, slopes["rce"], np.nan, np.nan, int(row["draws"]), detail)


def judge_error(frame: pd.DataFrame) -> Judgement:
    """B1: clean error in percent, CE - RCE, against half a point."""
    ours, base = per_seed(frame, "rce", ["error_percent"]), per_seed(frame, "ce", ["error_percent"])
    excess = paired_difference(ours, base)
    verdict = threshold_rule(excess.low, excess.high, above=0.5, direction="less")
    detail = f"error {base.mean():.2f}% under CE, {ours.mean():.2f}% under RCE"
    return Judgement(verdict, excess.mean, excess.low, excess.high, len(ours), detail)


def judge_accuracy(frame: pd.DataFrame) -> Judgement:
    """B2: share of (attack, epsilon) cells where RCE is more accurate, and the distortion of C&W."""
    rows = main_architecture(frame)
    cells = [
        column
        for column in rows.columns
        if column.startswith(tuple(f"accuracy.{name}@" for name in ("fgsm", "bim", "ilcm", "jsma")))
    ]
    means = rows.groupby("network.loss")[cells].mean()
    share = float(np.mean(means.loc["rce"].to_numpy(float) > means.loc["ce"].to_numpy(float)))
    ratios = {
        name: per_seed(frame, "rce", [f"distortion.{name}"]).mean()
        / per_seed(frame, "ce", [f"distortion.{name}"]).mean()
        for name in ("cw", "cw_hc")
    }
    larger = all(ratio > 1 for ratio in ratios.values())
    verdict: VerdictName = "not reproduced"
    if share >= 0.95 and larger:
        verdict = "reproduced"
    elif share > 0.5:
        verdict = "partly reproduced"
    detail = "distortion of RCE over CE: " + ", ".join(
        f"{name} {ratio:.2f}" if ratio == ratio else f"{name} has no success to measure"
        for name, ratio in ratios.items()
    )
    return Judgement(verdict, share, np.nan, np.nan, len(cells), detail)


def judge_best(frame: pd.DataFrame) -> Judgement:
    """B3a: share of attacks where RCE with K-density has the best AUC of CE and RCE with any metric."""
    best = []
    for attack in EVADING:
        table = {
            (loss, metric): float(np.mean(per_seed(frame, loss, [f"auc.{metric}.{attack}"])))
            for loss in LOSSES
            for metric in METRICS
        }
        best.append(table["rce", "k_density"] >= np.nanmax(list(table.values())) - 0.005)
    share = float(np.mean(best))
    verdict: VerdictName = "reproduced" if share >= 5 / 6 else "partly reproduced" if share >= 0.5 else "not reproduced"
    won = ", ".join(name.split("@")[0] for name, is_best in zip(EVADING, best) if is_best) or "none"
    return Judgement(verdict, share, np.nan, np.nan, len(best), f"best (within 0.005) under: {won}")


def judge_non_me(frame: pd.DataFrame) -> Judgement:
    """B3b: AUC of non-ME, mean over the attacks that succeed on every network of both, RCE - CE."""
    return _gain(frame, [f"auc.non_me.{attack}" for attack in EVADING])


def judge_white_box(frame: pd.DataFrame) -> Judgement:
    """B4: distortion and share with f2 > 0 of C&W-wb, RCE against CE."""
    ratio = _gain(frame, ["f2_positive.wb_0"])
    length = _gain(frame, ["distortion.wb_0"], scale="{:.2f}")
    wins = [j.verdict == "reproduced" for j in (ratio, length)]
    verdict: VerdictName = "reproduced" if all(wins) else "partly reproduced" if any(wins) else "not reproduced"
    detail = f"f2 > 0: {ratio.detail}; distortion: {length.detail}, difference {length.estimate:+.2f}"
    return Judgement(verdict, ratio.estimate, ratio.low, ratio.high, ratio.n, detail)


def judge_transfer(frame: pd.DataFrame) -> Judgement:
    """B5: K-density's AUC on transferred C&W-wb examples, RCE target - CE target, mean over CE and RCE substitutes."""
    rows = main_architecture(frame)
    rows = rows[rows["network.loss"].isin(["ce", "rce"])]
    by_seed = rows.groupby("network.seed")[["transfer_auc.rce", "transfer_auc.ce"]].mean()
    ours, base = by_seed["transfer_auc.rce"].to_numpy(float), by_seed["transfer_auc.ce"].to_numpy(float)
    gain = paired_difference(ours, base)
    verdict = threshold_rule(gain.low, gain.high, above=0.0, direction="greater")
    detail = f"CE target {base.mean():.3f}, RCE target {ours.mean():.3f}"
    return Judgement(verdict, gain.mean, gain.low, gain.high, len(ours), detail)


def judge_time(frame: pd.DataFrame) -> Judgement:
    """B6: seconds per example of C&W-wb over those of FGSM, on RCE networks."""
    slow, fast = (per_seed(frame, "rce", [f"seconds_per_example.{name}"]) for name in ("wb_0", "fgsm"))
    ratio = mean_interval(slow / fast)
    verdict: VerdictName = "reproduced" if ratio.mean >= 1000 else "not reproduced"
    detail = f"FGSM {fast.mean():.2g} s, C&W-wb {slow.mean():.2g} s an example"
    return Judgement(verdict, ratio.mean, np.nan, np.nan, ratio.n, detail)


def judge_high_confidence(frame: pd.DataFrame) -> Judgement:
    """B7: share of C&W-wb examples with kappa = 5 that keep f2 > 0 on RCE networks."""
    values = per_seed(frame, "rce", ["f2_positive.wb_5"])
    values = values[np.isfinite(values)]
    if not len(values):
        return Judgement("no records", np.nan, np.nan, np.nan, 0, "no example reached the margin, so f2 has no share")
    share = mean_interval(values)
    verdict: VerdictName = "reproduced" if share.mean >= 0.95 else "not reproduced"
    detail = "; ".join(_reached(frame, loss) for loss in ("rce", "ce"))
    return Judgement(verdict, share.mean, np.nan, np.nan, share.n, detail)


def _reached(frame: pd.DataFrame, loss: str) -> str:
    """How many images reached the margin of 5, and on how many of those f2 is positive."""
    counts, kept, images = (
        _of_loss(frame, loss, [name])[name].to_numpy(float) for name in ("f2_count.wb_5", "f2_positive.wb_5", "images")
    )
    positive = np.nansum(counts * kept)
    return (
        f"{loss.upper()}: {np.nansum(counts):.0f} of {images.sum():.0f} images reached it, {positive:.0f} keep f2 > 0"
    )


def judge_clusters(frame: pd.DataFrame) -> Judgement:
    """B8: silhouette of the final hidden vectors by true label, RCE - CE."""
    return _gain(frame, ["silhouette"])


def judge_noise(frame: pd.DataFrame) -> Judgement:
    """B9: share rejected at 5% false rejection by K-density, attacks - noise, on RCE networks."""
    attacks = [f"detection_rate_5.k_density.{name}{SHOWN}" for name in ("fgsm", "bim", "ilcm", "jsma")]
    caught = per_seed(frame, "rce", shared(frame, attacks, ("rce",)))
    noise = per_seed(frame, "rce", [f"detection_rate_5.k_density.noise{SHOWN}"])
    gap = paired_difference(caught, noise)
    verdict = threshold_rule(gap.low, gap.high, above=0.5, direction="greater")
    detail = f"rejected: {caught.mean():.0%} of the attacks, {noise.mean():.0%} of the noisy images"
    return Judgement(verdict, gap.mean, gap.low, gap.high, len(caught), detail)


def judge_constant(frame: pd.DataFrame) -> Judgement:
    """B10: mean accuracy over the constants of C&W, RCE - CE."""
    return _gain(frame, [column for column in frame.columns if column.startswith("accuracy@")])


def judge_cross(frame: pd.DataFrame) -> Judgement:
    """C4: AUC of K-density, mean over the attacks that succeed on every network of both, DRS - CE."""
    return _gain(frame, [f"auc.k_density.{attack}" for attack in EVADING], loss="drs")


def judge_adaptive(frame: pd.DataFrame) -> Judgement:
    """C5: undetected successes of the best adaptive attack against the defender's best metric, RCE networks."""
    worst = np.stack(
        [
            np.nanmax(np.stack([per_seed(frame, "rce", [c]) for c in frame.columns if _adaptive(c, metric)]), axis=0)
            for metric in METRICS
        ]
    )
    left = worst.min(axis=0)
    share = mean_interval(left)
    verdict = threshold_rule(share.low, share.high, above=0.1, direction="less")
    each = ", ".join(f"{metric.replace('_', '-')} {row.mean():.2f}" for metric, row in zip(METRICS, worst))
    return Judgement(verdict, share.mean, share.low, share.high, len(left), f"undetected by metric: {each}")


def _adaptive(column: str, metric: str) -> bool:
    return column.startswith(tuple(f"undetected.{metric}.{name}" for name in ("selective", "orthogonal", "joint@")))
