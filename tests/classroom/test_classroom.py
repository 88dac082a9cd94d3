"""Making the assignments: nothing given away, the same bytes each time, and every submission told apart."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from drs.classroom import REPOSITORY, assignment_names, checks, masters_folder, student_notebook
from drs.classroom.assignments import Case, build, leaks, manifest, read_tests, secrets
from drs.classroom.feedback import number
from drs.classroom.grading import Grade, Outcome
from drs.classroom.submissions import Submission, find, identify
from drs.errors import UsageError

pytest.importorskip("otter", reason="otter-grader is not installed: the extra 'classroom' brings it")

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["a1_softmax", "a2_attacks", "a3_detection", "a4_capstone"]
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assignments")
    assert build(folder) == NAMES
    return folder


def master(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((masters_folder() / f"{name}.ipynb").read_text())
    return content


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_the_course_has_four_assignments() -> None:
    assert assignment_names() == NAMES


@each
def test_a_student_version_holds_no_solution_and_no_hidden_test(name: str, built: Path) -> None:
    student = (built / "student" / f"{name}.ipynb").read_text()
    hidden = [case.name for case in manifest(built / "autograder", name) if case.hidden]
    assert len(hidden) >= 7
    assert [test for test in hidden if test in student] == []
    assert "SOLUTION" not in student
    assert leaks(master(name), student) == []
    assert len(secrets(master(name))) > 60


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a1_softmax", "shifted = logits - logits.amax(dim=1, keepdim=True)"),  # within a solved cell
        ("a2_attacks", "return float(right.all(dim=0).float().mean())"),
        ("a3_detection", "predicted = logits.argmax(dim=1, keepdim=True)"),
        ("a4_capstone", '"robust": worst_case >= 0.5,'),
        ("a4_capstone", "assert torch.allclose(moved, torch.tensor([0.7, 0.3]), atol=1e-5), ("),  # of a hidden test
    ],
)
def test_what_is_secret_is_known(name: str, line: str, built: Path) -> None:
    assert line in secrets(master(name))
    assert line not in (built / "student" / f"{name}.ipynb").read_text()


def test_the_written_answer_is_secret() -> None:
    assert any(line.startswith("The claim was {verdict") for line in secrets(master("a4_capstone")))


@each
def test_a_leak_would_be_seen(name: str, built: Path) -> None:
    student = json.loads((built / "student" / f"{name}.ipynb").read_text())
    for secret in secrets(master(name)):
        given_away = student | {"cells": [*student["cells"], {"source": ["x = 1\n", f"    {secret}\n"]}]}
        assert secret in leaks(master(name), json.dumps(given_away))


@each
def test_public_tests_travel_with_the_student_version(name: str, built: Path) -> None:
    student = json.loads((built / "student" / f"{name}.ipynb").read_text())
    found = read_tests(name, student["metadata"]["otter"]["tests"])
    assert found == [case for case in manifest(built / "autograder", name) if not case.hidden]
    assert len(found) >= 5


@each
def test_an_assignment_is_worth_twenty_points(name: str, built: Path) -> None:
    cases = manifest(built / "autograder", name)
    assert sum(case.points for case in cases) == 20
    assert sum(case.points for case in cases if not case.hidden) >= 10
    assert list(dict.fromkeys(case.question for case in cases)) == [
        f"q{n + 1}" for n in range(len({c.question for c in cases}))
    ]


@each
def test_two_builds_give_the_same_bytes(name: str, built: Path, tmp_path: Path) -> None:
    build(tmp_path, [name])
    for path in (f"student/{name}.ipynb", *(f"autograder/{name}.{kind}" for kind in ("ipynb", "zip", "json"))):
        assert (tmp_path / path).read_bytes() == (built / path).read_bytes(), path
    with zipfile.ZipFile(built / "autograder" / f"{name}.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@each
def test_the_committed_student_version_is_what_the_master_gives(name: str, built: Path) -> None:
    assert student_notebook(name).read_bytes() == (built / "student" / f"{name}.ipynb").read_bytes(), "make assignments"


@each
def test_every_code_cell_of_a_student_version_is_python(name: str) -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    cells = [cell for cell in json.loads(student_notebook(name).read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 10
    for cell in cells:
        ast.parse(TransformerManager().transform_cell(text(cell)))
        assert cell["outputs"] == []


@each
def test_an_assignment_says_its_goals_its_reading_and_its_points(name: str) -> None:
    content = json.loads(student_notebook(name).read_text())
    first = text(content["cells"][0])
    assert "**You will learn**" in first
    assert "20 points" in first
    site = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["ogp_site_url"]
    links = [part.split(")")[0] for part in first.split("](")[1:]]
    assert len(links) >= 2
    pages = [link.removeprefix(site).removesuffix(".html") for link in links]
    assert [page for page in pages if not (ROOT / f"{page}.ipynb").is_file()] == []


@each
def test_no_text_types_the_claim_that_a_cell_prints(name: str) -> None:
    written = [text(cell) for cell in master(name)["cells"] if cell["cell_type"] == "markdown"]
    assert [line for line in written if "93%" in line] == []


@each
def test_outside_a_checkout_a_notebook_fetches_the_published_course(name: str) -> None:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    assert repository == REPOSITORY
    setup = text(json.loads(student_notebook(name).read_text())["cells"][1])
    assert f'"git", "clone", "--quiet", "--depth=1", "{repository}", str(here)' in setup


SESSION = """
import site, subprocess, sys
from pathlib import Path

