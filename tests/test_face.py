"""``import drs`` is light, and its names are those of their modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

import drs
from drs.attacks import PGD
from drs.losses import drs_loss


def test_import_loads_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "scipy", "pandas", "matplotlib"]
    script = f"import sys, drs; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_those_of_their_modules() -> None:
    assert drs.PGD is PGD
    assert drs.drs_loss is drs_loss
    assert dir(drs) == sorted({*drs.__all__} - {"__version__"})
    for name in drs.__all__:
        assert getattr(drs, name) is not None


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'drs' has no attribute 'nothing'"):
        drs.nothing  # noqa: B018
