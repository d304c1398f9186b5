"""The fast path: splits the blocks of a stream into steady runs and events between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.blocks import Blocks
from screamlab.signal.limits import PRESENCE, RESIDUAL_HEADROOM, Limits
from screamlab.signal.source import Source
from screamlab.signal.tones import POWER

_SETTLE_S = 0.04
_ACQUIRE_S = 0.1
_RESTLESS_S = 1.0
_RETUNE_S = 0.1
_PATIENCE_S = 0.3
_REMEMBERED = 64
_LEARNING = 0.1
_LEAST_RETUNE = 3e-6
_TURN_ERROR_RAD = 0.03
# What sounds along as loud as a source or louder lets its tones stray by so much.
_NOISY_STRAY = 0.1


@dataclass(frozen=True)
class Event:
    """Blocks `start` .. `settled - 1` were not steady; those from `settled` on are again.

    `steady_from` is the first block of the steady run before it, None when there was none;
    `settled` is None when the stream found no rest within a second, and `run` is how long the run
    is that settled it; `noisy` means that the tones are steady again but something unknown sounds
    along.
    """

    steady_from: int | None
    start: int
    settled: int | None
    end: int
    run: int
    noisy: bool = False


class Watch:
    """Follows the blocks and yields an `Event` whenever one has ended."""

    def __init__(self, blocks: Blocks, sources: list[Source], limits: Limits, rate_hz: int) -> None:
        self._blocks = blocks
        self._sources = sources
        self._limits = limits
        self._settle = max(3, round(_SETTLE_S * rate_hz / blocks.length))
        self._acquire = max(3, round(_ACQUIRE_S * rate_hz / blocks.length))
        self._restless = round(_RESTLESS_S * rate_hz / blocks.length)
        self._patience = round(_PATIENCE_S * rate_hz / blocks.length)
        self._retune = round(_RETUNE_S * rate_hz / blocks.length)
        self._event_start: int | None = 0
        self._searched = 0
        self._steady_from: int | None = None
        self._next = 0
        self.noise = 0.0

    @property
    def eventful(self) -> bool:
        """True while an event is going on."""
        return self._event_start is not None

    @property
    def steady_from(self) -> int | None:
        """First block of the present steady run."""
        return None if self.eventful else self._steady_from

    @property
    def settled_until(self) -> int:
        """First block that the search for events has yet to look at."""
        return self._next

    @property
    def needed_from(self) -> int:
        """First block that may still be asked for."""
        start = self._blocks.end if self._event_start is None else self._event_start
        return start - _REMEMBERED

    @property
    def reference(self) -> float:
        """Power of the sound expected, that of one signal when none is."""
        return sum(s.power for s in self._sources if s.present) or POWER

    def step(self) -> Event | None:
        """The next event that has ended, None when the blocks so far hold no more."""
        if self._event_start is None:
            self._event_start = self._first_restless()
            if self._event_start is None:
                return None
            self._searched = self._event_start
        return self._try_settle(self._event_start)

    def abandon(self) -> Event | None:
        """The event that is going on, given up as it stands."""
        if self._event_start is None:
            return None
        return Event(self._steady_from, self._event_start, None, self._blocks.end, 0)

    def resume(self, event: Event) -> None:
        """Go on behind an event, once the sources have been brought up to date."""
        if event.settled is None:
            self._event_start, self._searched, self._steady_from = event.end, event.end, None
            return
        if event.noisy:
            self.noise = self._mean_residual(event.settled, event.settled + event.run)
        self._event_start = None
        self._steady_from = event.settled
        self._next = event.settled + event.run

    def learn(self, start: int, stop: int) -> None:
        """Take blocks of a steady run as the measure of the stream's own noise."""
        mean = self._mean_residual(start, stop)
        sudden = not self.noise or mean < self.noise / 4
        self.noise = mean if sudden else self.noise + _LEARNING * (mean - self.noise)

    def _mean_residual(self, start: int, stop: int) -> float:
        first = self._blocks.first
        return float(self._blocks.residual[start - first : stop - first].mean())

    def _residual_limit(self) -> float:
        return max(self._limits.residual * self.reference, self.noise * RESIDUAL_HEADROOM)

    def _first_restless(self) -> int | None:
        start, end = self._next, self._blocks.end
        if start >= end:
            return None
        assert self._steady_from is not None
        low = max(self._steady_from, start - self._settle)
        phasors = self._blocks.of(low, end)
        restless = np.zeros(end - start, dtype=bool)
        if any(source.present for source in self._sources):
            residual = self._blocks.residual[start - self._blocks.first :]
            restless |= residual > self._residual_limit()
            restless |= self._strays(phasors, start - low)
        restless |= self._appears(phasors[start - low :])
        hits = np.flatnonzero(restless)
        if not len(hits):
            self._next = end
            return None
        return start + int(hits[0])

    def _strays(self, phasors: NDArray[np.complex128], lead: int) -> NDArray[np.bool_]:
        sums = np.concatenate([np.zeros((1, *phasors.shape[1:])), np.cumsum(phasors, axis=0)])
        stops = np.arange(lead, len(phasors))
        starts = np.maximum(stops - self._settle, 0)
        means = (sums[stops] - sums[starts]) / (stops - starts)[:, None, None]
        errors = (np.abs(phasors[lead:] - means) ** 2).sum(axis=2)
        limits = np.array(
            [self._allowed(s.power, self.noise) if s.present else np.inf for s in self._sources]
        )
        return (errors > limits).any(axis=1)

    def _allowed(self, power: Any, along: float) -> Any:
        """By what power the tones of sources may stray while something else sounds along."""
        return 2 * np.maximum(power * self._limits.stray, _NOISY_STRAY * np.minimum(power, along))

    def _appears(self, phasors: NDArray[np.complex128]) -> NDArray[np.bool_]:
        absent = [n for n, source in enumerate(self._sources) if not source.present]
        if not absent:
            return np.zeros(len(phasors), dtype=bool)
        power = (np.abs(phasors[:, absent]) ** 2).sum(axis=2) / 2
        floor = 2 * PRESENCE * POWER + self.noise
        return (power > floor).any(axis=1)

    def _try_settle(self, start: int) -> Event | None:
        first = self._steady_from is None and not any(s.located for s in self._sources)
        need = self._acquire if first else self._settle
        end = self._blocks.end
        settled = self._steady_run(self._searched, end, need, noisy=False)
        if settled is not None:
            return Event(self._steady_from, start, settled, end, need)
        self._searched = max(self._searched, end - need + 1)
        latest = max(start, end - 2 * self._retune)
        if end - start > self._patience:
            settled = self._steady_run(latest, end, need, noisy=True)
            if settled is not None:
                return Event(self._steady_from, start, settled, end, need, noisy=True)
        if end - start >= self._retune and self._retune_drift(latest, end):
            self._searched = latest
        if end - start > self._restless:
            return Event(self._steady_from, start, None, end, 0)
        return None

    def _steady_run(self, start: int, end: int, need: int, noisy: bool) -> int | None:
        if end - start < need:
            return None
        phasors = self._blocks.of(start, end)
        means = _running_mean(phasors, need)
        powers = (np.abs(means) ** 2).sum(axis=2) / 2
        total = np.maximum(powers.sum(axis=1), PRESENCE * POWER)
        if any(source.present for source in self._sources):
            total = np.maximum(total, self.reference)
        limit = np.maximum(total * self._limits.residual, self.noise * RESIDUAL_HEADROOM)
        residual = self._blocks.residual[start - self._blocks.first :]
        loudest = np.lib.stride_tricks.sliding_window_view(residual, need).max(axis=1)
        quiet = np.ones(len(means), dtype=bool) if noisy else loudest <= limit
        for at in np.flatnonzero(quiet):
            errors = (np.abs(phasors[at : at + need] - means[at]) ** 2).sum(axis=2).max(axis=0)
            floor = 0.0 if noisy else total[at] / 4
            along = residual[at : at + need].mean() if noisy else 0.0
            allowed = self._allowed(np.maximum(powers[at], floor), along)
            if (errors <= allowed).all():
                return start + int(at)
        return None

    def _retune_drift(self, start: int, end: int) -> bool:
        """Find the pace of sources whose tones turn against their carriers, all by one delay."""
        changed = False
        run = self._blocks.of(start, end)
        for number, source in enumerate(self._sources):
            product = (run[1:, number] * run[:-1, number].conj()).sum(axis=0)
            energy = (np.abs(run[:, number]) ** 2).sum(axis=0)
            steady = np.abs(product).sum() > 0.8 * energy.sum()
            if not steady or energy.sum() < PRESENCE * POWER * len(run):
                continue
            block_s = self._blocks.length / source.rate_hz
            omega = 2 * np.pi * source.frequencies_hz * block_s
            turns = np.angle(product)
            change = float(turns @ omega / (omega @ omega))
            alike = np.abs(turns - change * omega).max() < _TURN_ERROR_RAD
            if alike and abs(change) > _LEAST_RETUNE:
                index = float(self._blocks.centres(end - 1, end)[0])
                self._blocks.correct(number, 0.0, source.drift + change, index)
                changed = True
        return changed


def _running_mean(phasors: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    sums = np.concatenate([np.zeros((1, *phasors.shape[1:])), np.cumsum(phasors, axis=0)])
    return (sums[count:] - sums[:-count]) / count
