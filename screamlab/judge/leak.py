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

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from screamlab.judge.view import Samples
from screamlab.judge.windows import Windows, inside, length_s

Values = NDArray[np.float64]

PIECES = (96, 48, 24)
MIN_PIECE_S = 60.0
# Below this a quarter of the floors is no line.
MIN_FLOORS = 20
_FEWEST_CYCLES = 3
_CONFIDENCE = 0.95
# Times the standard error (or granules in a window) that a leak must lie above the limit to be
# found with 95 %; from `screamlab bench leak`.
FOUND_AT = 3.6
GRANULES = 3.0
_CALM = 1 / 3
# Standard errors by which the least slope must exceed a limit.
_SURE = 0.2
# Where more pieces see no better than by this factor, fewer are taken.
_BETTER = 0.9


@dataclass(frozen=True)
class Growth:
    """How a resource grew, per unit of what it is held against (a second, or a cycle).

    `rate` is over all after the warm-up, `low` at least in every part; `blur` is how far above a
    limit a leak must lie to be found with 95 %. `floors` floors from `begin` to `end` were judged.
    """

    rate: float
    low: float
    blur: float
    settling: bool
    begin: float
    end: float
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

    Samples in `without` are not looked at, so that what grew there is a step. `granule` is the
    least by which the value can change at all (a page, one thread). Times ascend.
    """
    kept = samples.within(windows)
    kept = Samples(*(x[~inside(kept.t, without)] for x in (kept.t, kept.value)))
    kept = Samples(*(x[np.isfinite(kept.value)] for x in (kept.t, kept.value)))
    found = measure(kept.t, kept.value[np.newaxis], windows, min_piece_s, granule)
    return found.one(0) if found is not None else None


@dataclass(frozen=True)
class PerCycle:
    """Growth per cycle, and what was held in the quiet `before` and `after` all cycles.

    `quiet` is the growth from the one to the other, and part of what `growth` is made of: of both
    looks it has the lower bound and the wider blur.
    """

    growth: Growth
    before: float
    after: float
    quiet: float


def growth_per_cycle(
    samples: Samples,
    before: Windows,
    during: Windows,
    after: Windows,
    ended_s: Values,
    piece_s: float,
) -> PerCycle | None:
    """Growth with each cycle, from floors of `piece_s`; None with too few of them.

    A pool that is filled once grows from quiet to quiet as well, but not in every part of the time
    `during` which clients come and go. `ended_s` are the times at which cycles were over,
    ascending, on the samples' clock.
    """
    (_, old), (at_s, floor), (_, new) = (
        floors(samples.t, samples.value[np.newaxis], windows, piece_s)
        for windows in (before, during, after)
    )
    cycles = np.searchsorted(ended_s, at_s, side="right").astype(float)
    if not old.size or not new.size or len(np.unique(cycles)) < _FEWEST_CYCLES:
        return None
    long = len(at_s) >= MIN_FLOORS
    found = _look(at_s, cycles, floor).one(0) if long else _whole(at_s, cycles, floor[0])
    low, likely, high = (
        float(change) / len(ended_s)
        for change in (new.min() - old.max(), new.min() - old.min(), new.max() - old.min())
    )
    both = replace(
        found,
        low=min(found.low, low),
        blur=max(found.blur, high - low),
        floors=found.floors + old.size + new.size,
    )
    return PerCycle(both, before=float(old.min()), after=float(new.min()), quiet=likely)


class Measured(NamedTuple):
    """`Growth` of many series at once: one entry a series."""

    rate: Values
    low: Values
    blur: Values
    settling: NDArray[Any]
    begin: Values
    end: Values
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
        found = _look(at_s, at_s, floor, granule)
        best = found if best is None else _clearer(found, best)
    return best


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


def _look(at_s: Values, x: Values, floor: Values, granule: float = 0.0) -> Measured:
    """What rows of floors tell, taken at `at_s` and held against `x`."""
    count = len(x)
    width = count // 4
    starts = np.arange(0, count - width + 1, max(1, count // 16))
    # Where no cycle ended, nothing can be told of them.
    starts = starts[x[starts + width - 1] > x[starts]]
    parts = [_line(x[a : a + width], floor[:, a : a + width]) for a in starts]
    slope, variance, rho = (np.stack(field, axis=1) for field in zip(*parts, strict=True))
    spread = float(np.median([np.var(x[a : a + width]) for a in starts])) * width
    span = float(np.median([x[a + width - 1] - x[a] for a in starts]))

    error = np.sqrt(np.quantile(variance, _CALM, axis=1) / spread)
    begin = np.zeros(len(floor), dtype=int)
    for turn in range(np.searchsorted(starts, count // 2)):
        twice = 2 * np.median(slope[:, turn + 1 :], axis=1) + 2 * error
        begin[(begin == turn) & (slope[:, turn] > twice)] = turn + 1

    rate, low, blur, settling = np.zeros((4, len(floor)))
    granules = np.maximum(granule, _granule(floor)) / span
    for turn in np.unique(begin):
        rows, first = begin == turn, starts[turn]
        slopes, calm = slope[rows, turn:], np.quantile(variance[rows, turn:], _CALM, axis=1)
        wider = _inflation(np.median(rho[rows, turn:], axis=1), width)
        error = np.sqrt(calm * wider / spread)
        rate[rows] = _slope(x[first:], floor[rows, first:])
        low[rows] = slopes.min(axis=1) - _SURE * error
        blur[rows] = np.maximum(FOUND_AT * error, GRANULES * granules[rows])
        settling[rows] = slopes[:, -1] < slopes[:, 0] / 2
    ends = np.full(len(floor), at_s[-1])
    first = starts[begin]
    return Measured(rate, low, blur, settling > 0, at_s[first], ends, count - first)


def _whole(at_s: Values, x: Values, floor: Values) -> Growth:
    """What a few floors tell, taken as one: the slope's own interval, which knows of no step."""
    from scipy.stats import theilslopes

    slope, _, low, high = map(float, theilslopes(floor, x, alpha=_CONFIDENCE))
    ends = float(at_s[0]), float(at_s[-1])
    return Growth(slope, low, high - low, False, *ends, floors=len(x))


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
    """The smallest change from one floor to the next; 0 where there is none."""
    steps = np.abs(np.diff(floor, axis=1))
    least = np.where(steps > 0, steps, np.inf).min(axis=1)
    return np.where(np.isfinite(least), least, 0.0)
