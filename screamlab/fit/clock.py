"""Two clocks in one delay: what of a measured one-way delay is the hosts' clocks, not the path.

The difference of two clocks is a constant and a drift. The drift is the slope of the line under all
delays that lies closest to them (Moon, Skelly and Towsley, "Estimation and Removal of Clock Skew
from Network Delay Measurements", INFOCOM 1999): an edge of their lower convex hull. The constant
cannot be told from a path that is longer one way than the other.
"""

from __future__ import annotations

import numpy as np

from screamlab.fit.samples import Floats

# Quartz is off by less; a steeper slope is the path's, and is left in.
MAX_DRIFT = 100e-6
# Less over the whole measurement is not worth touching the delays for.
MIN_DRIFT_S = 0.5e-3


def slope(send_s: Floats, delay_s: Floats) -> float:
    """Slope (s/s) of the line under all points that is closest to them in the mean."""
    known = np.isfinite(delay_s)
    times, delays = send_s[known], delay_s[known]
    if len(times) < 2:
        return 0.0
    hull: list[int] = []
    for at in range(len(times)):
        while len(hull) > 1 and _turns_up(times, delays, hull[-2], hull[-1], at) <= 0:
            hull.pop()
        hull.append(at)
    # The mean distance is least for the edge that spans the mean time.
    right = next(i for i, at in enumerate(hull) if i and times[at] >= times.mean())
    left, right = hull[right - 1], hull[right]
    return float((delays[right] - delays[left]) / (times[right] - times[left]))


def common_drift(send_s: Floats, there_s: Floats, back_s: Floats) -> float:
    """Drift of the far clock (s/s) that lengthens one direction as it shortens the other.

    0 when both directions do not agree on one: then it is the path that changes.
    """
    there, back = slope(send_s, there_s), slope(send_s, back_s)
    drift = (there - back) / 2
    agree = abs(there + back) <= 0.25 * abs(there - back)
    return drift if agree and _worth(drift, send_s) else 0.0


def lone_drift(send_s: Floats, delay_s: Floats) -> float:
    """Drift (s/s) seen in one direction alone; a slow change of the path looks the same."""
    drift = slope(send_s, delay_s)
    return drift if _worth(drift, send_s) else 0.0


def _worth(drift: float, send_s: Floats) -> bool:
    return abs(drift) <= MAX_DRIFT and abs(drift) * float(np.ptp(send_s)) >= MIN_DRIFT_S


def _turns_up(times: Floats, delays: Floats, a: int, b: int, c: int) -> float:
    return float(
        (times[b] - times[a]) * (delays[c] - delays[a])
        - (delays[b] - delays[a]) * (times[c] - times[a])
    )
