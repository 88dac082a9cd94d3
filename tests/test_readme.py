"""README's example, that of the page on audits and that of the command's help run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from drs.evaluation.report import Share
from tests.conftest import Command
from tests.test_base import without_extras

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def examples(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


QUICK = "from drs.evaluation import stages\nstages.QUERIES, stages.APGD_STEPS = (100,), 10\n"
CHECKED = """
from drs.evaluation.audit_report import Audit
assert report.robust_accuracy.count <= report.clean_accuracy.count == 20
assert Audit.load("report/audit.json").worst == found.worst
assert float(loss) > 0
"""


def test_the_example_runs_as_it_stands_without_any_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder; only Square and APGD are shortened."""
    monkeypatch.chdir(tmp_path)
    (code,) = examples(README)
    done = without_extras(QUICK + code + CHECKED)
    assert done.returncode == 0, done.stderr
    assert "Report on 20 examples" in done.stdout
    assert (tmp_path / "report" / "audit.html").exists()


def test_the_examples_of_the_page_on_audits_run(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    code = examples(ROOT / "book" / "audit.md")[-1]
    given: dict[str, object] = {}
    exec(code, given)
    out = capsys.readouterr().out
    assert re.match(r"[01]\.\d{3} \[", out)
    assert "detector" in out
    assert "worst" in out


def test_the_example_of_the_help_runs(drs: Command) -> None:
    import drs as library  # the fixture has its name

    status, out, _ = drs("audit", "--help")
    text = " ".join(out.split())
    (code,) = re.findall(r"drs\.certified_accuracy\(.*?\)", text)
    assert (status, "drs.audit_detector judges a detector" in text) == (0, True)
    model = torch.nn.Linear(2, 2)
    torch.nn.init.eye_(model.weight), torch.nn.init.zeros_(model.bias)
    given = {
        "drs": library,
        "model": model,
        "images": torch.tensor([[0.6, 0.4], [0.51, 0.5]]),
        "labels": torch.zeros(2, dtype=torch.int64),
    }
    found = eval(code, given)
    assert isinstance(found, Share)
    assert found.count == 1  # the second image's margin of 0.01 is less than 2 * 8 / 255
