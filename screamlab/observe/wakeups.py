"""Worker of the agent: how late a host's processors run what is to run at once (cf. cyclictest(8)).

One thread for each processor, bound to it and before everything else there (SCHED_FIFO at the
highest priority, sched(7)), sleeps up to the next tick of a grid and sees how late it is. What
keeps it from running keeps an audio router's real-time threads from it too: a hypervisor, a kernel,
or the limit that a control group has for them (kernel documentation, scheduler/sched-rt-group).

Spec: `{"interval_s": 1.0}`. Series: `processor/<number>` (`wakeup_late_max_ms` of the interval).
Events: `processor.late{late_ms}` for every wake-up later than `LATE_MS`, at the time it came, and
`processor.refused{error}` where there is to be no such thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from screamlab.agent import processors
from screamlab.agent.context import WorkerContext

TICK_S = 0.02
LATE_MS = 10.0
"""So late is what a router's buffers do not hide any more: its blocks are of 24 ms."""


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Watch all processors for the worker's window."""
    watched = [Processor(number) for number in sorted(os.sched_getaffinity(0))]
    over = threading.Event()
    threads = [threading.Thread(target=each.watch, args=(over,)) for each in watched]
    for thread in threads:
        thread.start()
    try:
        for _ in context.every(float(spec.get("interval_s", 1.0))):
            for processor in watched:
                processor.tell(context)
    finally:
        over.set()
        for thread in threads:
            thread.join()


@dataclass
class Processor:
    """One processor, and how late each tick on it was that is not told yet."""

    number: int
    refused: str = ""
    _ticks: deque[tuple[float, float]] = field(default_factory=deque)

    def watch(self, over: threading.Event) -> None:
        """Measure in the calling thread until it is over."""
        try:
            processors.take(self.number)
        except OSError as error:
            self.refused = str(error.strerror)
            return
        due_s = time.monotonic()
        while not over.is_set():
            due_s += TICK_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = time.monotonic() - due_s
            self._ticks.append((time.time(), 1e3 * late_s))
            # What came late is not made up for.
            due_s += max(0.0, late_s)

    def tell(self, context: WorkerContext) -> None:
        """Write down what was seen since the last time."""
        subject = f"processor/{self.number}"
        if self.refused:
            context.spool.event("processor.refused", subject, error=self.refused)
            self.refused = ""
        worst_ms = None
        while self._ticks:
            t, late_ms = self._ticks.popleft()
            worst_ms = max(late_ms, worst_ms or 0.0)
            if late_ms > LATE_MS:
                context.spool.event("processor.late", subject, t=t, late_ms=round(late_ms, 3))
        if worst_ms is not None:
            context.spool.series(subject, {"wakeup_late_max_ms": round(worst_ms, 3)})
