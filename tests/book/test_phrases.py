"""Plain English: phrases that must not occur in the prose of the book, the notebooks and README."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTEAD = {
    r"\bmend(?:ed|s|ing)?\b": "fix or amend",
    r"\b(?:dear|dearer|dearest)\b": "expensive",
    r"\bforetell(?:s|ing)?\b": "predict",
    r"\bstands? beside\b": "is shown next to",
    r"\bhangs? on\b": "depends on",
    r"\bone (?:row|run|line|panel) an? \w+": "one row per attack",
    r"\ba (?:row|run|panel|column|figure|dot|line style) an? (?:attack|network|metric|loss|claim|submission)\b": (
        "one row per attack"
    ),
    r"\b(?:seconds|minutes|images|updates) an? (?:example|image|update|run|attack)\b": "seconds per example",
    r"\bin one sentence of ours\b": "The idea behind the first paper",
    r"\bit is the wall's\b": "wall-clock time after synchronising",
    r"\bof what the claim counts\b": "in the units named by Claim.counts",
    r"\bAll see the same number\b": "All except ... see the same number",
}
"""What must not occur, and what to write: from the table of the project's style."""


def prose() -> dict[str, str]:
    """The text of every page by its name; code in notebooks, and what they print, is not prose."""
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in [*(ROOT / "book").glob("*.md"), ROOT / "README.md"]
    }
    for path in [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks" / "assignments").glob("*.ipynb")]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        words = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        for cell in cells:
            picture = cell["metadata"].get("mystnb", {})
            words += [picture.get("image", {}).get("alt", ""), picture.get("figure", {}).get("caption", "")]
        texts[path.name] = "\n".join(words)
    return {name: " ".join(text.split()) for name, text in texts.items()}


@pytest.mark.parametrize("phrase", INSTEAD)
def test_a_phrase_that_readers_stumble_over_does_not_occur(phrase: str) -> None:
    found = [
        f"{name}: ...{text[max(0, match.start() - 40) : match.end() + 40]}..."
        for name, text in prose().items()
        for match in re.finditer(phrase, text)
    ]
    assert found == [], f"write instead: {INSTEAD[phrase]}"


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a figure a network, a column an attack", "one row per attack"),
        ("two seconds an example", "seconds per example"),
        ("a mended rule", "fix or amend"),
    ],
)
def test_the_patterns_find_what_they_are_for(text: str, phrase: str) -> None:
    assert [said for pattern, said in INSTEAD.items() if re.search(pattern, text)] == [phrase]
