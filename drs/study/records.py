"""Records: one small JSON a run, its arrays beside it; written whole or not at all, checksummed, never unpickled.

A run is an experiment's name, its version and a frozen specification; its key is a hash of the three. A record that is
torn or altered is named in an error, never read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drs._files import write_whole
from drs.errors import RecordError, UsageError
from drs.paths import checkout, results_root
from drs.training.folders import without_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DIGITS",
    "PACKAGES",
    "Array",
    "Record",
    "Run",
    "canonical",
    "code_commit",
    "digest",
    "flat",
    "has_record",
    "identity",
    "package_versions",
    "read_record",
    "record_path",
    "recorded_keys",
    "rounded",
    "to_frame",
    "write_record",
]

Array = np.ndarray[Any, Any]
DIGITS = 12
"""Significant digits of a number in a specification."""
PACKAGES = ("drs", "torch", "torchvision", "foolbox", "numpy")


@dataclass(frozen=True)
class Run:
    """One thing to compute.

    Attributes:
        experiment: Name of the experiment.
        version: Raised when the experiment's code changes meaning.
        spec: Plain JSON values. Numbers are rounded to :data:`DIGITS` significant digits, so that what is computed,
            what is recorded and the key are the same on every processor.

    Raises:
        UsageError: A value that is not plain JSON, or a number that is not finite.
    """

    experiment: str
    version: int
    spec: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "spec", rounded(self.spec))

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change with anything that decides the result; the path of a folder of images
        does not, its content does."""
        return digest(identity([self.experiment, self.version, self.spec]))[:16]


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        run: What was computed.
        profile: Under which profile.
        metrics: Numbers by name; ``name@epsilon`` for a value at a budget.
        arrays: Arrays by name.
        seconds: Wall time of the run.
        device: What it ran on, in words.
        versions: Versions of the packages that matter.
        commit: Commit of the code, with ``+changes`` where the tree was not clean.
        utc: When it finished, ISO 8601.
        rules: Hash of each rule that this experiment's records decide, by the claim's id, as the code had them when it
            ran (:func:`drs.study.rules.rules_of`); empty in records that are older than this field.
    """

    run: Run
    profile: str
    metrics: Mapping[str, float]
    seconds: float
    device: str
    versions: Mapping[str, str]
    commit: str
    utc: str
    arrays: Mapping[str, Array] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)


def rounded(value: object) -> Any:
    """Plain JSON values with every float rounded to :data:`DIGITS` significant digits.

    ``0.1 + 0.2`` and ``0.3`` are the same number here: the last digits of a computed number depend on the processor.

    Raises:
        UsageError: A value that is not plain JSON, or a number that is not finite.
    """
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"expected finite numbers in a specification, got {value}")
        return float(f"{value:.{DIGITS}g}")
    if value is None or isinstance(value, bool | int | str):
        return value
    raise UsageError(f"expected a specification of plain JSON values, got {type(value).__name__}")


def identity(value: Any) -> Any:
    """Plain JSON values with the paths of folders of images left out (:func:`drs.training.folders.without_path`)."""
    if isinstance(value, Mapping):
        return {key: identity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [identity(item) for item in value]
    return without_path(value) if isinstance(value, str) else value


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=True)


def digest(value: object) -> str:
    """SHA-256 of :func:`canonical`, in hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@lru_cache(maxsize=1)
def code_commit() -> str:
    """The commit the code is at (``$DRS_COMMIT`` where there is no git), or ``unknown``.

    A repository that only surrounds this package, or from which it is called, is somebody else's: ``unknown``.
    """
    if os.environ.get("DRS_COMMIT"):
        return os.environ["DRS_COMMIT"]
    ours = checkout()

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ours, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if ours is None or Path(git("rev-parse", "--show-toplevel")).resolve() != ours:
            return "unknown"
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "drs")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def record_path(run: Run, profile: str, results: Path | None = None) -> Path:
    """Where the record of a run belongs."""
    return (results or results_root()) / profile / run.experiment / f"{run.key}.json"


def has_record(run: Run, profile: str, results: Path | None = None) -> bool:
    """Whether the record of a run is there; it is not opened.

    Raises:
        UsageError: The folder it belongs in cannot be read, or is no folder.
    """
    path = record_path(run, profile, results)
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(f"cannot read the folder of records {path.parent}: {error}") from error
    return True


