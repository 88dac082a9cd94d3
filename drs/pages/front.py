"""Writes what README and the book's prose pages show of the results: tables and one figure, from records."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from drs.errors import UsageError
from drs.evaluation.alarms import CHECKS, KINDS
from drs.pages.claims import as_markdown, interval, when_fixed
from drs.pages.contests import contest_page
from drs.pages.figures.drs import curve
from drs.pages.figures.figured import Figured
from drs.pages.figures.front import Row, forest, undetected
from drs.pages.found import deciding_frame, scale, sentences, tally
from drs.pages.listing import as_json, as_tables, by_source, heading, seeds_table, threshold
from drs.pages.markdown import table
from drs.pages.report import FRAGMENTS
from drs.pages.tables import benchmarks
from drs.paths import project_root
from drs.study.claims import Finding, verdicts
from drs.study.claims.base import SHOWN

__all__ = ["BEGIN", "END", "alarm_table", "benchmark_table", "fill", "forest_rows", "pictures", "texts", "write"]

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


def benchmark_table() -> str:
    """Every committed ratio of speed, ours over another library's, as Markdown."""
    found = benchmarks()
    return table(["what is measured", *found.columns], found.itertuples(name=None))


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
        "benchmarks.md": benchmark_table() + "\n",
        "contests.md": contest_page() + "\n",
        "claims.md": f"{as_tables(found)}\n\n{counted}\n",
        "seeds.md": seeds_table(found) + "\n",
        "claims.json": as_json(found) + "\n",
        "found.md": f"{tally(found)}\n{scale(found)}\n{sentences(found)}",
    } | {f"report_{fragment.__name__}.md": fragment() + "\n" for fragment in FRAGMENTS}
    readme = fill((project_root() / "README.md").read_text(encoding="utf-8"), f"{as_markdown(found)}\n\n{counted}")
    return {"README.md": readme} | {f"book/_generated/{name}": text for name, text in generated.items()}


def forest_rows(findings: Sequence[Finding]) -> list[Row]:
    """Findings as the lines of the forest plot, group by group."""
    rows = []
    for source, group in by_source(findings).items():
        times = Counter(found.claim.id for found in group)
        for found in group:
            judged, limits = found.judgement, threshold(found.claim.rule) or (math.nan, math.nan)
            name = found.claim.id if times[found.claim.id] == 1 else f"{found.claim.id}, {found.profile}"
            numbers = (interval(judged), judged.estimate, judged.low, judged.high)
            rows.append(Row(heading(source, group), name, judged.verdict, *numbers, *limits))
    return rows


def pictures() -> dict[str, Figured]:
    """The figures of the front page and of the page of claims by name; one without records is left out."""
    drawn = {"forest": forest(forest_rows(verdicts()))}
    losses, adaptive = deciding_frame("losses"), deciding_frame("adaptive")
    if not losses.empty:
        drawn["story"] = curve(losses, ("ce", "drs"), ("pgd", "worst"))
    if not adaptive.empty:
        drawn["known"] = undetected(adaptive, "rce", SHOWN)
    return drawn


def write() -> list[Path]:
    """Write :func:`texts` and :func:`pictures` with their numbers; returns what was written.

    Raises:
        UsageError: README.md without its markers.
        RecordError: A damaged record.
    """
    import matplotlib

    matplotlib.use("agg")
    from drs.pages.figures import style

    root = project_root()
    generated = root / "book" / "_generated"
    generated.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts().items():
        (root / name).write_text(text, encoding="utf-8")
        written.append(root / name)
    style.apply()
    for name, drawn in pictures().items():
        picture, numbers = generated / f"{name}.svg", generated / f"{name}.json"
        drawn.figure.savefig(
            picture, metadata={"Date": None}, transparent=False, facecolor="white", bbox_inches="tight"
        )
        numbers.write_text(json.dumps(drawn.tables(), indent=1) + "\n", encoding="utf-8")
        written += [picture, numbers]
    return written
