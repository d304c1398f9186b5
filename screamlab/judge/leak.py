"""Whether a resource grows with every cycle: floors, before, while and after clients come and go.

A floor is the least of a stretch of time, so that what is held by those who are there just then
does not count. Two looks must agree before anything is called a leak: the floor of the quiet after
lies above the floor of the quiet before, and the floors in between rise with the number of cycles
(slope by Theil and Sen with its confidence interval; Sen, J. Am. Stat. Assoc. 63, 1968). The first
alone is also what a pool looks like that is filled once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.judge.view import Samples
from screamlab.judge.windows import Window, Windows

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Growth:
    """Growth per cycle, as (low, most likely, high), from quiet to quiet and over the churn.

    `before` and `after` are the least floors of the quiet; `floors` is how many there are in all.
    """

    before: float
    after: float
    quiet: tuple[float, float, float]
    slope: tuple[float, float, float]
    floors: int

    @property
    def low(self) -> float:
        """No less than this, as far as both looks tell."""
        return min(self.quiet[0], self.slope[0])

    @property
    def high(self) -> float:
        """No more than this, as far as both looks tell."""
        return max(self.quiet[2], self.slope[2])

    def visible(self, limit: float) -> float:
        """The smallest leak per cycle that would have been seen to be above `limit`."""
        blur = max(one[1] - one[0] for one in (self.quiet, self.slope))
        return limit + blur


def growth(
    samples: Samples,
    before: Windows,
    during: Windows,
    after: Windows,
    ended_s: NDArray[np.float64],
    window_s: float,
) -> Growth | None:
    """Growth of a resource per cycle; None without floors in all three.

    `ended_s` are the times at which cycles were over, ascending, on the samples' clock.
    """
    from scipy.stats import theilslopes

    calm = [_floors(samples, windows, window_s)[1] for windows in (before, after)]
    at_s, floors = _floors(samples, during, window_s)
    cycles = np.searchsorted(ended_s, at_s, side="right").astype(float)
    if not len(calm[0]) or not len(calm[1]) or len(np.unique(cycles)) < 3:
        return None
    slope, _, low, high = theilslopes(floors, cycles, alpha=CONFIDENCE)
    count = len(ended_s)
    quiet = (
        float(calm[1].min() - calm[0].max()) / count,
        float(calm[1].min() - calm[0].min()) / count,
        float(calm[1].max() - calm[0].min()) / count,
    )
    return Growth(
        before=float(calm[0].min()),
        after=float(calm[1].min()),
        quiet=quiet,
        slope=(float(low), float(slope), float(high)),
        floors=len(floors) + len(calm[0]) + len(calm[1]),
    )


def _floors(
    samples: Samples, windows: Windows, window_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least sample of each `window_s` of the windows, and when that piece ends."""
    ends, floors = [], []
    for window in windows:
        pieces = max(1, int(window.length_s / window_s))
        edges = np.linspace(window.from_s, window.to_s, pieces + 1)
        for from_s, to_s in zip(edges[:-1], edges[1:], strict=True):
            part = samples.within((Window(float(from_s), float(to_s)),)).value
            if len(part):
                ends.append(float(to_s))
                floors.append(float(part.min()))
    return np.array(ends), np.array(floors)
