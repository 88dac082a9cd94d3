"""Parts of the book that are written from records: what was found, claim by claim, and what it cost to compute."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from drs.claims import DECIDING, Finding
from drs.experiments import EXPERIMENTS
from drs.records import Record
from drs.runner import existing, plan

ORDER = ("not reproduced", "partly reproduced", "reproduced", "no records")
"""What failed comes first."""
PAPERS = {"A": "The DRS paper", "B": "The RCE paper", "C": "Claims of our own"}
"""The first letter of a claim's id says whose it is."""


def summary(findings: Sequence[Finding], *, prefix: str = "../") -> str:
    """Every claim under its verdict, paper by paper, with a count in each heading's first line."""
    lines = []
    for letter, paper in PAPERS.items():
        mine = [found for found in findings if found.claim.id.startswith(letter)]
        counts = [(verdict, sum(f.judgement.verdict == verdict for f in mine)) for verdict in ORDER]
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
        lines += [f"**{paper}**: of {len(mine)} verdicts, {said or 'none'}.", ""]
        for verdict in ORDER:
            for found in (one for one in mine if one.judgement.verdict == verdict):
                link = f"[{found.claim.id}]({prefix}{found.claim.notebook}.ipynb)"
                number = f"{found.claim.quantity} = {found.interval}, " if found.judgement.n else ""
                lines.append(f"- **{verdict}**, {link}: {found.claim.statement} ({number}`{found.profile}`)")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _minutes(records: Sequence[Record]) -> float:
    return sum(record.seconds for record in records) / 60


def _words(values: Sequence[str]) -> str:
    return ", ".join(sorted(set(values)))


def computation(profiles: Sequence[str] = DECIDING) -> str:
    """Runs and wall time of every experiment under every profile that has records, as a Markdown table with totals."""
    rows = [
        "| experiment | profile | runs | minutes | seconds a run: median, longest | device | computed |",
        "|---|---|---|---|---|---|---|",
    ]
    totals = []
    for profile in profiles:
        every = {name: existing(name, profile) for name in EXPERIMENTS}
        for name, found in every.items():
            if not found:
                continue
            seconds = [record.seconds for record in found]
            days = sorted(record.utc[:10] for record in found)
            span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
            count, devices = len(plan(name, profile)), _words([record.device for record in found])
            runs = str(count) if len(found) == count else f"{len(found)} of {count}"
            rows.append(
                f"| `{name}`: {EXPERIMENTS[name].title} | `{profile}` | {runs} | {_minutes(found):.1f} "
                f"| {statistics.median(seconds):.1f}, {max(seconds):.1f} | {devices} | {span} |"
            )
        everything = [record for found in every.values() for record in found]
        if everything:
            totals.append(f"| **all** | `{profile}` | {len(everything)} | {_minutes(everything):.1f} | | | |")
    return "\n".join([*rows, *totals]) + "\n"


def cost_sentence(profiles: Sequence[str] = DECIDING) -> str:
    """What the whole book took to compute, in one sentence a profile."""
    lines = []
    for profile in profiles:
        found = [record for name in EXPERIMENTS for record in existing(name, profile)]
        if found:
            lines.append(
                f"Under `{profile}`, {len(found)} runs took {_minutes(found):.0f} minutes of one worker's time in all "
                f"({_words([record.device for record in found])}); the longest single run took "
                f"{max(record.seconds for record in found) / 60:.1f} minutes."
            )
        else:
            lines.append(f"Nothing has been computed under `{profile}` yet.")
    return " ".join(lines) + "\n"
