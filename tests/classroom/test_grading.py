"""Known-wrong submissions, graded once for this file: exact scores, the tests that catch each mistake, one CSV."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drs.classroom import OPEN, _guard
from tests import known_wrong
from tests.classroom import mutants

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = ROOT / "tests" / "expected_grades.csv"

pytest.importorskip("otter", reason="otter-grader is not installed: the extra 'classroom' brings it")


CELL = ("--seconds", "120", "--cell-seconds", "5")


def classroom(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line of the course, without a way to any other host."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "drs.classroom", *arguments]
    environment = os.environ | proxies | variables
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both versions of every assignment, their solutions graded."""
    folder = tmp_path_factory.mktemp("assignments")
    done = classroom("build", "--out", str(folder), "--jobs", "2", "--no-publish")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def grades(built: Path) -> Path:
    """The committed submissions graded under narrow limits."""
    out = built / "grades"
    limits = ("--seconds", "120", "--cell-seconds", "12", "--memory", "1600", "--jobs", "2")
    done = classroom("grade", "tests/submissions", "--built", str(built), "--out", str(out), *limits)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def rows(grades: Path) -> dict[str, dict[str, str]]:
    with (grades / "grades.csv").open(encoding="utf-8") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


def test_the_csv_is_the_committed_one(grades: Path) -> None:
    assert (grades / "grades.csv").read_text() == EXPECTED.read_text()


@pytest.mark.parametrize("one", known_wrong.GRADED, ids=lambda one: one.path)
def test_a_mistake_costs_these_points_and_is_named(
    one: known_wrong.KnownWrong, rows: dict[str, dict[str, str]]
) -> None:
    row = rows[f"{one.path}.ipynb"]
    assert row["status"] == "graded"
    assert row["failed_tests"].split() == list(one.failed)
    assert (float(row["score"]), float(row["possible"])) == (one.score, 20.0)


@pytest.mark.parametrize("one", known_wrong.FAILING, ids=lambda one: one.path)
def test_a_submission_that_brings_itself_down_costs_only_itself(
    one: known_wrong.KnownWrong, rows: dict[str, dict[str, str]]
) -> None:
    row = rows[f"{one.path}.ipynb"]
    assert (row["status"], float(row["score"]), row["possible"]) == (one.status, one.score, "20")
    assert row["failed_tests"].split() == list(one.failed)
    assert row["message"].startswith(one.stopped)
    assert (one.status == "crashed") == (not one.stopped)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a2_attacks/empty.ipynb", "the file is empty"),
        ("a1_softmax_not_json.ipynb", "the file is not a notebook: it is not JSON"),
        ("a3_detection/report.docx", "expected a notebook (.ipynb), got .docx"),
        ("a1_softmax/wrong_folder.ipynb", "the notebook is of assignment a2_attacks, but its path says a1_softmax"),
        (
            "homework.ipynb",
            "unknown assignment: neither the notebook's metadata nor its path names one of "
            "a1_softmax, a2_attacks, a3_detection, a4_capstone",
        ),
    ],
)
def test_what_is_no_submission_says_why(path: str, message: str, rows: dict[str, dict[str, str]]) -> None:
    assert (rows[path]["status"], rows[path]["score"], rows[path]["message"]) == ("not graded", "0", message)


@pytest.mark.parametrize("name", ["a1_softmax", "a2_attacks", "a3_detection", "a4_capstone"])
def test_a_notebook_nobody_worked_on_earns_nothing(name: str, rows: dict[str, dict[str, str]]) -> None:
    row = rows[f"untouched/{name}.ipynb"]
    assert (row["status"], row["assignment"], row["student"], row["score"]) == ("graded", name, "untouched", "0")


def test_every_test_catches_a_mistake(built: Path) -> None:
    """Each fails for one of the graded mistakes, not only for a notebook without answers."""
    caught = {(one.assignment, name) for one in known_wrong.GRADED + known_wrong.MUTANTS for name in one.failed}
    cases = [
        (p.stem, case)
        for p in sorted((built / "autograder").glob("a?_*.json"))
        for case in json.loads(p.read_text())
        if "written" not in p.name
    ]
    names = {(assignment, f"{case['question']}.{case['name']}") for assignment, case in cases}
    assert len(names) == len(cases) == 83
    assert names - caught == set()


