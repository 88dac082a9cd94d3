"""What a submission may do in its own process: a clock for each cell, memory, disk, and where it may write.

This keeps accidents inside their cell. It is no sandbox: reading and the network stay open.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

MIB = 2**20
LARGEST_FILE = 256 * MIB
"""Bytes that one file of a submission may have."""
HEADROOM = 0.75
"""Share of the memory limit at which an allocation fails; the rest is for the cells that come after."""
WAITING = 3.0
"""How much longer a cell may take by the clock on the wall than on the processor."""
AGAIN = 2.0
"""Seconds after which code that has swallowed the interrupt is interrupted again."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls of Landlock, the same on every processor
_WRITES = 0x7FF2  # write, remove, make, rename and truncate: bits 1 and 4 to 14 of Landlock's rights
_FILE_WRITES = 0x4002  # those that a single file can have: write and truncate


class Stopped(BaseException):
    """A cell has used up its time; not an ``Exception``, so that ``except Exception`` does not swallow it."""


class Clock:
    """Interrupts the main thread when a cell has used up its time, where the platform has such timers.

    The time is the processor's, so that a busy machine costs nobody points; a cell that only waits is interrupted after
    :data:`WAITING` times as long.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.works = hasattr(signal, "setitimer")
        self._open = 0

    def _set(self, seconds: float) -> None:
        again = AGAIN if seconds else 0.0
        signal.setitimer(signal.ITIMER_PROF, seconds, again)
        signal.setitimer(signal.ITIMER_REAL, WAITING * seconds, again)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Allow the time of one cell from now on; inside another such block, start that time anew afterwards."""
        if not self.works:
            yield
            return
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, self._ring)
        self._open += 1
        self._set(self.seconds)
        try:
            yield
        finally:
            self._open -= 1
            self._set(self.seconds if self._open else 0.0)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._open:
            raise Stopped("was stopped at the time limit of a cell: does a loop never end?")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that memory ran out, in Python's words or in torch's."""
    text = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "not enough memory" in text or "can't allocate memory" in text


def _private_memory() -> int:
    """Bytes of private memory that this process has asked for; 0 where the platform does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")), 0)


def limit_memory(mebibytes: float, share: float) -> None:
    """Let an allocation fail at a share of the limit, as an error of its cell. Linux only."""
    import psutil

    if sys.platform != "linux":
        return
    import resource

    resident = psutil.Process().memory_info().rss
    soft = _private_memory() + max(0, int(share * mebibytes * MIB) - resident)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard < 0 else min(soft, hard), hard))


def limit_files() -> None:
    """Let a write fail where a file would become larger than :data:`LARGEST_FILE`, where the platform can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def confines() -> bool:
    """Whether this platform can deny a process to write outside some folders: Landlock, Linux 5.19 or later."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).syscall(_CREATE, None, 0, 1) >= 2)  # the first could not rename between folders


def confine(writable: Sequence[Path]) -> bool:
    """Deny this process, and what it starts, every write outside some folders, for good.

    Args:
        writable: Folders or devices that may be written to; one that is missing is left out.

    Returns:
        Whether the kernel does so.
    """
    if not confines():
        return False
    system = ctypes.CDLL(None).syscall
    version = system(_CREATE, None, 0, 1)
    handled = _WRITES if version >= 3 else _WRITES & ~0x4000  # truncate came with the third
    ruleset = system(_CREATE, struct.pack("Q", handled), 8, 0)
    if ruleset < 0:
        return False
    try:
        for path in writable:
            with contextlib.suppress(OSError):
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                try:
                    allowed = handled if path.is_dir() else handled & _FILE_WRITES
                    system(_ADD, ruleset, 1, struct.pack("=Qi", allowed, place), 0)
                finally:
                    os.close(place)
        no_new_privileges = 38
        if ctypes.CDLL(None).prctl(no_new_privileges, 1, 0, 0, 0) != 0:
            return False
        return bool(system(_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)
