"""Parts of the book that are written from records: the committed ones are fresh."""

from __future__ import annotations

import json
import subprocess
import sys

from drs.pages.chapter import parameters
from drs.paths import project_root
from drs.study.records import Record, Run


def test_parameters_say_what_is_common_and_what_varies() -> None:
    records = [
        Record(
            Run("losses", 1, {"images": 300, "network": {"loss": loss, "seed": seed}, "epsilons": [0.0, 0.1]}),
            "quick", {}, 1.0, "", {}, "", "",
        )
        for seed, loss in enumerate(["ce", "drs", "ce", "ce", "ce", "ce", "ce"])
    ]  # fmt: skip
    assert parameters(records) == {
        "epsilons": "[0.0,0.1]",
        "images": "300",
        "network.loss": "ce, drs",
        "network.seed": "7 values from 0 to 6",
    }


def test_every_committed_part_is_what_the_records_give_now() -> None:
    """In a process of its own: other tests add experiments to the registry and change its order."""
    code = (
        "from drs.paths import project_root\nfrom drs.pages.front import texts\n"
        "print([n for n, text in texts().items() if (project_root() / n).read_text(encoding='utf-8') != text])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n", "run 'make notebooks' and look at what changed"


def test_the_front_page_has_the_numbers_of_its_figure() -> None:
    tables = json.loads((project_root() / "book" / "_generated" / "story.json").read_text())
    assert [table["caption"].partition(":")[0] for table in tables] == ["PGD-20", "worst case"]
    assert all(row[0] for table in tables for row in table["rows"])
