"""What a chapter says about its own numbers: verdicts, tables and provenance as Markdown, written from records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from drs.pages import markdown
from drs.pages.claims import details, interval
from drs.pages.listing import claim_link
from drs.paths import repository_address
from drs.study.claims import finding, get_claim
from drs.study.claims.base import Finding
from drs.study.claims.gate import LEAST
from drs.study.history import said
from drs.study.metrics import label
from drs.study.plan import Scale
from drs.study.profiles import PROFILES, get_profile
from drs.study.records import Record, canonical, flat
from drs.study.results import Results

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown

__all__ = ["folded", "parameters", "prose", "provenance", "sentence", "setup", "table", "verdict"]


def setup() -> None:
    """The house style of figures; for the first cell of a chapter."""
    from drs.pages.figures import style

    style.apply()


def prose(text: str) -> Markdown:
    """Text in Markdown as a cell's result."""
    from IPython.display import Markdown

    return Markdown(text)


def sentence(found: Finding) -> str:
    """One finding as a sentence with its interval, its scale and its rule."""
    judged = found.judgement
    if judged.verdict == "no records":
        return f"Under `{found.profile}` there are no complete records, so there is no verdict."
    seeds = "" if found.claim.counts == "seeds" else f", seeds: {found.seeds}"
    return (
        f"**{judged.verdict.capitalize()}** under `{found.profile}` ({found.dataset}, {judged.n} "
        f"{found.claim.counts}{seeds}): {found.claim.quantity} = {interval(judged)}. {details(judged)}."
    )


def verdict(*claim_ids: str, profile: str = "quick") -> Markdown:
    """The verdicts of some claims: under ``profile`` and at every other deciding scale that was run in full, and what
    git shows of when each rule was fixed (:mod:`drs.study.history`).

    Smoke numbers are shown as what they are and set no verdict.
    """
    parts = []
    for claim_id in claim_ids:
        claim = get_claim(claim_id)
        lines = [
            f'<span id="{claim_id}"></span>**{claim_link(claim, "../")}. {claim.statement}**',
            "",
            f"Rule: {claim.words}",
            "",
        ]
        if claim.by_construction:
            lines += [f"By construction, and counted apart: {claim.by_construction}", ""]
        if claim.networks:
            lines += [
                f"Not tested where a network that the rule compares ends training below an accuracy of {LEAST:g}.",
                "",
            ]
        if get_profile(profile).scratch:
            lines.append(f"- `{profile}` runs only show that the chapter executes: they set no verdict.")
        else:
            own = Scale(profile, PROFILES[profile].dataset)
            others = [scale for scale in Results().complete(claim.experiment) if scale != own]
            found = [finding(claim_id, scale.profile, scale.dataset) for scale in (own, *others)]
            lines += [f"- {sentence(one)}" for one in found]
        when = markdown.plain(said(claim))
        lines += ["", f"**When the rule was fixed.** {when[0].upper()}{when[1:].removesuffix('.')}."]
        parts.append("\n".join(lines))
    return prose("\n\n".join(parts))


def table(frame: pd.DataFrame, caption: str = "") -> Markdown:
    """A data frame as a table with its index; columns that are metrics get their labels."""
    columns = ["", *(label(str(column)) for column in frame.columns)]
    lines = markdown.table(columns, frame.itertuples(name=None))
    return prose(f"*{caption}*\n\n{lines}" if caption else lines)


def folded(summary: str, *parts: Markdown) -> Markdown:
    """Parts of a page, such as tables, behind a line that a click opens.

    >>> print(folded("More", prose("*a*"), prose("b")).data)
    <details><summary>More</summary>
    <BLANKLINE>
    *a*
    <BLANKLINE>
    b
    <BLANKLINE>
    </details>
    """
    inside = "\n\n".join(str(part.data) for part in parts)
    return prose(f"<details><summary>{summary}</summary>\n\n{inside}\n\n</details>")


def provenance(records: Iterable[Record], profile: str) -> Markdown:
    """Where the numbers of a page come from: profile, data, seeds, device, versions, commit, date, time, parameters.

    Args:
        records: Every record that the page used, of one experiment or of several.
        profile: The profile of the page.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.run.experiment, []).append(record)
    lines = [f"*Profile `{profile}` ({PROFILES[profile].purpose}).*", ""]
    for experiment, found in groups.items():
        lines += [f"- {_origin(experiment, found, timed=profile != 'smoke')}"]
    lines += ["", "<details><summary>Parameters of these runs</summary>", ""]
    for experiment, found in groups.items():
        rows = ((f"`{name}`", value) for name, value in parameters(found).items())
        lines += [f"Experiment `{experiment}`:", "", markdown.table(["parameter", "value"], rows), ""]
    return prose("\n".join([*lines, "</details>"]))


def _several(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values if value is not None})) or "none"


def _commits(found: Iterable[Record]) -> str:
    """The commits of some records, each with a link where the repository is known."""
    address = repository_address()
    linked = [
        f"[{commit}]({address}/commit/{commit})" if address and re.fullmatch("[0-9a-f]{7,40}", commit) else commit
        for commit in sorted({str(record.commit) for record in found if record.commit is not None})
    ]
    return ", ".join(linked) or "none"


def _folder(experiment: str, found: Sequence[Record]) -> str:
    """How many records, with a link to the folder that holds them; ``smoke`` keeps none."""
    runs, address, profile = f"{len(found)} runs", repository_address(), found[0].profile
    if not address or get_profile(profile).scratch:
        return runs
    return f"[{runs}]({address}/tree/main/data/results/{profile}/{experiment})"


def _origin(experiment: str, found: Sequence[Record], *, timed: bool) -> str:
    """One experiment of a page in a few words."""
    networks = [record.run.spec.get("network", {}) for record in found]
    if not any(networks):  # the run itself has a seed and a data set
        networks = [record.run.spec for record in found]
    seeds = sorted({network["seed"] for network in networks if "seed" in network})
    versions = {name: _several(r.versions.get(name) for r in found) for r in found for name in r.versions}
    parts = [
        f"`{experiment}`, version {_several(record.run.version for record in found)}: {_folder(experiment, found)}",
        f"data {_several(network.get('dataset') for network in networks)}",
        f"seeds {seeds[0]} to {seeds[-1]} ({len(seeds)})" if seeds else "",
        f"device {_several(record.device for record in found)}",
        ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        f"code {_commits(found)}",
    ]
    if timed:
        days = sorted(record.utc[:10] for record in found)
        span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
        minutes = sum(record.seconds for record in found) / 60
        parts.append(f"computed {span} in {minutes:.1f} minutes of one worker's time")
    return "; ".join(part for part in parts if part) + "."


def parameters(records: Iterable[Record]) -> dict[str, str]:
    """Every parameter of some runs by its dotted name: its value, its few values, or its range."""
    specs = [flat("", record.run.spec) for record in records]
    found = {}
    for name in sorted({name for spec in specs for name in spec}):
        values = {canonical(spec[name]): spec[name] for spec in specs if name in spec}
        numbers = [value for value in values.values() if isinstance(value, int | float)]
        if len(values) <= 6:
            found[name] = ", ".join(sorted(text.strip('"') for text in values))
        elif len(numbers) == len(values):
            found[name] = f"{len(values)} values from {min(numbers):g} to {max(numbers):g}"
        else:
            found[name] = f"{len(values)} values"
    return found
