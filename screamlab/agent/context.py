"""What every worker of the agent is given."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from screamlab.evidence.spool import Spool


@dataclass
class WorkerContext:
    """A worker's clock, its spool, and the event that tells it to end early.

    `zero` is the plan's zero as unix seconds; `from_s` and `to_s` are the worker's own window on
    that clock; `directory` is the run's spool folder, for logs. A worker returns by itself at
    `to_s`, or soon after `stopping` is set.
    """

    name: str
    host: str
    zero: float
    from_s: float
    to_s: float
    spool: Spool
    directory: Path
    stopping: threading.Event = field(default_factory=threading.Event)

    def now_s(self) -> float:
        """Seconds on the plan's clock."""
        return time.time() - self.zero

    def sleep_until(self, at_s: float) -> bool:
        """Wait until `at_s` on the plan's clock; False when told to stop before that."""
        return not self.stopping.wait(max(0.0, at_s - self.now_s()))

    def every(self, interval_s: float) -> Iterator[None]:
        """Come back at every multiple of `interval_s` in the window, and last until its end.

        Moments that are over by then are left out.
        """
        at_s = self.from_s
        while at_s < self.to_s and self.sleep_until(at_s):
            yield
            at_s += interval_s
            at_s += max(0.0, (self.now_s() - at_s) // interval_s + 1) * interval_s
        self.sleep_until(self.to_s)
