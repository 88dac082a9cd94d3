"""Parts of the book that are written from records: values, order, and that the committed ones are fresh."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drs import pages
from drs.claims import CLAIMS, Finding, Judgement
from drs.claims.base import VerdictName
from drs.notebook import parameters
from drs.paths import project_root
from drs.readme import texts
from drs.records import Record, Run, read_records, write_record
from drs.runner import plan


def found(claim_id: str, verdict: VerdictName, estimate: float = 0.5) -> Finding:
    judged = Judgement(verdict, estimate, 0.25, 0.75, 3 if verdict != "no records" else 0, "")
    return Finding(CLAIMS[claim_id], "quick", judged, 3, "mnist5k", "a CPU")


def test_what_failed_is_said_first_and_counted() -> None:
    text = pages.summary([found("A1", "reproduced"), found("A3", "not reproduced"), found("B1", "no records")])
    first, second, third = text.split("\n**")
    assert first.startswith("**The DRS paper**: of 2 verdicts, 1 not reproduced, 1 reproduced.\n\n- **not reproduced**")
    assert first.index("[A3](../notebooks/03_drs_loss.ipynb)") < first.index("[A1](../notebooks/02_correlation.ipynb)")
    assert f"{CLAIMS['A1'].statement} ({CLAIMS['A1'].quantity} = 0.5 [0.25, 0.75], `quick`)" in first
    assert "of 1 verdicts, 1 no records." in second
    assert f"{CLAIMS['B1'].statement} (`quick`)" in second
    assert third.startswith("Claims of our own**: of 0 verdicts, none.")


@pytest.fixture
def two_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = read_records(plan("anatomy", "quick"), "quick", arrays=True)
    for record, seconds, day in ((first, 60.0, "2026-01-02"), (second, 30.0, "2026-01-03")):
        changed = replace(record, seconds=seconds, device="a CPU", utc=f"{day}T00:00:00+00:00")
        write_record(changed, tmp_path)
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))


def test_cost_is_the_sum_of_the_records(two_records: None) -> None:
    lines = pages.computation().splitlines()
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[1:] == ["`quick`", "2", "1.5", "45.0, 60.0", "a CPU", "2026-01-02 to 2026-01-03"]
    assert lines[3] == "| **all** | `quick` | 2 | 1.5 | | | |"
    assert pages.cost_sentence() == (
        "Under `quick`, 2 runs took 2 minutes of one worker's time in all (a CPU); the longest single run took "
        "1.0 minutes. Nothing has been computed under `paper` yet.\n"
    )


def test_parameters_say_what_is_common_and_what_varies() -> None:
    records = [
        Record(
            Run("losses", 1, {"images": 300, "network": {"loss": loss, "seed": seed}, "epsilons": [0.0, 0.1]}),
            "quick", {}, 1.0, "", {}, "", "",
        )
        for seed, loss in enumerate(["ce", "drs", "ce", "ce", "ce", "ce", "ce"])
    ]  # fmt: skip
    assert parameters(records) == {
        "epsilons": "[0.0,0.1]",
        "images": "300",
        "network.loss": "ce, drs",
        "network.seed": "7 values from 0 to 6",
    }


def test_every_committed_part_is_what_the_records_give_now() -> None:
    root = project_root()
    stale = [name for name, text in texts().items() if (root / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run 'make notebooks' and look at what changed"


def test_the_front_page_has_the_numbers_of_its_figure() -> None:
    tables = json.loads((project_root() / "book" / "_generated" / "story.json").read_text())
    assert [table["caption"].partition(":")[0] for table in tables] == ["FGSM", "PGD-20", "worst case"]
    assert all(row[0] for table in tables for row in table["rows"])
