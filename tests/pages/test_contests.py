"""The tables of the contests: what is read from the files, and the sentence with its counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs import paths
from drs.pages.contests import contest_page, contests, outcome

ROWS = """name,epsilon,images,clean,ours,theirs,only_ours,only_theirs,seconds,ratio,reference,device,torch,commit
"CE, mnist5k",0.04,100,1,0.12,0.13,90,,8.5,0.718,library 1.0 APGD ce,"CPU, 1 thread",2.1,abc
"DRS, mnist5k",0.04,100,1,0.61,0.6,,"7 12",8.5,0.9,library 1.0 APGD dlr,"CPU, 1 thread",2.1,abc
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    (tmp_path / "data" / "benchmarks").mkdir(parents=True)
    return tmp_path / "data" / "benchmarks"


def test_images_that_one_side_breaks_are_counted_and_listed(root: Path) -> None:
    (root / "apgd-cpu.csv").write_text(ROWS)
    assert list(contests("apgd")["only_theirs"]) == ["", "7 12"]
    assert outcome(contests("apgd")) == (
        "In 1 of 2 rows ours leaves no more images standing than theirs. Over all rows, of 100 images each, only ours "
        "breaks 1 and only theirs 2. Ours takes 0.72 to 0.90 of their time."
    )
    page = contest_page()
    assert "| CE, mnist5k, ce | 0.04 | 1 | 0.12 | 0.13 | 90 | none | 0.718 |" in page
    assert "| DRS, mnist5k, dlr | 0.04 | 1 | 0.61 | 0.6 | none | 7 12 | 0.9 |" in page
    assert "Reference: library 1.0. Measured on CPU, 1 thread, commit abc." in page
    assert "AutoAttack" not in page


def test_without_files_there_is_nothing() -> None:
    assert (len(contests("standard")), contest_page()) == (0, "")
