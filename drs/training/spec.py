"""What a training is told: one frozen specification, without torch, so that plans and records can hold it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from drs.errors import UsageError, unknown

__all__ = ["IN_RECORDS", "SCHEDULES", "TrainingSpec"]

SCHEDULES = ("step", "cosine")
IN_RECORDS = {"penalty": "weight"}
"""Arguments of losses that specifications and records know by another name. Class weights have none there."""


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that decides which network comes out; equal specifications share one checkpoint.

    Attributes:
        dataset: Name for :func:`drs.training.datasets.load_dataset`.
        train_size: The first so many training images (stratified); None for all.
        model, model_options: Architecture by name, and its options.
        loss, loss_options: Loss by name, and its options; the ``penalty`` of a loss is called ``weight`` here.
        steps: Updates.
        batch_size: Images an update; an incomplete last batch of an epoch is left out.
        learning_rate: At the start.
        milestones: Steps at which the learning rate is divided by ten; empty with ``schedule="cosine"``.
        schedule: ``"step"`` or ``"cosine"`` (to zero).
        momentum: Of SGD.
        weight_decay: On weights of convolutions and linear layers only, never on biases or normalisation.
        augment: Random crop with padding 4 and horizontal flip, on the device.
        warmup: Share of the steps over which a DRS weight grows linearly from 0.
        adversarial: Options of an inner PGD attack (``epsilon``, ``steps``, ``step_size``) for adversarial training.
        seed: Of the initial weights, the order of the images and the augmentation.
    """

    dataset: str = "mnist5k"
    train_size: int | None = None
    model: str = "small_conv"
    model_options: Mapping[str, int] = field(default_factory=dict)
    loss: str = "ce"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 500
    batch_size: int = 128
    learning_rate: float = 0.1
    milestones: tuple[int, ...] = ()
    schedule: Literal["step", "cosine"] = "cosine"
    momentum: float = 0.9
    weight_decay: float = 2e-4
    augment: bool = False
    warmup: float = 0.0
    adversarial: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        if self.steps < 1 or self.batch_size < 1:
            raise UsageError(f"expected steps and batch_size >= 1, got {self.steps} and {self.batch_size}")
        if self.adversarial and set(self.adversarial) != {"epsilon", "steps", "step_size"}:
            raise UsageError(f"expected adversarial epsilon, steps and step_size, got {', '.join(self.adversarial)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, for records and keys."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def having(self, name: str, value: float) -> TrainingSpec:
        """The same training with another value of one number: a field, or else an option of the loss.

        >>> TrainingSpec(loss="drs").having("weight", 2.56).having("weight_decay", 0.0).loss_options
        {'weight': 2.56}
        """
        if name in asdict(self):
            changed: dict[str, Any] = {name: value}
            return replace(self, **changed)
        return replace(self, loss_options={**self.loss_options, name: value})

    @property
    def loss_arguments(self) -> dict[str, Any]:
        """``loss_options`` under the names of the loss function's arguments: what is ``weight`` here is ``penalty``."""
        as_argument = {name: argument for argument, name in IN_RECORDS.items()}
        return {as_argument.get(name, name): value for name, value in self.loss_options.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingSpec:
        """The inverse of :meth:`as_dict`."""
        plain: dict[str, Any] = {k: tuple(v) if k == "milestones" else v for k, v in values.items()}
        return cls(**plain)

    def rate_at(self, step: int) -> float:
        """Learning rate of update number ``step``, from 0."""
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return float(self.learning_rate * 0.1 ** sum(step >= milestone for milestone in self.milestones))
