"""Delay distributions as tables for netem, and what becomes of them where order is kept.

netem draws one entry t of a table for each packet and delays it by `delay + jitter * t / 8192`
(tabledist() in net/sched/sch_netem.c, NETEM_DIST_SCALE); entries are 16 bits wide, so a table
reaches 4 jitters to either side of the delay. Delay and jitter are the place and the scale of the
table, and only with a table of mean 0 and deviation 1 are they mean and standard deviation.

Where order is kept (see `screamlab.impair.tc`) a packet leaves no earlier than the one before it:
its delay is the largest of d[0], d[1] - s, d[2] - 2s, … of its own draw and those of its
predecessors, s being the time between packets. Draws of distribution F so become delays of
distribution G(d) = F(d) F(d + s) F(d + 2s) …, longer and less spread than asked. The factors
cancel out for F(d) = G(d) / G(d + s): with draws of that distribution the delays are those asked.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from screamlab.impair.condition import Shape

SCALE = 8192
ENTRIES = 8192  # of at most 16384 (NETEM_DIST_MAX); twice as many do not fit in a message of tc
REACH = 32767 / SCALE
# Points at which distributions are computed with, before the table is drawn from them.
_POINTS = 4096


@dataclass(frozen=True)
class Table:
    """A delay distribution: `entries` for netem, under a `name` that tells its content."""

    name: str
    entries: tuple[int, ...]

    def text(self) -> str:
        """The content of the file ``<name>.dist`` that tc(8) reads from TC_LIB_DIR."""
        rows = (self.entries[at : at + 16] for at in range(0, len(self.entries), 16))
        return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def shape_quantiles(shape: Shape) -> list[float]:
    """Quantiles of a shape at evenly spaced probabilities, in units of jitter around the delay.

    As tc(8) has them (iproute2, netem/*.c): Pareto has the exponent 3 and, being cut at what a
    table can hold, a standard deviation of 0.82; paretonormal is three quarters Pareto and one
    quarter normal. Uniform reaches from -1 to 1.
    """
    middles = [(point + 0.5) / _POINTS for point in range(_POINTS)]
    if shape == "uniform":
        return [2 * u - 1 for u in middles]
    normal = [NormalDist().inv_cdf(u) for u in middles]
    if shape == "normal":
        return normal
    pareto = [min(REACH, ((1 - u) ** (-1 / 3) - 1.5) * 4 / 3) for u in middles]
    if shape == "pareto":
        return pareto
    return [0.75 * p + 0.25 * n for p, n in zip(pareto, normal, strict=True)]


def table(
    name: str, quantiles: Sequence[float], delay: float, jitter: float, spacing: float | None
) -> Table:
    """A table that yields `quantiles`, delays at evenly spaced probabilities, from netem's draws.

    All in one unit. With `spacing`, the time between packets, delays are those after order was
    kept; without it, they are the draws.
    """
    draws = _before_order(quantiles, spacing) if spacing else list(quantiles)
    entries = tuple(
        max(-32768, min(32767, round((value - delay) / jitter * SCALE)))
        for value in _resampled(draws, ENTRIES)
    )
    digest = hashlib.sha1(",".join(map(str, entries)).encode()).hexdigest()
    return Table(f"{name}-{digest[:8]}", entries)


def _before_order(quantiles: Sequence[float], spacing: float) -> list[float]:
    """Quantiles of F(d) = G(d) / G(d + spacing), those of G given."""
    delays = _resampled(quantiles, _POINTS)
    ratios = (_below(delays, d) / _below(delays, d + spacing) for d in delays)
    rising = list(accumulate(ratios, max))
    drawn = []
    for point in range(_POINTS):
        u = (point + 0.5) / _POINTS
        drawn.append(delays[min(bisect_right(rising, u), _POINTS - 1)])
    return drawn


def _below(delays: Sequence[float], delay: float) -> float:
    """The distribution function whose quantiles at evenly spaced probabilities are `delays`."""
    last = len(delays) - 1
    after = bisect_right(delays, delay)
    if after == 0 or after > last:
        return 0.0 if after == 0 else 1.0
    low, high = delays[after - 1], delays[after]
    return (after - 1 + (delay - low) / (high - low)) / last


def _resampled(values: Sequence[float], count: int) -> list[float]:
    """`count` values on the straight lines between `values`, both spaced evenly."""
    last = len(values) - 1
    points = []
    for index in range(count):
        at = index / (count - 1) * last
        low = min(int(at), last - 1)
        points.append(values[low] + (at - low) * (values[low + 1] - values[low]))
    return points
