"""drs.pages.aims: every chapter has its aims, what must be read first comes first, and times are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drs.errors import UsageError
from drs.pages.aims import AIMS, Length, length, overview, overview_line
from drs.pages.card import card
from drs.paths import project_root
from drs.study.claims import CLAIMS, get_claim

NOTEBOOKS = sorted((project_root() / "notebooks").glob("*.ipynb"))


def test_every_chapter_has_two_or_three_short_aims_and_builds_on_earlier_ones() -> None:
    assert list(AIMS) == [path.stem for path in NOTEBOOKS]
    for name, aims in AIMS.items():
        assert 2 <= len(aims.learn) <= 3, name
        assert all(len(one.split()) <= 13 and not one.endswith(".") for one in aims.learn), name
        assert all(earlier in AIMS and earlier < name for earlier in aims.first), name
        assert list(aims.first) == sorted(aims.first), name


def test_words_are_those_of_the_prose_and_exercises_are_counted(tmp_path: Path) -> None:
    text = """# Two words

$$
x = y + z
$$ (eq-x)

One two three.

````{exercise}
:label: a

Many words that do not count.
````

````{solution} a
:class: dropdown

```python
x = 1
```
````
"""
    cells = [
        {"cell_type": "markdown", "source": text.splitlines(keepends=True)},
        {"cell_type": "code", "source": ["print('no prose')"]},
        {"cell_type": "markdown", "source": ["four five"]},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    # "#", "Two", "words", "(eq-x)", three, two
    assert length("a", tmp_path) == Length(9, 1)
    assert length("b", tmp_path) is None
    assert [Length(words, 2).minutes for words in (1, 200, 201)] == [1, 1, 2]


def test_a_chapter_says_its_aims_what_to_read_first_and_its_time() -> None:
    found = length("02_attacks")
    assert found is not None
    assert overview("02_attacks").data == overview_line("02_attacks")
    assert overview_line("02_attacks") == (
        "**You learn** to compute the gradient in the image; why a step along its sign is the best one; to write PGD "
        "in ten lines. **Read first:** [chapter 1](01_softmax.ipynb). "
        f"**Time:** {found.minutes} minutes to read, 10 for the 2 exercises."
    )
    assert 300 < found.words < 1500
    with pytest.raises(UsageError, match="chapter"):
        overview_line("99_none")


def test_every_chapter_shows_its_line_in_its_card_or_in_a_cell() -> None:
    for path in NOTEBOOKS:
        code = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        calls = [source for source in code if source.startswith("card(") or "overview(" in source]
        assert len(calls) == 1, path.stem
        if calls[0].startswith("card("):
            [main] = [claim for claim in CLAIMS if f'\n    "{claim}",\n' in calls[0]]
            assert get_claim(main).notebook == f"notebooks/{path.stem}"
        else:
            assert f'overview("{path.stem}")' in calls[0]


def test_a_card_ends_with_the_line_of_its_chapter() -> None:
    lines = card("?", "A3", {"reproduced": "Yes."}, profile="smoke").data.splitlines()
    assert lines[-2:] == [">", f"> {overview_line('07_drs_loss')}"]
    lines = card("?", "A3", {"reproduced": "Yes."}).data.splitlines()
    assert lines[-2:] == [">", f"> {overview_line('07_drs_loss')}"]
