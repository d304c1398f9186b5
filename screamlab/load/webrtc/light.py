"""Listeners by aiortc, in one process and without a browser: for large counts and for churn.

aiortc has no player, and its jitter buffer (16 packets, 40 ms of the router's 2.5 ms ones) conceals
nothing and hands every packet to a thread. Our own player stands in for it, which took 10 % of a
core per listener where aiortc's took 17 %; a session nobody listens to decodes nothing (6 %).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.load.pacing import ahead_of_others
from screamlab.load.webrtc import opus, whep
from screamlab.load.webrtc.attend import attend, check, sink_of
from screamlab.load.webrtc.ear import PacketEar
from screamlab.load.webrtc.session import Session, Sound
from screamlab.router.client import RouterError
from screamlab.scenario.plan import ReceiverStream

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

OVERRUN_MS = 40.0
"""A process that looks away this long is late itself, and cannot tell who else was."""

_BUFFER = "_RTCRtpReceiver__jitter_buffer"


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` at ``spec["router"]``.

    Raises `BadInput` for a stream that is not WebRTC, `InfraError` when aiortc is not there.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    check(streams, "aiortc")
    require()
    ahead_of_others()

    def make(stream: ReceiverStream, ear: PacketEar) -> Session:
        return LightSession(spec["router"], sink_of(stream), stream.local.address, ear)

    asyncio.run(attend(streams, make, PacketEar, context, overrun_ms=OVERRUN_MS))


def require() -> None:
    """`InfraError` when aiortc is not installed."""
    try:
        import aiortc  # noqa: F401
    except ImportError:
        raise InfraError("the Python package aiortc is not installed on this host") from None


class _Inlet:
    """Stands where aiortc has its jitter buffer, and lets nothing through to its decoder."""

    def __init__(self, sound: Sound | None) -> None:
        self._sound = sound
        self._sequencer: opus.Sequencer[tuple[Any, float]] = opus.Sequencer()
        self._decoder = opus.Decoder()

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take a packet of aiortc's."""
        if self._sound is not None:
            for due, arrival in self._sequencer.push(packet.sequence_number, (packet, time.time())):
                if pcm := self._decoder.decode(due.payload):
                    self._sound.take(pcm, arrival, due.timestamp)
        return False, None


class LightSession(Session):
    """A listener without a browser; what it decodes goes to `sound`, if to anybody.

    `sink` is its name in the router. A router that is slow may be given more time, as `limit_s`. Of
    figures, aiortc knows packets, losses, and bytes with all that goes over the connection.
    """

    def __init__(
        self,
        router: str,
        sink: str,
        address: str,
        sound: Sound | None = None,
        *,
        limit_s: float = 0.0,
    ) -> None:
        super().__init__()
        self._whep = whep.Whep(router, sink, address, max(whep.TIMEOUT_S, limit_s))
        self._connect_s = max(whep.CONNECT_S, limit_s)
        self._sound = sound
        self._peer: RTCPeerConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def open(self) -> float:
        """See `Session.open`."""
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        self._lost = None
        self._figures = {}
        self._connected.clear()
        # Without this it asks a STUN server on the Internet, and waits for it.
        peer = self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.on("iceconnectionstatechange", self._changed)
        peer.on("connectionstatechange", self._changed)
        receiver = peer.addTransceiver("audio", direction="recvonly").receiver
        if not hasattr(receiver, _BUFFER):
            raise InfraError("this version of aiortc is not the one that screamlab knows")
        setattr(receiver, _BUFFER, _Inlet(self._sound))
        # aiortc gathers its candidates before it has an offer, and sends them in it.
        await peer.setLocalDescription(await peer.createOffer())
        began = time.monotonic()
        try:
            answer = await asyncio.to_thread(self._whep.offer, peer.localDescription.sdp)
            self._location = answer.location
            await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
            await asyncio.wait_for(self._connect(peer, answer.location), self._connect_s)
        except TimeoutError:
            state = peer.iceConnectionState
            await self.end()
            raise InfraError(
                f"no connection within {self._connect_s:g} s, ICE is {state}"
            ) from None
        except RouterError:
            await self.end()
            raise
        took = (time.monotonic() - began) * 1000
        self._start(self._beat(answer.location))
        self._start(self._watch(peer))
        return took

    async def close(self) -> None:
        """See `Session.close`."""
        peer, self._peer = self._peer, None
        location, self._location = self._location, None
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        if peer is not None:
            await peer.close()
        if location is not None:
            await asyncio.to_thread(self._whep.leave, location)

    def _start(self, task: Any) -> None:
        self._tasks.append(asyncio.create_task(task))

    def _changed(self) -> None:
        peer = self._peer
        if peer is None:
            return
        if peer.iceConnectionState in ("connected", "completed"):
            self._connected.set()
        if peer.connectionState in ("failed", "closed"):
            self._lost = self._lost or f"the connection is {peer.connectionState}"

    async def _connect(self, peer: RTCPeerConnection, location: str) -> None:
        from aiortc.sdp import candidate_from_sdp

        while not self._connected.is_set():
            for one in await asyncio.to_thread(self._whep.candidates, location):
                candidate = candidate_from_sdp(one.candidate.removeprefix("candidate:"))
                candidate.sdpMid = one.media
                await peer.addIceCandidate(candidate)
            try:
                await asyncio.wait_for(self._connected.wait(), whep.POLL_S)
            except TimeoutError:
                continue

    async def _beat(self, location: str) -> None:
        while True:
            await asyncio.sleep(whep.HEARTBEAT_S)
            try:
                await asyncio.to_thread(self._whep.beat, location)
            except RouterError as error:
                self._lost = self._lost or str(error)
                return

    async def _watch(self, peer: RTCPeerConnection) -> None:
        while True:
            await asyncio.sleep(1.0)
            found = {}
            for report in (await peer.getStats()).values():
                if report.type == "inbound-rtp":
                    found["packets"] = report.packetsReceived
                    found["lost"] = report.packetsLost
                elif report.type == "transport":
                    found["bytes"] = report.bytesReceived
            self._figures = found
