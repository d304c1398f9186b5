"""Multi-frequency phase ranging: the one delay that turns four tones by four given phases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.tones import PERIOD_S

_NEAR_S = 0.1
_PRIOR_S = 0.005
_GOOD_FIT = 16.0


@dataclass(frozen=True)
class Shift:
    """A shift in time, and the phase error (rad, root mean square) that it leaves."""

    seconds: float
    error_rad: float


def find_shift(
    turns: NDArray[np.complex128], frequencies_hz: NDArray[np.float64], sigma_rad: float
) -> Shift:
    """The shift within ±2 s that turns tone k by the phase of `turns[k]`.

    The highest tone gives the candidates, least squares over all tones rates them, and among
    candidates that fit `sigma_rad` (the phase noise expected) equally well the shorter wins.
    """
    near = _search(turns, frequencies_hz, sigma_rad, _NEAR_S)
    if (near.error_rad / sigma_rad) ** 2 * len(turns) < _GOOD_FIT:
        return near
    return _search(turns, frequencies_hz, sigma_rad, PERIOD_S / 2)


def _search(
    turns: NDArray[np.complex128],
    frequencies_hz: NDArray[np.float64],
    sigma_rad: float,
    reach_s: float,
) -> Shift:
    top = int(np.argmax(frequencies_hz))
    cycles = np.angle(turns) / (2 * np.pi)
    reach = int(reach_s * frequencies_hz[top])
    shifts = (cycles[top] + np.arange(-reach, reach + 1)) / frequencies_hz[top]
    errors = cycles - shifts[:, None] * frequencies_hz
    errors -= np.rint(errors)
    errors *= 2 * np.pi
    omega = 2 * np.pi * frequencies_hz
    corrections = errors @ omega / (omega @ omega)
    squares = (errors**2).sum(axis=1) - corrections**2 * (omega @ omega)
    shifts += corrections
    cost = squares / sigma_rad**2 + 2 * np.log1p(np.abs(shifts) / _PRIOR_S)
    best = int(np.argmin(cost))
    return Shift(float(shifts[best]), float(np.sqrt(max(squares[best], 0.0) / len(turns))))
