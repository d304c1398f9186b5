"""The native receiver: listens to Scream and RTP L16 streams and lets the oracle hear them.

Packets carry the kernel's receive time, so it is enough to look every few milliseconds, and a
late look changes nothing but its own report. Late looks and overflowing sockets are reported as
``receiver.overrun``: then it is the lab that missed something, not the router.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.load import wire
from screamlab.load.listening import Listener
from screamlab.load.pacing import ahead_of_others
from screamlab.load.playout import Piece, PlayoutBuffer
from screamlab.scenario.plan import ReceiverStream

LOOK_S = 0.02
"""How often the sockets are read."""

OVERRUN_MS = 3000.0
"""A look this late is reported. Lateness alone falsifies nothing as long as the sockets hold."""

_BYTE_ORDERS = {"rtp": ">i2", "scream": "<i2"}
_RECEIVE_BUFFER_BYTES = 8 << 20
_DATAGRAM_BYTES = 2048
# Values of asm-generic/socket.h and linux/sock_diag.h that Python's socket module lacks.
_SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8
TIMESPEC = struct.Struct("qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` in its own window.

    Raises `BadInput` for a stream this receiver cannot decode. A stream whose address cannot be
    bound is a ``worker.failed`` event and the others go on.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    check(streams)
    ahead_of_others()
    receivers = [receiver for stream in streams if (receiver := _open(stream, context))]
    _Loop(context, receivers).run()
    context.sleep_until(context.to_s)


def check(streams: Sequence[ReceiverStream]) -> None:
    """`BadInput` for the first stream that the native receiver cannot decode."""
    for stream in streams:
        if stream.codec != "l16":
            raise BadInput(f"stream {stream.name}: the native client cannot hear {stream.codec}")


class Depacketizer(Protocol):
    """Turns the datagrams of one stream into audio."""

    def take(self, datagram: bytes, arrival: float) -> None:
        """One datagram and when the kernel saw it."""

    def advance(self, now: float) -> None:
        """Everything that arrived before `now` has been taken."""

    def flush(self) -> None:
        """The stream's window is over."""

    def values(self) -> dict[str, float]:
        """The receiver's cumulative figures for its series."""


