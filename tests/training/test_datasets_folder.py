"""Folders of one's own images: both layouts, and one sentence for everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drs.errors import DataError
from drs.training.datasets import (
    Split,
    load_dataset,
)
from tests.training.test_datasets import counts, digests


def write_images(folder: Path, classes: list[str], each: int, size: tuple[int, int] = (6, 4)) -> None:
    """``each`` images a class of width and height ``size``; red is the class, green the number of the image."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", size, (10 * label, number, 200)).save(folder / name / f"{number:02}.png")


def check_images(split: Split) -> None:
    assert torch.equal(split.images[:, 0, 0, 0].long(), 10 * split.labels)
    assert bool((split.images[:, 2] == 200).all())


def test_folder_with_train_and_test(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ["cat", "dog"], 8)
    write_images(tmp_path / "test", ["cat", "dog"], 3)
    dataset = load_dataset(f"folder:{tmp_path}")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (14, 2, 6)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.name == f"folder:{tmp_path}"
    assert dataset.train.images.shape == (14, 3, 4, 6)
    assert (dataset.channels, dataset.size) == (3, 4)
    assert counts(dataset.validation.labels) == [1, 1]
    for split in (dataset.train, dataset.validation, dataset.test):
        check_images(split)


def test_flat_folder_holds_out_a_fifth(tmp_path: Path) -> None:
    write_images(tmp_path, ["a", "b"], 20)
    dataset = load_dataset(f"folder:{tmp_path}")
    # 40 images: 8 to test, an eighth of the other 32 to validate
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (28, 4, 8)
    assert counts(dataset.test.labels) == [4, 4]
    parts = [*digests(dataset.train), *digests(dataset.validation), *digests(dataset.test)]
    assert len(set(parts)) == 40
    check_images(dataset.test)
    again = load_dataset(f"folder:{tmp_path}")
    assert torch.equal(again.train.images, dataset.train.images)


def test_named_folder_below_the_data_root(tmp_path: Path) -> None:
    write_images(tmp_path / "cifar10-jpeg" / "train", ["a", "b"], 4)
    write_images(tmp_path / "cifar10-jpeg" / "test", ["a", "b"], 1)
    dataset = load_dataset("cifar10-jpeg", tmp_path)
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("cifar10-jpeg", 7, 2)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load_dataset(f"folder:{tmp_path}/photos")
    assert (
        str(error.value) == f"data set 'folder:{tmp_path}/photos': expected a folder at {tmp_path}/photos, found none"
    )


def test_folder_without_classes_or_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^expected one folder a class with images in it under {tmp_path}: "):
        load_dataset(f"folder:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"^expected one folder a class with images in it under {tmp_path}: "):
        load_dataset(f"folder:{tmp_path}")


def test_train_without_test(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ["a", "b"], 2)
    with pytest.raises(DataError) as error:
        load_dataset(f"folder:{tmp_path}")
    assert str(error.value) == (
        f"data set 'folder:{tmp_path}': found {tmp_path}/train, expected {tmp_path}/test beside it"
    )


def test_other_classes_in_test(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ["a", "b"], 2)
    write_images(tmp_path / "test", ["a", "c"], 2)
    with pytest.raises(DataError, match=r"expected the classes \['a', 'b'\] in test too, got \['a', 'c'\]$"):
        load_dataset(f"folder:{tmp_path}")


def test_images_of_two_sizes(tmp_path: Path) -> None:
    write_images(tmp_path, ["a", "b"], 2)
    odd = tmp_path / "b" / "01.png"
    Image.new("RGB", (5, 4)).save(odd)
    with pytest.raises(DataError) as error:
        load_dataset(f"folder:{tmp_path}")
    assert str(error.value) == f"expected every image of size (4, 6), got (4, 5) in {odd}"


def corrupt_png(content: bytes, how: str) -> bytes:
    data = content.index(b"IDAT")  # its length stands in the four bytes before, its name has four bytes
    return {
        "text": b"not an image",
        "truncated": content[: len(content) // 2],
        "name of a chunk": content[:data] + b"\xff\x00\xff\x00" + content[data + 4 :],
        "length of a chunk": content[: data - 1] + bytes([content[data - 1] ^ 0xFF]) + content[data:],
    }[how]


@pytest.mark.parametrize("how", ["text", "truncated", "name of a chunk", "length of a chunk"])
def test_corrupt_image_is_named(tmp_path: Path, how: str) -> None:
    write_images(tmp_path, ["a", "b"], 2)
    bad = tmp_path / "a" / "01.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(bad)
    bad.write_bytes(corrupt_png(bad.read_bytes(), how))
    with pytest.raises(DataError, match=f"^image {bad} is corrupt: "):
        load_dataset(f"folder:{tmp_path}")
