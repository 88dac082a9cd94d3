"""Every threshold of every rule, from both sides: frames a hair apart get two verdicts.

The thresholds are written out here once more, so that none of them can move unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest

from drs.statistics import correlate, partial_correlation
from drs.study.claims import CLAIMS

HAIR = 1e-6
SEEDS = (2, 0, 1)
BUDGETS = [round(0.01 * step, 2) for step in range(1, 26)]
SWEPT = ("fgsm", "bim", "ilcm", "jsma")
EVADING = ("fgsm@0.1", "bim@0.1", "ilcm@0.1", "jsma@0.1", "cw", "cw_hc")
DETECTORS = ("confidence", "non_me", "k_density")
NOT, PARTLY, YES = "not reproduced", "partly reproduced", "reproduced"
OPEN = "undecided"
WORST = "strong_worst@0.05"
Make = Callable[[float], pd.DataFrame]


def networks(**losses: dict[str, float]) -> pd.DataFrame:
    """Three seeds for each loss, all alike, and a network of another architecture that no rule may look at."""
    one = {"network.model": "small_conv"}
    rows = [
        one | {"network.loss": loss, "network.seed": seed} | values for loss, values in losses.items() for seed in SEEDS
    ]
    other = {"network.model": "resnet", "network.seed": 0}
    return pd.DataFrame(rows + [other | {"network.loss": loss} | dict.fromkeys(v, 9e9) for loss, v in losses.items()])


def variants(**values: dict[str, float]) -> pd.DataFrame:
    """Three seeds of each variant."""
    return pd.DataFrame(
        [
            {"variant": name.replace("_", "-"), "network.seed": seed, "images": 100} | v
            for name, v in values.items()
            for seed in SEEDS
        ]
    )


def against(claim: str, column: str, at: float, *, ours: str = "rce", below: str = NOT, above: str = YES) -> Case:
    """A difference of two losses in one column, 0.4 under CE."""
    return Case(
        claim, at, lambda x: networks(ce={column: 0.4}, **{ours: {column: 0.4 + x}}), below, above, f"{column}, {ours}"
    )


def paired(claim: str, column: str, at: float, base: str = "ce") -> Case:
    """A difference of DRS and another variant in one column; the other controls are far below."""
    rest = {name: {column: -9.0} for name in ("label_smoothing", "confidence_penalty", "logit_squeezing")}
    return Case(
        claim, at, lambda x: variants(**(rest | {base: {column: 0.5}, "drs": {column: 0.5 + x}})), NOT, YES, base
    )


@dataclass(frozen=True)
class Case:
    """A rule, one of its thresholds, and its verdict on frames whose deciding number is a hair below and above it."""

    claim: str
    at: float
    make: Make
    below: str
    above: str
    what: str

    def __str__(self) -> str:
        return f"{self.claim} at {self.at:g}: {self.what}"


BASIS = np.linalg.qr(np.column_stack([np.ones(80), np.random.default_rng(0).normal(size=(80, 3))]))[0].T[1:]
"""Three variables of 80 networks with mean 0, length 1 and no correlation."""


def population(r: float) -> pd.DataFrame:
    """Spread and accuracy under attack are correlated by exactly ``r``; clean accuracy with neither."""
    x, other, clean = BASIS
    y = r * x + np.sqrt(1 - r * r) * other
    return pd.DataFrame({"std_probabilities_mean": x, "accuracy": clean, "pgd@0.05": y})


def guise(r: float) -> pd.DataFrame:
    """Spread and accuracy under attack are nearly clean accuracy; given that, they are correlated by exactly ``r``."""
    clean, own, other = BASIS
    x, y = 0.3 * own - clean, 0.3 * (r * own + np.sqrt(1 - r * r) * other) + clean
    return pd.DataFrame({"std_probabilities_mean": x, "accuracy": clean, "pgd@0.05": y})


def crossing(end: Callable[[float], float]) -> float:
    """Where an increasing end of an interval passes zero, as a correlation between -0.6 and 0.6."""
    low, high = -0.6, 0.6
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if end(middle) < 0 else (low, middle)
    return (low + high) / 2


def spread_and_accuracy(probabilities: float, logits: float) -> pd.DataFrame:
    """80 networks whose two spreads are correlated with clean accuracy by exactly these."""
    first, second = population(probabilities)["pgd@0.05"], population(logits)["pgd@0.05"]
    accuracy = population(0.0)["std_probabilities_mean"]
    return pd.DataFrame({"accuracy": accuracy, "std_probabilities_mean": first, "std_logits_mean": second})


def lower_end(r: float) -> float:
    frame = spread_and_accuracy(r, r)
    return correlate(frame["std_probabilities_mean"].to_numpy(float), frame["accuracy"].to_numpy(float)).low


def upper_end(r: float) -> float:
    frame = population(r)
    return correlate(frame["std_probabilities_mean"].to_numpy(float), frame["pgd@0.05"].to_numpy(float)).high


LOWER = crossing(lower_end)
"""Where the lower end of r passes zero."""


def partial_end(r: float) -> float:
    x, y, clean = (guise(r)[name].to_numpy(float) for name in ("std_probabilities_mean", "pgd@0.05", "accuracy"))
    return partial_correlation(x, y, clean).high


def times(small: float, large: float) -> pd.DataFrame:
    rows = [
        {"kind": "training", "model": model, "drs_ratio": 1.0, "drs_ratio_low": 0.9, "drs_ratio_high": high}
        for model, high in (("small_conv", small), ("resnet", large))
    ]
    return pd.DataFrame(rows).assign(repetitions=12)


def exponents(loss: str, exponent: float) -> pd.DataFrame:
    slopes = {"ce": 1.0, "label_smoothing": 1.0, "rce": 2.0} | {loss: exponent}
    return pd.DataFrame([{f"slope.{loss}": value for loss, value in slopes.items()} | {"draws": 100.0}])


def cells(won: int, *, cw: float = 2.0, cw_hc: float = 2.0) -> pd.DataFrame:
    """100 cells, of which RCE wins the first ones by a hair; the ratios of the distortions."""
    names = [f"accuracy.{attack}@{budget:g}" for attack in SWEPT for budget in BUDGETS]
    base = dict.fromkeys(names, 0.5) | {"accuracy.noise@0.1": 0.9, "distortion.cw": 10.0, "distortion.cw_hc": 10.0}
    ours = {name: 0.5 + HAIR * (i < won) for i, name in enumerate(names)}
    ours |= {"accuracy.noise@0.1": 0.1, "distortion.cw": 10 * cw, "distortion.cw_hc": 10 * cw_hc}
    return networks(ce=base, rce=ours)


def aucs(won: int, rival: tuple[str, str], gap: float) -> pd.DataFrame:
    """RCE with K-density is far ahead under the first attacks, ``gap`` behind the rival under the next, then lost."""
    values = {loss: {f"auc.{d}.{a}": 0.5 for d in DETECTORS for a in EVADING} for loss in ("ce", "rce")}
    for number, attack in enumerate(EVADING):
        values["rce"][f"auc.k_density.{attack}"] = 0.9 if number < won else 0.6 if number == won else 0.1
    values[rival[0]][f"auc.{rival[1]}.{EVADING[won]}"] = 0.6 + gap
    return networks(**values)


def noisy(attack: str, gap: float) -> pd.DataFrame:
    """One of the four attacks is caught as much more often as moves the mean difference to the noise to ``gap``."""
    rate = {f"detection_rate_5.k_density.{name}@0.1": 0.6 for name in SWEPT}
    rate[f"detection_rate_5.k_density.{attack}@0.1"] += 4 * (gap - 0.5)
    others = {"detection_rate_5.k_density.noise@0.2": 0.0, "detection_rate_1.k_density.noise@0.1": 0.9}
    return networks(ce=dict.fromkeys(rate, 0.0), rce=rate | others | {"detection_rate_5.k_density.noise@0.1": 0.1})


def undetected(attack: str, detector: str, share: float) -> pd.DataFrame:
    """The best detector lets ``share`` through, under this attack."""
    adaptive = ("selective", "orthogonal", "joint@0.1", "joint@1", "joint@10")
    values = {f"undetected.{d}.{a}": 0.9 if d != detector else 0.0 for d in DETECTORS for a in adaptive}
    values |= {f"undetected.{d}.{a}": 1.0 for d in DETECTORS for a in ("wb_0", "bim@0.1")}
    return networks(ce=dict.fromkeys(values, 0.5), rce=values | {f"undetected.{detector}.{attack}": share})


def white_box(ratio: float, length: float) -> pd.DataFrame:
    def values(ratio: float, length: float) -> dict[str, float]:
        other = {"f2_positive.wb_5": -ratio, "distortion.wb_5": -length, "distortion_normal.wb_0": -length}
        return {"f2_positive.wb_0": 0.4 + ratio, "distortion.wb_0": 5.0 + length} | other

    return networks(ce=values(0.0, 0.0), rce=values(ratio, length))


def transferred(x: float) -> pd.DataFrame:
    """The mean over both substitutes counts; a DRS substitute does not, nor what only the fooled give."""
    ce = {"transfer_auc.ce": 0.5, "transfer_auc.rce": 0.6 + x, "transfer_auc_fooled.rce": 0.1}
    rce = {"transfer_auc.ce": 0.5, "transfer_auc.rce": 0.4 + x, "transfer_auc_fooled.rce": 0.1}
    return networks(ce=ce, rce=rce, drs={"transfer_auc.ce": 0.9, "transfer_auc.rce": 0.1})


def slower(ratio: float) -> pd.DataFrame:
    values = {"seconds_per_example.fgsm": 0.001, "seconds_per_example.wb_5": 0.0}
    return networks(
        ce=values | {"seconds_per_example.wb_0": 0.0}, rce=values | {"seconds_per_example.wb_0": 0.001 * ratio}
    )


def kept(share: float) -> pd.DataFrame:
    values = {"f2_count.wb_5": 10.0, "images": 100.0, "f2_positive.wb_0": 1.0}
    return networks(ce=values | {"f2_positive.wb_5": 0.5}, rce=values | {"f2_positive.wb_5": share})


def shift(share: float) -> pd.DataFrame:
    """So many images that Wilson's interval is narrower than a hair; another network and measure say otherwise."""
    rows = {"network.loss": ["drs", "ce"], "fooled": [9.0, 1e14], "std_probabilities_rises": [1 - share, share]}
    return pd.DataFrame(rows).assign(std_logits_rises=1 - share)


