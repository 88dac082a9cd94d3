"""Fixtures of the whole suite: the devices that are present, a slice of real digits, one network trained on them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from drs import cli
from drs.training.datasets import Dataset, load_dataset
from drs.training.loop import train
from drs.training.models import Network
from drs.training.spec import TrainingSpec

# pytest-xdist runs one process a core; bitwise repeatability holds at one thread count.
torch.set_num_threads(1)


LONGEST = ("book/test_site.py", "classroom/test_grading.py", "book/test_site_pages.py", "study/test_workers.py")
"""Files that take the longest, in the order in which they start: a worker that got one last would work on alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files; everything else keeps its order."""
    tests = Path(__file__).parent
    place = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


Command = Callable[..., tuple[int, str, str]]
"""The command line in this process: from words to status, standard output and standard error."""


@pytest.fixture
def drs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: status, standard output, standard error."""

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["drs", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command


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
