"""The audio oracle: listens to one stream as it arrives and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.blocks import Blocks
from screamlab.signal.conditions import Conditions, sides_differ
from screamlab.signal.crosstalk import Crosstalk
from screamlab.signal.finding import Finding, Status
from screamlab.signal.follow import LEAST_BLOCKS, confirm, follow
from screamlab.signal.limits import LIMITS
from screamlab.signal.settle import Settler
from screamlab.signal.source import Source, gain_db
from screamlab.signal.timeline import Arrivals, Recent
from screamlab.signal.tones import PERIOD_S, RATE_HZ
from screamlab.signal.watch import Watch

Codec = Literal["pcm", "opus"]

_BATCH_S = 1.0
_GAP_S = 0.1
# A delay leaves the four phases in step to 0.002 rad, through Opus too. A coder that delays low
# and high tones differently (SILK below 8 kHz, RFC 6716, 2.1.1) puts them 0.02 rad and more apart,
# and the delay that fits them best means nothing.
_DOUBTFUL_RAD = 0.01
_LONGEST_GAP_S = 20.0
_MEMORY_S = 4.0
_EARLIEST_LATENCY_S = -0.4
_LATENCY_CHUNKS = 25
_RAMP_DB = 3.0


class Oracle:
    """One receiver's ear.

    `hears` are the signals that must be heard, all at once if several (a mix); `foreign` those
    that must not. `epoch` is the unix time at which every sender played its sample 0. `codec` is
    the worst that the sound has been through on its whole way, not only on its last leg. Where no
    sound arrives for more than 0.1 s, the oracle hears silence.

    >>> ear = Oracle(hears=[3], foreign=[4, 5], epoch=zero)
    >>> for samples, arrival in stream:
    ...     findings = ear.feed(samples, arrival)
    """

    def __init__(
        self,
        hears: Sequence[int],
        foreign: Sequence[int] = (),
        *,
        rate_hz: int = RATE_HZ,
        codec: Codec = "pcm",
        epoch: float = 0.0,
    ) -> None:
        self._rate_hz = rate_hz
        self._epoch = epoch
        self._limits = LIMITS[codec]
        self._sources = [Source(index, rate_hz) for index in hears]
        self._blocks = Blocks(self._sources, rate_hz)
        self._watch = Watch(self._blocks, self._sources, self._limits, rate_hz)
        self._recent = Recent(int(_MEMORY_S * rate_hz))
        self._arrivals = Arrivals(rate_hz)
        self._settler = Settler(
            self._blocks, self._sources, self._recent, self._arrivals, self._limits, rate_hz
        )
        self._conditions = Conditions(
            hears[0] if len(hears) == 1 else -1,
            Crosstalk([index for index in foreign if index not in hears], rate_hz),
            self._recent,
            self._arrivals,
            self._limits,
            rate_hz,
        )
        self._pending: list[NDArray[np.int16]] = []
        self._pending_frames = 0
        self._batch = int(_BATCH_S * rate_hz)
        self._found: list[Finding] = []
        self._received = 0
        self._last_end: float | None = None
        self._followed = 0
        self._latency: dict[int, float] = {}

    def feed(self, samples: NDArray[np.int16], arrival: float) -> list[Finding]:
        """Hear `samples` (frames, channels); `arrival` is the unix time of the first frame.

        Any number of frames and channels will do. Returns what has become known by now, which
        trails the sound by up to 1.1 s.
        """
        if not samples.size:
            return []
        if self._last_end is not None and arrival - self._last_end > _GAP_S:
            self._silence_until(arrival)
        self._take(samples.copy() if samples.flags.writeable else samples, arrival)
        if self._pending_frames >= self._batch or self._found:
            return self._report()
        return []

    def idle(self, now: float) -> list[Finding]:
        """Say that nothing has arrived until `now` (unix s)."""
        self._silence_until(now)
        return self._report()

    def status(self, now: float) -> dict[int, Status]:
        """How each source that must be heard is heard now."""
        self._work()
        waiting = self._last_end is None or now - self._last_end > _GAP_S
        return {
            source.index: Status(heard=False) if waiting else self._status_of(source)
            for source in self._sources
        }

    def crosstalk(self) -> dict[int, float]:
        """Sources heard now that are not routed here, with their gain in dB."""
        return self._conditions.crosstalk

    def close(self, now: float) -> list[Finding]:
        """End the stream: whatever was still going on is reported."""
        self._silence_until(now)
        findings = self._report()
        event = self._watch.abandon()
        if event and any(source.present for source in self._sources):
            findings += self._settler.settle(event, self._watch.noise)
        for source in self._sources:
            if source.lost_at is not None:
                findings.append(self._settler.silence(source, float(self._received), None))
        return findings + self._conditions.close(self._arrivals.at(self._recent.end))

    def _report(self) -> list[Finding]:
        self._work()
        found, self._found = self._found, []
        return found

    def _silence_until(self, now: float) -> None:
        """Hear the time in which nothing arrived as silence, if it was long enough."""
        if self._last_end is None or now - self._last_end <= _GAP_S:
            return
        gap_s = now - self._last_end
        played_s = min(gap_s, _LONGEST_GAP_S)
        self._take(np.zeros((int(played_s * self._rate_hz), 1), np.int16), self._last_end)
        if gap_s > played_s:
            self._work()
            for source in self._sources:
                if source.lost_at is not None:
                    source.lost_at -= (gap_s - played_s) * self._rate_hz
        self._last_end = now

    def _take(self, samples: NDArray[np.int16], arrival: float) -> None:
        if samples.ndim == 1:
            samples = samples[:, None]
        if self._pending and self._pending[-1].shape[1] != samples.shape[1]:
            samples = _with_channels(samples, self._pending[-1].shape[1])
        frames = len(samples)
        self._arrivals.add(self._received, arrival)
        self._pending.append(samples)
        self._pending_frames += frames
        self._received += frames
        self._last_end = arrival + frames / self._rate_hz

    def _work(self) -> None:
        """Analyse the whole blocks that are waiting."""
        if self._pending_frames < self._blocks.length:
            return
        samples = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        whole = len(samples) // self._blocks.length * self._blocks.length
        step = self._batch // self._blocks.length * self._blocks.length
        for start in range(0, whole, step):
            self._found += self._hear(samples[start : min(start + step, whole)])
        self._pending = [samples[whole:]] if whole < len(samples) else []
        self._pending_frames = len(samples) - whole

    def _hear(self, samples: NDArray[np.int16]) -> list[Finding]:
        mono = _mono(samples)
        self._recent.add(mono)
        self._blocks.append(mono)
        findings: list[Finding] = []
        while event := self._watch.step():
            findings += self._credible(self._settler.settle(event, self._watch.noise), samples)
            self._watch.resume(event)
            self._followed = self._watch.settled_until
            if event.noisy:
                at = self._arrivals.at(event.start * self._blocks.length)
                self._conditions.noise_began(at, self._watch.noise)
        findings += self._follow()
        present = any(source.present for source in self._sources)
        listening = not (self._watch.eventful and present)
        findings += self._conditions.look(samples, listening=listening, heard=present)
        memory = int(_MEMORY_S * self._rate_hz)
        self._blocks.forget(self._watch.needed_from)
        self._arrivals.forget(self._recent.end - memory)
        return findings

    def _credible(self, findings: list[Finding], samples: NDArray[np.int16]) -> list[Finding]:
        """Without what is but the echo of a condition that is reported by itself."""
        if self._conditions.noisy:
            findings = [f for f in findings if f.detail.get("content") in ("silent", "other")]
        levels = any(f.kind == "level" for f in findings)
        if levels and (self._conditions.lopsided or sides_differ(samples)):
            findings = [f for f in findings if f.kind != "level"]
        return findings

    def _follow(self) -> list[Finding]:
        steady_from = self._watch.steady_from
        start, stop = self._followed, self._blocks.end
        if steady_from is None or stop - start < LEAST_BLOCKS:
            return []
        follow(self._blocks, self._sources, start, stop)
        confirm(self._blocks, self._sources, steady_from, stop, self._limits.sigma_rad)
        self._watch.learn(start, stop)
        self._measure_latency(start)
        self._followed = stop
        at = self._arrivals.at(self._recent.end)
        return self._ramps() + self._conditions.noise_now(at, self._watch.noise)

    def _measure_latency(self, start: int) -> None:
        indexes, arrivals = self._arrivals.since(start * self._blocks.length, _LATENCY_CHUNKS)
        if not len(indexes):
            return
        for source in self._sources:
            if source.present:
                sent = self._epoch + source.model().at(indexes) / RATE_HZ
                late = float(np.sort(arrivals - sent)[len(sent) // 2]) - _EARLIEST_LATENCY_S
                self._latency[source.index] = late % PERIOD_S + _EARLIEST_LATENCY_S

    def _ramps(self) -> list[Finding]:
        findings = []
        for source in self._sources:
            level = source.level_db
            if source.present and abs(level - source.reference_db) >= _RAMP_DB:
                detail = {"from_db": round(source.reference_db, 2), "to_db": round(level, 2)}
                source.reference_db = level
                at = self._arrivals.at(self._recent.end)
                findings.append(Finding("level", source.index, at, 0.0, detail))
        return findings

    def _status_of(self, source: Source) -> Status:
        if not source.present:
            return Status(heard=False)
        sure = source.misfit_rad < _DOUBTFUL_RAD
        latency = self._latency.get(source.index) if sure else None
        return Status(
            heard=True,
            level_db=round(source.level_db, 2),
            latency_ms=None if latency is None else round(latency * 1e3, 3),
            drift_ppm=round(source.drift * 1e6, 2),
            residual_db=round(gain_db(self._watch.noise / self._watch.reference), 1),
        )


def _mono(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Mean of the channels, full scale at 1."""
    channels = samples.shape[1]
    weights = np.full(channels, 1 / (32768 * channels), dtype=np.float32)
    return np.asarray(samples.astype(np.float32) @ weights)


def _with_channels(samples: NDArray[np.int16], channels: int) -> NDArray[np.int16]:
    """The mean of the channels there are on as many channels as asked for."""
    mean = samples.mean(axis=1, dtype=np.float32).astype(np.int16)
    return np.repeat(mean[:, None], channels, axis=1)
