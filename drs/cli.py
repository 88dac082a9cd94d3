"""The command line, ``drs`` and ``python -m drs``. Heavy imports happen inside the commands: help is instant."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from drs import __version__
from drs.errors import Diverged, RecordError, UsageError, missing_package
from drs.study.profiles import DEFAULT, PROFILES

__all__ = [
    "DatasetOption",
    "ProfileOption",
    "ResultsOption",
    "app",
    "audit",
    "bench",
    "claims",
    "compare",
    "estimate",
    "fetch",
    "list_",
    "main",
    "options",
    "playground",
    "readme",
    "run",
    "status",
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ProfileOption = Annotated[str, typer.Option("--profile", "-p", help=f"One of {', '.join(PROFILES)}.")]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", help="Root of the records; $DRS_RESULTS or data/results by default.")
]
DatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Another data set than the profile's: a name or folder:PATH.")
]


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"drs {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Two papers on adversarial robustness, reproduced: DRS and RCE. Start with 'drs list'."""


def _experiments(name: str) -> list[str]:
    from drs.study.experiments import EXPERIMENTS, get_experiment

    return list(EXPERIMENTS) if name == "all" else [get_experiment(name).name]


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment, or 'all'.")],
    profile: ProfileOption = DEFAULT,
    workers: Annotated[int | None, typer.Option(help="Worker processes; one per processor by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    dataset: DatasetOption = None,
    results: ResultsOption = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler to send the runs to.")] = None,
) -> None:
    """Compute what is missing of an experiment. Stop it whenever you like: it goes on where it stopped."""
    from drs.study.plan import plan
    from drs.study.runner import run_missing

    for name in _experiments(experiment):
        runs, label = plan(name, profile, dataset=dataset), f"{name} ({profile})"
        try:
            done = run_missing(
                runs, profile, workers=workers, device=device, results=results, scheduler=scheduler, label=label
            )
        except KeyboardInterrupt:
            typer.echo("drs: stopped; run the same command again to go on", err=True)
            raise typer.Exit(130) from None
        typer.echo(f"{name}: {done} computed, {len(runs) - done} found, profile {profile}")


@app.command()
def status(profile: ProfileOption = DEFAULT, dataset: DatasetOption = None, results: ResultsOption = None) -> None:
    """Say of every experiment how many of its runs have a record, and check those records."""
    from drs.study.experiments import EXPERIMENTS
    from drs.study.plan import missing, plan
    from drs.study.results import Results

    typer.echo(f"{'experiment':<14}{'done':>7}{'missing':>9}{'minutes':>9}")
    for name in EXPERIMENTS:
        runs = plan(name, profile, dataset=dataset)
        left = len(missing(runs, profile, results))
        spent = sum(r.seconds for r in Results(results).records(name, profile, dataset=dataset, arrays=True)) / 60
        typer.echo(f"{name:<14}{len(runs) - left:>7}{left:>9}{spent:>9.1f}")


@app.command()
def estimate(
    experiments: Annotated[list[str] | None, typer.Argument(help="Names of experiments; all by default.")] = None,
    profile: ProfileOption = DEFAULT,
    workers: Annotated[int | None, typer.Option(help="Worker processes; one per processor by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    dataset: DatasetOption = None,
) -> None:
    """Say what 'drs run' will cost: time one small training and one small run of each kind, and add up."""
    from drs.study.estimate import estimate as measure

    count = workers or os.cpu_count() or 1
    names = [name for each in experiments or ["all"] for name in _experiments(each)]
    found = measure(names, profile, dataset=dataset, device=device, progress=sys.stderr.isatty())
    typer.echo(f"{'experiment':<14}{'runs':>6}{'core-hours':>12}{'to do':>7}{'hours':>8}   recorded, and estimated so")
    for each in found:
        hours, left = each.seconds / 3600, each.seconds_left / 3600 / count
        known = f"{each.recorded / 3600:.2f} h, {each.recorded_estimate / 3600:.2f} h" if each.recorded else "none"
        typer.echo(f"{each.experiment:<14}{each.runs:>6}{hours:>12.2f}{each.left:>7}{left:>8.2f}   {known}")
    total, wall = (sum(getattr(e, name) for e in found) / 3600 for name in ("seconds", "seconds_left"))
    typer.echo(f"{total:.2f} core-hours in all; {wall / count:.2f} hours are left, with {count} at once")


@app.command("list")
def list_() -> None:
    """List experiments, profiles, data sets, losses, models and attacks by name; 'drs status' has their minutes."""
    from drs.catalog import ATTACKS, LOSSES, MODELS, PIXELS
    from drs.study.experiments import EXPERIMENTS

    typer.echo("experiments")
    for experiment in EXPERIMENTS.values():
        typer.echo(f"  {experiment.name:<14}{experiment.title}")
    typer.echo("profiles")
    for each in PROFILES.values():
        typer.echo(f"  {each.name:<14}{each.purpose}: {each.dataset}, seeds {len(each.seeds)}, steps {each.steps}")
    others = {"data sets": (*PIXELS, "folder:PATH"), "losses": LOSSES, "models": MODELS, "attacks": ATTACKS}
    for title, names in others.items():
        typer.echo(f"{title}\n  {', '.join(names)}")


@app.command()
def claims(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="With each claim's sentence and rule.")] = False,
    history: Annotated[bool, typer.Option("--history", help="When each rule was fixed, as git shows it.")] = False,
    save: Annotated[bool, typer.Option("--save", help="With --history: into data/rules, for the book.")] = False,
    results: ResultsOption = None,
) -> None:
    """One line per claim: id, verdict, profile, estimate with interval, notebook."""
    from drs.pages.claims import as_blocks, as_history, as_lines, as_markdown
    from drs.study.claims import verdicts

    if save and not history:
        raise UsageError("expected --save with --history, got it alone")
    if history:
        from drs.paths import project_root
        from drs.study import history as past
        from drs.study.repository import Repository

        if results is not None:
            raise UsageError("expected --history without --results: it is about the records in data/results")
        repository = Repository(project_root())
        entries = past.compute(repository)
        typer.echo(as_history(entries, partial(past.words, repository)))
        if save:
            typer.echo(f"wrote {past.save(entries)}")
        return
    if results is not None:
        os.environ["DRS_RESULTS"] = str(results)
    found = verdicts()
    typer.echo(as_markdown(found) if markdown else as_blocks(found) if rules else as_lines(found))


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="Root of recomputed records, as $DRS_RESULTS names one.")],
    profile: ProfileOption = DEFAULT,
    against: Annotated[Path | None, typer.Option(help="Root to compare with; data/results by default.")] = None,
) -> None:
    """Compare recomputed records and their verdicts with the committed ones, worst first; status 1 on drift."""
    from drs.study import drift

    found = drift.compare(folder, profile, against)
    typer.echo(str(found))
    if found.drifted:
        raise typer.Exit(1)


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="mnist, fashion_mnist, cifar10, cifar100 or svhn.")]) -> None:
    """Download a data set into the data root ($DRS_DATA or data/raw)."""
    from drs.training.datasets import fetch_dataset

    typer.echo(f"{name} is under {fetch_dataset(name)}")


