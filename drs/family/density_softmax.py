"""Density-Softmax: a classifier whose logits are scaled by the density of its features; one forward pass at inference.

Bui and Liu, ICML 2024, arXiv 2302.06495. Step 1 trains a network with :func:`gradient_penalty`, step 2 fits a
:class:`CouplingFlow` to its features, step 3 trains its head on scaled logits. It claims calibration under a shift of
the data, not adversarial robustness: an attacker can raise or lower the density as well.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._seeding import seeded
from drs.errors import UsageError, unknown
from drs.training.models import Network

__all__ = ["CouplingFlow", "DensitySoftmax", "Scaling", "density_scale", "fit_flow", "gradient_penalty", "retrain_head"]

Scaling: TypeAlias = Literal["ratio", "interval", "constant"]


def gradient_penalty(features: Tensor, inputs: Tensor) -> Tensor:
    r"""Pulls the norm of the gradient of the summed features to one, as the authors' image code does.

    >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> gradient_penalty(x * torch.tensor([3.0, 4.0]), x)  # norm 5
    tensor(16.)

    .. math:: \frac{1}{N} \sum_i \Bigl( \Bigl\lVert \nabla_{x_i} \sum_d f_d(x_i) \Bigr\rVert_2 - 1 \Bigr)^2

    It is two-sided, and it is not the norm of the Jacobian: it bounds no Lipschitz constant.

    Args:
        features: (N, D), computed from ``inputs``.
        inputs: (N, ...), which require gradients.

    Returns:
        A scalar >= 0, through which gradients flow on.

    Raises:
        UsageError: Inputs that do not require gradients.
    """
    if not inputs.requires_grad:
        raise UsageError("expected inputs that require gradients: call inputs.requires_grad_() before the forward pass")
    (gradient,) = torch.autograd.grad(features.sum(), inputs, create_graph=True)
    # The gradient of a norm is undefined at zero; the floor keeps it finite there.
    return ((gradient.flatten(1).square().sum(dim=1) + 1e-24).sqrt() - 1.0).square().mean()


class CouplingFlow(nn.Module):
    r"""A RealNVP: affine couplings that each change one half of the vector, given the other half (Dinh et al. 2017).

    >>> flow = CouplingFlow(4)
    >>> flow.log_density(torch.zeros(3, 4)).shape
    torch.Size([3])

    .. math:: y_b = (x_b - t(x_a))\, e^{-s(x_a)}, \qquad
              \log p(x) = \log N(y; 0, I) - \sum \log \text{scales}

    s and t are small networks of ReLU layers and s ends in tanh, as in the authors' code. New here: the input is
    first centred and scaled by the mean and standard deviation that :func:`fit_flow` measures, which the density takes
    into account.

    Args:
        size: D >= 2, length of a vector.
        couplings: How many; each second one changes the first half.
        width: Units of the hidden layers.
        layers: Hidden layers of each network.

    Raises:
        UsageError: A size below 2, or another number below 1.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int, *, couplings: int = 2, width: int = 16, layers: int = 4) -> None:
        super().__init__()
        if size < 2 or min(couplings, width, layers) < 1:
            raise UsageError(
                f"expected size >= 2, couplings, width and layers >= 1, got {size}, {couplings}, {width} and {layers}"
            )
        self.cut = size // 2
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

        def network(before: int, after: int) -> nn.Sequential:
            parts: list[nn.Module] = []
            for number in range(layers):
                parts += [nn.Linear(width if number else before, width), nn.ReLU()]
            return nn.Sequential(*parts, nn.Linear(width, after))

        sizes = [(self.cut, size - self.cut) if k % 2 == 0 else (size - self.cut, self.cut) for k in range(couplings)]
        self.log_scales = nn.ModuleList(network(*pair) for pair in sizes)
        self.shifts = nn.ModuleList(network(*pair) for pair in sizes)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (N, D) in the base space, and the logarithm of the volume's change, (N,)."""
        values = (values - self.mean) / self.scale
        volume = -self.scale.log().sum().expand(len(values))
        first, second = values[:, : self.cut], values[:, self.cut :]
        for number, (log_scale, shift) in enumerate(zip(self.log_scales, self.shifts)):
            given, changed = (first, second) if number % 2 == 0 else (second, first)
            s = torch.tanh(log_scale(given))
            changed = (changed - shift(given)) * torch.exp(-s)
            volume = volume - s.sum(dim=1)
            first, second = (given, changed) if number % 2 == 0 else (changed, given)
        return torch.cat([first, second], dim=1), volume

    def log_density(self, values: Tensor) -> Tensor:
        """Log-density (N,) of vectors (N, D), in nats."""
        base, volume = self(values)
        density: Tensor = -0.5 * (base.square().sum(dim=1) + base.shape[1] * math.log(2.0 * math.pi)) + volume
        return density


