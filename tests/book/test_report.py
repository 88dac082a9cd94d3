"""What 'make site-report' measures and prints, on pages made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import report
from check_browser import Seen
from check_files import page_at, reading_ease


def test_reading_ease_is_flesch_s_formula_by_hand() -> None:
    # 6 words, 2 sentences, 6 syllables; then 4 words, 1 sentence, 1 + 2 + 3 + 1 syllables
    assert reading_ease("The cat sat. The dog ran.") == pytest.approx(206.835 - 1.015 * 3 - 84.6)
    assert reading_ease("The model remembers rare.") == pytest.approx(206.835 - 1.015 * 4 - 84.6 * 7 / 4)


def test_prose_is_what_people_read_and_a_paragraph_ends_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<nav>menu</nav><article><h1>A title</h1><p>One cat</p><pre>code here</pre><ul><li>two dogs</li></ul></article>"
    )
    page = page_at(path)
    assert page.words == 6
    assert "".join(page.prose) == "A title. One cat. two dogs. "


def test_the_report_names_late_verdicts_and_how_hard_each_page_reads() -> None:
    def seen(path: str, verdict: float | None) -> dict[str, object]:
        return vars(Seen(path, 1, 1000, 2000, 0.5, [], [], [], 0, [], [], [], 390, verdict))

    pages = [seen("notebooks/late", 900.4), seen("notebooks/early", 300.0), seen("book/none", None)]
    found = {kind: [] for kind in ("a", "b", "c", "d", "e")} | {
        "names": [1, 2, 3],
        "pages": pages,
        "problems": [],
        "words": {"notebooks/late": 120, "book/api/x": 5},
        "reading ease": {"notebooks/late": 61.2, "book/api/x": 1.0},
        "smallest letters, px": 9.5,
    }
    text = report.as_markdown(found)
    assert "below a phone's first screen of 844 px: notebooks/late (900 px)\n" in text
    assert "| notebooks/late | 120 | 61 |\n" in text
    assert "book/api/x" not in text
    assert "smallest letters in a figure: 9.5 px" in text
