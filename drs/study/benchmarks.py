"""What the attacks of this package cost beside those of other libraries.

Every function trains the quick network, lets the two sides take turns in one process, frozen parameters on both, and
reports the ratio of the medians. A ratio below 1 is in favour of this package; the targets are beside the names.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from drs.attacks import JSMA, CarliniWagnerL2, WhiteBoxCarliniWagner
from drs.attacks.base import distance
from drs.attacks.models import attackable
from drs.attacks.targets import TARGETS
from drs.detection import BANDWIDTH_CE, KDensity
from drs.errors import UsageError, unknown
from drs.study.strength import apgd_contests, contests
from drs.training.datasets import load_dataset
from drs.training.loop import train
from drs.training.models import Network
from drs.training.spec import TrainingSpec

__all__ = [
    "BENCHMARKS",
    "Bench",
    "Row",
    "Scale",
    "apgd",
    "carlini_wagner",
    "jsma",
    "prepare",
    "run",
    "save",
    "standard",
    "take_turns",
    "white_box",
]

Row: TypeAlias = dict[str, Any]
Scale: TypeAlias = Literal["smoke", "full"]


@dataclass(frozen=True)
class Bench:
    """A trained network, images it classifies, and how often each side takes its turn."""

    network: Network
    images: Tensor
    labels: Tensor
    train_images: Tensor
    train_labels: Tensor
    repetitions: int
    full: bool

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """The first ``count`` test images and their labels."""
        return self.images[:count], self.labels[:count]


def prepare(scale: Scale = "full", device: torch.device | str = "cpu") -> Bench:
    """Train SmallConvNet on mnist5k and take its test images.

    Args:
        scale: ``"full"``, or ``"smoke"`` for a run of seconds whose numbers mean nothing.
        device: Where everything runs.

    Raises:
        UsageError: An unknown scale.
    """
    if scale not in ("smoke", "full"):
        raise unknown("scale", scale, ("smoke", "full"))
    full = scale == "full"
    data = load_dataset("mnist5k")
    network = train(TrainingSpec(steps=540 if full else 60), data, device=device).network
    return Bench(network, *data.test.first(128).to_float(device), *data.train.to_float(device), 3 if full else 1, full)


def _library(name: str) -> Any:
    """A library that is only needed here; adv-lib imports visdom for plots that are never drawn."""
    if name.startswith("adv_lib") and "visdom" not in sys.modules and importlib.util.find_spec("visdom") is None:
        sys.modules["visdom"] = types.ModuleType("visdom")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise UsageError(
            f"expected the package {package}, found none: run pip install --no-deps torchattacks==3.5.1 adv-lib==0.2.8"
        ) from error


def take_turns(
    sides: Sequence[Callable[[], Any]],
    repetitions: int,
    device: torch.device,
    clock: Callable[[], float] | None = None,
) -> tuple[list[float], list[Any]]:
    """Run every side in turn, ``repetitions`` times; median seconds and last result of each, by the wall's clock."""
    clock = clock or time.perf_counter
    seconds: list[list[float]] = [[] for _ in sides]
    results: list[Any] = [None for _ in sides]
    for _ in range(repetitions):
        for number, side in enumerate(sides):
            _wait(device)
            start = clock()
            results[number] = side()
            _wait(device)
            seconds[number].append(clock() - start)
    return [statistics.median(values) for values in seconds], results


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _row(name: str, ratio: float, seconds: float | None, reference: str, images: Tensor) -> Row:
    return {
        "name": name,
        "ratio": ratio,
        "seconds": seconds,
        "reference": reference,
        "images": len(images),
        "device": str(images.device),
    }


def _median(images: Tensor, inputs: Tensor, success: Tensor) -> float:
    """Median L2 over the images with success; infinite without any."""
    distances = distance(images, inputs, "l2")[success]
    return float(distances.median()) if len(distances) else float("inf")


def jsma(bench: Bench) -> list[Row]:
    """JSMA by pairs against torchattacks: seconds, and the share of images that differ in any bit (target 0)."""
    torchattacks = _library("torchattacks")
    inputs, labels = bench.first(32 if bench.full else 4)
    with attackable(bench.network):
        reference = torchattacks.JSMA(bench.network, theta=1.0, gamma=0.1)
        reference.set_mode_targeted_by_function(
            lambda images, labels: TARGETS["least_likely"](bench.network(images), labels, 0), quiet=True
        )
        ours = JSMA(theta=1.0, max_steps=40, pixels_per_step=2)
        (mine, theirs), (found, expected) = take_turns(
            [lambda: ours(bench.network, inputs, labels), lambda: reference(inputs, labels)],
            bench.repetitions,
            inputs.device,
        )
    differing = float((found.inputs != expected).flatten(1).any(dim=1).float().mean())
    name = "torchattacks 3.5.1 JSMA"
    return [
        _row("JSMA by pairs, seconds (target 0.125)", mine / theirs, mine, name, inputs),
        _row("JSMA by pairs, images that differ (target 0)", differing, None, name, inputs),
    ]


