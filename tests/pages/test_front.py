"""The front page and the page of claims: thresholds, tables, JSON, tally and forest, from findings made up here."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from drs.pages import found
from drs.pages.figures.front import Row, forest, normalised, undetected
from drs.pages.front import forest_rows
from drs.pages.listing import as_json, as_tables, by_source, seeds_table, threshold
from drs.pages.verdicts import LOOKS, badge, look, ordered, strongest
from drs.study.claims import CLAIMS, Finding, Judgement, get_claim

INF = math.inf


def finding(
    claim: str, verdict: str, estimate: float = 0.5, low: float = 0.4, high: float = 0.6, n: int = 3
) -> Finding:
    judged = Judgement(verdict, estimate, low, high, n, "detail")  # type: ignore[arg-type]
    return Finding(get_claim(claim), "quick", judged, 3, "mnist5k", "a CPU")


@pytest.mark.parametrize(
    ("rule", "limits"),
    [
        ("Reproduced if the interval lies above 0; undecided if it straddles 0.", (0.0, INF)),
        ("Held if the 95% t interval lies below 0.1, of the share.", (-INF, 0.1)),
        ("Over a population: reproduced if r is at most -0.7 with an interval below 0.", (-INF, -0.7)),
        ("Reproduced if it takes at least 1,000 times as long.", (1000.0, INF)),
        ("Reproduced if at least 95% of the examples keep f2 > 0.", (0.95, INF)),
        ("Reproduced if the error lies below half a percentage point.", (-INF, 0.5)),
        ("Reproduced if it lies between -0.005 and 0.005; not otherwise.", (-0.005, 0.005)),
        ("Reproduced if the exponent is within 0.1 of 2.", (1.9, 2.1)),
        ("Reproduced if neither has an interval wholly above 0.", (-INF, 0.0)),
        ("Reproduced if every alarm fires, and the share ends below 0.25.", None),
        ("Anything else.", None),
    ],
)
def test_the_threshold_is_the_number_of_the_first_condition(rule: str, limits: tuple[float, float] | None) -> None:
    given = threshold(rule)
    assert given is None if limits is None else given == pytest.approx(limits)


def test_what_holds_lies_on_the_claims_side_of_the_threshold_that_was_read() -> None:
    """For every claim there is: an interval that decided lies on the side that the words of the rule name."""
    entries = json.loads(as_json(found_now := list(_every())))
    assert len(entries) == len(found_now)
    for entry in entries:
        if entry["verdict"] in ("reproduced", "held") and entry["threshold"] and entry["low"] is not None:
            low, high = entry["threshold"]
            assert low is None or entry["high"] > low, entry["id"]
            assert high is None or entry["low"] < high, entry["id"]


def _every() -> list[Finding]:
    from drs.study.claims import verdicts

    return verdicts()


def test_a_claim_has_its_address_once_and_leads_to_its_chapter() -> None:
    every = [finding("A3", "reproduced"), finding("A3", "undecided"), finding("C1", "a new word")]
    text = as_tables(every)
    assert text.count('<span id="A3"></span>') == 1
    assert text.count('<a href="../notebooks/07_drs_loss.html#A3">A3</a>') == 2
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Claims of DRS, arXiv 2303.12363",
        "## Our own claims",
    ]
    assert badge("a new word") in text
    assert "rule: above 0" in text


def test_json_has_null_where_there_is_no_number() -> None:
    (entry,) = json.loads(as_json([finding("B0", "reproduced", 1.95, math.nan, math.nan)]))
    assert (entry["id"], entry["estimate"], entry["low"], entry["high"]) == ("B0", 1.95, None, None)
    assert entry["page"] == "book/claims.html#B0"
    assert entry["chapter"] == "notebooks/10_reverse_training.html#B0"


def test_every_verdict_has_a_colour_and_a_shape_of_its_own() -> None:
    words = {
        "reproduced",
        "partly reproduced",
        "undecided",
        "not reproduced",
        "not tested",
        "no records",
        "held",
        "partly held",
        "failed",
    }
    assert set(LOOKS) == words
    assert len({one.colour for one in LOOKS.values()}) == len({one.marker for one in LOOKS.values()}) == len(words)
    assert look("odd").sign == "?"
    assert ordered(["odd", "failed", "held"]) == ["held", "failed", "odd"]


def contrast_with_white(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_white_words_can_be_read_on_every_verdict() -> None:
    assert all(contrast_with_white(one.colour) >= 4.5 for one in LOOKS.values())


def test_the_tally_counts_each_claim_once() -> None:
    every = [finding("A3", "reproduced"), finding("A3", "undecided"), finding("B1", "held"), finding("C2", "odd")]
    assert [f.judgement.verdict for f in strongest(every)] == ["reproduced", "held", "odd"]
    text = found.tally(every)
    assert "3 claims:" in text
    assert text.count("flex: 1;") == 3
    assert text.index("reproduced") < text.index("held") < text.index("odd")


def test_sources_come_with_the_two_papers_first_and_ours_last() -> None:
    every = [finding(claim, "undecided") for claim in CLAIMS]
    assert list(by_source(every))[:2] == ["DRS", "RCE"]
    assert list(by_source(every))[-1] == "ours"


def test_the_forest_has_the_threshold_in_the_middle() -> None:
    assert normalised(Row("", "", "", "", 3.0, 2.0, 5.0, 1.0, INF)) == (0.5, 0.25, 1.0)
    assert normalised(Row("", "", "", "", 3.0, math.nan, math.nan, 1.0, INF)) == (1.0, 1.0, 1.0)
    # from -1 to 1 asked for: the middle of the band is as far inside as one can be
    assert normalised(Row("", "", "", "", 0.5, -0.5, 1.5, -1.0, 1.0)) == (0.5, 1.0, -0.5)


def test_the_forest_draws_every_claim_and_survives_a_new_word() -> None:
    every = [finding("A3", "reproduced"), finding("C3", "a new word"), finding("B0", "held", 1.95, math.nan, math.nan)]
    made = forest(forest_rows(every))
    assert made.frame["claim"].tolist() == ["A3", "B0", "C3"]
    written = {text.get_text() for axes in made.figure.axes for text in axes.texts}
    assert {"A3", "B0", "C3", "0.5 [0.4, 0.6]", "1.95"} <= written
    assert [text.get_text() for text in made.figure.legends[0].get_texts()] == ["reproduced", "held", "a new word"]


METRICS = ("confidence", "non_me", "k_density")


def test_those_who_know_the_detector_stand_beside_those_who_do_not() -> None:
    shares = {"blind": (0.1, 0.4), "union": (0.9, 0.7), "selective": (0.5, 0.5)}
    frame = pd.DataFrame(
        [
            {"network.loss": loss}
            | {f"undetected.{m}.{attack}@0.1": each[seed] for m in METRICS for attack, each in shares.items()}
            for seed in (0, 1)
            for loss in ("rce", "ce")
        ]
    )
    frame.loc[frame["network.loss"] == "ce", "undetected.non_me.union@0.1"] = 0.0
    made = undetected(frame, "rce", 0.1).frame.set_index(["detector", "attacker"])
    assert made["misclassified and accepted"]["non-ME", "knows the detector"] == pytest.approx(0.8)
    assert made["misclassified and accepted"]["non-ME", "does not know the detector"] == pytest.approx(0.25)
    assert made["seeds"]["K-density", "knows the detector"] == (0.9, 0.7)


def test_what_the_seeds_could_show_is_corrected_within_a_paper() -> None:
    def tested(claim: str, p: float, detectable: float = 0.25) -> Finding:
        one = finding(claim, "reproduced")
        return replace(one, judgement=replace(one.judgement, p_value=p, detectable=detectable))

    lines = seeds_table([tested("B1", 0.02), tested("C1", 0.03), tested("B8", 0.04), finding("B2", "reproduced")])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()[2:]]
    assert [[re.sub("<.*?>", "", row[0]), *row[1:]] for row in cells] == [
        ["B1", "RCE", "quick", "0.02", "0.04", "0.25"],  # twice 0.02, of two claims of its paper
        ["B8", "RCE", "quick", "0.04", "0.04", "0.25"],
        ["C1", "ours", "quick", "0.03", "0.03", "0.25"],
    ]


def test_what_holds_by_construction_is_counted_apart() -> None:
    said = found.tally([finding("A0", "held"), finding("B6", "reproduced"), finding("B1", "reproduced")])
    assert "\n\n1 claims: " in said
    assert said.rstrip().endswith("· and 2 that hold by construction (A0, B6)")


def test_what_restraint_does_is_said_with_the_budget_where_it_helps_most(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("ce", 0.9, 0.4, 0.1), ("ce", 0.9, 0.6, 0.1), ("drs", 0.8, 0.9, 0.2), ("drs", 0.8, 0.7, 0.2)]
    frame = pd.DataFrame(rows, columns=["variant", "worst@0", "worst@0.05", "worst@0.1"])
    monkeypatch.setattr(found, "deciding_frame", lambda name: frame if name == "losses" else pd.DataFrame())
    said = found.sentences([finding("A3", "partly reproduced"), finding("C1", "held", 0.02, 0.01, 0.03)]).splitlines()
    assert len(said) == 3
    assert said[0].startswith("- **DRS makes some architectures more robust, and not others.** ")
    assert "at epsilon 0.05, where it helps most, DRS keeps 80% of the images and cross-entropy 50%" in said[1]
    assert "at epsilon 0.1 it keeps 20%" in said[1]
    assert said[2].startswith(
        "- **It gains more than its rivals.** Each of 4 other regularisers and DRS got the strength"
    )
    assert "DRS minus the best of them: 0.02 [0.01, 0.03] (" in said[2]
    assert said[2].endswith('">C1</a>: held, `quick`, mnist5k).')
    assert "At other scales" not in said[0]
    elsewhere = replace(finding("A3", "undecided"), dataset="fashion_mnist")
    untested = replace(finding("A3", "no records", n=0), dataset="mnist")
    said = found.sentences([finding("A3", "reproduced"), elsewhere, untested]).splitlines()
    assert said[0].endswith(" At other scales: undecided under `quick` on fashion_mnist.")


@pytest.mark.parametrize(
    ("verdict", "head"),
    [
        ("undecided", "The detector is not shown to withstand"),
        ("failed", "An attacker who knows the detector defeats it"),
    ],
)
def test_what_the_attackers_get_through_is_said_with_the_verdict(verdict: str, head: str) -> None:
    judged = finding("C5", verdict)
    judged = replace(judged, judgement=replace(judged.judgement, detail="undetected by budget: 0.50 at 0.1"))
    row = {f"undetected.{m}.union@0.1": 0.9 for m in METRICS} | {f"undetected.{m}.blind@0.1": 0.7 for m in METRICS}
    row |= {"undetected.non_me.union@0.1": 0.5, "undetected.non_me.blind@0.1": 0.125}
    (said,) = found._falls([judged], pd.DataFrame([{**row, "network.loss": "rce"}]))
    assert said.startswith(f"**{head}")
    assert "serves it best: 0.50 at 0.1. Attacks that do not know of the detector get 12% past non-ME at" in said
