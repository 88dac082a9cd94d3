"""What a chapter says about its own numbers: verdicts, tables and provenance as Markdown, written from records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from drs.study.claims import finding, get_claim
from drs.study.claims.base import Finding
from drs.study.plan import Scale
from drs.study.profiles import PROFILES, get_profile
from drs.study.records import Record, canonical, flat
from drs.study.results import Results

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown


def setup() -> None:
    """House style, vector figures without dates, and the numbers of each beside it; for the first cell of a chapter."""
    from IPython.core.formatters import JSONFormatter
    from IPython.core.getipython import get_ipython
    from matplotlib.figure import Figure
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    from drs.pages.figures import style
    from drs.pages.figures.numbers import MIME, tables

    set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches="tight")
    style.apply()
    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        numbers = JSONFormatter()
        numbers.for_type(Figure, tables)
        shell.display_formatter.formatters[MIME] = numbers
        shell.display_formatter.active_types = [*shell.display_formatter.active_types, MIME]


def markdown(text: str) -> Markdown:
    """Markdown as a cell's result."""
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
        f"{found.claim.counts}{seeds}): {found.claim.quantity} = {found.interval}. {judged.detail}."
    )


def verdict(*claim_ids: str, profile: str = "quick") -> Markdown:
    """The verdicts of some claims: under ``profile`` and at every other deciding scale that was run in full.

    Smoke numbers are shown as what they are and set no verdict.
    """
    parts = []
    for claim_id in claim_ids:
        claim = get_claim(claim_id)
        lines = [
            f"**{claim_id}. {claim.statement}**",
            "",
            f"Rule{'' if claim.mended else ', fixed before the run'}: {claim.rule}",
            "",
        ]
        if get_profile(profile).scratch:
            lines.append(f"- `{profile}` runs only show that the chapter executes: they set no verdict.")
        else:
            own = Scale(profile, PROFILES[profile].dataset)
            others = [scale for scale in Results().complete(claim.experiment) if scale != own]
            found = [finding(claim_id, scale.profile, scale.dataset) for scale in (own, *others)]
            lines += [f"- {sentence(one)}" for one in found]
        if claim.mended:
            lines += ["", f"This rule was mended after records had been seen. {claim.mended}"]
        parts.append("\n".join(lines))
    return markdown("\n\n".join(parts))


def headline(claim_id: str, sentences: Mapping[str, str], *, profile: str = "quick") -> Markdown:
    """A page's first sentence, chosen by a verdict, with the number it rests on.

    Args:
        claim_id: The claim that decides.
        sentences: A sentence for each verdict that the claim's rule can give.
        profile: Whose records decide; ``smoke`` decides nothing.
    """
    found = finding(claim_id, profile)
    if get_profile(profile).scratch or found.judgement.verdict == "no records":
        return markdown(f"Under `{profile}` no verdict is given on claim {claim_id}.")
    number = f"{found.claim.quantity}: {found.interval} (`{found.profile}`, {found.dataset})"
    return markdown(f"**{sentences[found.judgement.verdict]}** {number[0].upper()}{number[1:]}.")


def table(frame: pd.DataFrame, caption: str = "") -> Markdown:
    """A data frame as a Markdown table with its index."""
    from drs.pages.figures import style

    header = "| | " + " | ".join(style.outcome(str(column)) for column in frame.columns) + " |"
    rule = "|---" * (len(frame.columns) + 1) + "|"
    rows = [
        "| " + " | ".join([str(index), *(_cell(value) for value in row)]) + " |"
        for index, row in zip(frame.index, frame.itertuples(index=False))
    ]
    return markdown("\n".join([f"*{caption}*\n" if caption else "", header, rule, *rows]))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


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
        lines += [f"Experiment `{experiment}`:", "", "| parameter | value |", "|---|---|"]
        lines += [f"| `{name}` | {value} |" for name, value in parameters(found).items()]
        lines += [""]
    return markdown("\n".join([*lines, "</details>"]))


def _several(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values if value is not None})) or "none"


def _origin(experiment: str, found: Sequence[Record], *, timed: bool) -> str:
    """One experiment of a page in a few words."""
    networks = [record.run.spec.get("network", {}) for record in found]
    seeds = sorted({network["seed"] for network in networks if "seed" in network})
    versions = {name: _several(r.versions.get(name) for r in found) for r in found for name in r.versions}
    parts = [
        f"`{experiment}`, version {_several(record.run.version for record in found)}: {len(found)} runs",
        f"data {_several(network.get('dataset') for network in networks)}",
        f"seeds {seeds[0]} to {seeds[-1]} ({len(seeds)})" if seeds else "",
        f"device {_several(record.device for record in found)}",
        ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        f"code {_several(record.commit for record in found)}",
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
