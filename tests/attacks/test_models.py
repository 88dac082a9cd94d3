"""Models of strangers: whatever maps images to logits is attacked, and what cannot be gets one sentence."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drs.attacks import (
    BIM,
    DDN,
    FGSM,
    ILCM,
    JSMA,
    PGD,
    Attack,
    CarliniWagnerL2,
    DeepFool,
    JointPGD,
    OrthogonalPGD,
    SelectivePGD,
    Square,
    TargetedPGD,
    UniformNoise,
)
from drs.attacks.base import TOLERANCE, round_towards
from drs.attacks.models import INFERENCE_MODEL, NOT_DIFFERENTIABLE, Ranged, attackable
from drs.errors import UsageError
from drs.evaluation.probes import (
    float64_check,
    gradient_norms,
    repeat_difference,
    temperature_sweep,
    zero_gradient_share,
)


def score_of_features(model: Any, images: Tensor) -> Tensor:
    """A detector: short feature vectors are normal."""
    score: Tensor = -model.features(images).square().sum(dim=1) / 64
    return score


DIFFERENTIATING: list[Attack] = [
    FGSM(epsilon=0.1),
    BIM(epsilon=0.1, steps=3),
    ILCM(epsilon=0.1, steps=3),
    PGD(epsilon=0.1, steps=3),
    TargetedPGD(epsilon=0.1, steps=3),
    DDN(steps=10),
    DeepFool(steps=10),
    CarliniWagnerL2(search_steps=2, max_iterations=20),
    JSMA(theta=0.5, max_steps=5),
]
ATTACKS: list[Attack] = [*DIFFERENTIATING, Square(epsilon=0.1, queries=30), UniformNoise(epsilon=0.1)]
ADAPTIVE: list[Attack] = [
    kind(epsilon=0.3, steps=20, score=score_of_features) for kind in (SelectivePGD, OrthogonalPGD, JointPGD)
]
ANY_SHAPE = [*DIFFERENTIATING, UniformNoise(epsilon=0.1), *ADAPTIVE]
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)


def network() -> nn.Module:
    """Dropout and batch normalisation: in training mode its answers are others."""
    torch.manual_seed(0)
    first, last = nn.Conv2d(1, 4, 3), nn.Linear(144, 3)
    with torch.no_grad():
        last.weight *= 5.0
    model = nn.Sequential(first, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), last)
    return model.eval()


def batch(model: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Six images, labelled as the model sees them."""
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return images, model(images).argmax(dim=1)


def as_function(model: nn.Module, images: Tensor) -> Any:
    return lambda x: model(x)


def as_script(model: nn.Module, images: Tensor) -> Any:
    return torch.jit.trace(model, images)


def as_frozen_script(model: nn.Module, images: Tensor) -> Any:
    return torch.jit.freeze(torch.jit.script(model))


def as_exported(model: nn.Module, images: Tensor) -> Any:
    batched = {"input": {0: torch.export.Dim.AUTO}}
    return torch.export.export(model, (images,), dynamic_shapes=batched).module()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("wrap", [as_function, as_script, as_frozen_script, as_exported])
def test_any_callable_is_attacked_as_the_module_is(wrap: Callable[[nn.Module, Tensor], Any]) -> None:
    model = network()
    images, labels = batch(model)
    other = wrap(model, images)
    for attack in ATTACKS:
        expected, found = attack(model, images, labels), attack(other, images, labels)
        torch.testing.assert_close(found.inputs, expected.inputs, rtol=0, atol=1e-4)
        assert torch.equal(found.success, expected.success)
    assert expected.success.shape == (6,)
    assert FGSM(epsilon=0.3)(other, images, labels).success.any()
    torch.testing.assert_close(gradient_norms(other, images, labels), gradient_norms(model, images, labels))
    assert repeat_difference(other, images) == 0.0
    sweep = temperature_sweep(other, images, labels, epsilon=0.1, temperatures=[1.0], steps=3)
    plain = PGD(epsilon=0.1, steps=3, keep="last")(model, images, labels)
    torch.testing.assert_close(sweep[1.0].inputs, plain.inputs, rtol=0, atol=1e-4)


