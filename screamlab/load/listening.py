"""What every receiver does with the audio it got: asks the oracle, and writes down its answers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from screamlab.agent.context import WorkerContext
from screamlab.scenario.plan import Heard, ReceiverStream
from screamlab.signal import Finding, Oracle

CHUNK_S = 0.1
"""The oracle is fed in pieces of at least this length."""

EVENTS_PER_S = 10
"""Findings of one kind from one sender written per second; the others are only counted."""

QUIET_S = 0.2
"""What has been gathered goes to the oracle when nothing came for this long."""

# The oracle hears silence where arrivals are more than 0.1 s apart. A jitter buffer bridges such
# gaps, so gaps that ours would bridge are shown to it as this long.
_BRIDGED_S = 0.09
_TOLERANCE_S = 0.02

GAP_KINDS = frozenset({"dropout", "silence"})


class Listener:
    """One receiver's ear: takes audio as it arrives, writes findings and the 1 Hz series.

    Only what lies within the stream's own window counts. All times are unix seconds. PCM is
    16 bit, interleaved, of the stream's channels, in the byte order of `pcm` (a numpy type).
    """

    def __init__(self, stream: ReceiverStream, context: WorkerContext, pcm: str = "<i2") -> None:
        self.stream = stream
        self.begin = context.zero + stream.from_s
        self.end = context.zero + stream.to_s
        self._spool = context.spool
        self._names = {one.signal: one.sender for one in (*stream.hears, *stream.foreign)}
        self._oracle = Oracle(
            hears=[one.signal for one in stream.hears],
            foreign=[one.signal for one in stream.foreign],
            rate_hz=stream.rate_hz,
            codec="opus" if stream.lossy else "pcm",
            epoch=context.zero,
        )
        self._pcm = pcm
        self._frame_bytes = 2 * stream.channels
        self._rate = stream.rate_hz
        self._bridge_s = stream.playout_ms / 1000 + _TOLERANCE_S
        self._chunk: list[bytes] = []
        self._chunk_bytes = 0
        self._chunk_full = CHUNK_S * stream.rate_hz * self._frame_bytes
        self._chunk_at = 0.0
        self._next_at: float | None = None
        self._fed_until: float | None = None
        self._unheard = list(stream.hears)
        self._gaps: Counter[int] = Counter()
        self._gap_ms: defaultdict[int, float] = defaultdict(float)
        self._written: Counter[tuple[str, str]] = Counter()
        self._gap_max_s = 0.0
        self._last_arrival: float | None = None
        self._next_second = self.begin + 1.0
        self._notices: dict[str, tuple[int, dict[str, Any]]] = {}

    def arrived(self, arrival: float) -> None:
        """Something came in at `arrival`; keeps the longest gap between arrivals."""
        if self._last_arrival is not None:
            self._gap_max_s = max(self._gap_max_s, arrival - self._last_arrival)
        self._last_arrival = arrival

    def hear(self, pcm: bytes, arrival: float) -> None:
        """Take whole frames of audio of which the first arrived at `arrival`."""
        if self._next_at is not None and arrival - self._next_at > self._bridge_s:
            self.flush()
        if not self._chunk:
            self._chunk_at = arrival
        self._chunk.append(pcm)
        self._chunk_bytes += len(pcm)
        self._next_at = arrival + len(pcm) / self._frame_bytes / self._rate
        if self._chunk_bytes >= self._chunk_full:
            self.flush()

    def miss(self, frames: int) -> None:
        """Take `frames` of audio that never came: the player had nothing but silence."""
        at = self._next_at if self._next_at is not None else self.begin
        self.hear(bytes(frames * self._frame_bytes), at)

    def notice(self, kind: str, fields: dict[str, Any]) -> None:
        """Something about the packets; written once a second per kind with its count."""
        count, first = self._notices.get(kind, (0, fields))
        self._notices[kind] = (count + 1, first)

    def attend(self, now: float, values: Callable[[], dict[str, float]]) -> None:
        """What is due at `now`: the rest of a line gone quiet, and the series of a second.

        `values` gives the receiver's own cumulative figures.
        """
        if self._chunk and now - self._chunk_at > QUIET_S:
            self.flush()
        if now >= self._next_second:
            self._next_second += 1.0 + (now - self._next_second) // 1.0
            self._second(now, values())

    def flush(self) -> None:
        """Hand what has been gathered to the oracle."""
        if not self._chunk:
            return
        samples = np.frombuffer(b"".join(self._chunk), self._pcm).astype(np.int16)
        samples = samples.reshape(-1, self.stream.channels)
        at = self._chunk_at
        if self._fed_until is not None and at - self._fed_until <= self._bridge_s:
            at = min(at, self._fed_until + _BRIDGED_S)
        self._fed_until = at + len(samples) / self._rate
        self._chunk.clear()
        self._chunk_bytes = 0
        self._write(self._oracle.feed(samples, at))
        if self._unheard:
            self._look_for_first_sound(at)

    def close(self, now: float, values: dict[str, float]) -> None:
        """The stream's window is over: last findings, last series, ``receiver.end``."""
        self.flush()
        self._write(self._oracle.close(now))
        self._second(now, values)
        self._spool.event("receiver.end", f"receiver/{self.stream.name}", **values)

    def _second(self, now: float, values: dict[str, float]) -> None:
        gap_ms = round(self._gap_max_s * 1000, 3)
        self._spool.series(f"receiver/{self.stream.name}", {**values, "gap_max_ms": gap_ms})
        self._gap_max_s = 0.0
        status = self._oracle.status(self._heard_until(now))
        for one in self.stream.hears:
            state = status[one.signal]
            measured = {
                "heard": int(state.heard),
                "level_db": state.level_db,
                "latency_ms": state.latency_ms,
                "drift_ppm": state.drift_ppm,
                "residual_db": state.residual_db,
                "dropouts": self._gaps[one.signal],
                "dropout_ms": round(self._gap_ms[one.signal], 3),
            }
            self._spool.series(self._subject(one.sender), _finite(measured))
        self._write_notices()
        self._write_suppressed()

    def _heard_until(self, now: float) -> float:
        """The end of what has come in, or `now` when nothing has come for a while."""
        if self._fed_until is None or self._last_arrival is None:
            return now
        return now if now - self._last_arrival > QUIET_S else min(now, self._fed_until)

    def _subject(self, sender: str) -> str:
        """The stream from `sender`, or the receiver as a whole where no sender can be named."""
        return f"stream/{self.stream.name}/{sender}" if sender else f"receiver/{self.stream.name}"

    def _look_for_first_sound(self, at: float) -> None:
        status = self._oracle.status(at)
        still: list[Heard] = []
        for one in self._unheard:
            if status[one.signal].heard:
                after_s = round(at - self.begin, 3)
                self._spool.event("stream.heard", self._subject(one.sender), after_s=after_s)
            else:
                still.append(one)
        self._unheard = still

    def _write(self, findings: list[Finding]) -> None:
        for finding in findings:
            if not self.begin <= finding.at <= self.end:
                continue
            if finding.kind in GAP_KINDS:
                self._gaps[finding.signal] += 1
                self._gap_ms[finding.signal] += finding.ms
            sender = self._names.get(finding.signal, "")
            self._written[finding.kind, sender] += 1
            if self._written[finding.kind, sender] <= EVENTS_PER_S:
                fields = {**finding.detail, "sender": sender, "ms": round(finding.ms, 3)}
                kind = f"audio.{finding.kind}"
                self._spool.event(kind, self._subject(sender), t=finding.at, **fields)

    def _write_notices(self) -> None:
        for kind, (count, fields) in self._notices.items():
            subject = f"receiver/{self.stream.name}"
            self._spool.event(f"net.{kind}", subject, **fields, count=count)
        self._notices.clear()

    def _write_suppressed(self) -> None:
        for (kind, sender), count in self._written.items():
            if count > EVENTS_PER_S:
                more = count - EVENTS_PER_S
                subject = self._subject(sender)
                self._spool.event("audio.suppressed", subject, of=kind, count=more)
        self._written.clear()


def _finite(measured: dict[str, float | None]) -> dict[str, float]:
    return {
        name: value
        for name, value in measured.items()
        if value is not None and math.isfinite(value)
    }
