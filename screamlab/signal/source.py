"""One expected source inside a stream: where in its signal the listener is, and how loud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.tones import RATE_HZ, TONE_PEAK, signal

Phasors = NDArray[np.complex128]


@dataclass(frozen=True)
class Model:
    """Steady sound of one source: sample m holds the signal at position `at(m)`, times `gains`."""

    frequencies_hz: NDArray[np.float64]
    anchor: float
    position: float
    pace: float
    gains: Phasors

    def at(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position in the signal (samples of 48 kHz, unbounded) at stream indexes."""
        return self.position + self.pace * (index - self.anchor)

    def carrier(self, index: NDArray[np.float64]) -> Phasors:
        """Unit phasors (indexes, tones) of the signal as it would be with unit gains."""
        turns = np.outer(self.at(index) / RATE_HZ, self.frequencies_hz)
        return np.exp(2j * np.pi * (turns - np.floor(turns)))

    def wave(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sound itself at stream indexes."""
        return (self.carrier(index) @ self.gains).imag

    @property
    def power(self) -> float:
        """Mean square of the sound."""
        return float((np.abs(self.gains) ** 2).sum() / 2)


class Source:
    """State of one source. `present` means that it is being heard and tracked."""

    def __init__(self, index: int, rate_hz: int) -> None:
        self.index = index
        self.frequencies_hz = np.array(signal(index).frequencies_hz)
        self.rate_hz = rate_hz
        self.present = False
        self.located = False
        self.confirmed = False
        self.misfit_rad = 0.0
        self.drift = 0.0
        self.lost_at: float | None = None
        self.lost_time = 0.0
        self.lost_content = "silent"
        self.gains = np.full(4, TONE_PEAK, dtype=np.complex128)
        self.reference_db = 0.0
        self._anchor = 0.0
        self._position = 0.0

    def model(self, gains: Phasors | None = None) -> Model:
        """The source as it is tracked now, with its own or other gains."""
        pace = (1 + self.drift) * RATE_HZ / self.rate_hz
        gains = self.gains if gains is None else gains
        return Model(self.frequencies_hz, self._anchor, self._position, pace, gains)

    def correct(self, samples: float, drift: float, index: float) -> None:
        """Move the position by samples of 48 kHz; change the pace from stream index `index` on."""
        self._position += samples + self.model().pace * (index - self._anchor)
        self._anchor = index
        self.drift = drift

    def turn(self, seconds: float) -> Phasors:
        """What a move by `seconds` multiplies phasors against the carrier with."""
        return np.exp(-2j * np.pi * self.frequencies_hz * seconds)

    @property
    def level_db(self) -> float:
        """Gain against the signal as sent."""
        return gain_db(float((np.abs(self.gains) ** 2).mean()) / TONE_PEAK**2)

    @property
    def power(self) -> float:
        """Mean square of the sound expected."""
        return float((np.abs(self.gains) ** 2).sum() / 2)


def gain_db(power_ratio: float) -> float:
    """Decibels of a power ratio, not below -120."""
    return 10 * float(np.log10(max(power_ratio, 1e-12)))
