"""An emulated RTP player: interarrival jitter, reordering, and packets that miss their playout.

Pure logic on arrival times, so the outcome depends on when the kernel saw a packet and never on
when this process got around to reading it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from screamlab.load.wire import RtpPacket

MAX_DROPOUT = 3000
"""Largest jump ahead of the sequence number taken as loss, RFC 3550 appendix A.1."""

MAX_MISORDER = 100
"""Largest step back taken as reordering, RFC 3550 appendix A.1."""

PROBATION = 3
"""Packets in a row a new SSRC or a new run of sequence numbers needs before it is followed."""

REBUFFER_S = 0.5
"""A player that hears nothing but late packets for this long starts over from the newest."""

_TRANSIT_WINDOW_S = 10.0
_LONGEST_FILL_S = 20.0
_REMEMBERED = 1024


class Jitter:
    """Interarrival jitter, RFC 3550 section 6.4.1 and appendix A.8, in timestamp units."""

    def __init__(self, rate_hz: int) -> None:
        self._rate = rate_hz
        self._transit: float | None = None
        self.units = 0.0

    def add(self, arrival: float, timestamp: int) -> None:
        """One packet that arrived at `arrival` (unix s) with the unwrapped RTP `timestamp`."""
        transit = arrival * self._rate - timestamp
        if self._transit is not None:
            self.units += (abs(transit - self._transit) - self.units) / 16
        self._transit = transit

    @property
    def ms(self) -> float:
        """The estimate in milliseconds."""
        return self.units * 1000 / self._rate


class FastestTransit:
    """The shortest transit of the last 10 to 20 seconds: what a jitter buffer sets its clock by."""

    def __init__(self) -> None:
        self._windows = (math.inf, math.inf)
        self._window_end = -math.inf

    def add(self, transit: float, now: float) -> None:
        """A packet was under way for `transit` s (any constant offset will do) until `now`."""
        if now > self._window_end:
            self._windows = (self._windows[1], math.inf)
            self._window_end = now + _TRANSIT_WINDOW_S
        self._windows = (self._windows[0], min(self._windows[1], transit))

    def restart(self, transit: float) -> None:
        """Forget everything before a packet of this transit."""
        self._windows = (math.inf, transit)

    @property
    def transit(self) -> float:
        """The shortest transit, infinite before the first packet."""
        return min(self._windows)


class Piece(NamedTuple):
    """Consecutive audio for the player; `payload` None stands for lost audio of `frames`."""

    frames: int
    payload: bytes | None
    arrival: float | None


class Notice(NamedTuple):
    """Something about the packet stream worth an event: ``net.<kind>``."""

    kind: str
    at: float
    fields: dict[str, Any]


@dataclass
class Counts:
    """Packets, cumulative. `lost` were not there at their playout time, `late` ones included;
    `foreign` came from an SSRC that is not the one being played."""

    packets: int = 0
    lost: int = 0
    duplicate: int = 0
    reordered: int = 0
    late: int = 0
    foreign: int = 0


class _Arrived(NamedTuple):
    timestamp: int
    arrival: float
    frames: int
    payload: bytes


class PlayoutBuffer:
    """Puts one RTP stream in order, as a player with a jitter buffer of `playout_s` hears it.

    A packet must arrive within `playout_s` of the fastest recent transit. Its place is filled
    with lost audio otherwise. Times are unix seconds, timestamps tick at `rate_hz`.
    """

    def __init__(self, rate_hz: int, bytes_per_frame: int, playout_s: float) -> None:
        self._rate = rate_hz
        self._frame = bytes_per_frame
        self._playout = playout_s
        self.counts = Counts()
        self.jitter = Jitter(rate_hz)
        self.notices: list[Notice] = []
        self._doubtful: list[tuple[RtpPacket, float]] = []
        self._ssrc: int | None = None

    def push(self, packet: RtpPacket, arrival: float) -> list[Piece]:
        """Take a packet; return what can be played now."""
        self.counts.packets += 1
        if self._ssrc is None:
            self._start(packet)
        elif packet.ssrc != self._ssrc:
            return self._doubt(packet, arrival, "ssrc_change")
        ahead = (packet.sequence - self._highest) & 0xFFFF
        if MAX_DROPOUT < ahead < 0x10000 - MAX_MISORDER:
            return self._doubt(packet, arrival, "sequence_reset")
        self._drop_doubtful()
        step = ahead if ahead <= MAX_DROPOUT else ahead - 0x10000
        pieces = self.advance(arrival)
        self._take(self._highest + step, packet, arrival)
        return pieces + self._release()

    def advance(self, now: float) -> list[Piece]:
        """Give up packets whose playout time has passed; every arrival before `now` was pushed."""
        pieces: list[Piece] = []
        while self._ssrc is not None and self._waiting:
            following = min(self._waiting)
            last_missing = self._waiting[following].timestamp - self._frames
            if now <= self._deadline(last_missing):
                break
            pieces.append(self._conceal(following))
            pieces += self._release()
        return pieces

    def flush(self) -> list[Piece]:
        """Everything still waiting, with the holes filled: the stream has ended."""
        return self.advance(math.inf)

    def _start(self, packet: RtpPacket) -> None:
        self._ssrc = packet.ssrc
        self._highest = packet.sequence - 1
        self._next = packet.sequence
        self._next_timestamp: int | None = None
        self._last_timestamp = packet.timestamp
        self._frames = 0
        self._waiting: dict[int, _Arrived] = {}
        self._given_up: deque[int] = deque(maxlen=_REMEMBERED)
        self._fastest = FastestTransit()
        self._late_since: float | None = None

    def _doubt(self, packet: RtpPacket, arrival: float, kind: str) -> list[Piece]:
        if self._doubtful and not _follows(packet, self._doubtful[-1][0]):
            self._drop_doubtful()
        self._doubtful.append((packet, arrival))
        if len(self._doubtful) < PROBATION:
            return []
        trusted, self._doubtful = self._doubtful, []
        old = self._ssrc
        self.notices.append(Notice(kind, trusted[0][1], {"old_ssrc": old, "new_ssrc": packet.ssrc}))
        pieces = self.flush()
        self._ssrc = None
        self.counts.packets -= len(trusted)
        for held, held_arrival in trusted:
            pieces += self.push(held, held_arrival)
        return pieces

    def _drop_doubtful(self) -> None:
        self.counts.foreign += len(self._doubtful)
        self._doubtful.clear()

    def _take(self, sequence: int, packet: RtpPacket, arrival: float) -> None:
        timestamp = self._unwrap(packet.timestamp)
        if sequence in self._waiting or (sequence < self._next and sequence not in self._given_up):
            self.counts.duplicate += 1
            return
        if sequence > self._highest:
            self._highest = sequence
            self._last_timestamp = timestamp
        else:
            self.counts.reordered += 1
        self.jitter.add(arrival, timestamp)
        if sequence < self._next:
            self.counts.late += 1
            return
        if self._is_late(timestamp, arrival):
            self.counts.late += 1
            return
        frames = len(packet.payload) // self._frame
        self._frames = frames
        whole = packet.payload[: frames * self._frame]
        self._waiting[sequence] = _Arrived(timestamp, arrival, frames, whole)

    def _is_late(self, timestamp: int, arrival: float) -> bool:
        transit = arrival - timestamp / self._rate
        self._fastest.add(transit, arrival)
        if arrival <= self._deadline(timestamp):
            self._late_since = None
            return False
        if self._late_since is None:
            self._late_since = arrival
        if arrival - self._late_since < REBUFFER_S:
            return True
        by_ms = (transit - self._fastest.transit) * 1000
        self.notices.append(Notice("rebuffer", arrival, {"by_ms": round(by_ms, 3)}))
        self._fastest.restart(transit)
        self._late_since = None
        return False

    def _deadline(self, timestamp: int) -> float:
        return self._fastest.transit + timestamp / self._rate + self._playout

    def _unwrap(self, timestamp: int) -> int:
        ahead = (timestamp - self._last_timestamp) & 0xFFFFFFFF
        return self._last_timestamp + (ahead if ahead < 0x80000000 else ahead - 0x100000000)

    def _conceal(self, following: int) -> Piece:
        missing = following - self._next
        self.counts.lost += missing
        self._given_up.extend(range(self._next, following))
        frames = missing * self._frames
        if self._next_timestamp is not None:
            declared = self._waiting[following].timestamp - self._next_timestamp
            if 0 < declared <= _LONGEST_FILL_S * self._rate:
                frames = declared
        self._next = following
        self._next_timestamp = None
        return Piece(frames, None, None)

    def _release(self) -> list[Piece]:
        pieces = []
        while (packet := self._waiting.pop(self._next, None)) is not None:
            expected = self._next_timestamp
            if expected is not None and (jump := packet.timestamp - expected):
                fields = {"ms": round(jump * 1000 / self._rate, 3)}
                self.notices.append(Notice("timestamp_jump", packet.arrival, fields))
            pieces.append(Piece(packet.frames, packet.payload, packet.arrival))
            self._next += 1
            self._next_timestamp = packet.timestamp + packet.frames
        return pieces


def _follows(packet: RtpPacket, last: RtpPacket) -> bool:
    return (packet.ssrc, packet.sequence) == (last.ssrc, (last.sequence + 1) & 0xFFFF)
