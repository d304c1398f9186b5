"""Test signals: four steady tones per source, told apart by frequency and timed by phase.

Tones survive what an audio router does to sound: a codec keeps them, a resampler or a buffer only
delays them, a mixer adds them. Four phases read together give the delay unambiguously over the
whole period, as in multi-frequency phase ranging, so no codes or markers are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from screamlab.errors import BadInput
from screamlab.signal.table import TONES

RATE_HZ = 48000
PERIOD_S = 4
PERIOD_SAMPLES = PERIOD_S * RATE_HZ

# Peak of one signal as a part of full scale: a mix of ten cannot clip, and a signal 40 dB below
# another still moves a 16-bit sample by 8 steps per tone.
PEAK = 0.1
TONE_PEAK = PEAK / 4
POWER = 4 * TONE_PEAK**2 / 2


@dataclass(frozen=True)
class Signal:
    """One test signal: a function of the sample index at 48 kHz with a period of 4 s."""

    index: int
    frequencies_hz: tuple[float, ...]

    def render(self, first_sample: int, count: int) -> NDArray[np.float32]:
        """Samples `first_sample` .. `first_sample + count - 1`, within ±0.1 of full scale."""
        period = _period(self.index)
        start = first_sample % PERIOD_SAMPLES
        if start + count <= PERIOD_SAMPLES:
            return period[start : start + count].copy()
        return np.take(period, np.arange(start, start + count), mode="wrap")


def signal(index: int) -> Signal:
    """The test signal with this index, 0 .. `signal_count() - 1`; `BadInput` outside of that."""
    if not 0 <= index < len(TONES):
        raise BadInput(f"there is no test signal {index}: they are numbered 0..{len(TONES) - 1}")
    return Signal(index, tuple(tone / PERIOD_S for tone in TONES[index]))


def signal_count() -> int:
    """How many sources can be told apart in one run."""
    return len(TONES)


@lru_cache(maxsize=len(TONES))
def _period(index: int) -> NDArray[np.float32]:
    # Whole cycles per period, so the phase is exact in integers.
    cycles = np.array(TONES[index], dtype=np.int64)
    turns = np.outer(cycles, np.arange(PERIOD_SAMPLES, dtype=np.int64)) % PERIOD_SAMPLES
    waves = np.sin(2 * np.pi / PERIOD_SAMPLES * turns).sum(axis=0)
    return (TONE_PEAK * waves).astype(np.float32)