def test_an_exported_program_comes_back_as_it_was() -> None:
    model = network()
    inside = nn.Sequential(nn.Identity(), as_exported(model, batch(model)[0]))
    modes, flags = [m.training for m in inside.modules()], [p.requires_grad for p in inside.parameters()]
    assert any(flags)
    with attackable(inside):
        assert not any(m.training for m in inside.modules())
        assert not any(p.requires_grad for p in inside.parameters())
    assert [m.training for m in inside.modules()] == modes
    assert [p.requires_grad for p in inside.parameters()] == flags


@pytest.mark.parametrize("shape", [(64,), (2, 32), (1, 4, 4, 4)], ids=["table", "sound", "video"])
@pytest.mark.parametrize(
    "attack", [*ATTACKS[:-2], UniformNoise(epsilon=0.1), *ADAPTIVE], ids=lambda attack: type(attack).__name__
)
def test_any_shape_is_attacked_as_an_image_is(attack: Attack, shape: tuple[int, ...]) -> None:
    model, other = Roots("sqrt"), Roots("sqrt")
    other.register_forward_pre_hook(lambda module, given: given[0].reshape(-1, 1, 8, 8))
    images = 0.05 + 0.9 * torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    labels = model(images).argmax(dim=1)
    expected, found = attack(model, images, labels), attack(other, images.reshape(6, *shape), labels)
    assert found.inputs.shape == (6, *shape)
    torch.testing.assert_close(found.inputs.reshape(images.shape), expected.inputs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.distances, expected.distances)
    assert torch.equal(found.success, expected.success)
    norms = gradient_norms(other, images.reshape(6, *shape), labels)
    torch.testing.assert_close(norms, gradient_norms(model, images, labels))


def test_square_is_for_images() -> None:
    with pytest.raises(UsageError) as error:
        Square()(lambda x: x[:, :2], torch.rand(3, 5), torch.tensor([0, 1, 1]))
    assert str(error.value) == (
        "expected images of shape (N, C, H, W) for Square, got (3, 5): "
        "its squares need a height and a width, attack other data with PGD"
    )


@every_attack
def test_inside_inference_mode(attack: Attack) -> None:
    model = network()
    images, labels = batch(model)
    expected = attack(model, images, labels)
    with torch.inference_mode():
        found = attack(model, images, labels)
        made_there = attack(model, images.clone(), labels.clone())
        assert images.clone().is_inference()
    for each in (found, made_there):
        assert torch.equal(each.inputs, expected.inputs)
        assert torch.equal(each.success, expected.success)
    assert not found.inputs.is_inference()
    assert all(p.requires_grad for p in model.parameters())


@every_attack
def test_images_made_in_inference_mode(attack: Attack) -> None:
    model = network()
    images, labels = batch(model)
    with torch.inference_mode():
        given, labels_given = images.clone(), labels.clone()
    assert torch.equal(attack(model, given, labels_given).inputs, attack(model, images, labels).inputs)


def test_gradients_inside_inference_mode() -> None:
    model = network()
    images, labels = batch(model)
    expected = gradient_norms(model, images, labels)
    assert bool((expected > 0.0).all())
    with torch.inference_mode():
        assert torch.equal(gradient_norms(model, images.clone(), labels.clone()), expected)
        assert zero_gradient_share(model, images, labels) == 0.0
        assert repeat_difference(model, images.clone()) == 0.0


def test_a_model_made_in_inference_mode() -> None:
    with torch.inference_mode():
        model = network()
    images, labels = batch(network())
    for given in (model, lambda x: model(x)):
        with pytest.raises(UsageError) as error:
            FGSM()(given, images, labels)
        assert str(error.value) == INFERENCE_MODEL
    found = FGSM()(copy.deepcopy(model), images, labels)  # as the sentence advises
    assert torch.equal(found.inputs, FGSM()(network(), images, labels).inputs)


