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


BASIS = np.linalg.qr(np.column_stack([np.ones(80), np.random.default_rng(0).normal(size=(80, 5))]))[0].T[1:]
"""Five variables of 80 networks with mean 0, length 1 and no correlation."""
ARCHITECTURES = ("small_conv", "lenet", "mlp")
SIZES = ("network.model_options.depth", "network.model_options.width")


def population(r: float) -> pd.DataFrame:
    """Spread and area are correlated by exactly ``r``; clean accuracy, depth and width with neither."""
    x, other, *rest = BASIS
    y = r * x + np.sqrt(1 - r * r) * other
    return pd.DataFrame({"std_probabilities_mean": x, "worst_area": y} | dict(zip(("accuracy", *SIZES), rest)))


def guise(of: str, r: float) -> pd.DataFrame:
    """Spread and area are nearly clean accuracy, depth or width; given that, they are correlated by exactly ``r``."""
    hidden, own, other, *rest = BASIS
    x, y = 0.3 * own - hidden, 0.3 * (r * own + np.sqrt(1 - r * r) * other) + hidden
    others = [name for name in ("accuracy", *SIZES) if name != of]
    return pd.DataFrame({"std_probabilities_mean": x, "worst_area": y, of: hidden} | dict(zip(others, rest)))


def crossing(end: Callable[[float], float]) -> float:
    """Where an increasing end of an interval passes zero, as a correlation between -0.6 and 0.6."""
    low, high = -0.6, 0.6
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if end(middle) < 0 else (low, middle)
    return (low + high) / 2


def spread_and_accuracy(probabilities: float) -> pd.DataFrame:
    """80 networks whose false probabilities are spread as clean accuracy goes; their logits are, exactly."""
    accuracy = population(0.0)["std_probabilities_mean"]
    spread = population(probabilities)["worst_area"]
    return pd.DataFrame({"accuracy": accuracy, "std_probabilities_mean": spread, "std_logits_mean": 2.0 * accuracy})


def positive(end: str, r: float) -> float:
    """How far an end of the interval of A2 lies above the number of its rule."""
    frame = spread_and_accuracy(r)
    found = correlate(frame["std_probabilities_mean"].to_numpy(float), frame["accuracy"].to_numpy(float))
    return (found.low if end == "low" else found.high) - 0.3


def end_of_r(end: str, r: float) -> float:
    frame = population(r)
    found = correlate(frame["std_probabilities_mean"].to_numpy(float), frame["worst_area"].to_numpy(float))
    return found.low if end == "low" else found.high


def partial_end(of: str, r: float) -> float:
    frame = guise(of, r)
    held = frame[["accuracy", *SIZES]].to_numpy(float)
    return partial_correlation(frame["std_probabilities_mean"], frame["worst_area"], held).high


def architectures(change: dict[str, dict[str, float]], reached: float = 1.0, **both: float) -> pd.DataFrame:
    """Three seeds of CE and DRS on three architectures; ``both`` is 0.1 more under DRS, ``change`` what DRS differs by.

    Two more architectures say otherwise."""
    rows = []
    for name in (*ARCHITECTURES, "small_conv-plain", "mlp-norm"):
        odd = name in ("small_conv-plain", "mlp-norm")
        for loss in ("ce", "drs"):
            row = {column: value + 0.1 * (loss == "drs") for column, value in both.items()}
            if loss == "drs":
                row |= {column: both[column] + gain for column, gain in change.get(name, {}).items()}
            row |= dict.fromkeys(row, -9.0 * (loss == "drs")) if odd else {}
            row["train_accuracy"] = reached if name == "mlp" else 1.0
            rows += [
                row | {"architecture": name, "network.loss": loss, "network.seed": seed} for seed in np.roll(SEEDS, 1)
            ]
    return pd.DataFrame(rows)


def on_one(claim: str, column: str, at: float, base: float = 0.5) -> list[Case]:
    """Every architecture of the three has its say; the others gain 0.1."""
    found = [
        Case(claim, at, lambda x, n=name: architectures({n: {column: x}}, **{column: base}), PARTLY, YES, name)  # type: ignore[misc]
        for name in ARCHITECTURES
    ]

    def alone(x: float) -> pd.DataFrame:
        return architectures({n: {column: x if n == "lenet" else at - 1.0} for n in ARCHITECTURES}, **{column: base})

    return [*found, Case(claim, at, alone, NOT, PARTLY, "one alone")]