def fit_flow(
    flow: CouplingFlow,
    features: Tensor,
    *,
    steps: int = 500,
    learning_rate: float = 1e-3,
    batch: int = 128,
    seed: int = 0,
) -> CouplingFlow:
    """Fit a flow in place by maximum likelihood with Adam, and return it.

    >>> flow = fit_flow(CouplingFlow(2), torch.randn(256, 2), steps=2)

    Args:
        flow: What to fit.
        features: (N, D) of training data, N >= 2. A feature that never varies keeps its own scale, 1.
        steps, learning_rate, batch: Of Adam.
        seed: Of the batches; the global generator is left alone.

    Raises:
        UsageError: Fewer than two vectors, or vectors of another length than the flow's.
    """
    if features.dim() != 2 or len(features) < 2 or features.shape[1] != len(flow.mean):
        raise UsageError(f"expected features of shape (N, {len(flow.mean)}) with N >= 2, got {tuple(features.shape)}")
    features = features.detach()
    flow.mean.copy_(features.mean(dim=0))
    spread = features.std(dim=0)
    flow.scale.copy_(spread.where(spread > 1e-6, 1.0))
    optimiser = torch.optim.Adam(flow.parameters(), lr=learning_rate)
    with seeded(seed, features.device):
        for _ in range(steps):
            rows = torch.randint(0, len(features), (batch,), device=features.device)
            optimiser.zero_grad(set_to_none=True)
            (-flow.log_density(features[rows]).mean()).backward()
            optimiser.step()
    return flow


def density_scale(
    log_density: Tensor,
    *,
    low: float,
    high: float,
    scaling: Scaling = "ratio",
    interval: tuple[float, float] = (-0.55, -0.45),
) -> Tensor:
    r"""The factor p that multiplies the logits.

    >>> density_scale(torch.tensor([-2.0, 0.0]), low=-2.0, high=0.0)
    tensor([0.1353, 1.0000])
    >>> density_scale(torch.tensor([-2.0, 0.0]), low=-2.0, high=0.0, scaling="interval")
    tensor([0.5769, 0.6376])

    ``"ratio"``, the paper's formula: the density over its largest training value, cut at 1, so in [0, 1].
    ``"interval"``, the authors' code for images: the log-density mapped linearly, its training range to ``interval``,
    then exponentiated; it can exceed 1 far above that range. ``"constant"`` is a control: the exponential of the
    middle of ``interval``, whatever the density.

    Args:
        log_density: (N,).
        low, high: Smallest and largest log-density of the training data, low < high.
        scaling: One of the three.
        interval: In logarithms. Published: (-0.55, -0.45) for CIFAR-10, (-0.4, -0.3) for CIFAR-100.

    Returns:
        (N,), >= 0.

    Raises:
        UsageError: An unknown scaling, or a range or interval that is not increasing.
    """
    if not low < high or not interval[0] <= interval[1]:
        raise UsageError(f"expected low < high and an increasing interval, got {low}, {high} and {interval}")
    if scaling == "ratio":
        return (log_density - high).clamp_max(0.0).exp()
    if scaling == "interval":
        place = (log_density - low) / (high - low)
        return (interval[0] + place * (interval[1] - interval[0])).exp()
    if scaling == "constant":
        return torch.full_like(log_density, math.exp(sum(interval) / 2.0))
    raise unknown("scaling", scaling, ("ratio", "interval", "constant"))


