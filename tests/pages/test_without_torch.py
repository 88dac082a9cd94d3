"""What a reader without torch can load: every module of the pages but the playground's, which holds networks."""

from __future__ import annotations

import subprocess
import sys

from drs.pages.card import experiment
from drs.study.scales import at_every_scale

BLOCKED = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "foolbox"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
IMPORT = """
import drs.pages
for module in pkgutil.walk_packages(drs.pages.__path__, "drs.pages."):
    if module.name != "drs.pages.playground":
        importlib.import_module(module.name)
        print(module.name)
"""
CARD = """
from drs.pages.card import experiment
from drs.study.scales import at_every_scale
print(experiment(at_every_scale("losses", "quick")).data)
"""


def without_torch(code: str) -> str:
    """What a process prints in which torch cannot be imported."""
    done = subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pages_and_their_figures_load_without_torch() -> None:
    names = without_torch(IMPORT).split()
    assert {"drs.pages.chapter", "drs.pages.card", "drs.pages.report", "drs.pages.figures.rce"} <= set(names)
    assert len(names) >= 25


def test_a_card_names_the_architectures_and_counts_their_parameters_where_it_can() -> None:
    counted, named = experiment(at_every_scale("losses", "quick")).data, without_torch(CARD)
    assert " parameters" in counted
    assert " parameters" not in named
    assert "networks on mnist5k; `mlp`, `resnet`, `small_conv`; 90 to" in named
    assert named.split("`small_conv`; ")[1].strip() in counted
