"""The runner: nothing twice, nothing lost, the same numbers wherever a run is done, and a death survived."""

from __future__ import annotations

import gc
import hashlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from drs.errors import RecordError, UsageError
from drs.study import runner
from drs.study.claims import CLAIMS
from drs.study.experiments import EXPERIMENTS, Context, Experiment, Outcome, Spec
from drs.study.plan import missing, plan
from drs.study.profiles import PROFILES, Profile
from drs.study.records import Record, Run, code_commit, package_versions, record_path
from drs.study.results import Results
from drs.study.rules import rule_hash
from drs.study.runner import compute, ensure, resolve_device, run_missing
from drs.training.spec import TrainingSpec
from tests.study.stored import stored


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders of records and checkpoints; the folder of the records."""
    monkeypatch.setenv("DRS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("DRS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("DRS_COMMIT", "tests")
    return tmp_path / "results"


class Counter:
    """A tiny experiment that keeps the numbers of the runs it did."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def run(self, spec: Spec, context: Context) -> Outcome:
        if spec["number"] == 13:
            raise UsageError("expected a lucky number, got 13")
        self.done.append(spec["number"])
        return Outcome({"square": float(spec["number"] ** 2)}, {"device": torch.tensor([spec["number"]]).numpy()})

    def register(self, *numbers: int, version: int = 1) -> None:
        """Make it the experiment ``counter`` with one run per number."""

        def grid(profile: Profile, dataset: str) -> list[Spec]:
            return [{"number": number, "dataset": dataset, "images": profile.images} for number in numbers]

        EXPERIMENTS["counter"] = Experiment("counter", version, "counts its calls", grid, self.run)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """The tiny experiment, registered."""
    found = Counter()
    monkeypatch.setitem(EXPERIMENTS, "counter", EXPERIMENTS["theory"])  # so that it is taken away afterwards
    found.register(2, 0, 1)
    return found


def here(runs: list[Run], **options: Any) -> int:
    return run_missing(runs, "smoke", **({"workers": 1, "progress": False} | options))


def test_only_what_is_missing_is_computed_in_order_and_nothing_twice(counter: Counter, folders: Path) -> None:
    runs = plan("counter", "smoke")
    assert [run.spec["number"] for run in runs] == [2, 0, 1]
    assert missing(runs, "smoke") == runs
    assert here(runs[1:2]) == 1
    untouched = record_path(runs[1], "smoke").stat().st_mtime_ns
    assert here(runs) == 2
    assert counter.done == [0, 2, 1]
    assert here(runs) == 0
    assert counter.done == [0, 2, 1]
    assert missing(runs, "smoke") == []
    assert record_path(runs[1], "smoke").stat().st_mtime_ns == untouched
    found = stored(runs, folders)
    assert [(r.run, r.metrics["square"], int(r.arrays["device"][0])) for r in found] == [
        (runs[0], 4.0, 2),
        (runs[1], 0.0, 0),
        (runs[2], 1.0, 1),
    ]


def test_a_changed_specification_and_a_raised_version_are_computed_anew(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(plan("counter", "smoke"))
    counter.register(0, 7)
    here(plan("counter", "smoke"))
    assert counter.done == [2, 0, 1, 7]
    counter.register(0, 7, version=2)
    assert len(missing(plan("counter", "smoke"), "smoke")) == 2
    assert Results().records("counter", "smoke") == []
    here(plan("counter", "smoke"))
    assert counter.done == [2, 0, 1, 7, 0, 7]
    monkeypatch.setitem(PROFILES, "smoke", replace(PROFILES["smoke"], images=3))
    here(plan("counter", "smoke"))
    assert counter.done == [2, 0, 1, 7, 0, 7, 0, 7]


def test_profiles_and_data_sets_do_not_mix(counter: Counter, tmp_path: Path) -> None:
    here(plan("counter", "smoke"))
    assert Results().records("counter", "quick") == []
    assert {run.spec["dataset"] for run in plan("counter", "smoke")} == {"mnist5k"}
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "one.png").write_bytes(b"an image")
    other = plan("counter", "smoke", dataset=f"folder:{tmp_path / 'own'}")
    digest = hashlib.sha256(b"one.png\x008\x00an image").hexdigest()[:16]
    assert {run.spec["dataset"] for run in other} == {f"folder:{tmp_path / 'own'}#{digest}"}
    assert missing(other, "smoke") == other