def survived(x: float) -> pd.DataFrame:
    """LeNet keeps so much of a gain of 0.2 under the attacks of the curve; the others keep all of it."""
    weak = {name: {"white@0.05": 0.2, "strong_worst@0.05": x if name == "lenet" else 0.2} for name in ARCHITECTURES}
    return architectures(weak, **{"white@0.05": 0.5, "strong_worst@0.05": 0.4})


def radii(x: float) -> pd.DataFrame:
    """The median of lead over slope doubles, but on the MLP, where it grows by so many doublings."""
    gains = {
        name: {"linear_radius_median": 0.01 * (2.0 ** (x if name == "mlp" else 1.0) - 1.0)} for name in ARCHITECTURES
    }
    return architectures(gains, linear_radius_median=0.01)


def miscalibrated(x: float) -> pd.DataFrame:
    """After tempering LeNet's calibration error is so much larger under DRS, the others' smaller."""
    gains = {name: {"calibration_error_after": x if name == "lenet" else -0.1} for name in ARCHITECTURES}
    return architectures(gains, calibration_error_after=0.2)


def lengths(short: float, long: float) -> pd.DataFrame:
    """Gains of DRS after short and long trainings; what is no length says otherwise."""
    rows = []
    for factor, level, gain in (("updates", 270, short), ("updates", 4320, long), ("training images", 875, 9.0)):
        for loss in ("drs", "ce"):
            row = {"factor": factor, "level": level, "network.loss": loss, "worst_area": 0.2 + gain * (loss == "drs")}
            rows += [row | {"network.seed": seed} for seed in SEEDS]
    return pd.DataFrame(rows)


def hardened(gain: float) -> pd.DataFrame:
    """Adversarial training with DRS gains so much over that with CE."""
    return lengths(-9.0, -9.0).assign(
        factor="adversarial", level=0.1, worst_area=lambda f: 0.3 + gain * (f["network.loss"] == "drs")
    )


def times(small: float, large: float, low: float) -> pd.DataFrame:
    rows = [
        {"kind": "training", "model": model, "drs_ratio": 1.0, "drs_ratio_low": low, "drs_ratio_high": high}
        for model, high in (("small_conv", small), ("resnet", large))
    ]
    return pd.DataFrame(rows).assign(repetitions=12)


def exponents(loss: str, exponent: float) -> pd.DataFrame:
    slopes = {"ce": 1.0, "label_smoothing": 1.0, "rce": 2.0} | {loss: exponent}
    return pd.DataFrame([{f"slope.{loss}": value for loss, value in slopes.items()} | {"draws": 100.0}])


def compared(attack: str, x: float, others: int = 4) -> pd.DataFrame:
    """Of the five comparisons of B2, ``attack`` is decided by x, ``others`` of the rest favour RCE, the rest CE."""
    names = [*SWEPT, "cw"]
    gains = {name: 0.2 if i < others else -0.2 for i, name in enumerate(n for n in names if n != attack)} | {attack: x}
    base = {f"accuracy.{name}@{budget:g}": 0.5 for name in SWEPT for budget in BUDGETS}
    base |= {"accuracy.noise@0.1": 0.9, "distortion.cw": 10.0, "distortion.cw_hc": 10.0}
    ours = base | {"accuracy.noise@0.1": 0.1, "distortion.cw": 10.0 + gains["cw"], "distortion.cw_hc": 1.0}
    ours |= {f"accuracy.{name}@{budget:g}": 0.5 + gains[name] for name in SWEPT for budget in BUDGETS}
    return networks(ce=base, rce=ours)


def aucs(won: int, lost: int, rival: tuple[str, str], gap: float) -> pd.DataFrame:
    """RCE with K-density wins the first attacks and loses the last; of the one between it is ``gap`` behind a rival.

    Attacks that are neither are level up to a spread over the seeds that decides nothing."""
    values = {loss: {f"auc.{d}.{a}": 0.5 for d in DETECTORS for a in EVADING} for loss in ("ce", "rce")}
    for number, attack in enumerate(EVADING):
        place = 0.9 if number < won else 0.1 if number >= len(EVADING) - lost else 0.5
        values["rce"][f"auc.k_density.{attack}"] = 0.6 if number == won else place
    values[rival[0]][f"auc.{rival[1]}.{EVADING[won]}"] = 0.6 + gap
    frame = networks(**values)
    rows = frame[(frame["network.loss"] == "rce") & (frame["network.model"] == "small_conv")].index
    for attack in EVADING[won + 1 : len(EVADING) - lost]:
        frame.loc[rows, f"auc.k_density.{attack}"] += [0.0, -0.05, 0.05]
    return frame


