"""Trained networks by specification: trained once, whoever asks first, kept as safetensors."""

from __future__ import annotations

from functools import lru_cache

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from drs.errors import RecordError, UsageError
from drs.paths import checkpoints_root
from drs.study.records import digest, rounded
from drs.training.datasets import Dataset, load_dataset
from drs.training.loop import Training, TrainingSpec, as_classifier, train
from drs.training.models import build_model, on_device

TRAINING_VERSION = 2
"""Raised when :mod:`drs.training.loop` or :mod:`drs.training.models` change what a specification means."""


@lru_cache(maxsize=2)
def cached_dataset(name: str) -> Dataset:
    """:func:`drs.training.datasets.load_dataset`, once a process."""
    return load_dataset(name)


def trained(spec: TrainingSpec, device: torch.device, *, progress: bool = False) -> Training:
    """The network of a specification: read where it was trained before on this kind of device, else trained now.

    Several processes may ask at once: one trains, the others wait for it.

    Raises:
        UsageError: The folder of checkpoints cannot be written, or what :func:`drs.training.loop.train` raises.
        RecordError: A damaged checkpoint, named.
    """
    dataset = cached_dataset(spec.dataset)
    key = digest(rounded([TRAINING_VERSION, spec.as_dict(), device.type]))[:24]
    path = checkpoints_root() / f"{key}.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                training = train(spec, dataset, device=device, progress=progress)
                weights = {name: value.cpu().contiguous() for name, value in training.network.state_dict().items()}
                unfinished = path.with_suffix(".tmp")
                numbers = {"loss": repr(training.loss), "accuracy": repr(training.accuracy)}
                save_file(weights, unfinished, metadata=numbers)
                unfinished.replace(path)
                return training
    except OSError as error:
        raise UsageError(f"cannot write the checkpoint {path}: {error}") from error
    network = build_model(
        spec.model, channels=dataset.channels, classes=len(dataset.class_names), seed=spec.seed, **spec.model_options
    )
    classifier = as_classifier(network, spec.loss)
    try:
        with safe_open(path, framework="pt") as file:
            classifier.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            numbers = file.metadata()
        loss, accuracy = float(numbers["loss"]), float(numbers["accuracy"])
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordError(f"checkpoint {path} is damaged: {reason}; delete it and run again") from error
    return Training(on_device(classifier, device).eval(), loss, accuracy)
