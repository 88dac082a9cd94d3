"""Every example in a docstring runs and prints what it says; every public module says what is public in it."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest
import torch

import drs

NAMES = ["drs", *(found.name for found in pkgutil.walk_packages(drs.__path__, "drs."))]
PUBLIC = [name for name in NAMES if not any(part.startswith("_") for part in name.split(".")[1:])]
RUNS_AT_IMPORT = ("drs.__main__", "drs.classroom.__main__", "drs.classroom._worker", "drs.classroom._warm")


def examples(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RUNS_AT_IMPORT])
def test_examples(name: str) -> None:
    for example in examples(importlib.import_module(name)):
        torch.manual_seed(0)
        told: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=told.append)
        assert not told, "".join(told)


def test_examples_are_found() -> None:
    """The finder sees functions, classes and modules: an empty list would pass everything."""
    found = {test.name for test in examples(importlib.import_module("drs.losses"))}
    assert {"drs.losses", "drs.losses.drs_loss", "drs.losses.DRSLoss"} <= found


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in RUNS_AT_IMPORT])
def test_public_modules_name_what_is_public(name: str) -> None:
    """Every name is there, none begins with an underscore (but a version), and none is left out."""
    module = importlib.import_module(name)
    assert list(module.__all__) == list(dict.fromkeys(module.__all__))
    for public in module.__all__:
        assert getattr(module, public) is not None
        assert not public.startswith("_") or public == "__version__"
    own = {k for k, v in vars(module).items() if getattr(v, "__module__", None) == name and isinstance(k, str)}
    made_here = {k for k in own if callable(getattr(module, k)) and not k.startswith("_")}
    assert made_here <= set(module.__all__)
