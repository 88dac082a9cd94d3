"""The page of all claims: a table for each source, a permanent address for each claim, and the same as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from drs.pages.claims import interval
from drs.pages.markdown import cell, table
from drs.pages.verdicts import badge
from drs.statistics import holm
from drs.study.claims import Claim, Finding
from drs.study.history import known

__all__ = [
    "Threshold",
    "as_json",
    "as_tables",
    "by_source",
    "chapter_link",
    "claim_link",
    "heading",
    "seeds_table",
    "threshold",
]

PAGE = "book/claims.html"
"""Where the claims are on the site: ``book/claims.html#B7`` is the address of claim B7."""
_NUMBER = r"(-?[\d,]*\.?\d+%?|half a percentage point)"
_SIDE = re.compile(rf"\b(above|below|at most|at least) {_NUMBER}")
_BAND = re.compile(rf"\bbetween {_NUMBER} and {_NUMBER}|\bwithin {_NUMBER} of {_NUMBER}")


class Threshold(NamedTuple):
    """What a rule compares its number with: the claim's side lies between ``low`` and ``high`` (either may be
    infinite)."""

    low: float
    high: float


def _number(text: str) -> float:
    if text.startswith("half"):
        return 0.5
    plain = float(text.rstrip("%").replace(",", ""))
    return plain / 100 if text.endswith("%") else plain


def threshold(rule: str) -> Threshold | None:
    """The number that a rule in words compares its quantity with, where the first condition of the rule names one.

    >>> threshold("Reproduced if the 95% t interval lies above -0.01; undecided if it straddles -0.01.")
    Threshold(low=-0.01, high=inf)
    >>> threshold("Reproduced if neither has an interval wholly above 0")
    Threshold(low=-inf, high=0.0)
    >>> threshold("Held if every alarm fires, and the share ends below 0.25.") is None
    True
    """
    begun = re.search(r"\b(?:reproduced|held) if,? (.*)", rule, flags=re.IGNORECASE | re.DOTALL)
    condition = re.split(r"; |, and the |\. ", begun[1])[0] if begun else ""
    side, band = _SIDE.search(condition), _BAND.search(condition)
    if band and (side is None or band.start() < side.start()):
        if band[1]:
            return Threshold(_number(band[1]), _number(band[2]))
        return Threshold(_number(band[4]) - _number(band[3]), _number(band[4]) + _number(band[3]))
    if side is None:
        return None
    value = _number(side[2])
    denied = re.search(r"\b(?:neither|no|none)\b", condition[: side.start()]) is not None
    upwards = (side[1] in ("above", "at least")) != denied
    return Threshold(value, float("inf")) if upwards else Threshold(-float("inf"), value)


def _said(limits: Threshold | None) -> str:
    """A threshold in words: which side of it the claim lies on."""
    if limits is None:
        return "no single number"
    if limits.high == float("inf"):
        return f"above {limits.low:g}"
    return f"below {limits.high:g}" if limits.low == -float("inf") else f"between {limits.low:g} and {limits.high:g}"


