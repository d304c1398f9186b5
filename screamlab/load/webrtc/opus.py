"""Opus packets (RFC 6716, 7587) put in order and decoded."""

from __future__ import annotations

from typing import Generic, TypeVar

RATE_HZ = 48000
FRAME_BYTES = 4
"""16-bit stereo."""

HELD = 16
"""Packets kept back for one that is missing: 40 ms of ScreamRouter's."""

T = TypeVar("T")


class Sequencer(Generic[T]):
    """Puts packets in order by their sequence numbers; what is missing too long is given up."""

    def __init__(self, held: int = HELD) -> None:
        self._most = held
        self._next: int | None = None
        self._held: dict[int, T] = {}

    def push(self, sequence: int, item: T) -> list[T]:
        """Take a packet; the ones that are due now, in order."""
        if self._next is None:
            self._next = sequence
        ahead = (sequence - self._next) & 0xFFFF
        if ahead >= 0x8000:
            return []
        self._held[ahead] = item
        if ahead and len(self._held) > self._most:
            self._skip(min(self._held))
        ready = []
        while 0 in self._held:
            ready.append(self._held[0])
            self._skip(1)
        return ready

    def _skip(self, count: int) -> None:
        assert self._next is not None
        self._next = (self._next + count) & 0xFFFF
        self._held = {ahead - count: item for ahead, item in self._held.items() if ahead >= count}


class Decoder:
    """Decodes the packets of one stream to 16-bit little-endian stereo at 48 kHz."""

    def __init__(self) -> None:
        from av import CodecContext

        self._codec = CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "stereo"
        self._codec.sample_rate = RATE_HZ

    def decode(self, packet: bytes) -> bytes:
        """The sound of the next packet in order; empty for one that is no Opus."""
        from av import FFmpegError, Packet

        try:
            frames = self._codec.decode(Packet(packet))
        except FFmpegError:
            return b""
        # Planes are longer than what is in them.
        return b"".join(
            bytes(memoryview(frame.planes[0])[: frame.samples * FRAME_BYTES]) for frame in frames
        )
