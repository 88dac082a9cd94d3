"""Folders of one's own images: which file has which class, and a digest by which a folder is known. No torch.

A folder is ``PATH/train/CLASS/*.png`` and ``PATH/test/CLASS/*.png``, with or without ``PATH/validation/CLASS/*.png``,
or it is ``PATH/CLASS/*.png``. ``Training``, ``val``, ``Test_set`` and the like name splits too. Images lie directly in
the folder of their class.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from drs.errors import DataError
from drs.training.images import read_image

__all__ = [
    "LEFT_BEHIND",
    "PREFIX",
    "SPLITS",
    "SUFFIXES",
    "VALIDATION",
    "Layout",
    "Overview",
    "content",
    "held_out",
    "identified",
    "is_visible",
    "layout",
    "overview",
    "parts",
    "state",
    "without_path",
]

PREFIX = "folder:"
LEFT_BEHIND = {
    *("__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information", "lost+found"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
}
"""What systems leave in folders, in small letters; it is ignored, as is every name that begins with a dot."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What names of images end with, in small letters; other files are ignored."""
VALIDATION = 1000
"""Training images held out for thresholds where no folder gives them, at most an eighth of the training set."""
SPLITS = {
    "train": re.compile("(train|training)(set|data|images|split)*"),
    "validation": re.compile("(val|valid|validation|dev)(set|data|images|split)*"),
    "test": re.compile("(test|testing)(set|data|images|split)*"),
}
"""What folders of splits are called, in small letters and without digits and signs."""
_DIGEST = re.compile("#([0-9a-f]{16})$")


def parts(name: str) -> tuple[Path, str | None]:
    """The path in ``folder:PATH`` or ``folder:PATH#DIGEST``, and the digest (None without one)."""
    text = name.removeprefix(PREFIX)
    found = _DIGEST.search(text)
    if found is None or Path(text).is_dir():
        return Path(text), None
    return Path(text[: found.start()]), found[1]


def identified(name: str) -> str:
    """A data set's name with what decides its images: ``folder:PATH`` becomes ``folder:/ABSOLUTE/PATH#DIGEST``.

    The digest is over the relative path, the size and the bytes of every file below the folder, without hidden ones
    and :data:`LEFT_BEHIND`. Names of other data sets stay as they are, and so does a name that has its digest already.

    Raises:
        DataError: No such folder, or one that cannot be read.
    """
    if not name.startswith(PREFIX):
        return name
    path, digest = parts(name)
    return name if digest else f"{PREFIX}{path.absolute()}#{content(path, name)}"


def is_visible(name: str) -> bool:
    """Whether a file or folder of this name counts: it is neither hidden nor one of :data:`LEFT_BEHIND`.

    >>> [is_visible(name) for name in ("cat", ".ipynb_checkpoints", "__MACOSX", "Thumbs.db")]
    [True, False, False, False]
    """
    return not name.startswith(".") and name.lower() not in LEFT_BEHIND


@dataclass(frozen=True)
class Layout:
    """The image files of a folder.

    Attributes:
        classes: Names of the classes, sorted.
        train: Image files with the index of their class, class by class, sorted by name.
        validation, test: The same; None where training images are to be held out.
    """

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    validation: tuple[tuple[Path, int], ...] | None = None
    test: tuple[tuple[Path, int], ...] | None = None


def layout(path: Path, name: str) -> Layout:
    """Which images a folder holds, by split and class.

    Args:
        path: The folder.
        name: The data set's name, for errors.

    Raises:
        DataError: No such folder, or one that is laid out in another way; the sentence names the folder in question.
    """
    start = f"data set {name!r}: "
    if not path.is_dir():
        raise DataError(f"{start}expected a folder at {path}, found none")
    try:
        splits = _splits(path, start)
        read = {split: _classes(folder, start) for split, folder in (splits or {"train": path}).items()}
    except OSError as error:
        raise DataError(f"{start}cannot read {path}: {error}") from error
    classes = tuple(read["train"])
    for split, found in read.items():
        if tuple(found) != classes:
            raise DataError(
                f"{start}expected the classes {list(classes)} in {splits[split].name} too, got {list(found)}"
            )
    files = {
        split: tuple((file, label) for label, each in enumerate(found.values()) for file in each)
        for split, found in read.items()
    }
    return Layout(classes, **files)


def _visible(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if is_visible(entry.name)), key=lambda entry: entry.name)


def _images(folder: Path) -> list[Path]:
    return [file for file in _visible(folder) if file.suffix.lower() in SUFFIXES and file.is_file()]


