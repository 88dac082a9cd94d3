"""Makes the student and the instructor version of every assignment from its master, the same bytes each time.

``OUT/student/NAME.ipynb`` holds neither a solution nor a hidden test; ``OUT/autograder/`` holds for each assignment the
solved notebook ``NAME.ipynb``, the ``NAME.zip`` that grades, and ``NAME.json``, which says what each test is worth.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drs.classroom import assignment_names, masters_folder
from drs.classroom.written import save_questions
from drs.errors import UsageError, unknown

__all__ = [
    "EPOCH",
    "SHORTEST_SECRET",
    "Case",
    "build",
    "leaks",
    "manifest",
    "publish",
    "read_tests",
    "secrets",
    "with_public_tests",
]

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an autograder: the zip then depends on nothing but its content."""
PUBLIC_TESTS = "# @title The public tests of this notebook: run this cell, there is no need to read it"
"""First line of the cell that carries them; Colab shows it as the cell's title."""
SHORTEST_SECRET = 12
"""Characters a solved line must have before its presence in a student version counts as a leak."""


@dataclass(frozen=True)
class Case:
    """One test of a question.

    Attributes:
        question: ``q1`` and so on.
        name: Of its function.
        points: What passing it is worth.
        hidden: Whether students do not get it.
    """

    question: str
    name: str
    points: float
    hidden: bool


