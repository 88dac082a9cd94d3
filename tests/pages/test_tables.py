"""Tables, text and figures that are written from records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from drs.errors import UsageError
from drs.pages import chapter as notebook
from drs.pages.chapter import headline, provenance, sentence, table, verdict
from drs.pages.figures import drs_paper, rce_paper, style
from drs.pages.front import BEGIN, END, fill
from drs.pages.tables import correlation_table, detection_comparison, failed_trainings, over_seeds
from drs.study import claims
from drs.study.claims.base import Claim, Finding, Judgement
from drs.study.records import Record, Run


def test_correlation_table_is_corrected_over_the_whole_matrix() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    frame = pd.DataFrame({"std_logits_mean": x, "same": 2 * x + 1, "noise": generator.normal(size=40), "flat": 1.0})
    found = correlation_table(frame, ["std_logits_mean"], ["same", "noise", "flat"]).set_index("outcome")
    assert list(found["measure"]) == ["std_logits"] * 3
    estimate, p_value, p_holm = (found[name].to_numpy(float) for name in ("estimate", "p_value", "p_holm"))
    assert estimate[0] == pytest.approx(1.0)
    assert np.isnan(estimate[2])  # a constant side has no correlation
    # Holm over the two cells that exist: the larger p stands, the smaller is doubled
    assert p_holm[:2] == pytest.approx([min(1.0, 2 * p_value[0]), p_value[1]])
    assert list(found["significant"]) == [True, False, False]


def test_correlation_table_leaves_infinite_distances_out() -> None:
    x = np.arange(12.0)
    frame = pd.DataFrame({"std_logits_mean": x, "distance": np.where(x < 3, np.inf, -x)})
    row = correlation_table(frame, ["std_logits_mean"], ["distance"]).iloc[0]
    assert (row["n"], row["estimate"]) == (9, pytest.approx(-1.0))
    few = correlation_table(frame.iloc[:8], ["std_logits_mean"], ["distance"]).iloc[0]
    assert (few["n"], few["estimate"]) == (5, pytest.approx(np.nan, nan_ok=True))


def test_partial_correlation_table() -> None:
    generator = np.random.default_rng(1)
    given = generator.normal(size=60)
    frame = pd.DataFrame({"std_logits_mean": given + 0.1 * generator.normal(size=60), "accuracy": given})
    frame["outcome"] = given + 0.1 * generator.normal(size=60)
    raw = correlation_table(frame, ["std_logits_mean"], ["outcome"]).iloc[0]
    partial = correlation_table(frame, ["std_logits_mean"], ["outcome"], given="accuracy").iloc[0]
    assert raw["estimate"] > 0.95
    assert abs(partial["estimate"]) < 0.3


def test_over_seeds() -> None:
    frame = pd.DataFrame({"variant": ["b", "b", "b", "a", "c"], "x": [1.0, 2.0, 3.0, 5.0, np.nan]})
    found = over_seeds(frame, "variant", ["x"])
    assert list(found.index) == ["b", "a", "c"]
    assert found.loc["b", "x"] == "2.000 ± 2.484"  # t(2, 0.975) = 4.303 times 1 / sqrt(3)
    assert (found.loc["a", "x"], found.loc["a", "seeds"]) == ("5.000", "1")
    assert (found.loc["c", "x"], found.loc["c", "seeds"]) == ("none", "1")
    some = over_seeds(frame.assign(variant="d"), "variant", ["x"])
    assert some.loc["d", "x"] == "2.750 ± 2.718 (4 of 5)"  # sd 1.708, t(3, 0.975) = 3.182 over the root of 4
    assert over_seeds(frame.tail(3).assign(variant="e", x=[1.0, 2.0, np.nan]), "variant", ["x"]).loc["e", "x"] == (
        "1.500 (2 of 3)"  # an interval of two numbers would span everything
    )
    assert over_seeds(frame.assign(x=1.23e-4), "variant", ["x"]).loc["a", "x"] == "0.00012"
    assert over_seeds(frame.assign(diverged=1.0), "variant", ["x"]).loc["c", "x"] == "diverged"


def test_failed_trainings_are_named_and_counted() -> None:
    frame = pd.DataFrame({"variant": ["a", "a", "b", "b", "c"], "accuracy": [0.9, 0.1, np.nan, np.nan, 0.9]})
    assert failed_trainings(frame.drop(index=1), 0.1) == "Every training of every variant learnt something."
    assert failed_trainings(frame.assign(diverged=[np.nan, np.nan, 1, 1, np.nan]), 0.1) == (
        "Trainings that failed, of the seeds of each variant; diverged: `b` (2 of 2); ended near chance: `a` (1 of 2)."
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
        "*caption*\n\n| | x | y |\n|---|---|---|\n| one | 0.123 | a |\n| two |  | b |"
    )


def _claim(judged: Judgement) -> Finding:
    claim = Claim("X1", "s", "A statement.", "", "quantity", "Rule.", "losses", "notebooks/x", lambda frame: judged)
    return Finding(claim, "quick", judged, 3, "mnist5k", "cpu")


def test_sentence_and_interval() -> None:
    found = _claim(Judgement("reproduced", 0.1234, 0.1, 0.2, 30, "the numbers"))
    assert found.interval == "0.123 [0.1, 0.2]"
    assert sentence(found) == (
        "**Reproduced** under `quick` (mnist5k, 30 seeds): quantity = 0.123 [0.1, 0.2]. the numbers."
    )
    networks = replace(found, claim=replace(found.claim, counts="networks"))
    assert "(mnist5k, 30 networks, seeds: 3)" in sentence(networks)
    assert _claim(Judgement("reproduced", 0.5, np.nan, np.nan, 1, "")).interval == "0.5"
    assert _claim(Judgement("reproduced", 1734.2, np.nan, np.nan, 3, "")).interval == "1,734"
    nothing = _claim(Judgement("no records", np.nan, np.nan, np.nan, 0, ""))
    assert sentence(nothing).startswith("Under `quick` there are no complete records")


def test_smoke_sets_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    text = verdict("A3", profile="smoke").data
    assert text.startswith(f"**A3. {claims.get_claim('A3').statement}**")
    assert "they set no verdict" in text
    assert "eproduced**" not in text


def test_a_mended_rule_says_so() -> None:
    text = verdict("C4").data
    assert "Rule: Reproduced if" in text
    assert "This rule was mended after records had been seen. The first version averaged" in text
    assert "mended" not in verdict("C5").data


def test_headline_follows_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = {"reproduced": "It holds.", "undecided": "It is open.", "not reproduced": "It falls."}

    def text(judged: Judgement, profile: str = "quick") -> str:
        monkeypatch.setattr(notebook, "finding", lambda claim_id, profile: _claim(judged))
        return str(headline("X1", sentences, profile=profile).data)

    fallen = Judgement("not reproduced", 0.9, 0.8, 1.0, 3, "")
    assert text(fallen) == "**It falls.** Quantity: 0.9 [0.8, 1] (`quick`, mnist5k)."
    assert text(Judgement("reproduced", 0.01, 0.0, 0.02, 3, "")).startswith("**It holds.**")
    assert text(fallen, "smoke") == "Under `smoke` no verdict is given on claim X1."
    nothing = Judgement("no records", np.nan, np.nan, np.nan, 0, "")
    assert text(nothing) == "Under `quick` no verdict is given on claim X1."


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


def test_readme_markers() -> None:
    assert fill(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(UsageError, match="expected one <!-- claims:begin -->"):
        fill("nothing here", "new")


def test_curve_draws_means_and_intervals() -> None:
    rows = [
        {"variant": v, "worst@0": 1.0, "worst@0.1": base + s / 10, "pgd@0.1": base}
        for v, base in (("ce", 0.2), ("drs", 0.6))
        for s in (-1, 0, 1)
    ]
    figure = drs_paper.curve(pd.DataFrame(rows), ("ce", "drs"), ("pgd", "worst"))
    assert isinstance(figure, Figure)
    left, right = figure.axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in right.get_lines()}  # type: ignore[union-attr]
    assert drawn == {"CE": [[0.0, 1.0], [0.1, pytest.approx(0.2)]], "DRS": [[0.0, 1.0], [0.1, pytest.approx(0.6)]]}
    assert [line.get_color() for line in left.get_lines()] == [style.COLOURS["ce"], style.COLOURS["drs"]]
    assert len(right.collections) == 2  # a band each


def test_figures_survive_a_loss_that_diverged() -> None:
    rows = pd.DataFrame({"variant": ["ce", "drs"], "worst@0": [1.0, np.nan], "worst@0.1": [0.5, np.nan]})
    figure = drs_paper.curve(rows, ("ce", "drs"), ("worst",))
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["CE"]


def test_auc_map_writes_the_mean() -> None:
    frame = pd.DataFrame(
        {"network.loss": ["ce", "ce"], "auc.k_density.cw": [0.8, 0.9], "successes.cw": [9.0, 1.0]}
        | {"auc.k_density.cw_hc": [0.7, np.nan], "successes.cw_hc": [9.0, 0.0]}
    )
    figure = rce_paper.auc_map(frame, ("cw", "cw_hc"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [".850", "(.700)"]  # ten successes and nine