@pytest.mark.parametrize("one", known_wrong.MUTANTS, ids=lambda one: one.path)
def test_a_wrong_answer_is_caught_with_a_message(
    one: known_wrong.KnownWrong, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRS_CHECKPOINTS", str(built / "checkpoints"))
    found = mutants.failed(one, built)
    assert sorted(found) == sorted(one.failed)
    assert [name for name, message in found.items() if len(message.split()) < 8] == []


@pytest.mark.parametrize("one", known_wrong.RIGHT, ids=lambda one: one.path)
def test_a_right_answer_of_another_kind_earns_everything(
    one: known_wrong.KnownWrong, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRS_CHECKPOINTS", str(built / "checkpoints"))
    assert mutants.failed(one, built) == {}


TAKEN = {
    "a1_softmax": (),
    "a2_attacks": ("your network, from a1_network.safetensors",),
    "a3_detection": ("your network, from", "your attacked images, from a2_attacked.safetensors"),
    "a4_capstone": ("your network, from", "your attacked images, from", "your threshold, from a3_detector.safetensors"),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which one student works through the course."""
    return tmp_path_factory.mktemp("desk")


@pytest.mark.parametrize("name", TAKEN)
def test_a_solved_notebook_runs_from_top_to_bottom(name: str, built: Path, desk: Path) -> None:
    """As a student runs it: in a Jupyter kernel, beside what the assignments before have left, up to the first error.

    Each takes up the student's own work, so that run alone only the first can pass.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(built / "autograder" / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    variables = {"DRS_CHECKPOINTS": str(built / "checkpoints"), "OMP_NUM_THREADS": "1"}
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(desk)}})
    client.execute(env=os.environ | variables)
    asked = [cell for cell in notebook.cells if cell.source.startswith("grader.check(")]
    assert len(asked) >= 5
    assert [cell.source for cell in asked if "All test cases passed" not in str(cell.outputs)] == []
    shown = "".join(str(cell.outputs) for cell in notebook.cells if cell.source.startswith(OPEN))
    assert [words for words in TAKEN[name] if words not in shown] == []
    assert shown.count("image/png") == 1


def test_feedback_says_what_to_look_at_and_shows_no_test_code(grades: Path) -> None:
    text = (grades / "feedback" / "a1_softmax" / "penalty_summed_over_the_batch.md").read_text()
    assert "**19 of 20 points**" in text
    assert "| q5 | 3 | 4 |" in text
    assert "`test_doubling_the_batch_changes_nothing` (hidden test, 1 points)" in text
    assert "the penalty is summed over the batch where a MEAN is asked for" in text
    assert "assert" not in text
    assert "repeat(2" not in text
    endless = (grades / "feedback" / "a1_softmax" / "endless.md").read_text()
    assert "**17 of 20 points**" in endless
    assert 'Note: code cell 5 (grader.check("q1")) was stopped at the time limit of a cell' in endless
    assert "### q1: `test_two_classes_by_hand`" in endless
    assert len(list((grades / "feedback").rglob("*.md"))) == len(EXPECTED.read_text().splitlines()) - 1


def test_what_a_notebook_leaves_behind_is_ended(built: Path, tmp_path: Path) -> None:
    """An answer that exits costs its question; a thread does not hold the grader up; a process does not stay."""
    mark = "import sys; 'left behind by a submission'; import time; time.sleep(600)"
    beyond = tmp_path / "beyond.txt"
    beyond.write_text("mine")
    cells = known_wrong.code_cells("a1_softmax", built)
    added = {
        "exits": known_wrong.edited(cells, (("    powers = shifted.exp()", "    import sys\n\n    sys.exit(1)"),)),
        "thread": [*cells, "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"],
        "process": [
            *cells,
            f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {mark!r}], start_new_session=True)",
        ],
        "installs": [*cells, "%pip install cowsay\n!pip install cowsay"],
        "waits": [*cells, "while True:\n    pass"],
        "open": [*cells, f"{OPEN} not run\nwhile True:\n    pass"],
        "=outside": [*cells, f"from pathlib import Path\nPath({str(beyond)!r}).unlink()"],
        "draws": [
            *cells,
            "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n!echo done",
        ],
    }
    (tmp_path / "in").mkdir()
    for name, sources in added.items():
        text = known_wrong.notebook(name, sources, "a1_softmax")
        (tmp_path / "in" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    done = classroom("grade", str(tmp_path / "in"), "--built", str(built), "--out", str(tmp_path / "out"), *CELL)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "grades.csv").open(encoding="utf-8") as file:
        found = {row["student"]: (row["status"], row["score"], row["q1"]) for row in csv.DictReader(file)}
    assert found == {
        name.replace("=", "'="): ("graded", "17" if name == "exits" else "20", "0" if name == "exits" else "3")
        for name in added
    }
    assert beyond.exists() or not _guard.confines()
    import psutil

    assert [one for one in psutil.process_iter() if mark in " ".join(_command_line(one))] == []


def _command_line(process: Any) -> list[str]:
    import psutil

    try:
        line: list[str] = process.cmdline()
        return line
    except psutil.Error:
        return []


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_otter_itself_gives_the_same_scores(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``otter run`` goes through a Jupyter kernel; ours runs the cells in IPython."""
    from otter.api import grade_submission

    monkeypatch.setenv("DRS_CHECKPOINTS", str(built / "checkpoints"))
    one = next(one for one in known_wrong.GRADED if one.path == "a1_softmax/softmax_passed_as_logits")
    autograder = built / "autograder" / "a1_softmax.zip"
    results = grade_submission(str(ROOT / "tests" / "submissions" / f"{one.path}.ipynb"), str(autograder), quiet=True)
    assert (results.total, results.possible) == (one.score, 20)


def test_committed_submissions_are_those_the_masters_give(built: Path) -> None:
    made = known_wrong.contents(built)
    found = {
        p.relative_to(known_wrong.FOLDER).as_posix(): p.read_text()
        for p in known_wrong.FOLDER.rglob("*")
        if p.is_file()
    }
    assert sorted(found) == sorted(made)
    assert [name for name in made if made[name] != found[name]] == [], "run: python -m tests.known_wrong"