def test_ensure_computes_once_and_results_only_read(counter: Counter, folders: Path) -> None:
    assert Results().records("counter", "smoke") == []
    assert Results().records("counter", "smoke") == []
    assert counter.done == []
    counter.register(3)
    first = ensure("counter", "smoke", folders)
    second = ensure("counter", "smoke", folders, arrays=True)
    assert counter.done == [3]
    assert [r.metrics for r in first] == [r.metrics for r in Results().records("counter", "smoke")] == [{"square": 9.0}]
    assert dict(first[0].arrays) == {}
    assert int(second[0].arrays["device"][0]) == 3
    table = Results().frame("counter", "smoke")
    assert list(table["number"]) == [3]
    assert list(table["square"]) == [9.0]
    assert list(table["commit"]) == ["tests"] or code_commit() != "tests"
    path = record_path(first[0].run, "smoke")
    path.write_text(path.read_text().replace("9.0", "8.0"))
    with pytest.raises(RecordError, match=first[0].run.key):
        ensure("counter", "smoke", folders)


def test_what_a_run_refuses_is_told_and_what_was_done_before_stays(counter: Counter) -> None:
    counter.register(4, 13, 5)
    with pytest.raises(UsageError, match="expected a lucky number, got 13"):
        here(plan("counter", "smoke"))
    assert counter.done == [4]
    assert [r.run.spec["number"] for r in Results().records("counter", "smoke")] == [4]


def test_a_record_says_how_it_came_to_be(counter: Counter) -> None:
    threads = torch.get_num_threads()
    record = compute(plan("counter", "smoke")[0], "smoke", "cpu")
    assert torch.get_num_threads() == threads
    assert record.profile == "smoke"
    assert record.device.endswith("CPU, 1 thread")
    assert record.versions["torch"] == package_versions()["torch"]
    assert record.utc.endswith("+00:00")
    assert 0 <= record.seconds < 60
    assert record.rules == {}


def test_a_record_carries_the_rules_that_it_decides(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    a3 = CLAIMS["A3"]
    monkeypatch.setitem(CLAIMS, "A3", replace(a3, experiment="counter"))
    here(plan("counter", "smoke"))
    found = Results().records("counter", "smoke")
    assert [record.rules for record in found] == [{"A3": rule_hash(a3)}] * len(found)
    assert found


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: plan("nothing", "smoke"), "unknown experiment 'nothing': expected one of .*losses"),
        (lambda: plan("counter", "large"), "unknown profile 'large': expected one of full, paper, quick, smoke"),
        (lambda: plan("counter", "smoke", dataset="cats"), "unknown data set 'cats': expected one of .*mnist5k"),
        (lambda: here(plan("counter", "smoke"), workers=0), "expected workers >= 1, got 0"),
        (lambda: here([], workers=-2), "expected workers >= 1, got -2"),
        (lambda: here(plan("counter", "smoke"), device="abacus"), "device 'abacus' is not available here"),
        (lambda: here(plan("counter", "smoke"), device="cuda:99"), "device 'cuda:99' is not available here"),
    ],
)
def test_wrong_input_is_one_sentence_before_anything_is_computed(
    call: Callable[[], object], sentence: str, counter: Counter, folders: Path
) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert counter.done == []
    assert not folders.exists()


def test_a_file_in_place_of_the_results_is_told_before_anything_is_computed(counter: Counter, folders: Path) -> None:
    folders.write_text("not a folder")
    with pytest.raises(UsageError, match="cannot read the folder of records"):
        here(plan("counter", "smoke"))
    assert counter.done == []


def test_the_device_named_auto_is_one_that_is_there(device: torch.device) -> None:
    assert resolve_device(device.type).type == device.type
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto").type == expected


