"""The claims and their verdicts as text: lines and blocks for the command line, Markdown tables for the pages."""

from __future__ import annotations

from drs.study.claims import CLAIMS, Finding, finding
from drs.study.profiles import QUICK, RESEEDED


def as_lines(findings: list[Finding]) -> str:
    """One line of plain text a claim and profile: id, verdict, profile, number with interval, notebook."""
    return "\n".join(
        f"{f.claim.id:<4} {f.judgement.verdict:<17}  {f.profile:<9} {f.interval:<26} {f.claim.quantity}  "
        f"({f.claim.notebook}.ipynb)"
        for f in findings
    )


def as_blocks(findings: list[Finding]) -> str:
    """A block of plain text for each claim: verdict, number, statement, rule, notebook."""
    blocks = []
    for found in findings:
        claim, judged = found.claim, found.judgement
        blocks.append(
            f"{claim.id:<4} {judged.verdict.upper()} ({found.profile}): {claim.statement}\n"
            f"     {claim.quantity}: {found.interval}, {judged.n} {claim.counts}; {judged.detail}\n"
            f"     rule: {' '.join(filter(None, (claim.rule, claim.mended)))}\n"
            f"     {claim.notebook}.ipynb"
        )
    return "\n".join(blocks)


def reseeded_markdown() -> str:
    """A Markdown table of what other seeds make of each claim, beside ``quick``; a claim without such records is left
    out."""
    rows = ["| | seeds of `quick` | other seeds | |", "|---|---|---|---|"]
    for claim_id, claim in CLAIMS.items():
        first, again = finding(claim_id, QUICK.name), finding(claim_id, RESEEDED.name)
        if "no records" in (first.judgement.verdict, again.judgement.verdict):
            continue
        same = "the same" if first.judgement.verdict == again.judgement.verdict else "**another verdict**"
        cells = [f"{f.judgement.verdict}: {f.interval}" for f in (first, again)]
        rows.append(f"| {claim_id}, {claim.quantity} | {cells[0]} | {cells[1]} | {same} |")
    return "\n".join(rows)


def as_markdown(findings: list[Finding], *, prefix: str = "") -> str:
    """A Markdown table, one row a claim and profile.

    Args:
        findings: From :func:`verdicts`.
        prefix: Put before the links to the notebooks, such as ``"../"``.
    """
    rows = [
        "| claim | the paper says | ours, 95% interval | verdict |",
        "|---|---|---|---|",
    ]
    for found in findings:
        claim, judged = found.claim, found.judgement
        link = f"[{claim.id}]({prefix}{claim.notebook}.ipynb)"
        scale = f"{found.profile}, {found.dataset}, {judged.n} {claim.counts}" if judged.n else "not run"
        mended = ", rule mended" if claim.mended else ""
        rows.append(
            f"| {link}: {claim.statement} | {claim.paper_says() or 'nothing: ours'} "
            f"| {claim.quantity}: **{found.interval}** | **{judged.verdict}** ({scale}{mended}) |"
        )
    return "\n".join(rows)
