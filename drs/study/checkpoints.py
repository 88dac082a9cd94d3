"""Trained networks by specification: trained once, whoever asks first, kept as checksummed safetensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from drs._files import write_whole
from drs.errors import RecordError, UsageError
from drs.paths import checkpoints_root
from drs.study.records import canonical, digest, identity, rounded
from drs.training.datasets import Dataset, load_dataset
from drs.training.folders import identified
from drs.training.loop import Training, as_classifier, train
from drs.training.models import build_model, on_device
from drs.training.spec import TrainingSpec

__all__ = ["CHECKSUM", "TRAINING_VERSION", "cached_dataset", "checksum", "trained"]

TRAINING_VERSION = 3
"""Raised when :mod:`drs.training.loop` or :mod:`drs.training.models` change what a specification means, or when the
form of the files changes."""
CHECKSUM = "checksum"

_load = lru_cache(maxsize=2)(load_dataset)


def cached_dataset(name: str) -> Dataset:
    """:func:`drs.training.datasets.load_dataset`, once per process; a folder is read again when its content changed."""
    return _load(identified(name))


def checksum(weights: Mapping[str, Tensor], numbers: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes of weights on the CPU and over the numbers beside them."""
    shapes = {name: [str(value.dtype), list(value.shape)] for name, value in weights.items()}
    total = hashlib.sha256(canonical([shapes, dict(numbers)]).encode())
    for name in sorted(weights):
        total.update(weights[name].numpy().tobytes())
    return total.hexdigest()


def _write(training: Training, path: Path) -> None:
    weights = {name: value.cpu().contiguous() for name, value in training.network.state_dict().items()}
    numbers = {"loss": repr(training.loss), "accuracy": repr(training.accuracy)}
    try:
        write_whole(path, save(weights, metadata={**numbers, CHECKSUM: checksum(weights, numbers)}))
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot write the checkpoint {path}: {error}") from error


def _read(path: Path) -> tuple[dict[str, Tensor], float, float]:
    """Weights, loss and accuracy of a checkpoint."""
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        numbers = dict(file.metadata())
    if numbers.pop(CHECKSUM) != checksum(weights, numbers):
        raise ValueError("its checksum does not fit")
    return weights, float(numbers["loss"]), float(numbers["accuracy"])


def trained(spec: TrainingSpec, device: torch.device, *, progress: bool = False) -> Training:
    """The network of a specification: read where it was trained before on this kind of device, else trained now.

    Several processes may ask at once: one trains, the others wait for it. A network trained on a folder of images is
    found again wherever the same images lie, and never after they were changed.

    Raises:
        UsageError: The folder of checkpoints cannot be written, or what :func:`drs.training.loop.train` raises.
        RecordError: A damaged checkpoint, named.
    """
    spec = replace(spec, dataset=identified(spec.dataset))
    dataset = cached_dataset(spec.dataset)
    key = digest(identity(rounded([TRAINING_VERSION, spec.as_dict(), device.type])))[:24]
    path = checkpoints_root() / f"{key}.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                training = train(spec, dataset, device=device, progress=progress)
                _write(training, path)
                return training
    except OSError as error:
        raise UsageError(f"cannot write the checkpoint {path}: {error}") from error
    network = build_model(
        spec.model, channels=dataset.channels, classes=len(dataset.class_names), seed=spec.seed, **spec.model_options
    )
    classifier = as_classifier(network, spec.loss)
    try:
        weights, loss, accuracy = _read(path)
        classifier.load_state_dict(weights)
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordError(f"checkpoint {path} is damaged: {reason}; delete it and run again") from error
    return Training(on_device(classifier, device).eval(), loss, accuracy)