sys.meta_path = [one for one in sys.meta_path if "editable" not in repr(one).lower()]
sys.path = [one for one in sys.path if Path(one or ".").resolve() != Path({root!r})]
installed = Path("installed")
site.addsitedir(str(installed))
commands = []

def run(command, check):
    commands.append(command[1])
    if command[0] == "git":
        Path(command[-1]).symlink_to({root!r}, target_is_directory=True)
    else:
        installed.mkdir(exist_ok=True)
        (installed / "drs.pth").write_text(str(Path("drs-book").absolute()))

subprocess.run = run
for cell in {cells!r}:
    exec(cell, globals())
found = grader.check("q1", global_env={{"softmax": lambda logits: logits.exp() / logits.exp().sum(dim=0)}})
print(commands, "drs-book" in sys.modules["drs"].__file__, found.passed_all, len(found.test_case_results))
"""


def test_the_first_cells_work_on_colab_and_again_after_a_restart(tmp_path: Path) -> None:
    """Two sessions in one folder, where nothing but git and pip (both replaced here) brings the library."""
    cells = json.loads(student_notebook("a1_softmax").read_text())["cells"]
    code = [text(cell) for cell in cells if cell["cell_type"] == "code"][:2]
    program = SESSION.format(root=str(ROOT), cells=code)
    for commands in ("['clone', '-m']", "[]"):
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1:] == [f"{commands} True False 2"], done.stderr[-2000:]


@each
def test_a_student_version_carries_its_own_tests(name: str, built: Path) -> None:
    notebook = json.loads((built / "student" / f"{name}.ipynb").read_text())
    (cell,) = (cell for cell in notebook["cells"] if "public-tests" in cell["metadata"].get("tags", []))
    tests: dict[str, str] = {}
    code = text(cell).replace("from drs.classroom import checks", "")
    exec(code, {"checks": lambda name, given: tests.update(given)})
    assert tests == notebook["metadata"]["otter"]["tests"]


def test_a_private_version_needs_no_published_one() -> None:
    source = TEST_FILE.format(points=1, second="test_two").replace("q1", "q7")
    found = checks("a9_private", {"q7": source}).check("q7", global_env={"x": 0})
    assert [one.passed for one in found.test_case_results] == [False, False]


@each
def test_the_course_page_opens_it_in_colab_and_binder(name: str) -> None:
    place = REPOSITORY.removeprefix("https://github.com/")
    page = (ROOT / "book" / "course.md").read_text()
    path = student_notebook(name).relative_to(ROOT).as_posix()
    assert f"(https://colab.research.google.com/github/{place}/blob/main/{path})" in page
    assert f"(https://mybinder.org/v2/gh/{place}/main?labpath={path})" in page


@each
def test_masters_are_no_chapters(name: str) -> None:
    import build

    assert f"{name}.ipynb" not in [path.name for path in build.source_notebooks()]
    assert name not in (ROOT / "_toc.yml").read_text()


def test_checks_find_their_tests_whatever_the_copy_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grader = checks("a1_softmax")

    def softmax(logits: Any, dim: int = 1) -> Any:
        raised = (logits - logits.amax(dim=1, keepdim=True)).exp()
        return raised / raised.sum(dim=dim, keepdim=True)

    assert grader.check("q1", global_env={"softmax": softmax}).passed_all
    wrong = grader.check("q1", global_env={"softmax": lambda logits: softmax(logits, dim=0)})
    assert [result.passed for result in wrong.test_case_results] == [False, False]
    assert "Over which dimension did you sum?" in wrong.test_case_results[1].message


def test_unknown_assignments_are_named() -> None:
    with pytest.raises(UsageError, match="unknown assignment 'a9': expected one of a1_softmax, a2_attacks"):
        checks("a9")
    with pytest.raises(UsageError, match="unknown assignment 'a9'"):
        build(Path("nowhere"), ["a9"])


TEST_FILE = """
OK_FORMAT = False
from otter.test_files import test_case
name = "q1"
@test_case(points={points}, hidden=True)
def test_one(x):
    assert x
