"""Listeners in Chromium: one tab each, on a light page of the router's own origin."""

from __future__ import annotations

import asyncio
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.load.pacing import ahead_of_others
from screamlab.load.webrtc import whep
from screamlab.load.webrtc.attend import attend, check, sink_of
from screamlab.load.webrtc.browser import Browser, script
from screamlab.load.webrtc.ear import PlayedEar
from screamlab.load.webrtc.session import Session, Sound
from screamlab.load.webrtc.tab_session import LIGHT_PAGE, TabSession
from screamlab.scenario.plan import ReceiverStream


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` at ``spec["router"]``, in a tab of its own.

    Raises `BadInput` for a stream that is not WebRTC, `InfraError` when there is no browser.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    check(streams, "chromium")
    ahead_of_others()
    asyncio.run(_listen(spec["router"], streams, context))


async def _listen(router: str, streams: list[ReceiverStream], context: WorkerContext) -> None:
    async with Browser(router) as browser:

        def make(stream: ReceiverStream, sound: Sound) -> Session:
            address, buffer_ms = stream.local.address, stream.playout_ms
            return ChromiumSession(browser, sink_of(stream), address, sound, buffer_ms)

        await attend(streams, make, PlayedEar, context)


class ChromiumSession(TabSession):
    """A listener in a tab of its own; what it plays goes to `sound`.

    `buffer_ms` is what its jitter buffer aims at
    (RTCRtpReceiver.jitterBufferTarget).
    """

    def __init__(
        self, browser: Browser, sink: str, address: str, sound: Sound, buffer_ms: float = 100.0
    ) -> None:
        super().__init__(browser, sink, address)
        self._sound = sound
        self._buffer_ms = buffer_ms

    async def prepare(self) -> None:
        """Open the tab."""
        if self._tab is not None and not self._tab.gone:
            return
        tab = await self._browser.tab(self._whep.address)
        try:
            await tab.open(LIGHT_PAGE)
            await tab.tap(self._sound, self._told)
            await tab.run(script("listener.js"), self._options())
        except InfraError:
            await tab.close()
            raise
        self._tab = tab

    async def open(self) -> float:
        """See `Session.open`."""
        await self.prepare()
        assert self._tab is not None
        self._lost = None
        self._figures = {}
        try:
            opened = await self._tab.run("() => window.screamlabListener.open()")
        except InfraError as error:
            self._location = None
            said = str(error)
            raise InfraError(await asyncio.to_thread(self._whep.refusal, said)) from None
        return float(opened)

    async def close(self) -> None:
        """See `Session.close`; for a tab that cannot leave, we do."""
        if self._tab is None or self._location is None:
            return
        location, self._location = self._location, None
        try:
            await self._tab.run("() => window.screamlabListener.close()")
        except InfraError:
            await asyncio.to_thread(self._whep.leave, location)

    def _options(self) -> dict[str, Any]:
        return {
            "path": self._whep.path,
            "heartbeat_ms": whep.HEARTBEAT_S * 1000,
            "connect_ms": whep.CONNECT_S * 1000,
            "poll_ms": whep.POLL_S * 1000,
            "buffer_ms": self._buffer_ms,
        }

    def _told(self, message: dict[str, Any]) -> None:
        self._location = message.get("location", self._location)
        super()._told(message)
