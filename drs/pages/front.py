"""Writes what README and the book's prose pages show of the results: tables and one figure, from records."""

from __future__ import annotations

import json
from pathlib import Path

from drs.errors import UsageError
from drs.evaluation.alarms import CHECKS, KINDS
from drs.pages.claims import as_markdown, reseeded_markdown, when_fixed
from drs.pages.contests import contest_page
from drs.pages.markdown import table
from drs.pages.report import FRAGMENTS
from drs.paths import project_root
from drs.study.claims import verdicts
from drs.study.profiles import DEFAULT
from drs.study.results import Results

__all__ = ["BEGIN", "END", "alarm_table", "fill", "texts", "write"]

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"


def fill(text: str, table: str) -> str:
    """``text`` with everything between the two markers replaced by ``table``.

    Raises:
        UsageError: A marker is missing.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UsageError(f"expected one {BEGIN} and one {END} in the text")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def alarm_table() -> str:
    """Every alarm, those about gradients first: what it means and what to do next, as Markdown."""
    rows = [(check.name, check.meaning, check.remedy) for kind in KINDS for check in CHECKS if check.kind == kind]
    return table(["alarm", "what it means", "what to do next"], rows)


def texts() -> dict[str, str]:
    """What README.md and the files of book/_generated hold, by path from the repository's root.

    Raises:
        UsageError: README.md without its markers.
        RecordError: A damaged record.
    """
    found = verdicts()
    counted = f"When the rules were fixed, computed from git by `drs claims --history`: {when_fixed(found)}."
    generated = {
        "alarms.md": alarm_table() + "\n",
        "claims.md": f"{as_markdown(found, prefix='../')}\n\n{counted}\n",
        "contests.md": contest_page() + "\n",
        "reseeded.md": reseeded_markdown() + "\n",
    } | {f"report_{fragment.__name__}.md": fragment() + "\n" for fragment in FRAGMENTS}
    readme = fill((project_root() / "README.md").read_text(encoding="utf-8"), f"{as_markdown(found)}\n\n{counted}")
    return {"README.md": readme} | {f"book/_generated/{name}": text for name, text in generated.items()}


def write() -> list[Path]:
    """Write :func:`texts` and the figure of the front page with its numbers; returns what was written.

    Raises:
        UsageError: README.md without its markers.
        RecordError: A damaged record.
    """
    import matplotlib

    matplotlib.use("agg")
    from drs.pages.figures import style
    from drs.pages.figures.drs import curve

    root = project_root()
    generated = root / "book" / "_generated"
    generated.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts().items():
        (root / name).write_text(text, encoding="utf-8")
        written.append(root / name)
    frame = Results().frame("losses", DEFAULT)
    if len(frame):
        style.apply()
        story = curve(frame, ("ce", "drs"), ("fgsm", "pgd", "worst"))
        story.figure.savefig(generated / "story.svg", metadata={"Date": None}, transparent=False, facecolor="white")
        (generated / "story.json").write_text(json.dumps(story.tables(), indent=1) + "\n", encoding="utf-8")
        written += [generated / "story.svg", generated / "story.json"]
    return written
