"""Changes of the router's configuration: sources, sinks and routes that come and go by its API.

A cycle adds a source, a sink, and the routes to it; it has connected when the engine runs the sink
with all of them. It removes them in reverse order, and has left when the engine runs the sink no
longer. With `live` sound flows through what is changed, as it does at a user's.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load.churn.driver import CycleFailed, Driver, Took
from screamlab.load.churn.model import ConfigChurn, ConfigLane, Cycle, read_spec
from screamlab.load.churn.sink_ear import SinkEar
from screamlab.router.client import Json, Kind, RouterClient, RouterError, RouterTimeout
from screamlab.router.topology import PREFIX, Route, Sink, Source

POLL_S = 0.1
"""How often the engine is asked whether it has come round to a change."""


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Carry out a `ConfigChurn`. A lane whose port is taken is ``worker.failed``; others go on."""
    asyncio.run(_run(read_spec(ConfigChurn, spec), context))
    context.sleep_until(context.to_s)


async def _run(churn: ConfigChurn, context: WorkerContext) -> None:
    lanes = {lane.number: opened for lane in churn.lanes if (opened := _open(lane, churn, context))}
    cycles = [cycle for cycle in churn.cycles if cycle.lane in lanes]

    def connect(cycle: Cycle) -> _Session:
        return lanes[cycle.lane].session(churn.limit_s)

    try:
        await Driver(churn.group, cycles, connect, context).run()
    finally:
        for lane in lanes.values():
            lane.close()


class _Lane:
    """What a lane adds, in order, and the connection it does so on."""

    def __init__(self, lane: ConfigLane, churn: ConfigChurn) -> None:
        self.name = f"churn-{churn.group}-{lane.number:02d}"
        self.client = RouterClient(churn.router, timeout_s=churn.limit_s)
        # Somebody has to take what the sink sends, or the router is told that nobody is there.
        self.ear = SinkEar(lane.sink)
        sources = [self.name, *([lane.live] if lane.live else [])]
        source = Source(name=self.name, address=lane.source)
        sink = Sink(name=self.name, protocol="rtp", address=lane.sink.address, port=lane.sink.port)
        routes = [Route(name=f"{s}-to-{self.name}", source=s, sink=self.name) for s in sources]
        self.inputs = len(routes)
        self.items: list[tuple[Kind, str, Json]] = [
            ("sources", source.name, source.fields()),
            ("sinks", sink.name, sink.fields()),
            *(("routes", route.name, route.fields()) for route in routes),
        ]

    def session(self, limit_s: float) -> _Session:
        """One cycle."""
        return _Session(self, limit_s)

    def close(self) -> None:
        """Let go of port and connection."""
        self.ear.close()
        self.client.close()


def _open(lane: ConfigLane, churn: ConfigChurn, context: WorkerContext) -> _Lane | None:
    try:
        return _Lane(lane, churn)
    except OSError as error:
        where = f"{lane.sink.address}:{lane.sink.port}"
        text = f"lane {lane.number} of {churn.group} cannot listen on {where}: {error.strerror}"
        context.spool.event("worker.failed", f"churn/{churn.group}", error=text)
        return None


class _Session:
    def __init__(self, lane: _Lane, limit_s: float) -> None:
        self._lane = lane
        self._limit_s = limit_s
        self._added: list[tuple[Kind, str]] = []

    async def open(self) -> Took:
        """Add all, and wait for the engine."""
        return await asyncio.to_thread(self._open)

    async def close(self) -> Took:
        """Remove what was added, and wait for the engine."""
        return await asyncio.to_thread(self._close)

    def _open(self) -> Took:
        began = time.monotonic()
        figures: dict[str, float] = {}
        client = self._lane.client
        for kind, name, fields in self._lane.items:
            own = PREFIX + name
            client.add(kind, {"name": own, "config_id": own, **fields})
            self._added.append((kind, own))
            _count(figures, f"add_{kind}_ms", client.last_latency_ms)
        figures["applied_ms"] = self._wait(self._lane.inputs, "does not run")
        return Took(_ms_since(began), figures)

    def _close(self) -> Took:
        began = time.monotonic()
        figures: dict[str, float] = {}
        client = self._lane.client
        first_error: RouterError | None = None
        while self._added:
            kind, own = self._added.pop()
            try:
                client.remove(kind, own)
                _count(figures, f"remove_{kind}_ms", client.last_latency_ms)
            except RouterError as error:
                first_error = first_error or error
                # A router that hangs would take as long for everything else.
                if isinstance(error, RouterTimeout):
                    break
        if first_error is not None:
            raise first_error
        figures["gone_ms"] = self._wait(None, "still runs")
        return Took(_ms_since(began), figures)

    def _wait(self, inputs: int | None, what: str) -> float:
        """Milliseconds until the engine runs the sink with `inputs`, None for not at all."""
        began, sink = time.monotonic(), PREFIX + self._lane.name
        while (runs := _inputs(self._lane.client.stats(), sink)) != inputs:
            if time.monotonic() - began > self._limit_s:
                state = "not at all" if runs is None else f"with {runs} inputs"
                raise CycleFailed(
                    f"after {self._limit_s:g} s the engine {what} the sink as configured: {state}"
                )
            time.sleep(POLL_S)
        return _ms_since(began)


def _inputs(stats: Json, sink: str) -> int | None:
    """How many inputs the engine runs a sink with; None when it does not run it."""
    running = {one["sink_id"]: int(one["total_input_streams"]) for one in stats["sink_stats"]}
    return running.get(sink)


def _count(figures: dict[str, float], name: str, ms: float) -> None:
    figures[name] = round(figures.get(name, 0.0) + ms, 3)


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 3)