@pytest.mark.parametrize("epsilon", [1 / 255, 8 / 255])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_attack
def test_half_precision_stays_in_the_ball(attack: Attack, dtype: torch.dtype, epsilon: float) -> None:
    model = network()
    images, labels = batch(model)
    model, images = model.to(dtype), images.to(dtype)
    if attack.budget is not None:
        attack = dataclasses.replace(attack, epsilon=epsilon)  # type: ignore[call-arg]
    found = attack(model, images, labels)
    assert found.inputs.dtype == dtype
    moved = (found.inputs.double() - images.double()).flatten(1)
    assert (moved.abs().amax(dim=1) if attack.norm == "linf" else moved.norm(dim=1)).allclose(found.distances.double())
    if attack.budget is not None:
        assert moved.abs().max().item() <= epsilon + TOLERANCE
        assert moved.abs().max().item() > 0.7 * epsilon
    assert found.inputs.min().item() >= 0.0
    assert found.inputs.max().item() <= 1.0
    with torch.no_grad():
        logits = model(found.inputs).float()
    torch.testing.assert_close(found.logits, logits)
    assert torch.equal(found.success, logits.argmax(dim=1) != labels)


@every_attack
def test_autocast(attack: Attack) -> None:
    model = network()
    images, labels = batch(model)
    with torch.autocast("cpu", torch.bfloat16):
        found = attack(model, images, labels)
        logits = model(found.inputs)
    assert logits.dtype == torch.bfloat16
    assert found.inputs.dtype == found.logits.dtype == torch.float32
    torch.testing.assert_close(found.logits, logits.float())
    assert bool(found.success.any()) or isinstance(attack, UniformNoise | Square)
    if attack.budget is not None:
        assert (found.inputs - images).abs().max().item() <= 0.1 + TOLERANCE


def test_rounding_towards_the_image() -> None:
    # bfloat16 between 0.5 and 1 counts in steps of 1 / 256, between 0.25 and 0.5 in steps of 1 / 512
    image = torch.tensor([0.75, 0.75, 0.75, 0.75, 0.5, 0.0])
    moved = image + torch.tensor([0.9, -0.9, 0.2, -2.0, -0.3, 1e-3]) / 256
    found = round_towards(image, moved, torch.bfloat16)
    expected = [0.75, 0.75, 0.75, 0.75 - 2 / 256, 0.5, 1e-3 / 256]
    torch.testing.assert_close(found.float(), torch.tensor(expected), rtol=1e-2, atol=0.0)
    assert bool(((found.double() - image.double()).abs() <= (moved.double() - image.double()).abs()).all())


def test_half_precision_and_attacks_that_open_the_model() -> None:
    model = network()
    images, labels = batch(model)
    attack = SelectivePGD(score=lambda model, images: -images.flatten(1).square().sum(dim=1))
    text = "expected float32 or float64 images and logits for SelectivePGD, got torch.bfloat16: "
    with pytest.raises(UsageError) as error:
        attack(model.bfloat16(), images.bfloat16(), labels)
    assert str(error.value) == text + "convert the model and the images, and leave torch.autocast"
    with pytest.raises(UsageError) as error, torch.autocast("cpu", torch.bfloat16):
        attack(model.float(), images, labels)
    assert str(error.value).startswith(text)


def test_probabilities_in_half_precision() -> None:
    model = network()
    images, labels = batch(model)
    with pytest.raises(UsageError, match="got probabilities"):
        FGSM()(lambda x: model(x).softmax(dim=1).bfloat16(), images, labels)
    assert zero_gradient_share(model.bfloat16(), images.bfloat16(), labels) == 0.0


