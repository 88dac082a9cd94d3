"""The tables of the book's report, in Markdown: what was run, on what, for how long, and what was not run.

All of them are made from the plans of the experiments and from the records there are; nothing is typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from drs.catalog import PIXELS
from drs.pages.markdown import cell, table
from drs.pages.verdicts import ordered
from drs.study.claims import CLAIMS, verdicts
from drs.study.experiments import EXPERIMENTS
from drs.study.plan import plan
from drs.study.profiles import PROFILES, deciding
from drs.study.records import Run
from drs.study.results import Results
from drs.training.spec import TrainingSpec

__all__ = [
    "FRAGMENTS",
    "SCALES",
    "architecture",
    "architectures",
    "attacks",
    "cost",
    "data",
    "networks_trained",
    "not_run",
    "outcome",
    "parameter_count",
    "planned",
    "seeds",
    "trainings",
]

SCALES = tuple(
    (profile.name, dataset)
    for profile in PROFILES.values()
    if not profile.scratch
    for dataset in (profile.dataset, *profile.also_on)
)
"""Profile and data set of every scale at which everything is planned."""


def planned() -> Iterator[tuple[str, str, str]]:
    """Profile, data set and experiment of everything that the report speaks of."""
    for profile, dataset in SCALES:
        for name in EXPERIMENTS:
            yield profile, dataset, name
    for one in PROFILES.values():
        for dataset in one.architectures.elsewhere:
            if "architectures" in EXPERIMENTS:
                yield one.name, dataset, "architectures"


def _range(values: Iterable[float]) -> str:
    low, high = min(found := list(values)), max(found)
    return cell(low) if low == high else f"{cell(low)} to {cell(high)}"


def networks_trained(runs: Iterable[Run]) -> list[TrainingSpec]:
    """Every network that some runs attack or measure, once."""
    found: dict[str, TrainingSpec] = {}
    for run in runs:
        if values := run.spec.get("network"):
            found[Run("network", 1, values).key] = TrainingSpec.from_dict(values)
    return list(found.values())


@lru_cache(maxsize=64)
def _built(model: str, options: tuple[tuple[str, int], ...], colour: bool) -> tuple[str, int]:
    from drs.training.models import build_model, count_parameters

    network = build_model(model, channels=3 if colour else 1, classes=10, seed=0, **dict(options))
    return type(network).__name__, count_parameters(network)


def architecture(spec: TrainingSpec) -> tuple[str, int]:
    """What the network of a training is called, and how many numbers the training fits."""
    return _built(spec.model, tuple(sorted(spec.model_options.items())), PIXELS.get(spec.dataset) == 32)


def parameter_count(spec: TrainingSpec) -> int:
    """How many numbers a training fits."""
    return architecture(spec)[1]


def architectures() -> str:
    """Every architecture with its number of parameters, and where it is used."""
    used: dict[tuple[str, str, str], dict[int, None]] = {}
    for profile, dataset, name in planned():
        for spec in networks_trained(plan(name, profile, dataset=dataset)):
            count = parameter_count(spec)
            depth = f"-{spec.model_options['depth']}" if spec.model == "resnet" else ""
            used.setdefault((f"{spec.model}{depth}", profile, dataset), {})[count] = None
    rows = [[f"`{model}`", f"{profile}, {data}", _range(counts)] for (model, profile, data), counts in used.items()]
    return table(["architecture", "profile, data", "parameters"], sorted(rows))


def trainings() -> str:
    """The hyperparameters of the networks at each scale; experiments that train alike share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for profile, dataset, name in planned():
        if specs := networks_trained(plan(name, profile, dataset=dataset)):
            settings = (
                f"{profile}, {dataset}",
                ", ".join(sorted({spec.model for spec in specs})),
                _range(spec.steps for spec in specs),
                _range(spec.batch_size for spec in specs),
                f"rate {_range(spec.learning_rate for spec in specs)} ({specs[0].schedule}), "
                f"decay {_range(spec.weight_decay for spec in specs)}",
            )
            rows.setdefault(settings, []).append(f"{name}: {len(specs)}")
    header = ["profile, data", "models", "updates", "batch", "learning rate (schedule), weight decay", "networks"]
    return table(header, [[*settings, ", ".join(names)] for settings, names in rows.items()])