def recorded_keys(experiment: str, profile: str, results: Path) -> set[str]:
    """The keys under which an experiment has records under a profile, on whatever data set; none is opened.

    Raises:
        UsageError: The folder they belong in cannot be read, or is no folder.
    """
    folder = results / profile / experiment
    try:
        return {path.stem for path in folder.iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise UsageError(f"cannot read the folder of records {folder}: {error}") from error


def write_record(record: Record, results: Path | None = None) -> Path:
    """Write a record whole: arrays first, then the JSON that names them.

    Raises:
        UsageError: The folder cannot be written.
    """
    path = record_path(record.run, record.profile, results)
    body: dict[str, Any] = {
        "experiment": record.run.experiment,
        "version": record.run.version,
        "key": record.run.key,
        "profile": record.profile,
        "spec": record.run.spec,
        "metrics": dict(record.metrics),
        "seconds": round(record.seconds, 3),
        "device": record.device,
        "versions": dict(record.versions),
        "commit": record.commit,
        "utc": record.utc,
        "arrays": None,
    }
    if record.rules:
        body["rules"] = dict(record.rules)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if record.arrays:
            from safetensors.numpy import save

            content = save({name: np.asarray(array, order="C") for name, array in record.arrays.items()})
            body["arrays"] = hashlib.sha256(content).hexdigest()
            write_whole(path.with_suffix(".safetensors"), content)
        body["checksum"] = digest(body)
        text = json.dumps(body, indent=1, sort_keys=True)
        write_whole(path, (text + "\n").encode())
    except OSError as error:
        raise UsageError(f"cannot write the record {path}: {error}") from error
    return path


def read_record(path: Path, *, arrays: bool = True) -> Record:
    """Read one record and check it.

    Args:
        path: The JSON file.
        arrays: Read and check its arrays too.

    Raises:
        RecordError: Torn, altered, or not where its key says it belongs.
    """
    try:
        body = json.loads(path.read_text())
        checksum = body.pop("checksum")
        run = Run(body["experiment"], body["version"], body["spec"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RecordError(f"record {path} is torn: {error!r}; delete it and run again") from error
    if checksum != digest(body) or run.key != body["key"] or run.key != path.stem:
        raise RecordError(f"record {path} was altered: its checksum or key does not fit; restore it or delete it")
    values: dict[str, Array] = {}
    if arrays and body["arrays"]:
        from safetensors.numpy import load

        beside = path.with_suffix(".safetensors")
        content = beside.read_bytes() if beside.exists() else b""
        if hashlib.sha256(content).hexdigest() != body["arrays"]:
            raise RecordError(f"record {path} was altered: the arrays in {beside.name} do not fit its checksum")
        values = load(content)
    known = {key: body[key] for key in ("profile", "metrics", "seconds", "device", "versions", "commit", "utc")}
    return Record(run=run, arrays=values, rules=body.get("rules", {}), **known)


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values by their dotted names, each after ``prefix``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(f"{prefix}{key}.", value) if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _row(record: Record) -> dict[str, Any]:
    spec, metrics = flat("", record.run.spec), dict(record.metrics)
    origin = {
        "experiment": record.run.experiment,
        "profile": record.profile,
        "key": record.run.key,
        "seconds": record.seconds,
        "device": record.device,
        "commit": record.commit,
        "utc": record.utc,
        "torch": record.versions.get("torch", "unknown"),
    }
    if taken := origin.keys() & (spec.keys() | metrics.keys()):
        raise UsageError(
            f"expected other names for numbers of {record.run.experiment!r} than {', '.join(sorted(taken))}, "
            "which say where a record comes from"
        )
    both = {f"spec.{name}": value for name, value in spec.items() if name in metrics}
    return origin | spec | metrics | both


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record: specification (nested keys joined by dots), metrics, and where they come from.

    A name that a specification and its metrics share, such as ``images`` (asked for, and attacked), is the metric; what
    was asked for is then under ``spec.images``.

    Raises:
        UsageError: A specification or a metric has the name of a column that says where a record comes from.
    """
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records])