class Roots(nn.Module):
    """Linear in the square roots of the pixels (infinite slope at black) or in rows of length one (NaN at black)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.weight = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))

    def features(self, images: Tensor) -> Tensor:
        if self.kind == "sqrt":
            return images.sqrt().flatten(1)
        return (images / (images.square().sum(dim=3, keepdim=True).sqrt() + 1e-6)).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images) @ self.weight.T


def black(kind: str) -> tuple[Tensor, Tensor]:
    """Twenty images with one black pixel or row, labelled as the model sees them."""
    images = 0.05 + 0.9 * torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    images[:, :, 3, 4 if kind == "sqrt" else slice(None)] = 0.0
    return images, Roots(kind)(images).argmax(dim=1)


BUDGETS: list[Attack] = [FGSM(epsilon=0.3), PGD(epsilon=0.3, steps=10), BIM(epsilon=0.3), TargetedPGD(epsilon=0.3)]
MINIMAL: list[Attack] = [DDN(), DeepFool(), CarliniWagnerL2(search_steps=4, max_iterations=100, target="untargeted")]


@pytest.mark.parametrize("kind", ["sqrt", "rows"])
@pytest.mark.parametrize("attack", [*BUDGETS, *MINIMAL, *ADAPTIVE], ids=lambda attack: type(attack).__name__)
def test_a_gradient_that_is_not_finite_makes_no_image_robust(attack: Attack, kind: str) -> None:
    model = Roots(kind)
    images, labels = black(kind)
    found = attack(model, images, labels)
    assert bool(found.inputs.isfinite().all())
    assert int(found.success.sum()) == 20
    if attack.norm == "l2":  # as near as without the black pixel or row
        bright = images.where(images > 0.0, 0.5)
        others = attack(model, bright, model(bright).argmax(dim=1))
        assert found.distances.median().item() < 1.5 * others.distances.median().item()


@pytest.mark.parametrize("kind", ["sqrt", "rows"])
def test_gradients_that_are_not_finite_are_counted(kind: str) -> None:
    images, labels = black(kind)
    images[5:] = images[5:].clamp_min(0.05)
    finite = gradient_norms(Roots(kind), images, labels).isfinite()
    assert finite.tolist() == [False] * 5 + [True] * 15
    assert zero_gradient_share(Roots(kind), images, labels) == 0.25


class Detached(nn.Module):
    """Right answers and no gradient; ``how`` the gradient is lost."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.how = network(), how

    def forward(self, images: Tensor) -> Tensor:
        if self.how == "numpy":
            images = torch.from_numpy(np.round(images.numpy() * 255) / 255)
        elif self.how == "detach":
            images = images.detach()
        logits: Tensor = self.inner(images)
        return logits


@pytest.mark.parametrize("how", ["numpy", "detach"])
@pytest.mark.parametrize("attack", DIFFERENTIATING, ids=lambda attack: type(attack).__name__)
def test_no_gradient_is_one_sentence(attack: Attack, how: str) -> None:
    model = Detached(how)
    images, labels = batch(model)
    for given in (model, lambda x: model(x)):  # a function's module has parameters that require gradients
        with pytest.raises(UsageError) as error:
            attack(given, images, labels)
        assert str(error.value) == NOT_DIFFERENTIABLE


@pytest.mark.parametrize("how", ["numpy", "detach"])
def test_square_needs_no_gradient(how: str) -> None:
    model = Detached(how)
    images, labels = batch(model)
    assert Square(epsilon=0.3, queries=100)(model, images, labels).success.any()
    assert not UniformNoise(epsilon=0.0)(model, images, labels).success.any()
    assert not FGSM(epsilon=0.0)(model, images, labels).success.any()  # nothing is differentiated
    assert torch.equal(gradient_norms(model.inner, images, labels) > 0, torch.ones(6, dtype=torch.bool))
    if how == "detach":
        for given in (model, lambda x: model(x)):
            assert torch.equal(gradient_norms(given, images, labels), torch.zeros(6))
        return
    with pytest.raises(UsageError) as error:
        gradient_norms(model, images, labels)
    assert str(error.value) == NOT_DIFFERENTIABLE


