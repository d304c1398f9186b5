"""Sending on time: every stream's packets leave on a grid fixed to the plan's clock.

The plan's zero (unix time) is mapped onto the monotonic clock once. A packet that carries signal
samples n … is due at ``zero + n / 48000``. What leaves late is sent late and said so; the grid
never shifts.
"""

from __future__ import annotations

import ctypes
import gc
import heapq
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from screamlab.agent.context import WorkerContext

RATE_HZ = 48000
OVERRUN_MS = 5.0
"""A packet this late counts as an overrun of the sender."""

SKIP_S = 1.0
"""Packets later than this are not sent at all: they would only be a burst."""

_SLOTS = 6
_START_LEAD_S = 0.25
_LONGEST_NAP_NS = 100_000_000
_PR_SET_TIMERSLACK = 29
_NICE = -10


class TrackEnded(Exception):
    """The stream behind a track cannot go on; the message says why."""


@dataclass
class Track:
    """One stream on the grid: packets of `step` samples from `first` up to `end` (plan samples).

    `emit(n)` sends the packet that starts at sample n and returns the bytes that left, 0 when
    the packet could not be sent. `end_of_track(reason)` is called once, reason None at its end.
    """

    name: str
    first: int
    end: int
    step: int
    emit: Callable[[int], int]
    end_of_track: Callable[[str | None], None]
    packets: int = 0
    bytes: int = 0
    errors_ns: list[int] = field(default_factory=list)
    report_at: int = 0


def grid(
    windows: Sequence[tuple[float, float]], step: int, seed: int, now_s: float
) -> list[tuple[int, int]]:
    """First and end sample of each stream, spread evenly over the packet interval.

    `windows` are (from_s, to_s) of each stream; none begins before `now_s` and the moment it takes
    to get going, so that a worker that comes late does not begin with a burst. `seed` shifts the
    whole worker, so that many workers do not send in step.
    """
    slots = min(len(windows), _SLOTS)
    samples = []
    for index, (from_s, to_s) in enumerate(windows):
        offset = (seed + (index % slots) * step // slots) % step
        begin = round(max(from_s, now_s + _START_LEAD_S) * RATE_HZ)
        samples.append((begin + (offset - begin) % step, round(to_s * RATE_HZ)))
    return samples


class Pacer:
    """Runs tracks until the last has ended or the worker is told to stop."""

    def __init__(self, context: WorkerContext, tracks: Sequence[Track]) -> None:
        self._context = context
        self._tracks = list(tracks)
        # Taken back to back, so that the two clocks disagree by microseconds at most.
        self._origin_ns = time.monotonic_ns() - time.time_ns() + round(context.zero * 1e9)
        self._late_packets = 0
        self._late_max_ns = 0
        self._late_reported = 0
        self._skipped = 0

    def run(self) -> None:
        """Send everything on time; returns when done."""
        heap = []
        for index, track in enumerate(self._tracks):
            track.report_at = track.first + RATE_HZ * (index + 1) // len(self._tracks)
            if track.first < track.end:
                heap.append((track.first, index))
            else:
                track.end_of_track(None)
        heapq.heapify(heap)
        with steady() as granted:
            self._context.spool.event("sender.scheduling", self._context.name, granted=granted)
            self._loop(heap)
        for _, index in heap:
            self._finish(self._tracks[index], None)
        self._report_overrun()

    def _loop(self, heap: list[tuple[int, int]]) -> None:
        stopping = self._context.stopping
        tracks, origin_ns = self._tracks, self._origin_ns
        now_ns, sleep = time.monotonic_ns, time.sleep
        while heap:
            sample, index = heap[0]
            due_ns = origin_ns + sample * 125_000 // 6
            late_ns = now_ns() - due_ns
            if stopping.is_set():
                return
            if late_ns < 0:
                sleep(min(-late_ns, _LONGEST_NAP_NS) / 1e9)
                continue
            track = tracks[index]
            try:
                following = self._send(track, sample, late_ns)
            except TrackEnded as ended:
                heapq.heappop(heap)
                self._finish(track, str(ended))
                continue
            if following < track.end:
                heapq.heapreplace(heap, (following, index))
            else:
                heapq.heappop(heap)
                self._finish(track, None)

    def _send(self, track: Track, sample: int, late_ns: int) -> int:
        if late_ns > OVERRUN_MS * 1e6:
            self._late_packets += 1
            self._late_max_ns = max(self._late_max_ns, late_ns)
            if late_ns > SKIP_S * 1e9:
                left = -(-(track.end - sample) // track.step)
                missed = min(left, late_ns * 6 // 125_000 // track.step)
                self._skipped += missed
                return sample + missed * track.step
        sent = track.emit(sample)
        if sent:
            track.packets += 1
            track.bytes += sent
        track.errors_ns.append(late_ns)
        if sample >= track.report_at:
            track.report_at += RATE_HZ * ((sample - track.report_at) // RATE_HZ + 1)
            self._report(track)
        return sample + track.step

    def _report(self, track: Track) -> None:
        values: dict[str, float] = {"packets": track.packets, "bytes": track.bytes}
        if track.errors_ns:
            errors = sorted(track.errors_ns)
            track.errors_ns.clear()
            values["pacing_p50_ms"] = percentile_ms(errors, 50)
            values["pacing_p99_ms"] = percentile_ms(errors, 99)
            values["pacing_max_ms"] = percentile_ms(errors, 100)
        self._context.spool.series(f"sender/{track.name}", values)
        now_s = time.monotonic_ns() // 1_000_000_000
        if self._late_packets and now_s != self._late_reported:
            self._late_reported = now_s
            self._report_overrun()

    def _report_overrun(self) -> None:
        if not self._late_packets:
            return
        self._context.spool.event(
            "sender.overrun",
            self._context.name,
            late_ms=round(self._late_max_ns / 1e6, 3),
            packets=self._late_packets,
            skipped=self._skipped,
        )
        self._late_packets = self._late_max_ns = self._skipped = 0

    def _finish(self, track: Track, reason: str | None) -> None:
        if track.packets:
            self._report(track)
        track.end_of_track(reason)


def percentile_ms(ordered_ns: Sequence[int], percent: int) -> float:
    """The nearest-rank percentile of sorted nanoseconds, in milliseconds."""
    rank = max(1, -(-len(ordered_ns) * percent // 100))
    return round(ordered_ns[rank - 1] / 1e6, 4)


@contextmanager
def steady() -> Iterator[str]:
    """Make this process punctual while it lasts: no garbage collection, first in the queue.

    Yields what the kernel granted: ``fifo`` (SCHED_FIFO), ``nice`` (nice -10) or ``normal``; the
    last is what an unprivileged process gets. Timer slack goes to the minimum in any case.
    """
    gc.freeze()
    gc.disable()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    granted = _ask_for_priority()
    try:
        yield granted
    finally:
        if granted == "fifo":
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        gc.enable()
        gc.unfreeze()


def ahead_of_others() -> str:
    """Ask for nice -10 for this process and its children to come; `nice` or `normal`."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        return "nice"
    except OSError:
        return "normal"


def _ask_for_priority() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        return "fifo"
    except OSError:
        return ahead_of_others()
