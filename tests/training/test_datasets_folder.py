"""Folders of one's own images: both layouts, and one sentence for everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

from drs.errors import DataError
from drs.training.datasets import Split, load_dataset
from drs.training.folders import identified
from drs.training.images import Pixels, read_image
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


def refusal(folder: Path) -> str:
    """The sentence with which a folder is refused, without its beginning."""
    with pytest.raises(DataError) as error:
        load_dataset(f"folder:{folder}")
    start = f"data set 'folder:{folder}': "
    assert str(error.value).startswith(start)
    return str(error.value)[len(start) :]


def test_folder_without_classes_or_images(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"expected one folder per class with images in it under {tmp_path}, found none"
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    assert refusal(tmp_path) == (
        "expected images (.jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, .tiff, .webp) in the folder of each class, "
        f"found none in {tmp_path}/empty"
    )


# --- names of splits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("Training", "Testing"),
        ("TRAIN", "TEST"),
        ("training_set", "test_set"),
        ("train-images", "test1"),
    ],
)
def test_other_names_of_splits(train: str, test: str, tmp_path: Path) -> None:
    write_images(tmp_path / train, ["cat", "dog"], 8)
    write_images(tmp_path / test, ["cat", "dog"], 3)
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.class_names == ("cat", "dog")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (14, 2, 6)
    for split in (dataset.train, dataset.validation, dataset.test):
        check_images(split)


@pytest.mark.parametrize("validation", ["Validation", "val", "valid", "validation_set", "dev"])
def test_a_folder_of_validation_images_is_the_validation_split(validation: str, tmp_path: Path) -> None:
    write_images(tmp_path / "Training", ["cat", "dog"], 16)
    write_images(tmp_path / validation, ["cat", "dog"], 5)
    write_images(tmp_path / "Testing", ["cat", "dog"], 3)
    dataset = load_dataset(f"folder:{tmp_path}")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (32, 10, 6)
    assert counts(dataset.train.labels) == [16, 16]
    # the green channel is the number of the image
    assert sorted(dataset.validation.images[:, 1, 0, 0].tolist()) == sorted(2 * list(range(5)))
    check_images(dataset.validation)


def test_splits_that_are_incomplete_or_there_twice(tmp_path: Path) -> None:
    write_images(tmp_path / "Training", ["cat", "dog"], 2)
    assert refusal(tmp_path) == f"found {tmp_path}/Training, expected {tmp_path}/test beside it"
    write_images(tmp_path / "val", ["cat", "dog"], 2)
    assert refusal(tmp_path) == f"found {tmp_path}/Training and {tmp_path}/val, expected {tmp_path}/test beside them"
    write_images(tmp_path / "train_images", ["cat", "dog"], 2)
    assert refusal(tmp_path) == f"expected one folder per split, found {tmp_path}/Training and train_images"


def test_test_images_without_training_images(tmp_path: Path) -> None:
    write_images(tmp_path / "Test", ["cat", "dog"], 2)
    assert refusal(tmp_path) == f"found {tmp_path}/Test, expected {tmp_path}/train beside it"


def test_splits_without_classes(tmp_path: Path) -> None:
    write_images(tmp_path, ["train", "test"], 2)
    assert refusal(tmp_path) == f"expected one folder per class with images in it under {tmp_path}/train, found none"


@pytest.mark.parametrize("outer", ["images", "Entrenamiento"])
def test_folders_in_a_class_are_refused(outer: str, tmp_path: Path) -> None:
    write_images(tmp_path / outer / "train", ["cat", "dog"], 2)
    write_images(tmp_path / outer / "test", ["cat", "dog"], 2)
    assert refusal(tmp_path) == (
        f"expected images directly in the folder of each class, found the folders test, train in {tmp_path}/{outer}; "
        f"if that is where the classes or splits are, give folder:{tmp_path}/{outer}"
    )


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_images(tmp_path, ["car", "ship", "train"], 10)
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.class_names == ("car", "ship", "train")
    check_images(dataset.train)


# --- what is ignored -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "train"])
def test_hidden_folders_and_files_are_ignored(below: str, tmp_path: Path) -> None:
    splits = [tmp_path / split for split in (["train", "test"] if below else [""])]
    for split in splits:
        write_images(split, ["cat", "dog"], 8)
    name = f"folder:{tmp_path}"
    before = load_dataset(name)
    known = identified(name)
    for split in splits:
        write_images(split, [".ipynb_checkpoints", "__MACOSX", "@eaDir"], 1)
        write_images(split / "cat", [".ipynb_checkpoints", ".thumbnails"], 1)
        for file in ("._00.png", ".hidden.png", "Thumbs.db", "desktop.ini"):
            (split / "cat" / file).write_bytes(b"not an image")
        (split / ".DS_Store").write_bytes(b"")
    write_images(tmp_path, [".Trash-1000"], 1)
    after = load_dataset(name)
    assert after.class_names == ("cat", "dog")
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(after, part).images, getattr(before, part).images)
        assert torch.equal(getattr(after, part).labels, getattr(before, part).labels)
    assert identified(name) == known


# --- what is wrong with a folder -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("change", ["new", "gone", "replaced"])
@pytest.mark.parametrize("known", [False, True])
def test_a_folder_that_changes_while_it_is_read(
    known: bool, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, ["a", "b"], 8)
    name = f"folder:{tmp_path}"
    name = identified(name) if known else name
    first = tmp_path / "a" / "00.png"
    read: list[Path] = []

    def reading(path: Path) -> Pixels:
        pixels = read_image(path)
        if not read:
            if change == "new":
                (tmp_path / "b" / "new.png").write_bytes(first.read_bytes())
            elif change == "gone":
                first.unlink()
            else:
                Image.new("RGB", (6, 4), "white").save(first)
        read.append(path)
        return pixels

    monkeypatch.setattr("drs.training.datasets.read_image", reading)
    with pytest.raises(DataError) as error:
        load_dataset(name)
    assert (
        str(error.value)
        == f"data set {name!r}: the images in {tmp_path} were changed while they were read; start again"
    )
    assert len(read) == 16


def test_an_image_that_goes_while_the_folder_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, ["a", "b"], 8)
    last = tmp_path / "b" / "07.png"

    def reading(path: Path) -> Pixels:
        last.unlink(missing_ok=True)
        return read_image(path)

    monkeypatch.setattr("drs.training.datasets.read_image", reading)
    with pytest.raises(DataError, match=f"^image {last} cannot be read: "):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("what", ["read", "list"])
def test_what_may_not_be_read_is_one_sentence(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, ["a", "b"], 8)

    def forbidden(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(tmp_path / "a"))

    monkeypatch.setattr(Path, "iterdir", forbidden) if what == "list" else monkeypatch.setattr(Image, "open", forbidden)
    start = (
        f"data set 'folder:{tmp_path}': cannot read {tmp_path}"
        if what == "list"
        else (f"image {tmp_path}/a/00.png cannot be read")
    )
    with pytest.raises(DataError) as error:
        load_dataset(f"folder:{tmp_path}")
    assert str(error.value) == f"{start}: [Errno 13] Permission denied: '{tmp_path}/a'"
