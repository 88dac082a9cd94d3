"""Records: written whole or not at all, checked when read, and a key that changes with whatever decides the result."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drs.errors import RecordError, UsageError
from drs.paths import project_root
from drs.study import records
from drs.study.records import Record, Run, has_record, read_record, record_path, to_frame, write_record

RUN = Run("tiny", 3, {"a": 1, "b": [0.1, None, True], "network": {"loss": "drs", "seed": 0}})
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "floats": np.array([[0.1, -0.0, np.nan], [np.inf, -np.inf, 1e-45]], dtype=np.float32),
    "doubles": np.linspace(0.0, 1.0, 7)[::2],
    "halves": np.array([1.5, 65504.0], dtype=np.float16),
    "pixels": np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1),
    "labels": np.array([-(2**62), 7], dtype=np.int64),
    "mask": np.array([True, False]),
    "scalar": np.array(2.5),
    "none": np.zeros((0, 3), dtype=np.float32),
}


def record(run: Run = RUN, profile: str = "smoke", **changes: Any) -> Record:
    values: dict[str, Any] = {
        "metrics": {"accuracy": 0.1 + 0.2, "pgd@0.05": 0.0},
        "seconds": 1.23456,
        "device": "a CPU",
        "versions": {"python": "3.11.0", "torch": "2.6.0"},
        "commit": "abc",
        "utc": "2025-01-02T03:04:05+00:00",
    }
    return Record(run=run, profile=profile, **(values | changes))


def test_a_record_comes_back_as_it_was_arrays_bit_for_bit(tmp_path: Path) -> None:
    written = record(arrays=ARRAYS)
    path = write_record(written, tmp_path)
    assert path == tmp_path / "smoke" / "tiny" / f"{RUN.key}.json"
    read = read_record(path)
    assert (read.run, read.run.key, read.profile, dict(read.metrics)) == (RUN, RUN.key, "smoke", written.metrics)
    assert (read.device, dict(read.versions), read.commit, read.utc) == ("a CPU", written.versions, "abc", written.utc)
    assert read.seconds == 1.235
    assert set(read.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert (read.arrays[name].dtype, read.arrays[name].shape) == (array.dtype, array.shape), name
        assert read.arrays[name].tobytes() == array.tobytes(), name
    assert dict(read_record(path, arrays=False).arrays) == {}


def test_without_arrays_there_is_one_readable_file(tmp_path: Path) -> None:
    path = write_record(record(), tmp_path)
    assert [p.name for p in path.parent.iterdir()] == [f"{RUN.key}.json"]
    assert path.stat().st_mode & 0o777 == 0o644
    body = json.loads(path.read_text())
    assert body["spec"] == RUN.spec
    assert path.read_text().endswith("}\n")


def test_rules_come_back_and_a_record_without_any_is_written_as_before_there_were_any(tmp_path: Path) -> None:
    rules = {"A1": "0123456789abcdef", "A2": "1" * 16}
    path = write_record(record(rules=rules), tmp_path)
    assert read_record(path).rules == rules
    path.write_text(path.read_text().replace("0123456789abcdef", "0123456789abcdee"))
    with pytest.raises(RecordError, match="was altered"):
        read_record(path)
    assert "rules" not in json.loads(write_record(record(), tmp_path).read_text())
    assert read_record(path).rules == {}


def test_a_committed_record_is_written_byte_for_byte_again(tmp_path: Path) -> None:
    folder = project_root() / "data" / "results" / "quick" / "theory"
    for path in folder.glob("*.json"):
        read = read_record(path)
        again = write_record(read, tmp_path)
        assert again.read_text().splitlines() == path.read_text().splitlines()
    assert list(folder.glob("*.json"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1])
def test_every_number_survives(value: float, tmp_path: Path) -> None:
    read = read_record(write_record(record(metrics={"value": value}), tmp_path))
    assert repr(read.metrics["value"]) == repr(value)


def test_the_key_is_sixteen_digits_of_a_sha256_of_sorted_json() -> None:
    text = '["tiny",3,{"a":1,"b":[0.1,null,true],"network":{"loss":"drs","seed":0}}]'
    assert RUN.key == hashlib.sha256(text.encode()).hexdigest()[:16] == "511442a2ad474bf3"


def test_the_key_changes_with_whatever_decides_the_result_and_with_nothing_else() -> None:
    same = Run("tiny", 3, {"network": {"seed": 0, "loss": "drs"}, "b": (0.1, None, True), "a": 1})
    assert same.key == RUN.key
    others = [
        Run("tinz", 3, RUN.spec),
        Run("tiny", 4, RUN.spec),
        Run("tiny", 3, {**RUN.spec, "a": 2}),
        Run("tiny", 3, {**RUN.spec, "a": 1.0}),
        Run("tiny", 3, {**RUN.spec, "b": [0.1, True, None]}),
        Run("tiny", 3, {**RUN.spec, "network": {"loss": "drs", "seed": 1}}),
        Run("tiny", 3, {**RUN.spec, "c": None}),
    ]
    assert len({run.key for run in [RUN, *others]}) == 1 + len(others)


def test_a_specification_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a specification of plain JSON values, got set"):
        _ = Run("tiny", 1, {"a": {1, 2}}).key


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, error: type[BaseException]) -> None:
    """Let the ``number``-th renaming of a finished file fail."""
    real: Callable[[Path, Path], Path] = Path.replace
    calls = iter(range(1, 100))

    def replace(self: Path, target: Path) -> Path:
        if next(calls) == number:
            raise error("the power went")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("number", [1, 2])
def test_a_crash_while_writing_leaves_no_record_and_no_half_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash_at(patch, number, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            write_record(record(arrays=ARRAYS), tmp_path)
    left = [p.name for p in tmp_path.rglob("*") if p.is_file()]
    assert left == ([] if number == 1 else [f"{RUN.key}.safetensors"])
    assert not has_record(RUN, "smoke", tmp_path)
    write_record(record(arrays=ARRAYS), tmp_path)
    assert set(read_record(record_path(RUN, "smoke", tmp_path)).arrays) == set(ARRAYS)


def test_a_full_disk_is_one_sentence_and_the_old_record_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_record(record(), tmp_path)
    before = path.read_bytes()
    crash_at(monkeypatch, 1, OSError)
    with pytest.raises(UsageError, match=rf"cannot write the record .*{RUN.key}\.json: the power went"):
        write_record(record(metrics={"accuracy": 0.9}), tmp_path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_torn_record_is_named_wherever_it_was_cut(tmp_path: Path) -> None:
    path = write_record(record(), tmp_path)
    whole = path.read_bytes()
    for cut in [*range(0, len(whole) - 2, 29), len(whole) - 2]:
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordError, match="is torn") as caught:
            read_record(path)
        assert str(path) in str(caught.value), cut


@pytest.mark.parametrize("text", ["[]", "{}", "3", "null", '"x"', '{"checksum": "0"}', "\udcff"])
def test_something_else_in_place_of_a_record_is_named(text: str, tmp_path: Path) -> None:
    path = write_record(record(), tmp_path)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RecordError, match=RUN.key):
        read_record(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metrics", {"accuracy": 0.9, "pgd@0.05": 0.0}),
        ("spec", {**RUN.spec, "a": 2}),
        ("version", 4),
        ("experiment", "other"),
        ("profile", "quick"),
        ("seconds", 0.0),
        ("device", "a GPU"),
        ("arrays", None),
        ("key", "0" * 16),
        ("new", 1),
    ],
)
def test_an_altered_field_is_found(field: str, value: object, tmp_path: Path) -> None:
    path = write_record(record(arrays=ARRAYS), tmp_path)
    body = json.loads(path.read_text())
    assert body.get(field) != value or field == "new"
    body[field] = value
    path.write_text(json.dumps(body))
    with pytest.raises(RecordError, match="was altered") as caught:
        read_record(path, arrays=False)
    assert str(path) in str(caught.value)


def test_a_forged_checksum_does_not_help_under_another_key(tmp_path: Path) -> None:
    path = write_record(record(), tmp_path)
    body = json.loads(path.read_text())
    del body["checksum"]
    body["spec"]["a"] = 2
    body["checksum"] = records.digest(body)
    path.write_text(json.dumps(body))
    with pytest.raises(RecordError, match="was altered"):
        read_record(path)


def test_altered_or_missing_arrays_are_found(tmp_path: Path) -> None:
    path = write_record(record(arrays=ARRAYS), tmp_path)
    arrays = path.with_suffix(".safetensors")
    whole = arrays.read_bytes()
    damaged = [whole[:-1], whole + b"\0", b""]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in (0, 20, len(whole) - 1)]
    damaged.append(pickle.dumps({"floats": [1.0]}))
    for content in damaged:
        arrays.write_bytes(content)
        with pytest.raises(RecordError, match=rf"{arrays.name} do not fit") as caught:
            read_record(path)
        assert str(path) in str(caught.value)
    arrays.unlink()
    with pytest.raises(RecordError, match="was altered"):
        read_record(path)
    arrays.write_bytes(whole)
    assert set(read_record(path).arrays) == set(ARRAYS)


def test_a_renamed_record_is_found(tmp_path: Path) -> None:
    path = write_record(record(), tmp_path)
    other = Run("tiny", 3, {**RUN.spec, "a": 2})
    path.rename(record_path(other, "smoke", tmp_path))
    assert not has_record(RUN, "smoke", tmp_path)
    with pytest.raises(RecordError, match=other.key):
        read_record(record_path(other, "smoke", tmp_path))


def test_arrays_are_plain_bytes_behind_a_json_header(tmp_path: Path) -> None:
    path = write_record(record(arrays={"a": ARRAYS["floats"]}), tmp_path).with_suffix(".safetensors")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert header["a"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    assert content[8 + length :] == ARRAYS["floats"].tobytes()


@pytest.mark.parametrize("place", ["results", "results/smoke", "results/smoke/tiny"])
def test_a_file_in_place_of_a_folder_is_one_sentence(place: str, tmp_path: Path) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("not a folder")
    with pytest.raises(UsageError, match=r"^cannot write the record .*\.json: "):
        write_record(record(), tmp_path / "results")
    with pytest.raises(UsageError, match=r"^cannot read the folder of records .*tiny: "):
        has_record(RUN, "smoke", tmp_path / "results")
    assert (tmp_path / place).read_text() == "not a folder"


def test_the_results_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path / "elsewhere"))
    path = write_record(record())
    assert path.is_relative_to(tmp_path / "elsewhere")
    assert has_record(RUN, "smoke")
    assert read_record(record_path(RUN, "smoke")).run == RUN


def test_a_frame_has_one_flat_row_a_record() -> None:
    frame = to_frame([record(), record(Run("tiny", 3, {"a": 5}), metrics={"accuracy": 1.0})])
    assert list(frame["a"]) == [1, 5]
    assert list(frame["key"]) == [RUN.key, Run("tiny", 3, {"a": 5}).key]
    assert frame.loc[0, "network.loss"] == "drs"
    assert frame.loc[0, "network.seed"] == 0
    assert frame.loc[0, "b"] == [0.1, None, True]
    assert frame.loc[0, "pgd@0.05"] == 0.0
    assert bool(frame.isna().loc[1, "pgd@0.05"])
    assert list(frame["accuracy"]) == [0.1 + 0.2, 1.0]
    assert list(frame["torch"]) == ["2.6.0", "2.6.0"]
    assert set(frame["profile"]) == {"smoke"}
    assert len(to_frame([])) == 0


def test_provenance_names_commit_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRS_COMMIT", "0123456789ab")
    assert records.code_commit.__wrapped__() == "0123456789ab"
    monkeypatch.delenv("DRS_COMMIT")
    for place in (Path("/nowhere"), None):
        monkeypatch.setattr(records, "checkout", lambda place=place: place)
        assert records.code_commit.__wrapped__() == "unknown"
    assert {"python", "drs", "torch", "torchvision", "foolbox", "numpy"} == set(records.package_versions())
    assert "absent" not in records.package_versions().values()


def test_the_commit_of_a_repository_around_the_package_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ZIP of the product unpacked inside somebody's repository; then a repository of its own."""
    monkeypatch.delenv("DRS_COMMIT", raising=False)

    def git(*words: str) -> str:
        who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "theirs")
    ours = tmp_path / "unpacked"
    ours.mkdir()
    monkeypatch.setattr(records, "checkout", lambda: ours)
    assert records.code_commit.__wrapped__() == "unknown"
    monkeypatch.setattr(records, "checkout", lambda: tmp_path)
    assert records.code_commit.__wrapped__() == git("rev-parse", "--short=12", "HEAD")


def test_what_was_asked_for_and_what_was_measured_are_both_in_the_frame() -> None:
    run = Run("tiny", 3, {"images": 64, "network": {"seed": 0}})
    frame = to_frame([record(run, metrics={"images": 40.0}), record(RUN, metrics={"accuracy": 1.0})])
    assert frame.loc[0, "images"] == 40.0
    assert frame.loc[0, "spec.images"] == 64
    assert "spec.network.seed" not in frame
    assert "spec.accuracy" not in frame


@pytest.mark.parametrize(("spec", "metrics"), [({"device": "cpu"}, {"x": 1.0}), ({"a": 1}, {"seconds": 2.0})])
def test_a_number_named_like_its_origin_is_refused(spec: dict[str, Any], metrics: dict[str, float]) -> None:
    with pytest.raises(
        UsageError, match=r"expected other names for numbers of 'tiny' than (device|seconds), which say"
    ):
        to_frame([record(Run("tiny", 3, spec), metrics=metrics)])
