"""Random numbers that are seeded here and leave everybody else's as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def current(device: torch.device) -> Iterator[None]:
    """Inside, streams and graphs of CUDA belong to ``device``, and not to the first one; elsewhere nothing changes."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        yield


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of the CPU and of ``device`` inside; both as before after, no other one ever touched.

    ``torch.manual_seed`` would reach into every GPU there is.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with current(device):
                torch.cuda.manual_seed(seed)
        if device.type != "mps":
            yield
            return
        state = torch.mps.get_rng_state()
        torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            torch.mps.set_rng_state(state)
