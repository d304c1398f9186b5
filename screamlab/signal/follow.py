"""Keeps the sources of a steady stream in step: place, pace and level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.blocks import Blocks
from screamlab.signal.ranging import find_shift
from screamlab.signal.source import Phasors, Source
from screamlab.signal.tones import RATE_HZ

LEAST_BLOCKS = 12
_CONFIRM_BLOCKS = 60
_SPAN_BLOCKS = 100
_FAST_DRIFT = 10e-6
_SMOOTHING = 0.2


def follow(blocks: Blocks, sources: list[Source], start: int, stop: int) -> None:
    """Correct every present source by what blocks `start` .. `stop - 1` of a steady run show."""
    centres = blocks.centres(max(start, stop - _SPAN_BLOCKS), stop)
    end = float(centres[-1])
    for number, source in enumerate(sources):
        if not source.present:
            continue
        run = blocks.of(start, stop)[:, number]
        delays = _delays(run, source)[-len(centres) :]
        seconds = (centres - end) / source.rate_hz
        spread = seconds - seconds.mean()
        slope = float(spread @ delays / (spread @ spread))
        place = float(delays.mean() - slope * seconds.mean())
        gain = 1.0 if abs(slope) > _FAST_DRIFT else _SMOOTHING
        blocks.correct(number, place * RATE_HZ, source.drift + gain * slope, end)
        heard = np.abs(blocks.of(start, stop)[-_SPAN_BLOCKS:, number].mean(axis=0))
        size = np.abs(source.gains)
        source.gains = source.gains * (1 + _SMOOTHING * (heard / size - 1))


def _delays(run: Phasors, source: Source) -> NDArray[np.float64]:
    """By how many seconds each block is ahead of the source's place; followed block by block, so
    that a pace far off does not lose count of whole turns."""
    omega = 2 * np.pi * source.frequencies_hz
    turns = np.empty(run.shape)
    turns[0] = np.angle(run[0] * source.gains.conj())
    turns[1:] = np.angle(run[1:] * run[:-1].conj())
    delays: NDArray[np.float64] = turns.cumsum(axis=0) @ omega / (omega @ omega)
    return delays


def confirm(blocks: Blocks, sources: list[Source], start: int, stop: int, sigma: float) -> None:
    """Once a source has been steady long enough, make sure that it was located rightly."""
    if stop - start < _CONFIRM_BLOCKS:
        return
    for number, source in enumerate(sources):
        if not source.present or source.confirmed:
            continue
        source.confirmed = True
        gains = blocks.of(stop - _CONFIRM_BLOCKS, stop)[:, number].mean(axis=0)
        shift = find_shift(gains, source.frequencies_hz, sigma)
        source.misfit_rad = shift.error_rad
        if abs(shift.seconds) * RATE_HZ > 0.5:
            index = stop * float(blocks.length)
            blocks.correct(number, shift.seconds * RATE_HZ, source.drift, index)
            gains = gains * source.turn(shift.seconds)
        source.gains = gains
