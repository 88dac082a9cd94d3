"""README's example, that of the page on audits and that of the command's help run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from drs.evaluation.report import Report, Share
from tests.conftest import Command

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def examples(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = examples(README)
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(6, 1, 4, 4, generator=generator), torch.arange(6) % 3
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    given = {"model": model, "logits": model(images), "target": labels, "images": images, "labels": labels}
    given["test_loader"] = DataLoader(TensorDataset(images, labels), batch_size=4)
    exec(code, given)
    report = given["report"]
    assert isinstance(report, Report)
    assert report.robust_accuracy.total == 6
    assert given["found"].worst.total == 6
    assert (tmp_path / "report" / "audit.html").exists()
    assert report.robust_accuracy.count <= report.clean_accuracy.count


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
