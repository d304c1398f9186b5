"""When a path changed: change points in delay, its spread, and loss.

PELT (Killick, Fearnhead and Eckley, JASA 107, 2012) in `ruptures`: exact, linear in time, and kept
by people who do nothing else; a binary segmentation of our own would be as long and worse where
changes are close to each other. It runs on figures of bins of time, each in units of its own noise,
so that one penalty suits all of them; where a path changed is known to a bin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ruptures

from screamlab.fit.samples import Floats, Samples

BIN_S = 1.0
_PACKETS_PER_BIN = 20
_MIN_BINS = 20
# A stretch between two changes has as much as its own fit needs.
_PACKETS_PER_STRETCH = 100
_BINS_PER_STRETCH = 3
# Times the change's cost by the Bayesian information criterion; neighbouring bins are not quite
# independent, and what is found must be worth a step of a profile.
_CAUTION = 3.0
# Noise of delay (ms) is taken to be no less: what differs by less is the measuring host's own, and
# not worth a step.
_FINEST_MS = 0.5


def change_points(parts: Sequence[Samples]) -> list[float]:
    """Seconds at which any of the directions, sent at the same times, changed; often none."""
    spacing_s = max(part.spacing_s for part in parts)
    width_s = max(BIN_S, _PACKETS_PER_BIN * spacing_s)
    count = int(min(part.duration_s for part in parts) / width_s)
    if count < _MIN_BINS:
        return []
    figures = np.concatenate([_figures(part, width_s, count) for part in parts], axis=1)
    figures = figures[:, np.ptp(figures, axis=0) > 0]
    if not figures.shape[1]:
        return []
    shortest = max(_BINS_PER_STRETCH, int(np.ceil(_PACKETS_PER_STRETCH * spacing_s / width_s)))
    if count < 2 * shortest:
        return []
    search = ruptures.KernelCPD(kernel="linear", min_size=shortest).fit(figures)
    penalty = _CAUTION * (figures.shape[1] + 1) * np.log(count)
    return [at * width_s for at in search.predict(pen=penalty)[:-1]]


def _figures(samples: Samples, width_s: float, count: int) -> Floats:
    """Median and spread of the delay and loss of each bin, in units of their noise."""
    bins = np.minimum((samples.send_s / width_s).astype(int), count - 1)
    middle, spread, lost = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count)
    for at in range(count):
        here = bins == at
        delays = samples.delay_s[here & samples.received] * 1e3
        lost[at] = samples.lost[here].sum()
        if len(delays) >= 3:
            low, middle[at], high = np.quantile(delays, [0.1, 0.5, 0.9])
            spread[at] = high - low
    # The square root makes the noise of a count the same at every level (Anscombe 1948).
    losses = 2 * np.sqrt(lost + 3 / 8)
    return np.stack(
        [
            _in_noise(_filled(middle), _FINEST_MS),
            _in_noise(_filled(spread), _FINEST_MS),
            _in_noise(losses, 1.0, bursty=True),
        ],
        axis=1,
    )


def _filled(values: Floats) -> Floats:
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    return np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])


def _in_noise(values: Floats, finest: float, *, bursty: bool = False) -> Floats:
    """In units of the noise, which differences of neighbours show and a change of level does not.

    Losses in bursts are quiet for most bins: only the standard deviation sees their noise.
    """
    steps = np.diff(values)
    noise = 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2)
    if bursty:
        noise = max(noise, float(np.std(steps)) / np.sqrt(2))
    return values / max(noise, finest)