def reliable(attack: str, mean: float) -> pd.DataFrame:
    """Non-ME's AUC is 0.5 under CE; under RCE one of the attacks makes the mean over them ``mean``."""
    ours = {f"auc.non_me.{name}": 0.95 for name in EVADING}
    ours[f"auc.non_me.{attack}"] += len(EVADING) * (mean - 0.95)
    return networks(ce=dict.fromkeys(ours, 0.5), rce=ours)


def crossed(attack: str, gain: float) -> pd.DataFrame:
    """K-density's AUC under DRS minus CE, moved by one of the four attacks; the two others say otherwise."""
    base = {f"auc.k_density.{name}": 0.5 for name in EVADING}
    ours = base | {f"auc.k_density.{attack}@0.1": 0.5 + 4 * gain, "auc.k_density.cw": 0.5 - 9 * gain}
    return networks(ce=base, drs=ours)


def noisy(attack: str, at: float) -> pd.DataFrame:
    """One of the four attacks is told from noise so much better as moves the mean AUC to ``at``."""
    rate = {f"noise_auc.k_density.{name}@0.1": 0.9 for name in SWEPT}
    rate[f"noise_auc.k_density.{attack}@0.1"] += 4 * (at - 0.9)
    others = {"noise_auc.k_density.bim@0.2": 0.0, "noise_auc.non_me.bim@0.1": 0.0}
    return networks(ce=dict.fromkeys(rate, 0.0), rce=rate | others)


def on_constants(constant: str, plain: float, divided: float) -> pd.DataFrame:
    """Accuracy of RCE minus that of CE, as it is and with its logits divided, at one constant of three."""
    every = {f"accuracy@{c}": 0.5 for c in ("0.001", "1", "1000")}
    ours = every | {f"rescaled@{c}": 0.5 for c in ("0.001", "1", "1000")} | {"divisor": 2.0}
    ours[f"rescaled@{constant}"] -= 3 * divided
    return networks(ce=every | {f"accuracy@{constant}": 0.5 - 3 * plain}, rce=ours)


ATTACKED = (0.03, 0.05, 0.1)


def undetected(budget: float, detector: str, share: float, *, others: float = 0.0) -> pd.DataFrame:
    """The best detector lets ``share`` through at this budget and ``others`` at the two others; one attack alone, and
    every network without a test, say otherwise."""
    values = {f"undetected.{d}.union@{b:g}": others if d == detector else 0.9 for d in DETECTORS for b in ATTACKED}
    values |= {f"undetected.{d}.selective@{b:g}": 0.5 for d in DETECTORS for b in ATTACKED}
    values |= {f"worst@{b:g}": 0.5 for b in ATTACKED}
    rce = values | {f"undetected.{detector}.union@{budget:g}": share}
    return networks(ce=dict.fromkeys(values, 0.5), rce=rce)


def white_box(**rce: float) -> pd.DataFrame:
    """C&W-wb on RCE networks; with a high kappa, and on CE networks, it is otherwise."""
    base = {"f2_positive.wb_0": 0.4, "distortion.wb_0": 5.0, "f2_positive.wb_high": 0.0, "distortion.wb_high": 0.0}
    return networks(ce=base, rce=base | {f"{name}.wb_0": value for name, value in rce.items()})


def transferred(x: float, extra: float = 0.05) -> pd.DataFrame:
    """The mean over both substitutes counts; a DRS substitute does not, nor what only the fooled give.

    Targets err on ``extra`` more of the examples than of the images, as a mean over substitutes and targets."""
    clean = {"transfer_clean.ce": 0.02, "transfer_clean.rce": 0.04, "transfer_auc_fooled.rce": 0.1}
    ce = {"transfer_auc.ce": 0.5, "transfer_auc.rce": 0.6 + x, "transfer.ce": 0.02, "transfer.rce": 0.04 + 2 * extra}
    rce = {
        "transfer_auc.ce": 0.5,
        "transfer_auc.rce": 0.4 + x,
        "transfer.ce": 0.02 + extra,
        "transfer.rce": 0.04 + extra,
    }
    drs = {"transfer_auc.ce": 0.9, "transfer_auc.rce": 0.1, "transfer.ce": 1.0, "transfer.rce": 1.0}
    return networks(ce=ce | clean, rce=rce | clean, drs=drs | clean)