@dataclass
class Output:
    loss: Tensor | None
    logits: Tensor


WRAP = "expected a model that returns logits of shape (N, classes), got {}: attack a function such as lambda images: "
RETURNS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "tuple": (lambda z: (z, z), WRAP.format("tuple") + "model(images)[0], after model.eval()"),
    "list": (lambda z: [z], WRAP.format("list") + "model(images)[0], after model.eval()"),
    "dict": (lambda z: {"loss": 0, "logits": z}, WRAP.format("dict") + "model(images)['logits'], after model.eval()"),
    "out": (lambda z: {"out": z}, WRAP.format("dict") + "model(images)['out'], after model.eval()"),
    "dataclass": (lambda z: Output(None, z), WRAP.format("Output") + "model(images).logits, after model.eval()"),
    "numpy": (
        lambda z: z.detach().numpy(),
        "expected a model that returns logits of shape (N, classes), got ndarray: return a torch tensor",
    ),
}


@pytest.mark.parametrize("kind", RETURNS)
def test_outputs_that_are_no_tensor(kind: str) -> None:
    make, text = RETURNS[kind]
    model = network()
    images, labels = batch(model)
    with pytest.raises(UsageError) as error:
        FGSM()(lambda x: make(model(x)), images, labels)
    assert str(error.value) == text


def test_what_is_no_model() -> None:
    model = network()
    images, labels = batch(model)
    program: Any = torch.export.export(model, (images,))
    with pytest.raises(UsageError) as error:
        FGSM()(program, images, labels)
    assert str(error.value) == "expected a model that can be called, got ExportedProgram: pass its module()"
    nothing: Any = "model.pt"
    with pytest.raises(UsageError) as error:
        FGSM()(nothing, images, labels)
    assert str(error.value) == "expected a model, a callable that maps images to logits, got str"
    with pytest.raises(UsageError) as error:
        float64_check(lambda x: model(x), images, labels, epsilon=0.1)
    assert str(error.value) == "expected a module, which can be copied to float64, got function"


def test_numpy_batches() -> None:
    model = network()
    images, labels = batch(model)
    numpy: Any = images.numpy()
    with pytest.raises(UsageError) as error:
        FGSM()(model, numpy, labels)
    text = "expected images as a torch tensor, got ndarray: pass torch.as_tensor(images, dtype=torch.float32)"
    assert str(error.value) == text
    numpy = labels.numpy()
    with pytest.raises(UsageError) as error:
        gradient_norms(model, images, numpy)
    text = "expected labels as a torch tensor, got ndarray: pass torch.as_tensor(labels, dtype=torch.int64)"
    assert str(error.value) == text


def test_images_of_another_dtype_or_device() -> None:
    model = network()
    images, labels = batch(model)
    with pytest.raises(UsageError) as error:
        Square()(model.double(), images, labels)
    assert str(error.value) == (
        "expected images of the model's dtype and device, torch.float64 on cpu, "
        "got torch.float32 on cpu: convert one of them with to()"
    )
    with pytest.raises(UsageError) as error:
        FGSM()(model, images.double(), labels.to("meta"))
    assert str(error.value) == "expected images and labels on one device, got cpu and meta"
    with pytest.raises(RuntimeError, match="mat1 and mat2"):  # an error of the model's own stays what it is
        FGSM()(model, torch.rand(2, 1, 9, 9).double(), torch.tensor([0, 1]))


def test_a_module_in_another_range_is_seen_whole() -> None:
    inner = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3)).double()
    wrapped = Ranged(inner, 0.0, 255.0)
    assert next(wrapped.parameters()).dtype == torch.float64
    images, labels = torch.full((2, 1, 2, 2), 100.0), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(UsageError, match=r"expected images of the model's dtype and device, torch\.float64 on cpu"):
        PGD(epsilon=0.1, steps=1)(inner, images, labels, bounds=(0, 255))
    function = Ranged(lambda x: inner(x), 0.0, 255.0)
    assert list(function.parameters()) == []
