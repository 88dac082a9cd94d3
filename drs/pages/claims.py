"""The claims and their verdicts as text: lines and blocks for the command line, Markdown tables for the pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from drs.pages.markdown import cell, table
from drs.study.claims import CLAIMS, Finding, Judgement
from drs.study.history import NOTHING, Entry, known, said

__all__ = ["as_blocks", "as_history", "as_lines", "as_markdown", "details", "interval", "when_fixed"]


def interval(judged: Judgement) -> str:
    """The deciding number with its interval, as text.

    >>> interval(Judgement("reproduced", 0.1234, 0.1, 0.2, 30, ""))
    '0.123 [0.1, 0.2]'
    """
    if judged.low != judged.low:
        return cell(judged.estimate) or "none"
    return f"{cell(judged.estimate)} [{cell(judged.low)}, {cell(judged.high)}]"


def details(judged: Judgement) -> str:
    """The numbers behind a judgement, for a page. An accuracy that rounds to the limit it misses is not printed.

    >>> details(Judgement("undecided", 0, 0, 0, 3, "MLP is left out: training ended at 0.980, below 0.98"))
    'MLP is left out: training ended below 0.98'
    """
    return re.sub(r"training ended at [\d.]+, below", "training ended below", judged.detail)


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
            f"     {claim.quantity}: {interval(judged)}, {judged.n} {claim.counts}; {details(judged)}\n"
            f"     rule: {claim.words}\n"
            f"     {said(claim)}\n"
            f"     {claim.notebook}.ipynb"
        )
    return "\n".join(blocks)


def as_history(entries: Mapping[str, Mapping[str, Entry]], words: Callable[[str, str], str]) -> str:
    """A block of plain text for each claim: for each profile what git shows of its rule, then the rule at the commits
    of its records and now.

    Args:
        entries: From :func:`drs.study.history.compute`.
        words: From a claim's id and a commit to the rule in words there.
    """
    lines = []
    for claim_id, claim in CLAIMS.items():
        found = entries.get(claim_id, {})
        lines += [f"{claim_id:<4} {profile}: {one.sentence}" for profile, one in found.items()]
        commits = {commit: then for one in found.values() for commit, then in one.records.items()}
        lines += [f"     {commit} [{then or 'no hash'}]: {words(claim_id, commit)}" for commit, then in commits.items()]
        lines += [f"     now [{now}]: {claim.words}" for now in {one.now for one in found.values()}]
        lines += [] if found else [f"{claim_id:<4} {NOTHING}"]
    return "\n".join(lines)


def when_fixed(findings: list[Finding]) -> str:
    """One sentence that counts what git shows of the rules behind some findings."""
    found: dict[str, list[str]] = {}
    for each in findings:
        when = known(each.claim).get(each.profile) if each.judgement.n else None
        found.setdefault(when.outcome if when else NOTHING, []).append(each.claim.id)
    return "; ".join(f"{outcome}: {len(ids)} ({', '.join(ids)})" for outcome, ids in sorted(found.items()))


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
        if judged.n and (when := known(claim).get(found.profile)):
            scale += f"; rule: {when.outcome}"
        rows.append(
            [
                f"[{claim.id}]({prefix}{claim.notebook}.ipynb): {claim.statement}",
                claim.paper_says() or "nothing: ours",
                f"{claim.quantity}: **{interval(judged)}**",
                f"**{judged.verdict}** ({scale})",
            ]
        )
    return table(["claim", "the paper says", "ours, 95% interval", "verdict"], rows)
