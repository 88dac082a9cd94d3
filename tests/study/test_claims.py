"""Every rule on frames made by hand: the verdict, the number and its interval."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from drs.errors import UsageError
from drs.paths import project_root
from drs.study.claims import CLAIMS, finding, get_claim, verdicts
from drs.study.claims.base import Judgement, VerdictName, judge_difference, threshold_rule
from drs.study.experiments import EXPERIMENTS

NOISE = np.array([0.0, 0.01, -0.01])


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.1, 0.3, "greater", "reproduced"),
        (-0.1, 0.3, "greater", "undecided"),
        (-0.3, -0.1, "greater", "not reproduced"),
        (0.0, 0.3, "greater", "undecided"),  # the bound itself is not passed
        (-0.3, -0.1, "less", "reproduced"),
        (-0.3, 0.1, "less", "undecided"),
        (0.1, 0.3, "less", "not reproduced"),
    ],
)
def test_threshold_rule(low: float, high: float, direction: str, expected: str) -> None:
    assert threshold_rule(low, high, above=0.0, direction=direction) == expected  # type: ignore[arg-type]


def test_every_number_of_a_paper_is_a_quote() -> None:
    for claim in CLAIMS.values():
        assert claim.paper_says().count("checked)") == len(claim.quotes) == claim.published.count("{}"), claim.id
        named = re.sub(
            r"(Table|Figure)s? \d+(, \d+)*( and \d+)?|ResNet-\d+|CIFAR-10|f2 > 0|alpha\^2", "", claim.published
        )
        assert not re.search(r"\b\d", named), (claim.id, named)


def test_every_claim_is_complete() -> None:
    assert list(CLAIMS) == [claim.id for claim in CLAIMS.values()]
    for claim in CLAIMS.values():
        assert claim.experiment in EXPERIMENTS, claim.id
        assert (project_root() / f"{claim.notebook}.ipynb").is_file(), claim.id
        assert re.search(r"\b(reproduced|held) if", claim.rule.lower()), claim.id
        assert "eproduced if" not in (claim.words if claim.ours else ""), claim.id
        assert claim.rule.endswith("."), claim.id
    with pytest.raises(UsageError, match=r"^unknown claim 'Z9': expected one of A0, "):
        get_claim("Z9")


def _judge(claim: str, frame: pd.DataFrame) -> Judgement:
    return CLAIMS[claim].judge(frame)


def test_shift() -> None:
    frame = pd.DataFrame({"network.loss": ["drs", "ce"], "fooled": [5.0, 100.0], "std_probabilities_rises": [0.0, 0.9]})
    judged = _judge("A0", frame)
    assert (judged.verdict, judged.estimate, judged.n) == ("reproduced", 0.9, 100)
    # Wilson's interval by its formula, z = 1.959964
    z, p, n = 1.959964, 0.9, 100
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    assert (judged.low, judged.high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert _judge("A0", frame.assign(std_probabilities_rises=[0.0, 0.5])).verdict == "undecided"
    assert _judge("A0", frame.assign(std_probabilities_rises=[0.0, 0.1])).verdict == "not reproduced"
    assert _judge("A0", frame.assign(fooled=[5.0, 0.0])).verdict == "no records"


def _population(slope: float, on_accuracy: float, noise: float) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    spread, accuracy = generator.normal(size=80), generator.normal(size=80)
    robust = slope * spread + on_accuracy * accuracy + noise * generator.normal(size=80)
    sizes = {"network.model_options.depth": np.repeat([1.0, 2.0], 40), "network.model_options.width": 8.0}
    return pd.DataFrame({"std_probabilities_mean": spread, "accuracy": accuracy, "worst_area": robust} | sizes)


@pytest.mark.parametrize(
    ("slope", "noise", "expected"),
    [(-1.0, 0.3, "reproduced"), (-1.0, 2.0, "partly reproduced"), (1.0, 0.3, "not reproduced"), (0, 1, "undecided")],
)
def test_correlation(slope: float, noise: float, expected: VerdictName) -> None:
    judged = _judge("A1", _population(slope, 0.0, noise))
    assert judged.verdict == expected
    assert judged.low < judged.estimate < judged.high
    assert judged.n == 80


@pytest.mark.parametrize("hidden", ["accuracy", "network.model_options.depth"])
def test_correlation_must_survive_what_sets_both(hidden: str) -> None:
    """Spread that is nothing but clean accuracy, or depth, in another guise is only partly what the paper says."""
    frame = _population(0.0, 0.0, 1.0)
    moved = frame[hidden] * 3.0
    generator = np.random.default_rng(1)
    frame["std_probabilities_mean"] = -moved + 0.1 * generator.normal(size=80)
    frame["worst_area"] = moved + 0.1 * generator.normal(size=80)
    judged = _judge("A1", frame)
    assert judged.estimate < -0.9
    assert judged.verdict == "partly reproduced"


def test_the_correlation_within_each_depth_is_said() -> None:
    """Simpson's paradox: within each depth more spread goes with more robustness, over both with less."""
    frame = _population(1.0, 0.0, 0.0)
    deep = frame["network.model_options.depth"] == 2.0
    frame.loc[deep, "std_probabilities_mean"] += 10.0
    frame.loc[deep, "worst_area"] -= 10.0
    judged = _judge("A1", frame)
    assert judged.estimate < -0.8
    assert judged.detail.endswith("; within depth 1: +1.00, depth 2: +1.00")


