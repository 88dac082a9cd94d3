"""The key of a run is the same on every machine: with other instruction sets, and as committed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drs.errors import UsageError
from drs.study.records import Run, rounded

COMMITTED = Path(__file__).with_name("keys.json")
SCRIPT = """
import json
from drs.study.experiments import EXPERIMENTS
from drs.study.profiles import PROFILES
from drs.study.plan import plan
print(json.dumps({p: {e: [run.key for run in plan(e, p)] for e in EXPERIMENTS} for p in PROFILES}, indent=1))
"""


def disabled_by_numpy() -> str:
    """Every instruction set above numpy's baseline that this processor has, as NPY_DISABLE_CPU_FEATURES takes them."""
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return " ".join(found)


@pytest.mark.parametrize("plain", [False, True], ids=["this processor", "a plain processor"])
def test_keys_are_those_committed(plain: bool) -> None:
    """After a change of a grid on purpose: ``python tests/study/test_keys.py`` writes the list anew."""
    other = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    other["NPY_DISABLE_CPU_FEATURES"] = disabled_by_numpy()
    environment = os.environ | (other if plain else {})
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(COMMITTED.read_text())


def test_a_number_is_known_by_its_first_twelve_digits() -> None:
    sums = Run("theory", 1, {"alphas": [0.1 + 0.2, 9.999999999999999e-06], "count": 3})
    assert sums.spec == {"alphas": [0.3, 1e-05], "count": 3}
    assert sums.key == Run("theory", 1, {"alphas": [0.3, 1e-05], "count": 3}).key
    assert sums.key != Run("theory", 1, {"alphas": [0.300000000001, 1e-05], "count": 3}).key
    assert Run("theory", 1, {"alpha": np.float64(0.1)}).key == Run("theory", 1, {"alpha": 0.1}).key


def test_counts_and_flags_stay_what_they_are() -> None:
    assert rounded({"a": (1, True, None, "x"), "b": {"c": 10**20}}) == {"a": [1, True, None, "x"], "b": {"c": 10**20}}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="expected finite numbers in a specification, got"):
        Run("theory", 1, {"alpha": value})


if __name__ == "__main__":
    COMMITTED.write_text(subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True).stdout)
