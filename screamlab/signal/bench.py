"""How many times faster than real time the oracle listens on one core."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.oracle import Oracle
from screamlab.signal.tones import PERIOD_SAMPLES, RATE_HZ, signal

_CHUNK = 288
_ROUNDS = 3


def measure(seconds: float) -> dict[str, float]:
    """Times real time per core for 48 kHz stereo int16, fed packet by packet (288 frames).

    `seconds` of sound are heard per case, three times, and the best counts. Keys:
    `hears_1_x`, `hears_4_x`, and `hears_1_1s_x` for chunks of one second. CPU time is what is
    measured, so other work on the machine does not count.
    """
    return {
        "hears_1_x": _speed([0], seconds, _CHUNK),
        "hears_1_1s_x": _speed([0], seconds, RATE_HZ),
        "hears_4_x": _speed([0, 1, 2, 3], seconds, _CHUNK),
    }


def _speed(hears: list[int], seconds: float, chunk: int) -> float:
    stream = _stream(hears)
    periods = max(1, round(seconds * RATE_HZ / PERIOD_SAMPLES))
    best = float("inf")
    for _ in range(_ROUNDS):
        oracle = Oracle(hears, foreign=range(100, 120))
        started = time.process_time()
        for period in range(periods):
            for first in range(0, PERIOD_SAMPLES, chunk):
                arrival = (period * PERIOD_SAMPLES + first) / RATE_HZ
                oracle.feed(stream[first : first + chunk], arrival)
        best = min(best, time.process_time() - started)
    return round(periods * PERIOD_SAMPLES / RATE_HZ / best, 1)


def _stream(hears: list[int]) -> NDArray[np.int16]:
    """One period of the mix, both channels the same."""
    mono = sum(signal(index).render(0, PERIOD_SAMPLES) for index in hears)
    return np.repeat(np.rint(np.asarray(mono) * 32768).astype(np.int16)[:, None], 2, axis=1)
