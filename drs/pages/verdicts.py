"""How a verdict looks: one colour and one shape for each word, and a badge. A word that is not known is grey."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from drs.study.claims.base import Finding
from drs.study.profiles import PROFILES

__all__ = ["LOOKS", "Look", "badge", "look", "ordered", "strongest"]


@dataclass(frozen=True)
class Look:
    """Colour, Matplotlib marker and sign of a verdict; white text on the colour has a contrast of at least 4.5."""

    colour: str
    marker: str
    sign: str


LOOKS = {
    "reproduced": Look("#1a7340", "o", "●"),
    "held": Look("#0b6b75", "p", "⬟"),
    "partly reproduced": Look("#8a6100", "D", "◆"),
    "partly held": Look("#6f5b12", "d", "◈"),
    "undecided": Look("#5b6472", "s", "■"),
    "not reproduced": Look("#b3261e", "X", "✖"),
    "failed": Look("#8e2157", "P", "✚"),
    "not tested": Look("#5d4a94", "^", "▲"),
    "no records": Look("#68686b", "|", "○"),
}
"""Every verdict from the best to the emptiest; ``held``, ``partly held`` and ``failed`` are for claims of our own."""
UNKNOWN = Look("#68686b", "*", "?")


def look(verdict: str) -> Look:
    """The look of a verdict; of a word that is not in :data:`LOOKS` that of none.

    >>> look("reproduced").marker, look("something new").marker
    ('o', '*')
    """
    return LOOKS.get(verdict, UNKNOWN)


def ordered(verdicts: Iterable[str]) -> list[str]:
    """Different verdicts in the order of :data:`LOOKS`, words that are not there last.

    >>> ordered(["odd", "undecided", "reproduced", "undecided"])
    ['reproduced', 'undecided', 'odd']
    """
    found = dict.fromkeys(verdicts)
    return [word for word in LOOKS if word in found] + [word for word in found if word not in LOOKS]


def badge(verdict: str) -> str:
    """A verdict on its colour, as inline HTML that Markdown keeps.

    >>> badge("held")
    '<span class="verdict" style="background: #0b6b75">⬟ held</span>'
    """
    one = look(verdict)
    return f'<span class="verdict" style="background: {one.colour}">{one.sign} {escape(verdict)}</span>'


def strongest(findings: Iterable[Finding]) -> list[Finding]:
    """One finding per claim: that of the strongest profile, and there of the first data set."""
    rank = {name: place for place, name in enumerate(PROFILES)}
    best: dict[str, Finding] = {}
    for found in findings:
        before = best.get(found.claim.id)
        if before is None or rank.get(found.profile, 0) > rank.get(before.profile, 0):
            best[found.claim.id] = found
    return list(best.values())
