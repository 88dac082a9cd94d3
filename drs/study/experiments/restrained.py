"""Verification of masked images: raw embeddings, triplet loss, self-restrained triplet loss, and pulling only.

Two kinds of data, no faces. ``synthetic``: people are random directions, and a mask shrinks half of the space, adds one
offset to all and noise. Digits: the CLASS plays the identity; a network trained on the classes 0 to 6 embeds the
held-out classes 7 to 9, and the mask turns the lower half grey. Three identities are few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from drs._seeding import seeded
from drs.evaluation.accuracy import features_of
from drs.family.biometrics import equal_error_rate, fisher_ratio, fnmr_at_fmr, pair_scores
from drs.family.self_restrained import (
    EmbeddingUnmasking,
    draw_negatives,
    is_restrained,
    pull_loss,
    self_restrained_triplet_loss,
    triplet_loss,
)
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.experiments.density import train
from drs.study.metrics import column
from drs.training.datasets import Split
from drs.training.models import build_model, on_device

__all__ = ["KNOWN", "LOSSES", "Pairs", "covered", "embedded_digits", "improve", "run", "synthetic", "verified"]

Triplets: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
Pairs: TypeAlias = tuple[Tensor, Tensor, Tensor]  # embeddings without and with mask (N, D), identities (N,)
LOSSES: dict[str, Triplets] = {
    "triplet": lambda a, p, n: triplet_loss(a, p, n, margin=1.0),
    "srt": lambda a, p, n: self_restrained_triplet_loss(a, p, n, margin=2.0),
    "pull": lambda a, p, n: pull_loss(a, p),
}
"""Losses of anchor, positive and negative by name, with the published margins."""
KNOWN = 7
"""Classes of digits that networks are trained on: 0 to 6. The others are the identities of the test."""
ENDS = 10
"""Updates at either end over which the loss is a mean."""


def synthetic(seed: int, *, people: tuple[int, int] = (800, 150), each: int = 8, size: int = 64) -> tuple[Pairs, Pairs]:
    """Embeddings of people to train on, and of other people to test on.

    Args:
        seed: Of everything that is drawn.
        people: To train on, to test on.
        each: Images of a person.
        size: Length of an embedding.
    """
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(size, size, generator=generator))[0]
    shrink = torch.where(torch.arange(size) < size // 2, 0.3, 1.0)
    offset = 0.8 * torch.nn.functional.normalize(torch.randn(size, generator=generator), dim=0) * size**0.5

    def made(first: int, count: int) -> Pairs:
        centres = torch.randn(count, size, generator=generator).repeat_interleave(each, dim=0)
        plain = centres + 0.7 * torch.randn(centres.shape, generator=generator)
        masked = (plain @ basis * shrink) @ basis.T + offset + 0.4 * torch.randn(centres.shape, generator=generator)
        return plain, masked, torch.arange(first, first + count).repeat_interleave(each)

    return made(0, people[0]), made(*people)


def covered(images: Tensor) -> Tensor:
    """The images with their lower half grey."""
    masked = images.clone()
    masked[:, :, images.shape[2] // 2 :] = 0.5
    return masked


def embedded_digits(spec: Spec, context: Context) -> tuple[Pairs, Pairs, dict[str, float]]:
    """Embeddings of the classes 0 to 6 to train on, of the classes 7 to 9 to test on, and how the network trained."""
    data = context.dataset(spec["dataset"])
    split = Split(torch.cat([data.train.images, data.test.images]), torch.cat([data.train.labels, data.test.labels]))
    images, labels = split.to_float(context.device)
    known = labels < KNOWN
    network = on_device(build_model("small_conv", channels=1, classes=KNOWN, seed=spec["seed"]), context.device)
    steps = spec["embedding_steps"]
    seen = train(network, images[known], labels[known], weight=0.0, steps=steps, rate=0.05, seed=spec["seed"])
    plain, masked = features_of(network, images), features_of(network, covered(images))
    kept = (~known).nonzero().flatten()[:300]
    return (plain[known], masked[known], labels[known]), (plain[kept], masked[kept], labels[kept]), seen


def improve(loss: Triplets, pairs: Pairs, spec: Spec) -> tuple[EmbeddingUnmasking, dict[str, float]]:
    """A network trained on top of the embeddings; its loss at both ends, and the share of restrained batches."""
    plain, masked, identity = pairs
    with seeded(spec["seed"], plain.device):
        model = EmbeddingUnmasking(plain.shape[1]).to(plain.device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, max(1, spec["steps"] // 3), 0.1)
    generator = torch.Generator().manual_seed(spec["seed"])
    losses, restrained = [], 0
    for _ in range(spec["steps"]):
        rows = torch.randint(0, len(plain), (spec["batch"],), generator=generator)
        others = draw_negatives(identity[rows].cpu(), generator=generator)
        anchor, positive, negative = model(masked[rows]), plain[rows], plain[rows[others]]
        value = loss(anchor, positive, negative)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(value.detach()))
        restrained += int(is_restrained(anchor.detach(), positive, negative))
    seen = {"before": float(np.mean(losses[:ENDS])), "after": float(np.mean(losses[-ENDS:]))}
    return model.eval(), seen | {"restrained": restrained / spec["steps"]}


def verified(name: str, probes: Tensor, references: Tensor, identity: Tensor) -> dict[str, float]:
    """Error rates of every second image as a probe against the other images as references.

    No probe meets its own unmasked copy.

    Args:
        name: Of the arm.
        probes, references: (N, D) embeddings of the same images, masked (and improved) and unmasked.
        identity: (N,).
    """
    people = identity.cpu().numpy()
    genuine, impostor = pair_scores(
        probes[::2].cpu().numpy(), people[::2], references[1::2].cpu().numpy(), people[1::2]
    )
    return {
        column("eer", attack=name): equal_error_rate(genuine, impostor),
        column("fnmr_100", attack=name): fnmr_at_fmr(genuine, impostor, 0.01),
        column("fnmr_1000", attack=name): fnmr_at_fmr(genuine, impostor, 0.001),
        column("fisher", attack=name): fisher_ratio(genuine, impostor),
        column("genuine", attack=name): float(genuine.mean()),
        column("impostor", attack=name): float(impostor.mean()),
    }


def run(spec: Spec, context: Context) -> Outcome:
    """Masked probes against unmasked references of people that no loss has seen."""
    metrics: dict[str, float] = {}
    if spec["dataset"] == "synthetic":
        known, test = synthetic(spec["seed"])
    else:
        known, test, metrics = embedded_digits(spec, context)
    plain, masked, identity = test
    metrics |= verified("unmasked", plain, plain, identity) | verified("raw", masked, plain, identity)
    for name, loss in LOSSES.items():
        model, seen = improve(loss, known, spec)
        metrics |= {column(f"train_loss_{end}", attack=name): seen[end] for end in ("before", "after")}
        if name == "srt":
            metrics["restrained_batches"] = seen["restrained"]
        with torch.no_grad():
            metrics |= verified(name, model(masked), plain, identity)
    return Outcome(metrics)
