"""Whether a resource grows with every client that comes and goes (see `screamlab.judge.leak`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from screamlab.judge.leak import MIN_FLOORS, Growth, Values, floors, look
from screamlab.judge.samples import Samples
from screamlab.judge.windows import Windows

_FEWEST_CYCLES = 3
_CONFIDENCE = 0.95


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
    `during` which clients come and go. That is asked of many floors only; few are taken as one.
    `ended_s` are the times at which cycles were over, ascending, on the samples' clock.
    """
    (_, old), (at_s, floor), (_, new) = (
        floors(samples.t, samples.value[np.newaxis], windows, piece_s)
        for windows in (before, during, after)
    )
    cycles = np.searchsorted(ended_s, at_s, side="right").astype(float)
    if not old.size or not new.size or len(np.unique(cycles)) < _FEWEST_CYCLES:
        return None
    long = len(at_s) >= 2 * MIN_FLOORS
    found = look(at_s, cycles, floor).one(0) if long else _whole(at_s, cycles, floor[0])
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


def _whole(at_s: Values, x: Values, floor: Values) -> Growth:
    """What a few floors tell, taken as one: the slope's own interval, which knows of no step."""
    from scipy.stats import theilslopes

    slope, _, low, high = map(float, theilslopes(floor, x, alpha=_CONFIDENCE))
    length = float(x[-1] - x[0])
    return Growth(slope, low, high - low, False, float(at_s[0]), length, floors=len(x))