def quiet(count: int) -> pd.DataFrame:
    """Three DRS networks of which so many raise no alarm; every CE network raises one."""
    frame = variants(ce={"strong_worst@0.05": 0.1}, drs={"strong_worst@0.05": 0.1})
    return frame.assign(largest_budget=[0.9] * 3 + [0.0 if i < count else 0.9 for i in range(3)])


def zoo(caught: float, alarmed: float) -> pd.DataFrame:
    """So many of ten broken ones are caught, so many of thirty healthy ones raise alarms."""
    broken = [{"subject": "rounding", "caught": float(i < caught), "alarms": 3.0} for i in range(10)]
    healthy = [{"subject": "CE network", "caught": np.nan, "alarms": 2.0 * (i < alarmed)} for i in range(30)]
    return pd.DataFrame(broken + healthy)


def related(members: dict[str, dict[str, float]], fits: float = 1.0) -> pd.DataFrame:
    """Networks of the family, all trained out unless told otherwise."""
    return variants(**{name: {"train_accuracy": fits} | v for name, v in members.items()})


def worst(claim: str, ours: str, base: str, at: float, below: str = NOT, above: str = YES) -> Case:
    """A difference of two members of the family in the worst case; another budget says otherwise."""

    def frame(x: float) -> pd.DataFrame:
        return related({base: {WORST: 0.3, "margin@0.05": 0.2}, ours: {WORST: 0.3 + x, "margin@0.05": 0.2 - x}})

    return Case(claim, at, frame, below, above, f"{ours} and {base}")


