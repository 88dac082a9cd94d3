"""What the DRS loss costs: the loss alone and a whole training step, against cross-entropy in the same process.

Contenders are timed in turns, the order reversed every time, so that whatever else the machine does meets all of them;
the estimate is the median of the ratios of neighbours. On a CPU the clock is that of this process's own work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drs._seeding import current, seeded
from drs.catalog import PUBLISHED_WEIGHT
from drs.losses import drs_loss
from drs.study.experiments.base import Context, Outcome, Spec
from drs.training.models import build_model, on_device

__all__ = [
    "CONTENDERS",
    "KINDS",
    "RESAMPLES",
    "LossOf",
    "Work",
    "in_turns",
    "memory",
    "naive_drs",
    "ratio_metrics",
    "run",
    "seconds",
]

LossOf = Callable[[Tensor, Tensor], Tensor]
Work = Callable[[], None]

RESAMPLES = 2000


def naive_drs(logits: Tensor, target: Tensor) -> Tensor:
    """The reference implementation: the published form, a list of booleans for each sample, in a Python loop."""
    penalty = logits.new_zeros(())
    for values, true in zip(torch.log_softmax(logits, dim=1), target.tolist()):
        false = values[[j != true for j in range(len(values))]]
        penalty = penalty + (false - false.mean()).square().sum()
    return F.cross_entropy(logits, target) + PUBLISHED_WEIGHT * penalty / len(target)


CONTENDERS: dict[str, LossOf] = {"ce": F.cross_entropy, "drs": drs_loss, "naive": naive_drs}
"""Torch's own cross-entropy, the loss of this package, and the reference implementation."""


def seconds(work: Work, device: torch.device) -> float:
    """Time of one piece of work: the processor's on a CPU, the wall's with the device waited for elsewhere."""
    if device.type == "cpu":
        started = time.process_time()
        work()
        return time.process_time() - started
    backend = torch.get_device_module(device)
    backend.synchronize()
    started = time.perf_counter()
    work()
    backend.synchronize()
    return time.perf_counter() - started


def in_turns(works: Mapping[str, Work], repetitions: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each piece of work, ``repetitions`` times in turns, the order reversed every time."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repetition in range(-1, repetitions):  # the first round only warms up
        for name in list(works) if repetition % 2 else reversed(list(works)):
            spent = seconds(works[name], device)
            if repetition >= 0:
                times[name].append(spent)
    return times


def ratio_metrics(times: Mapping[str, list[float]], name: str) -> dict[str, float]:
    """Median ratio of ``name`` to ``ce``, with the percentile interval of 2,000 bootstrap samples of the rounds."""
    ratios = np.asarray(times[name]) / np.asarray(times["ce"])
    drawn = np.random.default_rng(0).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), [2.5, 97.5])
    return {
        f"{name}_ratio": float(np.median(ratios)),
        f"{name}_ratio_low": float(low),
        f"{name}_ratio_high": float(high),
    }


def memory(work: Work, device: torch.device, given: tuple[Tensor, ...] = ()) -> float:
    """Bytes a piece of work needs: at its peak on CUDA; elsewhere those kept for the backward pass beyond ``given``."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return float(torch.cuda.max_memory_allocated(device) - before)
    kept: dict[int, int] = {}

    def note(saved: Tensor) -> Tensor:
        kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        work()
    for tensor in given:
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    return float(sum(kept.values()))


def _loss_alone(spec: Spec, device: torch.device) -> tuple[dict[str, Work], tuple[Tensor, ...]]:
    """Forward and backward pass of each loss on the same random logits (batch times tokens, classes)."""
    with seeded(0, torch.device("cpu")):
        logits = torch.randn(spec["batch"] * spec["tokens"], spec["classes"]).to(device).requires_grad_(True)
        target = torch.randint(0, spec["classes"], (len(logits),)).to(device)

    def work(loss: LossOf) -> Work:
        def there_and_back() -> None:
            torch.autograd.grad(loss(logits, target), logits)

        return there_and_back

    chosen = {name: loss for name, loss in CONTENDERS.items() if name != "naive" or spec["naive"]}
    return {name: work(loss) for name, loss in chosen.items()}, (logits, target)


def _training_step(spec: Spec, device: torch.device) -> tuple[dict[str, Work], tuple[Tensor, ...]]:
    """One update with each loss, of a network of its own: forward, loss, backward, SGD with momentum."""
    with seeded(0, torch.device("cpu")):
        images = torch.rand(spec["batch"], spec["channels"], spec["size"], spec["size"]).to(device)
        target = torch.randint(0, spec["classes"], (len(images),)).to(device)

    def work(loss: LossOf) -> Work:
        network = build_model(
            spec["model"], channels=spec["channels"], classes=spec["classes"], seed=0, **spec["model_options"]
        )
        network = on_device(network, device)
        # A small rate: thousands of updates on one random batch must stay finite.
        optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=device.type == "cuda")

        def step() -> None:
            optimiser.zero_grad(set_to_none=True)
            loss(network(images), target).backward()
            optimiser.step()

        return step

    return {name: work(CONTENDERS[name]) for name in ("ce", "drs")}, (images, target)


def _graphed(work: Work) -> Work:
    """The work as one CUDA graph, as :mod:`drs.training.loop` runs its updates."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


KINDS = {"loss": _loss_alone, "training": _training_step}


def run(spec: Spec, context: Context) -> Outcome:
    """Time the contenders of one shape or network. A training step on CUDA is timed as the graph that the training loop
    replays, and call by call as ``eager_ratio``."""
    with current(context.device):
        return _timed(spec, context.device)


def _timed(spec: Spec, device: torch.device) -> Outcome:
    torch.empty(24 << 20, dtype=torch.uint8)  # freed: malloc then keeps large blocks, as in a process that trains
    works, given = KINDS[spec["kind"]](spec, device)
    metrics = {f"{name}_bytes": memory(work, device, given) for name, work in works.items()}
    metrics["memory_ratio"] = metrics["drs_bytes"] / metrics["ce_bytes"]
    if device.type == "cuda" and spec["kind"] == "training":
        eager = in_turns(works, spec["repetitions"], device)
        metrics["eager_ratio"] = ratio_metrics(eager, "drs")["drs_ratio"]
        works = {name: _graphed(work) for name, work in works.items()}
    slow = {name: works.pop(name) for name in ("naive",) if name in works}
    times = in_turns(works, spec["repetitions"], device)
    metrics |= ratio_metrics(times, "drs")
    if slow:
        again = in_turns({"ce": works["ce"], **slow}, min(5, spec["repetitions"]), device)
        metrics |= ratio_metrics(again, "naive")
        times["naive"] = again["naive"]
    metrics |= {f"{name}_milliseconds": float(np.median(spent)) * 1e3 for name, spent in times.items()}
    return Outcome(metrics, {name: np.asarray(spent) for name, spent in times.items()})