def test_accuracy_correlation() -> None:
    generator = np.random.default_rng(0)
    accuracy = generator.normal(size=60)
    up, weak = accuracy + 0.3 * generator.normal(size=60), 0.4 * accuracy + generator.normal(size=60)
    for spread, expected in ((-up, "reproduced"), (weak, "undecided"), (up, "not reproduced")):
        frame = pd.DataFrame({"accuracy": accuracy, "std_probabilities_mean": spread, "std_logits_mean": up})
        assert _judge("A2", frame).verdict == expected


def _seeds(gains: dict[str, float], column: str) -> pd.DataFrame:
    """Three seeds, in another order for each variant: the pairing has to be by seed."""
    rows = []
    for number, (variant, gain) in enumerate(gains.items()):
        for seed in np.roll([0, 1, 2], number):
            rows.append({"variant": variant, "network.seed": seed, column: 0.5 + seed + gain + NOISE[seed]})
    return pd.DataFrame(rows)


def test_best_control_decides() -> None:
    gains = {"ce": 0.0, "drs": 0.2, "label-smoothing": 0.1, "confidence-penalty": 0.0, "logit-squeezing": 0.3}
    judged = _judge("C1", _seeds(gains, "worst_area"))
    assert judged.verdict == "not reproduced"
    assert judged.estimate == pytest.approx(-0.1)
    assert judged.detail == (
        "area under DRS 1.700, label smoothing 1.600, confidence penalty 1.500, logit squeezing 1.800"
    )
    decayed = _judge("C1", _seeds(gains | {"weight-decay": 0.4}, "worst_area"))
    assert decayed.estimate == pytest.approx(-0.2)
    assert _judge("C1", _seeds(gains | {"logit-squeezing": 0.0}, "worst_area")).verdict == "reproduced"
    assert _judge("C1", _seeds({"ce": 0.0, "drs": 0.2}, "worst_area")).verdict == "no records"


