"""Processes that are killed, crash, stand still, or run by fits and starts: signal(7)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.inject.fault import Fault, Place
from screamlab.observe.workers import worker_pids
from screamlab.router.service import SystemdService


class Signal(Fault):
    """A signal to the main process of a unit, to a worker of the agent, or to a worker's programs.

    What is stopped goes on when the time is over; with `stopped_ms` it goes on after so long, for
    `running_ms`, and is stopped again.
    """

    kind: Literal["signal"]
    signal: Literal["SEGV", "KILL", "STOP"]
    unit: str | None = None
    worker: str | None = None
    program: str | None = Field(default=None, description="name of the worker's programs")
    stopped_ms: float | None = Field(default=None, gt=0)
    running_ms: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Signal:
        if (self.unit is None) == (self.worker is None):
            raise ValueError("give one of unit and worker")
        if self.program and not self.worker:
            raise ValueError("a program is one of a worker's")
        if (self.stopped_ms is None) != (self.running_ms is None):
            raise ValueError("stopped_ms and running_ms go together")
        if self.stopped_ms and self.signal != "STOP":
            raise ValueError(f"stopped_ms has no meaning with {self.signal}")
        return self

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        pids = self._pids(place)
        if not pids:
            raise InfraError(f"fault {self.name}: there is no such process")
        stopped_s = (self.stopped_ms or 1e3 * self.for_seconds) / 1e3
        while context.now_s() < context.to_s:
            _send(pids, signal.Signals[f"SIG{self.signal}"])
            if not _pause(context, stopped_s) or self.running_ms is None:
                return
            _send(pids, signal.SIGCONT)
            if not _pause(context, self.running_ms / 1e3):
                return

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
        if self.signal == "STOP":
            _send(self._pids(place), signal.SIGCONT)

    def _pids(self, place: Place) -> list[int]:
        main = SystemdService(self.unit or place.agent).pid()
        if self.worker is None or main is None:
            return [main] if main else []
        worker, *below = worker_pids(main, self.worker) or [0]
        if self.program is None:
            return [worker] if worker else []
        return [pid for pid in below if _name(pid) == self.program]


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    return ""


def _send(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)


def _pause(context: WorkerContext, seconds: float) -> bool:
    return context.sleep_until(min(context.to_s, context.now_s() + seconds))
