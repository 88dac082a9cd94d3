"""Folders of one's own images are known by what is in them, not by their path. No torch."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from functools import lru_cache
from pathlib import Path

from drs.errors import DataError

PREFIX = "folder:"
LEFT_BEHIND = {
    *("__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information", "lost+found"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
}
"""What systems leave in folders, in small letters; it is ignored, as is every name that begins with a dot."""
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
