"""When each rule was fixed: the rule at the commit that its records were computed at, against the rule now.

The answer is computed from git and kept in data/rules/history.json, so that pages can print it without git. It is about
the records that are there now. What was seen in records that these replaced is told by
``amended`` in :class:`drs.study.claims.base.Claim`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from drs._files import write_whole
from drs.errors import UsageError
from drs.paths import project_root, rules_history
from drs.study.claims import CLAIMS
from drs.study.claims.base import Claim
from drs.study.profiles import PROFILES
from drs.study.records import Record
from drs.study.repository import Change, Kind, Repository, differences
from drs.study.results import Results
from drs.study.rules import Rule, rule_hash, rule_now

__all__ = [
    "COMMAND",
    "NOTHING",
    "Entry",
    "OutcomeName",
    "as_json",
    "compute",
    "known",
    "load",
    "said",
    "save",
    "standing",
    "words",
]

COMMAND = "drs claims --history --save"
"""What brings data/rules/history.json up to date."""
NOTHING = "no records yet"

OutcomeName: TypeAlias = Literal[
    "fixed before the run",
    "fixed before the run, moved since",
    "wording changed since",
    "cannot be shown",
    "code changed since",
    "code and wording changed since",
    "written after the run",
    "amended after results were seen",
]
"""What can be said of a rule, best first."""
_ORDER: tuple[OutcomeName, ...] = get_args(OutcomeName)
_OUTCOMES: dict[tuple[Kind, ...], OutcomeName] = {
    (): "fixed before the run",
    ("moved",): "fixed before the run, moved since",
    ("wording",): "wording changed since",
    ("code",): "code changed since",
    ("code", "wording"): "code and wording changed since",
    ("written",): "written after the run",
}
"""The outcome for each set of differences between the rule then and the rule now."""


@dataclass(frozen=True)
class Entry:
    """What can be said of one rule and its records under one profile.

    Attributes:
        outcome: In a few words.
        reason: What the outcome needs besides: why the rule was amended, or why nothing can be shown.
        records: The commits that the records were computed at, each with the hash of the rule there; the hash is empty
            where it is not known.
        now: Hash of the rule now.
        changes: The commits that changed the rule after the first of these, oldest first.
    """

    outcome: OutcomeName
    reason: str
    records: Mapping[str, str]
    now: str
    changes: tuple[Change, ...] = ()

    @property
    def sentence(self) -> str:
        """The outcome with its reason.

        >>> change = Change("1a2b3c4", "code", "A stricter threshold")
        >>> Entry("code changed since", "", {"0f0f0f0f0f0f": "1" * 16}, "2" * 16, (change,)).sentence
        'code changed since: "A stricter threshold" (1a2b3c4)'
        """
        kinds = next((kinds for kinds, outcome in _OUTCOMES.items() if outcome == self.outcome), ())
        which = dict.fromkeys(str(change) for change in self.changes if change.kind in kinds)
        reason = self.reason or "; ".join(which)
        return f"{self.outcome}: {reason}" if reason else self.outcome


def standing(claim: Claim, now: Rule, records: Iterable[Record], repository: Repository) -> Entry:
    """What git shows of a claim's rule and the records that decide it.

    Args:
        claim: The claim.
        now: Its rule now.
        records: The records, one at least.
        repository: Where to look.
    """
    pairs = sorted({(record.commit, record.rules.get(claim.id, "")) for record in records})
    found, hashes, since = [], {}, []
    for commit, carried in pairs:
        outcome, reason, then = _at(claim.id, now, commit, carried, repository)
        found.append((_ORDER.index(outcome), outcome, reason))
        hashes[commit] = carried or ("" if then is None else then.hash)
        if outcome not in ("fixed before the run", "cannot be shown"):
            since.append(repository.changes(claim.id, commit.removesuffix("+changes"), now))
    changes = dict.fromkeys(change for each in sorted(since, key=len, reverse=True) for change in each)
    _, outcome, reason = max(found)
    if claim.amended:
        outcome, reason = "amended after results were seen", claim.amended
    return Entry(outcome, reason, hashes, now.hash, tuple(changes))


def _at(
    claim_id: str, now: Rule, commit: str, carried: str, repository: Repository
) -> tuple[OutcomeName, str, Rule | None]:
    """What the records of one commit show, why, and the rule at that commit where git knows it."""
    clean = commit.removesuffix("+changes")
    try:
        repository.require(clean)
        then = repository.rule(claim_id, clean)
    except UsageError as error:
        same = carried == now.hash  # the records themselves say so
        return ("fixed before the run", "", None) if same else ("cannot be shown", str(error), None)
    if carried and (then is None or then.hash != carried):
        if carried == now.hash:
            return "fixed before the run", "", then
        return "cannot be shown", f"the records carry the rule {carried}, which commit {clean} does not have", then
    if commit != clean and not carried:
        return (
            "cannot be shown",
            f"the records were computed with changes to commit {clean} that were not committed",
            then,
        )
    return _OUTCOMES[differences(then, now)], "", then


def compute(repository: Repository) -> dict[str, dict[str, Entry]]:
    """An entry for every claim and every profile that has all its records, by the claim's id and the profile's name.

    Args:
        repository: A checkout, whose records in data/results are looked at.

    Raises:
        RecordError: A damaged record.
    """
    results = Results(repository.root / "data" / "results")
    kept = [profile for profile in PROFILES.values() if not profile.scratch]
    records: dict[str, dict[str, list[Record]]] = {}
    for experiment in dict.fromkeys(claim.experiment for claim in CLAIMS.values()):
        of = records.setdefault(experiment, {})
        for scale in results.complete(experiment, kept):
            found = results.records(experiment, scale.profile, dataset=scale.dataset)
            of[scale.profile] = of.get(scale.profile, []) + found
    return {
        claim.id: {p: standing(claim, rule_now(claim), found, repository) for p, found in by_profile.items()}
        for claim in CLAIMS.values()
        if (by_profile := records[claim.experiment])
    }


def as_json(entries: Mapping[str, Mapping[str, Entry]]) -> str:
    """The text of data/rules/history.json; the reason of an amended rule is left to the claim."""

    def body(one: Entry) -> dict[str, Any]:
        return asdict(one) | ({"reason": ""} if one.outcome == "amended after results were seen" else {})

    plain = {claim: {profile: body(one) for profile, one in of.items()} for claim, of in entries.items()}
    return json.dumps(plain, indent=1) + "\n"


def save(entries: Mapping[str, Mapping[str, Entry]]) -> Path:
    """Write data/rules/history.json from :func:`compute`.

    Raises:
        UsageError: Git is not there, or does not know the whole history.
    """
    if not Repository(project_root()).complete:
        raise UsageError("expected a checkout with its whole history, which 'git fetch --unshallow' brings")
    path = rules_history()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, as_json(entries))
    return path


def words(repository: Repository, claim_id: str, commit: str) -> str:
    """A claim's rule in words at a commit of records, or why it cannot be shown."""
    clean = commit.removesuffix("+changes")
    try:
        repository.require(clean)
        rule = repository.rule(claim_id, clean)
    except UsageError as error:
        return f"cannot be shown: {error}"
    return "no such claim yet" if rule is None else rule.text


