"""Our strongest attacks beside those of torchattacks, on the same networks and images.

:class:`drs.attacks.Standard` meets AutoAttack, and :class:`drs.attacks.APGD` meets APGD with the same steps and the
same random numbers. Both sides are given the images that the network classifies right. An image that only one side
breaks is listed by its index among the test images, both ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from drs.attacks import APGD, Attack, Standard
from drs.attacks.models import attackable
from drs.evaluation.probes import Tempered
from drs.paths import data_root
from drs.study.checkpoints import cached_dataset, trained
from drs.study.experiments.networks import variant_network
from drs.study.profiles import get_profile
from drs.training.spec import TrainingSpec

__all__ = [
    "APGD_STEPS",
    "CIFAR",
    "CONTESTS",
    "Contest",
    "Reference",
    "apgd_contests",
    "compare",
    "contest_network",
    "contests",
]

Reference: TypeAlias = Callable[[nn.Module], Callable[[Tensor, Tensor], Tensor]]
"""From a model to another library's attack on it, which maps images and labels to adversarial images."""

APGD_STEPS = 100
"""Steps of APGD on both sides."""


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


def compare(
    contest: Contest,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    ours: Attack,
    theirs: Reference,
    name: str,
    table: str,
) -> dict[str, Any]:
    """Run both sides in turn on one network.

    Args:
        contest: Names the network and the budget.
        network: Returns raw logits.
        images: (N, C, H, W) in [0, 1].
        labels: (N,).
        ours: The attack of this library, with the contest's budget.
        theirs: Makes the other side.
        name: Of the other side.
        table: Which file the row belongs to.

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
    with attackable(network) as model:
        other = theirs(model)
        sides = [lambda: ours(model, images[rows], labels[rows]), lambda: other(images[rows], labels[rows])]
        seconds, (found, moved) = take_turns(sides, 1, images.device, clock=clock)
        with torch.no_grad():
            # what counts is what the network answers on images within the budget
            inside = (moved - images[rows]).clamp(-contest.epsilon, contest.epsilon) + images[rows]
            broken = network(inside.clamp(0.0, 1.0)).argmax(dim=1) != labels[rows]
    only_ours, only_theirs = rows[found.success & ~broken], rows[broken & ~found.success]
    count = len(labels)
    return {
        "table": table,
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
        "reference": name,
        "device": str(images.device),
    }


def contests(*, full: bool, device: torch.device, autoattack: Any) -> Iterator[dict[str, Any]]:
    """Every contest whose data are at hand, one row each: Standard beside torchattacks' AutoAttack."""
    for contest in CONTESTS:
        epsilon = contest.epsilon

        def theirs(model: nn.Module, epsilon: float = epsilon) -> Any:
            return autoattack(model, eps=epsilon, version="standard", n_classes=10, seed=0)

        name = "torchattacks 3.5.1 AutoAttack standard"
        if (prepared := contest_network(contest, full=full, device=device)) is not None:
            yield compare(
                contest, *prepared, ours=Standard(epsilon=epsilon), theirs=theirs, name=name, table="standard"
            )


def apgd_contests(*, full: bool, device: torch.device, apgd: Any) -> Iterator[dict[str, Any]]:
    """The contests of the plain CE, DRS and RCE networks, two rows each: APGD on two objectives beside torchattacks'.

    Both sides take :data:`APGD_STEPS` steps from the same random numbers. (torchattacks stretches the start until one
    pixel reaches the edge of the ball: by less than 1% on these images.)
    """
    steps = APGD_STEPS if full else 5
    for contest in CONTESTS[:3]:
        epsilon, prepared = contest.epsilon, contest_network(contest, full=full, device=device)
        if prepared is None:
            continue
        for objective in ("ce", "dlr"):

            def theirs(model: nn.Module, epsilon: float = epsilon, objective: str = objective) -> Any:
                return apgd(model, eps=epsilon, steps=steps, loss=objective, seed=0)

            ours = APGD(epsilon=epsilon, steps=steps, objective=objective)
            name = f"torchattacks 3.5.1 APGD {objective}"
            yield compare(contest, *prepared, ours=ours, theirs=theirs, name=name, table="apgd")