def by_source(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Findings under the paper that makes the claim, the two papers of the book first and our own claims last."""
    groups: dict[str, list[Finding]] = {}
    for found in findings:
        source = found.claim.source.partition(",")[0]
        groups.setdefault(source, []).append(found)
    first = {"DRS": 0, "RCE": 1, "ours": 3}
    return {source: groups[source] for source in sorted(groups, key=lambda source: (first.get(source, 2), source))}


def heading(source: str, findings: Sequence[Finding]) -> str:
    """The heading of a group: the paper with its address, or that the claims are ours."""
    return "Our own claims" if source == "ours" else f"Claims of {findings[0].claim.source}"


def claim_link(claim: Claim, root: str) -> str:
    """A link to a claim's permanent address, as inline HTML: ``root`` leads from the page to the site's root."""
    return f'<a href="{root}{PAGE}#{escape(claim.id)}">{escape(claim.id)}</a>'


def chapter_link(claim: Claim, root: str) -> str:
    """A link to the verdict on a claim in its chapter, as inline HTML."""
    return f'<a href="{root}{claim.notebook}.html#{escape(claim.id)}">{escape(claim.id)}</a>'


def _row(found: Finding, *, first: bool) -> list[str]:
    claim, judged = found.claim, found.judgement
    apart = " By construction: counted apart." if claim.by_construction else ""
    anchor = f'<span id="{escape(claim.id)}"></span>' if first else ""
    scale = f"{found.profile}, {found.dataset}, {judged.n} {claim.counts}" if judged.n else "not run"
    when = known(claim).get(found.profile) if judged.n else None
    return [
        f"{anchor}**{chapter_link(claim, '../')}** {claim.statement}{apart}",
        f"{badge(judged.verdict)} {scale}" + (f"; rule: {when.outcome}" if when else ""),
        f"{claim.quantity}: **{interval(judged)}**; rule: {_said(threshold(claim.rule))}",
        claim.paper_says() or "nothing to compare with",
    ]


def as_tables(findings: Sequence[Finding]) -> str:
    """One Markdown table per source under its heading: claim, verdict, our number, what the paper says."""
    parts, seen = [], set[str]()
    for source, group in by_source(findings).items():
        rows = []
        for found in group:
            rows.append(_row(found, first=found.claim.id not in seen))
            seen.add(found.claim.id)
        lines = table(["claim", "verdict", "ours, 95% interval", "the paper says"], rows)
        parts.append(f"## {heading(source, group)}\n\n:::{{div}} claims\n\n{lines}\n\n:::")
    return "\n\n".join(parts)


def seeds_table(findings: Sequence[Finding]) -> str:
    """What the seeds could have shown: for every claim that rests on one paired difference over seeds its p value, the
    same corrected for the number of such claims of its source and scale (Holm), and the smallest difference that as
    many seeds would have shown in four studies of five."""
    rows = []
    for source, group in by_source(findings).items():
        for profile in dict.fromkeys(found.profile for found in group):
            tested = [f for f in group if f.profile == profile and f.judgement.p_value == f.judgement.p_value]
            corrected = holm([found.judgement.p_value for found in tested])
            rows += [
                [
                    claim_link(found.claim, "../"),
                    "ours" if source == "ours" else source,
                    profile,
                    f"{found.judgement.p_value:.2g}",
                    f"{value:.2g}",
                    cell(found.judgement.detectable),
                ]
                for found, value in zip(tested, corrected)
            ]
    return table(["claim", "of", "profile", "p", "p, Holm", "smallest that could be shown"], rows)


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None  # NaN is not smaller either


def as_json(findings: Sequence[Finding]) -> str:
    """Every finding as JSON: claim, rule, verdict, number and address. What is not a number is null."""
    entries: list[dict[str, Any]] = []
    for found in findings:
        claim, judged = found.claim, found.judgement
        limits = threshold(claim.rule)
        entries.append(
            {
                "id": claim.id,
                "source": claim.source,
                "statement": claim.statement,
                "paper": claim.paper_says(),
                "rule": claim.words,
                "by_construction": claim.by_construction,
                "verdict": judged.verdict,
                "quantity": claim.quantity,
                "estimate": _finite(judged.estimate),
                "low": _finite(judged.low),
                "high": _finite(judged.high),
                "threshold": None if limits is None else [_finite(limits.low), _finite(limits.high)],
                "p_value": _finite(judged.p_value),
                "detectable": _finite(judged.detectable),
                "n": judged.n,
                "counts": claim.counts,
                "profile": found.profile,
                "dataset": found.dataset,
                "detail": judged.detail,
                "page": f"{PAGE}#{claim.id}",
                "chapter": f"{claim.notebook}.html#{claim.id}",
            }
        )
    return json.dumps(entries, indent=1, ensure_ascii=False)
