"""Claims on the related losses: guided complement entropy next to DRS, and the Max-Mahalanobis centre loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, TypeAlias

from drs.statistics import paired_difference
from drs.study.claims.base import Claim, Judgement, Values, VerdictName, judge_difference, no_records
from drs.study.claims.drs import EPSILON
from drs.study.metrics import column
from drs.study.published import Quote

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LADDER",
    "NO_MORE",
    "R1",
    "R2A",
    "R2B",
    "R2C",
    "R2D",
    "R2E",
    "SAME",
    "TRAINED",
    "WORST",
    "judge_against_gce",
    "judge_centres",
    "judge_clean",
    "judge_gain",
    "judge_ladder",
    "judge_masking",
]

WORST = column("strong_worst", budget=EPSILON)
TRAINED = 0.95
"""Share of its training images that a network must fit, mean over seeds, for a verdict on its loss."""
_MMC = "MMC, arXiv 1905.10626"
_GATE = (
    f" Undecided, too, where the networks of one side fit less than {TRAINED:.0%} of their training images, mean over "
    "seeds."
)

_Judge: TypeAlias = "Callable[[pd.DataFrame], Judgement]"


def _of(frame: pd.DataFrame, name: str, *variants: str) -> list[Values] | None:
    """A column for each variant over the seeds that have it for all of them; None for fewer than two such seeds."""
    if name not in frame:
        return None
    table = frame.pivot(index="network.seed", columns="variant", values=name)
    if not set(variants) <= set(table.columns):
        return None
    rows = table[list(variants)].dropna()
    return None if len(rows) < 2 else [rows[variant].to_numpy(float) for variant in variants]


def _trained(*variants: str) -> Callable[[_Judge], _Judge]:
    """A rule that gives no verdict where one of these variants has not been trained out."""

    def decorate(judge: _Judge) -> _Judge:
        @wraps(judge)
        def gated(frame: pd.DataFrame) -> Judgement:
            judged = judge(frame)
            fitted = frame.groupby("variant")[column("train_accuracy")].mean()
            short = [name for name in variants if name in fitted and not fitted[name] >= TRAINED]
            if judged.verdict == "no records" or not short:
                return judged
            said = ", ".join(f"{name} {fitted[name]:.1%}" for name in short)
            return replace(judged, verdict="undecided", detail=f"{judged.detail}; not trained out: {said}")

        return gated

    return decorate


_MISSING = "fewer than two seeds with every network"

# --- R1: DRS against guided complement entropy -----------------------------------------------------------------------

NO_MORE = 0.05
"""How far above GCE's the worst case of DRS may at most lie for 'no more'."""


@_trained("drs", "gce")
def judge_against_gce(frame: pd.DataFrame) -> Judgement:
    """R1: worst case at EPSILON, DRS minus GCE, each with the value that its validation images chose."""
    found = _of(frame, WORST, "drs", "gce")
    if found is None:
        return no_records(_MISSING)
    ours, theirs = found
    difference = paired_difference(ours, theirs)
    verdict: VerdictName = "undecided"
    if difference.low > 0.0:
        verdict = "not reproduced"
    elif difference.high < NO_MORE:
        verdict = "reproduced"
    detail = f"worst case {theirs.mean():.3f} under GCE, {ours.mean():.3f} under DRS"
    taken = _of(frame, column("tuned"), "drs", "gce")
    if taken is not None:
        weights, alphas = (", ".join(f"{value:.3g}" for value in values) for values in taken)
        detail += f"; taken by seed: weight {weights}, alpha {alphas}"
    return Judgement(verdict, difference.mean, difference.low, difference.high, len(ours), detail)


R1 = Claim(
    "R1",
    "ours",
    "At equal tuning the DRS loss gains no more than guided complement entropy, which is four years older.",
    "",
    f"worst-case accuracy at epsilon {EPSILON:g}, DRS minus GCE",
    "Each loss takes, for each seed, one of three values of its one number by its worst case on validation images. "
    "Reproduced if the 95% t interval over seeds of the paired difference (DRS minus GCE) in worst-case accuracy at "
    f"epsilon {EPSILON:g} ends below {NO_MORE:g} and does not lie wholly above 0; not if it lies wholly above 0; else "
    "undecided." + _GATE,
    "family",
    "notebooks/17_one_family",
    judge_against_gce,
)

