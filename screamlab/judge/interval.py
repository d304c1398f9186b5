"""Confidence intervals that hold for few samples, and for samples that depend on each other.

Dependence is given as an effective number of samples: as many independent ones as would tell as
much. Numbers of samples need not be whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]


def proportion(hits: float, samples: float, confidence: float) -> Interval:
    """The exact interval of Clopper and Pearson (1934) for a share of `hits` in `samples`."""
    # Takes half a second to load, which every plan would wait for.
    from scipy import special

    tail = (1 - confidence) / 2
    misses = samples - hits
    low = float(special.betaincinv(hits, misses + 1, tail)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return low, high


def quantile(ordered: NDArray[np.float64], q: float, samples: float, confidence: float) -> Interval:
    """Order statistics between which the q-quantile lies (binomial; Conover 1999, section 3.2).

    `ordered` are all values, rising, worth `samples` independent ones. Infinite on a side where
    even the outermost value is not far enough out.
    """
    from scipy import special

    tail, count = (1 - confidence) / 2, max(1, round(samples))
    below_or_at = special.bdtr(np.arange(count + 1), count, q)
    low = int(np.searchsorted(below_or_at, tail))
    high = int(np.searchsorted(below_or_at, 1 - tail)) + 1
    per_sample = len(ordered) / count
    below = ordered[int((low - 1) * per_sample)] if low >= 1 else -np.inf
    above = (
        ordered[min(len(ordered), int(np.ceil(high * per_sample))) - 1] if high <= count else np.inf
    )
    return float(below), float(above)
