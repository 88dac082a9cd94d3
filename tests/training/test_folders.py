"""A folder of images is known by its content: what changes its digest, what does not, and what keys make of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from drs.errors import DataError
from drs.study.records import Run
from drs.training import folders
from drs.training.datasets import load_dataset
from drs.training.folders import identified, without_path
from tests.training.test_datasets_folder import write_images


def digest(name: str) -> str:
    return identified(name).rpartition("#")[2]


def test_the_digest_is_over_names_sizes_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes(b"one")
    (tmp_path / "a.png").write_bytes(b"")
    expected = hashlib.sha256(b"a.png\x000\x00" + b"b/1.png\x003\x00one").hexdigest()[:16]
    assert identified(f"folder:{tmp_path}") == f"folder:{tmp_path}#{expected}"
    assert identified(f"folder:{tmp_path}#{expected}") == f"folder:{tmp_path}#{expected}"
    assert identified("mnist5k") == "mnist5k"


@pytest.mark.parametrize("change", ["bytes", "name", "label", "one more", "one less"])
def test_every_change_of_content_changes_it(change: str, tmp_path: Path) -> None:
    write_images(tmp_path, ["cat", "dog"], 3)
    before = digest(f"folder:{tmp_path}")
    one = tmp_path / "cat" / "00.png"
    if change == "bytes":
        one.write_bytes((tmp_path / "dog" / "01.png").read_bytes())
    elif change == "name":
        one.rename(one.with_name("zz.png"))
    elif change == "label":
        one.rename(tmp_path / "dog" / "zz.png")
    elif change == "one more":
        (tmp_path / "dog" / "99.png").write_bytes(one.read_bytes())
    else:
        one.unlink()
    assert digest(f"folder:{tmp_path}") != before


def test_another_place_and_another_time_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "here", ["cat", "dog"], 3)
    before = digest(f"folder:{tmp_path / 'here'}")
    os.utime(tmp_path / "here" / "cat" / "00.png", (1, 1))
    (tmp_path / "here").rename(tmp_path / "there")
    assert digest(f"folder:{tmp_path / 'there'}") == before
    monkeypatch.chdir(tmp_path)
    assert identified("folder:there") == f"folder:{tmp_path / 'there'}#{before}"


def test_bytes_are_hashed_once_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, ["cat", "dog"], 3)
    before = identified(f"folder:{tmp_path}")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read again"))
    assert identified(f"folder:{tmp_path}") == before


def test_a_key_holds_the_digest_and_not_the_path() -> None:
    def key(name: str) -> str:
        return Run("anatomy", 2, {"network": {"dataset": name}, "targets": [{"dataset": name}]}).key

    here, there = (f"folder:{place}#0123456789abcdef" for place in ("/here", "/there"))
    assert key(here) == key(there) == key("folder:#0123456789abcdef")
    assert key(here) != key("folder:/here#0123456789abcdee")
    assert without_path("folder:/here") == "folder:/here"
    assert without_path("mnist#0123456789abcdef") == "mnist#0123456789abcdef"


def test_a_folder_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, ["cat", "dog"], 8)
    name = identified(f"folder:{tmp_path}")
    assert load_dataset(name).name == name
    (tmp_path / "cat" / "00.png").unlink()
    with pytest.raises(DataError, match=r"the images in .* were changed since; start again with folder:"):
        load_dataset(name)


def test_no_folder_is_one_sentence(tmp_path: Path) -> None:
    name = f"folder:{tmp_path / 'none'}"
    with pytest.raises(DataError, match=f"^data set '{name}': expected a folder at {tmp_path / 'none'}, found none$"):
        identified(name)
    assert folders.parts(f"{name}#0123456789abcdef") == (tmp_path / "none", "0123456789abcdef")


def test_hidden_files_and_folders_are_not_in_the_digest(tmp_path: Path) -> None:
    write_images(tmp_path, ["cat", "dog"], 3)
    before = identified(f"folder:{tmp_path}")
    write_images(tmp_path, [".ipynb_checkpoints", "__MACOSX"], 1)
    for name in (".DS_Store", "cat/Thumbs.db", "cat/._00.png", "dog/desktop.ini"):
        (tmp_path / name).write_bytes(b"something else")
    assert identified(f"folder:{tmp_path}") == before
    (tmp_path / "dog" / "note.txt").write_bytes(b"something else")
    assert identified(f"folder:{tmp_path}") != before


def test_a_loop_of_links_is_one_sentence(tmp_path: Path) -> None:
    write_images(tmp_path, ["cat", "dog"], 3)
    (tmp_path / "dog" / "again").symlink_to(tmp_path)  # the system stops after some 40 links
    with pytest.raises(DataError, match=f"^data set 'folder:{tmp_path}': cannot read {tmp_path}: "):
        identified(f"folder:{tmp_path}")


def test_a_class_that_may_not_be_listed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, ["cat", "dog"], 3)
    scan = os.scandir

    def forbidden(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(DataError) as error:
        identified(f"folder:{tmp_path}")
    assert str(error.value) == (
        f"data set 'folder:{tmp_path}': cannot read {tmp_path}: [Errno 13] Permission denied: '{tmp_path}/dog'"
    )


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    write_images(tmp_path, ["cat", "dog"], 3)
    before = identified(f"folder:{tmp_path}")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    assert identified(f"folder:{tmp_path}") == before
