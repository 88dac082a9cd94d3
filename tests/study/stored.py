"""The records that runs have left under a root."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drs.study.records import Record, Run, has_record, read_record, record_path


def stored(runs: Iterable[Run], root: Path) -> list[Record]:
    """Those under the smoke profile, in the order of the runs, with their arrays."""
    return [read_record(record_path(run, "smoke", root)) for run in runs if has_record(run, "smoke", root)]
