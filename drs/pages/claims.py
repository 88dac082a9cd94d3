"""The claims and their verdicts as text: lines and blocks for the command line, Markdown tables for the pages."""

from __future__ import annotations

from drs.pages.markdown import cell, table
from drs.study.claims import CLAIMS, Finding, Judgement, finding
from drs.study.profiles import QUICK, RESEEDED

__all__ = ["as_blocks", "as_lines", "as_markdown", "interval", "reseeded_markdown"]


def interval(judged: Judgement) -> str:
    """The deciding number with its interval, as text.

    >>> interval(Judgement("reproduced", 0.1234, 0.1, 0.2, 30, ""))
    '0.123 [0.1, 0.2]'
    """
    if judged.low != judged.low:
        return cell(judged.estimate) or "none"
    return f"{cell(judged.estimate)} [{cell(judged.low)}, {cell(judged.high)}]"


def as_lines(findings: list[Finding]) -> str:
    """One line of plain text per claim and profile: id, verdict, profile, number with interval, notebook."""
    return "\n".join(
        f"{f.claim.id:<4} {f.judgement.verdict:<17}  {f.profile:<9} {interval(f.judgement):<26} {f.claim.quantity}  "
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
            f"     {claim.quantity}: {interval(judged)}, {judged.n} {claim.counts}; {judged.detail}\n"
            f"     rule: {' '.join(filter(None, (claim.rule, claim.amended)))}\n"
            f"     {claim.notebook}.ipynb"
        )
    return "\n".join(blocks)


def reseeded_markdown() -> str:
    """A Markdown table of what other seeds make of each claim, next to ``quick``; a claim without such records is left
    out."""
    rows = []
    for claim_id, claim in CLAIMS.items():
        first, again = finding(claim_id, QUICK.name).judgement, finding(claim_id, RESEEDED.name).judgement
        if "no records" not in (first.verdict, again.verdict):
            same = "the same" if first.verdict == again.verdict else "**another verdict**"
            found = (f"{judged.verdict}: {interval(judged)}" for judged in (first, again))
            rows.append([f"{claim_id}, {claim.quantity}", *found, same])
    return table(["", "seeds of `quick`", "other seeds", ""], rows)


def as_markdown(findings: list[Finding], *, prefix: str = "") -> str:
    """A Markdown table, one row per claim and profile.

    Args:
        findings: From :func:`drs.study.claims.verdicts`.
        prefix: Put before the links to the notebooks, such as ``"../"``.
    """
    rows = []
    for found in findings:
        claim, judged = found.claim, found.judgement
        scale = f"{found.profile}, {found.dataset}, {judged.n} {claim.counts}" if judged.n else "not run"
        rows.append(
            [
                f"[{claim.id}]({prefix}{claim.notebook}.ipynb): {claim.statement}",
                claim.paper_says() or "nothing: ours",
                f"{claim.quantity}: **{interval(judged)}**",
                f"**{judged.verdict}** ({scale}{', rule amended' if claim.amended else ''})",
            ]
        )
    return table(["claim", "the paper says", "ours, 95% interval", "verdict"], rows)
