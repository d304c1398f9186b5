"""Memory as processes hold it without leaking: made-up series that no leak may be seen in.

A shape makes `draws` series (rows, MiB) at the times `hours`; what it is made of is drawn anew for
each. All but `BARE` lie on noise of a few pages, and `series` rounds to pages (4 KiB).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Values = NDArray[np.float64]
Shape = Callable[[Generator, int, Values], Values]

PAGES_PER_MIB = 256
_NOISE_MIB = 0.05
_STAIR_MIB = 1 / 16


def series(shape: str, draws: int, hours: Values, random: Generator) -> Values:
    """`draws` healthy series of a shape of `SHAPES`, in MiB."""
    noise = 0.0 if shape in BARE else random.normal(0, _NOISE_MIB, (draws, len(hours)))
    return _paged(SHAPES[shape](random, draws, hours) + noise)


def leaking(
    shape: str, healthy: Values, mib_per_hour: Values, hours: Values, random: Generator
) -> Values:
    """The series with a leak on top; one rate each."""
    if shape not in STAIRS:
        return _paged(healthy + mib_per_hour[:, np.newaxis] * hours)
    each_hours = np.diff(hours, prepend=hours[:1])
    steps = random.poisson(mib_per_hour[:, np.newaxis] / _STAIR_MIB * each_hours)
    return _paged(healthy + _STAIR_MIB * np.cumsum(steps, axis=1))


def _paged(values: Values) -> Values:
    return np.round(values * PAGES_PER_MIB) / PAGES_PER_MIB


def _flat(random: Generator, draws: int, hours: Values) -> Values:
    """What is held does not change."""
    return np.zeros((draws, len(hours)))


def _flat_in_stairs(random: Generator, draws: int, hours: Values) -> Values:
    """The same, but its leak comes 64 KiB at a time, at random times."""
    return _flat(random, draws, hours)


def _coarse(random: Generator, draws: int, hours: Values) -> Values:
    """A counter that is read only to 128 KiB, as the kernel's own per processor may be."""
    return np.round(random.normal(0, 0.02, (draws, len(hours))) * 8) / 8


def _bursts(random: Generator, draws: int, hours: Values) -> Values:
    """A tenth of the samples holds up to 15 MiB more."""
    shape = (draws, len(hours))
    return 15 * (random.random(shape) < 0.1) * random.random(shape)


def _saw_tooth(random: Generator, draws: int, hours: Values) -> Values:
    """Fills by 2 to 30 MiB and is emptied, every 1 to 6 minutes."""
    every, high, begin = _draw(random, draws, (1 / 60, 0.1), (2, 30), (0, 1))
    return high * ((hours / every + begin) % 1)


def _gc_waves(random: Generator, draws: int, hours: Values) -> Values:
    """A saw-tooth of 2 to 10 minutes, each as high and left as full (by 0.1 MiB) as it comes."""
    every, high, begin = _draw(random, draws, (1 / 30, 1 / 6), (2, 30), (0, 1))
    wave = hours / every + begin
    number = wave.astype(int)
    highs = random.uniform(0.3, 1.7, (draws, number.max() + 1))
    left = random.normal(0, 0.1, (draws, number.max() + 1))
    return high * (wave % 1) * _of(highs, number) + _of(left, number)


def _steps(random: Generator, draws: int, hours: Values) -> Values:
    """Grows by 1 to 60 MiB at once, one to three times."""
    times = random.integers(1, 4, (draws, 1))
    total = _flat(random, draws, hours)
    for turn in range(3):
        high, at = _draw(random, draws, (1, 60), (0, 1))
        total += high * (turn < times) * (hours > at * hours[-1])
    return total


def _plateau(random: Generator, draws: int, hours: Values) -> Values:
    """Nears a plateau of 5 to 100 MiB, with a time constant of up to a sixth of the run."""
    high, share = _draw(random, draws, (5, 100), (0.02, 1 / 6))
    return high * (1 - np.exp(-hours / (share * hours[-1])))


def _cache(random: Generator, draws: int, hours: Values) -> Values:
    """A cache that fills evenly, by 5 to 200 MiB, for up to half of the run."""
    high, share = _draw(random, draws, (5, 200), (0.05, 0.5))
    return high * np.minimum(1, hours / (share * hours[-1]))


def _walk(random: Generator, draws: int, hours: Values) -> Values:
    """A random walk held within bounds: 0.05 to 0.5 MiB (standard deviation), 1 to 15 minutes."""
    deviation, minutes = _draw(random, draws, (0.05, 0.5), (1, 15))
    stays = np.exp(-(hours[1] - hours[0]) * 60 / minutes[:, 0])
    pushes = random.normal(size=(len(hours), draws)) * np.sqrt(1 - stays**2)
    walked, now = np.empty((len(hours), draws)), random.normal(size=draws)
    for turn, push in enumerate(pushes):
        now = stays * now + push
        walked[turn] = now
    return deviation * walked.T


def _periodic(random: Generator, draws: int, hours: Values) -> Values:
    """A wave of the load, 1 to 20 MiB high and a twentieth to a half of the run long."""
    share, high, begin = _draw(random, draws, (0.05, 0.5), (1, 20), (0, 1))
    return high * np.sin(2 * np.pi * (hours / (share * hours[-1]) + begin))


def _on_and_off(random: Generator, draws: int, hours: Values) -> Values:
    """Load that is there half of the time, in spells of up to a fifth of the run."""
    share, high, begin = _draw(random, draws, (0.02, 0.4), (1, 20), (0, 1))
    return high * ((hours / (share * hours[-1]) + begin) % 1 < 0.5)


def _walk_with_steps(random: Generator, draws: int, hours: Values) -> Values:
    """A bounded walk, and steps."""
    return _walk(random, draws, hours) + _steps(random, draws, hours)


def _cache_and_waves(random: Generator, draws: int, hours: Values) -> Values:
    """A cache fill, and GC waves."""
    return _cache(random, draws, hours) + _gc_waves(random, draws, hours)


def _draw(random: Generator, draws: int, *ranges: tuple[float, float]) -> list[Values]:
    """One number of each range for each draw, as columns."""
    return [random.uniform(low, high, (draws, 1)) for low, high in ranges]


def _of(each: Values, number: NDArray[np.int_]) -> Values:
    return np.take_along_axis(each, number, axis=1)


SHAPES: dict[str, Shape] = {
    "flat": _flat,
    "flat, leak in stairs": _flat_in_stairs,
    "coarse": _coarse,
    "bursts": _bursts,
    "saw-tooth": _saw_tooth,
    "GC waves": _gc_waves,
    "steps": _steps,
    "slow plateau": _plateau,
    "cache fill": _cache,
    "bounded walk": _walk,
    "periodic load": _periodic,
    "load on and off": _on_and_off,
    "walk with steps": _walk_with_steps,
    "cache and waves": _cache_and_waves,
}
BARE = {"coarse"}
STAIRS = {"flat, leak in stairs"}