def tiny_runs() -> list[Run]:
    """Three real runs, as small as they can be, the first two on one network."""
    network = TrainingSpec(train_size=64, model_options={"width": 4, "depth": 1}, steps=3, batch_size=16).as_dict()
    shared = {"epsilons": [0.0, 0.1], "attacks": ["pgd"], "variant": "ce"}
    anatomy = {"network": network, "images": 6, "epsilon": 0.1, "budgets": [0.05]}
    rce = network | {"loss": "rce", "seed": 1}
    return [
        Run("anatomy", 1, anatomy),
        Run("losses", 1, {"network": network, "images": 8, **shared}),
        Run("losses", 1, {"network": rce, "images": 8, **shared}),
    ]


def numbers(runs: list[Run], results: Path) -> list[tuple[Any, ...]]:
    """Metrics and the bytes of the arrays, for exact comparison."""
    found = stored(runs, results)
    assert [record.run for record in found] == runs
    return [(dict(r.metrics), {name: a.tobytes() for name, a in r.arrays.items()}) for r in found]


def test_workers_threads_and_a_cluster_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    runs = tiny_runs()

    def fresh(place: str) -> Path:
        monkeypatch.setenv("DRS_CHECKPOINTS", str(tmp_path / place / "checkpoints"))
        return tmp_path / place

    expected_at = fresh("here")
    assert run_missing(runs, "smoke", workers=1, device="cpu", results=expected_at, progress=False) == 3
    expected = numbers(runs, expected_at)
    assert "images" in expected[0][1]

    workers_at = fresh("workers")
    assert run_missing(runs, "smoke", workers=2, device="cpu", results=workers_at, progress=False) == 3
    assert numbers(runs, workers_at) == expected
    assert len(list((workers_at / "checkpoints").glob("*.safetensors"))) == 2

    cluster_at = fresh("cluster")
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        options = {"device": "cpu", "results": cluster_at, "scheduler": address, "progress": False}
        assert run_missing(runs, "smoke", **options) == 3
        assert run_missing(runs, "smoke", **options) == 0
    assert numbers(runs, cluster_at) == expected


def test_runs_in_threads_of_one_process_do_not_disturb_each_other(counter: Counter) -> None:
    """Both draw from the one global generator; one at a time, each from its own seed."""

    def draw(spec: Spec, context: Context) -> Outcome:
        torch.manual_seed(spec["number"])
        drawn = []
        for _ in range(20):
            time.sleep(0.001)
            drawn.append(float(torch.rand(())))
        return Outcome({str(i): value for i, value in enumerate(drawn)})

    object.__setattr__(EXPERIMENTS["counter"], "run", draw)
    runs = [Run("counter", 1, {"number": number}) for number in range(3)]
    with torch.random.fork_rng():
        alone = [compute(run, "smoke", "cpu").metrics for run in runs]
        together: dict[int, Record] = {}
        threads = [
            threading.Thread(target=lambda n=n: together.update({n: compute(runs[n], "smoke", "cpu")}))
            for n in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [together[n].metrics for n in range(3)] == alone


def test_a_cluster_that_is_not_there_or_fails_is_one_sentence(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(runner, "CONNECT_SECONDS", 1)
    for address in ("127.0.0.1:1", "nonsense", "foo://x:1"):
        with pytest.raises(UsageError, match=f"no Dask scheduler answers at {address}: "):
            here(plan("counter", "smoke"), scheduler=address)
        assert not [one for one in gc.get_objects() if isinstance(one, distributed.Client)]  # or it closes anywhere
    assert not folders.exists()
    counter.register(13)
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        with pytest.raises(UsageError, match="expected a lucky number, got 13"):
            here(plan("counter", "smoke"), scheduler=cluster.scheduler_address)
        for error, sentence in (
            (distributed.KilledWorker("task", None, 3), r"^every worker at \S+ that tried one run died"),
            (CancelledError("task"), r"^the Dask scheduler at \S+ went away; run again to go on"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(distributed, "as_completed", Mock(side_effect=error))
                with pytest.raises(UsageError, match=sentence):
                    here(plan("counter", "smoke"), scheduler=cluster.scheduler_address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"a cluster needs the extra 'cluster'"):
        here(plan("counter", "smoke"), scheduler="127.0.0.1:1")
