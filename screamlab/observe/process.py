"""One watched process, read from /proc with descriptors that stay open.

An open /proc/PID/stat belongs to that process and not to its number: when the process ends, the
next read fails, even if the number has been given away again. Rereading it costs a third of
opening it anew.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import NamedTuple

from screamlab.observe import procfs

_READ = os.O_RDONLY | os.O_CLOEXEC
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Counters(NamedTuple):
    """What a process has used since it started; context switches are of all its threads."""

    cpu_ticks: int = 0
    minor_faults: int = 0
    major_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0


@dataclass(slots=True)
class Usage:
    """What a process has used so far and holds now; None is what could not be read.

    `start_s` is when it started, on CLOCK_BOOTTIME.
    """

    start_s: float
    counters: Counters
    threads: int
    rss_bytes: int
    descriptors: int | None
    sockets: int | None
    memory: procfs.Memory | None


class Process:
    """A running process; opening one that has ended raises `OSError`."""

    __slots__ = ("_descriptors", "_ended_switches", "_sockets", "_stat", "_tasks", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._stat = os.open(f"/proc/{pid}/stat", _READ)
        self._tasks: dict[str, _Task] = {}
        self._ended_switches = (0, 0)
        self._descriptors: int | None = None
        self._sockets: int | None = None

    def read(self, *, deep: bool) -> Usage | None:
        """Read everything once; None when the process has ended.

        `deep` asks for the costly figures as well. USS and PSS: the kernel walks all of the
        process's pages (about 15 ms per GiB) while the process cannot map or unmap memory.
        Sockets: every descriptor is looked at; else only when their number has changed.
        """
        try:
            stat = procfs.parse_stat(os.pread(self._stat, 4096, 0))
        except OSError:
            return None
        if stat.state in b"ZX":
            return None
        voluntary, involuntary = self._switches(stat.threads)
        self._count_descriptors(deep)
        return Usage(
            start_s=stat.start_ticks / TICKS_PER_S,
            counters=Counters(
                stat.cpu_ticks, stat.minor_faults, stat.major_faults, voluntary, involuntary
            ),
            threads=stat.threads,
            rss_bytes=stat.rss_pages * _PAGE_BYTES,
            descriptors=self._descriptors,
            sockets=self._sockets,
            memory=self._memory() if deep else None,
        )

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._stat)
        for task in self._tasks.values():
            task.close()
        self._tasks.clear()

    def _switches(self, threads: int) -> tuple[int, int]:
        """Context switches of all threads, those that have ended included.

        /proc/PID/status counts the first thread alone (psutil reports that figure).
        """
        if threads != 1 or len(self._tasks) != 1:
            self._follow_threads()
        voluntary, involuntary = self._ended_switches
        for name, task in list(self._tasks.items()):
            if not task.read():
                del self._tasks[name]
                task.close()
                self._ended_switches = (
                    self._ended_switches[0] + task.switches[0],
                    self._ended_switches[1] + task.switches[1],
                )
            voluntary += task.switches[0]
            involuntary += task.switches[1]
        return voluntary, involuntary

    def _follow_threads(self) -> None:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{self.pid}/task"):
                if name not in self._tasks:
                    with contextlib.suppress(OSError):
                        self._tasks[name] = _Task(self.pid, name)

    def _count_descriptors(self, deep: bool) -> None:
        folder = f"/proc/{self.pid}/fd"
        try:
            # Since Linux 6.2 the folder's size is the number of descriptors, before that 0.
            count = os.stat(folder).st_size
            if count and count == self._descriptors and not deep:
                return
            names = os.listdir(folder)
        except OSError:
            self._descriptors = self._sockets = None
            return
        sockets = 0
        for name in names:
            with contextlib.suppress(OSError):
                sockets += os.readlink(f"{folder}/{name}").startswith("socket:")
        self._descriptors, self._sockets = len(names), sockets

    def _memory(self) -> procfs.Memory | None:
        # Opened anew each time: an open smaps_rollup keeps the memory map of before an exec.
        try:
            descriptor = os.open(f"/proc/{self.pid}/smaps_rollup", _READ)
        except OSError:
            return None
        try:
            return procfs.parse_rollup(os.read(descriptor, 4096))
        except (OSError, ValueError):
            return None
        finally:
            os.close(descriptor)


class _Task:
    """One thread's `status`, and the switches it had when last read."""

    def __init__(self, pid: int, name: str) -> None:
        self._status = os.open(f"/proc/{pid}/task/{name}/status", _READ)
        self.switches = (0, 0)

    def read(self) -> bool:
        try:
            self.switches = procfs.parse_switches(os.pread(self._status, 8192, 0))
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        os.close(self._status)