def rungs(first: float, second: float, fits: float = 1.0) -> pd.DataFrame:
    """The two falls of the ladder on MMC networks; those with random centres say otherwise."""
    low = {"ce@0.05": 0.4 + first, "true_logit@0.05": 0.4, "true_logit_runs_9": 0.2 + second, "target_logit@0.05": 0.2}
    return related({"mmc": low, "mmc-random": dict.fromkeys(low, 0.5)}, fits)


def masked(x: float) -> pd.DataFrame:
    """How far cross-entropy lies above the worst case: 0.2 at norm 1, x more at norm 30."""
    small, large = ({"ce@0.05": 0.5, WORST: 0.3 - y, "ce@0.1": 0.9 - y} for y in (0.0, x))
    return related({"mmc-1": small, "mmc-30": large})


def captioned(gain: float, at: str = "prs-0.001", *, last: float = 0.1, fall: float = 0.0) -> pd.DataFrame:
    """Captioners of three seeds; ``at`` gains overlap over CE, keeps ``last`` of it, and loses right captions."""
    rows = []
    for name in ("ce", "prs-0.001", "prs-0.1", "classes-0.001", "classes-0.1"):
        few = gain if name == at else -0.1 * (name != "ce")
        row = {"variant": name, "caption_exact": 0.9 - (fall if name == at else 0.0), "overlap_steps_10.zero": 1.0}
        row |= {f"overlap_steps_{step}.worst": 0.3 + few for step in (1, 2, 4)}
        row["overlap_steps_10.worst"] = 0.2 + (last if name == at else 0.0)
        rows += [row | {"seed": seed} for seed in SEEDS]
    return pd.DataFrame(rows)