class RtpDepacketizer:
    """RTP L16 through an emulated jitter buffer."""

    def __init__(self, stream: ReceiverStream, listener: Listener) -> None:
        self._listener = listener
        self._payload_type = stream.payload_type
        self._buffer = PlayoutBuffer(stream.rate_hz, 2 * stream.channels, stream.playout_ms / 1000)

    def take(self, datagram: bytes, arrival: float) -> None:
        """See `Depacketizer`."""
        try:
            packet = wire.parse_rtp(datagram)
        except wire.WireError as error:
            self._listener.notice("bad_packet", {"error": str(error)})
            return
        if self._payload_type is not None and packet.payload_type != self._payload_type:
            self._listener.notice("payload_type", {"payload_type": packet.payload_type})
            return
        self._play(self._buffer.push(packet, arrival))

    def advance(self, now: float) -> None:
        """See `Depacketizer`."""
        self._play(self._buffer.advance(now))
        for notice in self._buffer.notices:
            self._listener.notice(notice.kind, notice.fields)
        self._buffer.notices.clear()

    def flush(self) -> None:
        """See `Depacketizer`."""
        self._play(self._buffer.flush())

    def values(self) -> dict[str, float]:
        """See `Depacketizer`."""
        counts = self._buffer.counts
        return {
            "packets": counts.packets,
            "lost": counts.lost,
            "duplicate": counts.duplicate,
            "reordered": counts.reordered,
            "late": counts.late,
            "foreign": counts.foreign,
            "jitter_ms": round(self._buffer.jitter.ms, 4),
        }

    def _play(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.payload is None or piece.arrival is None:
                self._listener.miss(piece.frames)
            else:
                self._listener.hear(piece.payload, piece.arrival)


class ScreamDepacketizer:
    """Scream datagrams as they come: the protocol has no sequence to put them in order by."""

    def __init__(self, stream: ReceiverStream, listener: Listener) -> None:
        self._listener = listener
        self._wanted = (stream.rate_hz, stream.channels)
        self._packets = 0

    def take(self, datagram: bytes, arrival: float) -> None:
        """See `Depacketizer`."""
        try:
            header, payload = wire.parse_scream(datagram)
        except wire.WireError as error:
            self._listener.notice("bad_packet", {"error": str(error)})
            return
        if (header.rate_hz, header.channels) != self._wanted:
            fields = {"rate_hz": header.rate_hz, "channels": header.channels}
            self._listener.notice("format", fields)
            return
        self._packets += 1
        self._listener.hear(wire.scream_pcm(header, payload), arrival)

    def advance(self, now: float) -> None:
        """See `Depacketizer`."""

    def flush(self) -> None:
        """See `Depacketizer`."""

    def values(self) -> dict[str, float]:
        """See `Depacketizer`."""
        return {"packets": self._packets}


class _Receiver:
    def __init__(self, stream: ReceiverStream, context: WorkerContext) -> None:
        self.socket = _bound(stream)
        self.listener = Listener(stream, context, _BYTE_ORDERS[stream.protocol])
        kinds: dict[str, Callable[[ReceiverStream, Listener], Depacketizer]] = {
            "rtp": RtpDepacketizer,
            "scream": ScreamDepacketizer,
        }
        self.depacketizer = kinds[stream.protocol](stream, self.listener)
        self.bytes = 0
        self.drops = 0
        context.spool.event("receiver.start", f"receiver/{stream.name}", from_s=stream.from_s)

    def read(self, now: float) -> None:
        """Take all of this stream that the kernel had at `now`, as far as it is in its window."""
        receive, take = self.socket.recvmsg, self.depacketizer.take
        begin, end = self.listener.begin, self.listener.end
        arrival = 0.0
        while arrival <= now:
            try:
                datagram, ancillary, _flags, _from = receive(_DATAGRAM_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            arrival = seconds + nanoseconds * 1e-9
            if begin <= arrival <= end:
                self.bytes += len(datagram)
                self.listener.arrived(arrival)
                take(datagram, arrival)

    def after_look(self, now: float) -> None:
        """What is due at `now` once everything that came before it has been read."""
        self.depacketizer.advance(now)
        self.listener.attend(now, self.values)

    def overflowed(self) -> int:
        """Datagrams the kernel dropped at this socket since the last call."""
        memory = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops = _MEMINFO.unpack(memory)[_MEMINFO_DROPS]
        new, self.drops = drops - self.drops, drops
        return new

    def values(self) -> dict[str, float]:
        return {"bytes": self.bytes, **self.depacketizer.values()}

    def close(self) -> None:
        now = min(time.time(), self.listener.end)
        self.read(now)
        self.depacketizer.flush()
        self.listener.close(now, self.values())
        self.socket.close()


class _Loop:
    """Looks at all sockets on a fixed beat until every stream's window is over."""

    def __init__(self, context: WorkerContext, receivers: Sequence[_Receiver]) -> None:
        self._context = context
        self._open = {receiver.socket.fileno(): receiver for receiver in receivers}
        self._epoll = select.epoll()
        for descriptor in self._open:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._late_ms = 0.0
        self._drops = 0
        self._next_report = time.monotonic() + 1.0

    def run(self) -> None:
        due = time.monotonic() + LOOK_S
        while self._open and not self._context.stopping.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            begun = time.monotonic()
            if self._look():
                self._late_ms = max(self._late_ms, (begun - due) * 1000)
            due = max(due, begun - LOOK_S) + LOOK_S
            if begun >= self._next_report:
                self._report()
        for descriptor in list(self._open):
            self._close(descriptor)
        self._report()

    def _look(self) -> bool:
        """Read and attend to every stream; whether any of them is within its window."""
        now = time.time()
        active = False
        for descriptor, _event in self._epoll.poll(0):
            self._open[descriptor].read(now)
        for descriptor, receiver in list(self._open.items()):
            if now >= receiver.listener.end:
                self._close(descriptor)
            elif now >= receiver.listener.begin:
                receiver.after_look(now)
                active = True
        return active

    def _close(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        receiver = self._open.pop(descriptor)
        self._drops += receiver.overflowed()
        receiver.close()

    def _report(self) -> None:
        self._next_report = time.monotonic() + 1.0
        self._drops += sum(receiver.overflowed() for receiver in self._open.values())
        if self._drops or self._late_ms > OVERRUN_MS:
            late_ms = round(self._late_ms, 3)
            self._context.spool.event(
                "receiver.overrun", self._context.name, late_ms=late_ms, drops=self._drops
            )
        self._late_ms = 0.0
        self._drops = 0


def _open(stream: ReceiverStream, context: WorkerContext) -> _Receiver | None:
    try:
        return _Receiver(stream, context)
    except OSError as error:
        where = f"{stream.local.address}:{stream.local.port}"
        text = f"{stream.name} cannot listen on {where}: {error.strerror}"
        context.spool.event("worker.failed", f"receiver/{stream.name}", error=text)
        return None


def _bound(stream: ReceiverStream) -> socket.socket:
    inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        inlet.setblocking(False)
        inlet.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        try:
            inlet.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        except PermissionError:
            inlet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        inlet.bind((stream.local.address, stream.local.port))
    except OSError:
        inlet.close()
        raise
    return inlet
