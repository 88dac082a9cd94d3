"""The committed notebooks as files: executed, parameterised, free of the machine they ran on, and described."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IMAGES = ("image/png", "image/svg+xml", "image/jpeg")
LARGEST_IMAGE = 80 * 1024
LARGEST_NOTEBOOK = 1_500_000

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def outputs(path: Path) -> list[tuple[int, str, str]]:
    """(cell, kind, text) of everything a notebook shows."""
    shown = []
    for place, cell in enumerate(read(path)["cells"]):
        for output in cell.get("outputs", []):
            if "text" in output:
                shown.append((place, output["name"], text(output["text"])))
            for mime, value in output.get("data", {}).items():
                shown.append((place, mime, json.dumps(value) if mime.endswith("json") else text(value)))
    return shown


def test_the_names_of_chapters_count_them_in_reading_order() -> None:
    contents = (ROOT / "_toc.yml").read_text()
    names = re.findall(r"file: notebooks/(\w+)", contents)
    assert names == [path.stem for path in NOTEBOOKS]
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))


@each
def test_names_its_kernel_and_keeps_stable_cell_ids(path: Path) -> None:
    notebook = read(path)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert (notebook["nbformat"], notebook["nbformat_minor"] >= 5) == (4, True)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@each
def test_has_one_parameters_cell_whose_default_is_quick(path: Path) -> None:
    cells = [cell for cell in code_cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(cells) == 1
    values: dict[str, object] = {}
    exec(text(cells[0]["source"]), values)
    assert values["profile"] == "quick"


@each
def test_is_executed_in_order_and_in_the_committed_form(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    tags = {tag for cell in cells for tag in cell["metadata"].get("tags", [])}
    assert "injected-parameters" not in tags
    assert "papermill" not in read(path)["metadata"]
    assert [cell["id"] for cell in cells if {"papermill", "execution"} & set(cell["metadata"])] == []
    assert any(cell["outputs"] for cell in cells)


@each
def test_shows_no_error_and_no_warning(path: Path) -> None:
    kinds = [output["output_type"] for cell in code_cells(path) for output in cell["outputs"]]
    assert "error" not in kinds
    assert [shown for shown in outputs(path) if shown[1] == "stderr"] == []


@each
def test_shows_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    machine = re.compile(r"(?<![\w.])/(home|root|Users|tmp|work|opt|usr|mnt|var)/|\b0x[0-9a-f]{6,}\b|[A-Z]:\\\\Users")
    readable = [shown for shown in outputs(path) if shown[1] not in ("image/png", "image/jpeg")]
    assert [(place, match[0]) for place, _, content in readable if (match := machine.search(content))] == []
    assert not machine.search("".join(text(cell["source"]) for cell in read(path)["cells"]))


@each
def test_figures_are_small_and_described(path: Path) -> None:
    for place, kind, content in outputs(path):
        if kind in IMAGES:
            size = len(content.encode()) if kind == "image/svg+xml" else len(base64.b64decode(content))
            assert size <= LARGEST_IMAGE, f"cell {place}: {size} bytes of {kind}"
            alt = read(path)["cells"][place]["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 4, (
                f"cell {place}: expected mystnb.image.alt to say what the figure shows, got {alt!r}"
            )


@each
def test_is_small_enough_to_read_on_a_code_host(path: Path) -> None:
    assert path.stat().st_size <= LARGEST_NOTEBOOK


def prose(path: Path) -> str:
    return "\n\n".join(text(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")


@each
def test_every_exercise_has_a_solution_of_its_own(path: Path) -> None:
    labels = re.findall(r"```\{exercise\}\n:label: (\S+)", prose(path))
    assert labels
    assert re.findall(r"```\{solution\} (\S+)\n:class: dropdown", prose(path)) == labels


def test_exercises_are_labelled_once_in_the_book() -> None:
    labels = [label for path in NOTEBOOKS for label in re.findall(r":label: (\S+)", prose(path))]
    assert len(labels) == len(set(labels))


@each
def test_the_code_of_solutions_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for solution in re.findall(r"````\{solution\}.*?````(?!`)", prose(path), re.DOTALL):
        for code in re.findall(r"```python\n(.*?)```", solution, re.DOTALL):
            exec(compile(code, f"{path.stem}, a solution", "exec"), {})
