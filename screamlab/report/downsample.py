"""Fewer points for the same picture: a series in even buckets of time.

A plain thinning hides the one second that matters; every bucket keeps its smallest and largest
value beside its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.judge.samples import Samples

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Buckets:
    """A series at even steps; a bucket without samples is NaN in all three."""

    begin_s: float
    step_s: float
    low: Values
    mean: Values
    high: Values

    @property
    def t(self) -> Values:
        """The middle of every bucket, in seconds."""
        return self.begin_s + self.step_s * (np.arange(len(self.mean), dtype=np.float64) + 0.5)


def buckets(samples: Samples, begin_s: float, end_s: float, count: int) -> Buckets:
    """Sum `samples` up in `count` even buckets between two times; what lies outside is left out."""
    step_s = (end_s - begin_s) / count
    index = np.floor((samples.t - begin_s) / step_s).astype(np.int64)
    keep = (index >= 0) & (index < count) & np.isfinite(samples.value)
    index, value = index[keep], samples.value[keep]
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, index, value)
    np.maximum.at(high, index, value)
    taken = np.bincount(index, minlength=count).astype(float)
    total = np.bincount(index, weights=value, minlength=count)
    mean = np.divide(total, taken, out=np.full(count, np.nan), where=taken > 0)
    low[taken == 0] = high[taken == 0] = np.nan
    return Buckets(begin_s, step_s, low, mean, high)


def rate(samples: Samples) -> Samples:
    """A cumulative counter as its growth per second, at the later of each two samples."""
    if len(samples) < 2:
        return Samples(np.empty(0), np.empty(0))
    growth = samples.growth()
    seconds = np.diff(samples.t)
    keep = seconds > 0
    return Samples(samples.t[1:][keep], growth.value[1:][keep] / seconds[keep])


def compact(values: Values) -> list[float | int | None]:
    """Four significant digits, whole numbers whole, None for what is not a number."""
    return [_short(float(value)) for value in values]


def _short(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short
