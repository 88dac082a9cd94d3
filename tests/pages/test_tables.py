"""Tables, text and figures that are written from records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from drs.errors import UsageError
from drs.pages import chapter as notebook
from drs.pages import tables
from drs.pages.chapter import folded, prose, provenance, sentence, table, verdict
from drs.pages.claims import interval
from drs.pages.front import BEGIN, END, fill
from drs.pages.tables import (
    NOT_NEGATIVE,
    OTHER_SHARES,
    correlation_table,
    detection_comparison,
    failed_trainings,
    over_seeds,
    rises_again,
    share_of_step,
    tuned,
)
from drs.paths import project_root
from drs.study import claims
from drs.study.claims.base import Claim, Finding, Judgement
from drs.study.metrics import KINDS
from drs.study.records import Record, Run


def test_correlation_table_is_corrected_over_the_whole_matrix() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    frame = pd.DataFrame({"a_mean": x, "same": 2 * x + 1, "noise": generator.normal(size=40), "flat": 1.0})
    found = correlation_table(frame, ["a_mean"], ["same", "noise", "flat"]).set_index("outcome")
    assert list(found["measure"]) == ["a_mean"] * 3
    estimate, p_value, p_holm = (found[name].to_numpy(float) for name in ("estimate", "p_value", "p_holm"))
    assert estimate[0] == pytest.approx(1.0)
    assert np.isnan(estimate[2])  # a constant side has no correlation
    # Holm over the two cells that exist: the larger p stands, the smaller is doubled
    assert p_holm[:2] == pytest.approx([min(1.0, 2 * p_value[0]), p_value[1]])
    assert list(found["significant"]) == [True, False, False]


def test_correlation_table_leaves_infinite_distances_out() -> None:
    x = np.arange(12.0)
    frame = pd.DataFrame({"a_mean": x, "distance": np.where(x < 3, np.inf, -x)})
    row = correlation_table(frame, ["a_mean"], ["distance"]).iloc[0]
    assert (row["n"], row["estimate"]) == (9, pytest.approx(-1.0))
    few = correlation_table(frame.iloc[:8], ["a_mean"], ["distance"]).iloc[0]
    assert (few["n"], few["estimate"]) == (5, pytest.approx(np.nan, nan_ok=True))


def test_partial_correlation_table() -> None:
    generator = np.random.default_rng(1)
    given = generator.normal(size=60)
    frame = pd.DataFrame({"a_mean": given + 0.1 * generator.normal(size=60), "accuracy": given})
    frame["outcome"] = given + 0.1 * generator.normal(size=60)
    raw = correlation_table(frame, ["a_mean"], ["outcome"]).iloc[0]
    partial = correlation_table(frame, ["a_mean"], ["outcome"], given="accuracy").iloc[0]
    assert raw["estimate"] > 0.95
    assert abs(partial["estimate"]) < 0.3


def test_over_seeds() -> None:
    frame = pd.DataFrame({"variant": ["b", "b", "b", "a", "c"], "x": [1.0, 2.0, 3.0, 5.0, np.nan]})
    found = over_seeds(frame, "variant", ["x"])
    assert list(found.index) == ["b", "a", "c"]
    assert found.loc["b", "x"] == "2.000 [-0.484, 4.484]"  # t(2, 0.975) = 4.303 times 1 / sqrt(3)
    assert (found.loc["a", "x"], found.loc["a", "seeds"]) == ("5.000", "1")
    assert (found.loc["c", "x"], found.loc["c", "seeds"]) == ("none", "1")
    some = over_seeds(frame.assign(variant="d"), "variant", ["x"])
    assert some.loc["d", "x"] == "2.750 [0.032, 5.468] (4 of 5)"  # sd 1.708, t(3, 0.975) = 3.182 over the root of 4
    assert over_seeds(frame.tail(3).assign(variant="e", x=[1.0, 2.0, np.nan]), "variant", ["x"]).loc["e", "x"] == (
        "1.500 (2 of 3)"  # an interval of two numbers would span everything
    )
    within = over_seeds(frame.assign(y=[0.5, 0.5, 0.5, 0.25, np.nan]), "variant", ["x", "y"], within=(0.0, 4.0))
    assert list(within.loc["b"]) == ["2.000 [0.000, 4.000]", "0.500 at each seed", "3"]  # 2.484 on each side is cut
    assert list(within.loc["a"]) == ["5.000", "0.250", "1"]
    shares = frame.assign(accuracy=[0.9, 1.0, 0.95, 1.0, 1.0])
    found = over_seeds(shares, "variant", ["accuracy"], within=(0.0, np.inf))
    assert found.loc["b", "accuracy"] == "0.950 [0.826, 1.000]"  # t(2, 0.975) = 4.303 times 0.05 / sqrt(3)
    assert over_seeds(frame.assign(x=1.23e-4), "variant", ["x"]).loc["a", "x"] == "0.00012"
    assert over_seeds(frame.assign(diverged=1.0), "variant", ["x"]).loc["c", "x"] == "diverged"


def test_over_seeds_cuts_intervals_to_what_is_possible() -> None:
    frame = pd.DataFrame({"variant": ["b"] * 3, "x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})  # 2 with 2.484 around it
    found = over_seeds(frame, "variant", ["x", "y"], within={"x": (0.0, 4.0)})
    assert list(found.loc["b"]) == ["2.000 [0.000, 4.000]", "2.000 [-0.484, 4.484]", "3"]
    assert over_seeds(frame, "variant", ["x"], within={"x": (-9.0, 9.0)}).loc["b", "x"] == "2.000 [-0.484, 4.484]"
    known = pd.DataFrame({"variant": ["b"] * 3, "pgd@0.1": [0.0, 0.5, 1.0], "nll.plain": [1.0, 2.0, 3.0]})
    assert list(over_seeds(known, "variant", ["pgd@0.1", "nll.plain"]).loc["b"]) == [
        *("0.500 [0.000, 1.000]", "2.000 [0.000, 4.484]", "3"),  # a share, and a loss that is never negative
    ]
    assert over_seeds(known, "variant", ["pgd@0.1"], within=(-9.0, 9.0)).loc["b", "pgd@0.1"] == "0.500 [-0.742, 1.000]"


def test_every_metric_that_is_said_to_have_limits_exists() -> None:
    forms = [form for kind in KINDS for form in kind.labels]
    for name in OTHER_SHARES | NOT_NEGATIVE:
        assert any(form == name or form.startswith((f"{name}_", f"{name}.")) for form in forms), name
    assert not OTHER_SHARES & NOT_NEGATIVE


def test_failed_trainings_are_named_and_counted() -> None:
    frame = pd.DataFrame({"variant": ["a", "a", "b", "b", "c"], "accuracy": [0.9, 0.1, np.nan, np.nan, 0.9]})
    assert failed_trainings(frame.drop(index=1), 0.1) == "Every training of every variant learnt something."
    assert failed_trainings(frame.assign(diverged=[np.nan, np.nan, 1, 1, np.nan]), 0.1) == (
        "Trainings that failed, in brackets how many of the seeds. Diverged: b (2 of 2). Ended near chance: a (1 of 2)."
    )
    assert ": DRS, b = 64 (1 of 1)." in failed_trainings(
        pd.DataFrame({"variant": ["weight-64"], "accuracy": [np.nan], "diverged": [1.0]}), 0.1
    )


def test_the_largest_rise_of_each_curve_is_named() -> None:
    frame = pd.DataFrame({"network.loss": ["ce", "drs"], "pgd@0.05": [0.3, 0.5], "pgd@0.1": [0.1, 0.4]})
    assert rises_again(frame) == (
        "**Does a curve rise again?** None does here: more budget never left more images right."
    )
    rising = pd.concat([frame, pd.DataFrame({"pgd@0.2": [0.125, 0.4], "pgd@0.3": [0.25, 0.0]})], axis=1)
    assert rises_again(rising) == (
        "**Does a curve rise again?** Yes: the CE network is right on 10.0% of the images at epsilon 0.1 and on 25.0% "
        "at 0.3."
    )


def test_detection_comparison() -> None:
    frame = pd.DataFrame(
        {"network.loss": ["ce", "ce", "rce"], "auc.k_density.cw": [0.9, 0.8, 0.99], "successes.cw": [10.0, 20.0, 5.0]}
    )
    found = detection_comparison(frame)
    row = found.loc["cw, CE"]
    assert list(row) == ["99.4", "no", "99.4", "85.0", "2", "30"]
    assert list(found.loc["fgsm, CE"])[2:] == ["98.8", "none", "0", "0"]  # the replication's row at 0.1


def test_markdown_table() -> None:
    frame = pd.DataFrame({"x": [0.123456, np.nan], "y": ["a", "b"]}, index=["one", "two"])
    assert table(frame, "caption").data == (
        "*caption*\n\n|  | x | y |\n|---|---|---|\n| one | 0.123 | a |\n| two |  | b |"
    )
    assert table(pd.DataFrame({"pgd@0.05": ["1 of 2"]}, index=["CE"])).data.splitlines()[0] == "|  | PGD-20, 0.05 |"


def _claim(judged: Judgement) -> Finding:
    claim = Claim("X1", "s", "A statement.", "", "quantity", "Rule.", "losses", "notebooks/x", lambda frame: judged)
    return Finding(claim, "quick", judged, 3, "mnist5k", "cpu")


def test_sentence_and_interval() -> None:
    found = _claim(Judgement("reproduced", 0.1234, 0.1, 0.2, 30, "the numbers"))
    assert interval(found.judgement) == "0.123 [0.1, 0.2]"
    assert sentence(found) == (
        "**Reproduced** under `quick` (mnist5k, 30 seeds): quantity = 0.123 [0.1, 0.2]. the numbers."
    )
    networks = replace(found, claim=replace(found.claim, counts="networks"))
    assert "(mnist5k, 30 networks, seeds: 3)" in sentence(networks)
    assert interval(Judgement("reproduced", 0.5, np.nan, np.nan, 1, "")) == "0.5"
    assert interval(Judgement("reproduced", 1734.2, np.nan, np.nan, 3, "")) == "1,734"
    assert interval(Judgement("no records", np.nan, np.nan, np.nan, 0, "")) == "none"
    nothing = _claim(Judgement("no records", np.nan, np.nan, np.nan, 0, ""))
    assert sentence(nothing).startswith("Under `quick` there are no complete records")


def test_smoke_sets_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    text = verdict("A3", profile="smoke").data
    link = '<span id="A3"></span>**<a href="../book/claims.html#A3">A3</a>'
    assert text.startswith(f"{link}. {claims.get_claim('A3').statement}**")
    assert "they set no verdict" in text
    assert "eproduced**" not in text


def test_a_verdict_says_when_its_rule_was_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = verdict("C4").data
    assert "Rule: Held if" in text
    assert "**When the rule was fixed.** Amended after results were seen: The first rule averaged" in text
    assert "mended" not in verdict("C6").data
    monkeypatch.setattr(notebook, "said", lambda claim: 'code changed since: "Names *once*" (1a2b3c4)')
    assert verdict("A3").data.splitlines()[-1] == (
        '**When the rule was fixed.** Code changed since: "Names \\*once\\*" (1a2b3c4).'
    )
    monkeypatch.setattr(notebook, "said", lambda claim: "no records yet")
    assert verdict("A3", profile="smoke").data.endswith("\n\n**When the rule was fixed.** No records yet.")


def test_what_is_folded_keeps_its_parts_in_order() -> None:
    text = folded("All numbers", prose("one"), prose("| two |")).data
    assert text == "<details><summary>All numbers</summary>\n\none\n\n| two |\n\n</details>"


def _record(seed: int, **metrics: float) -> Record:
    spec = {"network": {"seed": seed, "dataset": "mnist5k"}}
    run = Run("losses", 1, spec)
    versions = {"torch": "2.9.0", "python": "3.11.7"}
    return Record(run, "quick", metrics, 90.0, "a CPU", versions, "abc", f"2026-01-0{seed + 1}T00:00:00+00:00")


def test_provenance_names_everything() -> None:
    text = provenance([_record(0), _record(1)], "quick").data
    for part in (
        "`quick`",
        "2 runs",
        "`losses`",
        "mnist5k",
        "0 to 1 (2)",
        "a CPU",
        "2.9.0",
        "3.11.7",
        "abc",
        "3.0 min",
    ):
        assert part in text, part
    assert "2026-01-01 to 2026-01-02" in text


def test_provenance_leads_to_the_commits_and_to_the_folder_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [replace(_record(0), commit="0123456789ab"), replace(_record(1), commit="unknown")]
    address = yaml.safe_load((project_root() / "_config.yml").read_text())["repository"]["url"]
    text = provenance(found, "quick").data
    assert f"code [0123456789ab]({address}/commit/0123456789ab), unknown" in text
    assert f"[2 runs]({address}/tree/main/data/results/quick/losses); data mnist5k" in text
    monkeypatch.setattr(notebook, "repository_address", lambda: "")
    assert "2 runs; data mnist5k" in provenance(found, "quick").data
    assert "code 0123456789ab, unknown;" in provenance(found, "quick").data


def test_readme_markers() -> None:
    assert fill(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(UsageError, match="expected one <!-- claims:begin -->"):
        fill("nothing here", "new")


DETECTION = pd.DataFrame(
    {
        "network.model": ["small_conv", "small_conv", "small_conv", "resnet"],
        "network.loss": ["ce", "ce", "rce", "ce"],
        "network.seed": [0, 1, 0, 0],
        "accuracy": [0.9, 0.7, 0.5, 0.0],
        "std_logits_mean": [1.0, 3.0, 5.0, 0.0],
        "entropy_logits_mean": [0.25, 0.75, 0.5, 0.0],
        "error_percent": [10.0, 30.0, 50.0, 100.0],
        "train_accuracy": [1.0, 1.0, 1.0, 0.0],
        "calibration_error": [0.1, 0.1, 0.1, 0.0],
        "silhouette": [0.2, 0.4, 0.6, 0.0],
        "auc_all.k_density.bim@0.1": [0.6, 0.8, 0.9, 0.0],
        "false_rejection_5.k_density.noise@0.1": [0.05, 0.07, 0.06, 0.0],
        "detection_rate_5.k_density.bim@0.1": [0.5, 0.7, 0.9, 0.0],
        "bandwidth_auc@10": [0.3, 0.5, 0.7, 0.0],
        "bandwidth_auc@0.1": [0.1, 0.3, 0.5, 0.0],
        "transfer_clean.rce": [0.01, 0.03, 0.02, 0.0],
        "transfer.ce": [0.2, 0.4, 0.3, 0.0],
        "transfer_auc.ce": [0.5, 0.7, 0.6, 0.0],
    }
)


def rows(table: pd.DataFrame) -> dict[str, list[str]]:
    return {str(index): list(row) for index, row in zip(table.index, table.itertuples(index=False))}


def test_by_loss_is_over_the_seeds_of_the_first_architecture_and_of_the_columns_there_are() -> None:
    table = tables.by_loss(DETECTION, ["accuracy", "nothing"])
    assert list(table.columns) == ["accuracy", "seeds"]
    assert rows(table) == {"CE": ["0.800", "2"], "RCE": ["0.500", "1"]}


def test_the_tables_of_the_detection_chapters_take_their_columns_in_order() -> None:
    table = tables.clean_error(DETECTION)
    assert rows(table)["SmallConvNet, CE"] == ["20.000", "1.000", "0.100", "2.000", "0.300", "2"]
    assert rows(table)["ResNet, CE"][0] == "100.000"
    three = pd.concat([DETECTION.iloc[:2], DETECTION.iloc[:1].assign(error_percent=20.0, silhouette=0.3)])
    # means 20 and 0.3, t(2, 0.975) = 4.303 times 10 and 0.1 over the root of 3
    assert rows(tables.clean_error(three))["SmallConvNet, CE"][::4] == [
        "20.000 [0.000, 44.841]",
        "0.300 [0.052, 0.548]",
    ]
    assert rows(tables.detection(DETECTION, "auc_all")) == {"CE": ["0.700", "2"], "RCE": ["0.900", "1"]}
    assert rows(tables.rejected(DETECTION))["CE"] == ["0.060", "0.600", "2"]
    table = tables.bandwidths(DETECTION)
    assert list(table.columns) == ["times 0.1", "times 10", "seeds"]
    assert rows(table)["RCE"] == ["0.500", "0.700", "1"]
    table = tables.transfer(DETECTION, "ce")
    assert list(table.columns) == ["wrong on examples", "AUC", "seeds"]
    assert rows(table)["CE"] == ["0.300", "0.600", "2"]
    assert rows(tables.transfer(DETECTION, "rce"))["CE"] == ["0.020", "2"]


def test_false_classes_stand_next_to_the_mean_auc_of_the_attacks_that_all_networks_have() -> None:
    areas = {"fgsm@0.1": [0.5, 0.7, 0.9, 0.0], "bim@0.1": [0.7, 0.9, np.nan, 0.0], "cw": [0.9, 0.7, 0.7, 0.0]}
    numbers = {
        f"auc.{metric}.{attack}": np.array(values) * share
        for metric, share in (("k_density", 1.0), ("non_me", 0.5))
        for attack, values in areas.items()
    }
    absent = {f"auc.{m}.{a}": np.nan for m in ("k_density", "non_me") for a in ("ilcm@0.1", "jsma@0.1", "cw_hc")}
    table, caption = tables.false_classes(DETECTION.assign(**numbers, **absent))
    assert caption == "AUC: mean over 2 of 6 attacks"  # RCE has no success under BIM
    assert list(table.columns)[3:5] == ["AUC of K-density", "AUC of non-ME"]
    assert rows(table)["CE"] == ["0.800", "2.000", "0.500", "0.700", "0.350", "2"]
    assert rows(table)["RCE"][3:5] == ["0.800", "0.400"]


def test_the_tables_of_variants_take_every_budget_in_order() -> None:
    numbers = {"accuracy": 0.9, "worst@0": 0.9, "worst@0.1": 0.2, "worst@0.05": 0.4, "worst@0.01": 0.8}
    numbers |= {"worst_area": 0.3, "std_logits_mean": 2.0, "calibration_error": 0.1}
    frame = pd.DataFrame([{"variant": "std", **numbers}, {"variant": "ce", **numbers, "accuracy": 0.7}])
    table = tables.losses(frame, ("ce", "drs", "std"))
    assert list(table.columns)[:4] == ["accuracy", "worst@0.05", "worst@0.1", "worst_area"]
    assert rows(table) == {
        "CE": ["0.700", "0.400", "0.200", "0.300", "2.000", "0.100"],
        "DRS, std": ["0.900", "0.400", "0.200", "0.300", "2.000", "0.100"],
    }
    told = rows(tables.losses(frame, ("std",), meanings=True))
    assert told == {
        "DRS, std": [
            "restrains the standard deviation in place of the sum of squares", "0.900", "0.400", "0.200", "0.300",
            "2.000",
        ]
    }  # fmt: skip
    lost = pd.DataFrame([{"variant": "weight-64", "worst@0.1": np.nan}, {"variant": "ce", "worst@0.1": 0.5}])
    every = tables.budgets(pd.concat([frame, lost]))
    assert list(every.columns) == ["0.01", "0.05", "0.1"]
    assert rows(every) == {
        "DRS, std": ["0.800", "0.400", "0.200"],
        "CE": ["0.800", "0.400", "0.350"],
        "DRS, b = 64": ["diverged"] * 3,
    }


def test_accuracies_of_losses_have_intervals_between_nought_and_one() -> None:
    frame = pd.DataFrame({"variant": "ce", "accuracy": [0.9, 0.95, 1.0], "std_logits_mean": [0.0, 1.0, 2.0]})
    frame["worst_area"] = [0.0, 0.1, 0.2]
    # t(2, 0.975) = 4.303 times 0.05, 0.1 and 1 over the root of 3
    assert rows(tables.losses(frame, ("ce",)))["CE"] == [
        *("0.950 [0.826, 1.000]", "0.100 [0.000, 0.348]", "1.000 [0.000, 3.484]")
    ]


def test_the_numbers_of_the_stress_chapter_take_every_budget_in_order() -> None:
    stress = {"clean": 0.9, "strong_worst@0.1": 0.1, "strong_worst@0.03": 0.5}
    stress |= {"gradient_norm_median": 0.25, "ddn_median": 1.5}
    assert rows(tables.worst_cases(pd.DataFrame([{"variant": "ce", **stress}])))["CE"] == [
        *("0.900", "0.500", "0.100", "0.250", "1.500", "1")
    ]


def test_rank_correlations_within_networks_are_described_over_them() -> None:
    frame = pd.DataFrame({"sample_spearman_std_logits": [-0.5, 0.0, 0.2], "accuracy": [1.0, 1.0, 1.0]})
    table = tables.within_networks(frame)
    assert list(table.columns) == ["mean", "min", "max"]
    assert list(table.loc["std of false logits"]) == pytest.approx([-0.1, -0.5, 0.2])


def test_the_table_of_alarms_counts_networks() -> None:
    quiet = {"images": 1000.0, "clean": 0.9, "largest_budget": 0.0}
    frame = pd.DataFrame([{"variant": "ce", **quiet}] * 2 + [{"variant": "drs", **quiet}])
    frame.loc[0, "largest_budget"] = 0.5
    frame["zero_gradient_share"] = 0.0
    table = tables.alarms(frame, ["large budget survives", "not monotone", "zero gradients"])
    assert list(table.columns) == ["CE", "DRS"]
    assert list(table.index) == ["large budget survives", "no alarm at all"]
    assert table["CE"].tolist() == ["**1 of 2**", "1 of 2"]
    assert table["DRS"].tolist() == ["none", "1 of 1"]
    names = ["large budget survives", "not monotone", "zero gradients"]
    assert tables.silent(frame, names) == ["zero gradients"]  # no curve was measured


def test_the_table_of_cost_says_what_was_not_run() -> None:
    row = {"kind": "loss", "batch": 8, "tokens": 2, "classes": 32000, "ce_milliseconds": 10.0, "drs_milliseconds": 15.5}
    row |= {"drs_ratio": 1.5, "drs_ratio_low": 1.25, "drs_ratio_high": 2.0, "memory_ratio": 1.0}
    other = row | {"kind": "training", "model": "resnet", "naive_ratio": 123.4}
    table = tables.cost(pd.DataFrame([row, other]))
    assert rows(table) == {
        "(8, 2, 32000)": ["10", "15.5", "1.500 [1.250, 2.000]", "not run", "1.000"],
        "ResNet step": ["10", "15.5", "1.500 [1.250, 2.000]", "123", "1.000"],
    }


def test_the_share_of_the_loss_predicts_the_step() -> None:
    numbers = {"ce_milliseconds": 0.5, "drs_ratio": 3.0, "drs_ratio_low": 2.5, "drs_ratio_high": 3.5}
    loss = {"kind": "loss", "batch": 128, "tokens": 1, "classes": 10, **numbers}
    step = {"kind": "training", "model": "small_conv", "batch": 128, **numbers, "ce_milliseconds": 20.0}
    step |= {"drs_ratio": 1.0625, "drs_ratio_low": 1.0, "drs_ratio_high": 1.125}
    assert share_of_step(pd.DataFrame([loss | {"classes": 100, "drs_ratio": 9.0}, loss, step])) == (
        "**Prediction and measurement.** The loss alone takes 3.00 times as long; in a SmallConvNet step "
        "cross-entropy takes 2.50% of the time, so the formula predicts 1.050; measured are 1.062 [1.000, 1.125]."
    )
    assert share_of_step(pd.DataFrame([loss])) == "A step, or the loss alone at its shape, was not timed here."


def test_how_often_each_value_was_taken() -> None:
    rows = [("drs", 0.64, 0.3), ("drs", 2.56, 0.5), ("drs", 2.56, 0.4), ("weight-decay", 0.0002, 0.1)]
    frame = pd.DataFrame(rows, columns=["variant", "tuned", "worst_area"]).assign(accuracy=0.9)
    for value in (2.56, 0.64):
        frame[f"validation@{value:g}"] = [0.2, 0.2, 0.2, np.nan]
    frame["validation@0.0002"] = [np.nan, np.nan, np.nan, 0.1]
    found = tuned(frame)
    assert list(found.loc["DRS"]) == [
        "0.64, 2.56", "0.64: 1, 2.56: 2", "0.900 at each seed", "0.400 [0.152, 0.648]", "3",
    ]  # fmt: skip
    assert list(found.loc["weight decay"]) == ["0.0002", "0.0002: 1", "0.900", "0.100", "1"]
