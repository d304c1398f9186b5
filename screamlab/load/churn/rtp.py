"""RTP streams that begin and end: each cycle is a sender of its own, heard at the lane's sink.

A cycle sends from its lane's address, from a new port and with a new SSRC (RFC 3550 section 8.1).
It has connected when the sink brings sound, and has left when the sink is silent again.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load import wire
from screamlab.load.churn.driver import CycleFailed, Driver, Took
from screamlab.load.churn.model import Cycle, RtpChurn, RtpLane, read_spec
from screamlab.load.churn.sink_ear import SILENT_S, SinkEar
from screamlab.load.native_sender import stagger_seed
from screamlab.load.pacing import Pacer, Track, grid
from screamlab.load.waveform import Waveform, waveform

_FRAMES = wire.PAYLOAD_BYTES // 4
_LOOK_S = 0.01


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Carry out an `RtpChurn`. A lane whose port is taken is ``worker.failed``; others go on."""
    churn = read_spec(RtpChurn, spec)
    asyncio.run(_run(churn, context))
    context.sleep_until(context.to_s)


async def _run(churn: RtpChurn, context: WorkerContext) -> None:
    lanes = {lane.number: opened for lane in churn.lanes if (opened := _open(lane, churn, context))}
    cycles = [cycle for cycle in churn.cycles if cycle.lane in lanes]
    windows = [(cycle.from_s, cycle.to_s) for cycle in cycles]
    samples = grid(windows, _FRAMES, stagger_seed(context), context.now_s())
    senders = {
        cycle.number: _Sender(lanes[cycle.lane], cycle, first, context)
        for cycle, (first, _) in zip(cycles, samples, strict=True)
    }
    tracks = [
        senders[cycle.number].track(churn.group, first, end)
        for cycle, (first, end) in zip(cycles, samples, strict=True)
    ]
    pacing = threading.Thread(target=_Quiet(context, tracks).run, name="pacing")
    pacing.start()

    def connect(cycle: Cycle) -> _Session:
        return _Session(senders[cycle.number], lanes[cycle.lane].ear, churn.limit_s)

    try:
        await Driver(churn.group, cycles, connect, context).run()
    finally:
        await asyncio.to_thread(pacing.join)
        for lane in lanes.values():
            lane.ear.close()


class _Quiet(Pacer):
    """Says when it is late and nothing else: cycles are too short for figures per second."""

    def _report(self, track: Track) -> None:
        track.errors_ns.clear()


class _Lane:
    def __init__(self, lane: RtpLane) -> None:
        self.lane = lane
        self.ear = SinkEar(lane.sink)
        self.audio: Waveform = waveform(
            lane.signal, channels=2, big_endian=True, packet_frames=_FRAMES
        )


def _open(lane: RtpLane, churn: RtpChurn, context: WorkerContext) -> _Lane | None:
    try:
        return _Lane(lane)
    except OSError as error:
        where = f"{lane.sink.address}:{lane.sink.port}"
        text = f"lane {lane.number} of {churn.group} cannot listen on {where}: {error.strerror}"
        context.spool.event("worker.failed", f"churn/{churn.group}", error=text)
        return None


class _Sender:
    """One cycle's sender; its packets leave by a pacer's clock."""

    def __init__(self, lane: _Lane, cycle: Cycle, first: int, context: WorkerContext) -> None:
        self._lane = lane
        self._cycle = cycle
        self._first = first
        # RFC 3550 section 5.1: all three begin at a random place.
        chance = random.Random(f"{context.name}/{cycle.number}/{context.zero}")
        self._ssrc = chance.getrandbits(32)
        self._sequence = chance.getrandbits(16)
        self._timestamp = chance.getrandbits(32)
        self._header = bytearray(wire.RTP_HEADER.size)
        self._socket: socket.socket | None = None
        self.first_at: float | None = None
        self.last_at = 0.0
        self.ended = False
        self.error = ""

    def track(self, group: str, first: int, end: int) -> Track:
        """This cycle's packets on the pacer's grid."""
        return Track(f"{group}-{self._cycle.number}", first, end, _FRAMES, self._emit, self._end)

    def _emit(self, sample: int) -> int:
        wire.RTP_HEADER.pack_into(
            self._header,
            0,
            wire.RTP_VERSION_2,
            wire.L16_PAYLOAD_TYPE,
            (self._sequence + (sample - self._first) // _FRAMES) & 0xFFFF,
            (self._timestamp + sample) & 0xFFFFFFFF,
            self._ssrc,
        )
        try:
            if self._socket is None:
                self._socket = _connected(self._lane.lane)
            now = time.time()
            sent = self._socket.sendmsg((self._header, self._lane.audio.packet(sample, _FRAMES)))
        except OSError as error:
            self.error = error.strerror or str(error)
            return 0
        self.last_at = now
        if self.first_at is None:
            self.first_at = now
        return sent

    def _end(self, _reason: str | None) -> None:
        if self._socket is not None:
            self._socket.close()
        self.ended = True


def _connected(lane: RtpLane) -> socket.socket:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        out.setblocking(False)
        out.bind((lane.local.address, lane.local.port))
        out.connect((lane.remote.address, lane.remote.port))
    except OSError:
        out.close()
        raise
    return out


class _Session:
    def __init__(self, sender: _Sender, ear: SinkEar, limit_s: float) -> None:
        self._sender = sender
        self._ear = ear
        self._limit_s = limit_s

    async def open(self) -> Took:
        """From the first packet in to the first sound out."""
        try:
            async with asyncio.timeout(self._limit_s):
                while (connected := self._connected()) is None:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise CycleFailed(self._why_silent()) from None
        return connected

    def _connected(self) -> Took | None:
        # Packets leave and sound comes without us: we may look later than either.
        first_at = self._sender.first_at
        if first_at is None:
            return None
        if self._ear.sound_since >= first_at:
            return Took((self._ear.sound_since - first_at) * 1000)
        if first_at - self._ear.last_sound_at < SILENT_S:
            raise CycleFailed("the sink still brought sound before this cycle sent any")
        return None

    async def close(self) -> Took:
        """From the last packet in to the last sound out."""
        try:
            async with asyncio.timeout(self._limit_s):
                while not self._sender.ended or self._ear.sounding():
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            limit = f"{self._limit_s:g} s"
            raise CycleFailed(f"the sink brought sound for {limit} after the end") from None
        gone_ms = (self._ear.last_sound_at - self._sender.last_at) * 1000
        figures = {"hole_ms": round(self._ear.hole_ms, 1), "rest_level": self._ear.rest_level}
        return Took(max(0.0, gone_ms), figures)

    def _why_silent(self) -> str:
        if self._sender.first_at is None:
            return f"nothing could be sent: {self._sender.error or 'the sender was held up'}"
        heard = "silence" if self._ear.packets else "nothing at all"
        return f"the sink brought {heard} for {self._limit_s:g} s"
