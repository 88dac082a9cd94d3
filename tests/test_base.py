"""The method needs the base dependencies only: everything that an extra installs is blocked here."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_wings import METHOD

ROOT = Path(__file__).resolve().parents[1]
IMPORTED_AS = {"scikit-learn": "sklearn", "jupyter-book": "jupyter_book", "otter-grader": "otter"}

BLOCK = """
import importlib.abc, sys
blocked = {blocked}
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""

METHOD_ALONE = """
import importlib, pkgutil, torch, drs
for name in {method}:
    module = importlib.import_module(f"drs.{{name}}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"drs.{{name}}."):
        importlib.import_module(found.name)
from drs.detection.areas import auc, roc
from drs.statistics import holm
from drs.training.datasets import load_dataset
assert [float(p) for p in holm([0.01, 0.04])] == [0.02, 0.04]
assert [v.tolist() for v in (roc([2.0], [1.0]).fpr, roc([2.0], [1.0]).tpr)] == [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
assert auc([2.0], [1.0]) == 1.0
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
images, labels = torch.rand(6, 1, 4, 4), torch.arange(6) % 3
print(drs.evaluate(model, (images, labels), drs.PGD(epsilon=8 / 255, steps=2)))
drs.drs_loss(model(images), labels, penalty=0.64).backward()
try:
    load_dataset("mnist5k")
except drs.errors.UsageError as error:
    print(error)
"""


def packages_of_extras() -> set[str]:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {re.split(r"[\[<>=,; ]", one)[0] for group in extras.values() for one in group} - {"drs"}
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def without_extras(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(blocked=sorted(packages_of_extras())) + script],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_method_and_the_example_need_no_extra() -> None:
    assert {"torchvision", "pandas", "sklearn", "matplotlib", "filelock", "mlxtend"} <= packages_of_extras()
    done = without_extras(METHOD_ALONE.format(method=sorted(METHOD)))
    assert done.returncode == 0, done.stderr
    assert "clean accuracy" in done.stdout
    assert done.stdout.splitlines()[-1] == "expected the package mlxtend, found none: run pip install 'drs[study]'"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("--version", 0, "drs "),
        ("--help", 0, "Usage: drs"),
        ("list", 0, "experiments"),
        ("run anatomy -p smoke --workers 1", 2, "drs: expected the package "),
        ("claims", 2, "drs: expected the package "),
    ],
)
def test_the_command_says_which_extra_is_missing(words: str, status: int, text: str) -> None:
    done = without_extras(f"import runpy\nsys.argv = ['drs', *{words.split()}]\nrunpy.run_module('drs')")
    assert done.returncode == status, done.stderr
    assert text in (done.stderr if status else done.stdout)
    if status:
        assert done.stderr.endswith(", found none: run pip install 'drs[study]'\n")
        assert "Traceback" not in done.stderr
