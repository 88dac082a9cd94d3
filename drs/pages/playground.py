"""The networks, digits and reference features of the page on which a reader attacks a network in the browser.

``drs playground`` makes them, ``data/playground`` keeps them, ``book/_explorer/network.js`` computes with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from drs.detection import KDensity, confidence, non_me, rejection_threshold
from drs.errors import pick
from drs.evaluation.accuracy import accuracy, features_of, logits_of
from drs.pages.figures import style
from drs.paths import project_root
from drs.study.checkpoints import cached_dataset, trained
from drs.study.experiments.detector import bandwidth
from drs.study.experiments.networks import OBJECTIVES, first_architecture
from drs.study.profiles import QUICK
from drs.training.datasets import Dataset
from drs.training.loop import as_classifier
from drs.training.models import Network, ReverseLogits, build_model
from drs.training.spec import TrainingSpec

__all__ = ["EACH", "PER_CLASS", "Exhibit", "digits", "load", "specification", "write"]

EACH = 2
"""Test digits of each class that the page offers."""
PER_CLASS = 100
"""Training images of each class whose features K-density compares with. Chapters keep up to 1,000."""


@dataclass(frozen=True)
class Exhibit:
    """A network of the page, and its detector.

    Attributes:
        network: In evaluation mode; negated if it was trained with RCE.
        density: K-density among :data:`PER_CLASS` training features per class, which have 16 bits.
        about: What the page says of it: ``name``, ``colour``, ``reverse`` (whether its logits are negated),
            ``bandwidth``, ``error_percent`` on the test images, the ``thresholds`` by score, and the ``spec`` that it
            was trained with.
    """

    network: Network
    density: KDensity
    about: Mapping[str, Any]


def _folder() -> Path:
    return project_root() / "data" / "playground"


def specification(loss: str) -> TrainingSpec:
    """The training of a network of the page: the first seed's of chapter "detection", under the profile ``quick``.

    >>> specification("rce").learning_rate
    2.7

    Args:
        loss: ``"ce"``, ``"rce"`` or ``"drs"``.

    Raises:
        UsageError: Another loss.
    """
    every = dict(zip(OBJECTIVES, first_architecture(QUICK, QUICK.dataset)))
    return pick("loss", every, loss)


def digits() -> tuple[Tensor, Tensor]:
    """Images (20, 1, 28, 28) in [0, 1] and labels (20,): the first two test images of each digit, in order.

    >>> images, labels = digits()
    >>> images.shape, labels.tolist()[:6]
    (torch.Size([20, 1, 28, 28]), [0, 0, 1, 1, 2, 2])
    """
    test = cached_dataset(QUICK.dataset).test
    chosen = torch.cat([(test.labels == digit).nonzero().squeeze(1)[:EACH] for digit in range(10)])
    return test.take(chosen).to_float()


def load(loss: str, folder: Path | None = None) -> Exhibit:
    """A network as the page has it, to check the page's numbers or to go on with in Python.

    >>> import torch
    >>> exhibit = load("ce")
    >>> exhibit.network(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 10])

    Args:
        loss: ``"ce"``, ``"rce"`` or ``"drs"``.
        folder: Where :func:`write` put it; ``data/playground`` by default.

    Raises:
        UsageError: Another loss.
    """
    spec = specification(loss)
    folder = folder or _folder()
    with safe_open(folder / f"{loss}.safetensors", framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["about"])
    with safe_open(folder / f"{loss}_examples.safetensors", framework="pt") as file:
        examples = file.get_tensor("examples")
    network = build_model(spec.model, channels=1, classes=10, seed=spec.seed, **spec.model_options)
    network.load_state_dict(weights)
    labels = torch.arange(len(examples)).repeat_interleave(examples.shape[1])
    density = KDensity(about["bandwidth"], per_class=PER_CLASS).fit(examples.float().flatten(0, 1), labels)
    return Exhibit(as_classifier(network, loss).eval(), density, about)


def _density(network: Network, loss: str, data: Dataset) -> KDensity:
    """K-density of training features, rounded to the 16 bits in which the page gets them."""
    images, labels = data.train.to_float()
    rounded = features_of(network, images).half().float()
    return KDensity(bandwidth(loss), per_class=PER_CLASS).fit(rounded, labels, classes=len(data.class_names))


def _thresholds(network: Network, density: KDensity, data: Dataset) -> dict[str, float]:
    """For each score the threshold that rejects at most 5% of the validation images."""
    images = data.validation.to_float()[0]
    logits, features = logits_of(network, images), features_of(network, images)
    scores = {
        "confidence": confidence(logits),
        "non_me": non_me(logits),
        "k_density": density.score(features, logits.argmax(dim=1)),
    }
    return {name: rejection_threshold(values, 0.05) for name, values in scores.items()}


def write(folder: Path | None = None) -> list[Path]:
    """Train the three networks, or take them from the checkpoints, and write the files of the page.

    Args:
        folder: Where to; ``data/playground`` by default.

    Returns:
        The files: the digits, and for each loss the network and the features of K-density.
    """
    folder = folder or _folder()
    folder.mkdir(parents=True, exist_ok=True)
    data = cached_dataset(QUICK.dataset)
    images, labels = digits()
    written = [folder / "digits.safetensors"]
    shown = {"images": (images * 255.0).round().byte().squeeze(1), "labels": labels.byte()}
    save_file(shown, written[0])
    for loss in OBJECTIVES:
        spec = specification(loss)
        network = trained(spec, torch.device("cpu")).network
        inner = network.model if isinstance(network, ReverseLogits) else network
        density = _density(network, loss, data)
        tested, answers = data.test.to_float()
        about = {
            "name": style.name(loss),
            "colour": style.colour(loss),
            "reverse": inner is not network,
            "bandwidth": density.bandwidth,
            "error_percent": 100.0 * (1.0 - accuracy(logits_of(network, tested), answers)),
            "thresholds": _thresholds(network, density, data),
            "spec": spec.as_dict(),
        }
        weights = {name: value.contiguous() for name, value in inner.state_dict().items()}
        path = folder / f"{loss}.safetensors"
        save_file(weights, path, metadata={"about": json.dumps(about)})
        save_file({"examples": torch.stack(density.examples).half()}, folder / f"{loss}_examples.safetensors")
        written += [path, folder / f"{loss}_examples.safetensors"]
    return written
