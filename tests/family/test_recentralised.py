"""PRSL against a double loop, by hand, at its limits."""

from __future__ import annotations

import math

import pytest
import torch

from drs.errors import UsageError
from drs.family.recentralised import RecentralisedLoss, recentralised_loss, recentralised_penalty


def draw(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(*shape, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, shape[-1], shape[:-1], generator=generator)


def by_loops(logits: torch.Tensor, target: torch.Tensor, start: int, end: int, across: str) -> float:
    """The formula again, token by token, with Python's own numbers."""
    windows = []
    for row, label in zip(logits.flatten(0, -2).tolist(), target.flatten().tolist()):
        if label == -100:
            continue
        false = sorted((v for j, v in enumerate(row) if j != label), reverse=True)
        windows.append(false[start:end])
    groups = windows if across == "classes" else [[sum(w) / len(w) for w in windows]]
    return sum(math.log(sum(math.exp(v - one) for v in group)) for group in groups for one in group)


@pytest.mark.parametrize("across", ["batch", "classes"])
@pytest.mark.parametrize(("start", "end"), [(0, 4), (0, 9), (4, 9), (2, 3)])
def test_penalty_is_that_of_the_loops(start: int, end: int, across: str) -> None:
    logits, target = draw(3, 5, 10)
    target[0, 1] = target[2, 4] = -100
    found = recentralised_penalty(logits, target, start=start, end=end, across=across)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(by_loops(logits, target, start, end, across), rel=1e-12)


def test_by_hand() -> None:
    z = torch.tensor([[9.0, 1.0, 0.0, -5.0], [0.0, -9.0, 1.0, 2.0]], dtype=torch.float64)
    # token 0 (class 0): false 1, 0, -5, mean of two 0.5; token 1 (class 1): 2, 1, 0, mean of two 1.5
    expected = math.log1p(math.e) + math.log1p(1 / math.e)
    found = recentralised_penalty(z, torch.tensor([0, 1]), start=0, end=2)
    assert float(found) == pytest.approx(expected)
    entropy = torch.nn.functional.cross_entropy(z, torch.tensor([0, 1]))
    total = recentralised_loss(z, torch.tensor([0, 1]), penalty=0.5, start=0, end=2)
    assert float(total) == pytest.approx(float(entropy) + 0.5 * expected)
    assert float(RecentralisedLoss(penalty=0.5, end=2)(z, torch.tensor([0, 1]))) == pytest.approx(float(total))


def test_one_token_gives_exactly_zero_and_no_gradient() -> None:
    logits, target = draw(1, 10)
    logits.requires_grad_()
    value = recentralised_penalty(logits, target)
    value.backward()
    assert float(value) == 0.0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_limits() -> None:
    logits, target = draw(7, 10)
    value = recentralised_penalty(logits, target)
    assert float(recentralised_penalty(logits + 5.0, target)) == pytest.approx(float(value))  # one shift for all
    equal = logits[:1].repeat(7, 1)
    assert float(recentralised_penalty(equal, target[:1].repeat(7))) == pytest.approx(7 * math.log(7))
    assert float(value) > 7 * math.log(7)
    entropy = torch.nn.functional.cross_entropy(logits, target)
    assert float(recentralised_loss(logits, target, penalty=0.0)) == pytest.approx(float(entropy))
    assert float(recentralised_penalty(logits, torch.full((7,), -100))) == 0.0


@pytest.mark.parametrize("across", ["batch", "classes"])
def test_gradient(across: str) -> None:
    logits, target = draw(2, 3, 6)
    target[1, 0] = -100
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: recentralised_loss(z, target, penalty=0.1, across=across), (logits,))  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(recentralised_penalty(logits, target), logits)
    assert float(gradient[1, 0].abs().max()) == 0.0
    chosen = target != -100
    means = logits.scatter(-1, target.clamp_min(0).unsqueeze(-1), -torch.inf).topk(4).values.mean(-1)[chosen]
    share = len(means) * torch.softmax(means, 0) - 1.0
    assert torch.allclose(gradient[chosen].sum(-1), share)  # N softmax(m) - 1, spread over the window


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"end": 10}, r"expected a window with 0 <= start < end <= 9 \(the false classes\), got start 0 and end 10"),
        ({"start": 4}, "got start 4 and end 4"),
        ({"start": -1}, "got start -1 and end 4"),
        ({"across": "tokens"}, "unknown direction of the softmax 'tokens': expected one of batch, classes"),
        ({"penalty": -1.0}, "expected penalty to be a finite number >= 0, got -1.0"),
    ],
)
def test_bad_input(options: dict[str, object], text: str) -> None:
    logits, target = draw(4, 10)
    with pytest.raises(UsageError, match=text):
        recentralised_loss(logits, target, **options)  # type: ignore[arg-type]


def test_classes_must_be_last() -> None:
    with pytest.raises(UsageError, match=r"got \(4, 10, 3\) and \(4, 3\): move the classes to the last dimension"):
        recentralised_loss(torch.zeros(4, 10, 3), torch.zeros(4, 3, dtype=torch.int64))
