"""Probes: what a link really does to packets, measured beside the audio and independent of it.

Sending is paced like the audio is, and told per second (``probe.sent``), so that what the sender
did not send is never taken for loss. Arrivals carry the kernel's receive time and are told per
second of sending (``probe.second``, see `screamlab.impair.probe_tally`). All of it has the subject
``probe/<name>``. Delay is the receiver's clock minus the sender's.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from dataclasses import asdict
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.impair import probe_wire
from screamlab.impair.probe_stream import ProbeStream
from screamlab.impair.probe_tally import Tally
from screamlab.load.native_receiver import SO_TIMESTAMPNS, TIMESPEC
from screamlab.load.native_sender import stagger_seed
from screamlab.load.pacing import RATE_HZ, Pacer, Track, ahead_of_others, grid
from screamlab.scenario.plan import Endpoint

LOOK_S = 0.1
"""How often sockets are read; arrivals are stamped by the kernel."""

_BUFFER_BYTES = 1 << 20
_DATAGRAM_BYTES = 2048
_ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)
_NS = 1_000_000_000
# linux/sock_diag.h and asm-generic/socket.h; Python's socket module lacks them.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8


def run_senders(spec: dict[str, Any], context: WorkerContext) -> None:
    """Send every stream of ``spec["streams"]`` in its own window.

    A stream whose address cannot be bound is a ``worker.failed`` event and the others go on.
    """
    streams = [ProbeStream.model_validate(item) for item in spec["streams"]]
    senders = [sender for stream in streams if (sender := _open_sender(stream, context))]
    seed, now_s = stagger_seed(context), context.now_s()
    tracks = [
        sender.track(seed + at * sender.step // len(senders), now_s)
        for at, sender in enumerate(senders)
    ]
    Pacer(context, tracks).run()
    context.sleep_until(context.to_s)


def run_receivers(spec: dict[str, Any], context: WorkerContext) -> None:
    """Receive every stream of ``spec["streams"]`` until the worker's window ends.

    A stream whose address cannot be bound is a ``worker.failed`` event and the others go on.
    """
    streams = [ProbeStream.model_validate(item) for item in spec["streams"]]
    ahead_of_others()
    receivers = [receiver for stream in streams if (receiver := _open_receiver(stream, context))]
    _receive(context, {receiver.socket.fileno(): receiver for receiver in receivers})


class _Sender:
    """One stream's socket, and what has been sent in the second under way."""

    def __init__(self, stream: ProbeStream, context: WorkerContext) -> None:
        self.step = max(1, round(stream.interval_ms * RATE_HZ / 1000))
        self._stream = stream
        self._context = context
        self._id = probe_wire.stream_id(stream.name, context.zero)
        self._zero_ns = round(context.zero * 1e9)
        self._sequence = 0
        self._second: int | None = None
        self._first_seq = 0
        self._late_ns = 0
        self._errors = 0
        self._socket = _bound(stream.local)
        self._socket.connect((stream.remote.address, stream.remote.port))

    def track(self, seed: int, now_s: float) -> Track:
        """This stream on the pacer's grid."""
        ((first, end),) = grid(
            [(self._stream.from_s, self._stream.to_s)], self.step, seed % self.step, now_s
        )
        return Track(f"probe/{self._stream.name}", first, end, self.step, self.emit, self.end)

    def emit(self, sample: int) -> int:
        """Send the packet that is due at `sample`."""
        sent_ns = time.time_ns()
        since_ns = sent_ns - self._zero_ns
        if since_ns // _NS != self._second:
            self._tell()
            self._second, self._first_seq = since_ns // _NS, self._sequence
        packet = probe_wire.ProbePacket(self._sequence, sent_ns)
        if not self._send(probe_wire.encode(self._id, packet, self._stream.payload_bytes)):
            self._errors += 1
            return 0
        self._sequence += 1
        self._late_ns = max(self._late_ns, since_ns - sample * 125_000 // 6)
        return self._stream.payload_bytes

    def end(self, reason: str | None) -> None:
        """The track is over."""
        self._tell()
        self._socket.close()

    def _send(self, datagram: bytes) -> bool:
        for _ in range(2):
            try:
                self._socket.send(datagram)
                return True
            except ConnectionRefusedError:
                continue  # The answer to an earlier packet; this one was not even tried.
            except OSError:
                return False
        return False

    def _tell(self) -> None:
        if self._second is None:
            return
        self._context.spool.event(
            "probe.sent",
            f"probe/{self._stream.name}",
            second=self._second,
            first_seq=self._first_seq,
            packets=self._sequence - self._first_seq,
            late_max_us=self._late_ns // 1000,
            errors=self._errors,
        )
        self._late_ns = self._errors = 0


class _Receiver:
    """One stream's socket and tally."""

    def __init__(self, stream: ProbeStream, context: WorkerContext) -> None:
        self.socket = _bound(stream.remote)
        self._subject = f"probe/{stream.name}"
        self._spool = context.spool
        self._id = probe_wire.stream_id(stream.name, context.zero)
        self._tally = Tally(round(context.zero * 1e9), stream.interval_ms)
        self._received = 0
        self._foreign = 0
        self._drops = 0
        self._spool.event("probe.listening", self._subject)

    def read(self) -> None:
        """Take everything the socket holds."""
        while True:
            try:
                datagram, ancillary, _, _ = self.socket.recvmsg(_DATAGRAM_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            packet = probe_wire.decode(datagram, self._id)
            if packet is None:
                self._foreign += 1
                continue
            self._received += 1
            self._tally.take(packet.sequence, packet.sent_ns, _arrival_ns(ancillary))

    def tell(self) -> None:
        """Write down the seconds that have settled."""
        for second in self._tally.settled(time.time_ns()):
            self._spool.event("probe.second", self._subject, **asdict(second))

    def overflowed(self) -> int:
        """Datagrams the kernel dropped at this socket since the last call."""
        memory = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops = _MEMINFO.unpack(memory)[_MEMINFO_DROPS]
        new, self._drops = drops - self._drops, drops
        return int(new)

    def close(self) -> None:
        """Write down the rest, and what did not fit anywhere."""
        self.read()
        for second in self._tally.rest():
            self._spool.event("probe.second", self._subject, **asdict(second))
        counts = {"received": self._received, "foreign": self._foreign, "late": self._tally.late}
        self._spool.event("probe.end", self._subject, **counts)
        self.socket.close()


def _receive(context: WorkerContext, receivers: dict[int, _Receiver]) -> None:
    poll = select.epoll()
    for descriptor in receivers:
        poll.register(descriptor, select.EPOLLIN)
    next_tell = 0.0
    while context.now_s() < context.to_s and not context.stopping.wait(LOOK_S):
        for descriptor, _ in poll.poll(0):
            receivers[descriptor].read()
        if time.monotonic() >= next_tell:
            next_tell = time.monotonic() + 1.0
            for receiver in receivers.values():
                receiver.tell()
            _report_drops(context, receivers)
    poll.close()
    _report_drops(context, receivers)
    for receiver in receivers.values():
        receiver.close()


def _report_drops(context: WorkerContext, receivers: dict[int, _Receiver]) -> None:
    drops = sum(receiver.overflowed() for receiver in receivers.values())
    if drops:
        context.spool.event("receiver.overrun", context.name, late_ms=0.0, drops=drops)


def _arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's receive time (SO_TIMESTAMPNS, socket(7)); now, where it gave none."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return int(seconds * _NS + nanoseconds)
    return time.time_ns()


def _open_sender(stream: ProbeStream, context: WorkerContext) -> _Sender | None:
    try:
        return _Sender(stream, context)
    except OSError as error:
        _failed(context, stream, f"cannot send from {stream.local.address}: {error.strerror}")
        return None


def _open_receiver(stream: ProbeStream, context: WorkerContext) -> _Receiver | None:
    try:
        return _Receiver(stream, context)
    except OSError as error:
        where = f"{stream.remote.address}:{stream.remote.port}"
        _failed(context, stream, f"cannot listen on {where}: {error.strerror}")
        return None


def _failed(context: WorkerContext, stream: ProbeStream, text: str) -> None:
    subject = f"probe/{stream.name}"
    context.spool.event("worker.failed", subject, error=f"{stream.name} {text}")


def _bound(endpoint: Endpoint) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        made.bind((endpoint.address, endpoint.port))
    except OSError:
        made.close()
        raise
    return made
