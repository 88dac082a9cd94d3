"""Accuracy of a model on a user's data, clean and under an attack, with intervals and every example's outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
from torch import Tensor
from tqdm import tqdm

from drs._checks import check_images
from drs._files import write_whole
from drs.attacks.base import Attack
from drs.attacks.models import Model, attackable, check_model
from drs.errors import UsageError, needs_extra

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Data", "Report", "Share", "evaluate", "share_of"]

Data: TypeAlias = tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]]
"""Images (N, ...) and labels (N,), or an iterable of such batches, for example a DataLoader."""


@dataclass(frozen=True)
class Share:
    """A share of examples with its exact 95% interval (Clopper and Pearson 1934).

    Attributes:
        count: Examples that count.
        total: Examples.
        low, high: The interval, in [0, 1].
    """

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """``count / total``."""
        return self.count / self.total

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def share_of(chosen: Tensor) -> Share:
    """The share of True in (N,) bool.

    Raises:
        UsageError: No example.
    """
    if len(chosen) == 0:
        raise UsageError("expected at least one example, got none")
    from scipy.stats import binomtest

    count = int(chosen.sum())
    interval = binomtest(count, len(chosen)).proportion_ci(0.95, method="exact")
    return Share(count, len(chosen), float(interval.low), float(interval.high))


@dataclass(frozen=True, repr=False)
class Report:
    """What :func:`evaluate` found. ``print(report)`` shows it in four lines.

    Attributes:
        attack: The attack with its hyperparameters, as text.
        labels: (N,) int64, the true labels.
        clean: (N,) int64, the model's answers on the images as they are.
        attacked: (N,) int64, its answers on the attacked images; those of ``clean`` without an attack.
        success: (N,) bool, what the attack calls success.
        distances: (N,), in the norm of the attack.
        norm: ``"linf"`` or ``"l2"``.
        seconds: Wall-clock time of everything.
    """

    attack: str
    labels: Tensor
    clean: Tensor
    attacked: Tensor
    success: Tensor
    distances: Tensor
    norm: str
    seconds: float

    @property
    def clean_accuracy(self) -> Share:
        """Share of the images that are classified right."""
        return share_of(self.clean == self.labels)

    @property
    def robust_accuracy(self) -> Share:
        """Share of the images that are classified right as they are and when attacked."""
        return share_of((self.clean == self.labels) & (self.attacked == self.labels))

    def __repr__(self) -> str:
        moved = self.distances[self.success]
        median = f"{float(moved.median()):.4g}" if len(moved) else "none"
        return (
            f"Report on {len(self.labels)} examples, {self.seconds:.1f} s, intervals of 95%\n"
            f"  attack           {self.attack}\n"
            f"  clean accuracy   {self.clean_accuracy}\n"
            f"  robust accuracy  {self.robust_accuracy}\n"
            f"  median distance of the successes ({self.norm}): {median}"
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per example (needs the extra ``study``): label, clean, attacked, success, distance."""
        with needs_extra("study"):
            import pandas as pd

        names = ("label", "clean", "attacked", "success", "distance")
        columns = (self.labels, self.clean, self.attacked, self.success, self.distances)
        return pd.DataFrame({name: column.numpy() for name, column in zip(names, columns)})

    def save(self, path: str | Path) -> Path:
        """Write everything as one JSON file; returns its path."""
        shares = {name: getattr(self, name) for name in ("clean_accuracy", "robust_accuracy")}
        body = {
            "attack": self.attack,
            "norm": self.norm,
            "seconds": round(self.seconds, 3),
            **{name: {"value": s.value, "low": s.low, "high": s.high, "n": s.total} for name, s in shares.items()},
            "examples": {
                "label": self.labels.tolist(),
                "clean": self.clean.tolist(),
                "attacked": self.attacked.tolist(),
                "success": self.success.tolist(),
                "distance": self.distances.tolist(),
            },
        }
        file = Path(path)
        write_whole(file, json.dumps(body, indent=1) + "\n")
        return file


def _batches(data: Data, batch_size: int) -> Iterable[tuple[Tensor, Tensor]]:
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        images, labels = cast("tuple[Tensor, Tensor]", data)
        if len(images) != len(labels):
            raise UsageError(f"expected as many labels as images, got {len(labels)} for {len(images)}")
        return list(zip(images.split(batch_size), labels.split(batch_size)))
    if isinstance(data, Tensor) or not isinstance(data, Iterable):
        raise UsageError(f"expected (images, labels) or an iterable of such batches, got {type(data).__name__}")
    return cast("Iterable[tuple[Tensor, Tensor]]", data)


def evaluate(
    model: Model,
    data: Data,
    attack: Attack | None = None,
    *,
    device: torch.device | str | None = None,
    batch_size: int = 250,
    progress: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Report:
    """Clean accuracy, and accuracy under an attack, of a model on a user's data.

    >>> import torch
    >>> from drs import PGD, evaluate
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    >>> images, labels = torch.rand(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64)
    >>> report = evaluate(model, (images, labels), PGD(epsilon=8 / 255, steps=5))
    >>> report.robust_accuracy.value <= report.clean_accuracy.value
    True

    Args:
        model: A callable that returns raw logits (N, C). A module is put in evaluation mode, and its mode restored.
        data: Images (N, ...) in ``bounds`` with labels (N,), or an iterable of such batches, for example a DataLoader.
        attack: For example ``PGD(epsilon=8 / 255)``; None for clean accuracy alone.
        device: Where the batches are sent; None leaves them where they are.
        batch_size: Examples per call of the attack, where ``data`` is two tensors.
        progress: Show a bar.
        bounds: Smallest and largest value of a pixel; budgets and distances are in units of this range.

    Raises:
        UsageError: No example, data of another form, images outside ``bounds``, a model that returns no raw logits or
            a single one, or what the attack refuses.
    """
    started = time.perf_counter()
    parts: list[tuple[Tensor, ...]] = []
    with attackable(model) as network:
        for images, labels in tqdm(_batches(data, batch_size), unit="batch", disable=not progress):
            check_images(images, labels, bounds)
            if len(labels) == 0:
                continue
            images, labels = images.to(device), labels.to(device)
            if not parts:
                check_model(network, images, labels, differentiable=False)
            with torch.no_grad():
                clean = network(images).argmax(dim=1)
            if attack is None:
                found = (clean, clean != labels, torch.zeros(len(labels)))
            else:
                made = attack(network, images, labels, bounds=bounds)
                found = (made.logits.argmax(dim=1), made.success, made.distances)
            parts.append(tuple(part.detach().cpu() for part in (labels, clean, *found)))
    if not parts:
        raise UsageError("expected at least one example, got none")
    labels, clean, attacked, success, distances = (torch.cat(column) for column in zip(*parts))
    return Report(
        attack=repr(attack) if attack is not None else "none",
        labels=labels,
        clean=clean,
        attacked=attacked,
        success=success,
        distances=distances,
        norm=attack.norm if attack is not None else "linf",
        seconds=time.perf_counter() - started,
    )
