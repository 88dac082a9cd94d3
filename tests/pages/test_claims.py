"""Claims as text for the command line and the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs.pages import claims as text
from drs.pages.claims import as_blocks, as_lines, as_markdown, reseeded_markdown
from drs.study.claims import CLAIMS, Finding, Judgement, get_claim, verdicts
from drs.study.claims.base import VerdictName


def test_other_seeds_stand_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict: dict[tuple[str, str], VerdictName] = {("A1", "quick"): "reproduced", ("A1", "reseeded"): "reproduced"}
    verdict |= {("A3", "quick"): "reproduced", ("A3", "reseeded"): "not reproduced", ("A2", "quick"): "reproduced"}

    def found(claim_id: str, profile: str) -> Finding:
        judged = Judgement(verdict.get((claim_id, profile), "no records"), 0.5, 0.4, 0.6, 3, "")
        return Finding(get_claim(claim_id), profile, judged, 3, "mnist5k", "cpu")

    monkeypatch.setattr(text, "finding", found)
    rows = reseeded_markdown().splitlines()[2:]
    assert [row.split("|")[1].split(",")[0].strip() for row in rows] == ["A1", "A3"]
    assert rows[0].endswith("| reproduced: 0.5 [0.4, 0.6] | reproduced: 0.5 [0.4, 0.6] | the same |")
    assert rows[1].endswith("| not reproduced: 0.5 [0.4, 0.6] | **another verdict** |")


def test_claims_without_records_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path))
    every = verdicts()
    assert [f.claim.id for f in every] == list(CLAIMS)
    assert as_blocks(every).count("NO RECORDS (quick)") == len(CLAIMS)
    lines = as_lines(every).splitlines()
    assert len(lines) == len(CLAIMS)
    assert lines[0].startswith("A0   no records ")
    assert lines[0].endswith("share of fooled images whose spread rises  (notebooks/01_anatomy.ipynb)")
    assert reseeded_markdown().splitlines()[2:] == []
    table = as_markdown(every, prefix="../").splitlines()
    assert len(table) == 2 + len(CLAIMS)
    assert table[2].startswith("| [A0](../notebooks/01_anatomy.ipynb): An attack that succeeds")
    assert table[2].endswith("| **no records** (not run) |")
