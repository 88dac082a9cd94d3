"""Networks against hand-counted parameters, a second implementation of a unit, and their promises."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs.errors import UsageError
from drs.training.datasets import Dataset
from drs.training.models import (
    MLP,
    MODELS,
    LeNet,
    Network,
    ResNet,
    ReverseLogits,
    SmallConvNet,
    _Unit,
    build_model,
    count_parameters,
    on_device,
)

every_model = pytest.mark.parametrize(
    ("name", "options"),
    [
        ("small_conv", {}),
        ("small_conv", {"norm": False}),
        ("mlp", {"width": 8}),
        ("mlp", {"width": 8, "norm": True}),
        ("lenet", {"width": 4, "hidden": 8}),
        ("resnet", {"depth": 8, "width": 4}),
    ],
)


def resnet_parameters(channels: int, depth: int, classes: int = 10) -> int:
    """Written down from the layers: no convolution has a bias, a batch norm has two values a channel."""
    total, before = channels * 16 * 9, 16
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            total += 2 * before + before * width * 9 + 2 * width + width * width * 9
            before = width
    return total + 2 * 64 + 64 * classes + classes


# --- parameters ------------------------------------------------------------------------------------------------------


def test_small_conv_net_parameters_by_hand() -> None:
    # 5 x 5 from 1 to 16: 400; norm 32; 3 x 3 from 16 to 32: 4,608; norm 64; 3 x 3 from 32 to 48: 13,824; norm 96;
    # linear 48 x 10 + 10 = 490. Together 19,514, about 20,000.
    expected = 1 * 16 * 25 + 2 * 16 + 16 * 32 * 9 + 2 * 32 + 32 * 48 * 9 + 2 * 48 + 48 * 10 + 10
    assert expected == 19_514
    assert count_parameters(SmallConvNet()) == expected
    # three channels: 2 * 16 * 25 = 800 more
    assert count_parameters(SmallConvNet(3)) == expected + 800


def test_mlp_parameters_by_hand() -> None:
    assert count_parameters(MLP(1, 10, width=64)) == 784 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10


def test_lenet_parameters_by_hand() -> None:
    # 5 x 5 from 1 to 16 with biases: 416; from 16 to 32: 12,832; 32 maps of 7 x 7 to 128: 200,832; to 10: 1,290
    assert count_parameters(LeNet()) == 416 + 12_832 + 200_832 + 1_290
    # 32 x 32 in colour: 2 * 16 * 25 more in front, 8 x 8 places behind
    assert count_parameters(LeNet(3, size=32)) == 416 + 800 + 12_832 + 32 * 64 * 128 + 128 + 1_290
    assert LeNet(1, size=9, columns=5)(torch.zeros(2, 1, 9, 5)).shape == (2, 10)
    with pytest.raises(UsageError, match="expected images of 4 x 4 pixels or more, got 28 x 3"):
        LeNet(columns=3)


def test_without_normalisation_layers_have_biases_in_its_place() -> None:
    # the norms' 32 + 64 + 96 values go, 16 + 32 + 48 biases come
    assert count_parameters(SmallConvNet(norm=False)) == 19_514 - (32 + 64 + 96) + (16 + 32 + 48)
    # two norms of 2 * 64 values come, two biases of 64 go
    assert count_parameters(MLP(norm=True)) == count_parameters(MLP()) + 2 * 64
    assert not any(isinstance(m, nn.BatchNorm2d) for m in SmallConvNet(norm=False).modules())
    assert sum(isinstance(m, nn.BatchNorm1d) for m in MLP(norm=True).modules()) == 2


@pytest.mark.parametrize(("depth", "expected"), [(32, 464_154), (56, 853_018)])
def test_resnet_parameters(depth: int, expected: int) -> None:
    assert resnet_parameters(3, depth) == expected  # about 0.46 and 0.85 million
    assert count_parameters(ResNet(3, depth=depth)) == expected
    assert count_parameters(ResNet(1, depth=depth)) == expected - 2 * 16 * 9


def test_resnet_has_that_many_layers_with_weights() -> None:
    """Depth counts the convolutions and the linear layer."""
    for depth in (8, 32, 56):
        layers = [m for m in ResNet(depth=depth, width=4).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        assert len(layers) == depth


def test_frozen_parameters_do_not_count() -> None:
    model = MLP(width=8)
    model.classifier.requires_grad_(False)
    assert count_parameters(model) == 784 * 8 + 8 + 8 * 8 + 8


# --- the residual unit -----------------------------------------------------------------------------------------------


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64, every parameter and statistic a random number, so that a mixed-up layer shows."""
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(noise + 0.5 if "running_var" in name else noise - 0.5)
    return module


