"""A watched group of processes, such as a systemd unit, summed into one set of figures.

Counters never run backwards: what a member had used when it was last seen stays in the sum after
it ends. What it used between then and its end is lost, at most one interval's worth.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from operator import add

from screamlab.observe.process import TICKS_PER_S, Counters, Process, Usage


class Group:
    """The processes of one watched thing, by number; they may come and go between samples."""

    def __init__(self) -> None:
        self._members: dict[int, Process] = {}
        self._last: dict[int, Usage] = {}
        self._ended = Counters()
        self._before: tuple[float, int] | None = None

    def sample(self, pids: Iterable[int], *, deep: bool) -> dict[str, float]:
        """One sample of all living `pids`, metric to value.

        `cpu_percent` (of one processor) needs a sample before it, so the first has none.
        """
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        usages = self._read(pids, deep)
        totals = Counters(*map(sum, zip(self._ended, *(u.counters for u in usages), strict=True)))
        values: dict[str, float] = {
            "processes": len(usages),
            "minor_faults": totals.minor_faults,
            "major_faults": totals.major_faults,
            "voluntary_switches": totals.voluntary_switches,
            "involuntary_switches": totals.involuntary_switches,
        }
        if self._before is not None and now_s > self._before[0]:
            used_s = (totals.cpu_ticks - self._before[1]) / TICKS_PER_S
            values["cpu_percent"] = round(100 * used_s / (now_s - self._before[0]), 3)
        self._before = (now_s, totals.cpu_ticks)
        _add_held(values, usages)
        return values

    @property
    def alive(self) -> frozenset[int]:
        """The numbers of the processes seen alive in the last sample."""
        return frozenset(self._members)

    def close(self) -> None:
        """Let go of all members."""
        for process in self._members.values():
            process.close()
        self._members.clear()

    def _read(self, pids: Iterable[int], deep: bool) -> list[Usage]:
        listed = set(pids)
        for pid in self._members.keys() - listed:
            self._retire(pid)
        for pid in listed:
            if not self._read_member(pid, deep) and pid in self._members:
                self._retire(pid)
                self._read_member(pid, deep)  # the number may have been given away again
        return list(self._last.values())

    def _read_member(self, pid: int, deep: bool) -> bool:
        try:
            process = self._members.get(pid) or Process(pid)
        except OSError:
            return False
        usage = process.read(deep=deep)
        if usage is None:
            if pid not in self._members:
                process.close()
            return False
        if pid not in self._members:
            self._join(usage)
        self._members[pid] = process
        self._last[pid] = usage
        return True

    def _join(self, usage: Usage) -> None:
        """A process older than the sample before has its processor time left out up to now."""
        if self._before is None or usage.start_s < self._before[0] - 1 / TICKS_PER_S:
            left_out = self._ended.cpu_ticks - usage.counters.cpu_ticks
            self._ended = self._ended._replace(cpu_ticks=left_out)

    def _retire(self, pid: int) -> None:
        self._members.pop(pid).close()
        last = self._last.pop(pid).counters
        self._ended = Counters(*map(add, self._ended, last))


def _add_held(values: dict[str, float], usages: list[Usage]) -> None:
    """What the living hold now; a figure that could not be read of one is left out for all."""
    if not usages:
        return
    values["threads"] = sum([usage.threads for usage in usages])
    values["rss_bytes"] = sum([usage.rss_bytes for usage in usages])
    descriptors = [usage.descriptors for usage in usages if usage.descriptors is not None]
    sockets = [usage.sockets for usage in usages if usage.sockets is not None]
    if len(descriptors) == len(usages):
        values["descriptors"] = sum(descriptors)
        values["sockets"] = sum(sockets)
    memories = [usage.memory for usage in usages if usage.memory is not None]
    if len(memories) == len(usages):
        values["uss_bytes"] = sum([memory.uss_bytes for memory in memories])
        values["pss_bytes"] = sum([memory.pss_bytes for memory in memories])