def _networks(values: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Three seeds a loss of the first architecture, and one row of another that no rule may look at."""
    rows = []
    for loss, columns in values.items():
        for seed in (2, 0, 1):
            noisy = {name: value + NOISE[seed] for name, value in columns.items()}
            rows.append({"network.model": "small_conv", "network.loss": loss, "network.seed": seed} | noisy)
        other = dict.fromkeys(columns, 99.0)
        rows.append({"network.model": "resnet", "network.model_options.depth": 8.0, "network.loss": loss} | other)
    return pd.DataFrame(rows).assign(**{"network.seed": lambda f: f["network.seed"].fillna(0)})


@pytest.mark.parametrize(
    ("claim", "column", "ce", "rce", "expected", "estimate"),
    [
        ("B1", "error_percent", 3.0, 3.1, "reproduced", 0.1),
        ("B1", "error_percent", 3.0, 5.0, "not reproduced", 2.0),
        ("B8", "silhouette", 0.3, 0.6, "reproduced", 0.3),
        ("B8", "silhouette", 0.6, 0.3, "not reproduced", -0.3),
    ],
)
def test_differences_of_networks(
    claim: str, column: str, ce: float, rce: float, expected: str, estimate: float
) -> None:
    judged = _judge(claim, _networks({"ce": {column: ce}, "rce": {column: rce}}))
    assert (judged.verdict, judged.n) == (expected, 3)
    assert judged.estimate == pytest.approx(estimate)


@pytest.mark.parametrize(
    ("plain", "divided", "expected", "estimate"),
    [
        (0.3, 0.4, "reproduced", 0.2),
        (0.3, 0.7, "partly reproduced", -0.1),
        (0.3, 0.6, "partly reproduced", 0.0),  # all of the gain was one of scale
        (0.8, 0.4, "not reproduced", 0.2),
    ],
)
def test_a_gain_of_scale_alone_is_none(plain: float, divided: float, expected: str, estimate: float) -> None:
    rce = {"accuracy@1": 0.6, "rescaled@1": divided, "divisor": 5.0}
    judged = _judge("B10", _networks({"ce": {"accuracy@1": plain}, "rce": rce}))
    assert (judged.verdict, judged.n) == (expected, 3)
    assert judged.estimate == pytest.approx(estimate)
    assert f"CE with its logits divided by 5.0 {divided:.3f}" in judged.detail


def test_cross_is_of_drs_networks_over_four_attacks() -> None:
    attacks = [f"auc.k_density.{name}@0.1" for name in ("fgsm", "bim", "ilcm", "jsma")]
    values = {"ce": 0.8, "rce": 0.1, "drs": 0.9}
    frame = _networks({k: dict.fromkeys(attacks, v) | {"auc.k_density.cw": 1.0 - v} for k, v in values.items()})
    judged = _judge("C4", frame)
    assert judged.verdict == "reproduced"
    assert judged.estimate == pytest.approx(0.1)
    frame.loc[(frame["network.loss"] == "drs") & (frame["network.seed"] == 2), attacks[3]] = np.nan
    assert _judge("C4", frame).verdict == "no records"


def test_reliable_is_a_number_under_the_attacks_that_succeed() -> None:
    """C&W-hc succeeds on one RCE network only, where it is easy to detect: it is left out of the mean."""
    hard, easy = "auc.non_me.cw", "auc.non_me.cw_hc"
    frame = _networks({"ce": {hard: 0.3, easy: 0.2}, "rce": {hard: 0.8, easy: 1.2}})
    assert _judge("B3b", frame).verdict == "reproduced"
    frame.loc[(frame["network.loss"] == "rce") & (frame["network.seed"] == 2), easy] = np.nan
    judged = _judge("B3b", frame)
    assert judged.verdict == "not reproduced"
    assert judged.estimate == pytest.approx(0.8)
    assert judged.detail == "CE 0.300, RCE 0.800, over 1 of 6 attacks"
    assert _judge("B3b", frame.drop(columns=hard)).verdict == "no records"


def test_high_confidence_counts_its_examples() -> None:
    values = {"f2_positive.wb_high": 0.2, "f2_count.wb_high": 60.0, "images": 100.0}
    frame = _networks({"ce": values, "rce": values})
    frame["f2_count.wb_high"], frame["images"] = frame["f2_count.wb_high"].round(), frame["images"].round()
    frame["f2_positive.wb_high"] = np.where(frame["network.loss"] == "rce", 1.0, 0.2)
    said = "RCE: 180 of 300 images reached it, 180 keep f2 > 0; CE: 180 of 300 images reached it, 36 keep f2 > 0"
    judged = _judge("B7", frame)
    assert (judged.verdict, judged.n, judged.detail) == ("reproduced", 180, said)
    assert judged.low == pytest.approx(180 / (180 + 1.959964**2), abs=1e-6)  # Wilson's interval of 180 of 180
    few = _judge("B7", frame.assign(**{"f2_count.wb_high": 5.0}))
    assert (few.verdict, few.n) == ("not tested", 15)
    assert few.detail.startswith("too few reach kappa: RCE: 15 of 300 images reached it, 15 keep f2 > 0; ")


def test_each_half_of_the_white_box_claim_has_its_number() -> None:
    low = {"f2_positive.wb_0": 0.1, "distortion.wb_0": 10.0}
    frame = _networks({"ce": low, "rce": {"f2_positive.wb_0": 0.3, "distortion.wb_0": 16.0}})
    longer, kept = _judge("B4a", frame), _judge("B4b", frame)
    assert (longer.verdict, kept.verdict) == ("reproduced", "not reproduced")
    assert longer.estimate == pytest.approx(np.mean((16 + NOISE) / (10 + NOISE)))
    assert kept.estimate == pytest.approx(0.3)
    assert kept.detail == "share 0.100 on CE, 0.300 on RCE"
    lost = frame.assign(**dict.fromkeys(low, np.nan))
    assert {_judge(claim, lost).verdict for claim in ("B4a", "B4b")} == {"no records"}


def test_no_number_without_a_success() -> None:
    one = {"f2_positive.wb_high": np.nan, "f2_count.wb_high": np.nan, "images": 100.0}
    assert _judge("B7", _networks({"ce": one, "rce": one})).verdict == "not tested"


def test_accuracy_is_compared_attack_by_attack() -> None:
    def frame(weak: float, length: float) -> pd.DataFrame:
        cells = {f"accuracy.{a}@{e}": 0.5 for a in ("fgsm", "bim", "ilcm", "jsma") for e in (0.1, 0.2)}
        ours = {name: value + 0.2 for name, value in cells.items()} | {"accuracy.bim@0.2": weak}
        return _networks({"ce": cells | {"distortion.cw": 10.0}, "rce": ours | {"distortion.cw": length}})

    judged = _judge("B2", frame(0.7, 12.0))
    assert (judged.verdict, judged.estimate) == ("reproduced", 1.0)
    assert judged.detail.startswith("FGSM +0.200 [+0.200, +0.200]; BIM +0.200")
    assert judged.detail.endswith("; C&W, distortion +2.000 [+2.000, +2.000]")
    assert _judge("B2", frame(0.4, 12.0)).verdict == "reproduced"  # BIM: 0.1 on the mean over its budgets
    assert _judge("B2", frame(0.2, 12.0)).verdict == "partly reproduced"
    assert _judge("B2", frame(0.2, 12.0)).estimate == pytest.approx(4 / 5)
    assert _judge("B2", frame(0.7, 8.0)).verdict == "partly reproduced"
    assert _judge("B2", frame(0.7, np.nan)).verdict == "partly reproduced"


def test_best_metric() -> None:
    attacks = ("fgsm@0.1", "bim@0.1", "ilcm@0.1", "jsma@0.1", "cw", "cw_hc")

    def frame(wins: int) -> pd.DataFrame:
        base = {f"auc.{m}.{a}": 0.8 for m in ("confidence", "non_me", "k_density") for a in attacks}
        won = {f"auc.k_density.{a}": 0.95 if i < wins else 0.7 for i, a in enumerate(attacks)}
        return _networks({"ce": base, "rce": base | won})

    for wins, expected in ((6, "reproduced"), (5, "reproduced"), (4, "partly reproduced"), (3, "not reproduced")):
        judged = _judge("B3a", frame(wins))
        assert judged.verdict == expected
        assert judged.estimate == pytest.approx(wins / 6)
    assert judged.detail == "won under FGSM, BIM, ILCM; lost under JSMA, C&W, C&W-hc"
    never = frame(4).assign(**{"auc.k_density.cw_hc": np.nan})
    judged = _judge("B3a", never)
    assert (judged.verdict, judged.n, judged.estimate) == ("reproduced", 5, 4 / 5)  # it is not counted as lost


def test_adaptive_takes_the_attackers_best_and_the_defenders_best() -> None:
    columns = {
        **{f"undetected.confidence.union@{e}": 0.9 for e in (0.03, 0.1)},
        "undetected.non_me.union@0.03": 0.3,  # the defender takes this metric here
        "undetected.non_me.union@0.1": 0.6,
        "undetected.k_density.union@0.03": 0.5,
        "undetected.k_density.union@0.1": 0.4,  # and that one there
        "undetected.k_density.selective@0.1": 0.05,  # one attack alone
        "worst@0.03": 0.5,
        "worst@0.1": 0.25,
    }
    judged = _judge("C5", _networks({"ce": dict.fromkeys(columns, 0.0), "rce": columns}))
    assert judged.verdict == "not reproduced"
    assert judged.estimate == pytest.approx(0.4)
    said = "undetected by budget: 0.30 at 0.03 (without the test 0.50), 0.40 at 0.1 (without the test 0.75)"
    assert judged.detail == said
    assert _judge("C5", _networks({"rce": {"undetected.non_me.selective": 0.9}})).verdict == "no records"


def test_the_defender_may_choose_another_metric_on_each_network() -> None:
    frame = _networks({"rce": {f"undetected.{d}.union@0.1": 0.0 for d in ("confidence", "non_me", "k_density")}})
    frame = frame.assign(**{"worst@0.1": 0.0})
    for seed, kept in enumerate(("confidence", "non_me", "k_density")):
        for detector in ("confidence", "non_me", "k_density"):
            left = 0.02 + 0.5 * (detector != kept)
            frame.loc[frame["network.seed"] == seed, f"undetected.{detector}.union@0.1"] = left
    judged = _judge("C5", frame)
    assert judged.verdict == "reproduced"
    assert judged.estimate == pytest.approx(0.02)


def test_transfer_is_paired_by_seed() -> None:
    one = {"transfer_auc.ce": 0.7, "transfer_auc.rce": 0.9, "transfer.ce": 0.5, "transfer_clean.ce": 0.48}
    one |= {"transfer.rce": 0.5, "transfer_clean.rce": 0.46}
    judged = _judge("B5", _networks({"ce": one, "rce": one}))
    assert judged.verdict == "reproduced"
    assert judged.estimate == pytest.approx(0.2)
    assert judged.detail.startswith("extra errors on transferred examples 0.030 [0.030, 0.030]; AUC 0.700 on CE ")


def test_noise_against_attacks() -> None:
    """The mean over the attacks that fooled every network; one that never did on one of them is left out."""
    told = {f"noise_auc.k_density.{name}@0.1": 0.95 for name in ("fgsm", "bim", "ilcm", "jsma")}
    frame = _networks({"ce": dict.fromkeys(told, 0.4), "rce": told})
    judged = _judge("B9", frame)
    assert (judged.verdict, judged.n) == ("reproduced", 3)
    assert judged.estimate == pytest.approx(0.95)
    assert judged.detail.endswith("JSMA 0.950; CE networks 0.400")
    frame["noise_auc.k_density.jsma@0.1"] = 0.1
    assert _judge("B9", frame).estimate == pytest.approx((3 * 0.95 + 0.1) / 4)
    frame.loc[(frame["network.loss"] == "ce") & (frame["network.seed"] == 1), "noise_auc.k_density.jsma@0.1"] = np.nan
    assert _judge("B9", frame).estimate == pytest.approx(0.95)
    assert _judge("B9", _networks({"ce": told, "rce": dict.fromkeys(told, 0.8)})).verdict == "not reproduced"


def test_exponents() -> None:
    row = {"slope.ce": 1.01, "slope.label_smoothing": 0.99, "slope.rce": 2.02, "draws": 100.0}
    assert _judge("B0", pd.DataFrame([row, {"slope": 1.0}])).verdict == "reproduced"
    assert _judge("B0", pd.DataFrame([row | {"slope.rce": 1.5}])).verdict == "not reproduced"


def test_no_verdict_without_every_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    found = finding("A1", "quick")
    assert found.judgement.verdict == "no records"
    assert np.isnan(found.judgement.estimate)
    assert [f.claim.id for f in verdicts()] == list(CLAIMS)


def test_networks_are_paired_by_seed_whatever_their_order() -> None:
    rows = [("ce", seed, 0.1 * seed) for seed in (2, 0, 1)] + [("rce", seed, 0.1 * seed + 0.3) for seed in (0, 1, 2)]
    frame = pd.DataFrame(rows, columns=["network.loss", "network.seed", "silhouette"])
    judged = _judge("B8", frame.assign(**{"network.model": "small_conv"}))
    assert (judged.estimate, judged.low, judged.high) == pytest.approx((0.3, 0.3, 0.3))


def test_ours_are_held_and_a_papers_are_reproduced() -> None:
    for claim, expected in (("C1", ("held", "partly held", "failed", "undecided")), ("B1", YES_AND_NO)):
        words = [
            CLAIMS[claim].worded(Judgement(name, 0.0, 0.0, 0.0, 1, "")).verdict  # type: ignore[arg-type]
            for name in YES_AND_NO
        ]
        assert tuple(words) == expected
    assert [claim.id for claim in CLAIMS.values() if claim.by_construction] == ["A0", "B0", "B6"]


YES_AND_NO = ("reproduced", "partly reproduced", "not reproduced", "undecided")


def test_a_difference_says_what_it_could_have_shown() -> None:
    ours, base = np.array([0.6, 0.7, 0.8]), np.array([0.5, 0.5, 0.5])
    judged = judge_difference(ours, base, "", above=0.1)
    error = 0.1 / np.sqrt(3)
    assert judged.p_value == pytest.approx(2 * t.sf(0.1 / error, 2))
    assert judged.detectable == pytest.approx((4.302652729696142 + 1.0606601717798212) * error)


def _learnt(reached: dict[str, float], gain: dict[str, float]) -> pd.DataFrame:
    """Two seeds of CE and DRS on each architecture, with where training ended and what DRS adds to the area."""
    rows = []
    for name, end in reached.items():
        for loss in ("drs", "ce"):
            for seed in (1, 0):
                area = 0.3 + 0.01 * seed + gain[name] * (loss == "drs")
                row = {"architecture": name, "network.loss": loss, "network.seed": seed, "worst_area": area}
                rows.append(
                    row | {"train_accuracy": end if seed else 1.0, "white@0.05": area, "strong_worst@0.05": area}
                )
    return pd.DataFrame(rows)


def test_an_architecture_that_has_not_learnt_decides_nothing() -> None:
    gain = {"small_conv": 0.2, "lenet": 0.1, "mlp": -0.3}
    frame = _learnt({"small_conv": 1.0, "lenet": 0.99, "mlp": 0.5}, gain)
    judged = _judge("A3", frame)
    assert (judged.verdict, judged.n) == ("reproduced", 2)
    assert judged.estimate == pytest.approx(0.1)
    assert judged.detail == (
        "SmallConvNet +0.200 [+0.200, +0.200]; LeNet +0.100 [+0.100, +0.100]; "
        "MLP is left out: training ended at 0.500, below 0.98"
    )
    assert _judge("A3", _learnt(dict.fromkeys(gain, 1.0), gain)).verdict == "partly reproduced"
    alone = _judge("A3", _learnt({"small_conv": 1.0, "lenet": 0.9, "mlp": 0.5}, gain))
    assert alone.verdict == "partly reproduced"  # one architecture is not enough
    none = _judge("A3", _learnt(dict.fromkeys(gain, 0.9), gain))
    assert (none.verdict, none.n) == ("not tested", 0)
    assert _judge("A3", frame[frame["architecture"] == "mlp-norm"]).verdict == "no records"


def test_survival_asks_only_where_there_was_a_gain() -> None:
    frame = _learnt(dict.fromkeys(("small_conv", "lenet", "mlp"), 1.0), {"small_conv": 0.2, "lenet": 0.1, "mlp": -0.1})
    judged = _judge("C2", frame)
    assert judged.verdict == "reproduced"
    assert judged.estimate == pytest.approx(0.05)  # the gain of 0.1 minus half of it
    assert judged.detail.endswith("; MLP is left out: no gain")
    weak = frame.assign(**{"strong_worst@0.05": 0.1})
    assert _judge("C2", weak).verdict == "not reproduced"
