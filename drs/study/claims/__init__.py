"""Every claim with its rule and, from the records there are, its verdict. Nothing here runs an experiment."""

from __future__ import annotations

from drs.errors import pick
from drs.study.claims import drs_paper, rce_list, stress_rules
from drs.study.claims.base import NO_RECORDS, Claim, Finding, Judgement
from drs.study.profiles import get_profile
from drs.study.records import to_frame
from drs.study.runner import existing, plan
from drs.study.scales import Scale, complete_scales

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (*drs_paper.CLAIMS, *stress_rules.CLAIMS, *rce_list.CLAIMS)}
"""Every claim by its id, in the order of the chapters' numbers."""


def get_claim(claim_id: str) -> Claim:
    """The claim of that id.

    Raises:
        UsageError: No claim of that id.
    """
    return pick("claim", CLAIMS, claim_id)


def finding(claim_id: str, profile: str, dataset: str | None = None) -> Finding:
    """A claim judged from the records of one profile (and, if given, of another data set than the profile's own);
    ``no records`` unless every run of its experiment is there.

    Raises:
        UsageError: No claim of that id.
        RecordError: A damaged record.
    """
    claim = get_claim(claim_id)
    records = existing(claim.experiment, profile, dataset=dataset)
    if len(records) < len(plan(claim.experiment, profile, dataset=dataset)):
        return Finding(claim, profile, NO_RECORDS, 0, "", "")
    frame = to_frame(records)
    seeds = int(frame["network.seed"].nunique()) if "network.seed" in frame else 1
    dataset = ", ".join(sorted(set(frame["network.dataset"].dropna()))) if "network.dataset" in frame else "no data"
    devices = ", ".join(sorted(set(frame["device"])))
    return Finding(claim, profile, claim.judge(frame), seeds, dataset, devices)


def verdicts() -> list[Finding]:
    """Every claim at every deciding scale that has all its records; a claim without any appears once."""
    scales = {name: complete_scales(name) for name in dict.fromkeys(claim.experiment for claim in CLAIMS.values())}
    nowhere = [Scale("quick", get_profile("quick").dataset)]
    return [
        finding(claim_id, scale.profile, scale.dataset)
        for claim_id, claim in CLAIMS.items()
        for scale in scales[claim.experiment] or nowhere
    ]


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
        first, again = finding(claim_id, "quick"), finding(claim_id, "reseeded")
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


__all__ = [
    "CLAIMS",
    "Claim",
    "Finding",
    "Judgement",
    "as_blocks",
    "as_lines",
    "as_markdown",
    "finding",
    "get_claim",
    "reseeded_markdown",
    "verdicts",
]
