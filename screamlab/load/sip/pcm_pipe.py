"""PCM into a pipe at whose other end a program makes RTP of it."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load.pacing import RATE_HZ, Track, TrackEnded
from screamlab.load.waveform import waveform
from screamlab.scenario.plan import Endpoint, SenderStream


class PcmPipe:
    """One stream's audio, 16 bit, written to `descriptor` in pieces of `frames`.

    A reader that lags by more than `held_frames` misses a piece; a pipe is a buffer, and what
    waits in it would be heard late.
    """

    def __init__(
        self,
        stream: SenderStream,
        context: WorkerContext,
        descriptor: int,
        frames: int,
        *,
        held_frames: int,
        big_endian: bool = False,
    ) -> None:
        self._stream = stream
        self._context = context
        self._descriptor = descriptor
        self.frames = frames
        self._audio = waveform(
            stream.signal, channels=stream.channels, big_endian=big_endian, packet_frames=frames
        )
        self._held_bytes = held_frames * self._audio.frame_bytes
        self._held_ms = round(1000 * held_frames / RATE_HZ, 1)
        self._lags = False
        os.set_blocking(descriptor, False)

    def aim(self, remote: Endpoint, payload_type: int) -> None:
        """The program at the other end knows where to send."""

    def track(self, first: int, end: int) -> Track:
        """This stream on the grid; writes its ``sender.start``."""
        self._context.spool.event(
            "sender.start",
            f"sender/{self._stream.name}",
            first_s=round(first / RATE_HZ, 6),
            protocol=self._stream.protocol,
            codec=self._stream.codec,
        )
        return Track(self._stream.name, first, end, self.frames, self._emit, self._end)

    def _emit(self, sample: int) -> int:
        try:
            if _waiting(self._descriptor) <= self._held_bytes:
                written = os.write(self._descriptor, self._audio.packet(sample, self.frames))
                self._lags = False
                return written
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise TrackEnded("the program that makes RTP of it has ended") from None
            if error.errno != errno.EAGAIN:
                raise
        if not self._lags:
            self._lags = True
            self._context.spool.event(
                "sender.overrun",
                f"sender/{self._stream.name}",
                late_ms=self._held_ms,
                error="the program does not read",
            )
        return 0

    def _end(self, reason: str | None) -> None:
        os.close(self._descriptor)
        fields: dict[str, Any] = {} if reason is None else {"error": reason}
        self._context.spool.event("sender.end", f"sender/{self._stream.name}", **fields)


def _waiting(descriptor: int) -> int:
    """Bytes in a pipe that nobody has read yet."""
    count = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)
