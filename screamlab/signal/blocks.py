"""Recent blocks of one stream, each reduced to its phasors and its unexplained power."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.kernel import BlockKernel
from screamlab.signal.source import Phasors, Source
from screamlab.signal.tones import RATE_HZ

_REBUILD_DRIFT = 8e-6


class Blocks:
    """A growing tail of blocks, addressed by block number; old ones are forgotten.

    `phasors` (blocks, sources, 4) are against each source's carrier, so they stand still while
    the source is tracked; `residual` is the loudest cell's unexplained power.
    """

    def __init__(self, sources: list[Source], rate_hz: int) -> None:
        self._sources = sources
        self._rate_hz = rate_hz
        self._drifts = np.zeros(len(sources))
        self._kernel = BlockKernel(self._frequencies(), rate_hz)
        self.length = self._kernel.length
        self.cell = self._kernel.cell
        self.first = 0
        self.phasors: Phasors = np.empty((0, len(sources), 4), np.complex128)
        self.residual: NDArray[np.float64] = np.empty(0)

    @property
    def end(self) -> int:
        """Number of the next block."""
        return self.first + len(self.residual)

    def centres(self, start: int, stop: int) -> NDArray[np.float64]:
        """Stream index of the centres of blocks `start` .. `stop - 1`."""
        return np.arange(start, stop, dtype=np.float64) * self.length + (self.length - 1) / 2

    def append(self, samples: NDArray[np.float32]) -> None:
        """Analyse whole blocks of mono samples that follow the last ones."""
        self._follow_drift()
        raw, power = self._kernel.analyse(samples)
        start = self.end
        centres = self.centres(start, start + len(power))
        phasors = raw.reshape(len(power), len(self._sources), 4)
        for number, source in enumerate(self._sources):
            phasors[:, number] *= 1j * source.model().carrier(centres).conj()
        self.phasors = np.concatenate([self.phasors, phasors])
        self.residual = np.concatenate([self.residual, power])

    def of(self, start: int, stop: int) -> Phasors:
        """Phasors of blocks `start` .. `stop - 1`."""
        return self.phasors[start - self.first : stop - self.first]

    def correct(self, number: int, samples: float, drift: float, index: float) -> None:
        """Move a source by samples of 48 kHz and change its pace from stream index `index` on.

        The phasors held are turned as if it had been so all along.
        """
        source = self._sources[number]
        change = (drift - source.drift) / self._rate_hz
        source.correct(samples, drift, index)
        seconds = samples / RATE_HZ + change * (self.centres(self.first, self.end) - index)
        self.phasors[:, number] *= np.exp(np.outer(seconds, -2j * np.pi * source.frequencies_hz))

    def forget(self, before: int) -> None:
        """Drop blocks before number `before`."""
        drop = min(max(before - self.first, 0), len(self.residual))
        self.phasors, self.residual = self.phasors[drop:], self.residual[drop:]
        self.first += drop

    def _follow_drift(self) -> None:
        drifts = np.array([source.drift for source in self._sources])
        if np.any(np.abs(drifts - self._drifts) > _REBUILD_DRIFT):
            self._drifts = drifts
            self._kernel = BlockKernel(self._frequencies(), self._rate_hz, self.length)

    def _frequencies(self) -> NDArray[np.float64]:
        tones = [
            s.frequencies_hz * (1 + d) for s, d in zip(self._sources, self._drifts, strict=True)
        ]
        return np.concatenate(tones) if tones else np.empty(0)
