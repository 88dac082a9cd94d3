"""What the front page says first: how many claims came out how, on what scale, and the findings with their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from drs.pages.claims import details, interval
from drs.pages.figures.drs import epsilons, under
from drs.pages.listing import claim_link
from drs.pages.report import networks_trained, parameter_count
from drs.pages.verdicts import badge, look, ordered, strongest
from drs.study.claims import CLAIMS, Finding
from drs.study.claims.base import SHOWN, main_architecture
from drs.study.claims.evaluation import CONTROLS
from drs.study.claims.rce import RELIABLE
from drs.study.metrics import DETECTORS, column, columns
from drs.study.plan import Scale, plan
from drs.study.profiles import PROFILES
from drs.study.records import to_frame
from drs.study.results import Results

__all__ = ["deciding_frame", "scale", "sentences", "tally"]

KEPT = ("reproduced", "held")
LOST = ("not reproduced", "failed")


def tally(findings: Sequence[Finding]) -> str:
    """How many claims have which verdict, each at its strongest profile: a coloured strip and a sentence."""
    every = strongest(findings)
    apart = [found.claim.id for found in every if found.claim.by_construction]
    counts: Counter[str] = Counter(found.judgement.verdict for found in every if not found.claim.by_construction)
    words = ordered(counts)
    parts = "".join(
        f'<a href="claims.html" tabindex="-1" style="flex: {counts[word]}; background: {look(word).colour}" '
        f'title="{counts[word]} {word}">{look(word).sign}&nbsp;{counts[word]}</a>'
        for word in words
    )
    said = " · ".join(f"{badge(word)} {counts[word]}" for word in words)
    last = f" · and {len(apart)} that hold by construction ({', '.join(apart)})" if apart else ""
    return f'<div class="tally" aria-hidden="true">{parts}</div>\n\n{counts.total()} claims: {said}{last}\n'


def deciding_frame(experiment: str) -> pd.DataFrame:
    """The records of an experiment at the strongest scale that has all of them; empty where there is none."""
    scales = Results().complete(experiment)
    if not scales:
        return pd.DataFrame()
    best = next(one for one in scales if one.profile == scales[-1].profile)
    return to_frame(Results().records(experiment, best.profile, dataset=best.dataset))


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _at(findings: Sequence[Finding], claim_id: str) -> Finding | None:
    """The strongest finding on a claim, if there is such a claim and it has a number."""
    for found in strongest(findings):
        if found.claim.id == claim_id and found.judgement.n:
            return found
    return None


def _link(found: Finding | None) -> str:
    """A claim in brackets, with its verdict and the scale that gave it."""
    if found is None:
        return ""
    return f" ({claim_link(found.claim, '../')}: {found.judgement.verdict}, `{found.profile}`, {found.dataset})"


def _elsewhere(findings: Sequence[Finding], shown: Finding) -> str:
    """What the other scales say of the same claim, in one sentence."""
    others = [f for f in findings if f.claim.id == shown.claim.id and f != shown and f.judgement.n]
    listed = "; ".join(f"{found.judgement.verdict} under `{found.profile}` on {found.dataset}" for found in others)
    return f" At other scales: {listed}." if others else ""


def _restraint(findings: Sequence[Finding], frame: pd.DataFrame) -> list[str]:
    """When the DRS loss helps, and when it does not."""
    means = {name: rows.mean(numeric_only=True) for name, rows in frame.groupby("variant")}
    if not {"ce", "drs"} <= set(means):
        return []
    said = []
    if area := _at(findings, "A3"):
        said.append(
            f"**DRS {_ADDS[area.judgement.verdict]}.** {_upper(area.claim.quantity.partition(', the ')[0])}: "
            f"{details(area.judgement)}{_link(area)}.{_elsewhere(findings, area)}"
        )
    budgets = epsilons(frame, "worst")
    gains = {budget: means["drs"][under("worst", budget)] - means["ce"][under("worst", budget)] for budget in budgets}
    best = max(gains, key=lambda budget: gains[budget])
    kept = {name: _percent(means[name][under("worst", best)]) for name in ("ce", "drs")}
    last = budgets[-1]
    second = (
        f"**It is no general defence.** On the most fragile of these networks, at epsilon {best:g}, where it helps "
        f"most, DRS keeps {kept['drs']} of the images and cross-entropy {kept['ce']}; at epsilon {last:g} it keeps "
        f"{_percent(means['drs'][under('worst', last)])}"
    )
    if strong := _at(findings, "C2"):
        second += f". Does half of the gain survive our strongest attack? {details(strong.judgement)}{_link(strong)}"
    said.append(second + ".")
    if control := _at(findings, "C1"):
        said.append(
            f"**{_RIVALS[control.judgement.verdict]}.** Each of {len(CONTROLS)} other regularisers and DRS got the "
            "strength that is best for it on validation images. Area under worst-case accuracy, DRS minus the best of "
            f"them: {interval(control.judgement)}{_link(control)}."
        )
    return said


_ADDS = {
    "reproduced": "makes every architecture that we tried more robust",
    "partly reproduced": "makes some architectures more robust, and not others",
    "undecided": "may make networks more robust: the seeds do not say",
    "not reproduced": "makes no architecture that we tried more robust",
    "not tested": "was not tested: the networks had not learnt",
}


_RIVALS = {
    "held": "It gains more than its rivals",
    "undecided": "Whether it gains more than its rivals is open",
    "failed": "A rival gains more",
    "not tested": "Its rivals were not tested: the networks had not learnt",
}


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]


def _scores(findings: Sequence[Finding], frame: pd.DataFrame) -> list[str]:
    """What RCE does to the detector's score."""
    found = _at(findings, "B3b")
    if found is None:
        return []
    names = list(columns(frame, "auc", detector="non_me"))
    means = frame.groupby("network.loss")[names].mean().mean(axis=1)
    head = "Whether RCE makes a simple score reliable is open"
    if found.judgement.verdict in KEPT:
        head = "RCE makes a simple score reliable"
    elif found.judgement.verdict in LOST:
        head = (
            f"RCE makes a simple score {'better, but' if means['rce'] > means['ce'] else 'no better, and'} not reliable"
        )
    return [
        f"**{head}.** The entropy of the false classes tells attacked images from normal ones with an area under "
        f"the ROC curve of {means['rce']:.2f} after RCE and {means['ce']:.2f} after cross-entropy, mean over attacks "
        f"that do not know the detector. Reliable would be {RELIABLE:g}{_link(found)}."
    ]