def carlini_wagner(bench: Bench) -> list[Row]:
    """C&W 3 x 2000 against foolbox in seconds, and against adv-lib in median L2 (target: within 1%)."""
    import foolbox

    adv_lib = _library("adv_lib.attacks.carlini_wagner")
    inputs, labels = bench.first(100 if bench.full else 4)
    iterations = 2000 if bench.full else 50
    ours = CarliniWagnerL2(search_steps=3, max_iterations=iterations, target="untargeted")
    theirs = foolbox.attacks.L2CarliniWagnerAttack(3, iterations, initial_const=1.0)
    criterion = foolbox.Misclassification(labels)
    with attackable(bench.network):
        wrapped = foolbox.PyTorchModel(bench.network, bounds=(0.0, 1.0), device=inputs.device)
        seconds, (found, _) = take_turns(
            [lambda: ours(bench.network, inputs, labels), lambda: theirs.run(wrapped, inputs, criterion)],
            bench.repetitions,
            inputs.device,
        )
        expected = adv_lib.carlini_wagner_l2(
            bench.network, inputs, labels, initial_const=1.0, binary_search_steps=3, max_iterations=iterations
        )
        success = bench.network(expected).argmax(dim=1) != labels
    distances = _median(found.inputs, inputs, found.success) / _median(expected, inputs, success)
    name = f"C&W 3 x {iterations}"
    return [
        _row(f"{name}, seconds (target 0.75)", seconds[0] / seconds[1], seconds[0], "foolbox 3.3.4", inputs),
        _row(f"{name}, median L2 (target 0.99 to 1.01)", distances, None, "adv-lib 0.2.8", inputs),
    ]


def white_box(bench: Bench) -> list[Row]:
    """C&W-wb with all the detector's kernels: seconds for 100 images, beside plain C&W of as many steps."""
    inputs, labels = bench.first(100 if bench.full else 4)
    with torch.no_grad():
        density = KDensity(BANDWIDTH_CE).fit(bench.network.features(bench.train_images), bench.train_labels)
    iterations = 1000 if bench.full else 20
    attack = WhiteBoxCarliniWagner(density=density, max_iterations=iterations, first_iterations=iterations // 2)
    plain = CarliniWagnerL2(search_steps=attack.search_steps, max_iterations=iterations)
    sides = [lambda: attack(bench.network, inputs, labels), lambda: plain(bench.network, inputs, labels)]
    seconds, _ = take_turns(sides, 1, inputs.device)
    name = f"C&W-wb {attack.first_steps} x {iterations // 2} + {attack.search_steps} x {iterations}, seconds"
    return [_row(name, seconds[0] / seconds[1], seconds[0], f"C&W {attack.search_steps} x {iterations}", inputs)]


def standard(bench: Bench) -> Iterator[Row]:
    """Standard beside AutoAttack on several networks (:mod:`drs.study.strength`): who breaks what, and in what time."""
    autoattack = _library("torchattacks").AutoAttack
    yield from contests(full=bench.full, device=bench.images.device, autoattack=autoattack)


def apgd(bench: Bench) -> Iterator[Row]:
    """APGD beside torchattacks' on three networks and two objectives: who breaks what, and in what time."""
    yield from apgd_contests(full=bench.full, device=bench.images.device, apgd=_library("torchattacks").APGD)


BENCHMARKS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "jsma": jsma,
    "carlini_wagner": carlini_wagner,
    "white_box": white_box,
    "standard": standard,
    "apgd": apgd,
}
"""Every benchmark by name."""


def run(scale: Scale = "full", device: torch.device | str = "cpu", only: str | None = None) -> Iterator[Row]:
    """Measure all ratios, or one of them.

    Args:
        scale: ``"full"`` or ``"smoke"``.
        device: Where everything runs.
        only: A key of :data:`BENCHMARKS`; None for all.

    Yields:
        One row a ratio, as soon as it is measured: ``name``, ``ratio``, ``seconds`` of this package (None for a ratio
        of qualities), ``reference``, ``images`` and ``device``.

    Raises:
        UsageError: An unknown name, or a library that is not installed.
    """
    if only is not None and only not in BENCHMARKS:
        raise unknown("benchmark", only, BENCHMARKS)
    bench = prepare(scale, device)
    for name, measure in BENCHMARKS.items():
        if only in (None, name):
            yield from measure(bench)


def save(rows: Sequence[Row], device: torch.device) -> list[Path]:
    """Write rows, with the machine, versions and commit they come from, to data/benchmarks; returns the files.

    A row's ``table`` names its file; without one it is a speed ratio.
    """
    import pandas as pd

    from drs.paths import benchmarks_root
    from drs.study.records import code_commit, package_versions
    from drs.study.runner import describe_device

    where = {"device": describe_device(device), "torch": package_versions()["torch"], "commit": code_commit()}
    benchmarks_root().mkdir(parents=True, exist_ok=True)
    paths = []
    for table in sorted({row.get("table", "attacks") for row in rows}):
        chosen = [row for row in rows if row.get("table", "attacks") == table]
        frame = pd.DataFrame([{**row, **where} for row in chosen]).drop(columns="table", errors="ignore")
        paths.append(benchmarks_root() / f"{table}-{device.type}.csv")
        frame.to_csv(paths[-1], index=False, float_format="%.4g", lineterminator="\n")
    return paths