def calibrated(nll: float = 0.1, ece: float = 0.1, hits: float = 0.0, constant: float = 1.0) -> pd.DataFrame:
    """Plain and scaled networks of three seeds: the falls that Density-Softmax brings, and the constant's NLL."""
    row = {"kind": "digits", "train_accuracy": 0.99, "log_density_before": -9.0, "log_density_after": -8.0}
    row |= {"scale_mean": 0.6, "scale_shift": 0.5}
    for arm in ("plain", "interval", "ratio", "constant", "retrained", "temperature", "oracle"):
        falls = (
            {"nll": nll, "ece": ece, "hits": hits} if arm == "interval" else dict.fromkeys(("nll", "ece", "hits"), 0)
        )
        row |= {f"{head}_shift.{arm}": 1.0 - fall for head, fall in falls.items()}
    row["nll_shift.constant"] = constant
    return pd.DataFrame([row | {"gradient_penalty": weight, "seed": s} for weight in (0.0, 1e-4) for s in SEEDS])


def on_moons(arms: tuple[str, ...], grown: float = 0.9, near: float = 0.05, plain: float = 0.0) -> pd.DataFrame:
    """Two moons at three seeds: these arms have the given numbers, the other one passes nothing."""
    row = {"kind": "moons", "train_accuracy": 1.0, "distance_correlation.plain": plain}
    for arm in ("ratio", "interval"):
        row |= {f"distance_correlation.{arm}": grown if arm in arms else -1.0}
        row |= {f"uncertainty.{arm}": near if arm in arms else 0.25}
    return pd.DataFrame([row | {"seed": seed} for seed in SEEDS])


def verified(**other: float) -> pd.DataFrame:
    """EER of three seeds on made embeddings and digits: self-restrained 0.1, the rest 0.01 above, but for ``other``."""
    rows = []
    for data in ("synthetic", "mnist5k"):
        row = {"dataset": data, "restrained_batches": 0.5, "train_accuracy": 1.0, "eer.srt": 0.1}
        row |= {f"train_loss_{end}.{loss}": x for loss in ("triplet", "srt", "pull") for end, x in ENDS.items()}
        row |= {f"eer.{name}": 0.1 + other.get(f"{name}_{data}", 0.01) for name in ("raw", "triplet", "pull")}
        rows += [row | {"seed": seed} for seed in SEEDS]
    return pd.DataFrame(rows)


def rival(name: str, fall: float) -> pd.DataFrame:
    """One loss on one data set with so much more error than the self-restrained one."""
    return verified(**{name: fall})


ENDS = {"before": 2.0, "after": 1.0}
BOTH = ("ratio", "interval")


