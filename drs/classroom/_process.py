"""One submission at work: its folder, its process, what it uses, and what it must not change."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sysconfig
import tempfile
import time
import zipfile
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, BinaryIO

from drs.classroom._guard import MIB

LONGEST_REPORT = 4 * MIB
"""Bytes that are read of what a submission's process reports."""
STARTING = 300.0
"""Seconds that the first process may take to load the libraries."""
MARK = "DRS_SUBMISSION"
"""Variable by which the processes that a submission has left behind are known."""


@dataclass(frozen=True)
class Task:
    """What the grader asks for.

    Attributes:
        sources: The text of each code cell.
        tests: Folder of otter's test files.
        scratch: The folder in which the notebook runs.
        report: File that gets one line of JSON for each question and each cell that went wrong.
        writable: What else the notebook may write to.
        environment: Variables to set first.
        cell_seconds: Time of one cell, and of one test.
        mebibytes: Memory.
    """

    sources: list[str]
    tests: Path
    scratch: Path
    report: Path
    writable: tuple[Path, ...]
    environment: dict[str, str]
    cell_seconds: float
    mebibytes: float


def environment(work: Path) -> dict[str, str]:
    """Variables of a submission: no GPU, nothing of the user's own set-up, no installing, files in its own folder."""
    scratch = work / "scratch"
    return {
        MARK: work.name,
        "HOME": str(scratch),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(Path.home() / ".config" / "matplotlib")),
        "TMPDIR": str(scratch),
        "DRS_CHECKPOINTS": str(scratch / "checkpoints"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MPLBACKEND": "agg",
        "PIP_NO_INDEX": "1",
        "PIP_TARGET": str(scratch / "packages"),
        "PYTHONUSERBASE": str(scratch / "packages"),
        "UV_OFFLINE": "1",
    }


def installed() -> frozenset[str]:
    """The packages beside this Python, with their versions."""
    folder = Path(sysconfig.get_path("purelib"))
    return frozenset(path.name for path in folder.glob("*.dist-info"))


def write_tests(autograder: Path, folder: Path) -> dict[str, bytes]:
    """Otter's test files as read-only copies; returns their bytes by name."""
    folder.mkdir()
    with zipfile.ZipFile(autograder) as archive:
        names = [name for name in archive.namelist() if name.startswith("tests/") and name.endswith(".py")]
        tests = {Path(name).name: archive.read(name) for name in names}
    for name, content in tests.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o444)
    folder.chmod(0o555)
    return tests


def work_on(task: Task) -> None:
    """What the process of a submission does."""
    from drs.classroom import _worker

    _worker.grade(task)


class Running:
    """A submission at work in a process of its own.

    Attributes:
        scratch: The folder it runs in.
        process: Its process.
    """

    def __init__(
        self, sources: list[str], autograder: Path, checkpoints: Path, limits: tuple[float, float], context: Any
    ) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="grade-"))
        self.scratch = self.work / "scratch"
        self.scratch.mkdir()
        if checkpoints.is_dir():
            shutil.copytree(checkpoints, self.scratch / "checkpoints")
        self._tests = write_tests(autograder, self.work / "tests")
        self._stamps = {name: (self.work / "tests" / name).stat().st_ctime_ns for name in self._tests}
        self._installed = installed()
        task = Task(
            sources=sources,
            tests=self.work / "tests",
            scratch=self.scratch,
            report=self.work / "report",
            writable=(Path(os.devnull), Path("/dev/shm")),
            environment=environment(self.work),
            cell_seconds=limits[0],
            mebibytes=limits[1],
        )
        task.report.touch()
        self._report: BinaryIO = task.report.open("rb")
        self._asked, self._started = time.monotonic(), 0.0
        self.process: BaseProcess = context.Process(target=work_on, args=(task,))
        self.process.start()

    @property
    def seconds(self) -> float:
        """Wall time since its first cell began; the libraries that all submissions load are not its own time."""
        now = time.monotonic()
        if not self._started:
            begun = os.fstat(self._report.fileno()).st_size > 0 or now - self._asked > STARTING
            self._started = now if begun else 0.0
        return now - self._started if self._started else 0.0

    def _tree(self) -> list[Any]:
        import psutil

        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def memory(self) -> float:
        """MiB of resident memory of its processes together."""
        import psutil

        total = 0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total / MIB

    def disk(self) -> float:
        """MiB of the files in its folder."""
        total = 0
        for folder, _, names in os.walk(self.scratch):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
        return total / MIB

    def end(self) -> None:
        """End its process, those it started, and those it left behind."""
        import psutil

        for one in self._tree() if self.process.is_alive() else []:  # an ended one's number may be another's
            with contextlib.suppress(psutil.Error):
                one.kill()
        if hasattr(os, "killpg") and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                inside = one.environ().get(MARK) == self.work.name or Path(one.cwd()).is_relative_to(self.work)
                if inside and one.pid != os.getpid():
                    one.kill()

    def reported(self) -> list[dict[str, Any]]:
        """What its process has reported; a line that was cut off is left out."""
        self._report.seek(0)
        found = []
        for line in self._report.read(LONGEST_REPORT).splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    found.append(entry)
        return found

    def tampering(self) -> str:
        """What it has changed that it must not, in words; empty if nothing."""
        for name, content in self._tests.items():
            path = self.work / "tests" / name
            try:
                same = path.read_bytes() == content and path.stat().st_ctime_ns == self._stamps[name]
            except OSError:
                same = False
            if not same:
                return f"the tests were changed while it ran ({name})"
        return "" if installed() == self._installed else "the installed packages changed while it ran"

    def keep(self, checkpoints: Path) -> None:
        """Add the networks that it has trained to a folder."""
        for path in (self.scratch / "checkpoints").glob("*"):
            if not (checkpoints / path.name).exists():
                checkpoints.mkdir(parents=True, exist_ok=True)
                shutil.move(path, checkpoints / path.name)

    def remove(self) -> None:
        """Delete its folders, the read-only ones included."""
        self._report.close()
        for folder in (self.work / "tests", self.scratch):
            with contextlib.suppress(OSError):
                folder.chmod(0o755)
        shutil.rmtree(self.work, ignore_errors=True)
