"""A checkout may lie under a path with spaces: no recipe and no script may take half of such a path for a path."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = sorted(set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)) - {"help"})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout at ``a b``, set up but for a Python that only notes what it is told; beside it lies ``a``."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("the only copy")
    checkout = tmp_path / "a b"
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/bash\nprintf "%s\\n" "$@" "DRS_CHECKPOINTS=$DRS_CHECKPOINTS" ---- >> "$(dirname "$0")/told"\n'
    )
    python.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    (checkout / ".venv" / ".installed").touch()
    return checkout


def make(checkout: Path, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DRS_", "MAKE"))}
    return subprocess.run(["make", *words], cwd=checkout, env=kept, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", TARGETS)
def test_no_recipe_has_a_path_in_two_words(checkout: Path, target: str) -> None:
    script = make(checkout, "--dry-run", "--always-make", target, "SUBMISSIONS=my students", "OUT=my grades")
    for word in shlex.split(script.replace("\\\n", " "), comments=False):
        if str(checkout.parent) in word:
            assert re.search(re.escape(str(checkout)) + r"(/|$|[^\w/])", word), (target, word)
    words = shlex.split(script)
    for given in ("my students", "my grades"):
        assert (given in script) == (given in words), (target, given)


def test_drift_deletes_nothing_outside_the_checkout(checkout: Path) -> None:
    old = checkout / "_build" / "drift" / "results"
    old.mkdir(parents=True)
    make(checkout, "drift", "DRIFT=theory", "PROFILE=smoke")
    assert (checkout.parent / "a" / "thesis.txt").read_text() == "the only copy"
    assert not old.exists()
    told = (checkout / ".venv" / "bin" / "told").read_text().split("----\n")
    checkpoints = f"DRS_CHECKPOINTS={checkout}/_build/drift/checkpoints"
    run = "-m drs run theory --profile smoke --workers 2 --results _build/drift/results"
    assert told[0].splitlines() == [*run.split(" "), checkpoints]
    assert told[1].splitlines() == [
        *["-m", "drs", "compare", "_build/drift/results", "--profile", "smoke"],
        checkpoints,
    ]
