"""What opens a chapter: an answer chosen by the strongest verdict, and the experiment in a line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drs.pages import card as cards
from drs.pages.card import card, experiment
from drs.study.claims import Finding, Judgement, get_claim
from drs.study.claims.base import VerdictName
from drs.study.plan import Scale
from drs.study.records import Run
from drs.study.results import Results
from drs.study.scales import Everywhere, Shown, at_every_scale

ANSWERS = {"reproduced": "Yes.", "not reproduced": "No."}


def judged(verdicts: dict[tuple[str, str], VerdictName], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every claim have these verdicts by its id and profile, and nothing else records."""

    def found(claim_id: str, profile: str, dataset: str = "mnist5k") -> Finding:
        word: VerdictName = verdicts.get((claim_id, profile), "no records")
        n = 0 if word == "no records" else 3
        return Finding(get_claim(claim_id), profile, Judgement(word, 0.5, 0.25, 0.75, n, "why"), 3, dataset, "cpu")

    scales = [Scale(name, "mnist") for name in {profile for _, profile in verdicts}]
    monkeypatch.setattr(cards, "finding", found)
    monkeypatch.setattr(Results, "complete", lambda self, experiment: scales)


def test_the_strongest_scale_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts: dict[tuple[str, str], VerdictName] = {
        ("A3", "quick"): "reproduced",
        ("A3", "full"): "not reproduced",
        ("B1", "full"): "reproduced",
    }
    judged(verdicts, monkeypatch)
    lines = card("Does it help?", "A3", ANSWERS, others=("B1",)).data.splitlines()
    assert lines[0] == "> **The question.** Does it help?"
    assert lines[2] == "> **The answer.** No."
    assert lines[4].endswith(f"{get_claim('A3').quantity}: 0.5 [0.25, 0.75] (full, mnist)")
    assert "not reproduced</span>" in lines[4]
    assert '<a href="../book/claims.html#A3">A3</a>' in lines[4]
    assert "● reproduced</span>" in lines[5]
    assert lines[5].endswith("(full, mnist)")


def test_what_was_not_tested_or_not_run_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    judged({("A3", "quick"): "not tested"}, monkeypatch)
    assert card("?", "A3", ANSWERS).data.splitlines()[2] == "> **The answer.** Not known yet: why."
    judged({}, monkeypatch)
    lines = card("?", "A3", ANSWERS).data.splitlines()
    assert lines[2] == "> **The answer.** Not known yet: why."
    assert lines[4].endswith('#A3">A3</a>')


def test_a_scale_that_did_not_test_it_leaves_the_answer_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    judged({("A3", "quick"): "reproduced", ("A3", "full"): "not tested"}, monkeypatch)
    lines = card("?", "A3", ANSWERS).data.splitlines()
    assert lines[2] == "> **The answer.** Yes."
    assert "● reproduced</span>" in lines[4]
    assert "▲ not tested</span>" in lines[5]
    assert len(lines) == 6 + 2  # and the aims of the chapter


def test_smoke_gives_no_answer() -> None:
    assert card("Why?", "A3", ANSWERS, profile="smoke").data.startswith(
        "> **The question.** Why?\n>\n> `smoke` runs only show that the chapter executes: they give no answer.\n>\n"
    )


def network(**changed: Any) -> dict[str, Any]:
    return {
        "dataset": "mnist5k", "model": "mlp", "model_options": {"width": 8}, "steps": 100, "batch_size": 32,
        "seed": 0,
    } | changed  # fmt: skip


def test_the_experiment_is_counted_from_its_records() -> None:
    record = at_every_scale("anatomy").records[0]
    specs: list[dict[str, Any]] = [
        {"images": 50, "network": network()},
        {"images": 50, "network": network(), "targets": [network(seed=3)]},  # the first network once more, and another
        {"images": 60, "network": network(steps=2000, model="lenet", model_options={"width": 2})},
    ]
    records = [replace(record, run=Run("losses", 1, spec)) for spec in specs]
    shown = Everywhere([Shown(Scale("quick", "mnist5k"), records)])
    assert experiment(shown).data.splitlines() == [
        "- **`losses`** under `quick` (the default: a laptop, from nothing): 3 networks on mnist5k; "
        "LeNet with 26,762 parameters, MLP with 6,442 parameters; 100 to 2,000 updates of 32 images; seeds 0 to 3; "
        "50 to 60 test images."
    ]


def test_an_experiment_without_networks_counts_its_runs() -> None:
    assert experiment(at_every_scale("density")).data.splitlines()[0].endswith("runs on mnist5k.")
    assert (
        experiment(at_every_scale("cost"))
        .data.splitlines()[0]
        .endswith("6 runs on random numbers, without a data set.")
    )
