"""The first cell of every notebook: there, hidden, doing nothing here, and fetching everything where drs is missing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import launch_cell
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_every_notebook_starts_with_it(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert launch_cell.has_launch_cell(notebook, launch_cell.repository()), "run book/tools/launch_cell.py"
    assert notebook["cells"][0]["outputs"] == []


def ran(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> list[list[str]]:
    """The commands that the cell gives, with the library installed or not."""
    commands: list[list[str]] = []
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: real(name) if installed else None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command) if check else None)
    exec("".join(launch_cell.cell("https://example.org/drs")["source"]), {})
    return commands


def test_it_does_nothing_where_the_library_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran(monkeypatch, installed=True) == []


def test_it_fetches_once_and_installs_where_the_library_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    clone = str(tmp_path / "drs-book")
    fetch = ["git", "clone", "--quiet", "--depth=1", "https://example.org/drs", clone]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", f"{clone}[study]"]
    assert ran(monkeypatch, installed=False) == [fetch, install]
    assert sys.path[0] == clone
    Path(clone).mkdir()
    assert ran(monkeypatch, installed=False) == [install]


def test_an_old_form_is_renewed_and_everything_else_stays() -> None:
    def code(source: str, *tags: str) -> dict[str, Any]:
        return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": [source], "id": source}

    text = {"cell_type": "markdown", "metadata": {}, "source": ["# Title"], "id": "title"}
    before = {"cells": [code("old", "launch"), text, code("profile = 'quick'", "parameters")], "nbformat": 4}
    assert not launch_cell.has_launch_cell(before, "url")
    after = launch_cell.with_launch_cell(before, "url")
    assert launch_cell.has_launch_cell(after, "url")
    assert not launch_cell.has_launch_cell(after, "other")
    assert [one["id"] for one in after["cells"]] == ["launch", "title", "profile = 'quick'"]
    assert launch_cell.with_launch_cell(after, "url") == after