def manifest(autograders: Path, name: str) -> list[Case]:
    """The tests of an assignment, in the order of the notebook.

    Args:
        autograders: The folder ``autograder`` that :func:`build` wrote.
        name: Of the assignment.

    Raises:
        UsageError: It was not built.
    """
    path = autograders / f"{name}.json"
    if not path.exists():
        raise UsageError(f"expected {path}, found none: run 'make assignments'")
    return [Case(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def read_tests(name: str, files: dict[str, str]) -> list[Case]:
    """The tests in otter's test files.

    Args:
        name: Of the assignment, for the error texts.
        files: Question to source text.

    Raises:
        UsageError: A test without points, or two of one name in a question: the later would replace the earlier.
    """
    found = []
    for question, source in files.items():
        functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        for function in functions:
            values = {
                keyword.arg: ast.literal_eval(keyword.value)
                for decorator in function.decorator_list
                if isinstance(decorator, ast.Call)
                for keyword in decorator.keywords
            }
            if values.get("points") is None:
                raise UsageError(f"{name}, {question}, {function.name}: expected points in its test config, found none")
            found.append(Case(question, function.name, values["points"], values["hidden"]))
        names = [function.name for function in functions]
        if len(set(names)) != len(names):
            raise UsageError(f"{name}, {question}: expected test functions of different names, got {', '.join(names)}")
    return found


def _text(cell: dict[str, Any]) -> str:
    source: str | list[str] = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def secrets(master: dict[str, Any]) -> list[str]:
    """The texts of a master that a student must not get: solved lines, and everything in hidden tests.

    Args:
        master: The master as JSON.

    Returns:
        Lines without indentation, at least :data:`SHORTEST_SECRET` characters long, that occur nowhere else in the
        master.
    """
    hidden, shown, inside, solved = [], [], False, False
    for cell in master["cells"]:
        text = _text(cell)
        if cell["cell_type"] == "raw" and re.match(r"# (BEGIN|END) SOLUTION", text):
            solved = text.startswith("# BEGIN")
            continue
        secret_cell = solved and cell["cell_type"] != "code"
        if "# BEGIN TEST CONFIG" in text:
            secret_cell = bool(re.search(r"^hidden: true", text, re.MULTILINE))
            text += "\n" + ast.unparse(ast.parse(text))  # as otter writes it into its test files
        for line in text.splitlines():
            if solved and re.match(r"\s*# (BEGIN|END) SOLUTION", line):
                inside = "BEGIN" in line
            elif secret_cell or inside or line.rstrip().endswith("# SOLUTION"):
                hidden.append(line.removesuffix("# SOLUTION").strip())
            else:
                shown.append(line.strip())
    public = "\n".join(shown)
    return [line for line in dict.fromkeys(hidden) if len(line) >= SHORTEST_SECRET and line not in public]


def leaks(master: dict[str, Any], student: str) -> list[str]:
    """The :func:`secrets` of a master that a student version (its text) holds; none in a version that may be given."""
    flat = json.dumps(json.loads(student), ensure_ascii=False)
    return [line for line in secrets(master) if json.dumps(line, ensure_ascii=False)[1:-1] in flat]


def with_public_tests(notebook: dict[str, Any], name: str) -> dict[str, Any]:
    """The notebook with a folded cell after its first code cell that makes ``grader`` from the tests in its metadata.

    Tests in a cell work where the file of the notebook is out of reach of its kernel, as on Colab.
    """
    tests = notebook["metadata"]["otter"]["tests"]
    lines = [PUBLIC_TESTS, "from drs.classroom import checks", "", f'grader = checks("{name}", {{']
    for question, source in tests.items():
        lines.append(f'    "{question}": r"""{source}""",')
        if '"""' in source:
            raise UsageError(f'{name}, {question}: expected a test without """ in its lines')
    cell = {
        "cell_type": "code",
        "metadata": {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["public-tests"]},
        "source": "\n".join([*lines, "})"]),
    }
    cells = notebook["cells"]
    place = next(i for i, one in enumerate(cells) if one["cell_type"] == "code") + 1
    return notebook | {"cells": [*cells[:place], cell, *cells[place:]]}


def _write_notebook(notebook: dict[str, Any], path: Path, name: str) -> None:
    """Stable cell ids, no outputs, one line of JSON a line of text."""
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"{name.split('_')[0]}-{number:02d}"
        cell["source"] = _text(cell).splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _write_zip(source: Path, target: Path) -> dict[str, str]:
    """Copy otter's zip with sorted entries and a fixed date; returns its test files, question to text."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        names = sorted(old.namelist())
        for entry in names:
            info = zipfile.ZipInfo(entry, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(entry))
        tests = [entry for entry in names if entry.startswith("tests/") and entry.endswith(".py")]
        return {Path(entry).stem: old.read(entry).decode() for entry in sorted(tests, key=_natural)}


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts q10 after q9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]


def build(out: Path, names: list[str] | None = None) -> list[str]:
    """Make both versions of some assignments.

    Args:
        out: The folder that gets ``student`` and ``autograder``.
        names: Which; None for all.

    Returns:
        The names of those made.

    Raises:
        UsageError: An unknown name, a master that otter refuses or with a test without points, or a student version
            that would give something away.
    """
    wanted = assignment_names() if names is None else names
    for name in wanted:
        if name not in assignment_names():
            raise unknown("assignment", name, assignment_names())
        _build_one(name, out)
    return wanted


def _build_one(name: str, out: Path) -> None:
    from otter.assign import main as assign

    source = masters_folder() / f"{name}.ipynb"
    master = json.loads(source.read_text(encoding="utf-8"))
    student_folder, autograders = out / "student", out / "autograder"
    with tempfile.TemporaryDirectory() as scratch:
        copied, result = Path(shutil.copy(source, scratch)), Path(scratch) / "result"
        try:
            assign(str(copied), str(result), no_pdfs=True, no_run_tests=True)
        except Exception as error:
            raise UsageError(f"otter cannot read notebooks/assignments/{name}.ipynb: {error}") from error
        student, solved = (json.loads((result / v / copied.name).read_text()) for v in ("student", "autograder"))
        if student["metadata"]["otter"].get("assignment_name") != name:
            raise UsageError(f"notebooks/assignments/{name}.ipynb: expected 'name: {name}' in its ASSIGNMENT CONFIG")
        solved["metadata"]["otter"]["tests"] = student["metadata"]["otter"]["tests"]
        student, solved = with_public_tests(student, name), with_public_tests(solved, name)
        if found := leaks(master, json.dumps(student)):
            raise UsageError(f"the student version of {name} would give away: {found[0]!r}")
        student_folder.mkdir(parents=True, exist_ok=True)
        autograders.mkdir(parents=True, exist_ok=True)
        tests = read_tests(name, _write_zip(next(result.glob("autograder/*.zip")), autograders / f"{name}.zip"))
        _write_notebook(student, student_folder / f"{name}.ipynb", name)
        _write_notebook(solved, autograders / f"{name}.ipynb", name)
        listed = json.dumps([asdict(test) for test in tests], indent=1) + "\n"
        (autograders / f"{name}.json").write_text(listed, encoding="utf-8")
        save_questions(master, autograders / f"{name}.written.json")


def publish(out: Path) -> list[Path]:
    """Copy the student versions beside the masters, where the repository keeps them; returns those that changed."""
    changed = []
    target = masters_folder() / "student"
    target.mkdir(exist_ok=True)
    for path in sorted((out / "student").glob("*.ipynb")):
        copy = target / path.name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copy(path, copy)
            changed.append(copy)
    return changed
