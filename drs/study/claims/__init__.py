"""Every claim with its rule and, from the records there are, its verdict. Nothing here runs an experiment."""

from __future__ import annotations

from drs.errors import pick
from drs.study.claims import architectures, drs, evaluation, family, rce, related
from drs.study.claims.base import Claim, Finding, Judgement, no_records
from drs.study.claims.gate import gated
from drs.study.plan import Scale, plan
from drs.study.profiles import DEFAULT, get_profile
from drs.study.results import Results

_CHAPTERS = (
    (
        evaluation.A0,
        drs.A1,
        drs.A2,
        architectures.A3,
        architectures.A4B,
        evaluation.C1,
        drs.A4A,
        architectures.C2,
        evaluation.C3,
        evaluation.C6,
    ),
    (rce.B0, rce.B1, rce.B2, rce.B3A, rce.B3B, rce.B4A, rce.B4B, rce.B5, rce.B6, rce.B7, rce.B8, rce.B9, rce.B10),
    (evaluation.C4, evaluation.C5),
    (architectures.C7, architectures.C8, architectures.C9, architectures.C10),
    (family.R1, family.R2A, family.R2B, family.R2C, family.R2D, family.R2E),
    (related.R3, related.R4A, related.R4B, related.R4C, related.R5A, related.R5B),
)
CLAIMS: dict[str, Claim] = {claim.id: claim for part in _CHAPTERS for claim in part}
"""Every claim by its id, as the chapters come."""


def get_claim(claim_id: str) -> Claim:
    """The claim of that id.

    Raises:
        UsageError: No claim of that id.
    """
    return pick("claim", CLAIMS, claim_id)


def finding(claim_id: str, profile: str, dataset: str | None = None) -> Finding:
    """A claim judged from the records of one profile (and, if given, of another data set than the profile's own);
    ``no records`` unless every run of its experiment is there, ``not tested`` where a network did not finish training.

    Raises:
        UsageError: No claim of that id.
        RecordError: A damaged record.
    """
    claim = get_claim(claim_id)
    frame, asked = Results().frame(claim.experiment, profile, dataset=dataset), dataset
    if len(frame) < len(plan(claim.experiment, profile, dataset=dataset)):
        return Finding(claim, profile, no_records("not run"), 0, "", "")
    trained = "network." if "network.seed" in frame else ""  # else the run itself has a seed and a data set, or none
    seeds = int(frame[f"{trained}seed"].nunique()) if f"{trained}seed" in frame else 1
    known = f"{trained}dataset" in frame
    dataset = ", ".join(sorted(set(frame[f"{trained}dataset"].dropna()))) if known else "no data"
    devices = ", ".join(sorted(set(frame["device"])))
    judged = claim.worded(gated(claim, claim.judge(frame), profile, asked))
    return Finding(claim, profile, judged, seeds, dataset, devices)


def verdicts() -> list[Finding]:
    """Every claim at every deciding scale that has all its records; a claim without any appears once."""
    scales = {name: Results().complete(name) for name in dict.fromkeys(claim.experiment for claim in CLAIMS.values())}
    nowhere = [Scale(DEFAULT, get_profile(DEFAULT).dataset)]
    return [
        finding(claim_id, scale.profile, scale.dataset)
        for claim_id, claim in CLAIMS.items()
        for scale in scales[claim.experiment] or nowhere
    ]


__all__ = [
    "CLAIMS",
    "Claim",
    "Finding",
    "Judgement",
    "finding",
    "get_claim",
    "verdicts",
]
