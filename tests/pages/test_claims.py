"""Claims as text for the command line and the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs.pages import claims as text
from drs.pages.claims import as_blocks, as_history, as_lines, as_markdown, when_fixed
from drs.study import history
from drs.study.claims import CLAIMS, Finding, Judgement, get_claim, verdicts
from drs.study.claims.base import Claim
from drs.study.history import Entry
from drs.study.repository import Change
from drs.study.rules import rule_hash


def test_claims_without_records_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    every = verdicts()
    assert [f.claim.id for f in every] == list(CLAIMS)
    assert as_blocks(every).count("NO RECORDS (quick)") == len(CLAIMS)
    lines = as_lines(every).splitlines()
    assert len(lines) == len(CLAIMS)
    assert lines[0].startswith("A0   no records ")
    assert lines[0].endswith("share of fooled images whose spread rises  (notebooks/05_anatomy.ipynb)")
    table = as_markdown(every, prefix="../").splitlines()
    assert len(table) == 2 + len(CLAIMS)
    assert table[2].startswith("| [A0](../notebooks/05_anatomy.ipynb): An attack that succeeds")
    assert table[2].endswith("| **no records** (not run) |")


def kept(claim_id: str) -> Entry:
    """What history.json might say of a claim."""
    change = Change("1a2b3c4", "code", "Another mean")
    return Entry("code changed since", "", {"abc": "", "def": "1" * 16}, rule_hash(get_claim(claim_id)), (change,))


def test_text_says_when_a_rule_was_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "load", lambda: {"B1": {"quick": kept("B1")}})
    judged = Judgement("reproduced", 0.5, 0.4, 0.6, 3, "the numbers")
    found = [Finding(get_claim(claim_id), "quick", judged, 3, "mnist5k", "cpu") for claim_id in ("B1", "B8")]
    rows = as_markdown(found).splitlines()[2:]
    assert rows[0].endswith("| **reproduced** (quick, mnist5k, 3 seeds; rule: code changed since) |")
    assert rows[1].endswith("| **reproduced** (quick, mnist5k, 3 seeds) |")
    assert as_blocks(found).splitlines()[2:4] == [
        f"     rule: {get_claim('B1').words}",
        '     code changed since: "Another mean" (1a2b3c4)',
    ]
    assert "\n     no records yet\n" in as_blocks(found)
    assert when_fixed([*found, found[0]]) == "code changed since: 2 (B1, B1); no records yet: 1 (B8)"


def test_the_history_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    claims: dict[str, Claim] = {claim_id: get_claim(claim_id) for claim_id in ("A3", "A4b")}
    monkeypatch.setattr(text, "CLAIMS", claims)
    assert as_history(
        {"A3": {"quick": kept("A3")}}, lambda claim_id, commit: f"{claim_id} at {commit}"
    ).splitlines() == [
        'A3   quick: code changed since: "Another mean" (1a2b3c4)',
        "     abc [no hash]: A3 at abc",
        "     def [1111111111111111]: A3 at def",
        f"     now [{rule_hash(claims['A3'])}]: {claims['A3'].rule}",
        "A4b  no records yet",
    ]
