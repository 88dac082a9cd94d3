"""Our one strong call, :class:`drs.attacks.Standard`, beside AutoAttack on the same networks and images.

Both are given the images that the network classifies right. An image that only one side breaks is listed by its index
among the test images, both ways.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drs.attacks import Standard
from drs.attacks.models import attackable
from drs.evaluation.probes import Tempered
from drs.paths import data_root
from drs.study.checkpoints import cached_dataset, trained
from drs.study.experiments.networks import variant_network
from drs.study.profiles import get_profile
from drs.training.spec import TrainingSpec

__all__ = ["CIFAR", "CONTESTS", "Contest", "compare", "contest_network", "contests"]


@dataclass(frozen=True)
class Contest:
    """A network on which the two sides meet.

    Attributes:
        name: What is said of the network.
        variant: Of :func:`drs.study.experiments.networks.variants`.
        epsilon: L-inf budget.
        dataset: Its data.
        factor: What the logits are multiplied by.
    """

    name: str
    variant: str
    epsilon: float
    dataset: str = "mnist5k"
    factor: float = 1.0


CIFAR = "cifar10-jpeg"
"""Folder of the JPEG copy of CIFAR-10, under the root of the data sets."""

CONTESTS = (
    Contest("cross-entropy", "ce", 0.04),
    Contest("DRS", "drs", 0.04),
    Contest("RCE", "rce", 0.04),
    Contest("cross-entropy, logits times 100", "ce", 0.04, factor=100.0),
    Contest("adversarially trained", "adversarial", 0.1),
    Contest("MLP, cross-entropy", "mlp-ce", 0.04),
    Contest("ResNet-8, cross-entropy", "resnet-ce", 1 / 255, dataset=CIFAR),
)
"""Every network on which the two sides meet."""


def contest_network(contest: Contest, *, full: bool, device: torch.device) -> tuple[nn.Module, Tensor, Tensor] | None:
    """The trained network with its test images and labels; None where its data are not at hand."""
    dataset = contest.dataset
    if dataset == CIFAR:
        folder = data_root() / CIFAR
        if not folder.is_dir():
            return None
        dataset = f"folder:{folder}"
    profile = get_profile("quick" if full else "smoke")
    spec = variant_network(profile, dataset, contest.variant, 0)
    if contest.dataset == CIFAR:
        spec = TrainingSpec.from_dict(
            spec.as_dict() | {"model_options": {"depth": 8, "width": 16}, "train_size": 10_000 if full else 200}
        )
    network: nn.Module = trained(spec, device).network
    if contest.factor != 1.0:
        network = Tempered(network, 1.0 / contest.factor)
    return network, *cached_dataset(dataset).test.first(100 if full else 4).to_float(device)


def compare(contest: Contest, network: nn.Module, images: Tensor, labels: Tensor, *, autoattack: Any) -> dict[str, Any]:
    """Run both sides in turn on one network.

    Args:
        contest: Names the network and the budget.
        network: Returns raw logits.
        images: (N, C, H, W) in [0, 1].
        labels: (N,).
        autoattack: torchattacks' class.

    Returns:
        One row: accuracies in [0, 1] over all N images, our seconds (of computing, on a CPU) and their ratio to
        theirs, and the images that only one of them breaks.
    """
    from drs.study.benchmarks import take_turns

    # on a CPU the time that this process computes: whatever else the machine does falls on one side by chance
    clock = time.process_time if images.device.type == "cpu" else time.perf_counter
    with torch.no_grad():
        right = network(images).argmax(dim=1) == labels
    rows = right.nonzero().squeeze(1)
    ours = Standard(epsilon=contest.epsilon)
    with attackable(network) as model:
        theirs = autoattack(model, eps=contest.epsilon, version="standard", n_classes=10, seed=0)
        sides = [lambda: ours(model, images[rows], labels[rows]), lambda: theirs(images[rows], labels[rows])]
        seconds, (found, moved) = take_turns(sides, 1, images.device, clock=clock)
        with torch.no_grad():
            # what counts is what the network answers on images within the budget
            inside = (moved - images[rows]).clamp(-contest.epsilon, contest.epsilon) + images[rows]
            broken = network(inside.clamp(0.0, 1.0)).argmax(dim=1) != labels[rows]
    only_ours, only_theirs = rows[found.success & ~broken], rows[broken & ~found.success]
    count = len(labels)
    return {
        "table": "standard",
        "name": f"{contest.name}, {contest.dataset}",
        "epsilon": contest.epsilon,
        "images": count,
        "clean": len(rows) / count,
        "ours": int((~found.success).sum()) / count,
        "theirs": int((~broken).sum()) / count,
        "only_ours": " ".join(str(int(i)) for i in only_ours),
        "only_theirs": " ".join(str(int(i)) for i in only_theirs),
        "seconds": seconds[0],
        "ratio": seconds[0] / seconds[1],
        "reference": "torchattacks 3.5.1 AutoAttack standard",
        "device": str(images.device),
    }


def contests(*, full: bool, device: torch.device, autoattack: Any) -> Iterator[dict[str, Any]]:
    """Every contest whose data are at hand, one row each."""
    for contest in CONTESTS:
        prepared = contest_network(contest, full=full, device=device)
        if prepared is not None:
            yield compare(contest, *prepared, autoattack=autoattack)
