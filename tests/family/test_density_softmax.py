"""The flow is a density, the scales are their formulas, the penalty its own, and step 3 changes the head only."""

from __future__ import annotations

import math

import pytest
import torch

from drs._seeding import seeded
from drs.errors import UsageError
from drs.family.density_softmax import (
    CouplingFlow,
    DensitySoftmax,
    density_scale,
    fit_flow,
    gradient_penalty,
    retrain_head,
)
from drs.training.models import build_model

CPU = torch.device("cpu")


def ring(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    around = torch.stack([angle.cos(), angle.sin()], dim=1)
    return 2.0 * around + 0.3 * torch.randn(count, 2, generator=generator) + 1.0


@pytest.fixture(scope="module")
def flow() -> CouplingFlow:
    with seeded(0, CPU):
        made = CouplingFlow(2, couplings=3)
    return fit_flow(made, ring(500, 0), steps=150, learning_rate=3e-3)


def test_the_density_integrates_to_one(flow: CouplingFlow) -> None:
    axis = torch.linspace(-12.0, 14.0, 651)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = flow.log_density(grid).double().exp().sum() * float(axis[1] - axis[0]) ** 2
    assert float(mass) == pytest.approx(1.0, abs=5e-3)


def test_fitting_raises_the_likelihood_of_data_it_has_not_seen(flow: CouplingFlow) -> None:
    held_out = ring(500, 1)
    gaussian = torch.distributions.MultivariateNormal(held_out.mean(0), held_out.T.cov())
    with torch.no_grad():
        assert float(flow.log_density(held_out).mean()) > float(gaussian.log_prob(held_out).mean()) + 0.05


def test_volume_is_the_determinant_of_the_jacobian(flow: CouplingFlow) -> None:
    for size in (2, 5):
        with seeded(1, CPU):
            one = CouplingFlow(size, couplings=3).double()
            one.scale.copy_(torch.rand(size) + 0.5)
            x = torch.randn(size, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda v, f=one: f(v.unsqueeze(0))[0][0], x)
        expected = torch.linalg.slogdet(jacobian).logabsdet
        assert float(one(x.unsqueeze(0))[1].detach()) == pytest.approx(float(expected), abs=1e-10)


def test_a_flow_of_zeros_is_the_normal_density() -> None:
    flow = CouplingFlow(3)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
    flow.mean.fill_(1.0)
    flow.scale.fill_(2.0)
    x = torch.tensor([[1.0, 3.0, -1.0]])
    assert float(flow.log_density(x).detach()) == pytest.approx(
        -0.5 * (0 + 1 + 1) - 1.5 * math.log(2 * math.pi) - 3 * math.log(2)
    )


def test_scales_are_their_formulas() -> None:
    density = torch.tensor([-125.0, -59.0, -30.0, -20.0, -1000.0])
    ratio = density_scale(density, low=-125.0, high=-30.0)
    assert ratio.tolist() == pytest.approx([math.exp(-95.0), math.exp(-29.0), 1.0, 1.0, 0.0], rel=1e-5)
    mapped = density_scale(density, low=-125.0, high=-30.0, scaling="interval", interval=(-0.55, -0.45))
    places = [0.0, 66 / 95, 1.0, 105 / 95, -875 / 95]
    assert mapped.tolist() == pytest.approx([math.exp(-0.55 + 0.1 * place) for place in places], rel=1e-5)
    constant = density_scale(density, low=-125.0, high=-30.0, scaling="constant")
    assert constant.tolist() == pytest.approx([math.exp(-0.5)] * 5)


def test_gradient_penalty_against_a_loop_over_images() -> None:
    with seeded(0, CPU):
        line = torch.nn.Linear(3, 4).double()
        net = torch.nn.Sequential(line, torch.nn.Tanh())
        x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    values = []
    for row in x.detach():
        jacobian = torch.autograd.functional.jacobian(net, row)
        values.append((float(jacobian.sum(0).norm()) - 1.0) ** 2)
    penalty = gradient_penalty(net(x), x)
    assert float(penalty) == pytest.approx(sum(values) / 5)
    weight = line.weight.detach().clone().requires_grad_()

    def of(weight: torch.Tensor) -> torch.Tensor:
        return gradient_penalty(torch.tanh(x @ weight.T + line.bias.detach()), x)

    assert torch.autograd.gradcheck(of, (weight,))


def model_and_data() -> tuple[DensitySoftmax, torch.Tensor, torch.Tensor]:
    network = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=6)
    with seeded(2, CPU):
        images, labels = torch.rand(60, 1, 4, 4), torch.randint(0, 3, (60,))
        flow = CouplingFlow(6)
    features = network.features(images).detach()
    return DensitySoftmax(network, fit_flow(flow, features, steps=20)).fit(features), images, labels


def test_one_forward_pass_scales_the_logits() -> None:
    model, images, _ = model_and_data()
    with torch.no_grad():
        features = model.network.features(images)
        density = model.flow.log_density(features)
        expected = (density - density.max()).exp().unsqueeze(1) * model.network.head(features)
        assert torch.allclose(model(images), expected)
        assert float(model.scale(features).max()) == 1.0


def test_step_three_changes_the_head_only_and_lowers_its_loss() -> None:
    model, images, labels = model_and_data()
    model.scaling = "interval"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    features = model.network.features(images).detach()
    loss = torch.nn.functional.cross_entropy
    first = float(loss(model(images), labels))
    retrain_head(model, features, labels, steps=50, learning_rate=0.1)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"network.classifier.weight", "network.classifier.bias"}
    assert float(loss(model(images), labels)) < first


def test_bad_input() -> None:
    network = build_model("mlp", channels=1, classes=3, seed=0, size=4, width=6)
    model = DensitySoftmax(network, CouplingFlow(6))
    with pytest.raises(UsageError, match="expected a density that was fitted, got none: call fit"):
        model(torch.rand(2, 1, 4, 4))
    with pytest.raises(UsageError, match="expected inputs that require gradients"):
        gradient_penalty(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(UsageError, match=r"expected features of shape \(N, 6\) with N >= 2, got \(4, 5\)"):
        fit_flow(CouplingFlow(6), torch.zeros(4, 5))
    with pytest.raises(UsageError, match="unknown scaling 'rank': expected one of constant, interval, ratio"):
        density_scale(torch.zeros(1), low=0.0, high=1.0, scaling="rank")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected low < high"):
        density_scale(torch.zeros(1), low=1.0, high=1.0)
    with pytest.raises(UsageError, match="expected size >= 2"):
        CouplingFlow(1)
