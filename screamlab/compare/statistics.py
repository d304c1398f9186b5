"""The statistics of a comparison: tests and intervals that hold for few runs, without a model.

`a` is the side that is held against, `b` the other; differences are b − a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Interval = tuple[float, float]
# Two-sided: what an interval covers, and the share of false alarms among what stands out.
CONFIDENCE = 0.95
FALSE_SHARE = 1 - CONFIDENCE
# Up to so many ways of dealing the values out are all counted; beyond, as many are drawn.
RESAMPLES = 9999
# Above so many pairs the normal approximation of the rank sum is as good as its distribution.
MOST_PAIRS = 2500


@dataclass(frozen=True)
class Difference:
    """How far b is from a, within what interval, and how often chance does as much.

    `p` is None where nothing can be told: all is the same, or a side has a single value.
    `floor` is the smallest p that so many values can give.
    """

    effect: float
    interval: Interval
    p: float | None
    floor: float


def shares(hits_a: int, count_a: int, hits_b: int, count_b: int) -> Difference:
    """Two shares: Fisher's exact test (1922), and Newcombe's interval of their difference (1998).

    The interval is method 10 of Newcombe, from the score intervals of Wilson (1927).
    """
    p_a, p_b = hits_a / count_a, hits_b / count_b
    low_a, high_a = wilson(hits_a, count_a)
    low_b, high_b = wilson(hits_b, count_b)
    interval = (
        p_b - p_a - sqrt((p_b - low_b) ** 2 + (high_a - p_a) ** 2),
        p_b - p_a + sqrt((high_b - p_b) ** 2 + (p_a - low_a) ** 2),
    )
    table = [[hits_a, count_a - hits_a], [hits_b, count_b - hits_b]]
    mute = hits_a + hits_b in (0, count_a + count_b)
    p = None if mute else float(stats.fisher_exact(table).pvalue)
    return Difference(p_b - p_a, interval, p, _floor(count_a, count_b))


def wilson(hits: int, count: int) -> Interval:
    """The score interval of a share (Wilson 1927)."""
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    share, weight = hits / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def values(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Two samples: the shift of Hodges and Lehmann (1963) and its interval, and the test of ranks.

    The test is that of Mann and Whitney (1947); with few values every way of dealing them out is
    counted, so ties are no trouble.
    """
    left, right = np.asarray(a, float), np.asarray(b, float)
    shifts = np.sort(np.subtract.outer(right, left).ravel())
    reach = _reach(len(left), len(right))
    outer = (shifts[reach - 1], shifts[-reach]) if reach else (-inf, inf)
    mute = min(len(left), len(right)) < 2 or len(np.unique(np.concatenate([left, right]))) == 1
    return Difference(
        effect=float(np.median(shifts)),
        interval=(float(outer[0]), float(outer[1])),
        p=None if mute else _rank_test(left, right),
        floor=_floor(len(left), len(right)),
    )


def stand_out(differences: Sequence[float | None]) -> list[bool]:
    """Which of many p values stand out, with at most `FALSE_SHARE` false ones among them.

    Benjamini and Hochberg (1995); what could not have told anything (None) is not counted.
    """
    tested = [p for p in differences if p is not None]
    if not tested:
        return [False] * len(differences)
    adjusted = iter(stats.false_discovery_control(tested))
    return [p is not None and bool(next(adjusted) <= FALSE_SHARE) for p in differences]


def smallest_sides(tests: int) -> int:
    """How many values a side a single difference among `tests` needs to be able to stand out."""
    count = 1
    while _floor(count, count) * max(1, tests) > FALSE_SHARE:
        count += 1
    return count


def _rank_test(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if len(a) * len(b) > MOST_PAIRS:
        return float(stats.mannwhitneyu(a, b, method="asymptotic").pvalue)
    drawn = stats.PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    return min(1.0, float(stats.mannwhitneyu(a, b, method=drawn).pvalue))


def _reach(count_a: int, count_b: int) -> int:
    """How many ordered pair differences lie outside the interval on each side (0: too few).

    From the distribution of the rank sum (Hollander and Wolfe, Nonparametric Statistical Methods,
    section 4.3).
    """
    tail, pairs = (1 - CONFIDENCE) / 2, count_a * count_b
    if pairs > MOST_PAIRS:
        spread = sqrt(pairs * (count_a + count_b + 1) / 12)
        return max(0, round(pairs / 2 + float(stats.norm.ppf(tail)) * spread))
    below = np.cumsum(_rank_sums(count_a, count_b)) / comb(count_a + count_b, count_a)
    return int(np.searchsorted(below, tail, side="right"))


def _rank_sums(count_a: int, count_b: int) -> NDArray[np.float64]:
    """In how many ways each value of U comes about: the coefficients of a Gaussian binomial."""
    ways = np.zeros(count_a * count_b + 1)
    ways[0] = 1
    for step in range(1, count_a + 1):
        up = count_b + step
        ways[up:] -= ways[:-up].copy() if up < len(ways) else 0
        for at in range(step, len(ways)):
            ways[at] += ways[at - step]
    return ways


def _floor(count_a: int, count_b: int) -> float:
    """The smallest two-sided p of an exact test of so many values a side."""
    return min(1.0, 2 / comb(count_a + count_b, count_a))
