"""The command line: what it prints, and that wrong input is one sentence and status 2."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from drs.study import history
from drs.study.experiments import EXPERIMENTS, Context, Experiment, Outcome, Spec
from drs.study.history import Entry
from drs.study.plan import plan
from drs.study.profiles import PROFILES, Profile
from drs.study.records import record_path
from drs.study.repository import Repository
from tests.conftest import Command


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders of records, checkpoints and data; the folder of the records."""
    for variable in ("results", "checkpoints", "data"):
        monkeypatch.setenv(f"DRS_{variable.upper()}", str(tmp_path / variable))
    return tmp_path / "results"


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Registers an experiment of three runs; the numbers of those that were done."""
    done: list[int] = []

    def grid(profile: Profile, dataset: str) -> list[Spec]:
        return [{"number": number, "dataset": dataset} for number in range(3)]

    def run(spec: Spec, context: Context) -> Outcome:
        done.append(spec["number"])
        return Outcome({"number": float(spec["number"])})

    monkeypatch.setitem(EXPERIMENTS, "counter", Experiment("counter", 1, "counts what it does", grid, run))
    return done


def row(out: str, name: str = "counter") -> list[str]:
    """The words of one line of ``drs status``."""
    return next(line.split() for line in out.splitlines() if line.startswith(f"{name} "))


def test_both_names_are_one_command_and_help_needs_nothing_heavy() -> None:
    script = Path(sys.executable).parent / "drs"
    installed = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    code = (
        "import sys, runpy\nsys.argv = ['drs', '--help']\n"
        "try:\n    runpy.run_module('drs', run_name='__main__')\n"
        "except SystemExit as stopped:\n    print('status', stopped.code, file=sys.stderr)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'foolbox', 'matplotlib'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    looked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert looked.stderr.splitlines() == ["status 0", "[]"]
    module = subprocess.run([sys.executable, "-m", "drs", "--help"], capture_output=True, text=True, check=True)
    assert installed.stdout == module.stdout == looked.stdout
    assert "Usage: drs [OPTIONS] COMMAND" in installed.stdout
    for command in ("run", "status", "list", "claims", "compare", "fetch", "readme"):
        assert f"│ {command} " in installed.stdout, command
    assert installed.stderr == module.stderr == ""


def test_list_names_everything_there_is(drs: Command) -> None:
    status, out, err = drs("list")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    for experiment in EXPERIMENTS.values():
        assert f"  {experiment.name:<14}{experiment.title}" in lines
    headings = ["experiments", "profiles", "data sets", "losses", "models", "attacks"]
    assert [line for line in lines if not line.startswith(" ")] == headings
    assert "  smoke         CI: does everything run: mnist5k, seeds 1, steps 40" in lines
    names = {heading: lines[lines.index(heading) + 1].split(", ") for heading in headings[2:]}
    assert "folder:PATH" in names["data sets"]
    assert {"  ce", "drs", "rce", "label_smoothing"} <= set(names["losses"])
    assert {"  small_conv", "resnet"} <= set(names["models"])
    assert {"fgsm", "pgd"} <= set(names["attacks"])


def test_run_computes_what_is_missing_and_status_counts(drs: Command, counter: list[int], folders: Path) -> None:
    assert row(drs("status", "--profile", "smoke")[1]) == ["counter", "0", "3", "0.0"]
    status, out, _ = drs("run", "counter", "--profile", "smoke", "--workers", "1")
    assert (status, out) == (0, "counter: 3 computed, 0 found, profile smoke\n")
    record_path(plan("counter", "smoke")[1], "smoke").unlink()
    assert row(drs("status", "-p", "smoke")[1]) == ["counter", "2", "1", "0.0"]
    assert drs("run", "counter", "-p", "smoke", "--workers", "1")[:2] == (
        0,
        "counter: 1 computed, 2 found, profile smoke\n",
    )
    assert counter == [0, 1, 2, 1]
    assert drs("run", "counter", "-p", "smoke")[1] == "counter: 0 computed, 3 found, profile smoke\n"
    assert len(list((folders / "smoke" / "counter").glob("*.json"))) == 3
    header, *rows = drs("status", "-p", "smoke")[1].splitlines()
    assert header.split() == ["experiment", "done", "missing", "minutes"]
    assert [line.split()[0] for line in rows] == list(EXPERIMENTS)


def test_the_profile_is_quick_unless_said_and_results_go_where_told(
    drs: Command, counter: list[int], folders: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    status, out, _ = drs("run", "counter", "--results", str(other), "--workers", "1")
    assert (status, out) == (0, "counter: 3 computed, 0 found, profile quick\n")
    assert len(list((other / "quick" / "counter").iterdir())) == 3
    assert not folders.exists()
    assert row(drs("status", "--results", str(other))[1])[:3] == ["counter", "3", "0"]
    assert row(drs("status")[1])[:3] == ["counter", "0", "3"]


def test_all_runs_every_experiment(drs: Command, counter: list[int]) -> None:
    first = EXPERIMENTS["counter"]
    with patch.dict(EXPERIMENTS, {"counter": first, "second": replace(first, name="second")}, clear=True):
        status, out, _ = drs("run", "all", "-p", "smoke", "--workers", "1")
    assert status == 0
    assert out.splitlines() == [f"{name}: 3 computed, 0 found, profile smoke" for name in ("counter", "second")]
    assert counter == [0, 1, 2, 0, 1, 2]


def test_ones_own_folder_of_images(drs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    draw = np.random.default_rng(0)
    for label, name in enumerate(("cats", "dogs", "owls")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(65):
            pixels = draw.integers(80 * label, 80 * label + 60, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{number}.png")
    monkeypatch.setitem(PROFILES, "smoke", replace(PROFILES["smoke"], steps=2, images=6, epsilons=(0.0, 0.1)))
    words = ("run", "anatomy", "-p", "smoke", "--dataset", f"folder:{tmp_path / 'own'}", "--workers", "1")
    status, out, _ = drs(*words, "--device", "cpu")
    assert (status, out) == (0, "anatomy: 2 computed, 0 found, profile smoke\n")
    assert row(drs("status", "-p", "smoke", *words[4:6])[1], "anatomy")[:3] == ["anatomy", "2", "0"]
    assert row(drs("status", "-p", "smoke")[1], "anatomy")[:3] == ["anatomy", "0", "2"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run nothing", "unknown experiment 'nothing': expected one of adaptive, anatomy, "),
        ("run counter --profile large", "unknown profile 'large': expected one of full, paper, quick, smoke"),
        ("status --profile large", "unknown profile 'large'"),
        ("run counter -p smoke --dataset cats", "unknown data set 'cats': expected one of "),
        ("status -p smoke --dataset cats", "unknown data set 'cats'"),
        (
            "run anatomy -p smoke --dataset folder:/no/where --workers 1",
            "data set 'folder:/no/where': expected a folder",
        ),
        ("run anatomy -p smoke --dataset mnist --workers 1", "data set 'mnist' is not under "),
        ("run counter -p smoke --device abacus", "device 'abacus' is not available here: "),
        ("run counter -p smoke --device cuda:99", "device 'cuda:99' is not available here: "),
        ("run counter -p smoke --workers 0", "expected workers >= 1, got 0"),
        ("run counter -p smoke --scheduler nonsense", "no Dask scheduler answers at nonsense: "),
        ("run counter -p smoke --results {file}", "cannot read the folder of records {file}/smoke/counter: "),
        ("status -p smoke --results {file}", "cannot read the folder of records {file}/smoke/"),
        ("claims --save", "expected --save with --history, got it alone"),
        ("claims --history --results {file}", "expected --history without --results: it is about the records in data/"),
        ("fetch mnist5k", "data set 'mnist5k' cannot be fetched: expected one of mnist, "),
        ("fetch folder:/tmp", "data set 'folder:/tmp' cannot be fetched: "),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(
    words: str, sentence: str, drs: Command, counter: list[int], folders: Path, tmp_path: Path
) -> None:
    if "scheduler" in words:
        pytest.importorskip("distributed")
    file = tmp_path / "file"
    file.write_text("not a folder")
    status, out, err = drs(*words.format(file=file).split())
    told = err.splitlines()[-1]
    assert status == 2
    assert told.startswith("drs: " + sentence.format(file=file))
    assert "Traceback" not in err
    assert not [line for line in err.splitlines()[:-1] if line and "run/s" not in line]  # beside the progress bar
    assert out in ("", f"{'experiment':<14}{'done':>7}{'missing':>9}{'minutes':>9}\n")
    assert counter == []
    assert not folders.exists() or not [p for p in folders.rglob("*") if p.is_file()]
    assert file.read_text() == "not a folder"


def test_a_damaged_record_is_named_and_status_2(drs: Command, counter: list[int]) -> None:
    drs("run", "counter", "-p", "smoke", "--workers", "1")
    path = record_path(plan("counter", "smoke")[2], "smoke")
    path.write_text(path.read_text()[:100])
    status, _, err = drs("status", "-p", "smoke")
    assert status == 2
    assert err.startswith(f"drs: record {path} is torn: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", ["run", "run counter --workers many", "status --epsilon 1", "fly"])
def test_a_word_or_option_there_is_not_is_status_2(words: str, drs: Command) -> None:
    status, out, err = drs(*words.split())
    assert (status, out) == (2, "")
    assert "Usage: drs" in err
    assert "Traceback" not in err


def test_stopping_by_hand_says_how_to_go_on(drs: Command, counter: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setitem(EXPERIMENTS, "counter", replace(EXPERIMENTS["counter"], run=stop))
    status, out, err = drs("run", "counter", "-p", "smoke", "--workers", "1")
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "drs: stopped; run the same command again to go on"


def test_the_history_of_rules_is_printed_and_kept(
    drs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry("fixed before the run", "", {"abc": "1" * 16}, "1" * 16)
    monkeypatch.setattr(history, "compute", lambda repository: {"A3": {"quick": entry}})
    monkeypatch.setattr(history, "rules_history", lambda: tmp_path / "rules" / "history.json")
    status, out, _ = drs("claims", "--history")
    assert status == 0
    assert "\nA3   quick: fixed before the run\n     abc [1111111111111111]: cannot be shown: " in out
    assert not (tmp_path / "rules").exists()
    monkeypatch.setattr(Repository, "complete", True)
    assert drs("claims", "--history", "--save")[1] == f"{out}wrote {tmp_path / 'rules' / 'history.json'}\n"
    assert history.load() == {"A3": {"quick": entry}}
    monkeypatch.setattr(Repository, "complete", False)
    assert drs("claims", "--history", "--save")[::2] == (
        2,
        "drs: expected a checkout with its whole history, which 'git fetch --unshallow' brings\n",
    )


def test_version(drs: Command) -> None:
    from drs import __version__

    assert drs("--version") == (0, f"drs {__version__}\n", "")
