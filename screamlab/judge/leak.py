"""Whether a resource grows and does not stop: by time, or with every client that came and went.

For a series of anything, sampled at any times::

    found = growth(Samples(t, value), (Window(from_s, to_s),), without=impaired)
    if found is None: …              # the time is too short for `MIN_FLOORS` pieces
    if found.low > limit:            # a leak, unless found.settling: then nothing can be said
    found.visible(limit)             # the smallest leak that would have been found, with 95 %

All rates are per second, of the value's own unit. A **leak** is growth above a limit in *every*
quarter of the time: `Growth.low`, the slope in the quarter that grew least, lies above it. So a
step, a cache that fills and a plateau are none, without a model of any of them. The price is
sensitivity, which `visible` tells, and `docs/leak-calibration.md` holds against simulated series.

1. **Floors.** The time is cut into pieces, and of each only its least value is kept: what is held
   for a while (saw-tooth, garbage not yet collected) does not count. Among `PIECES` those are
   taken that blur the slope least, so that waves of up to a twenty-fourth of the run vanish.
2. **Slopes** by Theil and Sen (Sen, J. Am. Stat. Assoc. 63, 1968) in overlapping windows, each a
   quarter long.
3. **Warm-up** is removed beyond what the caller leaves out (a router's timeshift buffer fills for
   300 s by design): the leading windows, at most to the half, that grow clearly more than twice as
   fast as the median of the windows after them.
4. **Settling**: the last quarter grows less than half as fast as the first one after the warm-up.
   Such growth may be ending, and is neither a leak nor none.
5. **Blur**: the standard error of a window's slope, wider for floors that depend on the one before
   (variance by (1 + ρ)/(1 − ρ), ρ of lag one, made up for the bias that a fitted line gives it:
   Kendall, Biometrika 41, 1954), or what the series' own granularity hides. The variance is that of
   the calmest third of the windows, so that a step does not blind the whole run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from screamlab.judge.samples import Samples
from screamlab.judge.windows import Windows, inside, length_s, merge, subtract

Values = NDArray[np.float64]

PIECES = (96, 48, 24)
MIN_PIECE_S = 60.0
# Below this a quarter of the floors is no line.
MIN_FLOORS = 20
# Times the standard error (or granules in a window) that a leak must lie above the limit to be
# found with 95 %; from `screamlab bench leak`.
FOUND_AT = 3.6
GRANULES = 3.0
_WINDOWS = 13
_CALM = 1 / 3
# The share of floors that must differ from the one before for a change to be no mere step.
_OFTEN = 1 / 8
# Standard errors by which the least slope must exceed a limit.
_SURE = 0.2
# Where more pieces see no better than by this factor, fewer are taken.
_BETTER = 0.9


@dataclass(frozen=True)
class Growth:
    """How a resource grew, per unit of what it is held against (a second, or a cycle).

    `rate` is that of the median window after the warm-up, `low` the least; `blur` is how far above
    a limit a leak must lie to be found with 95 %. Judged are `floors` floors over a `length` of
    seconds or cycles, from the time `begin` on.
    """

    rate: float
    low: float
    blur: float
    settling: bool
    begin: float
    length: float
    floors: int

    def visible(self, limit: float) -> float:
        """The smallest leak that would have been seen to be above `limit`."""
        return limit + self.blur

    def needed(self, limit: float, visible: float) -> float:
        """How many times as long it takes until a leak of `visible` would be seen."""
        return self.blur / (visible - limit)


def growth(
    samples: Samples,
    windows: Windows,
    without: Windows = (),
    min_piece_s: float = MIN_PIECE_S,
    granule: float = 0.0,
) -> Growth | None:
    """Growth per second in `windows`; None where fewer than `MIN_FLOORS` floors can be had.

    What lies in `without` is not looked at, and its time does not count: what grew there is a step.
    `granule` is the least by which the value can change at all (a page, one thread). Times ascend.
    """
    without = merge(without)
    windows = subtract(windows, tuple(one for one in without if one.length_s >= min_piece_s))
    kept = samples.within(windows)
    kept = Samples(*(x[~inside(kept.t, without)] for x in (kept.t, kept.value)))
    kept = Samples(*(x[np.isfinite(kept.value)] for x in (kept.t, kept.value)))
    found = measure(kept.t, kept.value[np.newaxis], windows, min_piece_s, granule)
    return found.one(0) if found is not None else None


class Measured(NamedTuple):
    """`Growth` of many series at once: one entry a series."""

    rate: Values
    low: Values
    blur: Values
    settling: NDArray[Any]
    begin: Values
    length: Values
    floors: NDArray[Any]

    def one(self, number: int) -> Growth:
        """That of one series."""
        return Growth(*(field[number].item() for field in self))


def measure(
    t: Values,
    values: Values,
    windows: Windows,
    min_piece_s: float = MIN_PIECE_S,
    granule: float = 0.0,
) -> Measured | None:
    """Growth per second of the rows of `values`, sampled at the same times `t` in `windows`."""
    best = None
    for pieces in PIECES:
        piece_s = length_s(windows) / pieces
        if piece_s < min_piece_s:
            continue
        at_s, floor = floors(t, values, windows, piece_s)
        if len(at_s) < MIN_FLOORS:
            continue
        found = look(at_s, _elapsed(at_s, windows), floor, granule)
        best = found if best is None else _clearer(found, best)
    return best


def _elapsed(at_s: Values, windows: Windows) -> Values:
    """How much of the windows is over at each time."""
    over = [np.clip(at_s - window.from_s, 0.0, window.length_s) for window in windows]
    elapsed: Values = np.sum(over, axis=0)
    return elapsed


def _clearer(one: Measured, other: Measured) -> Measured:
    """Of each series what is clearly less blurred, or else the other."""
    better = one.blur < _BETTER * other.blur
    return Measured(*(np.where(better, a, b) for a, b in zip(one, other, strict=True)))


def floors(t: Values, values: Values, windows: Windows, piece_s: float) -> tuple[Values, Values]:
    """The least of each row of `values` in each piece of the windows, and when that piece ends.

    Pieces that hold fewer than half as many samples as is usual are left out.
    """
    bounds, ends = [], []
    for window in windows:
        pieces = max(1, round(window.length_s / piece_s))
        edges = np.linspace(window.from_s, window.to_s, pieces + 1)
        at = np.searchsorted(t, edges)
        bounds += list(zip(at[:-1], at[1:], strict=True))
        ends += list(edges[1:])
    counts = np.array([stop - start for start, stop in bounds])
    usual = np.median(counts[counts > 0]) if counts.any() else np.inf
    full = np.flatnonzero((counts > 0) & (counts >= usual / 2))
    least = [values[:, slice(*bounds[piece])].min(axis=1) for piece in full]
    found = np.stack(least, axis=1) if least else np.empty((len(values), 0))
    return np.array(ends)[full], found


def look(at_s: Values, x: Values, floor: Values, granule: float = 0.0) -> Measured:
    """What rows of floors tell, taken at `at_s` and held against `x`."""
    count = len(x)
    width = count // 4
    starts = np.unique(np.linspace(0, count - width, _WINDOWS).round().astype(int))
    # Where no cycle ended, nothing can be told of them.
    starts = starts[x[starts + width - 1] > x[starts]]
    parts = [_line(x[a : a + width], floor[:, a : a + width]) for a in starts]
    slope, variance, rho = (np.stack(field, axis=1) for field in zip(*parts, strict=True))
    spread = np.array([np.var(x[a : a + width]) * width for a in starts])
    span = np.min(x[starts + width - 1] - x[starts])

    error = np.sqrt(np.quantile(variance, _CALM, axis=1)[:, np.newaxis] / spread)
    begin = np.zeros(len(floor), dtype=int)
    for turn in range(min(int(np.searchsorted(starts, count // 2)), len(starts) - 1)):
        twice = 2 * np.median(slope[:, turn + 1 :], axis=1) + 2 * error[:, turn]
        begin[(begin == turn) & (slope[:, turn] > twice)] = turn + 1

    rate, low, blur, settling = np.zeros((4, len(floor)))
    granules = np.maximum(granule, _granule(floor)) / span
    for turn in np.unique(begin):
        rows = begin == turn
        slopes, calm = slope[rows, turn:], np.quantile(variance[rows, turn:], _CALM, axis=1)
        wider = _inflation(np.median(rho[rows, turn:], axis=1), width)
        error = np.sqrt((calm * wider)[:, np.newaxis] / spread[turn:])
        rate[rows] = np.median(slopes, axis=1)
        low[rows] = (slopes - _SURE * error).min(axis=1)
        blur[rows] = np.maximum(FOUND_AT * error.max(axis=1), GRANULES * granules[rows])
        settling[rows] = slopes[:, -1] < slopes[:, 0] / 2
    first = starts[begin]
    return Measured(rate, low, blur, settling > 0, at_s[first], x[-1] - x[first], count - first)


def _line(x: Values, floor: Values) -> tuple[Values, Values, Values]:
    """Slope, variance of what is beside the line, and its correlation from one to the next."""
    slope = _slope(x, floor)
    beside = floor - slope[:, np.newaxis] * x
    beside -= np.median(beside, axis=1, keepdims=True)
    squares = (beside**2).sum(axis=1)
    products = (beside[:, 1:] * beside[:, :-1]).sum(axis=1)
    rho = np.divide(products, squares, out=np.zeros_like(squares), where=squares > 0)
    return slope, squares / max(1, len(x) - 2), rho


def _slope(x: Values, floor: Values) -> Values:
    """The median slope of all pairs; 0 where nothing is between them."""
    pairs = np.array(np.triu_indices(len(x), 1))
    first, second = pairs[:, x[pairs[1]] > x[pairs[0]]]
    if not len(first):
        return np.zeros(len(floor))
    apart = x[second] - x[first]
    slopes: Values = np.median((floor[:, second] - floor[:, first]) / apart, axis=1)
    return slopes


def _inflation(rho: Values, width: int) -> Values:
    """By how much dependence widens a slope's variance."""
    if width <= 5:
        return np.ones_like(rho)
    unbiased = np.clip((rho + 2 / width) / (1 - 4 / width), 0.0, 0.9)
    inflated: Values = (1 + unbiased) / (1 - unbiased)
    return inflated


def _granule(floor: Values) -> Values:
    """The smallest change from one floor to the next; 0 where there is hardly any."""
    steps = np.abs(np.diff(floor, axis=1))
    least = np.where(steps > 0, steps, np.inf).min(axis=1)
    return np.where((steps > 0).mean(axis=1) >= _OFTEN, least, 0.0)