def slower(ratio: float) -> pd.DataFrame:
    values = {"seconds_per_example.fgsm": 0.001, "seconds_per_example.wb_high": 0.0}
    return networks(
        ce=values | {"seconds_per_example.wb_0": 0.0}, rce=values | {"seconds_per_example.wb_0": 0.001 * ratio}
    )


def kept(share: float, reached: float = 1.0) -> pd.DataFrame:
    """So many images that Wilson's interval is narrower than a hair, of which a share reaches kappa."""
    values = {"f2_count.wb_high": 1e14 * reached, "images": 1e14, "f2_positive.wb_0": 1.0}
    ce = values | {"f2_positive.wb_high": 0.5, "f2_count.wb_high": 1e14}
    return networks(ce=ce, rce=values | {"f2_positive.wb_high": share})


def shift(share: float) -> pd.DataFrame:
    """So many images that Wilson's interval is narrower than a hair; another network and measure say otherwise."""
    rows = {"network.loss": ["drs", "ce"], "fooled": [9.0, 1e14], "std_probabilities_rises": [1 - share, share]}
    return pd.DataFrame(rows).assign(std_logits_rises=1 - share)


def quiet(count: int) -> pd.DataFrame:
    """Three DRS networks of which so many raise no alarm about the worst case; every CE network raises one.

    Of each it is said that one attack is weak, which does not count."""
    frame = variants(ce={"strong_worst@0.05": 0.1}, drs={"strong_worst@0.05": 0.1})
    weak = {"ce@0.05": 0.9, "margin@0.05": 0.1}
    return frame.assign(largest_budget=[0.9] * 3 + [0.0 if i < count else 0.9 for i in range(3)], **weak)


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
    Case("A1", crossing(partial(end_of_r, "high")), population, PARTLY, OPEN, "upper end of r"),
    Case("A1", crossing(partial(end_of_r, "low")), population, OPEN, NOT, "lower end of r"),
    *(
        Case("A1", crossing(partial(partial_end, of)), partial(guise, of), YES, PARTLY, f"partial r given {of}")
        for of in ("accuracy", *SIZES)
    ),
    Case("A2", crossing(partial(positive, "high")), spread_and_accuracy, YES, OPEN, "upper end"),
    Case("A2", crossing(partial(positive, "low")), spread_and_accuracy, OPEN, NOT, "lower end"),
    *on_one("A3", "worst_area", 0.0),
    Case("A3", 0.98, lambda x: architectures({"mlp": {"worst_area": -1.0}}, x, worst_area=0.5), YES, PARTLY, "learnt"),
    Case("A4a", 1.05, lambda x: times(9.0, x, low=0.9), YES, OPEN, "upper end of ResNet-32"),
    Case("A4a", 1.05, lambda x: times(0.1, 9.0, low=x), OPEN, NOT, "lower end of ResNet-32"),
    *on_one("A4b", "accuracy", -0.01),
    Case("B0", 1.9, partial(exponents, "rce"), NOT, YES, "RCE"),
    Case("B0", 2.1, partial(exponents, "rce"), YES, NOT, "RCE"),
    *(Case("B0", 0.9, partial(exponents, k), NOT, YES, k) for k in ("ce", "label_smoothing")),
    *(Case("B0", 1.1, partial(exponents, k), YES, NOT, k) for k in ("ce", "label_smoothing")),
    against("B1", "error_percent", 0.5, below=YES, above=NOT),
    *(Case("B2", 0.0, partial(compared, attack), PARTLY, YES, attack) for attack in (*SWEPT, "cw")),
    *(Case("B2", 0.0, partial(compared, a, others=2), OPEN, PARTLY, f"{a}, the third") for a in (*SWEPT, "cw")),
    *(Case("B2", 0.0, partial(compared, a, others=0), NOT, OPEN, f"{a} alone") for a in (*SWEPT, "cw")),
    *(
        Case("B3a", 0.0, partial(aucs, 2, 1, rival), YES, PARTLY, " ".join(rival))
        for rival in [("ce", detector) for detector in DETECTORS] + [("rce", "confidence"), ("rce", "non_me")]
    ),
    Case("B3a", 0.0, partial(aucs, 1, 2, ("ce", "k_density")), PARTLY, NOT, "the third that is lost"),
    Case("B3a", 0.0, partial(aucs, 0, 2, ("ce", "k_density")), PARTLY, NOT, "none won"),
    *(Case("B3b", 0.95, partial(reliable, attack), NOT, YES, attack) for attack in EVADING),
    Case("B4a", 7.5, lambda x: white_box(distortion=x), NOT, YES, "distortion of 5 on CE"),
    Case("B4b", 0.5, lambda x: white_box(f2_positive=x), NOT, YES, "f2 > 0"),
    Case("B5", 0.0, transferred, PARTLY, YES, "AUC"),
    Case("B5", 0.1, partial(transferred, 0.1), YES, PARTLY, "extra errors"),
    Case("B5", 0.1, partial(transferred, -0.1), PARTLY, NOT, "extra errors, AUC worse"),
    Case("B6", 1000.0, slower, NOT, YES, "times"),
    Case("B7", 0.95, kept, NOT, YES, "share"),
    Case("B7", 0.5, lambda x: kept(1.0, x), "not tested", YES, "reached"),
    against("B8", "silhouette", 0.0),
    *(Case("B9", 0.9, partial(noisy, a), NOT, YES, a) for a in SWEPT),
    *(Case("B10", 0.0, partial(on_constants, c, 0.1), PARTLY, YES, f"divided, {c}") for c in ("0.001", "1", "1000")),
    Case("B10", 0.0, lambda x: on_constants("1", x, 0.1), NOT, YES, "as it is"),
    *(paired("C1", "worst_area", 0.0, name) for name in ("weight_decay", "label_smoothing")),
    *(paired("C1", "worst_area", 0.0, name) for name in ("confidence_penalty", "logit_squeezing")),
    Case("C2", 0.1, survived, PARTLY, YES, "half of a gain of 0.2"),
    Case("C3", 0.5, lambda x: quiet(0 if x < 0.5 else 1), NOT, PARTLY, "one network"),
    Case("C3", 2.5, lambda x: quiet(2 if x < 2.5 else 3), PARTLY, YES, "every network"),
    *(Case("C4", 0.0, partial(crossed, attack), NOT, YES, attack) for attack in SWEPT),
    *(
        Case("C5", 0.1, partial(undetected, b, d, others=others), below, above, f"{b}, {d}, others {others}")
        for b in ATTACKED
        for d in DETECTORS
        for others, below, above in ((0.0, YES, PARTLY), (0.8, PARTLY, NOT))
    ),
    Case("C7", 0.0, radii, PARTLY, YES, "doublings"),
    Case("C8", 0.1, lambda x: lengths(0.2, x), NOT, YES, "half of the short gain"),
    Case("C8", 0.0, lambda x: lengths(x - 1.0, x), NOT, YES, "half of the long gain"),
    Case("C9", 0.0, hardened, NOT, YES, "gain"),
    Case("C10", 0.01, miscalibrated, YES, PARTLY, "error"),
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
    """Seeds 0.09 apart around a mean that is 0.01 on the claimed side. In B2 and A3, one of several comparisons."""
    for claim, make, column in (
        ("B8", networks(ce={"silhouette": 0.5}, rce={"silhouette": 0.51}), "silhouette"),
        ("B1", networks(ce={"error_percent": 0.5}, rce={"error_percent": 0.99}), "error_percent"),
        ("B9", noisy("bim", 0.9025), "noise_auc.k_density.bim@0.1"),
    ):
        frame = make.copy()
        rows = frame["network.seed"].notna() & (frame.get("network.model", "small_conv") == "small_conv")
        last = frame[rows].index[-3:]
        frame.loc[last, column] += np.array([0.0, -0.09, 0.09])
        assert CLAIMS[claim].judge(make).verdict == YES, claim
        assert CLAIMS[claim].judge(frame).verdict == "undecided", claim


@pytest.mark.parametrize(("others", "expected"), [(0.0, PARTLY), (0.8, OPEN)])
def test_the_detector_is_not_held_to_fall_at_a_budget_that_straddles(others: float, expected: str) -> None:
    frame = undetected(0.05, "non_me", 0.1, others=others)
    rows = frame[(frame["network.loss"] == "rce") & (frame["network.model"] == "small_conv")].index
    frame.loc[rows, "undetected.non_me.union@0.05"] += np.array([0.0, -0.09, 0.09])
    assert CLAIMS["C5"].judge(frame).verdict == expected


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
