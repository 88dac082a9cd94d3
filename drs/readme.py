"""Writes what README and the front page show of the results: the claims table and one figure, from records."""

from __future__ import annotations

from pathlib import Path

from drs.claims import as_markdown, reseeded_markdown, verdicts
from drs.errors import UsageError
from drs.paths import project_root
from drs.records import to_frame
from drs.runner import existing

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
STORY_PROFILE = "quick"


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


def write() -> list[Path]:
    """Write the table into README.md, and table and figure into book/_generated; returns what was written.

    Raises:
        UsageError: README.md without its markers.
        RecordError: A damaged record.
    """
    import matplotlib

    matplotlib.use("agg")
    from drs.figures import style
    from drs.figures.drs_paper import curve

    root = project_root()
    found = verdicts()
    readme, generated = root / "README.md", root / "book" / "_generated"
    generated.mkdir(parents=True, exist_ok=True)
    readme.write_text(fill(readme.read_text(), as_markdown(found)))
    written = [readme, generated / "claims.md", generated / "reseeded.md"]
    written[1].write_text(as_markdown(found, prefix="../") + "\n")
    written[2].write_text(reseeded_markdown() + "\n")
    frame = to_frame(existing("losses", STORY_PROFILE))
    if len(frame):
        style.apply()
        figure = curve(frame, ("ce", "drs"), ("fgsm", "pgd", "worst"))
        written.append(generated / "story.svg")
        figure.savefig(written[-1], metadata={"Date": None}, transparent=False, facecolor="white")
    return written
