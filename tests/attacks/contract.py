"""What every attack keeps, asserted for one attack at a time, and models small enough for closed forms."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor, nn

from drs.attacks.base import TOLERANCE, Attack
from drs.training.datasets import Dataset
from drs.training.models import Network, build_model


class Linear(Network):
    """Features are the pixels; logits are ``weight`` (C, F) times the pixels plus ``bias`` (C,)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.classifier = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
        with torch.no_grad():
            self.classifier.weight.copy_(weight)
            self.classifier.bias.copy_(bias)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def assert_kept(attack: Attack, trained: Network, digits: Dataset, device: torch.device, *, random: bool) -> None:
    """Budget, range, judgement, both precisions, the model's state, seeds, empty batches, inputs left alone."""
    for dtype in (torch.float32, torch.float64):
        if device.type == "mps" and dtype == torch.float64:
            continue
        _assert_result(attack, copy.deepcopy(trained).to(device, dtype), digits, device, dtype)
    assert_model_as_it_was(attack, digits)
    assert_seeded(attack, trained, digits, random)
    empty = attack(trained, torch.zeros(0, 1, 28, 28), torch.zeros(0, dtype=torch.int64))
    assert empty.inputs.shape == (0, 1, 28, 28)


def _assert_result(attack: Attack, model: nn.Module, digits: Dataset, device: torch.device, dtype: torch.dtype) -> None:
    inputs, labels = digits.test.first(6).to_float(device)
    inputs = inputs.to(dtype)
    given = inputs.clone()
    found = attack(model, inputs, labels)
    assert torch.equal(inputs, given)
    assert found.inputs.dtype == dtype
    assert found.inputs.shape == inputs.shape
    assert found.inputs.min().item() >= 0.0
    assert found.inputs.max().item() <= 1.0
    difference = (found.inputs - inputs).flatten(1)
    distances = difference.norm(dim=1) if attack.norm == "l2" else difference.abs().amax(dim=1)
    torch.testing.assert_close(found.distances, distances)
    if attack.budget is not None:
        assert distances.max().item() <= attack.budget + TOLERANCE
    with torch.no_grad():
        logits = model(found.inputs)
    torch.testing.assert_close(found.logits, logits)
    assert int(found.success.sum()) >= 3
    assert bool((logits.argmax(1) != labels)[found.success].all())
    assert not found.inputs.requires_grad


def assert_model_as_it_was(attack: Attack, digits: Dataset) -> None:
    """Training mode, a frozen layer in evaluation mode, gradients, running statistics and flags all come back."""
    model = build_model("small_conv", channels=1, classes=10, seed=0, width=16)
    inputs, labels = digits.test.first(2).to_float()
    model.train()
    frozen = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    frozen.eval()
    frozen.weight.requires_grad_(False)
    model.classifier.bias.grad = torch.full((10,), 3.0)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    attack(model, inputs, labels)
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    assert model.classifier.bias.grad is not None
    assert torch.equal(model.classifier.bias.grad, torch.full((10,), 3.0))
    assert all(p.grad is None for name, p in model.named_parameters() if name != "classifier.bias")
    assert inputs.grad is None
    assert not inputs.requires_grad


def assert_seeded(attack: Attack, trained: Network, digits: Dataset, random: bool) -> None:
    """The same images from the same seed, with gradients off too; the global generator stays where it was."""
    inputs, labels = digits.test.first(4).to_float()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = attack(trained, inputs, labels).inputs
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with torch.no_grad():
        assert torch.equal(attack(trained, inputs, labels).inputs, first)
    assert torch.equal(dataclasses.replace(attack, seed=1)(trained, inputs, labels).inputs, first) is not random
