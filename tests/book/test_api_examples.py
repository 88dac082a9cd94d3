"""The examples with which all pages of the API open, run as they stand."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

API = Path(__file__).resolve().parents[2] / "book" / "api"
PAGES = sorted(path.stem for path in API.glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_with_an_example_that_gives_what_it_shows(name: str) -> None:
    text = (API / f"{name}.md").read_text()
    assert text.index("```python\n>>> ") < text.index("automodule")
    test = doctest.DocTestParser().get_doctest(text.replace("```\n", "\n"), {}, name, f"{name}.md", 0)
    assert len(test.examples) >= 5
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert results.failed == 0, "".join(said)
