"""Where things live, each overridden by one environment variable. Nothing here creates a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = [
    "benchmarks_root",
    "checkout",
    "checkpoints_root",
    "data_root",
    "project_root",
    "published",
    "repository_address",
    "results_root",
    "rules_history",
    "scratch_results_root",
]


def checkout() -> Path | None:
    """The checkout this package is imported from; None when it is installed elsewhere."""
    folder = Path(__file__).resolve().parent.parent
    return folder if (folder / "notebooks").is_dir() else None


def project_root() -> Path:
    """The checkout this package is imported from, or the working directory when it is installed elsewhere."""
    return checkout() or Path.cwd()


def repository_address() -> str:
    """Where the repository is on the web, as ``_config.yml`` says; empty where that file is not.

    >>> repository_address().startswith("https://")
    True
    """
    path = project_root() / "_config.yml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(r"^repository:\n  url: (\S+)$", text, flags=re.MULTILINE)
    return found[1] if found else ""


def _place(variable: str, default: str) -> Path:
    return Path(os.environ[variable]) if os.environ.get(variable) else project_root() / "data" / default


def data_root() -> Path:
    """Data sets: ``$DRS_DATA`` or ``data/raw``."""
    return _place("DRS_DATA", "raw")


def results_root() -> Path:
    """Records, one folder a profile: ``$DRS_RESULTS`` or ``data/results``."""
    return _place("DRS_RESULTS", "results")


def scratch_results_root() -> Path:
    """Records that a chapter computes itself: ``$DRS_RESULTS`` or ``_build/smoke/results``, never ``data/results``."""
    chosen, committed = results_root(), project_root() / "data" / "results"
    return project_root() / "_build" / "smoke" / "results" if chosen.resolve() == committed.resolve() else chosen


def checkpoints_root() -> Path:
    """Weights of trained networks: ``$DRS_CHECKPOINTS`` or ``data/checkpoints``."""
    return _place("DRS_CHECKPOINTS", "checkpoints")


def benchmarks_root() -> Path:
    """Measured speed ratios, one CSV a kind of device: ``data/benchmarks``."""
    return project_root() / "data" / "benchmarks"


def rules_history() -> Path:
    """When each rule was fixed, as git shows it: ``data/rules/history.json``."""
    return project_root() / "data" / "rules" / "history.json"


def published(name: str) -> Path:
    """A table of numbers from a paper, ``data/published/NAME.csv``."""
    return project_root() / "data" / "published" / f"{name}.csv"
