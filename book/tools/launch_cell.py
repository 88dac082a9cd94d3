"""The first cell of every notebook: on a machine without the library (Colab) it fetches the library and the records.

``python book/tools/launch_cell.py`` puts it where it is missing and renews it where it is old. The book does not
show it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TAGS = ["launch", "remove-cell"]
SOURCE = """\
# Only where drs is not installed, as on Colab: fetch the library with its records.
import importlib.util

if importlib.util.find_spec("drs") is None:
    import subprocess
    import sys
    from pathlib import Path

    here = Path("drs-book").resolve()
    if not here.exists():
        subprocess.run(["git", "clone", "--quiet", "--depth=1", "{repository}", str(here)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", f"{{here}}[study]"], check=True)
    sys.path.insert(0, str(here))"""


def repository() -> str:
    """Where the book lives, from the one place that says it."""
    import yaml

    return str(yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"])


def cell(url: str) -> dict[str, Any]:
    """The cell, as committed before it has run."""
    return {
        "cell_type": "code",
        "id": "launch",
        "metadata": {"tags": TAGS},
        "execution_count": None,
        "outputs": [],
        "source": SOURCE.format(repository=url).splitlines(keepends=True),
    }


def has_launch_cell(notebook: dict[str, Any], url: str) -> bool:
    """Whether a notebook starts with the cell, word for word, tagged to be hidden."""
    first, wanted = notebook["cells"][0], cell(url)
    return bool("".join(first["source"]) == "".join(wanted["source"]) and first["metadata"].get("tags") == TAGS)


def with_launch_cell(notebook: dict[str, Any], url: str) -> dict[str, Any]:
    """The notebook with the cell in front, in place of an older form of it."""
    others = [one for one in notebook["cells"] if "launch" not in one["metadata"].get("tags", [])]
    return notebook | {"cells": [cell(url), *others]}


def main() -> int:
    """Entry point."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if not has_launch_cell(notebook, repository()):
            new = with_launch_cell(notebook, repository())
            path.write_text(json.dumps(new, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"wrote notebooks/{path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
