"""Runs what is missing: in this process, in worker processes, or on an existing Dask cluster.

A finished run is never computed twice; an interrupted sweep goes on where it stopped; a worker that dies loses only
the run it was at, and that run is done again.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import math
import multiprocessing
import multiprocessing.connection
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path

import torch
from tqdm import tqdm

from drs.errors import Diverged, UsageError
from drs.paths import results_root
from drs.study.experiments import Context, Outcome, get_experiment
from drs.study.plan import missing, plan
from drs.study.records import Record, Run, code_commit, package_versions, write_record
from drs.study.results import Results
from drs.study.rules import rules_of

__all__ = [
    "ATTEMPTS",
    "CONNECT_SECONDS",
    "compute",
    "describe_device",
    "ensure",
    "keep_freed_memory",
    "resolve_device",
    "run_missing",
]

ATTEMPTS = 3
"""How often a run is tried whose worker dies."""
CONNECT_SECONDS = 10
"""How long to wait for a Dask scheduler."""


def resolve_device(name: str) -> torch.device:
    """``auto`` is CUDA, else MPS, else the CPU; any other name is what torch calls it.

    Raises:
        UsageError: A device torch does not know or this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} is not available here: {str(error).splitlines()[0]}") from error
    return device


def describe_device(device: torch.device) -> str:
    """What a device is, in words, without the name of the machine."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else device.type


_ONE_RUN = threading.RLock()
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's ``mallopt``."""


