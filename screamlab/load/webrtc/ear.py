"""A listener's ear: decoded sound, at the times it is played, to the lab's one oracle."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from screamlab.agent.context import WorkerContext
from screamlab.load.listening import Listener
from screamlab.load.playout import REBUFFER_S, FastestTransit, Piece, PlayoutBuffer
from screamlab.load.wire import RtpPacket
from screamlab.scenario.plan import ReceiverStream

_AUDIBLE = 64
"""Of 32768: more than a codec makes of silence, less than the lab's signals 30 dB down."""

_STALL_S = 0.05
_BRINGING_S = 0.5
_HALF_WRAP = 1 << 31


class Ear:
    """Hears one stream, from its first sound on; PCM is 16 bit, little endian, stereo.

    `on_sound` is called with the unix time of the first sound of every connection.
    """

    def __init__(
        self,
        stream: ReceiverStream,
        context: WorkerContext,
        on_sound: Callable[[float], None] = lambda at: None,
    ) -> None:
        self.stream = stream
        self.listener = Listener(stream, context)
        self.context = context
        self._on_sound = on_sound
        self._sounding = False
        self._bytes = 0

    def restart(self) -> None:
        """A new connection begins."""
        self._sounding = False

    def attend(self, now: float) -> None:
        """What is due at `now`; see `Listener.attend`."""
        if now >= self.listener.begin:
            self.listener.attend(now, self.values)

    def close(self) -> None:
        """The stream's window is over, or whoever brought the sound is told to stop."""
        self.listener.close(min(self._heard_until(), self.listener.end), self.values())

    def values(self) -> dict[str, float]:
        """The receiver's own cumulative figures."""
        return {"bytes": self._bytes}

    def _heard_until(self) -> float:
        return time.time()

    def _counts(self, pcm: bytes, arrival: float) -> bool:
        """Whether this is to be heard: sound has begun, and it is the stream's time."""
        if not self._sounding:
            if not alternates(pcm):
                return False
            self._sounding = True
            self._on_sound(arrival)
        if not self.listener.begin <= arrival <= self.listener.end:
            return False
        self._bytes += len(pcm)
        self.listener.arrived(arrival)
        return True


class PlayedEar(Ear):
    """For a player that plays without a pause, silence included: its frames are a clock."""

    def restart(self) -> None:
        """See `Ear.restart`."""
        super().restart()
        self._frames = 0
        self._fastest = FastestTransit()
        self._slow_since: float | None = None

    def take(self, pcm: bytes, arrival: float, timestamp: int = 0) -> None:
        """Take whole frames, the last of them played at `arrival` (unix s)."""
        if not self._counts(pcm, arrival):
            return
        at = self._frames / self.stream.rate_hz
        self._frames += len(pcm) // (2 * self.stream.channels)
        self._keep_time(arrival - self._frames / self.stream.rate_hz, arrival)
        self.listener.hear(pcm, self._fastest.transit + at)

    def _heard_until(self) -> float:
        """What a player has not brought yet is no silence, unless it has been quiet for long."""
        now = time.time()
        newest = self._fastest.transit + self._frames / self.stream.rate_hz
        return newest if now - newest < _BRINGING_S else now

    def _keep_time(self, transit: float, arrival: float) -> None:
        """Follow a player that stood still: what it plays from then on is later for good."""
        self._fastest.add(transit, arrival)
        late = transit - self._fastest.transit
        if late <= _STALL_S:
            self._slow_since = None
            return
        if self._slow_since is None:
            self._slow_since = arrival
        if arrival - self._slow_since >= REBUFFER_S:
            self._fastest.restart(transit)
            self._slow_since = None
            subject = f"receiver/{self.stream.name}"
            late_ms = round(late * 1000, 3)
            self.context.spool.event("receiver.overrun", subject, late_ms=late_ms)


class PacketEar(Ear):
    """For packets as they come, each with its RTP timestamp: played as our own player does.

    What is later than the stream's `playout_ms` is lost, and so is what never comes.
    """

    def restart(self) -> None:
        """See `Ear.restart`."""
        super().restart()
        playout_s = self.stream.playout_ms / 1000
        self._buffer = PlayoutBuffer(self.stream.rate_hz, 2 * self.stream.channels, playout_s)
        self._timestamp: int | None = None

    def take(self, pcm: bytes, arrival: float, timestamp: int = 0) -> None:
        """Take a decoded packet that came at `arrival` (unix s)."""
        if self._counts(pcm, arrival):
            # Packets of one length number themselves: a decoder does not tell their numbers.
            frames = len(pcm) // (2 * self.stream.channels)
            sequence = self._unwrapped(timestamp) // frames & 0xFFFF
            self._play(self._buffer.push(RtpPacket(0, sequence, timestamp, 0, pcm), arrival))

    def attend(self, now: float) -> None:
        """See `Ear.attend`."""
        self._play(self._buffer.advance(now))
        for notice in self._buffer.notices:
            self.listener.notice(notice.kind, notice.fields)
        self._buffer.notices.clear()
        super().attend(now)

    def close(self) -> None:
        """See `Ear.close`."""
        self._play(self._buffer.flush())
        super().close()

    def values(self) -> dict[str, float]:
        """See `Ear.values`; counts are those of the present connection."""
        counts = self._buffer.counts
        return {**super().values(), "lost": counts.lost, "late": counts.late}

    def _unwrapped(self, timestamp: int) -> int:
        if self._timestamp is None:
            self._timestamp = timestamp
        ahead = (timestamp - self._timestamp + _HALF_WRAP) % (2 * _HALF_WRAP) - _HALF_WRAP
        self._timestamp += ahead
        return self._timestamp

    def _play(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.payload is None or piece.arrival is None:
                self.listener.miss(piece.frames)
            else:
                self.listener.hear(piece.payload, piece.arrival)


def alternates(pcm: bytes) -> bool:
    """Whether this is sound: loud enough, and not only a constant that fades."""
    samples = np.frombuffer(pcm, "<i2")
    return bool(samples.max() > _AUDIBLE and samples.min() < -_AUDIBLE)