@app.command()
def bench(
    scale: Annotated[str, typer.Option(help="full, or smoke for seconds whose numbers mean nothing.")] = "full",
    only: Annotated[str | None, typer.Option(help="One benchmark by name; all by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    save: Annotated[bool, typer.Option("--save", help="Keep the ratios in data/benchmarks, for the book.")] = False,
) -> None:
    """Print the speed of our attacks as ratios to other libraries ('make bench' installs those)."""
    from drs.study.benchmarks import run as measure
    from drs.study.benchmarks import save as keep
    from drs.study.runner import describe_device, resolve_device

    where = resolve_device(device)
    typer.echo(f"on {describe_device(where)}, scale {scale}")
    rows = []
    for row in measure(scale, where, only):  # type: ignore[arg-type]
        spent = "" if row["seconds"] is None else f"{row['seconds']:9.2f} s"
        typer.echo(f"{row['name']:<55}{row['ratio']:8.3f} of {row['reference']:<26}{spent}")
        if "ours" in row:
            typer.echo(f"  robust accuracy {row['ours']:.3f} against {row['theirs']:.3f}, {row['images']} images")
            for side in ("ours", "theirs"):
                typer.echo(f"  broken by {side} alone: {row[f'only_{side}'] or 'none'}")
        rows.append(row)
    if save:
        for path in keep(rows, where):
            typer.echo(f"wrote {path}")


@app.command()
def audit(
    model: Annotated[
        str, typer.Argument(help="package.module:function, a TorchScript file, .pt2, or .safetensors. Its code is run!")
    ],
    data: Annotated[str, typer.Option("--data", help="folder:PATH, with one folder of images per class.")],
    epsilon: Annotated[str, typer.Option("--epsilon", help="Budget for pixels in [0, 1], such as 8/255.")],
    norm: Annotated[str, typer.Option(help="linf or l2.")] = "linf",
    minutes: Annotated[float, typer.Option(help="What it may take; what does not fit is left out and named.")] = 5.0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for audit.html and audit.json.")] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help="For .safetensors: small_conv, mlp, lenet, resnet, mmc, or package.module:function."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Resize images to this height and width.")] = None,
    images: Annotated[int | None, typer.Option(help="How many images; all by default.")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="One channel, for models of grey images.")] = False,
    batch_size: Annotated[int, typer.Option(help="Images per call of the model.")] = 250,
    seed: Annotated[int, typer.Option(help="Of the attacks and of the order of the images.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> None:
    """Attack your own model on your own images, and say whether its robust accuracy can be believed.

    Loading a model runs its code: audit only models that you trust. Pickled files are refused.
    Status 0: no alarm. 1: an alarm fired. 2: bad input. 3: no alarm, but what the trust rests on was not measured.

    In Python, drs.audit_detector judges a detector, and a bound that no attack can go below is
    drs.certified_accuracy(model, images, labels, epsilon=8 / 255).
    """
    started = time.perf_counter()
    from drs.evaluation.audit import audit as measure
    from drs.evaluation.inputs import load_folder, load_model, parse_epsilon
    from drs.study.runner import resolve_device
    from drs.training.models import on_device

    budget, where = parse_epsilon(epsilon), resolve_device(device)
    if size is not None and size < 1:
        raise UsageError(f"expected --size >= 1, got {size}")
    x, y, classes = load_folder(data, images=images, size=None if size is None else (size, size), seed=seed)
    x = x.mean(dim=1, keepdim=True) if grey else x
    network = load_model(model, architecture=architecture, classes=len(classes), channels=x.shape[1], size=x.shape[2])
    found = measure(
        on_device(network, where),  # type: ignore[arg-type]  # any module can be moved
        x,
        y,
        epsilon=budget,
        norm=norm,  # type: ignore[arg-type]  # a text, which audit checks
        minutes=minutes,
        seed=seed,
        device=where,
        batch_size=batch_size,
        progress=sys.stderr.isatty(),
        name=model,
        started=started,
    )
    typer.echo(str(found))
    if out is not None:
        typer.echo(f"wrote {found.save(out)}")
    if found.fired:
        raise typer.Exit(1)
    if found.trust in ("not finished", "not measured"):
        raise typer.Exit(3)


@app.command()
def readme() -> None:
    """Write the claims table and the figure of the DRS chapter into README.md and book/_generated, from records."""
    from drs.pages.front import write

    for path in write():
        typer.echo(f"wrote {path}")


@app.command()
def playground() -> None:
    """Train the networks that a reader attacks in the browser, and write them into data/playground."""
    from drs.pages.playground import write

    for path in write():
        typer.echo(f"wrote {path}")


def main() -> None:
    """Entry point: a usage error is one sentence and status 2, never a traceback."""
    try:
        app(prog_name="drs")
    except (UsageError, RecordError, Diverged) as error:
        print(f"drs: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except ModuleNotFoundError as error:  # the base install lacks what runs, records and figures need
        if (error.name or "drs").split(".")[0] == "drs":
            raise
        print(f"drs: {missing_package(error, 'study')}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