class DensitySoftmax(Network):
    """A trained network whose logits are multiplied by the density of their features.

    >>> from drs.training.models import build_model
    >>> network = build_model("mlp", channels=1, classes=10, seed=0, size=4)
    >>> images = torch.rand(64, 1, 4, 4)
    >>> model = DensitySoftmax(network, CouplingFlow(64)).fit(network.features(images))
    >>> model(images).shape, bool(model.scale(network.features(images)).max() <= 1.0)
    (torch.Size([64, 10]), True)

    Args:
        network: Has ``features`` and ``head``.
        flow: Fitted to the network's features by :func:`fit_flow`.
        scaling, interval: As in :func:`density_scale`.
    """

    range: Tensor

    def __init__(
        self,
        network: Network,
        flow: CouplingFlow,
        *,
        scaling: Scaling = "ratio",
        interval: tuple[float, float] = (-0.55, -0.45),
    ) -> None:
        super().__init__()
        self.network, self.flow, self.scaling, self.interval = network, flow, scaling, interval
        self.register_buffer("range", torch.full((2,), torch.nan))

    @torch.no_grad()
    def fit(self, features: Tensor) -> DensitySoftmax:
        """Measure the range of the log-density on features (N, D) of TRAINING data, and return the model."""
        density = self.flow.log_density(features)
        self.range.copy_(torch.stack(density.aminmax()))
        return self

    def scale(self, features: Tensor) -> Tensor:
        """The factor p, (N,), of features (N, D).

        Raises:
            UsageError: The range was never measured.
        """
        low, high = self.range.tolist()
        if low != low:
            raise UsageError("expected a density that was fitted, got none: call fit with the training features first")
        density = self.flow.log_density(features)
        return density_scale(density, low=low, high=high, scaling=self.scaling, interval=self.interval)

    def features(self, images: Tensor) -> Tensor:
        """The final hidden vector of the network inside, unchanged."""
        return self.network.features(images)

    def head(self, features: Tensor) -> Tensor:
        """Logits (N, C): p times the logits of the network inside, its bias scaled too."""
        return self.scale(features).unsqueeze(1) * self.network.head(features)


def retrain_head(
    model: DensitySoftmax,
    features: Tensor,
    labels: Tensor,
    *,
    steps: int = 200,
    learning_rate: float = 0.01,
    batch: int = 128,
    seed: int = 0,
) -> DensitySoftmax:
    """Step 3: train the linear head in place on scaled logits, with encoder and density frozen, and return the model.

    >>> from drs.training.models import build_model
    >>> network = build_model("mlp", channels=1, classes=10, seed=0, size=4)
    >>> features = network.features(torch.rand(64, 1, 4, 4)).detach()
    >>> model = DensitySoftmax(network, CouplingFlow(64)).fit(features)
    >>> model = retrain_head(model, features, torch.zeros(64, dtype=torch.int64), steps=1)

    Args:
        model: Fitted; its network's ``classifier`` changes.
        features: (N, D) of training data.
        labels: (N,) int64.
        steps, learning_rate, batch: Of stochastic gradient descent with momentum 0.9.
        seed: Of the batches.

    Raises:
        UsageError: A model whose density was never fitted.
    """
    features = features.detach()
    with torch.no_grad():
        scale = model.scale(features).unsqueeze(1)
    head = model.network.classifier
    optimiser = torch.optim.SGD(head.parameters(), lr=learning_rate, momentum=0.9, nesterov=True)
    with seeded(seed, features.device):
        for _ in range(steps):
            rows = torch.randint(0, len(features), (batch,), device=features.device)
            optimiser.zero_grad(set_to_none=True)
            F.cross_entropy(scale[rows] * model.network.head(features[rows]), labels[rows]).backward()
            optimiser.step()
    return model
