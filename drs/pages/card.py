"""What opens a chapter: the question with its answer and verdicts, its aims, and the experiment in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from drs.pages.aims import overview_line
from drs.pages.chapter import prose
from drs.pages.claims import interval
from drs.pages.listing import claim_link
from drs.pages.report import architecture
from drs.pages.verdicts import badge, strongest
from drs.study.claims import finding, get_claim
from drs.study.claims.base import Finding
from drs.study.profiles import PROFILES, get_profile
from drs.study.records import Record, canonical
from drs.study.results import Results
from drs.study.scales import Everywhere, Shown
from drs.training.spec import TrainingSpec

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["card", "experiment"]


def _decisive(claim_id: str, profile: str) -> list[Finding]:
    """What the strongest scale with complete records says of a claim.

    Where its networks had not finished training, what the strongest scale says that tested it comes first.
    """
    scales = Results().complete(get_claim(claim_id).experiment)
    every = [finding(claim_id, profile), *(finding(claim_id, one.profile, one.dataset) for one in scales)]
    tested = [found for found in every if found.judgement.verdict not in ("not tested", "no records")]
    best = strongest(every)
    return best if best[0] in tested else [*strongest(tested), *best]


def card(
    question: str, claim_id: str, answers: Mapping[str, str], *, others: Iterable[str] = (), profile: str = "quick"
) -> Markdown:
    """The question of a chapter, the answer that the records give, the verdicts it rests on, and the chapter's aims.

    Args:
        question: One sentence.
        claim_id: The claim whose verdict, at the strongest scale that tested it, chooses the answer.
        answers: A sentence for each verdict that this claim's rule can give; ``not tested`` may be left out.
        others: Further claims of the chapter, shown with their verdicts.
        profile: That of the page; ``smoke`` decides nothing.
    """
    lines = [f"> **The question.** {question}", ">"]
    aims = [">", f"> {overview_line(PurePosixPath(get_claim(claim_id).notebook).name)}"]
    if get_profile(profile).scratch:
        lines.append(f"> `{profile}` runs only show that the chapter executes: they give no answer.")
        return prose("\n".join([*lines, *aims]))
    found = [each for one in (claim_id, *others) for each in _decisive(one, profile)]
    first = found[0].judgement
    told = answers.get(first.verdict, f"Not known yet: {first.detail or 'there are no complete records'}.")
    lines += [f"> **The answer.** {told}", ">"]
    for one in found:
        claim, judged = one.claim, one.judgement
        number = f" {claim.quantity}: {interval(judged)} ({one.profile}, {one.dataset})" if judged.n else ""
        lines.append(f"> - {badge(judged.verdict)} {claim_link(claim, '../')}{number}")
    return prose("\n".join([*lines, *aims]))


def experiment(*chapters: Everywhere) -> Markdown:
    """What was trained and attacked for a page, one line for each experiment and scale, read from its records."""
    return prose("\n".join(f"- {_line(shown)}" for chapter in chapters for shown in chapter.every))


def _line(shown: Shown) -> str:
    """One experiment at one scale: data, networks, updates, seeds, images."""
    profile = shown.scale.profile
    head = f"**`{shown.records[0].run.experiment}`** under `{profile}` ({PROFILES[profile].purpose})"
    networks = _different(network for record in shown.records for network in _networks(record))
    if not networks:
        with_data = any("dataset" in record.run.spec for record in shown.records)
        on = f"runs on {shown.scale.dataset}" if with_data else "runs on random numbers, without a data set"
        return f"{head}: {len(shown.records)} {on}."
    named = _sizes(networks)
    seeds = _range([network["seed"] for network in networks])
    named_seeds = f"seeds {seeds}" if "to" in seeds else f"seed {seeds}"
    images = [record.run.spec["images"] for record in shown.records if "images" in record.run.spec]
    parts = [
        f"{len(networks)} networks on {', '.join(sorted({network['dataset'] for network in networks}))}",
        ", ".join(named),
        f"{_range([network['steps'] for network in networks])} updates of "
        f"{_range([network['batch_size'] for network in networks])} images",
        named_seeds,
        f"{_range(images)} test images" if images else "",
    ]
    return f"{head}: {'; '.join(part for part in parts if part)}."


def _sizes(networks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Architectures with their numbers of parameters, which are counted on networks that are built; without torch, to
    read the book only, the names of the architectures."""
    specs = [TrainingSpec.from_dict(network) for network in networks]
    sizes: dict[str, list[int]] = {}
    try:
        for spec in specs:
            name, count = architecture(spec)
            sizes.setdefault(name, []).append(count)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return sorted({f"`{spec.model}`" for spec in specs})
    return [f"{name} with {_range(counts)} parameters" for name, counts in sorted(sizes.items())]


def _networks(record: Record) -> list[Mapping[str, Any]]:
    """The specifications of the networks that a run trains, wherever in its own they stand."""
    found: list[Mapping[str, Any]] = []
    for value in record.run.spec.values():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Mapping) and "model" in one and "steps" in one:
                found.append(one)
    return found


def _different(mappings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({canonical(one): one for one in mappings}.values())


def _range(values: Sequence[int]) -> str:
    """Whole numbers in words.

    >>> _range([3, 1, 2]), _range([5, 5])
    ('1 to 3', '5')
    """
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