CASES = (
    Case("A0", 0.5, shift, NOT, YES, "share of rises"),
    Case("A1", -0.7, population, YES, PARTLY, "r"),
    Case("A1", crossing(upper_end), population, PARTLY, NOT, "upper end of r"),
    Case("A1", crossing(partial_end), guise, YES, PARTLY, "upper end of the partial r"),
    Case("A2", LOWER, lambda x: spread_and_accuracy(x, -0.5), YES, PARTLY, "probabilities"),
    Case("A2", LOWER, lambda x: spread_and_accuracy(-0.5, x), YES, PARTLY, "logits"),
    Case("A2", LOWER, lambda x: spread_and_accuracy(x, 0.5), PARTLY, NOT, "probabilities and logits"),
    paired("A3", "worst_area", 0.0),
    Case("A4a", 1.05, lambda x: times(x, 1.0), YES, PARTLY, "SmallConvNet"),
    Case("A4a", 1.05, lambda x: times(1.0, x), YES, PARTLY, "ResNet-32"),
    Case("A4a", 1.05, lambda x: times(x, 1.2), PARTLY, NOT, "SmallConvNet, the other too slow"),
    Case("A4a", 1.05, lambda x: times(1.2, x), PARTLY, NOT, "ResNet-32, the other too slow"),
    paired("A4b", "accuracy", -0.01),
    Case("B0", 1.9, partial(exponents, "rce"), NOT, YES, "RCE"),
    Case("B0", 2.1, partial(exponents, "rce"), YES, NOT, "RCE"),
    *(Case("B0", 0.9, partial(exponents, k), NOT, YES, k) for k in ("ce", "label_smoothing")),
    *(Case("B0", 1.1, partial(exponents, k), YES, NOT, k) for k in ("ce", "label_smoothing")),
    against("B1", "error_percent", 0.5, below=YES, above=NOT),
    Case("B2", 94.5, lambda x: cells(94 if x < 94.5 else 95), PARTLY, YES, "cells in percent"),
    Case("B2", 50.5, lambda x: cells(50 if x < 50.5 else 51), NOT, PARTLY, "cells in percent"),
    Case("B2", 1.0, lambda x: cells(100, cw=x), PARTLY, YES, "distortion of C&W"),
    Case("B2", 1.0, lambda x: cells(100, cw_hc=x), PARTLY, YES, "distortion of C&W-hc"),
    *(
        Case("B3a", 0.005, partial(aucs, 4, rival), YES, PARTLY, " ".join(rival))
        for rival in [("ce", detector) for detector in DETECTORS] + [("rce", "confidence"), ("rce", "non_me")]
    ),
    Case("B3a", 0.005, partial(aucs, 2, ("ce", "k_density")), PARTLY, NOT, "the third attack"),
    *(against("B3b", f"auc.non_me.{attack}", 0.0) for attack in EVADING),
    Case("B4", 0.0, lambda x: white_box(x, 1.0), PARTLY, YES, "f2 > 0"),
    Case("B4", 0.0, lambda x: white_box(1.0, x), PARTLY, YES, "distortion"),
    Case("B4", 0.0, lambda x: white_box(x, -1.0), NOT, PARTLY, "f2 > 0, distortion smaller"),
    Case("B5", 0.0, transferred, NOT, YES, "AUC"),
    Case("B6", 1000.0, slower, NOT, YES, "times"),
    Case("B7", 0.95, kept, NOT, YES, "share"),
    against("B8", "silhouette", 0.0),
    *(Case("B9", 0.5, partial(noisy, a), NOT, YES, a) for a in SWEPT),
    *(against("B10", f"accuracy@{c}", 0.0) for c in ("0.001", "1", "1000")),
    paired("C1", "worst_area", 0.0, "label_smoothing"),
    paired("C1", "worst_area", 0.0, "confidence_penalty"),
    paired("C1", "worst_area", 0.0, "logit_squeezing"),
    paired("C2", "strong_worst@0.05", 0.0),
    Case("C3", 0.5, lambda x: quiet(0 if x < 0.5 else 1), NOT, PARTLY, "one network"),
    Case("C3", 2.5, lambda x: quiet(2 if x < 2.5 else 3), PARTLY, YES, "every network"),
    *(against("C4", f"auc.k_density.{attack}", 0.0, ours="drs") for attack in EVADING),
    *(
        Case("C5", 0.1, partial(undetected, a, d), YES, NOT, f"{a}, {d}")
        for a in ("selective", "orthogonal", "joint@0.1", "joint@10")
        for d in DETECTORS
    ),
    Case("C6", 9.0, lambda x: zoo(x, 0), PARTLY, YES, "of ten caught"),
    Case("C6", 8.0, lambda x: zoo(x, 0), NOT, PARTLY, "of ten caught"),
    Case("C6", 2.0, lambda x: zoo(10, x), YES, NOT, "of thirty with an alarm"),
    worst("R1", "drs", "gce", 0.0, YES, NOT),
    Case(
        "R1",
        0.95,
        lambda x: related({"drs": {WORST: 0.1}, "gce": {WORST: 0.2}}, x),
        OPEN,
        YES,
        "fit",
    ),
    *(
        Case(
            "R2a",
            at,
            lambda x: related({"mmc": {"accuracy": 0.9 + x}, "ce": {"accuracy": 0.9}}),
            low,
            high,
            "half a point",
        )
        for at, low, high in ((-0.005, NOT, YES), (0.005, YES, NOT))
    ),
    Case("R2b", 0.0, lambda x: rungs(x, 0.1), PARTLY, YES, "from cross-entropy"),
    Case("R2b", 0.0, lambda x: rungs(0.1, x), PARTLY, YES, "to every target"),
    Case("R2b", 0.0, lambda x: rungs(x, -0.1), NOT, PARTLY, "one rung only"),
    Case("R2b", 0.95, lambda x: rungs(0.1, 0.1, x), OPEN, YES, "fit"),
    worst("R2c", "mmc", "ce", 0.0),
    worst("R2d", "mmc", "mmc-random", 0.0),
    Case("R2e", 0.0, masked, NOT, YES, "masking"),
    Case("R3", 0.0, captioned, NOT, YES, "overlap"),
    Case("R3", 0.0, lambda x: captioned(0.1, last=x), PARTLY, YES, "overlap after ten steps"),
    Case("R3", 0.0, partial(captioned, at="prs-0.1"), NOT, PARTLY, "overlap at a larger weight"),
    Case("R3", 0.03, lambda x: captioned(0.1, fall=x), YES, OPEN, "clean captions"),
    Case("R3", 0.02, lambda x: captioned(x, fall=0.1), NOT, OPEN, "overlap that counts as none, captions lost"),
    Case("R4a", 0.01, lambda x: calibrated(nll=x), PARTLY, YES, "NLL"),
    Case("R4a", 0.005, lambda x: calibrated(ece=x), PARTLY, YES, "ECE"),
    Case("R4a", 0.01, lambda x: calibrated(nll=x, ece=0.0), NOT, PARTLY, "NLL alone"),
    Case("R4a", 0.005, lambda x: calibrated(nll=-1.0, ece=x), NOT, PARTLY, "ECE alone"),
    Case("R4a", 0.01, lambda x: calibrated(hits=x), YES, NOT, "accuracy"),
    Case("R4b", 1.0 - 0.1 + 0.01, lambda x: calibrated(constant=x), NOT, YES, "constant"),
    Case("R4c", 0.5, lambda x: on_moons(BOTH, grown=x), NOT, YES, "correlation"),
    Case("R4c", 0.8, lambda x: on_moons(BOTH, grown=0.8, plain=x), YES, NOT, "correlation of the plain network"),
    Case("R4c", 0.125, lambda x: on_moons(BOTH, near=x), YES, NOT, "uncertainty near the data"),
    *(Case("R4c", 0.5, partial(on_moons, (a,)), NOT, PARTLY, f"correlation of {a} alone") for a in BOTH),
    *(
        Case("R5a", 0.005, partial(rival, f"{name}_{data}"), NOT, YES, f"{name} on {data}")
        for name in ("raw", "triplet")
        for data in ("synthetic", "mnist5k")
    ),
    *(
        Case("R5b", 0.005, partial(rival, f"pull_{data}"), NOT, YES, f"pulling only on {data}")
        for data in ("synthetic", "mnist5k")
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_verdict_changes_at_the_threshold(case: Case) -> None:
    hair = HAIR * max(1.0, abs(case.at))
    judge = CLAIMS[case.claim].judge
    assert judge(case.make(case.at - hair)).verdict == case.below
    assert judge(case.make(case.at + hair)).verdict == case.above


def test_the_whole_interval_must_be_on_the_side_of_the_claim() -> None:
    """Seeds 0.09 apart around a mean that is 0.01 on the claimed side."""
    for claim, make, column in (
        ("A3", variants(ce={"worst_area": 0.5}, drs={"worst_area": 0.51}), "worst_area"),
        ("B8", networks(ce={"silhouette": 0.5}, rce={"silhouette": 0.51}), "silhouette"),
        ("B1", networks(ce={"error_percent": 0.5}, rce={"error_percent": 0.99}), "error_percent"),
        ("B9", noisy("bim", 0.5025), "detection_rate_5.k_density.bim@0.1"),
        ("C5", undetected("joint@1", "non_me", 0.09), "undetected.non_me.joint@1"),
    ):
        frame = make.copy()
        rows = frame["network.seed"].notna() & (frame.get("network.model", "small_conv") == "small_conv")
        last = frame[rows].index[-3:]
        frame.loc[last, column] += np.array([0.0, -0.09, 0.09])
        assert CLAIMS[claim].judge(make).verdict == YES, claim
        assert CLAIMS[claim].judge(frame).verdict == "undecided", claim


def test_no_more_than_another_ends_at_five_points() -> None:
    """Three seeds whose interval straddles 0, is 0.08 wide, and ends a hair below and above 0.05."""
    apart = 0.04 * np.sqrt(3) / 4.302652729696142  # Student's quantile for three values
    for end, verdict in ((0.05 - HAIR, YES), (0.05 + HAIR, OPEN)):
        frame = related({"drs": {WORST: 0.3 + end - 0.04}, "gce": {WORST: 0.3}})
        frame.loc[frame["variant"] == "drs", WORST] += np.array([0.0, -apart, apart])
        judged = CLAIMS["R1"].judge(frame)
        assert (judged.low, judged.high) == pytest.approx((end - 0.08, end))
        assert judged.verdict == verdict


def test_equal_accuracy_is_undecided_where_the_interval_crosses_half_a_point() -> None:
    frame = related({"mmc": {"accuracy": 0.9}, "ce": {"accuracy": 0.9}})
    frame.loc[frame["variant"] == "mmc", "accuracy"] += np.array([0.0, -0.01, 0.01])
    assert CLAIMS["R2a"].judge(frame).verdict == OPEN


def test_a_member_that_diverged_leaves_its_seed_out() -> None:
    frame = related({"ce": {WORST: 0.1}, "mmc": {WORST: 0.4}})
    lost = (frame["variant"] == "mmc") & (frame["network.seed"] == 2)
    frame.loc[lost, WORST] = np.nan
    judged = CLAIMS["R2c"].judge(frame)
    assert (judged.verdict, judged.n) == (YES, 2)
    assert judged.estimate == pytest.approx(0.3)
    frame.loc[frame["variant"] == "mmc", WORST] = np.nan
    assert CLAIMS["R2c"].judge(frame).verdict == "no records"
    assert CLAIMS["R2c"].judge(frame[frame["variant"] == "ce"]).verdict == "no records"


def test_a_loss_that_was_not_trained_out_gets_no_verdict() -> None:
    frame = related({"ce": {WORST: 0.1}, "mmc": {WORST: 0.4}})
    frame.loc[frame["variant"] == "mmc", "train_accuracy"] = 0.9
    judged = CLAIMS["R2c"].judge(frame)
    assert judged.verdict == OPEN
    assert judged.detail.endswith("; not trained out: mmc 90.0%")


def test_every_claim_has_a_case() -> None:
    assert {case.claim for case in CASES} == set(CLAIMS)