# --- R2a and R2c: MMC against cross-entropy --------------------------------------------------------------------------

SAME = 0.005
"""How far apart two clean accuracies may be for 'equal': half a point."""


@_trained("ce", "mmc")
def judge_clean(frame: pd.DataFrame) -> Judgement:
    """R2a: clean accuracy, MMC minus CE, within SAME of each other."""
    found = _of(frame, column("accuracy"), "mmc", "ce")
    if found is None:
        return no_records(_MISSING)
    ours, base = found
    difference = paired_difference(ours, base)
    verdict: VerdictName = "undecided"
    if difference.low > -SAME and difference.high < SAME:
        verdict = "reproduced"
    elif difference.high < -SAME or difference.low > SAME:
        verdict = "not reproduced"
    detail = f"accuracy {base.mean():.3f} under CE, {ours.mean():.3f} under MMC"
    return Judgement(verdict, difference.mean, difference.low, difference.high, len(ours), detail)


_BENCH = {"training": "adversarial"}


def _bench(measure: str) -> Quote:
    return Quote("mmc_cifar10", "accuracy_percent", {**_BENCH, "measure": measure})


R2A = Claim(
    "R2a",
    _MMC,
    "A network with the Max-Mahalanobis centre loss is as accurate on clean images as one with cross-entropy.",
    "no table was at hand; trained on adversarial examples, CIFAR-10, accuracy in percent: clean {}",
    "clean accuracy, MMC minus CE",
    "Reproduced if the 95% t interval over seeds of the paired difference (MMC with centres of norm 10 minus CE) in "
    f"clean accuracy lies between {-SAME:g} and {SAME:g}; not if it lies wholly outside; else undecided." + _GATE,
    "family",
    "notebooks/18_max_mahalanobis",
    judge_clean,
    (_bench("clean"),),
)


def _judged(frame: pd.DataFrame, ours: str, base: str, said: str) -> Judgement:
    """The worst case at EPSILON of one variant minus that of another, reproduced above 0."""
    found = _of(frame, WORST, ours, base)
    if found is None:
        return no_records(_MISSING)
    first, second = found
    return judge_difference(first, second, said.format(second.mean(), first.mean()))


@_trained("ce", "mmc")
def judge_gain(frame: pd.DataFrame) -> Judgement:
    """R2c: worst case at EPSILON, MMC minus CE."""
    return _judged(frame, "mmc", "ce", "worst case {:.3f} under CE, {:.3f} under MMC")


R2C = Claim(
    "R2c",
    _MMC,
    "A network with the Max-Mahalanobis centre loss is more robust than one with cross-entropy.",
    "trained on adversarial examples, CIFAR-10, accuracy in percent: reported {}, under AutoAttack {}",
    f"worst-case accuracy at epsilon {EPSILON:g}, MMC minus CE",
    "Reproduced if the 95% t interval over seeds of the paired difference (MMC with centres of norm 10 minus CE) in "
    f"accuracy at epsilon {EPSILON:g} lies above 0, where an image counts as lost if any attack of the experiment's "
    "one list, adaptive ones among them, fools the network on it; undecided if it straddles 0." + _GATE,
    "family",
    "notebooks/18_max_mahalanobis",
    judge_gain,
    (_bench("reported"), _bench("autoattack")),
)

# --- R2b: the ladder of attacks --------------------------------------------------------------------------------------

LADDER = (
    (column("ce", budget=EPSILON), column("true_logit", budget=EPSILON)),
    (column("true_logit_runs_9"), column("target_logit", budget=EPSILON)),
)
"""Cross-entropy and L_MMC without a target, a run each; L_MMC without a target and towards every class, nine each."""


