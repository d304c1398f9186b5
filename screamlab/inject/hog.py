"""A processor that a host's real-time threads do not get: sched(7)."""

from __future__ import annotations

import os
import time
from typing import Literal

from pydantic import Field

from screamlab.agent import processors
from screamlab.agent.context import WorkerContext
from screamlab.inject.fault import Fault, Place


class Hog(Fault):
    """One processor of a host is taken from all else there for `busy_ms` of every `every_ms`.

    It ends with its process, so there is nothing to undo.
    """

    kind: Literal["hog"]
    busy_ms: float = Field(gt=0)
    every_ms: float = Field(gt=0)

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        processors.take(min(os.sched_getaffinity(0)))
        try:
            self._take_turns(context)
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def _take_turns(self, context: WorkerContext) -> None:
        begin_s = context.now_s()
        while begin_s < context.to_s and context.sleep_until(begin_s):
            until_s = time.monotonic() + self.busy_ms / 1e3
            while time.monotonic() < until_s:
                pass
            begin_s += self.every_ms / 1e3

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