def _splits(path: Path, start: str) -> dict[str, Path]:
    """The folders of the splits in a folder; empty where it holds the folders of the classes."""
    named: dict[str, list[Path]] = {split: [] for split in SPLITS}
    others: list[Path] = []
    for folder in filter(Path.is_dir, _visible(path)):
        letters = re.sub("[^a-z]", "", folder.name.lower())
        split = next((split for split, pattern in SPLITS.items() if pattern.fullmatch(letters)), None)
        (others if split is None else named[split]).append(folder)
    found = [folder for folders in named.values() for folder in folders]
    # a single "train" that holds images, beside "car" and "ship" that do, is a class
    if not found or (len(found) == 1 and _images(found[0]) and any(map(_images, others))):
        return {}
    for folders in named.values():
        if len(folders) > 1:
            raise DataError(f"{start}expected one folder per split, found {folders[0]} and {folders[1].name}")
    for split in ("train", "test"):
        if not named[split]:
            it = "it" if len(found) == 1 else "them"
            raise DataError(f"{start}found {' and '.join(map(str, found))}, expected {path / split} beside {it}")
    return {split: folders[0] for split, folders in named.items() if folders}


def _classes(folder: Path, start: str) -> dict[str, list[Path]]:
    """The images of each class of a split."""
    classes = {entry.name: entry for entry in _visible(folder) if entry.is_dir()}
    if not classes:
        raise DataError(f"{start}expected one folder per class with images in it under {folder}, found none")
    for each in classes.values():
        if inside := [entry.name for entry in _visible(each) if entry.is_dir()]:
            raise DataError(
                f"{start}expected images directly in the folder of each class, found the folders {', '.join(inside)} "
                f"in {each}; if that is where the classes or splits are, give folder:{each}"
            )
    files = {name: _images(each) for name, each in classes.items()}
    if empty := [name for name, found in files.items() if not found]:
        raise DataError(
            f"{start}expected images ({', '.join(SUFFIXES)}) in the folder of each class, found none in "
            f"{classes[empty[0]]}"
        )
    return files


def held_out(images: int, *, validation: bool, test: bool) -> tuple[int, int]:
    """How many of the training images are held out for validation and for testing, where no folder gives them.

    >>> held_out(40, validation=False, test=False)
    (4, 8)
    """
    testing = 0 if test else images // 5
    return 0 if validation else min(VALIDATION, (images - testing) // 8), testing


def content(path: Path, name: str) -> str:
    """The digest of a folder. A file is read again only when its size or the time of its last change is another.

    Raises:
        DataError: No such folder, or one that cannot be read.
    """
    try:
        return _digest(path.absolute(), state(path, name))
    except OSError as error:
        raise DataError(f"data set {name!r}: cannot read {path}: {error}") from error


def state(path: Path, name: str) -> tuple[tuple[str, int, int], ...]:
    """Relative path, size in bytes and time of the last change of every file that counts, sorted.

    Raises:
        DataError: No such folder, or one that cannot be read.
    """
    if not path.is_dir():
        raise DataError(f"data set {name!r}: expected a folder at {path}, found none")

    def refuse(error: OSError) -> None:  # os.walk would leave the folder out
        raise error

    found = []
    try:
        for folder, folders, files in os.walk(path, followlinks=True, onerror=refuse):
            folders[:] = filter(is_visible, folders)
            for file in filter(is_visible, files):
                there = Path(folder, file)
                status = there.stat()
                if stat.S_ISREG(status.st_mode):  # a pipe would be waited for
                    found.append((there.relative_to(path).as_posix(), status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise DataError(f"data set {name!r}: cannot read {path}: {error}") from error
    return tuple(sorted(found))


@dataclass(frozen=True)
class Overview:
    """What a plan asks of a folder, whose images are not all read for it.

    Attributes:
        classes: Names of the classes.
        training: Training images that are left when others are held out.
        fewest_training: The smallest share of a class in them: the number of its images, rounded down.
        fewest_test: Images of the smallest class among the test images of a folder; None where they are held out.
        height, width: Of the first training image.
    """

    classes: tuple[str, ...]
    training: int
    fewest_training: int
    fewest_test: int | None
    height: int
    width: int


def overview(name: str) -> Overview:
    """What is in the folder of a data set.

    Raises:
        DataError: What :func:`layout` raises, or a first image that cannot be read.
    """
    return _overview(identified(name))


@lru_cache(maxsize=16)
def _overview(name: str) -> Overview:
    path, _ = parts(name)
    found = layout(path, f"{PREFIX}{path}")
    validating, testing = held_out(
        len(found.train), validation=found.validation is not None, test=found.test is not None
    )
    training = len(found.train) - validating - testing
    fewest = min(Counter(label for _, label in found.train).values())
    fewest_test = None if found.test is None else min(Counter(label for _, label in found.test).values())
    height, width = read_image(found.train[0][0]).shape[:2]
    return Overview(found.classes, training, fewest * training // len(found.train), fewest_test, height, width)


@lru_cache(maxsize=16)
def _digest(path: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    total = hashlib.sha256()
    for name, size, _ in files:
        total.update(f"{name}\0{size}\0".encode())
        total.update((path / name).read_bytes())
    return total.hexdigest()[:16]


def without_path(name: str) -> str:
    """``folder:PATH#DIGEST`` as ``folder:#DIGEST``, any other text as it is: what a key is made from."""
    found = _DIGEST.search(name) if name.startswith(PREFIX) else None
    return f"{PREFIX}{found[0]}" if found else name
