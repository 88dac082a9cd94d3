"""Models of strangers: whatever maps images to logits is attacked, and what cannot be gets one sentence."""

from __future__ import annotations

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
    Square,
    TargetedPGD,
    UniformNoise,
)
from drs.attacks.base import NOT_DIFFERENTIABLE, attackable
from drs.errors import UsageError
from drs.evaluation.probes import float64_check, gradient_norms, repeat_difference, temperature_sweep

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
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)


def network() -> nn.Module:
    """Dropout and batch normalisation: in training mode its answers are others."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 3)
    )
    with torch.no_grad():
        model[5].weight.mul_(5.0)
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
