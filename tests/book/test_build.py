"""book/tools/build.py and book/tools/notebooks.py: what is executed again, what is committed, and what is refused."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import build
import numpy as np
import pytest

import notebooks

ROOT = Path(__file__).resolve().parents[2]


def code(source: str, *tags: str, outputs: list[dict[str, Any]] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"id{abs(hash(source)) % 10**8}",
        "execution_count": 7,
        "metadata": {"tags": list(tags), **metadata},
        "outputs": outputs or [],
        "source": source.splitlines(keepends=True),
    }


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": list(cells), "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def shown(**data: Any) -> dict[str, Any]:
    return {
        "output_type": "execute_result",
        "execution_count": 9,
        "metadata": {},
        "data": {key.replace("_", "/"): value for key, value in data.items()},
    }


def picture(changed: int) -> str:
    """A 100 x 100 PNG in base64 of which ``changed`` pixels are white."""
    from PIL import Image

    pixels = np.zeros(10_000, dtype=np.uint8)
    pixels[:changed] = 255
    file = io.BytesIO()
    Image.fromarray(pixels.reshape(100, 100)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_the_committed_form_has_nothing_of_the_run() -> None:
    executed = notebook(
        code("profile = 'quick'", "parameters", papermill={"duration": 1.2}),
        code("profile = 'smoke'", "injected-parameters"),
        {"cell_type": "markdown", "id": "text", "metadata": {"tags": []}, "source": ["# Title"]},
        code("1", outputs=[shown(text_plain=["<Axes at 0x7f00aa>"])], execution={"iopub.status.busy": "now"}),
        code("2", outputs=[shown(text_html='<table id="T_1a2b3"><td id="T_1a2b3_row0_col0">0x12 at T_12</td>')]),
    )
    executed["metadata"] |= {"papermill": {"version": "2"}, "language_info": {"version": "3.11.7"}}
    fresh = notebooks.normalise(executed)
    kept = [cell for cell in executed["cells"] if "injected-parameters" not in cell["metadata"].get("tags", [])]
    assert len(kept) == 4
    assert [c["id"] for c in fresh["cells"]] == [c["id"] for c in kept]
    assert [c.get("execution_count") for c in fresh["cells"]] == [1, None, 2, 3]
    assert [c["metadata"] for c in fresh["cells"]] == [{"tags": ["parameters"]}, {}, {}, {}]
    assert fresh["cells"][2]["outputs"][0]["data"] == {"text/plain": ["<Axes>"]}
    assert fresh["cells"][2]["outputs"][0]["execution_count"] == 2
    assert fresh["cells"][3]["outputs"][0]["data"] == {
        "text/html": '<table id="T"><td id="T_row0_col0">0x12 at T_12</td>'
    }
    assert set(fresh["metadata"]) == {"kernelspec", "language_info"}
    assert "version" not in fresh["metadata"]["language_info"]
    assert notebooks.dump(notebooks.normalise(copy.deepcopy(fresh))) == notebooks.dump(fresh)


@pytest.mark.parametrize("kernel", [{"name": "myvenv", "display_name": "my venv", "language": "python"}, None])
def test_the_committed_form_names_the_project_s_kernel(kernel: dict[str, str] | None) -> None:
    saved = notebook(code("1"))
    saved["metadata"] = {"kernelspec": kernel} if kernel else {}
    named = notebooks.normalise(saved)["metadata"]["kernelspec"]
    assert named == {"name": "python3", "display_name": "Python 3", "language": "python"}


def test_committed_text_is_as_nbformat_writes_it() -> None:
    nbformat = pytest.importorskip("nbformat")
    fresh = notebooks.normalise(notebook(code("x = 'é'\nx", outputs=[shown(text_plain=["'é'"])])))
    assert notebooks.dump(fresh) == nbformat.writes(nbformat.reads(json.dumps(fresh), as_version=4)) + "\n"


def test_differences_name_the_cell_and_the_kind_of_output() -> None:
    one = notebook(code("1", outputs=[shown(text_plain="a")]), code("2", outputs=[shown(image_png=picture(0))]))
    assert notebooks.differences(one, copy.deepcopy(one)) == []
    other = copy.deepcopy(one)
    other["cells"][0]["outputs"][0]["data"]["text/plain"] = "b"
    assert notebooks.differences(one, other) == ["cell 0: its output (text/plain) is not the committed one"]
    other["cells"][0]["outputs"] = []
    assert notebooks.differences(one, other) == [
        "cell 0: expected 1 outputs as committed, got 0 or other kinds",
    ]
    other["cells"][0]["source"] = ["3"]
    assert notebooks.differences(one, other) == ["its cells or its metadata are not in the committed form"]


@pytest.mark.parametrize(("changed", "same"), [(0, True), (9, True), (10, False), (10_000, False)])
def test_pictures_may_differ_in_less_than_a_thousandth_of_their_pixels(changed: int, same: bool) -> None:
    assert notebooks.same_value("image/png", picture(0), picture(changed)) is same
    assert notebooks.same_value("image/svg+xml", "<svg>1</svg>", "<svg>2</svg>") is False


def test_hash_depends_on_sources_and_not_on_outputs() -> None:
    one = notebook(code("1", outputs=[shown(text_plain="a")]))
    rerun = copy.deepcopy(one)
    rerun["cells"][0] |= {"outputs": [], "execution_count": None}
    edited = copy.deepcopy(one)
    edited["cells"][0]["source"] = ["2"]
    assert notebooks.sources(one) == notebooks.sources(rerun)
    assert notebooks.sources(one) != notebooks.sources(edited)


def test_inputs_leave_out_caches_and_smoke_records(tmp_path: Path) -> None:
    root = tmp_path / "smoke" / "results"
    for name in ("quick/a.json", "smoke/b.json", "__pycache__/c.pyc", "quick/.x.tmp"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    assert [path.name for path in build.found(root)] == ["a.json"]
    before = build.digest(build.found(root))
    (root / "quick" / "a.json").write_text("changed")
    assert build.digest(build.found(root)) != before


def test_pages_are_those_of_the_table_of_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "_toc.yml").write_text(
        "root: book/intro\nparts:\n- chapters:\n  - file: book/a\n    sections:\n    - file: notebooks/b\n"
    )
    assert build.pages() == {"book/intro", "book/a", "notebooks/b"}
    for name in ("book/intro.html", "notebooks/b.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(build.BuildError, match=r"missing pages: \['book/a'\], pages not in _toc.yml: \[\]"):
        build.check_pages(tmp_path)
    (tmp_path / "book" / "a.html").touch()
    build.check_pages(tmp_path)
    (tmp_path / "book" / "extra.html").touch()
    with pytest.raises(build.BuildError, match=r"missing pages: \[\], pages not in _toc.yml: \['book/extra'\]"):
        build.check_pages(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with one notebook that prints its profile and counts how often it ran."""
    (tmp_path / "book" / "tools").mkdir(parents=True)
    for name in ("build.py", "notebooks.py", "figures.py"):
        shutil.copy(ROOT / "book" / "tools" / name, tmp_path / "book" / "tools")
    for name in ("drs", "data/published", "data/results", "notebooks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "requirements.lock").touch()
    count = "with open('../runs.txt', 'a') as file:\n    print('run', file=file)\nprint(profile)"
    write_notebook(tmp_path, notebook(code('profile = "quick"', "parameters"), code(count)))
    return tmp_path


def write_notebook(checkout: Path, content: dict[str, Any]) -> Path:
    path = checkout / "notebooks" / "01_one.ipynb"
    path.write_text(notebooks.dump(content))
    return path


@pytest.fixture
def run(checkout: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``build.py`` of the small repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRS_")}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "book/tools/build.py", *words]
        return subprocess.run(command, cwd=checkout, env=kept, capture_output=True, text=True)

    return call


Run = Callable[..., subprocess.CompletedProcess[str]]


def runs(checkout: Path) -> int:
    return len((checkout / "runs.txt").read_text().splitlines()) if (checkout / "runs.txt").exists() else 0


def test_notebooks_run_once_until_something_changes(checkout: Path, run: Run) -> None:
    path = checkout / "notebooks" / "01_one.ipynb"
    stale = run("check")
    assert stale.returncode == 1
    assert "notebooks/01_one.ipynb: " in stale.stderr
    assert run("notebooks").stdout.endswith("wrote notebooks/01_one.ipynb\n")
    written = path.read_text()
    cells = json.loads(written)["cells"]
    assert [cell["execution_count"] for cell in cells] == [1, 2]
    assert cells[1]["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["quick\n"]}]
    assert run("check").returncode == 0
    assert "unchanged, not run again" in run("execute").stdout
    assert (runs(checkout), path.read_text()) == (1, written)

    (checkout / "data" / "results" / "new.json").write_text("{}")
    assert run("notebooks").returncode == 0
    assert (runs(checkout), path.read_text()) == (2, written)


def test_smoke_runs_everything_again_with_folders_of_its_own(checkout: Path, run: Run) -> None:
    folders = "import os\nprint(os.environ['DRS_RESULTS'])\nprint(os.environ['DRS_CHECKPOINTS'])\nprint(profile)"
    write_notebook(checkout, notebook(code('profile = "quick"', "parameters"), code(folders)))
    before = (checkout / "notebooks" / "01_one.ipynb").read_text()
    assert run("smoke").returncode == 0
    folder = checkout / "_build" / "smoke"
    cells = notebooks.read(folder / "notebooks" / "01_one.ipynb")["cells"]
    hidden = [cell for cell in cells if notebooks.tagged(cell, "injected-parameters")]
    assert [notebooks.tagged(cell, "remove-cell") for cell in hidden] == [True]
    printed = "".join(cells[-1]["outputs"][0]["text"]).splitlines()
    assert printed == [str(folder / "results"), str(folder / "checkpoints"), "smoke"]
    assert (checkout / "notebooks" / "01_one.ipynb").read_text() == before


def test_a_failing_cell_fails_the_build_and_leaves_nothing(checkout: Path, run: Run) -> None:
    write_notebook(checkout, notebook(code('profile = "quick"', "parameters"), code("raise ValueError('no such net')")))
    done = run("execute")
    assert done.returncode == 1
    assert "notebooks/01_one.ipynb failed" in done.stderr
    assert "ValueError: no such net" in done.stderr
    assert not (checkout / "_build" / "executed" / "quick" / "01_one.ipynb").exists()
    assert run("execute").returncode == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-p", "sedes=3"), "notebooks/01_one.ipynb: expected one of the parameters ['profile'], got 'sedes'"),
        (("-p", "seeds"), "expected a parameter as NAME=VALUE, got 'seeds'"),
        (("--profile", "fast"), "invalid choice: 'fast'"),
    ],
)
def test_unknown_parameters_are_refused_before_anything_runs(
    checkout: Path, run: Run, words: tuple[str, ...], sentence: str
) -> None:
    done = run("execute", *words)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert runs(checkout) == 0


@pytest.mark.parametrize("kernel", [{"name": "myvenv", "display_name": "my venv", "language": "python"}, None])
def test_a_notebook_saved_under_another_kernel_runs(checkout: Path, run: Run, kernel: dict[str, str] | None) -> None:
    saved = notebook(code('profile = "quick"', "parameters"), code("print(profile)"))
    saved["metadata"] = {"kernelspec": kernel} if kernel else {}
    path = write_notebook(checkout, saved)
    done = run("notebooks")
    assert (done.returncode, done.stderr) == (0, "")
    fresh = notebooks.read(path)
    assert fresh["metadata"]["kernelspec"]["name"] == "python3"
    assert fresh["cells"][1]["outputs"][0]["text"] == ["quick\n"]


def test_executing_a_notebook_changes_nothing_under_data(tmp_path: Path) -> None:
    folders = [ROOT / "data" / name for name in ("results", "published", "benchmarks", "rules")]
    before = {path: path.stat().st_mtime_ns for path in build.found(*folders)}
    build.run_notebook(ROOT / "notebooks" / "08_cost.ipynb", tmp_path / "08_cost.ipynb", {"profile": "quick"})
    after = {path: path.stat().st_mtime_ns for path in build.found(*folders)}
    assert len(before) > 100
    assert after == before


def test_what_a_cell_prints_is_one_output_however_it_was_sent() -> None:
    def stream(text: list[str], name: str = "stdout") -> dict[str, Any]:
        return {"output_type": "stream", "name": name, "text": text}

    parts = [stream(["a\n", "b"]), stream(["c\n"]), stream(["oops\n"], "stderr"), stream(["d\n"])]
    (cell,) = notebooks.normalise(notebook(code("f()", outputs=parts)))["cells"]
    assert cell["outputs"] == [stream(["a\n", "bc\n"]), stream(["oops\n"], "stderr"), stream(["d\n"])]


def test_a_live_cell_is_compared_by_its_words() -> None:
    def live(text: str, picture: str) -> Any:
        cell = code("f()", outputs=[shown(text_plain=["a figure"], image_png=picture), shown(text_markdown=[text])])
        cell["metadata"] = {"tags": ["live"]}
        return notebook(cell)

    one = live("accuracy 0.65 after 20 steps", "AAAA")
    assert notebooks.differences(one, live("accuracy 0.7 after 20 steps", "BBBB")) == []
    wrong = notebooks.differences(one, live("accuracy nan after 20 steps", "AAAA"))
    assert wrong == ["cell 0: its output (text/markdown) is not the committed one"]


def test_pictures_for_phones_may_differ_in_places_and_in_the_names_made_of_them() -> None:
    kind = "application/vnd.drs.narrow+json"
    one = '<path clip-path="url(#pff3be73f0d)" d="M 1.25 2"/><text>PGD</text>'
    moved = '<path clip-path="url(#p83e13d663d)" d="M 1.26 2"/><text>PGD</text>'
    assert notebooks.same_value(kind, one, moved)
    assert not notebooks.same_value(kind, one, one.replace("PGD", "BIM"))
    assert not notebooks.same_value("image/svg+xml", one, moved)
