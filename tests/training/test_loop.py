"""The training loop against a hand-written step, bit for bit; schedules and augmentation by enumeration."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from drs.losses import Loss, drs_loss
from drs.training.datasets import Dataset
from drs.training.loop import _inner_pgd, _parameter_groups, as_classifier, crop_and_flip, train
from drs.training.models import Network, ReverseLogits, build_model
from drs.training.spec import TrainingSpec

SMALL = TrainingSpec(model="mlp", model_options={"width": 8}, steps=6, batch_size=32, seed=4)


def weights(network: Network) -> dict[str, Tensor]:
    return dict(network.state_dict())


def same(first: Network, second: Network) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


# --- repeatable ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"model": "small_conv", "model_options": {"width": 4}},
        {"augment": True},
        {"adversarial": {"epsilon": 0.1, "steps": 2, "step_size": 0.05}},
        {"loss": "drs", "warmup": 0.5},
        {"loss": "rce"},
    ],
    ids=lambda change: "-".join(change),
)
def test_same_spec_same_weights_bit_for_bit(digits: Dataset, change: dict[str, Any]) -> None:
    spec = dataclasses.replace(SMALL, **change)
    torch.manual_seed(1)
    first = train(spec, digits)
    torch.manual_seed(2)
    again = train(spec, digits)
    assert same(first.network, again.network)
    assert (first.loss, first.accuracy) == (again.loss, again.accuracy)
    other = train(dataclasses.replace(spec, seed=spec.seed + 1), digits)
    assert not same(first.network, other.network)
    # each option does something: it is not the network of the plain spec
    assert not same(first.network, train(SMALL, digits).network)


def test_global_generator_and_data_are_untouched(digits: Dataset) -> None:
    images = digits.train.images.clone()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(dataclasses.replace(SMALL, augment=True), digits)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(digits.train.images, images)


def test_progress_bar_changes_nothing(digits: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = train(SMALL, digits)
    assert capsys.readouterr().err == ""
    shown = train(SMALL, digits, progress=True)
    assert same(quiet.network, shown.network)
    assert "ce on mnist5k" in capsys.readouterr().err


def test_trains_on_every_device(digits: Dataset, device: torch.device) -> None:
    spec = TrainingSpec(steps=40, batch_size=64, learning_rate=0.1)
    training = train(spec, digits, device=device)
    assert next(training.network.parameters()).device.type == device.type
    assert not training.network.training
    # 40 steps of 64 on 320 images: eight epochs; guessing would be right for 0.1 at a loss of log 10 = 2.30
    assert training.accuracy > 0.6
    assert training.loss < 1.6


# --- the update ------------------------------------------------------------------------------------------------------


def batches(spec: TrainingSpec, dataset: Dataset) -> list[tuple[Tensor, Tensor]]:
    """Epochs of a seeded order, the incomplete last batch left out."""
    images, labels = dataset.train.first(spec.train_size).to_float()
    generator = torch.Generator().manual_seed(spec.seed)
    made: list[tuple[Tensor, Tensor]] = []
    while len(made) < spec.steps:
        order = torch.randperm(len(images), generator=generator)
        whole = len(images) // spec.batch_size * spec.batch_size
        made += [(images[part], labels[part]) for part in order[:whole].split(spec.batch_size)]
    return made[: spec.steps]


def hand_trained(spec: TrainingSpec, dataset: Dataset) -> tuple[Network, list[float], list[float]]:
    """v = momentum * v + gradient + decay * w (decay on matrices only), w = w - rate * v; losses and accuracies."""
    network = build_model(spec.model, channels=1, classes=10, seed=spec.seed, **spec.model_options)
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    losses, accuracies = [], []
    for number, (images, labels) in enumerate(batches(spec, dataset)):
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        rate = spec.learning_rate * 0.5 * (1 + math.cos(math.pi * number / spec.steps))
        with torch.no_grad():
            for p, v, gradient in zip(network.parameters(), velocity, gradients, strict=True):
                decay = spec.weight_decay if p.dim() > 1 else 0.0
                v.mul_(spec.momentum).add_(gradient + decay * p)
                p.sub_(rate * v)
        losses.append(loss.item())
        accuracies.append((logits.argmax(1) == labels).float().mean().item())
    return network, losses, accuracies


@pytest.mark.parametrize("steps", [1, 13])
def test_updates_against_a_hand_written_loop(digits: Dataset, steps: int) -> None:
    # 100 images, 3 batches of 32 an epoch; a weight decay that is far too large shows where it is applied
    spec = dataclasses.replace(SMALL, steps=steps, train_size=100, weight_decay=0.3)
    expected, losses, accuracies = hand_trained(spec, digits)
    found = train(spec, digits)
    for key, value in weights(expected).items():
        torch.testing.assert_close(weights(found.network)[key], value, rtol=1e-4, atol=1e-6)
    # the last whole epoch: updates 9, 10, 11 of 13
    last = slice(9, 12) if steps == 13 else slice(0, 1)
    assert found.loss == pytest.approx(sum(losses[last]) / len(losses[last]), rel=1e-5)
    assert found.accuracy == pytest.approx(sum(accuracies[last]) / len(accuracies[last]), rel=1e-5)


def test_weight_decay_is_on_weights_only() -> None:
    network = build_model("resnet", channels=1, classes=10, seed=0, depth=8, width=4)
    decayed, others = _parameter_groups(network, 0.25)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.25, 0.0)
    names = {id(p): name for name, p in network.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {
        name for name in names.values() if name.endswith("weight") and "norm" not in name
    }
    assert len(decayed["params"]) + len(others["params"]) == len(names)
    assert all("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in others["params"])


def test_train_size_takes_the_first_images(digits: Dataset) -> None:
    less = dataclasses.replace(digits, train=digits.train.first(64))
    assert same(train(dataclasses.replace(SMALL, train_size=64), digits).network, train(SMALL, less).network)


# --- schedules -------------------------------------------------------------------------------------------------------


def test_cosine_schedule_by_hand() -> None:
    spec = TrainingSpec(steps=100, learning_rate=0.2)
    # 0.1 (1 + cos(pi k / 100)): cos 0 = 1, cos 60 degrees = 1/2, cos 90 = 0, cos 120 = -1/2
    rates = [spec.rate_at(0), spec.rate_at(50), spec.rate_at(100)]
    assert rates == pytest.approx([0.2, 0.1, 0.0])
    spec = dataclasses.replace(spec, steps=3)
    assert [spec.rate_at(k) for k in range(3)] == pytest.approx([0.2, 0.15, 0.05])


def test_step_schedule_by_hand() -> None:
    spec = TrainingSpec(schedule="step", milestones=(10, 15, 20), learning_rate=0.1)
    found = [spec.rate_at(k) for k in (0, 9, 10, 14, 15, 19, 20, 99)]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_the_loop_follows_the_schedule(digits: Dataset) -> None:
    """After a milestone with a rate of 1e-25 nothing moves any more."""
    spec = dataclasses.replace(SMALL, schedule="step", momentum=0.0, weight_decay=0.0)
    early = dataclasses.replace(spec, steps=2)
    late = dataclasses.replace(spec, steps=6, milestones=tuple([2] * 25))
    for key, value in weights(train(early, digits).network).items():
        torch.testing.assert_close(weights(train(late, digits).network)[key], value, rtol=0, atol=1e-12)


# --- augmentation ----------------------------------------------------------------------------------------------------


def test_every_crop_is_one_of_162_shifts(device: torch.device) -> None:
    """9 x 9 offsets, mirrored or not; all of them occur."""
    torch.manual_seed(0)
    image = torch.arange(1.0, 43.0).reshape(1, 6, 7)
    padded = F.pad(image, (4, 4, 4, 4))
    shifts = {}
    for top in range(9):
        for left in range(9):
            crop = padded[:, top : top + 6, left : left + 7]
            shifts[crop.numpy().tobytes()] = (top, left, False)
            # the image is mirrored first and then cropped, or the other way round: the same set of results
            shifts[crop.flip(2).numpy().tobytes()] = (top, left, True)
    assert len(shifts) == 162
    count = 4000
    out = crop_and_flip(image.expand(count, 1, 6, 7).contiguous().to(device)).cpu()
    assert out.shape == (count, 1, 6, 7)
    seen = [shifts[row.numpy().tobytes()] for row in out]
    assert len(set(seen)) == 162
    mirrored = sum(flip for _, _, flip in seen) / count
    assert abs(mirrored - 0.5) < 0.04  # five standard deviations of a fair coin


def test_crop_keeps_the_channels_of_an_image_together() -> None:
    torch.manual_seed(0)
    image = torch.rand(5, 1, 8, 8)
    out = crop_and_flip(image.expand(5, 3, 8, 8) * torch.tensor([1.0, 2.0, 4.0])[:, None, None])
    torch.testing.assert_close(out[:, 1], 2 * out[:, 0])
    torch.testing.assert_close(out[:, 2], 4 * out[:, 0])


def test_padding_zero_only_flips() -> None:
    torch.manual_seed(0)
    images = torch.rand(40, 2, 5, 6)
    out = crop_and_flip(images, padding=0)
    kept = (out == images).flatten(1).all(1)
    assert torch.equal(out[~kept], images.flip(3)[~kept])
    assert 0 < int(kept.sum()) < 40


# --- losses in the loop ----------------------------------------------------------------------------------------------


def test_rce_network_is_negated(digits: Dataset) -> None:
    training = train(TrainingSpec(loss="rce", steps=60, batch_size=64), digits)
    assert isinstance(training.network, ReverseLogits)
    images, labels = digits.train.to_float()
    with torch.no_grad():
        right = (training.network(images).argmax(1) == labels).float().mean().item()
        reverse = (training.network.model(images).argmax(1) == labels).float().mean().item()
    assert right > 0.5
    assert reverse < 0.1
    # the accuracy that the loop reports is the negated network's; its loss is near the minimum log 9
    assert training.accuracy > 0.5
    assert math.log(9) < training.loss < math.log(9) + 0.1


def test_only_rce_is_negated(trained: Network) -> None:
    assert isinstance(as_classifier(trained, "rce"), ReverseLogits)
    for loss in ("ce", "drs", "label_smoothing"):
        assert as_classifier(trained, loss) is trained


def test_loss_options_reach_the_loss(digits: Dataset) -> None:
    zero = train(dataclasses.replace(SMALL, loss="drs", loss_options={"weight": 0.0}), digits)
    assert same(zero.network, train(SMALL, digits).network)
    assert not same(zero.network, train(dataclasses.replace(SMALL, loss="drs"), digits).network)


def test_warmup_starts_at_weight_zero_and_ends_at_the_losss_own(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def spy(logits: Tensor, target: Tensor, *, penalty: float | Tensor = 0.64) -> Tensor:
        seen.append(float(penalty))
        return drs_loss(logits, target, penalty=penalty)

    monkeypatch.setattr("drs.losses.LOSSES", {"drs": Loss(spy)})
    train(dataclasses.replace(SMALL, loss="drs", warmup=0.5, steps=8), digits)
    # four of eight updates: 0, 1/4, 2/4, 3/4 of 0.64, then all of it
    assert seen == pytest.approx([0.0, 0.16, 0.32, 0.48, 0.64, 0.64, 0.64, 0.64])
    seen.clear()
    train(dataclasses.replace(SMALL, loss="drs", loss_options={"weight": 2.0}, warmup=1.0, steps=4), digits)
    assert seen == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_first_update_of_a_warmup_is_cross_entropys(digits: Dataset) -> None:
    one = dataclasses.replace(SMALL, steps=1)
    warm = dataclasses.replace(one, loss="drs", warmup=0.5)
    assert same(train(warm, digits).network, train(one, digits).network)


def test_inner_attack_keeps_its_budget_and_raises_the_loss(trained: Network, digits: Dataset) -> None:
    images, labels = digits.test.to_float()
    before = [None if p.grad is None else p.grad.clone() for p in trained.parameters()]
    torch.manual_seed(0)
    options = {"epsilon": 0.05, "steps": 5.0, "step_size": 0.02}
    moved = _inner_pgd(trained, images, labels, options)
    assert (moved - images).abs().max().item() <= 0.05 + 1e-6
    assert moved.min().item() >= 0.0
    assert moved.max().item() <= 1.0
    assert not moved.requires_grad
    noise = (images + 0.05 * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
    with torch.no_grad():
        clean, noisy, attacked = (F.cross_entropy(trained(x), labels).item() for x in (images, noise, moved))
    assert attacked > clean + 1.0
    assert attacked > noisy + 1.0
    for parameter, gradient in zip(trained.parameters(), before, strict=True):
        now = parameter.grad
        assert now is gradient is None or (now is not None and gradient is not None and torch.equal(now, gradient))