@test_case(points=0.5, hidden=False)
def {second}(x):
    assert x
"""


def test_points_and_names_of_tests_are_read() -> None:
    source = TEST_FILE.format(points=2, second="test_two")
    assert read_tests("a", {"q1": source}) == [Case("q1", "test_one", 2, True), Case("q1", "test_two", 0.5, False)]


@pytest.mark.parametrize(
    ("points", "second", "message"),
    [
        ("None", "test_two", "a, q1, test_one: expected points in its test config, found none"),
        ("1", "test_one", "a, q1: expected test functions of different names, got test_one, test_one"),
    ],
)
def test_tests_that_would_not_count_are_refused(points: str, second: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_tests("a", {"q1": TEST_FILE.format(points=points, second=second)})


def hand_in(folder: Path, relative: str, assignment: str | None = None) -> Path:
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {} if assignment is None else {"otter": {"assignment_name": assignment}}
    cell = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": []}
    path.write_text(json.dumps({"cells": [cell], "metadata": metadata}))
    return path


@pytest.mark.parametrize(
    ("relative", "metadata", "assignment", "student"),
    [
        ("ada.ipynb", "a1_softmax", "a1_softmax", "ada"),
        ("a1_softmax/ada.ipynb", None, "a1_softmax", "ada"),
        ("ada/a1_softmax.ipynb", None, "a1_softmax", "ada"),
        ("a1_softmax_ada.ipynb", None, "a1_softmax", "ada"),
        ("a2_attacks-grace hopper.ipynb", "a2_attacks", "a2_attacks", "grace hopper"),
        ("group 1/ada/a1_softmax.ipynb", "a1_softmax", "a1_softmax", "group 1/ada"),
        ("a1_softmax.ipynb", None, "a1_softmax", "a1_softmax"),
        ("Copy of a1_softmax.ipynb", None, "a1_softmax", "Copy of a1_softmax"),
        ("ada/a1_softmax (1).ipynb", None, "a1_softmax", "ada"),
        ("A1-softmax_ada.IPYNB", None, "a1_softmax", "ada"),
        ("ada a1 softmax.ipynb", None, "a1_softmax", "ada"),
        ("me/a1.ipynb", "a1_softmax", "a1_softmax", "me"),
        ("me/a2.ipynb", "a2_attacks", "a2_attacks", "me"),
    ],
)
def test_a_submission_says_whose_it_is_and_of_what(
    tmp_path: Path, relative: str, metadata: str | None, assignment: str, student: str
) -> None:
    path = hand_in(tmp_path, relative, metadata)
    found = identify(path, tmp_path, NAMES)
    attempt = 1 if "(1)" in relative else 0
    assert found == Submission(path, relative, student, assignment, attempt=attempt)


def test_an_assignment_nobody_knows_is_a_problem(tmp_path: Path) -> None:
    path = hand_in(tmp_path, "ada.ipynb", "a7_quantum")
    found = identify(path, tmp_path, NAMES)
    assert (found.assignment, found.student) == ("", "ada")
    assert found.problem == "unknown assignment a7_quantum: expected one of " + ", ".join(NAMES)


def test_a_notebook_in_the_wrong_folder_is_a_problem(tmp_path: Path) -> None:
    found = identify(hand_in(tmp_path, "a1_softmax/ada.ipynb", "a2_attacks"), tmp_path, NAMES)
    assert found.problem == "the notebook is of assignment a2_attacks, but its path says a1_softmax"


@pytest.mark.parametrize(
    ("relative", "student", "number", "late", "attempt"),
    [
        ("lovelaceada_12345_678901_a1_softmax.ipynb", "lovelaceada", "12345", False, 0),
        ("lovelaceada_LATE_12345_678902_a1_softmax-1.ipynb", "lovelaceada", "12345", True, 1),
        ("Ada Lovelace_1234_assignsubmission_file_/a1_softmax.ipynb", "Ada Lovelace", "1234", False, 0),
        ("Ada Lovelace_1235_assignsubmission_file_a1_softmax.ipynb", "Ada Lovelace", "1235", False, 0),
    ],
)
def test_names_of_learning_platforms_are_read(
    tmp_path: Path, relative: str, student: str, number: str, late: bool, attempt: int
) -> None:
    found = identify(hand_in(tmp_path, relative, "a1_softmax"), tmp_path, NAMES)
    assert (found.student, found.number, found.late, found.attempt) == (student, number, late, attempt)


def test_gradescope_says_in_a_file_who_handed_in(tmp_path: Path) -> None:
    hand_in(tmp_path, "submission_77/a1_softmax.ipynb", "a1_softmax")
    listed = "submission_77:\n  :submitters:\n  - :name: Ada\n    :sid: '7'\n  - :name: Alan\n    :sid: '8'\n"
    (tmp_path / "submission_metadata.yml").write_text(listed)
    assert [(one.student, one.number) for one in find(tmp_path, NAMES)] == [("Ada; Alan", "7; 8")]
    (tmp_path / "submission_metadata.yml").write_text("[: not yaml")
    assert [one.student for one in find(tmp_path, NAMES)] == ["submission_77"]


def test_the_tests_that_the_code_asks_for_name_the_assignment(tmp_path: Path) -> None:
    path = hand_in(tmp_path, "hw1.ipynb")
    path.write_text(path.read_text().replace('"1"', json.dumps('grader = checks("a1_softmax", {})')))
    assert identify(path, tmp_path, NAMES).assignment == "a1_softmax"


@pytest.mark.parametrize("source", ["null", "3", '["a=1", null]', '[["a"]]'])
def test_a_malformed_cell_is_a_reason(tmp_path: Path, source: str) -> None:
    path = hand_in(tmp_path, "ada.ipynb", "a1_softmax")
    path.write_text(path.read_text().replace('"source": "1"', f'"source": {source}'))
    problem = identify(path, tmp_path, NAMES).problem
    assert problem == "the file is not a notebook: the source of a cell is neither a text nor a list of texts"


def test_hidden_files_are_no_submissions(tmp_path: Path) -> None:
    hand_in(tmp_path, "a1_softmax/.ipynb_checkpoints/ada-checkpoint.ipynb")
    hand_in(tmp_path, ".DS_Store")
    with pytest.raises(UsageError, match=r"expected submissions under .*, found none"):
        find(tmp_path, NAMES)
    hand_in(tmp_path, "a2_attacks/ada.ipynb")
    hand_in(tmp_path, "a1_softmax/zoe.ipynb")
    assert [one.relative for one in find(tmp_path, NAMES)] == ["a1_softmax/zoe.ipynb", "a2_attacks/ada.ipynb"]
    with pytest.raises(UsageError, match="expected a folder of submissions, found none at"):
        find(tmp_path / "missing", NAMES)


def test_points_add_up(tmp_path: Path) -> None:
    one = Submission(tmp_path, "x.ipynb", "x", "a1_softmax")
    outcomes = (
        Outcome(Case("q1", "test_a", 2, False), True),
        Outcome(Case("q1", "test_b", 0.5, True), True),
        Outcome(Case("q2", "test_c", 3, True), False, "no"),
    )
    grade = Grade(one, "graded", "", outcomes)
    assert (grade.score, grade.possible, grade.failed) == (2.5, 5.5, ["q2.test_c"])
    assert [number(x) for x in (grade.score, 3.0, 0.0)] == ["2.5", "3", "0"]


def test_a_copy_of_a_student_is_never_overwritten(tmp_path: Path) -> None:
    def student(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "drs.classroom", "student", name, "--folder", str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    mine = tmp_path / "a1_softmax.ipynb"
    assert student("a1").stdout.strip() == str(mine)
    assert mine.read_bytes() == student_notebook("a1_softmax").read_bytes()
    mine.write_text("my work")
    assert student("a1").returncode == 0
    assert mine.read_text() == "my work"
    unknown = student("b1")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("drs.classroom: unknown assignment 'b1': expected one of a1_softmax")


def test_help_loads_neither_torch_nor_otter() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from drs.classroom.__main__ import app;"
        "assert 'Grade a folder' in CliRunner().invoke(app, ['--help']).output;"
        "print([m for m in ('torch', 'otter', 'nbformat') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_outside_a_checkout_the_course_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drs.classroom.project_root", lambda: tmp_path)
    with pytest.raises(UsageError, match="the course needs a checkout; run git clone https://"):
        student_notebook("a1_softmax")


def test_every_outcome_names_tests_that_exist() -> None:
    guide = (ROOT / "book" / "instructors.md").read_text().split("## Outcomes and the tests that show them")[1]
    table = guide.split("\n## ")[0]
    named = {part for part in table.split("`") if part.startswith("test_")}
    masters = "".join(text(cell) for name in NAMES for cell in master(name)["cells"])
    assert len(named) >= 18
    assert [name for name in sorted(named) if f"def {name}(" not in masters] == []


def test_there_are_ten_exam_questions_with_folded_answers() -> None:
    parts = (ROOT / "book" / "exam.md").read_text().split("\n## ")[1:]
    assert len(parts) == 10
    assert [part.splitlines()[0] for part in parts if part.count("```{admonition} Answer\n:class: dropdown") != 1] == []
