"""Folders of one's own images are known by what is in them, not by their path. No torch."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from drs.errors import DataError

PREFIX = "folder:"
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

    The digest is over the relative path, the size and the bytes of every file below the folder. Names of other data
    sets stay as they are, and so does a name that has its digest already.

    Raises:
        DataError: No such folder, or one that cannot be read.
    """
    if not name.startswith(PREFIX):
        return name
    path, digest = parts(name)
    return name if digest else f"{PREFIX}{path.absolute()}#{content(path, name)}"


def content(path: Path, name: str) -> str:
    """The digest of a folder. A file is read again only when its size or the time of its last change is another.

    Raises:
        DataError: No such folder, or one that cannot be read.
    """
    if not path.is_dir():
        raise DataError(f"data set {name!r}: expected a folder at {path}, found none")
    try:
        found = []
        for folder, _, files in os.walk(path, followlinks=True):
            for file in files:
                there = Path(folder, file)
                state = there.stat()
                found.append((there.relative_to(path).as_posix(), state.st_size, state.st_mtime_ns))
        return _digest(path.absolute(), tuple(sorted(found)))
    except OSError as error:
        raise DataError(f"data set {name!r}: cannot read {path}: {error}") from error


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
