"""Fixtures of the whole suite: the devices that are present, a slice of real digits, one network trained on them."""

from __future__ import annotations

import pytest
import torch

from drs.training.datasets import Dataset, load_dataset
from drs.training.loop import TrainingSpec, train
from drs.training.models import Network

# pytest-xdist runs one process a core; bitwise repeatability holds at one thread count.
torch.set_num_threads(1)


def _devices() -> list[str]:
    cuda = ["cuda"] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]


@pytest.fixture(params=_devices())
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device there is, one after the other."""
    return torch.device(str(request.param))


@pytest.fixture(scope="session")
def mnist5k() -> Dataset:
    """The whole embedded data set: 3,500 / 500 / 1,000 images."""
    return load_dataset("mnist5k")


@pytest.fixture(scope="session")
def digits(mnist5k: Dataset) -> Dataset:
    """A slice of real digits: 320 for training, 80 for thresholds, 80 for testing, eight or more of each class."""
    return Dataset(
        mnist5k.name,
        mnist5k.class_names,
        mnist5k.train.first(320),
        mnist5k.validation.first(80),
        mnist5k.test.first(80),
    )


@pytest.fixture(scope="session")
def trained(mnist5k: Dataset) -> Network:
    """A SmallConvNet in evaluation mode after 150 steps of cross-entropy on mnist5k, about 91% right."""
    return train(TrainingSpec(steps=150, batch_size=64), mnist5k).network
