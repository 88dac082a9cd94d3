"""Density-Softmax on digits under shift and on two moons, next to temperatures that know no density."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drs._seeding import seeded
from drs.evaluation.accuracy import accuracy, expected_calibration_error, features_of, share
from drs.family.density_softmax import CouplingFlow, DensitySoftmax, fit_flow, gradient_penalty, retrain_head
from drs.study.experiments.base import Context, Outcome, Spec
from drs.study.metrics import column
from drs.training.models import Network, build_model, on_device

__all__ = [
    "GRID",
    "PlaneNet",
    "best_temperature",
    "digits",
    "heads",
    "judged",
    "moons",
    "rank_correlation",
    "run",
    "shifted",
    "train",
    "two_moons",
    "uncertainty",
]

TEMPERATURES: list[float] = torch.logspace(-1.0, 1.0, 201).tolist()
GRID = (61, 41)
"""Points of the grid on the plane, from -3 to 3 and from -2 to 2."""
SEEN = 25
"""Updates at the end over which loss and accuracy in training are means."""


class PlaneNet(Network):
    """A small network of points in the plane: two hidden layers of ReLUs, two classes.

    >>> PlaneNet()(torch.zeros(3, 2)).shape
    torch.Size([3, 2])

    Args:
        width: Neurons of each hidden layer.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.classifier = nn.Linear(width, 2)

    def features(self, images: Tensor) -> Tensor:
        """The hidden vector (N, width) of points (N, 2)."""
        hidden: Tensor = self.body(images)
        return hidden


