"""The capture of a training step, with stand-ins for the CUDA calls: what it must undo, and what it does on failure."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from drs.training.loop import _graphed


class _Stream:
    def wait_stream(self, other: object) -> None:
        del other


class _Graph:
    """Stands in for a CUDA graph: replaying it runs the step that was "captured" last."""

    def replay(self) -> None:
        raise AssertionError("replaced by each test")


def _parts() -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.3), nn.Linear(5, 3))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    inputs, target = torch.randn(8, 4), torch.arange(8) % 3

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(inputs), target).backward()
        optimiser.step()

    return network, optimiser, step


def _without_cuda(monkeypatch: pytest.MonkeyPatch, capture: Any) -> None:
    monkeypatch.setattr(torch.cuda, "get_rng_state", torch.get_rng_state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", torch.set_rng_state)
    monkeypatch.setattr(torch.cuda, "Stream", _Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", _Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", _Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)


def test_capture_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four updates were made on the way; weights, statistics, momentum and random numbers are as if none had been."""
    network, _, step = _parts()
    for _ in range(5):
        step()
    expected = {name: value.clone() for name, value in network.state_dict().items()}

    def capture(graph: _Graph) -> AbstractContextManager[None]:
        monkeypatch.setattr(graph, "replay", again[0])
        return nullcontext()

    network, optimiser, step = _parts()
    again = [step]
    _without_cuda(monkeypatch, capture)
    update = _graphed(step, network, optimiser)
    assert update is step  # the stand-in's replay
    for _ in range(5):
        update()
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_failed_capture_is_said_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network, optimiser, step = _parts()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def capture(graph: _Graph) -> AbstractContextManager[None]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    _without_cuda(monkeypatch, capture)
    with pytest.warns(RuntimeWarning, match=r"step by step: operation not permitted when stream is capturing$"):
        assert _graphed(step, network, optimiser) is step
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
