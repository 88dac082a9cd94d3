"""README's example runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from drs.evaluation.report import Report

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
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