def train(
    network: Network, images: Tensor, labels: Tensor, *, weight: float, steps: int, rate: float, seed: int
) -> dict[str, float]:
    """Step 1, in place: cross-entropy plus ``weight`` times the gradient penalty, batches of 128.

    Returns:
        Cross-entropy and accuracy, means over the last updates.
    """
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=2e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    seen = []
    network.train()
    for _ in range(steps):
        rows = torch.randint(0, len(images), (128,), generator=generator).to(images.device)
        batch = images[rows].requires_grad_(weight > 0)
        features = network.features(batch)
        logits = network.head(features)
        entropy = F.cross_entropy(logits, labels[rows])
        loss = entropy + weight * gradient_penalty(features, batch) if weight else entropy
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        seen.append((float(entropy.detach()), share(logits.argmax(1) == labels[rows])))
    network.eval()
    losses, hits = zip(*seen[-SEEN:])
    return {"train_loss": sum(losses) / len(losses), "train_accuracy": sum(hits) / len(hits)}


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Of a grid from 0.1 to 10, the temperature with the smallest cross-entropy.

    >>> logits = torch.tensor([[4.0, 0.0]] * 4)
    >>> round(best_temperature(logits, torch.tensor([0, 0, 0, 1])), 2)  # 4 / log 3, where the softmax is 3 / 4
    3.63
    """
    losses = torch.stack([F.cross_entropy(logits / t, labels) for t in TEMPERATURES])
    return TEMPERATURES[int(losses.argmin())]


def shifted(images: Tensor, spec: Spec) -> Iterator[tuple[str, float, Tensor]]:
    """Rotated, noisy and faded images (N, 1, 28, 28), with the kind and the size of the shift."""
    from torchvision.transforms.functional import InterpolationMode, rotate

    for degrees in spec["rotations"]:
        yield "rotation", degrees, rotate(images, degrees, InterpolationMode.BILINEAR)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).to(images.device)
    for size in spec["noises"]:
        yield "noise", size, (images + size * noise).clamp(0.0, 1.0)
    for factor in spec["contrasts"]:
        yield "contrast", factor, images * factor


def judged(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """NLL, ECE with 15 bins, Brier score and accuracy."""
    wrong = torch.softmax(logits, 1) - F.one_hot(labels, logits.shape[1])
    return {
        "nll": float(F.cross_entropy(logits, labels)),
        "ece": expected_calibration_error(logits, labels),
        "brier": float(wrong.square().sum(1).mean()),
        "hits": accuracy(logits, labels),
    }


def _flow(features: Tensor, spec: Spec) -> CouplingFlow:
    with seeded(spec["seed"], features.device):
        flow = CouplingFlow(features.shape[1]).to(features.device)
    return fit_flow(flow, features, steps=spec["flow_steps"], seed=spec["seed"])


def heads(
    network: Network, flow: CouplingFlow, features: Tensor, labels: Tensor, spec: Spec
) -> dict[str, DensitySoftmax]:
    """Steps 2 and 3: every way to scale the logits, each with a head of its own retrained on training features.

    ``interval`` is the authors' code for images, ``ratio`` the paper's formula, ``constant`` a factor that knows no
    density and equals the mean of ``interval`` on training features, ``retrained`` the factor 1: step 3 alone.
    """

    def scaled(scaling: str, interval: tuple[float, float] = (-0.55, -0.45)) -> DensitySoftmax:
        inside = copy.deepcopy(network)
        return DensitySoftmax(inside, flow, scaling=scaling, interval=interval).fit(features)  # type: ignore[arg-type]

    made = {"interval": scaled("interval"), "ratio": scaled("ratio")}
    with torch.no_grad():
        middle = math.log(float(made["interval"].scale(features).mean()))
    made |= {"constant": scaled("constant", (middle, middle)), "retrained": scaled("constant", (0.0, 0.0))}
    for model in made.values():
        retrain_head(model, features, labels, steps=spec["head_steps"], seed=spec["seed"])
    return made


def digits(spec: Spec, context: Context) -> Outcome:
    """Train, fit and retrain on digits; every arm on clean and on shifted test images."""
    data = context.dataset(spec["dataset"])
    images, labels = data.train.to_float(context.device)
    network = on_device(build_model("small_conv", channels=1, classes=10, seed=spec["seed"]), context.device)
    metrics = train(
        network, images, labels, weight=spec["gradient_penalty"], steps=spec["steps"], rate=0.05, seed=spec["seed"]
    )
    features = features_of(network, images)
    held_images, held_labels = data.validation.to_float(context.device)
    held = features_of(network, held_images)
    for said, steps in (("before", 0), ("after", spec["flow_steps"])):
        flow = _flow(features, spec | {"flow_steps": steps})
        with torch.no_grad():
            metrics[f"log_density_{said}"] = float(flow.log_density(held).mean())
    models = heads(network, flow, features, labels, spec)
    test, truth = data.test.first(spec["images"]).to_float(context.device)
    with torch.no_grad():
        fitted = best_temperature(network.head(held), held_labels)
    metrics |= {"images": float(len(test)), column("best_temperature", attack="clean"): fitted}

    @torch.no_grad()
    def arms(pixels: Tensor) -> dict[str, Tensor]:
        hidden = features_of(network, pixels)
        plain = network.head(hidden)
        found = {"plain": plain, "temperature": plain / fitted, "oracle": plain / best_temperature(plain, truth)}
        return found | {name: model.head(hidden) for name, model in models.items()}

    clean = arms(test)
    metrics |= {column(k, attack=arm): v for arm, z in clean.items() for k, v in judged(z, truth).items()}
    sums: dict[str, list[float]] = {}
    for kind, size, pixels in shifted(test, spec):
        sums.setdefault("scale_shift", []).append(float(_scale(models["interval"], network, pixels).mean()))
        for arm, logits in arms(pixels).items():
            for name, value in judged(logits, truth).items():
                sums.setdefault(column(f"{name}_shift", attack=arm), []).append(value)
                if kind == "rotation":
                    metrics[column(f"{name}_rotation", attack=arm, budget=size)] = value
    metrics |= {name: float(np.mean(values)) for name, values in sums.items()}
    metrics |= _outside(clean, arms(_shuffled(test)))
    scale = _scale(models["interval"], network, test)
    metrics |= {"scale_mean": float(scale.mean()), "scale_low": float(scale.min()), "scale_high": float(scale.max())}
    return Outcome(metrics)


@torch.no_grad()
def _scale(model: DensitySoftmax, network: Network, images: Tensor) -> Tensor:
    return model.scale(features_of(network, images))


def _shuffled(images: Tensor) -> Tensor:
    """The images with their pixels in another order, the same for all: no digits any more."""
    order = torch.randperm(images[0].numel(), generator=torch.Generator().manual_seed(0))
    return images.flatten(1)[:, order].reshape(images.shape)


def _outside(clean: dict[str, Tensor], outside: dict[str, Tensor]) -> dict[str, float]:
    """Average precision of finding what is no digit by a low confidence, for every arm."""
    from sklearn.metrics import average_precision_score

    found = {}
    for arm, logits in clean.items():
        scores = torch.cat([torch.softmax(z, 1).amax(1) for z in (logits, outside[arm])]).cpu().numpy()
        strange = np.arange(len(scores)) >= len(logits)
        found[column("aupr", attack=arm)] = float(average_precision_score(strange, -scores))
    return found


def two_moons(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 2) points of two moons moved towards each other, noise 0.1, and their classes, as in the authors' toy."""
    from sklearn.datasets import make_moons

    points, classes = make_moons(count, noise=0.1, random_state=seed)
    points = points + np.where(classes[:, None] == 0, [-0.1, 0.2], [0.1, -0.2])
    return torch.tensor(points, dtype=torch.float32), torch.tensor(classes)