@pytest.mark.parametrize(
    ("before", "after", "stride", "first"), [(4, 4, 1, True), (4, 4, 1, False), (4, 8, 2, False), (3, 8, 2, True)]
)
def test_unit_against_a_second_implementation(before: int, after: int, stride: int, first: bool) -> None:
    unit = randomised(_Unit(before, after, stride, first))
    values = dict(unit.state_dict())
    x = torch.randn(2, before, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def norm(z: Tensor, name: str) -> Tensor:
        mean, var = values[f"{name}.running_mean"], values[f"{name}.running_var"]
        scaled = (z - mean[:, None, None]) / (var[:, None, None] + 1e-3).sqrt()
        result: Tensor = scaled * values[f"{name}.weight"][:, None, None] + values[f"{name}.bias"][:, None, None]
        return result

    def leaky(z: Tensor) -> Tensor:
        return z.clamp_min(0.0) + 0.1 * z.clamp_max(0.0)

    active = leaky(norm(x, "norm1"))
    residual = F.conv2d(active, values["conv1.weight"], stride=stride, padding=1)
    residual = F.conv2d(leaky(norm(residual, "norm2")), values["conv2.weight"], padding=1)
    start = active if first else x
    shortcut = torch.zeros(2, after, 6 // stride, 6 // stride, dtype=torch.float64)
    pooled = start if stride == 1 else (start[..., ::2, :] + start[..., 1::2, :])
    pooled = pooled if stride == 1 else (pooled[..., ::2] + pooled[..., 1::2]) / 4
    low = (after - before) // 2
    shortcut[:, low : low + before] = pooled
    torch.testing.assert_close(unit(x), residual + shortcut, rtol=1e-12, atol=1e-12)


def test_shortcut_is_average_pooling_and_channels_of_zeros() -> None:
    unit = _Unit(2, 6, 2, False)
    nn.init.zeros_(unit.conv2.weight)
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    out = unit(x)
    # 2 x 2 means of 0..15: (0 + 1 + 4 + 5) / 4 = 2.5, then 4.5, 10.5, 12.5; the second channel is 16 more
    first = torch.tensor([[2.5, 4.5], [10.5, 12.5]])
    torch.testing.assert_close(out[0, 2], first)
    torch.testing.assert_close(out[0, 3], first + 16)
    assert bool((out[0, [0, 1, 4, 5]] == 0).all())


def test_only_the_first_unit_activates_before_the_shortcut() -> None:
    units = [u for u in ResNet(depth=20, width=4).units if isinstance(u, _Unit)]
    assert [u.activate_before_residual for u in units] == [True] + [False] * 8
    assert [u.stride for u in units] == [1, 1, 1, 2, 1, 1, 2, 1, 1]
    assert [(u.conv1.in_channels, u.conv1.out_channels) for u in units] == (
        [(4, 4)] * 3 + [(4, 8)] + [(8, 8)] * 2 + [(8, 16)] + [(16, 16)] * 2
    )


def test_resnet_is_stem_units_norm_leaky_pool_linear() -> None:
    model = randomised(ResNet(1, 5, depth=8, width=4))
    assert isinstance(model, ResNet)
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hidden = model.stem(x - 0.5)
    for unit in model.units:
        hidden = unit(hidden)
    hidden = F.batch_norm(
        hidden, model.norm.running_mean, model.norm.running_var, model.norm.weight, model.norm.bias, eps=1e-3
    )
    hidden = torch.where(hidden > 0, hidden, 0.1 * hidden).sum(dim=(2, 3)) / (hidden.shape[2] * hidden.shape[3])
    torch.testing.assert_close(model.features(x), hidden)
    torch.testing.assert_close(model(x), hidden @ model.classifier.weight.T + model.classifier.bias)


def test_resnet_initial_convolutions_are_he_normal() -> None:
    """Standard deviation sqrt(2 / (9 * channels out))."""
    model = build_model("resnet", channels=3, classes=10, seed=0, depth=32)
    assert isinstance(model, ResNet)
    for unit in model.units:
        assert isinstance(unit, _Unit)
        expected = (2 / (9 * unit.conv2.out_channels)) ** 0.5
        assert unit.conv2.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert bool((model.classifier.bias == 0).all())


# --- what every network promises -------------------------------------------------------------------------------------


@every_model
def test_forward_is_head_of_features(name: str, options: dict[str, int], device: torch.device) -> None:
    model = build_model(name, channels=1, classes=7, seed=0, **options).to(device).eval()
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(device)
    hidden = model.features(x)
    assert hidden.shape == (3, model.classifier.in_features)
    assert torch.equal(model(x), model.head(hidden))
    torch.testing.assert_close(model(x), F.linear(hidden, model.classifier.weight, model.classifier.bias))


@every_model
def test_the_pixel_range_of_the_papers_lives_inside(name: str, options: dict[str, int]) -> None:
    """What follows the input sees x - 0.5."""
    model = build_model(name, channels=1, classes=7, seed=0, **options).eval()
    seen: list[Tensor] = []
    first = model.stem if isinstance(model, ResNet) else next(iter(model.children()))
    first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model(x)
    assert torch.equal(seen[0], x - 0.5)


def test_features_of_small_conv_net_are_means_over_the_image(trained: Network, digits: Dataset) -> None:
    x, _ = digits.test.to_float()
    assert isinstance(trained, SmallConvNet)
    last = trained.body(x - 0.5)
    assert last.shape == (80, 48, 4, 4)  # 28 -> 14 -> 7 -> 4
    torch.testing.assert_close(trained.features(x), last.flatten(2).mean(2))
    assert trained.features(x).min().item() >= 0.0


def test_small_conv_net_depth_and_width() -> None:
    for depth in (1, 2, 3, 4):
        model = SmallConvNet(width=5, depth=depth)
        convolutions = [m for m in model.body if isinstance(m, nn.Conv2d)]
        assert [c.out_channels for c in convolutions] == [5, 10, *[15] * (depth - 1)]
        assert [c.stride for c in convolutions] == [(2, 2), (2, 2), (2, 2), (1, 1), (1, 1)][: depth + 1]
        assert [(c.kernel_size, c.padding) for c in convolutions] == [((5, 5), (2, 2)), *[((3, 3), (1, 1))] * depth]
        assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_convolutional_networks_take_any_even_size(channels: int, size: int) -> None:
    for name, options in [("small_conv", {}), ("resnet", {"depth": 8, "width": 2})]:
        model = build_model(name, channels=channels, classes=4, seed=0, **options)
        assert model(torch.zeros(2, channels, size, size)).shape == (2, 4)


@pytest.mark.parametrize(("height", "width"), [(20, 28), (65, 33), (15, 30), (7, 7)])
def test_networks_take_images_of_any_sides(height: int, width: int) -> None:
    plain: dict[str, Any] = {"size": height, "columns": width}
    for name, options in [("small_conv", {}), ("resnet", {"depth": 8, "width": 2}), ("mlp", plain), ("lenet", plain)]:
        model = build_model(name, channels=3, classes=4, seed=0, **options)
        assert model(torch.zeros(2, 3, height, width)).shape == (2, 4)
    assert count_parameters(MLP(3, 4, width=5, **plain)) == 3 * height * width * 5 + 5 + 5 * 5 + 5 + 5 * 4 + 4


def test_the_shortcut_averages_what_there_is_at_an_odd_border() -> None:
    unit = _Unit(1, 1, 2, activate_before_residual=False)
    nn.init.zeros_(unit.conv2.weight)  # the shortcut alone is left
    image = torch.arange(15.0).reshape(1, 1, 3, 5)
    expected = torch.tensor([[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]])  # of 2 x 2, at the right of 2, below of 2, then 1
    torch.testing.assert_close(unit(image)[0, 0], expected, rtol=0, atol=0)


def test_reverse_logits_negates_and_shares(trained: Network, digits: Dataset) -> None:
    x, _ = digits.test.first(5).to_float()
    reverse = ReverseLogits(trained)
    assert torch.equal(reverse(x), -trained(x))
    assert torch.equal(reverse.features(x), trained.features(x))
    assert torch.equal(reverse.head(trained.features(x)), -trained(x))
    assert torch.equal(torch.softmax(reverse(x), 1).argmax(1), trained(x).argmin(1))
    assert [p.data_ptr() for p in reverse.parameters()] == [p.data_ptr() for p in trained.parameters()]
    assert count_parameters(reverse) == count_parameters(trained)


@every_model
def test_same_seed_same_weights(name: str, options: dict[str, int]) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = build_model(name, channels=1, classes=10, seed=5, **options).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    again = build_model(name, channels=1, classes=10, seed=5, **options).state_dict()
    other = build_model(name, channels=1, classes=10, seed=6, **options).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_a_network_names_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError):
        Network().features(torch.zeros(1, 1, 2, 2))


# --- bad input -------------------------------------------------------------------------------------------------------


def test_unknown_model() -> None:
    with pytest.raises(UsageError, match=r"^unknown model 'vgg': expected one of lenet, mlp, mmc, resnet, small_conv$"):
        build_model("vgg", channels=1, classes=10, seed=0)
    assert set(MODELS) == {"lenet", "mlp", "mmc", "resnet", "small_conv"}


def test_unknown_option() -> None:
    with pytest.raises(UsageError, match=r"^model 'mlp' does not take these options: .*'depth'"):
        build_model("mlp", channels=1, classes=10, seed=0, depth=3)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("small_conv", {"depth": 5}, "expected width >= 1 and depth from 1 to 4, got width 16 and depth 5"),
        ("small_conv", {"width": 0}, "expected width >= 1 and depth from 1 to 4, got width 0 and depth 2"),
        ("resnet", {"depth": 30}, "expected a depth of the form 6n + 2 with n >= 1, got 30"),
        ("resnet", {"depth": 2}, "expected a depth of the form 6n + 2 with n >= 1, got 2"),
    ],
)
def test_bad_options(name: str, options: dict[str, int], text: str) -> None:
    with pytest.raises(UsageError) as error:
        build_model(name, channels=1, classes=10, seed=0, **options)
    assert str(error.value) == text


@pytest.mark.parametrize("name", ["small_conv", "resnet"])
def test_layout_follows_the_device_and_changes_no_answer(name: str) -> None:
    plain = build_model(name, channels=1, classes=10, seed=0).eval()
    images = torch.rand(3, 1, 28, 28)
    expected = plain(images)
    there = on_device(copy.deepcopy(plain), torch.device("cpu"))
    kernels = [value for value in there.parameters() if value.dim() == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    torch.testing.assert_close(there(images), expected)
    back = on_device(there, torch.device("meta"))
    assert all(value.is_contiguous() for value in back.parameters())