@cache
def keep_freed_memory() -> None:
    """Let this process use the memory again that it has freed, instead of giving it back after every layer.

    glibc maps each large block anew, and the system clears it: an attack on 1,000 images spends a third of its time so.
    With another C library nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def compute(run: Run, profile: str, device_name: str, progress: bool = False) -> Record:
    """Do one run and return its record, unwritten. On a CPU with one thread, so that the result does not depend on
    how many workers there are; one run at a time in a process, whose generators of random numbers are shared."""
    device = resolve_device(device_name)
    rules = rules_of(run.experiment)
    keep_freed_memory()
    with _ONE_RUN:
        threads = torch.get_num_threads()
        if device.type == "cpu":
            torch.set_num_threads(1)
        started = time.perf_counter()
        try:
            try:
                outcome = get_experiment(run.experiment).run(dict(run.spec), Context(device, progress))
            except Diverged:  # a result, not a mistake: the record holds ``diverged`` and nothing else
                outcome = Outcome({"diverged": 1.0})
            seconds = time.perf_counter() - started
            described = describe_device(device)
        finally:
            torch.set_num_threads(threads)
    return Record(
        run=run,
        profile=profile,
        metrics=outcome.metrics,
        arrays=outcome.arrays,
        seconds=seconds,
        device=described,
        versions=package_versions(),
        commit=code_commit(),
        utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        rules=rules,
    )


def _compute_and_write(run: Run, profile: str, device_name: str, results: Path) -> str:
    write_record(compute(run, profile, device_name), results)
    return run.key


def _die_with_parent() -> None:
    """In a worker: die at once when Ctrl-C reaches it, or when the process that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            multiprocessing.connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _worker() -> ProcessPoolExecutor:
    """A pool of one process, so that a death concerns one run only."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_die_with_parent)


def _in_processes(runs: Sequence[Run], profile: str, device: str, results: Path, workers: int) -> Iterator[str]:
    """Yield the key of each run as it is finished; a run whose worker died is done again by a new one."""
    code_commit()
    waiting = [(run, 1) for run in reversed(runs)]
    idle = [_worker() for _ in range(workers)]
    busy: dict[Future[str], tuple[ProcessPoolExecutor, Run, int]] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                pool, (run, attempt) = idle.pop(), waiting.pop()
                busy[pool.submit(_compute_and_write, run, profile, device, results)] = pool, run, attempt
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                pool, run, attempt = busy.pop(future)
                idle.append(pool)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    idle.remove(pool)
                    pool.shutdown(wait=False)
                    if attempt == ATTEMPTS:
                        raise UsageError(
                            f"run {run.key} of {run.experiment} killed its worker process {ATTEMPTS} times "
                            "(out of memory? try --workers 1)"
                        ) from None
                    idle.append(_worker())
                    waiting.append((run, attempt + 1))
    finally:
        for pool in [*idle, *(pool for pool, _, _ in busy.values())]:
            pool.shutdown(wait=False, cancel_futures=True)


def _on_cluster(runs: Sequence[Run], profile: str, device: str, results: Path, scheduler: str) -> Iterator[str]:
    """Send the runs to an existing Dask scheduler; records are written here as they come back."""
    try:
        import distributed
    except ImportError as error:
        raise UsageError("a cluster needs the extra 'cluster': pip install 'drs[cluster]'") from error
    client, why = None, ""
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error)
    if client is None:
        gc.collect()  # a half-made client closes itself when it is collected: here, not in a thread that just starts
        raise UsageError(f"no Dask scheduler answers at {scheduler}: {why}")
    with client:
        futures = client.map(lambda run: compute(run, profile, device), list(runs), pure=False)
        try:
            for _, record in distributed.as_completed(futures, with_results=True):
                write_record(record, results)
                yield record.run.key
        except distributed.KilledWorker as error:
            raise UsageError(f"every worker at {scheduler} that tried one run died (out of memory?)") from error
        except CancelledError as error:
            raise UsageError(f"the Dask scheduler at {scheduler} went away; run again to go on") from error


def run_missing(
    runs: Sequence[Run],
    profile: str,
    *,
    workers: int | None = None,
    device: str = "auto",
    results: Path | None = None,
    scheduler: str | None = None,
    progress: bool = True,
    label: str = "runs",
) -> int:
    """Compute the runs that have no record.

    Args:
        runs: From :func:`drs.study.plan.plan`.
        profile: Whose folder the records go to.
        workers: Worker processes; 1 is this process. None: one per CPU core (one in all on a GPU), fewer when there
            are few runs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        results: Root of the records.
        scheduler: Address of a Dask scheduler; overrides ``workers``.
        progress: Show a bar.

    Returns:
        How many runs were computed.

    Raises:
        UsageError: What a run refuses, a device that is not there, a cluster that does not answer.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"expected workers >= 1, got {workers}")
    root = results or results_root()
    todo = missing(runs, profile, root)
    if not todo:
        return 0
    finished: Iterator[object]
    if scheduler is not None:  # the device is its workers', and need not be here
        finished = _on_cluster(todo, profile, device, root, scheduler)
    elif (count := _workers(workers, device, len(todo))) > 1:
        finished = _in_processes(todo, profile, device, root, min(count, len(todo)))
    else:
        here: Callable[[Run], Path] = lambda run: write_record(  # noqa: E731
            compute(run, profile, device, progress and len(todo) == 1), root
        )
        finished = map(here, todo)
    for _ in tqdm(finished, total=len(todo), desc=label, unit="run", disable=not progress):
        pass
    return len(todo)


def _workers(asked: int | None, device: str, runs: int) -> int:
    """How many processes work, on a device that has to be here."""
    kind = resolve_device(device).type
    if asked is not None:
        return asked
    return min(os.cpu_count() or 1, math.ceil(runs / 4)) if kind == "cpu" else 1


def ensure(experiment: str, profile: str, results: Path, *, arrays: bool = False) -> list[Record]:
    """The records of an experiment under ``results``: read where they exist, computed where they do not.

    Args:
        experiment: Name of an experiment (``drs list`` shows them).
        profile: Name of a profile.
        results: Root of the records.
        arrays: Read the arrays too.

    Raises:
        UsageError: An unknown name.
        RecordError: A damaged record.
    """
    run_missing(plan(experiment, profile), profile, results=results, label=f"{experiment} ({profile})")
    return Results(results).records(experiment, profile, arrays=arrays)