def moons(spec: Spec, context: Context) -> Outcome:
    """Two moons: the uncertainty p (1 - p) of every arm on a grid, and whether it grows with the distance."""
    x, y = (each.to(context.device) for each in two_moons(1000, spec["seed"]))
    with seeded(spec["seed"], context.device):
        network = PlaneNet().to(context.device)
    metrics = train(network, x, y, weight=spec["gradient_penalty"], steps=spec["steps"], rate=0.05, seed=spec["seed"])
    features = features_of(network, x)
    flow = _flow(features, spec)
    models: dict[str, Network] = {"plain": network, "ratio": DensitySoftmax(network, flow).fit(features)}
    # The authors' toy maps to (-1, 1) and divides by the largest value: the same as (-2, 0).
    models["interval"] = DensitySoftmax(network, flow, scaling="interval", interval=(-2.0, 0.0)).fit(features)
    axes = [torch.linspace(-3.0, 3.0, GRID[0]), torch.linspace(-2.0, 2.0, GRID[1])]
    grid = torch.cartesian_prod(*axes).to(context.device)
    distance = torch.cdist(grid, x).amin(dim=1).cpu().numpy()
    like = two_moons(500, spec["seed"] + 1000)[0].to(context.device)
    arrays = {"points": x[:300].cpu().numpy(), "classes": y[:300].cpu().numpy()}
    for arm, model in models.items():
        on_grid, on_data = uncertainty(model, grid), uncertainty(model, like)
        metrics[column("distance_correlation", attack=arm)] = rank_correlation(on_grid, distance)
        metrics[column("uncertainty", attack=arm)] = float(on_data.mean())
        arrays[f"uncertainty.{arm}"] = on_grid.reshape(GRID).astype(np.float32)
    return Outcome(metrics, arrays)


@torch.no_grad()
def uncertainty(model: Network, points: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """p (1 - p) of the second class at points (N, 2), from 0 (sure) to 0.25 (the network does not know)."""
    p = torch.softmax(model(points).double(), 1)[:, 1]
    return (p * (1.0 - p)).cpu().numpy()


def rank_correlation(values: np.ndarray[tuple[int], np.dtype[np.float64]], distance: object) -> float:
    """Spearman's coefficient; 0 where the values never vary."""
    from scipy.stats import spearmanr

    return float(spearmanr(values, distance).statistic) if float(np.ptp(values)) > 0.0 else 0.0


def run(spec: Spec, context: Context) -> Outcome:
    """One network on digits, or the two moons."""
    return digits(spec, context) if spec["kind"] == "digits" else moons(spec, context)