def attacks(epsilon: float = 0.05) -> str:
    """The settings of the attacks that share the budgets of the curves, and of the costly ones in each profile."""
    from drs.evaluation.curves import ATTACKS

    rows = []
    for name, make in ATTACKS.items():
        kind, _, settings = repr(make(epsilon)).partition("(")
        kept = [part for part in settings[:-1].split(", ") if part.split("=")[0] not in ("epsilon", "seed")]
        rows.append([f"`{name}`", "every profile", f"{{class}}`drs.attacks.{kind}`", f"`{', '.join(kept) or 'none'}`"])
    for profile, dataset in ((each.name, each.dataset) for each in deciding()):
        for experiment in ("stress", "detection", "constant", "whitebox", "adaptive"):
            spec = plan(experiment, profile, dataset=dataset)[0].spec
            kept = [f"{k}={v}" for k, v in spec.items() if isinstance(v, (int, float, list)) and not _is_specs(v)]
            rows.append([f"experiment `{experiment}`", profile, "", f"`{', '.join(kept)}`"])
    return table(["attack", "profile", "class", "settings"], rows)


def _is_specs(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def cost() -> str:
    """What the records of each experiment took to compute, and on what."""
    rows, total, number = [], 0.0, 0
    seen: set[tuple[str, str]] = set()
    for profile, dataset, name in (*planned(), *(("paper", "cifar10-jpeg", name) for name in EXPERIMENTS)):
        records = Results().records(name, profile, dataset=dataset)
        keys = {(profile, record.run.key) for record in records}
        if not records or keys & seen:  # an experiment without data is the same whatever the data set
            continue
        seen |= keys
        seconds = [record.seconds for record in records]
        total, number = total + sum(seconds), number + len(records)
        devices, torches = {r.device for r in records}, {r.versions.get("torch", "unknown") for r in records}
        rows.append(
            [
                f"{profile}, {dataset}",
                f"`{name}`",
                len(records),
                f"{sum(seconds) / 60:.1f}",
                f"{max(seconds):.0f}",
                ", ".join(sorted(devices)),
                ", ".join(sorted(torches)),
            ]
        )
    rows.append(["**all**", "", number, f"{total / 60:.1f}", "", "", ""])
    return table(["profile, data", "experiment", "runs", "minutes", "longest run, s", "device", "torch"], rows)


def not_run() -> str:
    """Every experiment and scale without all of its records, with the claims that are open there."""
    rows, seen = [], set()
    for profile, dataset, name in planned():
        runs = plan(name, profile, dataset=dataset)
        key = (profile, *(run.key for run in runs))  # as above
        done = len(Results().records(name, profile, dataset=dataset))
        if done < len(runs) and key not in seen:
            claims = [claim.id for claim in CLAIMS.values() if claim.experiment == name]
            title = f"`{name}`: {EXPERIMENTS[name].title}"
            rows.append([f"{profile}, {dataset}", title, f"{done} of {len(runs)}", ", ".join(claims)])
        seen.add(key)
    if not rows:
        return "Every experiment has been run at every scale."
    return table(["profile, data", "experiment", "runs with a record", "claims not judged there"], rows)


def outcome() -> str:
    """How many claims of each source came out how, by name, at each scale."""
    cells: dict[tuple[str, str], dict[str, list[str]]] = {}
    for found in verdicts():
        source = "ours" if found.claim.source.startswith("ours") else found.claim.source.partition(",")[0]
        scale = f"{found.profile}, {found.dataset}" if found.dataset else found.profile
        link = f"[{found.claim.id}](../{found.claim.notebook}.ipynb)"
        cells.setdefault((source, scale), {}).setdefault(found.judgement.verdict, []).append(link)
    rows = [
        [f"{source}<br>{scale}", "<br>".join(f"{verdict}: {', '.join(by[verdict])}" for verdict in ordered(by))]
        for (source, scale), by in sorted(cells.items())
    ]
    return table(["claims of, profile, data", "verdicts"], rows)


def data() -> str:
    """Every data set by name, and at which scale it is used."""
    rows = []
    for name in PIXELS:
        found = {profile: [one for p, d, one in planned() if (p, d) == (profile, name)] for profile in PROFILES}
        where = [
            profile if len(used) == len(EXPERIMENTS) else f"{profile} ({', '.join(used)})"
            for profile, used in found.items()
            if used
        ] or ["only on request"]
        rows.append([f"`{name}`", ", ".join(where), f"{PIXELS[name]} x {PIXELS[name]}"])
    return table(["data set", "profiles", "pixels"], rows)


def seeds() -> str:
    """The seeds of every profile."""
    rows = [
        [f"`{p.name}`", ", ".join(map(str, p.seeds)), p.population, p.images, p.few_images]
        for p in PROFILES.values()
        if not p.scratch
    ]
    return table(["profile", "seeds", "networks of the population", "images attacked", "by costly attacks"], rows)


FRAGMENTS = (outcome, data, seeds, architectures, trainings, attacks, cost, not_run)
"""What the report includes, each as ``book/_generated/report_NAME.md``."""
