"""One training loop for every loss: data on the device once, SGD with momentum, seeded, repeatable on a CPU.

On a CUDA device the whole step (batch, augmentation, forward, loss, backward, update) is one CUDA graph.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from drs._seeding import current, seeded
from drs.attacks.ascent import ascend, raising
from drs.attacks.balls import random_point
from drs.attacks.objectives import cross_entropy
from drs.errors import Diverged, UsageError
from drs.losses import get_loss
from drs.training.datasets import Dataset
from drs.training.models import Network, ReverseLogits, build_model, on_device
from drs.training.spec import IN_RECORDS, TrainingSpec

__all__ = ["Training", "as_classifier", "crop_and_flip", "train"]


def _parameters(loss: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(get_loss(loss).function).parameters


@dataclass(frozen=True)
class Training:
    """A finished training: the network in evaluation mode, negated if its loss is reverse, and what the loop saw."""

    network: Network
    loss: float
    accuracy: float


def as_classifier(network: Network, loss: str) -> Network:
    """The network as it is used at test: negated for the reverse loss, unchanged for every other.

    Raises:
        UsageError: No loss of that name.
    """
    return ReverseLogits(network) if get_loss(loss).reverse else network


def crop_and_flip(images: Tensor, padding: int = 4) -> Tensor:
    """Random crop after zero padding and random horizontal flip, an offset and a coin for each image.

    Args:
        images: (N, C, H, W) on any device; random numbers come from that device's global generator.
        padding: Pixels added on each side before the crop.
    """
    count, _, height, width = images.shape
    device = images.device
    padded = F.pad(images, (padding,) * 4)
    top = torch.randint(0, 2 * padding + 1, (count, 1), device=device)
    left = torch.randint(0, 2 * padding + 1, (count, 1), device=device)
    flip = torch.rand(count, 1, device=device) < 0.5
    columns = torch.arange(width, device=device).expand(count, width)
    columns = torch.where(flip, width - 1 - columns, columns) + left
    rows = torch.arange(height, device=device).expand(count, height) + top
    batch = torch.arange(count, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _inner_pgd(network: nn.Module, images: Tensor, labels: Tensor, options: Mapping[str, float]) -> Tensor:
    """L-inf PGD on cross-entropy for adversarial training, with the gradient of the images only."""
    return ascend(
        raising(cross_entropy, network, labels),
        images,
        start=random_point(images, options["epsilon"], "linf"),
        epsilon=options["epsilon"],
        alpha=options["step_size"],
        steps=int(options["steps"]),
        keep="last",
    )


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _optimiser(spec: TrainingSpec, network: nn.Module, device: torch.device) -> torch.optim.SGD:
    """On CUDA the learning rate is a tensor there: a CUDA graph reads it anew at each replay."""
    groups = _parameter_groups(network, spec.weight_decay)
    if device.type != "cuda":
        return torch.optim.SGD(groups, lr=spec.learning_rate, momentum=spec.momentum)
    rate = torch.tensor(spec.learning_rate, device=device)
    return torch.optim.SGD(groups, lr=rate, momentum=spec.momentum, fused=True)


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _graphed(step: Callable[[], None], network: nn.Module, optimiser: torch.optim.Optimizer) -> Callable[[], None]:
    """``step`` as a CUDA graph, or ``step`` itself, with a warning, where it cannot be captured.

    The updates that warm it up are undone, so that either starts from the weights and random numbers there were.
    """
    state = {k: v.clone() for k, v in network.state_dict().items()}
    generator = torch.cuda.get_rng_state()
    update = step
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        update = graph.replay
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        warnings.warn(f"no CUDA graph, training goes on step by step: {reason}", RuntimeWarning, stacklevel=2)
    finally:
        with torch.no_grad():
            for key, value in network.state_dict().items():
                value.copy_(state[key])
            for values in optimiser.state.values():
                for value in values.values():
                    if isinstance(value, Tensor):
                        value.zero_()
        torch.cuda.set_rng_state(generator)
    return update


def train(
    spec: TrainingSpec, dataset: Dataset, *, device: torch.device | str = "cpu", progress: bool = False
) -> Training:
    """Train a network from scratch.

    Args:
        spec: What to train.
        dataset: The data; ``spec.dataset`` is its name.
        device: Where to train. On the CPU the same spec gives the same weights bit for bit (at one thread count).
        progress: Show a bar with loss and accuracy.

    Raises:
        UsageError: A batch larger than the training set, or unknown names or options.
        Diverged: The loss became infinite or NaN.
    """
    device = torch.device(device)
    split = dataset.train.first(spec.train_size)
    if len(split) < spec.batch_size:
        raise UsageError(f"expected at least one batch of {spec.batch_size} training images, got {len(split)}")
    known = [IN_RECORDS.get(name, name) for name in _parameters(spec.loss) if name != "weight"]
    for option in [*spec.loss_options, *(["weight"] if spec.warmup else [])]:
        if option not in known:
            raise UsageError(f"loss {spec.loss!r} has no option {option!r}: expected one of {', '.join(known)}")
    network = build_model(
        spec.model, channels=dataset.channels, classes=len(dataset.class_names), seed=spec.seed, **spec.model_options
    )
    network = on_device(network, device)
    with seeded(spec.seed, device), current(device):
        loss, accuracy = _loop(spec, network, *split.to_float(device), progress=progress)
    if not math.isfinite(loss):
        raise Diverged(f"training diverged: loss {loss} with {spec.loss} {dict(spec.loss_options)}, seed {spec.seed}")
    network.eval()
    return Training(as_classifier(network, spec.loss), loss, accuracy)


def _loop(
    spec: TrainingSpec, network: Network, images: Tensor, labels: Tensor, *, progress: bool
) -> tuple[float, float]:
    """Run the updates; mean loss and accuracy over the last whole epoch (over all updates, if they are fewer)."""
    device = images.device
    optimiser = _optimiser(spec, network, device)
    loss_of, options = get_loss(spec.loss), spec.loss_arguments
    sign = -1.0 if loss_of.reverse else 1.0
    if spec.warmup:
        final_penalty = options.get("penalty", _parameters(spec.loss)["penalty"].default)
        options["penalty"] = torch.zeros((), device=device)
    index = torch.arange(spec.batch_size, device=device)
    totals = torch.zeros(2, device=device)  # sum of losses, of shares of right answers

    def step() -> None:
        batch, target = images[index], labels[index]
        if spec.augment:
            batch = crop_and_flip(batch)
        if spec.adversarial:
            batch = _inner_pgd(network, batch, target, spec.adversarial)
        logits = network(batch)
        loss = loss_of.function(logits, target, **options)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            hits = ((sign * logits).argmax(dim=1) == target).float().mean()
            totals.add_(torch.stack([loss.detach(), hits]))

    network.train()
    update = _graphed(step, network, optimiser) if device.type == "cuda" else step
    per_epoch = len(images) // spec.batch_size
    generator = torch.Generator().manual_seed(spec.seed)
    mean = totals.cpu()
    done = 0
    with tqdm(
        total=spec.steps, desc=f"{spec.loss} on {spec.dataset}", unit="step", disable=not progress, leave=False
    ) as bar:
        while done < spec.steps:
            order = torch.randperm(len(images), generator=generator).to(device)
            batches = order.split(spec.batch_size)[: min(per_epoch, spec.steps - done)]
            totals.zero_()
            for number, batch in enumerate(batches, start=done):
                index.copy_(batch)
                _set_rate(optimiser, spec.rate_at(number))
                if spec.warmup:
                    options["penalty"].fill_(final_penalty * min(1.0, number / (spec.warmup * spec.steps)))
                update()
            done += len(batches)
            seen = totals.cpu() / len(batches)
            if len(batches) in (per_epoch, spec.steps) or not bool(seen.isfinite().all()):
                mean = seen
            bar.update(len(batches))
            bar.set_postfix(loss=f"{seen[0]:.3f}", accuracy=f"{seen[1]:.3f}")
    return float(mean[0]), float(mean[1])