def _falls(findings: Sequence[Finding], adaptive: pd.DataFrame) -> list[str]:
    """What attackers do who know the detector."""
    found = _at(findings, "C5")
    if found is None or adaptive.empty:
        return []
    rows = adaptive[adaptive["network.loss"] == "rce"]

    def through(attack: str) -> dict[str, float]:
        numbers = {m: column("undetected", detector=m, attack=attack, budget=SHOWN) for m in DETECTORS}
        return {metric: float(rows[number].mean()) for metric, number in numbers.items()}

    known, blind = through("union"), through("blind")
    best = min(known, key=lambda metric: known[metric])
    return [
        f"**{_KNOWING[found.judgement.verdict]}.** Misclassified and accepted behind an RCE network, with the score "
        f"that serves it best: {details(found.judgement).partition(': ')[2]}. Attacks that do not know of the detector "
        f"get {_percent(blind[best])} past {DETECTORS[best]} at epsilon {SHOWN:g}{_link(found)}."
    ]


_KNOWING = {
    "held": "The detector withstands an attacker who knows it",
    "partly held": "The detector withstands an attacker who knows it at some budgets only",
    "undecided": "The detector is not shown to withstand an attacker who knows it",
    "failed": "An attacker who knows the detector defeats it",
    "not tested": "Whether the detector withstands one who knows it was not tested: the networks had not learnt",
}


def _together(findings: Sequence[Finding]) -> list[str]:
    """What becomes of the detector when the networks are trained with DRS."""
    found = _at(findings, "C4")
    if found is None:
        return []
    head = {
        **dict.fromkeys(KEPT, "The two ideas help each other"),
        **dict.fromkeys(LOST, "The two ideas do not help each other"),
    }
    return [
        f"**{head.get(found.judgement.verdict, 'The two ideas together are an open question')}.** Behind DRS networks "
        f"the detector's area under the ROC curve changes by {interval(found.judgement)} against cross-entropy"
        f"{_link(found)}."
    ]


def sentences(findings: Sequence[Finding]) -> str:
    """What we found, good and bad, as a list in Markdown; a sentence whose records are not there is left out."""
    losses, detection = deciding_frame("losses"), deciding_frame("detection")
    every: list[str] = []
    if not losses.empty:
        every += _restraint(findings, losses)
    if not detection.empty:
        detection = main_architecture(detection)
        every += _scores(findings, detection)
        every += _falls(findings, deciding_frame("adaptive"))
    every += _together(findings)
    return "\n".join(f"- {sentence}" for sentence in every) + "\n"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def scale(findings: Sequence[Finding]) -> str:
    """How small everything is, in one bold sentence."""
    used = [found for found in strongest(findings) if found.judgement.n]
    data = sorted({part for found in used for part in found.dataset.split(", ") if part != "no data"})
    scales = {Scale(found.profile, PROFILES[found.profile].dataset): None for found in used}
    trained = networks_trained(run for one in scales for name in _experiments() for run in plan(name, one.profile))
    sizes = [parameter_count(spec) for spec in trained]
    seeds = [found.seeds for found in used if found.claim.counts == "seeds"]
    whole = sum(len(plan(name, "paper")) for name in _experiments())
    done = sum(len(Results().records(name, "paper")) for name in _experiments())
    return (
        f"**All of this is small: the data are {', '.join(f'`{name}`' for name in data)} (`mnist5k` is 5,000 digits), "
        f"the networks have {_range(sizes)} parameters, a verdict rests on {_range(seeds)} seeds, and {done} of the "
        f"{whole} runs planned at the papers' own scale have been made.**\n"
    )


def _experiments() -> list[str]:
    return list(dict.fromkeys(claim.experiment for claim in CLAIMS.values()))
