"""The native sender: all Scream and RTP L16 streams of a host from one punctual process."""

from __future__ import annotations

import random
import socket
import zlib
from collections.abc import Sequence
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.load import wire
from screamlab.load.pacing import RATE_HZ, Pacer, Track, grid
from screamlab.load.waveform import Waveform, waveform
from screamlab.scenario.plan import Endpoint, SenderStream

_SEND_BUFFER_BYTES = 1 << 20
_PACKET_FRAMES = wire.PAYLOAD_BYTES // 4


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every stream of ``spec["streams"]`` in its own window.

    Raises `BadInput` for a stream this sender cannot play. A stream whose address cannot be bound
    is a ``worker.failed`` event and the others go on.
    """
    streams = [SenderStream.model_validate(item) for item in spec["streams"]]
    check(streams)
    senders = [sender for stream in streams if (sender := _open(stream, context))]
    windows = [(sender.stream.from_s, sender.stream.to_s) for sender in senders]
    # Only now: rendering and binding took their time, and nothing may be due in the past.
    samples = grid(windows, _PACKET_FRAMES, stagger_seed(context), context.now_s())
    tracks = [sender.track(*window) for sender, window in zip(senders, samples, strict=True)]
    Pacer(context, tracks).run()
    context.sleep_until(context.to_s)


def check(streams: Sequence[SenderStream]) -> None:
    """`BadInput` for the first stream that the native sender cannot play."""
    for stream in streams:
        if stream.codec != "l16":
            raise BadInput(f"stream {stream.name}: the native client cannot send {stream.codec}")
        if stream.rate_hz != RATE_HZ:
            raise BadInput(f"stream {stream.name}: the native client sends at {RATE_HZ} Hz only")
        if wire.PAYLOAD_BYTES % (2 * stream.channels):
            raise BadInput(f"stream {stream.name}: {stream.channels} channels do not fill a packet")


def stagger_seed(context: WorkerContext) -> int:
    """A number that differs between workers and is the same in every repetition of a plan."""
    return zlib.crc32(f"{context.host}/{context.name}".encode())


def _open(stream: SenderStream, context: WorkerContext) -> Sender | None:
    try:
        return Sender(stream, context)
    except OSError as error:
        where = f"{stream.local.address}:{stream.local.port}"
        text = f"{stream.name} cannot send from {where}: {error.strerror}"
        context.spool.event("worker.failed", f"sender/{stream.name}", error=text)
        return None


class Sender:
    """One stream's socket, which is bound at once, and the bytes in front of its audio.

    `OSError` when its address cannot be bound.
    """

    def __init__(self, stream: SenderStream, context: WorkerContext) -> None:
        self.stream = stream
        self._context = context
        self.frames = wire.PAYLOAD_BYTES // (2 * stream.channels)
        self._first = 0
        self._audio: Waveform = waveform(
            stream.signal,
            channels=stream.channels,
            big_endian=stream.protocol == "rtp",
            packet_frames=self.frames,
        )
        # RFC 3550 section 5.1: sequence number and timestamp begin at a random place.
        chance = random.Random(f"{stream.name}/{context.zero}")
        self.ssrc = chance.getrandbits(32) if stream.ssrc is None else stream.ssrc
        self._sequence = chance.getrandbits(16)
        self._timestamp = chance.getrandbits(32)
        self._payload_type = (
            wire.L16_PAYLOAD_TYPE if stream.payload_type is None else stream.payload_type
        )
        self._rtp_header = bytearray(wire.RTP_HEADER.size)
        self._scream_header = wire.ScreamHeader(stream.rate_hz, channels=stream.channels).encode()
        self._socket = _connected(stream)
        self.port: int = self._socket.getsockname()[1]
        self._refused = 0
        self._failures = 0
        self._last_failure = ""

    def aim(self, remote: Endpoint, payload_type: int) -> None:
        """Send to `remote` from here on, as `payload_type`."""
        self._payload_type = payload_type
        self._socket.connect((remote.address, remote.port))

    def track(self, first: int, end: int) -> Track:
        """This stream on the grid; writes its ``sender.start``."""
        self._first = first
        identity: dict[str, Any] = {"ssrc": self.ssrc} if self.stream.protocol == "rtp" else {}
        self._context.spool.event(
            "sender.start",
            f"sender/{self.stream.name}",
            first_s=round(first / RATE_HZ, 6),
            protocol=self.stream.protocol,
            **identity,
        )
        emit = self.emit_rtp if self.stream.protocol == "rtp" else self.emit_scream
        return Track(self.stream.name, first, end, self.frames, emit, self.end)

    def emit_rtp(self, sample: int) -> int:
        """Send the RTP packet that starts at `sample`."""
        wire.RTP_HEADER.pack_into(
            self._rtp_header,
            0,
            wire.RTP_VERSION_2,
            self._payload_type,
            (self._sequence + (sample - self._first) // self.frames) & 0xFFFF,
            (self._timestamp + sample) & 0xFFFFFFFF,
            self.ssrc,
        )
        return self._emit(self._rtp_header, sample)

    def emit_scream(self, sample: int) -> int:
        """Send the Scream datagram that starts at `sample`."""
        return self._emit(self._scream_header, sample)

    def _emit(self, header: bytes | bytearray, sample: int) -> int:
        buffers = (header, self._audio.packet(sample, self.frames))
        try:
            return self._socket.sendmsg(buffers)
        except ConnectionRefusedError:
            # The answer to an earlier packet that nobody wanted; this one was not even tried.
            self._refused += 1
        except OSError as error:
            self._failed(error.strerror or str(error))
            return 0
        try:
            return self._socket.sendmsg(buffers)
        except OSError:
            return 0

    def _failed(self, text: str) -> None:
        self._failures += 1
        if text != self._last_failure:
            self._last_failure = text
            subject = f"sender/{self.stream.name}"
            self._context.spool.event("net.send_error", subject, error=text)

    def end(self, reason: str | None) -> None:
        """Close the socket and write ``sender.end``: packets refused by the far end, and errors."""
        self._socket.close()
        fields: dict[str, Any] = {"refused": self._refused, "send_errors": self._failures}
        if reason is not None:
            fields["error"] = reason
        self._context.spool.event("sender.end", f"sender/{self.stream.name}", **fields)


def _connected(stream: SenderStream) -> socket.socket:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        out.setblocking(False)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        out.bind((stream.local.address, stream.local.port))
        out.connect((stream.remote.address, stream.remote.port))
    except OSError:
        out.close()
        raise
    return out
