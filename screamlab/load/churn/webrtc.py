"""Listeners by WHEP that come and go: offer, connection, first sound, heartbeats, DELETE.

A cycle has connected when it hears sound, and has left when the router counts it no longer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from screamlab.agent.context import WorkerContext
from screamlab.load.churn.driver import CycleFailed, Driver, Took
from screamlab.load.churn.model import Cycle, WebrtcChurn, WebrtcLane, read_spec
from screamlab.load.churn.sink_ear import AUDIBLE
from screamlab.load.webrtc.light import LightSession, require
from screamlab.router.client import Json, RouterClient
from screamlab.router.topology import PREFIX

POLL_S = 0.1


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Carry out a `WebrtcChurn`. Raises `InfraError` when aiortc is not there."""
    churn = read_spec(WebrtcChurn, spec)
    require()
    lanes = {lane.number: lane for lane in churn.lanes}

    def connect(cycle: Cycle) -> _Session:
        return _Session(lanes[cycle.lane], churn)

    asyncio.run(Driver(churn.group, churn.cycles, connect, context).run())
    context.sleep_until(context.to_s)


class FirstSound:
    """Knows when a listener's first sound came: `at`, in unix seconds."""

    def __init__(self) -> None:
        self.at: float | None = None

    def take(self, pcm: bytes, arrival: float, timestamp: int = 0) -> None:
        """See `screamlab.load.webrtc.session.Sound`."""
        if self.at is None and pcm:
            samples = np.frombuffer(pcm, "<i2")
            if int(samples.max()) - int(samples.min()) > AUDIBLE:
                self.at = arrival


class _Listener(LightSession):
    """A listener whose name in the router is known; None while there is none."""

    @property
    def listener(self) -> str | None:
        return self._location.rpartition("/")[2] if self._location else None


class _Session:
    def __init__(self, lane: WebrtcLane, churn: WebrtcChurn) -> None:
        self._sink = PREFIX + lane.sink
        self._router = churn.router
        self._limit_s = churn.limit_s
        self._sound = FirstSound()
        self._session = _Listener(
            churn.router, self._sink, lane.address, self._sound, limit_s=churn.limit_s
        )

    async def open(self) -> Took:
        """From the offer to the first sound; `ice_ms` is until the connection stood."""
        began = time.time()
        try:
            async with asyncio.timeout(self._limit_s):
                ice_ms = await self._session.open()
                while self._sound.at is None:
                    if self._session.lost:
                        raise CycleFailed(f"the connection was lost: {self._session.lost}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise CycleFailed(f"no sound within {self._limit_s:g} s of the offer") from None
        figures = {"ice_ms": round(ice_ms, 3)}
        return Took((self._sound.at - began) * 1000, figures)

    async def close(self) -> Took:
        """From DELETE until the router counts the listener no longer."""
        lost, listener = self._session.lost, self._session.listener
        began = time.monotonic()
        await self._session.close()
        delete_ms = (time.monotonic() - began) * 1000
        if listener is not None:
            await asyncio.to_thread(self._wait_until_gone, listener)
        if lost:
            raise CycleFailed(f"the connection was lost: {lost}")
        return Took((time.monotonic() - began) * 1000, {"delete_ms": round(delete_ms, 3)})

    def _wait_until_gone(self, listener: str) -> None:
        deadline = time.monotonic() + self._limit_s
        with RouterClient(self._router, timeout_s=self._limit_s) as client:
            while listener in listeners(client.stats(), self._sink):
                if time.monotonic() > deadline:
                    raise CycleFailed(
                        f"the router still counts the listener {self._limit_s:g} s after it left"
                    )
                time.sleep(POLL_S)


def listeners(stats: Json, sink: str) -> list[str]:
    """The listeners by WebRTC that the engine counts at a sink, by their names in the router."""
    return [
        str(one.get("listener_id"))
        for counted in stats["sink_stats"]
        if counted["sink_id"] == sink
        for one in counted.get("webrtc_listeners", ())
    ]