@_trained("mmc")
def judge_ladder(frame: pd.DataFrame) -> Judgement:
    """R2b: accuracy under each attack of the ladder minus that under the next one; the smaller fall is shown."""
    rows = frame[frame["variant"] == "mmc"].sort_values("network.seed")
    if rows.empty or not {name for pair in LADDER for name in pair} <= set(rows.columns):
        return no_records("no MMC network was attacked")
    steps = [[rows[name].to_numpy(float) for name in pair] for pair in LADDER]
    falls = [paired_difference(before, after) for before, after in steps]
    passed = [fall.low > 0.0 for fall in falls]
    verdict: VerdictName = "not reproduced"
    if all(passed):
        verdict = "reproduced"
    elif any(passed):
        verdict = "partly reproduced"
    elif any(fall.high > 0.0 for fall in falls):
        verdict = "undecided"
    smaller = min(falls, key=lambda fall: fall.mean)
    (plain, adaptive), (untargeted, targeted) = ((before.mean(), after.mean()) for before, after in steps)
    detail = (
        f"one run: cross-entropy {plain:.3f}, L_MMC {adaptive:.3f}; nine runs: L_MMC untargeted {untargeted:.3f}, "
        f"every target {targeted:.3f}"
    )
    return Judgement(verdict, smaller.mean, smaller.low, smaller.high, len(rows), detail)


R2B = Claim(
    "R2b",
    "ours",
    "PGD on cross-entropy overstates the robustness of an MMC network, and so does the untargeted adaptive attack of "
    "its paper: aiming at every class in turn finds more.",
    "",
    "fall of accuracy from one attack to the next, the smaller of two",
    f"On MMC networks with centres of norm 10, under PGD at epsilon {EPSILON:g}: reproduced if the 95% t intervals "
    "over seeds of two falls of accuracy both lie above 0, from cross-entropy to L_MMC without a target, one run per "
    "image each, and from L_MMC without a target, nine runs, to L_MMC towards each of the nine false classes; partly "
    "if one does; undecided if neither does and one straddles 0; else not." + _GATE,
    "family",
    "notebooks/18_max_mahalanobis",
    judge_ladder,
)

# --- R2d and R2e: the centres ----------------------------------------------------------------------------------------


@_trained("mmc", "mmc-random")
def judge_centres(frame: pd.DataFrame) -> Judgement:
    """R2d: worst case at EPSILON, simplex minus random centres of the same norm."""
    return _judged(frame, "mmc", "mmc-random", "worst case {:.3f} with random centres, {:.3f} with the simplex")


R2D = Claim(
    "R2d",
    _MMC,
    "Centres that are as far apart as they can be make the network more robust than random centres of the same norm.",
    "an ablation with random centres; no table was at hand",
    f"worst-case accuracy at epsilon {EPSILON:g}, simplex minus random centres",
    "Reproduced if the 95% t interval over seeds of the paired difference (simplex minus random directions, both of "
    f"norm 10 in 64 dimensions) in worst-case accuracy at epsilon {EPSILON:g} lies above 0; undecided if it straddles "
    "0." + _GATE,
    "family",
    "notebooks/18_max_mahalanobis",
    judge_centres,
)


@_trained("mmc-1", "mmc-30")
def judge_masking(frame: pd.DataFrame) -> Judgement:
    """R2e: accuracy under PGD on cross-entropy minus the worst case, at the largest norm minus at the smallest."""
    plain, worst = (_of(frame, name, "mmc-30", "mmc-1") for name in (column("ce", budget=EPSILON), WORST))
    if plain is None or worst is None:
        return no_records(_MISSING)
    large, small = (first - second for first, second in zip(plain, worst))
    detail = (
        f"cross-entropy and worst case: {plain[1].mean():.3f} and {worst[1].mean():.3f} at norm 1, "
        f"{plain[0].mean():.3f} and {worst[0].mean():.3f} at norm 30"
    )
    return judge_difference(large, small, detail)


R2E = Claim(
    "R2e",
    "ours",
    "The norm of the centres masks: the larger it is, the more PGD on cross-entropy overstates the robustness.",
    "",
    f"accuracy under PGD on cross-entropy minus worst case at epsilon {EPSILON:g}, norm 30 minus norm 1",
    "Reproduced if the 95% t interval over seeds of the paired difference (centres of norm 30 minus norm 1) in how far "
    f"the accuracy under PGD on cross-entropy lies above the worst case, at epsilon {EPSILON:g}, lies above 0; "
    "undecided if it straddles 0." + _GATE,
    "family",
    "notebooks/18_max_mahalanobis",
    judge_masking,
)
