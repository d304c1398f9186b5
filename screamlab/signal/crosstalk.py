"""Sound from sources that are not routed here, found in a short spectrum once a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.source import gain_db
from screamlab.signal.tones import TONE_PEAK, signal

WINDOW = 16384
_LEAST_DB = -46.0
_LEAST_SNR = 10**1.5
_LEAST_TONES = 3
_FLOOR_BINS = np.concatenate([np.arange(-14, -6), np.arange(7, 15)])
_PEAK_BINS = np.arange(-1, 2)
_MEDIAN = len(_FLOOR_BINS) // 2
# Blackman-Harris: side lobes at -92 dB, so a full-scale neighbour 12 Hz away hides nothing.
_TERMS = (0.35875, -0.48829, 0.14128, -0.01168)


class Crosstalk:
    """Looks for the tones of foreign sources, at least three of four, in `WINDOW` samples."""

    def __init__(self, foreign: Sequence[int], rate_hz: int) -> None:
        self._foreign = tuple(foreign)
        turns = 2 * np.pi / WINDOW * np.arange(WINDOW)
        window = sum(term * np.cos(order * turns) for order, term in enumerate(_TERMS))
        self._window = np.asarray(window, dtype=np.float32)
        self._scale = float((2 / self._window.sum() / TONE_PEAK) ** 2)
        tones = np.array([signal(index).frequencies_hz for index in foreign]).reshape(-1, 4)
        centres = np.rint(tones * WINDOW / rate_hz).astype(int)[:, :, None]
        self._bins = centres + np.concatenate([_PEAK_BINS, _FLOOR_BINS])

    def levels(self, samples: NDArray[np.float32]) -> dict[int, float]:
        """Gain in dB, against the signal as sent, of every foreign source that is heard."""
        if not self._foreign:
            return {}
        spectrum = np.fft.rfft(samples * self._window)[self._bins]
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        peaks = power[..., : len(_PEAK_BINS)].max(axis=2)
        floors = np.partition(power[..., len(_PEAK_BINS) :], _MEDIAN, axis=2)[..., _MEDIAN]
        clear = (peaks > floors * _LEAST_SNR) & (peaks > 10 ** (_LEAST_DB / 10))
        heard = clear.sum(axis=1) >= _LEAST_TONES
        return {
            self._foreign[row]: round(gain_db(float(np.median(peaks[row][clear[row]]))), 1)
            for row in np.flatnonzero(heard)
        }
