"""Carries out cycles: every lane connects, holds and leaves at the planned times.

What a cycle could not do is told in its event and stops no other. A cycle that begins late though
its lane was free is late by the lab's own fault (`late_ms`); one that has to wait because the
router has not done with the lane's cycle before is not (`waited_ms`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from screamlab.agent.context import WorkerContext
from screamlab.errors import ScreamlabError
from screamlab.load.churn.model import Cycle

_LOOK_S = 0.1
_FAILURES = (ScreamlabError, OSError)


class CycleFailed(ScreamlabError):
    """What a cycle asked for did not come about; one clear sentence."""


@dataclass(frozen=True)
class Took:
    """How long connecting or leaving took, and further figures for the cycle's event."""

    ms: float
    figures: Mapping[str, Any] = field(default_factory=dict)


class Session(Protocol):
    """One cycle's connection. A failure is a `ScreamlabError` or an `OSError`."""

    async def open(self) -> Took:
        """Connect, and see that the connection does what it is for."""

    async def close(self) -> Took:
        """Leave, and see that nothing is left; also after an `open` that failed."""


Connect = Callable[[Cycle], Session]


class Driver:
    """The cycles of one group on one host, each lane's one after the other."""

    def __init__(
        self, group: str, cycles: Sequence[Cycle], connect: Connect, context: WorkerContext
    ) -> None:
        self._group = group
        self._connect = connect
        self._context = context
        self._lanes: dict[int, list[Cycle]] = {}
        for cycle in sorted(cycles, key=lambda cycle: cycle.from_s):
            self._lanes.setdefault(cycle.lane, []).append(cycle)

    async def run(self) -> None:
        """Carry all out; returns early, with everything closed, when told to stop."""
        await asyncio.gather(*(self._lane(cycles) for cycles in self._lanes.values()))

    async def _lane(self, cycles: Sequence[Cycle]) -> None:
        free_s = float("-inf")
        for cycle in cycles:
            if not await self._sleep_until(cycle.from_s):
                return
            began_s = self._context.now_s()
            told: dict[str, Any] = {
                "number": cycle.number,
                "lane": cycle.lane,
                "late_ms": _ms(began_s - max(cycle.from_s, free_s)),
            }
            if free_s > cycle.from_s:
                told["waited_ms"] = _ms(free_s - cycle.from_s)
            if free_s >= cycle.to_s:
                told["error"] = "not begun: the lane's cycle before was not over in time"
            elif not await self._cycle(cycle, told):
                return
            t = self._context.zero + began_s
            ok = "error" not in told
            subject = churn_subject(self._group)
            self._context.spool.event("churn.cycle", subject, t=t, ok=ok, **told)
            free_s = self._context.now_s()

    async def _cycle(self, cycle: Cycle, told: dict[str, Any]) -> bool:
        """Connect, hold, leave; False when told to stop in the middle of it."""
        session = self._connect(cycle)
        try:
            connected = await session.open()
            told.update(connected.figures, connect_ms=round(connected.ms, 3))
        except _FAILURES as error:
            told["error"] = str(error)
            with contextlib.suppress(*_FAILURES):
                await session.close()
            return not self._context.stopping.is_set()
        goes_on = await self._sleep_until(cycle.to_s)
        try:
            left = await session.close()
            told.update(left.figures, disconnect_ms=round(left.ms, 3))
        except _FAILURES as error:
            told["error"] = str(error)
        return goes_on

    async def _sleep_until(self, at_s: float) -> bool:
        """Wait until `at_s` on the plan's clock; False when told to stop before that."""
        while (left_s := at_s - self._context.now_s()) > 0:
            if self._context.stopping.is_set():
                return False
            await asyncio.sleep(min(left_s, _LOOK_S))
        return not self._context.stopping.is_set()


def churn_subject(group: str) -> str:
    """The subject of a churn group's events."""
    return f"churn/{group}"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