def load() -> dict[str, dict[str, Entry]]:
    """What data/rules/history.json holds; nothing where there is no such file.

    Raises:
        UsageError: The file is damaged.
    """
    path = rules_history()
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {claim: {p: _entry(one) for p, one in of.items()} for claim, of in plain.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {error!r}; '{COMMAND}' writes it anew") from error


def _entry(plain: Mapping[str, Any]) -> Entry:
    return Entry(**{**plain, "changes": tuple(Change(**change) for change in plain["changes"])})


def known(claim: Claim) -> dict[str, Entry]:
    """The committed entries of a claim by profile, for the pages. A rule that was edited since says so.

    Raises:
        UsageError: data/rules/history.json is damaged.
    """
    found = load().get(claim.id, {})
    if found and any(one.now != rule_hash(claim) for one in found.values()):
        reason = f"the rule was edited after data/rules/history.json was written; '{COMMAND}' brings it up to date"
        return {profile: replace(one, outcome="cannot be shown", reason=reason) for profile, one in found.items()}
    if claim.amended:
        return {profile: replace(one, reason=claim.amended) for profile, one in found.items()}
    return found


def said(claim: Claim) -> str:
    """What is known of a claim's rule under the profiles that decide, in one sentence without its full stop.

    >>> from drs.study.claims import get_claim
    >>> said(get_claim("C4")).partition(":")[0]
    'amended after results were seen'

    Raises:
        UsageError: data/rules/history.json is damaged.
    """
    found = {profile: one.sentence for profile, one in known(claim).items() if PROFILES[profile].decides}
    if len(set(found.values())) < 2:
        return next(iter(found.values()), NOTHING)
    return "; ".join(f"under {profile} {sentence}" for profile, sentence in found.items())
